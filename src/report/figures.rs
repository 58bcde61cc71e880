//! The figures of the checks in words: the runbook's by the names that operators know, and plainly where one of them
//! proves nothing.
//!
//! They are read from [`Check::data`], which is data for programs: what is missing there is left out here.

use std::fmt::Write as _;

use serde_json::Value;

use super::Check;
use super::text::{count, safe};
use crate::checks::Status;
use crate::knowledge::check_id::CheckId;

/// The figures of a check, one string each; harmless text.
#[must_use]
pub fn of(check: &Check) -> Vec<String> {
    let data = &check.data;
    match check.id {
        CheckId::HostPing => host_ping(data),
        CheckId::PodEgress => pod_egress(data),
        CheckId::DnsConntrack => dns_conntrack(data),
        CheckId::ExternalConntrack => external_conntrack(data),
        CheckId::DnsBackends => dns_backends(data),
    }
}

/// A check in a word or two, for a row of many nodes.
#[must_use]
pub fn short(check: &Check) -> String {
    let data = &check.data;
    let figure = match check.id {
        CheckId::HostPing => None,
        CheckId::PodEgress => match probes(data) {
            [] => None,
            probes => Some(format!("{}/{}", probes.iter().filter(|p| reaches(p)).count(), probes.len())),
        },
        CheckId::DnsConntrack => ratio(data, "answered", "live"),
        CheckId::ExternalConntrack => ratio(data, "world_answered", "world"),
        CheckId::DnsBackends => ratio(data, "realized", "expected"),
    };
    let word = match check.status {
        Status::Pass => "ok",
        Status::Fail => "fail",
        Status::Warn => "warn",
        Status::Unknown => "?",
        Status::NotApplicable => "n/a",
    };
    match (figure, check.status) {
        // A figure without a verdict on it would be read as one.
        (Some(figure), Status::Pass) => figure,
        (Some(figure), Status::Fail) => format!("{figure} ✗"),
        (Some(figure), Status::Warn) => format!("{figure} !"),
        _ => word.to_owned(),
    }
}

/// The sources of DNS flows, worst first as the check has them; harmless text. Empty for the other checks.
#[must_use]
pub fn sources(check: &Check) -> Vec<String> {
    if check.id != CheckId::DnsConntrack {
        return vec![];
    }
    let figure = |source: &Value, name| number(source, name).unwrap_or_default();
    list(&check.data, "sources")
        .iter()
        .map(|source| {
            let address = string(source, "address").unwrap_or_else(|| "?".to_owned());
            let who = match (string(source, "namespace"), string(source, "pod")) {
                (Some(namespace), Some(pod)) => format!("{namespace}/{pod} ({address})"),
                _ => address,
            };
            let (answered, never) = (figure(source, "answered"), figure(source, "unanswered"));
            format!("{who}: {answered} answered, {never} never, {} no longer", figure(source, "stopped"))
        })
        .collect()
}

fn number(data: &Value, name: &str) -> Option<u64> {
    data.get(name).and_then(Value::as_u64)
}

fn string(data: &Value, name: &str) -> Option<String> {
    data.get(name).and_then(Value::as_str).filter(|s| !s.is_empty()).map(|s| safe(s).into_owned())
}

fn list<'a>(data: &'a Value, name: &str) -> &'a [Value] {
    data.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn probes(data: &Value) -> &[Value] {
    list(data, "probes")
}

fn ratio(data: &Value, part: &str, whole: &str) -> Option<String> {
    Some(format!("{}/{}", number(data, part)?, number(data, whole)?))
}

/// Whether a probe reached the outside in the strictest way that it was asked for.
fn reaches(probe: &Value) -> bool {
    let outcomes = ["by_name", "by_address"].map(|way| probe.get(way).and_then(Value::as_str));
    outcomes.contains(&Some("ok")) && outcomes.iter().all(|o| matches!(o, Some("ok" | "unsupported") | None))
}

fn host_ping(data: &Value) -> Vec<String> {
    let (Some(sent), Some(received)) = (number(data, "sent"), number(data, "received")) else { return vec![] };
    let mut says = match string(data, "target") {
        Some(target) => format!("ping {target}: {sent} sent, {received} received"),
        None => format!("ping: {sent} sent, {received} received"),
    };
    if let Some(rtt) = data.get("rtt_avg_ms").and_then(Value::as_f64) {
        // Writing to a String can't fail.
        _ = write!(says, ", {rtt:.1} ms");
    }
    match string(data, "via").as_deref() {
        Some("ssh") => says += ", over SSH",
        Some("agent-container") => says += ", from the agent container",
        _ => {}
    }
    vec![says]
}

fn pod_egress(data: &Value) -> Vec<String> {
    probes(data)
        .iter()
        .map(|probe| {
            let mut says = match (string(probe, "namespace"), string(probe, "pod")) {
                (Some(namespace), Some(pod)) => format!("{namespace}/{pod}"),
                (_, pod) => pod.unwrap_or_else(|| "a pod".to_owned()),
            };
            if let Some(tool) = string(probe, "tool") {
                _ = write!(says, " ({tool})");
            }
            let outcomes: Vec<_> = [("by_name", "name"), ("by_address", "address"), ("dns", "DNS")]
                .iter()
                .filter_map(|(field, word)| match string(probe, field)?.as_str() {
                    "unsupported" => Some(format!("{word} not asked")),
                    outcome => Some(format!("{word} {outcome}")),
                })
                .collect();
            format!("{says}: {}", outcomes.join(", "))
        })
        .collect()
}

fn dns_conntrack(data: &Value) -> Vec<String> {
    let mut says = Vec::new();
    let to = string(data, "address").map(|a| format!(" to {a}")).unwrap_or_default();
    let entries = number(data, "entries");
    let proves = match data.get("accounting").and_then(Value::as_str) {
        Some("off") => Some("proves nothing, packet accounting is off"),
        Some("total") => Some("proves nothing, the counter is of both directions"),
        Some("absent") => Some("not in this dump, its lines have no counters"),
        Some("split") => Some("replies only, expired lines too"),
        _ => None,
    };
    match (number(data, "packets_zero"), entries) {
        (Some(zero), Some(entries)) => {
            let proves = proves.map(|p| format!(" ({p})")).unwrap_or_default();
            says.push(format!("Packets=0: {zero} of {}{to}{proves}", lines(entries)));
        }
        (None, Some(entries)) => {
            let proves = proves.unwrap_or("can't be told");
            says.push(format!("Packets=0: {proves}; {}{to}", lines(entries)));
        }
        _ => {}
    }
    if let (Some(live), Some(answered)) = (number(data, "live"), number(data, "answered")) {
        let rest: Vec<_> = [
            ("unanswered", "never answered"),
            ("stopped", "no longer answered"),
            ("in_flight", "in flight"),
            ("expired", "expired"),
        ]
        .iter()
        .filter_map(|(field, word)| number(data, field).filter(|n| *n > 0).map(|n| format!("{n} {word}")))
        .collect();
        let rest = if rest.is_empty() { String::new() } else { format!("; {}", rest.join(", ")) };
        says.push(format!("answered: {answered} of {live} live{rest}"));
    }
    says
}

fn external_conntrack(data: &Value) -> Vec<String> {
    let mut says = Vec::new();
    if let Some(listed) = number(data, "listed") {
        let prefixes: Vec<_> = list(data, "prefixes").iter().filter_map(Value::as_str).map(safe).collect();
        let to = if prefixes.is_empty() { "the listed addresses".to_owned() } else { prefixes.join(", ") };
        let proves = if listed == 0 { " (proves nothing, pods may just not call them)" } else { "" };
        says.push(format!("entries to {to}: {listed}{proves}"));
    }
    if let (Some(world), Some(answered)) = (number(data, "world"), number(data, "world_answered")) {
        let split: Vec<_> = [("tcp", "TCP"), ("udp", "UDP")]
            .iter()
            .filter_map(|(field, word)| Some(format!("{word} {}", ratio(data.get(field)?, "world_answered", "world")?)))
            .collect();
        let split = if split.is_empty() { String::new() } else { format!(" ({})", split.join(", ")) };
        says.push(format!("answered: {answered} of {world} live to any outside address{split}"));
    }
    says
}

fn dns_backends(data: &Value) -> Vec<String> {
    let shown = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let (realized, expected) = (number(data, "realized"), number(data, "expected"));
    if realized.is_none() && expected.is_none() {
        return vec![];
    }
    let names: Vec<_> = ["service", "address", "row_type"].iter().filter_map(|name| string(data, name)).collect();
    let of = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let mut says = vec![format!("backends: {} realized, {} expected{of}", shown(realized), shown(expected))];
    let protocols = data.get("by_protocol").and_then(Value::as_object);
    let uneven: Vec<_> = protocols
        .into_iter()
        .flatten()
        .filter(|(_, figures)| number(figures, "realized") != number(figures, "expected"))
        .filter_map(|(protocol, figures)| {
            Some(format!("{} {}", safe(protocol), ratio(figures, "realized", "expected")?))
        })
        .collect();
    if !uneven.is_empty() {
        says.push(format!("of them {}", uneven.join(", ")));
    }
    says
}

fn lines(n: u64) -> String {
    usize::try_from(n).map_or_else(|_| format!("{n} lines"), |n| count(n, "line", "lines"))
}
