//! Compares nodes: the same failure everywhere is not one node's datapath.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::NodeVerdict;
use super::lookalikes::OTHER_NODES;
use super::verdict::{Because, Confidence, Figure, Open, RuledOut, Verdict, figures};
use crate::knowledge::code::{Code, Kind};

/// Faults that are the same failure when several nodes show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

fn failure(verdict: &Verdict) -> Option<Failure> {
    match verdict.code {
        Code::StaleDatapath | Code::StaleSelective | Code::EgressBroken => Some(Failure::PodsCutOff),
        Code::StaleServiceMap => Some(Failure::ServiceMap),
        // A pod's device or an empty map is one node's own; programs of the host that are gone everywhere were removed.
        Code::DatapathProgramsMissing if names_one_pods_or_a_map(verdict) => None,
        Code::DatapathProgramsMissing => Some(Failure::Programs),
        Code::HostNetworkDown => Some(Failure::HostsCutOff),
        _ => None,
    }
}

fn names_one_pods_or_a_map(verdict: &Verdict) -> bool {
    let is_pods = |on: &str| on.contains("lxc");
    verdict.cause.as_ref().is_some_and(|cause| cause.what != "program" || cause.on.as_deref().is_some_and(is_pods))
}

/// What was seen of a neighbour of a node that was judged alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Neighbour {
    /// Nothing, and why.
    NotLooked(String),
    /// There is none: the cluster has one node.
    Alone,
    /// Its pods are answered; one sentence with its figures.
    Answered(String),
    /// Its pods are cut off, too.
    SameFailure {
        /// Its name.
        node: String,
        /// One sentence with its figures.
        says: String,
    },
}

/// Compares the nodes of a run and corrects what was said of each by itself.
pub fn compare(nodes: &mut [(String, NodeVerdict)]) {
    if let [(_, node)] = nodes {
        with_neighbour(node);
        return;
    }
    cluster_wide(nodes);
    link_local_masquerade(nodes);
    nobody_vouches(nodes);
    name_neighbours(nodes);
    isolated_by_the_other(nodes);
}

/// One node was judged: a neighbour that was looked at speaks for the others.
fn with_neighbour(node: &mut NodeVerdict) {
    let verdict = &mut node.verdict;
    let Some(neighbour) = &node.neighbour else { return };
    match neighbour {
        Neighbour::SameFailure { node, says } => {
            let of_neighbour = figures([("nodes", 2_i64.into()), ("neighbour", says.clone().into())]);
            verdict.because.insert(0, Because::evidence("comparison", says.clone()).with(of_neighbour));
            let was = std::mem::replace(&mut verdict.code, Code::ClusterWideOutage);
            verdict.kind = verdict.code.kind();
            verdict.confidence = Some(Confidence::Medium);
            verdict.confidence_because = vec!["only one other node was looked at, by its dump alone".to_owned()];
            verdict.summary = format!(
                "{node} shows the same failure as this node ({}), so this is not a single-node problem.",
                was.name()
            );
            verdict.ruled_out.clear();
        }
        Neighbour::Answered(says) if verdict.kind != Kind::Healthy => {
            verdict.ruled_out.insert(
                0,
                RuledOut {
                    code: Code::ClusterWideOutage,
                    says: says.clone(),
                    figures: figures([("neighbour", says.clone().into())]),
                },
            );
        }
        Neighbour::NotLooked(why) if verdict.kind == Kind::Stale => {
            let settle = "another node: --all-nodes, or --node NAME once more".to_owned();
            let code = Code::ClusterWideOutage;
            verdict.open.insert(0, Open { code, says: why.clone(), settle, missing_right: None });
            // Dead flows look the same in an outage of all; a direct sign does not.
            if failure(verdict) == Some(Failure::PodsCutOff) {
                verdict.confidence = verdict.confidence.map(|confidence| confidence.min(Confidence::Medium));
                verdict.confidence_because.push("no other node was looked at".to_owned());
            }
        }
        Neighbour::Alone if verdict.kind == Kind::Stale => {
            let says = "this is the cluster's only node".to_owned();
            let figures = figures([("nodes", 1_i64.into())]);
            verdict.ruled_out.insert(0, RuledOut { code: Code::ClusterWideOutage, says, figures });
        }
        Neighbour::Answered(_) | Neighbour::NotLooked(_) | Neighbour::Alone => {}
    }
}

/// Two nodes or more were judged, and all show the same failure.
fn cluster_wide(nodes: &mut [(String, NodeVerdict)]) {
    let judged: Vec<Option<Failure>> =
        nodes.iter().filter(|(_, j)| j.verdict.kind != Kind::Inconclusive).map(|(_, j)| failure(&j.verdict)).collect();
    let Some(Some(first)) = judged.first().copied() else {
        return;
    };
    if judged.len() < 2 || judged.iter().any(|failure| *failure != Some(first)) {
        return;
    }
    if first == Failure::Programs && causes_differ(nodes) {
        return;
    }
    if some_reach_the_world(nodes) {
        return;
    }
    let count = judged.len();
    let seen = nodes.iter().map(|(_, j)| &j.verdict).filter(|verdict| verdict.kind != Kind::Inconclusive);
    let codes: BTreeSet<&'static str> = seen.map(|verdict| verdict.code.name()).collect();
    let same = codes.len() == 1;
    let codes = codes.into_iter().collect::<Vec<_>>().join(", ");
    // Nodes that fail in different ways may have more than one cause.
    let (confidence, says, summary) = if same {
        (
            Confidence::High,
            format!("each of the {count} judged nodes shows the same failure"),
            format!("All {count} judged nodes show the same failure ({codes}), so this is not a single-node problem."),
        )
    } else {
        (
            Confidence::Medium,
            format!("each of the {count} judged nodes is cut off in one way or another: {codes}"),
            format!("All {count} judged nodes are cut off, in different ways ({codes}): look for what they share."),
        )
    };
    for (_, node) in nodes.iter_mut() {
        let verdict = &mut node.verdict;
        if verdict.kind == Kind::Inconclusive {
            continue;
        }
        let compared = figures([("nodes", count.into())]);
        verdict.because.insert(0, Because::evidence("comparison", says.clone()).with(compared));
        verdict.code = Code::ClusterWideOutage;
        verdict.kind = verdict.code.kind();
        verdict.confidence = Some(confidence);
        verdict.confidence_because = if same {
            Vec::new()
        } else {
            vec!["the nodes fail in different ways, so they may have more than one cause".to_owned()]
        };
        verdict.summary.clone_from(&summary);
        verdict.ruled_out.clear();
    }
}

/// Whether egress is broken on all of these nodes, and pods of some reach the world by address while those of others do not:
/// names that are not found there may be the consequence of what is broken here.
fn some_reach_the_world(nodes: &[(String, NodeVerdict)]) -> bool {
    let judged = || nodes.iter().map(|(_, j)| &j.verdict).filter(|verdict| verdict.kind != Kind::Inconclusive);
    let reaches = |verdict: &Verdict| {
        let says = |because: &Because| because.figures.get("by_address") == Some(&Figure::from("ok"));
        verdict.because.iter().any(says)
    };
    let some = judged().any(reaches);
    judged().all(|verdict| verdict.code == Code::EgressBroken) && some && !judged().all(reaches)
}

/// Whether the nodes name different broken things: programs of different pods are no failure of all nodes.
fn causes_differ(nodes: &[(String, NodeVerdict)]) -> bool {
    let judged = nodes.iter().map(|(_, j)| &j.verdict).filter(|verdict| verdict.kind != Kind::Inconclusive);
    let mut causes = judged.filter_map(|verdict| verdict.cause.as_ref()).map(|cause| (&cause.name, &cause.on));
    causes.next().is_some_and(|first| causes.any(|other| other != first))
}

/// The link-local address is masqueraded on every node or on none.
fn link_local_masquerade(nodes: &mut [(String, NodeVerdict)]) {
    let works = |j: &NodeVerdict| j.verdict.kind == Kind::Healthy || j.answered;
    if !nodes.iter().any(|(_, j)| j.verdict.code != Code::LinkLocalMasquerade && works(j)) {
        return;
    }
    for (_, node) in nodes.iter_mut().filter(|(_, j)| j.verdict.code == Code::LinkLocalMasquerade) {
        let verdict = &mut node.verdict;
        become_inconclusive(verdict, Code::EvidenceContradictory);
        "DNS of this node's pods is dead and nothing else is; masquerading would hit the other nodes too, and DNS answers on at \
         least one."
            .clone_into(&mut verdict.summary);
        verdict.because.push(Because::evidence("comparison", "DNS answers on a node with the same set-up"));
    }
}

/// The comparison leaves a verdict open that a node by itself would have: it has no confidence any more.
fn become_inconclusive(verdict: &mut Verdict, code: Code) {
    verdict.code = code;
    verdict.kind = code.kind();
    verdict.confidence = None;
    verdict.confidence_because.clear();
}

/// A stale node among nodes that could not be judged, and that look broken too, is not told from an outage of all.
fn nobody_vouches(nodes: &mut [(String, NodeVerdict)]) {
    for index in 0..nodes.len() {
        if nodes.get(index).is_none_or(|(_, node)| node.verdict.kind != Kind::Stale) {
            continue;
        }
        let others = || nodes.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, (_, j))| j);
        let is_fine = |j: &NodeVerdict| j.verdict.kind != Kind::Inconclusive && failure(&j.verdict).is_none();
        let vouched = others().any(|j| is_fine(j) || j.answered);
        let broken = others().any(|j| j.verdict.kind == Kind::Inconclusive && j.in_trouble);
        if vouched || !broken {
            continue;
        }
        let Some((_, NodeVerdict { verdict, .. })) = nodes.get_mut(index) else { continue };
        let was = verdict.code;
        become_inconclusive(verdict, Code::EvidenceMissing);
        verdict.summary = format!(
            "This looks like {}, but other nodes look broken too and could not be judged: it may be the whole cluster.",
            was.name()
        );
        verdict.because.push(Because::evidence("comparison", "no other node is known to be fine"));
    }
}

/// Whether this is the opinion of one node of two: its pods reach none of the other, and which of the two is at fault its own
/// evidence does not tell.
fn is_isolated_from_one(verdict: &Verdict) -> bool {
    let from_one = |because: &Because| because.figures.get(OTHER_NODES) == Some(&Figure::Count(1));
    verdict.code == Code::NodeIsolated && verdict.because.iter().any(from_one)
}

/// What is wrong with a node that explains why its pods are not reached; none where nothing is known to be.
fn explains_isolation(node: &NodeVerdict) -> Option<String> {
    let codes = [
        Code::AgentNotRunning,
        Code::AgentStarting,
        Code::ConntrackFull,
        Code::DatapathDrops,
        Code::DatapathNotInitialized,
        Code::DatapathProgramsDuplicated,
        Code::HostFirewallDrops,
    ];
    let code = node.verdict.code;
    if node.verdict.kind == Kind::Stale || failure(&node.verdict).is_some() || codes.contains(&code) {
        return Some(format!("is {}", code.name()));
    }
    let silent = node.verdict.kind == Kind::Inconclusive && node.in_trouble && !node.answered;
    silent.then(|| format!("is {}, and its pods are not seen to get any answer", code.name()))
}

/// In a cluster of two nodes, each that reaches no pod of the other looks isolated. Where the other has a fault of its own,
/// that comes first, and nothing else was seen of this one.
fn isolated_by_the_other(nodes: &mut [(String, NodeVerdict)]) {
    let [(first, one), (second, other)] = nodes else { return };
    let (of_first, of_second) = (explains_isolation(one), explains_isolation(other));
    for (verdict, node, by) in [(&mut one.verdict, second, of_second), (&mut other.verdict, first, of_first)] {
        let Some(by) = by.filter(|_| is_isolated_from_one(verdict)) else { continue };
        become_inconclusive(verdict, Code::EvidenceMissing);
        verdict.summary = format!(
            "Pods of this node reach no pod of {node}, and {node} {by}, which explains it: mend {node} first, then diagnose \
             this node again."
        );
        verdict.because.insert(0, Because::evidence("comparison", format!("{node} {by}")));
    }
}

/// Says that others are fine beside a stale node. It does not say which: a line that was printed before all nodes were
/// known has to say the same.
fn name_neighbours(nodes: &mut [(String, NodeVerdict)]) {
    if !nodes.iter().any(|(_, j)| j.verdict.kind == Kind::Healthy) {
        return;
    }
    for (_, node) in nodes.iter_mut().filter(|(_, j)| j.verdict.kind == Kind::Stale) {
        let says = "not every node shows it: at least one other is healthy".to_owned();
        let figures = figures([("healthy_at_least", 1_i64.into())]);
        node.verdict.ruled_out.insert(0, RuledOut { code: Code::ClusterWideOutage, says, figures });
    }
}

/// What of the nodes that are known so far decides whether those still to come can change what [`compare`] says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    healthy: bool,
    /// A judged node that shows no failure that could be everybody's.
    apart: bool,
    first: Option<Failure>,
    differ: bool,
}

impl Known {
    /// Takes in one more node, as it was judged by itself.
    pub fn add(&mut self, verdict: &Verdict) {
        if verdict.kind == Kind::Inconclusive {
            return;
        }
        self.healthy |= verdict.kind == Kind::Healthy;
        match (failure(verdict), self.first) {
            (None, _) => self.apart = true,
            (Some(this), Some(first)) => self.differ |= this != first,
            (this, None) => self.first = this,
        }
    }

    /// Whether the verdict on a node stays as it is, whatever is found on further nodes. For a stale node,
    /// and for masqueraded DNS, a healthy node has to be known, and comparing with it alone gives all there is to say.
    #[must_use]
    pub fn settles(&self, verdict: &Verdict) -> bool {
        match (verdict.kind, verdict.code) {
            (Kind::Healthy | Kind::Inconclusive, _) => true,
            (Kind::Stale, _) | (_, Code::LinkLocalMasquerade) => self.healthy,
            (Kind::OtherFault, _) if is_isolated_from_one(verdict) => false,
            (Kind::OtherFault, _) => failure(verdict).is_none() || self.apart || self.differ,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, code: Code, other_nodes: Option<i64>) -> (String, NodeVerdict) {
        let because = other_nodes
            .map(|others| Because::evidence("nodes", "other nodes").with(figures([(OTHER_NODES, others.into())])));
        let verdict = Verdict {
            kind: code.kind(),
            code,
            confidence: Some(Confidence::Medium),
            confidence_because: Vec::new(),
            summary: code.name().to_owned(),
            cause: None,
            because: because.into_iter().collect(),
            ruled_out: Vec::new(),
            open: Vec::new(),
        };
        let judged = NodeVerdict {
            verdict,
            affected: Vec::new(),
            in_trouble: true,
            answered: code == Code::NodeIsolated,
            notes: Vec::new(),
            neighbour: None,
        };
        (name.to_owned(), judged)
    }

    fn compared(mut nodes: Vec<(String, NodeVerdict)>) -> Vec<Code> {
        compare(&mut nodes);
        nodes.into_iter().map(|(_, judged)| judged.verdict.code).collect()
    }

    #[test]
    fn names_that_one_node_does_not_find_are_not_the_dead_world_of_another() {
        let broken = |name: &str, by_address: &str| {
            let (name, mut judged) = node(name, Code::EgressBroken, None);
            let says = Because::evidence("pod-egress", "it fails").with(figures([("by_address", by_address.into())]));
            judged.verdict.because.push(says);
            (name, judged)
        };
        let unlike = vec![broken("brno", "failed"), broken("graz", "ok")];
        assert_eq!(compared(unlike), [Code::EgressBroken, Code::EgressBroken]);
        for same in ["failed", "ok"] {
            let alike = vec![broken("brno", same), broken("graz", same)];
            assert_eq!(compared(alike), [Code::ClusterWideOutage, Code::ClusterWideOutage], "{same}");
        }
        let stale = vec![node("brno", Code::StaleDatapath, None), broken("graz", "ok")];
        assert_eq!(compared(stale), [Code::ClusterWideOutage, Code::ClusterWideOutage]);
    }

    #[test]
    fn dns_that_answers_on_another_node_rules_masquerading_out() {
        let (name, mut other) = node("graz", Code::EvidenceMissing, None);
        other.answered = true;
        let nodes = vec![node("brno", Code::LinkLocalMasquerade, None), (name, other)];
        assert_eq!(compared(nodes), [Code::EvidenceContradictory, Code::EvidenceMissing]);
        let nodes = vec![node("brno", Code::LinkLocalMasquerade, None), node("graz", Code::EvidenceMissing, None)];
        assert_eq!(compared(nodes), [Code::LinkLocalMasquerade, Code::EvidenceMissing]);
    }

    #[test]
    fn a_fault_of_the_only_other_node_explains_why_its_pods_are_not_reached() {
        for fault in [Code::StaleDatapath, Code::HostNetworkDown, Code::AgentStarting] {
            let nodes = vec![node("brno", Code::NodeIsolated, Some(1)), node("graz", fault, None)];
            assert_eq!(compared(nodes), [Code::EvidenceMissing, fault]);
        }
    }

    #[test]
    fn of_two_nodes_that_are_both_cut_off_from_each_other_both_are_named() {
        let nodes = vec![node("brno", Code::NodeIsolated, Some(1)), node("graz", Code::NodeIsolated, Some(1))];
        assert_eq!(compared(nodes), [Code::NodeIsolated, Code::NodeIsolated]);
        let fine = vec![node("brno", Code::NodeIsolated, Some(1)), node("graz", Code::Healthy, None)];
        assert_eq!(compared(fine), [Code::NodeIsolated, Code::Healthy]);
    }

    #[test]
    fn a_node_that_reaches_none_of_several_others_is_isolated_whatever_one_of_them_has() {
        let nodes = vec![node("brno", Code::NodeIsolated, Some(2)), node("graz", Code::StaleDatapath, None)];
        assert_eq!(compared(nodes), [Code::NodeIsolated, Code::StaleDatapath]);
    }

    #[test]
    fn what_one_of_two_says_of_the_way_between_them_waits_for_the_other() {
        let known = Known { healthy: true, apart: true, first: None, differ: true };
        let (_, of_two) = node("brno", Code::NodeIsolated, Some(1));
        let (_, of_three) = node("brno", Code::NodeIsolated, Some(2));
        assert!(!known.settles(&of_two.verdict) && known.settles(&of_three.verdict));
    }
}
