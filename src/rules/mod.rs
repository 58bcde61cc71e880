//! Findings into a verdict.
//!
//! [`witnesses`] says how each independent group of flows does, [`lookalikes`] hears the other side, [`stale`] says
//! what it takes to call a node stale, [`fleet`] compares nodes, [`remedy`] names what to do, and [`signs`] which
//! upstream issues it may be. Here they are put in order.
//! Nothing in this module knows a network, a clock or a terminal.

pub mod case;
pub mod fleet;
pub mod lookalikes;
pub mod remedy;
pub mod signs;
pub mod stale;
pub mod verdict;
pub mod witnesses;

use crate::base::failure::{Failure, FailureKind};
use crate::checks::Status;
use crate::checks::dns_conntrack::is_dead;
use crate::checks::external_conntrack::{WORLD, world};
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::{Code, Kind};
use crate::kubernetes::agents::Agent;
use crate::ways::picture::{Group, Picture};
use case::Case;
use fleet::Neighbour;
use lookalikes::LOOK_ALIKES;
use stale::Held;
use verdict::{Affected, Because, Confidence, RuledOut, Verdict};
use witnesses::{DnsLife, HostWitness, Life, ProbeFlow, dns_life, host, of_many, probe_flow, probes_say, world_life};

/// What one rule thinks.
#[derive(Clone, Debug)]
pub struct Opinion {
    /// The code.
    pub code: Code,
    /// How sure.
    pub confidence: Confidence,
    /// One sentence.
    pub summary: String,
    /// The reasons.
    pub because: Vec<Because>,
    /// The pods that are hit.
    pub affected: Vec<Affected>,
}

impl Opinion {
    /// An opinion without reasons yet.
    pub fn new(code: Code, confidence: Confidence, summary: impl Into<String>) -> Self {
        Self { code, confidence, summary: summary.into(), because: Vec::new(), affected: Vec::new() }
    }

    /// The same with one more reason.
    #[must_use]
    pub fn because(mut self, reason: Because) -> Self {
        self.because.push(reason);
        self
    }
}

/// What is said of one node, before nodes are compared.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The pods that are hit.
    pub affected: Vec<Affected>,
    /// Whether anything looks broken, whatever the verdict.
    pub in_trouble: bool,
    /// Things to know that change nothing.
    pub notes: Vec<String>,
    /// What was seen of a neighbour, where this node was judged alone.
    pub neighbour: Option<Neighbour>,
}

/// Judges one node by itself.
#[must_use]
pub fn judge(case: &Case) -> Judgement {
    let mut opinion = decide(case);
    let kind = opinion.code.kind();
    let unseen = case.beyond.not_looked_at();
    let age_known = case.agent_age_s().is_some_and(|age| age >= 0);
    // What nobody looked at might have said otherwise.
    if kind != Kind::Healthy && case.agent().is_some() && !unseen.is_empty() || kind == Kind::Stale && !age_known {
        opinion.confidence = opinion.confidence.min(Confidence::Medium);
    }
    let ruled_out = if kind != Kind::Healthy && case.agent().is_some() {
        let others = LOOK_ALIKES.iter().filter(|other| other.code != opinion.code);
        others.map(|other| RuledOut { code: other.code, says: (other.ruled_out)(case) }).collect()
    } else {
        Vec::new()
    };
    Judgement {
        verdict: Verdict {
            kind,
            code: opinion.code,
            confidence: opinion.confidence,
            summary: opinion.summary,
            because: opinion.because,
            ruled_out,
        },
        affected: opinion.affected,
        in_trouble: lookalikes::in_trouble(case),
        notes: notes(case),
        neighbour: None,
    }
}

fn decide(case: &Case) -> Opinion {
    if let Agent::Unknown(failure) = &case.around.agent {
        return missing("the cluster's pods could not be listed", failure, "pods");
    }
    // Direct signs of missing programs are asked before the look-alikes that rest on flows alone.
    let (direct, by_flows) = LOOK_ALIKES.split_at(5);
    if let Some(opinion) = direct.iter().find_map(|other| (other.find)(case)) {
        return opinion;
    }
    if let Some(opinion) = stale::programs_missing(case) {
        return opinion;
    }
    if let Some(opinion) = by_flows.iter().find_map(|other| (other.find)(case)) {
        return opinion;
    }
    if let Some(opinion) = no_dump(case).or_else(|| contradiction(case)) {
        return opinion;
    }
    let silent = match stale::datapath(case) {
        Held::Stale(opinion) => return opinion,
        Held::Silent(why) => Some(why),
        Held::No => None,
    };
    if let Some(opinion) = stale::service_map(case).or_else(|| stale::selective(case)) {
        return opinion;
    }
    if let Some(why) = silent {
        let summary = format!("DNS of this node's pods is dead, but it cannot be told why: {why}.");
        return Opinion::new(Code::EvidenceMissing, Confidence::Medium, summary)
            .because(Because::check(CheckId::DnsConntrack, why));
    }
    egress_broken(case).or_else(|| unanswered_checks(case)).or_else(|| odd(case)).unwrap_or_else(|| healthy(case))
}

/// A check that decides could not be run.
fn missing(what: &str, failure: &Failure, check: &str) -> Opinion {
    let summary = format!("This node cannot be judged: {what}: {}.", failure.message.trim_end_matches('.'));
    Opinion::new(Code::EvidenceMissing, Confidence::High, summary)
        .because(Because::evidence(check, failure.message.clone()))
}

/// The dump was cut, is missing, or is empty.
fn no_dump(case: &Case) -> Option<Opinion> {
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
        Dump::Missing(failure) => Some(missing("the conntrack dump could not be had", failure, "dns-conntrack")),
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
fn contradiction(case: &Case) -> Option<Opinion> {
    let probes_pass = case.egress.by_name == Some(true) && case.egress.dns != Some(false) && !case.egress.mixed;
    if !probes_pass {
        return None;
    }
    let dns_dead = dns_life(case) == DnsLife::Dead;
    let world_is_dead = |picture: &Picture| {
        let counts = world(picture);
        world_life(case) == Life::Dead && is_dead(&counts) && counts.dead_peers >= 3 && of_many(picture, &WORLD)
    };
    if !dns_dead && !case.picture().is_some_and(world_is_dead) {
        return None;
    }
    let summary = "The evidence contradicts itself: a pod's probes pass while the dump shows flows without answers.";
    let mut opinion = Opinion::new(Code::EvidenceContradictory, Confidence::Medium, summary)
        .because(Because::check(CheckId::PodEgress, case.egress.finding.summary.clone()));
    if dns_dead && let Some(quote) = case.quote(Group::NodeLocalDns) {
        opinion.because.push(Because::check(CheckId::DnsConntrack, quote));
    }
    opinion.because.extend(witnesses::dead_groups(case));
    Some(opinion)
}

/// Pod egress fails, the host is fine, DNS is not dead, and nothing else explains it.
fn egress_broken(case: &Case) -> Option<Opinion> {
    if case.egress.by_address != Some(false) && case.egress.by_name != Some(false) {
        return None;
    }
    if matches!(host(case), HostWitness::Nobody | HostWitness::Down) {
        let failure = case.host.reason.clone();
        let failure = failure.unwrap_or_else(|| Failure::new(FailureKind::Other, case.host.summary.clone()));
        return Some(missing("pods do not reach the outside, and nobody speaks for the host", &failure, "host-ping"));
    }
    let by_name_only = case.egress.by_address == Some(true);
    let answers =
        dns_life(case) == DnsLife::Alive || case.egress.dns == Some(true) || case.egress.by_name == Some(true);
    if !answers && !by_name_only {
        let says = "neither the dump nor a lookup says that DNS is answered, so it may be more than egress";
        let failure = Failure::new(FailureKind::Other, says);
        return Some(missing("pods do not reach the outside", &failure, "dns-conntrack"));
    }
    let summary = if by_name_only {
        "Pods reach the outside by address but not by name, and the datapath answers their DNS: look further up."
    } else {
        "Pods do not reach the outside although the host does, and nothing known explains it."
    };
    let confidence = if by_name_only { Confidence::Low } else { Confidence::Medium };
    let mut opinion = Opinion::new(Code::EgressBroken, confidence, summary)
        .because(probes_say(case))
        .because(Because::check(CheckId::HostPing, lookalikes::host_up(case)));
    if let Some(quote) = case.quote(Group::NodeLocalDns) {
        opinion.because.push(Because::check(CheckId::DnsConntrack, quote));
    }
    Some(opinion)
}

/// Nothing failed, but a check that could say otherwise was not answered.
fn unanswered_checks(case: &Case) -> Option<Opinion> {
    if case.egress.by_name.is_none() && case.egress.by_address.is_none() {
        let unknown = || Failure::new(FailureKind::NotFound, "no pod probed");
        let failure = case.egress.finding.reason.clone().unwrap_or_else(unknown);
        let refused = matches!(failure.kind, FailureKind::Forbidden | FailureKind::Timeout);
        if matches!(dns_life(case), DnsLife::Few | DnsLife::FewDead) && !refused {
            let summary =
                format!("Nothing failed, but there is too little to see: {}.", failure.message.trim_end_matches('.'));
            return Some(
                Opinion::new(Code::TooLittleTraffic, Confidence::High, summary)
                    .because(Because::check(CheckId::PodEgress, failure.message))
                    .because(Because::check(CheckId::DnsConntrack, "fewer than 10 live flows to node-local DNS")),
            );
        }
        return Some(missing("no pod could say whether it reaches the outside", &failure, "pod-egress"));
    }
    let failure = case.backends.finding.reason.as_ref()?;
    Some(missing("the service table could not be held against the endpoints", failure, "dns-backends"))
}

/// Neither dead nor healthy.
fn odd(case: &Case) -> Option<Opinion> {
    let mixed = case.egress.mixed.then(|| case.egress.finding.summary.clone());
    let lookups =
        (case.egress.dns == Some(false)).then(|| "lookups of cluster names fail while other names work".to_owned());
    let flows = matches!(dns_life(case), DnsLife::Mixed | DnsLife::DeadForOne | DnsLife::Dead)
        .then(|| case.quote(Group::NodeLocalDns))
        .flatten();
    let (check, says) = match (mixed, lookups, flows) {
        (Some(says), ..) | (_, Some(says), _) => (CheckId::PodEgress, says),
        (.., Some(says)) => (CheckId::DnsConntrack, says),
        (None, None, None) => return None,
    };
    let summary = format!("The evidence contradicts itself: {says}, yet other checks pass.");
    Some(
        Opinion::new(Code::EvidenceContradictory, Confidence::Medium, summary)
            .because(Because::check(check, says))
            .because(Because::check(CheckId::PodEgress, case.egress.finding.summary.clone())),
    )
}

fn healthy(case: &Case) -> Opinion {
    let all_pass = [case.host.status, case.egress.finding.status, case.backends.finding.status]
        .iter()
        .all(|status| *status == Status::Pass);
    let confidence = if all_pass && dns_life(case) == DnsLife::Alive { Confidence::High } else { Confidence::Medium };
    let mut opinion = Opinion::new(Code::Healthy, confidence, "Pods of this node reach DNS and the outside.")
        .because(Because::check(CheckId::PodEgress, case.egress.finding.summary.clone()));
    if let Some(quote) = case.quote(Group::NodeLocalDns)
        && dns_life(case) == DnsLife::Alive
    {
        opinion.because.push(Because::check(CheckId::DnsConntrack, quote));
    }
    opinion
}

/// Things to know that change no verdict.
fn notes(case: &Case) -> Vec<String> {
    use crate::ways::picture::Group;
    let mut notes = Vec::new();
    if host(case) == HostWitness::Down && case.egress.by_name.or(case.egress.by_address) == Some(true) {
        notes.push("the host's ping is not answered, but pods reach the outside: the ping is filtered".to_owned());
    }
    let Some(picture) = case.picture() else {
        return notes;
    };
    let gone = picture.group(Group::GoneDns);
    if gone.live() > 0 {
        notes.push(format!(
            "{} live sockets of pods are connected to DNS pods that no longer exist; restart those clients if they complain",
            gone.live()
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
    if world_life(case) == Life::Dead && case.egress.by_address == Some(true) {
        notes.push("the probe reaches the outside, though other pods' connections there get no answer".to_owned());
    }
    notes
}
