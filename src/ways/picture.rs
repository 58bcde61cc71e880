//! What a whole dump shows: who talks to whom, and who gets answers.

use std::net::IpAddr;

use crate::cilium::conntrack::clock::Clock;
use crate::cilium::conntrack::entry::Side;
use crate::ways::counts::Counts;
use crate::ways::group::Group;

/// One local endpoint and its flows by group.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its address; none for those beyond the number that is counted separately.
    pub address: Option<IpAddr>,
    pub(super) counts: Box<[Counts]>,
}

impl Endpoint {
    pub(super) fn new(address: Option<IpAddr>) -> Self {
        Self { address, counts: vec![Counts::default(); Group::ALL.len()].into() }
    }

    /// Its flows of these groups.
    #[must_use]
    pub fn sum(&self, groups: &[Group]) -> Counts {
        groups.iter().fold(Counts::default(), |sum, group| sum.and(self.group(*group)))
    }

    /// Its flows of this group.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "one place for each group")]
    pub fn group(&self, group: Group) -> &Counts {
        &self.counts[group as usize]
    }
}

/// A flow by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The way it takes.
    pub group: Group,
    /// The local endpoint's address.
    pub local: IpAddr,
    /// Who began.
    pub from: Side,
    /// Who was asked.
    pub to: Side,
}

/// What the packet counters of a dump can say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lines with one counter for both directions.
    pub total: u64,
    /// Those of them that are not zero.
    pub total_not_zero: u64,
    /// Lines with a counter a direction.
    pub split: u64,
    /// Lines without counters.
    pub absent: u64,
}

/// The runbook's figures: plain counts of lines, whatever their state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runbook {
    /// Every line that names the node-local DNS address, port 53, as a destination.
    pub dns: u64,
    /// Those of them whose counter of answers, or only counter, is 0; without counters none.
    pub dns_packets_zero: u64,
    /// Lines to the listed outside addresses by TCP.
    pub listed_tcp: u64,
    /// Lines to the listed outside addresses by UDP.
    pub listed_udp: u64,
    /// Lines to the listed outside addresses by anything else.
    pub listed_other: u64,
}

/// How many entries each of the four maps holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapSizes {
    /// TCP over IPv4.
    pub tcp4: u64,
    /// TCP over IPv6.
    pub tcp6: u64,
    /// Everything else over IPv4.
    pub any4: u64,
    /// Everything else over IPv6.
    pub any6: u64,
}

impl Counters {
    pub(super) const fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.total_not_zero += other.total_not_zero;
        self.split += other.split;
        self.absent += other.absent;
    }
}

impl Runbook {
    pub(super) const fn add(&mut self, other: &Self) {
        self.dns += other.dns;
        self.dns_packets_zero += other.dns_packets_zero;
        self.listed_tcp += other.listed_tcp;
        self.listed_udp += other.listed_udp;
        self.listed_other += other.listed_other;
    }
}

impl MapSizes {
    pub(super) const fn add(&mut self, other: &Self) {
        self.tcp4 += other.tcp4;
        self.tcp6 += other.tcp6;
        self.any4 += other.any4;
        self.any6 += other.any6;
    }
}

/// What a whole dump shows.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Lines that are entries.
    pub entries: u64,
    /// Lines that should be entries and could not be read.
    pub unparsed: u64,
    /// Whether the last line has no end and is not an entry: the dump was cut, whatever its exit code.
    pub broken_end: bool,
    /// The first of those, cut; bytes as they came.
    pub samples: Vec<Vec<u8>>,
    /// Lines that are not entries: remarks, without blank lines.
    pub remarks: u64,
    /// The unit of its times.
    pub clock: Clock,
    /// "Now", in clock units.
    pub now: u32,
    /// What its packet counters can say.
    pub counters: Counters,
    /// The runbook's figures.
    pub runbook: Runbook,
    /// The fill of the maps.
    pub maps: MapSizes,
    pub(super) groups: Box<[Counts]>,
    /// How each resolver that pods ask does, by address; a bounded number of them.
    pub resolvers: Vec<Resolver>,
    /// The local endpoints, by address.
    pub endpoints: Vec<Endpoint>,
    /// The flows that never were answered, though there was time, by name, in no order; none where they were not to be
    /// named.
    pub unanswered: Option<Unanswered>,
}

/// A resolver that pods of this node ask, and how many of their live flows to it are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// Its address.
    pub address: IpAddr,
    /// By which way it is asked.
    pub group: Group,
    /// Live flows with answers.
    pub answered: u32,
    /// Live flows without.
    pub dead: u32,
}

/// Flows without answer, by name.
#[derive(Clone, Debug, Default)]
pub struct Unanswered {
    /// The flows, a bounded number of them.
    pub flows: Vec<Flow>,
    /// Whether there are more.
    pub more: bool,
}

impl Picture {
    /// All flows of this group.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "one place for each group")]
    pub fn group(&self, group: Group) -> &Counts {
        &self.groups[group as usize]
    }

    /// All flows of these groups.
    #[must_use]
    pub fn sum(&self, groups: &[Group]) -> Counts {
        groups.iter().fold(Counts::default(), |sum, group| sum.and(self.group(*group)))
    }

    /// Whether an answer came later than the questions of most of these flows that have none: see [`Counts::outlived`].
    #[must_use]
    pub fn is_outlived(&self, counts: &Counts) -> bool {
        counts.outlived(self.age_s(counts.last_answer))
    }

    /// The local endpoints with flows of these groups that get no answer.
    pub fn waiting(&self, groups: &[Group]) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(|endpoint| groups.iter().any(|group| endpoint.group(*group).dead() > 0))
    }

    /// How long ago this moment was, in seconds.
    #[must_use]
    pub fn age_s(&self, moment: u32) -> f64 {
        self.clock.seconds(self.now.saturating_sub(moment))
    }
}
