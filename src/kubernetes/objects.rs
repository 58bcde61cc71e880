//! What is used of Kubernetes objects, and nothing else.
//!
//! The same shapes read the API's answers and the lists of a bundle, and write those lists: what is not named here
//! (environment variables, annotations, …) never enters the program. Every field may be missing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::base::net::Prefix;
use crate::base::pod_ref::PodRef;
pub use crate::kubernetes::inventory::{Inventory, Listed, Origin, Page};

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

object! {
    /// What is used of an object's metadata.
    Meta {
        /// The name.
        name: String,
        /// The namespace; empty for objects of the cluster.
        namespace: String,
        /// The unique id.
        uid: String,
        /// The labels.
        labels: BTreeMap<String, String>,
        /// When it was made, RFC 3339.
        creation_timestamp: Option<String>,
        /// Set while it is being deleted, RFC 3339.
        deletion_timestamp: Option<String>,
        /// Who owns it.
        owner_references: Vec<Owner>,
        /// The few annotations that count here; all others may hold secrets.
        #[serde(skip_serializing_if = "is_default")]
        annotations: Annotations,
    }
}

object! {
    /// The annotations that count here.
    Annotations {
        /// On a service: `Auto` where near endpoints are preferred.
        #[serde(rename = "service.kubernetes.io/topology-mode", skip_serializing_if = "String::is_empty")]
        topology_mode: String,
        /// The same under its older name.
        #[serde(rename = "service.kubernetes.io/topology-aware-hints", skip_serializing_if = "String::is_empty")]
        topology_aware_hints: String,
    }
}

object! {
    /// The owner of an object.
    Owner {
        /// Its kind, `DaemonSet` for one.
        kind: String,
        /// Its name.
        name: String,
        /// Its unique id.
        uid: String,
        /// Whether it is the managing controller.
        controller: bool,
    }
}

object! {
    /// A condition of a node or pod.
    Condition {
        /// Its type, `Ready` for one.
        r#type: String,
        /// `True`, `False` or `Unknown`.
        status: String,
        /// A word for why.
        reason: String,
        /// Since when, RFC 3339.
        last_transition_time: Option<String>,
    }
}

object! {
    /// A node.
    Node {
        /// Its metadata.
        metadata: Meta,
        /// What was wanted.
        spec: NodeSpec,
        /// What is.
        status: NodeStatus,
    }
}

object! {
    /// What is used of a node's specification.
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
    /// What is used of a node's status.
    NodeStatus {
        /// Its addresses.
        addresses: Vec<NodeAddress>,
        /// Its conditions.
        conditions: Vec<Condition>,
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

object! {
    /// A pod.
    Pod {
        /// Its metadata.
        metadata: Meta,
        /// What was wanted.
        spec: PodSpec,
        /// What is.
        status: PodStatus,
    }
}

object! {
    /// What is used of a pod's specification.
    PodSpec {
        /// The node it runs on.
        node_name: String,
        /// Whether it shares the host's network.
        host_network: bool,
        /// Where it looks names up: `ClusterFirst` where this is empty, `ClusterFirstWithHostNet`, `Default`, `None`.
        #[serde(skip_serializing_if = "String::is_empty")]
        dns_policy: String,
        /// Its containers.
        containers: Vec<Container>,
        /// The labels that its node has to have; kept for Cilium's agents only.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        node_selector: BTreeMap<String, String>,
        /// The taints that it tolerates; kept for Cilium's agents only.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tolerations: Vec<Toleration>,
    }
}

object! {
    /// What a pod tolerates.
    Toleration {
        /// The taint's key; empty with `Exists`: every taint.
        key: String,
        /// `Exists` or `Equal`; empty means `Equal`.
        operator: String,
        /// The taint's value.
        value: String,
        /// The taint's effect; empty: every effect.
        effect: String,
    }
}

object! {
    /// What is used of a container's specification.
    Container {
        /// Its name.
        name: String,
        /// Its image.
        image: String,
        /// Its arguments; kept for NodeLocal DNS only, whose `-localip` names the address.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        args: Vec<String>,
    }
}

object! {
    /// What is used of a pod's status.
    PodStatus {
        /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
        phase: String,
        /// Its first address.
        #[serde(rename = "podIP")]
        pod_ip: String,
        /// All its addresses.
        #[serde(rename = "podIPs")]
        pod_ips: Vec<PodIp>,
        /// When the kubelet took it, RFC 3339.
        start_time: Option<String>,
        /// Its conditions.
        conditions: Vec<Condition>,
        /// Its containers' states.
        container_statuses: Vec<ContainerStatus>,
        /// The states of its init containers; sidecars are among them since Kubernetes 1.28.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        init_container_statuses: Vec<ContainerStatus>,
    }
}

object! {
    /// One address of a pod.
    PodIp {
        /// The address.
        ip: String,
    }
}

object! {
    /// A container's state.
    ContainerStatus {
        /// The container's name.
        name: String,
        /// Whether it is ready.
        ready: bool,
        /// How often it was started again.
        restart_count: i64,
        /// The image it runs.
        image: String,
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
        started_at: Option<String>,
    }
}

object! {
    /// A waiting container.
    Waiting {
        /// `CrashLoopBackOff`, `ImagePullBackOff`, …
        reason: String,
    }
}

object! {
    /// A container that ended.
    Terminated {
        /// `Error`, `OOMKilled`, `Completed`, …
        reason: String,
        /// Its exit code.
        exit_code: i32,
        /// When, RFC 3339.
        finished_at: Option<String>,
    }
}

object! {
    /// A service.
    Service {
        /// Its metadata.
        metadata: Meta,
        /// What was wanted.
        spec: ServiceSpec,
    }
}

object! {
    /// What is used of a service's specification.
    ServiceSpec {
        /// Its type.
        r#type: String,
        /// Its first address.
        #[serde(rename = "clusterIP")]
        cluster_ip: String,
        /// All its addresses.
        #[serde(rename = "clusterIPs")]
        cluster_ips: Vec<String>,
        /// Its ports.
        ports: Vec<ServicePort>,
        /// `Local` where traffic from inside stays on its node; else `Cluster` or empty.
        #[serde(skip_serializing_if = "String::is_empty")]
        internal_traffic_policy: String,
        /// `PreferClose`, `PreferSameZone`, `PreferSameNode`; empty where near endpoints are not preferred.
        #[serde(skip_serializing_if = "String::is_empty")]
        traffic_distribution: String,
    }
}

object! {
    /// A port of a service.
    ServicePort {
        /// Its name.
        name: String,
        /// Its number.
        port: u16,
        /// `TCP`, `UDP` or `SCTP`; empty means TCP.
        protocol: String,
    }
}

object! {
    /// An endpoint slice.
    EndpointSlice {
        /// Its metadata.
        metadata: Meta,
        /// `IPv4`, `IPv6` or `FQDN`.
        address_type: String,
        /// The endpoints.
        endpoints: Vec<Endpoint>,
        /// The ports that all of them serve.
        ports: Vec<EndpointPort>,
    }
}

object! {
    /// One endpoint.
    Endpoint {
        /// Its addresses; all name the same endpoint.
        addresses: Vec<String>,
        /// How it does.
        conditions: EndpointConditions,
        /// The object behind it.
        target_ref: ObjectRef,
        /// The node it is on.
        node_name: String,
        /// The zone it is in.
        #[serde(skip_serializing_if = "String::is_empty")]
        zone: String,
        /// Who should use it.
        #[serde(skip_serializing_if = "is_default")]
        hints: EndpointHints,
    }
}

object! {
    /// Who should use an endpoint, where topology counts; both empty: everybody.
    EndpointHints {
        /// The zones.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        for_zones: Vec<Hint>,
        /// The nodes.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        for_nodes: Vec<Hint>,
    }
}

object! {
    /// The name of a zone or node.
    Hint {
        /// The name.
        name: String,
    }
}

object! {
    /// How an endpoint does. An absent `ready` is to be read as ready (Kubernetes API, discovery/v1).
    EndpointConditions {
        /// Whether it takes traffic.
        ready: Option<bool>,
        /// Whether it answers, terminating or not.
        serving: Option<bool>,
        /// Whether it is being ended.
        terminating: Option<bool>,
    }
}

object! {
    /// A port of an endpoint slice.
    EndpointPort {
        /// Its name.
        name: String,
        /// Its number.
        port: u16,
        /// `TCP`, `UDP` or `SCTP`; empty means TCP.
        protocol: String,
    }
}

object! {
    /// A reference to an object.
    ObjectRef {
        /// Its kind.
        kind: String,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Which part of it.
        field_path: String,
    }
}

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

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_nobody(source: &EventSource) -> bool {
    source.host.is_empty()
}

object! {
    /// An object of somebody else's kind: what it says of itself, and where a local redirect begins.
    Custom {
        /// Its metadata.
        metadata: Meta,
        /// What was wanted.
        spec: CustomSpec,
        /// What is.
        status: CustomStatus,
    }
}

object! {
    /// What is used of a CiliumLocalRedirectPolicy's specification; empty for other kinds.
    CustomSpec {
        /// Where the redirect begins.
        redirect_frontend: RedirectFrontend,
    }
}

object! {
    /// Where a local redirect begins: one of two.
    RedirectFrontend {
        /// At an address.
        address_matcher: AddressMatcher,
        /// At a service.
        service_matcher: ServiceMatcher,
    }
}

object! {
    /// An address that is redirected.
    AddressMatcher {
        /// The address.
        ip: String,
    }
}

object! {
    /// A service that is redirected.
    ServiceMatcher {
        /// Its name.
        service_name: String,
        /// Its namespace.
        namespace: String,
    }
}

object! {
    /// What an object says of itself.
    CustomStatus {
        /// Its conditions.
        conditions: Vec<Told>,
        /// The last synchronization of an Argo CD Application.
        operation_state: OperationState,
    }
}

object! {
    /// A condition with its words.
    Told {
        /// Its type.
        r#type: String,
        /// `True`, `False`, `Unknown`; Argo CD's have none.
        status: String,
        /// What it says.
        message: String,
        /// Since when, RFC 3339.
        last_transition_time: Option<String>,
    }
}

object! {
    /// The last synchronization of an Argo CD Application.
    OperationState {
        /// `Succeeded`, `Failed`, `Error`, `Running`.
        phase: String,
        /// What it says.
        message: String,
        /// When it ended, RFC 3339.
        finished_at: Option<String>,
    }
}

fn condition_is_true(conditions: &[Condition], kind: &str) -> Option<bool> {
    conditions.iter().find(|c| c.r#type == kind).map(|c| c.status == "True")
}

impl Node {
    /// Whether the kubelet says that the node is ready; none where it says nothing.
    #[must_use]
    pub fn ready(&self) -> Option<bool> {
        condition_is_true(&self.status.conditions, "Ready")
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
        named.iter().find_map(|key| labels.get(*key)).map(String::as_str)
    }

    /// The first address of this type.
    #[must_use]
    pub fn address(&self, kind: &str) -> Option<&str> {
        self.status.addresses.iter().find(|a| a.r#type == kind).map(|a| a.address.as_str())
    }
}

impl Pod {
    /// Namespace and name.
    #[must_use]
    pub fn reference(&self) -> PodRef {
        PodRef { namespace: self.metadata.namespace.clone(), name: self.metadata.name.clone() }
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

impl Service {
    /// Its addresses; none where it is headless.
    pub fn ips(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let first = Some(&self.spec.cluster_ip).filter(|_| self.spec.cluster_ips.is_empty());
        first.into_iter().chain(&self.spec.cluster_ips).filter_map(|ip| ip.parse().ok())
    }

    /// How it prefers near endpoints, in its own word; empty where it does not.
    #[must_use]
    pub fn distribution(&self) -> &str {
        let Annotations { topology_mode, topology_aware_hints } = &self.metadata.annotations;
        let told = [&self.spec.traffic_distribution, topology_mode, topology_aware_hints];
        let prefers = |word: &&&String| !word.is_empty() && !word.eq_ignore_ascii_case("disabled");
        told.iter().find(prefers).map_or("", |word| word.as_str())
    }
}

impl Endpoint {
    /// Whether new traffic should go to it: ready (absent means ready) and not terminating.
    #[must_use]
    pub fn takes_traffic(&self) -> bool {
        self.conditions.ready.unwrap_or(true) && !self.conditions.terminating.unwrap_or(false)
    }
}
