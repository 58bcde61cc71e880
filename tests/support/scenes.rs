//! Small clusters, written as bundles: what a healthy node says, and what a stale one says.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::world::World;

/// The dump's clock, in seconds since boot.
const NOW: u32 = 813_455;
/// Pods of a node beside the system's.
const APPS: u32 = 12;

/// How a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// All is answered.
    Fine,
    /// Pods and the host no longer hear each other, nor pods the world; the host itself is fine.
    Stale,
}

/// A bundle in a temporary folder, which ends with the value.
#[derive(Debug)]
pub(crate) struct Scene {
    folder: tempfile::TempDir,
}

/// The name of a node's Cilium agent; prusik's is the incident's.
pub(crate) fn agent(node: &str) -> String {
    if node == "prusik" { "cilium-swmbt".to_owned() } else { format!("cilium-{node}") }
}

impl Scene {
    /// A cluster of these nodes.
    pub(crate) fn new(nodes: &[(&str, Health)]) -> Self {
        let scene = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let argv = ["staledp", "diagnose", "--all-nodes"];
        scene.write(
            "bundle.json",
            &json!({"schema": "staledp.bundle/v1", "tool": {"name": "staledp", "version": "0"},
                    "captured_at": "2026-06-06T12:00:00Z", "context": "grigri", "argv": argv}),
        );
        let numbered = || nodes.iter().zip(1_u32..);
        let node_items = numbered().map(|((name, _), n)| node(name, n)).collect();
        let pod_items = numbered().flat_map(|((name, _), n)| pods(name, n)).collect();
        scene.list("nodes", "v1", "NodeList", node_items);
        scene.list("pods", "v1", "PodList", pod_items);
        scene.list("services", "v1", "ServiceList", vec![dns_service()]);
        scene.list("endpointslices", "discovery.k8s.io/v1", "EndpointSliceList", vec![dns_slice()]);
        scene.list("events", "v1", "EventList", Vec::new());
        for ((name, health), n) in numbered() {
            scene.node_evidence(name, n, *health);
        }
        scene
    }

    /// prusik alone, in good health.
    pub(crate) fn healthy() -> Self {
        Self::new(&[("prusik", Health::Fine)])
    }

    /// prusik stale, two other nodes fine.
    pub(crate) fn stale() -> Self {
        Self::new(&[("prusik", Health::Stale), ("vienna", Health::Fine), ("brno", Health::Fine)])
    }

    /// Where the bundle lies.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The bundle as a live cluster.
    pub(crate) fn world(&self) -> World {
        World::from_bundle(self.path())
    }

    fn write(&self, path: &str, value: &Value) {
        self.write_bytes(path, format!("{value:#}\n").as_bytes());
    }

    fn write_bytes(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder is made");
        fs::write(path, bytes).expect("a file is written");
    }

    fn list(&self, name: &str, version: &str, kind: &str, items: Vec<Value>) {
        let items: Value = items.into();
        self.write(&format!("kube/{name}.json"), &json!({"apiVersion": version, "kind": kind, "items": items}));
    }

    fn node_evidence(&self, node: &str, n: u32, health: Health) {
        let fine = health == Health::Fine;
        let put = |name: &str, argv: &[&str], code: i32, out: &str, stderr: &str, extra: (&str, &str)| {
            let mut about = json!({"argv": argv, "exit_code": code, "stderr": stderr,
                                   "started_at": "2026-06-06T12:00:00Z", "duration_ms": 900, "error": null});
            if !extra.0.is_empty() {
                about[extra.0] = extra.1.into();
            }
            self.write(&format!("nodes/{node}/{name}.json"), &about);
            self.write_bytes(&format!("nodes/{node}/{name}.out"), out.as_bytes());
        };
        let plain = ("", "");
        put("host-ping", &["ping", "-c", "2", "-W", "3", "1.1.1.1"], 0, PING, "", ("via", "agent-container"));
        put("ct-list", &["cilium-dbg", "bpf", "ct", "list", "global"], 0, &conntrack(n, health), "", plain);
        put("service-list", &["cilium-dbg", "service", "list"], 0, SERVICES, "", plain);
        let pod = format!("apps/web-{n}");
        let wget = |url: &'static str| ["wget", "-q", "-O", "/dev/null", "--timeout=5", url];
        let code = i32::from(!fine);
        let said = |text: &'static str| if fine { "" } else { text };
        let bad_address = said("wget: bad address 'google.com'\n");
        put("pod-egress", &wget("https://google.com"), code, "", bad_address, ("pod", &pod));
        let timed_out = said("wget: download timed out\n");
        put("pod-egress-address", &wget("http://1.1.1.1"), code, "", timed_out, ("pod", &pod));
        let nslookup = if fine { NSLOOKUP } else { ";; connection timed out; no servers could be reached\n\n" };
        put("pod-dns", &["nslookup", "kubernetes.default.svc.cluster.local"], code, nslookup, "", ("pod", &pod));
    }
}

const PING: &str = "\
PING 1.1.1.1 (1.1.1.1) 56(84) bytes of data.
64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=11.9 ms
64 bytes from 1.1.1.1: icmp_seq=2 ttl=57 time=12.4 ms

--- 1.1.1.1 ping statistics ---
2 packets transmitted, 2 received, 0% packet loss, time 1001ms
rtt min/avg/max/mdev = 11.902/12.151/12.400/0.249 ms
";

const NSLOOKUP: &str = "\
Server:\t\t169.254.25.10
Address:\t169.254.25.10:53

Name:\tkubernetes.default.svc.cluster.local
Address: 10.43.0.1

";

const SERVICES: &str = "\
ID   Frontend                Service Type    Backend                                
1    10.43.0.1:443/TCP       ClusterIP       1 => 192.168.10.5:6443/TCP (active)    
2    10.43.0.10:53/TCP       ClusterIP       1 => 10.42.1.200:53/TCP (active)       
                                             2 => 10.42.2.200:53/TCP (active)       
3    10.43.0.10:53/UDP       ClusterIP       1 => 10.42.1.200:53/UDP (active)       
                                             2 => 10.42.2.200:53/UDP (active)       
4    10.43.0.10:9153/TCP     ClusterIP       1 => 10.42.1.200:9153/TCP (active)     
                                             2 => 10.42.2.200:9153/TCP (active)     
";

/// One line of a dump of 1.19: who, to whom, when it expires, and what was seen of it in each direction.
pub(crate) fn line(
    head: &str,
    expires: u32,
    (rx_flags, rx): (u8, u32),
    (tx_flags, tx): (u8, u32),
    tail: &str,
) -> String {
    format!(
        "{head} expires={expires} Packets=0 Bytes=0 RxFlagsSeen=0x{rx_flags:02x} LastRxReport={rx} \
         TxFlagsSeen=0x{tx_flags:02x} LastTxReport={tx} {tail} BackendID=0 NatPort=0 \n"
    )
}

/// A line whose packets nobody ever answered: who, to whom, and how many seconds ago the last of them left.
pub(crate) fn unanswered(head: &str, ago: u32) -> String {
    line(head, NOW - ago + 60, (0, 0), (2, NOW - ago), PLAIN)
}

const PLAIN: &str = "Flags=0x0000 [ ] RevNAT=0 SourceSecurityID=35631";
const ESTABLISHED: &str = "Flags=0x0010 [ SeenNonSyn ] RevNAT=0 SourceSecurityID=35631";

/// An answered lookup at NodeLocal DNS, the most usual line of a healthy node; each `i` makes another.
pub(crate) fn answered_lookup(i: u64) -> String {
    let (pod, port, ago) = (10 + i % 12, 1024 + i % 60_000, u32::try_from(i % 50).unwrap_or(0));
    let head = format!("UDP OUT 10.42.1.{pod}:{port} -> 169.254.25.10:53");
    line(&head, NOW - ago + 60, (0, NOW - ago), (0, NOW - ago), PLAIN)
}

fn conntrack(n: u32, health: Health) -> String {
    let fine = health == Health::Fine;
    let mut dump = String::new();
    let pod = |i: u32| format!("10.42.{n}.{}", 10 + i % APPS);
    let mut put = |line: String| dump.push_str(&line);
    for i in 0..240 {
        // A minute of lookups, older than any resolver's patience on a node where nobody answers.
        let tx = NOW - 8 - i % 45;
        let rx = if fine { tx } else { 0 };
        put(line(&format!("UDP OUT {}:{} -> 169.254.25.10:53", pod(i), 30_000 + i), tx + 60, (0, rx), (0, tx), PLAIN));
    }
    for i in 0..120 {
        // Yesterday's, expired: they prove nothing on either node.
        let tx = 700_000 + i * 7;
        put(line(&format!("UDP OUT {}:{} -> 169.254.25.10:53", pod(i), 40_000 + i), tx + 60, (0, 0), (0, tx), PLAIN));
    }
    for i in 0..4 {
        // On their way this very second.
        put(line(&format!("UDP OUT {}:{} -> 169.254.25.10:53", pod(i), 50_000 + i), NOW + 60, (0, 0), (0, NOW), PLAIN));
    }
    for i in 0..3 {
        let head = format!("ICMP OUT {}:0 -> 169.254.25.10:0 related", pod(i));
        put(line(&head, NOW + 40, (0, 0), (0, NOW - 20), PLAIN));
    }
    for i in 0..40 {
        // Kubelet's probes: SYN in, SYN+ACK out, and on a stale node never an ACK.
        let head = format!("TCP IN 192.168.10.{}:{} -> {}:8200", 20 + n, 42_000 + i, pod(i));
        let at = NOW - 6 - i % 30;
        if fine {
            let closed = "Flags=0x0013 [ RxClosing TxClosing SeenNonSyn ] RevNAT=0 SourceSecurityID=1";
            put(line(&head, NOW + 5, (0x1b, at.max(NOW - 5)), (0x1b, at.max(NOW - 5)), closed));
        } else {
            let open = "Flags=0x0000 [ ] RevNAT=0 SourceSecurityID=1";
            put(line(&head, at + 60, (0x02, at), (0x12, at), open));
        }
    }
    for i in 0..40 {
        // Pods of other nodes answer, stale or not.
        let at = NOW - 10 - i * 3;
        let head = format!("TCP OUT {}:{} -> 10.42.5.{}:8080", pod(i), 44_000 + i, 10 + i % 8);
        put(line(&head, at + 8000, (0x1a, at), (0x1a, at), ESTABLISHED));
    }
    for i in 0..25 {
        let head = format!("TCP OUT {}:{} -> 8.8.8.8:443", pod(i), 45_000 + i);
        let at = NOW - 8 - i;
        if fine {
            put(line(&head, at + 8000, (0x1a, at), (0x1a, at), ESTABLISHED));
        } else {
            put(line(&head, at + 60, (0, 0), (0x02, at), PLAIN));
        }
    }
    for i in 0..3 {
        let head = format!("TCP OUT 192.168.10.{}:{} -> 192.168.10.5:6443", 20 + n, 46_000 + i);
        let host = "Flags=0x0010 [ SeenNonSyn ] RevNAT=0 SourceSecurityID=1";
        put(line(&head, NOW + 7990, (0x1a, NOW - 10), (0x1a, NOW - 10), host));
    }
    let _ = write!(dump, "\n\n");
    dump
}

fn node(name: &str, n: u32) -> Value {
    let cidr = format!("10.42.{n}.0/24");
    json!({
        "metadata": {"name": name, "uid": format!("uid-{name}"),
                     "labels": {"kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name}},
        "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": format!("192.168.10.{}", 20 + n)},
                          {"type": "Hostname", "address": name}],
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "nodeInfo": {"architecture": "amd64", "containerRuntimeVersion": "containerd://2.0.5",
                         "kernelVersion": "6.12.30-amd64", "kubeletVersion": "v1.33.1",
                         "operatingSystem": "linux", "osImage": "Debian GNU/Linux 12"},
        },
    })
}

/// A running pod.
fn pod(
    (namespace, name): (&str, &str),
    node: &str,
    (container, image): (&str, &str),
    ip: &str,
    label: (&str, &str),
) -> Value {
    let owner = if label.0 == "app" { "ReplicaSet" } else { "DaemonSet" };
    let since = "2026-05-01T00:00:00Z";
    json!({
        "metadata": {"name": name, "namespace": namespace, "uid": format!("uid-{name}"), "creationTimestamp": since,
                     "labels": {label.0: label.1},
                     "ownerReferences": [{"apiVersion": "apps/v1", "kind": owner, "name": label.1,
                                          "uid": format!("uid-owner-{}", label.1), "controller": true}]},
        "spec": {"nodeName": node, "hostNetwork": ip.starts_with("192."),
                 "containers": [{"name": container, "image": image}]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "startTime": since,
                   "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}],
                   "containerStatuses": [{"name": container, "image": image, "ready": true, "restartCount": 0,
                                          "state": {"running": {"startedAt": since}}}]},
    })
}

fn pods(node: &str, n: u32) -> Vec<Value> {
    let host = format!("192.168.10.{}", 20 + n);
    let cilium = ("cilium-agent", "quay.io/cilium/cilium:v1.19.4");
    let mut pods = vec![
        pod(("kube-system", &agent(node)), node, cilium, &host, ("k8s-app", "cilium")),
        pod(
            ("kube-system", &format!("nodelocaldns-{n}")),
            node,
            ("node-cache", "registry.k8s.io/dns/k8s-dns-node-cache:1.25.0"),
            &host,
            ("k8s-app", "nodelocaldns"),
        ),
        pod(("apps", &format!("web-{n}")), node, ("main", "busybox:1.37"), &format!("10.42.{n}.10"), ("app", "web")),
    ];
    for i in 1..APPS {
        let name = format!("app-{n}-{i}");
        let ip = format!("10.42.{n}.{}", 10 + i);
        pods.push(pod(("apps", &name), node, ("main", "example/app:1"), &ip, ("app", "app")));
    }
    if n == 1 {
        for i in 0..2 {
            let ip = format!("10.42.{}.200", i + 1);
            let image = ("coredns", "registry.k8s.io/coredns/coredns:v1.12.0");
            pods.push(pod(("kube-system", &format!("coredns-{i}")), node, image, &ip, ("k8s-app", "kube-dns")));
        }
    }
    pods
}

/// A revision of the agents' DaemonSet.
pub(crate) fn revision(hash: &str, number: u32) -> Value {
    json!({"metadata": {"name": format!("cilium-{hash}"), "namespace": "kube-system",
                        "labels": {"controller-revision-hash": hash},
                        "ownerReferences": [{"kind": "DaemonSet", "name": "cilium", "uid": "uid-owner-cilium",
                                             "controller": true}]},
           "revision": number})
}

fn dns_ports() -> Value {
    json!([{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
           {"name": "metrics", "port": 9153, "protocol": "TCP"}])
}

fn dns_service() -> Value {
    json!({"metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
           "spec": {"type": "ClusterIP", "clusterIP": "10.43.0.10", "clusterIPs": ["10.43.0.10"],
                    "ports": dns_ports()}})
}

fn dns_slice() -> Value {
    let endpoint = |i: u32| {
        json!({"addresses": [format!("10.42.{}.200", i + 1)],
               "conditions": {"ready": true, "serving": true, "terminating": false},
               "targetRef": {"kind": "Pod", "name": format!("coredns-{i}"), "namespace": "kube-system"}})
    };
    json!({"addressType": "IPv4", "endpoints": [endpoint(0), endpoint(1)], "ports": dns_ports(),
           "metadata": {"name": "kube-dns-abcde", "namespace": "kube-system",
                        "labels": {"kubernetes.io/service-name": "kube-dns", "k8s-app": "kube-dns"}}})
}
