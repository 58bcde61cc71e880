//! `new-pods-stuck`: what runs is fine, but new pods get no network.

use std::fmt::Write as _;

use crate::knowledge::code::Code;
use crate::rules::beyond::{AgentSilence, Silence};
use crate::rules::case::Case;
use crate::rules::opinion::{Exclusion, Opinion};
use crate::rules::verdict::{Affected, Because, Cause, Confidence, Says};

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
    let silent = case.beyond.agent_silence.as_ref().filter(|_| failures > 0 || trouble.kill_failures > 0);
    if let Some(silence) = silent {
        return Exclusion::applies(silent_agent(case, silence, failures, &message));
    }
    if young
        || failures == 0 && trouble.kill_failures == 0
        || trouble.creating.is_empty() && trouble.terminating.is_empty()
    {
        let waiting = format!("{} pods wait for their network for minutes", trouble.creating.len());
        return match &trouble.events_gap {
            None => {
                let says = format!("{waiting}, {failures} recent events say that Cilium could not set one up");
                Exclusion::out(says, figures)
            }
            Some(_) if trouble.creating.is_empty() && trouble.terminating.is_empty() => {
                Exclusion::out(waiting, figures)
            }
            Some(failure) => {
                Exclusion::open(format!("{waiting}, and the events that say why are missing: {failure}"), "events")
            }
        };
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
        let _ = write!(text, "; FailedCreatePodSandBox {failures} times: {}", short(&message));
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

/// The agent's socket is gone, or nobody answers behind it, and the plugin says so: no pod needs to have waited for minutes.
fn silent_agent(case: &Case, silence: &AgentSilence, failures: i64, message: &str) -> Opinion {
    let (how, found) = match silence.silence {
        Silence::Frozen => ("hangs", "it takes questions and answers none"),
        Silence::NoSocket => ("cannot be asked, though its pod runs", "its socket is gone"),
    };
    let summary =
        format!("What runs is fine, but the agent {how}: new pods get no network, and old ones cannot be removed.");
    let figures = [
        ("sandbox_failures", failures.into()),
        ("kill_failures", case.trouble.kill_failures.into()),
        ("creating", case.trouble.creating.len().into()),
    ];
    let mut opinion = Opinion::new(Code::NewPodsStuck, Confidence::High, summary)
        .because(Because::evidence(silence.evidence.name(), silence.says.clone()))
        .because(Because::said(
            "events",
            Says::new(format!("FailedCreatePodSandBox {failures} times: {}", short(message)), figures),
        ));
    let agent = case.agent().map_or_else(|| case.around.node.clone(), |agent| agent.pod.to_string());
    opinion.cause =
        Some(Cause::named("agent", "cilium-agent", silence.evidence).on(agent).expected("it answers", found));
    opinion
}

fn short(message: &str) -> String {
    const MOST: usize = 200;
    if message.chars().count() <= MOST {
        message.to_owned()
    } else {
        message.chars().take(MOST).chain(['…']).collect()
    }
}
