//! The overview: one row per node, problems first, and what should be known of healthy nodes.

use super::page::{BOLD, DIM, Page, draw, total, widths};
use super::{confidence, mark};
use crate::checks::Status;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Kind;
use crate::report::text::{count, safe};
use crate::report::{NodeReport, figures};

/// From this many nodes on, healthy ones are counted instead of listed.
const MANY_NODES: usize = 21;

impl Page {
    /// One row per node, problems first, as the report has them.
    pub(super) fn overview(&mut self, nodes: &[NodeReport]) {
        self.blank();
        let fold = nodes.len() >= MANY_NODES && !self.wide;
        let shown: Vec<_> = nodes.iter().filter(|n| !fold || n.verdict.kind != Kind::Healthy).collect();
        if !shown.is_empty() {
            self.overview_rows(&shown);
        }
        let folded = nodes.len() - shown.len();
        if folded > 0 {
            let (mark, ink) = mark(Kind::Healthy);
            let line = format!("{mark} {}: -o wide lists them", count(folded, "healthy node", "healthy nodes"));
            let line = self.ink(ink, &line);
            self.line(&line);
        }
        if !self.wide {
            self.oddities(nodes);
        }
    }

    pub(super) fn overview_rows(&mut self, nodes: &[&NodeReport]) {
        let mut rows = vec![["NODE", "VERDICT", "HOST", "POD-EGRESS", "DNS", "BACKENDS"].map(str::to_owned)];
        for node in nodes {
            let (mark, _) = mark(node.verdict.kind);
            rows.push([
                safe(&node.node).into_owned(),
                format!("{mark} {}{}", node.verdict.code.name(), confidence(&node.verdict)),
                short(node, CheckId::HostPing),
                short(node, CheckId::PodEgress),
                short(node, CheckId::DnsConntrack),
                short(node, CheckId::DnsBackends),
            ]);
        }
        if total(&rows) > self.columns {
            // The first thing to give up: it stands again in the details.
            for (node, row) in nodes.iter().zip(rows.iter_mut().skip(1)) {
                row[1] = format!("{} {}", mark(node.verdict.kind).0, node.verdict.code.name());
            }
        }
        if total(&rows) > self.columns {
            self.overview_list(nodes, &rows);
            return;
        }
        let [name, verdict, ..] = widths(&rows);
        let lines = draw(&rows);
        for (i, line) in lines.iter().enumerate() {
            let line = match i.checked_sub(1).and_then(|i| nodes.get(i)) {
                None if !self.headers => continue,
                None => self.ink(BOLD, line),
                Some(node) => self.ink_columns(line, name + 2, verdict, mark(node.verdict.kind).1),
            };
            self.line(&line);
        }
    }

    /// The overview where rows would be wider than the screen: the name whole, the rest below it.
    pub(super) fn overview_list(&mut self, nodes: &[&NodeReport], rows: &[[String; 6]]) {
        for (node, row) in nodes.iter().zip(rows.iter().skip(1)) {
            let (_, ink) = mark(node.verdict.kind);
            let name = self.ink(BOLD, &row[0]);
            self.line(&name);
            let verdict = self.ink(ink, &row[1]);
            self.line(&format!("  {verdict}"));
            let figures = format!("host {}, pod-egress {}, DNS {}, backends {}", row[2], row[3], row[4], row[5]);
            self.item("  ", DIM, &figures);
        }
    }

    /// Warnings and notes of healthy nodes.
    pub(super) fn oddities(&mut self, nodes: &[NodeReport]) {
        let mut first = true;
        for node in nodes.iter().filter(|n| n.verdict.kind == Kind::Healthy) {
            let warnings = node.checks.iter().filter(|c| c.status == Status::Warn).map(|c| &c.summary);
            for says in warnings.chain(&node.notes) {
                if std::mem::take(&mut first) {
                    self.blank();
                }
                self.item(&format!("{}: ", safe(&node.node)), BOLD, &safe(says));
            }
        }
    }
}

/// One check in one word or two.
pub(super) fn short(node: &NodeReport, id: CheckId) -> String {
    node.checks.iter().find(|c| c.id == id).map_or_else(|| "?".to_owned(), figures::short)
}
