//! Replaces addresses: how long a prefix two of them share stays, and nothing else.
//!
//! Whose an address is follows from ranges (the node's pods, the cluster's pods, services, private networks), so the
//! replacement of an address shares with the replacement of another one exactly as many leading bits as the two
//! addresses do. Bit by bit, a bit is turned over or not by a keyed hash of the bits in front of it (Xu, Fan, Ammar,
//! Moon: "Prefix-preserving IP address anonymization", 2002). Ranges that mean something by themselves stay where they
//! are.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustc_hash::FxHashMap;

use crate::base::net::{Prefix, mask};

/// Ranges in which every address stays: loopback, link-local, multicast, reserved. They are the same everywhere.
const STAY: [&str; 6] = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "ff00::/8"];
/// Ranges that stay, with other addresses in them: private networks, shared ones, link-local and mapped IPv6.
const RANGES_STAY: [&str; 11] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "198.18.0.0/15",
    "fe80::/10",
    "fe80::/64",
    "fc00::/7",
    "fd00::/8",
    "::ffff:0:0/96",
    "64:ff9b::/96",
];
/// Ranges of IPv6 whose last 32 bits are an IPv4 address.
const EMBEDDED: [&str; 2] = ["::ffff:0:0/96", "64:ff9b::/96"];
/// The longest IPv6 address and its port, in bytes, and some more.
const LONGEST: usize = 64;
/// How many replacements are remembered; a large table names fewer addresses than that over and over.
const MOST_KNOWN: usize = 128 << 10;

/// The mapping, with a key of its own.
#[derive(Debug)]
pub(super) struct Addresses {
    key: RandomState,
    stay: Vec<Prefix>,
    ranges_stay: Vec<Prefix>,
    embedded: Vec<Prefix>,
    known: RefCell<FxHashMap<IpAddr, IpAddr>>,
}

impl Addresses {
    /// A mapping that no other one is like. The ranges of `kept` stay, those of a single address therefore as they are.
    pub(super) fn new(kept: &[Prefix]) -> Self {
        let parsed = |texts: &[&str]| texts.iter().filter_map(|text| text.parse().ok()).collect::<Vec<Prefix>>();
        let mut ranges_stay = parsed(&RANGES_STAY);
        ranges_stay.extend(kept);
        Self {
            key: RandomState::new(),
            stay: parsed(&STAY),
            ranges_stay,
            embedded: parsed(&EMBEDDED),
            known: RefCell::default(),
        }
    }

    /// What stands for an address.
    pub(super) fn replacement(&self, address: IpAddr) -> IpAddr {
        if self.stay.iter().any(|range| range.contains(address)) {
            return address;
        }
        if let Some(known) = self.known.borrow().get(&address) {
            return *known;
        }
        let found = match address {
            IpAddr::V6(v6) if self.embedded.iter().any(|range| range.contains(address)) => {
                let [.., a, b, c, d] = v6.octets();
                let IpAddr::V4(inner) = self.replacement(IpAddr::V4(Ipv4Addr::new(a, b, c, d))) else { return address };
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 32 << 32 | u128::from(inner.to_bits())))
            }
            _ => self.mapped(address),
        };
        let mut known = self.known.borrow_mut();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(address, found);
        found
    }

    fn mapped(&self, address: IpAddr) -> IpAddr {
        let (bits, length) = left_aligned(address);
        // On the way to a range that stays, no bit is turned: the range, and whatever branches off, begin as before.
        let on_the_way =
            self.stay.iter().chain(&self.ranges_stay).filter(|range| range.address().is_ipv4() == address.is_ipv4());
        let first = on_the_way.map(|range| {
            let (begin, _) = left_aligned(range.address());
            (shared(bits, begin) + 1).min(u32::from(range.length()))
        });
        let mut turned = bits;
        for at in first.max().unwrap_or(0)..length {
            let front = if at == 0 { 0 } else { bits >> (128 - at) };
            let turn = u128::from(self.key.hash_one((length, at, front)) & 1);
            turned ^= turn << (127 - at);
        }
        match address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(turned >> 96).unwrap_or_default())),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(turned)),
        }
    }

    /// The address, hardware address or unique id that begins at `at`, not inside a word: its length, and what
    /// stands for it. In a `table`, an IPv6 address without brackets has a port behind its last colon.
    pub(super) fn at(&self, text: &[u8], at: usize, table: bool) -> Option<(usize, String)> {
        if !(text[at].is_ascii_hexdigit() || text[at] == b':') {
            return None;
        }
        self.v4(text, at)
            .or_else(|| if table { None } else { self.dashed_v4(text, at).or_else(|| self.unique_id(text, at)) })
            .or_else(|| self.v6(text, at, table))
    }

    /// `10.42.1.7`, `10.42.1.0/24`, and the reversed form of zones, `7.1.42.10.in-addr.arpa`.
    fn v4(&self, text: &[u8], at: usize) -> Option<(usize, String)> {
        let (address, length) = quad(text, at, b'.')?;
        if at >= 2 && text[at - 1] == b'.' && text[at - 2].is_ascii_digit() {
            return None;
        }
        let rest = &text[at + length..];
        if matches!(rest, [b'.', digit, ..] if digit.is_ascii_digit()) {
            return None;
        }
        if rest.starts_with(b".in-addr.arpa") {
            let turned = |ip: Ipv4Addr| Ipv4Addr::from_bits(ip.to_bits().swap_bytes());
            let IpAddr::V4(other) = self.replacement(IpAddr::V4(turned(address))) else { return None };
            return Some((length, turned(other).to_string()));
        }
        Some((length, self.of_range(IpAddr::V4(address), rest).to_string()))
    }

    /// `10-42-1-7`, as names of nodes and of pods in DNS have it.
    fn dashed_v4(&self, text: &[u8], at: usize) -> Option<(usize, String)> {
        let (address, length) = quad(text, at, b'-')?;
        if at >= 2 && text[at - 1] == b'-' && text[at - 2].is_ascii_digit() {
            return None;
        }
        Some((length, self.replacement(IpAddr::V4(address)).to_string().replace('.', "-")))
    }

    /// An IPv6 address, or a hardware address, which looks alike.
    fn v6(&self, text: &[u8], at: usize, table: bool) -> Option<(usize, String)> {
        let long = |byte: &&u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        let run = &text[at..];
        let run = &run[..run.iter().take_while(long).take(LONGEST).count()];
        if memchr::memchr_iter(b':', run).count() < 2 {
            return None;
        }
        if text.get(at + run.len()).is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'_') {
            return None;
        }
        let mut run = std::str::from_utf8(run).ok()?;
        let bracketed = at > 0 && text[at - 1] == b'[';
        if table
            && !bracketed
            && let Some((address, _)) = run.rsplit_once(':')
            && let Ok(address6) = address.parse::<Ipv6Addr>()
        {
            return Some((address.len(), self.replacement(IpAddr::V6(address6)).to_string()));
        }
        // The sentence may continue after it.
        for _ in 0..3 {
            if let Ok(address) = run.parse::<Ipv6Addr>() {
                let rest = &text[at + run.len()..];
                return Some((run.len(), self.of_range(IpAddr::V6(address), rest).to_string()));
            }
            if is_hardware(run) {
                return Some((run.len(), self.hardware(run)));
            }
            match run.strip_suffix(['.', ':']) {
                Some(shorter) => run = shorter,
                None => break,
            }
        }
        // All eight groups, and a port.
        let (address, _) = run.rsplit_once(':')?;
        let parsed: Ipv6Addr = address.parse().ok()?;
        Some((address.len(), self.replacement(IpAddr::V6(parsed)).to_string()))
    }

    /// The replacement of an address, or of a range where a length follows and nothing but its length is there.
    fn of_range(&self, address: IpAddr, rest: &[u8]) -> IpAddr {
        let digits = rest
            .strip_prefix(b"/")
            .map_or(&[][..], |rest| &rest[..rest.iter().take_while(|byte| byte.is_ascii_digit()).count()]);
        let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u8>().ok());
        match length {
            Some(length) if mask(address, length) == address => mask(self.replacement(address), length),
            _ => self.replacement(address),
        }
    }

    fn hardware(&self, address: &str) -> String {
        let hash = self.key.hash_one(address.to_ascii_lowercase());
        let bytes = hash.to_le_bytes();
        // Of the range that is given out locally.
        bytes[..5].iter().fold("02".to_owned(), |text, byte| format!("{text}:{byte:02x}"))
    }

    /// `8a2fd5b4-0c3e-4b57-9d5c-2f6d0b7e9a11`.
    fn unique_id(&self, text: &[u8], at: usize) -> Option<(usize, String)> {
        const LENGTH: usize = 36;
        let id = text.get(at..at + LENGTH)?;
        let is_dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
        let fits = |(at, byte): (usize, &u8)| if is_dash(at) { *byte == b'-' } else { byte.is_ascii_hexdigit() };
        let ends = text.get(at + LENGTH).is_none_or(|next| !next.is_ascii_alphanumeric());
        if !ends || !id.iter().enumerate().all(fits) {
            return None;
        }
        let id = id.to_ascii_lowercase();
        let (high, low) = (self.key.hash_one((0_u8, &id)), self.key.hash_one((1_u8, &id)));
        let digits = format!("{high:016x}{low:016x}");
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        Some((LENGTH, parts.join("-")))
    }
}

/// The bits of an address from the left of 128, and how many there are.
fn left_aligned(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// How many leading bits are the same.
const fn shared(one: u128, other: u128) -> u32 {
    (one ^ other).leading_zeros()
}

/// Four numbers up to 255 with this byte between them, and nothing of a word behind them; and how long they are.
fn quad(text: &[u8], at: usize, between: u8) -> Option<(Ipv4Addr, usize)> {
    let mut octets = [0_u8; 4];
    let mut end = at;
    for (nth, octet) in octets.iter_mut().enumerate() {
        if nth > 0 {
            if text.get(end) != Some(&between) {
                return None;
            }
            end += 1;
        }
        let digits = text[end..].iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
        let number = &text[end..end + digits];
        if number.len() > 1 && number[0] == b'0' {
            return None;
        }
        *octet = std::str::from_utf8(number).ok()?.parse().ok()?;
        end += digits;
    }
    let ends = text.get(end).is_none_or(|next| !next.is_ascii_alphanumeric());
    ends.then_some((Ipv4Addr::from(octets), end - at))
}

/// `02:42:ac:11:00:02`.
fn is_hardware(text: &str) -> bool {
    let parts = || text.split(':');
    parts().count() == 6 && parts().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn common(one: IpAddr, other: IpAddr) -> u32 {
        shared(left_aligned(one).0, left_aligned(other).0)
    }

    /// Pairs that are near each other, as addresses of a cluster are.
    fn near(address: IpAddr, turn: u32, length: u32) -> IpAddr {
        let bits = left_aligned(address).0 ^ 1 << (127 - turn % length);
        match address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits >> 96).unwrap())),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        }
    }

    proptest! {
        #[test]
        fn what_is_shared_stays_shared(bits: u32, other: u32, turn: u32) {
            let map = Addresses::new(&["1.1.1.1".parse().unwrap(), "185.12.0.0/16".parse().unwrap()]);
            let one = IpAddr::V4(Ipv4Addr::from_bits(bits));
            for second in [near(one, turn, 32), IpAddr::V4(Ipv4Addr::from_bits(other))] {
                prop_assert_eq!(common(map.replacement(one), map.replacement(second)), common(one, second));
            }
        }

        #[test]
        fn what_is_shared_stays_shared_in_ipv6(bits: u128, turn: u32, site in 0_u128..3) {
            let map = Addresses::new(&[]);
            let front = [0xfd00_u128 << 112, 0xfe80_u128 << 112, 0x2a01_04f8_u128 << 96][usize::try_from(site).unwrap()];
            let one = IpAddr::V6(Ipv6Addr::from_bits(front | bits >> 32));
            let second = near(one, turn, 128);
            // What holds IPv4 addresses has a rule of its own.
            if ![one, second].iter().any(|ip| map.embedded.iter().any(|range| range.contains(*ip))) {
                prop_assert_eq!(common(map.replacement(one), map.replacement(second)), common(one, second));
            }
        }

        #[test]
        fn roles_stay(bits: u32) {
            let map = Addresses::new(&["185.12.0.0/16".parse().unwrap()]);
            let one = IpAddr::V4(Ipv4Addr::from_bits(bits));
            prop_assert_eq!(crate::base::net::is_private(map.replacement(one)), crate::base::net::is_private(one));
            for range in RANGES_STAY.iter().chain(&STAY).chain(&["185.12.0.0/16"]) {
                let range: Prefix = range.parse().unwrap();
                prop_assert_eq!(range.contains(map.replacement(one)), range.contains(one));
            }
        }

        #[test]
        fn any_text_is_taken(text: Vec<u8>) {
            let map = Addresses::new(&[]);
            for at in 0..text.len() {
                for table in [false, true] {
                    if let Some((length, _)) = map.at(&text, at, table) {
                        prop_assert!(length > 0 && at + length <= text.len());
                    }
                }
            }
        }
    }

    #[test]
    fn an_address_becomes_another_one_and_always_the_same() {
        // Of so many one may stay by chance.
        let map = Addresses::new(&[]);
        let all: Vec<IpAddr> = (0..=255).map(|n| IpAddr::V4(Ipv4Addr::new(10, 42, 7, n))).collect();
        let other: Vec<IpAddr> = all.iter().map(|ip| map.replacement(*ip)).collect();
        assert!(all.iter().zip(&other).filter(|(one, other)| one == other).count() < 128, "{other:?}");
        assert_eq!(all.iter().map(|ip| map.replacement(*ip)).collect::<Vec<_>>(), other);
        let second: Vec<IpAddr> = all.iter().map(|ip| Addresses::new(&[]).replacement(*ip)).collect();
        assert_ne!(second, other, "every bundle has a key of its own");
        let mut different = other.clone();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), 256);
    }

    #[test]
    fn what_is_the_same_everywhere_stays() {
        let map = Addresses::new(&["1.1.1.1".parse().unwrap(), "2606:4700:4700::1111".parse().unwrap()]);
        for same in ["169.254.25.10", "169.254.20.10", "0.0.0.0", "127.0.0.1", "255.255.255.255", "224.0.0.251"] {
            assert_eq!(map.replacement(ip(same)), ip(same));
        }
        for same in ["::", "::1", "ff02::1", "1.1.1.1", "2606:4700:4700::1111"] {
            assert_eq!(map.replacement(ip(same)), ip(same));
        }
        let mapped = map.replacement(ip("::ffff:10.42.1.7")).to_string();
        assert_eq!(mapped, format!("::ffff:{}", map.replacement(ip("10.42.1.7"))));
    }

    #[test]
    fn addresses_are_found_where_they_stand_and_nowhere_else() {
        let map = Addresses::new(&[]);
        let found = |text: &str, table: bool| {
            let text = text.as_bytes();
            let begins = |at: usize| at == 0 || !text[at - 1].is_ascii_alphanumeric();
            let mut at = 0;
            let mut found = Vec::new();
            while at < text.len() {
                match map.at(text, at, table).filter(|_| begins(at)) {
                    Some((length, _)) => {
                        found.push(String::from_utf8_lossy(&text[at..at + length]).into_owned());
                        at += length;
                    }
                    None => at += 1,
                }
            }
            found.join(" ")
        };
        for (text, right) in [
            ("dial tcp 10.42.1.7:8200: i/o timeout", "10.42.1.7"),
            ("read udp 10.42.3.90:41523->169.254.25.10:53: i/o", "10.42.3.90 169.254.25.10"),
            ("from 10.42.0.0/16, to fd00:3::/116.", "10.42.0.0 fd00:3::"),
            ("ask [fd00::a]:53, or fd00::b: it said", "fd00::a fd00::b"),
            ("node ip-10-0-1-23.eu.internal", "10-0-1-23"),
            ("at 2026-06-06T12:00:00.123Z, 12:00:00 of 1.19.4 and 1.2.3.4.5", ""),
            ("7.1.42.10.in-addr.arpa", "7.1.42.10"),
            ("cilium/v2::CiliumEndpoint std::string x::y", ""),
            (
                "mac 02:42:ac:11:00:02, id 8a2fd5b4-0c3e-4b57-9d5c-2f6d0b7e9a11.",
                "02:42:ac:11:00:02 8a2fd5b4-0c3e-4b57-9d5c-2f6d0b7e9a11",
            ),
            ("v10.42.1.7 a10.42.1.7 10.42.1.7x 256.1.1.1 10.42.1", ""),
        ] {
            assert_eq!(found(text, false), right, "{text}");
        }
        assert_eq!(found("UDP OUT fd00::1:53 -> [fd00::2]:53 expires=1", true), "fd00::1 fd00::2");
        assert_eq!(found("1:2:3:4:5:6:7:8:53", false), "1:2:3:4:5:6:7:8");
    }

    #[test]
    fn a_range_stays_one() {
        let map = Addresses::new(&[]);
        for text in ["10.42.0.0/16", "fd00:3::/116"] {
            let (length, other) = map.at(text.as_bytes(), 0, false).unwrap();
            let range: Prefix = format!("{other}{}", &text[length..]).parse().unwrap();
            assert_eq!(range.to_string(), format!("{other}{}", &text[length..]), "nothing behind the length");
            let inside = if text.contains(':') { "fd00:3::7" } else { "10.42.9.7" };
            assert!(range.contains(map.replacement(ip(inside))));
        }
    }
}
