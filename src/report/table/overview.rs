//! The overview: one row per node, problems first, and what should be known of healthy nodes.

use super::groups::{Group, groups};
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
        let folded = nodes.len() - shown.len();
        // Healthy ones that are listed have a row each.
        let (healthy, others): (Vec<_>, Vec<_>) = shown.into_iter().partition(|n| n.verdict.kind == Kind::Healthy);
        let mut rows = groups(others.into_iter(), self.wide);
        rows.extend(healthy.into_iter().map(|first| Group { first, rest: Vec::new() }));
        if !rows.is_empty() {
            self.overview_rows(&rows);
        }
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

    fn overview_rows(&mut self, groups: &[Group<'_>]) {
        let is_fleet = groups.iter().any(|group| group.first.context.is_some());
        let mut rows = vec![["CONTEXT", "NODE", "VERDICT", "HOST", "POD-EGRESS", "DNS", "BACKENDS"].map(str::to_owned)];
        for group in groups {
            let verdict = &group.first.verdict;
            let (mark, _) = mark(verdict.kind);
            rows.push([
                safe(group.first.context.as_deref().unwrap_or("-")).into_owned(),
                group.name(),
                format!("{mark} {}{}", verdict.code.name(), confidence(verdict)),
                group.short(CheckId::HostPing),
                group.short(CheckId::PodEgress),
                group.short(CheckId::DnsConntrack),
                group.short(CheckId::DnsBackends),
            ]);
        }
        let columns = |rows: &[Row]| total(rows) - if is_fleet { 0 } else { widths(rows)[0] + 2 };
        if columns(&rows) > self.columns {
            // The first thing to give up: it stands again in the details.
            for (group, row) in groups.iter().zip(rows.iter_mut().skip(1)) {
                row[2] = format!("{} {}", mark(group.first.verdict.kind).0, group.first.verdict.code.name());
            }
        }
        if columns(&rows) > self.columns {
            self.overview_list(groups, &rows);
            return;
        }
        let [context, name, verdict, ..] = widths(&rows);
        let (first, start) = if is_fleet { (0, context + 2 + name + 2) } else { (1, name + 2) };
        let lines = draw(&rows.iter().map(|row| row.get(first..).unwrap_or_default()).collect::<Vec<_>>());
        for (i, line) in lines.iter().enumerate() {
            let line = match i.checked_sub(1).and_then(|i| groups.get(i)) {
                None if !self.headers => continue,
                None => self.ink(BOLD, line),
                Some(group) => self.ink_columns(line, start, verdict, mark(group.first.verdict.kind).1),
            };
            self.line(&line);
        }
    }

    /// The overview where rows would be wider than the screen: the name whole, the rest below it.
    fn overview_list(&mut self, groups: &[Group<'_>], rows: &[Row]) {
        for (group, row) in groups.iter().zip(rows.iter().skip(1)) {
            let (_, ink) = mark(group.first.verdict.kind);
            let context = group.first.context.as_ref().map_or(String::new(), |context| format!("  {}", safe(context)));
            let name = format!("{}{context}", self.ink(BOLD, &row[1]));
            self.line(&name);
            let verdict = self.ink(ink, &row[2]);
            self.line(&format!("  {verdict}"));
            let figures = format!("host {}, pod-egress {}, DNS {}, backends {}", row[3], row[4], row[5], row[6]);
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

/// Context, node, verdict, and four checks.
type Row = [String; 7];

impl Group<'_> {
    /// The name of the one node, or how many they are.
    fn name(&self) -> String {
        match self.rest.len() {
            0 => safe(&self.first.node).into_owned(),
            more => count(more + 1, "node", "nodes"),
        }
    }

    /// One check of all its nodes: the figures where they are the same, else the status, which is.
    fn short(&self, id: CheckId) -> String {
        let figures = short(self.first, id);
        if self.rest.iter().all(|node| short(node, id) == figures) {
            return figures;
        }
        self.first.checks.iter().find(|check| check.id == id).map_or(figures, |check| check.status.name().to_owned())
    }
}

/// One check in one word or two.
fn short(node: &NodeReport, id: CheckId) -> String {
    node.checks.iter().find(|c| c.id == id).map_or_else(|| "?".to_owned(), figures::short)
}
