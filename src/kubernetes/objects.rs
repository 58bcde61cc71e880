//! The fields of Kubernetes objects that staledp uses, and no others.
//!
//! The same shapes read the API's answers and the lists of a bundle, and write those lists: what is not named here
//! (environment variables, annotations, …) never enters the program. Every field may be missing.

use serde::{Deserialize, Deserializer, Serialize};

use crate::base::labels::{Labels, Text};

/// Reads `null` as the default: the API writes `"endpoints": null` for an empty list.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

macro_rules! object {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident : $ty:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $($(#[$fmeta])* #[serde(deserialize_with = "null_is_default")] pub $field: $ty,)*
        }
    };
}

pub(crate) use object;

mod custom;
mod event;
mod node;
mod pod;
mod revision;
mod service;

pub use custom::{
    AddressMatcher, Custom, CustomSpec, CustomStatus, OperationState, RedirectFrontend, ServiceMatcher, Told,
};
pub use event::{Event, EventSource};
pub use node::{Node, NodeAddress, NodeInfo, NodeSpec, NodeStatus, Taint};
pub use pod::{
    Container, ContainerState, ContainerStatus, Pod, PodIp, PodSpec, PodStatus, PullPolicy, Running, Terminated,
    Toleration, Waiting,
};
pub use revision::{ControllerRevision, REVISION_LABEL, newest};
pub use service::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, Hint, Service, ServicePort, ServiceSpec,
};

object! {
    /// The fields of an object's metadata that staledp uses.
    Meta {
        /// The name.
        name: Text,
        /// The namespace; empty for objects of the cluster.
        namespace: Text,
        /// The unique id.
        uid: Text,
        /// The labels.
        labels: Labels,
        /// When it was made, RFC 3339.
        creation_timestamp: Option<Text>,
        /// Set while it is being deleted, RFC 3339.
        deletion_timestamp: Option<Text>,
        /// Who owns it.
        owner_references: Box<[Owner]>,
        /// The few annotations that count here; all others may hold secrets.
        #[serde(skip_serializing_if = "is_default")]
        annotations: Annotations,
    }
}

object! {
    /// The annotations that count here.
    Annotations {
        /// On a service: `Auto` where near endpoints are preferred.
        #[serde(rename = "service.kubernetes.io/topology-mode", skip_serializing_if = "str::is_empty")]
        topology_mode: Text,
        /// The same under its older name.
        #[serde(rename = "service.kubernetes.io/topology-aware-hints", skip_serializing_if = "str::is_empty")]
        topology_aware_hints: Text,
    }
}

object! {
    /// The owner of an object.
    Owner {
        /// Its kind, `DaemonSet` for one.
        kind: Text,
        /// Its name.
        name: Text,
        /// Its unique id.
        uid: Text,
        /// Whether it is the managing controller.
        controller: bool,
    }
}

object! {
    /// A condition of a node or pod.
    Condition {
        /// Its type, `Ready` for one.
        r#type: Text,
        /// `True`, `False` or `Unknown`.
        status: Text,
        /// A word for why.
        reason: Text,
        /// Since when, RFC 3339.
        last_transition_time: Option<Text>,
        /// When it was last confirmed, RFC 3339; read from a live cluster only, and never saved.
        #[serde(skip_serializing)]
        last_heartbeat_time: Option<Text>,
        /// Why, in words; read from a live cluster only, and never saved.
        #[serde(skip_serializing)]
        message: Text,
    }
}

object! {
    /// A reference to an object.
    ObjectRef {
        /// Its kind.
        kind: Text,
        /// Its namespace.
        namespace: Text,
        /// Its name.
        name: Text,
        /// Which part of it.
        field_path: Text,
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn condition_is_true(conditions: &[Condition], kind: &str) -> Option<bool> {
    conditions.iter().find(|c| c.r#type == kind).map(|c| c.status == "True")
}
