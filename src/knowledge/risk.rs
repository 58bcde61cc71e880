//! The risk of a restart of the Cilium pod on a node, as entries with a reason each.
//!
//! Missing evidence never lowers the risk: what was not looked at counts as much as the worst answer it could have had.

use super::upstream::facts::{Mark, Signs};
use super::upstream::{self, Restart};
use serde::{Deserialize, Serialize};

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
    /// Pods of cluster DNS on this node.
    pub cluster_dns_here: Option<u64>,
}

/// One reason for caution, apart from upstream issues.
struct Caution {
    level: RiskLevel,
    /// From how many on it counts.
    from: u64,
    look: fn(&Signs, RestartFacts) -> Option<u64>,
    /// The reason; `{n}` is the number.
    says: &'static str,
    /// What stands in its place if it is unknown: an item of the list after "not checked:".
    unchecked: &'static str,
}

/// The cautions, in the order in which they are reported.
const CAUTIONS: &[Caution] = &[
    Caution {
        level: RiskLevel::Medium,
        from: 5,
        look: |_, facts| facts.agent_restarts,
        says: "the agent's container restarted {n} times already: a further restart may not last",
        unchecked: "earlier restarts of the agent",
    },
    Caution {
        level: RiskLevel::Medium,
        from: 1,
        look: |_, facts| facts.cluster_dns_here,
        says: "cluster DNS runs on this node (pods: {n}): its clients on other nodes may notice the restart",
        unchecked: "whether cluster DNS runs here",
    },
    Caution {
        level: RiskLevel::Medium,
        from: 1,
        look: |signs, _| signs.marked(Mark::ProxyRedirects),
        says: "redirects to the agent's proxy are active ({n}): DNS and L7 policies that use it pause during the restart",
        unchecked: "redirects to the agent's proxy (agent-status)",
    },
    Caution {
        level: RiskLevel::Medium,
        from: 1,
        look: |signs, _| signs.marked(Mark::ConfigDrift),
        says: "the restart also applies configuration changes that are pending (config-drift: {n}, cilium/cilium#44703)",
        unchecked: "pending configuration changes (config-drift)",
    },
    Caution {
        level: RiskLevel::Medium,
        from: 1,
        look: |signs, _| signs.marked(Mark::SecondBpfMount),
        says: "a second BPF file system is mounted over /sys/fs/bpf: a restart then makes duplicate programs \
            (cilium/cilium#47847); remove that mount first",
        unchecked: "a second BPF mount (mounts)",
    },
];

/// What every restart does.
const ALWAYS: &str = "while the agent restarts, new pods wait and DNS through its proxy (L7 policies) pauses";

/// How much a restart may hurt here, and why, the gravest reasons first.
///
/// An issue that matches without being confirmed for this version raises the risk too; one that a restart cured in
/// reports does not lower it.
#[must_use]
pub fn of_restart(signs: &Signs, facts: RestartFacts) -> (RiskLevel, Vec<String>) {
    let mut level = RiskLevel::Low;
    let mut because = Vec::new();
    if signs.version.is_none() {
        level = worst_known();
        because.push(
            "the agent's version is unknown: in some releases a restart takes the node off the network \
             (cilium/cilium#45077) or cuts off its pods (cilium/cilium#44194)"
                .to_owned(),
        );
    }
    let mut issues = upstream::restart_risks_here(signs);
    for (issue, _) in upstream::matching(signs) {
        if issue.restart.harm().is_some() && issues.iter().all(|known| known.id() != issue.id()) {
            issues.push(issue);
        }
    }
    for issue in issues {
        level = level.max(issue.restart.harm().unwrap_or(RiskLevel::Low));
        because.push(format!("{}: {}", issue.id(), issue.symptom));
    }
    let mut unchecked: Vec<String> = Vec::new();
    for caution in CAUTIONS {
        match (caution.look)(signs, facts) {
            Some(n) if n >= caution.from => {
                level = level.max(caution.level);
                because.push(caution.says.replace("{n}", &n.to_string()));
            }
            Some(_) => {}
            None => {
                level = level.max(caution.level);
                unchecked.push(caution.unchecked.to_owned());
            }
        }
    }
    let possible = upstream::restart_risks_not_looked_at(signs);
    level = possible.iter().filter_map(|issue| issue.restart.harm()).fold(level, RiskLevel::max);
    let possible: Vec<String> = possible.iter().map(|issue| issue.id()).collect();
    if !possible.is_empty() {
        unchecked.push(format!("the signs of {}", possible.join(" and ")));
    }
    if !unchecked.is_empty() {
        because.push(format!("not checked: {}", unchecked.join(", ")));
    }
    because.push(ALWAYS.to_owned());
    (level, because)
}

/// The worst that a restart does by any known issue: what an unknown version may have.
fn worst_known() -> RiskLevel {
    let harms = [Restart::TakesHost, Restart::CutsPods, Restart::Triggers].into_iter().filter_map(Restart::harm);
    harms.max().unwrap_or(RiskLevel::High)
}
