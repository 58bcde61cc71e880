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
use crate::rules::verdict::{Because, Confidence, Says};
use crate::ways::life::Life;
use crate::ways::way::Way;

/// `stale-service-map`: the table lacks endpoints that have been ready for minutes, or the kernel has another table.
#[must_use]
pub fn service_map(case: &Case) -> Option<Opinion> {
    let backends = &case.backends;
    // A release that drops the row of a zone without endpoints writes the same row after a restart.
    if case.row_empty_for_zone().is_some() {
        return None;
    }
    let mut because = Vec::new();
    if !backends.missing.is_empty() || !backends.stray.is_empty() {
        because.push(Because::check(CheckId::DnsBackends, backends.finding.summary.clone()));
    }
    if let Some(says) = kernel_differs(case) {
        because.push(Because::said(Evidence::LbList.name(), says));
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

/// Whether the kernel's table lacks the same ready endpoints as the agent's; none where one of them was not read.
#[must_use]
pub fn both_tables_old(case: &Case) -> Option<bool> {
    let kernel = case.beyond.lb.seen().filter(|lb| lb.header && lb.unread == 0)?;
    let lists = case.backends.list.is_some() && !kernel.frontends.is_empty();
    lists.then(|| {
        !case.backends.missing.is_empty() && kernel_differs(case).is_none() && lacks_for_minutes(case).is_some()
    })
}

/// Where the agent's table and the kernel's differ for cluster DNS.
fn kernel_differs(case: &Case) -> Option<Says> {
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
        let not_found: usize = has.clone().map(|(_, frontend)| frontend.not_found).sum();
        let has = address(has.flat_map(|(_, frontend)| &frontend.backends).collect());
        // Resting backends may stand in the kernel's table or not.
        if wanted != has && !(resting && wanted.is_subset(&has)) {
            let beside = match not_found {
                0 => String::new(),
                1 => "; 1 of its rows names a backend that it does not hold".to_owned(),
                rows => format!("; {rows} of its rows name backends that it does not hold"),
            };
            let says = format!(
                "for {} the agent wants {}, the kernel has {}{beside}",
                std::net::SocketAddr::new(row.frontend.ip, row.frontend.port),
                shown(&wanted),
                shown(&has)
            );
            let figures = [("wanted", wanted.len().into()), ("has", has.len().into()), ("not_found", not_found.into())];
            return Some(Says::new(says, figures));
        }
    }
    None
}
