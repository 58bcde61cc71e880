//! One look at a neighbour, where one node alone was asked for: the same failure next door is no single node's.

use super::Observer;
use super::node::Looker;
use crate::base::evidence::Evidence;
use crate::gather::Source;
use crate::knowledge::code::Code;
use crate::kubernetes::objects::{Inventory, Node};
use crate::kubernetes::surroundings::{Agent, Surroundings};
use crate::rules::fleet::Neighbour;
use crate::rules::witnesses::{DnsLife, Life, dns_life_in, world_life_in};
use crate::settings::Settings;
use crate::ways::group::Group;
use crate::ways::picture::Picture;

/// Neighbours that are tried at most, where looking costs nobody anything.
const MOST_SAVED: usize = 50;

/// Looks at a neighbour of a node that is judged alone, where that could change what is said of it. None where it could
/// not.
pub(super) async fn look<S: Source>(
    looker: &Looker<'_, S, impl Observer>,
    alone: bool,
    code: Code,
) -> Option<Neighbour> {
    let could_change = alone && matches!(code, Code::StaleDatapath | Code::StaleSelective | Code::EgressBroken);
    if could_change { Some(look_at(looker).await) } else { None }
}

async fn look_at<S: Source>(looker: &Looker<'_, S, impl Observer>) -> Neighbour {
    let Looker { source, inventory, settings, node, .. } = *looker;
    if !settings.compare {
        return Neighbour::NotLooked("only this node was to be looked at".to_owned());
    }
    if inventory.nodes.as_ref().is_ok_and(|nodes| nodes.len() == 1) {
        return Neighbour::Alone;
    }
    // Whose dump was kept beside this node, where the source says it.
    let asked = source.kept_neighbour(node).and_then(|agent| {
        let pod = inventory.pods.iter().flatten().find(|pod| pod.reference() == agent)?;
        Some(pod.spec.node_name.as_str())
    });
    let most = if source.is_saved() { MOST_SAVED } else { 1 };
    let candidates = candidates(inventory, node, asked, settings, most);
    if candidates.is_empty() {
        return Neighbour::NotLooked("no other node is ready with a ready agent".to_owned());
    }
    let glance = async |name: &str, evidence| {
        let picture = looker.glance(name, evidence).await.map_err(|failure| format!("{name}: {failure}"))?;
        verdict(name, &picture)
    };
    let mut why = String::new();
    for (index, name) in candidates.iter().enumerate() {
        // A live run asks the first and keeps its dump beside this node. Whoever reads what was saved finds it there,
        // or else among the nodes that were judged then. The first is the same one then, unless names were changed.
        let kept = if index == 0 { Some(Evidence::NeighbourCtList) } else { None };
        let own = source.is_saved().then_some(Evidence::CtList);
        for evidence in kept.into_iter().chain(own) {
            match glance(name, evidence).await {
                Ok(neighbour) => return neighbour,
                // The first is what a live run is told.
                Err(unclear) if why.is_empty() => why = unclear,
                Err(_) => {}
            }
        }
    }
    Neighbour::NotLooked(why)
}

/// At most so many nodes that should be fine: the one that was asked, then those most like this one, then by name. No
/// more are looked for than are wanted: each takes a walk through the cluster's pods.
fn candidates(inventory: &Inventory, node: &str, asked: Option<&str>, settings: &Settings, most: usize) -> Vec<String> {
    let nodes = inventory.nodes.as_deref().unwrap_or_default();
    let like = |other: &Node| {
        let here = nodes.iter().find(|listed| listed.metadata.name == node);
        here.is_some_and(|here| here.status.node_info.architecture == other.status.node_info.architecture)
    };
    let agent_is_ready = |name: &str| {
        let around = Surroundings::of(name, inventory, &settings.questions);
        matches!(around.agent, Agent::Running(agent) if agent.ready)
    };
    let mut ready: Vec<&Node> =
        nodes.iter().filter(|other| other.metadata.name != node && other.ready() != Some(false)).collect();
    ready.sort_by_key(|other| (Some(other.metadata.name.as_str()) != asked, !like(other), other.metadata.name.clone()));
    let names = ready.into_iter().map(|other| other.metadata.name.clone());
    names.filter(|name| agent_is_ready(name)).take(most).collect()
}

/// What a neighbour's dump says, or why it says nothing.
fn verdict(name: &str, picture: &Picture) -> Result<Neighbour, String> {
    let dns = picture.group(Group::NodeLocalDns);
    match (dns_life_in(picture), world_life_in(picture)) {
        (DnsLife::Dead, _) => {
            let says =
                format!("{name}: {} of {} live flows to node-local DNS get no answer", dns.dead(), dns.decided());
            Ok(Neighbour::SameFailure { node: name.to_owned(), says })
        }
        (DnsLife::Alive, world) if world != Life::Dead => {
            let says = format!(
                "{name}: {} of {} live flows to node-local DNS are answered, by its dump alone",
                dns.answered,
                dns.decided()
            );
            Ok(Neighbour::Answered(says))
        }
        _ => Err(format!("{name}: too few live flows to tell, or neither dead nor alive")),
    }
}
