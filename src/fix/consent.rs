//! Step 5: asking. The only place where a [`Consent`] comes from.

use std::io::{BufRead as _, Write as _};
use std::time::Duration;

use futures::channel::oneshot;

use super::plan::Plan;
use super::show::Steps;
use crate::gather::kube::write::Doomed;

/// How long a question waits for its answer: well within the life of the lock.
const PATIENCE: Duration = Duration::from_secs(300);

/// That a person, or `--yes`, agreed to one deletion. It has no size and can't be copied: each is used up by the one
/// DELETE that it allows.
#[derive(Debug)]
pub struct Consent(());

/// Asks, unless `--yes` answered already.
///
/// # Errors
///
/// Why there is no consent.
pub(super) async fn ask(plan: &Plan, risk: &str, gap: Duration, yes: bool, steps: &Steps) -> Result<Consent, String> {
    let Doomed { pod, namespace, uid } = &plan.doomed;
    steps.entry("context", plan.context.as_deref().unwrap_or("none: inside the cluster"));
    steps.entry("node", &plan.node);
    steps.entry("pod", &format!("{pod} in {namespace} (UID {uid})"));
    steps.entry("command", &plan.command);
    steps.entry("risk", risk);
    let gap = format!(
        "until the new agent is ready (at most {} are waited), new pods of the node wait, and policies and DNS through \
         its proxy pause",
        humantime::format_duration(gap)
    );
    steps.entry("gap", &gap);
    if yes {
        steps.line("yes: --yes was given");
        return Ok(Consent(()));
    }
    // On a terminal only; that was made sure of before anything was touched.
    let _ = write!(std::io::stderr(), "        Restart it now? [y/N] ");
    let _ = std::io::stderr().flush();
    let (sender, answer) = oneshot::channel();
    // A read from a terminal can't be cancelled; nobody waits for this thread at the end.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        let _ = sender.send(read.map(|_| line));
    });
    match tokio::time::timeout(PATIENCE, answer).await {
        Err(_) => {
            let _ = writeln!(std::io::stderr());
            Err(format!("nobody answered within {}", humantime::format_duration(PATIENCE)))
        }
        Ok(Ok(Ok(line))) if matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes") => Ok(Consent(())),
        Ok(_) => Err("not confirmed".to_owned()),
    }
}
