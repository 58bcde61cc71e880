//! `10.0.0.1:53` and its forms into an address and a port.

use std::net::{IpAddr, Ipv4Addr};

use super::Side;
use super::numbers::{decimal, digits, no_digits, octet_of, one_bit_a_byte};

/// `10.0.0.1:53`, `fd00::1:53` (IPv6 without brackets, port behind the last colon), or `[fd00::1]:53`.
#[inline]
pub(super) fn side(token: &[u8]) -> Option<Side> {
    if let Some(side) = side_v4(token) {
        return Some(side);
    }
    let at = memchr::memrchr(b':', token)?;
    let (address, port) = token.split_at_checked(at)?;
    let address = address.strip_prefix(b"[").and_then(|a| a.strip_suffix(b"]")).unwrap_or(address);
    let ip: IpAddr = std::str::from_utf8(address).ok()?.parse().ok()?;
    // An IPv4 address in IPv6's clothes is the same host's.
    Some(Side { ip: ip.to_canonical(), port: u16::try_from(decimal(port.get(1..)?)?).ok()? })
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
                let number = parts.get_mut(part)?;
                *number = *number * 10 + u32::from(byte - b'0');
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
    let [a, b, c, d, last] = parts;
    if part != 4 || digits == 0 || a > 255 || b > 255 || c > 255 || d > 255 {
        return None;
    }
    let ip = Ipv4Addr::from_bits(a << 24 | b << 16 | c << 8 | d);
    Some(Side { ip: IpAddr::V4(ip), port: u16::try_from(last).ok()? })
}

/// `10.0.0.1:53` at the front, each part with as many digits as it needs at the most, and what follows it.
#[inline]
pub(super) fn usual_side(text: &[u8]) -> Option<(Side, &[u8])> {
    // The longest address and its colon fill sixteen bytes, and a shorter one is followed by more than that.
    let (low, high) = text.first_chunk::<16>()?.split_at(8);
    let low = no_digits(u64::from_le_bytes(*low.first_chunk()?));
    let high = no_digits(u64::from_le_bytes(*high.first_chunk()?));
    // One bit for each byte that is no digit: the first four have to be three dots and a colon.
    let mut marks = one_bit_a_byte(low) | one_bit_a_byte(high) << 8;
    let mut start = 0;
    let mut octets = [0_u8; 4];
    for (octet, mark) in octets.iter_mut().zip(*b"...:") {
        let end = marks.trailing_zeros() as usize;
        marks &= marks.wrapping_sub(1);
        if text.get(end) != Some(&mark) {
            return None;
        }
        let four = text.get(start..)?.first_chunk()?;
        *octet = octet_of(u32::from_le_bytes(*four), end - start)?;
        start = end + 1;
    }
    let (port, rest) = digits(text.get(start..)?)?;
    Some((Side { ip: IpAddr::V4(octets.into()), port: u16::try_from(port).ok()? }, rest))
}
