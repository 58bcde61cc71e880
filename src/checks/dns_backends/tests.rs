//! The table against what this node should have.

use serde_json::{Value, json};

use super::*;
use crate::base::answer::Answer;
use crate::base::questions::Named;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::inventory::Page;
use crate::kubernetes::inventory::{Inventory, Listed, Origin};

/// Node a in zone z1, node b in zone z2, a pod of cluster DNS on each, and what `service` and `endpoint` add.
fn view(node: &str, service: &Value, endpoint: fn(&str, &str) -> Value) -> NodeView {
    fn listed<T: serde::de::DeserializeOwned>(items: &Value) -> Listed<T> {
        Listed::Whole(serde_json::from_value::<Page<T>>(json!({"items": items})).unwrap().items)
    }
    let node_item =
        |name: &str, zone: &str| json!({"metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}}});
    let pod = |name: &str, ip: &str| {
        json!({"metadata": {"name": format!("dns-{name}"), "namespace": "kube-system"}, "spec": {"nodeName": name},
               "status": {"phase": "Running", "podIP": ip,
                          "conditions": [{"type": "Ready", "status": "True",
                                          "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})
    };
    let mut spec = json!({"clusterIP": "10.96.0.10", "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]});
    spec.as_object_mut().unwrap().extend(service.as_object().unwrap().clone());
    let inventory = Inventory {
        origin: Origin::default(),
        nodes: listed(&json!([node_item("a", "z1"), node_item("b", "z2")])),
        pods: listed(&json!([pod("a", "10.1.0.5"), pod("b", "10.1.1.5")])),
        services: listed(&json!([{"metadata": {"name": "kube-dns", "namespace": "kube-system",
                                              "labels": {"k8s-app": "kube-dns"}}, "spec": spec}])),
        endpoint_slices: listed(&json!([{"metadata": {"namespace": "kube-system",
                                                     "labels": {"kubernetes.io/service-name": "kube-dns"}},
                                        "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}],
                                        "endpoints": [endpoint("10.1.0.5", "a"), endpoint("10.1.1.5", "b")]}])),
        events: Listed::Whole(Vec::new()),
    };
    NodeView::new(node, &ClusterMap::new(&inventory, Named::default()))
}

fn plain(ip: &str, node: &str) -> Value {
    json!({"addresses": [ip], "nodeName": node})
}

fn hinted(ip: &str, node: &str) -> Value {
    let zone = if node == "a" { "z1" } else { "z2" };
    json!({"addresses": [ip], "nodeName": node, "zone": zone, "hints": {"forZones": [{"name": zone}]}})
}

fn table(rows: &str) -> Raw {
    let mut answer = Answer::not_gathered("");
    answer.end = End::Exited(0);
    answer.started_at = crate::base::time::moment("2026-01-02T00:00:00Z");
    Raw { answer, stdout: format!("ID   Frontend   Service Type   Backend\n{rows}").into_bytes() }
}

const BOTH: &str = "1    10.96.0.10:53/UDP   ClusterIP   1 => 10.1.0.5:53/UDP (active)\n                      \
                    \x20           2 => 10.1.1.5:53/UDP (active)\n";
const OF_A: &str = "1    10.96.0.10:53/UDP   ClusterIP   1 => 10.1.0.5:53/UDP (active)\n";

fn status(raw: &str, around: &NodeView) -> (Status, BTreeSet<IpAddr>) {
    let found = judge(&table(raw), around);
    (found.finding.status, found.missing)
}

#[test]
fn a_table_without_a_ready_endpoint_lacks_it_where_nothing_keeps_traffic_near() {
    let around = view("a", &json!({}), plain);
    assert_eq!(status(BOTH, &around), (Status::Pass, BTreeSet::new()));
    let (status, missing) = status(OF_A, &around);
    assert_eq!((status, missing.len()), (Status::Fail, 1));
}

#[test]
fn the_endpoints_of_the_own_zone_and_all_endpoints_are_right_with_hints() {
    let near = json!({"trafficDistribution": "PreferClose"});
    let around = view("a", &near, hinted);
    for rows in [BOTH, OF_A] {
        assert_eq!(status(rows, &around), (Status::Pass, BTreeSet::new()));
    }
    let found = judge(&table(OF_A), &around);
    assert_eq!((found.finding.data.realized, found.finding.data.expected, found.expected), (Some(1), Some(1), Some(2)));
    assert_eq!(status(OF_A, &view("b", &near, hinted)).0, Status::Fail, "those of another zone are not");
}

#[test]
fn with_local_traffic_policy_the_own_endpoint_is_enough() {
    let local = json!({"internalTrafficPolicy": "Local"});
    assert_eq!(status(OF_A, &view("a", &local, plain)), (Status::Pass, BTreeSet::new()));
    assert_eq!(status(OF_A, &view("b", &local, plain)).0, Status::Fail, "another node's is not");
    let none = "1    10.96.0.10:53/UDP   ClusterIP\n";
    assert_eq!(status(none, &view("c", &local, plain)), (Status::Warn, BTreeSet::new()), "c should have none");
}

#[test]
fn lines_that_cannot_be_read_accuse_nobody() {
    let around = view("a", &json!({}), plain);
    let odd = format!("{OF_A}                                  2 -> 10.1.1.5:53/UDP\n");
    assert_eq!(status(&odd, &around), (Status::Unknown, BTreeSet::new()));
    let later = BOTH.replacen("10.1.1.5:53/UDP (active)", "10.1.1.5:53/UDP (warming-up)", 1);
    assert_eq!(status(&later, &around).1, BTreeSet::new());
    let ending = format!("{BOTH}                                  3 => 10.1.0.9:53/UDP (terminating-not-serving)\n");
    assert_eq!(status(&ending, &around), (Status::Pass, BTreeSet::new()));
}
