//! Which address is whose, seen from one node.

use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::base::net::{Prefix, mask};

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The node-local DNS address itself.
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

/// What an address range holds.
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

/// The addresses of a cluster, seen from one node.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    known: FxHashMap<u128, Role>,
    /// By length and family, longest first.
    ranges: Vec<(u8, bool, FxHashMap<u128, Range>)>,
    /// A bit for each /16 of IPv4 in which something is named: most of the world is in none of them.
    v4_in_use: Vec<u64>,
    cluster_dns: FxHashSet<IpAddr>,
    pods_listed: bool,
}

impl Roles {
    /// Nobody is known yet. `pods_listed` says that every pod of the cluster will be named, so that an address of a pod
    /// range that is not named belongs to no pod.
    #[must_use]
    pub fn new(pods_listed: bool) -> Self {
        Self { pods_listed, ..Self::default() }
    }

    /// Names an address. The first word stands.
    pub fn name(&mut self, address: IpAddr, role: Role) {
        self.known.entry(key(address)).or_insert(role);
        self.use_v4(address, 32);
    }

    /// Names a range.
    pub fn name_range(&mut self, prefix: Prefix, range: Range) {
        let v4 = prefix.address().is_ipv4();
        let same = |(length, family, _): &(u8, bool, _)| (*length, *family) == (prefix.length(), v4);
        let at = self.ranges.iter().position(same).unwrap_or_else(|| {
            let at = self.ranges.partition_point(|(length, ..)| *length >= prefix.length());
            self.ranges.insert(at, (prefix.length(), v4, FxHashMap::default()));
            at
        });
        self.ranges[at].2.entry(key(prefix.address())).or_insert(range);
        self.use_v4(prefix.address(), prefix.length());
    }

    fn use_v4(&mut self, first: IpAddr, length: u8) {
        let IpAddr::V4(first) = first else { return };
        let first = (first.to_bits() >> 16) as usize;
        let many = 1_usize << 16_u8.saturating_sub(length);
        self.v4_in_use.resize((1 << 16) / 64, 0);
        (first..first + many).for_each(|at| self.v4_in_use[at / 64] |= 1 << (at % 64));
    }

    /// Whether an address may be named, or lie in a range that is.
    #[inline]
    fn may_be_named(&self, address: IpAddr) -> bool {
        let IpAddr::V4(v4) = address else { return true };
        let at = (v4.to_bits() >> 16) as usize;
        self.v4_in_use.get(at / 64).is_some_and(|bits| bits >> (at % 64) & 1 == 1)
    }

    /// Says that this pod answers for cluster DNS.
    pub fn name_cluster_dns(&mut self, address: IpAddr) {
        self.cluster_dns.insert(address);
    }

    /// The pods that answer for cluster DNS.
    #[must_use]
    pub fn is_cluster_dns(&self, address: IpAddr) -> bool {
        self.cluster_dns.contains(&address)
    }

    /// Whose this address is.
    #[must_use]
    #[inline]
    pub fn of(&self, address: IpAddr) -> Role {
        if self.may_be_named(address)
            && let Some(role) = self.named(address)
        {
            return role;
        }
        let nowhere = match address {
            IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_unspecified(),
            IpAddr::V6(v6) => {
                v6.is_loopback() || v6.is_unicast_link_local() || v6.is_multicast() || v6.is_unspecified()
            }
        };
        if nowhere { Role::Nowhere } else { Role::World }
    }

    /// What was said of an address, or of the longest range that it lies in.
    fn named(&self, address: IpAddr) -> Option<Role> {
        if let Some(role) = self.known.get(&key(address)) {
            return Some(*role);
        }
        for (length, v4, ranges) in &self.ranges {
            if *v4 != address.is_ipv4() {
                continue;
            }
            match ranges.get(&key(mask(address, *length))) {
                Some(Range::LocalPods) if self.pods_listed => return Some(Role::LocalGone),
                Some(Range::LocalPods) => return Some(Role::LocalPod),
                Some(Range::RemotePods) if self.pods_listed => return Some(Role::RemoteGone),
                Some(Range::RemotePods) => return Some(Role::RemotePod),
                Some(Range::ClusterPods) => return Some(Role::UnlistedPod),
                Some(Range::Services) => return Some(Role::Service),
                None => {}
            }
        }
        None
    }
}

/// An address as a number, which hashes faster. IPv4 and IPv6 never meet: the mapped range is no real IPv6 address.
pub(crate) fn key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
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
    fn without_a_list_of_pods_nobody_is_called_gone() {
        let mut roles = Roles::new(false);
        roles.name_range("fd00:10:1::/64".parse().unwrap(), Range::LocalPods);
        assert_eq!(roles.of(ip("fd00:10:1::5")), Role::LocalPod);
    }
}
