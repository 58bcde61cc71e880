//! The cluster's objects as the API server lists them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::bundle::Seen;
use crate::cluster::{Moment, Resolver, Role, SECOND, Spread};
use crate::plan::Quirk;

/// A moment as the API server writes it, seconds since 1970.
pub(crate) fn time(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date, counted from March so that a leap day comes last.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest % 3_600 / 60, rest % 60)
}

fn list(kind: &str, items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": format!("{kind}List"), "items": items}).to_string()
}

impl Seen<'_> {
    /// The moment this long before the dump.
    pub(crate) fn when(&self, ago: Moment) -> String {
        time(self.plan.setup.now + ago.div_euclid(SECOND))
    }

    /// All lists, by name.
    pub(crate) fn lists(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("nodes", self.nodes()),
            ("pods", self.pods()),
            ("services", self.services()),
            ("endpointslices", self.slices()),
            ("events", self.events()),
        ])
    }

    fn nodes(&self) -> String {
        let setup = &self.plan.setup;
        let node = |(at, node): (usize, &crate::cluster::Node)| {
            let foreign = self.plan.has(|q| matches!(q, Quirk::Foreign(n) if *n == at));
            let missed = self.missed.get(&at).copied();
            let mut labels = json!({"kubernetes.io/hostname": node.name, "kubernetes.io/arch": node.machine.0,
                "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": node.zone});
            if foreign {
                labels["eks.amazonaws.com/compute-type"] = json!("fargate");
            }
            json!({"apiVersion": "v1", "kind": "Node",
                "metadata": {"name": node.name, "uid": format!("uid-{}", node.name), "labels": labels,
                    "creationTimestamp": self.when(-node.uptime)},
                "spec": {},
                "status": {
                    "addresses": [{"type": "InternalIP", "address": setup.node_address(at).to_string()},
                        {"type": "Hostname", "address": node.name}],
                    "conditions": [{"type": "Ready", "status": if missed.is_some() { "Unknown" } else { "True" },
                        "reason": if missed.is_some() { "NodeStatusUnknown" } else { "KubeletReady" },
                        "lastTransitionTime": self.when(missed.unwrap_or(60 * SECOND - node.uptime))}],
                    "nodeInfo": {"architecture": node.machine.0, "kernelVersion": node.machine.1,
                        "kubeletVersion": "v1.33.4", "containerRuntimeVersion": "containerd://2.0.5",
                        "osImage": "Debian GNU/Linux 12 (bookworm)"}}})
        };
        list("Node", &self.cluster.nodes.iter().enumerate().map(node).collect::<Vec<_>>())
    }

    fn pods(&self) -> String {
        let setup = &self.plan.setup;
        let mut out = Vec::new();
        for (at, node) in self.cluster.nodes.iter().enumerate() {
            let host = setup.node_address(at).to_string();
            for (nth, pod) in node.pods.iter().enumerate() {
                if pod.role == Role::Health {
                    continue;
                }
                let failing = self.failing.get(&(at, nth)).map(|first| first + 21 * SECOND);
                let unready = match pod.role {
                    Role::ClusterDns => self.dns_unready((at, nth)),
                    Role::LocalDns => self.local_dns_unready(at).or(failing),
                    _ => failing,
                };
                let unready = unready.or_else(|| self.missed.get(&at).copied());
                let ips: Vec<String> = std::iter::once(pod.ip).chain(pod.second).map(|ip| ip.to_string()).collect();
                let (kind, owner, labels) = match pod.role {
                    Role::ClusterDns => ("ReplicaSet", "coredns-7d4f6", json!({setup.dns_label.0: setup.dns_label.1})),
                    Role::LocalDns => ("DaemonSet", "node-local-dns", json!({"k8s-app": "node-local-dns"})),
                    _ => ("ReplicaSet", "apps", json!({"app": pod.name.split('-').next()})),
                };
                let fresh = pod.role == Role::ClusterDns && self.plan.has(is_rolled);
                let started = if fresh { -700 * SECOND } else { (3_000 * SECOND).min(node.uptime / 5) - node.uptime };
                let mut value = self.pod(&pod.name, pod.namespace, &node.name, started, unready);
                value["metadata"]["labels"] = labels;
                value["metadata"]["ownerReferences"][0]["kind"] = json!(kind);
                value["metadata"]["ownerReferences"][0]["name"] = json!(owner);
                value["status"]["podIP"] = json!(ips[0]);
                value["status"]["podIPs"] = ips.iter().map(|ip| json!({"ip": ip})).collect();
                if pod.role == Role::LocalDns {
                    let local = format!("169.254.20.10,{}", setup.service(10));
                    value["spec"]["containers"][0]["args"] =
                        json!(["-localip", local, "-conf", "/etc/coredns/Corefile", "-skipteardown=true"]);
                    self.restarts(at, &mut value);
                }
                out.push(value);
            }
            if setup.resolver == Resolver::LinkLocal {
                let unready = self.local_dns_unready(at);
                let since_boot = (2_000 * SECOND).min(node.uptime / 6);
                let mut value = self.host_pod(&node.local_dns, &host, &node.name, since_boot - node.uptime, unready);
                value["metadata"]["labels"] = json!({"k8s-app": "node-local-dns"});
                value["metadata"]["ownerReferences"][0]["name"] = json!("nodelocaldns");
                value["spec"]["containers"][0] = json!({"name": "node-cache", "image": "dns-node-cache:1.25",
                    "args": ["-localip", setup.link_local().to_string(), "-conf", "/etc/coredns/Corefile"]});
                self.restarts(at, &mut value);
                out.push(value);
            }
            let absent = self.plan.has(|q| matches!(q, Quirk::AgentAbsent(n) | Quirk::Foreign(n) if *n == at));
            if !absent {
                let missed = self.missed.get(&at).copied();
                let mut value = self.host_pod(&node.agent, &host, &node.name, -self.agent_age(at), missed);
                value["metadata"]["labels"] = json!({"k8s-app": "cilium"});
                value["metadata"]["ownerReferences"][0]["name"] = json!("cilium");
                let image = format!("quay.io/cilium/cilium:v{}", setup.release.version());
                value["spec"]["containers"][0] = json!({"name": "cilium-agent", "image": image});
                value["status"]["containerStatuses"][0]["name"] = json!("cilium-agent");
                value["status"]["containerStatuses"][0]["image"] = json!(image);
                out.push(value);
            }
            self.waiting(at, &mut out);
        }
        list("Pod", &out)
    }

    fn pod(&self, name: &str, namespace: &str, node: &str, started: Moment, unready: Option<Moment>) -> Value {
        let ready = unready.is_none();
        let changed = unready.unwrap_or(started + 9 * SECOND);
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "uid": format!("uid-{name}"), "labels": {},
                "creationTimestamp": self.when(started - 4 * SECOND),
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "apps", "uid": "u-apps",
                    "controller": true}]},
            "spec": {"nodeName": node, "hostNetwork": false, "containers": [{"name": "main", "image": "app:1"}]},
            "status": {"phase": "Running", "startTime": self.when(started),
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" },
                    "lastTransitionTime": self.when(changed)}],
                "containerStatuses": [{"name": "main", "image": "app:1", "ready": ready, "restartCount": 0,
                    "state": {"running": {"startedAt": self.when(started)}}}]}})
    }

    fn host_pod(&self, name: &str, host: &str, node: &str, started: Moment, unready: Option<Moment>) -> Value {
        let mut value = self.pod(name, "kube-system", node, started, unready);
        value["metadata"]["ownerReferences"][0]["kind"] = json!("DaemonSet");
        value["spec"]["hostNetwork"] = json!(true);
        value["status"]["podIP"] = json!(host);
        value["status"]["podIPs"] = json!([{"ip": host}]);
        value
    }

    fn restarts(&self, at: usize, value: &mut Value) {
        for quirk in &self.plan.quirks {
            if let Quirk::Restarts(node, count, since) = quirk
                && *node == at
            {
                let status = &mut value["status"]["containerStatuses"][0];
                status["restartCount"] = json!(count);
                status["state"]["running"]["startedAt"] = json!(self.when(*since));
                status["lastState"] = json!({"terminated": {"exitCode": 1, "reason": "Error",
                    "startedAt": self.when(since - 90 * SECOND), "finishedAt": self.when(since - 40 * SECOND)}});
                if self.local_dns_unready(at).is_none() {
                    value["status"]["conditions"][0]["lastTransitionTime"] = json!(self.when(since + 3 * SECOND));
                }
            }
        }
    }

    /// Pods that wait for a network.
    fn waiting(&self, at: usize, out: &mut Vec<Value>) {
        if !self.plan.has(|q| matches!(q, Quirk::Stuck(n) if *n == at)) {
            return;
        }
        for nth in 0..3 {
            let name = format!("newcomer-{nth}-qx7vd");
            let mut value = self.pod(&name, "apps", &self.cluster.nodes[at].name, -400 * SECOND, Some(-400 * SECOND));
            value["status"] = json!({"phase": "Pending", "startTime": self.when(-400 * SECOND),
                "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady",
                    "lastTransitionTime": self.when(-400 * SECOND)}],
                "containerStatuses": [{"name": "main", "image": "app:1", "ready": false, "restartCount": 0,
                    "state": {"waiting": {"reason": "ContainerCreating"}}}]});
            out.push(value);
        }
    }

    fn services(&self) -> String {
        let setup = &self.plan.setup;
        let address = setup.service(10).to_string();
        let mut spec = json!({"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
            "ports": [{"name": "dns", "port": 53, "protocol": "UDP", "targetPort": setup.dns_port},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": setup.dns_port},
                {"name": "metrics", "port": 9_153, "protocol": "TCP"}]});
        match setup.spread {
            Spread::Cluster => {}
            Spread::Zones => spec["trafficDistribution"] = json!("PreferClose"),
            Spread::Local => spec["internalTrafficPolicy"] = json!("Local"),
        }
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns",
            "namespace": setup.dns_namespace, "uid": "uid-kube-dns",
            "labels": {setup.dns_label.0: setup.dns_label.1}}, "spec": spec});
        list("Service", &[service])
    }

    fn slices(&self) -> String {
        let setup = &self.plan.setup;
        let mut endpoints = Vec::new();
        for at in self.cluster.with_role(Role::ClusterDns) {
            let pod = self.cluster.pod(at);
            let ready = self.dns_unready(at).is_none();
            let mut endpoint = json!({"addresses": [pod.ip.to_string()], "nodeName": self.cluster.nodes[at.0].name,
                "conditions": {"ready": ready, "serving": ready, "terminating": false},
                "zone": self.cluster.nodes[at.0].zone,
                "targetRef": {"kind": "Pod", "name": pod.name, "namespace": pod.namespace}});
            if setup.spread == Spread::Zones {
                endpoint["hints"] = json!({"forZones": [{"name": self.cluster.nodes[at.0].zone}]});
            }
            endpoints.push(endpoint);
        }
        let family = if setup.v6() { "IPv6" } else { "IPv4" };
        let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
            "metadata": {"name": "kube-dns-x7k4q", "namespace": setup.dns_namespace, "uid": "uid-kube-dns-x7k4q",
                "labels": {"kubernetes.io/service-name": "kube-dns", setup.dns_label.0: setup.dns_label.1}},
            "endpoints": endpoints,
            "ports": [{"name": "dns", "port": setup.dns_port, "protocol": "UDP"},
                {"name": "dns-tcp", "port": setup.dns_port, "protocol": "TCP"},
                {"name": "metrics", "port": 9_153, "protocol": "TCP"}]});
        list("EndpointSlice", &[slice])
    }

    fn events(&self) -> String {
        let mut out = Vec::new();
        let mut event = |reason: &str, pod: (&str, &str), node: &str, first: Moment, count: i64, message: String| {
            let name = format!("{}.18f0a1c{:04x}", pod.1, out.len());
            out.push(json!({"apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": reason,
                "metadata": {"name": name, "namespace": pod.0, "uid": format!("uid-{name}")},
                "involvedObject": {"kind": "Pod", "namespace": pod.0, "name": pod.1},
                "message": message, "count": count, "firstTimestamp": self.when(first),
                "lastTimestamp": self.when(-4 * SECOND), "source": {"component": "kubelet", "host": node}}));
        };
        for ((at, nth), first) in &self.failing {
            let (node, pod) = (&self.cluster.nodes[*at], self.cluster.pod((*at, *nth)));
            let address = std::net::SocketAddr::new(pod.ip, pod.port);
            let message = format!(
                "Readiness probe failed: Get \"http://{address}/ready\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            );
            event("Unhealthy", (pod.namespace, &pod.name), &node.name, *first, -first / (10 * SECOND) + 1, message);
        }
        for quirk in &self.plan.quirks {
            if let Quirk::Stuck(at) = quirk {
                for nth in 0..3 {
                    let name = format!("newcomer-{nth}-qx7vd");
                    let message = "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox \"9c1f\": plugin type=\"cilium-cni\" failed (add): unable to create endpoint: [PUT /endpoint/{id}][429] putEndpointIdTooManyRequests".to_owned();
                    let node = &self.cluster.nodes[*at].name;
                    event("FailedCreatePodSandBox", ("apps", &name), node, -390 * SECOND, 28, message);
                }
            }
        }
        list("Event", &out)
    }

    fn dns_unready(&self, at: (usize, usize)) -> Option<Moment> {
        let all = self.plan.quirks.iter().find_map(|q| match q {
            Quirk::ClusterDnsUnready(since) => Some(*since),
            _ => None,
        });
        all.or_else(|| self.unready.get(&at).copied()).or_else(|| self.missed.get(&at.0).copied())
    }

    fn local_dns_unready(&self, at: usize) -> Option<Moment> {
        let missed = self.missed.get(&at).copied();
        missed.or_else(|| self.local_dns_down(at))
    }

    fn local_dns_down(&self, at: usize) -> Option<Moment> {
        self.plan.has(|q| matches!(q, Quirk::LocalDnsUnready(n) if *n == at)).then_some(-420 * SECOND)
    }
}

/// Whether cluster DNS was rolled a while ago.
pub(crate) fn is_rolled(quirk: &Quirk) -> bool {
    matches!(quirk, Quirk::OldTable(_) | Quirk::OldKernelTable(_) | Quirk::OldSockets(_))
}
