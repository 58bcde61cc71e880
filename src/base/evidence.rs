//! The kinds of evidence about a node, and their names in a bundle.

use std::fmt;

/// One kind of evidence about a node; each is the output of one plain command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Evidence {
    /// `ping` of an outside address from the node itself.
    HostPing,
    /// A connection from a pod to an outside name.
    PodEgress,
    /// A connection from the same pod to an outside address.
    PodEgressAddress,
    /// A lookup of a cluster name from the same pod.
    PodDns,
    /// The whole connection tracking table of the node.
    CtList,
    /// The agent's view of the services.
    ServiceList,
    /// The kernel's view of the services.
    LbList,
    /// `cilium-dbg status --verbose`.
    AgentStatus,
    /// `cilium-dbg bpf metrics list`.
    DropMetrics,
    /// The same again, some seconds and a probe later: what rises in between is dropped now.
    DropMetricsAgain,
    /// `cilium-dbg bpf nat list`.
    NatList,
    /// `bpftool net show`.
    AttachedPrograms,
    /// The last lines of the agent's log.
    AgentLog,
    /// `cilium-dbg bpf metrics list -o json`, read in place of [`Self::DropMetrics`] where it is there.
    BpfMetrics,
    /// The same again, five seconds or more later.
    BpfMetricsAgain,
    /// `cilium-dbg endpoint list -o json`.
    EndpointList,
    /// The kernel's table of this node's endpoints: `cilium-dbg bpf endpoint list`.
    BpfEndpointList,
    /// The agent's own copy of it: `cilium-dbg map get cilium_lxc`.
    MapGetLxc,
    /// The kernel's table of identities and tunnels by address: `cilium-dbg bpf ipcache list`.
    IpcacheList,
    /// The agent's own copy of it: `cilium-dbg map get cilium_ipcache_v2`.
    MapGetIpcache,
    /// `bpftool link show`.
    LinkList,
    /// `bpftool cgroup tree ROOT`.
    CgroupTree,
    /// `cat /proc/self/mountinfo` in the agent's container.
    Mounts,
    /// `cat /proc/mounts` on the node.
    HostMounts,
    /// `iptables-save` in the agent's container, which shares the host's network.
    HostFirewall,
    /// `ip6tables-save` there: the rules for IPv6.
    HostFirewallV6,
    /// `cilium-dbg metrics list -p drift_checker_config_delta`.
    ConfigDrift,
    /// How many programs each pinned tail-call map holds.
    CallsMaps,
    /// Whether the kernel has BTF: `ls /sys/kernel/btf/vmlinux`.
    KernelBtf,
    /// Some settings of the agent's configuration: `grep -s "" /tmp/cilium/config-map/KEY …`.
    AgentConfig,
    /// The whole connection tracking table of a neighbour, asked of the neighbour's agent: kept beside the node that it
    /// is held against.
    NeighbourCtList,
}

impl Evidence {
    /// Every kind, in the order in which it is gathered.
    pub const ALL: [Self; 31] = [
        Self::HostPing,
        Self::PodEgress,
        Self::PodEgressAddress,
        Self::PodDns,
        Self::CtList,
        Self::ServiceList,
        Self::LbList,
        Self::AgentStatus,
        Self::DropMetrics,
        Self::DropMetricsAgain,
        Self::NatList,
        Self::AttachedPrograms,
        Self::AgentLog,
        Self::BpfMetrics,
        Self::EndpointList,
        Self::BpfEndpointList,
        Self::MapGetLxc,
        Self::IpcacheList,
        Self::MapGetIpcache,
        Self::LinkList,
        Self::CgroupTree,
        Self::Mounts,
        Self::HostMounts,
        Self::HostFirewall,
        Self::HostFirewallV6,
        Self::ConfigDrift,
        Self::CallsMaps,
        Self::KernelBtf,
        Self::AgentConfig,
        Self::BpfMetricsAgain,
        Self::NeighbourCtList,
    ];

    /// The name in a bundle and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostPing => "host-ping",
            Self::PodEgress => "pod-egress",
            Self::PodEgressAddress => "pod-egress-address",
            Self::PodDns => "pod-dns",
            Self::CtList => "ct-list",
            Self::ServiceList => "service-list",
            Self::LbList => "lb-list",
            Self::AgentStatus => "agent-status",
            Self::DropMetrics => "drop-metrics",
            Self::DropMetricsAgain => "drop-metrics.2",
            Self::NatList => "nat-list",
            Self::AttachedPrograms => "attached-programs",
            Self::AgentLog => "agent-log",
            Self::BpfMetrics => "bpf-metrics",
            Self::BpfMetricsAgain => "bpf-metrics.2",
            Self::EndpointList => "endpoint-list",
            Self::BpfEndpointList => "bpf-endpoint-list",
            Self::MapGetLxc => "map-get-lxc",
            Self::IpcacheList => "ipcache-list",
            Self::MapGetIpcache => "map-get-ipcache",
            Self::LinkList => "link-list",
            Self::CgroupTree => "cgroup-tree",
            Self::Mounts => "mounts",
            Self::HostMounts => "host-mounts",
            Self::HostFirewall => "host-firewall",
            Self::HostFirewallV6 => "host-firewall-v6",
            Self::ConfigDrift => "config-drift",
            Self::CallsMaps => "calls-maps",
            Self::KernelBtf => "kernel-btf",
            Self::AgentConfig => "agent-config",
            Self::NeighbourCtList => "neighbour-ct-list",
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
