//! `host-firewall-drops`: a rule of the host's own firewall refuses packets between the host and its pods.

use std::net::IpAddr;

use crate::base::evidence::Evidence;
use crate::cilium::firewall::{Decision, Firewall, Hook, Packet, Refuser};
use crate::knowledge::code::Code;
use crate::kubernetes::objects::Node;
use crate::rules::beyond::Supplement;
use crate::rules::case::Case;
use crate::rules::lookalikes::not_looked;
use crate::rules::opinion::{Exclusion, Opinion};
use crate::rules::verdict::{Because, Cause, Confidence, Says};
use crate::rules::witnesses::probes_time_out;
use crate::ways::dns::DnsLife;
use crate::ways::life::Life;
use crate::ways::way::Way;

/// The most pods whose packets are held against the rules.
const MOST_PODS: usize = 16;
/// Where DNS is asked.
const DNS_PORT: u16 = 53;

/// A way that is dead and passes the host's firewall.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DeadPath {
    HostToPod,
    PodToHost,
    /// To the resolver on the host.
    DnsQuery,
    /// From the resolver on the host.
    DnsAnswer,
}

impl DeadPath {
    const fn named(self) -> &'static str {
        match self {
            Self::HostToPod => "the host to its pods",
            Self::PodToHost => "pods to the host",
            Self::DnsQuery => "DNS queries of pods to this node's resolver",
            Self::DnsAnswer => "DNS answers of this node's resolver to its pods",
        }
    }
}

/// `host-firewall-drops`.
pub(super) fn drops(case: &Case) -> Exclusion {
    let paths = dead_paths(case);
    if paths.is_empty() {
        return Exclusion::NotApplicable;
    }
    let needed = needed(case);
    if let Supplement::NotLooked(why) = needed.rules(case) {
        return not_looked(needed.evidence(), &why.message);
    }
    let mut unsure = None;
    for path in &paths {
        for (tool, packet) in packets(case, *path) {
            let Some(firewall) = tool.rules(case).seen() else { continue };
            match firewall.decide(&packet) {
                Some(Decision::Refused(refuser)) if !is_of_the_cluster(&refuser) => {
                    return Exclusion::applies(opinion(case, *path, tool, &refuser));
                }
                Some(Decision::Unsure(refusers)) => {
                    unsure = unsure.or_else(|| refusers.first().map(|refuser| (tool, shown(refuser))));
                }
                Some(_) => {}
                None => {
                    let settle = format!("{}-save on the node", tool.name());
                    return Exclusion::open("the host's rules were not read whole", settle);
                }
            }
        }
    }
    let seen =
        || [Tool::Iptables, Tool::Ip6tables].into_iter().filter_map(|tool| Some((tool, tool.rules(case).seen()?)));
    if let Some((tool, rule)) = unsure {
        let says = format!("a rule of the host's firewall may drop them, on conditions that are not seen: {rule}");
        return Exclusion::open(says, format!("{} -L -v on the node: its counters", tool.name()));
    }
    if let Some((tool, _)) = seen().find(|(_, firewall)| firewall.has_hidden_rules) {
        let name = tool.name();
        let says = format!("the node has rules that {name}-save does not show");
        return Exclusion::open(says, format!("{name}-legacy-save on the node"));
    }
    let rules: usize = seen().map(|(_, firewall)| firewall.rules.len()).sum();
    let says = format!("none of the {rules} rules of the host's firewall drops packets between the host and its pods");
    Exclusion::out(says, [("rules", rules.into())])
}

/// Why the rules of the host's firewall that packets of pods pass are not known, and the evidence that would tell; none
/// where they were read.
#[must_use]
pub fn unread(case: &Case) -> Option<(Evidence, String)> {
    let evidence = needed(case).evidence();
    needed(case).rules(case).missing().map(|_| (evidence, format!("the rules were not read ({evidence})")))
}

/// The program whose rules a packet passes: one for each of the two families of addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tool {
    Iptables,
    Ip6tables,
}

impl Tool {
    const fn of_address(address: &IpAddr) -> Self {
        if address.is_ipv4() { Self::Iptables } else { Self::Ip6tables }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Iptables => "iptables",
            Self::Ip6tables => "ip6tables",
        }
    }

    const fn evidence(self) -> Evidence {
        match self {
            Self::Iptables => Evidence::HostFirewall,
            Self::Ip6tables => Evidence::HostFirewallV6,
        }
    }

    const fn rules(self, case: &Case) -> &Supplement<Firewall> {
        match self {
            Self::Iptables => &case.beyond.firewall,
            Self::Ip6tables => &case.beyond.firewall_v6,
        }
    }
}

/// Whose rules must be known: those for IPv6 where the pods of this node have IPv6 addresses only.
fn needed(case: &Case) -> Tool {
    let names = &case.around.names;
    if !names.is_empty() && names.keys().all(IpAddr::is_ipv6) { Tool::Ip6tables } else { Tool::Iptables }
}

/// The ways that are dead and that a rule of the host could have killed.
fn dead_paths(case: &Case) -> Vec<DeadPath> {
    let dead = |way: Way| case.way(way).life == Life::Dead;
    let mut paths = Vec::new();
    if dead(Way::HostToPod) || probes_time_out(case).is_some() {
        paths.push(DeadPath::HostToPod);
    }
    if dead(Way::PodToHost) {
        paths.push(DeadPath::PodToHost);
    }
    let dns_dead = matches!(case.dns.life, DnsLife::Dead | DnsLife::FewDead);
    if case.dns.path.ends_here() && dns_dead {
        paths.extend([DeadPath::DnsAnswer, DeadPath::DnsQuery]);
    }
    paths
}

/// The first packets of such connections, by each device that they may pass, with whose rules they meet.
fn packets(case: &Case, path: DeadPath) -> Vec<(Tool, Packet<'_>)> {
    let pods = case.around.names.iter().take(MOST_PODS);
    let router = |pod: &IpAddr| {
        let status = case.beyond.status.seen();
        status.and_then(|s| s.router.iter().find(|ip| ip.is_ipv4() == pod.is_ipv4()).copied())
    };
    let node = |pod: &IpAddr| case.around.found.iter().flat_map(Node::ips).find(|ip| ip.is_ipv4() == pod.is_ipv4());
    let resolver =
        |pod: &IpAddr| case.around.node_local_dns.addresses.iter().find(|ip| ip.is_ipv4() == pod.is_ipv4()).copied();
    let mut packets = Vec::new();
    for (pod, name) in pods {
        let device =
            case.beyond.endpoints.seen().and_then(|list| list.of_pod(name)).and_then(|e| e.interface.as_deref());
        // With a route for each pod it is the pod's own device, else cilium_host.
        let devices = std::iter::once("cilium_host").chain(device);
        for device in devices {
            let (hook, other, protocol) = match path {
                DeadPath::HostToPod => (Hook::Output, router(pod), "tcp"),
                DeadPath::PodToHost => (Hook::Input, node(pod), "tcp"),
                DeadPath::DnsQuery => (Hook::Input, resolver(pod), "udp"),
                DeadPath::DnsAnswer => (Hook::Output, resolver(pod), "udp"),
            };
            let leaves = hook == Hook::Output;
            let packet = Packet {
                hook,
                input: (!leaves).then_some(device),
                output: leaves.then_some(device),
                source: if leaves { other } else { Some(*pod) },
                destination: if leaves { Some(*pod) } else { other },
                protocol: Some(protocol),
                source_port: (path == DeadPath::DnsAnswer).then_some(DNS_PORT),
                destination_port: (path == DeadPath::DnsQuery).then_some(DNS_PORT),
            };
            packets.push((Tool::of_address(pod), packet));
        }
    }
    packets
}

fn is_of_the_cluster(refuser: &Refuser<'_>) -> bool {
    matches!(refuser, Refuser::Rule(rule) if rule.is_of_the_cluster())
}

/// The rule as it is printed, or the chain that lets through only what its rules name.
fn shown(refuser: &Refuser<'_>) -> String {
    match refuser {
        Refuser::Rule(rule) => format!("{} (table {})", rule.text, rule.table),
        Refuser::Policy { table, chain } => format!("-P {chain} DROP (table {table})"),
    }
}

fn opinion(case: &Case, path: DeadPath, tool: Tool, refuser: &Refuser<'_>) -> Opinion {
    let rule = shown(refuser);
    let summary = format!("The host's own firewall drops packets from {}: {rule}.", path.named());
    let says = Says::new(format!("this rule is not Cilium's and fits: {rule}"), [("rule", rule.clone().into())]);
    let mut opinion = Opinion::new(Code::HostFirewallDrops, Confidence::High, summary)
        .because(Because::said(tool.evidence().name(), says));
    opinion = match path {
        DeadPath::HostToPod => {
            let by_flows = case.way_says(Way::HostToPod).filter(|_| case.way(Way::HostToPod).life == Life::Dead);
            match by_flows {
                Some(says) => opinion.and("ct-list", Some(says)),
                None => opinion.and("events", probes_time_out(case)),
            }
        }
        DeadPath::PodToHost => opinion.and("ct-list", case.way_says(Way::PodToHost)),
        DeadPath::DnsQuery | DeadPath::DnsAnswer => opinion.and("ct-list", case.dns_says()),
    };
    let place = match refuser {
        Refuser::Rule(rule) => format!("{} {}", rule.table, rule.chain),
        Refuser::Policy { table, chain } => format!("{table} {chain}"),
    };
    opinion.cause =
        Some(Cause::named("rule", rule, tool.evidence()).on(place).expected("packets pass", "packets are dropped"));
    opinion
}
