//! The host: its network, and what it does with the packets of pods to the world.

use crate::base::evidence::Evidence;
use crate::base::failure::Failure;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Code;
use crate::rules::case::Case;
use crate::rules::opinion::{Exclusion, Opinion};
use crate::rules::verdict::{Because, Confidence, Figures, Says};
use crate::rules::witnesses::{
    Fate, HostWitness, agent_reaches, dead_ways, egress_says, host, host_figures, host_says, probes_fail, reaches_world,
};
use crate::ways::dns::DnsLife;
use crate::ways::group::Group;
use crate::ways::life::{FEW, HANDFUL, Life, life};
use crate::ways::way::Way;

/// `host-network-down`: the node's ping is not answered, and its own connections are not either.
pub(super) fn network_down(case: &Case) -> Exclusion {
    match host(case) {
        HostWitness::Fine | HostWitness::FineByDump => {
            Exclusion::out_by(host_says(case), "the host was not asked", "host-ping")
        }
        HostWitness::Unseen => {
            let why = case.host.reason.as_ref().map_or("the host was not asked", |reason| reason.message.as_str());
            Exclusion::open(format!("the host's network could not be checked: {why}"), "host-ping (SSH, or --ssh-user)")
        }
        HostWitness::OnlyPingFails if reaches_world(case) => Exclusion::RuledOut(Says {
            text: format!("{}, but pods of this node reach the outside", case.host.summary),
            figures: host_figures(case),
        }),
        HostWitness::OnlyPingFails => {
            if case.way(Way::HostToWorld).counts.answered == 0
                && (no_route(case) || nothing_leaves(case) && agent_reaches(case).is_none())
            {
                return Exclusion::applies(down(case));
            }
            Exclusion::open(
                format!("{}, and no connection of the host's own says more", case.host.summary),
                "--ping-target with an address that answers pings of this site's nodes",
            )
        }
        HostWitness::Contradicted if reaches_world(case) => Exclusion::RuledOut(Says {
            text: format!("{}, and pods of this node reach the outside", case.host.summary),
            figures: host_figures(case),
        }),
        // Pods leave by the host's own line: what the host itself sends out is filtered, its network is not down.
        HostWitness::Down if reaches_world(case) && case.way(Way::HostToCluster).life == Life::Alive => {
            Exclusion::out_by(case.way_says(Way::HostToCluster), "other nodes do not answer this one", "host-ping")
        }
        HostWitness::Down | HostWitness::Contradicted => match dead_inside(case) {
            Some(says) => Exclusion::open(says, "--ping-target with an address that answers this site's nodes"),
            None => Exclusion::applies(down(case)),
        },
    }
}

/// What an uplink that is gone does not explain: the node reaches other nodes, and packets die that never leave it. Those of
/// DNS apart: the answers of a resolver may be missing for want of the world.
fn dead_inside(case: &Case) -> Option<String> {
    if case.way(Way::HostToCluster).life != Life::Alive {
        return None;
    }
    let stays = |fate: Fate| matches!(fate, Fate::Host | Fate::HostIn | Fate::Here);
    let inside = dead_ways(case).into_iter().find(|way| stays(way.fate) && !way.dns)?;
    Some(format!(
        "the node reaches other nodes, but not the world; that does not explain what dies on the node itself: {}",
        inside.because.says
    ))
}

/// Whether nothing that leaves this node is answered, while packets between its pods and the host are, or while pods do not
/// reach other nodes either.
fn nothing_leaves(case: &Case) -> bool {
    let alive = |way: Way| case.way(way).life == Life::Alive;
    let pods_reach_host =
        case.dns.path.ends_here() && case.dns.life == DnsLife::Alive || alive(Way::HostToPod) || alive(Way::PodToHost);
    let across_is_dead =
        case.way(Way::AcrossOut).life == Life::Dead && case.way(Way::HostToCluster).counts.answered == 0;
    probes_fail(case) && case.way(Way::World).life == Life::Dead && (pods_reach_host || across_is_dead)
}

/// Whether the host itself says that it has no route to the outside.
fn no_route(case: &Case) -> bool {
    case.host.summary.contains("has no route")
}

fn down(case: &Case) -> Opinion {
    let contradicted = host(case) == HostWitness::Contradicted;
    let summary = if contradicted {
        "The node's ping is answered, but its own connections are not: its network is broken for more than ICMP."
    } else {
        "The node itself does not reach the outside, so its pods cannot either."
    };
    let confidence = if contradicted { Confidence::Medium } else { Confidence::High };
    let by_design = (!contradicted && case.way(Way::HostToCluster).life != Life::Dead).then(|| {
        let says = "if this site has no way out by design, name targets that it reaches: --ping-target and --probe-url";
        Says::new(says, [("target", case.host.data.target.clone().into())])
    });
    Opinion::new(Code::HostNetworkDown, confidence, summary)
        .because(Because::check(CheckId::HostPing, case.host.summary.clone()))
        .and(CheckId::HostPing.name(), by_design)
        .and("ct-list", case.way_says(Way::HostToWorld))
        .and("ct-list", case.way_says(Way::HostToCluster))
        .because(egress_says(case))
}

/// What is said where the NAT table would tell masquerading that is broken from a site's own firewall.
const NO_UDP_OUT: &str = "UDP to the world gets no answer and TCP does; a site that lets no UDP out looks the same";

/// Why it is not known whether masquerading of UDP is broken, though nearly nothing else explains what is dead.
pub(crate) fn waits_for_nat(case: &Case) -> Option<(&'static str, &Failure)> {
    let failure = case.beyond.nat.missing()?;
    let many = case.picture()?.group(Group::WorldUdp).dead() >= HANDFUL;
    let is_open =
        || matches!(udp_masquerade(case), Exclusion::Open { settle, .. } if settle == Evidence::NatList.name());
    (many && is_open()).then_some((NO_UDP_OUT, failure))
}

/// `udp-masquerade-broken`: UDP to many far ends is dead, TCP is answered.
pub(super) fn udp_masquerade(case: &Case) -> Exclusion {
    /// So many far ends are not one resolver that is down.
    const MANY: u32 = 3;
    let Some(picture) = case.picture() else {
        return Exclusion::open("the conntrack dump was not read", Evidence::CtList.name());
    };
    let (udp, tcp) = (picture.group(Group::WorldUdp), picture.group(Group::WorldTcp));
    let mut figures: Figures = crate::rules::verdict::figures([
        ("udp_dead", udp.dead().into()),
        ("udp_answered", udp.answered.into()),
        ("udp_decided", udp.decided().into()),
        ("udp_peers", udp.dead_peers.into()),
        ("tcp_answered", tcp.answered.into()),
        ("tcp_dead", tcp.dead().into()),
        ("tcp_decided", tcp.decided().into()),
    ]);
    let out = |text: String, figures: Figures| Exclusion::RuledOut(Says { text, figures });
    match (life(udp, FEW), life(tcp, FEW)) {
        (Life::Unseen, _) => {
            let says = format!("{} live UDP flows to the world can be judged, too few", udp.decided());
            return Exclusion::open(says, "more UDP traffic to the world");
        }
        (Life::Alive | Life::Mixed, _) => {
            return out(
                format!("{} of {} live UDP flows to the world are answered", udp.answered, udp.decided()),
                figures,
            );
        }
        (Life::Dead, Life::Dead) => return out("TCP to the world is as dead as UDP".to_owned(), figures),
        (Life::Dead, _) if udp.dead_peers < MANY || picture.waiting(&[Group::WorldUdp]).nth(1).is_none() => {
            let ends = udp.dead_peers;
            let says =
                format!("unanswered UDP to the world goes to only {ends} far end{}", if ends == 1 { "" } else { "s" });
            return out(says, figures);
        }
        (Life::Dead, _) => {}
    }
    let tcp_lives =
        life(tcp, FEW) == Life::Alive || case.egress.by_address == Some(true) || case.egress.by_name == Some(true);
    if !tcp_lives {
        return Exclusion::open("no TCP to the world is seen answered beside the dead UDP", "a pod that can probe");
    }
    let architecture = case.around.architecture();
    let typical = architecture == "arm64";
    let rows = case.beyond.nat.seen();
    if let Some(rows) = rows {
        figures.insert("nat_udp".to_owned(), rows.udp.into());
        figures.insert("nat_tcp".to_owned(), rows.tcp.into());
        // Translations are made, so masquerading works: it is the far ends, or a firewall on the way.
        if rows.udp > 0 {
            return out(format!("the NAT table holds {} translations of UDP", rows.udp), figures);
        }
    } else if !typical {
        // A site that lets no UDP out looks the same, but for the translations.
        return Exclusion::open(format!("{NO_UDP_OUT}, and the NAT table was not read"), Evidence::NatList.name());
    }
    let no_udp_rows = rows.is_some_and(|rows| rows.tcp > 0);
    if !no_udp_rows && udp.dead() < HANDFUL {
        return Exclusion::open(
            format!("only {} UDP flows to the world get no answer", udp.dead()),
            Evidence::NatList.name(),
        );
    }
    let confidence = if no_udp_rows || typical { Confidence::High } else { Confidence::Medium };
    let summary = "UDP from pods to the outside gets no answer while TCP does: masquerading of UDP is broken.";
    let text = format!(
        "pods to the world by UDP: {} of {} live flows get no answer, from {} different far ends; by TCP {}",
        udp.dead(),
        udp.decided(),
        udp.dead_peers,
        match tcp.decided() {
            0 => "the probe is answered".to_owned(),
            decided => format!("{} of {decided} are answered", tcp.answered),
        }
    );
    let mut opinion = Opinion::new(Code::UdpMasqueradeBroken, confidence, summary)
        .because(Because::said(CheckId::ExternalConntrack.name(), Says { text, figures }));
    if let Some(rows) = rows {
        let says = format!("the NAT table holds {} outgoing translations of UDP and {} of TCP", rows.udp, rows.tcp);
        let says = Says::new(says, [("nat_udp", rows.udp.into()), ("nat_tcp", rows.tcp.into())]);
        opinion.because.push(Because::said(Evidence::NatList.name(), says));
    }
    if typical {
        let says = format!("the node is {architecture} with kernel {}: known for it", case.around.kernel());
        opinion.because.push(Because::evidence("nodes", says));
    }
    Exclusion::applies(opinion)
}
