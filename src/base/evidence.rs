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
    /// The whole connection tracking table of a neighbour, asked of the neighbour's agent: kept beside the node that it
    /// is held against.
    NeighbourCtList,
}

impl Evidence {
    /// Every kind, in the order in which it is gathered.
    pub const ALL: [Self; 14] = [
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
            Self::NeighbourCtList => "neighbour-ct-list",
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
