//! Nodes with the same verdict: many of them take one row of the overview, and one of them stands for all below it.

use super::page::{BOLD, DIM, Page};
use crate::base::program;
use crate::knowledge::code::Kind;
use crate::report::NodeReport;
use crate::report::text::safe;

/// So many nodes with the same verdict are still shown one by one.
const ONE_BY_ONE: usize = 5;
/// So many names are listed of a group.
const NAMED: usize = 12;

/// Nodes that are shown together; at least one.
#[derive(Debug)]
pub(in crate::report) struct Group<'a> {
    /// The node whose details are shown.
    pub(in crate::report) first: &'a NodeReport,
    /// The others with the same verdict.
    pub(in crate::report) rest: Vec<&'a NodeReport>,
}

/// Groups nodes by what is the same: the code, the confidence, and the status of each check. The order is that of the
/// nodes. Groups of a few nodes, and a wide table, have each node by itself.
pub(in crate::report) fn groups<'a>(nodes: impl Iterator<Item = &'a NodeReport>, wide: bool) -> Vec<Group<'a>> {
    let same = |a: &NodeReport, b: &NodeReport| {
        let (one, other) = (&a.verdict, &b.verdict);
        (one.kind, one.code, one.confidence, &a.context) == (other.kind, other.code, other.confidence, &b.context)
            && a.checks.iter().map(|check| check.status).eq(b.checks.iter().map(|check| check.status))
    };
    let mut groups: Vec<Group<'a>> = Vec::new();
    for node in nodes {
        let group = groups.iter_mut().find(|group| !wide && same(group.first, node));
        match group {
            Some(group) => group.rest.push(node),
            None => groups.push(Group { first: node, rest: Vec::new() }),
        }
    }
    let split = groups.into_iter().flat_map(|group| {
        if group.rest.len() < ONE_BY_ONE {
            let alone = std::iter::once(group.first).chain(group.rest);
            alone.map(|first| Group { first, rest: Vec::new() }).collect()
        } else {
            vec![group]
        }
    });
    let mut groups: Vec<Group<'a>> = split.collect();
    let place = |group: &Group<'a>| (group.first.verdict.kind, &group.first.context, &group.first.node);
    groups.sort_by(|a, b| place(a).cmp(&place(b)));
    groups
}

impl Page {
    /// The other nodes of a group, below the details of the first.
    pub(super) fn same_verdict(&mut self, group: &Group<'_>) {
        if group.rest.is_empty() {
            return;
        }
        let others = group.rest.len();
        let noun = if others == 1 { "node" } else { "nodes" };
        self.heading(&format!("The same verdict on {others} more {noun}"));
        let mut names: Vec<String> = group.rest.iter().take(NAMED).map(|node| safe(&node.node).into_owned()).collect();
        let more = group.rest.len().saturating_sub(NAMED);
        if more > 0 {
            names.push(format!("and {more} more"));
        }
        self.item("  ", DIM, &names.join(", "));
        self.item(
            "  ",
            DIM,
            "Their checks have the same status; figures and commands differ: -o wide shows each, -o name lists them.",
        );
        if group.first.verdict.kind == Kind::Stale {
            let says = format!(
                "One at a time: {} fix restarts each and stops at the first that it cannot verify.",
                program::name()
            );
            self.item("  ", BOLD, &says);
        }
    }
}
