//! One look at a neighbour where only one node was asked for: the same failure there is not a single-node problem.

use super::Observer;
use super::node::Looker;
use crate::base::evidence::Evidence;
use crate::gather::Source;
use crate::knowledge::code::Code;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::node_view::NodeView;
use crate::kubernetes::objects::Node;
use crate::rules::fleet::Neighbour;
use crate::ways::dns::{Dns, DnsLife};
use crate::ways::life::Life;
use crate::ways::picture::Picture;
use crate::ways::way::{Way, state};

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
    if could_change { Some(look_at(looker, code).await) } else { None }
}

async fn look_at<S: Source>(looker: &Looker<'_, S, impl Observer>, code: Code) -> Neighbour {
    let Looker { source, cluster, settings, node, .. } = *looker;
    if !settings.compare {
        return Neighbour::NotLooked("no neighbour was looked at (--compare never)".to_owned());
    }
    if cluster.inventory().nodes.whole().is_some_and(|nodes| nodes.len() == 1) {
        return Neighbour::Alone;
    }
    // Whose dump was kept beside this node, where the source says it.
    let asked = source.kept_neighbour(node).and_then(|agent| {
        let pod = cluster.inventory().pods.known().iter().find(|pod| pod.reference() == agent)?;
        Some(pod.spec.node_name.as_str())
    });
    let most = if source.is_saved() { MOST_SAVED } else { 1 };
    let candidates = candidates(cluster, node, asked, most);
    if candidates.is_empty() {
        return Neighbour::NotLooked("no other node is ready with a ready agent".to_owned());
    }
    let glance = async |name: &str, evidence| match looker.glance(name, evidence).await {
        Ok(picture) => verdict(name, &picture, &NodeView::new(name, cluster), code),
        Err(failure) => Neighbour::NotLooked(format!("{name}: {failure}")),
    };
    let mut why = String::new();
    for (index, name) in candidates.iter().enumerate() {
        // A live run asks the first and keeps its dump beside this node. Whoever reads what was saved finds it there,
        // or else among the nodes that were judged then. The first is the same one then, unless names were changed.
        let kept = if index == 0 { Some(Evidence::NeighbourCtList) } else { None };
        let own = source.is_saved().then_some(Evidence::CtList);
        for evidence in kept.into_iter().chain(own) {
            match glance(name, evidence).await {
                // The first is what a live run is told.
                Neighbour::NotLooked(unclear) if why.is_empty() => why = unclear,
                Neighbour::NotLooked(_) => {}
                neighbour => return neighbour,
            }
        }
    }
    Neighbour::NotLooked(why)
}

/// At most so many nodes that should be fine: the one that was asked, then those most like this one, then by name. No
/// more are looked for than are wanted.
fn candidates(cluster: &ClusterMap<'_>, node: &str, asked: Option<&str>, most: usize) -> Vec<String> {
    let here = cluster.node(node).map(|here| here.status.node_info.architecture.as_str());
    let like = |other: &Node| here == Some(other.status.node_info.architecture.as_str());
    let agent_is_ready = |name: &str| cluster.agent(name).running().is_some_and(|agent| agent.ready);
    let nodes = cluster.inventory().nodes.known();
    let mut ready: Vec<&Node> =
        nodes.iter().filter(|other| other.metadata.name != node && other.ready() != Some(false)).collect();
    ready.sort_by_cached_key(|other| {
        (Some(other.metadata.name.as_str()) != asked, !like(other), other.metadata.name.clone())
    });
    let names = ready.into_iter().map(|other| other.metadata.name.to_string());
    names.filter(|name| agent_is_ready(name)).take(most).collect()
}

/// What a neighbour's dump says beside a node of this verdict, or why it says nothing.
fn verdict(name: &str, picture: &Picture, view: &NodeView, code: Code) -> Neighbour {
    let dns = Dns::find(picture, view, None);
    let counts = &dns.state.counts;
    let world = state(picture, Way::World).life;
    match (dns.life, world) {
        // A few pods here and all of them there are two faults.
        (DnsLife::Dead, _) if code == Code::StaleSelective => Neighbour::NotLooked(format!(
            "{name} is no help: {} of {} live flows to {}{} get no answer there, of all its pods",
            counts.dead(),
            counts.decided(),
            dns.path.label(),
            counts.if_judged()
        )),
        (DnsLife::Dead, _) => {
            let says = format!(
                "{name}: {} of {} live flows to {}{} get no answer",
                counts.dead(),
                counts.decided(),
                dns.path.label(),
                counts.if_judged()
            );
            Neighbour::SameFailure { node: name.to_owned(), says }
        }
        (DnsLife::Alive, world) if world != Life::Dead => {
            let says = format!(
                "{name}: {} of {} live flows to {}{} are answered, by its dump alone",
                counts.answered,
                counts.decided(),
                dns.path.label(),
                counts.if_judged()
            );
            Neighbour::Answered(says)
        }
        _ => Neighbour::NotLooked(format!("{name}: too few live flows to judge, or neither dead nor alive")),
    }
}
