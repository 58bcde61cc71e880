//! `cilium-dbg status --verbose`: what the agent says of itself.
//!
//! Releases 1.12 to 1.20. A line is a key, a colon and a value; below some keys stand indented tables. Every field may be
//! missing, for lines came and went over the releases: missing is not zero, and not "no".

mod lines;

use std::net::IpAddr;

use self::lines::Section;
use crate::base::net::Prefix;
use crate::cilium::lines::is_remark;

/// The most rows that are kept of any list in a status.
const MOST: usize = 256;

/// The mark of a degraded module in the tree of modules.
const DEGRADED: &str = "[DEGRADED]";

/// Who masquerades what leaves the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masquerading {
    /// The BPF programs.
    Bpf,
    /// The kernel's own tables.
    Iptables,
    /// None.
    Disabled,
}

/// How programs are attached to devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// As links on tcx: there is no clsact and no `tc filter`.
    Tcx,
    /// As filters on clsact.
    LegacyTc,
}

/// How packets reach other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routing {
    /// By the network's own routes.
    Native,
    /// In a tunnel of this kind: `vxlan`, `geneve`.
    Tunnel(String),
}

/// Whose connections to services are translated at the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketLb {
    /// None.
    Disabled,
    /// Those of the host and of all pods.
    Full,
    /// Those of the host alone: pods' packets are translated one by one.
    HostNamespace,
    /// Somebody's; the release does not say whose.
    Enabled,
}

/// What protects packets between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Nothing.
    Disabled,
    /// WireGuard.
    Wireguard {
        /// How many peers its device has, if the status names it.
        peers: Option<u32>,
        /// Whether it also covers packets between nodes that are not from pods.
        nodes: Option<bool>,
    },
    /// IPsec, with what the lines below say of keys and errors.
    Ipsec {
        /// Packets that failed, if the status names them.
        errors: Option<u64>,
    },
    /// Something else, by its word.
    Other(String),
}

/// A part of the agent that is well or says why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its state: `Ok`, `Failure`, `Warning`, `Disabled`.
    pub state: String,
    /// What stands behind the state.
    pub says: String,
}

impl Component {
    /// Whether it says that something is wrong.
    #[must_use]
    pub fn is_in_trouble(&self) -> bool {
        matches!(self.state.as_str(), "Failure" | "Warning" | "Error")
    }
}

/// A controller whose last runs failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingController {
    /// Its name.
    pub name: String,
    /// How many runs failed one after the other.
    pub failures: u64,
    /// The last error.
    pub says: String,
}

/// A degraded module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DegradedModule {
    /// Its name.
    pub name: String,
    /// What it says.
    pub says: String,
}

/// A node as the agent's health probes see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerHealth {
    /// The node's name.
    pub node: String,
    /// Its address.
    pub address: Option<IpAddr>,
    /// Whether this is the agent's own node.
    pub is_own: bool,
    /// Whether the node answers.
    pub node_reachable: bool,
    /// Whether its health endpoint, a pod's equal, answers; none where it has none.
    pub endpoint_reachable: Option<bool>,
}

/// What the agent says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentStatus {
    /// Its version, `1.19.4`; only a healthy agent says it.
    pub version: Option<String>,
    /// The agent as a whole.
    pub agent: Option<Component>,
    /// Its connection to the API server.
    pub kubernetes: Option<Component>,
    /// Its key-value store, where it uses one.
    pub kvstore: Option<Component>,
    /// Its health daemon.
    pub health_daemon: Option<Component>,
    /// Whether it replaces kube-proxy.
    pub kube_proxy_replacement: Option<bool>,
    /// Whose connections are translated at the socket.
    pub socket_lb: Option<SocketLb>,
    /// The devices it works on.
    pub devices: Vec<String>,
    /// The addresses of those devices, as the agent knows them: the node's addresses that it works with.
    pub device_addresses: Vec<IpAddr>,
    /// The device that leads to the other nodes.
    pub direct_routing_device: Option<String>,
    /// The agent's own addresses in the pod network (`cilium_host`).
    pub router: Vec<IpAddr>,
    /// How packets reach other nodes.
    pub routing: Option<Routing>,
    /// Whether packets of pods pass by the host's own stack.
    pub bpf_host_routing: Option<bool>,
    /// How programs are attached.
    pub attach_mode: Option<AttachMode>,
    /// `veth`, `netkit`, `netkit-l2`.
    pub device_mode: Option<String>,
    /// The plugin that Cilium is chained to; none where it is alone or where no line says it.
    pub chained_to: Option<String>,
    /// Whether host policies are enforced.
    pub host_firewall: Option<bool>,
    /// Who masquerades.
    pub masquerading: Option<Masquerading>,
    /// The node's pod ranges.
    pub pod_ranges: Vec<Prefix>,
    /// Tick rate of the BPF clock; `Some(None)`: it counts seconds.
    pub clock_hz: Option<Option<u16>>,
    /// Controllers that are healthy, of how many.
    pub controllers: Option<(u32, u32)>,
    /// Those whose last runs failed.
    pub failing_controllers: Vec<FailingController>,
    /// Degraded modules.
    pub degraded: Option<u32>,
    /// The names of degraded modules, where they are listed.
    pub degraded_modules: Vec<String>,
    /// The same with what they say.
    pub degraded_because: Vec<DegradedModule>,
    /// Probes of the agent's own that have had no result for long.
    pub stale_probes: Vec<String>,
    /// Sizes of the two connection tracking tables: TCP, and everything else.
    pub conntrack_sizes: (Option<u64>, Option<u64>),
    /// Size of the NAT table.
    pub nat_size: Option<u64>,
    /// Redirects to the agent's proxy: DNS and L7 policies that hang on the running agent.
    pub proxy_redirects: Option<u32>,
    /// What protects packets between nodes.
    pub encryption: Option<Encryption>,
    /// Nodes that are reachable, of how many; none where the agent does not probe.
    pub cluster_health: Option<(u32, u32)>,
    /// The nodes that were probed, where they are listed.
    pub peers: Vec<PeerHealth>,
    /// Lines of the agent's logger that stood among the status.
    pub remarks: usize,
}

/// Why a text is not an agent's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStatus {
    /// It is what `cilium status` prints on a workstation: another program.
    WorkstationTool,
    /// It is something else.
    SomethingElse,
}

impl AgentStatus {
    /// The tunnel device that this routing needs: `cilium_vxlan`, `cilium_geneve`; none with native routing.
    #[must_use]
    pub fn tunnel_device(&self) -> Option<String> {
        match self.routing.as_ref()? {
            Routing::Native => None,
            Routing::Tunnel(kind) => Some(format!("cilium_{}", kind.to_ascii_lowercase())),
        }
    }

    /// How programs are attached: what the status says, or, where it has the line of the releases before 1.16, which knew
    /// no other way, by filters.
    #[must_use]
    pub fn attaches(&self) -> Option<AttachMode> {
        let before_1_16 = self.bpf_host_routing.is_some() && self.routing.is_none();
        self.attach_mode.or_else(|| before_1_16.then_some(AttachMode::LegacyTc))
    }

    /// Nodes that the agent's probes do not reach, itself or by its health endpoint.
    pub fn unreachable_peers(&self) -> impl Iterator<Item = &PeerHealth> {
        let is_reached = |peer: &PeerHealth| peer.node_reachable && peer.endpoint_reachable != Some(false);
        self.peers.iter().filter(move |peer| !peer.is_own && !is_reached(peer))
    }
}

/// Reads a status.
///
/// # Errors
///
/// If the text is not an agent's status.
pub fn parse(text: &str) -> Result<AgentStatus, NotStatus> {
    if text.contains("/¯¯\\") {
        return Err(NotStatus::WorkstationTool);
    }
    let mut status = AgentStatus::default();
    let mut section = Section::Other;
    let mut known = 0;
    for line in text.lines() {
        if is_remark(line) {
            status.remarks += 1;
        } else if line.to_ascii_uppercase().contains(DEGRADED) {
            status.degraded_module(line);
        } else if line.starts_with([' ', '\t']) {
            status.row(section, line.trim());
        } else if let Some((key, value)) = line.split_once(':') {
            section = Section::below(key);
            known += u32::from(status.line(key, value.trim()));
        }
    }
    if known < 3 { Err(NotStatus::SomethingElse) } else { Ok(status) }
}

#[cfg(test)]
mod tests;
