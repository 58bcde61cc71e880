//! Step 9: the trace. One Event per restart, about the node, related to the pod.

use serde_json::{Value, json};

use super::plan::Plan;
use crate::gather::kube::write::Writer;

/// Under which name this program reports.
pub(super) const CONTROLLER: &str = "staledp";
/// The longest note that the API takes, in bytes.
const LONGEST_NOTE: usize = 1024;
/// The longest reporting instance.
const LONGEST_INSTANCE: usize = 128;

/// The Event of one restart. In events.k8s.io/v1 an Event about a node may lie in any namespace, so one is enough for
/// the node and the pod.
pub(super) fn event(writer: &Writer<'_>, plan: &Plan, holder: &str, outcome: &str, says: &str, ok: bool) -> Value {
    let forced = if plan.forced { " (forced)" } else { "" };
    let note = format!(
        "{holder} restarted {} on {} for {}{forced}: {outcome}. {says}",
        plan.doomed.pod,
        plan.node,
        plan.code.name(),
    );
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": "staledp-", "namespace": plan.doomed.namespace},
        "eventTime": format!("{:.6}", writer.now()),
        "action": "Restart",
        "reason": "CiliumPodRestarted",
        "type": if ok { "Normal" } else { "Warning" },
        "reportingController": CONTROLLER,
        "reportingInstance": cut(holder, LONGEST_INSTANCE),
        "regarding": {"apiVersion": "v1", "kind": "Node", "name": plan.node, "uid": plan.node_uid},
        "related": {"apiVersion": "v1", "kind": "Pod", "namespace": plan.doomed.namespace, "name": plan.doomed.pod,
                    "uid": plan.doomed.uid},
        "note": cut(&note, LONGEST_NOTE),
    })
}

fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
