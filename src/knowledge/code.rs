//! The codes a verdict can have, and what each kind means for the operator.

use serde::{Deserialize, Serialize};

/// What a verdict means for the operator, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Restart this node's Cilium pod.
    Stale,
    /// Something else is wrong; the Cilium pod must not be restarted for it.
    OtherFault,
    /// Nothing can be said.
    Inconclusive,
    /// Nothing is wrong.
    Healthy,
}

impl Kind {
    /// The word in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::OtherFault => "other-fault",
            Self::Inconclusive => "inconclusive",
            Self::Healthy => "healthy",
        }
    }
}

macro_rules! codes {
    ($($(#[$meta:meta])* $variant:ident = $name:literal, $kind:ident;)*) => {
        /// A verdict code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$meta])* #[serde(rename = $name)] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it stands in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it means for the operator.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }
        }
    };
}

codes! {
    /// Nothing is wrong.
    Healthy = "healthy", Healthy;
    /// Pods' DNS and a second group of flows are dead, the host is fine.
    StaleDatapath = "stale-datapath", Stale;
    /// Some pods' flows are dead, other pods' are answered.
    StaleSelective = "stale-selective", Stale;
    /// The service table differs from the cluster's endpoints.
    StaleServiceMap = "stale-service-map", Stale;
    /// A device that needs a Cilium program has none.
    DatapathProgramsMissing = "datapath-programs-missing", Stale;
    /// A table in the kernel differs from the agent's own copy of it.
    StaleMap = "stale-map", Stale;
    /// The agent works with an address that the node no longer has (cilium/cilium#31528).
    StaleNodeAddress = "stale-node-address", Stale;
    /// The node itself does not reach the outside.
    HostNetworkDown = "host-network-down", OtherFault;
    /// The same failure on every judged node.
    ClusterWideOutage = "cluster-wide-outage", OtherFault;
    /// NodeLocal DNS itself is down.
    NodeLocalDnsDown = "node-local-dns-down", OtherFault;
    /// Cluster DNS itself is down.
    ClusterDnsDown = "cluster-dns-down", OtherFault;
    /// Pods reach the world and their node, but not the pods of other nodes.
    NodeIsolated = "node-isolated", OtherFault;
    /// Packets to service addresses leave the pods untranslated.
    ServiceTranslationMissing = "service-translation-missing", OtherFault;
    /// The agent's DNS proxy does not answer.
    DnsProxyBroken = "dns-proxy-broken", OtherFault;
    /// Running pods are fine, but new pods get no network.
    NewPodsStuck = "new-pods-stuck", OtherFault;
    /// The datapath drops packets for a stated reason that has no code of its own.
    DatapathDrops = "datapath-drops", OtherFault;
    /// A rule of the host's own firewall drops the packets.
    HostFirewallDrops = "host-firewall-drops", OtherFault;
    /// Traffic to the link-local DNS address is masqueraded (cilium/cilium#36761).
    LinkLocalMasquerade = "link-local-masquerade", OtherFault;
    /// A local redirect without backend, or without effect.
    LocalRedirectBroken = "local-redirect-broken", OtherFault;
    /// Network policy denies the traffic.
    PolicyDenied = "policy-denied", OtherFault;
    /// UDP to the world is dead, TCP is not.
    UdpMasqueradeBroken = "udp-masquerade-broken", OtherFault;
    /// The connection tracking table is full.
    ConntrackFull = "conntrack-full", OtherFault;
    /// Two Cilium programs of one name on a hook.
    DatapathProgramsDuplicated = "datapath-programs-duplicated", OtherFault;
    /// The agent can't initialize the datapath and retries.
    DatapathNotInitialized = "datapath-not-initialized", OtherFault;
    /// No running Cilium agent on the node.
    AgentNotRunning = "agent-not-running", OtherFault;
    /// The agent started a moment ago.
    AgentStarting = "agent-starting", OtherFault;
    /// Pod egress fails and nothing else explains it.
    EgressBroken = "egress-broken", OtherFault;
    /// A check that decides could not be run.
    EvidenceMissing = "evidence-missing", Inconclusive;
    /// The dump was not read whole.
    EvidenceTruncated = "evidence-truncated", Inconclusive;
    /// The evidence contradicts itself.
    EvidenceContradictory = "evidence-contradictory", Inconclusive;
    /// The dump is empty on a node that runs pods.
    MapsNotVisible = "maps-not-visible", Inconclusive;
    /// Nothing failed, but there was too little to see.
    TooLittleTraffic = "too-little-traffic", Inconclusive;
}
