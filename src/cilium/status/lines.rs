//! The single lines of a status, and the rows below some of them.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::LazyLock;

use regex::Regex;

use super::{
    AgentStatus, AttachMode, Component, DEGRADED, DegradedModule, Encryption, FailingController, MOST, Masquerading,
    PeerHealth, Routing, SocketLb,
};
use crate::base::pattern::pattern;

static FRACTION: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\d+)/(\d+) (?:healthy|reachable)"));
static DEGRADED_COUNT: LazyLock<Regex> = LazyLock::new(|| pattern(r"Degraded\((\d+)\)"));
static REDIRECTS: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\d+) redirects active"));
static HZ: LazyLock<Regex> = LazyLock::new(|| pattern(r"^jiffies\s+\[(\d+) Hz\]"));
static RANGE: LazyLock<Regex> = LazyLock::new(|| pattern(r"allocated from ([0-9a-fA-F.:]+/\d+)"));
static VERSION: LazyLock<Regex> = LazyLock::new(|| pattern(r"^v?(\d+\.\d+\.\d\S*)"));
static TUNNEL: LazyLock<Regex> = LazyLock::new(|| pattern(r"Network:\s*(Native|Tunnel(?:\s*\[(\w+)\])?)"));
static PEERS: LazyLock<Regex> = LazyLock::new(|| pattern(r"Peers:\s*(\d+)"));
static PROBE: LazyLock<Regex> = LazyLock::new(|| pattern(r#""([^"]+)""#));
static CELLS: LazyLock<Regex> = LazyLock::new(|| pattern(r"\s{2,}|\t+"));

/// The tables below keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Addresses,
    Controllers,
    KubeProxyReplacement,
    Maps,
    Encryption,
    ClusterHealth,
    Other,
}

impl Section {
    /// The table that follows this key.
    pub(super) fn below(key: &str) -> Self {
        match key.trim_end() {
            "Allocated addresses" => Self::Addresses,
            "Controller Status" => Self::Controllers,
            "KubeProxyReplacement Details" => Self::KubeProxyReplacement,
            "BPF Maps" => Self::Maps,
            "Encryption" => Self::Encryption,
            "Cluster health" => Self::ClusterHealth,
            _ => Self::Other,
        }
    }
}

fn component(value: &str) -> Component {
    let (state, says) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    Component { state: state.to_owned(), says: says.trim().to_owned() }
}

fn first_word(value: &str) -> &str {
    value.split_whitespace().next().unwrap_or_default()
}

fn fraction(value: &str) -> Option<(u32, u32)> {
    let cells = FRACTION.captures(value)?;
    Some((cells[1].parse().ok()?, cells[2].parse().ok()?))
}

fn captured<T: FromStr>(regex: &Regex, value: &str) -> Option<T> {
    regex.captures(value)?.get(1)?.as_str().parse().ok()
}

/// `Enabled   [eth0, eth1]` and `Disabled`, in this and older releases.
fn enabled(value: &str) -> Option<bool> {
    match first_word(value).to_ascii_lowercase().as_str() {
        "enabled" | "true" => Some(true),
        "disabled" | "false" => Some(false),
        _ => None,
    }
}

fn masquerading(value: &str) -> Option<Masquerading> {
    match first_word(value) {
        "BPF" => Some(Masquerading::Bpf),
        "IPTables" => Some(Masquerading::Iptables),
        "Disabled" => Some(Masquerading::Disabled),
        _ => None,
    }
}

/// `BPF` and `Legacy`; `Host: BPF` in newer releases.
fn bpf_host_routing(value: &str) -> Option<bool> {
    match first_word(value) {
        "BPF" => Some(true),
        "Legacy" => Some(false),
        _ => None,
    }
}

fn encryption(value: &str) -> Option<Encryption> {
    let word = first_word(value);
    Some(match word.to_ascii_lowercase().as_str() {
        "" => return None,
        "disabled" => Encryption::Disabled,
        "wireguard" => Encryption::Wireguard {
            peers: captured(&PEERS, value),
            nodes: value.split_once("NodeEncryption:").and_then(|(_, nodes)| enabled(&nodes.replace(',', " "))),
        },
        "ipsec" => Encryption::Ipsec { errors: None },
        _ => Encryption::Other(word.to_owned()),
    })
}

impl AgentStatus {
    /// Takes one `key: value` line; whether the key is one of a status.
    pub(super) fn line(&mut self, key: &str, value: &str) -> bool {
        match key {
            "Cilium" => {
                let agent = component(value);
                // After any state but Ok stands the error, which may begin with any word.
                self.version = (agent.state == "Ok").then(|| captured(&VERSION, &agent.says)).flatten();
                self.agent = Some(agent);
            }
            "Kubernetes" => self.kubernetes = Some(component(value)),
            "KVStore" => self.kvstore = Some(component(value)),
            "Cilium health daemon" => self.health_daemon = Some(component(value)),
            "KubeProxyReplacement" => {
                self.kube_proxy_replacement = match first_word(value) {
                    "True" | "Strict" => Some(true),
                    "False" | "Disabled" => Some(false),
                    _ => None,
                };
                self.take_devices(value);
            }
            "Masquerading" => self.masquerading = masquerading(value),
            "IPAM" => {
                self.pod_ranges = RANGE.captures_iter(value).filter_map(|c| c[1].parse().ok()).take(MOST).collect();
            }
            "Clock Source for BPF" => {
                self.clock_hz = match captured(&HZ, value) {
                    Some(hz) => Some(Some(hz)),
                    None => (first_word(value) == "ktime").then_some(None),
                };
            }
            "Device Mode" => self.device_mode = Some(first_word(value).to_owned()),
            "Attach Mode" => {
                self.attach_mode = match value.to_ascii_lowercase().as_str() {
                    "tcx" => Some(AttachMode::Tcx),
                    "legacy tc" => Some(AttachMode::LegacyTc),
                    _ => None,
                };
            }
            "Routing" => {
                self.routing = TUNNEL.captures(value).map(|cells| match (&cells[1], cells.get(2)) {
                    ("Native", _) => Routing::Native,
                    (_, kind) => Routing::Tunnel(kind.map_or(String::new(), |kind| kind.as_str().to_owned())),
                });
                self.bpf_host_routing = value.split_once("Host:").and_then(|(_, host)| bpf_host_routing(host));
            }
            "Host Routing" => self.bpf_host_routing = bpf_host_routing(value),
            "Host firewall" => self.host_firewall = enabled(value),
            "CNI Chaining" => {
                self.chained_to = Some(first_word(value).to_owned()).filter(|word| !word.is_empty() && word != "none");
            }
            "Controller Status" => self.controllers = fraction(value),
            "Cluster health" => self.cluster_health = fraction(value),
            "Proxy Status" => self.proxy_redirects = captured(&REDIRECTS, value),
            "Encryption" => self.encryption = encryption(value),
            "Modules Health" => self.degraded = captured(&DEGRADED_COUNT, value),
            "Stale status" => {
                self.stale_probes = PROBE.captures_iter(value).map(|cells| cells[1].to_owned()).take(MOST).collect();
            }
            "Kubernetes APIs"
            | "CNI Config file"
            | "NodeMonitor"
            | "Global Identity Range"
            | "Hubble"
            | "BandwidthManager"
            | "SRv6" => {}
            _ => return false,
        }
        true
    }

    /// Takes one row of the table below a key, without the blanks around it.
    pub(super) fn row(&mut self, section: Section, row: &str) {
        match section {
            Section::Addresses => {
                let (address, owner) = row.split_once(' ').unwrap_or((row, ""));
                if owner.trim_start().starts_with("(router")
                    && self.router.len() < MOST
                    && let Ok(address) = address.parse()
                {
                    self.router.push(address);
                }
            }
            Section::Controllers => self.controller(row),
            Section::KubeProxyReplacement => self.replacement(row),
            Section::Maps => {
                let mut cells = CELLS.splitn(row, 2);
                let (name, size) = (cells.next().unwrap_or_default(), cells.next().map(str::trim));
                let size = size.and_then(|size| size.parse().ok());
                match name {
                    "TCP connection tracking" => self.conntrack_sizes.0 = size,
                    "Non-TCP connection tracking" => self.conntrack_sizes.1 = size,
                    "NAT" => self.nat_size = size,
                    _ => {}
                }
            }
            Section::Encryption => {
                if let (Some(Encryption::Ipsec { errors }), Some((key, value))) =
                    (self.encryption.as_mut(), row.split_once(':'))
                    && key.to_ascii_lowercase().starts_with("errors")
                {
                    *errors = first_word(value).parse().ok();
                }
            }
            Section::ClusterHealth => self.peer(row),
            Section::Other => {}
        }
    }

    /// A row of the table of controllers: name, last success, last error, count, message.
    fn controller(&mut self, row: &str) {
        let cells: Vec<&str> = CELLS.splitn(row, 5).collect();
        let [name, _, _, count, ref says @ ..] = cells[..] else {
            return;
        };
        let Ok(failures) = count.parse() else {
            return;
        };
        if failures > 0 && self.failing_controllers.len() < MOST {
            let says = says.concat().trim().to_owned();
            self.failing_controllers.push(FailingController { name: name.to_owned(), failures, says });
        }
    }

    fn replacement(&mut self, row: &str) {
        let Some((key, value)) = row.split_once(':') else {
            return;
        };
        let value = value.trim();
        match key {
            "Socket LB" if self.socket_lb.is_none() => {
                self.socket_lb =
                    enabled(value).map(|enabled| if enabled { SocketLb::Enabled } else { SocketLb::Disabled });
            }
            "Socket LB Coverage" if self.socket_lb != Some(SocketLb::Disabled) => {
                self.socket_lb = match first_word(value) {
                    "Full" => Some(SocketLb::Full),
                    "Hostns-only" => Some(SocketLb::HostNamespace),
                    _ => self.socket_lb,
                };
            }
            "Devices" if self.devices.is_empty() => self.take_devices(&format!("[{value}]")),
            _ => {}
        }
    }

    /// `[eth0   10.9.0.2 fe80::1 (Direct Routing), eth1 10.8.0.2]`: devices with their addresses.
    fn take_devices(&mut self, value: &str) {
        let Some((_, list)) = value.split_once('[') else {
            return;
        };
        for part in list.split(']').next().unwrap_or_default().split(',').take(MOST) {
            let mut words = part.split_whitespace();
            let Some(device) = words.next() else {
                continue;
            };
            self.devices.push(device.to_owned());
            let addresses = words.filter_map(|word| word.parse::<IpAddr>().ok());
            self.device_addresses.extend(addresses.take(MOST));
            if part.contains("(Direct Routing)") {
                self.direct_routing_device = Some(device.to_owned());
            }
        }
    }

    /// `knode1               192.168.31.101   reachable   unreachable`; the agent's own node has `(localhost)`.
    fn peer(&mut self, row: &str) {
        let cells: Vec<&str> = CELLS.splitn(row, 4).collect();
        let [name, address, node, ref endpoint @ ..] = cells[..] else {
            return;
        };
        let reachable = |word: &str| match first_word(word) {
            "reachable" => Some(true),
            "unreachable" => Some(false),
            // `1/1`, in some releases.
            word => word
                .split_once('/')
                .filter(|(n, of)| n.parse::<u32>().is_ok() && of.parse::<u32>().is_ok())
                .map(|(n, of)| n == of),
        };
        let (Some(node_reachable), true) = (reachable(node), self.peers.len() < MOST) else {
            return;
        };
        let (name, is_own) = name.split_once(" (localhost)").map_or((name, false), |(name, _)| (name, true));
        self.peers.push(PeerHealth {
            node: name.to_owned(),
            address: address.parse().ok(),
            is_own,
            node_reachable,
            endpoint_reachable: endpoint.first().and_then(|word| reachable(word)),
        });
    }

    /// Takes a line of the tree of modules that says that one is degraded.
    pub(super) fn degraded_module(&mut self, line: &str) {
        let Some(at) = line.to_ascii_uppercase().find(DEGRADED) else {
            return;
        };
        if self.degraded_modules.len() < MOST {
            let name = line.get(..at).unwrap_or_default().trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
            let name = name.split(' ').next().unwrap_or_default().to_owned();
            let says = line.get(at + DEGRADED.len()..).unwrap_or_default().trim().to_owned();
            self.degraded_modules.push(name.clone());
            self.degraded_because.push(DegradedModule { name, says });
        }
    }
}
