//! Nodes held against each other: the same failure everywhere is not one node's datapath.

use super::Judgement;
use super::verdict::{Because, Code, Confidence, Kind, RuledOut};

/// Faults that are the same failure when several nodes show them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Pods are cut off, by whatever code.
    PodsCutOff,
    /// The service table is stale.
    ServiceMap,
    /// Programs are gone.
    Programs,
    /// Hosts are cut off.
    HostsCutOff,
}

const fn failure(code: Code) -> Option<Failure> {
    match code {
        Code::StaleDatapath | Code::StaleSelective | Code::EgressBroken => Some(Failure::PodsCutOff),
        Code::StaleServiceMap => Some(Failure::ServiceMap),
        Code::DatapathProgramsMissing => Some(Failure::Programs),
        Code::HostNetworkDown => Some(Failure::HostsCutOff),
        _ => None,
    }
}

/// Compares the nodes of a run and corrects what was said of each by itself.
pub fn compare(nodes: &mut [(String, Judgement)]) {
    if nodes.len() < 2 {
        return;
    }
    cluster_wide(nodes);
    link_local_masquerade(nodes);
    nobody_vouches(nodes);
    name_neighbours(nodes);
}

/// Two nodes or more were judged, and all show the same failure.
fn cluster_wide(nodes: &mut [(String, Judgement)]) {
    let judged: Vec<Option<Failure>> = nodes
        .iter()
        .filter(|(_, j)| j.verdict.kind != Kind::Inconclusive)
        .map(|(_, j)| failure(j.verdict.code))
        .collect();
    let Some(Some(first)) = judged.first().copied() else {
        return;
    };
    if judged.len() < 2 || judged.iter().any(|failure| *failure != Some(first)) {
        return;
    }
    let count = judged.len();
    for (_, judgement) in nodes.iter_mut() {
        let verdict = &mut judgement.verdict;
        if verdict.kind == Kind::Inconclusive {
            continue;
        }
        verdict.because.insert(
            0,
            Because::evidence("comparison", format!("each of the {count} judged nodes shows the same failure")),
        );
        let was = std::mem::replace(&mut verdict.code, Code::ClusterWideOutage);
        verdict.kind = verdict.code.kind();
        verdict.confidence = Confidence::High;
        verdict.summary =
            format!("All {count} judged nodes show the same failure ({}): this is no single node's.", was.name());
        verdict.ruled_out.clear();
    }
}

/// The link-local address is masqueraded on every node or on none.
fn link_local_masquerade(nodes: &mut [(String, Judgement)]) {
    let fine = nodes.iter().find(|(_, j)| j.verdict.kind == Kind::Healthy).map(|(name, _)| name.clone());
    let Some(fine) = fine else {
        return;
    };
    for (_, judgement) in nodes.iter_mut().filter(|(_, j)| j.verdict.code == Code::LinkLocalMasquerade) {
        let verdict = &mut judgement.verdict;
        verdict.code = Code::EvidenceContradictory;
        verdict.kind = verdict.code.kind();
        verdict.summary = format!(
            "DNS of this node's pods is dead and nothing else is; masquerading would hit {fine} too, which is healthy."
        );
        verdict.because.push(Because::evidence("comparison", format!("{fine} answers DNS with the same set-up")));
    }
}

/// A stale node among nodes that could not be judged, and that look broken too, is not told from an outage of all.
fn nobody_vouches(nodes: &mut [(String, Judgement)]) {
    for index in 0..nodes.len() {
        if nodes[index].1.verdict.kind != Kind::Stale {
            continue;
        }
        let others = || nodes.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, (_, j))| j);
        let vouched = others().any(|j| j.verdict.kind != Kind::Inconclusive && failure(j.verdict.code).is_none());
        let broken = others().any(|j| j.verdict.kind == Kind::Inconclusive && j.in_trouble);
        if vouched || !broken {
            continue;
        }
        let verdict = &mut nodes[index].1.verdict;
        let was = verdict.code;
        verdict.code = Code::EvidenceMissing;
        verdict.kind = verdict.code.kind();
        verdict.summary = format!(
            "This looks like {}, but other nodes look broken too and could not be judged: it may be the whole cluster.",
            was.name()
        );
        verdict.because.push(Because::evidence("comparison", "no other node could be found that is fine"));
    }
}

/// Says which nodes are fine beside a stale one.
fn name_neighbours(nodes: &mut [(String, Judgement)]) {
    let fine: Vec<String> =
        nodes.iter().filter(|(_, j)| j.verdict.kind == Kind::Healthy).map(|(name, _)| name.clone()).collect();
    let says = match fine.as_slice() {
        [] => return,
        [one] => format!("{one} is healthy"),
        [first, second] => format!("{first} and {second} are healthy"),
        [first, rest @ ..] => format!("{first} and {} other nodes are healthy", rest.len()),
    };
    for (_, judgement) in nodes.iter_mut().filter(|(_, j)| j.verdict.kind == Kind::Stale) {
        judgement.verdict.ruled_out.insert(0, RuledOut { code: Code::ClusterWideOutage, says: says.clone() });
    }
}
