//! Which service is cluster DNS, and which of its pods a node should have.

use serde_json::{Value, json};

use super::*;

fn service(value: Value) -> Service {
    serde_json::from_value(value).unwrap()
}

fn named(namespace: &str, name: &str, labels: &Value) -> Service {
    let ports = json!([{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}]);
    service(json!({"metadata": {"namespace": namespace, "name": name, "labels": labels},
                   "spec": {"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd00:96::a"], "ports": ports}}))
}

fn chosen(services: Vec<Service>) -> Result<String, Failure> {
    choose_service(&Listed::Whole(services), None).map(|s| format!("{}/{}", s.metadata.namespace, s.metadata.name))
}

#[test]
fn every_installers_service_is_found_by_its_labels() {
    let of = [
        ("kube-system", "kube-dns", json!({"k8s-app": "kube-dns"})),
        ("kube-system", "coredns", json!({"k8s-app": "coredns"})),
        ("openshift-dns", "dns-default", json!({"dns.operator.openshift.io/owning-dns": "default"})),
        ("dns", "my-coredns", json!({"app.kubernetes.io/name": "coredns"})),
        ("kube-system", "rke2-coredns-rke2-coredns", json!({"kubernetes.io/name": "CoreDNS"})),
    ];
    for (namespace, name, labels) in of {
        assert_eq!(chosen(vec![named(namespace, name, &labels)]).unwrap(), format!("{namespace}/{name}"));
    }
    assert!(chosen(vec![named("kube-system", "metrics", &json!({"k8s-app": "metrics-server"}))]).is_err());
}

#[test]
fn the_systems_own_dns_wins_over_others_and_over_the_upstream_of_nodelocal_dns() {
    let label = || json!({"k8s-app": "kube-dns"});
    let services = vec![
        named("edge", "coredns", &json!({"app.kubernetes.io/name": "coredns"})),
        named("kube-system", "kube-dns-upstream", &label()),
        named("kube-system", "kube-dns", &label()),
    ];
    assert_eq!(chosen(services).unwrap(), "kube-system/kube-dns");
}

#[test]
fn a_partial_list_without_cluster_dns_names_what_is_missing() {
    let why = Failure::new(FailureKind::Forbidden, "services is forbidden");
    let part = Listed::Partial { items: Vec::new(), of: "namespace a".to_owned(), why };
    assert!(choose_service(&part, None).unwrap_err().message.contains("not all were listed: services is forbidden"));
}

fn slice(endpoints: &Value, port: u16) -> EndpointSlice {
    serde_json::from_value(json!({
        "metadata": {"namespace": "kube-system", "name": "x", "labels": {"kubernetes.io/service-name": "kube-dns"}},
        "addressType": "IPv4", "endpoints": endpoints,
        "ports": [{"name": "dns", "port": port, "protocol": "UDP"}, {"name": "dns-tcp", "port": port}],
    }))
    .unwrap()
}

fn dns(mut service: Service, endpoints: &Value, port: u16, more: impl FnOnce(&mut Service)) -> ClusterDns {
    more(&mut service);
    cluster_dns_of(&service, &Listed::Whole(vec![slice(endpoints, port)]), |_, _| None).unwrap()
}

fn kube_dns(endpoints: &Value, port: u16, more: impl FnOnce(&mut Service)) -> ClusterDns {
    dns(named("kube-system", "kube-dns", &json!({})), endpoints, port, more)
}

fn sets(dns: &ClusterDns, node: &str, zone: Option<&str>) -> Vec<String> {
    let readings = dns.readings("10.96.0.10".parse().unwrap(), &dns.ports[0], node, zone);
    let joined = |set: &BTreeSet<IpAddr>| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    readings.iter().map(|reading| joined(&reading.backends)).collect()
}

#[test]
fn backends_carry_the_pods_own_port_and_every_address_of_the_service_is_known() {
    let dns = kube_dns(&json!([{"addresses": ["10.1.0.5"], "nodeName": "a"}]), 8053, |_| {});
    let of: Vec<_> = dns.backends.iter().map(|b| (b.port, b.service_port, b.protocol.as_str(), b.ready)).collect();
    assert_eq!(of, [(8053, 53, "UDP", true), (8053, 53, "TCP", true)]);
    assert!(dns.is_frontend("fd00:96::a".parse().unwrap(), 53));
    assert!(!dns.is_frontend("10.96.0.10".parse().unwrap(), 9153));
    assert_eq!(dns.behind("fd00:96::a".parse().unwrap(), &dns.ports[0]).count(), 0, "no endpoint of that family");
}

#[test]
fn hints_give_a_node_the_endpoints_of_its_zone_and_of_no_zone_without_any() {
    let hinted =
        |ip: &str, zone: &str| json!({"addresses": [ip], "zone": zone, "hints": {"forZones": [{"name": zone}]}});
    let dns = kube_dns(&json!([hinted("10.1.0.5", "z1"), hinted("10.1.1.5", "z2")]), 53, |_| {});
    assert_eq!(sets(&dns, "n", Some("z1")), ["10.1.0.5 10.1.1.5", "10.1.0.5"]);
    assert_eq!(sets(&dns, "n", Some("z3")), ["10.1.0.5 10.1.1.5"], "an empty zone uses all");
    assert_eq!(sets(&dns, "n", None), ["10.1.0.5 10.1.1.5"]);
    let one_without = kube_dns(&json!([hinted("10.1.0.5", "z1"), {"addresses": ["10.1.1.5"]}]), 53, |_| {});
    assert_eq!(sets(&one_without, "n", Some("z1")), ["10.1.0.5 10.1.1.5"], "hints count only where all have them");
}

#[test]
fn zone_is_without_endpoint_where_every_ready_one_is_meant_for_others() {
    let hinted = |ip: &str, zone: &str| json!({"addresses": [ip], "hints": {"forZones": [{"name": zone}]}});
    let dns = kube_dns(&json!([hinted("10.1.0.5", "z1"), hinted("10.1.1.5", "z2")]), 53, |_| {});
    let by_zone = |zone| dns.zone_without_endpoint(zone);
    assert_eq!((by_zone(Some("z3")), by_zone(Some("z1")), by_zone(None)), (Some(2), None, None));
    let without = kube_dns(&json!([hinted("10.1.0.5", "z1"), {"addresses": ["10.1.1.5"]}]), 53, |_| {});
    assert_eq!(without.zone_without_endpoint(Some("z3")), None, "hints count only where all have them");
    assert_eq!(kube_dns(&json!([]), 53, |_| {}).zone_without_endpoint(Some("z3")), None);
}

#[test]
fn hints_for_nodes_and_the_local_policy_narrow_as_well() {
    let on =
        |ip: &str, node: &str| json!({"addresses": [ip], "nodeName": node, "hints": {"forNodes": [{"name": node}]}});
    let endpoints = json!([on("10.1.0.5", "a"), on("10.1.1.5", "b")]);
    assert_eq!(sets(&kube_dns(&endpoints, 53, |_| {}), "a", None), ["10.1.0.5 10.1.1.5", "10.1.0.5"]);
    let plain = json!([{"addresses": ["10.1.0.5"], "nodeName": "a"}, {"addresses": ["10.1.1.5"], "nodeName": "b"}]);
    let local = |service: &mut Service| "Local".clone_into(&mut service.spec.internal_traffic_policy);
    assert_eq!(sets(&kube_dns(&plain, 53, local), "b", None), ["10.1.0.5 10.1.1.5", "10.1.1.5"]);
    assert_eq!(sets(&kube_dns(&plain, 53, local), "c", None), ["10.1.0.5 10.1.1.5", ""], "no endpoint here is right");
}

#[test]
fn endpoints_that_are_not_ready_or_end_are_in_no_reading() {
    let dns = kube_dns(
        &json!([{"addresses": ["10.1.0.5"], "conditions": {"ready": true}},
                {"addresses": ["10.1.0.6"], "conditions": {"ready": false, "serving": false}},
                {"addresses": ["10.1.0.7"], "conditions": {"ready": false, "serving": true, "terminating": true}}]),
        53,
        |_| {},
    );
    assert_eq!(sets(&dns, "n", None), ["10.1.0.5"]);
    assert_eq!(dns.ready().len(), 1);
    let ending = dns.backends.iter().find(|b| b.terminating).unwrap();
    assert!(ending.serving && !ending.ready);
}

#[test]
fn the_older_annotation_and_the_field_tell_how_near_endpoints_are_preferred() {
    let annotated = |word: &str| {
        service(json!({"metadata": {"annotations": {"service.kubernetes.io/topology-mode": word, "secret": "x"}}}))
    };
    assert_eq!(annotated("Auto").distribution(), "Auto");
    assert_eq!(annotated("Disabled").distribution(), "");
    assert_eq!(service(json!({"spec": {"trafficDistribution": "PreferSameZone"}})).distribution(), "PreferSameZone");
    let written = serde_json::to_string(&annotated("Auto")).unwrap();
    assert!(written.contains("topology-mode") && !written.contains("secret"), "{written}");
}
