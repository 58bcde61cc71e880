//! Cluster DNS: its service, and the pods that answer for it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;
use crate::kubernetes::objects::{EndpointPort, EndpointSlice, Listed, Pod, Service};

/// Cluster DNS.
#[derive(Clone, Debug)]
pub struct ClusterDns {
    /// `namespace/name` of its service.
    pub service: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its endpoints on port 53, by protocol.
    pub endpoints: BTreeMap<String, Vec<DnsEndpoint>>,
}

/// One endpoint of cluster DNS.
#[derive(Clone, Debug)]
pub struct DnsEndpoint {
    /// Its address.
    pub ip: IpAddr,
    /// Whether new traffic should go to it.
    pub ready: bool,
    /// Since when, by its pod's Ready condition, RFC 3339.
    pub since: Option<String>,
}

/// Finds cluster DNS. `pod_at` knows the living pod with an address, `node` being where it should run.
///
/// # Errors
///
/// Why it is not known.
pub fn find_cluster_dns<'a>(
    services: &Listed<Service>,
    slices: &Listed<EndpointSlice>,
    named: Option<&PodRef>,
    pod_at: impl Fn(IpAddr, &str) -> Option<&'a Pod>,
) -> Result<ClusterDns, Failure> {
    let services = services.some().map_err(Clone::clone)?;
    let slices = slices.some().map_err(Clone::clone)?;
    let wanted = |s: &&Service| match named {
        Some(named) => named.namespace == s.metadata.namespace && named.name == s.metadata.name,
        None => {
            s.metadata.labels.get("k8s-app").is_some_and(|l| l == "kube-dns")
                && s.spec.ports.iter().any(|p| p.port == 53)
        }
    };
    // NodeLocal DNS brings a second service of that label to reach its upstream by; the oldest name wins.
    let service = services.iter().filter(wanted).min_by_key(|s| (s.metadata.name != "kube-dns", &s.metadata.name));
    let Some(service) = service else {
        let label = "no service with the label k8s-app=kube-dns was found; name it with --dns-service";
        let says = named.map_or_else(|| label.to_owned(), |named| format!("there is no service {named}"));
        return Err(Failure::new(FailureKind::NotFound, says));
    };
    let first = Some(&service.spec.cluster_ip).filter(|_| service.spec.cluster_ips.is_empty());
    let addresses = first.into_iter().chain(&service.spec.cluster_ips).filter_map(|ip| ip.parse().ok()).collect();
    let of_service = |slice: &&EndpointSlice| {
        slice.metadata.namespace == service.metadata.namespace
            && slice.metadata.labels.get("kubernetes.io/service-name") == Some(&service.metadata.name)
    };
    let mut endpoints: BTreeMap<String, Vec<DnsEndpoint>> = BTreeMap::new();
    for service_port in service.spec.ports.iter().filter(|p| p.port == 53) {
        let protocol = protocol_or_tcp(&service_port.protocol);
        let found = endpoints.entry(protocol.to_owned()).or_default();
        let serves = |p: &EndpointPort| p.name == service_port.name && protocol_or_tcp(&p.protocol) == protocol;
        for slice in slices.iter().filter(of_service).filter(|slice| slice.ports.iter().any(serves)) {
            for endpoint in &slice.endpoints {
                let Some(ip) = endpoint.addresses.first().and_then(|a| a.parse().ok()) else {
                    continue;
                };
                if found.iter().all(|e| e.ip != ip) {
                    let since = pod_at(ip, &endpoint.node_name).and_then(ready_since);
                    found.push(DnsEndpoint { ip, ready: endpoint.takes_traffic(), since });
                }
            }
        }
    }
    let service = format!("{}/{}", service.metadata.namespace, service.metadata.name);
    Ok(ClusterDns { service, addresses, endpoints })
}

/// When a pod's Ready condition changed last, RFC 3339.
fn ready_since(pod: &Pod) -> Option<String> {
    pod.status.conditions.iter().find(|c| c.r#type == "Ready")?.last_transition_time.clone()
}

/// An absent protocol means TCP.
fn protocol_or_tcp(protocol: &str) -> &str {
    if protocol.is_empty() { "TCP" } else { protocol }
}
