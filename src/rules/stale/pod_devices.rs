//! A pod's device without its program, by the agent's own list of endpoints and devices.

use crate::base::evidence::Evidence;
use crate::base::pod_ref::PodRef;
use crate::base::time::{Timestamp, seconds_between};
use crate::cilium::agent_log::RemovedPrograms;
use crate::cilium::programs::Programs;
use crate::rules::case::Case;
use crate::rules::verdict::{Affected, Because, Says};

/// The watchdog looks every 30 s; a line older than this, in seconds, may be of something that is mended.
const RECENT_S: i64 = 90;

/// A pod whose device has no program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BarePod {
    /// The pod.
    pub(super) pod: PodRef,
    /// Its device, where the agent lists it.
    pub(super) device: Option<String>,
    /// Since when the agent's watchdog has said so.
    pub(super) since: Option<Timestamp>,
}

impl BarePod {
    /// `lxc2471f32722ab (media/hermes-g6bzq)`.
    pub(super) fn named(&self) -> String {
        match &self.device {
            Some(device) => format!("{device} ({})", self.pod),
            None => format!("the device of {}", self.pod),
        }
    }

    pub(super) fn affected(&self) -> Affected {
        Affected {
            namespace: self.pod.namespace.clone(),
            pod: self.pod.name.clone(),
            says: "its device has no Cilium program".to_owned(),
        }
    }
}

/// Ready endpoints of pods whose device is in no line of the listing, though other pods' devices are. Pods that came or went
/// meanwhile do not count: they must be in the cluster's list, and the endpoint ready.
pub(super) fn bare(case: &Case, programs: &Programs) -> Vec<BarePod> {
    let mut bare = without_program(case, programs);
    bare.retain(|bare| is_listed(case, &bare.pod));
    bare
}

/// Whether such a device is of a pod that is not in the cluster's list: it may be new, or gone, or not allowed to be listed.
pub(super) fn unlisted_is_bare(case: &Case, programs: &Programs) -> bool {
    without_program(case, programs).iter().any(|bare| !is_listed(case, &bare.pod))
}

fn is_listed(case: &Case, pod: &PodRef) -> bool {
    case.around.names.values().any(|name| name == pod)
}

fn without_program(case: &Case, programs: &Programs) -> Vec<BarePod> {
    let chained = !programs.chained_pod_devices().is_empty()
        || case.beyond.status.seen().is_some_and(|status| status.chained_to.is_some());
    let netkit =
        case.beyond.status.seen().is_some_and(|s| s.device_mode.as_deref().is_some_and(|m| m.starts_with("netkit")));
    let Some(list) = case.beyond.endpoints.seen().filter(|_| !chained && !netkit) else { return Vec::new() };
    let with = programs.pod_devices();
    let lacks = |device: &str| device.starts_with("lxc") && !with.contains(device);
    let bare = list.endpoints.iter().filter(|endpoint| endpoint.is_ready() && !endpoint.is_host());
    let bare = bare.filter_map(|endpoint| {
        let (pod, device) = (endpoint.pod.as_ref()?, endpoint.interface.as_deref()?);
        lacks(device).then(|| BarePod {
            pod: pod.clone(),
            device: Some(device.to_owned()),
            since: watched(case, pod).and_then(|says| says.first_at),
        })
    });
    // Where no device at all has one, the listing may not show the way in which they are attached.
    if with.is_empty() { Vec::new() } else { bare.collect() }
}

/// Pods that the agent's watchdog names in a recent line of its log.
pub(super) fn named_by_watchdog(case: &Case) -> Vec<BarePod> {
    let pods = case.around.names.values().collect::<std::collections::BTreeSet<_>>();
    let named = pods.into_iter().filter_map(|pod| Some((pod, watched(case, pod)?.first_at)));
    named
        .map(|(pod, since)| {
            let endpoint = case.beyond.endpoints.seen().and_then(|list| list.of_pod(pod));
            let device = endpoint.and_then(|endpoint| endpoint.interface.clone());
            BarePod { pod: pod.clone(), device, since }
        })
        .collect()
}

/// What the watchdog says, where its last line names this pod and is recent.
fn watched<'a>(case: &'a Case, pod: &PodRef) -> Option<&'a RemovedPrograms> {
    let removed = &case.beyond.log.seen()?.removed;
    let age = seconds_between(removed.last_at?, case.taken_at?);
    let name = pod.to_string();
    (age.abs() <= RECENT_S && removed.pods().any(|named| named == name)).then_some(removed)
}

/// What else shows it: the watchdog's line, and links that hold on to nothing.
pub(super) fn supporting(case: &Case, bare: &[BarePod]) -> Vec<Because> {
    let mut because = Vec::new();
    if let Some(pod) = bare.iter().find(|pod| watched(case, &pod.pod).is_some()) {
        let says = format!("the agent's watchdog says that the program of {} was removed", pod.pod);
        because.push(Because::evidence(Evidence::AgentLog.name(), says));
    }
    let tcx = case.beyond.links.seen().map(|links| {
        links.detached().filter(|link| matches!(link.kind.as_str(), "tcx" | "netkit")).map(|link| link.id).collect()
    });
    let ids: Vec<u64> = tcx.unwrap_or_default();
    if !ids.is_empty() {
        let shown = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let says = Says::new(
            format!("links that hold their program on no device any more: {shown}"),
            [("detached", ids.len().into()), ("links", shown.clone().into())],
        );
        because.push(Because::said(Evidence::LinkList.name(), says));
    }
    because
}
