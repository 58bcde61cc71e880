//! What is known and said of one node, as its entry in the report.

use crate::knowledge;
use crate::report::{Check, Cilium, KnownIssue, NodeReport};
use crate::rules::case::Case;
use crate::rules::verdict::Kind;
use crate::rules::{Judgement, remedy};

/// The node's entry in the report.
pub(super) fn node_report(case: &Case, checks: Vec<Check>, judgement: Judgement) -> NodeReport {
    let Judgement { verdict, affected, mut notes, in_trouble } = judgement;
    let version = case.version();
    let risks = version.into_iter().flat_map(knowledge::upstream::restart_risks);
    let risks = risks.map(|issue| format!("{}: {}", issue.id(), issue.symptom)).collect();
    let known_issues = version
        .into_iter()
        .filter(|_| verdict.kind != Kind::Healthy)
        .flat_map(|version| knowledge::codes::related(verdict.code, version))
        .map(|issue| KnownIssue {
            id: issue.id(),
            title: issue.title.to_owned(),
            why: format!("reported for {}; {}", version.unwrap_or("this version"), issue.restart.says()),
        })
        .collect();
    let mut advice: Vec<String> = knowledge::codes::advice(verdict.code).iter().map(|a| (*a).to_owned()).collect();
    advice.extend(remedy::gentler(case, &verdict, &affected));
    if let Some(node) = &case.around.found {
        if node.ready() == Some(false) {
            notes.push("the kubelet says that this node is not ready".to_owned());
        }
        if node.spec.unschedulable {
            notes.push("this node is cordoned".to_owned());
        }
    }
    let agent = case.agent();
    NodeReport {
        node: case.around.node.clone(),
        cilium: Cilium {
            namespace: agent.map(|a| a.pod.namespace.clone()),
            pod: agent.map(|a| a.pod.name.clone()),
            version: version.map(str::to_owned),
            started_at: agent.and_then(|a| a.started_at.clone()),
        },
        remediation: remedy::remedy(case, &verdict, risks),
        verdict,
        checks,
        affected,
        advice,
        notes,
        in_trouble,
        alone: None,
        known_issues,
    }
}
