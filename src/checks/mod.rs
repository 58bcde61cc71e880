//! The five checks: raw answers into findings.
//!
//! A finding is what one check can say: pass, fail, warn, not applicable, or unknown with a reason, beside the figures
//! it rests on. "Could not look" ([`Status::Unknown`]) and "looked and saw nothing" (figures of zero) are different.

pub mod dns_backends;
pub mod dns_conntrack;
pub mod external_conntrack;
pub mod host_ping;
pub mod pod_egress;
pub mod probe_words;

use serde::{Deserialize, Serialize};

use crate::ways::dns::DnsPath;

use crate::base::answer::Via;
use crate::base::failure::{Failure, FailureKind};

/// What a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It looked, and what it saw is fine.
    Pass,
    /// It looked, and what it saw is broken.
    Fail,
    /// It looked, and what it saw is odd, but by itself no fault.
    Warn,
    /// It could not look.
    Unknown,
    /// There is nothing to look at.
    NotApplicable,
}

impl Status {
    /// The word in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::NotApplicable => "not-applicable",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug)]
pub struct Finding<D> {
    /// What it says.
    pub status: Status,
    /// One sentence with the figure and its meaning.
    pub summary: String,
    /// Why it is unknown; always there when it is.
    pub reason: Option<Failure>,
    /// How long the evidence took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// The figures.
    pub data: D,
}

impl<D> Finding<D> {
    /// A check whose dump is missing.
    pub fn without_dump(failure: Option<Failure>, duration_ms: Option<u64>, data: D) -> Self {
        let summary = failure.as_ref().map_or_else(String::new, |failure| failure.message.clone());
        Self { status: Status::Unknown, summary, reason: failure, duration_ms, data }
    }
}

impl<D: Default> Finding<D> {
    /// A check that could not look.
    pub fn unknown(kind: FailureKind, why: impl Into<String>) -> Self {
        let reason = Failure::new(kind, why);
        Self {
            status: Status::Unknown,
            summary: reason.message.clone(),
            reason: Some(reason),
            duration_ms: None,
            data: D::default(),
        }
    }
}

/// The figures of `host-ping`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostPingData {
    /// From where it was answered.
    pub via: Option<Via>,
    /// The address that was asked.
    pub target: String,
    /// Packets sent.
    pub sent: Option<u64>,
    /// Packets that came back.
    pub received: Option<u64>,
    /// Mean round trip, in milliseconds.
    pub rtt_avg_ms: Option<f64>,
}

/// What became of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// An answer of any kind came back.
    Ok,
    /// It failed.
    Failed,
    /// Nothing came back in time.
    Timeout,
    /// The pod lacks a tool for the question, or was not asked.
    Unsupported,
}

/// One pod's probes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeData {
    /// The pod's name.
    pub pod: String,
    /// Its namespace.
    pub namespace: String,
    /// What it asked with.
    pub tool: Option<String>,
    /// Egress by name.
    pub by_name: Outcome,
    /// Egress by address.
    pub by_address: Outcome,
    /// A lookup of a cluster name.
    pub dns: Outcome,
}

/// The figures of `pod-egress`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodEgressData {
    /// One per pod that was tried.
    pub probes: Vec<ProbeData>,
}

/// What the dump says about packet accounting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accounting {
    /// One counter a line, and all of them are zero: accounting is off (the default since 1.16).
    Off,
    /// One counter a line, of both directions together, and some are not zero.
    Total,
    /// A counter a direction (1.15 and older).
    Split,
    /// No counters in the lines (after 1.20).
    Absent,
    /// No lines to tell by.
    #[default]
    Unknown,
}

/// One source of DNS flows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsSource {
    /// The pod's address.
    pub address: String,
    /// Its namespace, where the address is a known pod's.
    pub namespace: Option<String>,
    /// Its name, where the address is a known pod's.
    pub pod: Option<String>,
    /// Live flows that were answered.
    pub answered: u64,
    /// Live flows that never were.
    pub unanswered: u64,
    /// Live flows that were answered once and no longer are.
    pub stopped: u64,
}

/// The figures of `dns-conntrack`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsConntrackData {
    /// The node-local DNS address, with its port.
    pub address: String,
    /// By which way pods ask for names; the figures of live flows are of this way.
    pub path: DnsPath,
    /// The addresses that pods ask, the most asked first.
    pub addresses: Vec<String>,
    /// Every line that names the node-local address as a destination.
    pub entries: Option<u64>,
    /// The runbook's figure: those of them whose packet counter (of replies, where it is split) is 0.
    pub packets_zero: Option<u64>,
    /// Flows from pods that have not expired.
    pub live: Option<u64>,
    /// Live flows that are answered, idle ones among them.
    pub answered: Option<u64>,
    /// Of the answered: those without a packet for a while, which say nothing about now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<u64>,
    /// Live flows that never were answered, though there was time.
    pub unanswered: Option<u64>,
    /// Live flows that were answered once and no longer are.
    pub stopped: Option<u64>,
    /// Live flows whose first packet is too recent to tell.
    pub in_flight: Option<u64>,
    /// Flows that are over and only still listed.
    pub expired: Option<u64>,
    /// What the packet counters of this dump can say.
    pub accounting: Accounting,
    /// The sources, worst first.
    pub sources: Vec<DnsSource>,
}

/// The figures of one protocol of `external-conntrack`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorldFigures {
    /// Entries to the listed addresses.
    pub listed: u64,
    /// Live flows from pods to the world.
    pub world: u64,
    /// Those that are answered.
    pub world_answered: u64,
    /// Those that are not, or no longer.
    pub world_unanswered: u64,
}

/// The figures of `external-conntrack`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExternalConntrackData {
    /// The listed addresses.
    pub prefixes: Vec<String>,
    /// The runbook's figure: every entry to the listed addresses.
    pub listed: Option<u64>,
    /// Live flows from pods to the world, by any address.
    pub world: Option<u64>,
    /// Those that are answered.
    pub world_answered: Option<u64>,
    /// Those that are not, or no longer.
    pub world_unanswered: Option<u64>,
    /// TCP alone.
    pub tcp: Option<WorldFigures>,
    /// UDP alone.
    pub udp: Option<WorldFigures>,
}

/// The backends of one protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackendFigures {
    /// Active backends in the agent's table.
    pub realized: u64,
    /// Ready endpoints in the cluster's slices.
    pub expected: u64,
}

/// The figures of `dns-backends`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsBackendsData {
    /// The cluster DNS service, `namespace/name`.
    pub service: Option<String>,
    /// Its address.
    pub address: Option<String>,
    /// The type of its rows: `ClusterIP`, `LocalRedirect`, …
    pub row_type: Option<String>,
    /// Active backends on port 53 in the agent's table.
    pub realized: Option<u64>,
    /// Ready endpoints on port 53 in the cluster's slices.
    pub expected: Option<u64>,
    /// The same by protocol, `TCP` and `UDP`; `ANY` where the agent's table does not say.
    pub by_protocol: std::collections::BTreeMap<String, BackendFigures>,
}
