//! The objects that only a repair reads, reduced to the fields that staledp uses.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kubernetes::objects::{Condition, Meta, Owner, Running, Terminated, null_is_default, object};

object! {
    /// A DaemonSet.
    DaemonSet {
        /// Its metadata.
        metadata: Versioned,
        /// What was wanted.
        spec: DaemonSetSpec,
        /// The observed state.
        status: DaemonSetStatus,
    }
}

object! {
    /// Metadata of something whose template changes.
    Versioned {
        /// The name.
        name: String,
        /// The unique id.
        uid: String,
        /// Counts the changes of the specification.
        generation: i64,
    }
}

object! {
    /// The fields of a DaemonSet's specification that staledp uses.
    DaemonSetSpec {
        /// How it brings changes out.
        update_strategy: UpdateStrategy,
        /// What its next pod will be.
        template: Template,
    }
}

object! {
    /// How a DaemonSet brings changes out.
    UpdateStrategy {
        /// `RollingUpdate` or `OnDelete`.
        r#type: String,
    }
}

object! {
    /// A pod template.
    Template {
        /// The pod's specification.
        spec: AgentSpec,
    }
}

object! {
    /// The fields of a DaemonSet's status that staledp uses.
    DaemonSetStatus {
        /// The generation that this status is about.
        observed_generation: i64,
        /// How many nodes should run it.
        desired_number_scheduled: i64,
        /// How many run the newest; absent when 0.
        updated_number_scheduled: i64,
    }
}

object! {
    /// A node with the images that it holds.
    NodeWithImages {
        /// The observed state.
        status: NodeImages,
    }
}

object! {
    /// The fields of a node's status that staledp uses.
    NodeImages {
        /// The images; the kubelet names 50 at the most by default.
        images: Vec<NodeImage>,
        /// The node's conditions.
        conditions: Vec<Condition>,
    }
}

object! {
    /// An image on a node.
    NodeImage {
        /// All its names, by tag and by digest.
        names: Vec<String>,
    }
}

object! {
    /// A pod of the agent, with what its start depends on.
    AgentPod {
        /// Its metadata.
        metadata: Meta,
        /// What was wanted.
        spec: AgentSpec,
        /// The observed state.
        status: AgentStatus,
    }
}

object! {
    /// The fields of its specification that staledp uses.
    AgentSpec {
        /// The node that it runs on; empty in a template.
        node_name: String,
        /// Its init containers.
        init_containers: Vec<AgentContainer>,
        /// Its containers.
        containers: Vec<AgentContainer>,
    }
}

object! {
    /// A container of the agent's pod.
    AgentContainer {
        /// Its name.
        name: String,
        /// Its image.
        image: String,
        /// `Always`, `IfNotPresent` or `Never`.
        image_pull_policy: String,
    }
}

object! {
    /// The fields of its status that staledp uses.
    AgentStatus {
        /// `Pending`, `Running`, …
        phase: String,
        /// Its conditions.
        conditions: Vec<Condition>,
        /// Its init containers' states.
        init_container_statuses: Vec<AgentContainerStatus>,
        /// Its containers' states.
        container_statuses: Vec<AgentContainerStatus>,
    }
}

object! {
    /// A container's state.
    AgentContainerStatus {
        /// The container's name.
        name: String,
        /// Whether it is ready; for an init container: done.
        ready: bool,
        /// How often it was started again.
        restart_count: i64,
        /// What it does now.
        state: AgentContainerState,
        /// What it did before.
        last_state: AgentContainerState,
    }
}

object! {
    /// One of three states, with the kubelet's words.
    AgentContainerState {
        /// It runs.
        running: Option<Running>,
        /// It waits.
        waiting: Option<WaitingFor>,
        /// It ended.
        terminated: Option<Terminated>,
    }
}

object! {
    /// A waiting container.
    WaitingFor {
        /// `ContainerCreating`, `CrashLoopBackOff`, `ImagePullBackOff`, …
        reason: String,
        /// What the kubelet says of it.
        message: String,
    }
}

object! {
    /// A Lease.
    Lease {
        /// Its metadata.
        metadata: LeaseMeta,
        /// Who holds it.
        spec: LeaseSpec,
    }
}

object! {
    /// The fields of a Lease's metadata that staledp uses.
    LeaseMeta {
        /// What the next change has to be based on.
        resource_version: String,
        /// The unique id.
        uid: String,
        /// What the holder says of itself.
        annotations: BTreeMap<String, String>,
    }
}

object! {
    /// The fields of a Lease's specification that staledp uses.
    LeaseSpec {
        /// Who holds it; empty if free.
        holder_identity: String,
        /// For how long after its last renewal, in seconds.
        lease_duration_seconds: i64,
        /// Since when, RFC 3339.
        acquire_time: Option<String>,
        /// Its last renewal, RFC 3339.
        renew_time: Option<String>,
        /// How often it changed hands.
        lease_transitions: i64,
    }
}

impl AgentPod {
    /// Whether its Ready condition holds.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.status.conditions.iter().any(|c| c.r#type == "Ready" && c.status == "True")
    }

    /// Its managing controller.
    #[must_use]
    pub fn controller(&self) -> Option<&Owner> {
        self.metadata.owner_references.iter().find(|owner| owner.controller)
    }
}
