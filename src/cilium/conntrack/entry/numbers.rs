//! Numbers at the front of bytes, several digits at once: half of a pass over a dump goes into them.

/// What follows these bytes. As an array of known length they are compared as a few words.
#[inline]
pub(super) fn after<'a, const N: usize>(text: &'a [u8], front: &[u8; N]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_first_chunk::<N>()?;
    (head == front).then_some(rest)
}

/// The first one to three of four digits (the first is the lowest byte), up to 255.
#[inline]
pub(super) fn octet_of(four: u32, length: usize) -> Option<u8> {
    if !matches!(length, 1..=3) {
        return None;
    }
    let digits = (four ^ 0x3030_3030) << (32 - 8 * length);
    let value = (digits >> 8 & 0xff) * 100 + (digits >> 16 & 0xff) * 10 + (digits >> 24);
    u8::try_from(value).ok()
}

/// The highest bit of each of eight bytes, gathered into eight bits.
#[inline]
pub(super) const fn one_bit_a_byte(highest: u64) -> u64 {
    (highest >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// A decimal number at the front that fits 32 bits, and what follows it.
#[inline]
pub(super) fn digits(text: &[u8]) -> Option<(u32, &[u8])> {
    if let Some(word) = text.first_chunk() {
        let (value, length) = digits_of_word(u64::from_le_bytes(*word));
        if matches!(length, 1..=7) {
            return Some((value, text.get(length..)?));
        }
    }
    // Near the end of a line, or long.
    let length = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(length);
    Some((decimal(number)?, rest))
}

/// The same byte eight times.
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The highest bit of each of eight bytes that is no digit.
#[inline]
pub(super) const fn no_digits(word: u64) -> u64 {
    // Digits become 0 to 9; adding 0x76 carries what is above 9 into the highest bit.
    let values = word ^ each(b'0');
    (((values & each(0x7f)) + each(0x76)) | values) & each(0x80)
}

/// The digits at the front of eight bytes (the first byte is the lowest), as a number, and how many there are. All
/// eight are worked on at once: half of a pass goes into reading numbers, whose lengths no processor can guess.
#[inline]
fn digits_of_word(word: u64) -> (u32, usize) {
    let length = no_digits(word).trailing_zeros() / 8;
    // Zeros in front, so that there are eight digits; then neighbours are joined: to pairs, to fours, to one number.
    let eight = (word ^ each(b'0')).checked_shl(64 - 8 * length).unwrap_or(0);
    let pairs = eight.wrapping_mul(10 * 256 + 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100 * 65_536 + 1) >> 16 & 0x0000_ffff_0000_ffff;
    let value = fours.wrapping_mul(10_000 * 4_294_967_296 + 1) >> 32;
    (value as u32, length as usize)
}

/// `1b` and what follows it.
#[inline]
pub(super) fn two_hex_digits(text: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = text else {
        return None;
    };
    Some((hex_digit(*high)? << 4 | hex_digit(*low)?, rest))
}

/// `0013` and the blank and all else that follows it.
#[inline]
pub(super) fn four_hex_digits(text: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<4>()?;
    if rest.first() != Some(&b' ') {
        return None;
    }
    // Most entries have none.
    if digits == b"0000" {
        return Some((0, rest));
    }
    let number = digits.iter().try_fold(0_u16, |number, digit| Some(number << 4 | u16::from(hex_digit(*digit)?)))?;
    Some((number, rest))
}

#[inline]
const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// A decimal number that fits 32 bits, as the map's own fields do.
#[inline]
pub(super) fn decimal(digits: &[u8]) -> Option<u32> {
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
pub(super) fn decimal_saturating(digits: &[u8]) -> Option<u32> {
    decimal(digits).or_else(|| (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then_some(u32::MAX))
}

pub(super) fn signed(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `0x1b`; what is above 16 bits is cut off: no field has more of them.
#[inline]
pub(super) fn hex(value: &[u8]) -> Option<u16> {
    let [b'0', b'x', digits @ ..] = value else {
        return u16::try_from(decimal(value)?).ok();
    };
    if digits.is_empty() {
        return None;
    }
    let mut number = 0_u16;
    for &digit in digits {
        number = number << 4 | u16::from(hex_digit(digit.to_ascii_lowercase())?);
    }
    Some(number)
}
