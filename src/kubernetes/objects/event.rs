//! Events.

use serde::{Deserialize, Serialize};

use super::{Meta, ObjectRef, null_is_default};

object! {
    /// An event.
    Event {
        /// Its metadata.
        metadata: Meta,
        /// What it is about.
        involved_object: ObjectRef,
        /// A word for what happened.
        reason: String,
        /// What happened.
        message: String,
        /// `Normal` or `Warning`.
        r#type: String,
        /// How often.
        count: i64,
        /// When first, RFC 3339.
        first_timestamp: Option<String>,
        /// When last, RFC 3339.
        last_timestamp: Option<String>,
        /// When, for events that are not counted, RFC 3339.
        event_time: Option<String>,
        /// Who said it.
        #[serde(skip_serializing_if = "is_nobody")]
        source: EventSource,
    }
}

object! {
    /// Who said an event.
    EventSource {
        /// The node, where a kubelet said it.
        host: String,
    }
}

fn is_nobody(source: &EventSource) -> bool {
    source.host.is_empty()
}
