//! The kernel's service table (`bpf lb list`) against the endpoints of cluster DNS, without the agent's word.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crate::base::time::seconds_between;
use crate::checks::dns_backends::UPDATE_S;
use crate::kubernetes::cluster_dns::{ClusterDns, DnsPort};
use crate::rules::case::Case;
use crate::rules::verdict::Says;

/// A frontend of cluster DNS in the kernel's table, held against the ready endpoints.
pub(super) struct KernelRow {
    /// Its address and port.
    pub(super) frontend: SocketAddr,
    /// `UDP` or `TCP`.
    pub(super) protocol: String,
    /// What the kernel has that is not a ready endpoint.
    pub(super) gone: BTreeSet<IpAddr>,
    /// Ready endpoints that it lacks, by the reading of the service that fits best.
    pub(super) lacks: BTreeSet<IpAddr>,
    /// Of those it lacks, the ones that have been ready for longer than an update takes.
    pub(super) lacks_for_minutes: BTreeSet<IpAddr>,
    /// How many ready endpoints it has.
    pub(super) right: usize,
}

/// The rows of cluster DNS in the kernel's table, as far as it could be read and any endpoint is ready.
pub(super) fn held_against_endpoints(case: &Case) -> Vec<KernelRow> {
    let Ok(dns) = &case.around.cluster_dns else { return Vec::new() };
    let frontends = dns.ports.iter().flat_map(|port| dns.addresses.iter().map(move |address| (*address, port)));
    frontends.filter_map(|(address, port)| hold(case, dns, address, port)).collect()
}

/// One frontend, held against every reading of the service that this node may follow.
fn hold(case: &Case, dns: &ClusterDns, address: IpAddr, port: &DnsPort) -> Option<KernelRow> {
    let kernel = case.beyond.lb.seen().filter(|lb| lb.header && lb.unread == 0)?;
    let rows = kernel
        .frontends
        .iter()
        .filter(|(frontend, _)| (frontend.ip, frontend.port) == (address, port.port) && frontend.fits(&port.protocol));
    let rows: Vec<_> = rows.map(|(_, row)| row).collect();
    // A redirect leads to this node's own resolver, whatever the endpoints are.
    if rows.is_empty() || rows.iter().any(|row| row.flags.iter().any(|flag| flag.starts_with("LocalRedirect"))) {
        return None;
    }
    let has: BTreeSet<IpAddr> = rows.iter().flat_map(|row| &row.backends).map(|backend| backend.ip).collect();
    let readings = dns.readings(address, port, &case.around.node, case.around.zone());
    let every = readings.first().map(|reading| reading.backends.clone()).filter(|every| !every.is_empty())?;
    let lacks = readings.iter().map(|reading| &reading.backends - &has).min_by_key(BTreeSet::len)?;
    let serving: BTreeSet<IpAddr> =
        dns.behind(address, port).filter(|backend| backend.serving).map(|backend| backend.ip).collect();
    let for_minutes = |ip: &&IpAddr| {
        let since = dns.behind(address, port).find(|backend| backend.ip == **ip).and_then(|b| b.since);
        let age = since.zip(case.taken_at).map(|(since, now)| seconds_between(since, now));
        age.is_some_and(|age| age > UPDATE_S)
    };
    Some(KernelRow {
        frontend: SocketAddr::new(address, port.port),
        protocol: port.protocol.clone(),
        right: has.intersection(&every).count(),
        gone: &(&has - &every) - &serving,
        lacks_for_minutes: lacks.iter().filter(for_minutes).copied().collect(),
        lacks,
    })
}

/// Ready endpoints that the kernel has lacked for minutes, for the worst row; none where it lacks none.
pub(super) fn lacks_for_minutes(case: &Case) -> Option<Says> {
    let rows = held_against_endpoints(case);
    let worst = rows.iter().filter(|row| !row.lacks_for_minutes.is_empty()).min_by_key(|row| row.right)?;
    let text = format!(
        "{}/{}: the kernel lacks {}, ready for minutes, and has {} that no ready endpoint has",
        worst.frontend,
        worst.protocol,
        shown(&worst.lacks_for_minutes),
        shown(&worst.gone)
    );
    Some(Says::new(text, [("gone", worst.gone.len().into()), ("lacks", worst.lacks_for_minutes.len().into())]))
}

/// "10.1.0.7, 10.1.1.9", or "none".
pub(super) fn shown(addresses: &BTreeSet<IpAddr>) -> String {
    match addresses.len() {
        0 => "none".to_owned(),
        _ => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}
