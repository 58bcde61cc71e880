//! Which pods are NodeLocal DNS, and which addresses it answers on.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use crate::base::labels::Text;
use crate::base::pod_ref::PodRef;
use crate::kubernetes::objects::Pod;

/// The address NodeLocal DNS has where Kubespray installs it.
pub const NODE_LOCAL_DNS: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 25, 10));
/// The address of NodeLocal DNS in its own documentation; the default of others than Kubespray.
const NODE_LOCAL_DNS_UPSTREAM: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 20, 10));

/// The labels' values that NodeLocal DNS carries, by installer.
const LABELS: [&str; 3] = ["nodelocaldns", "node-local-dns", "node-local-dns-cache"];
/// How the names of its pods begin where they carry no label that is known.
const NAMES: [&str; 2] = ["nodelocaldns-", "node-local-dns-"];

/// NodeLocal DNS on a node.
#[derive(Clone, Debug, Default)]
pub struct NodeLocalDns {
    /// Its addresses, of both families; the first is the one that is shown.
    pub addresses: Vec<IpAddr>,
    /// Whether the address was given or found, and is not just the usual default.
    pub address_is_known: bool,
    /// Whether any node of the cluster has it.
    pub deployed: bool,
    /// Its pod on this node.
    pub pod: Option<NodeLocalDnsPod>,
}

/// NodeLocal DNS's pod on a node.
#[derive(Clone, Debug)]
pub struct NodeLocalDnsPod {
    /// The pod.
    pub pod: PodRef,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it shares the host's network; else a local redirect leads to it.
    pub host_network: bool,
    /// How often its containers were started again, all together.
    pub restarts: i64,
}

/// Whether a pod is one of NodeLocal DNS: by its labels or its image, or, where it has no label that names it, by how
/// its name begins.
#[must_use]
pub fn is_node_local_dns(pod: &Pod) -> bool {
    let labels = &pod.metadata.labels;
    let named = ["k8s-app", "app", "app.kubernetes.io/name"].map(|key| labels.get(key));
    named.into_iter().flatten().any(|value| LABELS.contains(&value))
        || pod.spec.containers.iter().any(|container| container.image.contains("dns-node-cache"))
        || named == [None; 3] && NAMES.iter().any(|name| pod.metadata.name.starts_with(name))
}

/// Its pod among the pods of one node.
#[must_use]
pub fn node_local_dns_pod(here: &[&Pod]) -> Option<NodeLocalDnsPod> {
    let living = here.iter().filter(|pod| pod.is_alive() && is_node_local_dns(pod));
    // An old pod may end beside the new one.
    let pod = living.max_by_key(|pod| (pod.metadata.deletion_timestamp.is_none(), pod.ready()))?;
    Some(NodeLocalDnsPod {
        pod: pod.reference(),
        ready: pod.status.phase == "Running" && pod.ready().unwrap_or(true),
        host_network: pod.spec.host_network,
        restarts: pod.status.container_statuses.iter().map(|c| c.restart_count).sum(),
    })
}

/// The usual addresses, where nothing tells the real ones.
#[must_use]
pub fn usual_addresses() -> Vec<IpAddr> {
    vec![NODE_LOCAL_DNS, NODE_LOCAL_DNS_UPSTREAM]
}

/// The addresses that the pods' own arguments name, `-localip 169.254.25.10,fd00:90::10,10.43.0.10`, without those that
/// are cluster DNS's: NodeLocal DNS may answer on these as well, but they are on no node's own. Of one family, link-local
/// addresses stand for all others where there are any.
pub fn addresses_in_arguments<'a>(pods: impl Iterator<Item = &'a Pod>, cluster_dns: &[IpAddr]) -> Option<Vec<IpAddr>> {
    let texts: BTreeSet<&str> = pods.filter_map(local_ip).collect();
    let mut all: Vec<IpAddr> = Vec::new();
    for address in texts.into_iter().flat_map(|text| text.split(',')).filter_map(|a| a.trim().parse().ok()) {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    let link_local = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let own = |ip: &IpAddr| {
        let mut family = all.iter().filter(|other| other.is_ipv4() == ip.is_ipv4());
        let stands = if family.any(link_local) { link_local(ip) } else { true };
        stands && !cluster_dns.contains(ip)
    };
    let mut found: Vec<IpAddr> = all.iter().copied().filter(own).collect();
    if found.is_empty() {
        found.extend(all.first());
    }
    // The link-local ones are what pods' resolv.conf names, as a rule.
    found.sort_by_key(|ip| !link_local(ip));
    Some(found).filter(|found| !found.is_empty())
}

/// The value of `-localip`.
fn local_ip(pod: &Pod) -> Option<&str> {
    pod.spec.containers.iter().find_map(|container| {
        let mut args = container.args.iter();
        loop {
            let arg = args.next()?.trim_start_matches('-');
            if arg == "localip" {
                return args.next().map(Text::as_str);
            }
            if let Some(value) = arg.strip_prefix("localip=") {
                return Some(value);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::objects::Container;

    fn pod(args: &[&str]) -> Pod {
        let mut pod = Pod::default();
        let args = args.iter().map(|&arg| arg.into()).collect();
        pod.spec.containers = [Container { args, ..Container::default() }].into();
        pod
    }

    fn addresses(args: &[&str], cluster_dns: &[&str]) -> Vec<String> {
        let cluster_dns: Vec<IpAddr> = cluster_dns.iter().map(|ip| ip.parse().unwrap()).collect();
        let found = addresses_in_arguments([pod(args)].iter(), &cluster_dns).unwrap_or_default();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_local_address_of_both_families_is_found_and_the_shadowed_service_is_not() {
        let dual = ["-localip", "169.254.25.10,fd00:90::10,10.43.0.10", "-conf", "x"];
        assert_eq!(addresses(&dual, &["10.43.0.10"]), ["169.254.25.10", "fd00:90::10"]);
        assert_eq!(addresses(&dual, &[]), ["169.254.25.10", "fd00:90::10"], "without services link-local ones stand");
        assert_eq!(addresses(&["--localip=10.9.9.9,10.43.0.10"], &["10.43.0.10"]), ["10.9.9.9"]);
        assert_eq!(addresses(&["-localip=10.43.0.10"], &["10.43.0.10"]), ["10.43.0.10"]);
        assert!(addresses(&["-conf", "x"], &[]).is_empty());
    }

    #[test]
    fn labels_and_image_decide_and_a_name_only_where_no_label_names_the_pod() {
        let with = |name: &str, label: Option<(&str, &str)>, image: &str| {
            let mut pod = pod(&[]);
            pod.metadata.name = name.into();
            pod.metadata.labels = label.into_iter().collect();
            pod.spec.containers[0].image = image.into();
            is_node_local_dns(&pod)
        };
        assert!(with("x", Some(("k8s-app", "node-local-dns")), ""));
        assert!(with("x", Some(("app.kubernetes.io/name", "nodelocaldns")), ""));
        assert!(with("x", None, "registry.k8s.io/dns/k8s-dns-node-cache:1.26.4"));
        assert!(with("nodelocaldns-4jxkq", None, ""));
        assert!(!with("nodelocaldns-exporter-x", Some(("app", "exporter")), ""));
        assert!(!with("my-nodelocaldns", None, ""));
    }
}
