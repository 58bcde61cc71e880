//! The report as one self-contained page, for the incident channel and the review afterwards: nothing is loaded from
//! elsewhere, nothing in it runs.
//!
//! Every text of the world goes through [`safe`], which leaves nothing that steers a screen, and is escaped by the
//! template. The page's policy allows its own style by its hash, and nothing else.

mod drawing;
mod matrix;
mod place;
mod timeline;

#[cfg(test)]
mod tests;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::table::groups::{Group, groups};
use super::table::{self, Style};
use super::text::{count, safe, shows};
use super::{NodeReport, Report, SourceInfo};
use crate::knowledge::code::Kind;

/// The style of the page, as it stands in it.
const STYLE: &str = include_str!("html/page.css");

/// SHA-256 of [`STYLE`]: the only style that the page's policy allows. `tests/html.rs` prints the right one.
const STYLE_HASH: &str = "sha256-dJhFOtlLJ/WgV9/B/MctGZDkmOSXrLRD/gpXDMFo1kY=";

/// So many nodes that are not healthy get a section; the others are in the text.
const MOST_SECTIONS: usize = 50;

/// The width of the text at the end, in columns.
const TEXT_WIDTH: u16 = 100;

/// The whole page.
#[must_use]
pub fn render(report: &Report) -> String {
    let context = report.source.context.as_deref().unwrap_or("staledp");
    let policy = format!("default-src 'none'; style-src '{STYLE_HASH}'; base-uri 'none'; form-action 'none'");
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="color-scheme" content="light dark";
                title { "staledp: " (safe(context)) ", " (summary_in_words(report)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(report))
                main {
                    (matrix::matrix(report))
                    (sections(report))
                    section.text {
                        h2 { "The report's text" }
                        pre { (text(report)) }
                    }
                }
                footer { (safe(&report.tool.name)) " " (safe(&report.tool.version)) ", " (safe(&report.generated_at)) }
            }
        }
    };
    swept(page.into_string())
}

/// What no text of the world may hold is written as an escape, should one ever not have gone through [`safe`].
fn swept(page: String) -> String {
    if page.chars().all(|c| c == '\n' || shows(c)) {
        return page;
    }
    let lines: Vec<_> = page.split('\n').map(safe).collect();
    lines.join("\n")
}

fn text(report: &Report) -> String {
    table::render(report, &Style { color: false, width: Some(TEXT_WIDTH), headers: true, wide: false })
}

fn summary_in_words(report: &Report) -> String {
    let kinds: Vec<String> = kinds(report).map(|(n, _, word)| format!("{n} {word}")).collect();
    format!("{}: {}", count(report.summary.nodes, "node", "nodes"), kinds.join(", "))
}

/// How many nodes of each kind there are, with the kind and its words; kinds without any are left out.
fn kinds(report: &Report) -> impl Iterator<Item = (usize, Kind, &'static str)> {
    let summary = &report.summary;
    let all = [
        (summary.stale, Kind::Stale, "stale"),
        (summary.other_fault, Kind::OtherFault, "with another fault"),
        (summary.inconclusive, Kind::Inconclusive, "not judged"),
        (summary.healthy, Kind::Healthy, "healthy"),
    ];
    all.into_iter().filter(|(n, ..)| *n > 0)
}

/// What the report rests on, and how many nodes of which kind.
fn head(report: &Report) -> Markup {
    let mut about = table::source(&report.source);
    about.push(table::moment(&report.source, &report.generated_at));
    html! {
        header {
            h1 { "Cilium's datapath on " (count(report.nodes.len(), "node", "nodes")) }
            p.about { (about.join(" · ")) }
            ul.summary {
                @for (n, kind, word) in kinds(report) {
                    li class=(kind.name()) { (table::mark(kind).0) " " strong { (n) } " " (word) }
                }
            }
            @if report.partial {
                p.partial { "Partial: " (safe(report.partial_reason.as_deref().unwrap_or("no reason is given"))) }
            }
            @for note in &report.notes { p.note { (safe(note)) } }
            @if !report.skipped.is_empty() {
                p.note { (count(report.skipped.len(), "node", "nodes")) " skipped: Cilium is not meant for them." }
            }
        }
    }
}

/// A section for each node that is not healthy; of many with the same verdict, for the first.
fn sections(report: &Report) -> Markup {
    let alone = report.nodes.len() == 1;
    let shown = report.nodes.iter().filter(|node| alone || node.verdict.kind != Kind::Healthy);
    let groups = groups(shown, false);
    let more = groups.len().saturating_sub(MOST_SECTIONS);
    html! {
        @for (at, group) in groups.iter().take(MOST_SECTIONS).enumerate() { (section(at, group, &report.source)) }
        @if more > 0 { p.note { (more) " more nodes that are not healthy are in the text below." } }
    }
}

fn section(at: usize, group: &Group<'_>, source: &SourceInfo) -> Markup {
    let node = group.first;
    let verdict = &node.verdict;
    let sure = verdict.confidence.map_or(String::new(), |sure| format!(" ({} confidence)", sure.name()));
    html! {
        section class={ "node " (verdict.kind.name()) } id={ "node-" (at) } {
            h2 {
                (safe(&node.node))
                @if let Some(context) = &node.context { " (" (safe(context)) ")" }
                " "
                span.verdict { (table::mark(verdict.kind).0) " " (verdict.code.name()) (sure) }
            }
            p.says { (safe(&verdict.summary)) }
            @if let Some(cause) = &verdict.cause { p.cause { strong { "Broken: " } (safe(&table::broken(cause))) } }
            @if !verdict.confidence_because.is_empty() {
                p.note { "The confidence is not higher, because: " (safe(&verdict.confidence_because.join("; "))) }
            }
            @if !group.rest.is_empty() { (same_verdict(group)) }
            div.beside {
                figure { (drawing::drawing(node)) }
                div {
                    @if !verdict.because.is_empty() {
                        h3 { "Because" }
                        ul { @for because in &verdict.because {
                            li { code { (safe(&because.check)) } ": " (safe(&because.says)) }
                        } }
                    }
                    (timeline::timeline(node, source))
                }
            }
            (what_to_do(node))
        }
    }
}

fn same_verdict(group: &Group<'_>) -> Markup {
    let names: Vec<_> = group.rest.iter().map(|node| safe(&node.node)).collect();
    html! {
        p.note { "The same verdict on " (count(names.len(), "more node", "more nodes")) ": " (names.join(", ")) }
    }
}

/// The commands, which only a stale node has; advice in words for the others.
fn what_to_do(node: &NodeReport) -> Markup {
    let steps: Vec<(&str, &[String])> = match &node.remediation {
        Some(remedy) if node.verdict.kind == Kind::Stale => vec![
            ("Keep the evidence, which a restart destroys", &remedy.keep),
            ("Restart the affected pod first", &remedy.gentle),
            ("Restart this node's Cilium pod, with checks and a question", &remedy.fix),
            ("Afterwards, verify", &remedy.verify),
        ],
        _ => Vec::new(),
    };
    let risk = node.remediation.as_ref().filter(|_| !steps.is_empty()).map(|remedy| &remedy.risk);
    html! {
        @if !steps.is_empty() || !node.advice.is_empty() {
            h3 { "What to do" }
            @if !node.advice.is_empty() { ul { @for advice in &node.advice { li { (safe(advice)) } } } }
            @if let Some(risk) = risk {
                p.note { "Risk of the restart: " strong { (risk.level.name()) } }
                ul.risk { @for why in &risk.because { li { (safe(why)) } } }
            }
            @if !steps.is_empty() {
                ol { @for (says, commands) in steps.iter().filter(|(_, commands)| !commands.is_empty()) {
                    li { (says) pre { @for command in *commands { (safe(command)) "\n" } } }
                } }
            }
        }
    }
}
