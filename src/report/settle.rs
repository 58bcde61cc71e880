//! What would settle what is open: rights to grant, checks to mend and evidence to collect, what helps most first.

use std::collections::BTreeSet;

use super::NodeReport;
use crate::checks::Status;
use crate::knowledge::code::Code;
use crate::rules::verdict::Verdict;

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
    /// The checks that are unknown for it.
    pub checks: Vec<&'static str>,
    /// The look-alikes that are open for it.
    pub codes: Vec<Code>,
}

/// The missing rights of a node, each once, what costs most first.
#[must_use]
pub fn missing_rights(node: &NodeReport) -> Vec<MissingRight<'_>> {
    let rights: BTreeSet<&str> = node.checks.iter().filter_map(|check| check.missing_right.as_deref()).collect();
    let mut missing: Vec<MissingRight<'_>> = rights
        .into_iter()
        .map(|right| {
            let lacks = |text: &str| text.contains(right);
            let checks = node.checks.iter().filter(|check| check.missing_right.as_deref() == Some(right));
            let open = node.verdict.open.iter().filter(|open| lacks(&open.says));
            MissingRight {
                right,
                checks: checks.map(|check| check.id.name()).collect(),
                codes: open.map(|open| open.code).collect(),
            }
        })
        .collect();
    missing.sort_by_key(|missing| std::cmp::Reverse((missing.checks.len(), missing.codes.len())));
    missing
}

/// What would settle a node that could not be judged, in sentences, what helps most first.
#[must_use]
pub fn steps(node: &NodeReport) -> Vec<String> {
    let rights = missing_rights(node);
    let mut steps: Vec<String> = rights
        .iter()
        .map(|missing| format!("Grant {}; `staledp rbac diagnose` prints the role.", missing.right))
        .collect();
    let unknown = node.checks.iter().filter(|check| check.status == Status::Unknown && check.missing_right.is_none());
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for check in unknown {
        let why = check.reason.as_deref().unwrap_or(&check.summary);
        match reasons.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, checks)) => checks.push(check.id.name()),
            None => reasons.push((why, vec![check.id.name()])),
        }
    }
    reasons.sort_by_key(|(_, checks)| std::cmp::Reverse(checks.len()));
    steps.extend(reasons.iter().map(|(why, checks)| format!("Mend {}: {why}", checks.join(", "))));
    let granted: BTreeSet<Code> = rights.iter().flat_map(|missing| missing.codes.iter().copied()).collect();
    for Settled { by, codes } in by(&node.verdict) {
        let codes: Vec<&str> = codes.iter().filter(|code| !granted.contains(code)).map(|code| code.name()).collect();
        if !codes.is_empty() {
            steps.push(format!("Supply {by}: it settles {}.", codes.join(", ")));
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::rules::verdict::Open;

    fn open(code: Code, says: &str, settle: &str) -> Open {
        Open { code, says: says.to_owned(), settle: settle.to_owned() }
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
        node.verdict.open = vec![open(
            Code::ConntrackFull,
            &format!("drop-metrics is missing: refused; grant {right}"),
            "drop-metrics",
        )];
        let missing = missing_rights(&node);
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0].checks, ["dns-conntrack", "external-conntrack", "dns-backends"]);
        assert_eq!(missing[0].codes, [Code::ConntrackFull]);
        let steps = steps(&node);
        assert!(steps[0].starts_with("Grant `get` and `create` on `pods/exec`"), "{steps:?}");
        assert_eq!(steps.iter().filter(|step| step.contains(right)).count(), 1);
        assert!(!steps.iter().any(|step| step.contains("drop-metrics")), "{steps:?}");
    }
}
