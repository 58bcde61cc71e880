//! `external-conntrack`: do connections from pods to the outside exist, and are they answered?

use super::dns_conntrack::{Dump, is_dead};
use super::{ExternalConntrackData, Finding, Status, WorldFigures};
use crate::base::failure::{Failure, FailureKind};
use crate::base::questions::Questions;
use crate::ways::picture::{Counts, Group, Picture};

/// Reads the dump for flows to the world.
#[must_use]
pub fn judge(dump: &Dump, questions: &Questions, duration_ms: Option<u64>) -> Finding<ExternalConntrackData> {
    let prefixes: Vec<String> = questions.external.iter().map(ToString::to_string).collect();
    let Some(picture) = dump.picture() else {
        let failure = dump.failure().cloned();
        return Finding {
            status: Status::Unknown,
            summary: failure.as_ref().map_or_else(String::new, |f| f.message.clone()),
            reason: failure,
            duration_ms,
            data: ExternalConntrackData { prefixes, ..ExternalConntrackData::default() },
        };
    };
    let runbook = &picture.runbook;
    let tcp = figures(picture.group(Group::WorldTcp), runbook.listed_tcp);
    let udp = figures(picture.group(Group::WorldUdp), runbook.listed_udp);
    let world = world(picture);
    let (dead, decided) = (world.dead(), world.decided());
    let listed = tcp.listed + udp.listed + runbook.listed_other;
    let (status, summary, reason) = if picture.entries == 0 {
        let why = "the dump is empty: nothing can be told from it".to_owned();
        (Status::Unknown, why.clone(), Some(Failure::new(FailureKind::Other, why)))
    } else if world.live() == 0 {
        let why = "no pod talks to the outside right now: no traffic proves nothing".to_owned();
        (Status::NotApplicable, why, None)
    } else if is_dead(&world) && !a_way_lives(picture) && picture.waiting(&WORLD).nth(1).is_some() {
        // One pod alone may ask what nobody answers.
        (Status::Fail, format!("{dead} of {decided} live flows to the outside get no answer"), None)
    } else if dead * 2 > decided {
        (Status::Warn, format!("{dead} of {decided} live flows to the outside get no answer"), None)
    } else {
        let answered = world.answered + world.idle;
        (Status::Pass, format!("{answered} of {} live flows to the outside are answered", world.live()), None)
    };
    let data = ExternalConntrackData {
        prefixes,
        listed: Some(listed),
        world: Some(tcp.world + udp.world),
        world_answered: Some(tcp.world_answered + udp.world_answered),
        world_unanswered: Some(tcp.world_unanswered + udp.world_unanswered),
        tcp: Some(tcp),
        udp: Some(udp),
    };
    Finding { status, summary, reason, duration_ms, data }
}

/// The groups of pods' flows to the world.
pub const WORLD: [Group; 2] = [Group::WorldTcp, Group::WorldUdp];

/// TCP and UDP to the world together.
#[must_use]
pub fn world(picture: &Picture) -> Counts {
    picture.group(Group::WorldTcp).and(picture.group(Group::WorldUdp))
}

/// Whether the world answers by one of TCP and UDP over IPv4 or IPv6: now, or it did, and nothing there waits in vain.
/// Where UDP is blocked, or a site has no IPv6, the other way lives.
#[must_use]
pub fn a_way_lives(picture: &Picture) -> bool {
    /// So many flows tell something.
    const FEW: u32 = 3;
    WORLD.iter().any(|group| {
        [true, false].into_iter().any(|v4| {
            let of_family = picture.endpoints.iter().filter(|e| e.address.is_some_and(|ip| ip.is_ipv4() == v4));
            let way = of_family.fold(Counts::default(), |sum, endpoint| sum.and(endpoint.group(*group)));
            let now = way.decided() >= FEW && way.dead() * 2 <= way.decided();
            now || way.dead() == 0 && way.answered + way.idle >= FEW
        })
    })
}

fn figures(counts: &Counts, listed: u64) -> WorldFigures {
    WorldFigures {
        listed,
        world: counts.live().into(),
        world_answered: (counts.answered + counts.idle).into(),
        world_unanswered: counts.dead().into(),
    }
}
