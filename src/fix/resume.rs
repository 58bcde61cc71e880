//! Resumes an earlier run that was killed between its restart and its verification.

use std::cell::RefCell;

use super::lock::{self, LockState};
use super::plan::Plan;
use super::requests::PodToDelete;
use super::{EarlyEnd, FixContext, FixOutcome, Walk, follow, take};
use crate::base::time::{moment, seconds_between};
use crate::knowledge::code::Code;
use crate::kubernetes::agents::{RunningAgent, is_agent};
use crate::kubernetes::inventory::Inventory;
use crate::kubernetes::objects::Owner;

/// A run that ended so long ago, in seconds, says nothing of the agent that runs now.
const FORGOTTEN_S: i64 = 3600;

/// Whether an earlier run was interrupted between its restart and its verification; then this one resumes there,
/// without another restart.
pub(super) async fn resume(
    cx: &FixContext<'_>,
    node: &str,
    walk: &RefCell<Walk>,
    inventory: &Inventory,
) -> Option<Result<(), EarlyEnd>> {
    let agents = inventory.pods.known();
    let questions = &cx.settings.look.questions;
    let any = agents.iter().filter(|pod| is_agent(pod));
    let any = any.max_by_key(|pod| (pod.spec.node_name == node, pod.metadata.deletion_timestamp.is_none()))?;
    let namespace = questions.cilium_namespace.clone().unwrap_or_else(|| any.metadata.namespace.to_string());
    let Ok(LockState::Abandoned { lease, says }) = lock::read_lock(cx.writer, &namespace, cx.holder).await else {
        return None;
    };
    let about = |key: &str| lease.metadata.annotations.get(key).cloned().unwrap_or_default();
    let (uid, pod) = (about("staledp/pod-uid"), about("staledp/pod"));
    if about("staledp/node") != node || uid.is_empty() {
        return None;
    }
    cx.steps.line(&format!("an earlier run was interrupted: {says}"));
    let since = lease.spec.renew_time.as_deref().and_then(moment).map(|at| seconds_between(at, cx.writer.now()));
    if since.is_none_or(|since| since > FORGOTTEN_S) {
        cx.steps.line("that was too long ago to resume: starting over");
        return None;
    }
    let old = agents.iter().find(|agent| agent.metadata.uid == uid);
    if old.is_some_and(|pod| pod.metadata.deletion_timestamp.is_none()) {
        cx.steps.line(&format!("it did not restart {pod}, which still runs: starting over"));
        return None;
    }
    cx.steps.line(&format!(
        "it deleted {pod}, which is terminating or gone: resuming with wait and verify, without another restart"
    ));
    if cx.settings.dry_run {
        let says = format!("would resume an interrupted repair: {pod} was restarted and is not verified yet");
        return Some(Err(EarlyEnd { outcome: FixOutcome::DryRun, says, next: Vec::new() }));
    }
    let owner =
        any.metadata.owner_references.iter().find(|owner| owner.controller).cloned().unwrap_or_else(Owner::default);
    let mut old_pod = any.clone();
    old_pod.metadata.owner_references = [owner].into();
    let code = Code::ALL.iter().copied().find(|code| code.name() == about("staledp/verdict"));
    let before = walk.borrow().fix.before.clone()?;
    let found = inventory.nodes.known().iter().find(|found| found.metadata.name == node);
    let plan = Plan {
        context: inventory.origin.context.clone(),
        node: node.to_owned(),
        node_uid: found.map_or_else(|| node.to_owned(), |found| found.metadata.uid.to_string()),
        target: PodToDelete { namespace, pod, uid },
        agent: RunningAgent {
            pod: any.reference(),
            uid: any.metadata.uid.to_string(),
            version: None,
            started_at: None,
            restarts: 0,
            ready: false,
            terminating: false,
        },
        pod: old_pod,
        code: code.unwrap_or(before.verdict.code),
        forced: false,
        command: String::new(),
        before,
    };
    {
        let fix = &mut walk.borrow_mut().fix;
        fix.resumed = true;
        fix.verdict = Some(plan.code.name());
    }
    let lock = match take(cx, walk, &plan).await {
        Ok(lock) => lock,
        Err(end) => return Some(Err(end)),
    };
    walk.borrow_mut().sent = true;
    Some(follow(cx, walk, &plan, &lock).await)
}
