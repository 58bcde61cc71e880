//! The plan before anything is touched: the one pod, and the verdict that convicts its node.

use std::collections::BTreeMap;

use super::FixSettings;
use super::lock;
use super::requests::PodToDelete;
use crate::knowledge::code::{Code, Kind};
use crate::kubernetes::agents::{Agent, RunningAgent};
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::inventory::Inventory;
use crate::kubernetes::objects::Pod;
use crate::report::{NodeReport, Report};
use crate::rules::remedy;

/// The plan for one node.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) context: Option<String>,
    pub(super) node: String,
    /// The node's unique id; its name where it is not known, as the kubelet has it.
    pub(super) node_uid: String,
    pub(super) target: PodToDelete,
    /// The pod as it was listed.
    pub(super) pod: Pod,
    pub(super) agent: RunningAgent,
    /// The verdict that the restart is for.
    pub(super) code: Code,
    /// Whether that verdict is none of a stale node.
    pub(super) forced: bool,
    /// What a person would type.
    pub(super) command: String,
    pub(super) before: NodeReport,
}

/// Makes the plan.
///
/// # Errors
///
/// Why this node is not to be restarted, and what to do instead.
pub(super) fn plan(
    node: &str,
    inventory: &Inventory,
    report: &Report,
    settings: &FixSettings,
) -> Result<Plan, (String, Vec<String>)> {
    let Some(before) = report.nodes.iter().find(|entry| entry.node == node) else {
        return Err((format!("node {node} was not judged"), Vec::new()));
    };
    let verdict = &before.verdict;
    let forced = verdict.kind != Kind::Stale;
    if forced && settings.force != Some(verdict.code) {
        let mut instead: Vec<String> = before.advice.iter().map(ToString::to_string).collect();
        if verdict.kind == Kind::Healthy {
            instead.push("nothing to repair".to_owned());
        }
        let forced = settings.force.map(|code| format!(" --force {} is for another verdict.", code.name()));
        let says = format!(
            "{node} is not stale but {}: {}{}",
            verdict.code.name(),
            verdict.summary,
            forced.unwrap_or_default()
        );
        return Err((says, instead));
    }
    let map = ClusterMap::new(inventory, settings.look.questions.named());
    let Agent::Running(agent) = map.agent(node) else {
        return Err((format!("no Cilium agent runs on {node}: nothing to restart"), Vec::new()));
    };
    let pod = inventory.pods.known().iter().find(|pod| pod.metadata.uid == agent.uid).cloned();
    let Some(pod) = pod.filter(|pod| !pod.metadata.uid.is_empty()) else {
        return Err((format!("pod {} has no UID; staledp only deletes by UID", agent.pod), Vec::new()));
    };
    let context = inventory.origin.context.clone();
    let target =
        PodToDelete { namespace: agent.pod.namespace.clone(), pod: agent.pod.name.clone(), uid: agent.uid.clone() };
    let named = before.remediation.as_ref().and_then(|remedy| remedy.commands.first().cloned());
    let command = named.unwrap_or_else(|| remedy::delete(context.as_deref(), &target.namespace, &target.pod));
    let node_uid = map.node(node).map(|node| node.metadata.uid.clone()).filter(|uid| !uid.is_empty());
    Ok(Plan {
        context,
        node: node.to_owned(),
        node_uid: node_uid.map_or_else(|| node.to_owned(), String::from),
        target,
        pod,
        agent,
        code: verdict.code,
        forced,
        command,
        before: before.clone(),
    })
}

impl Plan {
    /// The command that judges the node anew.
    pub(super) fn diagnose(&self) -> String {
        remedy::diagnose(self.context.as_deref(), &self.node)
    }

    /// What the lock says of this repair, for whoever finds it; `user` is who asks the API server.
    pub(super) fn record(&self, user: &str) -> BTreeMap<String, String> {
        let entries = [
            (lock::USER, user),
            ("staledp/node", self.node.as_str()),
            ("staledp/pod", &self.target.pod),
            ("staledp/pod-uid", &self.target.uid),
            ("staledp/verdict", self.code.name()),
        ];
        entries.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }
}
