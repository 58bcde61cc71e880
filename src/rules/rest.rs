//! The last rules, where neither a look-alike nor a stale datapath explains the evidence: it is missing or contradictory,
//! egress is broken, or the node is healthy.

use crate::base::evidence::Evidence;
use crate::base::failure::{Failure, FailureKind};
use crate::checks::Status;
use crate::cilium::drops::Rises;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Code;
use crate::rules::case::{Case, rises_say};
use crate::rules::lookalikes::{one_node_is_silent, waits_for_nat};
use crate::rules::missing;
use crate::rules::opinion::Opinion;
use crate::rules::stale::{map, programs};
use crate::rules::verdict::{Because, Confidence, Says};
use crate::rules::witnesses::{
    HostWitness, ProbeFlow, dead_ways, dns_is_dead, egress_says, host, host_says, is_of_many, probe_flow, probes_fail,
    probes_say, reaches_world,
};
use crate::ways::dns::DnsLife;
use crate::ways::group::Group;
use crate::ways::life::{Life, is_dead};
use crate::ways::way::Way;

/// The dump was cut, is missing, or is empty.
pub(super) fn no_dump(case: &Case) -> Option<Opinion> {
    use crate::checks::dns_conntrack::Dump;
    match &case.dump {
        Dump::Cut(failure) => {
            let summary = format!(
                "The conntrack dump was not read whole, and half a dump proves nothing: {}.",
                failure.message.trim_end_matches('.')
            );
            Some(
                Opinion::new(Code::EvidenceTruncated, Confidence::High, summary)
                    .because(Because::check(CheckId::DnsConntrack, failure.message.clone())),
            )
        }
        Dump::Missing(failure) => Some(missing("the conntrack dump is missing", failure, "dns-conntrack")),
        Dump::Unreadable(failure) => Some(missing("the conntrack dump cannot be read", failure, "dns-conntrack")),
        Dump::Whole(picture) if picture.entries == 0 => {
            if case.around.pods == Some(0) {
                let summary = "No pod of its own network runs on this node, and nothing is in its conntrack table.";
                return Some(Opinion::new(Code::TooLittleTraffic, Confidence::High, summary));
            }
            let summary = "The whole conntrack dump is empty although pods run here: the agent shows other maps than the \
                           datapath uses (cilium/cilium#23485).";
            Some(
                Opinion::new(Code::MapsNotVisible, Confidence::High, summary)
                    .because(Because::check(CheckId::DnsConntrack, "the dump ended well and holds no entry")),
            )
        }
        Dump::Whole(_) => None,
    }
}

/// The probes and the dump say opposite things.
pub(super) fn contradiction(case: &Case) -> Option<Opinion> {
    let probes_pass = case.egress.by_name == Some(true) && case.egress.dns != Some(false) && !case.egress.mixed;
    if !probes_pass {
        return None;
    }
    let dns_dead = dns_is_dead(case);
    let world = case.way(Way::World);
    let world_dead = world.life == Life::Dead
        && is_dead(&world.counts)
        && world.counts.dead_peers >= 3
        && is_of_many(case, &Group::WORLD);
    if !dns_dead && !world_dead {
        return None;
    }
    let summary = "The evidence contradicts itself: a pod's probes pass while the dump shows flows without answers.";
    let mut opinion = Opinion::new(Code::EvidenceContradictory, Confidence::Medium, summary).because(egress_says(case));
    if dns_dead {
        opinion = opinion.and(CheckId::DnsConntrack.name(), case.dns_says());
    }
    if world_dead {
        opinion = opinion.and(CheckId::ExternalConntrack.name(), case.way_says(Way::World));
    }
    Some(opinion)
}

/// Pod egress fails by name and by address, the host is fine, DNS is not dead, and nothing else explains it.
pub(super) fn egress_broken(case: &Case) -> Option<Opinion> {
    if reaches_world(case) && case.egress.by_name != Some(false)
        || !probes_fail(case) && case.egress.by_name != Some(false)
    {
        return None;
    }
    let witness = host(case);
    if !witness.is_fine() {
        let (says, settle) = match witness {
            HostWitness::OnlyPingFails => (
                case.host.summary.clone(),
                "neither the host nor a pod got an answer from what was asked, so nothing tells whether these targets answer \
                 at all; name targets that this site reaches: --ping-target and --probe-url",
            ),
            HostWitness::Contradicted => (
                case.host.summary.clone(),
                "the host's ping is answered, but its own connections are not, so the fault may be the host's",
            ),
            _ => (case.host.summary.clone(), "the host's network could not be checked"),
        };
        let kind = case.host.reason.as_ref().map_or(FailureKind::Other, |reason| reason.kind);
        let failure = Failure::new(kind, format!("{settle} ({says})"));
        let contradicts = |way: &Way| witness == HostWitness::Contradicted && case.way(*way).life == Life::Dead;
        let dead = [Way::HostToWorld, Way::HostToCluster].into_iter().find(contradicts);
        let opinion = missing("pods do not reach the outside", &failure, "host-ping");
        return Some(opinion.and(CheckId::ExternalConntrack.name(), dead.and_then(|way| case.way_says(way))));
    }
    if let Some(why) = only_the_prober_fails(case) {
        let failure = Failure::new(FailureKind::Other, why);
        return Some(missing(
            "a pod does not reach the outside, and others do",
            &failure,
            case.beyond.drops_from.name(),
        ));
    }
    if let Some((says, failure)) = asks_only_what_is_gone(case) {
        let opinion = missing("names are not found", failure, Evidence::LbList.name());
        return Some(opinion.and(CheckId::DnsConntrack.name(), Some(says)).because(egress_says(case)));
    }
    let by_name_only = case.egress.by_address == Some(true);
    let dns_answers = case.dns.life == DnsLife::Alive || case.egress.dns == Some(true);
    if !dns_answers && !by_name_only {
        let says = "neither the dump nor a lookup shows DNS answered, so more than egress may be broken";
        let failure = Failure::new(FailureKind::Other, says);
        return Some(missing("pods do not reach the outside", &failure, "dns-conntrack"));
    }
    let world = case.way(Way::World);
    if case.egress.by_address == Some(false) && world.life == Life::Alive && probe_flow(case) != ProbeFlow::Answered {
        let summary = "The evidence contradicts itself: the probe of the outside fails, while flows of this node's pods to the \
                       world are answered.";
        let opinion = Opinion::new(Code::EvidenceContradictory, Confidence::Medium, summary)
            .because(probes_say(case))
            .and(CheckId::ExternalConntrack.name(), case.way_says(Way::World));
        return Some(opinion);
    }
    let (summary, confidence) = if by_name_only && dns_answers {
        (
            "Pods reach the outside by address but not by name, though DNS answers on this node: look further up.",
            Confidence::Low,
        )
    } else if by_name_only {
        ("Pods reach the outside by address but not by name, and nothing known explains it.", Confidence::Low)
    } else {
        ("Pods do not reach the outside although the host does, and nothing known explains it.", Confidence::Medium)
    };
    let opinion = Opinion::new(Code::EgressBroken, confidence, summary)
        .because(probes_say(case))
        .and(CheckId::HostPing.name(), host_says(case))
        .and(CheckId::DnsConntrack.name(), case.dns_says())
        .and(CheckId::ExternalConntrack.name(), case.way_says(Way::World));
    Some(opinion)
}

/// Why it is not known what keeps the pods that probed from the outside while flows of others to the world are answered: a
/// policy would, and whether one drops packets was not read.
fn only_the_prober_fails(case: &Case) -> Option<&'static str> {
    let others_live = case.way(Way::World).life == Life::Alive && case.egress.by_address == Some(false);
    let read = matches!(case.rises(), Some(Rises::Between(_)));
    (others_live && !read).then_some("a policy would look the same, and dropped packets were not read twice")
}

/// Pods that ask none but DNS pods that no longer exist: the kernel's table would tell who sends them there, and was not read.
fn asks_only_what_is_gone(case: &Case) -> Option<(Says, &Failure)> {
    let failure = case.beyond.lb.missing()?;
    let gone = case.picture()?.group(Group::GoneDns);
    (is_dead(gone) && case.dns.state.counts.decided() == 0).then(|| {
        let text = format!("{} live flows go to DNS pods that no longer exist, and none to one that does", gone.live());
        (Says::new(text, [("way", "dns".into()), ("dead", gone.dead().into())]), failure)
    })
}

/// Nothing failed, but a check that could say otherwise was not answered.
pub(super) fn unanswered_checks(case: &Case) -> Option<Opinion> {
    if case.egress.by_name.is_none() && case.egress.by_address.is_none() {
        let unknown = || Failure::new(FailureKind::NotFound, "no pod probed");
        let failure = case.egress.finding.reason.clone().unwrap_or_else(unknown);
        let refused = matches!(failure.kind, FailureKind::Forbidden | FailureKind::Timeout);
        if matches!(case.dns.life, DnsLife::Few | DnsLife::FewDead) && !refused {
            let summary =
                format!("Nothing failed, but there is too little to see: {}.", failure.message.trim_end_matches('.'));
            let decided = case.dns.state.counts.decided();
            let says = Says::new(
                if decided == 1 {
                    "only 1 live DNS flow can be judged".to_owned()
                } else {
                    format!("only {decided} live DNS flows can be judged")
                },
                [("way", "dns".into()), ("decided", decided.into())],
            );
            return Some(
                Opinion::new(Code::TooLittleTraffic, Confidence::High, summary)
                    .because(Because::check(CheckId::PodEgress, failure.message))
                    .because(Because::said(CheckId::DnsConntrack.name(), says)),
            );
        }
        return Some(missing("no pod could probe whether it reaches the outside", &failure, "pod-egress"));
    }
    if let Some((what, failure)) = unlisted_pods(case) {
        return Some(missing(what, failure, "pods"));
    }
    if let Some(failure) = case.trouble.events_gap.as_ref().filter(|_| !case.trouble.creating.is_empty()) {
        let pods = case.trouble.creating.len();
        let what = format!(
            "pods ({pods}) have been waiting for their network for minutes, and the events that tell why are missing"
        );
        return Some(missing(&what, failure, "events"));
    }
    if let Some((what, failure)) = waits_for_nat(case) {
        let opinion = missing(what, failure, Evidence::NatList.name());
        return Some(opinion.and(CheckId::ExternalConntrack.name(), case.quote(Group::WorldUdp)));
    }
    let failure = case.backends.finding.reason.as_ref()?;
    Some(missing("the service table could not be compared with the endpoints", failure, "dns-backends"))
}

/// What would be said of this node, or not, if all pods were listed.
fn unlisted_pods(case: &Case) -> Option<(&'static str, &Failure)> {
    let gap = case.around.pods_gap.as_ref()?;
    if programs::unlisted_is_bare(case) {
        return Some(("a device without Cilium's program is of a pod that was not listed", gap));
    }
    if map::unlisted_differs(case) {
        return Some(("the kernel's entry of a pod that was not listed is not what the agent wrote", gap));
    }
    let what = "since when the endpoints are ready that this node lacks is not known without their pods";
    case.backends.under_way.then_some((what, gap))
}

/// Neither dead nor healthy.
pub(super) fn odd(case: &Case) -> Option<Opinion> {
    let mixed = case.egress.mixed.then(|| egress_says(case));
    let mixed = mixed.map(|because| Says { text: because.says, figures: because.figures });
    let lookups = (case.egress.dns == Some(false))
        .then(|| Says::new("lookups of cluster names fail while other names work", [("dns_probe", "failed".into())]));
    let flows = matches!(case.dns.life, DnsLife::Mixed | DnsLife::DeadForOne | DnsLife::Dead)
        .then(|| case.dns_says())
        .flatten();
    let dead_way =
        || dead_ways(case).into_iter().next().map(|way| Says { text: way.because.says, figures: way.because.figures });
    let (check, says) = match (mixed, lookups, flows) {
        (Some(says), ..) | (_, Some(says), _) => (CheckId::PodEgress, says),
        (.., Some(says)) => (CheckId::DnsConntrack, says),
        (None, None, None) => (CheckId::ExternalConntrack, dead_way()?),
    };
    let summary = format!("The evidence contradicts itself: {}, yet other checks pass.", says.text);
    Some(
        Opinion::new(Code::EvidenceContradictory, Confidence::Medium, summary)
            .because(Because::said(check.name(), says))
            .because(egress_says(case)),
    )
}

/// Every deciding check ran and none failed.
pub(super) fn healthy(case: &Case) -> Opinion {
    let all_pass = [case.host.status, case.egress.finding.status, case.backends.finding.status]
        .iter()
        .all(|status| *status == Status::Pass);
    let dns_lives = case.dns.life == DnsLife::Alive;
    let confidence = if all_pass && dns_lives { Confidence::High } else { Confidence::Medium };
    let summary = match (dns_lives || case.egress.dns == Some(true), case.egress.by_name) {
        (true, _) | (_, Some(true)) => "Pods of this node reach DNS and the outside.",
        _ => "Pods of this node reach the outside.",
    };
    let mut opinion = Opinion::new(Code::Healthy, confidence, summary).because(egress_says(case));
    if !all_pass {
        opinion.confidence_because.push("not every check passed".to_owned());
    }
    if dns_lives {
        opinion = opinion.and(CheckId::DnsConntrack.name(), case.dns_says());
    } else {
        opinion.confidence_because.push("too few DNS flows to judge".to_owned());
    }
    if let Some(says) = one_node_is_silent(case) {
        opinion = opinion.at_most(Confidence::Medium, "pods of one other node do not answer");
        opinion = opinion.and(Evidence::CtList.name(), Some(says));
    }
    opinion
}

/// Things to know that change no verdict.
pub(super) fn notes(case: &Case) -> Vec<String> {
    let mut notes = Vec::new();
    if case.host.status == Status::Fail && reaches_world(case) {
        notes.push(
            "the host's ping is not answered, but pods reach the outside: the ping is filtered (--ping-target sets \
             another target)"
                .to_owned(),
        );
    }
    let rises = case.rising("");
    if !rises.is_empty() {
        notes.push(format!("packets dropped between two readings: {}", rises_say(&rises)));
    }
    let Some(picture) = case.picture() else {
        return notes;
    };
    let gone = picture.group(Group::GoneDns).live();
    if gone > 0 {
        let sockets = if gone == 1 { "1 live socket of a pod is" } else { &format!("{gone} live sockets of pods are") };
        notes.push(format!(
            "{sockets} connected to DNS pods that no longer exist; restart those clients if they complain"
        ));
    }
    if picture.unparsed > 0 {
        let entries = picture.entries + picture.unparsed;
        notes.push(format!("{} of {entries} conntrack lines could not be read", picture.unparsed));
    }
    match (probe_flow(case), case.egress.by_address) {
        (ProbeFlow::Unanswered, Some(true)) => notes.push(
            "the probe reached the outside, though the dump shows a connection of its pod there without answer"
                .to_owned(),
        ),
        (ProbeFlow::Answered, Some(false)) => notes.push(
            "the probe failed although the dump shows its connection answered: small packets pass, so look at the \
             packet size (MTU) and at the far end"
                .to_owned(),
        ),
        _ => {}
    }
    let world = case.way(Way::World);
    if world.life == Life::Dead && reaches_world(case) {
        let says = format!(
            "the probe reaches the outside, though {} of {} live connections of pods there get no answer",
            world.counts.dead(),
            world.counts.decided()
        );
        notes.push(says);
    }
    notes
}
