//! Step 6: the one DELETE, and what is to be made of its answer.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::consent::Consent;
use super::plan::Plan;
use super::requests::DeleteAnswer;
use super::{Cx, End, Restart};

/// A pod that is untouched for so long after a request that got no answer was not deleted by it.
const LOOK: Duration = Duration::from_secs(20);
/// Between two looks.
const GLANCE: Duration = Duration::from_secs(1);

/// What the pod looks like from outside.
enum Fate {
    Untouched,
    EndingOrGone,
    NotKnown(String),
}

/// Deletes the pod, once.
///
/// Says whether it was this run's request, where that is known. Whatever comes back, nothing is sent again.
pub(super) async fn restart(cx: &Cx<'_>, plan: &Plan, consent: Consent) -> Result<Restart, End> {
    let pod = &plan.doomed.pod;
    match cx.writer.delete_pod(&plan.doomed, consent).await {
        DeleteAnswer::Accepted => Ok(Restart::Deleted),
        DeleteAnswer::Gone => {
            cx.steps.line(&format!("{pod} is gone already: somebody else was faster; its replacement is awaited"));
            Ok(Restart::GoneAlready)
        }
        DeleteAnswer::Refused(why) => Err(End::refused(format!("{pod} was not deleted: {why}"))),
        DeleteAnswer::Replaced(why) => match fate(cx, plan, false).await {
            Fate::EndingOrGone => {
                cx.steps.line(&format!("somebody else was faster ({why}); the replacement is awaited"));
                Ok(Restart::GoneAlready)
            }
            Fate::Untouched | Fate::NotKnown(_) => Err(End::refused(format!("{pod} was not deleted: {why}"))),
        },
        DeleteAnswer::Unknown(why) => {
            cx.steps.line(&format!("the answer to the DELETE got lost ({why}); looking at what became of {pod}"));
            match fate(cx, plan, true).await {
                Fate::EndingOrGone => {
                    cx.steps.line(&format!("it was done: {pod} is ending or gone"));
                    Ok(Restart::Deleted)
                }
                Fate::Untouched => Err(End::refused(format!(
                    "the DELETE got no answer ({why}), and {pod} is untouched {} s later; it is not sent again by itself",
                    LOOK.as_secs()
                ))),
                Fate::NotKnown(still) => {
                    cx.steps.line(&format!("nobody can say: {still}"));
                    Ok(Restart::NotKnown)
                }
            }
        }
    }
}

/// Looks at the pod by its UID until it is known; where the request may still be on its way, for a while longer. An API
/// server that went away is waited for as long as a replacement would be.
async fn fate(cx: &Cx<'_>, plan: &Plan, on_its_way: bool) -> Fate {
    let gives_up = Instant::now() + cx.settings.wait;
    let mut untouched_since = None;
    let mut trouble = "the API server gives no answer".to_owned();
    loop {
        match timeout_at(gives_up, cx.writer.agents(&plan.doomed.namespace, &plan.node)).await {
            Err(_) => return Fate::NotKnown(trouble),
            Ok(Err(failure)) => trouble = failure.message,
            Ok(Ok(pods)) => match pods.iter().find(|pod| pod.metadata.uid == plan.doomed.uid) {
                Some(pod) if pod.metadata.deletion_timestamp.is_none() => {
                    let since = *untouched_since.get_or_insert_with(Instant::now);
                    if !on_its_way || since.elapsed() >= LOOK {
                        return Fate::Untouched;
                    }
                }
                Some(_) | None => return Fate::EndingOrGone,
            },
        }
        sleep(GLANCE).await;
    }
}
