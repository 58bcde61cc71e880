//! Cluster-wide events: many nodes not ready, or many pods restarted, in one window.
//!
//! After a router outage every node has symptoms, and most of them are over. So the window stands before the nodes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::restarts::{containers, last_restart};
use super::{rfc3339, unix_second};
use crate::kubernetes::inventory::Inventory;
use crate::kubernetes::objects::Event;

/// The length of a window, in seconds.
const WINDOW: i64 = 600;
/// So many pods at least.
const PODS: usize = 5;

/// Something that hit several nodes in one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storm {
    /// When it began, RFC 3339.
    pub first: String,
    /// When it ended, RFC 3339.
    pub last: String,
    /// How many nodes.
    pub nodes: usize,
    /// One sentence.
    pub says: String,
}

/// When nodes were not ready, by event.
#[derive(Default)]
pub struct NotReady(BTreeSet<(String, i64)>);

impl NotReady {
    /// Takes in an event of a node that was not ready.
    pub fn take(&mut self, event: &Event) {
        if event.reason == "NodeNotReady" && event.involved_object.kind == "Node" && self.0.len() < 100_000 {
            let (first, last) = super::probes::moments(event);
            for at in [first, last].into_iter().flatten().filter_map(unix_second) {
                self.0.insert((event.involved_object.name.to_string(), at));
            }
        }
    }
}

/// Looks for windows that hold at least two nodes and a third of all.
pub(super) fn find_storms(inventory: &Inventory, not_ready: &NotReady) -> Vec<Storm> {
    let nodes = inventory.nodes.known().iter();
    let all = nodes.clone().count();
    // Events outlive nodes; those that are gone are none of today's.
    let there: BTreeSet<&str> = nodes.clone().map(|node| node.metadata.name.as_str()).collect();
    let known = not_ready.0.iter().filter(|(node, _)| there.contains(node.as_str()));
    let mut fallen: Vec<(i64, &str, usize)> = known.map(|(node, at)| (*at, node.as_str(), 0)).collect();
    for node in nodes {
        let ready = node.status.conditions.iter().find(|c| c.r#type == "Ready");
        let at =
            ready.filter(|c| c.status != "True").and_then(|c| c.last_transition_time.as_deref()).and_then(unix_second);
        fallen.extend(at.map(|at| (at, node.metadata.name.as_str(), 0)));
    }
    let pods: Vec<_> = inventory.pods.known().iter().filter(|pod| pod.is_alive()).collect();
    let restarted: Vec<(i64, &str, usize)> = pods
        .iter()
        .enumerate()
        .filter_map(|(nth, pod)| {
            let at = containers(pod).filter_map(|c| last_restart(c).and_then(unix_second)).max()?;
            Some((at, pod.spec.node_name.as_str(), nth))
        })
        .collect();
    let third = |n: usize| n >= 2 && n * 3 >= all;
    let mut storms = Vec::new();
    if let Some((first, last, n, _)) = densest(fallen).filter(|(.., n, _)| third(*n)) {
        let says = format!("{n} of {all} nodes stopped being ready between {} and {}", rfc3339(first), rfc3339(last));
        storms.push(Storm { first: rfc3339(first), last: rfc3339(last), nodes: n, says });
    }
    let enough = |n: usize, hit: usize| third(n) && hit >= PODS && hit * 10 >= pods.len();
    if let Some((first, last, n, hit)) = densest(restarted).filter(|(.., n, hit)| enough(*n, *hit)) {
        let says = format!(
            "{hit} of {} pods on {n} of {all} nodes were restarted between {} and {}",
            pods.len(),
            rfc3339(first),
            rfc3339(last)
        );
        storms.push(Storm { first: rfc3339(first), last: rfc3339(last), nodes: n, says });
    }
    storms
}

/// The window with the most nodes, then the most things: when it begins and ends, nodes, things.
fn densest(mut all: Vec<(i64, &str, usize)>) -> Option<(i64, i64, usize, usize)> {
    all.sort_unstable();
    let mut best: Option<(i64, i64, usize, usize)> = None;
    let mut inside: BTreeMap<&str, usize> = BTreeMap::new();
    let mut window: VecDeque<(i64, &str)> = VecDeque::new();
    for &(end, node, _) in &all {
        *inside.entry(node).or_default() += 1;
        window.push_back((end, node));
        let mut begin = end;
        while let Some(&(at, gone)) = window.front() {
            if end - at <= WINDOW {
                begin = at;
                break;
            }
            window.pop_front();
            if let Some(n) = inside.get_mut(gone) {
                *n -= 1;
                if *n == 0 {
                    inside.remove(gone);
                }
            }
        }
        if best.is_none_or(|(_, _, nodes, things)| (inside.len(), window.len()) > (nodes, things)) {
            best = Some((begin, end, inside.len(), window.len()));
        }
    }
    best.map(|(first, last, nodes, _)| {
        let within: BTreeSet<usize> = all.iter().filter(|(at, ..)| (first..=last).contains(at)).map(|t| t.2).collect();
        (first, last, nodes, within.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_with_the_most_nodes_is_found() {
        let all =
            vec![(0, "a", 0), (5_000, "a", 1), (5_100, "b", 2), (5_599, "c", 3), (9_000, "a", 4), (9_001, "b", 5)];
        assert_eq!(densest(all), Some((5_000, 5_599, 3, 3)));
        assert_eq!(densest(Vec::new()), None);
    }
}
