//! Pods of one node that do not start, do not end, or are not ready, by the cluster's lists and events.

use crate::base::failure::Failure;
use crate::base::pod_ref::PodRef;
use crate::base::time::{Timestamp, moment, seconds_between};
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::objects::{Event, Pod};

/// A pod that has waited this long for its network does not merely start, in seconds.
const STUCK_S: i64 = 120;
/// Events older than this say nothing about now, in seconds.
const RECENT_S: i64 = 600;

/// A pod and since when, in seconds before the evidence was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The pod.
    pub pod: PodRef,
    /// For how long, in seconds.
    pub for_s: i64,
}

/// Failing probes of one pod, by the kubelet's recent events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeTimeouts {
    /// The pod.
    pub pod: PodRef,
    /// How many probes got no answer in time.
    pub count: i64,
}

/// Pods of one node in trouble.
#[derive(Clone, Debug, Default)]
pub struct PodTrouble {
    /// Running pods with an address of their own that are not ready.
    pub unready: Vec<Waiting>,
    /// Pods of this node, with an address of their own, that run.
    pub running: usize,
    /// Pods that have waited in ContainerCreating for minutes.
    pub creating: Vec<Waiting>,
    /// Pods that should have gone minutes ago.
    pub terminating: Vec<Waiting>,
    /// Pods whose probes got no answer in time, lately.
    pub timeouts: Vec<ProbeTimeouts>,
    /// How often a pod got no network lately, and what the last such event says.
    pub sandbox: Option<(i64, String)>,
    /// How often a pod's network could not be taken down lately.
    pub kill_failures: i64,
    /// Why events are missing, where they are.
    pub events_gap: Option<Failure>,
    /// Which events were listed, where it was only a part.
    pub events_part: Option<String>,
}

impl PodTrouble {
    /// Looks through the lists for one node. `now` is when the evidence was taken.
    #[must_use]
    pub fn of_node(node: &str, map: &ClusterMap<'_>, now: Option<Timestamp>) -> Self {
        let mut trouble = Self::default();
        let Some(now) = now else { return trouble };
        let here = || map.pods_on(node).iter().filter(|pod| !pod.spec.host_network);
        for pod in here() {
            trouble.add_pod(pod, now);
        }
        trouble.events_gap = map.inventory().events.gap().cloned();
        trouble.events_part = map.inventory().events.part().map(str::to_owned);
        let mut events: Vec<(usize, &Event)> = here().flat_map(|pod| map.events_about(pod)).copied().collect();
        events.sort_unstable_by_key(|(place, _)| *place);
        for (_, event) in events {
            trouble.add_event(event, now);
        }
        trouble
    }

    fn add_pod(&mut self, pod: &Pod, now: Timestamp) {
        let waiting = |since: Option<&str>| {
            let for_s = seconds_between(since.and_then(moment)?, now);
            (for_s >= 0).then(|| Waiting { pod: pod.reference(), for_s })
        };
        if let Some(deleted) = &pod.metadata.deletion_timestamp {
            self.terminating.extend(waiting(Some(deleted)).filter(|w| w.for_s >= STUCK_S));
            return;
        }
        match pod.status.phase.as_str() {
            "Running" => {
                self.running += 1;
                let ready = pod.status.conditions.iter().find(|c| c.r#type == "Ready");
                if let Some(ready) = ready.filter(|c| c.status == "False") {
                    self.unready.extend(waiting(ready.last_transition_time.as_deref()));
                }
            }
            "Pending" => {
                let mut states = pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses);
                let creating = states.any(|c| {
                    c.state
                        .waiting
                        .as_ref()
                        .is_some_and(|w| matches!(w.reason.as_str(), "ContainerCreating" | "PodInitializing"))
                });
                if creating && pod.status.pod_ip.is_empty() {
                    let since = pod.status.start_time.as_deref().or(pod.metadata.creation_timestamp.as_deref());
                    self.creating.extend(waiting(since).filter(|w| w.for_s >= STUCK_S));
                }
            }
            _ => {}
        }
    }

    fn add_event(&mut self, event: &Event, now: Timestamp) {
        let last = event.last_timestamp.as_deref().or(event.event_time.as_deref());
        let recent = last.and_then(moment).map(|last| seconds_between(last, now)).is_some_and(|age| age <= RECENT_S);
        if !recent {
            return;
        }
        let pod = PodRef {
            namespace: event.involved_object.namespace.to_string(),
            name: event.involved_object.name.to_string(),
        };
        let count = event.count.max(1);
        match event.reason.as_str() {
            "Unhealthy" if is_timeout(&event.message) => match self.timeouts.iter_mut().find(|t| t.pod == pod) {
                Some(known) => known.count = known.count.saturating_add(count),
                None => self.timeouts.push(ProbeTimeouts { pod, count }),
            },
            "FailedCreatePodSandBox" if event.message.contains("cilium") => {
                let sum = self.sandbox.as_ref().map_or(0, |(sum, _)| *sum);
                self.sandbox = Some((sum.saturating_add(count), event.message.clone()));
            }
            "FailedKillPod" if event.message.contains("cilium") => {
                self.kill_failures = self.kill_failures.saturating_add(count);
            }
            _ => {}
        }
    }
}

/// Whether a probe got no answer at all: a refusal or a status code is an answer of the pod's own.
fn is_timeout(message: &str) -> bool {
    ["context deadline exceeded", "i/o timeout", "no route to host", "timeout awaiting", "Client.Timeout"]
        .iter()
        .any(|words| message.contains(words))
        && !message.contains("refused")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::questions::Named;
    use crate::kubernetes::inventory::{Inventory, Listed, Origin};

    const NOW: &str = "2026-06-06T12:00:00Z";

    fn trouble(pods: &str, events: &str) -> PodTrouble {
        let inventory = Inventory {
            origin: Origin::default(),
            nodes: Listed::Whole(Vec::new()),
            pods: Listed::Whole(serde_json::from_str(pods).unwrap()),
            services: Listed::Whole(Vec::new()),
            endpoint_slices: Listed::Whole(Vec::new()),
            events: Listed::Whole(serde_json::from_str(events).unwrap()),
        };
        PodTrouble::of_node("graz", &ClusterMap::new(&inventory, Named::default()), moment(NOW))
    }

    fn event(reason: &str, message: &str, at: &str) -> String {
        format!(
            r#"{{"reason":"{reason}","message":"{message}","count":4,"lastTimestamp":"{at}",
               "involvedObject":{{"kind":"Pod","namespace":"shop","name":"web-1"}}}}"#
        )
    }

    const WEB: &str = r#"[{"metadata":{"namespace":"shop","name":"web-1"},"spec":{"nodeName":"graz"},
        "status":{"phase":"Running","podIP":"10.0.0.4","conditions":[{"type":"Ready","status":"False",
        "lastTransitionTime":"2026-06-06T11:50:00Z"}]}}]"#;

    #[test]
    fn unready_pod_and_its_recent_timeouts_are_counted() {
        let events = [
            event("Unhealthy", "Readiness probe failed: context deadline exceeded", "2026-06-06T11:59:00Z"),
            event("Unhealthy", "Readiness probe failed: i/o timeout", "2026-06-06T10:59:00Z"),
            event("Unhealthy", "Readiness probe failed: connection refused", "2026-06-06T11:59:00Z"),
        ];
        let seen = trouble(WEB, &format!("[{}]", events.join(",")));
        assert_eq!((seen.running, seen.unready.len(), seen.unready[0].for_s), (1, 1, 600));
        assert_eq!(
            seen.timeouts.iter().map(|t| t.count).collect::<Vec<_>>(),
            [4],
            "the old one and the refusal are not"
        );
    }

    #[test]
    fn sandbox_failure_of_another_plugin_is_not_counted() {
        let other = event("FailedCreatePodSandBox", "plugin type=calico failed", "2026-06-06T11:59:00Z");
        assert_eq!(trouble(WEB, &format!("[{other}]")).sandbox, None);
        let ours = event("FailedCreatePodSandBox", "plugin type=cilium-cni failed", "2026-06-06T11:59:00Z");
        assert_eq!(trouble(WEB, &format!("[{ours}]")).sandbox.map(|(n, _)| n), Some(4));
    }

    #[test]
    fn pod_that_waits_for_its_network_for_minutes_is_stuck() {
        let pod = |start: &str| {
            format!(
                r#"[{{"metadata":{{"namespace":"shop","name":"web-2"}},"spec":{{"nodeName":"graz"}},"status":{{"phase":"Pending",
                 "startTime":"{start}","containerStatuses":[{{"name":"web","state":{{"waiting":{{"reason":"ContainerCreating"}}}}}}]}}}}]"#
            )
        };
        assert_eq!(trouble(&pod("2026-06-06T11:55:00Z"), "[]").creating.len(), 1);
        assert_eq!(trouble(&pod("2026-06-06T11:59:30Z"), "[]").creating.len(), 0, "it only starts");
    }
}
