//! `stale-service-map`: the table lacks endpoints that have been ready for minutes, or the kernel has another table.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::base::evidence::Evidence;
use crate::cilium::services::Target;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Code;
use crate::rules::case::Case;
use crate::rules::opinion::Opinion;
use crate::rules::stale::kernel_services::{lacks_for_minutes, shown};
use crate::rules::verdict::{Because, Confidence};
use crate::ways::life::Life;
use crate::ways::way::Way;

/// `stale-service-map`: the table lacks endpoints that have been ready for minutes, or the kernel has another table.
#[must_use]
pub fn service_map(case: &Case) -> Option<Opinion> {
    let backends = &case.backends;
    let mut because = Vec::new();
    if !backends.missing.is_empty() || !backends.stray.is_empty() {
        because.push(Because::check(CheckId::DnsBackends, backends.finding.summary.clone()));
    }
    if let Some(says) = kernel_differs(case) {
        because.push(Because::evidence(Evidence::LbList.name(), says));
    } else if case.backends.list.is_none() {
        // Without the agent's table, the kernel's own still tells.
        because.extend(lacks_for_minutes(case).map(|says| Because::said(Evidence::LbList.name(), says)));
    }
    // Without the network an agent hears of no change: then the old table is a consequence.
    let cut_off = [Way::HostToCluster, Way::HostToWorld].iter().any(|way| case.way(*way).life == Life::Dead);
    if because.is_empty() || cut_off || case.around.is_off() {
        return None;
    }
    let summary = "The service table of this node is stale: it does not hold the cluster DNS endpoints that are ready.";
    let confidence = if because.len() > 1 { Confidence::High } else { Confidence::Medium };
    let mut opinion = Opinion::new(Code::StaleServiceMap, confidence, summary);
    opinion.because = because;
    Some(opinion)
}

/// Where the agent's table and the kernel's differ for cluster DNS.
fn kernel_differs(case: &Case) -> Option<String> {
    // The two lists are read one after the other; while endpoints come and go they need not agree.
    if case.backends.under_way {
        return None;
    }
    let kernel = case.beyond.lb.seen().filter(|lb| lb.header && !lb.frontends.is_empty())?;
    let agent = case.backends.list.as_ref()?;
    let dns = case.around.cluster_dns.as_ref().ok()?;
    let address = |targets: BTreeSet<&Target>| targets.into_iter().map(|t| t.ip).collect::<BTreeSet<IpAddr>>();
    for row in &agent.rows {
        if row.frontend.port != 53 || row.internal || !dns.addresses.contains(&row.frontend.ip) {
            continue;
        }
        let wanted = address(row.active().collect());
        let resting = row.backends.len() > wanted.len();
        let has = kernel.frontends.iter().filter(|(frontend, _)| {
            frontend.ip == row.frontend.ip
                && frontend.port == row.frontend.port
                && row.frontend.protocol.as_deref().is_none_or(|p| frontend.fits(p))
        });
        let has = address(has.flat_map(|(_, frontend)| &frontend.backends).collect());
        // Resting backends may stand in the kernel's table or not.
        if wanted != has && !(resting && wanted.is_subset(&has)) {
            return Some(format!(
                "for {} the agent wants {}, the kernel has {}",
                std::net::SocketAddr::new(row.frontend.ip, row.frontend.port),
                shown(&wanted),
                shown(&has)
            ));
        }
    }
    None
}
