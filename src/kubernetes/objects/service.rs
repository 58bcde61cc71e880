//! Services, and the endpoints behind them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Annotations, Meta, ObjectRef, is_default, null_is_default};

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
    /// The fields of a service's specification that staledp uses.
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
    /// The conditions of an endpoint. An absent `ready` means ready (Kubernetes API, discovery/v1).
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

impl Service {
    /// Its addresses; none where it is headless.
    pub fn ips(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let first = Some(&self.spec.cluster_ip).filter(|_| self.spec.cluster_ips.is_empty());
        first.into_iter().chain(&self.spec.cluster_ips).filter_map(|ip| ip.parse().ok())
    }

    /// How it prefers near endpoints, in its own spelling; empty if it does not.
    #[must_use]
    pub fn distribution(&self) -> &str {
        let Annotations { topology_mode, topology_aware_hints } = &self.metadata.annotations;
        let told = [self.spec.traffic_distribution.as_str(), topology_mode, topology_aware_hints];
        told.into_iter().find(|word| !word.is_empty() && !word.eq_ignore_ascii_case("disabled")).unwrap_or_default()
    }
}

impl Endpoint {
    /// Whether new traffic should go to it: ready (absent means ready) and not terminating.
    #[must_use]
    pub fn takes_traffic(&self) -> bool {
        self.conditions.ready.unwrap_or(true) && !self.conditions.terminating.unwrap_or(false)
    }
}
