//! A gate's report for people.

use std::fmt::Write as _;

use super::{GateReport, GateResult, GateSummary, NodeGate};
use crate::base::exit::Exit;
use crate::report::Skipped;
use crate::report::diff::{DiffRow, beside};
use crate::report::table::{moment, source};
use crate::report::text::{self, count, hang, safe};

/// How many nodes that were not judged are named, unless the table is wide.
const MOST_NAMED: usize = 10;

impl GateReport {
    /// The report in lines of at most so many columns. `wide` names every node that was not judged; `headers` heads each
    /// comparison.
    #[must_use]
    pub fn text(&self, columns: usize, wide: bool, headers: bool) -> String {
        let mut head = source(&self.source);
        head.push(format!("{} judged", count(self.summary.nodes, "node", "nodes")));
        head.push(moment(&self.source, &self.generated_at));
        let mut out = hang("", &head.join(" · "), columns);
        let of = self.before.captured_at.as_ref().unwrap_or(&self.before.generated_at);
        out += &hang("Baseline: ", &safe(&format!("{}, of {of}", self.before.path)), columns);
        if self.partial {
            let reason = self.partial_reason.as_deref().unwrap_or("no reason is given");
            out += &hang("PARTIAL: ", &safe(reason), columns);
        }
        for note in &self.notes {
            out += &hang("Note: ", &safe(note), columns);
        }
        for Skipped { node, says } in &self.skipped {
            out += &hang("Skipped: ", &safe(&format!("{node}: {says}")), columns);
        }
        if !self.nodes.is_empty() {
            out.push('\n');
        }
        let widest = self.nodes.iter().map(|node| text::width(&safe(&node.node))).max().unwrap_or(0);
        for node in &self.nodes {
            out += &overview(node, widest, columns);
        }
        for node in self.nodes.iter().filter(|node| node.result != GateResult::NoWorse) {
            let rows: Vec<&DiffRow> = node.rows.iter().filter(|row| tells(node, row)).collect();
            if rows.is_empty() && node.next.is_empty() {
                continue;
            }
            out.push('\n');
            out += &hang("", &safe(&node.node), columns);
            if !rows.is_empty() {
                out += &beside(&rows, columns, headers);
            }
            for command in &node.next {
                // A command stays on one line: it is copied.
                _ = writeln!(out, "Next: {}", safe(command));
            }
        }
        out.push('\n');
        out += &named("Not judged, because they did not change: ", &self.unchanged, wide, columns);
        out += &named("In the baseline, and not there any more: ", &self.gone, wide, columns);
        out += &hang("", &self.closing(), columns);
        out
    }

    /// The last line: the result of the whole.
    fn closing(&self) -> String {
        let GateSummary { nodes, worse, cannot_tell, no_worse, unchanged: _ } = self.summary;
        let judged = count(nodes, "node", "nodes");
        let parts = [(worse, "worse"), (cannot_tell, "cannot be told"), (no_worse, "no worse")];
        let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        let word = match self.exit() {
            Exit::Stale => "Worse",
            Exit::Healthy => "No worse",
            _ => "Cannot tell",
        };
        match (nodes, &self.since) {
            (0, Some(since)) => format!("{word}: no node was judged, because none changed since {since}"),
            (0, None) => format!("{word}: no node was judged"),
            _ if parts.len() == 1 => format!("{word}: {judged} judged"),
            _ => format!("{word}: {judged} judged: {}", parts.join(", ")),
        }
    }
}

/// A node's line.
fn overview(node: &NodeGate, widest: usize, columns: usize) -> String {
    let name = safe(&node.node);
    let gap = " ".repeat(widest.saturating_sub(text::width(&name)));
    let lead = format!("{name}{gap}  {:11}  ", node.result.words());
    let same = if node.agent_changed == Some(false) { " (the agent of the baseline still runs)" } else { "" };
    let says = safe(&format!("{}{same}", node.says)).into_owned();
    if columns == text::UNBOUNDED || columns > text::width(&lead) * 2 {
        return hang(&lead, &says, columns);
    }
    hang("", lead.trim(), columns) + &hang("  ", &says, columns)
}

/// Whether a row is worth a line: the verdict, the agent, and checks of another status.
fn tells(node: &NodeGate, row: &DiffRow) -> bool {
    let status = format!("{}.status", row.what);
    row.changed && (matches!(row.what.as_str(), "verdict" | "agent") || node.changes.iter().any(|c| c.what == status))
}

fn named(what: &str, nodes: &[String], wide: bool, columns: usize) -> String {
    if nodes.is_empty() {
        return String::new();
    }
    let shown = if wide { nodes.len() } else { MOST_NAMED };
    let more = nodes.len().saturating_sub(shown);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let names = nodes.iter().take(shown).map(String::as_str).collect::<Vec<_>>().join(", ");
    hang(what, &safe(&format!("{names}{more}")), columns)
}
