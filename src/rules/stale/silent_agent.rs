//! `stale-service-map` where the agent does not answer: the kernel's own table against the endpoints of cluster DNS.

use crate::base::evidence::Evidence;
use crate::knowledge::code::Code;
use crate::rules::beyond::Silence;
use crate::rules::case::Case;
use crate::rules::opinion::Opinion;
use crate::rules::stale::kernel_services::{KernelRow, held_against_endpoints, shown};
use crate::rules::verdict::{Because, Cause, Confidence, Says};

/// A direct sign: the agent no longer updates the kernel's services, and they are out of date.
#[must_use]
pub fn services(case: &Case) -> Option<Opinion> {
    let silence = case.beyond.agent_silence.as_ref()?;
    // Endpoints that are gone attract queries without an answer; missing ones leave the others working.
    let stale: Vec<KernelRow> = held_against_endpoints(case).into_iter().filter(|row| !row.gone.is_empty()).collect();
    let worst = stale.iter().min_by_key(|stale| stale.right)?;
    let how = match silence.silence {
        Silence::Frozen => "hangs: it accepts requests and answers none",
        Silence::NoSocket => "cannot be asked: its socket is gone",
    };
    let summary = format!(
        "The agent {how}, and the kernel's service table is out of date: for {}/{} it has {}, ready are {}.",
        worst.frontend,
        worst.protocol,
        shown(&worst.gone),
        shown(&worst.lacks)
    );
    let confidence = if worst.right == 0 { Confidence::High } else { Confidence::Medium };
    let mut opinion = Opinion::new(Code::StaleServiceMap, confidence, summary);
    for stale in &stale {
        let says = Says::new(
            format!(
                "{}/{}: the kernel has {} that no ready endpoint has, and lacks {}",
                stale.frontend,
                stale.protocol,
                shown(&stale.gone),
                shown(&stale.lacks)
            ),
            [("gone", stale.gone.len().into()), ("lacks", stale.lacks.len().into())],
        );
        opinion.because.push(Because::said(Evidence::LbList.name(), says));
    }
    opinion.because.push(Because::evidence(silence.evidence.name(), silence.says.clone()));
    let agent = case.agent().map_or_else(|| case.around.node.clone(), |agent| agent.pod.to_string());
    opinion.cause = Some(
        Cause::named("agent", "cilium-agent", silence.evidence)
            .on(agent)
            .with_key(worst.frontend.to_string())
            .expected(shown(&worst.lacks), shown(&worst.gone)),
    );
    Some(opinion)
}
