//! `staledp gate`: whether nodes are worse than they were in a baseline.

mod text;

use serde::Serialize;

use super::diff::{Change, DiffRow, compare_node};
use super::{Check, NodeReport, Report, Skipped, SourceInfo, json};
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::tool::Tool;
use crate::checks::Status;
use crate::knowledge::code::{Code, Kind};
use crate::rules::remedy;
use crate::rules::verdict::Confidence;

/// The schema of this version.
pub const SCHEMA: &str = "staledp.gate/v1";

/// The JSON Schema of a gate's report.
pub const JSON_SCHEMA: &str = include_str!("schema.json");

/// Whether nodes are worse than before.
#[derive(Clone, Debug, Serialize)]
pub struct GateReport {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Which program made it.
    pub tool: Tool,
    /// When, RFC 3339 in UTC.
    pub generated_at: String,
    /// What the nodes are compared with.
    pub before: GateBaseline,
    /// What the nodes' state now rests on.
    pub source: SourceInfo,
    /// From when on a change of a node counts, RFC 3339; null where nodes were named or selected.
    pub since: Option<String>,
    /// How long it was waited for nodes to settle, in seconds.
    pub waited_s: u64,
    /// How many nodes of which result.
    pub summary: GateSummary,
    /// Whether nodes were not finished; why is in `partial_reason`.
    pub partial: bool,
    /// Why the report is partial.
    pub partial_reason: Option<String>,
    /// Notes on the run as a whole.
    pub notes: Vec<String>,
    /// Nodes that Cilium is not meant for: they are not judged.
    pub skipped: Vec<Skipped>,
    /// Nodes that did not change and are not judged.
    pub unchanged: Vec<String>,
    /// Nodes of the baseline that are not there any more and were not named.
    pub gone: Vec<String>,
    /// One entry per node: worse ones first, then those of which it cannot be told, then by name.
    pub nodes: Vec<NodeGate>,
}

/// What nodes are compared with.
#[derive(Clone, Debug, Serialize)]
pub struct GateBaseline {
    /// Where it was read from; `-` is standard input.
    pub path: String,
    /// When that report was made, RFC 3339.
    pub generated_at: String,
    /// When its evidence was taken, RFC 3339, where that is known.
    pub captured_at: Option<String>,
    /// Its kubeconfig context, where one is known.
    pub context: Option<String>,
}

/// How many nodes of which result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GateSummary {
    /// Nodes judged.
    pub nodes: usize,
    /// Worse than before.
    pub worse: usize,
    /// It cannot be told.
    pub cannot_tell: usize,
    /// No worse than before.
    pub no_worse: usize,
    /// Not judged, because they did not change.
    pub unchanged: usize,
}

/// What a comparison says of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateResult {
    /// A fault that the node did not have, or a check that passed and fails now.
    Worse,
    /// Not enough was seen to tell.
    CannotTell,
    /// It was looked at, and is no worse.
    NoWorse,
}

impl GateResult {
    /// The words for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::CannotTell => "cannot tell",
            Self::NoWorse => "no worse",
        }
    }
}

/// One node, before and now.
#[derive(Clone, Debug, Serialize)]
pub struct NodeGate {
    /// Its name.
    pub node: String,
    /// What the comparison says.
    pub result: GateResult,
    /// Why, in one sentence.
    pub says: String,
    /// Why it is judged.
    pub chosen: String,
    /// Whether its agent is another than in the baseline, or started anew; null where one of them is not known.
    pub agent_changed: Option<bool>,
    /// Its verdict in the baseline; null where it has none.
    pub before: Option<GateVerdict>,
    /// Its verdict now; null where there is none.
    pub after: Option<GateVerdict>,
    /// What is worse: the verdict, and checks that passed before and fail now.
    pub worse: Vec<Change>,
    /// All that changed, figures included.
    pub changes: Vec<Change>,
    /// Commands that show more.
    pub next: Vec<String>,
    /// What changed in the words of both reports.
    #[serde(skip)]
    pub rows: Vec<DiffRow>,
}

/// A verdict, in short.
#[derive(Clone, Debug, Serialize)]
pub struct GateVerdict {
    /// What it means for the operator.
    pub kind: Kind,
    /// The code.
    pub code: Code,
    /// How sure; null for an inconclusive verdict.
    pub confidence: Option<Confidence>,
    /// One sentence.
    pub summary: String,
}

impl GateVerdict {
    fn new(node: &NodeReport) -> Self {
        let verdict = &node.verdict;
        let (kind, code, confidence) = (verdict.kind, verdict.code, verdict.confidence);
        Self { kind, code, confidence, summary: verdict.summary.clone() }
    }
}

/// How a node came to be judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChosenNode {
    /// Why it is judged.
    pub because: String,
    /// Whether its agent is another than in the baseline; none where one of the two is not known.
    pub agent_changed: Option<bool>,
    /// Why it has not settled; none where it has.
    pub unsettled: Option<String>,
}

impl NodeGate {
    /// Compares a node with its entry in the baseline.
    #[must_use]
    pub fn new(before: Option<&NodeReport>, after: &NodeReport, chosen: &ChosenNode, context: Option<&str>) -> Self {
        let failing = before.map(|before| newly_failing(before, after)).unwrap_or_default();
        let (result, says) = weigh(before, after, &failing, chosen.unsettled.as_deref());
        let diff = before.map(|before| compare_node(before, after));
        let (changes, rows) = diff.map(|diff| (diff.changes, diff.rows)).unwrap_or_default();
        let is_worse =
            |change: &&Change| change.what == "verdict" || failing.iter().any(|check| status_of(check) == change.what);
        let worse =
            if result == GateResult::Worse { changes.iter().filter(is_worse).cloned().collect() } else { Vec::new() };
        let next = match result {
            GateResult::NoWorse => Vec::new(),
            GateResult::Worse | GateResult::CannotTell => vec![remedy::diagnose(context, &after.node)],
        };
        Self {
            node: after.node.clone(),
            result,
            says,
            chosen: chosen.because.clone(),
            agent_changed: chosen.agent_changed,
            before: before.map(GateVerdict::new),
            after: Some(GateVerdict::new(after)),
            worse,
            changes,
            next,
            rows,
        }
    }

    /// A node of the baseline that was named and is not there any more.
    #[must_use]
    pub fn gone(before: &NodeReport, chosen: &str) -> Self {
        Self {
            node: before.node.clone(),
            result: GateResult::CannotTell,
            says: "it is in the baseline, and not there any more".to_owned(),
            chosen: chosen.to_owned(),
            agent_changed: None,
            before: Some(GateVerdict::new(before)),
            after: None,
            worse: Vec::new(),
            changes: Vec::new(),
            next: Vec::new(),
            rows: Vec::new(),
        }
    }
}

fn status_of(check: &Check) -> String {
    format!("{}.status", check.id.name())
}

/// The checks that did not fail before, were answered then, and fail now.
fn newly_failing<'a>(before: &NodeReport, after: &'a NodeReport) -> Vec<&'a Check> {
    let did_not = |check: &&Check| {
        let then = before.checks.iter().find(|then| then.id == check.id);
        then.is_some_and(|then| matches!(then.status, Status::Pass | Status::Warn | Status::NotApplicable))
    };
    after.checks.iter().filter(|check| check.status == Status::Fail).filter(did_not).collect()
}

/// Whether a node is worse than before, and why; `failing` are the checks that fail only now. Nothing but a settled look that was answered says "no worse".
fn weigh(
    before: Option<&NodeReport>,
    after: &NodeReport,
    failing: &[&Check],
    unsettled: Option<&str>,
) -> (GateResult, String) {
    use GateResult::{CannotTell, NoWorse, Worse};
    let now = &after.verdict;
    let code = now.code.name();
    if now.code == Code::AgentStarting {
        return (CannotTell, format!("{code} now: {}", now.summary));
    }
    if now.kind == Kind::Inconclusive {
        let was =
            before.map_or("not in the baseline".to_owned(), |then| format!("{} before", then.verdict.code.name()));
        let unsettled = unsettled.map(|why| format!(" It has not settled: {why}.")).unwrap_or_default();
        return (CannotTell, format!("{was}, {code} now: {}{unsettled}", now.summary));
    }
    let Some(then) = before else {
        return match (now.kind, unsettled) {
            (Kind::Healthy, None) => (NoWorse, "healthy now; it is not in the baseline".to_owned()),
            (Kind::Healthy, Some(why)) => (CannotTell, unsettled_words(why)),
            _ => (CannotTell, format!("{code} now, and not in the baseline: {}", now.summary)),
        };
    };
    let was = then.verdict.code.name();
    let names: Vec<&str> = failing.iter().map(|check| check.id.name()).collect();
    let checks = match names.as_slice() {
        [] => String::new(),
        [one] => format!("{one} did not fail before and fails now"),
        several => format!("{} did not fail before and fail now", several.join(", ")),
    };
    let is_faulty = now.kind != Kind::Healthy;
    let is_graver = is_faulty
        && match then.verdict.kind {
            Kind::Healthy => true,
            Kind::OtherFault => now.kind == Kind::Stale,
            Kind::Stale | Kind::Inconclusive => false,
        };
    if is_graver || !names.is_empty() {
        let sentence = failing.first().filter(|_| !is_faulty).map_or(&now.summary, |check| &check.summary);
        let verdicts = if was == code { format!("{code} before and now") } else { format!("{was} before, {code} now") };
        let also = if checks.is_empty() { String::new() } else { format!("; {checks}") };
        return (Worse, format!("{verdicts}{also}: {sentence}"));
    }
    match (is_faulty, unsettled) {
        (true, _) if then.verdict.kind == Kind::Inconclusive => {
            (CannotTell, format!("it could not be judged before ({was}), and is {code} now: {}", now.summary))
        }
        (true, _) if was != code => (
            CannotTell,
            format!("{was} before, {code} now: one fault cannot be compared with another. {}", now.summary),
        ),
        (_, Some(why)) => (CannotTell, unsettled_words(why)),
        (true, None) => (NoWorse, format!("{code} before and now")),
        (false, None) if was == code => (NoWorse, "healthy before and now".to_owned()),
        (false, None) => (NoWorse, format!("{was} before, healthy now")),
    }
}

fn unsettled_words(why: &str) -> String {
    format!("nothing is worse yet, but it has not settled: {why}")
}

impl GateReport {
    /// Compares judged nodes with the baseline; `nodes` are their comparisons, in any order.
    #[must_use]
    pub fn new(before: GateBaseline, judged: Report, mut nodes: Vec<NodeGate>) -> Self {
        nodes.sort_by(|a, b| (a.result, &a.node).cmp(&(b.result, &b.node)));
        let of = |result: GateResult| nodes.iter().filter(|node| node.result == result).count();
        let summary = GateSummary {
            nodes: nodes.len(),
            worse: of(GateResult::Worse),
            cannot_tell: of(GateResult::CannotTell),
            no_worse: of(GateResult::NoWorse),
            unchanged: 0,
        };
        let Report { generated_at, source, partial, partial_reason, notes, skipped, .. } = judged;
        Self {
            schema: SCHEMA,
            tool: Tool::THIS,
            generated_at,
            before,
            source,
            since: None,
            waited_s: 0,
            summary,
            partial,
            partial_reason,
            notes,
            skipped,
            unchanged: Vec::new(),
            gone: Vec::new(),
            nodes,
        }
    }

    /// The exit code. Nothing judged is never "no worse".
    #[must_use]
    pub const fn exit(&self) -> Exit {
        if self.summary.worse > 0 {
            Exit::Stale
        } else if self.summary.cannot_tell > 0 || self.summary.nodes == 0 || self.partial {
            Exit::Inconclusive
        } else {
            Exit::Healthy
        }
    }

    /// One node a line, the rest last.
    ///
    /// # Errors
    ///
    /// As [`json::json`].
    pub fn jsonl(&self) -> Result<String, Error> {
        json::lines(&self.nodes, &Self { nodes: Vec::new(), ..self.clone() })
    }

    /// The nodes that are not "no worse".
    pub fn not_passed(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter(|node| node.result != GateResult::NoWorse).map(|node| node.node.as_str())
    }
}

#[cfg(test)]
mod tests;
