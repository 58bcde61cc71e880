//! Address ranges.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::base::error::Error;

/// An address range, `185.12.0.0/16`; a single address is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(IpNet);

impl Prefix {
    /// Whether the address lies in the range. IPv4 and IPv6 never mix.
    #[must_use]
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        mask(address, self.length()) == self.address()
    }

    /// The range of this length that the address lies in. A length beyond the address's own means the address alone.
    #[must_use]
    pub fn around(address: IpAddr, length: u8) -> Self {
        Self(IpNet::new(address, length).unwrap_or_else(|_| IpNet::from(address)).trunc())
    }

    /// The first address of the range.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.0.addr()
    }

    /// How many leading bits are fixed.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.0.prefix_len()
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

/// The address with all bits behind `length` cleared. Asked for every line of a dump, so IPv4 goes a shorter way.
#[must_use]
#[inline]
pub fn mask(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) if length < 32 => {
            let kept = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            std::net::Ipv4Addr::from_bits(v4.to_bits() & kept).into()
        }
        address => Prefix::around(address, length).address(),
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
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let range = match text.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address)),
            Err(_) => text.parse::<IpNet>(),
        };
        let wrong = |_| Error::usage(format!("'{text}' is not an address or range: write 1.1.1.1 or 185.12.0.0/16"));
        Ok(Self(range.map_err(wrong)?.trunc()))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { write!(f, "{}", self.0.addr()) } else { self.0.fmt(f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_contains_its_addresses_and_no_others() {
        let range: Prefix = "185.12.0.0/16".parse().unwrap();
        assert!(range.contains("185.12.64.1".parse().unwrap()));
        assert!(!range.contains("185.13.0.1".parse().unwrap()));
        let one: Prefix = "1.1.1.1".parse().unwrap();
        assert!(one.contains("1.1.1.1".parse().unwrap()));
        assert!(!one.contains("1.1.1.10".parse().unwrap()), "a text search would take this for a match");
        let all: Prefix = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("9.9.9.9".parse().unwrap()));
        assert_eq!(mask("9.9.9.9".parse().unwrap(), 0).to_string(), "0.0.0.0");
        assert_eq!(mask("9.9.9.9".parse().unwrap(), 31).to_string(), "9.9.9.8");
        assert!(!all.contains("2606:4700::1".parse().unwrap()));
        assert_eq!(Prefix::around("10.1.2.3".parse().unwrap(), 8).to_string(), "10.0.0.0/8");
        assert_eq!(Prefix::around("10.1.2.3".parse().unwrap(), 128).to_string(), "10.1.2.3");
        assert_eq!("10.1.2.3/8".parse::<Prefix>().unwrap().address(), mask("10.9.9.9".parse().unwrap(), 8));
        assert!("1.1.1.1/33".parse::<Prefix>().is_err());
        assert!("1.1.1/8".parse::<Prefix>().is_err());
    }
}
