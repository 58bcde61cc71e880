//! Reports made by hand, for the tests of this module: one node of each kind.

use serde_json::{Value, json};

use super::{Check, CheckData, Cilium, KnownIssue, NodeReport, Report, SCHEMA, SourceInfo, Summary};
use crate::base::tool::Tool;
use crate::checks::Status;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Code;
use crate::knowledge::risk::RiskLevel;
use crate::rules::verdict::{Affected, Because, Confidence, Figures, Open, Remediation, Risk, RuledOut, Verdict};

/// A report of these nodes.
pub(super) fn report(nodes: Vec<NodeReport>) -> Report {
    Report {
        schema: SCHEMA.into(),
        tool: Tool::THIS,
        generated_at: "2026-06-06T12:00:00Z".to_owned(),
        source: SourceInfo {
            captured_at: Some("2026-06-06T11:59:30Z".to_owned()),
            ..SourceInfo::live(Some("grigri".to_owned()))
        },
        summary: Summary::of(&nodes),
        partial: false,
        partial_reason: None,
        shard: None,
        notes: vec![],
        skipped: vec![],
        nodes,
    }
}

fn check(id: CheckId, status: Status, summary: &str, data: Value) -> Check {
    let reason = (status == Status::Unknown).then(|| summary.to_owned());
    let data = CheckData::read(id, data).unwrap();
    let summary = summary.to_owned();
    Check { id, status, summary, reason, missing_right: None, duration_ms: Some(1034), data }
}

fn host_ok() -> Check {
    check(
        CheckId::HostPing,
        Status::Pass,
        "the node reaches 1.1.1.1",
        json!({"via": "ssh", "target": "1.1.1.1", "sent": 2, "received": 2, "rtt_avg_ms": 9.83}),
    )
}

fn backends_ok() -> Check {
    check(
        CheckId::DnsBackends,
        Status::Pass,
        "the datapath knows both ready endpoints of cluster DNS",
        json!({"service": "kube-system/kube-dns", "address": "10.43.0.10", "row_type": "ClusterIP", "realized": 2,
            "expected": 2, "by_protocol": {"TCP": {"realized": 2, "expected": 2}, "UDP": {"realized": 2, "expected": 2}}}),
    )
}

fn node(name: &str, code: Code, confidence: Confidence, summary: &str, checks: Vec<Check>) -> NodeReport {
    NodeReport {
        node: name.to_owned(),
        context: None,
        cilium: Cilium {
            namespace: Some("kube-system".to_owned()),
            pod: Some("cilium-swmbt".to_owned()),
            version: Some("1.19.4".to_owned()),
            started_at: Some("2026-05-02T08:11:40Z".to_owned()),
        },
        verdict: Verdict {
            kind: code.kind(),
            code,
            confidence: Some(confidence),
            confidence_because: vec![],
            cause: None,
            open: vec![],
            summary: summary.to_owned(),
            because: vec![],
            ruled_out: vec![],
        },
        checks,
        affected: vec![],
        remediation: None,
        advice: vec![],
        notes: vec![],
        in_trouble: false,
        answered: true,
        alone: None,
        neighbour: None,
        known_issues: vec![],
        restart: None,
        ways: vec![],
        last_answers: vec![],
        symptoms: vec![],
    }
}

/// A healthy node, of the kind that the runbook convicts: every line says `Packets=0`.
pub(crate) fn healthy(name: &str) -> NodeReport {
    node(
        name,
        Code::Healthy,
        Confidence::High,
        "DNS and egress of this node's pods are answered",
        vec![
            host_ok(),
            check(
                CheckId::PodEgress,
                Status::Pass,
                "a pod of this node reaches the outside, by name and by address",
                json!({"probes": [{"pod": "web-7d9c", "namespace": "shop", "tool": "wget", "by_name": "ok",
                    "by_address": "ok", "dns": "ok"}]}),
            ),
            check(
                CheckId::DnsConntrack,
                Status::Pass,
                "all 1204 live DNS flows that had time are answered",
                json!({"address": "169.254.25.10:53", "entries": 3120, "packets_zero": 3120, "live": 1210,
                    "answered": 1204, "unanswered": 0, "stopped": 0, "in_flight": 6, "expired": 1910,
                    "accounting": "off", "sources": []}),
            ),
            check(
                CheckId::ExternalConntrack,
                Status::Pass,
                "pods' connections to the outside are answered",
                json!({"listed": 12, "world": 80, "world_answered": 80, "world_unanswered": 0,
                    "tcp": {"listed": 12, "world": 60, "world_answered": 60, "world_unanswered": 0},
                    "udp": {"listed": 0, "world": 20, "world_answered": 20, "world_unanswered": 0}}),
            ),
            backends_ok(),
        ],
    )
}

/// The incident of 2026-06-06.
pub(crate) fn stale() -> NodeReport {
    let checks = vec![
        host_ok(),
        check(
            CheckId::PodEgress,
            Status::Fail,
            "the pods that were asked reach nothing outside, neither by name nor by address",
            json!({"probes": [
                {"pod": "vector-agent-p7vxd", "namespace": "loki", "tool": "wget", "by_name": "timeout",
                    "by_address": "timeout", "dns": "timeout"},
                {"pod": "web-7d9c", "namespace": "shop", "tool": "curl", "by_name": "failed",
                    "by_address": "timeout", "dns": "unsupported"}]}),
        ),
        check(
            CheckId::DnsConntrack,
            Status::Fail,
            "none of 2231 live DNS flows of 14 pods is answered",
            json!({"address": "169.254.25.10:53", "entries": 4127, "packets_zero": 4127, "live": 2240,
                "answered": 0, "unanswered": 2214, "stopped": 17, "in_flight": 9, "expired": 1887,
                "accounting": "off", "sources": [
                    {"address": "10.42.0.17", "namespace": "loki", "pod": "vector-agent-p7vxd", "answered": 0,
                        "unanswered": 1800, "stopped": 17},
                    {"address": "10.42.0.23", "namespace": null, "pod": null, "answered": 0, "unanswered": 414,
                        "stopped": 0}]}),
        ),
        check(
            CheckId::ExternalConntrack,
            Status::Fail,
            "31 live connections from pods to the outside, and none of them is answered",
            json!({"listed": 0, "world": 31, "world_answered": 0, "world_unanswered": 31,
                "tcp": {"listed": 0, "world": 22, "world_answered": 0, "world_unanswered": 22},
                "udp": {"listed": 0, "world": 9, "world_answered": 0, "world_unanswered": 9}}),
        ),
        backends_ok(),
    ];
    let mut node = node(
        "prusik",
        Code::StaleDatapath,
        Confidence::High,
        "The node itself reaches the outside, but nothing that its pods send is answered: the datapath is stale",
        checks,
    );
    node.verdict.because = vec![
        Because::check(CheckId::DnsConntrack, "none of 2231 live DNS flows of 14 pods is answered; on brno it is 99 %"),
        Because::check(CheckId::PodEgress, "two pods of this node reach 1.1.1.1 neither by name nor by address"),
        Because::check(CheckId::HostPing, "the host itself reaches 1.1.1.1, so it is not the uplink"),
    ];
    node.verdict.ruled_out = vec![
        RuledOut {
            code: Code::NodeLocalDnsDown,
            says: "its pod is ready and has not restarted for 34 days".to_owned(),
            figures: Figures::new(),
        },
        RuledOut {
            code: Code::ClusterWideOutage,
            says: "brno and vienna are fine".to_owned(),
            figures: Figures::new(),
        },
    ];
    node.verdict.open = vec![Open {
        code: Code::DatapathProgramsDuplicated,
        says: "attached-programs is missing: no bpftool in the image".to_owned(),
        settle: "attached-programs".to_owned(),
        missing_right: None,
    }];
    node.affected = (0..14)
        .map(|i| Affected {
            namespace: "loki".to_owned(),
            pod: format!("vector-agent-p7vx{i}"),
            says: "1800 DNS flows without an answer".to_owned(),
        })
        .collect();
    node.remediation = Some(Remediation {
        keep: vec!["staledp capture --context=grigri --node prusik evidence-prusik".to_owned()],
        gentle: vec![],
        fix: vec!["staledp fix --context=grigri --node prusik".to_owned()],
        commands: vec!["kubectl --context=grigri delete pod cilium-swmbt -n kube-system".to_owned()],
        verify: vec![
            "kubectl --context=grigri get pods -n kube-system -l k8s-app=cilium --field-selector spec.nodeName=prusik"
                .to_owned(),
            "staledp diagnose --context=grigri --node prusik".to_owned(),
        ],
        risk: Risk {
            level: RiskLevel::Medium,
            because: vec!["on 1.19.4 an agent restart may end in an endless retry (cilium/cilium#46065)".to_owned()],
        },
    });
    node.notes = vec!["the dump was read in 212 ms, 4.1 MiB".to_owned()];
    node.known_issues = vec![KnownIssue {
        id: "cilium/cilium#46065".to_owned(),
        title: "CgroupInetSockRelease link orphaned across restarts".to_owned(),
        why: "the agent is 1.19.4; a restart may start it".to_owned(),
    }];
    node
}

/// A node whose uplink is down.
pub(super) fn other_fault() -> NodeReport {
    let mut node = node(
        "k8s-odroid-hc4-3",
        Code::HostNetworkDown,
        Confidence::High,
        "The node itself does not reach the outside",
        vec![
            check(
                CheckId::HostPing,
                Status::Fail,
                "no answer from 1.1.1.1",
                json!({"via": "agent-container", "target": "1.1.1.1", "sent": 2, "received": 0, "rtt_avg_ms": null}),
            ),
            check(CheckId::PodEgress, Status::Fail, "pods reach nothing", json!({"probes": []})),
            check(
                CheckId::DnsConntrack,
                Status::Warn,
                "9 of 12 live DNS flows are answered",
                json!({"address": "169.254.25.10:53", "entries": 40, "packets_zero": 3, "live": 12, "answered": 9,
                    "unanswered": 3, "stopped": 0, "in_flight": 0, "expired": 28, "accounting": "split",
                    "sources": []}),
            ),
            check(
                CheckId::ExternalConntrack,
                Status::Fail,
                "no connection is answered",
                json!({"listed": 3, "world": 3, "world_answered": 0, "world_unanswered": 3, "tcp": null, "udp": null}),
            ),
            backends_ok(),
        ],
    );
    node.verdict.because = vec![Because::check(CheckId::HostPing, "0 of 2 packets came back")];
    node.advice =
        vec!["Look at the node's uplink: link, address, default route, the gateway's answer to ARP.".to_owned()];
    node
}

/// A node that could not be judged.
pub(super) fn inconclusive() -> NodeReport {
    let denied = "no right to create pods/exec in kube-system; ask for the role in README.md";
    let mut node = node(
        "vienna",
        Code::EvidenceMissing,
        Confidence::Low,
        "The conntrack dump could not be read: pods/exec is forbidden in kube-system",
        vec![
            host_ok(),
            check(
                CheckId::PodEgress,
                Status::Unknown,
                "no pod of this node has a tool to probe with",
                json!({"probes": []}),
            ),
            check(
                CheckId::DnsConntrack,
                Status::Unknown,
                denied,
                json!({"address": "169.254.25.10:53", "entries": null, "accounting": "unknown"}),
            ),
            check(CheckId::ExternalConntrack, Status::Unknown, denied, Value::Null),
            check(CheckId::DnsBackends, Status::Unknown, denied, json!({"realized": null, "expected": 2})),
        ],
    );
    node.verdict.confidence = None;
    node.cilium.started_at = None;
    node.advice = vec!["Give the missing right and run again.".to_owned()];
    node
}
