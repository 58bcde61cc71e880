//! Symptoms: what the cluster already reports, by node. They rank nodes to look at; they never make a verdict.
//!
//! Pure: each file reads one kind out of evidence that is there already: [`probes`] failing probes out of events,
//! [`restarts`] restarted containers, [`logs`] lines that name an unresolved name, [`buffers`] answers of Prometheus,
//! [`dependents`] conditions of other projects' objects, [`storm`] what hit the whole cluster at once. [`listed`] reads
//! what the lists and events show, [`explain`] decides which symptoms a verdict explains. The report shows these values,
//! so this room is below it; who asks for the evidence is [`crate::diagnose::supplement`], above it.

pub mod buffers;
pub mod dependents;
pub mod explained;
pub mod listed;
pub mod local_dns;
pub mod logs;
pub mod probes;
pub mod restarts;
pub mod storm;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::credentials::without_credentials;
use crate::base::pod_ref::PodRef;
use crate::kubernetes::inventory::Inventory;
use crate::kubernetes::objects::Pod;

/// The longest sample, in characters.
const SAMPLE: usize = 200;

/// The kinds of symptoms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SymptomKind {
    /// Failed readiness, liveness and startup probes.
    #[default]
    ProbeFailures,
    /// Containers that were started again.
    Restarts,
    /// Log lines that speak of names that could not be resolved.
    DnsErrors,
    /// Buffers that fill and do not drain, or the answer to an additional query.
    Buffers,
    /// Objects whose conditions name a DNS or connection failure.
    Dependents,
    /// NodeLocal DNS: readiness, restarts, redirects.
    NodeLocalDns,
}

impl SymptomKind {
    /// The word in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProbeFailures => "probe-failures",
            Self::Restarts => "restarts",
            Self::DnsErrors => "dns-errors",
            Self::Buffers => "buffers",
            Self::Dependents => "dependents",
            Self::NodeLocalDns => "node-local-dns",
        }
    }
}

/// What a symptom looks like, as far as a verdict could explain it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Looks {
    /// Something was not answered.
    Unanswered,
    /// Something was answered, and the answer was bad.
    Answered,
    /// A container took more memory than it may.
    Memory,
    /// It runs in the host's network, which pods' datapath does not touch.
    OfTheHost,
    /// Unknown: this evidence does not show it.
    #[default]
    Open,
    /// Nothing is wrong; it stands beside something that is.
    Fine,
}

/// One symptom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symptom {
    /// Which kind.
    pub kind: SymptomKind,
    /// The namespace, where there is one.
    pub namespace: Option<String>,
    /// The pod, or the object that says it.
    pub pod: Option<String>,
    /// The container.
    pub container: Option<String>,
    /// How often.
    pub count: u64,
    /// When first, RFC 3339.
    pub first: Option<String>,
    /// When last as far as is known, RFC 3339.
    pub last: Option<String>,
    /// One sentence.
    pub says: String,
    /// One sample message, shortened, with recognizable credentials redacted.
    pub sample: Option<String>,
    /// Whether the node's verdict explains it; null without a verdict, or if that is unknown.
    pub explained: Option<bool>,
    /// Why it does or does not.
    pub why: Option<String>,
    /// What it looks like, as far as a verdict could explain it.
    #[serde(default)]
    pub looks: Looks,
    /// How much it speaks for a look at the node's datapath; 0: not at all.
    #[serde(skip)]
    pub weight: u32,
}

impl Symptom {
    /// A symptom of a pod.
    #[must_use]
    pub(crate) fn of_pod(kind: SymptomKind, pod: &PodRef, container: Option<&str>) -> Self {
        Self {
            kind,
            namespace: Some(pod.namespace.clone()),
            pod: Some(pod.name.clone()),
            container: container.filter(|name| !name.is_empty()).map(str::to_owned),
            ..Self::default()
        }
    }

    /// From when to when, to the minute and in UTC, for people; none if unknown.
    #[must_use]
    pub fn when(&self) -> Option<String> {
        let minute = |moment: &Option<String>| {
            let utc = moment.as_deref()?.parse::<Timestamp>().ok()?.to_string();
            let (day, time) = utc.split_once('T')?;
            Some((day.to_owned(), time.get(..5)?.to_owned()))
        };
        match (minute(&self.first), minute(&self.last)) {
            (Some(first), Some(last)) if first == last => Some(format!("{} {} UTC", last.0, last.1)),
            (Some(first), Some(last)) if first.0 == last.0 => {
                Some(format!("{} {} to {} UTC", first.0, first.1, last.1))
            }
            (Some(first), Some(last)) => Some(format!("{} {} to {} {} UTC", first.0, first.1, last.0, last.1)),
            (Some(first), None) => Some(format!("since {} {} UTC", first.0, first.1)),
            (None, Some(last)) => Some(format!("{} {} UTC", last.0, last.1)),
            (None, None) => None,
        }
    }
}

/// The symptoms of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Symptoms {
    /// By node.
    pub nodes: BTreeMap<String, Vec<Symptom>>,
    /// Those that belong to no node that is known.
    pub elsewhere: Vec<Symptom>,
    /// What hit the whole cluster at once.
    pub events: Vec<storm::Storm>,
    /// What could not be read, and why.
    pub not_read: Vec<NotRead>,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRead {
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
}

impl Symptoms {
    /// Puts a symptom where it belongs.
    pub(crate) fn add(&mut self, node: Option<&str>, symptom: Symptom) {
        match node.filter(|name| !name.is_empty()) {
            Some(node) => self.nodes.entry(node.to_owned()).or_default().push(symptom),
            None => self.elsewhere.push(symptom),
        }
    }

    /// Worst first, within each node.
    pub(crate) fn sort(&mut self) {
        let lists = self.nodes.values_mut().chain([&mut self.elsewhere]);
        for list in lists {
            list.sort_by(|a, b| {
                let key = |s: &Symptom| {
                    (
                        std::cmp::Reverse((s.weight, s.count)),
                        s.kind,
                        s.namespace.clone(),
                        s.pod.clone(),
                        s.container.clone(),
                    )
                };
                key(a).cmp(&key(b))
            });
        }
    }

    /// How much a node's symptoms speak for a look at its datapath; 0: not at all. Those whose cause is unknown
    /// count, but never as much as one that was not answered, however many they are.
    #[must_use]
    pub fn weight(&self, node: &str) -> u32 {
        let (mut speaking, mut open) = (0, 0);
        for symptom in self.nodes.get(node).into_iter().flatten() {
            if symptom.weight > 1 { speaking += symptom.weight } else { open += symptom.weight }
        }
        speaking * 10 + open.min(9)
    }

    /// The nodes with symptoms, the one to look at first in front.
    #[must_use]
    pub fn ranked(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.nodes.keys().map(String::as_str).collect();
        names.sort_by_key(|name| (std::cmp::Reverse(self.weight(name)), *name));
        names
    }

    /// Notes that something could not be read.
    pub(crate) fn add_not_read(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.not_read.push(NotRead { what: what.into(), reason: why.into() });
    }
}

/// The pods of an inventory by name.
pub(crate) struct PodsByName<'a>(BTreeMap<(&'a str, &'a str), &'a Pod>);

impl<'a> PodsByName<'a> {
    pub(crate) fn new(inventory: &'a Inventory) -> Self {
        let pods = inventory.pods.known().iter();
        Self(pods.map(|pod| ((pod.metadata.namespace.as_str(), pod.metadata.name.as_str()), pod)).collect())
    }

    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<&'a Pod> {
        self.0.get(&(namespace, name)).copied()
    }
}

/// Seconds since 1970 of an RFC 3339 moment.
fn unix_second(moment: &str) -> Option<i64> {
    moment.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// The moment of a second.
fn rfc3339(second: i64) -> String {
    Timestamp::from_second(second).map(|t| t.to_string()).unwrap_or_default()
}

/// `23 h`, `5 d`, as people say it: the largest unit of which there are at least two, else the next.
fn duration_in_words(seconds: i64) -> String {
    match seconds.max(0) {
        s if s >= 2 * 86_400 => format!("{} d", s / 86_400),
        s if s >= 2 * 3_600 => format!("{} h", s / 3_600),
        s if s >= 120 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

/// A sample: one line, without credentials, cut.
fn sample(text: &str) -> Option<String> {
    let clean = without_credentials(text.trim());
    let mut short: String = clean.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SAMPLE).collect();
    if clean.chars().count() > SAMPLE {
        short.push('…');
    }
    Some(short).filter(|s| !s.is_empty())
}

/// The earlier and the later of moments that may be unknown.
fn widen_span(first: &mut Option<String>, last: &mut Option<String>, moments: [Option<&str>; 2]) {
    for moment in moments.into_iter().flatten() {
        let Some(at) = unix_second(moment) else { continue };
        if first.as_deref().and_then(unix_second).is_none_or(|known| at < known) {
            *first = Some(moment.to_owned());
        }
        if last.as_deref().and_then(unix_second).is_none_or(|known| at > known) {
            *last = Some(moment.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_utc_and_no_day_twice() {
        let when = |first: Option<&str>, last: Option<&str>| {
            let (first, last) = (first.map(str::to_owned), last.map(str::to_owned));
            Symptom { first, last, ..Symptom::default() }.when()
        };
        let (one, two) = (Some("2026-06-05T12:59:19Z"), Some("2026-06-06T02:00:00.5+02:00"));
        assert_eq!(when(one, two).as_deref(), Some("2026-06-05 12:59 to 2026-06-06 00:00 UTC"));
        assert_eq!(when(one, Some("2026-06-05T13:01:00Z")).as_deref(), Some("2026-06-05 12:59 to 13:01 UTC"));
        assert_eq!(when(one, one).as_deref(), Some("2026-06-05 12:59 UTC"));
        assert_eq!(when(one, None).as_deref(), Some("since 2026-06-05 12:59 UTC"));
        assert_eq!(when(Some("yesterday"), None), None);
    }
}
