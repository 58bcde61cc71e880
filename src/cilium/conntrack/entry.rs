//! One line of a conntrack dump.
//!
//! The grammar is in section 1.3 of the format notes: protocol, direction, initiator, responder, then `key=value`
//! fields that came and went over the releases (1.12 to 1.20 and main). The tuple is read by position, fields by name.

use std::net::{IpAddr, Ipv4Addr};

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
    /// The numeric identity of the initiator: 1 host, 2 world, 6 remote node, workloads from 256 on.
    pub identity: u32,
}

/// TCP flag bits as the datapath stores them.
pub mod tcp {
    /// Synchronize.
    pub const SYN: u8 = 0x02;
    /// Acknowledge.
    pub const ACK: u8 = 0x10;
}

impl Entry {
    /// Reads one line. None where it is no usable entry: no tuple, or without the times that everything rests on.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
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
        let mut entry = Self {
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
            identity: 0,
        };
        if entry.usual_fields(cursor.0).is_none() {
            entry.fields(cursor)?;
        }
        Some(entry)
    }

    /// The fields in the order in which releases of the last years print them, by comparing and not by searching: three
    /// times as fast as [`Self::fields`]. None where a line has another order; nothing is changed then.
    fn usual_fields(&mut self, rest: &[u8]) -> Option<()> {
        let rest = rest.strip_prefix(b" expires=")?;
        let (expires, rest) = digits(rest)?;
        let (packets, rest) = if let Some(rest) = rest.strip_prefix(b" Packets=") {
            let (packets, rest) = digits(rest)?;
            let (_, rest) = digits(rest.strip_prefix(b" Bytes=")?)?;
            (Packets::Total(u64::from(packets)), rest)
        } else {
            (Packets::Absent, rest)
        };
        let (rx_flags, rest) = two_hex_digits(rest.strip_prefix(b" RxFlagsSeen=0x")?)?;
        let (last_rx, rest) = digits(rest.strip_prefix(b" LastRxReport=")?)?;
        let (tx_flags, rest) = two_hex_digits(rest.strip_prefix(b" TxFlagsSeen=0x")?)?;
        let (last_tx, rest) = digits(rest.strip_prefix(b" LastTxReport=")?)?;
        let rest = rest.strip_prefix(b" Flags=0x")?;
        let rest = &rest[memchr::memchr(b']', rest)?..];
        let (_, rest) = digits(rest.strip_prefix(b"] RevNAT=")?)?;
        let (identity, rest) = digits(rest.strip_prefix(b" SourceSecurityID=")?)?;
        if !matches!(rest.first(), None | Some(b' ')) {
            return None;
        }
        *self = Self { expires, last_rx, last_tx, rx_flags, tx_flags, packets, identity, ..*self };
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
                token => match memchr::memchr(b'=', token) {
                    Some(at) => (&token[..at], &token[at + 1..]),
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
                b"RxFlagsSeen" => self.rx_flags = hex_byte(value)?,
                b"TxFlagsSeen" => self.tx_flags = hex_byte(value)?,
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
        self.0 = &self.0[end..];
    }
}

/// `10.0.0.1:53`, `fd00::1:53` (IPv6 without brackets, port behind the last colon), or `[fd00::1]:53`.
#[inline]
fn side(token: &[u8]) -> Option<Side> {
    if let Some(side) = side_v4(token) {
        return Some(side);
    }
    let at = memchr::memrchr(b':', token)?;
    let address = &token[..at];
    let address = address.strip_prefix(b"[").and_then(|a| a.strip_suffix(b"]")).unwrap_or(address);
    let ip: IpAddr = std::str::from_utf8(address).ok()?.parse().ok()?;
    Some(Side { ip, port: u16::try_from(decimal(&token[at + 1..])?).ok()? })
}

/// The common case, in one go over the bytes.
#[inline]
fn side_v4(token: &[u8]) -> Option<Side> {
    let mut parts = [0_u32; 5];
    let mut part = 0;
    let mut digits = 0;
    for &byte in token {
        match byte {
            b'0'..=b'9' if digits < 5 => {
                parts[part] = parts[part] * 10 + u32::from(byte - b'0');
                digits += 1;
            }
            b'.' if part < 3 && digits > 0 => {
                part += 1;
                digits = 0;
            }
            b':' if part == 3 && digits > 0 => {
                part = 4;
                digits = 0;
            }
            _ => return None,
        }
    }
    if part != 4 || digits == 0 || parts[..4].iter().any(|p| *p > 255) {
        return None;
    }
    let ip = Ipv4Addr::from_bits(parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | parts[3]);
    Some(Side { ip: IpAddr::V4(ip), port: u16::try_from(parts[4]).ok()? })
}

/// A decimal number at the front that fits 32 bits, and what follows it.
#[inline]
fn digits(text: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0_u64;
    let mut length = 0;
    while let Some(digit) = text.get(length).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit <= 9) {
        value = value * 10 + u64::from(digit);
        length += 1;
        if length > 10 {
            return None;
        }
    }
    if length == 0 {
        return None;
    }
    Some((u32::try_from(value).ok()?, &text[length..]))
}

/// `1b` and what follows it.
#[inline]
fn two_hex_digits(text: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = text else {
        return None;
    };
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    Some((digit(*high)? << 4 | digit(*low)?, rest))
}

/// A decimal number that fits 32 bits, as the map's own fields do.
#[inline]
fn decimal(digits: &[u8]) -> Option<u32> {
    let mut value = 0_u64;
    if digits.is_empty() || digits.len() > 10 {
        return None;
    }
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    u32::try_from(value).ok()
}

/// A counter: what is too big for 32 bits is big, and that is all that is asked of it.
fn decimal_saturating(digits: &[u8]) -> Option<u32> {
    decimal(digits).or_else(|| (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then_some(u32::MAX))
}

fn signed(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `0x1b`; what is above a byte is cut off, for only TCP's eight flags are asked for.
#[inline]
fn hex_byte(value: &[u8]) -> Option<u8> {
    let [b'0', b'x', digits @ ..] = value else {
        return u8::try_from(decimal(value)?).ok();
    };
    if digits.is_empty() {
        return None;
    }
    let mut byte = 0_u8;
    for &digit in digits {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return None,
        };
        byte = byte << 4 | digit;
    }
    Some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Entry {
        Entry::parse(line.as_bytes()).unwrap_or_else(|| panic!("not read: {line}"))
    }

    fn at(address: &str, port: u16) -> Side {
        Side { ip: address.parse().unwrap(), port }
    }

    #[test]
    fn a_line_of_1_19() {
        let entry = parse(
            "UDP OUT 10.42.3.7:40112 -> 169.254.25.10:53 expires=700160 Packets=0 Bytes=0 RxFlagsSeen=0x00 \
             LastRxReport=700098 TxFlagsSeen=0x00 LastTxReport=700100 Flags=0x0000 [ ] RevNAT=0 \
             SourceSecurityID=40321 BackendID=0 NatPort=0 ",
        );
        assert_eq!(entry.protocol, Protocol::Udp);
        assert_eq!(entry.direction, Direction::Out);
        assert_eq!(entry.initiator, at("10.42.3.7", 40112));
        assert_eq!(entry.responder, at("169.254.25.10", 53));
        assert_eq!((entry.expires, entry.asked(), entry.answered()), (700_160, 700_100, 700_098));
        assert_eq!(entry.packets_zero(), Some(true), "accounting is off: this says nothing about answers");
        assert_eq!(entry.identity, 40321);
    }

    #[test]
    fn a_line_of_1_13_has_a_counter_a_direction() {
        let entry = parse(
            "TCP IN 10.0.0.9:51000 -> 10.0.1.4:8080 expires=9000 RxPackets=3 RxBytes=180 RxFlagsSeen=0x02 \
             LastRxReport=8990 TxPackets=5 TxBytes=300 TxFlagsSeen=0x12 LastTxReport=8991 Flags=0x0000 [ ] RevNAT=0 \
             SourceSecurityID=1 IfIndex=0 ",
        );
        assert_eq!(entry.packets, Packets::Split { rx: 3, tx: 5 });
        assert_eq!((entry.asked(), entry.answered()), (8990, 8991));
        assert_eq!((entry.rx_flags, entry.tx_flags), (tcp::SYN, tcp::SYN | tcp::ACK));
    }

    #[test]
    fn ipv6_has_no_brackets_and_the_port_behind_the_last_colon() {
        let entry = parse(
            "TCP OUT fd00:10:3::a1:40000 -> 2001:db8::24:443 expires=50 Packets=0 Bytes=0 RxFlagsSeen=0x1a \
             LastRxReport=40 TxFlagsSeen=0x1a LastTxReport=41 Flags=0x0010 [ SeenNonSyn ] RevNAT=0 \
             SourceSecurityID=300 BackendID=0",
        );
        assert_eq!(entry.initiator, at("fd00:10:3::a1", 40000));
        assert_eq!(entry.responder, at("2001:db8::24", 443));
    }

    #[test]
    fn an_old_service_line_is_turned_round() {
        let entry = parse(
            "TCP OUT 10.43.0.1:443 -> 10.0.1.4:59668 service expires=47 RxPackets=0 RxBytes=7 RxFlagsSeen=0x00 \
             LastRxReport=0 TxPackets=0 TxBytes=0 TxFlagsSeen=0x12 LastTxReport=45 Flags=0x0010 [ SeenNonSyn ] \
             RevNAT=5 SourceSecurityID=0 IfIndex=0",
        );
        assert_eq!(entry.direction, Direction::Service);
        assert_eq!(entry.initiator, at("10.0.1.4", 59668));
        assert_eq!(entry.responder, at("10.43.0.1", 443));
    }

    #[test]
    fn blanks_inside_fields_and_field_like_flag_names_are_no_trap() {
        let entry = parse(
            "UDP OUT 10.0.0.1:1024 -> 10.0.0.2:53 expires=170 (remaining: 12 sec(s)) RxPackets=1 RxBytes=2 \
             RxFlagsSeen=0x00 LastRxReport=9 TxPackets=3 TxBytes=4 TxFlagsSeen=0x00 LastTxReport=110 \
             Flags=0x8013 [ RxClosing TxClosing SeenNonSyn Unknown=0x8000 LastTxReport=7 ] RevNAT=0 \
             SourceSecurityID=77 IfIndex=0 ",
        );
        assert_eq!(entry.remaining, Some(12));
        assert_eq!(entry.last_tx, 110);
        let wild = parse(
            "TCP IN 169.254.42.1:5 -> 10.2.0.6:80 expires=16 (remaining: -4391264792 sec(s)) LastRxReport=1 \
             LastTxReport=2 Flags=0x0000 RevNAT=1 Slave=1 SourceSecurityID=9",
        );
        assert_eq!(wild.remaining, Some(-4_391_264_792));
        assert_eq!(wild.packets, Packets::Absent);
    }

    #[test]
    fn a_backend_id_may_be_garbage_and_a_counter_huge() {
        let entry = parse(
            "TCP OUT 10.0.0.1:1 -> 10.0.0.2:2 related expires=3 Packets=360309599644942336 Bytes=0 RxFlagsSeen=0x1b \
             LastRxReport=1 TxFlagsSeen=0x1b LastTxReport=1 Flags=0x0093 [ DSR ] RevNAT=0 SourceSecurityID=9 \
             BackendID=360309599644942336 NatPort=30587 ",
        );
        assert!(entry.related);
        assert_eq!(entry.packets_zero(), Some(false));
    }

    #[test]
    fn what_is_no_usable_entry_is_none() {
        for line in [
            "",
            " ",
            "Defaulted container \"cilium-agent\" out of: cilium-agent, config (init)",
            "Unable to open /sys/fs/bpf/tc/globals/cilium_ct4_global: no such file. Skipping.",
            "UDP OUT 10.0.0.1:1 -> 10.0.0.2:53",
            "UDP OUT 10.0.0.1:1 -> 10.0.0.2:53 expires=5 Packets=0 Bytes=0 RxFlagsSeen=0x00 LastRxReport=0",
            "UDP OUT 10.0.0.1:1 -> 10.0.0.2:53 expires=5 LastRxReport=0 LastTxReport=",
            "UDP OUT 10.0.0.1:1 -> 10.0.0.2:99999 expires=5 LastRxReport=0 LastTxReport=1",
            "UDP OUT 10.0.0.256:1 -> 10.0.0.2:53 expires=5 LastRxReport=0 LastTxReport=1",
            "UDP OUT 10.0.0.1:1 <- 10.0.0.2:53 expires=5 LastRxReport=0 LastTxReport=1",
        ] {
            assert_eq!(Entry::parse(line.as_bytes()), None, "{line}");
        }
    }
}
