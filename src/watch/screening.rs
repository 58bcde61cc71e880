//! Screening: which nodes the cluster's own lists make suspicious, since when. Pure, and free of any memory: each sign has
//! a time of its own, so a node is a suspect where a sign is younger than the last look at it. A restart of this program
//! therefore misses none.
//!
//! Pods and nodes tell what events would: a failed readiness probe is a Ready condition that turned, a failed liveness
//! probe is a container that started anew, a sandbox that cannot be made is a pod that waits without a container. So no
//! event is followed.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::time;
use crate::kubernetes::agents::is_agent;
use crate::kubernetes::objects::{Condition, Event, Node, Pod};

/// How long a pod may wait on its node for its first container, in seconds: an image has to be pulled.
const STUCK_S: i64 = 90;

/// The reason of the Event that `fix` records.
const FIX_EVENT: &str = "CiliumPodRestarted";
const HOUR_S: i64 = 3600;

/// The newest sign on a node: when it came, in seconds since the epoch, and what it is.
pub type NodeSigns = BTreeMap<String, (i64, &'static str)>;

/// The newest sign on each node that has one. `now` is in seconds since the epoch.
pub fn signs<'a>(nodes: impl Iterator<Item = &'a Node>, pods: impl Iterator<Item = &'a Pod>, now: i64) -> NodeSigns {
    let mut signs = NodeSigns::new();
    let mut add = |node: &str, at: Option<i64>, what: &'static str| {
        let Some(at) = at else { return };
        let newest = signs.entry(node.to_owned()).or_insert((at, what));
        if at > newest.0 {
            *newest = (at, what);
        }
    };
    let mut unready: BTreeSet<&str> = BTreeSet::new();
    for node in nodes {
        if node.ready() == Some(false) {
            unready.insert(&node.metadata.name);
        }
        // A node that is not ready answers no exec: it is looked at once it is ready again.
        let ready = condition(&node.status.conditions, "Ready").filter(|ready| ready.status == "True");
        let ready = ready.filter(|ready| {
            // A new node becomes ready for the first time, which is no sign.
            moment(ready.last_transition_time.as_deref())
                .zip(moment(node.metadata.creation_timestamp.as_deref()))
                .is_some_and(|(turned, made)| turned > made + STUCK_S)
        });
        add(
            &node.metadata.name,
            ready.and_then(|c| moment(c.last_transition_time.as_deref())),
            "the node became ready again",
        );
    }
    let ends = |pod: &&Pod| pod.metadata.deletion_timestamp.is_some();
    for pod in pods.filter(|pod| !pod.spec.node_name.is_empty() && !ends(pod)) {
        let node = pod.spec.node_name.as_str();
        if unready.contains(node) {
            continue;
        }
        if is_agent(pod) {
            let ready = condition(&pod.status.conditions, "Ready").filter(|ready| ready.status == "True");
            let turned = ready.and_then(|ready| moment(ready.last_transition_time.as_deref()));
            add(node, turned, "the Cilium agent became ready");
            continue;
        }
        if pod.spec.host_network {
            continue;
        }
        let not_ready = condition(&pod.status.conditions, "Ready").filter(|ready| ready.status == "False");
        match pod.status.phase.as_str() {
            "Running" => {
                add(node, not_ready.and_then(|c| moment(c.last_transition_time.as_deref())), "a pod became unready");
                let restarted = pod.status.container_statuses.iter().filter(|container| container.restart_count > 0);
                for container in restarted {
                    let since =
                        container.state.running.as_ref().and_then(|running| moment(running.started_at.as_deref()));
                    add(node, since, "a container was restarted");
                }
            }
            "Pending" => {
                let never_ran = pod.status.container_statuses.iter().all(|c| c.state.running.is_none());
                let taken = moment(pod.status.start_time.as_deref()).map(|taken| taken + STUCK_S);
                add(node, taken.filter(|due| never_ran && *due <= now), "a pod cannot start");
            }
            _ => {}
        }
    }
    signs
}

/// How many restarts of `fix` were not verified within the last hour, by node: what its Events say.
pub fn failed_fixes<'a>(events: impl Iterator<Item = &'a Event>, now: i64) -> BTreeMap<String, i64> {
    let mut failed = BTreeMap::new();
    for event in events.filter(|event| event.reason == FIX_EVENT && event.r#type == "Warning") {
        let at = moment(event.event_time.as_deref().or(event.last_timestamp.as_deref()));
        if event.involved_object.kind == "Node" && at.is_some_and(|at| now - at < HOUR_S) {
            *failed.entry(event.involved_object.name.to_string()).or_insert(0) += 1;
        }
    }
    failed
}

fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.r#type == kind)
}

fn moment(time: Option<&str>) -> Option<i64> {
    time::moment(time?).map(time::Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(json: serde_json::Value) -> Pod {
        serde_json::from_value(json).expect("a pod")
    }

    fn of(pods: &[Pod], now: i64) -> Option<(i64, &'static str)> {
        signs([].into_iter(), pods.iter(), now).remove("prusik")
    }

    #[test]
    fn unready_pod_of_the_pod_network_is_a_sign_from_the_moment_it_turned() {
        let mut json = json!({"spec": {"nodeName": "prusik"}, "status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "False", "lastTransitionTime": "1970-01-01T00:10:00Z"}]}});
        assert_eq!(of(&[pod(json.clone())], 9000), Some((600, "a pod became unready")));
        json["spec"]["hostNetwork"] = true.into();
        assert_eq!(of(&[pod(json.clone())], 9000), None, "the host's network is another");
        json["spec"]["hostNetwork"] = false.into();
        json["metadata"] = json!({"deletionTimestamp": "1970-01-01T00:10:00Z"});
        assert_eq!(of(&[pod(json)], 9000), None, "a pod that ends is unready");
    }

    #[test]
    fn agent_that_became_ready_is_a_sign_and_the_newest_sign_counts() {
        let agent = json!({"metadata": {"labels": {"k8s-app": "cilium"}}, "spec": {"nodeName": "prusik", "hostNetwork": true},
            "status": {"phase": "Running", "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:20:00Z"}]}});
        let restarted = json!({"spec": {"nodeName": "prusik"}, "status": {"phase": "Running", "containerStatuses": [
            {"restartCount": 1, "state": {"running": {"startedAt": "1970-01-01T00:30:00Z"}}}]}});
        assert_eq!(of(&[pod(agent.clone())], 9000), Some((1200, "the Cilium agent became ready")));
        assert_eq!(of(&[pod(restarted), pod(agent)], 9000), Some((1800, "a container was restarted")));
    }

    #[test]
    fn pod_without_a_container_is_a_sign_after_ninety_seconds() {
        let stuck = [pod(json!({"spec": {"nodeName": "prusik"}, "status": {"phase": "Pending",
            "startTime": "1970-01-01T00:00:10Z", "containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}}))];
        assert_eq!((of(&stuck, 99), of(&stuck, 100)), (None, Some((100, "a pod cannot start"))));
    }

    #[test]
    fn node_that_is_ready_again_is_a_sign_and_a_new_node_is_none() {
        let node = |made: &str| -> Node {
            serde_json::from_value(json!({"metadata": {"name": "prusik", "creationTimestamp": made},
                "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T01:00:00Z"}]}}))
            .expect("a node")
        };
        let of = |node: Node| signs([node].iter(), [].into_iter(), 9000).remove("prusik");
        assert_eq!(of(node("1970-01-01T00:00:00Z")), Some((3600, "the node became ready again")));
        assert_eq!(of(node("1970-01-01T00:59:30Z")), None);
    }

    #[test]
    fn pods_of_a_node_that_is_not_ready_are_no_sign() {
        let node: Node = serde_json::from_value(json!({"metadata": {"name": "prusik"}, "status": {"conditions": [
            {"type": "Ready", "status": "Unknown"}]}}))
        .expect("a node");
        let unready = pod(json!({"spec": {"nodeName": "prusik"}, "status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "False", "lastTransitionTime": "1970-01-01T00:10:00Z"}]}}));
        assert!(signs([node].iter(), [unready].iter(), 9000).is_empty(), "its kubelet answers no exec");
    }
}
