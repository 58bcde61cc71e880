//! A whole dump in one pass: who talks to whom, and who gets answers.
//!
//! Whether an entry is alive, and whether its answer is overdue, depends on "now", which a dump does not print; the
//! latest report of all its lines is the best estimate, and is known only at the end. So entries that may still be
//! alive are kept as 16 bytes each until then, in bounded number; all others are counted as they pass.

use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::base::net::Prefix;
use crate::cilium::conntrack::clock::{Calibration, Clock, REPORT_INTERVAL_S};
use crate::cilium::conntrack::entry::{Direction, Entry, Packets, Protocol, Side, looks_like_entry, tcp};
use crate::cilium::lines::Lines;
use crate::kubernetes::roles::{Role, Roles, key};

/// Entries that are kept until "now" is known; 12 MiB. A table of default size with every entry alive fits; beyond it,
/// "now" is taken as the latest report so far, which after this many lines in random order is right.
const MOST_PENDING: usize = 768 << 10;

/// Endpoints that are told apart; a node runs some hundreds of pods at the most. Those beyond share one place.
const MOST_ENDPOINTS: usize = 4095;

/// Flows without answer that are named, where that is wanted.
const MOST_NAMED: usize = 4096;

/// A TCP entry lives for hours after its last packet. One whose last packet is older than this, in seconds, says
/// nothing about now.
const RECENT_S: f64 = 60.0;

/// A sane `(remaining: …)`, in seconds. Some builds printed absurd ones (cilium/cilium#26182).
const LONGEST_REMAINING_S: i64 = 86_400;

/// How many odd lines are kept to be shown, and how much of each.
const SAMPLES: usize = 3;
const SAMPLE_BYTES: usize = 160;

macro_rules! groups {
    ($($(#[$meta:meta])* $name:ident = $label:literal,)*) => {
        /// Flows that take the same way; each is a witness of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Group { $($(#[$meta])* $name,)* }

        impl Group {
            /// Every group.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The group in words.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

groups! {
    /// Pods' queries to the node-local DNS address, or to the pod that stands behind it.
    NodeLocalDns = "pods to node-local DNS",
    /// Pods' queries to other DNS servers of the cluster.
    OtherDns = "pods to cluster DNS",
    /// Pods' queries to DNS servers that no longer exist.
    GoneDns = "pods to DNS pods that no longer exist",
    /// Queries that node-local DNS passes on.
    DnsUpstream = "node-local DNS to its upstream",
    /// Pods to this node.
    PodToHost = "pods to their node",
    /// Pods to other nodes.
    PodToOtherHost = "pods to other nodes",
    /// Pods to pods of this node.
    PodToLocalPod = "pods to pods of this node",
    /// Pods to pods of other nodes.
    PodToRemotePod = "pods to pods of other nodes",
    /// Pods to pods that no longer exist.
    PodToGone = "pods to pods that no longer exist",
    /// Pods to service addresses, where services are not translated at the socket.
    PodToService = "pods to service addresses",
    /// Pods to the world by TCP.
    WorldTcp = "pods to the world by TCP",
    /// Pods to the world by UDP.
    WorldUdp = "pods to the world by UDP",
    /// This node to its pods: kubelet's probes.
    HostToPod = "this node to its pods (kubelet's probes)",
    /// Pods of this node to each other, seen at the responder.
    LocalToPod = "pods of this node to each other",
    /// Other nodes and their pods to pods of this node.
    RemoteToPod = "other nodes and their pods to pods of this node",
    /// The world to pods of this node.
    WorldToPod = "the world to pods of this node",
    /// This node to the world.
    HostToWorld = "this node to the world",
    /// This node to other nodes and their pods.
    HostToCluster = "this node to other nodes",
    /// The probe's own flows.
    Probe = "the probe's own connection",
}

/// How many flows of a group are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Alive and answered, lately.
    pub answered: u32,
    /// Alive and never answered, though there was time.
    pub unanswered: u32,
    /// Alive, answered once, and no longer.
    pub stopped: u32,
    /// Alive, and too young to tell.
    pub in_flight: u32,
    /// Alive by their long life only: no packet for a while. They say nothing about now.
    pub idle: u32,
    /// Over, and only still listed.
    pub expired: u32,
    /// Of the unanswered: the answer left, and never arrived (SYN in, SYN+ACK out, again and again).
    pub half_open: u32,
    /// The latest answer of any flow, expired ones too, in clock units; 0: never one.
    pub last_answer: u32,
    /// Different far ends among the answered, roughly.
    pub answered_peers: u32,
    /// Different far ends among the unanswered and stopped, roughly.
    pub dead_peers: u32,
}

impl Counts {
    /// Alive, whatever their state.
    #[must_use]
    pub const fn live(&self) -> u32 {
        self.answered + self.unanswered + self.stopped + self.in_flight + self.idle
    }

    /// Alive and without answer.
    #[must_use]
    pub const fn dead(&self) -> u32 {
        self.unanswered + self.stopped
    }

    /// Those that say something about now.
    #[must_use]
    pub const fn decided(&self) -> u32 {
        self.answered + self.unanswered + self.stopped
    }

    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut sum = *self;
        sum.add(other);
        sum
    }

    fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.unanswered += other.unanswered;
        self.stopped += other.stopped;
        self.in_flight += other.in_flight;
        self.idle += other.idle;
        self.expired += other.expired;
        self.half_open += other.half_open;
        self.last_answer = self.last_answer.max(other.last_answer);
        self.answered_peers += other.answered_peers;
        self.dead_peers += other.dead_peers;
    }
}

/// One local endpoint and its flows by group.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its address; none for those beyond the number that is told apart.
    pub address: Option<IpAddr>,
    counts: Box<[Counts]>,
}

impl Endpoint {
    fn new(address: Option<IpAddr>) -> Self {
        Self { address, counts: vec![Counts::default(); Group::ALL.len()].into() }
    }

    /// Its flows of this group.
    #[must_use]
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

/// What a whole dump shows.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Lines that are entries.
    pub entries: u64,
    /// Lines that should be entries and could not be read.
    pub unparsed: u64,
    /// Whether the last line has no end and is no entry: the dump was cut, whatever its exit code.
    pub broken_end: bool,
    /// The first of those, cut; bytes as they came.
    pub samples: Vec<Vec<u8>>,
    /// Lines that are no entries: remarks, blank lines not counted.
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
    groups: Box<[Counts]>,
    /// The local endpoints, in no order.
    pub endpoints: Vec<Endpoint>,
    /// The flows that never were answered, though there was time, by name, in no order; none where they were not to be
    /// named.
    pub unanswered: Option<Unanswered>,
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
    pub fn group(&self, group: Group) -> &Counts {
        &self.groups[group as usize]
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

/// What a pass looks for beside the groups.
#[derive(Clone, Debug)]
pub struct Lens {
    /// Whose each address is.
    pub roles: Arc<Roles>,
    /// The runbook's outside addresses.
    pub external: Vec<Prefix>,
    /// The pods that probed just before, by address.
    pub probe_sources: Vec<IpAddr>,
    /// The address they probed.
    pub probe_target: IpAddr,
    /// Flows whose last packet is older than this, in seconds before "now", are counted as expired, and of the others
    /// those without answer are named; none: all count, and none is named.
    pub most_age_s: Option<f64>,
}

/// An entry that may still be alive.
#[derive(Clone, Copy)]
struct Pending {
    expires: u32,
    asked: u32,
    answered: u32,
    tag: Tag,
}

/// Group, endpoint, and what else decides the state, in 32 bits.
#[derive(Clone, Copy)]
struct Tag(u32);

impl Tag {
    fn new(group: Group, endpoint: u16, entry: &Entry, peer: IpAddr) -> Self {
        let tcp = u32::from(entry.protocol == Protocol::Tcp);
        let half_open = u32::from(is_half_open(entry));
        Self((group as u32) << 27 | u32::from(endpoint & 0xfff) << 15 | tcp << 14 | half_open << 13 | peer_bucket(peer))
    }

    const fn group(self) -> usize {
        (self.0 >> 27) as usize
    }

    const fn endpoint(self) -> usize {
        (self.0 >> 15 & 0xfff) as usize
    }

    const fn is_tcp(self) -> bool {
        self.0 >> 14 & 1 == 1
    }

    const fn is_half_open(self) -> bool {
        self.0 >> 13 & 1 == 1
    }

    const fn peer(self) -> u32 {
        self.0 & 0x1fff
    }
}

/// One of 8192 buckets: enough to tell one far end from many.
fn peer_bucket(peer: IpAddr) -> u32 {
    use std::hash::BuildHasher as _;
    let hash = rustc_hash::FxBuildHasher.hash_one(peer);
    // The hasher turns its best bits, the highest, to the place of the lowest 26: the last bytes of an IPv6 address
    // reach no others.
    u32::try_from(hash >> 13 & 0x1fff).unwrap_or_default()
}

/// The way back is broken: the question came in, the answer left, and nothing followed.
const fn is_half_open(entry: &Entry) -> bool {
    matches!(entry.protocol, Protocol::Tcp)
        && matches!(entry.direction, Direction::In)
        && entry.rx_flags == tcp::SYN
        && entry.tx_flags == tcp::SYN | tcp::ACK
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
        if group_is_probe(&entry, lens) {
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

    /// What is counted on every line, whatever its state.
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
        // "Now" only grows, so what is over by now is over.
        if entry.expires < self.latest {
            counts.expired += 1;
            return;
        }
        let tag = Tag::new(group, endpoint, entry, peer);
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
        }
    }

    /// Decides what was kept.
    fn settle(&mut self) {
        let judge = self.judge();
        let mut peers = Peers::default();
        for pending in self.pending.drain(..).flatten() {
            let counts = &mut self.endpoints[pending.tag.endpoint()].counts[pending.tag.group()];
            judge.count(&pending, counts, &mut peers);
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
        let age = self.now.saturating_sub(asked.max(answered));
        if expires < self.now || age > self.most_age {
            State::Expired
        } else if answered == 0 || tag.is_half_open() {
            if age <= self.patience { State::InFlight } else { State::Unanswered }
        } else if tag.is_tcp() && age > self.recent {
            State::Idle
        } else if asked.saturating_sub(answered) > 2 * self.patience {
            State::Stopped
        } else {
            State::Answered
        }
    }

    fn count(&self, pending: &Pending, counts: &mut Counts, peers: &mut Peers) {
        let tag = pending.tag;
        let peer = (tag.group(), tag.peer());
        match self.state(pending) {
            State::Expired => counts.expired += 1,
            State::InFlight => counts.in_flight += 1,
            State::Unanswered => {
                counts.unanswered += 1;
                counts.half_open += u32::from(tag.is_half_open());
                counts.dead_peers += u32::from(peers.dead.insert(peer));
            }
            State::Idle => counts.idle += 1,
            State::Stopped => {
                counts.stopped += 1;
                counts.dead_peers += u32::from(peers.dead.insert(peer));
            }
            State::Answered => {
                counts.answered += 1;
                counts.answered_peers += u32::from(peers.answered.insert(peer));
            }
        }
    }
}

/// To which group an entry belongs, which of its ends is the local endpoint, and which the far end.
fn place(entry: &Entry, lens: &Lens) -> Option<(Group, IpAddr, IpAddr)> {
    if !matches!(entry.protocol, Protocol::Tcp | Protocol::Udp) {
        return None;
    }
    let (initiator, responder) = (entry.initiator.ip, entry.responder.ip);
    let from = lens.roles.of(initiator);
    let to = lens.roles.of(responder);
    // The node's own address on the pod network is no pod's, but carries an identity of the host (below 256).
    let from_host = from == Role::ThisHost || (matches!(from, Role::LocalGone) && entry.identity < 256);
    match entry.direction {
        Direction::Service => None,
        Direction::In => {
            if !matches!(to, Role::LocalPod | Role::NodeLocalDnsPod) {
                return None;
            }
            let group = match from {
                _ if entry.identity == 1 || from_host => Group::HostToPod,
                Role::LocalPod | Role::NodeLocalDnsPod | Role::LocalGone => Group::LocalToPod,
                Role::RemotePod | Role::RemoteGone | Role::UnlistedPod | Role::OtherHost => Group::RemoteToPod,
                Role::World => Group::WorldToPod,
                _ => return None,
            };
            Some((group, responder, initiator))
        }
        Direction::Out if from_host => {
            let group = match to {
                Role::World if crate::base::net::is_private(responder) => Group::HostToCluster,
                Role::World => Group::HostToWorld,
                Role::LocalPod | Role::RemotePod | Role::UnlistedPod | Role::Service if entry.responder.port == 53 => {
                    Group::DnsUpstream
                }
                Role::OtherHost | Role::RemotePod | Role::UnlistedPod => Group::HostToCluster,
                _ => return None,
            };
            Some((group, initiator, responder))
        }
        Direction::Out => {
            let group = match from {
                Role::NodeLocalDnsPod if entry.responder.port == 53 => Group::DnsUpstream,
                Role::LocalPod | Role::NodeLocalDnsPod => from_pod(entry, to)?,
                _ => return None,
            };
            Some((group, initiator, responder))
        }
    }
}

/// The group of a flow that a pod began.
fn from_pod(entry: &Entry, to: Role) -> Option<Group> {
    let dns = entry.responder.port == 53;
    let udp = entry.protocol == Protocol::Udp;
    Some(match to {
        Role::NodeLocalDns if dns => Group::NodeLocalDns,
        // Behind a local redirect the port may be another than 53; metrics are asked by TCP.
        Role::NodeLocalDnsPod if dns || udp => Group::NodeLocalDns,
        // Statistics and traces go one way by UDP, and are never answered: they say nothing of the path.
        Role::NodeLocalDns | Role::ThisHost if udp => return None,
        Role::NodeLocalDns | Role::ThisHost => Group::PodToHost,
        Role::OtherHost => Group::PodToOtherHost,
        Role::LocalPod | Role::RemotePod | Role::Service if dns => Group::OtherDns,
        Role::LocalPod | Role::NodeLocalDnsPod => Group::PodToLocalPod,
        Role::LocalGone | Role::RemoteGone | Role::UnlistedPod if dns => Group::GoneDns,
        Role::RemotePod | Role::UnlistedPod => Group::PodToRemotePod,
        Role::LocalGone | Role::RemoteGone => Group::PodToGone,
        Role::Service => Group::PodToService,
        Role::World if udp => Group::WorldUdp,
        Role::World => Group::WorldTcp,
        Role::Nowhere => return None,
    })
}

/// Whether this is one of the flows that the probes have just made.
fn group_is_probe(entry: &Entry, lens: &Lens) -> bool {
    entry.direction == Direction::Out
        && entry.responder.ip == lens.probe_target
        && lens.probe_sources.contains(&entry.initiator.ip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::roles::Range;

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
        let moment = line("TCP", "192.168.10.21:9000").replace("LastTxReport=9000", "LastTxReport=9100");
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
