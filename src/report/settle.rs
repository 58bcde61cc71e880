//! What settles the open look-alikes: rights to grant, checks to fix and evidence to collect, most useful first.

use std::collections::BTreeSet;

use super::NodeReport;
use crate::base::evidence::Evidence;
use crate::base::program;
use crate::checks::Status;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Code;
use crate::rules::verdict::{Open, Verdict};

/// A piece of evidence, a flag or a right that settles look-alikes that are open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled<'a> {
    /// What settles them.
    pub by: &'a str,
    /// The look-alikes.
    pub codes: Vec<Code>,
}

/// What settles the open look-alikes of a verdict, what settles most of them first.
#[must_use]
pub fn by(verdict: &Verdict) -> Vec<Settled<'_>> {
    let mut all: Vec<Settled<'_>> = Vec::new();
    for open in &verdict.open {
        match all.iter_mut().find(|settled| settled.by == open.settle) {
            Some(settled) => settled.codes.push(open.code),
            None => all.push(Settled { by: &open.settle, codes: vec![open.code] }),
        }
    }
    all.sort_by_key(|settled| std::cmp::Reverse(settled.codes.len()));
    all
}

/// A missing right and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRight<'a> {
    /// The right: "`get` and `create` on `pods/exec` in namespace kube-system".
    pub right: &'a str,
    /// The checks that are unknown because of it; none where it is needed for further evidence only.
    pub checks: Vec<&'static str>,
    /// The look-alikes that are open because of it.
    pub codes: Vec<Code>,
}

/// The missing rights of a node, each once, what costs most first.
#[must_use]
pub fn missing_rights(node: &NodeReport) -> Vec<MissingRight<'_>> {
    let of_checks = node.checks.iter().filter_map(|check| check.missing_right.as_deref());
    let of_open = node.verdict.open.iter().filter_map(|open| open.missing_right.as_deref());
    let rights: BTreeSet<&str> = of_checks.chain(of_open).collect();
    let mut missing: Vec<MissingRight<'_>> = rights
        .into_iter()
        .map(|right| {
            let checks = node.checks.iter().filter(|check| check.missing_right.as_deref() == Some(right));
            let checks: Vec<CheckId> = checks.map(|check| check.id).collect();
            // Refused without this right, or missing the evidence of a check that was.
            let lacks = |open: &&Open| lacks(open, right) || checks.iter().any(|id| reads(*id, &open.settle));
            let open = node.verdict.open.iter().filter(lacks);
            MissingRight {
                right,
                codes: open.map(|open| open.code).collect(),
                checks: checks.iter().map(|id| id.name()).collect(),
            }
        })
        .collect();
    missing.sort_by_key(|missing| std::cmp::Reverse((missing.checks.len(), missing.codes.len())));
    missing
}

/// Whether a look-alike is open for want of this right.
#[must_use]
pub fn lacks(open: &Open, right: &str) -> bool {
    open.missing_right.as_deref() == Some(right) || open.says.contains(right)
}

/// What would settle a node that could not be judged, what helps most first: rights, checks, further evidence.
#[must_use]
pub fn steps(node: &NodeReport) -> Vec<String> {
    let rights = missing_rights(node);
    let granted: BTreeSet<Code> = rights.iter().flat_map(|missing| missing.codes.iter().copied()).collect();
    let mut open: Vec<Settled<'_>> = by(&node.verdict);
    for settled in &mut open {
        settled.codes.retain(|code| !granted.contains(code));
    }
    open.retain(|settled| !settled.codes.is_empty());

    let mut steps: Vec<String> = rights
        .iter()
        .map(|missing| format!("{} (`{} rbac diagnose` prints the role)", missing.right, program::name()))
        .collect();
    let mut checks = unknown_checks(node);
    for unknown in &mut checks {
        let reads = |settled: &Settled<'_>| unknown.checks.iter().any(|id| reads(*id, settled.by));
        let (own, others) = open.into_iter().partition(reads);
        (unknown.settles, open) = (own, others);
    }
    checks.sort_by_key(|unknown| {
        let codes: usize = unknown.settles.iter().map(|settled| settled.codes.len()).sum();
        std::cmp::Reverse(unknown.checks.len() + codes)
    });
    steps.extend(checks.iter().map(UnknownChecks::step));
    steps.extend(open.iter().map(|settled| format!("{}: settles {}", settled.by, names(&settled.codes))));
    steps
}

/// Checks that are unknown for one reason.
struct UnknownChecks<'a> {
    why: &'a str,
    checks: Vec<CheckId>,
    /// The look-alikes that the same evidence settles.
    settles: Vec<Settled<'a>>,
}

impl UnknownChecks<'_> {
    /// "host-ping (SSH, or --ssh-user), now unknown: connection refused; settles host-network-down too".
    fn step(&self) -> String {
        // The flag or right that stands behind the evidence's name.
        let how = self.settles.iter().filter_map(|settled| settled.by.split_once(' ').map(|(_, how)| how));
        let checks = checks_with(&self.checks, how);
        let codes: Vec<Code> = self.settles.iter().flat_map(|settled| settled.codes.iter().copied()).collect();
        let settles = if codes.is_empty() { String::new() } else { format!("; settles {} too", names(&codes)) };
        format!("{checks}, now unknown: {}{settles}", self.why)
    }
}

/// "host-ping (SSH, or --ssh-user)": the checks, and how to get an answer.
fn checks_with<'a>(checks: &[CheckId], how: impl Iterator<Item = &'a str>) -> String {
    let checks: Vec<&str> = checks.iter().map(|id| id.name()).collect();
    let mut words = vec![checks.join(" and ")];
    words.extend(how.map(str::to_owned));
    words.join(" ")
}

/// The unknown checks by their reasons; those that lack a right are not among them.
fn unknown_checks(node: &NodeReport) -> Vec<UnknownChecks<'_>> {
    let mut all: Vec<UnknownChecks<'_>> = Vec::new();
    for check in node.checks.iter().filter(|check| check.status == Status::Unknown && check.missing_right.is_none()) {
        let why = check.reason.as_deref().unwrap_or(&check.summary);
        match all.iter_mut().find(|unknown| unknown.why == why) {
            Some(unknown) => unknown.checks.push(check.id),
            None => all.push(UnknownChecks { why, checks: vec![check.id], settles: Vec::new() }),
        }
    }
    all
}

/// Whether a check reads the evidence that something is settled by.
fn reads(id: CheckId, by: &str) -> bool {
    let evidence = match id {
        CheckId::HostPing => Evidence::HostPing,
        CheckId::PodEgress => Evidence::PodEgress,
        CheckId::DnsConntrack | CheckId::ExternalConntrack => Evidence::CtList,
        CheckId::DnsBackends => Evidence::ServiceList,
    };
    by.split(' ').next() == Some(evidence.name())
}

fn names(codes: &[Code]) -> String {
    codes.iter().map(|code| code.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn open(code: Code, says: &str, settle: &str) -> Open {
        Open { code, says: says.to_owned(), settle: settle.to_owned(), missing_right: None }
    }

    #[test]
    fn what_settles_most_look_alikes_comes_first() {
        let mut node = sample::stale();
        node.verdict.open = vec![
            open(Code::ConntrackFull, "drop-metrics is missing: no", "drop-metrics"),
            open(Code::DatapathNotInitialized, "agent-log is missing: no", "agent-log"),
            open(Code::PolicyDenied, "drop-metrics is missing: no", "drop-metrics"),
        ];
        let order: Vec<&str> = by(&node.verdict).iter().map(|settled| settled.by).collect();
        assert_eq!(order, ["drop-metrics", "agent-log"]);
    }

    #[test]
    fn missing_right_is_told_once_with_all_that_it_costs() {
        let right = "`get` and `create` on `pods/exec` in namespace kube-system";
        let mut node = sample::inconclusive();
        for check in &mut node.checks[2..] {
            check.missing_right = Some(right.to_owned());
        }
        node.verdict.open = vec![
            open(Code::ConntrackFull, &format!("drop-metrics is missing: refused; grant {right}"), "drop-metrics"),
            open(Code::NodeIsolated, "the conntrack dump was not read", "ct-list"),
        ];
        let missing = missing_rights(&node);
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0].checks, ["dns-conntrack", "external-conntrack", "dns-backends"]);
        assert_eq!(missing[0].codes, [Code::ConntrackFull, Code::NodeIsolated]);
        let steps = steps(&node);
        assert!(steps[0].starts_with("`get` and `create` on `pods/exec`"), "{steps:?}");
        assert_eq!(steps.iter().filter(|step| step.contains(right)).count(), 1);
        assert!(!steps.iter().any(|step| step.contains("drop-metrics")), "{steps:?}");
    }

    #[test]
    fn right_that_only_further_evidence_needs_is_grouped_too() {
        let right = "`get` on `pods/log` in namespace kube-system";
        let mut node = sample::stale();
        let says = "agent-log is missing: forbidden";
        let mut log = open(Code::DatapathNotInitialized, says, "agent-log");
        log.missing_right = Some(right.to_owned());
        node.verdict.open = vec![log.clone(), Open { code: Code::NewPodsStuck, ..log }];
        let missing = missing_rights(&node);
        assert_eq!(missing.len(), 1);
        assert!(missing[0].checks.is_empty());
        assert_eq!(missing[0].codes, [Code::DatapathNotInitialized, Code::NewPodsStuck]);
    }

    #[test]
    fn unknown_check_names_what_its_evidence_settles_and_is_told_once() {
        let mut node = sample::stale();
        node.checks[0].status = Status::Unknown;
        node.checks[0].reason = Some("connection refused".to_owned());
        node.verdict.open = vec![
            open(Code::HostNetworkDown, "the host could not be checked", "host-ping (SSH, or --ssh-user)"),
            open(Code::ConntrackFull, "drop-metrics is missing: no", "drop-metrics"),
        ];
        let right = [
            "host-ping (SSH, or --ssh-user), now unknown: connection refused; settles host-network-down too",
            "drop-metrics: settles conntrack-full",
        ];
        assert_eq!(steps(&node), right);
    }
}
