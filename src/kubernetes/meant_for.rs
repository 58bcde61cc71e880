//! Which nodes Cilium is not meant to run on, and why: a missing agent is not a fault there.

use crate::kubernetes::objects::{Node, Pod, Taint, Toleration};

/// The effects of taints that keep a DaemonSet's pods away.
const KEEPS_AWAY: [&str; 2] = ["NoSchedule", "NoExecute"];

/// Why Cilium is not meant to run on a node without an agent; none where it is, as far as anybody can tell. `agent` is
/// a pod of the same DaemonSet on any other node: its own selector and tolerations are the DaemonSet's.
#[must_use]
pub fn why_not_meant(node: &Node, agent: Option<&Pod>) -> Option<String> {
    let labels = &node.metadata.labels;
    let label = |key: &str, value: &str| labels.get(key).is_some_and(|own| own == value);
    let name = node.metadata.name.as_str();
    if label("eks.amazonaws.com/compute-type", "fargate") || name.starts_with("fargate-") {
        return Some("it is an AWS Fargate node, on which no DaemonSet can run".to_owned());
    }
    if label("type", "virtual-kubelet") || name.starts_with("virtual-kubelet") || name.starts_with("virtual-node-aci") {
        return Some("it is a virtual kubelet and not a machine".to_owned());
    }
    let windows = |os: &str| os.eq_ignore_ascii_case("windows");
    let os = ["kubernetes.io/os", "beta.kubernetes.io/os"].iter().find_map(|key| labels.get(key));
    if os.is_some_and(&windows) || windows(&node.status.node_info.operating_system) {
        return Some("it runs Windows".to_owned());
    }
    let agent = agent?;
    let mut wanted = agent.spec.node_selector.iter();
    if let Some((key, value)) = wanted.find(|(key, value)| labels.get(key) != Some(value)) {
        return Some(format!("it lacks the label {key}={value}, which the agents' node selector asks for"));
    }
    // A DaemonSet's pods always have tolerations; where there are none they were not kept.
    let tolerations = &agent.spec.tolerations;
    let keeps_away = |taint: &&Taint| {
        KEEPS_AWAY.contains(&taint.effect.as_str())
            && !tolerations.iter().any(|toleration| tolerates(toleration, taint))
    };
    let taint = node.spec.taints.iter().find(keeps_away).filter(|_| !tolerations.is_empty())?;
    Some(format!("the agents do not tolerate its taint {}:{}", taint.key, taint.effect))
}

/// Whether a toleration covers a taint, by the rules of the Kubernetes API.
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.is_empty() || toleration.effect == taint.effect;
    let key = toleration.key == taint.key || toleration.key.is_empty() && toleration.operator == "Exists";
    effect && key && (toleration.operator == "Exists" || toleration.value == taint.value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, labels: &serde_json::Value) -> Node {
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap()
    }

    fn agent(spec: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({"spec": spec})).unwrap()
    }

    #[test]
    fn machines_that_run_no_daemonset_or_no_linux_are_not_meant() {
        let windows = json!({"kubernetes.io/os": "windows"});
        let fargate = json!({"eks.amazonaws.com/compute-type": "fargate"});
        let of = [
            ("x", fargate),
            ("fargate-ip-10-0-0-1", json!({})),
            ("x", json!({"type": "virtual-kubelet"})),
            ("x", windows),
        ];
        for (name, labels) in of {
            assert!(why_not_meant(&node(name, &labels), None).is_some(), "{name} {labels}");
        }
        assert_eq!(why_not_meant(&node("a", &json!({"kubernetes.io/os": "linux"})), None), None);
    }

    #[test]
    fn what_the_agents_select_and_tolerate_decides() {
        let selects = agent(&json!({"nodeSelector": {"kubernetes.io/os": "linux", "cni": "cilium"}}));
        let linux = json!({"kubernetes.io/os": "linux"});
        assert!(why_not_meant(&node("a", &linux), Some(&selects)).unwrap().contains("cni=cilium"));
        let mut edge = node("a", &json!({}));
        edge.spec.taints.push(Taint { key: "edge".to_owned(), effect: "NoSchedule".to_owned(), value: String::new() });
        let some = agent(&json!({"tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}]}));
        assert!(why_not_meant(&edge, Some(&some)).unwrap().contains("edge:NoSchedule"));
        let every = agent(&json!({"tolerations": [{"operator": "Exists"}]}));
        assert_eq!(why_not_meant(&edge, Some(&every)), None);
        assert_eq!(why_not_meant(&edge, Some(&agent(&json!({})))), None, "nothing is known of the tolerations");
        edge.spec.taints[0].effect = "PreferNoSchedule".to_owned();
        assert_eq!(why_not_meant(&edge, Some(&some)), None);
    }
}
