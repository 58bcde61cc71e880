//! Address ranges.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address range, `185.12.0.0/16`; a single address is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// Whether the address lies in the range. IPv4 and IPv6 never mix.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address == mask(address, self.length) && self.address.is_ipv4() == address.is_ipv4()
    }

    /// The range of this length that the address lies in.
    #[must_use]
    pub fn around(address: IpAddr, length: u8) -> Self {
        let length = length.min(if address.is_ipv4() { 32 } else { 128 });
        Self { address: mask(address, length), length }
    }

    /// The first address of the range.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits are fixed.
    #[must_use]
    pub const fn length(&self) -> u8 {
        self.length
    }
}

/// The address families that a pod or a node has addresses of. Without any the addresses are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Families {
    /// Has an IPv4 address.
    pub v4: bool,
    /// Has an IPv6 address.
    pub v6: bool,
}

impl Families {
    /// Whether it is known to have an address of this address's family.
    #[must_use]
    pub const fn has_family_of(self, address: IpAddr) -> bool {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }
}

impl FromIterator<IpAddr> for Families {
    fn from_iter<T: IntoIterator<Item = IpAddr>>(addresses: T) -> Self {
        addresses.into_iter().fold(Self::default(), |families, address| Self {
            v4: families.v4 || address.is_ipv4(),
            v6: families.v6 || address.is_ipv6(),
        })
    }
}

/// The address with all bits behind `length` cleared.
#[must_use]
pub fn mask(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

/// Whether an address is of a private network: it may be anything of the site, but is not the outside.
#[must_use]
pub const fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || matches!(v4.octets(), [100, 64..=127, ..]),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no address or range; write 1.1.1.1 or 185.12.0.0/16");
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(length) => length.parse::<u8>().ok().filter(|l| *l <= most).ok_or_else(wrong)?,
            None => most,
        };
        Ok(Self::around(address, length))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = if self.address.is_ipv4() { 32 } else { 128 };
        if self.length == most { write!(f, "{}", self.address) } else { write!(f, "{}/{}", self.address, self.length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_addresses_and_no_others() {
        let range: Prefix = "185.12.0.0/16".parse().unwrap();
        assert!(range.contains("185.12.64.1".parse().unwrap()));
        assert!(!range.contains("185.13.0.1".parse().unwrap()));
        let one: Prefix = "1.1.1.1".parse().unwrap();
        assert!(one.contains("1.1.1.1".parse().unwrap()));
        assert!(!one.contains("1.1.1.10".parse().unwrap()), "a text search would take this for a match");
        let all: Prefix = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("9.9.9.9".parse().unwrap()));
        assert!(!all.contains("2606:4700::1".parse().unwrap()));
        assert!("1.1.1.1/33".parse::<Prefix>().is_err());
        assert!("1.1.1/8".parse::<Prefix>().is_err());
    }
}
