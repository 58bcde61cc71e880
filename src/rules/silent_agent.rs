//! An agent that does not answer, where nothing fails yet: what it would say of its services cannot be judged.

use crate::knowledge::code::Code;
use crate::rules::beyond::Silence;
use crate::rules::case::Case;
use crate::rules::opinion::Opinion;
use crate::rules::verdict::{Because, Cause, Confidence};

/// Says that the agent is what did not answer, and not the node.
pub(super) fn silent(case: &Case) -> Option<Opinion> {
    let silence = case.beyond.agent_silence.as_ref()?;
    let agent = case.agent()?;
    let (how, found) = match silence.silence {
        Silence::Frozen => ("hangs: it takes questions and answers none", "no answer"),
        Silence::NoSocket => ("cannot be asked: its socket is gone, though its pod runs", "no socket"),
    };
    let summary = format!(
        "The agent {} {how}. What the kernel holds still works, but nobody updates it: new pods, services and policies do \
         not reach this node.",
        agent.pod.name
    );
    let mut opinion = Opinion::new(Code::EvidenceMissing, Confidence::High, summary)
        .because(Because::evidence(silence.evidence.name(), silence.says.clone()));
    opinion.cause = Some(
        Cause::named("agent", "cilium-agent", silence.evidence).on(agent.pod.to_string()).expected("it answers", found),
    );
    Some(opinion)
}
