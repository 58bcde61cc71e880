//! What is asked about each node, and of which pods and addresses.

use std::net::{IpAddr, Ipv4Addr};

use super::net::Prefix;
use super::pod_ref::PodRef;

/// The node-local DNS address that Kubespray configures by default.
pub const NODE_LOCAL_DNS: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 25, 10));

/// What is asked, and of whom.
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
    /// The addresses and ranges that were asked for: whoever reads a bundle asks for them again.
    #[must_use]
    pub fn addresses(&self) -> Vec<Prefix> {
        let single = [Some(self.ping_target), self.node_local_dns].into_iter().flatten();
        single.map(|address| Prefix::around(address, 128)).chain(self.external.iter().copied()).collect()
    }
}
