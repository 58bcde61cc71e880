//! What can be said of a node: the codes, their kinds, and how sure it is.

use serde::{Deserialize, Serialize};

use crate::checks::CheckId;

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
    /// The node itself does not reach the outside.
    HostNetworkDown = "host-network-down", OtherFault;
    /// The same failure on every judged node.
    ClusterWideOutage = "cluster-wide-outage", OtherFault;
    /// NodeLocal DNS itself is down.
    NodeLocalDnsDown = "node-local-dns-down", OtherFault;
    /// Cluster DNS itself is down.
    ClusterDnsDown = "cluster-dns-down", OtherFault;
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

/// How sure a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Consistent with the evidence, and not much more.
    Low,
    /// Two witnesses, or further evidence was not looked at.
    Medium,
    /// Three witnesses, or a direct sign.
    High,
}

impl Confidence {
    /// The word in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A reason for a verdict, and the check or evidence that it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Because {
    /// A check's id, or the name of further evidence.
    pub check: String,
    /// One sentence.
    pub says: String,
}

impl Because {
    /// A reason that rests on one of the five checks.
    pub fn check(id: CheckId, says: impl Into<String>) -> Self {
        Self { check: id.name().to_owned(), says: says.into() }
    }

    /// A reason that rests on further evidence.
    pub fn evidence(name: &str, says: impl Into<String>) -> Self {
        Self { check: name.to_owned(), says: says.into() }
    }
}

/// A look-alike that was considered, and why it is out, or that it could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuledOut {
    /// The look-alike's code.
    pub code: Code,
    /// One sentence.
    pub says: String,
}

/// What is said of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What it means for the operator.
    pub kind: Kind,
    /// The code.
    pub code: Code,
    /// How sure.
    pub confidence: Confidence,
    /// One sentence.
    pub summary: String,
    /// The reasons.
    pub because: Vec<Because>,
    /// The look-alikes.
    pub ruled_out: Vec<RuledOut>,
}

/// A pod that is hit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// How.
    pub says: String,
}

/// How much a remedy may hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RiskLevel {
    /// Seconds without new connections.
    Low,
    /// DNS or policy may be gone for a minute.
    Medium,
    /// The remedy is known to start a worse outage here.
    High,
}

impl RiskLevel {
    /// The word in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// The risk of a remedy and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    /// How much.
    pub level: RiskLevel,
    /// Why.
    pub because: Vec<String>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remediation {
    /// The exact commands, in order.
    pub commands: Vec<String>,
    /// The commands that show whether it worked.
    pub verify: Vec<String>,
    /// What it may cost.
    pub risk: Risk,
}
