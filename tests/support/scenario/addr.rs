//! The addresses of a scenario's cluster.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::model::{Family, LocalDns, Node};

/// A pod's address.
pub(crate) fn pod(v6: bool, node: u8, host: u8) -> IpAddr {
    if v6 {
        Ipv6Addr::new(0xfd42, 0, 0, u16::from(node), 0, 0, 0, u16::from(host)).into()
    } else {
        Ipv4Addr::new(10, 42, node, host).into()
    }
}

/// The range of a node's pods.
pub(crate) fn pod_range(v6: bool, node: u8) -> String {
    if v6 { format!("fd42:0:0:{node:x}::/64") } else { format!("10.42.{node}.0/24") }
}

/// A node's own address.
pub(crate) fn node(v6: bool, number: u8) -> IpAddr {
    if v6 {
        Ipv6Addr::new(0xfd10, 0, 0, 0, 0, 0, 0, 20 + u16::from(number)).into()
    } else {
        Ipv4Addr::new(192, 168, 10, 20 + number).into()
    }
}

/// The API server's own address.
pub(crate) fn api_server(v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::new(0xfd10, 0, 0, 0, 0, 0, 0, 5).into() } else { Ipv4Addr::new(192, 168, 10, 5).into() }
}

/// The resolver of the site.
pub(crate) fn site_resolver(v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::new(0xfd10, 0, 0, 0, 0, 0, 0, 1).into() } else { Ipv4Addr::new(192, 168, 10, 1).into() }
}

/// A service's address.
pub(crate) fn service(v6: bool, host: u8) -> IpAddr {
    if v6 {
        Ipv6Addr::new(0xfd43, 0, 0, 0, 0, 0, 0, u16::from(host)).into()
    } else {
        Ipv4Addr::new(10, 43, 0, host).into()
    }
}

/// Addresses of the world: the runbook's, and others.
pub(crate) fn world(v6: bool) -> (&'static [IpAddr], &'static [IpAddr]) {
    const LISTED: [IpAddr; 3] = [
        IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)),
        IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)),
        IpAddr::V4(Ipv4Addr::new(185, 12, 64, 2)),
    ];
    const OTHERS: [IpAddr; 4] = [
        IpAddr::V4(Ipv4Addr::new(140, 82, 121, 4)),
        IpAddr::V4(Ipv4Addr::new(151, 101, 65, 140)),
        IpAddr::V4(Ipv4Addr::new(104, 18, 32, 47)),
        IpAddr::V4(Ipv4Addr::new(34, 149, 100, 209)),
    ];
    const V6: [IpAddr; 3] = [
        IpAddr::V6(Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888)),
        IpAddr::V6(Ipv6Addr::new(0x2a04, 0x4e42, 0, 0, 0, 0, 0, 0x485)),
    ];
    if v6 { (&V6, &V6) } else { (&LISTED, &OTHERS) }
}

/// The outside address that is asked for by number.
pub(crate) fn outside(v6: bool) -> IpAddr {
    world(v6).0[0]
}

/// The node-local DNS address.
pub(crate) fn local_dns(kind: LocalDns, v6: bool) -> IpAddr {
    if v6 {
        return Ipv6Addr::new(0xfd00, 0x25, 0, 0, 0, 0, 0, 0x10).into();
    }
    match kind {
        LocalDns::Upstream => Ipv4Addr::new(169, 254, 20, 10).into(),
        _ => Ipv4Addr::new(169, 254, 25, 10).into(),
    }
}

/// An address that begins as the node-local DNS address does.
pub(crate) fn near_local_dns(v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::new(0xfd00, 0x25, 0, 0, 0, 0, 0, 0x105).into() } else { Ipv4Addr::new(169, 254, 25, 105).into() }
}

/// The last part of the address of the node-local DNS pod behind a redirect.
pub(crate) const REDIRECTED_HOST: u8 = 53;

impl Node {
    /// Whether DNS is asked over IPv6.
    pub(crate) fn v6(&self) -> bool {
        self.family == Family::V6
    }

    /// The address of the pod with this index.
    pub(crate) fn pod_ip(&self, index: usize) -> IpAddr {
        pod(self.v6(), self.number, self.pods[index].host)
    }

    /// The version that it runs.
    pub(crate) fn version(&self) -> &'static str {
        self.version.unwrap_or(self.release.version())
    }
}
