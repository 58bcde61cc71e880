//! `stale-datapath`: two independent ways of pods are dead for many, and the host is fine.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::base::evidence::Evidence;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Code;
use crate::rules::case::Case;
use crate::rules::lookalikes::firewall;
use crate::rules::opinion::Opinion;
use crate::rules::stale::selective::{SEVERAL, name};
use crate::rules::verdict::{Affected, Because, Confidence};
use crate::rules::witnesses::{
    DeadWay, Fate, HostWitness, ProbeFlow, dead_ways, host, host_figures, host_says, probe_flow, reaches_world,
    witnesses,
};
use crate::ways::dns::DnsLife;
use crate::ways::group::Group;
use crate::ways::life::Life;
use crate::ways::way::{Way, part_of_world_lives};

/// What keeps a stale verdict back.
pub enum Held {
    /// Nothing: this is it.
    Stale(Box<Opinion>),
    /// The signs are there, but something that must speak is silent: what is said where nothing else explains them.
    Silent(Box<Opinion>),
    /// The signs are not there.
    No,
}

/// Counts the dead ways that share neither their far end nor their path, and hears who could say otherwise.
#[must_use]
pub fn datapath(case: &Case) -> Held {
    let dead = witnesses(case);
    let fates: BTreeSet<Fate> = dead.iter().map(|way| way.fate).collect();
    if dead.is_empty() || only_pods_are_silent(case, &fates) {
        return Held::No;
    }
    if let Some(why) = one_witness(case, &dead, &fates) {
        return why;
    }
    if let Some(why) = held_back(case, &dead) {
        return silent(case, &why);
    }
    let mut confidence = if fates.len() >= 3 { Confidence::High } else { Confidence::Medium };
    let mut why = Vec::new();
    if fates.len() < 3 {
        why.push(format!("{} independent ways are dead; a third, or a direct sign, would make it high", fates.len()));
    }
    if host(case) == HostWitness::FineByDump {
        confidence = Confidence::Medium;
        why.push("only the dump speaks for the host (SSH would say more)".to_owned());
    }
    if case.dns.life == DnsLife::FewDead && dead.iter().any(|way| way.dns) {
        confidence = Confidence::Medium;
        why.push("DNS flows are few".to_owned());
    }
    let summary = format!("The host is fine, but its pods get no answers: {}.", named(&dead, case));
    let mut opinion = Opinion::new(Code::StaleDatapath, confidence, summary);
    opinion.confidence_because = why;
    opinion.because = dead.into_iter().map(|way| way.because).collect();
    opinion = opinion.and(CheckId::HostPing.name(), host_says(case));
    opinion.affected = worst_sources(case);
    Held::Stale(Box::new(opinion))
}

/// Whether pods get answers from DNS and from the world, and none from each other only: applications that wait for each other
/// look the same.
fn only_pods_are_silent(case: &Case, fates: &BTreeSet<Fate>) -> bool {
    let between_pods = fates.iter().all(|fate| matches!(fate, Fate::Across | Fate::Here));
    between_pods && case.dns.life == DnsLife::Alive && reaches_world(case)
}

/// The verdict with fewer than two independent witnesses.
fn one_witness(case: &Case, dead: &[DeadWay], fates: &BTreeSet<Fate>) -> Option<Held> {
    if fates.len() >= 2 {
        return None;
    }
    // DNS to the pods of other nodes and other packets between nodes share their path; so do all packets to the host.
    let dns = dead.iter().any(|way| way.dns);
    Some(if dns && !reaches_world(case) {
        silent(
            case,
            &format!("{} is dead, but no second independent way is seen dead beside it", case.dns.path.label()),
        )
    } else {
        Held::No
    })
}

/// Two ways are dead, or one, but who must speak is silent.
fn silent(case: &Case, why: &str) -> Held {
    let summary = format!("Traffic of this node's pods gets no answers, cause unknown: {why}.");
    let mut opinion = Opinion::new(Code::EvidenceMissing, Confidence::Medium, summary)
        .because(Because::check(CheckId::DnsConntrack, why).with(host_figures(case)));
    opinion.because.extend(dead_ways(case).into_iter().map(|way| way.because));
    Held::Silent(Box::new(opinion))
}

/// What leaves it open whether a rule of the host's own firewall killed these ways: all of them pass it, and its rules were
/// not read. Where packets that do not end on the host die as well, as those to the world do, no rule between the host and
/// its pods explains them; several flows of one pod are enough for that.
pub(super) fn host_rules_unread(case: &Case, dead: &[DeadWay]) -> Option<(Evidence, String)> {
    let world = &case.way(Way::World).counts;
    if world.answered == 0 && world.dead() >= SEVERAL {
        return None;
    }
    let passes = |way: &DeadWay| matches!(way.fate, Fate::Host | Fate::HostIn);
    let (evidence, unread) = firewall::unread(case).filter(|_| dead.iter().all(passes))?;
    Some((evidence, format!("a rule of the host's own firewall would look the same, and {unread}")))
}

/// Who must speak before a node is called stale, and does not.
fn held_back(case: &Case, dead: &[DeadWay]) -> Option<String> {
    let probes = &case.egress;
    let world_by_probe = dead.iter().any(|way| way.fate == Fate::World) && case.way(Way::World).life != Life::Dead;
    let beside = dead.iter().filter(|way| way.fate != Fate::World).count();
    // A policy that denies the probe's pod everything looks the same, and makes no entry where it was there first. So where
    // other pods are answered by the world, the probe's own connection must be seen, too.
    let other_way_lives = case.way(Way::World).life == Life::Alive
        || case.picture().is_some_and(part_of_world_lives)
        || case.dns.life != DnsLife::Dead
            && [Way::PodToHost, Way::HostToPod].iter().any(|way| case.way(*way).life == Life::Alive);
    if world_by_probe && beside <= 1 && other_way_lives && probe_flow(case) != ProbeFlow::Unanswered {
        return Some(
            "beside DNS only the probe of one pod fails, and other flows of this node's pods are answered".to_owned(),
        );
    }
    // A probe that got through would contradict the dump; one that got lost might have.
    let agrees = probes.dns == Some(false) || probes.by_name == Some(false) || probes.by_address == Some(false);
    if let Some((_, why)) = host_rules_unread(case, dead) {
        return Some(why);
    }
    let dns = dead.iter().any(|way| way.dns);
    if dns && !agrees && (probes.lost || probes.by_name.or(probes.dns) == Some(true)) {
        return Some(format!("no pod probe confirms it: {}", probes.finding.summary));
    }
    if dns && case.dns.path == crate::ways::dns::DnsPath::NodeLocal && dead.len() < 3 {
        match &case.around.node_local_dns.pod {
            Some(pod) if pod.ready => {}
            Some(pod) => return Some(format!("{} is not ready, which explains the dead DNS by itself", pod.pod)),
            None => return Some("no NodeLocal DNS pod is on this node, which explains the dead DNS".to_owned()),
        }
    }
    // Where only what leaves the node is dead, a ping alone does not speak for the host's TCP and UDP.
    let leaves = |way: &DeadWay| matches!(way.fate, Fate::World | Fate::Across);
    let own = case.way(Way::HostToWorld).counts.answered + case.way(Way::HostToCluster).counts.answered;
    if dead.iter().all(leaves) && own == 0 {
        return Some(
            "only what leaves the node is dead, and no connection of the host's own is seen answered".to_owned(),
        );
    }
    match host(case) {
        HostWitness::Fine | HostWitness::FineByDump => None,
        HostWitness::Down | HostWitness::Contradicted => {
            Some(format!("the host's own network is in doubt: {}", case.host.summary))
        }
        HostWitness::OnlyPingFails => Some(format!(
            "{}, and no connection of the host's own says more (--ping-target sets a target that answers pings)",
            case.host.summary
        )),
        HostWitness::Unseen => Some("the host's network could not be checked".to_owned()),
    }
}

/// "not from node-local DNS, not from the world; kubelet's probes of them never complete".
fn named(dead: &[DeadWay], case: &Case) -> String {
    let mut names: Vec<String> = Vec::new();
    for way in dead {
        let name = match way.fate {
            _ if way.dns => format!("not from {}", case.dns.path.label()),
            Fate::Host => "not from their node".to_owned(),
            // Their answers are what does not arrive: said last.
            Fate::HostIn => continue,
            Fate::World => "not from the world".to_owned(),
            Fate::Across => "not from other nodes".to_owned(),
            Fate::Here => "not from each other".to_owned(),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let probes =
        if dead.iter().any(|way| way.fate == Fate::HostIn) { "; kubelet's probes of them never complete" } else { "" };
    names.join(", ") + probes
}

/// The pods that are hit worst, for the report.
fn worst_sources(case: &Case) -> Vec<Affected> {
    /// More names do not help a reader.
    const MOST: usize = 20;
    let Some(picture) = case.picture() else {
        return Vec::new();
    };
    let groups: Vec<Group> = case.dns.path.groups().iter().chain(&Group::WORLD).copied().collect();
    let mut worst: Vec<(u32, u32, IpAddr)> = picture
        .endpoints
        .iter()
        .filter_map(|e| Some((e.sum(case.dns.path.groups()).dead(), e.sum(&groups).dead(), e.address?)))
        .filter(|(.., dead, _)| *dead > 0)
        .collect();
    worst.sort_by_key(|(dns, dead, ip)| (std::cmp::Reverse(*dns), std::cmp::Reverse(*dead), *ip));
    worst.truncate(MOST);
    let says = |dns: u32, dead: u32| match (dns, dead) {
        (0, dead) => format!("{dead} flow{} to the world without answer", if dead == 1 { "" } else { "s" }),
        (dns, _) => format!("{dns} DNS flow{} without answer", if dns == 1 { "" } else { "s" }),
    };
    worst.into_iter().map(|(dns, dead, ip)| name(case, ip, says(dns, dead)).into()).collect()
}
