//! What a restart of one node's agent depends on, by the cluster's lists: the image, the last end of the agent's container,
//! and what has its only ready copies on this node.

use std::collections::BTreeSet;

use crate::kubernetes::agents::AGENT_CONTAINER;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::objects::{Pod, PullPolicy, REVISION_LABEL};

/// What the names of pods and containers hold that answer admission requests.
const WEBHOOKS: [&str; 2] = ["webhook", "admission"];

/// What a restart of one node's agent depends on. What the lists do not say is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestartView {
    /// The revision that the agent's pod was made from.
    pub revision: Option<String>,
    /// The uid of the DaemonSet that the agent's pod belongs to.
    pub daemon_set: Option<String>,
    /// Whether the new pod has to pull an image.
    pub pulls: Option<bool>,
    /// Whether the agent's container ended last because it used too much memory.
    pub out_of_memory: Option<bool>,
    /// Ready endpoints of cluster DNS on this node, and on others.
    pub cluster_dns: Option<(usize, usize)>,
    /// Pods on this node that, by their names, answer admission requests, and of whose workload no other pod is ready.
    pub webhooks_only_here: Option<Vec<String>>,
}

impl RestartView {
    /// Looks at one node.
    #[must_use]
    pub fn new(node: &str, map: &ClusterMap<'_>) -> Self {
        let here = map.pods_on(node);
        let agent = map.agent(node);
        let agent = agent.running().map(|agent| &agent.pod);
        let pod = agent.and_then(|agent| here.iter().copied().find(|pod| pod.reference() == *agent));
        Self {
            revision: pod.and_then(|pod| pod.metadata.labels.get(REVISION_LABEL).map(str::to_owned)),
            daemon_set: pod.and_then(daemon_set),
            pulls: pod.and_then(pulls),
            out_of_memory: pod.and_then(out_of_memory),
            cluster_dns: cluster_dns(node, map),
            webhooks_only_here: webhooks_only_here(here, map),
        }
    }
}

fn daemon_set(pod: &Pod) -> Option<String> {
    let owner = pod.metadata.owner_references.iter().find(|owner| owner.controller && owner.kind == "DaemonSet");
    owner.map(|owner| owner.uid.to_string())
}

/// The images of the running pod are on the node, so that the same pod needs no pull unless its policy asks for one. The
/// images of init containers may be gone again, unless they are those of running containers.
fn pulls(pod: &Pod) -> Option<bool> {
    let policies: Vec<PullPolicy> = pod.spec.containers.iter().map(|container| container.image_pull_policy).collect();
    if policies.contains(&PullPolicy::Always) {
        return Some(true);
    }
    let is_known = !policies.is_empty() && !policies.contains(&PullPolicy::Unsaid);
    let running: BTreeSet<&str> = pod.status.container_statuses.iter().map(|status| status.image.as_str()).collect();
    let mut init = pod.status.init_container_statuses.iter().map(|status| status.image.as_str());
    (is_known && !running.is_empty() && init.all(|image| running.contains(image))).then_some(false)
}

fn out_of_memory(pod: &Pod) -> Option<bool> {
    let container = pod.container(AGENT_CONTAINER).or_else(|| pod.status.container_statuses.first())?;
    let ended = container.last_state.terminated.as_ref();
    Some(ended.is_some_and(|ended| ended.reason == "OOMKilled"))
}

fn cluster_dns(node: &str, map: &ClusterMap<'_>) -> Option<(usize, usize)> {
    let dns = map.cluster_dns().as_ref().ok()?;
    map.inventory().pods.whole()?;
    let ready = dns.ready();
    let here: BTreeSet<_> =
        map.pods_on(node).iter().flat_map(|pod| pod.ips()).filter(|ip| ready.contains(ip)).collect();
    Some((here.len(), ready.len().saturating_sub(here.len())))
}

/// Webhooks are found by their names: the lists of webhook configurations are not read.
fn webhooks_only_here(here: &[&Pod], map: &ClusterMap<'_>) -> Option<Vec<String>> {
    let all = map.inventory().pods.whole()?;
    let by_name = |name: &str| WEBHOOKS.iter().any(|word| name.contains(word));
    let is_webhook =
        |pod: &Pod| by_name(&pod.metadata.name) || pod.spec.containers.iter().any(|container| by_name(&container.name));
    let owner = |pod: &Pod| pod.metadata.owner_references.iter().find(|owner| owner.controller).map(|o| o.uid.clone());
    let only = here.iter().filter(|pod| pod.ready() == Some(true) && is_webhook(pod)).filter(|pod| {
        owner(pod).is_some_and(|uid| {
            let same = all.iter().filter(|other| other.ready() == Some(true) && owner(other).as_ref() == Some(&uid));
            same.take(2).count() == 1
        })
    });
    Some(only.map(|pod| pod.reference().to_string()).collect())
}
