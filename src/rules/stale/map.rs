//! `stale-map`: a table of the kernel's differs from the agent's own copy of it, for an entry that matters here.

use std::net::IpAddr;

use super::programs::shortened;
use crate::base::evidence::Evidence;
use crate::cilium::bpf_endpoints::EndpointInfo;
use crate::cilium::ipcache::IpcacheValue;
use crate::knowledge::code::Code;
use crate::kubernetes::roles::Role;
use crate::rules::case::Case;
use crate::rules::opinion::Opinion;
use crate::rules::verdict::{Affected, Because, Cause, Confidence, Says};

/// An agent that just started still takes over what an earlier one left in the kernel, in seconds.
const TAKING_OVER_S: i64 = 120;

/// An entry on which the two tables differ.
struct Differing {
    key: String,
    /// What it is the address of.
    whose: String,
    agent: String,
    kernel: String,
}

/// A direct sign: the kernel's table of endpoints, or of identities and tunnels, is not what the agent wrote.
#[must_use]
pub fn stale(case: &Case) -> Option<Opinion> {
    let endpoints = endpoints(case);
    if !endpoints.is_empty() {
        let mut opinion = opinion(&endpoints, "cilium_lxc", Evidence::BpfEndpointList, "packets to them are lost");
        let pods = endpoints.iter().filter_map(|differing| {
            let pod = case.around.names.get(&differing.key.parse::<IpAddr>().ok()?)?;
            Some(Affected {
                namespace: pod.namespace.clone(),
                pod: pod.name.clone(),
                says: format!("the kernel's entry of {} is {}", differing.key, differing.kernel),
            })
        });
        opinion.affected = pods.collect();
        return Some(opinion);
    }
    let ipcache = ipcache(case);
    if ipcache.is_empty() {
        return None;
    }
    let says = "packets to them take a wrong path, or get another pod's identity";
    Some(opinion(&ipcache, "cilium_ipcache", Evidence::IpcacheList, says))
}

fn opinion(differing: &[Differing], table: &str, evidence: Evidence, consequence: &str) -> Opinion {
    let names: Vec<String> = differing.iter().map(|d| format!("{} ({})", d.key, d.whose)).collect();
    let summary =
        format!("The kernel's {table} differs from the agent's copy for {}: {consequence}.", shortened(&names));
    let mut opinion = Opinion::new(Code::StaleMap, Confidence::High, summary);
    for differing in differing.iter().take(5) {
        let says = Says::new(
            format!(
                "{table}, key {}: the agent has {}, the kernel has {}",
                differing.key, differing.agent, differing.kernel
            ),
            [
                ("key", differing.key.clone().into()),
                ("agent", differing.agent.clone().into()),
                ("kernel", differing.kernel.clone().into()),
            ],
        );
        opinion.because.push(Because::said(evidence.name(), says));
    }
    if let Some(first) = differing.first() {
        opinion.cause =
            Some(Cause::named("map", table, evidence).with_key(&*first.key).expected(&*first.agent, &*first.kernel));
    }
    opinion
}

/// Pods of this node of which the kernel has no entry, or another one. Only pods that the cluster lists count, and entries
/// that the agent thinks are written: what came or went between the two readings is not among them.
fn endpoints(case: &Case) -> Vec<Differing> {
    let (Some(kernel), Some(agent)) = (case.beyond.kernel_endpoints.seen(), case.beyond.agent_endpoints.seen()) else {
        return Vec::new();
    };
    let differing = kernel.against(agent).unwrap_or_default().into_iter().filter_map(|difference| {
        let pod = case.around.names.get(&difference.key.parse::<IpAddr>().ok()?)?;
        let agent = difference.agent.filter(written)?;
        Some(Differing {
            whose: pod.to_string(),
            agent: endpoint_says(&agent),
            kernel: difference.kernel.as_ref().map_or_else(|| "no entry".to_owned(), endpoint_says),
            key: difference.key,
        })
    });
    differing.collect()
}

/// Whether the agent thinks that the entry is in the kernel.
fn written(info: &EndpointInfo) -> bool {
    info.state.as_deref().is_none_or(|state| state == "sync")
}

/// Whether the kernel's entry of an address differs that no listed pod has: it may be new, or gone, or of a pod that is not
/// allowed to be listed.
#[must_use]
pub fn unlisted_differs(case: &Case) -> bool {
    let (Some(kernel), Some(agent)) = (case.beyond.kernel_endpoints.seen(), case.beyond.agent_endpoints.seen()) else {
        return false;
    };
    let unlisted = |key: &str| key.parse::<IpAddr>().is_ok_and(|address| !case.around.names.contains_key(&address));
    let differing = kernel.against(agent).unwrap_or_default();
    differing.iter().any(|difference| unlisted(&difference.key) && difference.agent.as_ref().is_some_and(written))
}

fn endpoint_says(info: &EndpointInfo) -> String {
    let number = |name: &str, number: Option<u32>| number.map(|number| format!("{name}={number}"));
    let words = [number("id", info.id), number("sec_id", info.identity), number("ifindex", info.ifindex)];
    let words = words.into_iter().chain([info.mac.as_ref().map(|mac| format!("mac={mac}"))]);
    words.flatten().collect::<Vec<_>>().join(" ")
}

/// Addresses that matter to this node with another identity or tunnel than the agent wrote: its own pods, nodes, and DNS. Of
/// pods elsewhere only a tunnel that leads to another node counts, for they come and go between the two readings.
fn ipcache(case: &Case) -> Vec<Differing> {
    let (Some(kernel), Some(agent)) = (case.beyond.kernel_ipcache.seen(), case.beyond.agent_ipcache.seen()) else {
        return Vec::new();
    };
    let settled = case.agent_age_s().is_none_or(|age| age >= TAKING_OVER_S);
    let differing = kernel.against(agent).unwrap_or_default().into_iter().filter_map(|difference| {
        let address = difference.key.parse::<IpAddr>().ok()?;
        let roles = &case.around.roles;
        let role = roles.of(address);
        let near = matches!(role, Role::LocalPod | Role::ThisHost | Role::OtherHost | Role::NodeLocalDns)
            || roles.is_cluster_dns(address);
        let other_tunnel = match (&difference.kernel, &difference.agent) {
            (Some(kernel), Some(agent)) => kernel.tunnel != agent.tunnel,
            (Some(_), None) => settled && near,
            (None, _) => near,
        };
        if !(near && (difference.kernel.is_some() == difference.agent.is_some()) || other_tunnel)
            || !near && role != Role::RemotePod
        {
            return None;
        }
        let says = |value: &Option<IpcacheValue>| value.as_ref().map_or_else(|| "no entry".to_owned(), value_says);
        Some(Differing {
            whose: whose(case, address, role),
            agent: says(&difference.agent),
            kernel: says(&difference.kernel),
            key: difference.key,
        })
    });
    differing.collect()
}

fn value_says(value: &IpcacheValue) -> String {
    let tunnel = value.tunnel.map_or_else(|| "no tunnel".to_owned(), |tunnel| format!("tunnel {tunnel}"));
    let key = if value.encrypt_key == 0 { String::new() } else { format!(", key {}", value.encrypt_key) };
    format!("identity {}, {tunnel}{key}", value.identity)
}

fn whose(case: &Case, address: IpAddr, role: Role) -> String {
    match role {
        Role::LocalPod => {
            case.around.names.get(&address).map_or_else(|| "a pod of this node".to_owned(), ToString::to_string)
        }
        Role::ThisHost => "this node".to_owned(),
        Role::OtherHost => "another node".to_owned(),
        Role::NodeLocalDns => "node-local DNS".to_owned(),
        _ if case.around.roles.is_cluster_dns(address) => "a cluster DNS pod".to_owned(),
        _ => "a pod of another node".to_owned(),
    }
}
