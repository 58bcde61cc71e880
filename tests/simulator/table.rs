//! The conntrack table of a node: Cilium's rules for its lines, and their text in each release.

use std::fmt::Write;
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::cluster::{Moment, Setup};
use crate::fault::Proto;
use crate::release::{Clock, Release};
use crate::rng::Rng;

/// An address and a port.
pub(crate) type Socket = (IpAddr, u16);

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// Which line of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Way {
    /// Of the initiating endpoint.
    Out,
    /// Of the answering endpoint.
    In,
    /// Of a service that is translated per packet.
    Service,
}

/// What names a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) proto: Proto,
    pub(crate) way: Way,
    pub(crate) from: Socket,
    pub(crate) to: Socket,
    /// The companion for ICMP errors.
    pub(crate) related: bool,
}

/// What does not change in a line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) identity: u32,
    pub(crate) reverse_nat: u16,
    pub(crate) backend: u16,
    pub(crate) flags: u16,
}

/// A line's value, in the units of the node's clock.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    facts: Facts,
    expires: u64,
    rx_report: u64,
    tx_report: u64,
    rx_flags: u8,
    tx_flags: u8,
    rx_closing: bool,
    tx_closing: bool,
    seen_non_syn: bool,
    rx_packets: u64,
    tx_packets: u64,
}

/// The table of one node.
pub(crate) struct Table {
    release: Release,
    clock: Clock,
    /// Milliseconds since boot at the moment of the dump.
    uptime: Moment,
    flag_mask: u8,
    accounting: bool,
    v6: bool,
    lines: FxHashMap<Key, Line>,
}

/// The interval below which a direction is not reported again, in seconds.
const REPORT_S: u64 = 5;

impl Table {
    /// An empty table.
    pub(crate) fn new(setup: &Setup, clock: Clock, uptime: Moment) -> Self {
        Self {
            release: setup.release,
            clock,
            uptime,
            flag_mask: setup.flag_mask,
            accounting: setup.accounting,
            v6: setup.family != crate::cluster::Family::V4,
            lines: FxHashMap::default(),
        }
    }

    /// A moment in the clock's units; what was before the boot is the boot.
    fn stamp(&self, at: Moment) -> u64 {
        self.clock.stamp(u64::try_from(self.uptime + at).unwrap_or(0))
    }

    /// Whether there is such a line.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.lines.contains_key(key)
    }

    /// Sees a packet of a line, which is made where it is not there. `tx`: it leaves the endpoint.
    pub(crate) fn see(&mut self, key: Key, facts: Facts, tx: bool, flags: u8, at: Moment) {
        let now = self.stamp(at);
        let report = self.clock.span(REPORT_S);
        let established = self.clock.span(self.release.established_s());
        let (minute, closed) = (self.clock.span(60), self.clock.span(10));
        let flags = if key.proto == Proto::Tcp { flags } else { 0 };
        let fresh = !self.lines.contains_key(&key);
        let line = self.lines.entry(key).or_insert(Line { facts, ..Line::default() });
        if line.rx_closing && line.tx_closing && flags & SYN != 0 {
            // The same ports again.
            *line = Line { facts, ..Line::default() };
        }
        if tx {
            line.tx_packets += 1;
        } else {
            line.rx_packets += 1;
        }
        let (seen, last) =
            if tx { (&mut line.tx_flags, &mut line.tx_report) } else { (&mut line.rx_flags, &mut line.rx_report) };
        let all = *seen | (flags & self.flag_mask);
        if fresh || *last + report < now || all != *seen || *last == 0 {
            *seen = all;
            *last = now;
        }
        let mut lifetime = minute;
        if key.proto == Proto::Tcp && !key.related {
            line.seen_non_syn |= flags & SYN == 0;
            if flags & RST != 0 {
                (line.rx_closing, line.tx_closing) = (true, true);
            } else if flags & FIN != 0 {
                if tx { line.tx_closing = true } else { line.rx_closing = true }
            }
            let service = key.way == Way::Service;
            lifetime = match (line.rx_closing && line.tx_closing, line.seen_non_syn || service) {
                (true, _) => closed,
                (false, true) => established,
                (false, false) => minute,
            };
        }
        line.expires = line.expires.max(now + lifetime);
        if line.rx_closing && line.tx_closing {
            line.expires = now + lifetime;
        }
    }

    /// What `bpf ct list global` prints: everything that had not expired when it was last collected.
    pub(crate) fn dump(&self, collected: Moment, rng: &mut Rng) -> String {
        let bar = self.stamp(-collected);
        let mut maps: [Vec<String>; 4] = Default::default();
        let mut kept: Vec<_> = self.lines.iter().filter(|(_, line)| line.expires >= bar).collect();
        kept.sort_unstable_by_key(|(key, _)| **key);
        for (key, line) in kept {
            let other = usize::from(key.proto != Proto::Tcp || key.related);
            let map = other + if key.from.0.is_ipv6() { 2 } else { 0 };
            maps[map].push(self.text(key, line));
        }
        let mut out = String::new();
        for (at, mut lines) in maps.into_iter().enumerate() {
            if at >= 2 && !self.v6 {
                continue;
            }
            rng.shuffle(&mut lines);
            for line in lines {
                out.push_str(&line);
                out.push('\n');
            }
            out.push('\n');
        }
        out
    }

    /// How many lines are alive: of TCP, and of all others.
    pub(crate) fn alive(&self) -> (usize, usize) {
        let now = self.stamp(0);
        let alive = self.lines.iter().filter(|(_, line)| line.expires >= now);
        let (tcp, others): (Vec<_>, Vec<_>) = alive.partition(|(key, _)| key.proto == Proto::Tcp && !key.related);
        (tcp.len(), others.len())
    }

    fn text(&self, key: &Key, line: &Line) -> String {
        let icmp = key.proto == Proto::Icmp || key.related;
        let proto = match (key.proto, icmp, key.from.0.is_ipv6()) {
            (_, true, true) => "ICMPv6",
            (_, true, false) => "ICMP",
            (Proto::Tcp, ..) => "TCP",
            _ => "UDP",
        };
        let old_service = key.way == Way::Service && !self.release.svc_lines();
        let way = match key.way {
            Way::In => "IN",
            Way::Service if !old_service => "SVC",
            _ => "OUT",
        };
        let word = if old_service {
            "service "
        } else if key.related {
            "related "
        } else {
            ""
        };
        let (left, right) = if old_service { (key.to, key.from) } else { (key.from, key.to) };
        let Line { facts, expires, rx_flags, rx_report, tx_flags, tx_report, .. } = line;
        let (rx, tx) =
            if self.release.split_counters() || self.accounting { (line.rx_packets, line.tx_packets) } else { (0, 0) };
        let mut out = String::with_capacity(280);
        let ends = format!("{proto} {way} {}:{} -> {}:{} {word}expires={expires} ", left.0, left.1, right.0, right.1);
        out.push_str(&ends);
        let seen = if self.release.split_counters() {
            format!(
                "RxPackets={rx} RxBytes={} RxFlagsSeen={rx_flags:#04x} LastRxReport={rx_report} TxPackets={tx} TxBytes={} TxFlagsSeen={tx_flags:#04x} LastTxReport={tx_report} ",
                rx * 94,
                tx * 79
            )
        } else {
            let both = rx + tx;
            let counted = match self.release {
                Release::Main => String::new(),
                _ => format!("Packets={both} Bytes={} ", both * 87),
            };
            format!(
                "{counted}RxFlagsSeen={rx_flags:#04x} LastRxReport={rx_report} TxFlagsSeen={tx_flags:#04x} LastTxReport={tx_report} "
            )
        };
        out.push_str(&seen);
        Self::push_flags(&mut out, line);
        write!(out, "RevNAT={} SourceSecurityID={} ", facts.reverse_nat, facts.identity).expect("a String takes all");
        if self.release.split_counters() {
            out.push_str("IfIndex=0 ");
        } else {
            write!(out, "BackendID={} ", facts.backend).expect("a String takes all");
            if self.release >= Release::V1_19 {
                out.push_str("NatPort=0 ");
            }
        }
        out
    }

    fn push_flags(out: &mut String, line: &Line) {
        let flags = line.facts.flags
            | u16::from(line.rx_closing)
            | (u16::from(line.tx_closing) << 1)
            | (u16::from(line.seen_non_syn) << 4);
        write!(out, "Flags={flags:#06x} [ ").expect("a String takes all");
        let names = [
            (0x01, "RxClosing "),
            (0x02, "TxClosing "),
            (0x08, "LBLoopback "),
            (0x10, "SeenNonSyn "),
            (0x20, "NodePort "),
            (PROXY_REDIRECT, "ProxyRedirect "),
            (FROM_TUNNEL, "FromTunnel "),
        ];
        for (_, name) in names.into_iter().filter(|(bit, _)| flags & bit != 0) {
            out.push_str(name);
        }
        out.push_str("] ");
    }
}

/// The agent's proxy answers.
pub(crate) const PROXY_REDIRECT: u16 = 0x40;
/// The first packet came through the tunnel.
pub(crate) const FROM_TUNNEL: u16 = 0x400;
