//! Step 7: waits for the replacement, and reports its progress.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::FixContext;
use super::lock::Lock;
use super::objects::{AgentContainerState, AgentContainerStatus, AgentPod};
use super::plan::Plan;
use crate::base::answer::End;
use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;
use crate::cilium::endpoints;
use crate::kubernetes::agents::AGENT_CONTAINER;
use crate::kubernetes::objects::Event;
use crate::report::text::count;
use crate::symptoms::probes::moments;

/// Between two looks.
const GLANCE: Duration = Duration::from_secs(1);
/// The node's own state, and those who know more of the pod, are asked once in so many looks.
const MORE_EVERY: u32 = 5;

/// Waits for another UID of the same DaemonSet on the same node, ready.
///
/// # Errors
///
/// What it was doing when the time was over.
pub(super) async fn wait(cx: &FixContext<'_>, plan: &Plan, lock: &Lock<'_>) -> Result<AgentPod, Failure> {
    let told = RefCell::new(String::new());
    let ready = timeout_at(Instant::now() + cx.settings.wait, until_ready(cx, plan, lock, &told)).await;
    ready.map_err(|_| {
        let limit = crate::base::time::span(cx.settings.wait);
        let says = format!("no ready replacement within {limit}: {}", told.borrow());
        Failure::new(FailureKind::Timeout, says)
    })
}

async fn until_ready(cx: &FixContext<'_>, plan: &Plan, lock: &Lock<'_>, told: &RefCell<String>) -> AgentPod {
    let owner = plan.pod.metadata.owner_references.iter().find(|owner| owner.controller).map(|owner| &owner.uid);
    let mut node_is = None;
    let mut more: Option<(Informant, Option<String>)> = None;
    let mut looks = 0_u32;
    loop {
        // Losing the lock now endangers nothing: there is no second deletion.
        let _ = lock.renew(false).await;
        let due = looks.is_multiple_of(MORE_EVERY);
        looks = looks.wrapping_add(1);
        if due {
            node_is = node_trouble(cx, &plan.node).await;
        }
        let mut now = match cx.writer.agents(&plan.target.namespace, &plan.node).await {
            Err(failure) => format!("the API server cannot be reached: {failure}"),
            Ok(pods) => {
                let new = pods
                    .iter()
                    .filter(|pod| pod.metadata.uid != plan.target.uid && pod.metadata.deletion_timestamp.is_none())
                    .filter(|pod| pod.controller().map(|controller| &controller.uid) == owner)
                    .max_by_key(|pod| &pod.metadata.creation_timestamp);
                match new {
                    Some(pod) if pod.ready() => {
                        cx.steps.line(&format!("{} is ready", pod.metadata.name));
                        return pod.clone();
                    }
                    Some(pod) => {
                        let (says, knows) = doing(pod);
                        if due || more.as_ref().is_none_or(|(before, _)| *before != knows) {
                            more = Some((knows, ask(cx, &plan.node, pod, knows).await));
                        }
                        let more = more.as_ref().and_then(|(_, more)| more.as_ref());
                        let more = more.map(|more| format!(": {more}")).unwrap_or_default();
                        format!("{}: {says}{more}", pod.metadata.name)
                    }
                    None => without_new(&pods, plan),
                }
            }
        };
        if let Some(trouble) = &node_is {
            now = format!("{now}; {trouble}");
        }
        if now != *told.borrow() {
            cx.steps.line(&now);
            *told.borrow_mut() = now;
        }
        sleep(GLANCE).await;
    }
}

/// The old pod alone, or none at all.
fn without_new(pods: &[AgentPod], plan: &Plan) -> String {
    match pods.iter().find(|pod| pod.metadata.uid == plan.target.uid) {
        Some(old) if old.metadata.deletion_timestamp.is_some() => format!("{} is terminating", plan.target.pod),
        Some(_) => format!("{} is still running", plan.target.pod),
        None => format!("{} is gone; no replacement yet", plan.target.pod),
    }
}

/// Whether the node died meanwhile.
async fn node_trouble(cx: &FixContext<'_>, node: &str) -> Option<String> {
    let found = cx.writer.node(node).await.ok()?;
    let Some(found) = found else { return Some(format!("node {node} is gone")) };
    let ready = found.status.conditions.iter().find(|condition| condition.r#type == "Ready")?;
    (ready.status != "True").then(|| {
        format!(
            "node {node} went down: Ready is {} ({}); without its kubelet no pod ends or starts there",
            ready.status, ready.reason
        )
    })
}

/// Who knows more of what a pod does than its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Informant {
    Nobody,
    /// Its events: whether an image is being pulled, or why it makes no progress.
    Events,
    /// The agent itself: whether it is regenerating endpoints.
    Agent,
}

/// What a pod that is not ready does now, by its status.
fn doing(pod: &AgentPod) -> (String, Informant) {
    let (inits, all) = (&pod.status.init_container_statuses, &pod.status.container_statuses);
    if let Some((at, init)) = inits.iter().enumerate().find(|(_, status)| !status.ready) {
        let (does, knows) = does(init);
        let which = format!("init container {} ({} of {})", init.name, at + 1, inits.len());
        return (format!("{which} {does}{}", before(init)), knows);
    }
    // What does not run holds the rest up, whichever it is.
    let unready = || all.iter().filter(|status| !status.ready);
    let Some(status) = unready().find(|status| status.state.running.is_none()).or_else(|| unready().next()) else {
        let says = if all.is_empty() { "starting" } else { "containers ready, pod not ready yet" };
        return (says.to_owned(), if all.is_empty() { Informant::Events } else { Informant::Nobody });
    };
    let ((does, knows), before) = (does(status), before(status));
    if status.name != AGENT_CONTAINER {
        return (format!("container {} {does}{before}", status.name), knows);
    }
    if status.state.running.is_some() {
        return (format!("the agent {does} but is not ready yet{before}"), Informant::Agent);
    }
    (format!("the agent {does}{before}"), knows)
}

/// What a container does, in words that follow its name.
fn does(status: &AgentContainerStatus) -> (String, Informant) {
    let Some(waiting) = &status.state.waiting else {
        return (ended(&status.state).unwrap_or_else(|| "runs".to_owned()), Informant::Nobody);
    };
    let reason = waiting.reason.as_str();
    let why = if waiting.message.is_empty() { reason.to_owned() } else { format!("{reason}: {}", waiting.message) };
    match reason {
        "" | "ContainerCreating" | "PodInitializing" => ("is starting".to_owned(), Informant::Events),
        "CrashLoopBackOff" => (format!("crash-loops ({reason})"), Informant::Nobody),
        _ if reason.contains("Image") => (format!("waits for its image: {why}"), Informant::Nobody),
        _ => (format!("cannot start: {why}"), Informant::Nobody),
    }
}

/// How often a container was started before, and what became of that.
fn before(status: &AgentContainerStatus) -> String {
    let restarts = match usize::try_from(status.restart_count) {
        Ok(0) | Err(_) => return String::new(),
        Ok(restarts) => count(restarts, "restart", "restarts"),
    };
    let last = ended(&status.last_state).map(|how| format!("; its last run {how}")).unwrap_or_default();
    format!(", after {restarts}{last}")
}

/// How a run of a container ended.
fn ended(state: &AgentContainerState) -> Option<String> {
    let ended = state.terminated.as_ref()?;
    Some(format!("ended with exit code {} ({})", ended.exit_code, ended.reason))
}

/// Asks the informant that knows more; none if there is none.
async fn ask(cx: &FixContext<'_>, node: &str, pod: &AgentPod, knows: Informant) -> Option<String> {
    let meta = &pod.metadata;
    match knows {
        Informant::Nobody => None,
        Informant::Events => of_events(&cx.writer.events_of(&meta.namespace, &meta.uid).await.ok()?),
        Informant::Agent => {
            let agent = PodRef { namespace: meta.namespace.to_string(), name: meta.name.to_string() };
            let raw = cx.live.endpoint_list(node, &agent).await;
            let list = (raw.answer.end == End::Exited(0)).then(|| String::from_utf8_lossy(&raw.stdout).into_owned());
            Some(of_endpoints(list.as_deref().and_then(endpoints::parse).as_ref()))
        }
    }
}

/// The image that is being pulled; else the newest warning.
fn of_events(events: &[Event]) -> Option<String> {
    let at = |event: &Event| moments(event).1.unwrap_or_default().to_owned();
    let is_over = |image: &str, since: &str| {
        let over = |event: &&Event| matches!(event.reason.as_str(), "Pulled" | "Failed" | "BackOff");
        events.iter().filter(over).any(|event| event.message.contains(image) && *at(event) >= *since)
    };
    let pulled = events.iter().filter(|event| event.reason == "Pulling").find_map(|event| {
        let image = event.message.split('"').nth(1)?;
        (!is_over(image, &at(event))).then(|| format!("pulling {image}"))
    });
    pulled.or_else(|| {
        let newest = events.iter().filter(|event| event.r#type == "Warning").max_by_key(|event| at(event))?;
        Some(format!("{}: {}", newest.reason, newest.message))
    })
}

/// What the agent says of its endpoints.
fn of_endpoints(found: Option<&endpoints::Endpoints>) -> String {
    let Some(found) = found else { return "no endpoint list yet".to_owned() };
    let states: Vec<String> = found.not_ready().map(|(state, count)| format!("{count} {state}")).collect();
    if states.is_empty() {
        return format!("all its {} endpoints are ready", found.all());
    }
    let unready: u32 = found.not_ready().map(|(_, count)| count).sum();
    format!("regenerating endpoints: {unready} of {} are not ready yet ({})", found.all(), states.join(", "))
}
