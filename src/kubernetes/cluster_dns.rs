//! Cluster DNS: which service it is, on which ports, and the pods that answer for it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::base::failure::{Failure, FailureKind};
use crate::base::labels::Labels;
use crate::base::pod_ref::PodRef;
use crate::base::time::{Timestamp, moment};
use crate::kubernetes::inventory::Listed;
use crate::kubernetes::objects::{Endpoint, EndpointPort, EndpointSlice, Pod, Service};

/// The label selectors that find cluster DNS, those of most clusters first: kubeadm, GKE, EKS, AKS, Kubespray and
/// Gardener; RKE2 and older Helm charts; OpenShift; CoreDNS's own chart.
pub const DNS_SELECTORS: [&str; 4] = [
    "k8s-app in (kube-dns,coredns)",
    "kubernetes.io/name in (CoreDNS,KubeDNS)",
    "dns.operator.openshift.io/owning-dns",
    "app.kubernetes.io/name in (coredns,rke2-coredns)",
];

/// The labels of the service, as [`DNS_SELECTORS`] select them: key and values, none meaning any.
const SERVICE_LABELS: [(&str, &[&str]); 4] = [
    ("k8s-app", &["kube-dns", "coredns"]),
    ("kubernetes.io/name", &["CoreDNS", "KubeDNS"]),
    ("dns.operator.openshift.io/owning-dns", &[]),
    ("app.kubernetes.io/name", &["coredns", "rke2-coredns"]),
];
/// The labels of the pods behind it.
const POD_LABELS: [(&str, &[&str]); 4] = [
    ("k8s-app", &["kube-dns", "coredns"]),
    ("kubernetes.io/name", &["CoreDNS", "KubeDNS"]),
    ("dns.operator.openshift.io/daemonset-dns", &[]),
    ("app.kubernetes.io/name", &["coredns", "rke2-coredns"]),
];
/// The port on which every resolver asks.
pub(crate) const DNS_PORT: u16 = 53;

/// Cluster DNS.
#[derive(Clone, Debug, Default)]
pub struct ClusterDns {
    /// `namespace/name` of its service.
    pub service: String,
    /// The service's addresses, of both families.
    pub addresses: Vec<IpAddr>,
    /// The service's ports for DNS.
    pub ports: Vec<DnsPort>,
    /// The pods that answer: one entry for each address and each of the service's ports.
    pub backends: Vec<DnsBackend>,
    /// Whether traffic from pods stays on their node (`internalTrafficPolicy: Local`).
    pub local_only: bool,
    /// How the service prefers near endpoints, in its own spelling: `PreferClose`, `PreferSameZone`, `PreferSameNode`, or
    /// `Auto` for the older annotation; empty where it does not.
    pub distribution: String,
}

/// A port of the service of cluster DNS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DnsPort {
    /// Its name, by which endpoint slices know it.
    pub name: String,
    /// Its number.
    pub port: u16,
    /// `TCP` or `UDP`.
    pub protocol: String,
}

/// A pod that answers for cluster DNS, on one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsBackend {
    /// The address of the pod.
    pub ip: IpAddr,
    /// The port of the pod: 53, 5353, 8053, …
    pub port: u16,
    /// `TCP` or `UDP`.
    pub protocol: String,
    /// The port of the service that leads here.
    pub service_port: u16,
    /// Whether new traffic should go to it: ready, and not terminating.
    pub ready: bool,
    /// Whether it answers, terminating or not.
    pub serving: bool,
    /// Whether it is being ended.
    pub terminating: bool,
    /// Since when its pod is ready or not ready, RFC 3339.
    pub since: Option<Timestamp>,
    /// The node that it runs on; empty where the slice does not say.
    pub node: String,
    /// The zone that it runs in; empty where the slice does not say.
    pub zone: String,
    /// The zones whose nodes should use it; empty: no hint.
    pub for_zones: Vec<String>,
    /// The nodes that should use it; empty: no hint.
    pub for_nodes: Vec<String>,
}

/// A set of backends that one reading of the service gives a node. A table that holds all of any reading is right:
/// Cilium follows hints only where its configuration says so, which the report cannot see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// By which rule: `every ready endpoint`, `hints for zone eu-1a`, …
    pub by: String,
    /// The addresses that the node's table should hold.
    pub backends: BTreeSet<IpAddr>,
}

impl ClusterDns {
    /// Whether a service address and port are cluster DNS's.
    #[must_use]
    pub fn is_frontend(&self, ip: IpAddr, port: u16) -> bool {
        self.addresses.contains(&ip) && self.ports.iter().any(|dns| dns.port == port)
    }

    /// The backends behind a service address and port, of that address's family.
    pub fn behind<'a>(&'a self, address: IpAddr, port: &'a DnsPort) -> impl Iterator<Item = &'a DnsBackend> {
        self.backends.iter().filter(move |backend| {
            backend.ip.is_ipv4() == address.is_ipv4()
                && backend.service_port == port.port
                && backend.protocol == port.protocol
        })
    }

    /// The addresses of the pods to which new traffic should go, of both families and all ports.
    #[must_use]
    pub fn ready(&self) -> BTreeSet<IpAddr> {
        self.backends.iter().filter(|backend| backend.ready).map(|backend| backend.ip).collect()
    }

    /// How many endpoints are ready, all of them meant for other zones than this one; none where one is meant for it, or
    /// where zones do not count.
    #[must_use]
    pub fn zone_without_endpoint(&self, zone: Option<&str>) -> Option<usize> {
        let ready = || self.backends.iter().filter(|backend| backend.ready);
        let elsewhere = |backend: &DnsBackend| {
            !backend.for_zones.is_empty() && zone.is_some_and(|zone| backend.for_zones.iter().all(|hint| hint != zone))
        };
        let endpoints = ready().map(|backend| backend.ip).collect::<BTreeSet<IpAddr>>().len();
        (endpoints > 0 && ready().all(elsewhere)).then_some(endpoints)
    }

    /// The sets of backends that a node may rightly have behind a service address and port; the first is every ready
    /// endpoint. Kubernetes: service/networking, topology aware routing and internal traffic policy.
    #[must_use]
    pub fn readings(&self, address: IpAddr, port: &DnsPort, node: &str, zone: Option<&str>) -> Vec<Reading> {
        let ready: Vec<&DnsBackend> = self.behind(address, port).filter(|backend| backend.ready).collect();
        let reading = |by: String, wanted: &dyn Fn(&DnsBackend) -> bool| Reading {
            by,
            backends: ready.iter().filter(|backend| wanted(backend)).map(|backend| backend.ip).collect(),
        };
        let mut readings = vec![reading("every ready endpoint".to_owned(), &|_| true)];
        // Without an endpoint in the zone, or with one endpoint that has no hint, hints count for nothing; a release
        // that then drops everything (#41022) has an empty row, which no reading is.
        let hinted = |by: String, mine: &dyn Fn(&DnsBackend) -> bool, all: &dyn Fn(&DnsBackend) -> bool| {
            let some = reading(by, mine);
            (ready.iter().all(|backend| all(backend)) && !some.backends.is_empty()).then_some(some)
        };
        if let Some(zone) = zone {
            let in_zone = |backend: &DnsBackend| backend.for_zones.iter().any(|hint| hint == zone);
            readings.extend(hinted(format!("hints for zone {zone}"), &in_zone, &|b| !b.for_zones.is_empty()));
        }
        let on_node = |backend: &DnsBackend| backend.for_nodes.iter().any(|hint| hint == node);
        readings.extend(hinted(format!("hints for node {node}"), &on_node, &|b| !b.for_nodes.is_empty()));
        if self.local_only {
            // A node without an endpoint of its own has none: that is what was asked for.
            readings
                .push(reading("endpoints of this node (internalTrafficPolicy: Local)".to_owned(), &|b| b.node == node));
        }
        readings.dedup_by(|later, first| later.backends == first.backends);
        readings
    }
}

/// Whether a pod answers for cluster DNS, by its labels.
#[must_use]
pub fn is_cluster_dns_pod(pod: &Pod) -> bool {
    label_rank(&pod.metadata.labels, &POD_LABELS).is_some()
}

/// Whether a service may be cluster DNS: by its labels and ports.
#[must_use]
pub fn may_be_cluster_dns(service: &Service) -> bool {
    label_rank(&service.metadata.labels, &SERVICE_LABELS).is_some()
        && !service.metadata.name.ends_with("-upstream")
        && !dns_ports(service).is_empty()
        && service.ips().next().is_some()
}

/// The place of the first label that fits.
fn label_rank(labels: &Labels, known: &[(&str, &[&str])]) -> Option<usize> {
    known
        .iter()
        .position(|(key, values)| labels.get(key).is_some_and(|value| values.is_empty() || values.contains(&value)))
}

/// The service of cluster DNS: the one that was named, or else the best of those that may be it.
///
/// # Errors
///
/// Why there is none.
pub fn choose_service<'a>(services: &'a Listed<Service>, named: Option<&PodRef>) -> Result<&'a Service, Failure> {
    let known = services.some().map_err(Clone::clone)?;
    let not_found = |says: String| {
        let says = services.gap().map_or_else(|| says.clone(), |why| format!("{says}, and not all were listed: {why}"));
        Failure::new(FailureKind::NotFound, says)
    };
    if let Some(named) = named {
        let is_named = |s: &&Service| s.metadata.namespace == named.namespace && s.metadata.name == named.name;
        return known.iter().find(is_named).ok_or_else(|| not_found(format!("there is no service {named}")));
    }
    // Of several the oldest name wins, then the more usual label and namespace: others may run a CoreDNS of their own.
    let best = known.iter().filter(|service| may_be_cluster_dns(service)).min_by_key(|service| {
        let Service { metadata, .. } = service;
        let system = ["kube-system", "openshift-dns"].contains(&metadata.namespace.as_str());
        (!system, metadata.name != "kube-dns", label_rank(&metadata.labels, &SERVICE_LABELS), &metadata.name)
    });
    best.ok_or_else(|| {
        let says = "no service looks like cluster DNS (k8s-app=kube-dns, k8s-app=coredns, kubernetes.io/name=CoreDNS, \
                    dns.operator.openshift.io/owning-dns, app.kubernetes.io/name=coredns); name it with --dns-service";
        not_found(says.to_owned())
    })
}

/// Cluster DNS behind a service. `pod_at` knows the living pod with an address, `node` being where it should run.
///
/// # Errors
///
/// Why its endpoints are not known.
pub fn cluster_dns_of<'a>(
    service: &Service,
    slices: &Listed<EndpointSlice>,
    pod_at: impl Fn(IpAddr, &str) -> Option<&'a Pod>,
) -> Result<ClusterDns, Failure> {
    let slices = slices.some().map_err(Clone::clone)?;
    let mut dns = ClusterDns {
        service: format!("{}/{}", service.metadata.namespace, service.metadata.name),
        addresses: service.ips().collect(),
        ports: dns_ports(service),
        backends: Vec::new(),
        local_only: service.spec.internal_traffic_policy == "Local",
        distribution: service.distribution().to_owned(),
    };
    let of_service = |slice: &&EndpointSlice| {
        slice.metadata.namespace == service.metadata.namespace
            && slice.metadata.labels.get("kubernetes.io/service-name") == Some(service.metadata.name.as_str())
    };
    for slice in slices.iter().filter(of_service) {
        for port in &dns.ports {
            let serves = |p: &&EndpointPort| p.name == port.name && protocol_or_tcp(&p.protocol) == port.protocol;
            let Some(target) = slice.ports.iter().find(serves) else { continue };
            for endpoint in &slice.endpoints {
                let Some(ip) = endpoint.addresses.first().and_then(|a| a.parse().ok()) else { continue };
                let is_there = |b: &DnsBackend| {
                    (b.ip, b.service_port, b.protocol.as_str()) == (ip, port.port, port.protocol.as_str())
                };
                // While a slice is split, an endpoint stands in two for a moment.
                if !dns.backends.iter().any(is_there) {
                    let since = pod_at(ip, &endpoint.node_name).and_then(ready_since);
                    dns.backends.push(backend(ip, endpoint, target.port, port, since));
                }
            }
        }
    }
    Ok(dns)
}

fn backend(ip: IpAddr, endpoint: &Endpoint, target: u16, port: &DnsPort, since: Option<Timestamp>) -> DnsBackend {
    let ready = endpoint.takes_traffic();
    DnsBackend {
        ip,
        port: target,
        protocol: port.protocol.clone(),
        service_port: port.port,
        ready,
        serving: endpoint.conditions.serving.unwrap_or(ready),
        terminating: endpoint.conditions.terminating.unwrap_or(false),
        since,
        node: endpoint.node_name.clone(),
        zone: endpoint.zone.clone(),
        for_zones: endpoint.hints.for_zones.iter().map(|hint| hint.name.clone()).collect(),
        for_nodes: endpoint.hints.for_nodes.iter().map(|hint| hint.name.clone()).collect(),
    }
}

/// The ports of a service on which DNS is asked.
fn dns_ports(service: &Service) -> Vec<DnsPort> {
    let ports = service.spec.ports.iter().filter(|port| port.port == DNS_PORT);
    ports
        .map(|port| DnsPort {
            name: port.name.clone(),
            port: port.port,
            protocol: protocol_or_tcp(&port.protocol).to_owned(),
        })
        .collect()
}

/// When a pod's Ready condition changed last.
fn ready_since(pod: &Pod) -> Option<Timestamp> {
    pod.status.conditions.iter().find(|c| c.r#type == "Ready")?.last_transition_time.as_deref().and_then(moment)
}

/// An absent protocol means TCP.
fn protocol_or_tcp(protocol: &str) -> &str {
    if protocol.is_empty() { "TCP" } else { protocol }
}

#[cfg(test)]
mod tests;
