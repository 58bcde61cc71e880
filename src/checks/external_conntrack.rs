//! `external-conntrack`: do connections from pods to the outside exist, and are they answered?

use super::dns_conntrack::{Dump, is_dead};
use super::{ExternalConntrackData, Finding, Status, WorldFigures};
use crate::cilium::conntrack::picture::{Counts, Group, Picture};
use crate::gather::{Failure, FailureKind};
use crate::settings::Questions;

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
    } else if is_dead(&world) {
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

/// TCP and UDP to the world together.
#[must_use]
pub fn world(picture: &Picture) -> Counts {
    picture.group(Group::WorldTcp).and(picture.group(Group::WorldUdp))
}

fn figures(counts: &Counts, listed: u64) -> WorldFigures {
    WorldFigures {
        listed,
        world: counts.live().into(),
        world_answered: (counts.answered + counts.idle).into(),
        world_unanswered: counts.dead().into(),
    }
}
