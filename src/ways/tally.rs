//! What a pass adds up, entry by entry.
//!
//! Whether an entry is alive, and whether its answer is overdue, depends on "now", which a dump does not print; the
//! latest report of all its lines is the best estimate, and is known only at the end. So entries that may still be
//! alive are kept as 16 bytes each until then, in bounded number; all others are counted as they pass.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::cilium::conntrack::clock::{Calibration, Clock};
use crate::cilium::conntrack::entry::{Direction, Entry, Packets, Protocol, looks_like_entry};
use crate::kubernetes::address_map::ByAddress;
use crate::kubernetes::roles::Role;
use crate::ways::counts::Counts;
use crate::ways::group::Group;
use crate::ways::judge::{Judge, Peers, State};
use crate::ways::lens::{Lens, is_probe, place};
use crate::ways::pending::{Pending, Tag, is_half_open};
use crate::ways::picture::{Counters, Endpoint, Flow, MapSizes, Picture, Resolver, Runbook, Unanswered};

/// Entries that are kept until "now" is known; 12 MiB. A table of default size with every entry alive fits; beyond it,
/// "now" is taken as the latest report so far, which after this many lines in random order is right.
const MOST_PENDING: usize = 768 << 10;

/// Endpoints that are counted separately; a node runs some hundreds of pods at most. Those beyond share one place.
const MOST_ENDPOINTS: usize = 4095;

/// Resolvers that are counted separately.
const MOST_RESOLVERS: usize = 256;

/// Flows without answer that are named, where that is wanted.
const MOST_NAMED: usize = 4096;

/// A sane `(remaining: …)`, in seconds. Some builds printed absurd ones (cilium/cilium#26182).
const LONGEST_REMAINING_S: i64 = 86_400;

/// How many odd lines are kept to be shown, and how much of each.
const SAMPLES: usize = 3;
const SAMPLE_BYTES: usize = 160;

/// What has been added up so far, of a dump or of a share of it.
pub(super) struct Tally {
    entries: u64,
    /// How many fields the first entry has: all entries of a release have as many.
    pub(super) fields: usize,
    unparsed: u64,
    samples: Vec<Vec<u8>>,
    remarks: u64,
    counters: Counters,
    runbook: Runbook,
    maps: MapSizes,
    calibration: Calibration,
    latest: u32,
    most_age_s: Option<f64>,
    /// Sums over the lines with a sane `remaining`: lines, expiries, seconds left.
    remaining: (u64, u64, i64),
    pending: Vec<Vec<Pending>>,
    pending_len: usize,
    /// Those of the pending that were never answered, by name; a bounded number.
    unanswered: Vec<(Pending, Flow)>,
    more_unanswered: bool,
    endpoints: Vec<Endpoint>,
    endpoint_of: ByAddress<u16>,
    /// The resolvers that are asked, by group and bucket; a bounded number.
    resolvers: FxHashMap<(usize, u32), IpAddr>,
    /// How many live flows to each are answered, and how many not.
    resolver_counts: FxHashMap<(usize, u32), (u32, u32)>,
}

/// How many `NAME=VALUE` a line has.
pub(super) fn fields(line: &[u8]) -> usize {
    memchr::memchr_iter(b'=', line).count()
}

impl Tally {
    /// Nothing seen yet. Flows whose last packet is older than `most_age_s` seconds are over.
    pub(super) fn new(most_age_s: Option<f64>) -> Self {
        Self {
            entries: 0,
            fields: 0,
            unparsed: 0,
            samples: Vec::new(),
            remarks: 0,
            counters: Counters::default(),
            runbook: Runbook::default(),
            maps: MapSizes::default(),
            calibration: Calibration::default(),
            latest: 0,
            most_age_s,
            remaining: (0, 0, 0),
            pending: Vec::new(),
            pending_len: 0,
            unanswered: Vec::new(),
            more_unanswered: false,
            endpoints: vec![Endpoint::new(None)],
            endpoint_of: ByAddress::default(),
            resolvers: FxHashMap::default(),
            resolver_counts: FxHashMap::default(),
        }
    }

    /// Adds what was seen in the second share.
    pub(super) fn join(&mut self, second: Self) {
        self.entries += second.entries;
        self.unparsed += second.unparsed;
        self.samples.extend(second.samples);
        self.samples.truncate(SAMPLES);
        self.remarks += second.remarks;
        self.counters.add(&second.counters);
        self.runbook.add(&second.runbook);
        self.maps.add(&second.maps);
        self.calibration.join(&second.calibration);
        self.latest = self.latest.max(second.latest);
        let (lines, expiries, seconds) = second.remaining;
        self.remaining.0 += lines;
        self.remaining.1 += expiries;
        self.remaining.2 += seconds;
        let places: Vec<u16> = second.endpoints.iter().map(|e| e.address.map_or(0, |a| self.endpoint(a))).collect();
        let place = |pending: &Pending| places.get(pending.tag.endpoint()).copied().unwrap_or_default();
        for (endpoint, place) in second.endpoints.iter().zip(&places) {
            let Some(sums) = self.endpoints.get_mut(usize::from(*place)) else { continue };
            sums.counts.iter_mut().zip(&endpoint.counts).for_each(|(sum, counts)| sum.add(counts));
        }
        for mut block in second.pending {
            self.pending_len += block.len();
            for pending in &mut block {
                pending.tag = pending.tag.at_endpoint(place(pending));
            }
            self.pending.push(block);
        }
        let unanswered = second.unanswered.into_iter();
        self.unanswered.extend(unanswered.map(|(p, flow)| (Pending { tag: p.tag.at_endpoint(place(&p)), ..p }, flow)));
        self.more_unanswered |= second.more_unanswered;
        for (at, address) in second.resolvers {
            if self.resolvers.len() < MOST_RESOLVERS {
                self.resolvers.entry(at).or_insert(address);
            }
        }
        for (at, (answered, dead)) in second.resolver_counts {
            let sums = self.resolver_counts.entry(at).or_default();
            *sums = (sums.0 + answered, sums.1 + dead);
        }
    }

    /// Takes the next line.
    pub(super) fn line(&mut self, line: &[u8], lens: &Lens) {
        let Some(entry) = Entry::parse(line) else {
            self.odd_line(line);
            return;
        };
        if self.entries == 0 {
            self.fields = fields(line);
        }
        self.entries += 1;
        let to = lens.roles.of(entry.responder.ip);
        self.count_line(&entry, to, lens);
        self.latest = self.latest.max(entry.last_rx).max(entry.last_tx);
        if entry.related || entry.direction == Direction::Service {
            return;
        }
        if entry.protocol == Protocol::Udp {
            self.calibration.add(entry.expires.saturating_sub(entry.last_rx.max(entry.last_tx)));
        }
        let Some((group, local, peer)) = place(&entry, to, lens) else {
            return;
        };
        self.flow(group, local, peer, &entry);
        if is_probe(&entry, lens) {
            self.flow(Group::Probe, local, peer, &entry);
        }
    }

    fn odd_line(&mut self, line: &[u8]) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        if !looks_like_entry(line) {
            self.remarks += 1;
            return;
        }
        self.unparsed += 1;
        if self.samples.len() < SAMPLES {
            self.samples.push(line.iter().copied().take(SAMPLE_BYTES).collect());
        }
    }

    /// Counted on every line, whatever its state.
    fn count_line(&mut self, entry: &Entry, to: Role, lens: &Lens) {
        let map = match (entry.protocol, entry.responder.ip) {
            (Protocol::Tcp, IpAddr::V4(_)) => &mut self.maps.tcp4,
            (Protocol::Tcp, IpAddr::V6(_)) => &mut self.maps.tcp6,
            (_, IpAddr::V4(_)) => &mut self.maps.any4,
            (_, IpAddr::V6(_)) => &mut self.maps.any6,
        };
        *map += 1;
        match entry.packets {
            Packets::Absent => self.counters.absent += 1,
            Packets::Split { .. } => self.counters.split += 1,
            Packets::Total(packets) => {
                self.counters.total += 1;
                self.counters.total_not_zero += u64::from(packets != 0);
            }
        }
        if let Some(remaining) = entry.remaining
            && remaining.abs() <= LONGEST_REMAINING_S
        {
            self.remaining.0 += 1;
            self.remaining.1 += u64::from(entry.expires);
            self.remaining.2 += remaining;
        }
        if entry.responder.port == 53 && to == Role::NodeLocalDns {
            self.runbook.dns += 1;
            self.runbook.dns_packets_zero += u64::from(entry.packets_zero() == Some(true));
        }
        if lens.external.iter().any(|prefix| prefix.contains(entry.responder.ip)) {
            match entry.protocol {
                Protocol::Tcp => self.runbook.listed_tcp += 1,
                Protocol::Udp => self.runbook.listed_udp += 1,
                Protocol::Icmp | Protocol::Other => self.runbook.listed_other += 1,
            }
        }
    }

    fn flow(&mut self, group: Group, local: IpAddr, peer: IpAddr, entry: &Entry) {
        let endpoint = self.endpoint(local);
        let Some(counts) = counts_of(&mut self.endpoints, usize::from(endpoint), group as usize) else { return };
        let (asked, answered) = (entry.asked(), entry.answered());
        let half_open = is_half_open(entry);
        if !half_open {
            counts.last_answer = counts.last_answer.max(answered);
        }
        // "Now" only grows, so an entry that has expired by now stays expired.
        if entry.expires < self.latest {
            counts.expired += 1;
            return;
        }
        let tag = Tag::new(group, endpoint, entry, peer);
        if Group::DNS.contains(&group) && self.resolvers.len() < MOST_RESOLVERS {
            self.resolvers.entry((tag.group(), tag.peer())).or_insert(peer);
        }
        let pending = Pending { expires: entry.expires, asked, answered, tag };
        if self.most_age_s.is_some() && (answered == 0 || half_open) && group != Group::Probe {
            self.name(pending, Flow { group, local, from: entry.initiator, to: entry.responder });
        }
        if self.pending_len >= MOST_PENDING {
            self.settle();
        }
        match self.pending.last_mut() {
            Some(block) if block.len() < block.capacity() => block.push(pending),
            _ => {
                let mut block = Vec::with_capacity(4096);
                block.push(pending);
                self.pending.push(block);
            }
        }
        self.pending_len += 1;
    }

    /// Keeps the name of a flow without answer. Where there are too many, those that are over by now make room.
    fn name(&mut self, pending: Pending, flow: Flow) {
        if self.more_unanswered {
            return;
        }
        if self.unanswered.len() >= MOST_NAMED {
            let judge = self.judge();
            self.unanswered.retain(|(pending, _)| judge.state(pending) != State::Expired);
            // Making room again and again for a few would take its time.
            self.more_unanswered = self.unanswered.len() > MOST_NAMED / 2;
        }
        self.unanswered.push((pending, flow));
    }

    fn endpoint(&mut self, address: IpAddr) -> u16 {
        if let Some(endpoint) = self.endpoint_of.get(address) {
            return *endpoint;
        }
        if self.endpoints.len() > MOST_ENDPOINTS {
            return 0;
        }
        let endpoint = u16::try_from(self.endpoints.len()).unwrap_or(0);
        self.endpoints.push(Endpoint::new(Some(address)));
        self.endpoint_of.set_first(address, endpoint);
        endpoint
    }

    fn clock(&self) -> Clock {
        self.calibration.clock(self.latest)
    }

    /// "Now": the latest report, or what `remaining` says where that is later.
    fn now(&self, clock: Clock) -> u32 {
        let (lines, expiries, seconds) = self.remaining;
        if lines == 0 {
            return self.latest;
        }
        // Averages over at most millions of lines of 32-bit values: a double holds them well.
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let (expiry, left) = (expiries as f64 / lines as f64, seconds as f64 / lines as f64);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 32 bits")]
        let by_remaining = (expiry - left / clock.unit_s).round().clamp(0.0, f64::from(u32::MAX)) as u32;
        self.latest.max(by_remaining)
    }

    /// Tells states with "now" as it is known so far.
    fn judge(&self) -> Judge {
        let clock = self.clock();
        Judge::new(clock, self.now(clock), self.most_age_s, self.calibration.lifetime(clock))
    }

    /// Decides what was kept.
    fn settle(&mut self) {
        let judge = self.judge();
        let mut peers = Peers::default();
        for pending in self.pending.drain(..).flatten() {
            let place = counts_of(&mut self.endpoints, pending.tag.endpoint(), pending.tag.group());
            let Some(counts) = place else { continue };
            match judge.count(&pending, counts, &mut peers) {
                State::Answered => {
                    self.resolver_counts.entry((pending.tag.group(), pending.tag.peer())).or_default().0 += 1;
                }
                State::Unanswered | State::Stopped => {
                    self.resolver_counts.entry((pending.tag.group(), pending.tag.peer())).or_default().1 += 1;
                }
                State::Expired | State::InFlight | State::Idle => {}
            }
        }
        self.pending_len = 0;
    }

    /// What all of it shows.
    pub(super) fn finish(mut self) -> Picture {
        self.settle();
        let clock = self.clock();
        let judge = self.judge();
        let unanswered = self.most_age_s.map(|_| Unanswered {
            flows: self
                .unanswered
                .iter()
                .filter(|(p, _)| judge.state(p) == State::Unanswered)
                .map(|(_, f)| *f)
                .collect(),
            more: self.more_unanswered,
        });
        let mut groups: Box<[Counts]> = vec![Counts::default(); Group::ALL.len()].into();
        for endpoint in &self.endpoints {
            for (sum, counts) in groups.iter_mut().zip(&endpoint.counts) {
                sum.add(counts);
            }
        }
        let resolvers = self.resolvers.iter().filter_map(|(at, address)| {
            let (answered, dead) = self.resolver_counts.get(at).copied()?;
            Some(Resolver { address: *address, group: *Group::ALL.get(at.0)?, answered, dead })
        });
        let mut resolvers: Vec<_> = resolvers.collect();
        resolvers.sort_unstable_by_key(|resolver| (resolver.address, resolver.group));
        let mut endpoints = self.endpoints;
        endpoints.retain(|e| e.counts.iter().any(|c| *c != Counts::default()));
        endpoints.sort_unstable_by_key(|endpoint| endpoint.address);
        Picture {
            entries: self.entries,
            unparsed: self.unparsed,
            broken_end: false,
            samples: self.samples,
            remarks: self.remarks,
            clock,
            now: judge.now,
            counters: self.counters,
            runbook: self.runbook,
            maps: self.maps,
            groups,
            resolvers,
            endpoints,
            unanswered,
        }
    }
}

/// Where flows of this endpoint and group are counted.
#[inline]
fn counts_of(endpoints: &mut [Endpoint], endpoint: usize, group: usize) -> Option<&mut Counts> {
    endpoints.get_mut(endpoint)?.counts.get_mut(group)
}
