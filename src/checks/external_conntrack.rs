//! `external-conntrack`: do connections from pods to the outside exist, and are they answered?

use super::dns_conntrack::{Dump, unlisted};
use super::{ExternalConntrackData, Finding, Status, WorldFigures};
use crate::base::failure::{Failure, FailureKind};
use crate::base::questions::Questions;
use crate::kubernetes::node_view::NodeView;
use crate::ways::counts::Counts;
use crate::ways::group::Group;
use crate::ways::life::is_dead;
use crate::ways::way::part_of_world_lives;

/// Reads the dump for flows to the world.
#[must_use]
pub fn judge(
    dump: &Dump,
    questions: &Questions,
    around: &NodeView,
    duration_ms: Option<u64>,
) -> Finding<ExternalConntrackData> {
    let prefixes: Vec<String> = questions.external.iter().map(ToString::to_string).collect();
    let Some(picture) = dump.picture() else {
        let data = ExternalConntrackData { prefixes, ..ExternalConntrackData::default() };
        return Finding::without_dump(dump.failure().cloned(), duration_ms, data);
    };
    let runbook = &picture.runbook;
    let tcp = figures(picture.group(Group::WorldTcp), runbook.listed_tcp);
    let udp = figures(picture.group(Group::WorldUdp), runbook.listed_udp);
    let world = picture.sum(&Group::WORLD);
    let (dead, decided) = (world.dead(), world.decided());
    let flows = format!("live flows to the outside{}", world.if_judged());
    let listed = tcp.listed + udp.listed + runbook.listed_other;
    let (status, summary, reason) = if picture.entries == 0 {
        let why = "the dump is empty, so nothing can be judged from it".to_owned();
        (Status::Unknown, why.clone(), Some(Failure::new(FailureKind::Other, why)))
    } else if let Some(failure) = unlisted(around, &world) {
        (Status::Unknown, failure.message.clone(), Some(failure))
    } else if world.live() == 0 {
        let why = "no pod talks to the outside right now: no traffic proves nothing".to_owned();
        (Status::NotApplicable, why, None)
    } else if decided == 0 {
        let why = format!("{} live flows to the outside, none of them recent enough to judge", world.live());
        (Status::Unknown, why.clone(), Some(Failure::new(FailureKind::Other, why)))
    } else if is_dead(&world) && !part_of_world_lives(picture) && picture.waiting(&Group::WORLD).nth(1).is_some() {
        // One pod alone may ask a far end that answers no one.
        (Status::Fail, format!("{dead} of {decided} {flows} get no answer"), None)
    } else if dead * 2 > decided {
        (Status::Warn, format!("{dead} of {decided} {flows} get no answer"), None)
    } else {
        (Status::Pass, format!("{} of {decided} {flows} are answered", world.answered), None)
    };
    let data = if unlisted(around, &world).is_some() {
        ExternalConntrackData { prefixes, listed: Some(listed), ..ExternalConntrackData::default() }
    } else {
        ExternalConntrackData {
            prefixes,
            listed: Some(listed),
            world: Some(tcp.world + udp.world),
            world_answered: Some(tcp.world_answered + udp.world_answered),
            world_unanswered: Some(tcp.world_unanswered + udp.world_unanswered),
            tcp: Some(tcp),
            udp: Some(udp),
        }
    };
    Finding { status, summary, reason, duration_ms, data }
}

fn figures(counts: &Counts, listed: u64) -> WorldFigures {
    WorldFigures {
        listed,
        world: counts.live().into(),
        world_answered: counts.answered.into(),
        world_unanswered: counts.dead().into(),
    }
}
