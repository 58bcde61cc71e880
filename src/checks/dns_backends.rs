//! `dns-backends`: does the datapath know as many cluster DNS backends as are ready?
//!
//! One backend is right where a local redirect leads to this node's NodeLocal DNS, where one endpoint is ready, and where
//! hints or the traffic policy keep traffic near. So the table is held against the endpoints that this node should have,
//! by any right reading of the service, and a difference counts only when it has outlived an update.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{BackendFigures, DnsBackendsData, Finding, Status};
use crate::base::answer::{End, Raw};
use crate::base::failure::{Failure, FailureKind};
use crate::base::time::{Timestamp, seconds_between};
use crate::cilium::services;
use crate::cilium::services::{Row, ServiceList};
use crate::kubernetes::cluster_dns::{ClusterDns, DnsBackend, DnsPort, Reading};
use crate::kubernetes::node_view::NodeView;

/// An update of the service table takes seconds; a difference older than this is none, in seconds.
pub const UPDATE_S: i64 = 120;

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

impl Backends {
    /// Whether the table holds no endpoint of cluster DNS that is ready although there are some, and no update is under way.
    #[must_use]
    pub fn holds_none_that_is_ready(&self) -> bool {
        let ready = self.expected.is_some_and(|ready| ready > 0);
        ready && self.pending.is_empty() && !self.redirected && self.finding.data.realized == Some(0)
    }

    /// The same of a table without any other backend of cluster DNS.
    #[must_use]
    pub fn is_empty_here(&self) -> bool {
        self.holds_none_that_is_ready() && self.stray.is_empty() && self.list.is_some()
    }
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

/// What the rows of one frontend lack or have too much.
#[derive(Default)]
struct Difference {
    missing: BTreeSet<IpAddr>,
    stray: BTreeSet<IpAddr>,
    pending: BTreeSet<IpAddr>,
    /// Rules other than "every ready endpoint" that the table follows.
    by: BTreeSet<String>,
    /// Lines of these rows that could not be read.
    unread: usize,
    /// Every ready endpoint, whatever the table should hold.
    ready: BTreeSet<IpAddr>,
}

fn compare(list: ServiceList, dns: &ClusterDns, around: &NodeView, raw: &Raw) -> Backends {
    // What a redirect took over may be the node-local address as well as the service's.
    let local = |row: &Row| row.frontend.port == 53 && around.node_local_dns.addresses.contains(&row.frontend.ip);
    let of_service = |row: &Row| dns.is_frontend(row.frontend.ip, row.frontend.port);
    let redirects: Vec<&Row> =
        list.rows.iter().filter(|r| r.is_local_redirect() && (of_service(r) || local(r))).collect();
    let redirect_without_backend = redirects.iter().any(|r| r.active().chain(r.in_unknown_state()).next().is_none());
    let rows: Vec<&Row> = list.rows.iter().filter(|r| of_service(r) && !r.internal).collect();

    let now = raw.answer.started_at;
    let age = |b: &DnsBackend| b.since.zip(now).map(|(since, now)| seconds_between(since, now));
    let under_way = dns.backends.iter().any(|b| age(b).is_some_and(|age| age <= UPDATE_S));
    let mut by_protocol = BTreeMap::new();
    let mut all = Difference::default();
    for port in &dns.ports {
        for address in &dns.addresses {
            let of_frontend = |r: &&&Row| {
                (r.frontend.ip, r.frontend.port) == (*address, port.port) && r.frontend.fits(&port.protocol)
            };
            let mine: Vec<&Row> = rows.iter().filter(of_frontend).copied().collect();
            // A second address of a family without endpoints is not served, and need not be.
            if mine.is_empty() && dns.behind(*address, port).next().is_none() {
                continue;
            }
            let figures = hold_against(&mine, dns, (*address, port), around, now, &mut all);
            let worst: &mut BackendFigures = by_protocol.entry(port.protocol.clone()).or_insert(figures);
            if figures.realized < worst.realized {
                *worst = figures;
            }
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
    let ready = expected.map(|_| all.ready.len());
    let (status, summary) = say(&data, &all, !redirects.is_empty(), redirect_without_backend);
    let reason = (status == Status::Unknown).then(|| Failure::new(FailureKind::Other, summary.clone()));
    Backends {
        finding: Finding { status, summary, reason, duration_ms: raw.answer.duration_ms, data },
        missing: all.missing,
        stray: all.stray,
        under_way: under_way || !all.pending.is_empty(),
        pending: all.pending,
        redirect_without_backend,
        redirected: !redirects.is_empty(),
        expected: ready,
        list: Some(list),
    }
}

/// Holds the rows of one frontend against what this node should have behind it.
fn hold_against(
    rows: &[&Row],
    dns: &ClusterDns,
    (address, port): (IpAddr, &DnsPort),
    around: &NodeView,
    now: Option<Timestamp>,
    all: &mut Difference,
) -> BackendFigures {
    // A backend in an unknown state counts neither as missing nor as stray.
    let unclear: BTreeSet<IpAddr> = rows.iter().flat_map(|r| r.in_unknown_state()).map(|t| t.ip).collect();
    let mut realized: BTreeSet<IpAddr> = rows.iter().flat_map(|r| r.active()).map(|t| t.ip).collect();
    realized.extend(&unclear);
    let readings = dns.readings(address, port, &around.node, around.zone());
    let lacks = |reading: &&Reading| reading.backends.difference(&realized).count();
    let wanted = readings.iter().min_by_key(lacks);
    let none = BTreeSet::new();
    let right = wanted.map_or(&none, |reading| &reading.backends);
    let every = readings.first().map_or(&none, |reading| &reading.backends);
    all.ready.extend(every);
    all.unread += rows.iter().map(|row| row.unread).sum::<usize>();
    let expected = right.len() as u64;
    if rows.iter().any(|r| r.is_local_redirect() || r.unread > 0) {
        return BackendFigures { realized: realized.len() as u64, expected };
    }
    // Foreign addresses are not known backends, however many there are.
    let known =
        |ip: &&IpAddr| every.contains(ip) || right.contains(ip) || dns.behind(address, port).any(|b| b.ip == **ip);
    let figures = BackendFigures { realized: realized.iter().filter(known).count() as u64, expected };
    if let Some(reading) = wanted.filter(|reading| reading.backends != *every) {
        all.by.insert(reading.by.clone());
    }
    let backends: Vec<&DnsBackend> = dns.behind(address, port).collect();
    let lasting = |ip: &IpAddr| {
        let since = backends.iter().find(|b| b.ip == *ip).and_then(|b| b.since);
        let age = since.zip(now).map(|(since, now)| seconds_between(since, now));
        age.is_some_and(|age| age > UPDATE_S)
    };
    let mut sort = |ip: &IpAddr, lasts: fn(&mut Difference) -> &mut BTreeSet<IpAddr>| {
        if lasting(ip) {
            lasts(all).insert(*ip)
        } else {
            all.pending.insert(*ip)
        };
    };
    for ip in right.difference(&realized) {
        sort(ip, |all| &mut all.missing);
    }
    // While no endpoint is ready, those that end and still answer are used.
    let serves = |ip: &IpAddr| backends.iter().any(|b| b.ip == *ip && b.serving && b.terminating);
    for ip in realized.difference(every).filter(|ip| !unclear.contains(ip) && !serves(ip)) {
        sort(ip, |all| &mut all.stray);
    }
    figures
}

fn say(data: &DnsBackendsData, all: &Difference, redirected: bool, without: bool) -> (Status, String) {
    let (realized, expected) = (data.realized.unwrap_or(0), data.expected.unwrap_or(0));
    let list = |ips: &BTreeSet<IpAddr>| ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if without {
        return (Status::Fail, "a local redirect has no active backend".to_owned());
    }
    if redirected {
        let is = if realized == 1 { "backend is" } else { "backends are" };
        let says = format!("a local redirect leads to this node's NodeLocal DNS: {realized} {is} right");
        return (Status::Pass, says);
    }
    if all.unread > 0 {
        let lines = if all.unread == 1 { "1 line".to_owned() } else { format!("{} lines", all.unread) };
        return (Status::Unknown, format!("{lines} of cluster DNS in the service list could not be read"));
    }
    if !all.missing.is_empty() {
        let says = format!("{realized} of {expected} ready endpoints; missing for minutes: {}", list(&all.missing));
        return (Status::Fail, says);
    }
    if !all.stray.is_empty() {
        return (Status::Fail, format!("backends that have not been ready for minutes: {}", list(&all.stray)));
    }
    if all.ready.is_empty() {
        return (Status::Fail, "cluster DNS has no ready endpoint anywhere".to_owned());
    }
    if !all.pending.is_empty() {
        let says =
            format!("{realized} of {expected} ready endpoints; an update may be under way: {}", list(&all.pending));
        return (Status::Warn, says);
    }
    if realized == 0 {
        let by = all.by.iter().next().map_or("", String::as_str);
        return (Status::Warn, format!("this node has no backend of cluster DNS, and should have none: {by}"));
    }
    if all.ready.len() == 1 {
        return (
            Status::Warn,
            "the only ready endpoint of cluster DNS is known; a second one would be safer".to_owned(),
        );
    }
    if let Some(by) = all.by.iter().next() {
        let ready = all.ready.len();
        let says =
            format!("{realized} of {expected} endpoints that this node should have are known ({by}), of {ready} ready");
        return (Status::Pass, says);
    }
    (Status::Pass, format!("{realized} of {expected} ready endpoints are known"))
}

#[cfg(test)]
mod tests;
