//! Failing probes, from the kubelet's events.
//!
//! The kubelet writes 25 events per pod at once, then one in five minutes, while `count` runs on. So an event that is
//! five minutes old says nothing about recovery: the pod's Ready condition does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Looks, PodsByName, Symptom, SymptomKind, Symptoms, duration_in_words, sample, unix_second, widen_span};
use crate::base::pod_ref::PodRef;
use crate::kubernetes::objects::Event;

/// The most probes that are counted separately; later ones are dropped.
const MOST: usize = 20_000;

/// Probes by pod, container and kind, summed as events come.
#[derive(Clone, Default)]
pub struct Tally {
    sums: BTreeMap<(PodRef, String, &'static str), Sum>,
    /// Pods' containers that the kubelet killed for a failed probe.
    killed: BTreeSet<(PodRef, String)>,
    /// Whether there were more probes than that.
    pub over: bool,
}

#[derive(Clone, Default)]
struct Sum {
    count: u64,
    first: Option<String>,
    last: Option<String>,
    sample: String,
    host: String,
    answered: bool,
}

/// A probe that failed.
pub(crate) struct Failing<'a> {
    pub(crate) pod: &'a PodRef,
    container: &'a str,
    /// `readiness`, `liveness` or `startup`.
    pub(crate) probe: &'static str,
    /// How often.
    pub(crate) count: u64,
    /// Whether what it met last was an answer.
    pub(crate) answered: bool,
    /// What the kubelet said of it last.
    pub(crate) says: &'a str,
}

impl Failing<'_> {
    /// Whether both are of the same probe.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.pod, self.container, self.probe) == (other.pod, other.container, other.probe)
    }
}

impl Tally {
    /// All probes that failed.
    pub(crate) fn failing(&self) -> impl Iterator<Item = Failing<'_>> {
        self.sums.iter().map(|((pod, container, probe), sum)| Failing {
            pod,
            container,
            probe,
            count: sum.count,
            answered: sum.answered,
            says: &sum.sample,
        })
    }

    /// Takes in an event: a failed probe, or a container that was killed for one.
    pub fn take(&mut self, event: &Event) {
        let object = &event.involved_object;
        if object.kind != "Pod" {
            return;
        }
        let namespace = if object.namespace.is_empty() { &event.metadata.namespace } else { &object.namespace };
        let pod = PodRef { namespace: namespace.to_string(), name: object.name.to_string() };
        let container = container_of(&object.field_path).to_owned();
        if event.reason == "Killing" {
            if event.message.contains("failed liveness probe") || event.message.contains("failed startup probe") {
                self.killed.insert((pod, container));
            }
            return;
        }
        if event.reason != "Unhealthy" {
            return;
        }
        let Some((probe, said)) = probe_of(&event.message) else { return };
        let key = (pod, container, probe);
        if self.sums.len() >= MOST && !self.sums.contains_key(&key) {
            self.over = true;
            return;
        }
        let sum = self.sums.entry(key).or_default();
        sum.count += u64::try_from(event.count).unwrap_or(0).max(1);
        let (first, last) = moments(event);
        widen_span(&mut sum.first, &mut sum.last, [first, last]);
        // The newest words count.
        if sum.sample.is_empty() || sum.last.as_deref() == last {
            sum.sample = said.chars().take(1_000).collect();
            sum.answered = answered(said);
        }
        if !event.source.host.is_empty() {
            sum.host.clone_from(&event.source.host);
        }
    }

    /// Whether the kubelet said that it kills this container for a failed probe.
    #[must_use]
    pub fn killed(&self, pod: &PodRef, container: &str) -> bool {
        self.killed.contains(&(pod.clone(), container.to_owned()))
    }

    /// Whether a probe failed for which the kubelet kills this container.
    #[must_use]
    pub fn fails(&self, pod: &PodRef, container: &str) -> bool {
        let of = |probe| (pod.clone(), container.to_owned(), probe);
        ["liveness", "startup"].into_iter().any(|probe| self.sums.contains_key(&of(probe)))
    }

    /// Whether what that probe met was an answer.
    #[must_use]
    pub fn ends_answered(&self, pod: &PodRef, container: &str) -> bool {
        let of = |probe| self.sums.get(&(pod.clone(), container.to_owned(), probe));
        of("liveness").or_else(|| of("startup")).is_some_and(|sum| sum.answered)
    }

    /// The symptoms.
    pub(super) fn add_probe_symptoms(&self, pods: &PodsByName<'_>, into: &mut Symptoms) {
        for ((pod, container, probe), sum) in &self.sums {
            let known = pods.get(&pod.namespace, &pod.name);
            let host_network = known.is_some_and(|p| p.spec.host_network);
            let ready = known.and_then(|p| p.status.conditions.iter().find(|c| c.r#type == "Ready"));
            let since = ready.and_then(|c| c.last_transition_time.as_deref());
            let mut says = format!("{} failed {probe} {}", sum.count, if sum.count == 1 { "probe" } else { "probes" });
            let length = sum.first.as_deref().and_then(unix_second).zip(sum.last.as_deref().and_then(unix_second));
            if let Some((first, last)) = length.filter(|(first, last)| last > first) {
                _ = write!(says, " in {}", duration_in_words(last - first));
            }
            let recovered = ready.map(|c| c.status == "True");
            let moved = since.and_then(unix_second);
            // Ready again between two failures: its endpoint comes and goes. After the last one: it is back.
            let again = moved.zip(length).filter(|(at, (first, _))| recovered == Some(true) && at > first);
            let flips = again.is_some_and(|(at, (_, last))| at < last);
            match (recovered, since) {
                (Some(false), Some(since)) => _ = write!(says, "; not ready since {since}"),
                (Some(false), None) => says += "; not ready",
                (Some(true), Some(since)) if flips && *probe == "readiness" => {
                    _ = write!(says, "; ready again since {since}: flapping");
                }
                (Some(true), Some(since)) if again.is_some() => _ = write!(says, "; ready again since {since}"),
                (Some(true), _) => says += "; ready now",
                (None, _) if known.is_none() && !pods.0.is_empty() => says += "; the pod is gone",
                (None, _) => {}
            }
            let looks = match (host_network, sum.answered) {
                (true, _) => Looks::OfTheHost,
                (false, true) => Looks::Answered,
                (false, false) => Looks::Unanswered,
            };
            let weight = match (looks, recovered) {
                (Looks::Unanswered, Some(false)) => 5,
                (Looks::Unanswered, _) => 3,
                (Looks::Answered, _) => 0,
                _ => 1,
            };
            let node = known.map_or(sum.host.as_str(), |p| p.spec.node_name.as_str());
            let symptom = Symptom {
                count: sum.count,
                first: sum.first.clone(),
                last: sum.last.clone(),
                says,
                sample: sample(&sum.sample),
                looks,
                weight,
                ..Symptom::of_pod(SymptomKind::ProbeFailures, pod, Some(container))
            };
            into.add(Some(node), symptom);
        }
    }
}

/// When an event was first and last; counted ones and those of a single moment differ in their fields.
pub(crate) fn moments(event: &Event) -> (Option<&str>, Option<&str>) {
    let single = event.event_time.as_deref();
    let made = event.metadata.creation_timestamp.as_deref();
    (event.first_timestamp.as_deref().or(single).or(made), event.last_timestamp.as_deref().or(single).or(made))
}

/// `spec.containers{main}` is `main`.
fn container_of(field_path: &str) -> &str {
    field_path.split_once('{').and_then(|(_, rest)| rest.strip_suffix('}')).unwrap_or_default()
}

/// Which probe, and what it says.
fn probe_of(message: &str) -> Option<(&'static str, &str)> {
    let of = |word: &str, name| message.strip_prefix(word).map(|rest| (name, rest));
    let (name, rest) = of("Readiness probe ", "readiness")
        .or_else(|| of("Liveness probe ", "liveness"))
        .or_else(|| of("Startup probe ", "startup"))?;
    Some((name, rest.split_once(':').map_or(rest, |(_, said)| said).trim()))
}

/// Whether the pod answered, whatever it said: then the way there works. What a command in the pod printed is no
/// answer and no silence, but the command ran there; only a timeout looks like waiting for an answer.
fn answered(said: &str) -> bool {
    let silent = [
        "timeout",
        "timed out",
        "deadline exceeded",
        "Client.Timeout",
        "request canceled",
        "no route to host",
        "network is unreachable",
        "context canceled",
    ];
    !silent.iter().any(|word| said.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_from_silence() {
        for silence in [
            "Get \"http://10.42.1.7/\": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
            "Get \"http://10.42.1.7/\": dial tcp 10.42.1.7:80: i/o timeout",
            "command timed out: \"/bin/sleep 30\" timed out after 1s",
        ] {
            assert!(!answered(silence), "{silence}");
        }
        for answer in [
            "HTTP probe failed with statuscode: 503",
            "dial tcp 10.42.1.7:80: connect: connection refused",
            "not ready yet",
        ] {
            assert!(answered(answer), "{answer}");
        }
    }

    #[test]
    fn counts_of_all_messages_of_a_probe_are_summed() {
        let mut tally = Tally::default();
        for (count, message) in
            [(80, "Readiness probe failed: i/o timeout"), (10, "Readiness probe failed: no route to host")]
        {
            let mut event = Event { reason: "Unhealthy".into(), message: message.into(), count, ..Event::default() };
            event.involved_object.kind = "Pod".into();
            event.involved_object.name = "vault-0".into();
            event.first_timestamp = Some("2026-06-05T13:00:00Z".into());
            event.last_timestamp = Some("2026-06-06T12:00:00Z".into());
            event.source.host = "prusik".into();
            tally.take(&event);
        }
        let mut found = Symptoms::default();
        tally.add_probe_symptoms(&PodsByName(BTreeMap::new()), &mut found);
        let told = &found.nodes["prusik"][0];
        assert_eq!((told.count, told.says.as_str()), (90, "90 failed readiness probes in 23 h"));
    }
}
