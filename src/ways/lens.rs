//! To which group of flows an entry belongs, seen from one node.

use std::net::IpAddr;
use std::sync::Arc;

use crate::base::net::{Prefix, is_private, mask};
use crate::cilium::conntrack::entry::{Direction, Entry, Protocol};
use crate::kubernetes::roles::{Role, Roles};
use crate::ways::group::Group;

/// What a pass looks for beside the groups.
#[derive(Clone, Debug)]
pub struct Lens {
    /// Whose each address is.
    pub roles: Arc<Roles>,
    /// The runbook's outside addresses.
    pub external: Vec<Prefix>,
    /// The pods that probed just before, by address.
    pub probe_sources: Vec<IpAddr>,
    /// The address they probed.
    pub probe_target: IpAddr,
    /// Flows whose last packet is older than this, in seconds before "now", are counted as expired, and of the others
    /// those without answer are named; none: all count, and none is named.
    pub most_age_s: Option<f64>,
}

#[cfg(test)]
impl Lens {
    /// One that knows these roles and looks for nothing else.
    pub(crate) fn of_roles(roles: Roles) -> Self {
        Self {
            roles: roles.into(),
            external: Vec::new(),
            probe_sources: Vec::new(),
            probe_target: [1, 1, 1, 1].into(),
            most_age_s: None,
        }
    }
}

/// To which group an entry belongs whose responder has the role `to`, which of its ends is the local endpoint, and which the far end: for flows across
/// nodes all of one node's pods are one far end, for flows to this node each port is one.
pub(super) fn place(entry: &Entry, to: Role, lens: &Lens) -> Option<(Group, IpAddr, IpAddr)> {
    if !matches!(entry.protocol, Protocol::Tcp | Protocol::Udp) {
        return None;
    }
    place_flow(entry, to, lens).filter(|(group, ..)| !is_one_way(entry, to, *group, lens))
}

/// Statistics, logs and gossip of pods go one way by UDP, and are never answered: they say nothing of the path between pods
/// and nodes.
fn is_one_way(entry: &Entry, to: Role, group: Group, lens: &Lens) -> bool {
    let between_pods = matches!(
        group,
        Group::PodToLocalPod
            | Group::PodToRemotePod
            | Group::PodToOtherHost
            | Group::PodToGone
            | Group::LocalToPod
            | Group::RemoteToPod
    );
    between_pods && entry.protocol == Protocol::Udp && entry.answered() == 0 && !is_dns(entry, to, lens)
}

fn place_flow(entry: &Entry, to: Role, lens: &Lens) -> Option<(Group, IpAddr, IpAddr)> {
    let (initiator, responder) = (entry.initiator.ip, entry.responder.ip);
    let from = lens.roles.of(initiator);
    // The node's own address on the pod network belongs to no pod, and carries an identity of the host (below 256).
    let from_host = from == Role::ThisHost || (matches!(from, Role::LocalGone) && entry.identity < 256);
    match entry.direction {
        Direction::Service => None,
        Direction::In => {
            if !matches!(to, Role::LocalPod | Role::NodeLocalDnsPod) {
                return None;
            }
            let group = match from {
                _ if entry.identity == 1 || from_host => Group::HostToPod,
                Role::LocalPod | Role::NodeLocalDnsPod | Role::LocalGone => Group::LocalToPod,
                Role::RemotePod | Role::RemoteGone | Role::UnlistedPod | Role::OtherHost => Group::RemoteToPod,
                Role::World if is_stray_answer(entry) => Group::StrayAnswers,
                Role::World => Group::WorldToPod,
                _ => return None,
            };
            let far = if group == Group::RemoteToPod { node_of(initiator, lens) } else { initiator };
            Some((group, responder, far))
        }
        Direction::Out if from_host => {
            let group = match to {
                Role::World if is_private(responder) => Group::HostToCluster,
                Role::World => Group::HostToWorld,
                Role::LocalPod | Role::RemotePod | Role::UnlistedPod | Role::Service if is_dns(entry, to, lens) => {
                    Group::DnsUpstream
                }
                Role::OtherHost | Role::RemotePod | Role::UnlistedPod => Group::HostToCluster,
                _ => return None,
            };
            Some((group, initiator, responder))
        }
        Direction::Out => {
            let group = match from {
                Role::NodeLocalDnsPod if entry.responder.port == 53 => Group::DnsUpstream,
                Role::LocalPod | Role::NodeLocalDnsPod => from_pod(entry, to, lens)?,
                _ => return None,
            };
            let far = match group {
                Group::PodToRemotePod | Group::PodToOtherHost | Group::PodToGone => node_of(responder, lens),
                Group::PodToHost => port_of(entry),
                _ => responder,
            };
            Some((group, initiator, far))
        }
    }
}

/// The group of a flow that a pod began.
fn from_pod(entry: &Entry, to: Role, lens: &Lens) -> Option<Group> {
    let dns = is_dns(entry, to, lens);
    let udp = entry.protocol == Protocol::Udp;
    Some(match to {
        Role::NodeLocalDns if dns => Group::NodeLocalDns,
        // Behind a local redirect the port may be another than 53; metrics are asked by TCP.
        Role::NodeLocalDnsPod if dns || udp => Group::NodeLocalDns,
        Role::ThisHost | Role::Nowhere if dns => Group::LinkLocalDns,
        // Statistics and traces go one way by UDP, and are never answered: they say nothing of the path.
        Role::NodeLocalDns | Role::ThisHost if udp => return None,
        Role::NodeLocalDns | Role::ThisHost => Group::PodToHost,
        Role::OtherHost => Group::PodToOtherHost,
        Role::Service if dns => Group::ServiceDns,
        Role::LocalPod | Role::RemotePod if dns => Group::ClusterDns,
        Role::LocalPod | Role::NodeLocalDnsPod => Group::PodToLocalPod,
        Role::LocalGone | Role::RemoteGone | Role::UnlistedPod if dns => Group::GoneDns,
        Role::RemotePod | Role::UnlistedPod => Group::PodToRemotePod,
        Role::LocalGone | Role::RemoteGone => Group::PodToGone,
        Role::Service => Group::PodToService,
        Role::World if udp => Group::WorldUdp,
        Role::World => Group::WorldTcp,
        Role::Nowhere => return None,
    })
}

/// Whether this is a query for a name. The pods of cluster DNS may serve on another port than 53 (5353, 8053).
fn is_dns(entry: &Entry, to: Role, lens: &Lens) -> bool {
    entry.responder.port == 53
        || matches!(to, Role::LocalPod | Role::RemotePod)
            && lens.roles.dns_end(entry.responder.ip, entry.responder.port).is_some()
}

/// Whether the world answers something that the pod's own entry should have: from a server's port to a client's, with
/// nothing of the pod behind it.
const fn is_stray_answer(entry: &Entry) -> bool {
    /// Linux gives out client ports from here on.
    const FIRST_CLIENT_PORT: u16 = 32_768;
    entry.last_tx == 0 && entry.responder.port >= FIRST_CLIENT_PORT && entry.initiator.port < FIRST_CLIENT_PORT
}

/// One address for a node and all its pods: its number, or the pod range that the address most likely comes from.
fn node_of(address: IpAddr, lens: &Lens) -> IpAddr {
    match lens.roles.node_of(address) {
        Some(node) => std::net::Ipv4Addr::from_bits(node).into(),
        None => mask(address, if address.is_ipv4() { 24 } else { 112 }),
    }
}

/// One address for a port of this node.
fn port_of(entry: &Entry) -> IpAddr {
    std::net::Ipv4Addr::from_bits(u32::from(entry.responder.port)).into()
}

/// Whether this is one of the flows that the probes have just made.
pub(super) fn is_probe(entry: &Entry, lens: &Lens) -> bool {
    entry.direction == Direction::Out
        && entry.responder.ip == lens.probe_target
        && lens.probe_sources.contains(&entry.initiator.ip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::roles::Range;

    fn lens() -> Lens {
        let mut roles = Roles::new(true);
        roles.name_range("10.42.1.0/24".parse().unwrap(), Range::LocalPods);
        roles.name([10, 42, 1, 5].into(), Role::LocalPod);
        roles.name([10, 42, 2, 7].into(), Role::RemotePod);
        Lens::of_roles(roles)
    }

    /// The group of an entry with these reports of packets that came in and that went out.
    fn group(ends: &str, rx: u32, tx: u32) -> Option<Group> {
        let text = format!(
            "{ends} expires=9999 Packets=0 Bytes=0 RxFlagsSeen=0x00 LastRxReport={rx} TxFlagsSeen=0x00 LastTxReport={tx} \
             Flags=0x0000 [ ] RevNAT=0 SourceSecurityID=300 BackendID=0 "
        );
        let (lens, entry) = (lens(), Entry::parse(text.as_bytes()).unwrap());
        place(&entry, lens.roles.of(entry.responder.ip), &lens).map(|(group, ..)| group)
    }

    #[test]
    fn reports_that_no_pod_answers_say_nothing_of_the_path_between_pods() {
        let (out, come_in) = ("10.42.1.5:40000 -> 10.42.2.7:8125", "10.42.2.7:40000 -> 10.42.1.5:8125");
        assert_eq!(group(&format!("UDP OUT {out}"), 0, 9000), None);
        assert_eq!(group(&format!("UDP IN {come_in}"), 9000, 0), None);
        assert_eq!(group(&format!("UDP OUT {out}"), 8000, 9000), Some(Group::PodToRemotePod), "it was answered once");
        assert_eq!(group(&format!("UDP IN {come_in}"), 9000, 8000), Some(Group::RemoteToPod));
        assert_eq!(group(&format!("TCP OUT {out}"), 0, 9000), Some(Group::PodToRemotePod));
    }

    #[test]
    fn questions_of_dns_and_of_the_world_count_without_an_answer() {
        assert_eq!(group("UDP OUT 10.42.1.5:40000 -> 10.42.2.7:53", 0, 9000), Some(Group::ClusterDns));
        assert_eq!(group("UDP IN 10.42.2.7:40000 -> 10.42.1.5:53", 9000, 0), Some(Group::RemoteToPod));
        assert_eq!(group("UDP OUT 10.42.1.5:40000 -> 203.0.113.9:443", 0, 9000), Some(Group::WorldUdp));
    }
}
