//! The witnesses: independent groups of flows, and who speaks for the host.

use crate::base::clock::seconds_between;
use crate::checks::Status;
use crate::checks::dns_conntrack::{DEAD_PERCENT, cut_off, is_dead};
use crate::checks::external_conntrack::{WORLD, a_way_lives, world};
use crate::knowledge::check_id::CheckId;
use crate::rules::case::Case;
use crate::rules::verdict::Because;
use crate::ways::picture::{Counts, Endpoint, Group, Picture};

/// A group other than DNS needs this many flows to be called dead.
const FEW: u32 = 3;

/// How a group of flows does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Mostly answered.
    Alive,
    /// Hardly ever answered.
    Dead,
    /// Neither.
    Mixed,
    /// Too few flows to tell.
    Unseen,
}

/// How these flows do, where at least `least` of them must tell something.
#[must_use]
pub const fn life(counts: &Counts, least: u32) -> Life {
    let (dead, decided) = (counts.dead(), counts.decided());
    if decided < least {
        Life::Unseen
    } else if dead * 100 >= decided * DEAD_PERCENT {
        Life::Dead
    } else if dead * 2 <= decided {
        Life::Alive
    } else {
        Life::Mixed
    }
}

/// How a group other than DNS does. None without a dump.
#[must_use]
pub fn group_life(case: &Case, group: Group) -> Life {
    case.picture().map_or(Life::Unseen, |picture| life(picture.group(group), FEW))
}

/// The same, where long-lived connections count although no packet passed lately: a weaker word for "alive".
#[must_use]
pub fn life_with_idle(case: &Case, group: Group) -> Life {
    let mut counts = case.picture().map_or_else(Counts::default, |picture| *picture.group(group));
    counts.answered += counts.idle;
    life(&counts, FEW)
}

/// How the world does, TCP and UDP together. One far end that is down is not the world, and neither is one way to it:
/// where UDP is blocked, or a site has no IPv6, the other way lives.
#[must_use]
pub fn world_life(case: &Case) -> Life {
    case.picture().map_or(Life::Unseen, world_life_in)
}

/// The same by a dump alone.
#[must_use]
pub fn world_life_in(picture: &Picture) -> Life {
    let counts = world(picture);
    match life(&counts, FEW) {
        Life::Dead if counts.dead_peers < 2 || a_way_lives(picture) => Life::Mixed,
        other => other,
    }
}

/// How node-local DNS does, by the dump.
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

/// How node-local DNS does, by the dump.
#[must_use]
pub fn dns_life(case: &Case) -> DnsLife {
    case.picture().map_or(DnsLife::Unknown, dns_life_in)
}

/// The same by a dump alone.
#[must_use]
pub fn dns_life_in(picture: &Picture) -> DnsLife {
    let counts = picture.group(Group::NodeLocalDns);
    let of_many = picture.waiting(&[Group::NodeLocalDns]).nth(1).is_some();
    if is_dead(counts) {
        return if of_many { DnsLife::Dead } else { DnsLife::DeadForOne };
    }
    match life(counts, crate::checks::dns_conntrack::HANDFUL) {
        Life::Alive if counts.dead() * 5 <= counts.decided() => DnsLife::Alive,
        Life::Unseen if counts.dead() > 0 && counts.answered == 0 => DnsLife::FewDead,
        Life::Unseen => DnsLife::Few,
        _ => DnsLife::Mixed,
    }
}

/// What became of the probes' own connections to the outside address, by the dump that was read right after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeFlow {
    /// None is in the dump, or there is no dump: says nothing, for an entry may have been pushed out again.
    NotSeen,
    /// They left the pod, and at least one got no answer (yet).
    Unanswered,
    /// They left the pod, and all were answered: the path carries packets, whatever the tool made of them.
    Answered,
}

/// What became of the probes' own connections.
#[must_use]
pub fn probe_flow(case: &Case) -> ProbeFlow {
    let Some(counts) = case.picture().map(|picture| picture.group(Group::Probe)) else {
        return ProbeFlow::NotSeen;
    };
    match (counts.dead() + counts.in_flight, counts.answered) {
        (0, 0) => ProbeFlow::NotSeen,
        (0, _) if answered_since_asked(case, counts) => ProbeFlow::Answered,
        (0, _) => ProbeFlow::NotSeen,
        _ => ProbeFlow::Unanswered,
    }
}

/// Whether an answer came back after the probe was sent: older ones are of the pod's other connections.
fn answered_since_asked(case: &Case, counts: &Counts) -> bool {
    let asked = case.egress.by_address_at.as_deref();
    let between = asked.zip(case.taken_at.as_deref()).and_then(|(asked, taken)| seconds_between(asked, taken));
    let age = case.picture().map(|picture| picture.age_s(counts.last_answer));
    // Moments are written to the second.
    #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
    between.zip(age).is_some_and(|(between, age)| between >= 0 && age <= between as f64 + 1.0)
}

/// What the probes say, with the word of the dump on their own connections beside it.
#[must_use]
pub fn probes_say(case: &Case) -> Because {
    let summary = &case.egress.finding.summary;
    Because::check(
        CheckId::PodEgress,
        match probe_flow(case) {
            ProbeFlow::NotSeen => summary.clone(),
            ProbeFlow::Unanswered => {
                format!("{summary}; the dump shows its own connection: it left the pod, and no answer came back")
            }
            ProbeFlow::Answered => {
                format!("{summary}; the dump shows its own connection: it left the pod and was answered")
            }
        },
    )
}

/// Whether the dead flows of these groups are of more than one pod, beside those that are cut off by themselves: one
/// client that gets no answers is that client's affair.
#[must_use]
pub fn of_many(picture: &Picture, groups: &[Group]) -> bool {
    let cut_off = cut_off(picture, Group::NodeLocalDns);
    let is_cut_off = |endpoint: &Endpoint| cut_off.iter().any(|(ip, _)| Some(*ip) == endpoint.address);
    picture.waiting(groups).filter(|endpoint| !is_cut_off(endpoint)).nth(1).is_some()
}

/// Groups beside DNS that are dead, each a witness for a dead datapath.
#[must_use]
pub fn dead_groups(case: &Case) -> Vec<Because> {
    let mut dead = Vec::new();
    // A probe that failed although its packets were answered failed for something else than the path.
    if case.egress.by_address == Some(false) && probe_flow(case) != ProbeFlow::Answered {
        dead.push(probes_say(case));
    }
    if world_life(case) == Life::Dead
        && let Some(picture) = case.picture()
        && of_many(picture, &WORLD)
    {
        let counts = world(picture);
        let says = format!(
            "pods to the world: {} of {} live flows get no answer, from {} different far ends",
            counts.dead(),
            counts.decided(),
            counts.dead_peers
        );
        dead.push(Because::check(CheckId::ExternalConntrack, says));
    }
    for group in [Group::PodToHost, Group::HostToPod] {
        if group_life(case, group) == Life::Dead
            && case.picture().is_some_and(|picture| of_many(picture, &[group]))
            && let Some(says) = case.quote(group)
        {
            dead.push(Because::evidence("ct-list", says));
        }
    }
    dead
}

/// Who speaks for the host's own network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostWitness {
    /// It answers for itself: SSH, or the agent's container.
    Fine,
    /// Only the dump: answered flows across nodes and of the host's own. Weaker.
    FineByDump,
    /// It does not reach the outside.
    Down,
    /// Nobody.
    Nobody,
}

/// Who speaks for the host's own network.
#[must_use]
pub fn host(case: &Case) -> HostWitness {
    match case.host.status {
        Status::Pass | Status::Warn => HostWitness::Fine,
        Status::Fail => HostWitness::Down,
        Status::Unknown | Status::NotApplicable => {
            let speaks = |groups: &[Group]| {
                let lives: Vec<Life> = groups.iter().map(|group| life_with_idle(case, *group)).collect();
                lives.contains(&Life::Alive) && !lives.contains(&Life::Dead)
            };
            // What pods send across nodes says more than what comes in: an uplink that is gone may still receive.
            let across = [Group::PodToRemotePod, Group::PodToOtherHost, Group::PodToGone, Group::RemoteToPod];
            if speaks(&across) && speaks(&[Group::HostToWorld, Group::HostToCluster]) {
                HostWitness::FineByDump
            } else {
                HostWitness::Nobody
            }
        }
    }
}
