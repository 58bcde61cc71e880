//! A whole dump in one pass, line by line as it comes.
//!
//! Whether an entry is alive, and whether its answer is overdue, depends on "now", which a dump does not print; the
//! latest report of all its lines is the best estimate, and is known only at the end. So entries that may still be
//! alive are kept as 16 bytes each until then, in bounded number; all others are counted as they pass.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::cilium::conntrack::clock::{Calibration, Clock, REPORT_INTERVAL_S};
use crate::cilium::conntrack::entry::{Direction, Entry, Flags, Packets, Protocol, looks_like_entry, tcp};
use crate::cilium::lines::Lines;
use crate::kubernetes::roles::{Role, key};
use crate::ways::counts::{Counts, STEP_S, STEPS};
use crate::ways::group::Group;
use crate::ways::lens::{Lens, is_probe, place};
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

/// A TCP entry lives for hours after its last packet. One whose last packet is older than this, in seconds, says
/// nothing about now.
const RECENT_S: f64 = 60.0;

/// A sane `(remaining: …)`, in seconds. Some builds printed absurd ones (cilium/cilium#26182).
const LONGEST_REMAINING_S: i64 = 86_400;

/// Less than this between two packets, in seconds, is one question (for both address families at once).
const A_MOMENT_S: f64 = 2.0;

/// How many odd lines are kept to be shown, and how much of each.
const SAMPLES: usize = 3;
const SAMPLE_BYTES: usize = 160;

/// An entry that may still be alive.
#[derive(Clone, Copy)]
struct Pending {
    expires: u32,
    asked: u32,
    answered: u32,
    tag: Tag,
}

/// Group (5 bits), endpoint (12), what kind of talk it is (3), whether the agent's proxy answers it (1), and the far end
/// (11), in 32 bits.
#[derive(Clone, Copy)]
struct Tag(u32);

/// What an entry tells of the talk, beyond its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Talk {
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
    const fn of_entry(entry: &Entry) -> Self {
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

    const fn is_tcp(self) -> bool {
        matches!(self, Self::Connection | Self::HalfOpen | Self::Closed)
    }
}

impl Tag {
    fn new(group: Group, endpoint: u16, entry: &Entry, peer: IpAddr) -> Self {
        let talk = Talk::of_entry(entry) as u32;
        let proxied = u32::from(entry.flags.has(Flags::PROXY_REDIRECT));
        Self((group as u32) << 27 | u32::from(endpoint & 0xfff) << 15 | talk << 12 | proxied << 11 | peer_bucket(peer))
    }

    const fn group(self) -> usize {
        (self.0 >> 27) as usize
    }

    const fn endpoint(self) -> usize {
        (self.0 >> 15 & 0xfff) as usize
    }

    const fn talk(self) -> Talk {
        match self.0 >> 12 & 7 {
            0 => Talk::Questions,
            1 => Talk::AskedAgain,
            2 => Talk::Connection,
            3 => Talk::HalfOpen,
            _ => Talk::Closed,
        }
    }

    const fn is_proxied(self) -> bool {
        self.0 >> 11 & 1 == 1
    }

    const fn peer(self) -> u32 {
        self.0 & (BUCKETS - 1)
    }
}

/// How many far ends are counted separately, roughly.
const BUCKETS: u32 = 1 << 11;

/// One of [`BUCKETS`]: enough to tell one far end from many.
fn peer_bucket(peer: IpAddr) -> u32 {
    use std::hash::BuildHasher as _;
    let hash = rustc_hash::FxBuildHasher.hash_one(peer);
    // The hasher turns its best bits, the highest, to the place of the lowest 26: the last bytes of an IPv6 address
    // reach no others.
    u32::try_from(hash >> 15 & u64::from(BUCKETS - 1)).unwrap_or_default()
}

/// The way back is broken: the question came in, the answer left, and nothing followed.
const fn is_half_open(entry: &Entry) -> bool {
    matches!(entry.protocol, Protocol::Tcp)
        && matches!(entry.direction, Direction::In)
        && entry.rx_flags == tcp::SYN
        && entry.tx_flags == tcp::SYN | tcp::ACK
}

/// Three packets went out and none came back: the two questions of one lookup, and at least one of them again.
const fn asked_again(entry: &Entry) -> bool {
    matches!((entry.packets, entry.direction), (Packets::Split { rx: 0, tx: 3.. }, Direction::Out))
}

/// The pass itself: bytes in, a [`Picture`] out.
pub struct Pass<'a> {
    lens: &'a Lens,
    lines: Lines,
    tally: Tally,
}

/// What has been added up so far.
struct Tally {
    entries: u64,
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
    endpoint_of: FxHashMap<u128, u16>,
    /// The resolvers that are asked, by group and bucket; a bounded number.
    resolvers: FxHashMap<(usize, u32), IpAddr>,
    /// How many live flows to each are answered, and how many not.
    resolver_counts: FxHashMap<(usize, u32), (u32, u32)>,
}

impl<'a> Pass<'a> {
    /// A pass at the start of a dump.
    #[must_use]
    pub fn new(lens: &'a Lens) -> Self {
        let tally = Tally {
            entries: 0,
            unparsed: 0,
            samples: Vec::new(),
            remarks: 0,
            counters: Counters::default(),
            runbook: Runbook::default(),
            maps: MapSizes::default(),
            calibration: Calibration::default(),
            latest: 0,
            most_age_s: lens.most_age_s,
            remaining: (0, 0, 0),
            pending: Vec::new(),
            pending_len: 0,
            unanswered: Vec::new(),
            more_unanswered: false,
            endpoints: vec![Endpoint::new(None)],
            endpoint_of: FxHashMap::default(),
            resolvers: FxHashMap::default(),
            resolver_counts: FxHashMap::default(),
        };
        Self { lens, lines: Lines::new(), tally }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        let Self { lens, lines, tally } = self;
        lines.feed(chunk, |line| tally.line(line, lens));
    }

    /// The end of the dump. A last line without its line end counts only where the dump is known to be `whole`: it may
    /// be cut in the middle of a number.
    #[must_use]
    pub fn finish(self, whole: bool) -> Picture {
        let Self { lens, lines, mut tally } = self;
        let mut broken_end = false;
        if let Some(last) = lines.finish()
            && whole
        {
            broken_end = looks_like_entry(&last) && Entry::parse(&last).is_none();
            tally.line(&last, lens);
        }
        Picture { broken_end, ..tally.finish() }
    }
}

impl Tally {
    fn line(&mut self, line: &[u8], lens: &Lens) {
        let Some(entry) = Entry::parse(line) else {
            self.odd_line(line);
            return;
        };
        self.entries += 1;
        self.count_line(&entry, lens);
        self.latest = self.latest.max(entry.last_rx).max(entry.last_tx);
        if entry.related || entry.direction == Direction::Service {
            return;
        }
        if entry.protocol == Protocol::Udp {
            self.calibration.add(entry.expires.saturating_sub(entry.last_rx.max(entry.last_tx)));
        }
        let Some((group, local, peer)) = place(&entry, lens) else {
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
            self.samples.push(line[..line.len().min(SAMPLE_BYTES)].to_vec());
        }
    }

    /// Counted on every line, whatever its state.
    fn count_line(&mut self, entry: &Entry, lens: &Lens) {
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
        if entry.responder.port == 53 && lens.roles.of(entry.responder.ip) == Role::NodeLocalDns {
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
        let counts = &mut self.endpoints[usize::from(endpoint)].counts[group as usize];
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
        if let Some(endpoint) = self.endpoint_of.get(&key(address)) {
            return *endpoint;
        }
        if self.endpoints.len() > MOST_ENDPOINTS {
            return 0;
        }
        let endpoint = u16::try_from(self.endpoints.len()).unwrap_or(0);
        self.endpoints.push(Endpoint::new(Some(address)));
        self.endpoint_of.insert(key(address), endpoint);
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
        Judge {
            now: self.now(clock),
            patience: clock.units(REPORT_INTERVAL_S),
            recent: clock.units(RECENT_S),
            most_age: self.most_age_s.map_or(u32::MAX, |age| clock.units(age)),
            lifetime: self.calibration.lifetime(clock),
            a_moment: clock.units(A_MOMENT_S),
            step: clock.units(STEP_S),
        }
    }

    /// Decides what was kept.
    fn settle(&mut self) {
        let judge = self.judge();
        let mut peers = Peers::default();
        for pending in self.pending.drain(..).flatten() {
            let counts = &mut self.endpoints[pending.tag.endpoint()].counts[pending.tag.group()];
            match judge.count(&pending, counts, &mut peers) {
                State::Answered => {
                    self.resolver_counts.entry((pending.tag.group(), pending.tag.peer())).or_default().0 += 1
                }
                State::Unanswered | State::Stopped => {
                    self.resolver_counts.entry((pending.tag.group(), pending.tag.peer())).or_default().1 += 1;
                }
                State::Expired | State::InFlight | State::Idle => {}
            }
        }
        self.pending_len = 0;
    }

    fn finish(mut self) -> Picture {
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
        let resolvers = resolvers.collect();
        let mut endpoints = self.endpoints;
        endpoints.retain(|e| e.counts.iter().any(|c| *c != Counts::default()));
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

/// Tells the state of an entry (section 1.7 of the format notes).
struct Judge {
    now: u32,
    patience: u32,
    recent: u32,
    most_age: u32,
    /// How long an entry other than TCP lives after its last packet.
    lifetime: u32,
    /// A second question so much later is a question again.
    a_moment: u32,
    /// One step of age.
    step: u32,
}

/// Far ends seen so far, by group and state. Each is added to the endpoint where it was first seen, so that a sum over
/// endpoints counts it once.
#[derive(Default)]
struct Peers {
    answered: rustc_hash::FxHashSet<(usize, u32)>,
    dead: rustc_hash::FxHashSet<(usize, u32)>,
}

/// The state of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Expired,
    InFlight,
    Unanswered,
    Idle,
    Stopped,
    Answered,
}

impl Judge {
    fn state(&self, pending: &Pending) -> State {
        let Pending { expires, asked, answered, tag } = *pending;
        let (talk, age) = (tag.talk(), self.now.saturating_sub(asked.max(answered)));
        if expires < self.now || age > self.most_age {
            State::Expired
        } else if answered == 0 || talk == Talk::HalfOpen {
            if talk.is_tcp() && age > self.recent {
                // Half-open connections of a healed outage are listed for hours.
                State::Expired
            } else if age <= self.patience && talk != Talk::AskedAgain && !self.asked_again(pending) {
                State::InFlight
            } else {
                State::Unanswered
            }
        } else if talk == Talk::Closed && asked.saturating_sub(answered) > self.patience {
            State::Expired
        } else if talk.is_tcp() && age > self.recent {
            State::Idle
        } else if asked.saturating_sub(answered) > 2 * self.patience {
            State::Stopped
        } else {
            State::Answered
        }
    }

    /// A socket that asks every few seconds is always young by its last report. That it asked more than once, with time in
    /// between, its end of life tells: that moves with every packet, reports only now and then.
    fn asked_again(&self, pending: &Pending) -> bool {
        let last_packet = pending.expires.saturating_sub(self.lifetime);
        let later = last_packet.saturating_sub(pending.asked) >= self.a_moment && last_packet <= self.now;
        pending.tag.talk() == Talk::Questions && later
    }

    fn count(&self, pending: &Pending, counts: &mut Counts, peers: &mut Peers) -> State {
        let tag = pending.tag;
        let (talk, peer) = (tag.talk(), (tag.group(), tag.peer()));
        let state = self.state(pending);
        let step = (self.now.saturating_sub(pending.asked) / self.step) as usize;
        let step = step.min(STEPS - 1);
        match state {
            State::Expired => counts.expired += 1,
            State::InFlight => counts.in_flight += 1,
            State::Unanswered => {
                counts.unanswered += 1;
                counts.half_open += u32::from(talk == Talk::HalfOpen);
                counts.dead_proxied += u32::from(tag.is_proxied());
                add_one(&mut counts.dead_by_age, step);
                counts.dead_peers += u32::from(peers.dead.insert(peer));
            }
            State::Idle => counts.idle += 1,
            State::Stopped => {
                counts.stopped += 1;
                counts.dead_proxied += u32::from(tag.is_proxied());
                add_one(&mut counts.dead_by_age, step);
                counts.dead_peers += u32::from(peers.dead.insert(peer));
            }
            State::Answered => {
                counts.answered += 1;
                counts.answered_peers += u32::from(peers.answered.insert(peer));
                add_one(&mut counts.answered_by_age, step);
            }
        }
        state
    }
}

fn add_one(steps: &mut [u16; STEPS], step: usize) {
    if let Some(count) = steps.get_mut(step) {
        *count = count.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::roles::{Range, Roles};

    fn lens() -> Lens {
        let mut roles = Roles::new(true);
        roles.name_range("10.42.1.0/24".parse().unwrap(), Range::LocalPods);
        roles.name([10, 42, 1, 5].into(), Role::LocalPod);
        roles.name([192, 168, 10, 21].into(), Role::ThisHost);
        Lens {
            roles: roles.into(),
            external: Vec::new(),
            probe_sources: Vec::new(),
            probe_target: [1, 1, 1, 1].into(),
            most_age_s: None,
        }
    }

    fn picture(text: &str) -> Picture {
        let lens = lens();
        let mut pass = Pass::new(&lens);
        pass.feed(text.as_bytes());
        pass.finish(true)
    }

    fn line(protocol: &str, to: &str) -> String {
        format!(
            "{protocol} OUT 10.42.1.5:40000 -> {to} expires=9999 Packets=0 Bytes=0 RxFlagsSeen=0x00 LastRxReport=0 \
             TxFlagsSeen=0x02 LastTxReport=9000 Flags=0x0000 [ ] RevNAT=0 SourceSecurityID=300 BackendID=0 \n"
        )
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

    #[test]
    fn what_goes_one_way_to_the_node_is_no_flow_without_answer() {
        let moment = line("TCP", "192.168.10.21:9000").replace("LastTxReport=9000", "LastTxReport=9050");
        let seen = picture(&(line("UDP", "192.168.10.21:8125") + &line("TCP", "192.168.10.21:10250") + &moment));
        assert_eq!((seen.entries, seen.group(Group::PodToHost).live()), (3, 2));
    }

    #[test]
    fn a_dump_that_breaks_off_in_an_entry_says_so() {
        let whole = line("TCP", "185.12.64.1:443");
        let last = whole.trim_end();
        assert!(!picture(&whole).broken_end && !picture(last).broken_end);
        assert!(!picture(&format!("{whole}command terminated")).broken_end, "a remark is no entry");
        assert!(picture(&format!("{whole}{}", &whole[..60])).broken_end);
    }
}
