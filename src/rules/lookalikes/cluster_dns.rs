//! Cluster DNS: not ready, not answering, or without its upstream.

use crate::base::evidence::Evidence;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Code;
use crate::rules::case::Case;
use crate::rules::lookalikes::translated_by_others;
use crate::rules::opinion::{Exclusion, Opinion};
use crate::rules::verdict::{Because, Confidence, Says};
use crate::rules::witnesses::{Fate, dead_ways, egress_says, reaches_world};
use crate::ways::counts::Counts;
use crate::ways::dns::DnsLife;
use crate::ways::group::Group;
use crate::ways::life::{FEW, Life, life};
use crate::ways::way::Way;

/// The figure of a verdict that rests on what pods of this node alone ask: whether cluster DNS answers those of others is
/// not in it.
pub(crate) const ANSWERS_HERE: &str = "answers_here";

/// `cluster-dns-down`.
pub(super) fn down(case: &Case) -> Exclusion {
    let expected = case.backends.expected;
    let lookups_fail = case.egress.dns == Some(false) || case.egress.by_name == Some(false);
    let dns_dead = matches!(case.dns.life, DnsLife::Dead | DnsLife::DeadForOne | DnsLife::FewDead);
    let nothing_else_dies = dead_ways(case).iter().all(|way| way.dns);
    let down = "Cluster DNS itself is down: queries of pods leave this node, and the answers are missing further up.";
    let apply = |confidence, summary: &'static str, because: Because| {
        let mut opinion = Opinion::new(Code::ClusterDnsDown, confidence, summary).because(because);
        if lookups_fail {
            opinion.because.push(egress_says(case));
        }
        Exclusion::applies(opinion.and(CheckId::DnsConntrack.name(), case.dns_says()))
    };
    let endpoints = |text: String, ready: usize| {
        Because::said(CheckId::DnsBackends.name(), Says::new(text, [("ready", ready.into())]))
    };
    match expected {
        Some(0) if reaches_world(case) || lookups_fail && nothing_else_dies => {
            return apply(
                Confidence::High,
                "Cluster DNS is down: none of its endpoints is ready.",
                endpoints("cluster DNS has no ready endpoint in the whole cluster".to_owned(), 0),
            );
        }
        Some(1)
            if !case.backends.redirected && (dns_dead || lookups_fail) && reaches_world(case) && nothing_else_dies =>
        {
            let says = "cluster DNS has only one ready endpoint in the whole cluster, and its queries get no answer";
            let mut only = endpoints(says.to_owned(), 1);
            only.figures.insert(ANSWERS_HERE.to_owned(), 0_i64.into());
            return apply(Confidence::High, down, only);
        }
        _ => {}
    }
    if let Some(says) = zone_without_endpoint(case)
        && lookups_fail
        && nothing_else_dies
    {
        let summary = "This node has no backend of cluster DNS: its zone has no endpoint, and the node's table holds none of \
                       other zones (as in cilium/cilium#41022).";
        return apply(Confidence::Medium, summary, Because::said(CheckId::DnsBackends.name(), says));
    }
    if let Some(says) = upstream_dead(case)
        && (nothing_else_dies || reaches_world(case))
        && case.dns.life != DnsLife::Dead
        && lookups_fail
    {
        let summary = "DNS is broken further up: what the DNS servers of this node themselves ask gets no answer.";
        return apply(Confidence::High, summary, Because::said("ct-list", says));
    }
    if let Some(says) = silent_backends(case)
        && (reaches_world(case) || case.way(Way::World).life == Life::Alive)
        && nothing_else_dies
    {
        return apply(Confidence::Medium, down, Because::said(CheckId::DnsConntrack.name(), says));
    }
    match (expected, case.dns_says()) {
        (_, Some(says)) if case.dns.life == DnsLife::Alive => Exclusion::RuledOut(says),
        (Some(ready @ 2..), _) if !nothing_else_dies => Exclusion::out(
            format!("{ready} endpoints of cluster DNS are ready, and more than DNS is dead"),
            [("ready", ready.into()), ("dead_ways", dead_ways(case).len().into())],
        ),
        (Some(ready @ 2..), _) => {
            Exclusion::out(format!("{ready} endpoints of cluster DNS are ready"), [("ready", ready.into())])
        }
        (Some(ready), _) => {
            let are = if ready == 1 { "endpoint of cluster DNS is" } else { "endpoints of cluster DNS are" };
            if nothing_else_dies {
                let says = format!("{ready} {are} ready, and no DNS flows tell whether they answer");
                return Exclusion::open(says, "more DNS traffic, or a pod that can probe (--probe-pod)");
            }
            let says = format!("{ready} {are} ready, and more than DNS is dead");
            Exclusion::out(says, [("ready", ready.into()), ("dead_ways", dead_ways(case).len().into())])
        }
        (None, _) => Exclusion::open(
            format!("the endpoints of cluster DNS are not known: {}", case.backends.finding.summary),
            Evidence::ServiceList.name(),
        ),
    }
}

/// An empty row in a zone for which no endpoint is meant.
fn zone_without_endpoint(case: &Case) -> Option<Says> {
    let (ready, zone) = (case.row_empty_for_zone()?, case.around.zone()?);
    let meant =
        if ready == 1 { "1 endpoint is ready, meant" } else { &format!("{ready} endpoints are ready, all meant") };
    let text = format!("no backend of cluster DNS is in the service table; {meant} for other zones than {zone}");
    Some(Says::new(text, [("ready", ready.into()), ("zone", zone.into())]))
}

/// All backends of cluster DNS that are asked stay silent, at least two of them or the only one.
fn silent_backends(case: &Case) -> Option<Says> {
    if case.dns.path.ends_here() || case.dns.life != DnsLife::Dead {
        return None;
    }
    // Queries that left for the service address itself asked no backend.
    if case.picture()?.group(Group::ClusterDns).dead() == 0 && !translated_by_others(case) {
        return None;
    }
    // Where other packets between nodes die as well, it is the way and not the resolvers.
    let across = [Way::AcrossOut, Way::AcrossIn].map(|way| case.way(way).life);
    if across.contains(&Life::Dead) || dead_ways(case).iter().any(|way| way.fate == Fate::Across && !way.dns) {
        return None;
    }
    let lives = across.contains(&Life::Alive) || case.way(Way::Here).life == Life::Alive;
    let mut says = case.dns_says().filter(|_| lives)?;
    says.figures.insert(ANSWERS_HERE.to_owned(), 0_i64.into());
    Some(says)
}

/// Whether what node-local DNS, or cluster DNS pods of this node, ask of their upstream gets no answer.
fn upstream_dead(case: &Case) -> Option<Says> {
    let picture = case.picture()?;
    if life(picture.group(Group::DnsUpstream), FEW) == Life::Dead {
        return case.quote(Group::DnsUpstream);
    }
    let dns_pods =
        picture.endpoints.iter().filter(|e| e.address.is_some_and(|address| case.around.roles.is_cluster_dns(address)));
    let sum = dns_pods.fold(Counts::default(), |sum, e| sum.and(e.group(Group::WorldUdp)));
    (life(&sum, FEW) == Life::Dead).then(|| {
        let says = format!(
            "cluster DNS pods of this node to their upstream: {} of {} live flows get no answer",
            sum.dead(),
            sum.decided()
        );
        Says::new(
            says,
            [("way", "dns-upstream".into()), ("dead", sum.dead().into()), ("decided", sum.decided().into())],
        )
    })
}
