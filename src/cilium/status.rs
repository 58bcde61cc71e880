//! `cilium-dbg status --verbose`: what the agent says of itself.

use std::sync::LazyLock;

use regex::Regex;

use crate::base::pattern::pattern;

use crate::base::net::Prefix;

/// Who masquerades what leaves the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masquerading {
    /// The BPF programs.
    Bpf,
    /// The kernel's own tables.
    Iptables,
    /// Nobody.
    Disabled,
}

/// What the agent says of itself. Every field may be missing: lines came and went over the releases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentStatus {
    /// Its version, `1.19.4`.
    pub version: Option<String>,
    /// Whether it replaces kube-proxy.
    pub kube_proxy_replacement: Option<bool>,
    /// The devices it works on.
    pub devices: Vec<String>,
    /// Who masquerades.
    pub masquerading: Option<Masquerading>,
    /// The node's pod ranges.
    pub pod_ranges: Vec<Prefix>,
    /// Tick rate of the BPF clock; `Some(None)`: it counts seconds.
    pub clock_hz: Option<Option<u16>>,
    /// `veth` or `netkit`.
    pub device_mode: Option<String>,
    /// Controllers that are healthy, of how many.
    pub controllers: Option<(u32, u32)>,
    /// Degraded modules.
    pub degraded: Option<u32>,
    /// The names of degraded modules, where they are listed.
    pub degraded_modules: Vec<String>,
    /// Sizes of the two connection tracking tables: TCP, and everything else.
    pub conntrack_sizes: (Option<u64>, Option<u64>),
    /// Redirects to the agent's proxy: DNS and L7 policies that hang on the running agent.
    pub proxy_redirects: Option<u32>,
    /// Other than disabled.
    pub encryption: Option<bool>,
    /// Nodes that are reachable, of how many.
    pub cluster_health: Option<(u32, u32)>,
}

/// Why a text is no agent's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStatus {
    /// It is what `cilium status` prints on a workstation: another program.
    WorkstationTool,
    /// It is something else.
    SomethingElse,
}

static FRACTION: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\d+)/(\d+) (?:healthy|reachable)"));
static DEGRADED: LazyLock<Regex> = LazyLock::new(|| pattern(r"Degraded\((\d+)\)"));
static REDIRECTS: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\d+) redirects active"));
static HZ: LazyLock<Regex> = LazyLock::new(|| pattern(r"^jiffies\s+\[(\d+) Hz\]"));
static RANGE: LazyLock<Regex> = LazyLock::new(|| pattern(r"allocated from ([0-9a-fA-F.:]+/\d+)"));
static TABLE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s+(Non-TCP|TCP) connection tracking\s+(\d+)\s*$"));

/// Reads a status.
///
/// # Errors
///
/// Where the text is no agent's status.
pub fn parse(text: &str) -> Result<AgentStatus, NotStatus> {
    if text.contains("/¯¯\\") {
        return Err(NotStatus::WorkstationTool);
    }
    let mut status = AgentStatus::default();
    let mut known = 0;
    for line in text.lines() {
        if let Some(cells) = TABLE.captures(line) {
            let size = cells[2].parse().ok();
            if &cells[1] == "TCP" {
                status.conntrack_sizes.0 = size;
            } else {
                status.conntrack_sizes.1 = size;
            }
        } else if line.to_ascii_uppercase().contains("[DEGRADED]") {
            let name = line.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
            status.degraded_modules.push(name.split(['[', ' ']).next().unwrap_or(name).to_owned());
        } else if let Some((key, value)) = line.split_once(':')
            && !key.starts_with(' ')
        {
            known += u32::from(status.line(key, value.trim()));
        }
    }
    if known < 3 { Err(NotStatus::SomethingElse) } else { Ok(status) }
}

impl AgentStatus {
    /// Takes one `key: value` line; whether the key is one of a status.
    fn line(&mut self, key: &str, value: &str) -> bool {
        let first = value.split_whitespace().next().unwrap_or_default();
        let fraction = || {
            let cells = FRACTION.captures(value)?;
            Some((cells[1].parse().ok()?, cells[2].parse().ok()?))
        };
        match key {
            "Cilium" => self.version = value.split_whitespace().nth(1).map(|v| v.trim_start_matches('v').to_owned()),
            "KubeProxyReplacement" => {
                self.kube_proxy_replacement = match first {
                    "True" | "Strict" => Some(true),
                    "False" | "Disabled" => Some(false),
                    _ => None,
                };
                self.devices = devices(value);
            }
            "Masquerading" => {
                self.masquerading = match first {
                    "BPF" => Some(Masquerading::Bpf),
                    "IPTables" => Some(Masquerading::Iptables),
                    "Disabled" => Some(Masquerading::Disabled),
                    _ => None,
                };
            }
            "IPAM" => self.pod_ranges = RANGE.captures_iter(value).filter_map(|c| c[1].parse().ok()).collect(),
            "Clock Source for BPF" => {
                self.clock_hz = match HZ.captures(value) {
                    Some(cells) => cells[1].parse().ok().map(Some),
                    None => (first == "ktime").then_some(None),
                };
            }
            "Device Mode" => self.device_mode = Some(first.to_owned()),
            "Controller Status" => self.controllers = fraction(),
            "Cluster health" => self.cluster_health = fraction(),
            "Proxy Status" => self.proxy_redirects = REDIRECTS.captures(value).and_then(|c| c[1].parse().ok()),
            "Encryption" => self.encryption = Some(first != "Disabled"),
            "Modules Health" => self.degraded = DEGRADED.captures(value).and_then(|c| c[1].parse().ok()),
            "KVStore"
            | "Kubernetes"
            | "Kubernetes APIs"
            | "Host firewall"
            | "CNI Chaining"
            | "CNI Config file"
            | "NodeMonitor"
            | "Cilium health daemon"
            | "Global Identity Range"
            | "Hubble"
            | "BandwidthManager"
            | "Host Routing"
            | "Routing"
            | "Attach Mode"
            | "SRv6"
            | "Stale status" => {}
            _ => return false,
        }
        true
    }
}

/// `True   [eth0 10.0.0.1 fe80::1 (Direct Routing), eth1 10.1.0.1]`: the first word of each part.
fn devices(value: &str) -> Vec<String> {
    let Some((_, list)) = value.split_once('[') else {
        return Vec::new();
    };
    let list = list.split(']').next().unwrap_or_default();
    list.split(',').filter_map(|part| part.split_whitespace().next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verbose_status_of_1_18() {
        let status = parse(
            "KVStore:                 Disabled\n\
             KubeProxyReplacement:    True   [eth0    10.9.0.2 fe80::1 (Direct Routing), eth1 10.8.0.2]\n\
             Cilium:                  Ok   1.18.6 (v1.18.6-95896696)\n\
             IPAM:                    IPv4: 2/254 allocated from 10.244.3.0/24, IPv6: 3/4094 allocated from fd00:3::/116,\n\
             Device Mode:             veth\n\
             Masquerading:            BPF   [eth0]   10.244.0.0/16  [IPv4: Enabled, IPv6: Disabled]\n\
             Clock Source for BPF:    jiffies   [250 Hz]\n\
             Controller Status:       15/16 healthy\n\
             BPF Maps:   dynamic sizing: on (ratio: 0.002500)\n\
             \x20 Name                          Size\n\
             \x20 Non-TCP connection tracking   65536\n\
             \x20 TCP connection tracking       131072\n\
             Proxy Status:            OK, ip 10.244.3.9, 2 redirects active on ports 10000-20000, Envoy: external\n\
             Encryption:              Disabled\n\
             Cluster health:          2/3 reachable   (2026-03-23T12:29:16Z)   (Probe interval: 1m56s)\n\
             Name                     IP              Node                     Endpoints\n\
             Modules Health:          Stopped(12) Degraded(1) OK(62)\n",
        )
        .unwrap();
        assert_eq!(status.version.as_deref(), Some("1.18.6"));
        assert_eq!(status.kube_proxy_replacement, Some(true));
        assert_eq!(status.devices, ["eth0", "eth1"]);
        assert_eq!(status.pod_ranges.len(), 2);
        assert_eq!(status.masquerading, Some(Masquerading::Bpf));
        assert_eq!(status.clock_hz, Some(Some(250)));
        assert_eq!(status.controllers, Some((15, 16)));
        assert_eq!(status.degraded, Some(1));
        assert_eq!(status.conntrack_sizes, (Some(131_072), Some(65536)));
        assert_eq!((status.encryption, status.proxy_redirects), (Some(false), Some(2)));
        assert_eq!(status.cluster_health, Some((2, 3)));
    }

    #[test]
    fn older_words_and_missing_lines() {
        let status = parse(
            "Kubernetes:             Ok   1.24 (v1.24.3) [linux/amd64]\nKubeProxyReplacement:   Strict   [ens33 192.168.2.220]\n\
             Cilium:                 Ok   1.12.0 (v1.12.0-9447cd1)\nMasquerading:           IPTables [IPv4: Enabled]\n\
             Clock Source for BPF:   ktime\nHost Routing:           BPF\n",
        )
        .unwrap();
        assert_eq!(status.kube_proxy_replacement, Some(true));
        assert_eq!(status.masquerading, Some(Masquerading::Iptables));
        assert_eq!(status.clock_hz, Some(None));
        assert_eq!(status.degraded, None);
    }

    #[test]
    fn another_program_is_refused() {
        assert_eq!(parse("    /¯¯\\\n /¯¯\\__/¯¯\\    Cilium:   OK\n"), Err(NotStatus::WorkstationTool));
        assert_eq!(parse("hello: world\n"), Err(NotStatus::SomethingElse));
    }
}
