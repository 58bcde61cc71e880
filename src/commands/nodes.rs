//! The choice of nodes: which nodes of the cluster the arguments select.

use crate::base::error::Error;
use crate::base::selector::Selector;
use crate::base::similar;
use crate::kubernetes::inventory::Inventory;
use crate::settings::{NodeChoice, Settings};

/// The nodes that were meant, sorted by name. Where evidence was `saved` and no node was named, all nodes are meant.
pub(super) fn choose(
    settings: &Settings,
    inventory: &Inventory,
    there: &[String],
    saved: bool,
) -> Result<Vec<String>, Error> {
    let usage = |failed: String| Error::usage(failed).with_hint(list(there));
    let chosen: Vec<String> = match &settings.nodes {
        NodeChoice::All => there.to_vec(),
        NodeChoice::Unsaid if saved => there.to_vec(),
        NodeChoice::Unsaid => return Err(usage("no nodes selected: use --node, -l or --all-nodes".to_owned())),
        NodeChoice::Named(asked) => {
            if let Some(unknown) = asked.iter().find(|name| !there.contains(name)) {
                return Err(unknown_node(unknown, there));
            }
            asked.clone()
        }
        NodeChoice::Labelled(labels) => {
            let selector = Selector::parse(labels)?;
            let nodes = inventory.nodes.some();
            let nodes =
                nodes.map_err(|failure| Error::from(failure.clone()).context("cannot select nodes by label"))?;
            let matching = nodes.iter().filter(|node| selector.matches(&node.metadata.labels));
            let matching: Vec<String> = matching.map(|node| node.metadata.name.to_string()).collect();
            if matching.is_empty() {
                return if settings.fail_if_none { Err(usage(none_has(labels))) } else { Ok(Vec::new()) };
            }
            matching
        }
    };
    if chosen.is_empty() {
        return Err(Error::cannot_read("no nodes found"));
    }
    if let Some(unknown) = settings.exclude.iter().find(|name| !there.contains(name)) {
        return Err(unknown_node(unknown, there).context("cannot leave it out"));
    }
    narrow(chosen, settings)
}

fn unknown_node(name: &str, there: &[String]) -> Error {
    let meant = similar::question(name, there.iter().map(String::as_str));
    Error::usage(format!("no node named '{name}'")).with_hint(format!("{meant}{}", list(there)))
}

/// The nodes there are, for a hint: a fleet is counted.
fn list(there: &[String]) -> String {
    const MOST: usize = 40;
    let named = there.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    match there.len() {
        0 => "nodes: none".to_owned(),
        all if all > MOST => format!("nodes: {named} and {} more", there.len() - MOST),
        _ => format!("nodes: {named}"),
    }
}

/// The note on a run whose labels no node has: that is a success, unless `--fail-if-none` is given.
pub(super) fn note_on_none(settings: &Settings, chosen: usize) -> Option<String> {
    match &settings.nodes {
        NodeChoice::Labelled(labels) if chosen == 0 && settings.diagnose.shard.is_none() => Some(none_has(labels)),
        _ => None,
    }
}

fn none_has(labels: &str) -> String {
    format!("no node has the labels '{labels}'")
}

/// The chosen nodes without those that are left out, and only those of this run's shard.
pub(super) fn narrow(mut chosen: Vec<String>, settings: &Settings) -> Result<Vec<String>, Error> {
    chosen.sort();
    chosen.dedup();
    chosen.retain(|name| !settings.exclude.contains(name));
    if chosen.is_empty() {
        return Err(Error::usage("--exclude-node leaves no node to judge"));
    }
    // A shard of few nodes may hold none: its report is empty.
    chosen.retain(|name| settings.diagnose.shard.is_none_or(|shard| shard.holds(name)));
    Ok(chosen)
}
