//! Step 9: the trace. One Event per restart, about the node, related to the pod.

use serde_json::{Value, json};

use super::FixContext;
use super::plan::Plan;
use super::report::{FixOutcome, NodeFix, RestartOutcome};
use super::wire::{LONGEST_INSTANCE, LONGEST_NOTE, cut, six_decimals};

/// Under which name this program reports.
pub(super) const CONTROLLER: &str = "staledp";
/// The Event of one restart. In events.k8s.io/v1 an Event about a node may lie in any namespace, so one is enough for
/// the node and the pod.
pub(super) fn event(cx: &FixContext<'_>, plan: &Plan, fix: &NodeFix) -> Value {
    let holder = &cx.holder.identity;
    let pod = &plan.target.pod;
    let did = match (fix.resumed, fix.restart) {
        (true, _) => format!("resumed an interrupted restart of {pod}"),
        (_, Some(RestartOutcome::GoneAlready)) => {
            format!("found {pod} already deleted by another user")
        }
        (_, Some(RestartOutcome::NotKnown)) => {
            format!("sent a DELETE for {pod} without getting an answer")
        }
        (_, Some(RestartOutcome::Untouched)) => {
            format!("sent a DELETE for {pod}, which was untouched when looked up")
        }
        (_, Some(RestartOutcome::Deleted) | None) => format!("restarted {pod}"),
    };
    let outcome = match fix.outcome {
        FixOutcome::Verified => "verified",
        FixOutcome::Interrupted => "interrupted",
        _ => "not verified",
    };
    let forced = if plan.forced { " (forced)" } else { "" };
    let (user, code) = (cx.live.cluster().user(), plan.code.name());
    let note = format!("{holder} ({user}) {did} on {} for {code}{forced}: {outcome}. {}", plan.node, fix.says);
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": "staledp-", "namespace": plan.target.namespace},
        "eventTime": six_decimals(cx.writer.now()),
        "action": "Restart",
        "reason": "CiliumPodRestarted",
        "type": if fix.outcome == FixOutcome::Verified { "Normal" } else { "Warning" },
        "reportingController": CONTROLLER,
        "reportingInstance": cut(holder, LONGEST_INSTANCE),
        "regarding": {"apiVersion": "v1", "kind": "Node", "name": plan.node, "uid": plan.node_uid},
        "related": {"apiVersion": "v1", "kind": "Pod", "namespace": plan.target.namespace, "name": plan.target.pod,
                    "uid": plan.target.uid},
        "note": cut(&note, LONGEST_NOTE),
    })
}
