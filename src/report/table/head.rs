//! The first and the last lines of the page: what the report rests on, how the run went, and how many nodes of which kind.

use std::collections::{BTreeMap, BTreeSet};

use super::page::{CYAN, DIM, GREEN, Page, RED, YELLOW};
use crate::base::source_kind::SourceKind;
use crate::report::text::{self, count, safe, wrap};
use crate::report::{Report, Skipped, SourceInfo, Summary};

/// How many skipped nodes are named for one reason, unless the table is wide.
const MOST_SKIPPED: usize = 5;

impl Page {
    /// What the report rests on.
    pub(super) fn header(&mut self, report: &Report) {
        let mut parts = source(&report.source);
        let contexts: BTreeSet<&String> = report.nodes.iter().filter_map(|node| node.context.as_ref()).collect();
        if !contexts.is_empty() {
            parts.push(count(contexts.len(), "context", "contexts"));
        }
        parts.push(count(report.nodes.len(), "node", "nodes"));
        if let Some(shard) = report.shard {
            parts.push(format!("shard {shard}"));
        }
        parts.push(moment(&report.source, &report.generated_at));
        for line in wrap(&parts.join(" · "), self.prose) {
            let line = self.ink(DIM, &line);
            self.line(&line);
        }
    }

    /// Why the report is partial, notes on the run, and the nodes that were skipped.
    pub(super) fn run(&mut self, report: &Report) {
        if report.partial {
            let reason = report.partial_reason.as_deref().unwrap_or("no reason is given");
            self.item("PARTIAL: ", YELLOW, &safe(reason));
        }
        for note in &report.notes {
            self.item("Note: ", DIM, &safe(note));
        }
        let mut skipped: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for Skipped { node, says } in &report.skipped {
            skipped.entry(says).or_default().push(node);
        }
        for (says, nodes) in skipped {
            let more = nodes.len().saturating_sub(MOST_SKIPPED);
            let more = if more > 0 && !self.wide { format!(" and {more} more") } else { String::new() };
            let named = if self.wide { nodes.len() } else { MOST_SKIPPED };
            let named = nodes.iter().take(named).copied().collect::<Vec<_>>().join(", ");
            self.item("Skipped: ", DIM, &safe(&format!("{named}{more}: {says}")));
        }
    }

    /// How many of which kind.
    pub(super) fn closing(&mut self, summary: &Summary) {
        self.blank();
        let parts = [
            (summary.stale, "stale", RED),
            (summary.other_fault, "with another fault", YELLOW),
            (summary.inconclusive, "not judged", CYAN),
            (summary.healthy, "healthy", GREEN),
        ];
        let parts: Vec<_> =
            parts.iter().filter(|(n, ..)| *n > 0).map(|(n, what, ink)| (format!("{n} {what}"), *ink)).collect();
        let nodes = count(summary.nodes, "node", "nodes");
        let plain: Vec<_> = parts.iter().map(|(part, _)| part.as_str()).collect();
        if parts.is_empty() {
            self.line(&format!("{nodes}: nothing to judge"));
        } else if text::width(&format!("{nodes}: {}", plain.join(", "))) <= self.columns {
            let parts: Vec<_> = parts.iter().map(|(part, ink)| self.ink(*ink, part)).collect();
            self.line(&format!("{nodes}: {}", parts.join(", ")));
        } else {
            self.line(&format!("{nodes}:"));
            for (part, ink) in parts {
                let part = self.ink(ink, &part);
                self.line(&format!("  {part}"));
            }
        }
    }
}

/// What a report rests on, in the parts of its first line.
pub(in crate::report) fn source(source: &SourceInfo) -> Vec<String> {
    let kind = match source.kind {
        SourceKind::Cluster => None,
        SourceKind::Bundle => Some("bundle"),
        SourceKind::Sysdump => Some("sysdump"),
        SourceKind::Bugtool => Some("bugtool"),
    };
    let path = source.path.as_ref();
    let saved = kind.map(|kind| path.map_or_else(|| kind.to_owned(), |path| format!("{kind} {}", safe(path))));
    let context = source.context.as_ref().map(|context| format!("context {}", safe(context)));
    saved.into_iter().chain(context).collect()
}

/// The moment that the evidence is of; a live run is of when it was made.
pub(in crate::report) fn moment(source: &SourceInfo, generated_at: &str) -> String {
    match (source.kind, source.age_s) {
        (SourceKind::Cluster, None) => safe(generated_at).into_owned(),
        _ => source.when().unwrap_or_else(|| "captured at an unknown time".to_owned()),
    }
}
