//! Compares nodes: the same failure everywhere is not one node's datapath.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::case::RESOLVER;
use super::lookalikes::{ANSWERS_HERE, OTHER_NODES, SILENT_NODE, masquerades};
use super::verdict::{Because, Confidence, Figure, Open, RuledOut, Verdict, figures};
use super::{MAY_APPLY, NodeVerdict, mend_first};
use crate::base::evidence::Evidence;
use crate::knowledge::code::{Code, Kind};
use crate::ways::dns::DnsPath;

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
    cluster_dns_answers_others(nodes);
    one_pair_is_cut(nodes);
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
    let dead = |node: &NodeVerdict| may_be_masqueraded(&node.verdict) || node.verdict.code == Code::LinkLocalMasquerade;
    if nodes.iter().all(|(_, node)| dead(node)) {
        for (_, NodeVerdict { verdict, .. }) in nodes.iter_mut() {
            let Some((code, summary)) = put_forward(verdict, Code::LinkLocalMasquerade) else { continue };
            verdict.because.insert(0, masquerades());
            let settle = mend_first(verdict.code);
            verdict.open.push(Open { code, says: format!("{MAY_APPLY}{summary}"), settle, missing_right: None });
        }
    }
    let others = || nodes.iter().map(|(_, node)| node).filter(|node| !dead(node));
    let (why, vouches) = if others().any(|node| node.answered) {
        ("DNS answers on at least one", "DNS answers on at least one node with the same set-up")
    } else if others().any(|node| node.verdict.kind == Kind::Healthy) {
        ("at least one is healthy", "at least one other node is healthy")
    } else {
        return;
    };
    for (_, node) in nodes.iter_mut().filter(|(_, j)| j.verdict.code == Code::LinkLocalMasquerade) {
        let verdict = &mut node.verdict;
        if let Some((code, _)) = put_forward(verdict, Code::NodeLocalDnsDown) {
            // Who masquerades is no reason for anything else.
            verdict.because.retain(|because| because.check != Evidence::AgentStatus.name());
            let says = format!("it would hit the other nodes too, and {vouches}");
            let figures = figures([("nodes_at_least", 1_i64.into())]);
            verdict.ruled_out.insert(0, RuledOut { code, says, figures });
            continue;
        }
        become_inconclusive(verdict, Code::EvidenceContradictory);
        verdict.summary = format!(
            "DNS of this node's pods is dead and nothing else is; masquerading would hit the other nodes too, and {why}."
        );
        verdict.because.push(Because::evidence("comparison", vouches));
    }
}

/// Whether a look-alike stands among those that are open because its rule says that it may apply as well.
fn may_apply(open: &Open, code: Code) -> bool {
    open.code == code && open.says.starts_with(MAY_APPLY)
}

/// Whether this node's resolver hangs by its own evidence, and may be masqueraded by that of all.
pub(super) fn may_be_masqueraded(verdict: &Verdict) -> bool {
    verdict.code == Code::NodeLocalDnsDown && verdict.open.iter().any(|open| may_apply(open, Code::LinkLocalMasquerade))
}

/// What a rule said may apply as well takes the verdict's place. Gives back the code and the summary that stood there; none
/// where nothing was said of this code.
fn put_forward(verdict: &mut Verdict, code: Code) -> Option<(Code, String)> {
    let at = verdict.open.iter().position(|open| may_apply(open, code))?;
    let open = verdict.open.remove(at);
    let was = std::mem::replace(&mut verdict.code, code);
    let summary = std::mem::replace(&mut verdict.summary, open.says.trim_start_matches(MAY_APPLY).to_owned());
    let (settled_by, instead) = (mend_first(was), mend_first(code));
    verdict.open.iter_mut().filter(|open| open.settle == settled_by).for_each(|open| open.settle.clone_from(&instead));
    Some((was, summary))
}

/// Whether this verdict says that cluster DNS is down by what pods of this node alone ask.
fn rests_on_own_queries(verdict: &Verdict) -> bool {
    verdict.code == Code::ClusterDnsDown && verdict.because.iter().any(|why| why.figures.contains_key(ANSWERS_HERE))
}

/// What answers pods of another node is not down.
fn cluster_dns_answers_others(nodes: &mut [(String, NodeVerdict)]) {
    let cluster_dns = Figure::from(DnsPath::ClusterIp.label());
    let answered = |because: &Because| {
        because.figures.get(RESOLVER) == Some(&cluster_dns) && because.figures.get("dead") == Some(&Figure::Count(0))
    };
    let is_answered = |verdict: &Verdict| verdict.kind == Kind::Healthy && verdict.because.iter().any(answered);
    if !nodes.iter().any(|(_, node)| is_answered(&node.verdict)) {
        return;
    }
    for (_, node) in nodes.iter_mut().filter(|(_, node)| rests_on_own_queries(&node.verdict)) {
        let verdict = &mut node.verdict;
        become_inconclusive(verdict, Code::EvidenceContradictory);
        "Cluster DNS answers pods of another node, but not those of this one, whose other ways live: this evidence does not \
         tell why."
            .clone_into(&mut verdict.summary);
        verdict
            .because
            .push(Because::evidence("comparison", "pods of at least one other node get answers of cluster DNS"));
    }
}

/// The one other node of which no pod answers those of this one, where this is not enough for a verdict of its own: that
/// node may be at fault.
fn misses_one_node(verdict: &Verdict) -> Option<&str> {
    let silent = verdict.because.iter().find_map(|because| because.figures.get(SILENT_NODE));
    match silent {
        Some(Figure::Text(name)) if verdict.kind == Kind::Healthy => Some(name),
        _ => None,
    }
}

/// Two nodes that each miss the other, while all the rest misses nobody: what is between these two is broken.
fn one_pair_is_cut(nodes: &mut [(String, NodeVerdict)]) {
    let misses: Vec<Option<&str>> = nodes.iter().map(|(_, node)| misses_one_node(&node.verdict)).collect();
    let pair: Vec<(usize, &str)> = misses.iter().enumerate().filter_map(|(at, other)| Some((at, (*other)?))).collect();
    let [(first, of_first), (second, of_second)] = pair[..] else { return };
    let is_named = |at: usize, name: &str| nodes.get(at).is_some_and(|(node, _)| node == name);
    let each_other = is_named(second, of_first) && is_named(first, of_second);
    if nodes.len() < 3 || !each_other || nodes.iter().any(|(_, node)| node.verdict.kind != Kind::Healthy) {
        return;
    }
    let names: Vec<String> = nodes.iter().map(|(name, _)| name.clone()).collect();
    for (at, other) in [(first, second), (second, first)] {
        let (Some((_, node)), Some(other)) = (nodes.get_mut(at), names.get(other)) else { continue };
        let verdict = &mut node.verdict;
        verdict.code = Code::NodeIsolated;
        verdict.kind = verdict.code.kind();
        verdict.confidence = Some(Confidence::Medium);
        verdict.confidence_because =
            vec!["that the silent node is this one follows from all others being reached".to_owned()];
        verdict.summary = format!(
            "Pods of this node reach those of every other node but {other}, which misses one node as well: the tunnel, the \
             encryption or the peers between these two are broken."
        );
        let figures = figures([("nodes", names.len().into())]);
        let says =
            format!("{other} and this node miss each other; no other of the {} judged nodes misses one", names.len());
        verdict.because.insert(0, Because::evidence("comparison", says).with(figures));
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
            (Kind::Healthy, _) => misses_one_node(verdict).is_none(),
            (Kind::Inconclusive, _) => true,
            (Kind::Stale, _) | (_, Code::LinkLocalMasquerade) => self.healthy,
            _ if may_be_masqueraded(verdict) => self.healthy,
            (Kind::OtherFault, _) if is_isolated_from_one(verdict) || rests_on_own_queries(verdict) => false,
            (Kind::OtherFault, _) => failure(verdict).is_none() || self.apart || self.differ,
        }
    }
}

#[cfg(test)]
mod tests;
