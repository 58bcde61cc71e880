//! The requests of a watch that change something: one condition on a node's status, and one Event when it turns. The Lease
//! is in [`super::lease`].

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::condition::{ConditionStatus, DatapathCondition};
use crate::base::failure::Failure;
use crate::fix::wire::{LONGEST_INSTANCE, LONGEST_NOTE, Wire, answered, cut, six_decimals};
use crate::gather::live::kube::{Right, refusal};
use crate::kubernetes::objects::Node;

/// Under which name this command reports. Not the one of `fix`, which counts its own Events as restarts.
const CONTROLLER: &str = "staledp-watch";
/// Conditions are merged by their type under this, so that no other condition is touched.
const MERGE: &str = "application/strategic-merge-patch+json";

/// What became of a patch.
pub(super) enum PatchAnswer {
    /// The node as it is now.
    Done(Box<Node>),
    /// There is no such node any more.
    Gone,
    /// It was refused, and another try would be too.
    Refused(Failure),
    /// No answer, or the API server is busy: the same patch may be sent again.
    Later(String),
}

/// Sets the condition of this type on a node. The UID makes sure that no other node of this name gets it.
pub(super) async fn set_condition(
    wire: &Wire<'_>,
    node: &str,
    uid: &str,
    kind: &str,
    condition: &DatapathCondition,
) -> PatchAnswer {
    let time = |seconds: i64| Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default();
    let condition = json!({"type": kind, "status": condition.status.name(), "reason": condition.reason(),
                           "message": condition.message, "lastHeartbeatTime": time(condition.heartbeat),
                           "lastTransitionTime": time(condition.since)});
    patch(wire, node, uid, &condition).await
}

/// Removes the condition of this type from a node.
pub(super) async fn remove_condition(wire: &Wire<'_>, node: &str, uid: &str, kind: &str) -> PatchAnswer {
    patch(wire, node, uid, &json!({"$patch": "delete", "type": kind})).await
}

async fn patch(wire: &Wire<'_>, node: &str, uid: &str, condition: &Value) -> PatchAnswer {
    let path = format!("/api/v1/nodes/{node}/status?fieldManager={CONTROLLER}");
    let body = json!({"metadata": {"uid": uid}, "status": {"conditions": [condition]}});
    let reply = match wire.send_as(MERGE, Method::PATCH, &path, Some(&body)).await {
        Ok(reply) => reply,
        Err(lost) => return PatchAnswer::Later(lost.0),
    };
    match reply.status {
        status if status.is_success() => match serde_json::from_slice(&reply.body) {
            Ok(node) => PatchAnswer::Done(Box::new(node)),
            Err(error) => PatchAnswer::Later(format!("cannot read the answer: {error}")),
        },
        StatusCode::NOT_FOUND => PatchAnswer::Gone,
        status if status.is_server_error() => PatchAnswer::Later(answered(&reply)),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT => {
            PatchAnswer::Later(answered(&reply))
        }
        _ => {
            let right = Right { verbs: "`patch`", resource: "nodes/status", namespace: None };
            PatchAnswer::Refused(refusal(&reply.refusal(), &right))
        }
    }
}

/// Records that a node's condition turned; sent once, whatever comes of it.
///
/// # Errors
///
/// Why it was not written, or that it is unknown whether it was.
pub(super) async fn record_turn(
    wire: &Wire<'_>,
    namespace: &str,
    identity: &str,
    (node, uid): (&str, &str),
    condition: &DatapathCondition,
) -> Result<(), Failure> {
    let event = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": "staledp-", "namespace": namespace},
        "eventTime": six_decimals(wire.now()),
        "action": "Judge",
        "reason": condition.reason(),
        "type": if condition.status == ConditionStatus::True { "Normal" } else { "Warning" },
        "reportingController": CONTROLLER,
        "reportingInstance": cut(identity, LONGEST_INSTANCE),
        "regarding": {"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid},
        "note": cut(&condition.message, LONGEST_NOTE),
    });
    wire.post_event(namespace, &event).await
}
