//! The report for a person at night: verdict first, evidence next, the one command last.
//!
//! On a screen lines are wrapped to its width; a pipe or a file gets each finding on a line of its own.
//! Lines are laid out here, not by the table's crate: it would break names in the middle, ask the terminal for its
//! width, and read `NO_COLOR` behind our back. It gets cells that are wrapped already and draws them.

mod checks;
mod details;
pub(super) mod groups;
mod head;
mod overview;
mod page;
mod reasons;
mod verdict;
mod way_out;
mod ways;

#[cfg(test)]
mod tests;

use anstyle::Style as Ink;

use super::text::safe;
use super::{NodeReport, Report, SourceInfo};
use crate::knowledge::code::Kind;
use crate::rules::verdict::{Confidence, Verdict};
pub(super) use head::{moment, source};
use page::{CYAN, GREEN, Page, RED, YELLOW};
pub(super) use verdict::broken;
pub(super) use ways::life_word;

/// How to show a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether escapes for colours may stand in the text.
    pub color: bool,
    /// The width of the screen in columns; none without a screen: then each finding has one line, however long.
    pub width: Option<u16>,
    /// Whether tables have header rows.
    pub headers: bool,
    /// Fold nothing: every healthy node with its details, every pod.
    pub wide: bool,
}

/// The whole report as text, with a newline at its end.
#[must_use]
pub fn render(report: &Report, style: &Style) -> String {
    let mut page = Page::new(*style);
    page.header(report);
    page.run(report);
    if report.nodes.len() > 1 {
        page.overview(&report.nodes);
    }
    let alone = report.nodes.len() == 1;
    let shown = report.nodes.iter().filter(|node| alone || style.wide || node.verdict.kind != Kind::Healthy);
    for group in groups::groups(shown, style.wide) {
        page.blank();
        if !alone {
            page.rule();
        }
        page.node(group.first, &report.source);
        page.same_verdict(&group);
    }
    page.closing(&report.summary);
    page.out
}

/// A node in one line, for those who watch.
#[must_use]
pub fn one_line(node: &NodeReport) -> String {
    let verdict = &node.verdict;
    let (mark, _) = mark(verdict.kind);
    format!("{mark} {}: {}{}", safe(&node.node), verdict.code.name(), confidence(verdict))
}

/// The mark and the colour of a verdict. The mark says it without the colour.
pub(super) const fn mark(kind: Kind) -> (&'static str, Ink) {
    match kind {
        Kind::Stale => ("✗", RED),
        Kind::OtherFault => ("!", YELLOW),
        Kind::Inconclusive => ("?", CYAN),
        Kind::Healthy => ("✓", GREEN),
    }
}

impl Page {
    /// Everything about one node.
    fn node(&mut self, node: &NodeReport, source: &SourceInfo) {
        self.verdict(node);
        self.blank();
        self.checks(&node.checks);
        self.ways(node);
        self.reasons(node);
        self.affected(node);
        self.sources(&node.checks);
        self.symptoms(node);
        self.notes(node);
        self.known_issues(node);
        self.what_to_do(node, source);
    }
}

/// How sure, in a row: said of every verdict that is not plainly healthy.
fn confidence(verdict: &Verdict) -> String {
    if verdict.kind == Kind::Healthy && verdict.confidence == Some(Confidence::High) {
        String::new()
    } else {
        verdict.confidence.map_or(String::new(), |c| format!(" ({})", c.name()))
    }
}
