//! The report: `staledp.report/v1`, and one file per way to show it.
//!
//! The types here are what programs read; names and meanings are fixed by the schema number.

pub mod figures;
pub mod json;
pub mod table;
pub mod text;

#[cfg(test)]
mod sample;

use serde::Serialize;
use serde_json::Value;

use crate::checks::{CheckId, Status};
use crate::rules::verdict::{Affected, Kind, Remediation, Verdict};

/// The schema of this version.
pub const SCHEMA: &str = "staledp.report/v1";

/// A whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Which program made it.
    pub tool: Tool,
    /// When, RFC 3339 in UTC.
    pub generated_at: String,
    /// What it rests on.
    pub source: SourceInfo,
    /// The figures.
    pub summary: Summary,
    /// One entry per requested node: by kind (stale, other-fault, inconclusive, healthy), then by name.
    pub nodes: Vec<NodeReport>,
}

/// The program.
#[derive(Clone, Debug, Serialize)]
pub struct Tool {
    /// `staledp`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

impl Tool {
    /// This program.
    pub const THIS: Self = Self { name: "staledp", version: env!("CARGO_PKG_VERSION") };
}

/// What a report rests on.
#[derive(Clone, Debug, Serialize)]
pub struct SourceInfo {
    /// `cluster`, `bundle`, `sysdump` or `bugtool`.
    pub kind: SourceKind,
    /// The kubeconfig context, where one is known.
    pub context: Option<String>,
    /// The path that was read, where it was not a cluster.
    pub path: Option<String>,
}

/// The kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A live cluster.
    Cluster,
    /// A bundle that was saved from one.
    Bundle,
}

/// How many nodes of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
        let mut summary = Self { nodes: nodes.len(), ..Self::default() };
        for node in nodes {
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
#[derive(Clone, Debug, Serialize)]
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
    pub advice: Vec<String>,
    /// Notes that change nothing, but that a reader should know.
    pub notes: Vec<String>,
    /// Upstream issues that match version and evidence.
    pub known_issues: Vec<KnownIssue>,
}

/// The Cilium agent of a node.
#[derive(Clone, Debug, Default, Serialize)]
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
#[derive(Clone, Debug, Serialize)]
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
#[derive(Clone, Debug, Serialize)]
pub struct KnownIssue {
    /// `cilium/cilium#46065`.
    pub id: String,
    /// Its title, in short.
    pub title: String,
    /// Why it is named here.
    pub why: String,
}
