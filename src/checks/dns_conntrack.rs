//! `dns-conntrack`: do the DNS queries of pods get answers, from whichever resolver they really ask?

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Accounting, DnsConntrackData, DnsSource, Finding, Status};
use crate::base::answer::End;
use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;
use crate::kubernetes::node_view::NodeView;
use crate::ways::compare::cut_off;
use crate::ways::counts::Counts;
use crate::ways::dns::{Dns, DnsPath};
use crate::ways::group::Group;
use crate::ways::life::{HANDFUL, is_dead};
use crate::ways::picture::{Counters, Picture};

/// This share of flows without answer, in percent, is too much to be healthy.
const ODD_PERCENT: u32 = 20;
/// A message for each of the four maps, and kubectl's own.
const REMARKS: u64 = 5;
/// Of the lines that should be entries, more than this share unread makes the whole unreadable, in percent.
const UNREAD_PERCENT: u64 = 1;
/// So few unread lines among at least [`MANY_ENTRIES`] are chance: no verdict rests on one line of a small dump.
const FEW_UNREAD: u64 = 2;
/// See [`FEW_UNREAD`].
const MANY_ENTRIES: u64 = 50;

/// The dump as it was had.
#[derive(Clone, Debug)]
pub enum Dump {
    /// Read to its end.
    Whole(Box<Picture>),
    /// It broke off; its figures describe only a part.
    Cut(Failure),
    /// It does not exist.
    Missing(Failure),
    /// It was asked for or lies there, and cannot be read.
    Unreadable(Failure),
}

/// Whether the lines that could not be read are too few to matter.
const fn few_unread(picture: &Picture) -> bool {
    picture.unparsed <= FEW_UNREAD && picture.entries >= MANY_ENTRIES
}

impl Dump {
    /// Sorts a dump by how it ended.
    #[must_use]
    pub fn sort(end: &End, stderr: &str, picture: Picture) -> Self {
        match end {
            End::Exited(0) => {
                // Some remarks come with every dump; other text alone is not a dump.
                if picture.entries == 0 && picture.remarks > REMARKS {
                    let says =
                        format!("none of its {} lines is an entry: this is not a conntrack dump", picture.remarks);
                    return Self::Unreadable(Failure::new(FailureKind::Other, says));
                }
                if picture.broken_end {
                    let says = "its last line breaks off, though the command is said to have ended well";
                    return Self::Cut(Failure::new(FailureKind::Truncated, says));
                }
                let lines = picture.entries + picture.unparsed;
                if picture.unparsed * 100 > lines * UNREAD_PERCENT && !few_unread(&picture) {
                    let says = format!("{} of {lines} lines could not be read", picture.unparsed);
                    return Self::Unreadable(Failure::new(FailureKind::Other, says));
                }
                Self::Whole(Box::new(picture))
            }
            End::Exited(code) => {
                let said = stderr.lines().find(|l| !l.trim().is_empty()).unwrap_or("it gave no reason");
                let says = format!("the dump ended with exit code {code}: {said}");
                Self::Unreadable(Failure::new(FailureKind::Other, says))
            }
            End::Failed(failure) if failure.kind == FailureKind::Truncated => Self::Cut(failure.clone()),
            // A deadline that passed while lines came is a cut as well.
            End::Failed(failure) if failure.kind == FailureKind::Timeout && picture.entries > 0 => {
                Self::Cut(failure.clone())
            }
            End::Failed(failure) if failure.kind == FailureKind::NotFound => Self::Missing(failure.clone()),
            End::Failed(failure) => Self::Unreadable(failure.clone()),
            End::NotGathered(why) => Self::Missing(Failure::new(FailureKind::NotFound, why.clone())),
        }
    }

    /// The picture, where the dump was read whole.
    #[must_use]
    pub fn picture(&self) -> Option<&Picture> {
        match self {
            Self::Whole(picture) => Some(picture),
            Self::Cut(_) | Self::Missing(_) | Self::Unreadable(_) => None,
        }
    }

    /// Why the picture is missing.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Whole(_) => None,
            Self::Cut(failure) | Self::Missing(failure) | Self::Unreadable(failure) => Some(failure),
        }
    }
}

/// Reads the dump for node-local DNS.
#[must_use]
pub fn judge(dump: &Dump, dns: &Dns, around: &NodeView, duration_ms: Option<u64>) -> Finding<DnsConntrackData> {
    let address = around.node_local_dns.addresses.first().map_or(String::new(), |ip| with_port(*ip));
    let Some(picture) = dump.picture() else {
        let data = DnsConntrackData {
            address,
            path: dns.path,
            addresses: dns.addresses.iter().map(ToString::to_string).collect(),
            ..DnsConntrackData::default()
        };
        return Finding::without_dump(dump.failure().cloned(), duration_ms, data);
    };
    let counts = &dns.state.counts;
    let (status, summary, reason) = say(picture, dns, around);
    let data = DnsConntrackData {
        address,
        path: dns.path,
        addresses: dns.addresses.iter().map(ToString::to_string).collect(),
        entries: Some(picture.runbook.dns),
        packets_zero: (picture.counters.absent == 0).then_some(picture.runbook.dns_packets_zero),
        live: Some(counts.live().into()),
        answered: Some((counts.answered + counts.idle).into()),
        idle: (counts.idle > 0).then(|| counts.idle.into()),
        unanswered: Some(counts.unanswered.into()),
        stopped: Some(counts.stopped.into()),
        in_flight: Some(counts.in_flight.into()),
        expired: Some(counts.expired.into()),
        accounting: accounting(picture.counters),
        sources: sources(picture, dns.path.groups(), &around.names),
    };
    let data = if unlisted(around, counts).is_some() {
        let [live, answered, idle, unanswered, stopped, in_flight, expired] = [None; 7];
        DnsConntrackData { live, answered, idle, unanswered, stopped, in_flight, expired, ..data }
    } else {
        data
    };
    Finding { status, summary, reason, duration_ms, data }
}

fn say(picture: &Picture, dns: &Dns, around: &NodeView) -> (Status, String, Option<Failure>) {
    let counts = &dns.state.counts;
    let (dead, decided, whom) = (counts.dead(), counts.decided(), dns.path.label());
    let flows = format!("live flows to {whom}{}", counts.if_judged());
    let unknown = |kind, why: String| (Status::Unknown, why.clone(), Some(Failure::new(kind, why)));
    if picture.entries == 0 {
        return unknown(FailureKind::Other, "the dump is empty, so nothing can be judged from it".to_owned());
    }
    if let Some(failure) = unlisted(around, counts) {
        return (Status::Unknown, failure.message.clone(), Some(failure));
    }
    if counts.live() == 0 && dns.path != DnsPath::NodeLocal && !around.node_local_dns.deployed {
        let says = format!("no pod of this node has a live DNS flow, to {whom} or any other resolver");
        return (Status::NotApplicable, says, None);
    }
    if is_dead(counts) {
        return (Status::Fail, format!("{dead} of {decided} {flows} get no answer"), None);
    }
    if decided < HANDFUL {
        let flows = if decided == 1 { "flow" } else { "flows" };
        let says = format!("too few live flows to {whom} to judge: {decided} {flows}, {dead} without answer");
        return unknown(FailureKind::Other, says);
    }
    if !cut_off(picture, dns.path.groups()).is_empty() {
        let says = format!("{dead} of {decided} {flows} get no answer, nearly all of the same few pods");
        return (Status::Fail, says, None);
    }
    if dead * 100 >= decided * ODD_PERCENT {
        return (Status::Warn, format!("{dead} of {decided} {flows} get no answer"), None);
    }
    (Status::Pass, format!("{} of {decided} {flows} are answered", counts.answered), None)
}

/// Why it is not known whether pods have flows, where none was recognized: not all pods could be listed.
pub(super) fn unlisted(around: &NodeView, counts: &Counts) -> Option<Failure> {
    let gap = around.pods_gap.as_ref().filter(|_| counts.live() == 0)?;
    let why = format!("the flows of pods cannot be recognized without the whole list of pods: {}", gap.message);
    Some(Failure { message: why, ..gap.clone() })
}

fn accounting(counters: Counters) -> Accounting {
    match counters {
        Counters { split: 1.., .. } => Accounting::Split,
        Counters { total_not_zero: 1.., .. } => Accounting::Total,
        Counters { total: 1.., .. } => Accounting::Off,
        Counters { absent: 1.., .. } => Accounting::Absent,
        _ => Accounting::Unknown,
    }
}

/// The sources, worst first; those without live flows are left out.
fn sources(picture: &Picture, groups: &[Group], names: &BTreeMap<IpAddr, PodRef>) -> Vec<DnsSource> {
    /// More than a node has pods by default.
    const MOST: usize = 256;
    let live = picture.endpoints.iter().filter_map(|endpoint| {
        let counts = endpoint.sum(groups);
        (counts.decided() + counts.idle > 0).then_some((endpoint.address?, counts))
    });
    let mut live: Vec<(IpAddr, Counts)> = live.collect();
    live.sort_by_key(|(ip, counts)| (std::cmp::Reverse(counts.dead()), counts.answered, *ip));
    live.truncate(MOST);
    live.into_iter()
        .map(|(ip, counts)| {
            let pod = names.get(&ip);
            DnsSource {
                address: ip.to_string(),
                namespace: pod.map(|p| p.namespace.clone()),
                pod: pod.map(|p| p.name.clone()),
                answered: (counts.answered + counts.idle).into(),
                unanswered: counts.unanswered.into(),
                stopped: counts.stopped.into(),
            }
        })
        .collect()
}

/// `169.254.25.10:53`, `[fd00::10]:53`.
fn with_port(ip: IpAddr) -> String {
    std::net::SocketAddr::new(ip, 53).to_string()
}
