//! One node's entry in the report.

use std::cell::RefCell;
use std::collections::HashMap;

use super::node::SoFar;
use crate::base::failure::FailureKind;
use crate::base::program;
use crate::checks::{DnsBackendsData, DnsConntrackData, ExternalConntrackData, Finding, HostPingData, PodEgressData};
use crate::knowledge;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::{Code, Kind};
use crate::kubernetes::agents::Agent;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::report::ways;
use crate::report::{Check, CheckData, Cilium, KnownIssue, NodeReport};
use crate::rules::case::Case;
use crate::rules::verdict::{Because, Verdict};
use crate::rules::{NodeVerdict, remedy, signs};

/// The node's entry in the report.
pub(super) fn node_report(case: &Case, checks: Vec<Check>, judgement: NodeVerdict) -> NodeReport {
    let NodeVerdict { verdict, affected, mut notes, in_trouble, answered, neighbour: _ } = judgement;
    let version = case.version();
    // A node without an agent has none to restart.
    let restart = case.agent().map(|_| Box::new(signs::restart_case(case, &verdict)));
    let known_issues = signs::matching(case, &verdict)
        .into_iter()
        .map(|(issue, why)| KnownIssue { id: issue.id(), title: issue.title.to_owned(), why })
        .collect();
    let agent_is_silent = verdict.cause.is_some() && case.beyond.agent_silence.is_some();
    let advice = match verdict.code {
        Code::EvidenceMissing if agent_is_silent => in_our_name(knowledge::codes::SILENT_AGENT),
        code => advice(code),
    };
    if let Some(node) = &case.around.found {
        if node.ready() == Some(false) {
            notes.push("the kubelet reports that this node is not ready".to_owned());
        }
        if node.spec.unschedulable {
            notes.push("this node is cordoned".to_owned());
        }
    }
    let agent = case.agent();
    let last_answers = if verdict.kind == Kind::Healthy { Vec::new() } else { ways::last_answers(case) };
    NodeReport {
        node: case.around.node.clone(),
        context: None,
        cilium: Cilium {
            namespace: agent.map(|a| a.pod.namespace.clone()),
            pod: agent.map(|a| a.pod.name.clone()),
            version: version.map(str::to_owned),
            started_at: agent.and_then(|a| a.started_at.map(|at| at.to_string())),
        },
        remediation: remedy::remedy(case, &verdict, &affected),
        verdict,
        checks,
        affected,
        advice,
        notes,
        in_trouble,
        answered,
        alone: None,
        neighbour: None,
        known_issues,
        restart,
        ways: ways::ways(case),
        last_answers,
        symptoms: Vec::new(),
    }
}

/// Advice in words for a verdict.
pub(super) fn advice(code: Code) -> Vec<String> {
    in_our_name(knowledge::codes::advice(code))
}

fn in_our_name(advice: &[&str]) -> Vec<String> {
    advice.iter().map(|advice| program::named(advice).into_owned()).collect()
}

/// The entry of a node that was not looked at to its end, because the run was ended: with the checks that were
/// finished, which are too few for a verdict.
pub(super) fn unfinished(
    node: &str,
    cluster: &ClusterMap<'_>,
    ended: &str,
    so_far: &RefCell<HashMap<String, SoFar>>,
) -> NodeReport {
    let (why, checks) = match so_far.borrow_mut().remove(node) {
        Some(SoFar { step, checks }) => (format!("{ended} while this node was looked at ({step})"), checks),
        None => (format!("{ended} before this node was looked at"), Vec::new()),
    };
    not_judged(node, cluster, &why, &checks, "Run again for this node.")
}

/// The entry of a node that Cilium is not meant for, where it was asked for by its name.
pub(super) fn not_meant(node: &str, cluster: &ClusterMap<'_>, why: &str) -> NodeReport {
    let why = format!("Cilium is not meant to run on this node: {why}");
    not_judged(node, cluster, &why, &[], "Choose a node that Cilium runs on.")
}

/// The entry of a node that was not judged, with those checks that were finished.
fn not_judged(node: &str, cluster: &ClusterMap<'_>, why: &str, checks: &[Check], advice: &str) -> NodeReport {
    let check = |id| {
        let finished = checks.iter().find(|check| check.id == id).cloned();
        finished.unwrap_or_else(|| match id {
            CheckId::HostPing => unknown::<HostPingData>(why),
            CheckId::PodEgress => unknown::<PodEgressData>(why),
            CheckId::DnsConntrack => unknown::<DnsConntrackData>(why),
            CheckId::ExternalConntrack => unknown::<ExternalConntrackData>(why),
            CheckId::DnsBackends => unknown::<DnsBackendsData>(why),
        })
    };
    let checks = CheckId::ALL.into_iter().map(check).collect();
    let (agent, version) = match cluster.agent(node) {
        Agent::Running(agent) => (Some((agent.pod, agent.started_at)), agent.version),
        Agent::Unknown(_) | Agent::NotRunning { .. } => (None, None),
    };
    let (pod, started_at) = agent.unzip();
    let verdict = Verdict {
        kind: Kind::Inconclusive,
        code: Code::EvidenceMissing,
        confidence: None,
        confidence_because: Vec::new(),
        cause: None,
        open: Vec::new(),
        summary: format!("This node was not judged: {why}."),
        because: vec![Because::evidence("run", why)],
        ruled_out: Vec::new(),
    };
    NodeReport {
        node: node.to_owned(),
        context: None,
        cilium: Cilium {
            namespace: pod.as_ref().map(|p| p.namespace.clone()),
            pod: pod.map(|p| p.name),
            version,
            started_at: started_at.flatten().map(|at| at.to_string()),
        },
        verdict,
        checks,
        affected: Vec::new(),
        remediation: None,
        advice: vec![advice.to_owned()],
        notes: Vec::new(),
        in_trouble: false,
        answered: false,
        alone: None,
        ways: Vec::new(),
        last_answers: Vec::new(),
        symptoms: Vec::new(),
        neighbour: None,
        known_issues: Vec::new(),
        restart: None,
    }
}

fn unknown<D: Default + Clone + Into<CheckData>>(why: &str) -> Check {
    Check::from(&Finding::<D>::unknown(FailureKind::Other, why))
}
