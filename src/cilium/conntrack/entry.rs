//! One line of a conntrack dump.
//!
//! The grammar: protocol, direction, initiator, responder, then `key=value` fields that came and went over the releases
//! (1.12 to 1.20 and main). The tuple is read by position, fields by name.

mod numbers;
mod sides;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use numbers::{after, decimal, decimal_saturating, digits, four_hex_digits, hex, signed, two_hex_digits};
use sides::{side, usual_side};

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP of either family.
    Icmp,
    /// SCTP, a number, or a name unknown here.
    Other,
}

/// Who began, seen from the local endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// A local endpoint is the responder.
    In,
    /// A local endpoint is the initiator.
    Out,
    /// A service entry: no answer direction is ever recorded in it.
    Service,
}

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Side {
    /// The address.
    pub ip: IpAddr,
    /// The port; for ICMP an identifier or 0.
    pub port: u16,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.ip, self.port).fmt(f)
    }
}

/// The packet counters of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packets {
    /// None in this format (after 1.20).
    Absent,
    /// One for both directions (1.16 to 1.20); 0 everywhere while accounting is off.
    Total(u64),
    /// One a direction (1.15 and older), towards the endpoint and out of it.
    Split {
        /// Towards the endpoint.
        rx: u64,
        /// Out of the endpoint.
        tx: u64,
    },
}

/// What the datapath noted about an entry (section 1.4 of the format notes). Older releases know fewer of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u16);

impl Flags {
    /// The responder closed, or reset.
    pub const RX_CLOSING: Self = Self(0x0001);
    /// The initiator closed, or reset.
    pub const TX_CLOSING: Self = Self(0x0002);
    /// Translated between address families.
    pub const NAT64: Self = Self(0x0004);
    /// A pod that reached itself by a service (hairpin).
    pub const LB_LOOPBACK: Self = Self(0x0008);
    /// More than a SYN was seen: the connection came about, or was there before the entry.
    pub const SEEN_NON_SYN: Self = Self(0x0010);
    /// Came in by a node port.
    pub const NODE_PORT: Self = Self(0x0020);
    /// Goes to the agent's proxy: who answers is the proxy, not the far end.
    pub const PROXY_REDIRECT: Self = Self(0x0040);
    /// Answered by the backend directly.
    pub const DSR: Self = Self(0x0080);
    /// Comes from the L7 load balancer.
    pub const FROM_L7LB: Self = Self(0x0100);
    /// Came in by the tunnel: the initiator is on another node.
    pub const FROM_TUNNEL: Self = Self(0x0400);

    /// Whether all of these are set.
    #[must_use]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether either side closed.
    #[must_use]
    pub const fn is_closing(self) -> bool {
        self.0 & (Self::RX_CLOSING.0 | Self::TX_CLOSING.0) != 0
    }
}

/// One conntrack entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The protocol.
    pub protocol: Protocol,
    /// Who began.
    pub direction: Direction,
    /// Who began, by address.
    pub initiator: Side,
    /// Who was asked, by address.
    pub responder: Side,
    /// A companion entry made along with other flows; says nothing about answers.
    pub related: bool,
    /// When it ends, in clock units.
    pub expires: u32,
    /// Seconds until it ends, where the dump was made with `--time-diff`.
    pub remaining: Option<i64>,
    /// The last report of a packet towards the endpoint, in clock units; 0: never one.
    pub last_rx: u32,
    /// The last report of a packet out of the endpoint, in clock units; 0: never one.
    pub last_tx: u32,
    /// TCP flags seen towards the endpoint; always 0 for other protocols.
    pub rx_flags: u8,
    /// TCP flags seen out of the endpoint; always 0 for other protocols.
    pub tx_flags: u8,
    /// The packet counters.
    pub packets: Packets,
    /// What the datapath noted.
    pub flags: Flags,
    /// The service that the answers are translated back to, by its number in the kernel's tables; 0: none.
    pub rev_nat: u16,
    /// The numeric identity of the initiator: 1 host, 2 world, 6 remote node, workloads from 256 on.
    pub identity: u32,
}

/// TCP flag bits as the datapath stores them.
pub mod tcp {
    /// Finish.
    pub const FIN: u8 = 0x01;
    /// Synchronize.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// Acknowledge.
    pub const ACK: u8 = 0x10;
}

impl Entry {
    /// Reads one line. None if it is not a usable entry: without a tuple, or without the times.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        let (tuple, rest) = Tuple::usual(line).or_else(|| Tuple::any(line))?;
        let mut entry = Self::of(tuple);
        if entry.usual_fields(rest).is_none() {
            entry.fields(Cursor(rest))?;
        }
        Some(entry)
    }

    /// An entry whose fields are still to be read.
    const fn of(tuple: Tuple) -> Self {
        let Tuple { protocol, direction, left, right } = tuple;
        Self {
            protocol,
            direction,
            initiator: left,
            responder: right,
            related: false,
            expires: 0,
            remaining: None,
            last_rx: 0,
            last_tx: 0,
            rx_flags: 0,
            tx_flags: 0,
            packets: Packets::Absent,
            flags: Flags(0),
            rev_nat: 0,
            identity: 0,
        }
    }

    /// The fields in the order in which releases of the last years print them, by comparing and not by searching: three
    /// times as fast as [`Self::fields`]. None where a line has another order; nothing is changed then.
    #[inline]
    fn usual_fields(&mut self, rest: &[u8]) -> Option<()> {
        let (expires, rest) = digits(after(rest, b" expires=")?)?;
        let (packets, rest) = if let Some(rest) = after(rest, b" Packets=") {
            let (packets, rest) = digits(rest)?;
            let (_, rest) = digits(after(rest, b" Bytes=")?)?;
            (Packets::Total(u64::from(packets)), rest)
        } else {
            (Packets::Absent, rest)
        };
        let (rx_flags, rest) = two_hex_digits(after(rest, b" RxFlagsSeen=0x")?)?;
        let (last_rx, rest) = digits(after(rest, b" LastRxReport=")?)?;
        let (tx_flags, rest) = two_hex_digits(after(rest, b" TxFlagsSeen=0x")?)?;
        let (last_tx, rest) = digits(after(rest, b" LastTxReport=")?)?;
        let (flags, rest) = four_hex_digits(after(rest, b" Flags=0x")?)?;
        let rest = rest.get(memchr::memchr(b']', rest)?..)?;
        let (rev_nat, rest) = digits(after(rest, b"] RevNAT=")?)?;
        let rev_nat = u16::try_from(rev_nat).ok()?;
        let (identity, rest) = digits(after(rest, b" SourceSecurityID=")?)?;
        if !matches!(rest.first(), None | Some(b' ')) {
            return None;
        }
        let flags = Flags(flags);
        *self = Self { expires, last_rx, last_tx, rx_flags, tx_flags, packets, flags, rev_nat, identity, ..*self };
        Some(())
    }

    fn fields(&mut self, mut cursor: Cursor<'_>) -> Option<()> {
        let mut seen = 0_u8;
        loop {
            let (key, value) = match cursor.token() {
                b"" => break,
                b"related" => {
                    self.related = true;
                    continue;
                }
                b"service" => {
                    // Up to 1.14 service entries are printed the wrong way round, as `OUT service -> client service`.
                    self.direction = Direction::Service;
                    std::mem::swap(&mut self.initiator, &mut self.responder);
                    continue;
                }
                // `(remaining: 42 sec(s))` stands behind `expires=`.
                b"(remaining:" => {
                    self.remaining = signed(cursor.token());
                    cursor.token();
                    continue;
                }
                // The names of the flags stand in brackets, and one of them may look like a field.
                b"[" => {
                    cursor.skip_past(b']');
                    continue;
                }
                token => match key_and_value(token) {
                    Some(pair) => pair,
                    None => continue,
                },
            };
            match key {
                b"expires" => {
                    self.expires = decimal(value)?;
                    seen |= 1;
                }
                b"LastRxReport" => {
                    self.last_rx = decimal(value)?;
                    seen |= 2;
                }
                b"LastTxReport" => {
                    self.last_tx = decimal(value)?;
                    seen |= 4;
                }
                b"RxFlagsSeen" => self.rx_flags = hex(value)?.to_le_bytes()[0],
                b"TxFlagsSeen" => self.tx_flags = hex(value)?.to_le_bytes()[0],
                b"Flags" => self.flags = Flags(hex(value)?),
                b"RevNAT" => self.rev_nat = u16::try_from(decimal(value)?).unwrap_or(u16::MAX),
                b"Packets" => self.packets = Packets::Total(u64::from(decimal_saturating(value)?)),
                b"RxPackets" => self.packets = Packets::Split { rx: u64::from(decimal_saturating(value)?), tx: 0 },
                b"TxPackets" => {
                    if let Packets::Split { tx, .. } = &mut self.packets {
                        *tx = u64::from(decimal_saturating(value)?);
                    }
                }
                b"SourceSecurityID" => self.identity = decimal(value)?,
                _ => {}
            }
        }
        (seen == 7).then_some(())
    }

    /// When the initiator's packets were last reported, in clock units; 0: never.
    #[must_use]
    pub const fn asked(&self) -> u32 {
        match self.direction {
            Direction::In => self.last_rx,
            Direction::Out | Direction::Service => self.last_tx,
        }
    }

    /// When the responder's packets were last reported, in clock units; 0: never.
    #[must_use]
    pub const fn answered(&self) -> u32 {
        match self.direction {
            Direction::In => self.last_tx,
            Direction::Out | Direction::Service => self.last_rx,
        }
    }

    /// Whether the counter of answers is 0, or the only counter there is: the runbook's `Packets=0`. None without
    /// counters.
    #[must_use]
    pub const fn packets_zero(&self) -> Option<bool> {
        match self.packets {
            Packets::Absent => None,
            Packets::Total(n) => Some(n == 0),
            Packets::Split { rx, tx } => Some(match self.direction {
                Direction::In => tx == 0,
                Direction::Out | Direction::Service => rx == 0,
            }),
        }
    }
}

/// Whether a line that could not be read was meant to be an entry, and not a remark around them.
#[must_use]
pub fn looks_like_entry(line: &[u8]) -> bool {
    let mut cursor = Cursor(line);
    cursor.token();
    matches!(cursor.token(), b"IN" | b"OUT" | b"SVC") || memchr::memmem::find(line, b" -> ").is_some()
}

/// What stands at the front of every line: protocol, direction, and both ends in the order in which they are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tuple {
    protocol: Protocol,
    direction: Direction,
    left: Side,
    right: Side,
}

impl Tuple {
    /// The tuple of nearly every line, TCP or UDP over IPv4, by comparing at known places; and what follows it. None
    /// where a line differs in anything.
    #[inline]
    fn usual(line: &[u8]) -> Option<(Self, &[u8])> {
        let (protocol, rest) = match line.split_first_chunk()? {
            (b"TCP ", rest) => (Protocol::Tcp, rest),
            (b"UDP ", rest) => (Protocol::Udp, rest),
            _ => return None,
        };
        let (direction, rest) = if let Some(rest) = after(rest, b"OUT ") {
            (Direction::Out, rest)
        } else {
            (Direction::In, after(rest, b"IN ")?)
        };
        let (left, rest) = usual_side(rest)?;
        let (right, rest) = usual_side(after(rest, b" -> ")?)?;
        // The port ends here, or it is none.
        (rest.first() == Some(&b' ')).then_some((Self { protocol, direction, left, right }, rest))
    }

    /// Any tuple, token by token; and what follows it.
    fn any(line: &[u8]) -> Option<(Self, &[u8])> {
        let mut cursor = Cursor(line);
        let protocol = match cursor.token() {
            b"TCP" => Protocol::Tcp,
            b"UDP" => Protocol::Udp,
            b"ICMP" | b"ICMPv6" => Protocol::Icmp,
            b"" => return None,
            name if name.iter().all(u8::is_ascii_alphanumeric) => Protocol::Other,
            _ => return None,
        };
        let direction = match cursor.token() {
            b"IN" => Direction::In,
            b"OUT" => Direction::Out,
            b"SVC" => Direction::Service,
            _ => return None,
        };
        let left = side(cursor.token())?;
        if cursor.token() != b"->" {
            return None;
        }
        let right = side(cursor.token())?;
        Some((Self { protocol, direction, left, right }, cursor.0))
    }
}

/// Walks over a line, token by token; tokens are parted by blanks.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// The next token; empty at the end of the line.
    #[inline]
    fn token(&mut self) -> &'a [u8] {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
        // Tokens are short: a plain loop beats a search.
        let end = self.0.iter().position(|byte| *byte == b' ').unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        token
    }

    fn skip_past(&mut self, byte: u8) {
        let end = memchr::memchr(byte, self.0).map_or(self.0.len(), |at| at + 1);
        self.0 = self.0.get(end..).unwrap_or_default();
    }
}

/// `key=value`, parted at the first `=`.
#[inline]
fn key_and_value(token: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, rest) = token.split_at_checked(memchr::memchr(b'=', token)?)?;
    Some((key, rest.get(1..)?))
}

#[cfg(test)]
mod tests;
