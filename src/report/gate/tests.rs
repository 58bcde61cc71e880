//! What a gate says of one node, whatever the two looks at it were.

use super::*;
use crate::knowledge::check_id::CheckId;
use crate::report::{sample, text};

fn gate(before: Option<&NodeReport>, after: &NodeReport, unsettled: Option<&str>) -> NodeGate {
    let chosen =
        ChosenNode { because: "named".to_owned(), agent_changed: Some(true), unsettled: unsettled.map(str::to_owned) };
    NodeGate::new(before, after, &chosen, Some("grigri"))
}

fn healthy() -> NodeReport {
    sample::healthy("prusik")
}

fn with_code(code: Code) -> NodeReport {
    let mut node = healthy();
    node.verdict.kind = code.kind();
    node.verdict.code = code;
    node
}

fn with_status(mut node: NodeReport, id: CheckId, status: Status) -> NodeReport {
    node.checks.iter_mut().find(|check| check.id == id).expect("the check").status = status;
    node
}

#[test]
fn new_fault_is_worse_and_names_the_checks_with_both_values() {
    let node = gate(Some(&healthy()), &sample::stale(), None);
    assert_eq!(node.result, GateResult::Worse);
    let what: Vec<&str> = node.worse.iter().map(|change| change.what.as_str()).collect();
    assert_eq!(what, ["verdict", "pod-egress.status", "dns-conntrack.status", "external-conntrack.status"]);
    assert_eq!((&node.worse[1].before, &node.worse[1].after), (&"pass".into(), &"fail".into()));
    assert!(node.says.starts_with("healthy before, stale-datapath now; pod-egress, dns-conntrack"), "{}", node.says);
    assert_eq!(node.next, ["staledp diagnose --context=grigri --node prusik"]);
    assert_eq!(
        gate(Some(&with_code(Code::ClusterDnsDown)), &with_code(Code::StaleMap), None).result,
        GateResult::Worse
    );
}

#[test]
fn check_that_passed_and_fails_now_is_worse_whatever_the_verdict() {
    for code in [Code::Healthy, Code::HostNetworkDown] {
        let after = with_status(with_code(code), CheckId::HostPing, Status::Fail);
        let node = gate(Some(&with_code(code)), &after, None);
        assert_eq!(node.result, GateResult::Worse, "{code:?}");
        assert_eq!(node.worse.len(), 1, "{:?}", node.worse);
        assert!(node.says.contains("host-ping did not fail before and fails now"), "{}", node.says);
    }
    let unknown = with_status(healthy(), CheckId::HostPing, Status::Unknown);
    let failing = with_status(healthy(), CheckId::HostPing, Status::Fail);
    assert_eq!(gate(Some(&unknown), &failing, None).result, GateResult::NoWorse, "it was not seen to pass before");
}

#[test]
fn healthy_node_that_has_settled_is_no_worse_and_one_that_has_not_is_not() {
    for before in [None, Some(&healthy()), Some(&sample::stale()), Some(&sample::inconclusive())] {
        assert_eq!(gate(before, &healthy(), None).result, GateResult::NoWorse);
        let waits = gate(before, &healthy(), Some("its agent cilium-a is not ready"));
        assert_eq!(waits.result, GateResult::CannotTell);
        assert!(waits.says.contains("it has not settled: its agent cilium-a is not ready"), "{}", waits.says);
    }
}

#[test]
fn what_was_not_seen_is_never_no_worse() {
    let befores = [None, Some(healthy()), Some(sample::stale()), Some(sample::inconclusive())];
    for code in Code::ALL.iter().filter(|code| code.kind() == Kind::Inconclusive || **code == Code::AgentStarting) {
        for before in &befores {
            for unsettled in [None, Some("it is young")] {
                let node = gate(before.as_ref(), &with_code(*code), unsettled);
                assert_eq!(node.result, GateResult::CannotTell, "{code:?} after {before:?}");
                assert!(node.says.contains(code.name()), "{}", node.says);
            }
        }
    }
}

#[test]
fn fault_that_cannot_be_compared_cannot_be_told() {
    let before = [None, Some(with_code(Code::TooLittleTraffic)), Some(with_code(Code::ClusterDnsDown))];
    for before in &before {
        let node = gate(before.as_ref(), &with_code(Code::NodeIsolated), None);
        assert_eq!(node.result, GateResult::CannotTell, "{before:?}");
    }
    let other = gate(Some(&with_code(Code::StaleDatapath)), &with_code(Code::NewPodsStuck), None);
    assert_eq!(other.result, GateResult::CannotTell);
    assert!(other.says.contains("cannot be compared"), "{}", other.says);
}

#[test]
fn fault_of_before_is_no_worse() {
    let fault = with_code(Code::ClusterDnsDown);
    assert_eq!(gate(Some(&fault), &fault, None).says, "cluster-dns-down before and now");
    assert_eq!(gate(Some(&fault), &fault, None).result, GateResult::NoWorse);
    assert_eq!(gate(Some(&fault), &fault, Some("it is young")).result, GateResult::CannotTell);
}

fn report(nodes: Vec<NodeGate>) -> GateReport {
    let baseline = GateBaseline {
        path: "before.json".to_owned(),
        generated_at: "2026-06-06T11:00:00Z".to_owned(),
        captured_at: None,
        context: None,
    };
    GateReport::new(baseline, sample::report(Vec::new()), nodes)
}

#[test]
fn worst_node_decides_the_exit_code_and_no_node_at_all_passes_nothing() {
    let worse = || gate(Some(&healthy()), &sample::stale(), None);
    let open = || gate(Some(&healthy()), &with_code(Code::EvidenceMissing), None);
    let fine = || gate(Some(&healthy()), &healthy(), None);
    assert_eq!(report(vec![fine()]).exit(), Exit::Healthy);
    assert_eq!(report(vec![fine(), open()]).exit(), Exit::Inconclusive);
    let all = report(vec![fine(), open(), worse()]);
    assert_eq!(all.exit(), Exit::Stale);
    let order: Vec<GateResult> = all.nodes.iter().map(|node| node.result).collect();
    assert_eq!(order, [GateResult::Worse, GateResult::CannotTell, GateResult::NoWorse]);
    assert_eq!(report(Vec::new()).exit(), Exit::Inconclusive);
    assert_eq!(GateReport { partial: true, ..report(vec![fine()]) }.exit(), Exit::Inconclusive);
}

#[test]
fn text_ends_with_the_result_and_fits_narrow_screens() {
    let mut found = report(vec![gate(Some(&healthy()), &sample::stale(), None), NodeGate::gone(&healthy(), "named")]);
    found.unchanged = (0..30).map(|n| format!("node-{n}")).collect();
    let text = found.text(text::UNBOUNDED, false, true);
    assert!(text.contains("\nverdict             healthy"), "{text}");
    assert!(text.contains("\nNext: staledp diagnose --context=grigri --node prusik\n"), "{text}");
    assert!(text.contains("node-9 and 20 more\n"), "{text}");
    assert!(text.ends_with("\nWorse: 2 nodes judged: 1 worse, 1 cannot be told\n"), "{text}");
    let narrow = found.text(50, true, true);
    let long = narrow.lines().find(|line| text::width(line) > 50 && !line.starts_with("Next: "));
    assert_eq!(long, None, "{narrow}");
    assert!(report(Vec::new()).text(80, false, true).ends_with("\nCannot tell: no node was judged\n"));
}
