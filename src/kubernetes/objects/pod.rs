//! Pods.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Condition, Meta, condition_is_true, null_is_default};
use crate::base::labels::{Labels, Text};
use crate::base::pod_ref::PodRef;

object! {
    /// A pod.
    Pod {
        /// Its metadata.
        metadata: Meta,
        /// What was wanted.
        spec: PodSpec,
        /// The observed state.
        status: PodStatus,
    }
}

object! {
    /// The fields of a pod's specification that staledp uses.
    PodSpec {
        /// The node it runs on.
        node_name: Text,
        /// Whether it shares the host's network.
        host_network: bool,
        /// Where it looks names up: `ClusterFirst` where this is empty, `ClusterFirstWithHostNet`, `Default`, `None`.
        #[serde(skip_serializing_if = "str::is_empty")]
        dns_policy: Text,
        /// Its containers.
        containers: Box<[Container]>,
        /// The labels that its node has to have; kept for Cilium's agents only.
        #[serde(skip_serializing_if = "Labels::is_empty")]
        node_selector: Labels,
        /// The taints that it tolerates; kept for Cilium's agents only.
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        tolerations: Box<[Toleration]>,
    }
}

object! {
    /// What a pod tolerates.
    Toleration {
        /// The taint's key; empty with `Exists`: every taint.
        key: Text,
        /// `Exists` or `Equal`; empty means `Equal`.
        operator: Text,
        /// The taint's value.
        value: Text,
        /// The taint's effect; empty: every effect.
        effect: Text,
    }
}

object! {
    /// The fields of a container's specification that staledp uses.
    Container {
        /// Its name.
        name: Text,
        /// Its image.
        image: Text,
        /// When the kubelet pulls the image.
        #[serde(skip_serializing_if = "PullPolicy::is_unsaid")]
        image_pull_policy: PullPolicy,
        /// Its arguments; kept for NodeLocal DNS only, whose `-localip` names the address.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        args: Vec<Text>,
    }
}

/// When a kubelet pulls an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Each time the container starts.
    Always,
    /// Where the node does not have it.
    IfNotPresent,
    /// Never.
    Never,
    /// The list does not say.
    #[default]
    #[serde(other)]
    Unsaid,
}

impl PullPolicy {
    /// Whether the list does not say it.
    #[must_use]
    pub fn is_unsaid(&self) -> bool {
        *self == Self::Unsaid
    }
}

object! {
    /// The fields of a pod's status that staledp uses.
    PodStatus {
        /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
        phase: Text,
        /// Its first address.
        #[serde(rename = "podIP")]
        pod_ip: Text,
        /// All its addresses.
        #[serde(rename = "podIPs")]
        pod_ips: Box<[PodIp]>,
        /// When the kubelet took it, RFC 3339.
        start_time: Option<Text>,
        /// Its conditions.
        conditions: Box<[Condition]>,
        /// Its containers' states.
        container_statuses: Box<[ContainerStatus]>,
        /// The states of its init containers; sidecars are among them since Kubernetes 1.28.
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        init_container_statuses: Box<[ContainerStatus]>,
    }
}

object! {
    /// One address of a pod.
    PodIp {
        /// The address.
        ip: Text,
    }
}

object! {
    /// A container's state.
    ContainerStatus {
        /// The container's name.
        name: Text,
        /// Whether it is ready.
        ready: bool,
        /// How often it was started again.
        restart_count: i64,
        /// The image it runs.
        image: Text,
        /// What it does now.
        state: ContainerState,
        /// What it did before.
        last_state: ContainerState,
    }
}

object! {
    /// One of three states.
    ContainerState {
        /// It runs.
        #[serde(skip_serializing_if = "Option::is_none")]
        running: Option<Running>,
        /// It waits.
        #[serde(skip_serializing_if = "Option::is_none")]
        waiting: Option<Waiting>,
        /// It ended.
        #[serde(skip_serializing_if = "Option::is_none")]
        terminated: Option<Terminated>,
    }
}

object! {
    /// A running container.
    Running {
        /// Since when, RFC 3339.
        started_at: Option<Text>,
    }
}

object! {
    /// A waiting container.
    Waiting {
        /// `CrashLoopBackOff`, `ImagePullBackOff`, …
        reason: Text,
    }
}

object! {
    /// A container that ended.
    Terminated {
        /// `Error`, `OOMKilled`, `Completed`, …
        reason: Text,
        /// Its exit code.
        exit_code: i32,
        /// When, RFC 3339.
        finished_at: Option<Text>,
    }
}

impl Pod {
    /// Namespace and name.
    #[must_use]
    pub fn reference(&self) -> PodRef {
        PodRef { namespace: self.metadata.namespace.to_string(), name: self.metadata.name.to_string() }
    }

    /// Its addresses.
    pub fn ips(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let first = Some(self.status.pod_ip.as_str()).filter(|_| self.status.pod_ips.is_empty());
        first.into_iter().chain(self.status.pod_ips.iter().map(|p| p.ip.as_str())).filter_map(|ip| ip.parse().ok())
    }

    /// Whether it still holds its address: not ended, and bound to a node.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(self.status.phase.as_str(), "Running" | "Pending" | "Unknown" | "")
    }

    /// Whether its Ready condition holds; none where there is none.
    #[must_use]
    pub fn ready(&self) -> Option<bool> {
        condition_is_true(&self.status.conditions, "Ready")
    }

    /// Whether it may look names up in cluster DNS: with `Default` it asks what its node asks. With `None` it asks what
    /// its own configuration names, which is cluster DNS as a rule.
    #[must_use]
    pub fn may_ask_cluster_dns(&self) -> bool {
        self.spec.dns_policy != "Default"
            && !(self.spec.host_network && self.spec.dns_policy != "ClusterFirstWithHostNet")
    }

    /// The state of the container of this name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&ContainerStatus> {
        self.status.container_statuses.iter().find(|c| c.name == name)
    }
}
