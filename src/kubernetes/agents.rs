//! Which pods are Cilium agents, and the agent of one node.

use std::collections::BTreeSet;

use crate::base::failure::Failure;
use crate::base::pod_ref::PodRef;
use crate::base::time::{Timestamp, moment};
use crate::base::version::Version;
use crate::kubernetes::objects::{ContainerStatus, Pod};

/// The label that selects Cilium's agents, as the API takes it.
pub const AGENT_SELECTOR: &str = "k8s-app=cilium";
/// The name of the agent's container.
pub const AGENT_CONTAINER: &str = "cilium-agent";

/// The Cilium agent of a node.
#[derive(Clone, Debug)]
pub enum Agent {
    /// The pods could not be listed.
    Unknown(Failure),
    /// None runs.
    NotRunning {
        /// What there is instead.
        why: String,
    },
    /// This one runs.
    Running(RunningAgent),
}

impl Agent {
    /// The agent that runs.
    #[must_use]
    pub const fn running(&self) -> Option<&RunningAgent> {
        match self {
            Self::Running(agent) => Some(agent),
            Self::Unknown(_) | Self::NotRunning { .. } => None,
        }
    }
}

/// A running agent.
#[derive(Clone, Debug)]
pub struct RunningAgent {
    /// Its pod.
    pub pod: PodRef,
    /// Its pod's unique id.
    pub uid: String,
    /// Its version by the image's tag.
    pub version: Option<String>,
    /// When its container started, RFC 3339.
    pub started_at: Option<Timestamp>,
    /// How often its container was started again.
    pub restarts: i64,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is being ended, with no other beside it.
    pub terminating: bool,
}

/// Whether a pod is a Cilium agent.
#[must_use]
pub fn is_agent(pod: &Pod) -> bool {
    pod.metadata.labels.get("k8s-app").is_some_and(|value| value == "cilium")
}

/// The namespace of the agents, by where they are; `kube-system` where they are in several.
#[must_use]
pub fn agent_namespace(pods: &[Pod]) -> Option<String> {
    let namespaces: BTreeSet<&str> =
        pods.iter().filter(|p| is_agent(p)).map(|p| p.metadata.namespace.as_str()).collect();
    match namespaces.len() {
        0 | 1 => namespaces.first().map(|n| (*n).to_owned()),
        _ => Some("kube-system".to_owned()),
    }
}

/// The versions of Cilium that run in a cluster, by their agents' images, each once.
#[must_use]
pub fn versions(pods: &[Pod]) -> BTreeSet<String> {
    let agents = pods.iter().filter(|pod| is_agent(pod) && pod.status.phase == "Running");
    agents.filter_map(|pod| image_with_version(pod).and_then(version_of_image)).collect()
}

/// The release of an agent's pod by its image's tag; none for other pods, or where the tag says none.
#[must_use]
pub fn release(pod: &Pod) -> Option<Version> {
    let version = is_agent(pod).then(|| image_with_version(pod).and_then(version_of_image)).flatten()?;
    Version::parse(&version)
}

/// The agent among the agents' pods of one node.
#[must_use]
pub fn agent_of_node(agents: &[&Pod]) -> Agent {
    let running = agents.iter().filter(|pod| pod.status.phase == "Running" && agent_runs(pod));
    // An old pod may end beside the new one: the one that stays counts, and of several the youngest.
    let best = running.max_by_key(|pod| {
        let started = agent_container(pod).and_then(|c| c.state.running.as_ref()).and_then(|r| r.started_at.as_deref());
        let made = pod.metadata.creation_timestamp.as_deref();
        (pod.metadata.deletion_timestamp.is_none(), started.and_then(moment), made.and_then(moment))
    });
    let Some(pod) = best else {
        return Agent::NotRunning { why: why_not_running(agents) };
    };
    let container = agent_container(pod);
    Agent::Running(RunningAgent {
        pod: pod.reference(),
        uid: pod.metadata.uid.to_string(),
        version: image_with_version(pod).and_then(version_of_image),
        started_at: container
            .and_then(|c| c.state.running.as_ref())
            .and_then(|r| r.started_at.as_deref())
            .or(pod.status.start_time.as_deref())
            .and_then(moment),
        restarts: container.map_or(0, |c| c.restart_count),
        ready: pod.ready().unwrap_or_else(|| container.is_some_and(|c| c.ready)),
        terminating: pod.metadata.deletion_timestamp.is_some(),
    })
}

fn agent_container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.container(AGENT_CONTAINER).or_else(|| pod.status.container_statuses.first())
}

/// The agent's image: the one that runs, where its name says a version, else the one that was wanted.
fn image_with_version(pod: &Pod) -> Option<&str> {
    let runs = agent_container(pod).map(|c| c.image.as_str()).filter(|image| version_of_image(image).is_some());
    runs.or_else(|| pod.spec.containers.iter().find(|c| c.name == AGENT_CONTAINER).map(|c| &*c.image))
}

/// Whether the agent's container runs; where no container is listed the pod's phase decides.
fn agent_runs(pod: &Pod) -> bool {
    agent_container(pod).is_none_or(|c| c.state.running.is_some())
}

fn why_not_running(agents: &[&Pod]) -> String {
    let Some(pod) = agents.last() else {
        return "no Cilium agent pod is on this node".to_owned();
    };
    let name = &pod.metadata.name;
    let waiting = agent_container(pod).and_then(|c| c.state.waiting.as_ref()).map(|w| w.reason.as_str());
    match waiting {
        Some(reason) if !reason.is_empty() => format!("the agent's container in {name} waits: {reason}"),
        _ => format!("the agent's pod {name} is {}", pod.status.phase),
    }
}

/// `quay.io/cilium/cilium:v1.19.4@sha256:…` is 1.19.4; an image by digest only says nothing.
fn version_of_image(image: &str) -> Option<String> {
    let name = image.split('@').next()?;
    let (_, tag) = name.rsplit('/').next()?.split_once(':')?;
    let version = tag.strip_prefix('v').unwrap_or(tag);
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
}
