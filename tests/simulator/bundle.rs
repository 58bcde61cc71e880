//! A plan becomes a bundle: the traffic is simulated, then everything that a look would gather is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;

use crate::cluster::{Actor, Cluster, Moment, Resolver, Role, SECOND, Setup};
use crate::fault::Proto;
use crate::plan::{Edit, Plan, Quirk};
use crate::rng::Rng;
use crate::table::Socket;
use crate::traffic::{Name, Outcome, Traffic, flow};
use crate::wire::Net;

/// What a look at the cluster finds.
pub(crate) struct Seen<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) cluster: &'a Cluster,
    /// Pods whose probes fail, since when.
    pub(crate) failing: BTreeMap<(usize, usize), Moment>,
    /// Cluster DNS pods that are not ready, since when.
    pub(crate) unready: BTreeMap<(usize, usize), Moment>,
    /// The cluster DNS backends of each node's service table.
    pub(crate) known: Vec<Vec<Socket>>,
    /// Drops: before the first reading of the counters, and between the two.
    pub(crate) drops: BTreeMap<(usize, &'static str, &'static str), (u64, u64)>,
    /// Masqueraded flows of each node.
    pub(crate) nat: Vec<BTreeMap<(Proto, Socket, Socket), Moment>>,
    /// Answers to the two echo requests of each host.
    pub(crate) pings: Vec<u32>,
    /// Live lines of each node: TCP and others.
    pub(crate) alive: Vec<(usize, usize)>,
    /// Nodes that their API server misses, since when.
    pub(crate) missed: BTreeMap<usize, Moment>,
    /// Nodes that each agent's health probe reaches, itself counted.
    pub(crate) reached: Vec<usize>,
    dumps: Vec<String>,
    probes: Vec<Vec<Probe>>,
}

/// What an active probe of a pod came to.
struct Probe {
    pod: usize,
    lookup: Outcome,
    by_name: Option<Outcome>,
    by_address: Outcome,
    dns: Outcome,
}

/// The files of a bundle by their path.
pub(crate) type Files = BTreeMap<String, String>;

/// A bundle and what was lost on the way.
pub(crate) struct Built {
    /// Its files.
    pub(crate) files: Files,
    /// The names of the nodes.
    pub(crate) names: Vec<String>,
    /// What was lost in the last minute, by node: pods, and flows.
    pub(crate) lost: BTreeMap<usize, (usize, usize)>,
}

/// Simulates a plan and writes down what a look finds.
pub(crate) fn build(plan: &Plan) -> Built {
    let cluster = Cluster::new(plan.setup.clone());
    let mut net = Net::new(&cluster, &plan.faults);
    for quirk in &plan.quirks {
        if let Quirk::Proxied(node) = quirk {
            net.proxied.push(*node);
        }
    }
    let mut traffic = Traffic::new(&mut net);
    let gone = gone(plan);
    for quirk in &plan.quirks {
        if let Quirk::OldTable(node) | Quirk::OldKernelTable(node) = quirk {
            traffic.backends.stale.insert(*node, gone.clone());
        }
        if let Quirk::OldSockets(node) = quirk {
            traffic.old_sockets.insert(*node, gone.clone());
        }
    }
    traffic.run();
    let probes = (0..cluster.nodes.len()).map(|node| active(&mut traffic, plan, node)).collect();
    let pings = (0..cluster.nodes.len()).map(|node| traffic.ping(node, -30 * SECOND)).collect();
    let right = |at: usize, traffic: &Traffic| {
        let kernel_only = plan.has(|q| matches!(q, Quirk::OldKernelTable(n) if *n == at));
        let all = cluster.with_role(Role::ClusterDns).into_iter();
        let now = all.map(|pod| (cluster.pod(pod).ip, plan.setup.dns_port)).collect();
        if kernel_only { now } else { traffic.known(at, 0) }
    };
    let known = (0..cluster.nodes.len()).map(|at| right(at, &traffic)).collect();
    let (failing, unready) = (traffic.failing.clone(), traffic.backends.unready.clone());
    let reached = traffic.reached.clone();
    let collected = plan.setup.collected;
    let cut = (0..cluster.nodes.len()).filter_map(|at| net.cut(at).map(|since| (at, since + 50 * SECOND)));
    let missed = cut.filter(|(_, since)| *since < 0).collect();
    let mut seen = Seen {
        plan,
        cluster: &cluster,
        failing,
        unready,
        known,
        pings,
        missed,
        reached,
        drops: std::mem::take(&mut net.drops),
        nat: std::mem::take(&mut net.nat),
        alive: net.tables.iter().map(crate::table::Table::alive).collect(),
        dumps: Vec::new(),
        probes,
    };
    seen.dumps = net.tables.iter().enumerate().map(|(at, t)| t.dump(collected, &mut seen.rng(at, 24))).collect();
    let count = |lost: &BTreeSet<(Option<usize>, u8, i64)>| {
        let pods: BTreeSet<_> = lost.iter().map(|(pod, ..)| *pod).collect();
        (pods.len(), lost.len())
    };
    Built {
        files: seen.files(),
        names: cluster.nodes.iter().map(|node| node.name.clone()).collect(),
        lost: net.lost.iter().map(|(node, lost)| (*node, count(lost))).collect(),
    }
}

/// The cluster DNS pods that were there before it was rolled.
fn gone(plan: &Plan) -> Vec<Socket> {
    let setup = &plan.setup;
    (0..setup.dns_pods)
        .map(|nth| (setup.pod_address(setup.v6(), nth % setup.nodes, 211 + nth), setup.dns_port))
        .collect()
}

/// Probes in pods of a node.
fn active(traffic: &mut Traffic, plan: &Plan, node: usize) -> Vec<Probe> {
    let cluster = traffic.net.cluster;
    let chosen = cluster.nodes[node].applications().filter(|pod| !cluster.pod((node, *pod)).exempt);
    let chosen: Vec<usize> = chosen.take(plan.setup.probe_pods).collect();
    let probe = |pod: usize| {
        let mut rng = Rng::stream(&[plan.setup.seed, 25, u64::try_from(node * 100 + pod).expect("few")]);
        let ask = |traffic: &mut Traffic, rng: &mut Rng, name, at| match traffic.to_resolver(rng, node, pod, at) {
            Some(flow) => traffic.ask(&flow, name, rng, at),
            None => Outcome::Refused,
        };
        let lookup = ask(traffic, &mut rng, Name::World, -29 * SECOND);
        let own = cluster.pod((node, pod)).ip;
        let call = |traffic: &mut Traffic, rng: &mut Rng, to, at| {
            let flow = flow(rng, Proto::Tcp, Actor::Pod(node, pod), own, Actor::World, to);
            traffic.call(&flow, at, 5 * SECOND)
        };
        let site = Setup::world(plan.setup.v6(), 5);
        let by_name = matches!(lookup, Outcome::Fine(_)).then(|| call(traffic, &mut rng, (site, 443), -18 * SECOND));
        let by_address = call(traffic, &mut rng, (plan.setup.target(), 80), -12 * SECOND);
        let dns = ask(traffic, &mut rng, Name::Cluster, -11 * SECOND);
        Probe { pod, lookup, by_name, by_address, dns }
    };
    chosen.into_iter().map(probe).collect()
}

/// How a command ended, and what it printed.
struct Ended {
    argv: Vec<String>,
    out: String,
    stderr: String,
    exit: i32,
    took: Moment,
    /// When it began.
    at: Moment,
    pod: Option<String>,
}

impl Ended {
    fn new(argv: &str, out: String) -> Self {
        let argv = argv.split(' ').map(str::to_owned).collect();
        Self { argv, out, stderr: String::new(), exit: 0, took: 310, at: -SECOND, pod: None }
    }
}

impl Seen<'_> {
    /// The addresses of cluster DNS pods that are gone.
    pub(crate) fn gone(&self) -> Vec<Socket> {
        gone(self.plan)
    }

    /// How long a node's agent has run.
    pub(crate) fn agent_age(&self, node: usize) -> Moment {
        let own = self.plan.quirks.iter().find_map(|q| match q {
            Quirk::AgentAge(n, age) if *n == node => Some(*age),
            _ => None,
        });
        own.unwrap_or(self.plan.setup.agent_age)
    }

    fn files(&self) -> Files {
        let about = json!({"schema": "staledp.bundle/v1", "captured_at": self.when(0), "context": "simulated",
            "tool": {"name": "staledp", "version": "0.1.0"}, "argv": ["staledp", "capture", "--all-nodes"]});
        let mut files = Files::from([("bundle.json".to_owned(), about.to_string())]);
        for (name, list) in self.lists() {
            files.insert(format!("kube/{name}.json"), list);
        }
        for node in self.plan.looked_at() {
            self.node(node, &mut files);
        }
        for edit in &self.plan.edits {
            edited(&mut files, &self.cluster.nodes, edit);
        }
        files
    }

    fn put(&self, files: &mut Files, node: usize, evidence: &str, ended: Ended) {
        let stem = format!("nodes/{}/{evidence}", self.cluster.nodes[node].name);
        let mut told = json!({"argv": ended.argv, "exit_code": ended.exit, "stderr": ended.stderr,
            "started_at": self.when(ended.at), "duration_ms": ended.took, "error": null});
        if evidence == "host-ping" {
            told["via"] = json!("ssh");
        }
        if let Some(pod) = &ended.pod {
            told["pod"] = json!(pod);
        }
        files.insert(format!("{stem}.json"), told.to_string());
        files.insert(format!("{stem}.out"), ended.out);
    }

    fn node(&self, node: usize, files: &mut Files) {
        let setup = &self.plan.setup;
        let (out, exit) = self.ping(node);
        let argv = format!("ping -c 2 -W 3 {}", setup.target());
        self.put(files, node, "host-ping", Ended { exit, at: -30 * SECOND, took: 1_012, ..Ended::new(&argv, out) });
        if !self.plan.has(|q| matches!(q, Quirk::Foreign(n) if *n == node)) {
            for (slot, probe) in self.probes[node].iter().enumerate() {
                self.probe(node, slot, probe, files);
            }
        }
        let agentless = self.plan.has(|q| matches!(q, Quirk::AgentAbsent(n) | Quirk::Foreign(n) if *n == node));
        if agentless {
            return;
        }
        let binary = setup.release.binary();
        let frozen = self.plan.has(|q| matches!(q, Quirk::AgentFrozen(n) if *n == node));
        let dump =
            Ended { at: 0, took: 640, ..Ended::new(&format!("{binary} bpf ct list global"), self.dumps[node].clone()) };
        self.put(files, node, "ct-list", dump);
        let run = |command: &str, out: String| Ended::new(&format!("{binary} {command}"), out);
        self.put(files, node, "lb-list", run("bpf lb list", self.lb_list(node)));
        let first = Ended { at: -7 * SECOND, ..run("bpf metrics list", self.drop_metrics(node, false)) };
        self.put(files, node, "drop-metrics", first);
        let second = Ended { at: 0, ..run("bpf metrics list", self.drop_metrics(node, true)) };
        self.put(files, node, "drop-metrics.2", second);
        self.put(files, node, "nat-list", run("bpf nat list", self.nat_list(node)));
        self.put(files, node, "attached-programs", Ended::new("bpftool net show", self.attached_programs(node)));
        self.put(files, node, "host-firewall", Ended::new("iptables-save", self.host_firewall(node, false)));
        self.put(files, node, "host-firewall-v6", Ended::new("ip6tables-save", self.host_firewall(node, true)));
        self.put(files, node, "agent-log", Ended::new("logs", self.agent_log(node)));
        self.put(files, node, "service-list", run("service list", self.service_list(node)));
        self.put(files, node, "agent-status", run("status --verbose", self.agent_status(node)));
        if frozen {
            let name = &self.cluster.nodes[node].name;
            failed(files, name, "service-list", "timeout", "the node's time was over");
            failed(files, name, "agent-status", "timeout", "the node's time was over");
        }
    }

    fn probe(&self, node: usize, slot: usize, probe: &Probe, files: &mut Files) {
        let setup = &self.plan.setup;
        let pod = self.cluster.pod((node, probe.pod));
        let named = Some(format!("{}/{}", pod.namespace, pod.name));
        let suffix = if slot == 0 { String::new() } else { format!(".{}", slot + 1) };
        let fetcher = self.rng(node, 26).pick(&[Tool::Busybox, Tool::Curl, Tool::Gnu]);
        let (stderr, exit, took) = match (probe.lookup, probe.by_name) {
            (Outcome::Fine(_), Some(outcome)) => fetcher.connected(outcome),
            (Outcome::Refused, _) => fetcher.unresolved(60),
            _ => fetcher.unresolved(10_020),
        };
        let argv = fetcher.argv("https://google.com");
        let ended =
            Ended { stderr, exit, took, at: -29 * SECOND, pod: named.clone(), ..Ended::new(&argv, String::new()) };
        self.put(files, node, &format!("pod-egress{suffix}"), ended);
        let (stderr, exit, took) = fetcher.connected(probe.by_address);
        let target = match setup.target() {
            ip if ip.is_ipv6() => format!("http://[{ip}]"),
            ip => format!("http://{ip}"),
        };
        let argv = fetcher.argv(&target);
        let ended =
            Ended { stderr, exit, took, at: -12 * SECOND, pod: named.clone(), ..Ended::new(&argv, String::new()) };
        self.put(files, node, &format!("pod-egress-address{suffix}"), ended);
        let name = "kubernetes.default.svc.cluster.local";
        let server = match setup.resolver {
            Resolver::LinkLocal | Resolver::OfNode => setup.link_local(),
            _ => setup.service(10),
        };
        let head = format!("Server:\t\t{server}\nAddress:\t{}\n\n", std::net::SocketAddr::new(server, 53));
        let (out, exit, took) = match probe.dns {
            Outcome::Fine(took) => (format!("{head}Name:\t{name}\nAddress: {}\n\n", setup.service(1)), 0, took + 20),
            Outcome::Refused => (format!("{head}** server can't find {name}: SERVFAIL\n\n"), 1, 40),
            Outcome::Silence => (";; connection timed out; no servers could be reached\n\n".to_owned(), 1, 10_050),
        };
        let ended = Ended { exit, took, at: -11 * SECOND, pod: named, ..Ended::new(&format!("nslookup {name}"), out) };
        self.put(files, node, &format!("pod-dns{suffix}"), ended);
    }
}

/// What a pod has to fetch a page with.
#[derive(Clone, Copy)]
enum Tool {
    Busybox,
    Curl,
    Gnu,
}

impl Tool {
    fn argv(self, url: &str) -> String {
        match self {
            Self::Busybox => format!("wget -q -O /dev/null --timeout=5 {url}"),
            Self::Curl => format!("curl -sS -o /dev/null --max-time 5 {url}"),
            Self::Gnu => format!("wget -q -O /dev/null --timeout=5 --tries=1 {url}"),
        }
    }

    fn connected(self, outcome: Outcome) -> (String, i32, Moment) {
        match (self, outcome) {
            (_, Outcome::Fine(took)) => (String::new(), 0, took + 90),
            (Self::Busybox, _) => ("wget: download timed out\n".to_owned(), 1, 5_010),
            (Self::Curl, _) => ("curl: (28) Connection timed out after 5001 milliseconds\n".to_owned(), 28, 5_010),
            (Self::Gnu, _) => (String::new(), 4, 5_010),
        }
    }

    fn unresolved(self, took: Moment) -> (String, i32, Moment) {
        match self {
            Self::Busybox => ("wget: bad address 'google.com'\n".to_owned(), 1, took),
            Self::Curl if took > 5_000 => {
                ("curl: (28) Resolving timed out after 5000 milliseconds\n".to_owned(), 28, 5_005)
            }
            Self::Curl => ("curl: (6) Could not resolve host: google.com\n".to_owned(), 6, took),
            Self::Gnu => ("wget: unable to resolve host address 'google.com'\n".to_owned(), 4, took),
        }
    }
}

/// Says of an evidence that it did not come.
pub(crate) fn failed(files: &mut Files, node: &str, evidence: &str, kind: &str, message: &str) {
    let path = format!("nodes/{node}/{evidence}.json");
    let Some(text) = files.get(&path) else { return };
    let mut told: serde_json::Value = serde_json::from_str(text).expect("own JSON");
    told["exit_code"] = json!(null);
    told["error"] = json!({"kind": kind, "message": message});
    files.insert(path, told.to_string());
    if kind != "truncated" {
        files.insert(format!("nodes/{node}/{evidence}.out"), String::new());
    }
}

/// Does this to the evidence.
fn edited(files: &mut Files, nodes: &[crate::cluster::Node], edit: &Edit) {
    match edit {
        Edit::Lost(node, evidence) => {
            for end in ["out", "json"] {
                files.remove(&format!("nodes/{}/{evidence}.{end}", nodes[*node].name));
            }
        }
        Edit::Cut(node, evidence) => {
            let name = &nodes[*node].name;
            if let Some(out) = files.get_mut(&format!("nodes/{name}/{evidence}.out")) {
                out.truncate(out.len() * 2 / 5);
            }
            failed(files, name, evidence, "truncated", "the connection closed early");
        }
        Edit::TimedOut(node, evidence) => {
            failed(files, &nodes[*node].name, evidence, "timeout", "no answer within 60s");
        }
        Edit::Forbidden(node, evidence) => {
            failed(files, &nodes[*node].name, evidence, "forbidden", "pods/exec is forbidden");
        }
        Edit::NoList(name) => {
            files.remove(&format!("kube/{name}.json"));
        }
    }
}

/// Writes the files below a folder.
pub(crate) fn write(files: &Files, root: &Path) {
    for (path, text) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
}
