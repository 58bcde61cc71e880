//! The questions about each node: of which pods, about which addresses.

use std::net::IpAddr;

use super::net::Prefix;
use super::pod_ref::PodRef;

/// What the user named in the cluster; none: to be discovered.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// The namespace of the Cilium agents.
    pub cilium_namespace: Option<String>,
    /// The node-local DNS address.
    pub node_local_dns: Option<IpAddr>,
    /// The cluster DNS service.
    pub dns_service: Option<PodRef>,
}

/// The questions, and whom to ask.
#[derive(Clone, Debug)]
pub struct Questions {
    /// The namespace of the Cilium agents; none: to be found.
    pub cilium_namespace: Option<String>,
    /// The node-local DNS address; none: to be found.
    pub node_local_dns: Option<IpAddr>,
    /// The cluster DNS service; none: to be found.
    pub dns_service: Option<PodRef>,
    /// The runbook's outside addresses.
    pub external: Vec<Prefix>,
    /// The pods that run probes; empty: to be found.
    pub probe_pods: Vec<PodRef>,
    /// What the probes fetch.
    pub probe_url: String,
    /// What the host pings, and what the probes reach by address.
    pub ping_target: IpAddr,
}

impl Questions {
    /// What was said of who is who in the cluster.
    #[must_use]
    pub fn named(&self) -> Named {
        Named {
            cilium_namespace: self.cilium_namespace.clone(),
            node_local_dns: self.node_local_dns,
            dns_service: self.dns_service.clone(),
        }
    }

    /// The addresses and ranges that were asked for: whoever reads a bundle asks for them again.
    #[must_use]
    pub fn addresses(&self) -> Vec<Prefix> {
        let single = [Some(self.ping_target), self.node_local_dns].into_iter().flatten();
        single.map(|address| Prefix::around(address, 128)).chain(self.external.iter().copied()).collect()
    }
}
