//! The report: `staledp.report/v1`, and one file per way to show it.
//!
//! The types here are what programs read; names and meanings are fixed by the schema number.

mod check;
pub mod diff;
pub mod explain;
pub mod explain_data;
pub mod figures;
pub mod gate;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod prometheus;
pub mod read;
pub mod risk;
pub mod settle;
pub mod source;
pub mod symptoms;
pub mod table;
pub mod tables;
pub mod text;
pub mod upstream;
pub mod ways;

#[cfg(test)]
pub(crate) mod sample;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::base::exit::Exit;
use crate::base::shard::Shard;
use crate::base::tool::Tool;
use crate::knowledge::code::Kind;
use crate::knowledge::risk::RestartCase;
use crate::rules::fleet::Neighbour;
use crate::rules::verdict::{Affected, Remediation, Verdict};
use crate::symptoms::Symptom;

pub use check::{Check, CheckData};
pub use source::SourceInfo;
use ways::{LastAnswer, WayFigures};

/// The schema of this version.
pub const SCHEMA: &str = "staledp.report/v1";

/// The JSON Schema of a report: its fields, their types and what they mean.
pub const JSON_SCHEMA: &str = include_str!("schema.json");

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
    /// Which shard of the nodes this is, where not all were meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// Notes on the run as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Nodes that Cilium is not meant for: they were not judged, and change no exit code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// One entry per requested node: by kind (stale, other-fault, inconclusive, healthy), then by name.
    pub nodes: Vec<NodeReport>,
}

impl Report {
    /// The exit code of a run with this report: the worst node decides. An empty shard is a success, and so is a report
    /// whose nodes are all ones that Cilium is not meant for; a report that lacks nodes is never one.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.nodes.is_empty() && (self.shard.is_some() || !self.skipped.is_empty()) && !self.partial {
            return Exit::Healthy;
        }
        match self.summary.exit() {
            Exit::Healthy if self.partial => Exit::Inconclusive,
            exit => exit,
        }
    }
}

/// A node that was not judged, because Cilium is not meant to run there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its name.
    pub node: String,
    /// Why Cilium is not meant to run there.
    pub says: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
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
    /// The exit code of these figures: the worst node decides, and no node at all is not an all-clear.
    const fn exit(&self) -> Exit {
        if self.stale > 0 {
            Exit::Stale
        } else if self.other_fault > 0 {
            Exit::OtherFault
        } else if self.inconclusive > 0 || self.nodes == 0 {
            Exit::Inconclusive
        } else {
            Exit::Healthy
        }
    }

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
    /// Its cluster's context, in a report of several clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Its Cilium agent.
    pub cilium: Cilium,
    /// Its verdict.
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
    /// Notes that do not change the verdict.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Whether anything looks broken, whatever the verdict; the comparison between nodes needs it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub in_trouble: bool,
    /// Whether pods of this node are seen to get answers from DNS or the world.
    #[serde(default)]
    pub answered: bool,
    /// The verdict on the node alone, where the comparison between nodes changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone: Option<Box<Alone>>,
    /// What was seen of a neighbour, where this node was judged alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbour: Option<Neighbour>,
    /// Upstream issues that match version and evidence.
    pub known_issues: Vec<KnownIssue>,
    /// What bears on a restart of the agent, for `staledp risk`; not a part of the report, and lost where that is read back.
    #[serde(skip)]
    pub restart: Option<Box<RestartCase>>,
    /// How each way of packets does, where it has flows that can be judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<WayFigures>,
    /// When the pods of a node that is not healthy last got an answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_answers: Vec<LastAnswer>,
    /// What the cluster itself says of this node's pods, and whether the verdict explains it.
    #[serde(default)]
    pub symptoms: Vec<Symptom>,
}

/// The verdict on a node before nodes were compared. Only reports of shards keep it, so that all nodes can be compared
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
    /// Its version, by the image's tag or by the agent's status.
    pub version: Option<String>,
    /// When it started, RFC 3339.
    pub started_at: Option<String>,
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
