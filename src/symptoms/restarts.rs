//! Restarted containers: how often, when last, and how the last run ended.

use std::fmt::Write as _;

use super::probes::Tally;
use super::{Looks, Symptom, SymptomKind, Symptoms, duration_in_words, unix_second};
use crate::kubernetes::inventory::Inventory;
use crate::kubernetes::node_local_dns::is_node_local_dns;
use crate::kubernetes::objects::{ContainerStatus, Pod, Terminated};

/// A restart that is older than this says nothing about today, in seconds.
const RECENT: i64 = 7 * 86_400;
/// But so many restarts do, whenever the last one was.
const MANY: i64 = 5;

/// All containers of a pod, sidecars among the init containers included.
pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses)
}

/// When a container was started again last: when the run before it ended.
pub(super) fn last_restart(container: &ContainerStatus) -> Option<&str> {
    let ended = container.last_state.terminated.as_ref().and_then(|t| t.finished_at.as_deref());
    let began = container.state.running.as_ref().and_then(|r| r.started_at.as_deref());
    ended.or_else(|| began.filter(|_| container.restart_count > 0))
}

/// Whether the restarts of a container are worth a word.
pub(super) fn matters(container: &ContainerStatus, now: Option<i64>) -> bool {
    let recent = last_restart(container).and_then(unix_second).zip(now).is_none_or(|(at, now)| now - at <= RECENT);
    container.restart_count >= MANY || (container.restart_count > 0 && recent)
}

/// The symptoms of all pods but NodeLocal DNS's, which have a kind of their own.
pub(super) fn add_restart_symptoms(inventory: &Inventory, tally: &Tally, now: Option<i64>, into: &mut Symptoms) {
    for pod in inventory.pods.known().iter().filter(|pod| pod.is_alive() && !is_node_local_dns(pod)) {
        for container in containers(pod).filter(|c| matters(c, now)) {
            let symptom = restart_symptom(SymptomKind::Restarts, pod, container, tally, now);
            into.add(Some(&pod.spec.node_name), symptom);
        }
    }
}

/// Whether a signal ended it, as the kubelet does: SIGTERM, then SIGKILL.
fn by_signal(end: Option<&Terminated>) -> bool {
    end.is_some_and(|end| matches!(end.exit_code, 137 | 143))
}

/// The restarts of one container.
pub(super) fn restart_symptom(
    kind: SymptomKind,
    pod: &Pod,
    container: &ContainerStatus,
    tally: &Tally,
    now: Option<i64>,
) -> Symptom {
    let reference = pod.reference();
    let name = container.name.as_str();
    let end = container.last_state.terminated.as_ref();
    let out_of_memory = end.is_some_and(|t| t.reason == "OOMKilled");
    let by_probe =
        !out_of_memory && (tally.killed(&reference, name) || by_signal(end) && tally.fails(&reference, name));
    let n = container.restart_count;
    let mut says = format!("{n} {}", if n == 1 { "restart" } else { "restarts" });
    let last = last_restart(container);
    if let Some((at, now)) = last.and_then(unix_second).zip(now) {
        _ = write!(says, ", the last one {} ago", duration_in_words(now - at));
    }
    let why = match end {
        _ if out_of_memory => ": it exceeded its memory limit (OOMKilled)".to_owned(),
        _ if tally.killed(&reference, name) => ": the kubelet killed it for a failed probe".to_owned(),
        Some(t) if by_probe => {
            format!(": killed (exit code {}), probably by the kubelet for its failed probes", t.exit_code)
        }
        Some(t) if !t.reason.is_empty() => format!(": {} (exit code {})", t.reason, t.exit_code),
        _ => ": cause unknown".to_owned(),
    };
    says.push_str(&why);
    if let Some(waiting) = container.state.waiting.as_ref().filter(|w| !w.reason.is_empty()) {
        _ = write!(says, "; now {}", waiting.reason);
    }
    let looks = match () {
        () if out_of_memory => Looks::Memory,
        () if pod.spec.host_network => Looks::OfTheHost,
        () if by_probe && tally.ends_answered(&reference, name) => Looks::Answered,
        () if by_probe => Looks::Unanswered,
        () => Looks::Open,
    };
    let weight = match looks {
        Looks::Memory | Looks::Answered => 0,
        Looks::Unanswered => 3,
        _ => 1,
    };
    Symptom {
        count: u64::try_from(n).unwrap_or(0),
        first: pod.status.start_time.as_deref().map(str::to_owned),
        last: last.map(str::to_owned),
        says,
        looks,
        weight,
        ..Symptom::of_pod(kind, &reference, Some(name))
    }
}
