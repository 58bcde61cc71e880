//! `staledp risk`: what a restart of each node's agent may cost, line by line.

use std::fmt::Write as _;

use serde::Serialize;

use super::json;
use super::source::SourceInfo;
use super::table::{moment, source};
use super::text::{self, count, hang, safe};
use super::{Cilium, Report, Skipped};
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::tool::Tool;
use crate::knowledge::code::Code;
use crate::knowledge::risk::{RestartCase, RiskLevel, RiskLine, RiskResult, assess, level};

/// The schema of this version.
pub const SCHEMA: &str = "staledp.risk/v1";

/// The restart risk of nodes.
#[derive(Clone, Debug, Serialize)]
pub struct RiskReport {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Which program made it.
    pub tool: Tool,
    /// When, RFC 3339 in UTC.
    pub generated_at: String,
    /// What it rests on.
    pub source: SourceInfo,
    /// How many nodes of which level.
    pub summary: RiskSummary,
    /// Whether nodes are missing or were not finished.
    pub partial: bool,
    /// Notes on the run as a whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Nodes that Cilium is not meant for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// One entry per node, the gravest first, then by name.
    pub nodes: Vec<NodeRisk>,
}

/// How many nodes of which level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RiskSummary {
    /// All nodes.
    pub nodes: usize,
    /// Nodes on which nothing is against a restart.
    pub low: usize,
    /// Nodes whose gravest line is medium.
    pub medium: usize,
    /// Nodes whose gravest line is high.
    pub high: usize,
    /// Nodes with a line that a fact raised.
    pub raised: usize,
    /// Nodes without such a line, but with one that was not looked at.
    pub not_looked_at: usize,
}

/// The restart risk of one node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeRisk {
    /// Its name.
    pub node: String,
    /// Its agent.
    pub cilium: Cilium,
    /// The code of its verdict: a restart cures only a stale node.
    pub verdict: Code,
    /// The gravest of its lines.
    pub level: RiskLevel,
    /// The gravest of those that were looked at: how much of the level rests on facts.
    pub seen_level: RiskLevel,
    /// All lines, each explained by `staledp explain ID`.
    pub lines: Vec<RiskLine>,
}

impl NodeRisk {
    fn has(&self, result: RiskResult) -> bool {
        self.lines.iter().any(|line| line.result == result)
    }
}

impl RiskReport {
    /// What a look at nodes says of a restart of their agents.
    #[must_use]
    pub fn new(looked: Report) -> Self {
        let mut nodes: Vec<NodeRisk> = looked
            .nodes
            .into_iter()
            .map(|node| {
                // Of a node that was not looked at, or has no agent, nothing is known.
                let case = node.restart.map_or_else(RestartCase::default, |case| *case);
                let lines = assess(&case);
                let seen = lines.iter().filter(|line| line.result != RiskResult::NotLookedAt);
                NodeRisk {
                    node: node.node,
                    cilium: node.cilium,
                    verdict: node.verdict.code,
                    level: level(&lines),
                    seen_level: seen.map(|line| line.level).max().unwrap_or(RiskLevel::Low),
                    lines,
                }
            })
            .collect();
        nodes.sort_by(|a, b| (b.level, &a.node).cmp(&(a.level, &b.node)));
        let of = |level: RiskLevel| nodes.iter().filter(|node| node.level == level).count();
        let raised = nodes.iter().filter(|node| node.has(RiskResult::Raised)).count();
        let open = |node: &&NodeRisk| !node.has(RiskResult::Raised) && node.has(RiskResult::NotLookedAt);
        let summary = RiskSummary {
            nodes: nodes.len(),
            low: of(RiskLevel::Low),
            medium: of(RiskLevel::Medium),
            high: of(RiskLevel::High),
            raised,
            not_looked_at: nodes.iter().filter(open).count(),
        };
        let mut remarks = looked.notes;
        remarks.extend(looked.partial_reason.map(|reason| format!("partial: {reason}")));
        Self {
            schema: SCHEMA,
            tool: Tool::THIS,
            generated_at: looked.generated_at,
            source: looked.source,
            summary,
            partial: looked.partial,
            notes: remarks,
            skipped: looked.skipped,
            nodes,
        }
    }

    /// The exit code: a raised line of any node decides, then one that was not looked at. No node at all is not an
    /// all-clear, unless all are ones that Cilium is not meant for.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let nothing = self.summary.nodes == 0 && self.skipped.is_empty();
        if self.summary.raised > 0 {
            Exit::OtherFault
        } else if self.summary.not_looked_at > 0 || self.partial || nothing {
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

    /// The report for people, in lines of at most so many columns. `wide` shows the lines that passed one by one.
    #[must_use]
    pub fn text(&self, columns: usize, wide: bool) -> String {
        let mut head = source(&self.source);
        head.push(count(self.summary.nodes, "node", "nodes"));
        head.push(moment(&self.source, &self.generated_at));
        let mut out = hang("", &head.join(" · "), columns);
        for note in &self.notes {
            out += &hang("Note: ", &safe(note), columns);
        }
        for Skipped { node, says } in &self.skipped {
            out += &hang("Skipped: ", &safe(&format!("{node}: {says}")), columns);
        }
        for node in &self.nodes {
            out.push('\n');
            out += &node_text(node, columns, wide || self.nodes.len() == 1);
        }
        out.push('\n');
        let RiskSummary { nodes, low, medium, high, raised, not_looked_at } = self.summary;
        // Writing to a String cannot fail.
        _ = writeln!(out, "{}: {high} high, {medium} medium, {low} low", count(nodes, "node", "nodes"));
        if raised > 0 || not_looked_at > 0 {
            out += &hang("", "`staledp explain ID` says what a line means and what to do", columns);
        }
        out
    }
}

/// `a was`, `a and b were`, `a, b and c were`.
fn was_or_were(names: &[&str]) -> String {
    match names {
        [] => "facts were".to_owned(),
        [one] => format!("{one} was"),
        [first @ .., last] => format!("{} and {last} were", first.join(", ")),
    }
}

fn node_text(node: &NodeRisk, columns: usize, all: bool) -> String {
    let agent: Vec<&str> = [&node.cilium.pod, &node.cilium.version].into_iter().flatten().map(String::as_str).collect();
    let agent = if agent.is_empty() { "no agent".to_owned() } else { agent.join(", ") };
    let (level, seen) = (node.level.name(), node.seen_level.name());
    let because = if node.seen_level < node.level {
        let worst = |line: &&RiskLine| line.result == RiskResult::NotLookedAt && line.level == node.level;
        let unread: Vec<&str> = node.lines.iter().filter(worst).map(|line| line.id.name()).collect();
        format!("; only because {} not looked at: what was looked at says {seen}", was_or_were(&unread))
    } else {
        String::new()
    };
    let code = node.verdict.name();
    let title = format!("{}: the risk of a restart is {level} ({agent}; {code}{because})", node.node);
    let mut out = hang("", &safe(&title), columns);
    let first = node.lines.iter().map(|line| line.id.name().len()).max().unwrap_or(0);
    let width = RiskResult::NotLookedAt.name().len();
    let (shown, passed): (Vec<&RiskLine>, Vec<&RiskLine>) =
        node.lines.iter().partition(|line| all || line.result != RiskResult::Passed);
    for line in shown {
        let level = if line.result == RiskResult::Passed { "" } else { line.level.name() };
        let lead = format!("  {:width$}  {level:6}  {:first$}  ", line.result.name(), line.id.name());
        // The words of the result stand in the first column.
        let says = line.says.strip_prefix("not looked at: ").unwrap_or(&line.says);
        if columns == text::UNBOUNDED || columns > lead.len() * 2 {
            out += &hang(&lead, &safe(says), columns);
        } else {
            out += &hang("  ", lead.trim(), columns);
            out += &hang("    ", &safe(says), columns);
        }
    }
    if !passed.is_empty() {
        let names: Vec<&str> = passed.iter().map(|line| line.id.name()).collect();
        out += &hang("  passed: ", &names.join(", "), columns);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::version::Version;
    use crate::knowledge::risk::{RestartFacts, RiskId};
    use crate::knowledge::upstream::facts::{Mark, Signs};
    use crate::report::sample;

    /// A node of which everything is known and harmless.
    fn harmless() -> RestartCase {
        let mut signs = Signs {
            version: Version::parse("1.17.9"),
            code: Some(Code::Healthy),
            agent_age_s: Some(90_000),
            log_errors: Some(BTreeMap::new()),
            rising_drops: Some(Vec::new()),
            ..Signs::default()
        };
        for mark in Mark::ALL {
            signs.mark(*mark, Some(0));
        }
        let facts = RestartFacts::HARMLESS;
        RestartCase { signs, facts, revision: None }
    }

    fn report(cases: Vec<(&str, Option<RestartCase>)>) -> RiskReport {
        let nodes = cases.into_iter().map(|(name, case)| {
            let mut node = sample::healthy(name);
            node.restart = case.map(Box::new);
            node
        });
        RiskReport::new(sample::report(nodes.collect()))
    }

    #[test]
    fn exit_code_tells_raised_from_not_looked_at() {
        let raised = || {
            let mut case = harmless();
            case.signs.mark(Mark::ConfigDrift, Some(2));
            case
        };
        let unread = || {
            let mut case = harmless();
            case.facts.other_revision = None;
            case
        };
        assert_eq!(report(vec![("a", Some(harmless()))]).exit(), Exit::Healthy);
        assert_eq!(report(vec![("a", Some(unread())), ("b", Some(harmless()))]).exit(), Exit::Inconclusive);
        assert_eq!(report(vec![("a", Some(unread())), ("b", Some(raised()))]).exit(), Exit::OtherFault);
        assert_eq!(report(vec![("a", None)]).exit(), Exit::Inconclusive, "a node without an agent is no all-clear");
        assert_eq!(report(vec![]).exit(), Exit::Inconclusive);
    }

    #[test]
    fn gravest_node_comes_first_and_the_level_of_what_was_seen_is_told_apart() {
        let mut unread = harmless();
        unread.signs.mark(Mark::SecondBpfMount, None);
        let found = report(vec![("a", Some(harmless())), ("b", Some(unread))]);
        let order: Vec<&str> = found.nodes.iter().map(|node| node.node.as_str()).collect();
        assert_eq!(order, ["b", "a"]);
        assert_eq!((found.nodes[0].level, found.nodes[0].seen_level), (RiskLevel::Medium, RiskLevel::Low));
        let text = found.text(120, false);
        let because = "only because bpf-mounts was not looked at: what was looked at says low";
        assert!(found.text(200, false).contains(because), "{text}");
        assert!(text.contains("not looked at  medium  bpf-mounts"), "{text}");
        assert!(text.contains("2 nodes: 0 high, 1 medium, 1 low"), "{text}");
    }

    #[test]
    fn every_node_has_every_line_whatever_is_known_of_it() {
        for node in report(vec![("a", None), ("b", Some(harmless()))]).nodes {
            let ids: Vec<RiskId> = node.lines.iter().map(|line| line.id).collect();
            assert_eq!(ids, RiskId::all().collect::<Vec<_>>());
            assert!(node.lines.iter().all(|line| !line.says.is_empty()));
        }
    }

    #[test]
    fn text_fits_narrow_screens() {
        let text = report(vec![("a-node-with-a-name", None)]).text(50, true);
        assert!(text.lines().all(|line| super::text::width(line) <= 50), "{text}");
    }
}
