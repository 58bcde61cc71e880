//! Traffic into the text of `cilium-dbg bpf ct list global` (facts, sections 1.3 to 1.7).

use std::fmt::Write;
use std::net::IpAddr;

use super::addr;
use super::model::{Cluster, Family, Flows, Node, Peer, Who};
use super::release::Release;
use super::rng::Rng;

/// What became of one flow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    Unanswered,
    Stopped,
    InFlight,
    Refused,
    ExpiredAnswered,
    ExpiredUnanswered,
}

/// The two ends of a line and how they stand in it.
struct Line {
    proto: &'static str,
    dir: &'static str,
    left: (IpAddr, u16),
    right: (IpAddr, u16),
    /// `related `, `service ` or nothing.
    word: &'static str,
    /// Milliseconds since boot of the last packet of either direction.
    last: u64,
    timeout_s: u64,
    /// Last report of each direction, milliseconds since boot.
    rx: Option<u64>,
    tx: Option<u64>,
    rx_flags: u8,
    tx_flags: u8,
    flags: u16,
    rev_nat: u16,
    identity: u32,
    backend: u64,
    packets: (u64, u64),
}

const CLOSED: u16 = 0x0013;
const SEEN_NON_SYN: u16 = 0x0010;
const PROXY_REDIRECT: u16 = 0x0040;

/// Writes the lines of one node.
struct Writer<'a> {
    node: &'a Node,
    cluster: &'a Cluster,
    rng: Rng,
    /// Milliseconds since boot.
    now: u64,
    /// TCP and other, IPv4 and IPv6: each map is printed as a whole.
    maps: [Vec<String>; 4],
}

/// The whole dump of a node.
pub(crate) fn dump(seed: &str, node: &Node, cluster: &Cluster) -> String {
    let mut writer = Writer {
        node,
        cluster,
        rng: Rng::new(&format!("{seed}/{}/ct", node.name)),
        now: node.uptime * 1000 + 437,
        maps: Default::default(),
    };
    for flows in &node.flows {
        writer.group(flows);
    }
    writer.finish()
}

impl Writer<'_> {
    fn finish(mut self) -> String {
        let mut out = String::new();
        for (at, lines) in self.maps.iter_mut().enumerate() {
            // An agent without IPv6 has two maps only.
            if at >= 2 && self.node.family == Family::V4 {
                continue;
            }
            self.rng.shuffle(lines);
            for line in lines {
                out.push_str(line);
                out.push('\n');
            }
            out.push('\n');
        }
        out
    }

    fn group(&mut self, flows: &Flows) {
        let fates = [
            (Fate::Answered, flows.answered),
            (Fate::Unanswered, flows.unanswered),
            (Fate::Stopped, flows.stopped),
            (Fate::InFlight, flows.in_flight),
            (Fate::Refused, flows.refused),
            (Fate::ExpiredAnswered, flows.expired_answered),
            (Fate::ExpiredUnanswered, flows.expired_unanswered),
        ];
        for (fate, count) in fates {
            for nth in 0..count {
                self.flow(flows, fate, nth);
            }
        }
    }

    /// The address of the pod whose turn it is: every source of a group gets its share.
    fn source(&mut self, flows: &Flows, nth: u64, v6: bool) -> (IpAddr, u32) {
        let node = self.node;
        let pods = match flows.who {
            Who::Every => 0..node.pods.len(),
            Who::First(n) => 0..n.min(node.pods.len()),
            Who::After(n) => n.min(node.pods.len())..node.pods.len(),
            Who::DnsPod => {
                let pod = self.cluster.dns.iter().find(|d| d.node == node.number).expect("a cluster DNS pod here");
                return (addr::pod(v6, node.number, pod.host), 3_391);
            }
        };
        let len = u64::try_from(pods.len()).expect("a count fits");
        assert!(len > 0, "a group of flows needs a source");
        let index = pods.start + usize::try_from(nth % len).expect("below a count");
        let identity = 20_417 + u32::try_from(index).expect("few pods") * 311;
        (addr::pod(v6, node.number, node.pods[index].host), identity)
    }

    fn ephemeral(&mut self) -> u16 {
        u16::try_from(self.rng.between(32_768, 60_999)).expect("a port")
    }

    fn flow(&mut self, flows: &Flows, fate: Fate, nth: u64) {
        // On a dual-stack node every third flow that is not DNS goes over IPv6.
        let dns = matches!(flows.peer, Peer::LocalDns | Peer::LocalDnsTcp | Peer::HostDns | Peer::RedirectedDns);
        let v6 = self.node.v6() || (self.node.family == Family::Dual && !dns && nth % 3 == 2);
        let number = self.node.number;
        let host = addr::node(v6, number);
        let local_dns = addr::local_dns(self.node.local_dns, v6);
        let remote = addr::pod(v6, number + 4, 10 + u8::try_from(nth % 30).expect("below 30"));
        let (pod, identity) = self.source(flows, nth, v6);
        let here = (pod, self.ephemeral());
        let (listed, others) = addr::world(v6);
        let mut line = match flows.peer {
            Peer::LocalDns => self.udp("OUT", here, (local_dns, 53), identity, fate),
            Peer::LocalDnsTcp => self.tcp_out(here, (local_dns, 53), identity, fate),
            Peer::RedirectedDns => {
                self.udp("OUT", here, (addr::pod(v6, number, addr::REDIRECTED_HOST), 53), identity, fate)
            }
            Peer::ClusterDns => {
                let dns = &self.cluster.dns[usize::try_from(nth).expect("few") % self.cluster.dns.len()];
                self.udp("OUT", here, (addr::pod(v6, dns.node, dns.host), 53), identity, fate)
            }
            Peer::GoneDns => {
                let gone = addr::pod(v6, number + 3, 200 + u8::try_from(nth % 2).expect("below 2"));
                self.udp("OUT", here, (gone, 53), identity, fate)
            }
            Peer::SiteResolver => self.udp("OUT", here, (addr::site_resolver(v6), 53), identity, fate),
            Peer::Host => {
                let port = *self.rng.pick(&[9_100, 10_250]);
                self.tcp_out(here, (host, port), identity, fate)
            }
            Peer::Kubelet => {
                let port = self.ephemeral();
                let vault = self.node.pods.iter().any(|p| p.name == "vault-0" && addr::pod(v6, number, p.host) == pod);
                self.kubelet((host, port), (pod, if vault { 8_200 } else { 8_080 }), fate)
            }
            Peer::WorldTcp => {
                let to = if nth.is_multiple_of(2) { *self.rng.pick(listed) } else { *self.rng.pick(others) };
                self.tcp_out(here, (to, 443), identity, fate)
            }
            Peer::UnlistedTcp => {
                let to = *self.rng.pick(others);
                self.tcp_out(here, (to, 443), identity, fate)
            }
            Peer::WorldUdp => {
                let to = *self.rng.pick(others);
                let port = *self.rng.pick(&[443, 123, 3_478]);
                self.udp("OUT", here, (to, port), identity, fate)
            }
            Peer::RemotePods => self.tcp_out(here, (remote, 8_080), identity, fate),
            Peer::FromRemotePods => {
                let port = self.ephemeral();
                let mut line = self.tcp_out((remote, port), (pod, 8_080), 41_807, fate);
                line.dir = "IN";
                std::mem::swap(&mut line.rx, &mut line.tx);
                std::mem::swap(&mut line.rx_flags, &mut line.tx_flags);
                line.packets = (line.packets.1, line.packets.0);
                line
            }
            Peer::HostOwn => self.tcp_out((host, here.1), (addr::api_server(v6), 6_443), 1, fate),
            Peer::HostDns => self.udp("OUT", (host, here.1), (local_dns, 53), 1, fate),
            Peer::Related => {
                let mut line = self.udp("OUT", (pod, 0), (local_dns, 0), identity, Fate::Unanswered);
                line.proto = if v6 { "ICMPv6" } else { "ICMP" };
                line.word = "related ";
                line
            }
            Peer::NearMiss if nth.is_multiple_of(2) => self.udp("OUT", here, (local_dns, 5_353), identity, fate),
            Peer::NearMiss => self.udp("OUT", here, (addr::near_local_dns(v6), 53), identity, fate),
            Peer::Service => self.service(here, (addr::service(v6, 10), 53)),
            Peer::Icmp => {
                let to = *self.rng.pick(listed);
                let mut line = self.udp("OUT", here, (to, 0), identity, fate);
                line.proto = if v6 { "ICMPv6" } else { "ICMP" };
                line
            }
            Peer::Health => self.tcp_out((host, here.1), (addr::pod(v6, number + 4, 254), 4_240), 6, fate),
        };
        if flows.proxied {
            line.flags |= PROXY_REDIRECT;
        }
        self.push(&line, v6);
    }

    /// A moment so many milliseconds ago, at most a second after boot.
    fn ago(&mut self, low: u64, high: u64) -> u64 {
        let most = self.now.saturating_sub(1_000);
        self.now - self.rng.between(low.min(most), high.min(most))
    }

    /// How far the last report lags behind the last packet: reports come at most every 5 s (section 1.6).
    fn lag(&mut self) -> u64 {
        if self.rng.one_in(3) { self.rng.between(0, 4_900) } else { 0 }
    }

    fn udp(&mut self, dir: &'static str, left: (IpAddr, u16), right: (IpAddr, u16), identity: u32, fate: Fate) -> Line {
        let lag = self.lag();
        let few = self.rng.between(1, 4);
        let (last, rx, tx, packets) = match fate {
            Fate::Answered | Fate::Refused => {
                let last = self.ago(0, 54_000);
                let sent = last.saturating_sub(lag);
                let rtt = self.rng.between(0, 30).min(lag);
                (last, Some(sent + rtt), Some(sent), (few, few))
            }
            Fate::InFlight => {
                let last = self.ago(0, 1_500);
                (last, None, Some(last), (0, 1))
            }
            Fate::Unanswered => {
                let last = self.ago(12_000, 54_000);
                (last, None, Some(last - lag.min(last)), (0, few))
            }
            Fate::Stopped => {
                let last = self.ago(0, 20_000);
                let answer = self.ago(60_000, 7_200_000);
                (last, Some(answer), Some(last.saturating_sub(lag)), (few * 40, few * 90))
            }
            Fate::ExpiredAnswered => {
                let last = self.ago(90_000, 40_000_000);
                (last, Some(last), Some(last), (few, few))
            }
            Fate::ExpiredUnanswered => {
                let last = self.ago(90_000, 40_000_000);
                (last, None, Some(last), (0, few))
            }
        };
        Line {
            proto: "UDP",
            dir,
            left,
            right,
            word: "",
            last,
            timeout_s: 60,
            rx,
            tx,
            rx_flags: 0,
            tx_flags: 0,
            flags: 0,
            rev_nat: 0,
            identity,
            backend: 0,
            packets,
        }
    }

    fn tcp_out(&mut self, left: (IpAddr, u16), right: (IpAddr, u16), identity: u32, fate: Fate) -> Line {
        let established = self.node.release.established_s();
        let lag = self.lag();
        let mut line = self.udp("OUT", left, right, identity, fate);
        line.proto = "TCP";
        match fate {
            Fate::Answered => {
                // Keep-alives may be far apart; each is answered.
                let last = self.ago(0, 3_000_000);
                let fin = u8::from(self.rng.one_in(2));
                line.last = last;
                line.rx = Some(last.saturating_sub(lag));
                line.tx = line.rx;
                (line.rx_flags, line.tx_flags) = (0x1a | fin, 0x1a | fin);
                line.flags = if fin == 1 { CLOSED } else { SEEN_NON_SYN };
                line.timeout_s = established;
                if fin == 1 {
                    // Closed on both sides a moment ago.
                    line.last = self.ago(0, 9_000);
                    line.rx = Some(line.last);
                    line.tx = Some(line.last);
                    line.timeout_s = 10;
                }
            }
            Fate::Stopped => {
                (line.rx_flags, line.tx_flags) = (0x1a, 0x1a);
                line.flags = SEEN_NON_SYN;
                line.timeout_s = established;
            }
            Fate::Unanswered | Fate::InFlight | Fate::ExpiredUnanswered => line.tx_flags = 0x02,
            Fate::Refused => {
                let last = self.ago(0, 9_000);
                (line.last, line.rx, line.tx) = (last, Some(last), Some(last));
                (line.rx_flags, line.tx_flags) = (0x14, 0x02);
                line.flags = CLOSED;
                line.timeout_s = 10;
            }
            Fate::ExpiredAnswered => {
                (line.rx_flags, line.tx_flags) = (0x1b, 0x1b);
                line.flags = CLOSED;
                line.timeout_s = 10;
            }
        }
        line
    }

    /// A kubelet's probe: the SYN came in, and what the pod sent back was heard, or was not.
    fn kubelet(&mut self, left: (IpAddr, u16), right: (IpAddr, u16), fate: Fate) -> Line {
        let mut line = self.tcp_out(left, right, 1, fate);
        line.dir = "IN";
        match fate {
            Fate::Unanswered | Fate::Stopped => {
                // The SYN is sent again and answered again; the handshake never ends.
                let last = self.ago(2_000, 50_000);
                (line.last, line.rx, line.tx) = (last, Some(last), Some(last));
                (line.rx_flags, line.tx_flags) = (0x02, 0x12);
                (line.flags, line.timeout_s) = (0, 60);
                line.packets = (4, 4);
            }
            Fate::ExpiredUnanswered | Fate::InFlight => {
                (line.rx, line.tx) = (Some(line.last), Some(line.last));
                (line.rx_flags, line.tx_flags) = (0x02, 0x12);
            }
            _ => {
                let last = if fate == Fate::ExpiredAnswered { line.last } else { self.ago(0, 9_000) };
                (line.last, line.rx, line.tx) = (last, Some(last), Some(last));
                (line.rx_flags, line.tx_flags) = (0x1b, 0x1b);
                (line.flags, line.timeout_s) = (CLOSED, 10);
                line.packets = (6, 4);
            }
        }
        line
    }

    /// A service line: nothing ever comes back on it, and up to 1.14 its sides are the wrong way round.
    fn service(&mut self, client: (IpAddr, u16), service: (IpAddr, u16)) -> Line {
        let mut line = self.udp("SVC", client, service, 0, Fate::Unanswered);
        line.rev_nat = 3;
        line.backend = self.rng.between(2, 90);
        if !self.node.release.split_counters() && self.rng.one_in(6) {
            // One half of a union, and garbage for some lines: more than 32 bits.
            line.backend += 360_309_599_644_942_336;
        }
        if !self.node.release.svc_lines() {
            line.dir = "OUT";
            (line.left, line.right) = (service, client);
            line.word = "service ";
        }
        line
    }

    fn push(&mut self, line: &Line, v6: bool) {
        let map = usize::from(line.proto != "TCP") + if v6 { 2 } else { 0 };
        let text = self.text(line);
        self.maps[map].push(text);
    }

    /// One line, as the release prints it, with the blank at its end.
    fn text(&mut self, line: &Line) -> String {
        let release = self.node.release;
        let clock = self.node.clock;
        let stamp = |at: Option<u64>| at.map_or(0, |at| clock.stamp(at));
        let expires = clock.stamp(line.last) + clock.span(line.timeout_s);
        let mut out = format!(
            "{} {} {}:{} -> {}:{} {}expires={expires}",
            line.proto, line.dir, line.left.0, line.left.1, line.right.0, line.right.1, line.word
        );
        let mut put = |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("a String takes all");
        if self.node.time_diff {
            let left = i128::from(line.last / 1000 + line.timeout_s) - i128::from(self.now / 1000);
            put(format_args!(" (remaining: {left} sec(s))"));
        }
        let (received, sent) = line.packets;
        let (heard, spoke) = (stamp(line.rx), stamp(line.tx));
        if release.split_counters() {
            let rx_bytes = if line.word == "service " { line.backend } else { received * 161 };
            put(format_args!(" RxPackets={received} RxBytes={rx_bytes} RxFlagsSeen={:#04x}", line.rx_flags));
            put(format_args!(" LastRxReport={heard} TxPackets={sent} TxBytes={}", sent * 91));
            put(format_args!(" TxFlagsSeen={:#04x} LastTxReport={spoke}", line.tx_flags));
        } else {
            if release != Release::Main {
                let total = if self.node.accounting { received + sent } else { 0 };
                put(format_args!(" Packets={total} Bytes={}", total * 104));
            }
            put(format_args!(" RxFlagsSeen={:#04x} LastRxReport={heard}", line.rx_flags));
            put(format_args!(" TxFlagsSeen={:#04x} LastTxReport={spoke}", line.tx_flags));
        }
        put(format_args!(" Flags={:#06x}", line.flags));
        if release != Release::V1_6 {
            let known = [(0x01, "RxClosing "), (0x02, "TxClosing "), (0x10, "SeenNonSyn "), (0x40, "ProxyRedirect ")];
            let names: String = known.iter().filter(|(bit, _)| line.flags & bit != 0).map(|(_, name)| *name).collect();
            put(format_args!(" [ {names}]"));
        }
        put(format_args!(" RevNAT={}", line.rev_nat));
        if release == Release::V1_6 {
            put(format_args!(" Slave=0"));
        }
        put(format_args!(" SourceSecurityID={}", line.identity));
        match release {
            Release::V1_6 | Release::V1_8 => {}
            Release::V1_10 | Release::V1_12 | Release::V1_13 | Release::V1_14 | Release::V1_15 => {
                put(format_args!(" IfIndex=0"));
            }
            _ => put(format_args!(" BackendID={}", line.backend)),
        }
        if release >= Release::V1_19 {
            put(format_args!(" NatPort=0"));
        }
        out.push(' ');
        out
    }
}
