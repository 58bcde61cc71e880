//! The figures of the checks in words: the runbook's by the names that operators know, and plainly where one of them
//! proves nothing. A figure that is not known is left out.

use std::fmt::Write as _;

use super::text::safe;
use super::{Check, CheckData};
use crate::base::answer::Via;
use crate::checks::{
    Accounting, DnsBackendsData, DnsConntrackData, ExternalConntrackData, HostPingData, Outcome, PodEgressData,
    ProbeData, Status, WorldFigures,
};
use crate::ways::dns::DnsPath;

/// The figures of a check, one string each; harmless text.
#[must_use]
pub fn of_check(check: &Check) -> Vec<String> {
    match &check.data {
        CheckData::HostPing(data) => host_ping(data),
        CheckData::PodEgress(data) => data.probes.iter().map(probe).collect(),
        CheckData::DnsConntrack(data) => dns_conntrack(data),
        CheckData::ExternalConntrack(data) => external_conntrack(data),
        CheckData::DnsBackends(data) => dns_backends(data),
    }
}

/// A check in a word or two, for a row of many nodes. Ratios are of the flows that can be judged: `0/65 ✗`.
#[must_use]
pub fn short(check: &Check) -> String {
    let figure = match &check.data {
        CheckData::HostPing(_) => None,
        CheckData::PodEgress(PodEgressData { probes }) if probes.is_empty() => None,
        CheckData::PodEgress(PodEgressData { probes }) => {
            Some((probes.iter().filter(|probe| reaches(probe)).count() as u64, probes.len() as u64))
        }
        CheckData::DnsConntrack(data) => JudgedFlows::of_dns(data).map(|flows| (flows.answered, flows.judged())),
        CheckData::ExternalConntrack(data) => {
            data.world_answered.zip(data.world_unanswered).map(|(answered, dead)| (answered, answered + dead))
        }
        CheckData::DnsBackends(data) => data.realized.zip(data.expected),
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
        (Some((part, whole)), Status::Pass) => format!("{part}/{whole}"),
        (Some((part, whole)), Status::Fail) => format!("{part}/{whole} ✗"),
        (Some((part, whole)), Status::Warn) => format!("{part}/{whole} !"),
        _ => word.to_owned(),
    }
}

/// The sources of DNS flows, worst first as the check has them; harmless text. Empty for the other checks.
#[must_use]
pub fn sources(check: &Check) -> Vec<String> {
    let CheckData::DnsConntrack(data) = &check.data else { return vec![] };
    data.sources
        .iter()
        .map(|source| {
            let address = if source.address.is_empty() { "?".into() } else { safe(&source.address) };
            let who = match (&source.namespace, &source.pod) {
                (Some(namespace), Some(pod)) => format!("{}/{} ({address})", safe(namespace), safe(pod)),
                _ => address.into_owned(),
            };
            let (answered, never, stopped) = (source.answered, source.unanswered, source.stopped);
            format!("{who}: {answered} answered, {never} never, {stopped} no longer")
        })
        .collect()
}

/// The DNS flows of a node that say something about now: not the idle, too recent or expired ones.
struct JudgedFlows {
    answered: u64,
    unanswered: u64,
    stopped: u64,
}

impl JudgedFlows {
    fn of_dns(data: &DnsConntrackData) -> Option<Self> {
        Some(Self {
            answered: data.answered?.saturating_sub(data.idle.unwrap_or(0)),
            unanswered: data.unanswered?,
            stopped: data.stopped?,
        })
    }

    const fn judged(&self) -> u64 {
        self.answered + self.unanswered + self.stopped
    }
}

/// Whether a probe reached the outside in every way that it was asked for.
fn reaches(probe: &ProbeData) -> bool {
    let outcomes = [probe.by_name, probe.by_address];
    outcomes.contains(&Outcome::Ok) && outcomes.iter().all(|o| matches!(o, Outcome::Ok | Outcome::Unsupported))
}

fn host_ping(data: &HostPingData) -> Vec<String> {
    let (Some(sent), Some(received)) = (data.sent, data.received) else { return vec![] };
    let target = if data.target.is_empty() { String::new() } else { format!(" {}", safe(&data.target)) };
    let mut says = format!("ping{target}: {sent} sent, {received} received");
    if let Some(rtt) = data.rtt_avg_ms {
        // Writing to a String can't fail.
        _ = write!(says, ", {rtt:.1} ms");
    }
    says += match data.via {
        Some(Via::Ssh) => ", over SSH",
        Some(Via::AgentContainer) => ", from the agent container",
        None => "",
    };
    vec![says]
}

fn probe(probe: &ProbeData) -> String {
    let mut says = match (probe.namespace.as_str(), probe.pod.as_str()) {
        (_, "") => "a pod".to_owned(),
        ("", pod) => safe(pod).into_owned(),
        (namespace, pod) => format!("{}/{}", safe(namespace), safe(pod)),
    };
    if let Some(tool) = probe.tool.as_deref().filter(|tool| !tool.is_empty()) {
        _ = write!(says, " ({})", safe(tool));
    }
    let outcomes = [("name", probe.by_name), ("address", probe.by_address), ("DNS", probe.dns)];
    let (asked, not_asked): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|(_, o)| *o != Outcome::Unsupported);
    let mut parts: Vec<String> = asked.iter().map(|(what, outcome)| format!("{what} {}", word(*outcome))).collect();
    match not_asked.as_slice() {
        [] => {}
        [_, _, _] => parts.push("not probed".to_owned()),
        some => {
            let names: Vec<&str> = some.iter().map(|(what, _)| *what).collect();
            parts.push(format!("{} not probed", names.join(" and ")));
        }
    }
    format!("{says}: {}", parts.join(", "))
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "failed",
        Outcome::Timeout => "timeout",
        Outcome::Unsupported => "not probed",
    }
}

fn dns_conntrack(data: &DnsConntrackData) -> Vec<String> {
    let mut says = Vec::new();
    if data.entries == Some(0) {
        // A share of no lines is a figure about nothing, and where pods ask another address it is not even missing.
        match data.path {
            DnsPath::ClusterIp | DnsPath::Pod => {}
            _ if data.address.is_empty() => says.push("no lines".to_owned()),
            _ => says.push(format!("no lines to {}", safe(&data.address))),
        }
    } else if let Some(entries) = data.entries {
        let to = if data.address.is_empty() { String::new() } else { format!(" to {}", safe(&data.address)) };
        let entries = lines(entries);
        let meaning = match data.accounting {
            Accounting::Off => Some("not meaningful: packet accounting is off"),
            Accounting::Total => Some("not meaningful: the counter is of both directions"),
            Accounting::Absent => Some("not in this dump: its lines have no counters"),
            Accounting::Split => Some("replies only, expired lines too"),
            Accounting::Unknown => None,
        };
        says.push(match data.packets_zero {
            Some(zero) => {
                let meaning = meaning.map(|meaning| format!(" ({meaning})")).unwrap_or_default();
                format!("Packets=0: {zero} of {entries}{to}{meaning}")
            }
            None => format!("Packets=0: {}; {entries}{to}", meaning.unwrap_or("unknown")),
        });
    }
    if let (Some(live), Some(flows)) = (data.live, JudgedFlows::of_dns(data)) {
        let parts = [
            (Some(flows.answered), "answered"),
            (Some(flows.unanswered).filter(|n| *n > 0), "never answered"),
            (Some(flows.stopped).filter(|n| *n > 0), "no longer answered"),
            (data.idle.filter(|n| *n > 0), "idle"),
            (data.in_flight.filter(|n| *n > 0), "too recent to judge"),
        ];
        let parts: Vec<_> = parts.iter().filter_map(|(n, what)| n.map(|n| format!("{n} {what}"))).collect();
        let expired = data.expired.filter(|n| *n > 0).map(|n| format!("; {n} expired")).unwrap_or_default();
        says.push(match live {
            0 => format!("0 live flows{expired}"),
            live => format!("{}: {}{expired}", flows_of(live), parts.join(", ")),
        });
    }
    says
}

fn external_conntrack(data: &ExternalConntrackData) -> Vec<String> {
    let mut says = Vec::new();
    if let Some(listed) = data.listed {
        let prefixes: Vec<_> = data.prefixes.iter().map(|prefix| safe(prefix)).collect();
        let to = if prefixes.is_empty() { "the listed addresses".to_owned() } else { prefixes.join(", ") };
        let meaning = if listed == 0 { " (not meaningful: pods need not call them)" } else { "" };
        says.push(format!("entries to {to}: {listed}{meaning}"));
    }
    if let (Some(world), Some(answered), Some(unanswered)) = (data.world, data.world_answered, data.world_unanswered) {
        if world == 0 {
            says.push("0 live flows to any outside address".to_owned());
            return says;
        }
        let rest = world.saturating_sub(answered + unanswered);
        let rest = if rest > 0 { format!(", {rest} too recent or idle to judge") } else { String::new() };
        let split = |figures: Option<WorldFigures>, word| {
            let figures = figures?;
            let judged = figures.world_answered + figures.world_unanswered;
            (judged > 0).then(|| format!("{word} {}/{judged}", figures.world_answered))
        };
        let split: Vec<_> = [split(data.tcp, "TCP"), split(data.udp, "UDP")].into_iter().flatten().collect();
        let split = if split.is_empty() { String::new() } else { format!(" (answered: {})", split.join(", ")) };
        let flows = flows_of(world);
        says.push(format!("{flows} to any outside address: {answered} answered, {unanswered} unanswered{rest}{split}"));
    }
    says
}

fn dns_backends(data: &DnsBackendsData) -> Vec<String> {
    let shown = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let (realized, expected) = (data.realized, data.expected);
    if realized.is_none() && expected.is_none() {
        return vec![];
    }
    let names = [&data.service, &data.address, &data.row_type];
    let names: Vec<_> = names.into_iter().flatten().filter(|name| !name.is_empty()).map(|name| safe(name)).collect();
    let of = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let mut says = vec![format!("backends: {} realized, {} expected{of}", shown(realized), shown(expected))];
    let uneven = data.by_protocol.iter().filter(|(_, figures)| figures.realized != figures.expected);
    let uneven: Vec<_> = uneven
        .map(|(protocol, figures)| format!("{} {}/{}", safe(protocol), figures.realized, figures.expected))
        .collect();
    if !uneven.is_empty() {
        says.push(format!("of them {}", uneven.join(", ")));
    }
    says
}

fn lines(n: u64) -> String {
    format!("{n} {}", if n == 1 { "line" } else { "lines" })
}

fn flows_of(n: u64) -> String {
    format!("{n} live {}", if n == 1 { "flow" } else { "flows" })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn dns(data: DnsConntrackData) -> String {
        let mut check = sample::healthy("brno").checks.remove(2);
        check.data = data.into();
        of_check(&check).join(" · ")
    }

    #[test]
    fn runbooks_figure_says_what_it_proves() {
        let says = |accounting| {
            dns(DnsConntrackData { packets_zero: Some(7), entries: Some(9), accounting, ..DnsConntrackData::default() })
        };
        assert_eq!(says(Accounting::Off), "Packets=0: 7 of 9 lines (not meaningful: packet accounting is off)");
        assert_eq!(
            says(Accounting::Total),
            "Packets=0: 7 of 9 lines (not meaningful: the counter is of both directions)"
        );
        assert_eq!(says(Accounting::Split), "Packets=0: 7 of 9 lines (replies only, expired lines too)");
        let absent =
            DnsConntrackData { entries: Some(1), accounting: Accounting::Absent, ..DnsConntrackData::default() };
        assert_eq!(dns(absent), "Packets=0: not in this dump: its lines have no counters; 1 line");
        assert_eq!(dns(DnsConntrackData::default()), "");
    }

    #[test]
    fn share_of_no_lines_is_not_shown() {
        let says = |path| {
            let address = "169.254.25.10:53".to_owned();
            let (entries, packets_zero) = (Some(0), Some(0));
            dns(DnsConntrackData { address, path, entries, packets_zero, ..DnsConntrackData::default() })
        };
        assert_eq!(says(DnsPath::ClusterIp), "", "pods ask another address");
        assert_eq!(says(DnsPath::NodeLocal), "no lines to 169.254.25.10:53");
        assert_eq!(says(DnsPath::Unknown), "no lines to 169.254.25.10:53");
    }

    #[test]
    fn parts_of_live_flows_add_up_and_say_which_are_not_judged() {
        let data = DnsConntrackData {
            live: Some(24),
            answered: Some(13),
            idle: Some(1),
            unanswered: Some(4),
            stopped: Some(1),
            in_flight: Some(6),
            expired: Some(2),
            ..DnsConntrackData::default()
        };
        let says = "24 live flows: 12 answered, 4 never answered, 1 no longer answered, 1 idle, 6 too recent to judge; 2 \
                    expired";
        assert_eq!(dns(data.clone()), says);
        let mut check = sample::stale().checks.remove(2);
        check.data = data.into();
        assert_eq!(short(&check), "12/17 ✗");
    }

    #[test]
    fn flow_of_which_there_is_one_is_singular() {
        let one = DnsConntrackData {
            live: Some(1),
            answered: Some(1),
            unanswered: Some(0),
            stopped: Some(0),
            ..DnsConntrackData::default()
        };
        assert_eq!(dns(one), "1 live flow: 1 answered");
    }

    #[test]
    fn probe_that_was_not_made_is_named_once() {
        let check = &sample::stale().checks[1];
        let says = of_check(check);
        assert_eq!(says[1], "shop/web-7d9c (curl): name failed, address timeout, DNS not probed");
    }
}
