//! The lists of `kube/`: what the API server would have said.

use serde_json::{Value, json};

use super::addr;
use super::model::{AgentState, AppPod, Cluster, Family, LocalDns, Node, Scenario, Unhealthy};

/// A moment as RFC 3339 in UTC.
pub(crate) fn time(at: u64) -> String {
    let (days, second) = (at / 86_400, at % 86_400);
    // Days since 0000-03-01, so that a leap day is the last of its year.
    let z = days + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

/// The file names and contents of `kube/`.
pub(crate) fn lists(scenario: &Scenario) -> Vec<(String, Vec<u8>)> {
    let cluster = &scenario.cluster;
    let v6 = scenario.nodes.iter().any(Node::v6);
    let mut nodes: Vec<Value> = scenario.nodes.iter().map(node).collect();
    let bystanders: Vec<Node> = cluster.bystanders.iter().map(|&(name, number)| Node::bare(name, number)).collect();
    nodes.extend(bystanders.iter().map(node));
    let mut pods: Vec<Value> = scenario.nodes.iter().chain(&bystanders).flat_map(|n| pods_of(n, cluster)).collect();
    pods.extend(cluster.dns.iter().enumerate().map(|(n, _)| dns_pod(scenario, n)));
    for pod in &mut pods {
        restart(pod, cluster);
        unready(pod, cluster);
    }
    let all = [
        ("nodes.json", list("NodeList", "v1", &nodes)),
        ("pods.json", list("PodList", "v1", &pods)),
        ("services.json", list("ServiceList", "v1", &[service(v6)])),
        ("endpointslices.json", list("EndpointSliceList", "discovery.k8s.io/v1", &[slice(scenario, v6)])),
        ("events.json", list("EventList", "v1", &events(cluster))),
    ];
    all.into_iter()
        .filter(|(name, _)| !cluster.without.contains(name))
        .map(|(name, value)| (format!("kube/{name}"), value))
        .collect()
}

/// A pod that is not ready is so since its readiness probe failed first.
fn unready(pod: &mut Value, cluster: &Cluster) {
    let is_of = |u: &&Unhealthy| pod["metadata"]["name"] == u.pod && u.message.starts_with("Readiness");
    let Some(lasting) = cluster.unhealthy.iter().find(is_of).map(|u| u.lasting) else { return };
    let ready = &mut pod["status"]["conditions"][0];
    if ready["status"] == "False" {
        ready["lastTransitionTime"] = json!(time(cluster.captured_at - 41 - lasting));
    }
}

/// What became of a pod's containers.
fn restart(pod: &mut Value, cluster: &Cluster) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (name, node) = (text(&pod["metadata"]["name"]), text(&pod["spec"]["nodeName"]));
    let here = |r: &&super::model::Restarted| name.starts_with(r.pod) && (r.node.is_empty() || r.node == node);
    for restarted in cluster.restarted.iter().filter(here) {
        let statuses = pod["status"]["containerStatuses"].as_array_mut().expect("a pod has containers");
        let at = time(cluster.captured_at - restarted.ago);
        let at = statuses.iter().position(|s| s["name"] == restarted.container).map_or_else(
            || {
                let mut more = statuses[0].clone();
                more["name"] = json!(restarted.container);
                statuses.push(more);
                (statuses.len() - 1, at.clone())
            },
            |nth| (nth, at.clone()),
        );
        let status = &mut statuses[at.0];
        status["restartCount"] = json!(restarted.count);
        status["state"] = json!({"running": {"startedAt": at.1}});
        status["lastState"] =
            json!({"terminated": {"reason": restarted.reason, "exitCode": restarted.exit, "finishedAt": at.1}});
        let containers = pod["spec"]["containers"].as_array_mut().expect("a pod has containers");
        if containers.iter().all(|c| c["name"] != restarted.container) {
            let image = containers[0]["image"].clone();
            containers.push(json!({"name": restarted.container, "image": image}));
        }
    }
}

/// JSON as people edit it.
pub(crate) fn pretty(value: &Value) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("a Value is JSON");
    text.push(b'\n');
    text
}

/// A list with an object a line: a person finds and edits one, and a bundle of fifty pods stays small.
fn list(kind: &str, version: &str, items: &[Value]) -> Vec<u8> {
    let lines: Vec<String> = items.iter().map(ToString::to_string).collect();
    let items = if lines.is_empty() { String::new() } else { format!("\n{}\n", lines.join(",\n")) };
    format!("{{\"kind\": \"{kind}\", \"apiVersion\": \"{version}\", \"items\": [{items}]}}\n").into_bytes()
}

fn families(family: Family) -> &'static [bool] {
    match family {
        Family::V4 => &[false],
        Family::V6 => &[true],
        Family::Dual => &[false, true],
    }
}

fn node(node: &Node) -> Value {
    let ranges: Vec<String> = families(node.family).iter().map(|&v6| addr::pod_range(v6, node.number)).collect();
    let mut addresses: Vec<Value> = families(node.family)
        .iter()
        .map(|&v6| json!({"type": "InternalIP", "address": addr::node(v6, node.number)}))
        .collect();
    addresses.push(json!({"type": "Hostname", "address": node.name}));
    json!({
        "metadata": {
            "name": node.name,
            "uid": format!("node-{}", node.name),
            "labels": {"kubernetes.io/arch": node.arch, "kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux"},
        },
        "spec": {"podCIDR": ranges[0], "podCIDRs": ranges},
        "status": {
            "addresses": addresses,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "nodeInfo": {
                "architecture": node.arch,
                "kernelVersion": node.kernel,
                "kubeletVersion": "v1.33.1",
                "containerRuntimeVersion": "containerd://2.0.5",
                "osImage": "Debian GNU/Linux 12 (bookworm)",
            },
        },
    })
}

/// A pod that is simple to say.
struct Sketch<'a> {
    namespace: &'a str,
    name: &'a str,
    node: &'a str,
    ips: Vec<std::net::IpAddr>,
    host_network: bool,
    labels: Value,
    owner: (&'a str, &'a str),
    container: &'a str,
    image: &'a str,
    args: &'a [&'a str],
    ready: bool,
    since: String,
}

fn pod(sketch: &Sketch<'_>) -> Value {
    let mut container = json!({"name": sketch.container, "image": sketch.image});
    if !sketch.args.is_empty() {
        container["args"] = json!(sketch.args);
    }
    let ips: Vec<Value> = sketch.ips.iter().map(|ip| json!({"ip": ip})).collect();
    json!({
        "metadata": {
            "name": sketch.name,
            "namespace": sketch.namespace,
            "uid": format!("pod-{}", sketch.name),
            "labels": sketch.labels,
            "creationTimestamp": sketch.since,
            "ownerReferences": [
                {"kind": sketch.owner.0, "name": sketch.owner.1, "uid": format!("owner-{}", sketch.owner.1), "controller": true}
            ],
        },
        "spec": {"nodeName": sketch.node, "hostNetwork": sketch.host_network, "containers": [container]},
        "status": {
            "phase": "Running",
            "podIP": sketch.ips[0],
            "podIPs": ips,
            "startTime": sketch.since,
            "conditions": [{
                "type": "Ready",
                "status": if sketch.ready { "True" } else { "False" },
                "reason": if sketch.ready { "" } else { "ContainersNotReady" },
                "lastTransitionTime": sketch.since,
            }],
            "containerStatuses": [{
                "name": sketch.container,
                "image": sketch.image,
                "ready": sketch.ready,
                "restartCount": 0,
                "state": {"running": {"startedAt": sketch.since}},
            }],
        },
    })
}

fn pods_of(node: &Node, cluster: &Cluster) -> Vec<Value> {
    let mut out = agents(node, cluster);
    let days_ago = time(cluster.captured_at - 432_000);
    let host: Vec<_> = families(node.family).iter().map(|&v6| addr::node(v6, node.number)).collect();
    let address = addr::local_dns(node.local_dns, node.v6()).to_string();
    let both = format!("{address},{}", addr::service(node.v6(), 10));
    let (ready, host_network, args): (bool, bool, Vec<&str>) = match node.local_dns {
        LocalDns::HostNetwork { ready } => {
            (ready, true, vec!["-localip", &address, "-conf", "/etc/coredns/Corefile", "-upstreamsvc", "coredns"])
        }
        LocalDns::Upstream => {
            (true, true, vec!["-localip", &both, "-conf", "/etc/Corefile", "-upstreamsvc", "kube-dns-upstream"])
        }
        LocalDns::Unnamed => (true, true, vec![]),
        LocalDns::Relabelled => (true, true, vec!["-localip", &address, "-conf", "/etc/coredns/Corefile"]),
        LocalDns::Redirected { ready } => (
            ready,
            false,
            vec!["-localip", &both, "-conf", "/etc/Corefile", "-setupinterface=false", "-setupiptables=false"],
        ),
        LocalDns::Missing | LocalDns::None => (false, false, vec![]),
    };
    if !matches!(node.local_dns, LocalDns::Missing | LocalDns::None) {
        let redirected: Vec<_> =
            families(node.family).iter().map(|&v6| addr::pod(v6, node.number, addr::REDIRECTED_HOST)).collect();
        let name = format!("node-local-dns-{}", super::rng::Rng::new(&node.name).suffix(5));
        let mut local = pod(&Sketch {
            namespace: "kube-system",
            name: &name,
            node: &node.name,
            ips: if host_network { host } else { redirected },
            host_network,
            labels: if node.local_dns == LocalDns::Relabelled {
                json!({"team": "network"})
            } else {
                json!({"k8s-app": "node-local-dns"})
            },
            owner: ("DaemonSet", "node-local-dns"),
            container: "node-cache",
            image: "registry.k8s.io/dns/k8s-dns-node-cache:1.25.0",
            args: &args,
            ready,
            since: days_ago.clone(),
        });
        if !ready {
            let stamp = time(cluster.captured_at - 900);
            local["status"]["conditions"][0]["lastTransitionTime"] = json!(stamp);
            local["status"]["containerStatuses"][0]["restartCount"] = json!(11);
            local["status"]["containerStatuses"][0]["state"] = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        }
        out.push(local);
    }
    out.extend(node.pods.iter().map(|p| app_pod(node, p, &days_ago)));
    out
}

fn app_pod(node: &Node, app: &AppPod, since: &str) -> Value {
    let name = app.name.rsplitn(3, '-').last().unwrap_or(&app.name);
    pod(&Sketch {
        namespace: app.namespace,
        name: &app.name,
        node: &node.name,
        ips: families(node.family).iter().map(|&v6| addr::pod(v6, node.number, app.host)).collect(),
        host_network: false,
        labels: json!({"app": name}),
        owner: ("ReplicaSet", name),
        container: "main",
        image: "registry.example/shop:4.2",
        args: &[],
        ready: app.ready,
        since: since.to_owned(),
    })
}

/// The Cilium pods of a node: the one that counts, and perhaps the one that goes.
fn agents(node: &Node, cluster: &Cluster) -> Vec<Value> {
    let image = format!("quay.io/cilium/cilium:v{}", node.version());
    let since = match node.agent.state {
        AgentState::Running(s) | AgentState::RunningBesideOld(s) | AgentState::Unready(s) => s,
        AgentState::RunningUndated => 864_000,
        AgentState::CrashLooping => 40,
        AgentState::Absent => return Vec::new(),
    };
    let of = |name: &str, since: u64, ready: bool| {
        pod(&Sketch {
            namespace: node.agent.namespace,
            name,
            node: &node.name,
            ips: families(node.family).iter().map(|&v6| addr::node(v6, node.number)).collect(),
            host_network: true,
            labels: json!({"k8s-app": "cilium"}),
            owner: ("DaemonSet", "cilium"),
            container: "cilium-agent",
            image: &image,
            args: &[],
            ready,
            since: time(cluster.captured_at - since),
        })
    };
    let mut out = Vec::new();
    if matches!(node.agent.state, AgentState::RunningBesideOld(_)) {
        // First in the list, still running, still ready: only its deletion time tells it from the new one.
        let mut old = of("cilium-old7x", 432_000, true);
        old["metadata"]["deletionTimestamp"] = json!(time(cluster.captured_at - since));
        out.push(old);
    }
    let ready = !matches!(node.agent.state, AgentState::Unready(_) | AgentState::CrashLooping);
    let mut agent = of(&node.agent.pod, since, ready);
    if node.agent.state == AgentState::RunningUndated {
        agent["metadata"]["creationTimestamp"] = json!(null);
        agent["status"]["startTime"] = json!(null);
        agent["status"]["containerStatuses"][0]["state"] = json!({"running": {}});
    }
    if node.agent.state == AgentState::CrashLooping {
        agent["metadata"]["creationTimestamp"] = json!(time(cluster.captured_at - 432_000));
        let status = &mut agent["status"]["containerStatuses"][0];
        status["restartCount"] = json!(37);
        status["state"] = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        status["lastState"] = json!({
            "terminated": {"reason": "Error", "exitCode": 1, "finishedAt": time(cluster.captured_at - 40)}
        });
    }
    out.push(agent);
    out
}

fn dns_pod(scenario: &Scenario, nth: usize) -> Value {
    let cluster = &scenario.cluster;
    let dns = &cluster.dns[nth];
    let home = scenario.nodes.iter().find(|n| n.number == dns.node);
    let family = scenario.nodes.first().map_or(Family::V4, |n| n.family);
    let name = home.map_or_else(|| format!("node-{}", dns.node), |n| n.name.clone());
    let mut value = pod(&Sketch {
        namespace: "kube-system",
        name: &dns_name(nth),
        node: &name,
        ips: families(family).iter().map(|&v6| addr::pod(v6, dns.node, dns.host)).collect(),
        host_network: false,
        labels: json!({"k8s-app": "kube-dns"}),
        owner: ("ReplicaSet", "coredns-76f75df574"),
        container: "coredns",
        image: "registry.k8s.io/coredns/coredns:v1.12.1",
        args: &[],
        ready: dns.ready,
        since: time(cluster.captured_at - dns.since),
    });
    if dns.terminating {
        value["metadata"]["deletionTimestamp"] = json!(time(cluster.captured_at - 3));
    }
    value
}

fn dns_name(nth: usize) -> String {
    format!("coredns-76f75df574-{}", super::rng::Rng::new(&format!("dns{nth}")).suffix(5))
}

fn events(cluster: &Cluster) -> Vec<Value> {
    let said = cluster.unhealthy.iter().enumerate();
    said.map(|(nth, Unhealthy { namespace, pod, message, count, lasting })| {
        json!({
            "metadata": {"name": format!("{pod}.18a7{nth:012x}"), "namespace": namespace},
            "involvedObject": {"kind": "Pod", "namespace": namespace, "name": pod, "fieldPath": "spec.containers{main}"},
            "reason": "Unhealthy",
            "message": message,
            "type": "Warning",
            "count": count,
            "firstTimestamp": time(cluster.captured_at - 41 - lasting),
            "lastTimestamp": time(cluster.captured_at - 41),
        })
    })
    .collect()
}

fn service(v6: bool) -> Value {
    let ip = addr::service(v6, 10);
    json!({
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "uid": "svc-kube-dns", "labels": {"k8s-app": "kube-dns"}},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": ip,
            "clusterIPs": [ip],
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
                {"name": "metrics", "port": 9153, "protocol": "TCP"},
            ],
        },
    })
}

fn slice(scenario: &Scenario, v6: bool) -> Value {
    let endpoints: Vec<Value> = scenario
        .cluster
        .dns
        .iter()
        .enumerate()
        .map(|(nth, dns)| {
            let home = scenario.nodes.iter().find(|n| n.number == dns.node);
            json!({
                "addresses": [addr::pod(v6, dns.node, dns.host)],
                "conditions": {
                    "ready": dns.ready && !dns.terminating,
                    "serving": dns.ready,
                    "terminating": dns.terminating,
                },
                "targetRef": {"kind": "Pod", "namespace": "kube-system", "name": dns_name(nth)},
                "nodeName": home.map_or_else(|| format!("node-{}", dns.node), |n| n.name.clone()),
            })
        })
        .collect();
    json!({
        "metadata": {
            "name": "kube-dns-x9k2p",
            "namespace": "kube-system",
            "uid": "slice-kube-dns",
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "addressType": if v6 { "IPv6" } else { "IPv4" },
        "endpoints": endpoints,
        "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            {"name": "metrics", "port": 9153, "protocol": "TCP"},
        ],
    })
}
