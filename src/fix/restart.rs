//! Step 6: the one DELETE, and what is to be made of its answer.

use std::time::Duration;

use tokio::time::Instant;

use super::consent::Consent;
use super::plan::Plan;
use super::{Cx, End};
use crate::gather::kube::write::Deletion;

/// How long is looked for what became of a request that got no answer.
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
pub(super) async fn restart(cx: &Cx<'_>, plan: &Plan, consent: Consent) -> Result<&'static str, End> {
    let pod = &plan.doomed.pod;
    match cx.writer.delete_pod(&plan.doomed, consent).await {
        Deletion::Accepted => Ok("deleted"),
        Deletion::Gone => {
            cx.steps.line(&format!("{pod} is gone already: somebody else was faster; its replacement is awaited"));
            Ok("gone-already")
        }
        Deletion::Refused(why) => Err(End::refused(format!("{pod} was not deleted: {why}"))),
        Deletion::Replaced(why) => match fate(cx, plan, false).await {
            Fate::EndingOrGone => {
                cx.steps.line(&format!("somebody else was faster ({why}); the replacement is awaited"));
                Ok("gone-already")
            }
            Fate::Untouched | Fate::NotKnown(_) => Err(End::refused(format!("{pod} was not deleted: {why}"))),
        },
        Deletion::Unknown(why) => {
            cx.steps.line(&format!("the answer to the DELETE got lost ({why}); looking at what became of {pod}"));
            match fate(cx, plan, true).await {
                Fate::EndingOrGone => {
                    cx.steps.line(&format!("it was done: {pod} is ending or gone"));
                    Ok("deleted")
                }
                Fate::Untouched => Err(End::refused(format!(
                    "the DELETE got no answer ({why}), and {pod} is untouched {} s later; it is not sent again by itself",
                    LOOK.as_secs()
                ))),
                Fate::NotKnown(still) => {
                    cx.steps.line(&format!("nobody can say: {still}"));
                    Ok("not-known")
                }
            }
        }
    }
}

/// Looks at the pod by its UID; where the request may still be on its way, for a while.
async fn fate(cx: &Cx<'_>, plan: &Plan, on_its_way: bool) -> Fate {
    let deadline = Instant::now() + LOOK;
    loop {
        let fate = match cx.writer.agents(&plan.doomed.namespace, &plan.node).await {
            Err(failure) => Fate::NotKnown(failure.message),
            Ok(pods) => match pods.iter().find(|pod| pod.metadata.uid == plan.doomed.uid) {
                Some(pod) if pod.metadata.deletion_timestamp.is_none() => Fate::Untouched,
                Some(_) | None => return Fate::EndingOrGone,
            },
        };
        if Instant::now() >= deadline || !on_its_way && matches!(fate, Fate::Untouched) {
            return fate;
        }
        tokio::time::sleep(GLANCE).await;
    }
}
