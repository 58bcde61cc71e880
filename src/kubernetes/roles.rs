//! Which role an address has, seen from one node: asked for every conntrack line, so it must be fast.

use std::net::IpAddr;
use std::sync::Arc;

use crate::base::net::Prefix;
use crate::kubernetes::address_map::{AddressMap, DnsEnd, Found, Holds, NodeId, Owner};
use crate::kubernetes::cluster_dns::DNS_PORT;

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A node-local DNS address itself.
    NodeLocalDns,
    /// This node's NodeLocal DNS pod, where it has an address of its own.
    NodeLocalDnsPod,
    /// This node.
    ThisHost,
    /// Another node.
    OtherHost,
    /// A pod of this node.
    LocalPod,
    /// A pod of another node.
    RemotePod,
    /// An address of this node's pod range that no pod has.
    LocalGone,
    /// An address of another node's pod range that no pod has.
    RemoteGone,
    /// An address of the cluster's pods, on a node that is not known.
    UnlistedPod,
    /// A service address.
    Service,
    /// Loopback, link-local, multicast: no way anywhere.
    Nowhere,
    /// Everything else.
    World,
}

/// What an address range holds, seen from one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Pods of this node.
    LocalPods,
    /// Pods of other nodes.
    RemotePods,
    /// Pods of nodes that are not known.
    ClusterPods,
    /// Services.
    Services,
}

/// The node from which [`Roles::new`] looks; every other one is elsewhere.
const HERE: NodeId = 0;
/// A node that is not the one from which is looked.
const ELSEWHERE: NodeId = NodeId::MAX;

/// The addresses of a cluster, seen from one node. Cheap to copy: the map behind it is shared.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    map: Arc<AddressMap>,
    node: NodeId,
    /// Node-local DNS addresses that only this node's own evidence showed: a handful.
    learned: Vec<IpAddr>,
    pods_whole: bool,
}

impl Roles {
    /// No address is known yet. `pods_whole` says that every pod of the cluster will be named, so that an address of a
    /// pod range that is not named belongs to no pod.
    #[must_use]
    pub fn new(pods_whole: bool) -> Self {
        Self { pods_whole, node: HERE, ..Self::default() }
    }

    /// A node's sight of a shared map. `pods_whole` says that the map names every pod of the cluster: only then an
    /// address of a pod range that is not in it belongs to a pod that is gone.
    #[must_use]
    pub const fn seen_from(map: Arc<AddressMap>, node: NodeId, pods_whole: bool) -> Self {
        Self { map, node, learned: Vec::new(), pods_whole }
    }

    /// Names an address. What was said first stands. Copies the map where others share it: for small clusters.
    pub fn name(&mut self, address: IpAddr, role: Role) {
        let owner = match role {
            Role::NodeLocalDns => Owner::NodeLocalDns,
            Role::NodeLocalDnsPod => Owner::NodeLocalDnsPod(self.node),
            Role::ThisHost => Owner::Host(self.node),
            Role::OtherHost => Owner::Host(ELSEWHERE),
            Role::LocalPod => Owner::Pod(self.node),
            Role::RemotePod => Owner::Pod(ELSEWHERE),
            Role::Service => Owner::Service,
            // No pod or node owns these.
            Role::LocalGone | Role::RemoteGone | Role::UnlistedPod | Role::Nowhere | Role::World => return,
        };
        Arc::make_mut(&mut self.map).own(address, owner);
    }

    /// Names a range. What was said first stands. Copies the map where others share it: for small clusters.
    pub fn name_range(&mut self, prefix: Prefix, range: Range) {
        let holds = match range {
            Range::LocalPods => Holds::PodsOf(self.node),
            Range::RemotePods => Holds::PodsOf(ELSEWHERE),
            Range::ClusterPods => Holds::Pods,
            Range::Services => Holds::Services,
        };
        Arc::make_mut(&mut self.map).hold(prefix, holds);
    }

    /// Adds an address that this node's own evidence shows to be a node-local DNS address.
    pub fn learn_node_local_dns(&mut self, address: IpAddr) {
        self.learned.push(address);
    }

    /// Whether the pod with this address answers for cluster DNS.
    #[must_use]
    pub fn is_cluster_dns(&self, address: IpAddr) -> bool {
        self.map.is_cluster_dns(address)
    }

    /// Who answers DNS at an address and port, as far as the cluster's lists and this node's own evidence tell.
    #[must_use]
    #[inline]
    pub fn dns_end(&self, address: IpAddr, port: u16) -> Option<DnsEnd> {
        if port == DNS_PORT && self.learned.contains(&address) {
            return Some(DnsEnd::NodeLocal);
        }
        self.map.dns_end(address, port)
    }

    /// Whose this address is.
    #[must_use]
    #[inline]
    pub fn of(&self, address: IpAddr) -> Role {
        if !self.learned.is_empty() && self.learned.contains(&address) {
            return Role::NodeLocalDns;
        }
        match self.map.find(address) {
            Some(Found::Owned(owner)) => self.role_of_owner(owner),
            Some(Found::Within(holds)) => self.role_within(holds),
            None if leads_nowhere(address) => Role::Nowhere,
            None => Role::World,
        }
    }

    /// The node that an address of a pod or host belongs to, by its number; none where no object tells.
    #[must_use]
    pub fn node_of(&self, address: IpAddr) -> Option<NodeId> {
        match self.map.find(address)? {
            Found::Owned(Owner::Pod(node) | Owner::NodeLocalDnsPod(node) | Owner::Host(node))
            | Found::Within(Holds::PodsOf(node)) => Some(node).filter(|node| *node != ELSEWHERE),
            Found::Owned(Owner::NodeLocalDns | Owner::Service) | Found::Within(Holds::Pods | Holds::Services) => None,
        }
    }

    #[inline]
    const fn role_of_owner(&self, owner: Owner) -> Role {
        match owner {
            Owner::Pod(node) if node == self.node => Role::LocalPod,
            Owner::NodeLocalDnsPod(node) if node == self.node => Role::NodeLocalDnsPod,
            Owner::Pod(_) | Owner::NodeLocalDnsPod(_) => Role::RemotePod,
            Owner::Host(node) if node == self.node => Role::ThisHost,
            Owner::Host(_) => Role::OtherHost,
            Owner::NodeLocalDns => Role::NodeLocalDns,
            Owner::Service => Role::Service,
        }
    }

    const fn role_within(&self, holds: Holds) -> Role {
        match holds {
            Holds::PodsOf(node) => match (node == self.node, self.pods_whole) {
                (true, true) => Role::LocalGone,
                (true, false) => Role::LocalPod,
                (false, true) => Role::RemoteGone,
                (false, false) => Role::RemotePod,
            },
            Holds::Pods => Role::UnlistedPod,
            Holds::Services => Role::Service,
        }
    }
}

/// Whether packets to this address go no way that is of interest.
const fn leads_nowhere(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_multicast() || v6.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn names_win_over_ranges_and_longer_ranges_over_shorter() {
        let mut roles = Roles::new(true);
        roles.name_range("10.42.0.0/16".parse().unwrap(), Range::RemotePods);
        roles.name_range("10.42.1.0/24".parse().unwrap(), Range::LocalPods);
        roles.name(ip("10.42.1.7"), Role::LocalPod);
        assert_eq!(roles.of(ip("10.42.1.7")), Role::LocalPod);
        assert_eq!(roles.of(ip("10.42.1.8")), Role::LocalGone);
        assert_eq!(roles.of(ip("10.42.9.9")), Role::RemoteGone);
        roles.name_range("40.0.0.0/6".parse().unwrap(), Range::Services);
        assert_eq!(roles.of(ip("43.255.1.1")), Role::Service, "a range of many /16s");
        assert_eq!(roles.of(ip("44.0.0.1")), Role::World);
        assert_eq!(roles.of(ip("9.9.9.9")), Role::World);
        assert_eq!(roles.of(ip("169.254.1.1")), Role::Nowhere);
        assert_eq!(Roles::new(false).of(ip("fe80::1")), Role::Nowhere);
    }

    #[test]
    fn without_a_whole_list_of_pods_no_address_is_called_gone() {
        let mut roles = Roles::new(false);
        roles.name_range("fd00:10:1::/64".parse().unwrap(), Range::LocalPods);
        roles.name_range("fd00:10:2::/64".parse().unwrap(), Range::RemotePods);
        assert_eq!(roles.of(ip("fd00:10:1::5")), Role::LocalPod);
        assert_eq!(roles.of(ip("fd00:10:2::5")), Role::RemotePod);
    }

    #[test]
    fn one_map_serves_every_node() {
        let mut map = AddressMap::default();
        map.own(ip("10.42.1.7"), Owner::Pod(1));
        map.own(ip("192.168.1.2"), Owner::Host(2));
        let map = Arc::new(map);
        let sights = [1, 2].map(|node| Roles::seen_from(Arc::clone(&map), node, true));
        assert_eq!(sights.each_ref().map(|roles| roles.of(ip("10.42.1.7"))), [Role::LocalPod, Role::RemotePod]);
        assert_eq!(sights.each_ref().map(|roles| roles.of(ip("192.168.1.2"))), [Role::OtherHost, Role::ThisHost]);
    }

    #[test]
    fn what_one_node_learned_of_its_dns_changes_no_other_node() {
        let map = Arc::new(AddressMap::default());
        let mut learned = Roles::seen_from(Arc::clone(&map), 1, true);
        learned.learn_node_local_dns(ip("169.254.20.11"));
        assert_eq!(learned.of(ip("169.254.20.11")), Role::NodeLocalDns);
        assert_eq!(Roles::seen_from(map, 2, true).of(ip("169.254.20.11")), Role::Nowhere);
    }
}
