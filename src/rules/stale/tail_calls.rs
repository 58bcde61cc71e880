//! `datapath-programs-missing`: programs miss their tail calls, because a tail-call map is empty.

use crate::base::evidence::Evidence;
use crate::base::pod_ref::PodRef;
use crate::cilium::calls_maps::{CallsMap, CallsOf};
use crate::cilium::endpoint_list::LocalEndpoint;
use crate::knowledge::code::Code;
use crate::rules::case::{Case, packets, rises_figures, rises_say};
use crate::rules::lookalikes::MISSED_TAIL_CALL;
use crate::rules::opinion::Opinion;
use crate::rules::verdict::{Affected, Because, Cause, Confidence, Says};

/// A starting agent replaces its programs within this time, in seconds.
const REPLACING_S: i64 = 60;
/// A few packets are lost while an agent replaces programs.
const MANY: u64 = 10;

/// Tail calls that find nothing to call: packets are dropped before they make an entry.
#[must_use]
pub fn missing(case: &Case) -> Option<Opinion> {
    let rises = case.rising(MISSED_TAIL_CALL);
    let (told, packets) = (rises_say(&rises), packets(&rises));
    let empty = empty_maps(case);
    // An empty map of an endpoint that is ready explains even a few lost packets.
    if packets == 0
        || packets < MANY && empty.is_empty()
        || case.agent_age_s().is_some_and(|age| (0..REPLACING_S).contains(&age))
    {
        return None;
    }
    let names: Vec<String> = empty.iter().map(|map| named(case, map)).collect();
    let summary = match names.as_slice() {
        [] => format!(
            "Cilium's programs miss their tail calls ({told}): the program to call is missing in a map, which one was not read, \
             and only a restart fills it."
        ),
        names => format!(
            "Cilium's programs miss their tail calls ({told}): {} {} empty, and only a restart fills {}.",
            names.join(" and "),
            if names.len() == 1 { "is" } else { "are" },
            if names.len() == 1 { "it" } else { "them" },
        ),
    };
    let evidence = case.beyond.drops_from;
    let mut says = Says::new(format!("between two readings: {told}"), [("missed_tail_calls", packets.into())]);
    says.figures.extend(rises_figures(&rises));
    let mut opinion = Opinion::new(Code::DatapathProgramsMissing, Confidence::High, summary)
        .because(Because::said(evidence.name(), says));
    let file = rises.iter().find_map(|rise| rise.counter.file().map(str::to_owned));
    opinion.cause = Some(match empty.first() {
        Some(map) => {
            let says = Says::new(
                format!("maps without any program: {}", names.join(", ")),
                [("empty_maps", empty.len().into())],
            );
            opinion.because.push(Because::said(Evidence::CallsMaps.name(), says));
            let place = pod_of(case, map).map(ToString::to_string).or(file);
            Cause::named("map", &*map.name, Evidence::CallsMaps)
                .expected("tail calls", "no entry")
                .on_where_known(place)
        }
        None => Cause::named("map", "cilium_calls", evidence)
            .expected("tail calls", "missed tail calls")
            .on_where_known(file),
    });
    opinion.affected = empty
        .iter()
        .filter_map(|map| pod_of(case, map))
        .map(|pod| Affected {
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            says: "the tail-call map of its programs is empty".to_owned(),
        })
        .collect();
    Some(opinion)
}

/// Tail-call maps that are empty. Where all are, the listing shows another form than the one that is counted.
fn empty_maps(case: &Case) -> Vec<&CallsMap> {
    let Some(calls) = case.beyond.calls.seen() else { return Vec::new() };
    if calls.maps.iter().all(|map| map.entries == 0) {
        return Vec::new();
    }
    // A map of an endpoint that is gone may be left behind.
    let lives = |map: &&CallsMap| match (map.of, case.beyond.endpoints.seen()) {
        (CallsOf::Endpoint(id), Some(list)) => list.by_id(id).is_some_and(LocalEndpoint::is_ready),
        _ => true,
    };
    calls.empty().filter(lives).collect()
}

fn pod_of<'a>(case: &'a Case, map: &CallsMap) -> Option<&'a PodRef> {
    let CallsOf::Endpoint(id) = map.of else { return None };
    if let Some(list) = case.beyond.endpoints.seen() {
        return list.by_id(id)?.pod.as_ref();
    }
    // Where the agent is silent, the kernel's own table knows the endpoint's address.
    let table = case.beyond.kernel_endpoints.seen()?;
    let (address, _) = table.endpoints.iter().find(|(_, endpoint)| endpoint.id == Some(id))?;
    case.around.names.get(address)
}

/// `cilium_calls_00096 (media/hermes-g6bzq)`.
fn named(case: &Case, map: &CallsMap) -> String {
    match (pod_of(case, map), map.of) {
        (Some(pod), _) => format!("{} ({pod})", map.name),
        (None, CallsOf::Host(_)) => format!("{} (the host's own)", map.name),
        (None, _) => map.name.clone(),
    }
}
