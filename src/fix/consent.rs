//! Step 5: asking. The only place where a [`Consent`] comes from.

use std::fmt;
use std::time::Duration;

use super::plan::Plan;
use super::requests::PodToDelete;
use super::show::Steps;

/// How long a question waits for its answer: well within the life of the lock.
const PATIENCE: Duration = Duration::from_secs(300);

/// That a person, or `--yes`, agreed to one deletion. It has no size and can't be copied: each is used up by the one
/// DELETE that it allows.
#[derive(Debug)]
pub(super) struct Consent(());

/// Why there is no consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoConsent {
    /// Nobody answered in time.
    NoAnswer,
    /// The answer was not a yes.
    NotConfirmed,
}

impl fmt::Display for NoConsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => write!(f, "no answer within {}", crate::base::time::span(PATIENCE)),
            Self::NotConfirmed => f.write_str("not confirmed"),
        }
    }
}

/// Asks, unless `--yes` answered already.
///
/// # Errors
///
/// Why consent is missing.
pub(super) async fn ask(
    plan: &Plan,
    risk: &str,
    gap: Duration,
    yes: bool,
    steps: &Steps,
) -> Result<Consent, NoConsent> {
    let PodToDelete { pod, namespace, uid } = &plan.target;
    let pod = format!("{pod} in {namespace} (UID {uid})");
    let gap = format!(
        "until the new agent is ready (at most {}), new pods on the node wait, and policy updates and proxied DNS \
         pause",
        crate::base::time::span(gap)
    );
    let facts = [
        ("context", plan.context.as_deref().unwrap_or("none (in-cluster)")),
        ("node", &plan.node),
        ("pod", &pod),
        ("command", &plan.command),
        ("risk", risk),
        ("gap", &gap),
    ];
    if yes {
        for (word, says) in facts {
            steps.entry(word, says);
        }
        steps.line("--yes: not asked");
        return Ok(Consent(()));
    }
    // On a terminal only; that was made sure of before anything was touched.
    match tokio::time::timeout(PATIENCE, steps.ask(&facts, "Restart it now? [y/N] ")).await {
        Err(_) => Err(NoConsent::NoAnswer),
        Ok(Some(line)) if matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes") => Ok(Consent(())),
        Ok(_) => Err(NoConsent::NotConfirmed),
    }
}
