//! The five checks, by name.

use serde::{Deserialize, Serialize};

/// The five checks, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckId {
    /// Does the node itself reach the outside?
    HostPing,
    /// Does a pod of this node reach the outside, by name and by address?
    PodEgress,
    /// Do DNS packets that pods send get answers?
    DnsConntrack,
    /// Do connections from pods to the outside exist, and are they answered?
    ExternalConntrack,
    /// Does the datapath know as many cluster DNS backends as are ready?
    DnsBackends,
}

impl CheckId {
    /// All of them, in order.
    pub const ALL: [Self; 5] =
        [Self::HostPing, Self::PodEgress, Self::DnsConntrack, Self::ExternalConntrack, Self::DnsBackends];

    /// The id in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostPing => "host-ping",
            Self::PodEgress => "pod-egress",
            Self::DnsConntrack => "dns-conntrack",
            Self::ExternalConntrack => "external-conntrack",
            Self::DnsBackends => "dns-backends",
        }
    }

    /// The question it asks.
    #[must_use]
    pub const fn question(self) -> &'static str {
        match self {
            Self::HostPing => "does the node itself reach the outside?",
            Self::PodEgress => "does a pod of this node reach the outside, by name and by address?",
            Self::DnsConntrack => "do DNS packets that pods send get answers?",
            Self::ExternalConntrack => "do connections from pods to the outside exist, and are they answered?",
            Self::DnsBackends => "does the datapath know as many cluster DNS backends as are ready?",
        }
    }
}
