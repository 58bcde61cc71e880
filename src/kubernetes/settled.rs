//! Whether a node has settled after a change, and whether it changed at all: by the node and its agent's pod.

use crate::base::failure::FailureKind;
use crate::base::time::{Timestamp, moment, seconds_between};
use crate::kubernetes::agents::Agent;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::objects::Node;

/// Why a node has not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// The reason, the same at every look for as long as it is the reason.
    pub says: String,
    /// How many seconds its agent needs only to grow older; none where something else is missing, too.
    pub only_young_s: Option<i64>,
    /// Whether waiting can change nothing: a right is missing.
    pub for_good: bool,
}

/// Why a node has not settled at this moment: it or its agent is not ready, or the agent is younger than `settle_s`
/// seconds. None where it has.
#[must_use]
pub fn unsettled(node: &str, map: &ClusterMap<'_>, at: Option<Timestamp>, settle_s: i64) -> Option<Unsettled> {
    let waits = |says: String| Some(Unsettled { says, only_young_s: None, for_good: false });
    let agent = match map.agent(node) {
        Agent::Unknown(failure) => {
            let for_good = failure.kind == FailureKind::Forbidden;
            return Some(Unsettled {
                says: format!("its agent is not known: {failure}"),
                only_young_s: None,
                for_good,
            });
        }
        Agent::NotRunning { why } => return waits(why),
        Agent::Running(agent) => agent,
    };
    let name = &agent.pod.name;
    if map.node(node).and_then(Node::ready) == Some(false) {
        return waits("the node is not ready".to_owned());
    }
    if agent.terminating {
        return waits(format!("its agent {name} is being deleted"));
    }
    if !agent.ready {
        return waits(format!("its agent {name} is not ready"));
    }
    // An age that is not known is the verdict's affair.
    let started = agent.started_at?;
    let missing_s = settle_s - seconds_between(started, at?);
    (missing_s > 0).then(|| {
        let says = format!("its agent {name} has run for less than {settle_s} s, since {started}");
        Unsettled { says, only_young_s: Some(missing_s), for_good: false }
    })
}

/// The agent of a node as it was before.
#[derive(Clone, Copy, Debug)]
pub struct EarlierAgent<'a> {
    /// Its pod; none where none ran.
    pub pod: Option<&'a str>,
    /// When it started, RFC 3339.
    pub started_at: Option<&'a str>,
}

/// Whether the agent of a node is another one, or started anew; none where one of the two is not known.
#[must_use]
pub fn agent_changed(node: &str, map: &ClusterMap<'_>, earlier: EarlierAgent<'_>) -> Option<bool> {
    match map.agent(node) {
        Agent::Unknown(_) => None,
        Agent::NotRunning { .. } => Some(earlier.pod.is_some()),
        Agent::Running(now) => {
            let before = earlier.started_at.and_then(moment);
            let started_anew = before.zip(now.started_at).is_some_and(|(before, now)| before != now);
            Some(earlier.pod != Some(now.pod.name.as_str()) || started_anew)
        }
    }
}

/// What changed of a node since a moment, and since its agent was the `earlier` one where that is known: the node was made
/// or became ready or unready, its agent is another, started, or does not run. None where nothing did. What is not known
/// counts as a change.
#[must_use]
pub fn what_changed(
    node: &str,
    map: &ClusterMap<'_>,
    since: Timestamp,
    earlier: Option<EarlierAgent<'_>>,
) -> Option<String> {
    let later = |text: Option<&str>| text.and_then(moment).filter(|at| *at > since);
    if let Some(node) = map.node(node) {
        if let Some(made) = later(node.metadata.creation_timestamp.as_deref()) {
            return Some(format!("the node was made {made}"));
        }
        let ready = node.status.conditions.iter().find(|condition| condition.r#type == "Ready");
        if let Some((ready, at)) = ready.and_then(|ready| Some((ready, later(ready.last_transition_time.as_deref())?)))
        {
            let became = if ready.status == "True" { "ready" } else { "unready" };
            return Some(format!("the node became {became} {at}"));
        }
    }
    let agent = match map.agent(node) {
        Agent::Unknown(failure) => return Some(format!("its agent is not known: {failure}")),
        Agent::NotRunning { .. } if earlier.is_some_and(|earlier| earlier.pod.is_none()) => return None,
        Agent::NotRunning { why } => return Some(why),
        Agent::Running(agent) => agent,
    };
    let name = &agent.pod.name;
    if agent.terminating {
        return Some(format!("its agent {name} is being deleted"));
    }
    match agent.started_at {
        None => return Some(format!("when its agent {name} started is not known")),
        Some(at) if at > since => return Some(format!("its agent {name} started {at}")),
        Some(_) => {}
    }
    let is_other = earlier.and_then(|earlier| agent_changed(node, map, earlier)) == Some(true);
    is_other.then(|| format!("its agent {name} is not the one of before"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::base::failure::Failure;
    use crate::base::questions::Named;
    use crate::kubernetes::inventory::{Inventory, Listed, Origin};

    fn lists(node: &Value, pods: Value) -> Inventory {
        let nothing = || Failure::new(FailureKind::NotFound, "not requested");
        Inventory {
            origin: Origin { context: None, captured_at: moment("2026-06-06T12:00:00Z") },
            nodes: Listed::Whole(serde_json::from_value(json!([node])).unwrap()),
            pods: Listed::Whole(serde_json::from_value(pods).unwrap()),
            services: Listed::Missing(nothing()),
            endpoint_slices: Listed::Missing(nothing()),
            events: Listed::Missing(nothing()),
        }
    }

    fn node() -> Value {
        json!({"metadata": {"name": "brno", "creationTimestamp": "2026-01-01T00:00:00Z"},
               "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z"}]}})
    }

    fn agent(started: &str) -> Value {
        json!([{"metadata": {"name": "cilium-a", "namespace": "kube-system", "labels": {"k8s-app": "cilium"}},
                "spec": {"nodeName": "brno"},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
                           "containerStatuses": [{"name": "cilium-agent", "state": {"running": {"startedAt": started}}}]}}])
    }

    fn settling(inventory: &Inventory) -> Option<Unsettled> {
        unsettled("brno", &ClusterMap::new(inventory, Named::default()), inventory.origin.captured_at, 300)
    }

    fn changed(inventory: &Inventory) -> Option<String> {
        let since = moment("2026-06-06T11:00:00Z").unwrap();
        what_changed("brno", &ClusterMap::new(inventory, Named::default()), since, None)
    }

    #[test]
    fn node_settles_when_its_ready_agent_is_old_enough() {
        assert_eq!(settling(&lists(&node(), agent("2026-06-06T11:55:00Z"))), None);
        let young = settling(&lists(&node(), agent("2026-06-06T11:56:40Z"))).unwrap();
        assert_eq!((young.only_young_s, young.for_good), (Some(100), false));
        assert!(young.says.contains("since 2026-06-06T11:56:40Z"), "{young:?}");
        let mut pods = agent("2026-06-06T10:00:00Z");
        pods[0]["status"]["conditions"][0]["status"] = "False".into();
        assert_eq!(settling(&lists(&node(), pods.clone())).unwrap().says, "its agent cilium-a is not ready");
        pods[0]["metadata"]["deletionTimestamp"] = "2026-06-06T12:00:00Z".into();
        assert_eq!(settling(&lists(&node(), pods)).unwrap().says, "its agent cilium-a is being deleted");
        let mut down = node();
        down["status"]["conditions"][0]["status"] = "Unknown".into();
        assert_eq!(settling(&lists(&down, agent("2026-06-06T10:00:00Z"))).unwrap().says, "the node is not ready");
        assert_eq!(settling(&lists(&node(), json!([]))).unwrap().only_young_s, None);
    }

    #[test]
    fn right_that_is_missing_is_not_waited_for() {
        let mut inventory = lists(&node(), json!([]));
        inventory.pods = Listed::Missing(Failure::new(FailureKind::Forbidden, "no right"));
        assert!(settling(&inventory).unwrap().for_good);
        inventory.pods = Listed::Missing(Failure::new(FailureKind::Timeout, "late"));
        assert!(!settling(&inventory).unwrap().for_good);
        assert!(changed(&inventory).is_some(), "what is not known counts as changed");
    }

    #[test]
    fn new_agent_and_new_node_are_changes_and_older_ones_are_not() {
        assert_eq!(changed(&lists(&node(), agent("2026-06-06T10:59:59Z"))), None);
        let started = changed(&lists(&node(), agent("2026-06-06T11:00:01Z"))).unwrap();
        assert_eq!(started, "its agent cilium-a started 2026-06-06T11:00:01Z");
        let mut made = node();
        made["metadata"]["creationTimestamp"] = "2026-06-06T11:30:00Z".into();
        assert!(changed(&lists(&made, agent("2026-06-06T10:00:00Z"))).unwrap().starts_with("the node was made"));
        let mut back = node();
        back["status"]["conditions"][0]["lastTransitionTime"] = "2026-06-06T11:30:00Z".into();
        assert!(changed(&lists(&back, agent("2026-06-06T10:00:00Z"))).unwrap().starts_with("the node became ready"));
        back["status"]["conditions"][0]["status"] = "Unknown".into();
        assert!(changed(&lists(&back, agent("2026-06-06T10:00:00Z"))).unwrap().starts_with("the node became unready"));
        assert!(changed(&lists(&node(), json!([]))).unwrap().starts_with("no Cilium agent pod"));
    }

    #[test]
    fn agent_of_before_counts_whatever_the_clocks_say() {
        let since = moment("2026-06-06T11:00:00Z").unwrap();
        let ask = |pods: Value, pod, started_at| {
            let inventory = lists(&node(), pods);
            what_changed(
                "brno",
                &ClusterMap::new(&inventory, Named::default()),
                since,
                Some(EarlierAgent { pod, started_at }),
            )
        };
        let old = || agent("2026-06-06T10:00:00Z");
        assert_eq!(ask(old(), Some("cilium-a"), Some("2026-06-06T10:00:00Z")), None);
        assert!(ask(old(), Some("cilium-b"), Some("2026-06-06T09:00:00Z")).is_some());
        assert!(ask(old(), Some("cilium-a"), Some("2026-06-06T09:00:00Z")).is_some(), "its container started anew");
        assert_eq!(ask(json!([]), None, None), None, "it did not run before either");
        assert!(ask(json!([]), Some("cilium-a"), None).is_some());
    }

    #[test]
    fn agent_is_told_from_the_earlier_one_by_name_and_start() {
        let inventory = lists(&node(), agent("2026-06-06T10:00:00Z"));
        let map = ClusterMap::new(&inventory, Named::default());
        let is_other = |pod, started_at| agent_changed("brno", &map, EarlierAgent { pod, started_at });
        assert_eq!(is_other(Some("cilium-a"), Some("2026-06-06T12:00:00+02:00")), Some(false));
        assert_eq!(is_other(Some("cilium-a"), None), Some(false));
        assert_eq!(is_other(Some("cilium-a"), Some("2026-06-06T09:00:00Z")), Some(true));
        assert_eq!(is_other(Some("cilium-b"), None), Some(true));
        assert_eq!(is_other(None, None), Some(true));
    }
}
