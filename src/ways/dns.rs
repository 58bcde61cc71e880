//! The DNS that pods really ask: found, not assumed.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::kubernetes::node_view::NodeView;
use crate::kubernetes::roles::Role;
use crate::ways::group::Group;
use crate::ways::life::{HANDFUL, Life, is_dead, life};
use crate::ways::picture::Picture;
use crate::ways::way::WayState;

/// By which way pods ask for names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnsPath {
    /// NodeLocal DNS, by its address or as a pod behind a local redirect.
    NodeLocal,
    /// Another resolver on a link-local address or an address of the host.
    LinkLocal,
    /// The cluster DNS service: its flows go to the pods behind it.
    ClusterIp,
    /// DNS pods that no known service names.
    Pod,
    /// Nothing tells.
    #[default]
    Unknown,
}

impl DnsPath {
    /// The groups of flows that take it.
    #[must_use]
    pub const fn groups(self) -> &'static [Group] {
        match self {
            Self::NodeLocal => &[Group::NodeLocalDns],
            Self::LinkLocal => &[Group::LinkLocalDns],
            Self::ClusterIp | Self::Pod => &[Group::ClusterDns, Group::ServiceDns],
            Self::Unknown => &[],
        }
    }

    /// The resolver in words.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NodeLocal => "node-local DNS",
            Self::LinkLocal => "the local resolver",
            Self::ClusterIp => "cluster DNS",
            Self::Pod => "the DNS pods",
            Self::Unknown => "DNS",
        }
    }

    /// Whether its packets end on the node itself.
    #[must_use]
    pub const fn ends_here(self) -> bool {
        matches!(self, Self::NodeLocal | Self::LinkLocal)
    }
}

/// What pods ask, and how it does.
#[derive(Clone, Debug)]
pub struct Dns {
    /// By which way most of them ask.
    pub path: DnsPath,
    /// Which addresses they ask, the most asked first.
    pub addresses: Vec<IpAddr>,
    /// How it was found.
    pub found_by: &'static str,
    /// How that way does.
    pub state: WayState,
    /// The result.
    pub life: DnsLife,
}

/// How DNS does, by the dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsLife {
    /// Ten flows or more, hardly any of them answered, from more than one pod.
    Dead,
    /// The same, but all from one pod.
    DeadForOne,
    /// Enough flows, mostly answered.
    Alive,
    /// Enough flows, neither.
    Mixed,
    /// Fewer than ten, and none of them answered.
    FewDead,
    /// Fewer than ten.
    Few,
    /// No dump.
    Unknown,
}

impl Dns {
    /// Without a dump only the set-up can tell which resolver pods ask.
    #[must_use]
    pub fn by_set_up(around: &NodeView, server: Option<IpAddr>) -> Self {
        let (path, found_by) = server
            .and_then(|server| Some((path_of(around, server)?, "the resolver that a probe printed")))
            .or_else(|| by_objects(around))
            .unwrap_or((DnsPath::Unknown, "nothing"));
        let addresses = known_addresses(around, path, server);
        Self { path, addresses, found_by, state: WayState::UNSEEN, life: DnsLife::Unknown }
    }

    /// What most pods ask, by the dump; where it shows too little, by the resolver that a probe printed (`server`), then
    /// by the cluster's objects.
    #[must_use]
    pub fn find(picture: &Picture, around: &NodeView, server: Option<IpAddr>) -> Self {
        let live = |path: DnsPath| picture.sum(path.groups()).live();
        let paths = [DnsPath::NodeLocal, DnsPath::LinkLocal, DnsPath::ClusterIp];
        let most = paths.into_iter().max_by_key(|path| (live(*path), std::cmp::Reverse(*path as u8)));
        let by_dump =
            most.filter(|path| live(*path) > 0).map(|path| (path, "the conntrack entries of this node's pods"));
        let many = by_dump.filter(|(path, _)| live(*path) >= HANDFUL);
        let by_probe =
            || server.and_then(|server| Some((path_of(around, server)?, "the resolver that a probe printed")));
        let (path, found_by) =
            many.or_else(by_probe).or(by_dump).or_else(|| by_objects(around)).unwrap_or((DnsPath::Unknown, "nothing"));
        let path = match path {
            DnsPath::ClusterIp if around.cluster_dns.is_err() => DnsPath::Pod,
            path => path,
        };
        let mut asked: Vec<(u32, IpAddr)> = picture
            .resolvers
            .iter()
            .filter(|resolver| path.groups().contains(&resolver.group))
            .map(|resolver| (resolver.answered + resolver.dead, resolver.address))
            .collect();
        asked.sort_by_key(|(flows, address)| (std::cmp::Reverse(*flows), *address));
        let mut addresses: Vec<IpAddr> = asked.into_iter().map(|(_, address)| address).collect();
        for known in known_addresses(around, path, server) {
            if !addresses.contains(&known) {
                addresses.push(known);
            }
        }
        let state = WayState::of_groups(picture, path.groups(), HANDFUL);
        Self { path, addresses, found_by, life: dns_life(&state), state }
    }
}

/// How DNS does by these flows.
fn dns_life(state: &WayState) -> DnsLife {
    let counts = &state.counts;
    if is_dead(counts) {
        return if state.pods_dead >= 2 { DnsLife::Dead } else { DnsLife::DeadForOne };
    }
    match life(counts, HANDFUL) {
        Life::Alive if counts.dead() * 5 <= counts.decided() => DnsLife::Alive,
        Life::Unseen if counts.dead() > 0 && counts.answered == 0 => DnsLife::FewDead,
        Life::Unseen => DnsLife::Few,
        _ => DnsLife::Mixed,
    }
}

/// By which way this resolver is asked; none where its address says nothing.
fn path_of(around: &NodeView, server: IpAddr) -> Option<DnsPath> {
    if around.node_local_dns.addresses.contains(&server) && around.node_local_dns.deployed {
        return Some(DnsPath::NodeLocal);
    }
    let is_cluster_dns = around.cluster_dns.as_ref().is_ok_and(|dns| dns.addresses.contains(&server));
    match around.roles.of(server) {
        _ if is_cluster_dns => Some(DnsPath::ClusterIp),
        Role::NodeLocalDns | Role::NodeLocalDnsPod => Some(DnsPath::NodeLocal),
        Role::ThisHost | Role::Nowhere => Some(DnsPath::LinkLocal),
        Role::Service | Role::LocalPod | Role::RemotePod => Some(DnsPath::ClusterIp),
        _ => None,
    }
}

fn by_objects(around: &NodeView) -> Option<(DnsPath, &'static str)> {
    if around.node_local_dns.deployed {
        return Some((DnsPath::NodeLocal, "the NodeLocal DNS pods"));
    }
    around.cluster_dns.as_ref().is_ok().then_some((DnsPath::ClusterIp, "the cluster DNS service"))
}

fn known_addresses(around: &NodeView, path: DnsPath, server: Option<IpAddr>) -> Vec<IpAddr> {
    match path {
        DnsPath::NodeLocal => around.node_local_dns.addresses.clone(),
        DnsPath::LinkLocal => server.into_iter().collect(),
        DnsPath::ClusterIp | DnsPath::Pod => {
            around.cluster_dns.as_ref().map_or_else(|_| Vec::new(), |dns| dns.addresses.clone())
        }
        DnsPath::Unknown => Vec::new(),
    }
}
