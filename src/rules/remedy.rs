//! The remedy: the exact command, its risk, and how to verify it.

use crate::base::pod_ref::PodRef;
use crate::base::program;
use crate::knowledge::code::{Code, Kind};
use crate::knowledge::risk::of_restart;
use crate::rules::case::Case;
use crate::rules::signs::restart_case;
use crate::rules::verdict::{Affected, Remediation, Risk, Verdict};

/// The remedy of a stale node; none for any other verdict.
#[must_use]
pub fn remedy(case: &Case, verdict: &Verdict, affected: &[Affected]) -> Option<Remediation> {
    if verdict.kind != Kind::Stale {
        return None;
    }
    let agent = &case.agent()?.pod;
    let (context, node) = (case.context.as_deref(), &case.around.node);
    Some(with_commands(context, node, agent, verdict.code, affected, risk(case, verdict)))
}

/// A remedy's commands, in order: they are made of these names alone, whatever a report that was read says.
#[must_use]
pub fn with_commands(
    context: Option<&str>,
    node: &str,
    agent: &PodRef,
    code: Code,
    affected: &[Affected],
    risk: Risk,
) -> Remediation {
    Remediation {
        keep: vec![keep(context, node)],
        gentle: gentle(context, code, affected),
        fix: vec![format!("{} fix{} --node {}", program::name(), option(context), quoted(node))],
        commands: vec![delete(context, &agent.namespace, &agent.name)],
        verify: vec![agents("get", context, &agent.namespace, node), diagnose(context, node)],
        risk,
    }
}

/// The command that deletes a pod.
#[must_use]
pub fn delete(context: Option<&str>, namespace: &str, pod: &str) -> String {
    format!("kubectl{} delete pod {} -n {}", option(context), quoted(pod), quoted(namespace))
}

/// The command that does this (`get`, `describe`) with the agent of a node.
#[must_use]
pub fn agents(verb: &str, context: Option<&str>, namespace: &str, node: &str) -> String {
    let (context, namespace, node) = (option(context), quoted(namespace), quoted(node));
    format!("kubectl{context} {verb} pods -n {namespace} -l k8s-app=cilium --field-selector spec.nodeName={node}")
}

/// The command that judges a node anew.
#[must_use]
pub fn diagnose(context: Option<&str>, node: &str) -> String {
    format!("{} diagnose{} --node {}", program::name(), option(context), quoted(node))
}

/// The option that names the cluster; empty without a context.
fn option(context: Option<&str>) -> String {
    context.map_or(String::new(), |context| format!(" --context={}", quoted(context)))
}

/// The command that keeps the evidence of a node in a bundle.
fn keep(context: Option<&str>, node: &str) -> String {
    // A name from an archive may be anything; a path that leads elsewhere is not a node's name.
    let folder = if node.contains('/') { "evidence".to_owned() } else { format!("evidence-{node}") };
    format!("{} capture{} --node {} {}", program::name(), option(context), quoted(node), quoted(&folder))
}

/// The command that restarts the one pod that is cut off; none where several are, or where it is another fault.
fn gentle(context: Option<&str>, code: Code, affected: &[Affected]) -> Vec<String> {
    match affected {
        [one] if code == Code::StaleSelective && !one.namespace.is_empty() => {
            vec![delete(context, &one.namespace, &one.pod)]
        }
        _ => Vec::new(),
    }
}

/// What a restart of this node's agent may cost, and why.
#[must_use]
pub fn risk(case: &Case, verdict: &Verdict) -> Risk {
    let (level, because) = of_restart(&restart_case(case, verdict));
    Risk { level, because }
}

/// A word as a shell takes it: quoted only where it must be.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b':' | b'@' | b'+' | b',');
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_kept_below_the_working_directory_whatever_the_node_is_called() {
        assert_eq!(keep(Some("grigri"), "prusik"), "staledp capture --context=grigri --node prusik evidence-prusik");
        assert_eq!(keep(None, "../../etc"), "staledp capture --node ../../etc evidence");
    }

    #[test]
    fn a_word_is_quoted_only_where_it_must_be() {
        assert_eq!(quoted("grigri"), "grigri");
        assert_eq!(quoted("arn:aws:eks:eu-west-1:1:cluster/a"), "arn:aws:eks:eu-west-1:1:cluster/a");
        assert_eq!(quoted("a b; rm -rf ~"), "'a b; rm -rf ~'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
