//! Which container arguments are kept: they may hold secrets, so only those that are needed are.

use super::agents::is_agent;
use super::node_local_dns::is_node_local_dns;
use super::objects::{Pod, PullPolicy};
use crate::base::labels::Labels;

/// Drops the containers' arguments, which may hold secrets, but for NodeLocal DNS, whose `-localip` names the address
/// that is looked for; and what pods ask of their nodes and
/// registries, but for Cilium's agents.
pub fn keep_only_needed_arguments(pods: &mut [Pod]) {
    for pod in pods.iter_mut().filter(|pod| !is_agent(pod)) {
        pod.spec.node_selector = Labels::default();
        pod.spec.tolerations = Box::default();
        for container in &mut pod.spec.containers {
            container.image_pull_policy = PullPolicy::Unsaid;
        }
    }
    for pod in pods.iter_mut().filter(|pod| !is_node_local_dns(pod)) {
        for container in &mut pod.spec.containers {
            container.args = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::objects::Container;

    fn pod(name: &str, label: Option<&str>) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = name.into();
        pod.metadata.labels = label.map(|value| ("k8s-app", value)).into_iter().collect();
        pod.spec.containers = [Container { args: vec!["-localip".into()], ..Container::default() }].into();
        pod
    }

    #[test]
    fn only_node_local_dns_keeps_its_arguments() {
        let mut pods = [
            pod("nodelocaldns-x", None),
            pod("node-local-dns-x", None),
            pod("x", Some("nodelocaldns")),
            pod("web", Some("web")),
            pod("my-nodelocaldns", None),
        ];
        keep_only_needed_arguments(&mut pods);
        let kept: Vec<bool> = pods.iter().map(|pod| !pod.spec.containers[0].args.is_empty()).collect();
        assert_eq!(kept, [true, true, true, false, false]);
    }
}
