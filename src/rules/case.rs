//! A case: everything that is known about one node when it is judged.

use crate::base::time::{Timestamp, seconds_between};
use crate::checks::dns_backends::Backends;
use crate::checks::dns_conntrack::Dump;
use crate::checks::pod_egress::Egress;
use crate::checks::{Finding, HostPingData};
use crate::cilium::drops::{Rise, Rises};
use crate::kubernetes::agents::{Agent, RunningAgent};
use crate::kubernetes::node_view::NodeView;
use crate::kubernetes::pod_trouble::PodTrouble;
use crate::rules::verdict::{Figures, Says};
use crate::ways::counts::Counts;
use crate::ways::dns::Dns;
use crate::ways::group::Group;
use crate::ways::picture::Picture;
use crate::ways::way::{Way, WayState, state};

use crate::rules::beyond::Beyond;

/// "Missed tail call EGRESS +490 (49.0/s) in bpf_host.c; …": what rose, the fastest first.
#[must_use]
pub fn rises_say(rises: &[Rise]) -> String {
    let one = |rise: &Rise| {
        let file = rise.counter.file().map_or(String::new(), |file| format!(" in {file}"));
        let way = rise.counter.way.name().to_ascii_uppercase();
        let rate = rise.per_s.map_or(String::new(), |per_s| format!(" ({per_s:.1}/s)"));
        format!("{} {way} +{}{rate}{file}", rise.counter.reason, rise.packets)
    };
    rises.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// The figures of [`rises_say`]: packets by reason and way, and the rate of each where it is known.
#[must_use]
pub fn rises_figures(rises: &[Rise]) -> Figures {
    let mut figures = Figures::new();
    for rise in rises {
        let name = format!("{} {}", rise.counter.reason, rise.counter.way.name());
        figures.extend(rise.per_s.map(|per_s| (format!("{name} per_s"), per_s.into())));
        figures.insert(name, rise.packets.into());
    }
    figures
}

/// How many packets these are together.
#[must_use]
pub fn packets(rises: &[Rise]) -> u64 {
    rises.iter().fold(0, |sum, rise| sum.saturating_add(rise.packets))
}

/// The figure that says which resolver pods ask.
pub const RESOLVER: &str = "resolver";

/// One node, all evidence together.
#[derive(Clone, Debug)]
pub struct Case {
    /// The kubeconfig context, for commands.
    pub context: Option<String>,
    /// Who is who around it.
    pub around: NodeView,
    /// When the evidence was taken, RFC 3339.
    pub taken_at: Option<Timestamp>,
    /// The host's check.
    pub host: Finding<HostPingData>,
    /// The pods' check.
    pub egress: Egress,
    /// The dump.
    pub dump: Dump,
    /// The DNS that pods ask, and how it does.
    pub dns: Dns,
    /// What the cluster says of this node's pods that do not come up or are not ready.
    pub trouble: PodTrouble,
    /// The service table's check.
    pub backends: Backends,
    /// Evidence beyond the five checks.
    pub beyond: Beyond,
}

impl Case {
    /// The running agent.
    #[must_use]
    pub const fn agent(&self) -> Option<&RunningAgent> {
        match &self.around.agent {
            Agent::Running(agent) => Some(agent),
            Agent::Unknown(_) | Agent::NotRunning { .. } => None,
        }
    }

    /// How long the agent had been running when the evidence was taken, in seconds.
    #[must_use]
    pub fn agent_age_s(&self) -> Option<i64> {
        Some(seconds_between(self.agent()?.started_at?, self.taken_at?))
    }

    /// What rose between the two readings of the drop counters; none where they were not read twice.
    #[must_use]
    pub fn rises(&self) -> Option<Rises> {
        let (first, again) = (self.beyond.drops.seen()?, self.beyond.drops_again.seen()?);
        Some(first.rises(again, self.beyond.drops_apart_s))
    }

    /// The drops for reasons that contain these words that rose, the fastest first; empty where none did, or where the
    /// counters were not read twice.
    #[must_use]
    pub fn rising(&self, words: &str) -> Vec<Rise> {
        let rises = self.rises();
        let drops = rises.as_ref().and_then(Rises::drops).unwrap_or_default();
        drops.into_iter().filter(|rise| rise.counter.is_about(words)).cloned().collect()
    }

    /// How one way of packets does.
    #[must_use]
    pub fn way(&self, way: Way) -> WayState {
        self.picture().map_or(WayState::UNSEEN, |picture| state(picture, way))
    }

    /// The dump's picture, where it was read whole and shows anything.
    #[must_use]
    pub fn picture(&self) -> Option<&Picture> {
        self.dump.picture().filter(|picture| picture.entries > 0)
    }

    /// The version of the agent: as it reports it, else its image's tag.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        let own = self.beyond.status.seen().and_then(|s| s.version.as_deref());
        own.or_else(|| self.agent()?.version.as_deref())
    }

    /// How a group of flows does, in a sentence; none where nothing decides.
    #[must_use]
    pub fn quote(&self, group: Group) -> Option<Says> {
        flows_say(group.label(), "flows", self.picture()?.group(group))
    }

    /// How many endpoints of cluster DNS are ready where all of them are meant for other zones than this node's, and its
    /// service table holds no backend of it.
    #[must_use]
    pub fn row_empty_for_zone(&self) -> Option<usize> {
        let dns = self.around.cluster_dns.as_ref().ok().filter(|_| self.backends.is_empty_here())?;
        dns.zone_without_endpoint(self.around.zone())
    }

    /// How a way does, in a sentence; none where nothing decides.
    #[must_use]
    pub fn way_says(&self, way: Way) -> Option<Says> {
        let state = self.way(way);
        let mut says = flows_say(way.label(), way.name(), &state.counts)?;
        says.figures.insert("pods".to_owned(), state.pods_dead.into());
        Some(says)
    }

    /// How the DNS that pods ask does, in a sentence; none where nothing decides.
    #[must_use]
    pub fn dns_says(&self) -> Option<Says> {
        let label = format!("pods to {}", self.dns.path.label());
        let mut says = flows_say(&label, "dns", &self.dns.state.counts)?;
        says.figures.insert("pods".to_owned(), self.dns.state.pods_dead.into());
        says.figures.insert(RESOLVER.to_owned(), self.dns.path.label().into());
        Some(says)
    }
}

/// "pods to the world: 37 of 40 live flows get no answer, from 5 different far ends".
fn flows_say(label: &str, way: &str, counts: &Counts) -> Option<Says> {
    let (dead, decided) = (counts.dead(), counts.decided());
    if decided == 0 {
        return None;
    }
    let what = match (dead, counts.half_open) {
        (0, _) if decided == 1 => "the 1 live flow that can be judged is answered".to_owned(),
        (0, _) => format!("all {decided} live flows that can be judged are answered"),
        (dead, half) if half == dead => {
            format!("{dead} of {decided} live connections never complete: the answer leaves and does not arrive")
        }
        (dead, _) => format!("{dead} of {decided} live flows{} get no answer", counts.if_judged()),
    };
    let pairs = [
        ("way", way.into()),
        ("dead", dead.into()),
        ("decided", decided.into()),
        ("peers", counts.dead_peers.into()),
        ("window_s", 60_i64.into()),
    ];
    Some(Says::new(format!("{label}: {what}"), pairs))
}
