//! Nodes and their ways as a table of cells: which way is alive on which node, with its figures.

use maud::{Markup, html};

use crate::checks::Status;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Kind;
use crate::report::table::{life_word, mark};
use crate::report::text::safe;
use crate::report::ways::WayFigures;
use crate::report::{NodeReport, Report, figures};
use crate::ways::life::Life;

/// So many healthy nodes have a row; the others fold into one.
const MOST_HEALTHY: usize = 200;

/// The ways in the order of their columns: name, and what stands at the head.
const WAYS: [(&str, &str); 9] = [
    ("dns", "pods to DNS"),
    ("world", "pods to world"),
    ("pod-to-host", "pods to node"),
    ("host-to-pod", "node to pods"),
    ("pod-to-pod-here", "pods here"),
    ("across-out", "to other nodes"),
    ("across-in", "from other nodes"),
    ("host-to-world", "node to world"),
    ("host-to-cluster", "node to nodes"),
];

/// The checks that are no ways: the others are in the ways' columns.
const CHECKS: [(CheckId, &str); 3] =
    [(CheckId::HostPing, "ping"), (CheckId::PodEgress, "pod probes"), (CheckId::DnsBackends, "DNS backends")];

/// Every node in a row.
pub(super) fn matrix(report: &Report) -> Markup {
    let healthy = report.nodes.iter().filter(|node| node.verdict.kind == Kind::Healthy).count();
    let rows = report.nodes.len() - healthy + healthy.min(MOST_HEALTHY);
    let fleet = report.nodes.iter().any(|node| node.context.is_some());
    // Ways without flows on any node have no column.
    let seen: Vec<_> = WAYS
        .iter()
        .filter(|(name, _)| report.nodes.iter().any(|node| node.ways.iter().any(|way| way.way == *name)))
        .collect();
    html! {
        section.matrix {
            h2 { "Nodes and their ways" }
            p.note { "Flows answered, of those that can be judged: ✓ alive, ! some, ✗ dead, ? too few to tell, blank: none." }
            div.scroll tabindex="0" {
                table {
                    thead { tr {
                        @if fleet { th scope="col" { "context" } }
                        th scope="col" { "node" }
                        th scope="col" { "verdict" }
                        @for (_, head) in &seen { th scope="col" { (head) } }
                        @for (_, head) in CHECKS { th scope="col" { (head) } }
                    } }
                    tbody {
                        @for node in report.nodes.iter().take(rows) {
                            tr {
                                @if fleet { td { (safe(node.context.as_deref().unwrap_or_default())) } }
                                th scope="row" { (safe(&node.node)) }
                                td class={ "verdict " (node.verdict.kind.name()) } { (mark(node.verdict.kind).0) " " (node.verdict.code.name()) }
                                @for (name, _) in &seen { (way(node.ways.iter().find(|way| way.way == *name))) }
                                @for (id, _) in CHECKS { (check(node, id)) }
                            }
                        }
                    }
                }
            }
            @if rows < report.nodes.len() { p.note { (report.nodes.len() - rows) " more nodes are healthy." } }
        }
    }
}

fn way(way: Option<&WayFigures>) -> Markup {
    let Some(way) = way else { return html! { td {} } };
    html! {
        td class=(life_class(way.life)) title=(safe(&way.label)) { (figure(way)) }
    }
}

/// `✗ 0/65`: the mark says it without the colour.
pub(super) fn figure(way: &WayFigures) -> String {
    let mark = life_word(way.life).0.split(' ').next().unwrap_or_default();
    format!("{mark} {}/{}", short(way.answered), short(way.judged()))
}

/// A number in four letters at most: `9999`, `12k`, `3M`.
fn short(n: u32) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{}M", n / 1_000_000),
    }
}

/// The class of a way's colours.
pub(super) const fn life_class(life: Life) -> &'static str {
    match life {
        Life::Alive => "alive",
        Life::Dead => "dead",
        Life::Mixed => "mixed",
        Life::Unseen => "unseen",
    }
}

fn check(node: &NodeReport, id: CheckId) -> Markup {
    let Some(check) = node.checks.iter().find(|check| check.id == id) else { return html! { td {} } };
    let class = match check.status {
        Status::Pass => "alive",
        Status::Fail => "dead",
        Status::Warn => "mixed",
        Status::Unknown | Status::NotApplicable => "unseen",
    };
    html! {
        td class=(class) title=(safe(&check.summary)) { (figures::short(check)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_take_four_letters_at_most() {
        assert_eq!([0, 9_999, 10_000, 999_999, 1_000_000].map(short), ["0", "9999", "10k", "999k", "1M"]);
    }
}
