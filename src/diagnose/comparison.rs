//! Compares the nodes of a report: once all are known, and each as soon as no other can change its verdict.

use super::entry::advice;
use crate::knowledge::code::{Code, Kind};
use crate::knowledge::codes;
use crate::report::{Alone, KnownIssue, NodeReport};
use crate::rules::NodeVerdict;
use crate::rules::fleet;
use crate::rules::fleet::Known;
use crate::symptoms::explained::explain_symptoms;

/// Compares the nodes, whatever an earlier comparison of fewer of them said.
pub(crate) fn compare(nodes: &mut [NodeReport]) {
    nodes.sort_by(|a, b| a.node.cmp(&b.node));
    nodes.iter_mut().for_each(forget);
    if nodes.len() > 1 {
        // The nodes speak for each other; what one of them alone saw of a neighbour is not needed any more.
        for node in &mut *nodes {
            node.neighbour = None;
        }
    }
    let mut judged: Vec<(String, NodeVerdict)> =
        nodes.iter().map(|node| (node.node.clone(), judgement(node))).collect();
    fleet::compare(&mut judged);
    for (node, (_, judgement)) in nodes.iter_mut().zip(judged) {
        correct(node, judgement);
        explain_symptoms(&mut node.symptoms, &node.verdict, &node.affected);
    }
}

/// Drops what only a further comparison needs: in a whole report it would be a second opinion, remedy and all.
pub(crate) fn make_final(nodes: &mut [NodeReport]) {
    for node in nodes {
        node.alone = None;
    }
}

fn judgement(node: &NodeReport) -> NodeVerdict {
    NodeVerdict {
        verdict: node.verdict.clone(),
        affected: node.affected.clone(),
        in_trouble: node.in_trouble,
        answered: node.answered,
        notes: Vec::new(),
        neighbour: node.neighbour.clone(),
    }
}

/// Takes back what a comparison said.
fn forget(node: &mut NodeReport) {
    if let Some(alone) = node.alone.take() {
        let Alone { verdict, remediation, advice, known_issues } = *alone;
        (node.verdict, node.remediation, node.advice, node.known_issues) = (verdict, remediation, advice, known_issues);
    }
    // Nobody but the comparison knows it.
    node.verdict.ruled_out.retain(|out| out.code != Code::ClusterWideOutage);
    node.verdict.open.retain(|open| open.code != Code::ClusterWideOutage);
}

fn correct(node: &mut NodeReport, judgement: NodeVerdict) {
    let before = std::mem::replace(&mut node.verdict, judgement.verdict);
    let code = node.verdict.code;
    if (code, node.verdict.confidence) == (before.code, before.confidence) {
        return;
    }
    let changed = code != before.code;
    node.alone = Some(Box::new(Alone {
        verdict: before,
        remediation: node.remediation.clone(),
        advice: node.advice.clone(),
        known_issues: node.known_issues.clone(),
    }));
    if changed {
        // A comparison never makes a node stale, so there is no remedy to find here; and issues are told by what was
        // seen of one node: those of masqueraded queries stand there, for the node itself said that they may be it.
        (node.remediation, node.advice) = (None, advice(code));
        let known = if code == Code::LinkLocalMasquerade { codes::text(code).issues } else { &[] };
        let number = |issue: &KnownIssue| issue.id.rsplit('#').next().and_then(|number| number.parse().ok());
        node.known_issues.retain(|issue| number(issue).is_some_and(|number| known.contains(&number)));
    }
}

/// The entries that still wait for the comparison.
#[derive(Default)]
pub(super) struct Waiting {
    known: Known,
    witness: Option<NodeReport>,
    held: Vec<NodeReport>,
}

impl Waiting {
    /// Takes in an entry, as the node was judged by itself, and gives back those that no further node can change.
    pub(super) fn add(&mut self, entry: NodeReport) -> Vec<NodeReport> {
        let before = self.known;
        self.known.add(&entry.verdict);
        if self.witness.is_none() && entry.verdict.kind == Kind::Healthy {
            self.witness = Some(entry.clone());
        }
        let known = self.known;
        let (settled, held): (Vec<NodeReport>, Vec<NodeReport>) = if known == before {
            // Those that were held back stay so where nothing new is known: looking at all of them each time would cost
            // the square of their number.
            [entry].into_iter().partition(|e| known.settles(&e.verdict))
        } else {
            std::mem::take(&mut self.held).into_iter().chain([entry]).partition(|e| known.settles(&e.verdict))
        };
        self.held.extend(held);
        let mut settled = settled;
        for entry in &mut settled {
            if let Some(witness) = self.witness.clone().filter(|witness| witness.node != entry.node) {
                let name = entry.node.clone();
                let mut pair = [entry.clone(), witness];
                compare(&mut pair);
                if let Some(compared) = pair.into_iter().find(|e| e.node == name) {
                    *entry = compared;
                }
            }
        }
        settled
    }

    /// Those that were held back to the end; the comparison of all decides on them.
    pub(super) fn rest(self) -> Vec<NodeReport> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::{Cilium, SourceInfo, json};
    use crate::rules::verdict::{Confidence, RuledOut, Verdict};

    fn entry(index: usize, code: Code, in_trouble: bool) -> NodeReport {
        let ruled_out = vec![RuledOut {
            code: Code::NodeLocalDnsDown,
            says: "it answers".to_owned(),
            figures: crate::rules::verdict::Figures::new(),
        }];
        NodeReport {
            node: format!("node-{index:02}"),
            context: None,
            cilium: Cilium { version: Some("1.19.4".to_owned()), ..Cilium::default() },
            verdict: Verdict {
                kind: code.kind(),
                code,
                confidence: Some(Confidence::Medium),
                confidence_because: vec![],
                cause: None,
                open: vec![],
                summary: format!("it is {}", code.name()),
                because: vec![],
                ruled_out,
            },
            checks: vec![],
            affected: vec![],
            remediation: None,
            advice: advice(code),
            notes: vec![],
            in_trouble,
            answered: code == Code::Healthy,
            alone: None,
            ways: vec![],
            last_answers: vec![],
            symptoms: vec![],
            neighbour: None,
            known_issues: vec![],
            restart: None,
        }
    }

    fn text(node: &NodeReport) -> String {
        json::jsonl_node(node, &SourceInfo::live(None)).unwrap()
    }

    fn nodes() -> impl Strategy<Value = Vec<NodeReport>> {
        let codes = prop_oneof![
            2 => Just(Code::Healthy),
            3 => Just(Code::StaleDatapath),
            1 => Just(Code::StaleServiceMap),
            3 => Just(Code::EgressBroken),
            1 => Just(Code::HostNetworkDown),
            1 => Just(Code::LinkLocalMasquerade),
            1 => Just(Code::AgentNotRunning),
            2 => Just(Code::EvidenceMissing),
        ];
        proptest::collection::vec((codes, any::<bool>()), 1..7)
            .prop_map(|list| list.into_iter().enumerate().map(|(i, (code, trouble))| entry(i, code, trouble)).collect())
    }

    proptest! {
        #[test]
        fn what_is_said_early_is_what_is_said_in_the_end(nodes in nodes()) {
            let mut all = nodes.clone();
            compare(&mut all);
            let mut waiting = Waiting::default();
            let mut early = Vec::new();
            for node in nodes {
                early.extend(waiting.add(node));
            }
            prop_assert_eq!(early.len() + waiting.rest().len(), all.len());
            for node in early {
                let last = all.iter().find(|other| other.node == node.node).unwrap();
                prop_assert_eq!(text(&node), text(last));
            }
        }

        #[test]
        fn slices_compared_and_joined_are_the_whole(nodes in nodes(), cut in 0..7_usize) {
            let mut all = nodes.clone();
            compare(&mut all);
            let mut left = nodes;
            let mut right = left.split_off(cut.min(left.len()));
            compare(&mut left);
            compare(&mut right);
            left.extend(right);
            compare(&mut left);
            let texts = |nodes: &[NodeReport]| nodes.iter().map(text).collect::<Vec<_>>();
            prop_assert_eq!(texts(&left), texts(&all));
        }
    }

    #[test]
    fn one_healthy_node_lets_the_others_go() {
        let mut waiting = Waiting::default();
        for index in 0..3 {
            assert!(waiting.add(entry(index, Code::StaleDatapath, true)).is_empty(), "it may be an outage of all");
        }
        assert_eq!(waiting.add(entry(3, Code::Healthy, false)).len(), 4);
        assert_eq!(waiting.add(entry(4, Code::StaleDatapath, true)).len(), 1);
    }
}
