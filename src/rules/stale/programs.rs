//! `datapath-programs-missing`: a device that needs a Cilium program has none, or a program finds no tail to call.

use crate::base::version::Version;
use crate::cilium::status::{AgentStatus, AttachMode};
use crate::knowledge::code::Code;
use crate::rules::case::{Case, packets, rises_say};
use crate::rules::lookalikes::{MISSED_TAIL_CALL, in_trouble};
use crate::rules::opinion::Opinion;
use crate::rules::verdict::{Because, Cause, Confidence, Says};
use crate::rules::witnesses::{HostWitness, host};

/// A starting agent attaches its programs within this time, in seconds.
const ATTACHING_S: i64 = 60;

/// A direct sign: programs are missing, or tail calls are.
#[must_use]
pub fn missing(case: &Case) -> Option<Opinion> {
    tail_calls_missing(case).or_else(|| programs_missing(case))
}

/// Tail calls that find nothing to call: packets are dropped before they make an entry.
fn tail_calls_missing(case: &Case) -> Option<Opinion> {
    /// A few are lost while an agent replaces its programs.
    const MANY: u64 = 10;
    let rises = case.rising(MISSED_TAIL_CALL);
    let (told, packets) = (rises_say(&rises), packets(&rises));
    if packets < MANY || case.agent_age_s().is_some_and(|age| (0..ATTACHING_S).contains(&age)) {
        return None;
    }
    let summary = format!(
        "Cilium's programs find no tail to call ({}): a tail-call map is empty, and only a restart fills it.",
        told
    );
    let mut opinion = Opinion::new(Code::DatapathProgramsMissing, Confidence::High, summary).because(Because::said(
        "drop-metrics",
        Says::new(format!("between two readings: {}", told), [("missed_tail_calls", packets.into())]),
    ));
    opinion.cause = Some(Cause {
        what: "map".to_owned(),
        name: "cilium_calls".to_owned(),
        on: rises.iter().find_map(|rise| rise.counter.file().map(str::to_owned)),
        key: None,
        expected: Some("tail calls".to_owned()),
        found: Some("none".to_owned()),
        since: None,
        evidence: "drop-metrics".to_owned(),
    });
    Some(opinion)
}

/// `datapath-programs-missing`: a device that needs a program has none.
fn programs_missing(case: &Case) -> Option<Opinion> {
    let programs = case.beyond.programs.seen().filter(|programs| programs.recognized)?;
    if host(case) == HostWitness::Down {
        return None;
    }
    // An agent attaches its programs one by one while it starts.
    if case.agent_age_s().is_some_and(|age| (0..ATTACHING_S).contains(&age)) {
        return None;
    }
    let status = case.beyond.status.seen();
    if !programs.can_miss(status.and_then(AgentStatus::attaches).or_else(|| attaches_by_version(case))) {
        return None;
    }
    // A device without any program is a sign by itself; one that lacks a direction may be set up so, and counts only
    // where something fails.
    let mut missing = Vec::new();
    let on_host = programs.directions("cilium_host");
    match on_host.len() {
        0 => missing.push("cilium_host".to_owned()),
        1 if in_trouble(case) => {
            let bare = ["ingress", "egress"].into_iter().filter(|direction| !on_host.contains(direction));
            missing.extend(bare.map(|direction| format!("cilium_host {direction}")));
        }
        _ => {}
    }
    if let Some(status) = status {
        let native = status.devices.iter().filter(|_| status.kube_proxy_replacement == Some(true)).cloned();
        let needed = native.chain(status.tunnel_device());
        missing.extend(needed.filter(|device| programs.directions(device).is_empty()));
    }
    if status.is_none_or(|s| s.device_mode.as_deref() != Some("netkit")) {
        missing.extend(bare_pod_devices(case, programs));
    }
    if missing.is_empty() {
        return None;
    }
    let summary = format!("No Cilium program on {}: packets bypass the datapath.", missing.join(", "));
    let mut opinion = Opinion::new(Code::DatapathProgramsMissing, Confidence::High, summary);
    let says = format!("no program of Cilium's on: {}", missing.join(", "));
    opinion.because.push(Because::evidence("attached-programs", says));
    let says = "something removed them: find it, or it will do it again (cilium/cilium#28433)";
    opinion.because.push(Because::evidence("attached-programs", says));
    opinion.cause = Some(Cause {
        what: "program".to_owned(),
        name: "Cilium's program".to_owned(),
        on: Some(missing.join(", ")),
        key: None,
        expected: Some("attached".to_owned()),
        found: Some("none".to_owned()),
        since: None,
        evidence: "attached-programs".to_owned(),
    });
    Some(opinion)
}

/// Releases before 1.16 knew filters only.
fn attaches_by_version(case: &Case) -> Option<AttachMode> {
    let version = case.version().and_then(Version::parse)?;
    (version.line() < (1, 16)).then_some(AttachMode::LegacyTc)
}

/// Pod devices without the program that all others have.
fn bare_pod_devices(case: &Case, programs: &crate::cilium::programs::Programs) -> Vec<String> {
    let devices = programs.pod_devices();
    let mut missing = Vec::new();
    if devices.is_empty() {
        // Chained to another plugin, pods have devices of its names (eni…, azv…, gke…).
        let chained = !programs.chained_pod_devices().is_empty();
        if !chained && in_trouble(case) && case.around.pods.is_some_and(|pods| pods > 0) {
            missing.push("every lxc device".to_owned());
        }
        return missing;
    }
    if !in_trouble(case) {
        return missing;
    }
    for direction in ["ingress", "egress"] {
        let with = devices.iter().filter(|device| programs.directions(device).contains(direction)).count();
        // Some set-ups attach in one direction only, on all devices alike.
        if with > 0 && with < devices.len() {
            let bare = devices.iter().filter(|device| !programs.directions(device).contains(direction));
            missing.extend(bare.map(|device| format!("{device} {direction}")));
        }
    }
    missing
}
