//! `node-isolated`: pods reach the world and their node, but no pod of other nodes.

use std::fmt::Write as _;

use crate::base::evidence::Evidence;
use crate::cilium::status::Encryption;
use crate::knowledge::code::Code;
use crate::rules::case::Case;
use crate::rules::opinion::{Exclusion, Opinion};
use crate::rules::verdict::{Because, Confidence, Figure, Says};
use crate::rules::witnesses::{DeadWay, Fate, agent_reaches, dead_ways, egress_says, host, reaches_world, witnesses};
use crate::ways::life::Life;
use crate::ways::way::Way;

/// The figure that says how many other nodes the cluster has.
pub(crate) const OTHER_NODES: &str = "other_nodes";

/// The figure of a healthy node that misses one other: that node's name, as the agent's probes say.
pub(crate) const SILENT_NODE: &str = "silent_node";

/// Flows of several pods to pods of one far node get no answer, and those to other nodes do. Whose fault it is, this node's
/// evidence does not tell; which node it is, the agent's own probes may.
pub(crate) fn one_node_is_silent(case: &Case) -> Option<Says> {
    let state = case.way(Way::AcrossOut);
    let one_is_silent = state.is_dead_to_one_end() && state.counts.answered_peers > 0;
    let mut says = case.way_says(Way::AcrossOut).filter(|_| one_is_silent)?;
    says.text.push_str(", all to one node");
    let status = case.beyond.status.seen();
    if let Some((status, (reached, nodes))) = status.and_then(|status| Some((status, status.cluster_health?)))
        && nodes.checked_sub(reached) == Some(1)
        && let [peer] = status.unreachable_peers().collect::<Vec<_>>()[..]
    {
        // `cluster/node`, where the cluster has a name.
        let name = peer.node.rsplit('/').next().unwrap_or(&peer.node);
        let _ = write!(says.text, "; the agent reaches {reached} of {nodes} nodes, all but {name}");
        says.figures.insert("reached".to_owned(), reached.into());
        says.figures.insert("nodes".to_owned(), nodes.into());
        says.figures.insert(SILENT_NODE.to_owned(), name.into());
    }
    Some(says)
}

fn other_nodes_say(others: usize) -> String {
    match others {
        1 => "the cluster has 1 other node".to_owned(),
        others => format!("the cluster has {others} other nodes"),
    }
}

/// Whether packets of other nodes come in here and pods do not answer them, and nothing else between nodes is dead: what comes
/// in is not cut off. Answers that leave and never arrive are.
fn only_come_in(case: &Case, across: &[&DeadWay]) -> bool {
    let counts = case.way(Way::AcrossIn).counts;
    let comes_in = Figure::from(Way::AcrossIn.name());
    let only = across.iter().all(|way| way.because.figures.get("way") == Some(&comes_in));
    only && counts.half_open * 2 < counts.dead()
}

/// Whether all that is dead goes between nodes, while other ways live.
pub(super) fn isolated(case: &Case) -> Exclusion {
    if case.picture().is_none() {
        return Exclusion::open("the conntrack dump was not read", Evidence::CtList.name());
    }
    // Where the agent's own probes reach no other node, it is not one service that hangs.
    let alone = case.beyond.status.seen().and_then(|status| status.cluster_health);
    let alone = alone.is_some_and(|(reached, nodes)| reached <= 1 && nodes >= 2);
    let dead = if alone { dead_ways(case) } else { witnesses(case) };
    let across: Vec<_> = dead.iter().filter(|way| way.fate == Fate::Across).collect();
    let lives = |way: Way| matches!(case.way(way).life, Life::Alive | Life::Mixed);
    if !across.iter().any(|way| !way.dns) {
        if let Some(way) = dead_ways(case).into_iter().find(|way| way.fate == Fate::Across && way.one_port) {
            let says = format!("{}, all of them to one port: it may be that service", way.because.says);
            return Exclusion::open(says, "more traffic between nodes");
        }
        return Exclusion::out_by(
            [Way::AcrossOut, Way::AcrossIn].into_iter().find(|way| lives(*way)).and_then(|way| case.way_says(way)),
            "too few answered flows between nodes to judge",
            "more traffic between nodes",
        );
    }
    if only_come_in(case, &across) {
        let text = case.way_says(Way::AcrossIn).unwrap_or_default().text;
        let says = format!("{text}: they come in, and the pods do not answer them, as with a scan");
        return Exclusion::open(says, "more traffic between nodes");
    }
    if let Some((reached, nodes)) = agent_reaches(case) {
        let says = format!(
            "{}, but the agent's own probes reach {reached} of {nodes} nodes, its own among them: it may be the applications",
            across.first().map_or("", |way| way.because.says.as_str())
        );
        return Exclusion::open(says, "more traffic between nodes, or a second look in 2 minutes");
    }
    if let Some(other) = dead.iter().find(|way| way.fate != Fate::Across) {
        return Exclusion::RuledOut(Says { text: other.because.says.clone(), figures: other.because.figures.clone() });
    }
    if !reaches_world(case) && case.way(Way::World).life != Life::Alive || !host(case).is_fine() {
        return Exclusion::open(
            "whether pods reach the world beside it is not known",
            "a pod that can probe (--probe-pod)",
        );
    }
    let only_two = case.around.others == 1;
    let summary = if only_two {
        "Pods of this node reach the world and their node, but no pod of the only other node: the tunnel, the encryption or a \
         peer is broken, here or there."
    } else {
        "Pods of this node reach the world and their node, but no pod of other nodes: the tunnel, the encryption or the peers \
         are broken."
    };
    let mut opinion = Opinion::new(Code::NodeIsolated, Confidence::Medium, summary);
    opinion.because = across.iter().map(|way| way.because.clone()).collect();
    if only_two {
        let says = "with one other node, this node's evidence does not tell which of the two is at fault";
        opinion.confidence_because.push(says.to_owned());
    }
    let nodes = Says::new(other_nodes_say(case.around.others), [(OTHER_NODES, case.around.others.into())]);
    opinion.because.push(Because::said("nodes", nodes));
    if let Some(Encryption::Wireguard { peers, .. }) =
        case.beyond.status.seen().and_then(|status| status.encryption.as_ref())
    {
        let mut says = Says::new("WireGuard encrypts here, with an unknown number of peers", []);
        if let Some(peers) = peers {
            says = Says::new(format!("WireGuard encrypts here, with {peers} peers"), [("peers", (*peers).into())]);
        }
        opinion.because.push(Because::said(Evidence::AgentStatus.name(), says));
    }
    opinion.because.push(egress_says(case));
    Exclusion::applies(opinion)
}
