//! The risk of a restart of the Cilium pod on a node, from facts: one line a fact, each passed, raised or not looked at.
//!
//! Missing evidence never lowers the risk: what was not looked at counts as much as the worst answer it could have had.

mod id;
mod line;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::upstream::facts::Signs;
pub use id::{RiskId, RiskText};
use line::KnownIssues;
pub use line::{RiskLine, RiskResult};

/// How much a remedy may hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RiskLevel {
    /// Seconds without new connections.
    Low,
    /// DNS or policy may be gone for a minute, or the fault may come back.
    Medium,
    /// The remedy is known to start a worse outage here.
    High,
}

impl RiskLevel {
    /// The word in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// Facts about a node that matter for a restart apart from upstream issues; none if they are unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestartFacts {
    /// Restarts of the agent's container so far.
    pub agent_restarts: Option<u64>,
    /// 1 where the agent's container ended last because it used too much memory, else 0.
    pub agent_out_of_memory: Option<u64>,
    /// Pods of cluster DNS on this node.
    pub cluster_dns_here: Option<u64>,
    /// Ready endpoints of cluster DNS on other nodes.
    pub cluster_dns_elsewhere: Option<u64>,
    /// Webhooks of whose workload no pod on another node is ready.
    pub webhooks_only_here: Option<u64>,
    /// 1 where the new pod would be of another revision of its DaemonSet, else 0.
    pub other_revision: Option<u64>,
    /// 1 where the new pod has to pull an image, else 0.
    pub image_pull: Option<u64>,
}

#[cfg(test)]
impl RestartFacts {
    /// All are known, and none raises a risk.
    pub(crate) const HARMLESS: Self = Self {
        agent_restarts: Some(0),
        agent_out_of_memory: Some(0),
        cluster_dns_here: Some(0),
        cluster_dns_elsewhere: Some(2),
        webhooks_only_here: Some(0),
        other_revision: Some(0),
        image_pull: Some(0),
    };
}

/// What is known of a node that bears on a restart of its agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestartCase {
    /// The facts that upstream issues ask for.
    pub signs: Signs,
    /// The others.
    pub facts: RestartFacts,
    /// The revision of the agent's pod, where the pod names it.
    pub revision: Option<PodRevision>,
}

/// The revision of its DaemonSet that a pod was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRevision {
    /// Its label.
    pub hash: String,
    /// The uid of the DaemonSet.
    pub daemon_set: String,
}

impl RestartCase {
    /// Learns the newest revision of each DaemonSet, by the DaemonSet's uid: whether the new pod would be another one.
    pub fn learn_revisions(&mut self, newest: &BTreeMap<String, String>) {
        let own = self.revision.as_ref();
        self.facts.other_revision =
            own.and_then(|own| newest.get(&own.daemon_set).map(|newest| u64::from(*newest != own.hash)));
    }
}

/// What every restart does.
const ALWAYS: &str = "while the agent restarts, new pods wait and DNS through its proxy (L7 policies) pauses";

/// All lines of a node's restart risk, in the order of [`RiskId::ALL`].
#[must_use]
pub fn assess(case: &RestartCase) -> Vec<RiskLine> {
    let mut lines: Vec<RiskLine> = RiskId::OF_FACTS.into_iter().map(|id| line::of_fact(id, case)).collect();
    lines.push(KnownIssues::find(&case.signs, &lines).line());
    lines
}

/// How grave the gravest of these lines is.
#[must_use]
pub fn level(lines: &[RiskLine]) -> RiskLevel {
    lines.iter().map(|line| line.level).max().unwrap_or(RiskLevel::Low)
}

/// How much a restart may hurt here, and why, the gravest reasons first. What the preflight of `staledp fix` looks at with
/// rights of its own is left to it.
///
/// An issue that matches without being confirmed for this version raises the risk too; one that a restart cured in
/// reports does not lower it.
#[must_use]
pub fn of_restart(case: &RestartCase) -> (RiskLevel, Vec<String>) {
    let lines: Vec<RiskLine> = RiskId::OF_FACTS.into_iter().map(|id| line::of_fact(id, case)).collect();
    let issues = KnownIssues::find(&case.signs, &lines);
    let lines: Vec<RiskLine> = lines.into_iter().filter(|line| !line.id.is_of_preflight()).collect();
    let mut because = issues.reasons();
    because.extend(lines.iter().filter(|line| line.result == RiskResult::Raised).map(|line| line.says.clone()));
    let unread = lines.iter().filter(|line| line.result == RiskResult::NotLookedAt);
    let mut unread: Vec<String> = unread.map(|line| line.id.text().unread.to_owned()).collect();
    unread.extend(issues.signs_not_looked_at());
    if !unread.is_empty() {
        because.push(format!("not checked: {}", unread.join(", ")));
    }
    because.push(ALWAYS.to_owned());
    (level(&lines).max(issues.level()), because)
}
