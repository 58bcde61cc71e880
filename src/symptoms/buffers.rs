//! Vector's buffers, and additional queries, from the answers of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use super::{Looks, PodsByName, Symptom, SymptomKind, Symptoms, sample};
use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;

/// How full each buffer is, from 0 to 1. Vector counts disk buffers in bytes and memory buffers in events (in bytes
/// where
/// `max_bytes` bounds them). 0.53.0 (2026-01-27, vectordotdev/vector#24493) put `buffer_size_bytes`,
/// `buffer_size_events`,
/// `buffer_max_size_bytes` and `buffer_max_size_events` beside `buffer_byte_size`, `buffer_events`,
/// `buffer_max_byte_size` and `buffer_max_event_size`, which are deprecated since and will go: one of each pair is
/// taken. The `internal_metrics` source writes `vector_` in front of all of them by default.
pub const FILL: &str = "max by (namespace, pod, node, host, instance, component_id) \
    (vector_buffer_byte_size or vector_buffer_size_bytes) / max by (namespace, pod, node, host, instance, component_id) \
    (vector_buffer_max_byte_size or vector_buffer_max_size_bytes) or \
    max by (namespace, pod, node, host, instance, component_id) (vector_buffer_events or vector_buffer_size_events) / \
    max by (namespace, pod, node, host, instance, component_id) \
    (vector_buffer_max_event_size or vector_buffer_max_size_events)";

/// What each sink sent in the last quarter of an hour, in bytes per second; only sinks count the bytes that they send.
pub const SENT: &str = "sum by (namespace, pod, node, host, instance, component_id) \
    (rate(vector_component_sent_bytes_total{component_kind=\"sink\"}[15m]))";

/// From here on a buffer counts as filling up.
const FULL: f64 = 0.8;
/// Above this the figure is wrong: Vector's own counter has been seen below zero, as 2^64 (vectordotdev/vector#21683).
const ABSURD: f64 = 1.5;
/// The most series shown of an additional query.
const MOST: usize = 20;

/// An answer of Prometheus: an instant vector.
#[derive(Debug, Deserialize)]
struct PrometheusAnswer {
    #[serde(default)]
    data: Data,
    /// What was asked; staledp puts it there.
    #[serde(default)]
    query: String,
}

#[derive(Debug, Default, Deserialize)]
struct Data {
    #[serde(default, rename = "resultType")]
    kind: String,
    #[serde(default)]
    result: serde_json::Value,
}

/// One series: its labels and its value now.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

impl Series {
    fn number(&self) -> Option<f64> {
        self.value.1.parse().ok().filter(|n: &f64| n.is_finite())
    }

    fn label(&self, name: &str) -> &str {
        self.metric.get(name).map_or("", String::as_str)
    }

    /// Whose buffer it is: everything but the component.
    fn owner(&self) -> [&str; 4] {
        ["namespace", "pod", "host", "instance"].map(|name| self.label(name))
    }
}

/// Reads an answer; scalars become a series without labels.
///
/// # Errors
///
/// The anomaly, if any.
pub(crate) fn series(answer: &[u8]) -> Result<Vec<Series>, Failure> {
    let odd =
        |error: serde_json::Error| Failure::new(FailureKind::Other, format!("its answer cannot be read: {error}"));
    let PrometheusAnswer { data, .. } = serde_json::from_slice(answer).map_err(odd)?;
    match data.kind.as_str() {
        "vector" => serde_json::from_value(data.result).map_err(odd),
        "scalar" => {
            Ok(vec![Series { metric: BTreeMap::new(), value: serde_json::from_value(data.result).map_err(odd)? }])
        }
        other => {
            let says = format!("its answer is a '{other}'; query an instant vector");
            Err(Failure::new(FailureKind::Other, says))
        }
    }
}

/// The query, if a saved answer holds it.
pub(crate) fn query_of(answer: &[u8]) -> Option<String> {
    serde_json::from_slice::<PrometheusAnswer>(answer).ok().map(|answer| answer.query).filter(|query| !query.is_empty())
}

/// The node and pod that a series is about. Vector's own `host` is the pod's name in a DaemonSet.
fn node_and_pod<'a>(one: &'a Series, pods: &PodsByName<'a>) -> (Option<&'a str>, Option<PodRef>) {
    let (namespace, name) = (one.label("namespace"), one.label("pod"));
    let name = if name.is_empty() { one.label("host") } else { name };
    let pod = if namespace.is_empty() {
        pods.0.iter().find(|((_, pod), _)| *pod == name).map(|(_, pod)| *pod)
    } else {
        pods.get(namespace, name)
    };
    let reference = pod.map(crate::kubernetes::objects::Pod::reference).or_else(|| {
        let known = !namespace.is_empty() && !one.label("pod").is_empty();
        known.then(|| PodRef { namespace: namespace.to_owned(), name: name.to_owned() })
    });
    let node = pod.map(|p| p.spec.node_name.as_str()).or(Some(one.label("node"))).filter(|n| !n.is_empty());
    (node, reference)
}

/// The symptoms: buffers that are full, and, for contrast, the other buffers of the same pod.
pub(crate) fn add_buffer_symptoms(
    fill: &[Series],
    sent: Option<&[Series]>,
    pods: &PodsByName<'_>,
    asked_at: Option<&str>,
    into: &mut Symptoms,
) {
    let filled_up = |one: &&Series| one.number().is_some_and(|n| (FULL..=ABSURD).contains(&n));
    let owners: std::collections::BTreeSet<_> = fill.iter().filter(filled_up).map(Series::owner).collect();
    for one in fill.iter().filter(|one| owners.contains(&one.owner())) {
        let component = one.label("component_id");
        let rate = sent.and_then(|all| {
            let same = all.iter().find(|s| s.owner() == one.owner() && s.label("component_id") == component);
            same.and_then(Series::number)
        });
        let is_full = filled_up(&one);
        let mut says = match one.number() {
            Some(n) if n <= ABSURD => format!("buffer of {component}: {:.0} % full", n * 100.0),
            _ => format!("buffer of {component}: implausible value ({})", one.value.1),
        };
        match (rate, sent.is_some()) {
            (Some(rate), _) if rate > 0.0 => {
                let _ = write!(says, ", sends {rate:.0} B/s{}", if is_full { "" } else { ": fine" });
            }
            (Some(_), _) if is_full => says += ", and nothing sent in 15 min",
            (Some(_), _) => says += ": fine, nothing to send",
            (None, _) => says += ", send rate unknown",
        }
        let looks = match (is_full, rate) {
            (true, Some(rate)) if rate <= 0.0 => Looks::Unanswered,
            (true, _) => Looks::Open,
            _ => Looks::Fine,
        };
        let (node, pod) = node_and_pod(one, pods);
        let base = pod.map_or_else(
            || Symptom { kind: SymptomKind::Buffers, ..Symptom::default() },
            |pod| Symptom::of_pod(SymptomKind::Buffers, &pod, None),
        );
        let symptom = Symptom {
            count: u64::from(is_full),
            last: asked_at.map(str::to_owned),
            says,
            looks,
            weight: match looks {
                Looks::Unanswered => 5,
                Looks::Open => 2,
                _ => 0,
            },
            ..base
        };
        into.add(node, symptom);
    }
}

/// The answer to an additional query, series by series.
pub(crate) fn add_query_symptoms(
    query: &str,
    answer: &[Series],
    pods: &PodsByName<'_>,
    asked_at: Option<&str>,
    into: &mut Symptoms,
) {
    for one in answer.iter().take(MOST) {
        let (node, pod) = node_and_pod(one, pods);
        let base = pod.map_or_else(
            || Symptom { kind: SymptomKind::Buffers, ..Symptom::default() },
            |pod| Symptom::of_pod(SymptomKind::Buffers, &pod, None),
        );
        let labels: Vec<String> = one.metric.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let symptom = Symptom {
            count: 1,
            last: asked_at.map(str::to_owned),
            says: format!("{} for {}", one.value.1, sample(query).unwrap_or_default()),
            sample: sample(&labels.join(" ")),
            ..base
        };
        into.add(node, symptom);
    }
    if answer.len() > MOST {
        into.add_not_read(
            format!("the answer to '{query}'"),
            format!("it has {} series; the first {MOST} are shown", answer.len()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rows: &[(&str, &str)]) -> Vec<Series> {
        let result: Vec<_> = rows
            .iter()
            .map(|(component, value)| {
                serde_json::json!({"metric": {"namespace": "loki", "pod": "vector-0", "node": "graz", "component_id": component},
                    "value": [1_780_000_000.5, value]})
            })
            .collect();
        series(
            &serde_json::to_vec(
                &serde_json::json!({"status": "success", "data": {"resultType": "vector", "result": result}}),
            )
            .unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn a_full_buffer_is_shown_beside_the_fine_one_of_the_same_pod() {
        let mut found = Symptoms::default();
        let fill = answer(&[("journal", "0.97"), ("pods", "0"), ("odd", "68719476736")]);
        add_buffer_symptoms(
            &fill,
            Some(&answer(&[("journal", "0"), ("pods", "1200")])),
            &PodsByName(BTreeMap::new()),
            None,
            &mut found,
        );
        found.sort();
        let says: Vec<&str> = found.nodes["graz"].iter().map(|s| s.says.as_str()).collect();
        assert_eq!(says[0], "buffer of journal: 97 % full, and nothing sent in 15 min");
        assert!(says.contains(&"buffer of pods: 0 % full, sends 1200 B/s: fine"), "{says:?}");
        assert_eq!(found.weight("graz"), 50);
    }

    #[test]
    fn buffers_that_are_fine_are_no_symptom() {
        let mut found = Symptoms::default();
        add_buffer_symptoms(
            &answer(&[("journal", "0.3"), ("pods", "NaN")]),
            None,
            &PodsByName(BTreeMap::new()),
            None,
            &mut found,
        );
        assert!(found.nodes.is_empty() && found.elsewhere.is_empty());
    }

    #[test]
    fn what_is_no_answer_is_said_to_be_none() {
        assert!(series(b"<html>").is_err());
        assert!(
            series(br#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#)
                .unwrap_err()
                .message
                .contains("matrix")
        );
    }
}
