//! Step 8: did it help? The checks that convicted the node decide, on flows since the new agent's start.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::FixContext;
use super::evidence::EvidenceAfter;
use super::lock::Lock;
use super::watch::Watched;
use crate::base::probe_tools::host_and_port;
use crate::checks::Status;
use crate::checks::pod_egress::{Lookup, read_lookup};
use crate::diagnose::DiagnoseSettings;
use crate::diagnose::{Silent, diagnose};
use crate::gather::Source;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Kind;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::report::{NodeReport, SourceInfo};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// A look at the node after the restart.
#[derive(Clone, Debug, Serialize)]
pub struct LookAfter {
    /// The verdict on the node.
    pub node: NodeReport,
    /// What became of `nslookup` of the probes' name in a pod of the node; none without a pod to ask or a tool.
    pub name_lookup: Option<bool>,
    /// What came of watching; none if not asked for.
    pub watched: Option<Watched>,
    /// What is still wrong; empty if no check fails.
    pub wrong: Vec<String>,
}

/// Looks until nothing is wrong or the time is over; the last look.
pub(super) async fn verify(
    cx: &FixContext<'_>,
    evidence: &EvidenceAfter<'_>,
    node: &str,
    pod: &str,
    convicted: &[CheckId],
    lock: &Lock<'_>,
) -> LookAfter {
    let deadline = Instant::now() + cx.settings.verify;
    let mut told = String::new();
    loop {
        let _ = lock.renew(false).await;
        let seen = look(cx, evidence, node, pod, convicted).await;
        let says = if seen.wrong.is_empty() { nothing_wrong(&seen.node) } else { seen.wrong.join("; ") };
        if says != told {
            cx.steps.line(&says);
            told = says;
        }
        if seen.wrong.is_empty() || Instant::now() + PAUSE > deadline {
            return seen;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What speaks for success, and which checks could not be judged since the restart.
fn nothing_wrong(node: &NodeReport) -> String {
    let unknown: Vec<&str> = undecided(node).map(CheckId::name).collect();
    if unknown.is_empty() {
        return "all checks pass".to_owned();
    }
    format!("no check fails; too little traffic since the restart to judge by {}", unknown.join(" and "))
}

/// The checks that say nothing.
fn undecided(node: &NodeReport) -> impl Iterator<Item = CheckId> {
    node.checks.iter().filter(|check| check.status == Status::Unknown).map(|check| check.id)
}

/// By what a repair was verified: the checks that failed before, or the probes where one of them has too few flows yet.
pub(super) fn how_verified(before: Option<&NodeReport>, after: Option<&LookAfter>) -> String {
    let failed = |id: &CheckId| {
        let check = before.and_then(|before| before.checks.iter().find(|check| check.id == *id));
        check.is_none_or(|check| check.status == Status::Fail)
    };
    let undecided = after.into_iter().flat_map(|after| undecided(&after.node)).filter(failed);
    let undecided: Vec<&str> = undecided.map(CheckId::name).collect();
    if undecided.is_empty() {
        return "the failed checks pass".to_owned();
    }
    let have = if undecided.len() == 1 { "has" } else { "have" };
    format!("its pods' probes pass ({} {have} too few flows since the restart)", undecided.join(" and "))
}

async fn look(
    cx: &FixContext<'_>,
    evidence: &EvidenceAfter<'_>,
    node: &str,
    pod: &str,
    convicted: &[CheckId],
) -> LookAfter {
    let settings = DiagnoseSettings { since_agent_start: true, ..cx.settings.look.clone() };
    let about = SourceInfo::live(cx.live.context().map(str::to_owned));
    let nodes = [node.to_owned()];
    let (inventory, mut report) = if let Some(saving) = evidence.saving() {
        let inventory = saving.inventory().await;
        let report = diagnose(saving, &inventory, &nodes, &settings, about, &Silent).await;
        (inventory, report)
    } else {
        let inventory = cx.live.inventory().await;
        let report = diagnose(cx.live, &inventory, &nodes, &settings, about, &Silent).await;
        (inventory, report)
    };
    let name_lookup = name_lookup(cx, node, &inventory).await;
    let found = report.nodes.swap_remove(0);
    let wrong = wrong(&found, pod, convicted, name_lookup);
    LookAfter { node: found, name_lookup, watched: None, wrong }
}

/// `nslookup google.com`, or whatever the probes fetch, from the first pod that has a tool.
async fn name_lookup(
    cx: &FixContext<'_>,
    node: &str,
    inventory: &crate::kubernetes::inventory::Inventory,
) -> Option<bool> {
    let (name, _) = host_and_port(&cx.settings.look.questions.probe_url)?;
    let cluster = ClusterMap::new(inventory, cx.settings.look.questions.named());
    let pods = cx.live.probe_pods(node, &cluster);
    for (index, pod) in pods.iter().enumerate() {
        match read_lookup(&cx.live.look_up(node, pod, &name, index + 1 == pods.len()).await) {
            // A server that does not know an outside name still answers: air-gapped sites have such.
            Lookup::Found | Lookup::NoSuchName => return Some(true),
            Lookup::ServerFailed | Lookup::Refused | Lookup::Unclear | Lookup::Silent => return Some(false),
            Lookup::NotAsked => {}
        }
    }
    None
}

/// Everything that speaks against success. Unknown is not success, but where a node is too quiet to be counted the
/// probes decide, as they do in a diagnosis.
fn wrong(found: &NodeReport, pod: &str, convicted: &[CheckId], name_lookup: Option<bool>) -> Vec<String> {
    let mut wrong = Vec::new();
    if found.cilium.pod.as_deref() != Some(pod) {
        let now = found.cilium.pod.as_deref().unwrap_or("none");
        wrong.push(format!("the agent is {now}, not {pod}"));
    }
    if found.verdict.kind != Kind::Healthy {
        wrong.push(format!("{}: {}", found.verdict.code.name(), found.verdict.summary));
    }
    let probed = found.checks.iter().any(|check| check.id == CheckId::PodEgress && check.status == Status::Pass);
    for check in &found.checks {
        let counted = matches!(check.id, CheckId::DnsConntrack | CheckId::ExternalConntrack);
        let bad = match check.status {
            Status::Fail => true,
            Status::Unknown => convicted.contains(&check.id) && !(counted && probed),
            Status::Pass | Status::Warn | Status::NotApplicable => false,
        };
        if bad {
            wrong.push(format!("{}: {}", check.id.name(), check.summary));
        }
    }
    if name_lookup == Some(false) {
        wrong.push("a pod cannot look up the probes' name".to_owned());
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn check_without_flows_since_the_restart_is_not_said_to_pass() {
        let (before, mut node) = (sample::stale(), sample::healthy("prusik"));
        let after = |node: &NodeReport| LookAfter {
            node: node.clone(),
            name_lookup: Some(true),
            watched: None,
            wrong: Vec::new(),
        };
        assert_eq!(nothing_wrong(&node), "all checks pass");
        assert_eq!(how_verified(Some(&before), Some(&after(&node))), "the failed checks pass");
        let check = node.checks.iter_mut().find(|check| check.id == CheckId::DnsConntrack).expect("the check");
        check.status = Status::Unknown;
        assert_eq!(
            nothing_wrong(&node),
            "no check fails; too little traffic since the restart to judge by dns-conntrack"
        );
        let says = how_verified(Some(&before), Some(&after(&node)));
        assert_eq!(says, "its pods' probes pass (dns-conntrack has too few flows since the restart)");
    }
}
