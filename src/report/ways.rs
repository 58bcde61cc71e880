//! How each way of packets of a node does, and when its pods last got an answer: what pictures and tables of ways show.

use serde::{Deserialize, Serialize};

use crate::base::time::Timestamp;
use crate::rules::case::Case;
use crate::ways::group::Group;
use crate::ways::life::{FEW, Life};
use crate::ways::picture::Picture;
use crate::ways::way::{Way, WayState};

/// So many pods are listed, those with the most flows without answer first.
const MOST_PODS: usize = 12;

/// What pods ask themselves: their last answer is of these.
const ASKED: [Group; 9] = [
    Group::NodeLocalDns,
    Group::LinkLocalDns,
    Group::ClusterDns,
    Group::PodToHost,
    Group::PodToOtherHost,
    Group::PodToLocalPod,
    Group::PodToRemotePod,
    Group::WorldTcp,
    Group::WorldUdp,
];

/// How one way of packets does, by the live flows of the conntrack table that can be judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayFigures {
    /// `dns`, `dns-upstream`, or the name of a [`Way`].
    pub way: String,
    /// The same in words: "pods to node-local DNS".
    pub label: String,
    /// Whether it is alive.
    pub life: Life,
    /// Flows that are answered.
    pub answered: u32,
    /// Flows that are not, or no longer.
    pub unanswered: u32,
    /// Pods with flows that are answered.
    pub pods_answered: usize,
    /// Pods with flows that are not.
    pub pods_unanswered: usize,
    /// The latest answer of any flow, RFC 3339; null where none ever came, or the moment of the table is not known.
    pub last_answer: Option<String>,
}

impl WayFigures {
    /// Flows that can be judged.
    #[must_use]
    pub const fn judged(&self) -> u32 {
        self.answered + self.unanswered
    }
}

/// When a pod with flows without answer last got one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAnswer {
    /// The pod's namespace, where its address is a known pod's.
    pub namespace: Option<String>,
    /// The pod's name, where its address is a known pod's.
    pub pod: Option<String>,
    /// Its address.
    pub address: String,
    /// Of the flows that it began: those that are answered.
    pub answered: u32,
    /// Those that are not, or no longer.
    pub unanswered: u32,
    /// Its latest answer, RFC 3339; null where the table holds none.
    pub last_answer: Option<String>,
}

/// The ways of this node that have flows which can be judged; empty without a conntrack table.
#[must_use]
pub fn ways(case: &Case) -> Vec<WayFigures> {
    let Some(picture) = case.picture() else { return Vec::new() };
    let upstream = WayState::of_groups(picture, &[Group::DnsUpstream], FEW);
    let by_name = [
        ("dns", format!("pods to {}", case.dns.path.label()), case.dns.state),
        ("dns-upstream", Group::DnsUpstream.label().to_owned(), upstream),
    ];
    let others = Way::ALL.iter().map(|way| (way.name(), way.label().to_owned(), case.way(*way)));
    let all = by_name.into_iter().chain(others).filter(|(.., state)| state.counts.decided() > 0);
    all.map(|(way, label, state)| WayFigures {
        way: way.to_owned(),
        label,
        life: state.life,
        answered: state.counts.answered,
        unanswered: state.counts.dead(),
        pods_answered: state.pods_answered,
        pods_unanswered: state.pods_dead,
        last_answer: moment(picture, case.taken_at, state.counts.last_answer),
    })
    .collect()
}

/// The pods of this node whose own flows get no answer, those with the most of them first.
#[must_use]
pub fn last_answers(case: &Case) -> Vec<LastAnswer> {
    let Some(picture) = case.picture() else { return Vec::new() };
    let mut pods: Vec<LastAnswer> = picture
        .waiting(&ASKED)
        .filter_map(|endpoint| {
            let address = endpoint.address?;
            let counts = endpoint.sum(&ASKED);
            let pod = case.around.names.get(&address);
            Some(LastAnswer {
                namespace: pod.map(|pod| pod.namespace.clone()),
                pod: pod.map(|pod| pod.name.clone()),
                address: address.to_string(),
                answered: counts.answered,
                unanswered: counts.dead(),
                last_answer: moment(picture, case.taken_at, counts.last_answer),
            })
        })
        .collect();
    pods.sort_by(|a, b| {
        (b.unanswered, &a.namespace, &a.pod, &a.address).cmp(&(a.unanswered, &b.namespace, &b.pod, &b.address))
    });
    pods.truncate(MOST_PODS);
    pods
}

/// A moment of the table's own clock, to the second.
fn moment(picture: &Picture, taken_at: Option<Timestamp>, of_table: u32) -> Option<String> {
    let age_s = (of_table > 0).then(|| picture.age_s(of_table))?;
    #[expect(clippy::cast_possible_truncation, reason = "a table's ages are days at most")]
    let at = taken_at?.as_second().checked_sub(age_s.round() as i64)?;
    Timestamp::from_second(at).ok().map(|at| at.to_string())
}
