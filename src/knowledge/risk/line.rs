//! Each line of a node's restart risk: whether the fact was looked at, and what it says.
//!
//! What was not looked at counts as much as the worst that it could have said, so that a missing fact never lowers the risk.

use serde::Serialize;

use super::id::RiskId;
use super::{RestartCase, RestartFacts, RiskLevel};
use crate::knowledge::upstream::facts::{Mark, Sighting, Signs};
use crate::knowledge::upstream::log_error::LogError;
use crate::knowledge::upstream::{self, Issue, Restart};

/// From this many restarts on an agent's container counts as one that crashes.
const MANY_RESTARTS: u64 = 5;
/// An agent younger than this, in seconds, has not settled.
const SETTLED_S: i64 = 600;

/// The issues that lines answer better than the release does: where all these lines passed, the release alone says nothing.
const ANSWERED: &[(u32, &[RiskId])] = &[
    (45_077, &[RiskId::HostPolicies, RiskId::ProxyRedirects]),
    (43_877, &[RiskId::CgroupPrograms]),
    (47_847, &[RiskId::BpfMounts]),
    (47_880, &[RiskId::CidrMatchMode]),
    (31_979, &[RiskId::WireguardPeers]),
    (31_985, &[RiskId::WireguardPeers]),
];

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RiskResult {
    /// The fact was looked at, and nothing is against a restart.
    Passed,
    /// The fact speaks against a restart.
    Raised,
    /// The fact was not looked at.
    NotLookedAt,
}

impl RiskResult {
    /// The word in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Raised => "raised",
            Self::NotLookedAt => "not looked at",
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RiskLine {
    /// Which fact.
    pub id: RiskId,
    /// What it says.
    pub result: RiskResult,
    /// How grave that is; `low` where it passed. For a fact that was not looked at, the worst that it could have said.
    pub level: RiskLevel,
    /// In one sentence.
    pub says: String,
}

fn passed(id: RiskId, says: impl Into<String>) -> RiskLine {
    RiskLine { id, result: RiskResult::Passed, level: RiskLevel::Low, says: says.into() }
}

fn raised(id: RiskId, level: RiskLevel, says: impl Into<String>) -> RiskLine {
    RiskLine { id, result: RiskResult::Raised, level, says: says.into() }
}

fn not_looked_at(id: RiskId, level: RiskLevel) -> RiskLine {
    RiskLine { id, result: RiskResult::NotLookedAt, level, says: format!("not looked at: {}", id.text().unread) }
}

/// A line that is raised by a number above 0. `{n}` in its sentence is that number.
fn counted(id: RiskId, seen: Option<u64>, level: RiskLevel, none: &str, some: &str) -> RiskLine {
    match seen {
        Some(0) => passed(id, none),
        Some(n) => raised(id, level, some.replace("{n}", &n.to_string())),
        None => not_looked_at(id, level),
    }
}

/// One line that rests on a fact of the node.
pub(super) fn of_fact(id: RiskId, case: &RestartCase) -> RiskLine {
    let RestartCase { signs, facts, revision: _ } = case;
    let marked = |mark| signs.marked(mark);
    match id {
        RiskId::KernelBtf => kernel_btf(signs),
        RiskId::BpfMounts => counted(
            id,
            marked(Mark::SecondBpfMount),
            RiskLevel::Medium,
            "one BPF file system is mounted at /sys/fs/bpf",
            "a second BPF file system is mounted over /sys/fs/bpf: a restart then makes duplicate programs \
             (cilium/cilium#47847); remove that mount first",
        ),
        RiskId::DuplicatePrograms => counted(
            id,
            marked(Mark::DuplicatePrograms),
            RiskLevel::Medium,
            "no hook has two programs of one name",
            "hooks with two programs of one name: {n}; a restart does not remove the older ones (cilium/cilium#44194)",
        ),
        RiskId::CgroupPrograms => cgroup_programs(signs),
        RiskId::HostPolicies => host_policies(signs),
        RiskId::CidrMatchMode => cidr_match_mode(signs),
        RiskId::ConfigDrift => counted(
            id,
            marked(Mark::ConfigDrift),
            RiskLevel::Medium,
            "the running agent has all settings of its ConfigMap",
            "the restart also applies configuration changes that are pending (config-drift: {n}, cilium/cilium#44703)",
        ),
        RiskId::AgentRevision => counted(
            id,
            facts.other_revision,
            RiskLevel::Medium,
            "the new pod will be of the same revision",
            "the restart also brings another revision of the DaemonSet: a rollout is pending",
        ),
        RiskId::AgentImage => counted(
            id,
            facts.image_pull,
            RiskLevel::Medium,
            "the image is in use on the node, and no pull is asked for",
            "the pull policy of the agent's image is Always: the new pod needs the registry",
        ),
        RiskId::DnsOnNode => dns_on_node(*facts),
        RiskId::WebhooksOnNode => counted(
            id,
            facts.webhooks_only_here,
            RiskLevel::Medium,
            "no webhook, by its name, has its only ready pod here",
            "webhooks whose only ready pod is here: {n}; if the API server cannot reach it, it may refuse the new agent",
        ),
        RiskId::WireguardPeers => counted(
            id,
            marked(Mark::WireGuard),
            RiskLevel::Medium,
            "encryption is not WireGuard",
            "encryption is WireGuard: peers may be lost until the new agent knows all endpoints (cilium/cilium#31979)",
        ),
        RiskId::ProxyRedirects => counted(
            id,
            marked(Mark::ProxyRedirects),
            RiskLevel::Medium,
            "no redirects to the agent's proxy are active",
            "redirects to the agent's proxy are active ({n}): DNS and L7 policies that use it pause during the restart",
        ),
        RiskId::AgentCrashes => agent_crashes(*facts),
        RiskId::AgentAge => match signs.agent_age_s {
            Some(age) if age >= SETTLED_S => passed(id, "the agent has run for more than 10 minutes"),
            Some(age) => raised(id, RiskLevel::Medium, format!("the agent started only {age} s before: let it settle")),
            None => not_looked_at(id, RiskLevel::Medium),
        },
        RiskId::KnownIssues => KnownIssues::find(signs, &[]).line(),
    }
}

/// Whether this release has an issue; none where it was neither confirmed nor excluded, or the release is unknown.
fn affects(number: u32, signs: &Signs) -> Option<bool> {
    upstream::find(number)?.standing(signs)
}

/// Without BTF a release that needs it cannot start its datapath; a running agent may have started before it needed it.
fn kernel_btf(signs: &Signs) -> RiskLine {
    const ID: RiskId = RiskId::KernelBtf;
    let complains = signs.log_errors.as_ref().is_some_and(|errors| errors.contains_key(&LogError::NoBtf));
    let without = "the new agent may give no network to new pods (cilium/cilium#48778)";
    match (signs.marked(Mark::KernelBtf), affects(48_778, signs)) {
        (Some(1..), _) => passed(ID, "the kernel has BTF"),
        (_, Some(false)) => passed(ID, "this release does not need the kernel's BTF"),
        (Some(0), _) => raised(ID, RiskLevel::High, format!("the kernel has no BTF: {without}")),
        (None, _) if complains => {
            raised(ID, RiskLevel::High, format!("the agent's log says that the kernel has no BTF: {without}"))
        }
        (None, _) => not_looked_at(ID, RiskLevel::High),
    }
}

fn cgroup_programs(signs: &Signs) -> RiskLine {
    const ID: RiskId = RiskId::CgroupPrograms;
    let fixed = affects(43_877, signs) == Some(false);
    match signs.marked(Mark::ForeignCgroupPrograms) {
        Some(0) => passed(ID, "only Cilium's programs are on the hooks of sockets"),
        _ if fixed => passed(ID, "this release can do with other products' socket programs"),
        Some(n) => {
            let says = format!("other products' programs on the hooks of sockets: {n} (cilium/cilium#43877)");
            raised(ID, RiskLevel::Medium, says)
        }
        None => not_looked_at(ID, RiskLevel::Medium),
    }
}

/// Rules through the proxy are what takes the host off; a release without that report is the lesser risk.
fn host_policies(signs: &Signs) -> RiskLine {
    const ID: RiskId = RiskId::HostPolicies;
    let worst = match affects(45_077, signs) {
        Some(false) => RiskLevel::Medium,
        Some(true) | None => RiskLevel::High,
    };
    match (signs.marked(Mark::HostPolicy), signs.marked(Mark::HostProxyRules)) {
        (Some(0), _) => passed(ID, "no host policy applies to the node"),
        (Some(_), Some(0)) => {
            let says = "a host policy applies to the node; it sends no packets through the agent's proxy";
            raised(ID, RiskLevel::Medium, says)
        }
        (Some(_), Some(_)) => {
            let says = "a host policy with DNS, FQDN or L7 rules applies to the node: the node itself may lose its network \
                        during the restart (cilium/cilium#45077)";
            raised(ID, worst, says)
        }
        (Some(_), None) => {
            let says = "a host policy applies to the node; whether it has DNS, FQDN or L7 rules is unknown \
                        (cilium/cilium#45077)";
            raised(ID, worst, says)
        }
        (None, _) => not_looked_at(ID, worst),
    }
}

fn cidr_match_mode(signs: &Signs) -> RiskLine {
    const ID: RiskId = RiskId::CidrMatchMode;
    match (affects(47_880, signs), signs.marked(Mark::PolicyCidrMatchesPods)) {
        (Some(false), _) => passed(ID, "this release does not have the fault of CIDR policies that match pods"),
        (_, Some(0)) => passed(ID, "CIDR policies do not match pods"),
        (_, Some(_)) => {
            let says = "policy-cidr-match-mode includes pods: restored pods may be denied what policies allow \
                        (cilium/cilium#47880)";
            raised(ID, RiskLevel::Medium, says)
        }
        (_, None) => not_looked_at(ID, RiskLevel::Medium),
    }
}

fn dns_on_node(facts: RestartFacts) -> RiskLine {
    const ID: RiskId = RiskId::DnsOnNode;
    match (facts.cluster_dns_here, facts.cluster_dns_elsewhere) {
        (Some(0), _) => passed(ID, "no pod of cluster DNS runs here"),
        (Some(n), Some(1..)) => {
            let says =
                format!("cluster DNS runs on this node (pods: {n}): its clients on other nodes may notice the restart");
            raised(ID, RiskLevel::Medium, says)
        }
        (Some(n), Some(0)) => raised(
            ID,
            RiskLevel::High,
            format!("cluster DNS runs only on this node (pods: {n}): the whole cluster asks it"),
        ),
        (Some(n), None) => {
            let says = format!("cluster DNS runs on this node (pods: {n}); whether it is ready elsewhere is unknown");
            raised(ID, RiskLevel::High, says)
        }
        (None, _) => not_looked_at(ID, RiskLevel::High),
    }
}

fn agent_crashes(facts: RestartFacts) -> RiskLine {
    const ID: RiskId = RiskId::AgentCrashes;
    match (facts.agent_restarts, facts.agent_out_of_memory) {
        (Some(n), _) if n >= MANY_RESTARTS => {
            let says = format!("the agent's container restarted {n} times already: a further restart may not last");
            raised(ID, RiskLevel::Medium, says)
        }
        (_, Some(1..)) => {
            let says = "the agent's container ended last because it used too much memory: the new one may, too";
            raised(ID, RiskLevel::Medium, says)
        }
        (Some(_), Some(0)) => passed(ID, "the agent's container does not crash"),
        (None, _) | (_, None) => not_looked_at(ID, RiskLevel::Medium),
    }
}

/// What is known by the release, of what no line answers better.
pub(super) struct KnownIssues {
    is_version_known: bool,
    /// Reported for this release, or seen.
    issues: Vec<&'static Issue>,
    /// Neither reported for this release nor excluded, and part of their sign was not looked at.
    possible: Vec<&'static Issue>,
}

impl KnownIssues {
    /// Looks at the releases of all issues. `lines` are those of the facts.
    pub(super) fn find(signs: &Signs, lines: &[RiskLine]) -> Self {
        let mut issues = upstream::restart_risks_here(signs);
        for (issue, _) in upstream::matching(signs) {
            if issue.restart.harm().is_some() && issues.iter().all(|known| known.id() != issue.id()) {
                issues.push(issue);
            }
        }
        issues.retain(|issue| !is_answered(issue, signs, lines));
        let mut possible = upstream::restart_risks_not_looked_at(signs);
        possible.retain(|issue| !is_answered(issue, signs, lines));
        Self { is_version_known: signs.version.is_some(), issues, possible }
    }

    /// How grave they are.
    pub(super) fn level(&self) -> RiskLevel {
        let known = self.issues.iter().chain(&self.possible).filter_map(|issue| issue.restart.harm());
        let unknown = (!self.is_version_known).then(worst_known);
        known.chain(unknown).max().unwrap_or(RiskLevel::Low)
    }

    /// What was reported, a sentence each.
    pub(super) fn reasons(&self) -> Vec<String> {
        let unknown = "the agent's version is unknown: in some releases a restart takes the node off the network \
                       (cilium/cilium#45077) or cuts off its pods (cilium/cilium#44194)";
        let unknown = (!self.is_version_known).then(|| unknown.to_owned());
        let known = self.issues.iter().map(|issue| format!("{}: {}", issue.id(), issue.symptom));
        unknown.into_iter().chain(known).collect()
    }

    /// An item of the list after "not checked:"; none where nothing is missing.
    pub(super) fn signs_not_looked_at(&self) -> Option<String> {
        let ids: Vec<String> = self.possible.iter().map(|issue| issue.id()).collect();
        (!ids.is_empty()).then(|| format!("the signs of {}", ids.join(" and ")))
    }

    /// All of it as one line.
    pub(super) fn line(&self) -> RiskLine {
        const ID: RiskId = RiskId::KnownIssues;
        let reasons = self.reasons().into_iter();
        let unread = self.signs_not_looked_at().map(|signs| format!("not looked at: {signs}"));
        let says = reasons.chain(unread).collect::<Vec<_>>().join("; ");
        let (result, says) = match (self.issues.is_empty(), says.is_empty()) {
            (false, _) => (RiskResult::Raised, says),
            (true, false) => (RiskResult::NotLookedAt, says),
            (true, true) => {
                (RiskResult::Passed, "no issue is known that a restart of this release starts here".to_owned())
            }
        };
        RiskLine { id: ID, result, level: self.level(), says }
    }
}

/// Whether facts exclude an issue that its release may have: all lines that answer it passed, and its sign was looked for
/// and is not there.
fn is_answered(issue: &Issue, signs: &Signs, lines: &[RiskLine]) -> bool {
    let by = ANSWERED.iter().find(|(number, _)| issue.repo == "cilium/cilium" && issue.number == *number);
    let has_passed = |id: &RiskId| lines.iter().any(|line| line.id == *id && line.result == RiskResult::Passed);
    let is_absent = issue.needs.iter().any(|fact| fact.look(signs) == Sighting::Absent);
    by.is_some_and(|(_, by)| by.iter().all(has_passed)) && is_absent
}

/// The worst that a restart does by any known issue: what an unknown version may have.
fn worst_known() -> RiskLevel {
    let harms = [Restart::TakesHost, Restart::CutsPods, Restart::Triggers].into_iter().filter_map(Restart::harm);
    harms.max().unwrap_or(RiskLevel::High)
}
