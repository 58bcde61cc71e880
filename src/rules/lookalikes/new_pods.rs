//! `new-pods-stuck`: what runs is fine, but new pods get no network.

use crate::knowledge::code::Code;
use crate::rules::case::Case;
use crate::rules::opinion::{Exclusion, Opinion};
use crate::rules::verdict::{Affected, Because, Confidence, Says};

/// Asks the cluster's lists.
pub(super) fn stuck(case: &Case) -> Exclusion {
    let trouble = &case.trouble;
    if case.around.pods.is_none() {
        return Exclusion::open("the pods could not be listed", "pods");
    }
    let (failures, message) = trouble.sandbox.clone().unwrap_or_default();
    let figures = [
        ("creating", trouble.creating.len().into()),
        ("terminating", trouble.terminating.len().into()),
        ("sandbox_failures", failures.into()),
    ];
    let young = case.agent_age_s().is_some_and(|age| age < 180);
    // One pod that waits may wait for a volume; an event of the plugin, or several pods, say that it is the network.
    if young
        || failures == 0 && trouble.kill_failures == 0
        || trouble.creating.is_empty() && trouble.terminating.is_empty()
    {
        let says = format!(
            "{} pods have been waiting for their network for minutes, {failures} recent events report that Cilium \
             could not set one up",
            trouble.creating.len()
        );
        return Exclusion::out(says, figures);
    }
    let waiting = trouble.creating.len() + trouble.terminating.len();
    let pods =
        if waiting == 1 { "1 pod of this node waits".to_owned() } else { format!("{waiting} pods of this node wait") };
    let summary = format!(
        "Running pods are fine, but {pods} for the agent to set up or remove a network: it serves no new pods."
    );
    let mut text = format!(
        "{} pods in ContainerCreating, {} terminating for minutes",
        trouble.creating.len(),
        trouble.terminating.len()
    );
    if failures > 0 {
        text.push_str(&format!("; FailedCreatePodSandBox {failures} times: {}", short(&message)));
    }
    let mut opinion = Opinion::new(Code::NewPodsStuck, Confidence::Medium, summary)
        .because(Because::said("events", Says::new(text, figures)));
    opinion.affected = trouble
        .creating
        .iter()
        .chain(&trouble.terminating)
        .map(|waiting| Affected {
            namespace: waiting.pod.namespace.clone(),
            pod: waiting.pod.name.clone(),
            says: format!("waiting for {}", crate::base::time::age(waiting.for_s)),
        })
        .collect();
    Exclusion::applies(opinion)
}

fn short(message: &str) -> String {
    const MOST: usize = 200;
    if message.chars().count() <= MOST {
        message.to_owned()
    } else {
        message.chars().take(MOST).chain(['…']).collect()
    }
}
