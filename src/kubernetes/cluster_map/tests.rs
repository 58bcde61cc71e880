//! Who is who, with whole and with partial lists.

use serde_json::{Value, json};

use super::*;
use crate::base::failure::FailureKind;
use crate::kubernetes::inventory::Origin;
use crate::kubernetes::node_view::NodeView;
use crate::kubernetes::roles::Role;

fn items<T: serde::de::DeserializeOwned>(items: &[Value]) -> Vec<T> {
    items.iter().map(|item| serde_json::from_value(item.clone()).unwrap()).collect()
}

fn pod(namespace: &str, name: &str, node: &str, ip: &str, label: (&str, &str)) -> Value {
    json!({"metadata": {"namespace": namespace, "name": name, "labels": {label.0: label.1}},
           "spec": {"nodeName": node, "hostNetwork": ip.starts_with("192.")},
           "status": {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]}})
}

fn inventory() -> Inventory {
    let missing = Failure::new(FailureKind::NotFound, "not asked");
    let node = |name: &str, ip: &str, range: &str| {
        json!({"metadata": {"name": name}, "spec": {"podCIDR": range},
               "status": {"addresses": [{"type": "InternalIP", "address": ip}]}})
    };
    Inventory {
        origin: Origin::default(),
        nodes: Listed::Whole(items(&[
            node("a", "192.168.0.1", "10.1.0.0/24"),
            node("b", "192.168.0.2", "10.1.1.0/24"),
        ])),
        pods: Listed::Whole(items(&[
            pod("kube-system", "cilium-a", "a", "192.168.0.1", ("k8s-app", "cilium")),
            pod("kube-system", "cilium-b", "b", "192.168.0.2", ("k8s-app", "cilium")),
            pod("kube-system", "coredns-1", "a", "10.1.0.5", ("k8s-app", "kube-dns")),
            pod("apps", "web", "a", "10.1.0.7", ("app", "web")),
            pod("apps", "web", "b", "10.1.1.7", ("app", "web")),
        ])),
        services: Listed::Missing(missing.clone()),
        endpoint_slices: Listed::Missing(missing.clone()),
        events: Listed::Missing(missing),
    }
}

fn only_kube_system(mut inventory: Inventory) -> Inventory {
    let why = Failure::new(FailureKind::Forbidden, "pods is forbidden at the cluster scope");
    let mut items = inventory.pods.known().to_vec();
    items.retain(|pod| pod.metadata.namespace == "kube-system");
    inventory.pods = Listed::Partial { items, of: "namespace kube-system".to_owned(), why };
    inventory
}

fn role(map: &ClusterMap<'_>, node: &str, ip: &str) -> Role {
    map.roles(node).of(ip.parse().unwrap())
}

#[test]
fn one_map_answers_for_every_node() {
    let inventory = inventory();
    let map = ClusterMap::new(&inventory, Named::default());
    assert_eq!(role(&map, "a", "10.1.0.7"), Role::LocalPod);
    assert_eq!(role(&map, "b", "10.1.0.7"), Role::RemotePod);
    assert_eq!((role(&map, "a", "192.168.0.1"), role(&map, "a", "192.168.0.2")), (Role::ThisHost, Role::OtherHost));
    assert_eq!((role(&map, "a", "10.1.0.99"), role(&map, "a", "10.1.1.99")), (Role::LocalGone, Role::RemoteGone));
    assert_eq!(role(&map, "unknown", "10.1.0.7"), Role::RemotePod);
    let names = |node: &str| map.agent(node).running().map(|agent| agent.pod.name.clone());
    assert_eq!((names("a").as_deref(), names("b").as_deref(), names("c")), (Some("cilium-a"), Some("cilium-b"), None));
    assert_eq!(NodeView::new("a", &map).pods, Some(2));
}

#[test]
fn with_a_partial_list_of_pods_no_pod_is_gone() {
    let inventory = only_kube_system(inventory());
    let map = ClusterMap::new(&inventory, Named::default());
    assert_eq!((role(&map, "a", "10.1.0.7"), role(&map, "a", "10.1.1.7")), (Role::LocalPod, Role::RemotePod));
    let view = NodeView::new("a", &map);
    assert_eq!((view.pods, view.names.len()), (None, 1), "how many pods there are is not known");
    assert!(view.pods_gap.is_some() && view.agent.running().is_some());
    let notes = inventory.partial_lists();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("namespace kube-system") && notes[0].contains("staledp rbac diagnose"), "{notes:?}");
}

#[test]
fn a_part_of_the_pods_without_any_agent_says_nothing_of_agents() {
    let mut inventory = only_kube_system(inventory());
    if let Listed::Partial { items, .. } = &mut inventory.pods {
        items.retain(|pod| !is_agent(pod));
    }
    assert!(matches!(ClusterMap::new(&inventory, Named::default()).agent("a"), Agent::Unknown(_)));
}

#[test]
fn who_answers_dns_is_known_by_address_and_port() {
    let mut inventory = inventory();
    inventory.services = Listed::Whole(items(&[json!({
        "metadata": {"namespace": "openshift-dns", "name": "dns-default",
                     "labels": {"dns.operator.openshift.io/owning-dns": "default"}},
        "spec": {"clusterIP": "172.30.0.10", "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]}})]));
    inventory.endpoint_slices = Listed::Whole(items(&[json!({
        "metadata": {"namespace": "openshift-dns", "labels": {"kubernetes.io/service-name": "dns-default"}},
        "endpoints": [{"addresses": ["10.1.0.5"], "nodeName": "a"}],
        "ports": [{"name": "dns", "port": 5353, "protocol": "UDP"}]})]));
    let map = ClusterMap::new(&inventory, Named::default());
    let mut roles = map.roles("b");
    let end = |roles: &Roles, ip: &str, port| roles.dns_end(ip.parse().unwrap(), port);
    assert_eq!(end(&roles, "172.30.0.10", 53), Some(DnsEnd::Service));
    assert_eq!((end(&roles, "10.1.0.5", 5353), end(&roles, "10.1.0.5", 53)), (Some(DnsEnd::Backend), None));
    assert_eq!(end(&roles, "169.254.25.10", 53), Some(DnsEnd::NodeLocal));
    roles.learn_node_local_dns("169.254.20.11".parse().unwrap());
    assert_eq!(end(&roles, "169.254.20.11", 53), Some(DnsEnd::NodeLocal));
    assert!(roles.is_cluster_dns("10.1.0.5".parse().unwrap()));
}

#[test]
fn a_node_without_agent_is_meant_for_cilium_unless_something_excludes_it() {
    let mut inventory = inventory();
    if let (Listed::Whole(pods), Listed::Whole(nodes)) = (&mut inventory.pods, &mut inventory.nodes) {
        pods[0].spec.node_selector = [("kubernetes.io/os", "linux")].into_iter().collect();
        pods.retain(|pod| pod.metadata.name != "cilium-b");
        nodes[0].metadata.labels = [("kubernetes.io/os", "linux")].into_iter().collect();
        nodes[1].metadata.labels = [("kubernetes.io/os", "linux")].into_iter().collect();
    }
    let why = |inventory: &Inventory, node: &str| ClusterMap::new(inventory, Named::default()).why_not_meant(node);
    assert_eq!((why(&inventory, "a"), why(&inventory, "b")), (None, None), "a lost agent is a fault");
    if let Listed::Whole(nodes) = &mut inventory.nodes {
        nodes[1].metadata.labels = [("kubernetes.io/os", "windows")].into_iter().collect();
    }
    assert!(why(&inventory, "b").is_some());
}

#[test]
fn pods_of_dns_and_those_that_ask_their_nodes_resolver_say_nothing_of_cluster_dns() {
    let mut inventory = inventory();
    if let Listed::Whole(pods) = &mut inventory.pods {
        pods[3].spec.dns_policy = "Default".into();
    }
    let map = ClusterMap::new(&inventory, Named::default());
    let names = |node: &str| -> Vec<String> {
        NodeView::new(node, &map).other_dns.iter().map(|pod| pod.name.clone()).collect()
    };
    assert_eq!(names("a"), ["web", "cilium-a", "coredns-1"]);
    assert_eq!(names("b"), ["cilium-b"]);
}
