//! Step 7: waiting for the replacement, and saying what it does.

use std::time::Duration;

use tokio::time::Instant;

use super::Cx;
use super::lock::Lock;
use super::plan::Plan;
use crate::gather::kube::objects::{AgentContainerStatus, AgentPod};

/// Between two looks.
const GLANCE: Duration = Duration::from_secs(1);
/// The node's own state is looked at once in so many looks.
const NODE_EVERY: u32 = 5;

/// Waits for another UID of the same DaemonSet on the same node, ready.
///
/// # Errors
///
/// What it was doing when the time was over.
pub(super) async fn wait(cx: &Cx<'_>, plan: &Plan, lock: &Lock<'_>) -> Result<AgentPod, String> {
    let deadline = Instant::now() + cx.settings.wait;
    let owner = plan.pod.metadata.owner_references.iter().find(|owner| owner.controller).map(|owner| &owner.uid);
    let mut told = String::new();
    let mut node_is = None;
    for look in 0_u32.. {
        // Losing the lock now endangers nothing: there is no second deletion.
        let _ = lock.renew(false).await;
        if look % NODE_EVERY == 0 {
            node_is = node_trouble(cx, &plan.node).await;
        }
        let mut now = match cx.writer.agents(&plan.doomed.namespace, &plan.node).await {
            Err(failure) => format!("the API can't be asked: {failure}"),
            Ok(pods) => {
                let new = pods
                    .iter()
                    .filter(|pod| pod.metadata.uid != plan.doomed.uid && pod.metadata.deletion_timestamp.is_none())
                    .filter(|pod| pod.controller().map(|controller| &controller.uid) == owner)
                    .max_by_key(|pod| &pod.metadata.creation_timestamp);
                match new {
                    Some(pod) if pod.ready() => {
                        cx.steps.line(&format!("{} is ready", pod.metadata.name));
                        return Ok(pod.clone());
                    }
                    Some(pod) => format!("{}: {}", pod.metadata.name, doing(pod)),
                    None => without_new(&pods, plan),
                }
            }
        };
        if let Some(trouble) = &node_is {
            now = format!("{now}; {trouble}");
        }
        if now != told {
            cx.steps.line(&now);
            told = now;
        }
        if Instant::now() + GLANCE > deadline {
            break;
        }
        tokio::time::sleep(GLANCE).await;
    }
    Err(format!("no ready replacement within {}: {told}", humantime::format_duration(cx.settings.wait)))
}

/// The old pod alone, or none at all.
fn without_new(pods: &[AgentPod], plan: &Plan) -> String {
    match pods.iter().find(|pod| pod.metadata.uid == plan.doomed.uid) {
        Some(old) if old.metadata.deletion_timestamp.is_some() => format!("{} is ending", plan.doomed.pod),
        Some(_) => format!("{} is still there and not ending", plan.doomed.pod),
        None => format!("{} is gone, and its replacement is not there yet", plan.doomed.pod),
    }
}

/// Whether the node died meanwhile.
async fn node_trouble(cx: &Cx<'_>, node: &str) -> Option<String> {
    let found = cx.writer.node(node).await.ok()?;
    let Some(found) = found else { return Some(format!("node {node} is gone")) };
    let ready = found.status.conditions.iter().find(|condition| condition.r#type == "Ready")?;
    (ready.status != "True").then(|| {
        format!(
            "node {node} died meanwhile: Ready is {} ({}), and without its kubelet no pod ends or starts there",
            ready.status, ready.reason
        )
    })
}

/// What a pod that is not ready does now.
fn doing(pod: &AgentPod) -> String {
    let waits = |status: &AgentContainerStatus| status.state.waiting.as_ref().map(|waiting| waiting.reason.clone());
    let stuck = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
    let stuck = stuck.filter_map(|status| Some((status.name.clone(), waits(status)?)));
    let pulling = |reason: &str| reason.contains("Pull") || reason.contains("Image");
    let mut stuck =
        stuck.filter(|(_, reason)| pulling(reason) || reason.contains("BackOff") || reason.contains("Error"));
    if let Some((name, reason)) = stuck.next() {
        return format!("{}: {reason} ({name})", if pulling(&reason) { "pulling" } else { "container fails" });
    }
    let inits = &pod.status.init_container_statuses;
    if let Some(at) = inits.iter().position(|status| !status.ready) {
        return format!("init container {} ({} of {})", inits[at].name, at + 1, inits.len());
    }
    if pod.status.container_statuses.iter().any(|status| status.state.running.is_some()) {
        return "the agent runs and is not ready yet (regenerating endpoints)".to_owned();
    }
    "starting".to_owned()
}
