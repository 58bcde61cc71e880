//! `dns-backends`: does the datapath know as many cluster DNS backends as are ready?
//!
//! One backend is right where a local redirect leads to this node's NodeLocal DNS, and where one endpoint is ready. So
//! the table is held against the cluster's endpoints, and a difference counts only when it has outlived an update.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{BackendFigures, DnsBackendsData, Finding, Status};
use crate::base::answer::{End, Raw};
use crate::base::clock::seconds_between;
use crate::base::failure::{Failure, FailureKind};
use crate::cilium::services;
use crate::cilium::services::{Row, ServiceList};
use crate::kubernetes::cluster_dns::{ClusterDns, DnsEndpoint};
use crate::kubernetes::node_view::NodeView;

/// An update of the service table takes seconds; a difference older than this is none, in seconds.
const UPDATE_S: i64 = 120;

/// What the table and the endpoints say together.
#[derive(Clone, Debug)]
pub struct Backends {
    /// The check.
    pub finding: Finding<DnsBackendsData>,
    /// Ready endpoints that the table has not had for longer than an update takes.
    pub missing: BTreeSet<IpAddr>,
    /// Active backends of the table that have not been ready endpoints for longer than an update takes.
    pub stray: BTreeSet<IpAddr>,
    /// Differences that may still be an update under way.
    pub pending: BTreeSet<IpAddr>,
    /// Whether some endpoint's readiness changed within the time that an update takes: then two tables that were read
    /// one after the other may differ.
    pub under_way: bool,
    /// A local redirect without active backend.
    pub redirect_without_backend: bool,
    /// Whether any row is a local redirect.
    pub redirected: bool,
    /// Ready endpoints, whatever the table says; none where they are not known.
    pub expected: Option<usize>,
    /// The list itself, where it could be read.
    pub list: Option<ServiceList>,
}

/// Reads the service table.
#[must_use]
pub fn judge(raw: &Raw, around: &NodeView) -> Backends {
    let duration_ms = raw.answer.duration_ms;
    let unknown = |failure: Failure, list: Option<ServiceList>, data: DnsBackendsData| Backends {
        finding: Finding {
            status: Status::Unknown,
            summary: failure.message.clone(),
            reason: Some(failure),
            duration_ms,
            data,
        },
        missing: BTreeSet::new(),
        stray: BTreeSet::new(),
        pending: BTreeSet::new(),
        under_way: false,
        redirect_without_backend: false,
        redirected: false,
        expected: None,
        list,
    };
    let list = match read(raw) {
        Ok(list) => list,
        Err(failure) => return unknown(failure, None, DnsBackendsData::default()),
    };
    let dns = match &around.cluster_dns {
        Ok(dns) => dns,
        Err(failure) => {
            let why = Failure::new(failure.kind, format!("cluster DNS is not known: {}", failure.message));
            return unknown(why, Some(list), DnsBackendsData::default());
        }
    };
    compare(list, dns, around, raw)
}

fn read(raw: &Raw) -> Result<ServiceList, Failure> {
    match &raw.answer.end {
        End::Failed(failure) => return Err(failure.clone()),
        End::NotGathered(why) => return Err(Failure::new(FailureKind::NotFound, why.clone())),
        End::Exited(0) => {}
        End::Exited(code) => {
            let said = raw.answer.stderr.lines().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing");
            let why = format!("the service list ended with exit code {code}: {said}");
            return Err(Failure::new(FailureKind::Other, why));
        }
    }
    let list = services::parse(&String::from_utf8_lossy(&raw.stdout));
    if list.rows.is_empty() {
        return Err(Failure::new(FailureKind::Other, "the service list has no rows"));
    }
    Ok(list)
}

/// What one protocol's rows say.
#[derive(Default)]
struct Difference {
    missing: BTreeSet<IpAddr>,
    stray: BTreeSet<IpAddr>,
    pending: BTreeSet<IpAddr>,
}

fn compare(list: ServiceList, dns: &ClusterDns, around: &NodeView, raw: &Raw) -> Backends {
    // What a redirect took over may be the node-local address as well as the service's.
    let redirectable = |ip: &IpAddr| dns.addresses.contains(ip) || around.node_local_dns.addresses.contains(ip);
    let redirects: Vec<&Row> = list
        .rows
        .iter()
        .filter(|r| r.frontend.port == 53 && r.is_local_redirect() && redirectable(&r.frontend.ip))
        .collect();
    let redirect_without_backend = redirects.iter().any(|r| r.active().next().is_none());
    let of_service = |r: &&Row| r.frontend.port == 53 && dns.addresses.contains(&r.frontend.ip) && !r.internal;
    let rows: Vec<&Row> = list.rows.iter().filter(of_service).collect();

    let now = raw.answer.started_at.as_deref();
    let age = |e: &DnsEndpoint| e.since.as_deref().zip(now).and_then(|(since, now)| seconds_between(since, now));
    let under_way = dns.endpoints.values().flatten().any(|e| age(e).is_some_and(|age| age <= UPDATE_S));
    let mut by_protocol = BTreeMap::new();
    let mut all = Difference::default();
    for (protocol, endpoints) in &dns.endpoints {
        for address in &dns.addresses {
            let of_address = |r: &&&Row| r.frontend.ip == *address && r.frontend.fits(protocol);
            let mine: Vec<&Row> = rows.iter().filter(of_address).copied().collect();
            let endpoints: Vec<&DnsEndpoint> =
                endpoints.iter().filter(|e| e.ip.is_ipv4() == address.is_ipv4()).collect();
            // A second address of a family without endpoints is not served, and need not be.
            if mine.is_empty() && endpoints.is_empty() {
                continue;
            }
            let realized: BTreeSet<IpAddr> = mine.iter().flat_map(|r| r.active()).map(|t| t.ip).collect();
            let ready: BTreeSet<IpAddr> = endpoints.iter().filter(|e| e.ready).map(|e| e.ip).collect();
            let figures = BackendFigures { realized: realized.len() as u64, expected: ready.len() as u64 };
            let worst: &mut BackendFigures = by_protocol.entry(protocol.clone()).or_insert(figures);
            if figures.realized < worst.realized {
                *worst = figures;
            }
            if mine.iter().any(|r| r.is_local_redirect()) {
                continue;
            }
            differ(&realized, &ready, &endpoints, now, &mut all);
        }
    }
    let realized = by_protocol.values().map(|f: &BackendFigures| f.realized).min();
    let expected = by_protocol.values().map(|f| f.expected).max();
    let kinds: BTreeSet<&str> = rows.iter().chain(&redirects).map(|r| r.kind.as_str()).collect();
    let row_type = kinds.iter().find(|k| k.starts_with("LocalRedirect")).or_else(|| kinds.first());
    let data = DnsBackendsData {
        service: Some(dns.service.clone()),
        address: dns.addresses.first().map(ToString::to_string),
        row_type: row_type.map(|k| (*k).to_owned()),
        realized: realized.or(Some(0)),
        expected,
        by_protocol,
    };
    let (status, summary) = say(&data, &all, !redirects.is_empty(), redirect_without_backend);
    Backends {
        finding: Finding { status, summary, reason: None, duration_ms: raw.answer.duration_ms, data },
        missing: all.missing,
        stray: all.stray,
        under_way: under_way || !all.pending.is_empty(),
        pending: all.pending,
        redirect_without_backend,
        redirected: !redirects.is_empty(),
        expected: expected.and_then(|n| usize::try_from(n).ok()),
        list: Some(list),
    }
}

/// Sorts differences by whether they have outlived an update.
fn differ(
    realized: &BTreeSet<IpAddr>,
    ready: &BTreeSet<IpAddr>,
    endpoints: &[&DnsEndpoint],
    now: Option<&str>,
    all: &mut Difference,
) {
    let lasting = |ip: &IpAddr| {
        let since = endpoints.iter().find(|e| e.ip == *ip).and_then(|e| e.since.as_deref());
        let age = since.zip(now).and_then(|(since, now)| seconds_between(since, now));
        age.is_some_and(|age| age > UPDATE_S)
    };
    for ip in ready.difference(realized) {
        if lasting(ip) {
            all.missing.insert(*ip)
        } else {
            all.pending.insert(*ip)
        };
    }
    for ip in realized.difference(ready) {
        if lasting(ip) {
            all.stray.insert(*ip)
        } else {
            all.pending.insert(*ip)
        };
    }
}

fn say(data: &DnsBackendsData, all: &Difference, redirected: bool, without: bool) -> (Status, String) {
    let (realized, expected) = (data.realized.unwrap_or(0), data.expected.unwrap_or(0));
    let list = |ips: &BTreeSet<IpAddr>| ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if without {
        return (Status::Fail, "a local redirect has no active backend".to_owned());
    }
    if redirected {
        let says = format!("a local redirect leads to this node's NodeLocal DNS: {realized} backend is right");
        return (Status::Pass, says);
    }
    if !all.missing.is_empty() {
        let says = format!("{realized} of {expected} ready endpoints; missing for minutes: {}", list(&all.missing));
        return (Status::Fail, says);
    }
    if !all.stray.is_empty() {
        return (Status::Fail, format!("backends that have not been ready for minutes: {}", list(&all.stray)));
    }
    if expected == 0 {
        return (Status::Fail, "cluster DNS has no ready endpoint anywhere".to_owned());
    }
    if !all.pending.is_empty() {
        let says =
            format!("{realized} of {expected} ready endpoints; an update may be under way: {}", list(&all.pending));
        return (Status::Warn, says);
    }
    if expected == 1 {
        return (Status::Warn, "the one ready endpoint of cluster DNS is known: there is no second".to_owned());
    }
    (Status::Pass, format!("{realized} of {expected} ready endpoints are known"))
}
