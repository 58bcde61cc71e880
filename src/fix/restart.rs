//! Step 6: the one DELETE, and what its answer means.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::consent::Consent;
use super::lock::Lock;
use super::plan::Plan;
use super::requests::DeleteAnswer;
use super::{EarlyEnd, FixContext, RestartOutcome};

/// A pod that is untouched for so long after a request that got no answer was not deleted by it.
const LOOK: Duration = Duration::from_secs(20);
/// Between two looks.
const GLANCE: Duration = Duration::from_secs(1);

/// How long an interrupted request may still be on its way to the API server.
const IN_FLIGHT: Duration = Duration::from_secs(1);
/// How long the one look after an interruption may take.
const LOOK_UP: Duration = Duration::from_secs(5);

/// What became of the pod, as its object in the API shows.
pub(super) enum PodFate {
    /// It runs and is not terminating.
    Untouched,
    /// It is terminating or gone.
    EndingOrGone,
    /// Why that could not be read.
    NotKnown(String),
}

/// Deletes the pod, once.
///
/// Says whether it was this run's request, where that is known. Whatever comes back, nothing is sent again.
pub(super) async fn restart(
    cx: &FixContext<'_>,
    plan: &Plan,
    lock: &Lock<'_>,
    consent: Consent,
) -> Result<RestartOutcome, EarlyEnd> {
    let pod = &plan.target.pod;
    match cx.writer.delete_pod(&plan.target, consent).await {
        DeleteAnswer::Accepted => Ok(RestartOutcome::Deleted),
        DeleteAnswer::Gone => {
            cx.steps.line(&format!("{pod} was already deleted by another user; waiting for its replacement"));
            Ok(RestartOutcome::GoneAlready)
        }
        DeleteAnswer::Refused(why) | DeleteAnswer::Busy(why) => {
            Err(EarlyEnd::refused(format!("{pod} was not deleted: {why}")))
        }
        DeleteAnswer::Replaced(why) => match fate(cx, plan, lock, false).await {
            PodFate::EndingOrGone => {
                cx.steps
                    .line(&format!("{pod} was already deleted by another user ({why}); waiting for its replacement"));
                Ok(RestartOutcome::GoneAlready)
            }
            PodFate::Untouched | PodFate::NotKnown(_) => {
                Err(EarlyEnd::refused(format!("{pod} was not deleted: {why}")))
            }
        },
        DeleteAnswer::Unknown(why) => {
            cx.steps.line(&format!("no answer to the DELETE ({why}); looking up whether {pod} was deleted"));
            match fate(cx, plan, lock, true).await {
                PodFate::EndingOrGone => {
                    cx.steps.line(&format!("{pod} was deleted: it is terminating or gone"));
                    Ok(RestartOutcome::Deleted)
                }
                PodFate::Untouched => Err(EarlyEnd::refused(format!(
                    "no answer to the DELETE ({why}); {pod} is untouched {} s later, and the DELETE is not repeated",
                    LOOK.as_secs()
                ))),
                PodFate::NotKnown(still) => {
                    cx.steps.line(&format!("unknown: {still}"));
                    Ok(RestartOutcome::NotKnown)
                }
            }
        }
    }
}

/// Looks at the pod by its UID until it is known; where the request may still be on its way, for a while longer. An API
/// server that went away is waited for as long as a replacement would be.
async fn fate(cx: &FixContext<'_>, plan: &Plan, lock: &Lock<'_>, on_its_way: bool) -> PodFate {
    let gives_up = Instant::now() + cx.settings.wait;
    let mut untouched_since = None;
    let mut trouble = "the API server does not answer".to_owned();
    loop {
        // Losing the lock now endangers nothing: the DELETE is not sent again.
        let _ = lock.renew(false).await;
        match timeout_at(gives_up, look_up(cx, plan)).await {
            Err(_) => return PodFate::NotKnown(trouble),
            Ok(PodFate::NotKnown(why)) => trouble = why,
            Ok(PodFate::Untouched) => {
                let since = *untouched_since.get_or_insert_with(Instant::now);
                if !on_its_way || since.elapsed() >= LOOK {
                    return PodFate::Untouched;
                }
            }
            Ok(PodFate::EndingOrGone) => return PodFate::EndingOrGone,
        }
        sleep(GLANCE).await;
    }
}

/// Looks at the pod once, by its UID.
async fn look_up(cx: &FixContext<'_>, plan: &Plan) -> PodFate {
    match cx.writer.agents(&plan.target.namespace, &plan.node).await {
        Err(failure) => PodFate::NotKnown(failure.message),
        Ok(pods) => match pods.iter().find(|pod| pod.metadata.uid == plan.target.uid) {
            Some(pod) if pod.metadata.deletion_timestamp.is_none() => PodFate::Untouched,
            Some(_) | None => PodFate::EndingOrGone,
        },
    }
}

/// Looks up, once, what became of a DELETE that an interruption left without an answer. A request that was cut off may
/// still be carried out a moment later, so it is given that moment first.
pub(super) async fn look_up_after_interruption(cx: &FixContext<'_>, plan: &Plan) -> PodFate {
    sleep(IN_FLIGHT).await;
    timeout(LOOK_UP, look_up(cx, plan)).await.unwrap_or_else(|_| PodFate::NotKnown("no answer in time".to_owned()))
}
