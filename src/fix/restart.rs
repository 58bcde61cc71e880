//! Step 6: the one DELETE, and what is to be made of its answer.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::consent::Consent;
use super::plan::Plan;
use super::requests::DeleteAnswer;
use super::{EarlyEnd, FixContext, RestartOutcome};

/// A pod that is untouched for so long after a request that got no answer was not deleted by it.
const LOOK: Duration = Duration::from_secs(20);
/// Between two looks.
const GLANCE: Duration = Duration::from_secs(1);

/// What the pod looks like from outside.
enum PodFate {
    Untouched,
    EndingOrGone,
    NotKnown(String),
}

/// Deletes the pod, once.
///
/// Says whether it was this run's request, where that is known. Whatever comes back, nothing is sent again.
pub(super) async fn restart(cx: &FixContext<'_>, plan: &Plan, consent: Consent) -> Result<RestartOutcome, EarlyEnd> {
    let pod = &plan.target.pod;
    match cx.writer.delete_pod(&plan.target, consent).await {
        DeleteAnswer::Accepted => Ok(RestartOutcome::Deleted),
        DeleteAnswer::Gone => {
            cx.steps.line(&format!("{pod} is gone already: somebody else was faster; its replacement is awaited"));
            Ok(RestartOutcome::GoneAlready)
        }
        DeleteAnswer::Refused(why) => Err(EarlyEnd::refused(format!("{pod} was not deleted: {why}"))),
        DeleteAnswer::Replaced(why) => match fate(cx, plan, false).await {
            PodFate::EndingOrGone => {
                cx.steps.line(&format!("somebody else was faster ({why}); the replacement is awaited"));
                Ok(RestartOutcome::GoneAlready)
            }
            PodFate::Untouched | PodFate::NotKnown(_) => {
                Err(EarlyEnd::refused(format!("{pod} was not deleted: {why}")))
            }
        },
        DeleteAnswer::Unknown(why) => {
            cx.steps.line(&format!("the answer to the DELETE got lost ({why}); looking at what became of {pod}"));
            match fate(cx, plan, true).await {
                PodFate::EndingOrGone => {
                    cx.steps.line(&format!("it was done: {pod} is ending or gone"));
                    Ok(RestartOutcome::Deleted)
                }
                PodFate::Untouched => Err(EarlyEnd::refused(format!(
                    "the DELETE got no answer ({why}), and {pod} is untouched {} s later; it is not sent again by itself",
                    LOOK.as_secs()
                ))),
                PodFate::NotKnown(still) => {
                    cx.steps.line(&format!("nobody can say: {still}"));
                    Ok(RestartOutcome::NotKnown)
                }
            }
        }
    }
}

/// Looks at the pod by its UID until it is known; where the request may still be on its way, for a while longer. An API
/// server that went away is waited for as long as a replacement would be.
async fn fate(cx: &FixContext<'_>, plan: &Plan, on_its_way: bool) -> PodFate {
    let gives_up = Instant::now() + cx.settings.wait;
    let mut untouched_since = None;
    let mut trouble = "the API server gives no answer".to_owned();
    loop {
        match timeout_at(gives_up, cx.writer.agents(&plan.target.namespace, &plan.node)).await {
            Err(_) => return PodFate::NotKnown(trouble),
            Ok(Err(failure)) => trouble = failure.message,
            Ok(Ok(pods)) => match pods.iter().find(|pod| pod.metadata.uid == plan.target.uid) {
                Some(pod) if pod.metadata.deletion_timestamp.is_none() => {
                    let since = *untouched_since.get_or_insert_with(Instant::now);
                    if !on_its_way || since.elapsed() >= LOOK {
                        return PodFate::Untouched;
                    }
                }
                Some(_) | None => return PodFate::EndingOrGone,
            },
        }
        sleep(GLANCE).await;
    }
}
