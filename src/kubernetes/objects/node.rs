//! Nodes.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Condition, Meta, condition_is_true, null_is_default};
use crate::base::net::Prefix;

object! {
    /// A node.
    Node {
        /// Its metadata.
        metadata: Meta,
        /// What was wanted.
        spec: NodeSpec,
        /// The observed state.
        status: NodeStatus,
    }
}

object! {
    /// The fields of a node's specification that staledp uses.
    NodeSpec {
        /// The first pod range, as Kubernetes gave it out; Cilium may use another.
        #[serde(rename = "podCIDR")]
        pod_cidr: String,
        /// All pod ranges.
        #[serde(rename = "podCIDRs")]
        pod_cidrs: Vec<String>,
        /// Whether it is cordoned.
        unschedulable: bool,
        /// What keeps pods away that do not tolerate it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        taints: Vec<Taint>,
    }
}

object! {
    /// A taint of a node.
    Taint {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
        /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
        effect: String,
    }
}

object! {
    /// The fields of a node's status that staledp uses.
    NodeStatus {
        /// Its addresses.
        addresses: Vec<NodeAddress>,
        /// Its conditions.
        conditions: Box<[Condition]>,
        /// What it runs.
        node_info: NodeInfo,
    }
}

object! {
    /// An address of a node.
    NodeAddress {
        /// `InternalIP`, `ExternalIP`, `Hostname`, …
        r#type: String,
        /// The address or name.
        address: String,
    }
}

object! {
    /// What a node runs.
    NodeInfo {
        /// `amd64`, `arm64`, …
        architecture: String,
        /// The kernel's release.
        kernel_version: String,
        /// The kubelet's version.
        kubelet_version: String,
        /// The runtime and its version.
        container_runtime_version: String,
        /// The operating system's image.
        os_image: String,
        /// `linux` or `windows`.
        #[serde(skip_serializing_if = "String::is_empty")]
        operating_system: String,
    }
}

impl Node {
    /// Whether the kubelet says that the node is ready; none where it says nothing.
    #[must_use]
    pub fn ready(&self) -> Option<bool> {
        condition_is_true(&self.status.conditions, "Ready")
    }

    /// Whether the API server holds it to be not ready: its kubelet says so, or has not been heard of.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.ready() == Some(false)
    }

    /// The node's addresses that are IP addresses.
    pub fn ips(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.status.addresses.iter().filter_map(|a| a.address.parse().ok())
    }

    /// The ranges that Kubernetes gave out for this node's pods.
    pub fn pod_ranges(&self) -> impl Iterator<Item = Prefix> + '_ {
        let first = Some(&self.spec.pod_cidr).filter(|_| self.spec.pod_cidrs.is_empty());
        first.into_iter().chain(&self.spec.pod_cidrs).filter_map(|range| range.parse().ok())
    }

    /// The zone of the node, where its labels name one.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        let labels = &self.metadata.labels;
        let named = ["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"];
        named.iter().find_map(|key| labels.get(key))
    }

    /// The first address of this type.
    #[must_use]
    pub fn address(&self, kind: &str) -> Option<&str> {
        self.status.addresses.iter().find(|a| a.r#type == kind).map(|a| a.address.as_str())
    }
}
