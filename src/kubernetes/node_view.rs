//! The cluster as one node sees it: its agent, its NodeLocal DNS, cluster DNS, and the owner of each address.
//!
//! Taken from a [`ClusterMap`] before anything is asked of the node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::base::failure::Failure;
use crate::base::pod_ref::PodRef;
use crate::kubernetes::agents::Agent;
use crate::kubernetes::cluster_dns::ClusterDns;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::node_local_dns::NodeLocalDns;
use crate::kubernetes::objects::Node;
use crate::kubernetes::restart_view::RestartView;
use crate::kubernetes::roles::Roles;

/// Who is who around one node.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// The node's name.
    pub node: String,
    /// The node itself, where it was listed.
    pub found: Option<Node>,
    /// How many other nodes the cluster has, as far as they were listed.
    pub others: usize,
    /// How many of these the API server holds to be not ready.
    pub others_off: usize,
    /// Its agent.
    pub agent: Agent,
    /// Its NodeLocal DNS.
    pub node_local_dns: NodeLocalDns,
    /// Cluster DNS, or why it is not known.
    pub cluster_dns: Result<Arc<ClusterDns>, Failure>,
    /// Whose address is whose, for the dump.
    pub roles: Arc<Roles>,
    /// The pods of this node with an address of their own, by address.
    pub names: BTreeMap<IpAddr, PodRef>,
    /// How many pods of this node have an address of their own; none where not all pods could be listed.
    pub pods: Option<usize>,
    /// The pods of this node whose lookups say nothing of cluster DNS: they ask another resolver, or are DNS themselves.
    pub other_dns: BTreeSet<PodRef>,
    /// Why pods of this cluster may be missing from the list; none where all are in it.
    pub pods_gap: Option<Failure>,
    /// What a restart of its agent depends on, by the cluster's lists.
    pub restart: RestartView,
    /// Which pods were listed, where it was only a part: those of `namespace kube-system`.
    pub pods_part: Option<String>,
}

impl NodeView {
    /// Looks round one node.
    #[must_use]
    pub fn new(node: &str, map: &ClusterMap<'_>) -> Self {
        let own = map.pods_on(node).iter().filter(|pod| !pod.spec.host_network && pod.is_alive());
        let mut names = BTreeMap::new();
        for pod in own.clone() {
            names.extend(pod.ips().map(|ip| (ip, pod.reference())));
        }
        let found = map.node(node);
        let pods = &map.inventory().pods;
        let other_dns = map.pods_on(node).iter().filter(|pod| !map.asks_cluster_dns(pod)).map(|pod| pod.reference());
        Self {
            node: node.to_owned(),
            found: found.cloned(),
            others: map.inventory().nodes.known().len().saturating_sub(usize::from(found.is_some())),
            others_off: map.nodes_off().saturating_sub(usize::from(found.is_some_and(Node::is_off))),
            agent: map.agent(node),
            node_local_dns: map.node_local_dns(node),
            cluster_dns: map.cluster_dns().clone(),
            roles: Arc::new(map.roles(node)),
            names,
            other_dns: other_dns.collect(),
            pods: pods.whole().map(|_| own.count()),
            pods_gap: pods.gap().cloned(),
            restart: RestartView::new(node, map),
            pods_part: pods.part().map(str::to_owned),
        }
    }

    /// Whether the API server holds this node to be not ready: its kubelet says so, or has not been heard of.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.found.as_ref().is_some_and(Node::is_off)
    }

    /// The node's zone, where its labels name one.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.found.as_ref().and_then(Node::zone)
    }

    /// The node's processor architecture, `arm64` for one.
    #[must_use]
    pub fn architecture(&self) -> &str {
        self.found.as_ref().map_or("", |n| &n.status.node_info.architecture)
    }

    /// The node's kernel release.
    #[must_use]
    pub fn kernel(&self) -> &str {
        self.found.as_ref().map_or("", |n| &n.status.node_info.kernel_version)
    }
}
