//! The comparison of nodes, by codes and figures alone.

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

fn with(mut node: (String, NodeVerdict), because: Because) -> (String, NodeVerdict) {
    node.1.verdict.because.push(because);
    node
}

fn misses(name: &str, silent: &str) -> (String, NodeVerdict) {
    let figures = figures([(SILENT_NODE, silent.into())]);
    with(node(name, Code::Healthy, None), Because::evidence("ct-list", "one node is silent").with(figures))
}

#[test]
fn two_nodes_that_miss_each_other_are_isolated_where_all_others_miss_nobody() {
    let fine = || node("kolin", Code::Healthy, None);
    let pair = || vec![misses("brno", "graz"), misses("graz", "brno")];
    let with_third = |third| pair().into_iter().chain([third]).collect();
    assert_eq!(compared(with_third(fine())), [Code::NodeIsolated, Code::NodeIsolated, Code::Healthy]);
    let of_third = vec![misses("brno", "kolin"), misses("graz", "kolin"), fine()];
    assert_eq!(compared(of_third), [Code::Healthy; 3], "both miss the third");
    let sick = compared(with_third(node("kolin", Code::StaleDatapath, None)));
    assert_eq!(sick, [Code::Healthy, Code::Healthy, Code::StaleDatapath]);
    assert_eq!(compared(vec![misses("brno", "graz"), fine(), node("graz", Code::Healthy, None)]), [Code::Healthy; 3]);
    assert!(!Known { healthy: true, ..Known::default() }.settles(&misses("brno", "graz").1.verdict));
}

#[test]
fn cluster_dns_that_answers_another_node_is_not_down() {
    let dns = |dead: i64, here: bool| {
        let mut figures = figures([(RESOLVER, DnsPath::ClusterIp.label().into()), ("dead", dead.into())]);
        figures.extend(here.then(|| (ANSWERS_HERE.to_owned(), 0_i64.into())));
        Because::evidence("dns-conntrack", "flows").with(figures)
    };
    let down = || with(node("brno", Code::ClusterDnsDown, None), dns(24, true));
    let answered = with(node("graz", Code::Healthy, None), dns(0, false));
    assert_eq!(compared(vec![down(), answered.clone()]), [Code::EvidenceContradictory, Code::Healthy]);
    let silent = node("graz", Code::Healthy, None);
    assert_eq!(compared(vec![down(), silent]), [Code::ClusterDnsDown, Code::Healthy], "it may ask another resolver");
    let no_endpoint = node("brno", Code::ClusterDnsDown, None);
    assert_eq!(compared(vec![no_endpoint, answered]), [Code::ClusterDnsDown, Code::Healthy]);
}

#[test]
fn resolver_that_is_dead_on_one_node_alone_is_down_and_not_masqueraded() {
    let masqueraded = |says: &str| {
        let mut node = node("brno", Code::LinkLocalMasquerade, None);
        let settle = mend_first(Code::LinkLocalMasquerade);
        node.1.verdict.open =
            vec![Open { code: Code::NodeLocalDnsDown, says: says.to_owned(), settle, missing_right: None }];
        node
    };
    let mut nodes = vec![masqueraded("may apply as well: It hangs."), node("graz", Code::Healthy, None)];
    compare(&mut nodes);
    let verdict = &nodes[0].1.verdict;
    assert_eq!((verdict.code, verdict.summary.as_str()), (Code::NodeLocalDnsDown, "It hangs."));
    assert!(verdict.open.is_empty() && verdict.ruled_out[0].code == Code::LinkLocalMasquerade);
    let unknown = vec![masqueraded("no evidence"), node("graz", Code::Healthy, None)];
    assert_eq!(compared(unknown), [Code::EvidenceContradictory, Code::Healthy]);
}

#[test]
fn what_one_of_two_says_of_the_way_between_them_waits_for_the_other() {
    let known = Known { healthy: true, apart: true, first: None, differ: true };
    let (_, of_two) = node("brno", Code::NodeIsolated, Some(1));
    let (_, of_three) = node("brno", Code::NodeIsolated, Some(2));
    assert!(!known.settles(&of_two.verdict) && known.settles(&of_three.verdict));
}
