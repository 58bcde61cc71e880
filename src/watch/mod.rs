//! `staledp watch`: judges all nodes again and again, from inside the cluster, and keeps one condition on each.
//!
//! ```text
//! follow nodes and pods ─▶ screening ─▶ schedule ─▶ diagnose ─▶ condition ─▶ patch, Event, metrics
//! ```
//!
//! It judges exactly as `diagnose` does and repairs nothing. Kubernetes is the state: what it knows of a node is the
//! node's condition, and what waits for a second look stands on the Lease, so a restart loses nothing. It writes the
//! condition, Events when that turns, and the Lease; nothing else.

pub mod condition;
mod judge;
mod lease;
mod metrics;
mod requests;
pub mod schedule;
pub mod screening;
mod serve;
mod settings;

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch::Receiver;
use tokio::time::{sleep, timeout};

use crate::base::error::Error;
use crate::fix::stop::Stop;
use crate::fix::wire::Wire;
use crate::gather::live;
use crate::gather::live::Live;
use condition::DatapathCondition;
use judge::Watcher;
use lease::Leadership;
use metrics::Metrics;
use requests::{PatchAnswer, remove_condition};
use serve::{Pulse, serve};
pub use settings::WatchSettings;

/// How long releasing the Lease may take once the signal came: the whole end takes less than a second.
const LAST_WORDS: Duration = Duration::from_millis(700);
/// How often a node whose condition cannot be removed is tried.
const TRIES: u32 = 5;
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Watches until the first signal; `say` tells a person what happens, on one line.
///
/// # Errors
///
/// Where it cannot begin: no cluster, a port that is taken, a missing right.
pub async fn run(settings: &WatchSettings, say: &dyn Fn(&str), signalled: Receiver<bool>) -> Result<(), Error> {
    let stop = Stop::new(signalled);
    let cannot = |error| Error::configuration(format!("cannot listen on {}", settings.listen)).because(error);
    let listener = TcpListener::bind(settings.listen).await.map_err(cannot)?;
    let live = tokio::select! {
        live = live::connect(&settings.cluster, &settings.look.questions, settings.look.timeout) => live?,
        () = stop.first() => return Err(Error::interrupted()),
    };
    let wire = Wire::new(live.cluster());
    let leadership = Leadership::new(&wire, &settings.namespace, &settings.identity);
    let (metrics, pulse) = (Metrics::new(), Pulse::new());
    if let Ok(address) = listener.local_addr() {
        say(&format!("serving /metrics, /healthz and /readyz on {address}"));
    }
    let served = serve(listener, &metrics, &pulse, || metrics.requests(&live.cluster().requests()));
    let watcher = Watcher::new(settings, &live, &wire, &leadership, &metrics, &pulse, say);
    let ended = tokio::select! {
        biased;
        () = stop.first() => Ok(()),
        failed = lead(&watcher, &leadership, &metrics, &pulse, say) => Err(failed),
        () = served => Ok(()),
    };
    let _ = timeout(LAST_WORDS, leadership.release()).await;
    // Not `live.close()`: without SSH there is nothing to leave behind.
    ended
}

/// Watches while the Lease is held, and waits for it else; returns only with an error that waiting does not mend.
async fn lead(
    watcher: &Watcher<'_>,
    leadership: &Leadership<'_>,
    metrics: &Metrics,
    pulse: &Pulse,
    say: &dyn Fn(&str),
) -> Error {
    loop {
        pulse.set_ready(false);
        metrics.lead(false);
        let waiting = async {
            loop {
                pulse.beat();
                sleep(PAUSE).await;
            }
        };
        let acquired = tokio::select! {
            acquired = leadership.acquire(say) => acquired,
            () = waiting => return Error::bug("cannot wait"),
        };
        if let Err(failure) = acquired {
            return Error::from(failure)
                .context("cannot acquire the Lease")
                .with_hint("`staledp rbac watch` prints the rights to grant");
        }
        metrics.lead(true);
        say("watching: this process holds the Lease");
        let why = tokio::select! {
            why = leadership.keep() => why,
            () = watcher.follow_and_judge() => "the watch ended".to_owned(),
        };
        say(&format!("stopped watching: {why}"));
    }
}

/// Removes the condition from all nodes that have it; returns how many there were.
///
/// # Errors
///
/// Where the nodes cannot be listed, another process watches, or a node keeps its condition.
pub async fn uninstall(
    settings: &WatchSettings,
    say: &dyn Fn(&str),
    signalled: Receiver<bool>,
) -> Result<usize, Error> {
    let stop = Stop::new(signalled);
    let work = async {
        let live = live::connect(&settings.cluster, &settings.look.questions, settings.look.timeout).await?;
        let wire = Wire::new(live.cluster());
        let leadership = Leadership::new(&wire, &settings.namespace, &settings.identity);
        // A watch that still runs would set the condition again at its next look.
        leadership.acquire(say).await.map_err(|failure| Error::from(failure).context("cannot acquire the Lease"))?;
        let removed = remove_all(settings, &live, &wire).await;
        leadership.release().await;
        removed
    };
    tokio::select! {
        done = work => done,
        () = stop.first() => Err(Error::interrupted()),
    }
}

async fn remove_all(settings: &WatchSettings, live: &Live, wire: &Wire<'_>) -> Result<usize, Error> {
    let nodes =
        live.cluster().nodes().await.map_err(|failure| Error::from(failure).context("cannot list the nodes"))?;
    let kind = settings.condition.as_str();
    let has = |node: &&crate::kubernetes::objects::Node| node.status.conditions.iter().any(|c| c.r#type == kind);
    let mut removed = 0;
    for node in nodes.iter().filter(has) {
        let name = &node.metadata.name;
        let mut trouble = String::new();
        let mut done = false;
        for _ in 0..TRIES {
            match remove_condition(wire, name, &node.metadata.uid, kind).await {
                PatchAnswer::Done(left) if DatapathCondition::read(&left.status.conditions, kind).is_none() => {
                    done = true;
                }
                PatchAnswer::Gone => done = true,
                PatchAnswer::Done(_) => "the node still has it".clone_into(&mut trouble),
                PatchAnswer::Refused(failure) => {
                    return Err(Error::from(failure).context(format!("cannot remove the condition from {name}")));
                }
                PatchAnswer::Later(why) => trouble = why,
            }
            if done {
                break;
            }
            sleep(PAUSE).await;
        }
        if !done {
            let failed = format!("cannot remove the condition {kind} from {name}: {trouble}");
            return Err(Error::cannot_reach(failed).with_hint("run it again"));
        }
        removed += 1;
    }
    Ok(removed)
}
