//! What the datapath drops for a stated reason: a full table, a policy, and everything else.

use crate::base::evidence::Evidence;
use crate::cilium::drops::{MetricDirection, Rise, Rises};
use crate::knowledge::code::Code;
use crate::rules::case::{Case, packets as packets_of, rises_figures, rises_say};
use crate::rules::lookalikes::{beyond, in_trouble, not_looked};
use crate::rules::opinion::{Exclusion, Opinion};
use crate::rules::stale::selective::cut_off_pods;
use crate::rules::verdict::{Affected, Because, Confidence, Says};
use crate::rules::witnesses::{Fate, ProbeFlow, dead_ways, egress_says, probe_flow, probes_fail};

/// A packet that found no room in the connection tracking table.
const INSERTION_FAILED: &str = "map insertion failed";
/// A packet that a network policy denies.
const POLICY_DENIED: &str = "policy denied";
/// A packet that looked for a program's tail and found none.
pub(crate) const MISSED_TAIL_CALL: &str = "missed tail call";

/// Reasons that break traffic of pods; many others (an address that is stale, a protocol that is not served) rise on healthy
/// nodes, too.
const TELLING: [&str; 7] = [
    "no mapping for nat",
    "map insertion failed",
    "vlan traffic disallowed",
    "fib lookup failed",
    "invalid source ip",
    "no tunnel/encapsulation endpoint",
    "encapsulation traffic is prohibited",
];

/// Of these, the ones of which every packet is a connection that a pod did not get, whatever else gets through.
const REFUSING: [&str; 2] = ["no mapping for nat", INSERTION_FAILED];
/// Fewer packets than this between two readings are chance.
const SEVERAL: u64 = 5;

/// `conntrack-full`.
pub(super) fn conntrack_full(case: &Case) -> Exclusion {
    /// As good as full, in percent: the table is an LRU map, and a dump of a busy one misses a few.
    const FULL_PERCENT: u64 = 95;
    let Some(drops) = case.beyond.drops.seen() else {
        return beyond(&case.beyond.drops, case.beyond.drops_from, |_| Exclusion::NotApplicable);
    };
    let failed = drops.of(INSERTION_FAILED);
    let rises = case.rising(INSERTION_FAILED);
    let read_twice = matches!(case.rises(), Some(Rises::Between(_)));
    if failed == 0 {
        let says = "no packet was dropped because the connection tracking table had no room";
        return unread(case).unwrap_or_else(|| Exclusion::out(says, [("insertion_failed", 0_i64.into())]));
    }
    let Some(picture) = case.picture() else {
        return Exclusion::open("the conntrack dump was not read", Evidence::CtList.name());
    };
    let Some((tcp, any)) = case.beyond.status.seen().map(|status| status.conntrack_sizes) else {
        let says =
            format!("{failed} packets were dropped for a failed insertion, and the size of the tables is not known");
        return Exclusion::open(says, Evidence::AgentStatus.name());
    };
    let maps = &picture.maps;
    let sized: Vec<(u64, u64, &str)> =
        [(maps.tcp4, tcp, "TCP"), (maps.tcp6, tcp, "TCP"), (maps.any4, any, "non-TCP"), (maps.any6, any, "non-TCP")]
            .into_iter()
            .filter_map(|(entries, size, name)| Some((entries, size.filter(|size| *size > 0)?, name)))
            .collect();
    let Some((entries, size, name)) = sized.iter().copied().max_by_key(|(entries, size, _)| entries * 1000 / size)
    else {
        let says = format!("{failed} packets were dropped for a failed insertion, and the status names no table sizes");
        return Exclusion::open(says, Evidence::AgentStatus.name());
    };
    let figures = [("insertion_failed", failed.into()), ("entries", entries.into()), ("size", size.into())];
    if entries * 100 < size * FULL_PERCENT {
        let says = format!(
            "{failed} packets were dropped for a failed insertion, but the fullest table holds {entries} of {size} entries"
        );
        return Exclusion::out(says, figures);
    }
    if read_twice && rises.is_empty() {
        let says =
            format!("the {name} table holds {entries} of {size} entries, but no insertion failed between two readings");
        return Exclusion::out(says, figures);
    }
    let summary = format!("The {name} connection tracking table is full: {entries} of {size} entries.");
    Exclusion::applies(
        Opinion::new(Code::ConntrackFull, Confidence::High, summary)
            .because(Because::said("ct-list", Says::new(format!("{entries} entries in a table of {size}"), figures)))
            .because(Because::said(
                case.beyond.drops_from.name(),
                Says::new(
                    format!("{failed} packets dropped: map insertion failed"),
                    [("insertion_failed", failed.into())],
                ),
            )),
    )
}

/// `policy-denied`: it rises now, and something fails that it fits.
pub(super) fn policy_denied(case: &Case) -> Exclusion {
    let Some(drops) = case.beyond.drops.seen() else {
        return beyond(&case.beyond.drops, case.beyond.drops_from, |_| Exclusion::NotApplicable);
    };
    if drops.of(POLICY_DENIED) == 0 && case.beyond.drops_again.seen().is_none_or(|again| again.of(POLICY_DENIED) == 0) {
        let none = [("policy_denied", 0_i64.into())];
        return unread(case).unwrap_or_else(|| Exclusion::out("no packet was dropped by policy", none));
    }
    let rises = case.rising(POLICY_DENIED);
    if !matches!(case.rises(), Some(Rises::Between(_))) {
        let says = "packets were dropped by policy at some time; whether they still are was not read a second time";
        return Exclusion::open(says, Evidence::DropMetricsAgain.name());
    }
    let rise = packets_of(&rises);
    let figures = [("policy_denied", rise.into())];
    if rise == 0 {
        return Exclusion::out("no packet was dropped by policy between two readings", figures);
    }
    let fails = probes_fail(case)
        || case.egress.mixed
        || case.egress.by_name == Some(false)
        || case.egress.dns == Some(false)
        || !cut_off_pods(case).is_empty()
        || kubelets_probes_denied(case)
        || (case.dns.state.counts.dead() > 0 && case.dns.state.counts.dead() * 2 >= case.dns.state.counts.decided());
    if !fails {
        let says =
            format!("{rise} packets were dropped by policy between two readings, but nothing that was probed fails");
        return Exclusion::out(says, figures);
    }
    let told = rises_say(&rises);
    let summary = format!("Network policy denies traffic here now ({told}), and what fails fits it.");
    // A probe that left the pod was not denied there: then only its far end or the way back can deny it.
    let confidence = if probe_flow(case) == ProbeFlow::Unanswered { Confidence::Low } else { Confidence::Medium };
    let mut says = Says::new(format!("between two readings: {told}"), figures);
    says.figures.extend(rises_figures(&rises));
    let mut opinion = Opinion::new(Code::PolicyDenied, confidence, summary)
        .because(Because::said(case.beyond.drops_from.name(), says))
        .because(egress_says(case));
    let failing = case.egress.failing.iter().map(|pod| Affected {
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        says: "its probe fails".to_owned(),
    });
    opinion.affected = failing.chain(cut_off_pods(case).into_iter().map(Into::into)).collect();
    Exclusion::applies(opinion)
}

/// Packets that a policy denies where the resolver of this node receives them: of the host itself in `bpf_host.c`.
pub(super) fn denied_on_arrival(case: &Case) -> Option<Says> {
    let on_host = case.around.node_local_dns.pod.as_ref().is_none_or(|pod| pod.host_network);
    let there = |rise: &Rise| {
        let at_host = rise.counter.file().is_none_or(|file| file == "bpf_host.c");
        rise.counter.way == MetricDirection::Ingress && (at_host || !on_host)
    };
    let rises: Vec<Rise> = case.rising(POLICY_DENIED).into_iter().filter(there).collect();
    (packets_of(&rises) >= SEVERAL).then(|| Says {
        text: format!("packets are denied by policy on arrival ({})", rises_say(&rises)),
        figures: rises_figures(&rises),
    })
}

/// Whether kubelet's probes die while packets are denied on their way into pods.
fn kubelets_probes_denied(case: &Case) -> bool {
    let into_pods = |rise: &Rise| rise.counter.way == MetricDirection::Ingress && rise.packets >= SEVERAL;
    dead_ways(case).iter().any(|way| way.fate == Fate::HostIn) && case.rising(POLICY_DENIED).iter().any(into_pods)
}

/// Lines of the counters that could not be read: what they count may have risen.
fn unread(case: &Case) -> Option<Exclusion> {
    let readings = [case.beyond.drops.seen(), case.beyond.drops_again.seen()];
    let lines = readings.into_iter().flatten().map(|drops| drops.unread).max().filter(|lines| *lines > 0)?;
    let are = if lines == 1 { "1 line" } else { &format!("{lines} lines") };
    let says = format!("{are} of the drop counters could not be read, and what they count may be what fails");
    Some(Exclusion::open(says, case.beyond.drops_from.name()))
}

/// `datapath-drops`: another reason rises while something fails.
pub(super) fn others(case: &Case) -> Exclusion {
    if case.beyond.drops.seen().is_none() {
        return beyond(&case.beyond.drops, case.beyond.drops_from, |_| Exclusion::NotApplicable);
    }
    if !matches!(case.rises(), Some(Rises::Between(_))) {
        return not_looked(Evidence::DropMetricsAgain, "dropped packets were counted only once");
    }
    // These two have verdicts of their own.
    let own = |rise: &Rise| rise.counter.is_about(POLICY_DENIED) || rise.counter.is_about(MISSED_TAIL_CALL);
    let all = case.rising("");
    let missed = all.iter().any(|rise| rise.counter.is_about(MISSED_TAIL_CALL));
    let rises: Vec<_> = all.into_iter().filter(|rise| !own(rise)).collect();
    let (told, packets) = (rises_say(&rises), packets_of(&rises));
    let telling = rises.iter().any(|rise| TELLING.iter().any(|reason| rise.counter.is_about(reason)));
    if rises.is_empty() && missed {
        return Exclusion::NotApplicable;
    }
    if rises.is_empty() {
        let denied = packets_of(&case.rising(POLICY_DENIED));
        let other = if denied > 0 { "other " } else { "" };
        let says = format!("no {other}drop counter rose between two readings");
        return unread(case).unwrap_or_else(|| Exclusion::out(says, [("dropped", 0_i64.into())]));
    }
    let mut figures = rises_figures(&rises);
    figures.insert("dropped".to_owned(), packets.into());
    if !telling {
        let text = format!("packets are dropped ({told}), for reasons that healthy nodes have too");
        return Exclusion::RuledOut(Says { text, figures });
    }
    let refused: u64 = REFUSING.iter().map(|reason| packets_of(&case.rising(reason))).sum();
    let in_trouble = in_trouble(case);
    if !in_trouble && refused < SEVERAL {
        let text = format!("packets are dropped ({told}), but nothing that was looked at fails");
        return Exclusion::RuledOut(Says { text, figures });
    }
    let summary = format!("The datapath drops packets for a stated reason: {told}.");
    let says = Says { text: format!("between two readings: {told}"), figures };
    let mut opinion = Opinion::new(Code::DatapathDrops, Confidence::Medium, summary)
        .because(Because::said(case.beyond.drops_from.name(), says));
    if !in_trouble {
        opinion = opinion
            .at_most(Confidence::Low, "what was probed got through: only some connections are lost")
            .because(egress_says(case));
    }
    Exclusion::applies(opinion)
}
