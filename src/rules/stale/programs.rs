//! `datapath-programs-missing`: a device that needs a Cilium program has none.

use super::pod_devices::{self, BarePod};
use crate::base::evidence::Evidence;
use crate::base::version::Version;
use crate::cilium::programs::Programs;
use crate::cilium::status::{AgentStatus, AttachMode};
use crate::knowledge::code::Code;
use crate::rules::case::Case;
use crate::rules::lookalikes::in_trouble;
use crate::rules::opinion::Opinion;
use crate::rules::verdict::{Because, Cause, Confidence};
use crate::rules::witnesses::{HostWitness, host};

/// A starting agent attaches its programs within this time, in seconds.
const ATTACHING_S: i64 = 60;
/// An endpoint that is ready has its program; only the listing may be older than that by this time, in seconds.
const SETTLING_S: i64 = 15;

/// What lacks its program.
#[derive(Default)]
pub struct Bare {
    /// Devices of the host, and directions of `cilium_host`.
    pub host: Vec<String>,
    /// Devices of pods.
    pub pods: Vec<String>,
}

/// A direct sign: programs are missing.
#[must_use]
pub fn missing(case: &Case) -> Option<Opinion> {
    if host(case) == HostWitness::Down {
        return None;
    }
    let (host_devices, pods, mut others) = lacking(case);
    if host_devices.is_empty() && pods.is_empty() && others.is_empty() {
        return None;
    }
    let mut devices = host_devices;
    devices.extend(pods.iter().map(BarePod::named));
    devices.append(&mut others);
    let shown = shortened(&devices);
    let summary = format!("No Cilium program on {shown}: packets bypass the datapath.");
    let mut opinion = Opinion::new(Code::DatapathProgramsMissing, Confidence::High, summary);
    let by_listing = listing(case).is_some();
    let evidence = if by_listing { Evidence::AttachedPrograms } else { Evidence::AgentLog };
    if by_listing {
        let says = format!("no Cilium program on: {shown}");
        opinion.because.push(Because::evidence(evidence.name(), says));
    }
    opinion.because.extend(pod_devices::supporting(case, &pods));
    let says = "something removed them: find it, or it will do it again (cilium/cilium#28433)";
    opinion.because.push(Because::evidence(evidence.name(), says));
    let since = pods.iter().find_map(|pod| pod.since);
    opinion.cause = Some(
        Cause::named("program", program_of(&devices), evidence).on(shown).expected("attached", "none").since(since),
    );
    opinion.affected = pods.iter().map(BarePod::affected).collect();
    Some(opinion)
}

/// What lacks its program, for upstream issues; none where the listing can't tell.
#[must_use]
pub fn bare(case: &Case) -> Option<Bare> {
    listing(case)?;
    let (host, pods, others) = lacking(case);
    Some(Bare { host, pods: pods.iter().map(BarePod::named).chain(others).collect() })
}

/// Whether a device of a pod that is not in the cluster's list lacks its program.
#[must_use]
pub fn unlisted_is_bare(case: &Case) -> bool {
    listing(case).is_some_and(|programs| pod_devices::unlisted_is_bare(case, programs))
}

/// The listing, where a program that it lacks is missing.
fn listing(case: &Case) -> Option<&Programs> {
    let programs = case.beyond.programs.seen().filter(|programs| programs.recognized)?;
    let attaches = case.beyond.status.seen().and_then(AgentStatus::attaches).or_else(|| attaches_by_version(case));
    programs.can_miss(attaches).then_some(programs)
}

/// Releases before 1.16 knew filters only.
fn attaches_by_version(case: &Case) -> Option<AttachMode> {
    let version = case.version().and_then(Version::parse)?;
    (version.line() < (1, 16)).then_some(AttachMode::LegacyTc)
}

/// Devices of the host, pods with a name, and pods that are known only by their device.
fn lacking(case: &Case) -> (Vec<String>, Vec<BarePod>, Vec<String>) {
    let younger = |age_s: i64| case.agent_age_s().is_some_and(|age| (0..age_s).contains(&age));
    if younger(SETTLING_S) {
        return Default::default();
    }
    let Some(programs) = listing(case) else {
        return (Vec::new(), pod_devices::named_by_watchdog(case), Vec::new());
    };
    let pods = pod_devices::bare(case, programs);
    // An agent attaches its programs one by one while it starts.
    if younger(ATTACHING_S) {
        return (Vec::new(), pods, Vec::new());
    }
    let others = if pods.is_empty() { bare_devices(case, programs) } else { Vec::new() };
    (host_devices(case, programs), pods, others)
}

/// Devices of the host that lack their program. One without any program is a sign by itself; one that lacks a direction may
/// be set up so, and counts only where something fails.
fn host_devices(case: &Case, programs: &Programs) -> Vec<String> {
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
    if let Some(status) = case.beyond.status.seen() {
        let native = status.devices.iter().filter(|_| status.kube_proxy_replacement == Some(true)).cloned();
        let needed = native.chain(status.tunnel_device());
        missing.extend(needed.filter(|device| programs.directions(device).is_empty()));
    }
    missing
}

/// Pod devices without the program that all others have, where something fails.
fn bare_devices(case: &Case, programs: &Programs) -> Vec<String> {
    let status = case.beyond.status.seen();
    if status.is_some_and(|status| status.device_mode.as_deref() == Some("netkit")) || !in_trouble(case) {
        return Vec::new();
    }
    let devices = programs.pod_devices();
    if devices.is_empty() {
        // Chained to another plugin, pods have devices of its names (eni…, azv…, gke…).
        let chained = !programs.chained_pod_devices().is_empty();
        let pods = case.around.pods.is_some_and(|pods| pods > 0);
        return if !chained && pods { vec!["every lxc device".to_owned()] } else { Vec::new() };
    }
    let mut missing = Vec::new();
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

/// The program that belongs on the first of these devices.
fn program_of(devices: &[String]) -> &'static str {
    let first = devices.first().map_or("", String::as_str);
    match first.split([' ', '(']).next().unwrap_or_default() {
        "cilium_host" => "cil_from_host",
        "cilium_vxlan" | "cilium_geneve" => "cil_from_overlay",
        device if device.starts_with("lxc") => "cil_from_container",
        "the" | "every" => "cil_from_container",
        _ => "cil_from_netdev",
    }
}

/// The first few of a list, and how many there are beside them.
pub(super) fn shortened(names: &[String]) -> String {
    const MOST: usize = 5;
    let shown = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
