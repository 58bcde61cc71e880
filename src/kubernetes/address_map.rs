//! Who owns which address, for all nodes: integers only, built once and shared, for large clusters.

use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::base::net::{Prefix, mask};

/// A node by its number in a [`super::cluster_map::ClusterMap`].
pub type NodeId = u32;

/// Who owns an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// NodeLocal DNS: its address is the same on every node.
    NodeLocalDns,
    /// A service.
    Service,
    /// A node, or a pod that shares its network.
    Host(NodeId),
    /// A living pod with a network of its own.
    Pod(NodeId),
    /// A living pod of NodeLocal DNS with a network of its own.
    NodeLocalDnsPod(NodeId),
}

/// What an address range holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Pods of this node.
    PodsOf(NodeId),
    /// Pods of some node.
    Pods,
    /// Services.
    Services,
}

/// The owner of an address, or of the longest range that it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The address itself is known.
    Owned(Owner),
    /// Only the range is.
    Within(Holds),
}

/// Who answers DNS at an address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsEnd {
    /// NodeLocal DNS, at its address or in its pod.
    NodeLocal,
    /// The service of cluster DNS: packets go there untranslated.
    Service,
    /// A pod of cluster DNS, at the pod's own port.
    Backend,
}

/// Something for each of many addresses. Those of IPv4 are keyed by 32 bits: they are looked up on every line of a dump.
#[derive(Clone, Debug)]
pub(crate) struct ByAddress<T> {
    v4: FxHashMap<u32, T>,
    v6: FxHashMap<u128, T>,
}

impl<T> Default for ByAddress<T> {
    fn default() -> Self {
        Self { v4: FxHashMap::default(), v6: FxHashMap::default() }
    }
}

impl<T> ByAddress<T> {
    /// What is known for an address.
    #[inline]
    pub(crate) fn get(&self, address: IpAddr) -> Option<&T> {
        match address {
            IpAddr::V4(v4) => self.v4.get(&v4.to_bits()),
            IpAddr::V6(v6) => self.v6.get(&v6.to_bits()),
        }
    }

    /// Sets it for an address that has nothing yet.
    pub(crate) fn set_first(&mut self, address: IpAddr, value: T) {
        match address {
            IpAddr::V4(v4) => _ = self.v4.entry(v4.to_bits()).or_insert(value),
            IpAddr::V6(v6) => _ = self.v6.entry(v6.to_bits()).or_insert(value),
        }
    }
}

/// The addresses and ranges of a cluster.
#[derive(Clone, Debug, Default)]
pub struct AddressMap {
    owners: ByAddress<Owner>,
    /// By length and family, longest first.
    ranges: Vec<(u8, bool, FxHashMap<u128, Holds>)>,
    /// A bit for each /16 of IPv4 in which something is known: most of the world is in none of them.
    v4_in_use: Vec<u64>,
    cluster_dns: FxHashSet<u128>,
    /// By address and port.
    dns_ends: FxHashMap<(u128, u16), DnsEnd>,
    /// The ports of `dns_ends`, a handful: most lines of a dump have none of them.
    dns_ports: Vec<u16>,
}

impl AddressMap {
    /// Says who owns an address. What was said first stands.
    pub fn own(&mut self, address: IpAddr, owner: Owner) {
        self.owners.set_first(address, owner);
        self.use_v4(address, 32);
    }

    /// Says what a range holds. What was said first stands.
    pub fn hold(&mut self, prefix: Prefix, holds: Holds) {
        let v4 = prefix.address().is_ipv4();
        let same = |(length, family, _): &&mut (u8, bool, _)| (*length, *family) == (prefix.length(), v4);
        let at = key(prefix.address());
        if let Some((_, _, ranges)) = self.ranges.iter_mut().find(same) {
            ranges.entry(at).or_insert(holds);
        } else {
            let place = self.ranges.partition_point(|(length, ..)| *length >= prefix.length());
            self.ranges.insert(place, (prefix.length(), v4, FxHashMap::from_iter([(at, holds)])));
        }
        self.use_v4(prefix.address(), prefix.length());
    }

    /// Says that a pod answers for cluster DNS.
    pub fn answers_for_cluster_dns(&mut self, address: IpAddr) {
        self.cluster_dns.insert(key(address));
    }

    /// Whether the pod with this address answers for cluster DNS.
    #[must_use]
    pub fn is_cluster_dns(&self, address: IpAddr) -> bool {
        self.cluster_dns.contains(&key(address))
    }

    /// Says who answers DNS at an address and port. What was said first stands.
    pub fn answers_dns(&mut self, address: IpAddr, port: u16, end: DnsEnd) {
        self.dns_ends.entry((key(address), port)).or_insert(end);
        if !self.dns_ports.contains(&port) {
            self.dns_ports.push(port);
        }
    }

    /// Who answers DNS at an address and port.
    #[must_use]
    #[inline]
    pub fn dns_end(&self, address: IpAddr, port: u16) -> Option<DnsEnd> {
        let is_dns = self.dns_ports.contains(&port);
        if is_dns { self.dns_ends.get(&(key(address), port)).copied() } else { None }
    }

    /// Who owns an address, or what range it lies in.
    #[must_use]
    #[inline]
    pub fn find(&self, address: IpAddr) -> Option<Found> {
        if self.may_be_known(address) { self.look_up(address) } else { None }
    }

    fn look_up(&self, address: IpAddr) -> Option<Found> {
        if let Some(owner) = self.owners.get(address) {
            return Some(Found::Owned(*owner));
        }
        let v4 = address.is_ipv4();
        let mut ranges = self.ranges.iter().filter(|(_, family, _)| *family == v4);
        ranges
            .find_map(|(length, _, ranges)| ranges.get(&key(mask(address, *length))))
            .map(|holds| Found::Within(*holds))
    }

    fn use_v4(&mut self, first: IpAddr, length: u8) {
        let IpAddr::V4(first) = first else { return };
        let first = (first.to_bits() >> 16) as usize;
        let many = 1_usize << 16_u8.saturating_sub(length);
        self.v4_in_use.resize((1 << 16) / 64, 0);
        for at in first..first + many {
            if let Some(bits) = self.v4_in_use.get_mut(at / 64) {
                *bits |= 1 << (at % 64);
            }
        }
    }

    /// Whether an address may be known, or lie in a range that is.
    #[inline]
    fn may_be_known(&self, address: IpAddr) -> bool {
        let IpAddr::V4(v4) = address else { return true };
        let at = (v4.to_bits() >> 16) as usize;
        self.v4_in_use.get(at / 64).is_some_and(|bits| bits >> (at % 64) & 1 == 1)
    }
}

/// An address as a number: it hashes faster. IPv4 and IPv6 never collide: the mapped range holds no real IPv6 address.
fn key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}
