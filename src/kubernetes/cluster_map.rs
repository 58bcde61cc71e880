//! The roles in a cluster, worked out once for all its nodes: owners of addresses, agents, DNS, the pods of each node.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::base::failure::Failure;
use crate::base::net::{Families, Prefix};
use crate::base::pod_ref::PodRef;
use crate::base::questions::Named;
use crate::kubernetes::address_map::{AddressMap, DnsEnd, Holds, NodeId, Owner};
use crate::kubernetes::agents::{Agent, agent_namespace, agent_of_node, is_agent};
use crate::kubernetes::cluster_dns::{
    ClusterDns, DNS_PORT, choose_service, cluster_dns_of, is_cluster_dns_pod, may_be_cluster_dns,
};
use crate::kubernetes::inventory::{Inventory, Listed};
use crate::kubernetes::meant_for::why_not_meant;
use crate::kubernetes::node_local_dns::{
    NodeLocalDns, addresses_in_arguments, is_node_local_dns, node_local_dns_pod, usual_addresses,
};
use crate::kubernetes::objects::{EndpointSlice, Event, Meta, Node, Pod, Service};
use crate::kubernetes::roles::Roles;

/// Who is who in a cluster. Building one takes a walk through all pods; a question about one node takes as long as that
/// node has pods.
#[derive(Debug)]
pub struct ClusterMap<'a> {
    inventory: &'a Inventory,
    named: Named,
    ids: FxHashMap<&'a str, NodeId>,
    /// By [`NodeId`]; a node may be known by its pods only.
    nodes: Vec<Around<'a>>,
    agent_namespace: Option<String>,
    /// An agent of any node: what its DaemonSet asks of nodes, all agents ask.
    some_agent: Option<&'a Pod>,
    /// NodeLocal DNS, without the pod of any node.
    node_local_dns: NodeLocalDns,
    cluster_dns: Result<Arc<ClusterDns>, Failure>,
    addresses: Arc<AddressMap>,
    node_addresses: Arc<HashSet<IpAddr>>,
    nodes_off: usize,
    /// By namespace and name of what they are about, with their place in the list.
    events: FxHashMap<(&'a str, &'a str), Vec<(usize, &'a Event)>>,
}

/// One node and its pods.
#[derive(Debug, Default)]
struct Around<'a> {
    node: Option<&'a Node>,
    pods: Vec<&'a Pod>,
}

impl<'a> ClusterMap<'a> {
    /// Works out who is who.
    #[must_use]
    pub fn new(inventory: &'a Inventory, named: Named) -> Self {
        let pods = inventory.pods.known();
        let mut map = Self {
            inventory,
            ids: FxHashMap::default(),
            nodes: Vec::new(),
            agent_namespace: named.cilium_namespace.clone().or_else(|| agent_namespace(pods)),
            named,
            some_agent: pods.iter().find(|pod| is_agent(pod) && pod.is_alive()),
            node_local_dns: NodeLocalDns::default(),
            cluster_dns: Err(Failure::new(crate::base::failure::FailureKind::Other, "not looked for yet")),
            addresses: Arc::default(),
            node_addresses: Arc::new(inventory.nodes.known().iter().flat_map(Node::ips).collect()),
            nodes_off: inventory.nodes.known().iter().filter(|node| node.is_off()).count(),
            events: FxHashMap::default(),
        };
        for (place, event) in inventory.events.known().iter().enumerate() {
            let about = &event.involved_object;
            map.events.entry((&about.namespace, &about.name)).or_default().push((place, event));
        }
        for node in inventory.nodes.known() {
            map.around(&node.metadata.name).node = Some(node);
        }
        for pod in pods {
            map.around(&pod.spec.node_name).pods.push(pod);
        }
        map.cluster_dns = map.find_cluster_dns(&inventory.services, &inventory.endpoint_slices).map(Arc::new);
        map.node_local_dns = map.find_node_local_dns(pods);
        map.addresses = Arc::new(map.owners());
        map
    }

    #[expect(clippy::indexing_slicing, reason = "the place is below the length, or was just added")]
    fn around(&mut self, name: &'a str) -> &mut Around<'a> {
        let next = self.nodes.len();
        let id = *self.ids.entry(name).or_insert(NodeId::try_from(next).unwrap_or(NodeId::MAX));
        let at = (id as usize).min(next);
        if at == next {
            self.nodes.push(Around::default());
        }
        &mut self.nodes[at]
    }

    /// How many nodes the API server holds to be not ready, as far as they were listed.
    pub(super) const fn nodes_off(&self) -> usize {
        self.nodes_off
    }

    /// The lists that this was worked out from.
    #[must_use]
    pub const fn inventory(&self) -> &'a Inventory {
        self.inventory
    }

    /// The addresses of all nodes that were listed, read once for all of them.
    #[must_use]
    pub const fn node_addresses(&self) -> &Arc<HashSet<IpAddr>> {
        &self.node_addresses
    }

    /// The listed events about what has the namespace and the name of this pod, each with its place in the list.
    #[must_use]
    pub fn events_about(&self, pod: &'a Pod) -> &[(usize, &'a Event)] {
        let Meta { namespace, name, .. } = &pod.metadata;
        self.events.get(&(namespace.as_str(), name.as_str())).map_or(&[], Vec::as_slice)
    }

    /// The node of this name, where it was listed.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&'a Node> {
        self.known(name).and_then(|around| around.node)
    }

    /// The pods on a node, of whatever state, in the order of the list.
    #[must_use]
    pub fn pods_on(&self, name: &str) -> &[&'a Pod] {
        self.known(name).map_or(&[], |around| &around.pods)
    }

    /// The families of the addresses of a pod of this node; none of both where the pod is not listed there.
    #[must_use]
    pub fn families(&self, node: &str, name: &PodRef) -> Families {
        let of_this_name = |pod: &&&Pod| pod.metadata.name == name.name && pod.metadata.namespace == name.namespace;
        self.pods_on(node).iter().filter(of_this_name).flat_map(|pod| pod.ips()).collect()
    }

    fn known(&self, name: &str) -> Option<&Around<'a>> {
        self.nodes.get(*self.ids.get(name)? as usize)
    }

    /// The Cilium agent of a node.
    #[must_use]
    pub fn agent(&self, name: &str) -> Agent {
        let of_namespace = |pod: &&Pod| Some(pod.metadata.namespace.as_str()) == self.agent_namespace.as_deref();
        let here = self.pods_on(name).iter().copied();
        let agents: Vec<&Pod> = here.filter(|pod| is_agent(pod)).filter(of_namespace).collect();
        match &self.inventory.pods {
            Listed::Missing(failure) => Agent::Unknown(failure.clone()),
            // A partial list without any agent may lack the namespace of the agents.
            Listed::Partial { why, .. } if agents.is_empty() && !self.inventory.pods.known().iter().any(is_agent) => {
                Agent::Unknown(why.clone())
            }
            Listed::Whole(_) | Listed::Partial { .. } => agent_of_node(&agents),
        }
    }

    /// Why Cilium is not meant to run on a node, where it has no agent by design: Fargate, virtual kubelets, Windows, and
    /// nodes that the agents' selector or tolerations leave out. None where an agent should be there, or is.
    #[must_use]
    pub fn why_not_meant(&self, name: &str) -> Option<String> {
        let node = self.node(name)?;
        if self.pods_on(name).iter().any(|pod| is_agent(pod)) {
            return None;
        }
        why_not_meant(node, self.some_agent)
    }

    /// Cluster DNS.
    ///
    /// # Errors
    ///
    /// Why it is not known.
    pub const fn cluster_dns(&self) -> &Result<Arc<ClusterDns>, Failure> {
        &self.cluster_dns
    }

    /// Cluster DNS by other, newer lists of its services and endpoint slices.
    ///
    /// # Errors
    ///
    /// Why it is not known.
    pub fn find_cluster_dns(
        &self,
        services: &Listed<Service>,
        slices: &Listed<EndpointSlice>,
    ) -> Result<ClusterDns, Failure> {
        let service = choose_service(services, self.named.dns_service.as_ref())?;
        cluster_dns_of(service, slices, |ip, node| self.pod_at(ip, node))
    }

    /// The service that pods were seen to ask at an address, where it is another than the one that was chosen, and
    /// none was named.
    #[must_use]
    pub fn cluster_dns_at(&self, asked: IpAddr) -> Option<ClusterDns> {
        let Inventory { services, endpoint_slices, .. } = self.inventory;
        let known = self.cluster_dns.as_ref().is_ok_and(|dns| dns.addresses.contains(&asked));
        if known || self.named.dns_service.is_some() {
            return None;
        }
        let service = services.known().iter().find(|service| service.ips().any(|ip| ip == asked))?;
        let dns = cluster_dns_of(service, endpoint_slices, |ip, node| self.pod_at(ip, node)).ok()?;
        Some(dns).filter(|dns| !dns.ports.is_empty())
    }

    /// The living pod with an address, sought first on the node where it should run.
    fn pod_at(&self, ip: IpAddr, node: &str) -> Option<&'a Pod> {
        let has = |pod: &&&Pod| pod.is_alive() && pod.ips().any(|own| own == ip);
        let on_node = self.pods_on(node).iter().find(has).copied();
        on_node.or_else(|| self.nodes.iter().flat_map(|around| &around.pods).find(has).copied())
    }

    /// NodeLocal DNS as it is on a node.
    #[must_use]
    pub fn node_local_dns(&self, name: &str) -> NodeLocalDns {
        NodeLocalDns { pod: node_local_dns_pod(self.pods_on(name)), ..self.node_local_dns.clone() }
    }

    /// Whether a pod answers for cluster DNS.
    #[must_use]
    pub fn is_cluster_dns(&self, pod: &Pod) -> bool {
        is_cluster_dns_pod(pod) || !pod.spec.host_network && pod.ips().any(|ip| self.addresses.is_cluster_dns(ip))
    }

    /// Whether a pod's lookups say something about cluster DNS: it uses it, and is neither
    /// cluster DNS itself nor NodeLocal DNS.
    #[must_use]
    pub fn asks_cluster_dns(&self, pod: &Pod) -> bool {
        pod.may_ask_cluster_dns() && !is_node_local_dns(pod) && !self.is_cluster_dns(pod)
    }

    /// Which role each address has, seen from a node.
    #[must_use]
    pub fn roles(&self, name: &str) -> Roles {
        let node = self.ids.get(name).copied().unwrap_or(NodeId::MAX);
        Roles::seen_from(Arc::clone(&self.addresses), node, self.inventory.pods.whole().is_some())
    }

    fn find_node_local_dns(&self, pods: &[Pod]) -> NodeLocalDns {
        let deployed = pods.iter().any(is_node_local_dns);
        let cluster_dns = self.cluster_dns.as_ref().map_or(&[][..], |dns| &dns.addresses);
        let told = self.named.node_local_dns.map(|address| vec![address]);
        let found =
            told.or_else(|| addresses_in_arguments(pods.iter().filter(|pod| is_node_local_dns(pod)), cluster_dns));
        NodeLocalDns {
            address_is_known: found.is_some(),
            addresses: found.unwrap_or_else(usual_addresses),
            deployed,
            pod: None,
        }
    }

    fn owners(&self) -> AddressMap {
        let mut map = AddressMap::default();
        for address in &self.node_local_dns.addresses {
            map.own(*address, Owner::NodeLocalDns);
            map.answers_dns(*address, DNS_PORT, DnsEnd::NodeLocal);
        }
        if let Ok(dns) = &self.cluster_dns {
            for address in &dns.addresses {
                map.own(*address, Owner::Service);
                map.hold(service_range(*address), Holds::Services);
                for port in &dns.ports {
                    map.answers_dns(*address, port.port, DnsEnd::Service);
                }
            }
            for backend in &dns.backends {
                map.answers_for_cluster_dns(backend.ip);
                map.answers_dns(backend.ip, backend.port, DnsEnd::Backend);
            }
        }
        // Others that may be asked, too.
        for address in self.inventory.services.known().iter().filter(|s| may_be_cluster_dns(s)).flat_map(Service::ips) {
            map.own(address, Owner::Service);
        }
        let numbered = || self.nodes.iter().zip(0_u32..);
        for (around, id) in numbered() {
            let Some(node) = around.node else { continue };
            for ip in node.ips() {
                map.own(ip, Owner::Host(id));
            }
            for range in node.pod_ranges() {
                map.hold(range, Holds::PodsOf(id));
                map.hold(cluster_range(range.address()), Holds::Pods);
            }
        }
        for (around, id) in numbered() {
            for pod in around.pods.iter().filter(|pod| pod.is_alive()) {
                let owner = match pod.spec.host_network {
                    true => Owner::Host(id),
                    false if is_node_local_dns(pod) => Owner::NodeLocalDnsPod(id),
                    false => Owner::Pod(id),
                };
                for ip in pod.ips() {
                    map.own(ip, owner);
                    if matches!(owner, Owner::NodeLocalDnsPod(_)) {
                        map.answers_dns(ip, DNS_PORT, DnsEnd::NodeLocal);
                    }
                    // Cilium may give out other ranges than the node object says: a pod's neighbours are pods or were.
                    if !pod.spec.host_network {
                        map.hold(neighbours(ip), Holds::PodsOf(id));
                        map.hold(cluster_range(ip), Holds::Pods);
                    }
                }
            }
        }
        map
    }
}

/// The range a service address most likely comes from: no object says it.
fn service_range(address: IpAddr) -> Prefix {
    near(address, 16, 112)
}

/// The range a pod's address most likely comes from, where the node object does not say it.
fn neighbours(address: IpAddr) -> Prefix {
    near(address, 24, 112)
}

/// The range that the pods of all nodes most likely share: some nodes may not be known.
fn cluster_range(address: IpAddr) -> Prefix {
    near(address, 16, 48)
}

fn near(address: IpAddr, v4: u8, v6: u8) -> Prefix {
    Prefix::around(address, if address.is_ipv4() { v4 } else { v6 })
}

#[cfg(test)]
mod tests;
