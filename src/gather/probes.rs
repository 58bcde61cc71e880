//! Which pods of a node run probes, and with which tools. No network here: pods in, choices out.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::base::evidence::Evidence;
use crate::base::pod_ref::PodRef;
use crate::base::probe_tools::host_and_port;
use crate::base::questions::Questions;
use crate::kubernetes::agents::is_agent;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::objects::Pod;

/// The most pods that are asked on one node.
const MOST: usize = 3;
/// The cluster name that every pod should be able to look up.
pub const CLUSTER_NAME: &str = "kubernetes.default.svc.cluster.local";
/// How long a tool may take by its own means, in seconds.
const OWN_LIMIT: &str = "5";

/// The pods that may be asked to probe from this node, best first, at most three.
///
/// Those that were named win, if they are on the node. A pod that shares the host's network never probes: it would
/// answer for the host. Of the others it takes ready ones; at first one of each workload, so that the replicas of one
/// image without tools don't use up all tries; then those without known lack of tools, and the longest-lived. What a pod
/// asks says something of cluster DNS only where the pod uses it, so those that ask their node's resolver never probe,
/// nor do the pods of cluster DNS and NodeLocal DNS.
#[must_use]
pub fn choose(node: &str, cluster: &ClusterMap<'_>, named: &[PodRef]) -> Vec<PodRef> {
    let here = cluster.pods_on(node).iter().copied().filter(|pod| runs_in_its_own_network(pod));
    let mut named: Vec<PodRef> =
        named.iter().filter(|name| here.clone().any(|p| p.reference() == **name)).cloned().collect();
    if !named.is_empty() {
        named.truncate(MOST);
        return named;
    }
    let may_tell = |pod: &Pod| is_settled(pod) && !is_agent(pod) && cluster.asks_cluster_dns(pod);
    let mut pods: Vec<&Pod> = here.filter(|pod| may_tell(pod)).collect();
    pods.sort_by_cached_key(|pod| {
        let started = pod.status.start_time.clone().unwrap_or_else(|| "~".into());
        (is_short_lived(pod), lacks_tools(pod), started, pod.reference())
    });
    let mut seen = HashSet::new();
    let (first, again): (Vec<&Pod>, Vec<&Pod>) = pods.into_iter().partition(|pod| seen.insert(workload(pod)));
    first.into_iter().chain(again).take(MOST).map(Pod::reference).collect()
}

/// The container of a pod that is asked: the first that is ready; none where the pod is not known.
#[must_use]
pub fn container(pod: &Pod) -> Option<String> {
    let ready = |name: &str| pod.container(name).is_some_and(|status| status.ready);
    let containers = &pod.spec.containers;
    containers.iter().find(|c| ready(&c.name)).or_else(|| containers.first()).map(|c| c.name.to_string())
}

fn runs_in_its_own_network(pod: &Pod) -> bool {
    !pod.spec.host_network && pod.status.phase == "Running"
}

fn is_settled(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
        && pod.ready() != Some(false)
        && pod.status.container_statuses.iter().all(|container| container.ready)
}

fn is_short_lived(pod: &Pod) -> bool {
    pod.metadata.owner_references.iter().any(|owner| owner.kind == "Job")
}

/// Images of nearly every cluster that are known to hold nothing but their one program.
fn lacks_tools(pod: &Pod) -> bool {
    const BARE: [&str; 6] = [
        "coredns",
        "metrics-server",
        "kube-state-metrics",
        "cert-manager",
        "distroless",
        "cluster-proportional-autoscaler",
    ];
    pod.spec.containers.iter().all(|container| BARE.iter().any(|bare| container.image.contains(bare)))
}

/// Pods of one controller; a pod of its own is its own workload.
fn workload(pod: &Pod) -> &str {
    pod.metadata.owner_references.iter().find(|owner| owner.controller).map_or(&pod.metadata.name, |owner| &owner.uid)
}

/// The commands that ask a question from a pod, best first: the next is for pods that lack the tool of the one before.
///
/// `wget` comes in two forms: the long option is understood by GNU's and by BusyBox where it was built with timeouts at
/// all; Debian's was not, and prints a usage error. `-t 1` keeps GNU's from trying twenty times, five seconds each;
/// BusyBox knows the letter and tries once anyway. curl writes the status code out, for a gateway's error is not the far
/// end's answer. `/dev/tcp` is a feature of bash alone, no other shell's; host
/// and port are arguments of the script, never part of it.
#[must_use]
pub fn ladder(evidence: Evidence, questions: &Questions) -> Vec<Vec<String>> {
    match evidence {
        Evidence::PodEgress => fetch(&questions.probe_url),
        Evidence::PodEgressAddress => fetch(&format!("http://{}", bracketed(questions.ping_target))),
        Evidence::PodDns => lookup(CLUSTER_NAME),
        _ => Vec::new(),
    }
}

/// The commands that look a name up, best first.
#[must_use]
pub fn lookup(name: &str) -> Vec<Vec<String>> {
    vec![words(&["nslookup", name]), words(&["getent", "hosts", name])]
}

fn fetch(url: &str) -> Vec<Vec<String>> {
    let mut ladder = vec![
        words(&["wget", "-q", "-O", "/dev/null", &format!("--timeout={OWN_LIMIT}"), "-t", "1", url]),
        words(&["wget", "-q", "-O", "/dev/null", "-t", "1", url]),
        words(&["curl", "-sS", "-o", "/dev/null", "-w", r"%{http_code}\n", "-m", OWN_LIMIT, url]),
    ];
    if let Some((host, port)) = host_and_port(url) {
        ladder.push(connect_by_bash(&host, port));
    }
    ladder
}

/// A connection without any tool but bash.
#[must_use]
pub fn connect_by_bash(host: &str, port: u16) -> Vec<String> {
    words(&["bash", "-c", r#"exec 3<>"/dev/tcp/$1/$2""#, "bash", host, &port.to_string()])
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::questions::Named;
    use crate::kubernetes::inventory::{Inventory, Listed, Origin};
    use crate::kubernetes::objects::{Container, ContainerStatus, Owner};

    fn container_called(name: &str) -> Container {
        Container { name: name.into(), ..Container::default() }
    }

    fn pod(name: &str, owner: &str, started: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = name.into();
        pod.metadata.namespace = "apps".into();
        pod.metadata.owner_references = [Owner { uid: owner.into(), controller: true, ..Owner::default() }].into();
        pod.spec.node_name = "n1".into();
        pod.spec.containers = [container_called("main")].into();
        pod.status.phase = "Running".into();
        pod.status.start_time = Some(started.into());
        pod.status.container_statuses =
            [ContainerStatus { name: "main".into(), ready: true, ..ContainerStatus::default() }].into();
        pod
    }

    fn inventory(pods: Vec<Pod>) -> Inventory {
        Inventory {
            origin: Origin::default(),
            nodes: Listed::Whole(Vec::new()),
            pods: Listed::Whole(pods),
            services: Listed::Whole(Vec::new()),
            endpoint_slices: Listed::Whole(Vec::new()),
            events: Listed::Whole(Vec::new()),
        }
    }

    fn names(pods: Vec<Pod>, named: &[&str]) -> Vec<String> {
        let named: Vec<PodRef> = named.iter().map(|name| name.parse().unwrap()).collect();
        choose("n1", &ClusterMap::new(&inventory(pods), Named::default()), &named)
            .into_iter()
            .map(|pod| pod.name)
            .collect()
    }

    fn questions() -> Questions {
        Questions {
            cilium_namespace: None,
            node_local_dns: None,
            dns_service: None,
            external: Vec::new(),
            probe_pods: Vec::new(),
            probe_url: "https://google.com".to_owned(),
            ping_target: "1.1.1.1".parse().unwrap(),
        }
    }

    #[test]
    fn the_longest_lived_pods_probe_one_of_each_workload_first() {
        let pods = vec![
            pod("b", "w1", "2026-01-01T00:00:00Z"),
            pod("a", "w1", "2026-01-02T00:00:00Z"),
            pod("c", "w2", "2026-01-03T00:00:00Z"),
            pod("d", "w2", "2026-01-04T00:00:00Z"),
        ];
        assert_eq!(names(pods, &[]), ["b", "c", "a"]);
    }

    #[test]
    fn pods_that_cannot_speak_for_the_pod_network_are_passed_over() {
        let start = "2026-01-01T00:00:00Z";
        let mut host = pod("host", "1", start);
        host.spec.host_network = true;
        let mut agent = pod("agent", "2", start);
        agent.metadata.labels = [("k8s-app", "cilium")].into_iter().collect();
        let mut leaving = pod("leaving", "3", start);
        leaving.metadata.deletion_timestamp = Some(start.into());
        let mut unready = pod("unready", "4", start);
        unready.status.container_statuses[0].ready = false;
        let mut done = pod("done", "5", start);
        done.status.phase = "Succeeded".into();
        let mut elsewhere = pod("elsewhere", "6", start);
        elsewhere.spec.node_name = "n2".into();
        let pods = vec![host, agent, leaving, unready, done, elsewhere, pod("good", "7", start)];
        assert_eq!(names(pods, &[]), ["good"]);
    }

    #[test]
    fn pods_that_ask_another_resolver_or_are_dns_themselves_never_probe() {
        let start = "2026-01-01T00:00:00Z";
        let mut of_node = pod("of-node", "1", start);
        of_node.spec.dns_policy = "Default".into();
        let mut own = pod("own", "2", start);
        own.spec.dns_policy = "None".into();
        let mut local = pod("local", "3", start);
        local.metadata.labels = [("app", "node-local-dns")].into_iter().collect();
        assert_eq!(names(vec![of_node, own, local], &[]), ["own"]);
    }

    #[test]
    fn bare_images_and_jobs_come_last() {
        let mut bare = pod("bare", "1", "2025-01-01T00:00:00Z");
        bare.spec.containers[0].image = "registry.k8s.io/coredns/coredns:v1.11.1".into();
        let mut job = pod("job", "2", "2025-01-01T00:00:00Z");
        job.metadata.owner_references[0].kind = "Job".into();
        assert_eq!(names(vec![job, bare, pod("web", "3", "2026-01-01T00:00:00Z")], &[]), ["web", "bare", "job"]);
    }

    #[test]
    fn a_named_pod_wins_on_its_own_node_only() {
        let start = "2026-01-01T00:00:00Z";
        let mut far = pod("far", "1", start);
        far.spec.node_name = "n2".into();
        let mut unready = pod("unready", "2", start);
        unready.status.container_statuses[0].ready = false;
        let pods = vec![far, unready, pod("web", "3", start)];
        assert_eq!(names(pods.clone(), &["apps/unready"]), ["unready"]);
        assert_eq!(names(pods, &["apps/far"]), ["web"]);
    }

    #[test]
    fn without_a_list_of_pods_nobody_probes() {
        let mut inventory = inventory(Vec::new());
        inventory.pods =
            Listed::Missing(crate::base::failure::Failure::new(crate::base::failure::FailureKind::Forbidden, "no"));
        assert!(choose("n1", &ClusterMap::new(&inventory, Named::default()), &[]).is_empty());
    }

    #[test]
    fn the_first_ready_container_is_asked() {
        let mut pod = pod("web", "1", "2026-01-01T00:00:00Z");
        pod.spec.containers = [container_called("late"), container_called("main")].into();
        assert_eq!(container(&pod).as_deref(), Some("main"));
        assert_eq!(container(&Pod::default()), None);
    }

    #[test]
    fn the_ladder_goes_from_wget_to_bash() {
        let ladder = ladder(Evidence::PodEgress, &questions());
        assert_eq!(ladder[0], ["wget", "-q", "-O", "/dev/null", "--timeout=5", "-t", "1", "https://google.com"]);
        let tools: Vec<&str> = ladder.iter().map(|argv| argv[0].as_str()).collect();
        assert_eq!(tools, ["wget", "wget", "curl", "bash"]);
        assert_eq!(ladder[3][3..], ["bash", "google.com", "443"]);
    }

    #[test]
    fn the_address_is_asked_over_plain_http() {
        let mut questions = questions();
        assert_eq!(ladder(Evidence::PodEgressAddress, &questions)[0][7], "http://1.1.1.1");
        questions.ping_target = "2606:4700:4700::1111".parse().unwrap();
        let ladder = ladder(Evidence::PodEgressAddress, &questions);
        assert_eq!(ladder[0][7], "http://[2606:4700:4700::1111]");
        assert_eq!(ladder[3][4..], ["2606:4700:4700::1111", "80"]);
    }

    #[test]
    fn a_hostile_url_stays_an_argument() {
        let mut questions = questions();
        questions.probe_url = "http://$(reboot)/;x".to_owned();
        for argv in ladder(Evidence::PodEgress, &questions) {
            let script = argv.iter().skip_while(|word| *word != "-c").nth(1);
            assert!(script.is_none_or(|script| !script.contains("reboot")), "{argv:?}");
        }
    }

    #[test]
    fn dns_is_asked_by_nslookup_then_getent() {
        let ladder = ladder(Evidence::PodDns, &questions());
        assert_eq!(ladder, [words(&["nslookup", CLUSTER_NAME]), words(&["getent", "hosts", CLUSTER_NAME])]);
    }
}
