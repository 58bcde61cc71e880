//! Who is who around one node: its agent, its NodeLocal DNS, the cluster's DNS, and whose address is whose.
//!
//! Built from the cluster's lists alone, before anything is asked of the node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::base::failure::Failure;
use crate::base::net::Prefix;
use crate::base::pod_ref::PodRef;
use crate::kubernetes::objects::{ContainerStatus, Inventory, Node, Pod, Service};
use crate::kubernetes::roles::{Range, Role, Roles};
use crate::settings::{NODE_LOCAL_DNS, Questions};

/// The label that Cilium's agents carry.
const AGENT_LABEL: (&str, &str) = ("k8s-app", "cilium");
/// The name of the agent's container.
pub const AGENT_CONTAINER: &str = "cilium-agent";
/// The labels that NodeLocal DNS carries, by installer.
const NODE_LOCAL_DNS_LABELS: [&str; 3] = ["nodelocaldns", "node-local-dns", "node-local-dns-cache"];
/// The address of NodeLocal DNS in its own documentation; the default of others than Kubespray.
const NODE_LOCAL_DNS_UPSTREAM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 20, 10));

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
    pub started_at: Option<String>,
    /// How often its container was started again.
    pub restarts: i64,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is being ended, with no other beside it.
    pub terminating: bool,
}

/// NodeLocal DNS on a node.
#[derive(Clone, Debug, Default)]
pub struct NodeLocalDns {
    /// Its addresses; the first is the one that is shown.
    pub addresses: Vec<IpAddr>,
    /// Whether the address was told or found, and not just the usual one.
    pub address_is_known: bool,
    /// Whether any node of the cluster has it.
    pub deployed: bool,
    /// Its pod on this node.
    pub pod: Option<NodeLocalDnsPod>,
}

/// NodeLocal DNS's pod on a node.
#[derive(Clone, Debug)]
pub struct NodeLocalDnsPod {
    /// The pod.
    pub pod: PodRef,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it shares the host's network; else a local redirect leads to it.
    pub host_network: bool,
    /// How often its containers were started again, all together.
    pub restarts: i64,
}

/// Cluster DNS.
#[derive(Clone, Debug)]
pub struct ClusterDns {
    /// `namespace/name` of its service.
    pub service: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its endpoints on port 53, by protocol.
    pub endpoints: BTreeMap<String, Vec<DnsEndpoint>>,
}

/// One endpoint of cluster DNS.
#[derive(Clone, Debug)]
pub struct DnsEndpoint {
    /// Its address.
    pub ip: IpAddr,
    /// Whether new traffic should go to it.
    pub ready: bool,
    /// Since when, by its pod's Ready condition, RFC 3339.
    pub since: Option<String>,
}

/// Who is who around one node.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The node's name.
    pub node: String,
    /// The node itself, where it was listed.
    pub found: Option<Node>,
    /// Its agent.
    pub agent: Agent,
    /// Its NodeLocal DNS.
    pub node_local_dns: NodeLocalDns,
    /// Cluster DNS, or why it is not known.
    pub cluster_dns: Result<ClusterDns, Failure>,
    /// Whose address is whose, for the dump: as many as the cluster has, so it is shared and not copied.
    pub roles: Arc<Roles>,
    /// The pods of this node by address. Those of all others would be held once for each node that is looked at.
    pub names: BTreeMap<IpAddr, PodRef>,
    /// Pods of this node with an address of their own; none where the pods could not be listed.
    pub pods: Option<usize>,
}

impl Surroundings {
    /// Looks round one node.
    #[must_use]
    pub fn of(node: &str, inventory: &Inventory, questions: &Questions) -> Self {
        let nodes = inventory.nodes.as_deref().unwrap_or_default();
        let pods = inventory.pods.as_deref().unwrap_or_default();
        let own = |pod: &&Pod| pod.spec.node_name == node && !pod.spec.host_network && pod.is_alive();
        let mut names = BTreeMap::new();
        for pod in pods.iter().filter(own) {
            for ip in pod.ips() {
                names.insert(ip, pod.reference());
            }
        }
        let cluster_dns = cluster_dns(inventory, questions);
        let node_local_dns = node_local_dns(node, pods, questions);
        let listed = inventory.pods.is_ok();
        let roles = roles(node, nodes, listed, pods, &node_local_dns, cluster_dns.as_ref().ok());
        Self {
            node: node.to_owned(),
            found: nodes.iter().find(|n| n.metadata.name == node).cloned(),
            agent: agent(node, inventory, questions),
            roles: Arc::new(roles),
            node_local_dns,
            cluster_dns,
            names,
            pods: listed.then(|| pods.iter().filter(own).count()),
        }
    }

    /// The node's processor architecture, `arm64` for one.
    #[must_use]
    pub fn architecture(&self) -> &str {
        self.found.as_ref().map_or("", |n| &n.status.node_info.architecture)
    }

    /// The node's kernel release.
    #[must_use]
    pub fn kernel(&self) -> &str {
        self.found.as_ref().map_or("", |n| &n.status.node_info.kernel_version)
    }
}

/// Whether a pod is one of NodeLocal DNS.
#[must_use]
pub fn is_node_local_dns(pod: &Pod) -> bool {
    let labels = &pod.metadata.labels;
    ["k8s-app", "app", "app.kubernetes.io/name"]
        .iter()
        .filter_map(|key| labels.get(*key))
        .any(|value| NODE_LOCAL_DNS_LABELS.contains(&value.as_str()))
        || pod.spec.containers.iter().any(|container| container.image.contains("dns-node-cache"))
}

fn is_agent(pod: &Pod) -> bool {
    pod.metadata.labels.get(AGENT_LABEL.0).is_some_and(|value| value == AGENT_LABEL.1)
}

/// The namespace of the agents: as told, or by their label; `kube-system` where there are several.
fn agent_namespace(pods: &[Pod], questions: &Questions) -> Option<String> {
    if questions.cilium_namespace.is_some() {
        return questions.cilium_namespace.clone();
    }
    let namespaces: BTreeSet<&str> =
        pods.iter().filter(|p| is_agent(p)).map(|p| p.metadata.namespace.as_str()).collect();
    match namespaces.len() {
        0 => None,
        1 => namespaces.first().map(|n| (*n).to_owned()),
        _ => Some("kube-system".to_owned()),
    }
}

/// The versions of Cilium that run in a cluster, by their agents' images, each once.
#[must_use]
pub fn versions(pods: &[Pod]) -> BTreeSet<String> {
    let agents = pods.iter().filter(|pod| is_agent(pod) && pod.status.phase == "Running");
    agents.filter_map(|pod| image_with_version(pod).and_then(version_of_image)).collect()
}

fn agent(node: &str, inventory: &Inventory, questions: &Questions) -> Agent {
    let pods = match &inventory.pods {
        Ok(pods) => pods,
        Err(failure) => return Agent::Unknown(failure.clone()),
    };
    let namespace = agent_namespace(pods, questions);
    let here =
        |pod: &&Pod| is_agent(pod) && pod.spec.node_name == node && Some(&pod.metadata.namespace) == namespace.as_ref();
    let agents: Vec<&Pod> = pods.iter().filter(here).collect();
    let running = agents.iter().filter(|pod| pod.status.phase == "Running" && agent_runs(pod));
    // An old pod may end beside the new one: the one that stays counts, and of several the youngest.
    let best = running.max_by_key(|pod| {
        let started = agent_container(pod).and_then(|c| c.state.running.as_ref()).and_then(|r| r.started_at.clone());
        (pod.metadata.deletion_timestamp.is_none(), started, pod.metadata.creation_timestamp.clone())
    });
    let Some(pod) = best else {
        return Agent::NotRunning { why: why_not_running(&agents) };
    };
    let container = agent_container(pod);
    Agent::Running(RunningAgent {
        pod: pod.reference(),
        uid: pod.metadata.uid.clone(),
        version: image_with_version(pod).and_then(version_of_image),
        started_at: container
            .and_then(|c| c.state.running.as_ref())
            .and_then(|r| r.started_at.clone())
            .or_else(|| pod.status.start_time.clone()),
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

fn node_local_dns(node: &str, pods: &[Pod], questions: &Questions) -> NodeLocalDns {
    let all: Vec<&Pod> = pods.iter().filter(|p| is_node_local_dns(p)).collect();
    let here = all.iter().filter(|p| p.spec.node_name == node && p.is_alive());
    // An old pod may end beside the new one.
    let pod = here.max_by_key(|p| (p.metadata.deletion_timestamp.is_none(), p.ready()));
    let told = questions.node_local_dns.map(|address| vec![address]);
    let found = told.or_else(|| all.iter().find_map(|p| addresses_in_args(p)));
    NodeLocalDns {
        address_is_known: found.is_some(),
        addresses: found.unwrap_or_else(|| vec![NODE_LOCAL_DNS, NODE_LOCAL_DNS_UPSTREAM]),
        deployed: !all.is_empty(),
        pod: pod.map(|p| NodeLocalDnsPod {
            pod: p.reference(),
            ready: p.status.phase == "Running" && p.ready().unwrap_or(true),
            host_network: p.spec.host_network,
            restarts: p.status.container_statuses.iter().map(|c| c.restart_count).sum(),
        }),
    }
}

/// `-localip 169.254.25.10,10.43.0.10`: the first is the node-local one, the second the service it shadows.
fn addresses_in_args(pod: &Pod) -> Option<Vec<IpAddr>> {
    pod.spec.containers.iter().find_map(|container| {
        let mut args = container.args.iter();
        let value = loop {
            let arg = args.next()?.trim_start_matches('-');
            if arg == "localip" {
                break args.next()?.as_str();
            }
            if let Some(value) = arg.strip_prefix("localip=") {
                break value;
            }
        };
        let all: Vec<IpAddr> = value.split(',').filter_map(|a| a.trim().parse().ok()).collect();
        let local = |ip: &IpAddr| match ip {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        let locals: Vec<IpAddr> = all.iter().copied().filter(local).collect();
        if locals.is_empty() { all.first().map(|first| vec![*first]) } else { Some(locals) }
    })
}

fn cluster_dns(inventory: &Inventory, questions: &Questions) -> Result<ClusterDns, Failure> {
    use crate::base::failure::FailureKind::NotFound;
    let services = inventory.services.as_ref().map_err(Clone::clone)?;
    let slices = inventory.endpoint_slices.as_ref().map_err(Clone::clone)?;
    let wanted = |s: &&Service| match &questions.dns_service {
        Some(named) => named.namespace == s.metadata.namespace && named.name == s.metadata.name,
        None => {
            s.metadata.labels.get("k8s-app").is_some_and(|l| l == "kube-dns")
                && s.spec.ports.iter().any(|p| p.port == 53)
        }
    };
    // NodeLocal DNS brings a second service of that label to reach its upstream by; the oldest name wins.
    let service = services.iter().filter(wanted).min_by_key(|s| (s.metadata.name != "kube-dns", &s.metadata.name));
    let Some(service) = service else {
        let label = "no service with the label k8s-app=kube-dns was found; name it with --dns-service";
        return Err(Failure::new(
            NotFound,
            questions
                .dns_service
                .as_ref()
                .map_or_else(|| label.to_owned(), |named| format!("there is no service {named}")),
        ));
    };
    let first = Some(&service.spec.cluster_ip).filter(|_| service.spec.cluster_ips.is_empty());
    let addresses = first.into_iter().chain(&service.spec.cluster_ips).filter_map(|ip| ip.parse().ok()).collect();
    let ready_since: BTreeMap<IpAddr, String> = inventory
        .pods
        .iter()
        .flatten()
        .filter_map(|pod| {
            let ready = pod.status.conditions.iter().find(|c| c.r#type == "Ready")?;
            Some((pod, ready.last_transition_time.clone()?))
        })
        .flat_map(|(pod, since)| pod.ips().map(move |ip| (ip, since.clone())).collect::<Vec<_>>())
        .collect();
    let mut endpoints: BTreeMap<String, Vec<DnsEndpoint>> = BTreeMap::new();
    for service_port in service.spec.ports.iter().filter(|p| p.port == 53) {
        let protocol = protocol_or_tcp(&service_port.protocol);
        let found = endpoints.entry(protocol.to_owned()).or_default();
        let of_service = slices.iter().filter(|slice| {
            slice.metadata.namespace == service.metadata.namespace
                && slice.metadata.labels.get("kubernetes.io/service-name") == Some(&service.metadata.name)
        });
        for slice in of_service {
            let serves = |p: &crate::kubernetes::objects::EndpointPort| {
                p.name == service_port.name && protocol_or_tcp(&p.protocol) == protocol
            };
            if !slice.ports.iter().any(serves) {
                continue;
            }
            for endpoint in &slice.endpoints {
                let Some(ip) = endpoint.addresses.first().and_then(|a| a.parse().ok()) else {
                    continue;
                };
                if found.iter().all(|e| e.ip != ip) {
                    found.push(DnsEndpoint {
                        ip,
                        ready: endpoint.takes_traffic(),
                        since: ready_since.get(&ip).cloned(),
                    });
                }
            }
        }
    }
    Ok(ClusterDns {
        service: format!("{}/{}", service.metadata.namespace, service.metadata.name),
        addresses,
        endpoints,
    })
}

/// An absent protocol means TCP.
fn protocol_or_tcp(protocol: &str) -> &str {
    if protocol.is_empty() { "TCP" } else { protocol }
}

fn roles(
    node: &str,
    nodes: &[Node],
    pods_listed: bool,
    pods: &[Pod],
    node_local_dns: &NodeLocalDns,
    cluster_dns: Option<&ClusterDns>,
) -> Roles {
    let mut roles = Roles::new(pods_listed);
    for address in &node_local_dns.addresses {
        roles.name(*address, Role::NodeLocalDns);
    }
    for address in cluster_dns.iter().flat_map(|dns| &dns.addresses) {
        roles.name(*address, Role::Service);
        roles.name_range(service_range(*address), Range::Services);
    }
    for dns in cluster_dns.iter().flat_map(|dns| dns.endpoints.values()).flatten() {
        roles.name_cluster_dns(dns.ip);
    }
    for listed in nodes {
        let here = listed.metadata.name == node;
        for ip in listed.ips() {
            roles.name(ip, if here { Role::ThisHost } else { Role::OtherHost });
        }
        let first = Some(&listed.spec.pod_cidr).filter(|_| listed.spec.pod_cidrs.is_empty());
        let ranges = first.into_iter().chain(&listed.spec.pod_cidrs).filter_map(|range| range.parse::<Prefix>().ok());
        for range in ranges {
            roles.name_range(range, if here { Range::LocalPods } else { Range::RemotePods });
            roles.name_range(cluster_range(range.address()), Range::ClusterPods);
        }
    }
    for pod in pods.iter().filter(|p| p.is_alive()) {
        let here = pod.spec.node_name == node;
        for ip in pod.ips() {
            let role = match (pod.spec.host_network, here) {
                (true, true) => Role::ThisHost,
                (true, false) => Role::OtherHost,
                (false, true) if is_node_local_dns(pod) => Role::NodeLocalDnsPod,
                (false, true) => Role::LocalPod,
                (false, false) => Role::RemotePod,
            };
            roles.name(ip, role);
            // Cilium may give out other ranges than the node object says: a pod's neighbours are pods or were.
            if !pod.spec.host_network {
                roles.name_range(neighbours(ip), if here { Range::LocalPods } else { Range::RemotePods });
                roles.name_range(cluster_range(ip), Range::ClusterPods);
            }
        }
    }
    roles
}

/// The range a service address most likely comes from: no object says it.
fn service_range(address: IpAddr) -> Prefix {
    near(address, 16, 112)
}

/// The range a pod's address most likely comes from, where the node object does not say it.
fn neighbours(address: IpAddr) -> Prefix {
    near(address, 24, 112)
}

/// The range that the pods of all nodes most likely share: some nodes may not be known.
fn cluster_range(address: IpAddr) -> Prefix {
    near(address, 16, 48)
}

fn near(address: IpAddr, v4: u8, v6: u8) -> Prefix {
    Prefix::around(address, if address.is_ipv4() { v4 } else { v6 })
}

/// Seconds from one RFC 3339 moment to another; negative where the second is earlier.
#[must_use]
pub fn seconds_between(from: &str, to: &str) -> Option<i64> {
    let (from, to): (Timestamp, Timestamp) = (from.parse().ok()?, to.parse().ok()?);
    Some(to.as_second() - from.as_second())
}
