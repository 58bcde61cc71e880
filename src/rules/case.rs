//! Everything that is known of one node when it is judged.

use crate::base::evidence::Evidence;
use crate::checks::dns_backends::Backends;
use crate::checks::dns_conntrack::Dump;
use crate::checks::pod_egress::Egress;
use crate::checks::{Finding, HostPingData};
use crate::cilium::agent_log::AgentLog;
use crate::cilium::drops::Drops;
use crate::cilium::lb::LbList;
use crate::cilium::nat::NatRows;
use crate::cilium::programs::Programs;
use crate::cilium::status::AgentStatus;
use crate::kubernetes::agents::{Agent, RunningAgent};
use crate::kubernetes::node_view::NodeView;
use crate::ways::picture::{Group, Picture};

/// Further evidence: seen, or not looked at and why.
#[derive(Clone, Debug)]
pub enum Further<T> {
    /// It was looked at.
    Seen(T),
    /// It was not.
    NotLooked(String),
}

impl<T> Further<T> {
    /// What was seen.
    pub const fn seen(&self) -> Option<&T> {
        match self {
            Self::Seen(value) => Some(value),
            Self::NotLooked(_) => None,
        }
    }
}

/// Evidence beyond the five checks.
#[derive(Clone, Debug)]
pub struct Beyond {
    /// `lb-list`.
    pub lb: Further<LbList>,
    /// `agent-status`.
    pub status: Further<AgentStatus>,
    /// `drop-metrics`.
    pub drops: Further<Drops>,
    /// `drop-metrics.2`: the same some seconds and a probe later.
    pub drops_again: Further<Drops>,
    /// `nat-list`.
    pub nat: Further<NatRows>,
    /// `attached-programs`.
    pub programs: Further<Programs>,
    /// `agent-log`.
    pub log: Further<AgentLog>,
}

impl Beyond {
    /// None of it was looked at.
    #[must_use]
    pub fn none(why: &str) -> Self {
        Self {
            lb: Further::NotLooked(why.to_owned()),
            status: Further::NotLooked(why.to_owned()),
            drops: Further::NotLooked(why.to_owned()),
            drops_again: Further::NotLooked(why.to_owned()),
            nat: Further::NotLooked(why.to_owned()),
            programs: Further::NotLooked(why.to_owned()),
            log: Further::NotLooked(why.to_owned()),
        }
    }

    /// The kinds that were not looked at.
    #[must_use]
    pub fn not_looked_at(&self) -> Vec<Evidence> {
        let kinds = [
            (Evidence::LbList, self.lb.seen().is_none()),
            (Evidence::AgentStatus, self.status.seen().is_none()),
            (Evidence::DropMetrics, self.drops.seen().is_none()),
            (Evidence::NatList, self.nat.seen().is_none()),
            (Evidence::AttachedPrograms, self.programs.seen().is_none()),
            (Evidence::AgentLog, self.log.seen().is_none()),
        ];
        kinds.into_iter().filter(|(_, missing)| *missing).map(|(kind, _)| kind).collect()
    }
}

/// One node, all evidence together.
#[derive(Clone, Debug)]
pub struct Case {
    /// The kubeconfig context, for commands.
    pub context: Option<String>,
    /// Who is who around it.
    pub around: NodeView,
    /// When the evidence was taken, RFC 3339.
    pub taken_at: Option<String>,
    /// The host's check.
    pub host: Finding<HostPingData>,
    /// The pods' check.
    pub egress: Egress,
    /// The dump.
    pub dump: Dump,
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
        let started = self.agent()?.started_at.as_deref()?;
        crate::base::clock::seconds_between(started, self.taken_at.as_deref()?)
    }

    /// Packets dropped for this reason: between two readings where there are two, else ever since the node's start.
    /// None where nobody looked.
    #[must_use]
    pub fn rising(&self, reason: &str) -> Option<u64> {
        let first = self.beyond.drops.seen()?.of(reason);
        let Some(again) = self.beyond.drops_again.seen().map(|drops| drops.of(reason)) else {
            return Some(first);
        };
        // Counters start again with the maps; then the second reading is all there is.
        Some(again.checked_sub(first).unwrap_or(again))
    }

    /// The dump's picture, where it was read whole and shows anything.
    #[must_use]
    pub fn picture(&self) -> Option<&Picture> {
        self.dump.picture().filter(|picture| picture.entries > 0)
    }

    /// The version of the agent: its own word, else its image's tag.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        let own = self.beyond.status.seen().and_then(|s| s.version.as_deref());
        own.or_else(|| self.agent()?.version.as_deref())
    }

    /// "37 of 40 flows of <group> get no answer".
    #[must_use]
    pub fn quote(&self, group: Group) -> Option<String> {
        let counts = self.picture()?.group(group);
        let (dead, decided) = (counts.dead(), counts.decided());
        if decided == 0 {
            return None;
        }
        let what = match (dead, counts.half_open) {
            (0, _) => format!("all {decided} live flows are answered"),
            (dead, half) if half == dead => {
                format!("{dead} of {decided} live connections never complete: the answer leaves and does not arrive")
            }
            (dead, _) => format!("{dead} of {decided} live flows get no answer"),
        };
        Some(format!("{}: {what}", group.label()))
    }
}
