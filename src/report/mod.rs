//! The report: `staledp.report/v1`, and one file per way to show it.
//!
//! The types here are what programs read; names and meanings are fixed by the schema number.

pub mod figures;
pub mod json;
pub mod read;
pub mod symptoms;
pub mod table;
pub mod text;

#[cfg(test)]
mod sample;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checks::{CheckId, Status};
use crate::rules::fleet::Neighbour;
use crate::rules::verdict::{Affected, Kind, Remediation, Verdict};
use crate::symptoms::Symptom;

/// The schema of this version.
pub const SCHEMA: &str = "staledp.report/v1";

/// A whole report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: Cow<'static, str>,
    /// Which program made it.
    pub tool: Tool,
    /// When, RFC 3339 in UTC.
    pub generated_at: String,
    /// What it rests on.
    pub source: SourceInfo,
    /// The figures.
    pub summary: Summary,
    /// Whether nodes are missing or were not finished; why is in `partial_reason`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub partial: bool,
    /// Why the report is partial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial_reason: Option<String>,
    /// Which slice of the nodes this is, where not all were meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// What is to be known of the run as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// One entry per requested node: by kind (stale, other-fault, inconclusive, healthy), then by name.
    pub nodes: Vec<NodeReport>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// A slice of the nodes: the `index`-th of `of`, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// Which, from 0.
    pub index: u32,
    /// Of how many; at least 1.
    pub of: u32,
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((index, of)) if index < of => Ok(Self { index, of }),
            Some((_, of)) if of > 0 => Err(format!("shards count from 0: 0/{of} to {}/{of}", of - 1)),
            _ => Err("write I/N, such as 0/4 for the first of four".to_owned()),
        }
    }
}

impl Shard {
    /// Whether a node is in this slice: by its name alone, so that it stays there whatever other nodes come and go.
    #[must_use]
    pub fn holds(self, node: &str) -> bool {
        spread(node) % u64::from(self.of) == u64::from(self.index)
    }
}

/// A number that is the same for a name on every machine and in every version of this program: FNV-1a, then the
/// finalizer of MurmurHash3, since names of nodes differ in their last letters only.
#[must_use]
pub fn spread(name: &str) -> u64 {
    let mut hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

/// The program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tool {
    /// `staledp`.
    pub name: Cow<'static, str>,
    /// Its version.
    pub version: Cow<'static, str>,
}

impl Tool {
    /// This program.
    pub const THIS: Self = Self { name: Cow::Borrowed("staledp"), version: Cow::Borrowed(env!("CARGO_PKG_VERSION")) };
}

/// What a report rests on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SourceInfo {
    /// `cluster`, `bundle`, `sysdump` or `bugtool`.
    pub kind: SourceKind,
    /// The kubeconfig context, where one is known.
    pub context: Option<String>,
    /// The path that was read, where it was not a cluster.
    pub path: Option<String>,
}

/// The kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A live cluster.
    Cluster,
    /// A bundle that was saved from one.
    Bundle,
    /// An archive of `cilium sysdump`.
    Sysdump,
    /// An archive of `cilium-bugtool`: one node.
    Bugtool,
}

/// How many nodes of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// All that were requested.
    pub nodes: usize,
    /// Healthy ones.
    pub healthy: usize,
    /// Stale ones.
    pub stale: usize,
    /// Those with another fault.
    pub other_fault: usize,
    /// Those that could not be judged.
    pub inconclusive: usize,
}

impl Summary {
    /// Counts the nodes of a report.
    #[must_use]
    pub fn of(nodes: &[NodeReport]) -> Self {
        let mut summary = Self::default();
        for node in nodes {
            summary.nodes += 1;
            match node.verdict.kind {
                Kind::Healthy => summary.healthy += 1,
                Kind::Stale => summary.stale += 1,
                Kind::OtherFault => summary.other_fault += 1,
                Kind::Inconclusive => summary.inconclusive += 1,
            }
        }
        summary
    }
}

/// One node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeReport {
    /// Its name.
    pub node: String,
    /// Its Cilium agent.
    pub cilium: Cilium,
    /// What is said of it.
    pub verdict: Verdict,
    /// The five checks, in order.
    pub checks: Vec<Check>,
    /// The pods that are hit.
    pub affected: Vec<Affected>,
    /// What to do, where this tool can name it.
    pub remediation: Option<Remediation>,
    /// Advice in words, where there is no command to give: for faults that are not this pod's.
    #[serde(default)]
    pub advice: Vec<String>,
    /// Notes that change nothing, but that a reader should know.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Whether anything looks broken, whatever the verdict: what the comparison between nodes asks.
    #[serde(default, skip_serializing_if = "is_false")]
    pub in_trouble: bool,
    /// What was said of the node by itself, where the comparison between nodes changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone: Option<Box<Alone>>,
    /// What was seen of a neighbour, where this node was judged alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbour: Option<Neighbour>,
    /// Upstream issues that match version and evidence.
    pub known_issues: Vec<KnownIssue>,
    /// What the cluster itself says of this node's pods, and whether the verdict explains it.
    #[serde(default)]
    pub symptoms: Vec<Symptom>,
}

/// What was said of a node before nodes were compared. Only reports of slices keep it, so that all can be compared
/// again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alone {
    /// The verdict.
    pub verdict: Verdict,
    /// What to do.
    pub remediation: Option<Remediation>,
    /// Advice in words.
    #[serde(default)]
    pub advice: Vec<String>,
    /// Upstream issues.
    #[serde(default)]
    pub known_issues: Vec<KnownIssue>,
}

/// The Cilium agent of a node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cilium {
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its pod.
    pub pod: Option<String>,
    /// Its version, by the image's tag or the agent's own word.
    pub version: Option<String>,
    /// When it started, RFC 3339.
    pub started_at: Option<String>,
}

/// One check.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Check {
    /// Which.
    pub id: CheckId,
    /// What it says.
    pub status: Status,
    /// One sentence.
    pub summary: String,
    /// Why it is unknown.
    pub reason: Option<String>,
    /// How long its evidence took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// The figures, by check.
    pub data: Value,
}

/// An upstream issue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownIssue {
    /// `cilium/cilium#46065`.
    pub id: String,
    /// Its title, in short.
    pub title: String,
    /// Why it is named here.
    pub why: String,
}
