//! `service-translation-missing`, direct: the programs that translate connections at the socket are not attached.

use crate::base::evidence::Evidence;
use crate::cilium::status::SocketLb;
use crate::knowledge::code::Code;
use crate::rules::case::Case;
use crate::rules::opinion::Opinion;
use crate::rules::verdict::{Because, Cause, Confidence, Says};

/// A starting agent attaches its programs within this time, in seconds.
const ATTACHING_S: i64 = 60;

/// Socket programs that the tree of control groups lacks although the agent says that they serve all pods. None where that
/// is unknown: no tree, another root than the agent's, or an agent that translates each packet.
#[must_use]
pub fn lacking(case: &Case) -> Option<Vec<&'static str>> {
    let (tree, status) = (case.beyond.cgroup.seen()?, case.beyond.status.seen()?);
    if status.socket_lb != Some(SocketLb::Full) {
        return None;
    }
    // Without any, the tree may be of another root than the one that the agent attaches to.
    let own_root = tree.root.as_deref().is_some_and(|root| root.starts_with("/run/cilium"));
    if tree.socket_programs().is_empty() && !own_root {
        return None;
    }
    let ranges = |v4: bool| status.pod_ranges.iter().any(|range| range.address().is_ipv4() == v4);
    tree.missing(ranges(true), ranges(false))
}

/// A direct sign: it names the programs.
pub(crate) fn detached(case: &Case) -> Option<Opinion> {
    if case.agent_age_s().is_some_and(|age| (0..ATTACHING_S).contains(&age)) {
        return None;
    }
    let missing = lacking(case)?;
    let first = *missing.first()?;
    let tree = case.beyond.cgroup.seen()?;
    let there = tree.socket_programs().len();
    let names = missing.join(", ");
    let summary = format!(
        "The programs that translate connections to services at the socket are not attached ({names}): packets of pods go \
         out to service addresses untranslated."
    );
    let says = Says::new(
        format!("not on any control group: {names}; {there} other socket programs are"),
        [("missing", missing.len().into()), ("attached", there.into())],
    );
    let mut opinion = Opinion::new(Code::ServiceTranslationMissing, Confidence::High, summary)
        .because(Because::said(Evidence::CgroupTree.name(), says))
        .because(Because::evidence(Evidence::AgentStatus.name(), "the agent says: Socket LB Coverage: Full"));
    let place = tree.root.clone().unwrap_or_else(|| "the root control group".to_owned());
    opinion.cause = Some(
        Cause::named("program", first, Evidence::CgroupTree)
            .on(place)
            .expected("attached", format!("missing: {names}")),
    );
    Some(opinion)
}
