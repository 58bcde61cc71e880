//! `stale-service-map` where the agent does not answer: the kernel's own table against the endpoints of cluster DNS.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crate::base::evidence::Evidence;
use crate::knowledge::code::Code;
use crate::kubernetes::cluster_dns::{ClusterDns, DnsPort};
use crate::rules::beyond::Silence;
use crate::rules::case::Case;
use crate::rules::opinion::Opinion;
use crate::rules::verdict::{Because, Cause, Confidence, Says};

/// A frontend of cluster DNS for which the kernel's table holds none, or not all, of the ready endpoints.
struct Stale {
    frontend: SocketAddr,
    protocol: String,
    /// What the kernel has that is not a ready endpoint.
    gone: BTreeSet<IpAddr>,
    /// Ready endpoints that it lacks.
    lacks: BTreeSet<IpAddr>,
    /// Ready endpoints that it has.
    right: usize,
}

/// A direct sign: the agent no longer updates the kernel's services, and they are out of date.
#[must_use]
pub fn services(case: &Case) -> Option<Opinion> {
    let silence = case.beyond.agent_silence.as_ref()?;
    let dns = case.around.cluster_dns.as_ref().ok()?;
    let frontends = dns.ports.iter().flat_map(|port| dns.addresses.iter().map(move |address| (*address, port)));
    let stale: Vec<Stale> = frontends.filter_map(|(address, port)| compare(case, dns, address, port)).collect();
    let worst = stale.iter().min_by_key(|stale| stale.right)?;
    let how = match silence.silence {
        Silence::Frozen => "hangs: it accepts requests and answers none",
        Silence::NoSocket => "cannot be asked: its socket is gone",
    };
    let summary = format!(
        "The agent {how}, and the kernel's service table is out of date: for {}/{} it has {}, ready are {}.",
        worst.frontend,
        worst.protocol,
        shown(&worst.gone),
        shown(&worst.lacks)
    );
    let confidence = if worst.right == 0 { Confidence::High } else { Confidence::Medium };
    let mut opinion = Opinion::new(Code::StaleServiceMap, confidence, summary);
    for stale in &stale {
        let says = Says::new(
            format!(
                "{}/{}: the kernel has {} that no ready endpoint has, and lacks {}",
                stale.frontend,
                stale.protocol,
                shown(&stale.gone),
                shown(&stale.lacks)
            ),
            [("gone", stale.gone.len().into()), ("lacks", stale.lacks.len().into())],
        );
        opinion.because.push(Because::said(Evidence::LbList.name(), says));
    }
    opinion.because.push(Because::evidence(silence.evidence.name(), silence.says.clone()));
    let agent = case.agent().map_or_else(|| case.around.node.clone(), |agent| agent.pod.to_string());
    opinion.cause = Some(
        Cause::named("agent", "cilium-agent", silence.evidence)
            .on(agent)
            .with_key(worst.frontend.to_string())
            .expected(shown(&worst.lacks), shown(&worst.gone)),
    );
    Some(opinion)
}

/// One frontend, held against every reading of the service that this node may follow.
fn compare(case: &Case, dns: &ClusterDns, address: IpAddr, port: &DnsPort) -> Option<Stale> {
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
    let every = readings.first().map(|reading| reading.backends.clone()).unwrap_or_default();
    let lacks = readings.iter().map(|reading| &reading.backends - &has).min_by_key(BTreeSet::len)?;
    let serving: BTreeSet<IpAddr> =
        dns.behind(address, port).filter(|backend| backend.serving).map(|backend| backend.ip).collect();
    let gone = &(&has - &every) - &serving;
    // Endpoints that are gone attract queries without an answer; missing ones leave the others working.
    (!gone.is_empty() && !every.is_empty()).then(|| Stale {
        frontend: SocketAddr::new(address, port.port),
        protocol: port.protocol.clone(),
        right: has.intersection(&every).count(),
        gone,
        lacks,
    })
}

fn shown(addresses: &BTreeSet<IpAddr>) -> String {
    match addresses.len() {
        0 => "none".to_owned(),
        _ => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}
