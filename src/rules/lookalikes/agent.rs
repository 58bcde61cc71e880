//! The agent itself: not running, or only just started.

use crate::base::time;
use crate::knowledge::code::Code;
use crate::kubernetes::agents::Agent;
use crate::rules::case::Case;
use crate::rules::lookalikes::in_trouble;
use crate::rules::opinion::{Exclusion, Opinion};
use crate::rules::verdict::{Because, Confidence, figures};

/// An agent younger than this, in seconds, may still be at work on its endpoints.
const YOUNG_AGENT_S: i64 = 300;

/// `agent-not-running`.
pub(super) fn not_running(case: &Case) -> Exclusion {
    match &case.around.agent {
        Agent::NotRunning { why } => Exclusion::applies(
            Opinion::new(Code::AgentNotRunning, Confidence::High, format!("No Cilium agent runs here: {why}."))
                .because(Because::evidence("pods", why.clone())),
        ),
        Agent::Running(agent) => {
            Exclusion::out(format!("{} runs", agent.pod.name), [("pod", agent.pod.name.clone().into())])
        }
        Agent::Unknown(failure) => Exclusion::open(format!("the pods could not be listed: {failure}"), "pods"),
    }
}

/// `agent-starting`.
pub(super) fn starting(case: &Case) -> Exclusion {
    let Some(agent) = case.agent() else { return Exclusion::NotApplicable };
    let age = case.agent_age_s();
    let why = match age {
        _ if agent.terminating => {
            format!("{} is being deleted, and no other agent runs beside it yet", agent.pod.name)
        }
        Some(age) if (-YOUNG_AGENT_S..YOUNG_AGENT_S).contains(&age) => {
            format!("{} started {} before the evidence was taken", agent.pod.name, time::age(age))
        }
        Some(age @ 0..) => {
            return Exclusion::out(
                format!("the agent has been running for {}", time::age(age)),
                [("age_s", age.into())],
            );
        }
        Some(_) => return Exclusion::open("the agent's start is later than the evidence", "pods"),
        None => return Exclusion::open("the agent's start is not known", "pods"),
    };
    let mut figures = figures([("agent", agent.pod.name.clone().into())]);
    figures.extend(age.map(|age| ("age_s".to_owned(), age.into())));
    if !in_trouble(case) && !agent.terminating {
        let age = age.unwrap_or_default();
        if case.egress.by_name.is_none() && case.egress.by_address.is_none() && case.picture().is_none() {
            return Exclusion::open(
                "the agent started a moment ago, and neither a probe nor the dump tells what fails",
                "ct-list",
            );
        }
        return Exclusion::out("the agent started a moment ago, but nothing fails now", [("age_s", age.into())]);
    }
    let summary = "The agent has only just started: what fails now may work in a minute. Diagnose again then.";
    Exclusion::applies(
        Opinion::new(Code::AgentStarting, Confidence::High, summary)
            .because(Because::evidence("pods", why).with(figures)),
    )
}
