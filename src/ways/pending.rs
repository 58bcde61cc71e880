//! An entry of a dump that may still be alive, in 16 bytes, until "now" is known.

use std::net::IpAddr;

use crate::cilium::conntrack::entry::{Direction, Entry, Flags, Packets, Protocol, tcp};
use crate::ways::group::Group;

/// An entry that may still be alive.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    pub(super) expires: u32,
    pub(super) asked: u32,
    pub(super) answered: u32,
    pub(super) tag: Tag,
}

/// Group (5 bits), endpoint (12), what kind of talk it is (3), whether the agent's proxy answers it (1), and the far end
/// (11; between pods 6, and 5 for the port that is asked), in 32 bits.
#[derive(Clone, Copy)]
pub(super) struct Tag(u32);

/// What an entry tells of the talk, beyond its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Talk {
    /// No connection: UDP.
    Questions,
    /// The same, and the same socket asked again without an answer.
    AskedAgain,
    /// A TCP connection.
    Connection,
    /// A TCP connection whose answer left and never arrived.
    HalfOpen,
    /// A TCP connection that was closed: what still goes out on it (a late FIN) proves nothing.
    Closed,
}

impl Talk {
    pub(super) const fn of_entry(entry: &Entry) -> Self {
        if matches!(entry.protocol, Protocol::Tcp) {
            if is_half_open(entry) {
                Self::HalfOpen
            } else if entry.flags.is_closing() || (entry.rx_flags | entry.tx_flags) & (tcp::FIN | tcp::RST) != 0 {
                Self::Closed
            } else {
                Self::Connection
            }
        } else if asked_again(entry) {
            Self::AskedAgain
        } else {
            Self::Questions
        }
    }

    pub(super) const fn is_tcp(self) -> bool {
        matches!(self, Self::Connection | Self::HalfOpen | Self::Closed)
    }
}

impl Tag {
    pub(super) fn new(group: Group, endpoint: u16, entry: &Entry, peer: IpAddr) -> Self {
        let talk = Talk::of_entry(entry) as u32;
        let proxied = u32::from(entry.flags.has(Flags::PROXY_REDIRECT));
        let peer = if has_port(group) {
            peer_bucket(peer) & FAR_END | port_bucket(entry.responder.port)
        } else {
            peer_bucket(peer)
        };
        Self((group as u32) << 27 | u32::from(endpoint & 0xfff) << 15 | talk << 12 | proxied << 11 | peer)
    }

    /// The same, of the endpoint with another number.
    pub(super) fn at_endpoint(self, endpoint: u16) -> Self {
        Self(self.0 & !(0xfff << 15) | u32::from(endpoint & 0xfff) << 15)
    }

    pub(super) const fn group(self) -> usize {
        (self.0 >> 27) as usize
    }

    pub(super) const fn endpoint(self) -> usize {
        (self.0 >> 15 & 0xfff) as usize
    }

    pub(super) const fn talk(self) -> Talk {
        match self.0 >> 12 & 7 {
            0 => Talk::Questions,
            1 => Talk::AskedAgain,
            2 => Talk::Connection,
            3 => Talk::HalfOpen,
            _ => Talk::Closed,
        }
    }

    pub(super) const fn is_proxied(self) -> bool {
        self.0 >> 11 & 1 == 1
    }

    pub(super) const fn peer(self) -> u32 {
        self.0 & (BUCKETS - 1)
    }

    /// The far end alone, and the port that is asked, where that is told apart.
    pub(super) fn end_and_port(self) -> (u32, Option<u32>) {
        let told_apart = Group::ALL.get(self.group()).is_some_and(|group| has_port(*group));
        if told_apart { (self.peer() & FAR_END, Some(self.peer() & !FAR_END)) } else { (self.peer(), None) }
    }
}

/// The bits of a far end where the port has bits of its own.
const FAR_END: u32 = (1 << 6) - 1;

/// Whether the port that is asked is told apart: one service that hangs has far ends on many nodes.
const fn has_port(group: Group) -> bool {
    matches!(group, Group::PodToLocalPod | Group::PodToRemotePod | Group::RemoteToPod)
}

/// One of 32 places for a port, above the bits of the far end.
fn port_bucket(port: u16) -> u32 {
    u32::from(port.wrapping_mul(0x9e37) >> 11) << 6
}

/// How many far ends are told apart, roughly.
pub(super) const BUCKETS: u32 = 1 << 11;

/// One of [`BUCKETS`]: enough to tell one far end from many.
pub(super) fn peer_bucket(peer: IpAddr) -> u32 {
    use std::hash::BuildHasher as _;
    let hash = rustc_hash::FxBuildHasher.hash_one(peer);
    // The hasher turns its best bits, the highest, to the place of the lowest 26: the last bytes of an IPv6 address
    // reach no others.
    u32::try_from(hash >> 15 & u64::from(BUCKETS - 1)).unwrap_or_default()
}

/// The way back is broken: the question came in, the answer left, and nothing followed.
pub(super) const fn is_half_open(entry: &Entry) -> bool {
    matches!(entry.protocol, Protocol::Tcp)
        && matches!(entry.direction, Direction::In)
        && entry.rx_flags == tcp::SYN
        && entry.tx_flags == tcp::SYN | tcp::ACK
}

/// Three packets went out and none came back: the two questions of one lookup, and at least one of them again.
pub(super) const fn asked_again(entry: &Entry) -> bool {
    matches!((entry.packets, entry.direction), (Packets::Split { rx: 0, tx: 3.. }, Direction::Out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_services_are_told_apart() {
        let ports = [80, 443, 3306, 4240, 5432, 5672, 6379, 8080, 8443, 9090, 9092, 9200, 11211, 27017, 50051];
        let places: rustc_hash::FxHashSet<u32> = ports.map(port_bucket).into_iter().collect();
        assert!(places.len() >= 11, "{}", places.len());
        assert!(places.iter().all(|place| place & FAR_END == 0 && *place < BUCKETS));
    }

    #[test]
    fn far_ends_are_told_apart_in_both_families() {
        let buckets = |address: fn(u8) -> IpAddr| {
            (0..=255).map(address).map(peer_bucket).collect::<rustc_hash::FxHashSet<_>>().len()
        };
        assert!(buckets(|n| [185, 12, 64, n].into()) > 200);
        assert!(buckets(|n| [185, 12, n, 1].into()) > 200);
        assert!(buckets(|n| [0x2606, 0x4700, 0, 0, 0, 0, 0, u16::from(n)].into()) > 200, "the last bytes");
        assert!(buckets(|n| [0x2606, 0x4700, 0, u16::from(n), 0, 0, 0, 1].into()) > 200, "of either half");
    }
}
