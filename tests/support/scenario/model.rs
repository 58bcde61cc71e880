//! A scenario as data: clusters, nodes, traffic, evidence and what is wrong with it, and what must come out.

use super::release::{Clock, Release};

/// A cluster at one moment and what must be said of it.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// A short name, also the seed of everything random in it.
    pub(crate) name: String,
    /// What it shows, in one sentence.
    pub(crate) about: String,
    /// The nodes with evidence.
    pub(crate) nodes: Vec<Node>,
    /// The cluster's own objects.
    pub(crate) cluster: Cluster,
    /// Further arguments of the program.
    pub(crate) args: Vec<String>,
    /// The exit codes that are right.
    pub(crate) exit: Vec<i32>,
}

/// What the API server knows, beside nodes and their pods.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    /// The kubeconfig context.
    pub(crate) context: &'static str,
    /// The moment, seconds since 1970.
    pub(crate) captured_at: u64,
    /// The cluster DNS pods.
    pub(crate) dns: Vec<DnsPod>,
    /// Nodes that exist but were not looked at.
    pub(crate) bystanders: Vec<(&'static str, u8)>,
    /// Files of `kube/` that were not gathered.
    pub(crate) without: Vec<&'static str>,
    /// Failing probes that the kubelet told of.
    pub(crate) unhealthy: Vec<Unhealthy>,
    /// Containers that were started again.
    pub(crate) restarted: Vec<Restarted>,
    /// Further files of the bundle: path, content.
    pub(crate) further: Vec<(String, String)>,
}

/// A failing probe as the kubelet tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Unhealthy {
    /// The pod's namespace.
    pub(crate) namespace: &'static str,
    /// The pod.
    pub(crate) pod: &'static str,
    /// The whole message.
    pub(crate) message: &'static str,
    /// How often.
    pub(crate) count: u64,
    /// For how long, in seconds.
    pub(crate) lasting: u64,
}

/// A container that was started again.
#[derive(Clone, Debug)]
pub(crate) struct Restarted {
    /// How the pod's name begins.
    pub(crate) pod: &'static str,
    /// The node's name; empty: any.
    pub(crate) node: &'static str,
    /// The container; one that the pod does not have is added to it.
    pub(crate) container: &'static str,
    /// How often.
    pub(crate) count: u64,
    /// The reason of the last end.
    pub(crate) reason: &'static str,
    /// The exit code of the last end.
    pub(crate) exit: i64,
    /// How long ago, in seconds.
    pub(crate) ago: u64,
}

/// A cluster DNS pod and its endpoint.
#[derive(Clone, Debug)]
pub(crate) struct DnsPod {
    /// The number of its node.
    pub(crate) node: u8,
    /// The last part of its address.
    pub(crate) host: u8,
    /// Whether it is ready.
    pub(crate) ready: bool,
    /// Whether it is being ended.
    pub(crate) terminating: bool,
    /// Seconds since it last changed.
    pub(crate) since: u64,
}

impl DnsPod {
    /// One that has been ready for five days.
    pub(crate) fn ready(node: u8, host: u8) -> Self {
        Self { node, host, ready: true, terminating: false, since: 432_000 }
    }

    /// One that has not been ready for a quarter of an hour.
    pub(crate) fn not_ready(node: u8, host: u8) -> Self {
        Self { node, host, ready: false, terminating: false, since: 900 }
    }
}

/// Which addresses pods have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4 only.
    V4,
    /// IPv6 only, NodeLocal DNS included.
    V6,
    /// Both; DNS is asked over IPv4.
    Dual,
}

/// A node: what it is, what its traffic is, what was gathered, and what must be said.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: String,
    /// Its number: pods are in `10.42.NUMBER.0/24`, the node is `192.168.10.(20 + NUMBER)`.
    pub(crate) number: u8,
    /// `amd64` or `arm64`.
    pub(crate) arch: &'static str,
    /// The kernel's release.
    pub(crate) kernel: &'static str,
    /// The Cilium release.
    pub(crate) release: Release,
    /// The exact version, where it is not the usual one of the release.
    pub(crate) version: Option<&'static str>,
    /// The clock of its maps.
    pub(crate) clock: Clock,
    /// Seconds since its boot.
    pub(crate) uptime: u64,
    /// Whether packets are counted (releases with one counter a line).
    pub(crate) accounting: bool,
    /// Whether the dump was taken with `--time-diff`.
    pub(crate) time_diff: bool,
    /// The family of its pods' addresses.
    pub(crate) family: Family,
    /// Its pods of no special role.
    pub(crate) pods: Vec<AppPod>,
    /// Its Cilium agent.
    pub(crate) agent: Agent,
    /// Its NodeLocal DNS.
    pub(crate) local_dns: LocalDns,
    /// Its traffic.
    pub(crate) flows: Vec<Flows>,
    /// The host's ping.
    pub(crate) ping: Ping,
    /// The pods that probed; an index into `pods` each.
    pub(crate) probes: Vec<Probes>,
    /// The agent's service table.
    pub(crate) services: ServiceTable,
    /// The kernel's service table.
    pub(crate) lb: Option<ServiceTable>,
    /// `status --verbose`.
    pub(crate) status: Option<AgentStatus>,
    /// The drop counters: reason, direction, packets.
    pub(crate) drops: Option<Vec<(&'static str, &'static str, u64)>>,
    /// By how many packets each of them rises until the second reading; none: they are read once.
    pub(crate) drops_rise: Option<u64>,
    /// The NAT table: how many TCP and UDP connections.
    pub(crate) nat: Option<(u64, u64)>,
    /// The attached programs.
    pub(crate) programs: Option<Programs>,
    /// The agent's log.
    pub(crate) log: Option<Log>,
    /// What happened to the evidence on its way.
    pub(crate) faults: Vec<(&'static str, Fault)>,
    /// What must be said.
    pub(crate) expect: Expect,
}

/// A pod of no special role.
#[derive(Clone, Debug)]
pub(crate) struct AppPod {
    /// Its namespace.
    pub(crate) namespace: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// The last part of its address.
    pub(crate) host: u8,
    /// Whether it is ready.
    pub(crate) ready: bool,
}

/// The Cilium agent of a node.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    /// Its namespace.
    pub(crate) namespace: &'static str,
    /// The name of the pod that counts.
    pub(crate) pod: String,
    /// What it does.
    pub(crate) state: AgentState,
}

/// What a Cilium agent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgentState {
    /// It has been running for this many seconds.
    Running(u64),
    /// It runs since this many seconds, and the pod it replaces has not gone yet.
    RunningBesideOld(u64),
    /// It runs since this many seconds and is not ready.
    Unready(u64),
    /// It runs, and nothing says since when.
    RunningUndated,
    /// It crashes again and again.
    CrashLooping,
    /// There is no such pod.
    Absent,
}

/// NodeLocal DNS on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LocalDns {
    /// In the host's network at 169.254.25.10, as Kubespray installs it; ready or not.
    HostNetwork {
        /// Whether its pod is ready.
        ready: bool,
    },
    /// In the host's network, with the upstream manifest's 169.254.20.10 beside the service's own address.
    Upstream,
    /// In the host's network, and its manifest names no address.
    Unnamed,
    /// In the host's network, with labels of somebody's own.
    Relabelled,
    /// An ordinary pod behind a local redirect; ready or not.
    Redirected {
        /// Whether its pod is ready.
        ready: bool,
    },
    /// The DaemonSet exists on other nodes, but has no pod here.
    Missing,
    /// The cluster has none at all.
    None,
}

/// Whose flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Those of every pod.
    Every,
    /// Those of the first so many pods.
    First(usize),
    /// Those of all pods after the first so many.
    After(usize),
    /// Those of the cluster DNS pod on this node.
    DnsPod,
}

/// The other side of a flow, and its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Pod to the node-local DNS address, UDP.
    LocalDns,
    /// The same over TCP.
    LocalDnsTcp,
    /// Pod to the node-local DNS pod behind a redirect.
    RedirectedDns,
    /// Pod to cluster DNS pods.
    ClusterDns,
    /// Pod to addresses where cluster DNS pods once were.
    GoneDns,
    /// Pod to the resolver of the site.
    SiteResolver,
    /// Pod to a port of its own node.
    Host,
    /// Kubelet to pod.
    Kubelet,
    /// Pod to the world, TCP, the runbook's addresses among others.
    WorldTcp,
    /// Pod to the world, TCP, none of the runbook's addresses.
    UnlistedTcp,
    /// Pod to the world, UDP.
    WorldUdp,
    /// Pod to pods of other nodes.
    RemotePods,
    /// Pods of other nodes to pods here.
    FromRemotePods,
    /// The host to the API server.
    HostOwn,
    /// The host to the node-local DNS address.
    HostDns,
    /// Companion ICMP entries.
    Related,
    /// Service entries of balancing per packet.
    Service,
    /// Neighbours of the node-local DNS address and port: text searches find them, and they are not it.
    NearMiss,
    /// Pings of pods to the world.
    Icmp,
    /// Health checks between agents.
    Health,
}

/// A group of flows by what became of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flows {
    /// To what.
    pub(crate) peer: Peer,
    /// From whom.
    pub(crate) who: Who,
    /// Answered and alive.
    pub(crate) answered: u64,
    /// Never answered, and there was time.
    pub(crate) unanswered: u64,
    /// Answered once, no longer.
    pub(crate) stopped: u64,
    /// Sent a moment ago.
    pub(crate) in_flight: u64,
    /// Answered by a reset.
    pub(crate) refused: u64,
    /// Over, answered then.
    pub(crate) expired_answered: u64,
    /// Over, never answered then.
    pub(crate) expired_unanswered: u64,
    /// Whether the agent's own proxy stands in between.
    pub(crate) proxied: bool,
}

impl Flows {
    /// No flows yet.
    pub(crate) fn to(peer: Peer) -> Self {
        Self {
            peer,
            who: Who::Every,
            answered: 0,
            unanswered: 0,
            stopped: 0,
            in_flight: 0,
            refused: 0,
            expired_answered: 0,
            expired_unanswered: 0,
            proxied: false,
        }
    }

    /// From these pods only.
    pub(crate) fn who(mut self, who: Who) -> Self {
        self.who = who;
        self
    }

    /// So many answered.
    pub(crate) fn answered(mut self, n: u64) -> Self {
        self.answered = n;
        self
    }

    /// So many never answered.
    pub(crate) fn unanswered(mut self, n: u64) -> Self {
        self.unanswered = n;
        self
    }

    /// So many no longer answered.
    pub(crate) fn stopped(mut self, n: u64) -> Self {
        self.stopped = n;
        self
    }

    /// So many sent a moment ago.
    pub(crate) fn in_flight(mut self, n: u64) -> Self {
        self.in_flight = n;
        self
    }

    /// So many reset.
    pub(crate) fn refused(mut self, n: u64) -> Self {
        self.refused = n;
        self
    }

    /// So many over: answered, unanswered.
    pub(crate) fn expired(mut self, answered: u64, unanswered: u64) -> Self {
        self.expired_answered = answered;
        self.expired_unanswered = unanswered;
        self
    }

    /// Through the agent's proxy.
    pub(crate) fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }
}

/// What came of the host's ping, and from where it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ping {
    /// Both came back, over SSH, iputils.
    Ok,
    /// Both came back, from the agent's container, busybox.
    OkFromAgent,
    /// None came back, over SSH.
    Lost,
    /// None came back, from the agent's container.
    LostFromAgent,
    /// One of two came back.
    Partial,
    /// `ping: connect: Network is unreachable`.
    NoRoute,
    /// Ping itself was not allowed to open a socket.
    NotPermitted,
    /// SSH was refused and the agent's container did not answer.
    NobodyAnswered,
    /// SSH rejected the login.
    LoginRefused,
    /// No ping on the node.
    NoTool,
    /// A deadline passed.
    TimedOut,
    /// Nobody asked.
    NotGathered,
}

/// A tool that pods probe with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// wget of busybox.
    Busybox,
    /// GNU wget, silent under `-q`.
    GnuWget,
    /// curl.
    Curl,
}

/// What came of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// An answer.
    Ok,
    /// An HTTP error: still an answer.
    HttpError,
    /// A complaint about a certificate: still an answer.
    BadCertificate,
    /// The name did not resolve; for the lookup, the server did not answer.
    NoAnswer,
    /// The lookup was answered by `SERVFAIL`; for a fetch, the name did not resolve.
    ServFail,
    /// The connection timed out.
    TimedOut,
    /// The connection was refused at the far end of the path: an answer.
    Refused,
    /// No route.
    Unreachable,
    /// The command did not end in time.
    ExecTimeout,
    /// No such tool in the container.
    NoTool,
    /// No shell and no tool at all.
    NoShell,
    /// Exec is forbidden.
    Forbidden,
    /// Nobody asked.
    NotGathered,
}

/// The probes of one pod.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probes {
    /// Which pod, an index into the node's pods.
    pub(crate) pod: usize,
    /// With what.
    pub(crate) tool: Tool,
    /// Egress by name.
    pub(crate) by_name: Probe,
    /// Egress by address.
    pub(crate) by_address: Probe,
    /// The lookup of a cluster name.
    pub(crate) dns: Probe,
}

impl Probes {
    /// Those of the first pod.
    pub(crate) fn new(by_name: Probe, by_address: Probe, dns: Probe) -> Self {
        Self { pod: 0, tool: Tool::Busybox, by_name, by_address, dns }
    }

    /// All three the same.
    pub(crate) fn all(outcome: Probe) -> Self {
        Self::new(outcome, outcome, outcome)
    }

    /// Of this pod.
    pub(crate) fn of(mut self, pod: usize) -> Self {
        self.pod = pod;
        self
    }

    /// With this tool.
    pub(crate) fn with(mut self, tool: Tool) -> Self {
        self.tool = tool;
        self
    }
}

/// A backend: number of its node, last part of its address, state.
pub(crate) type Backend = (u8, u8, &'static str);

/// A service table, as far as cluster DNS is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceTable {
    /// `ClusterIP` or `LocalRedirect`.
    pub(crate) row_type: &'static str,
    /// The backends of cluster DNS.
    pub(crate) backends: Vec<Backend>,
    /// Backends of a LocalRedirect row of the node-local address itself.
    pub(crate) local_address: Option<Vec<Backend>>,
    /// Whether messages of the client library are glued into the table.
    pub(crate) glued_noise: bool,
}

impl ServiceTable {
    /// A plain table with these active backends.
    pub(crate) fn of(backends: &[(u8, u8)]) -> Self {
        Self {
            row_type: "ClusterIP",
            backends: backends.iter().map(|&(node, host)| (node, host, "active")).collect(),
            local_address: None,
            glued_noise: false,
        }
    }

    /// As a local redirect.
    pub(crate) fn redirect(mut self) -> Self {
        self.row_type = "LocalRedirect";
        self
    }
}

/// What `status --verbose` says that matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AgentStatus {
    /// Whether kube-proxy is replaced.
    pub(crate) kube_proxy_replacement: bool,
    /// `BPF`, `IPTables` or `Disabled`.
    pub(crate) masquerading: &'static str,
    /// `Disabled`, `Wireguard`, …
    pub(crate) encryption: &'static str,
    /// Degraded modules.
    pub(crate) degraded: u64,
    /// Failing controllers.
    pub(crate) failing_controllers: u64,
    /// Nodes reachable, of how many.
    pub(crate) health: (u64, u64),
    /// Sizes of the tables: TCP, others.
    pub(crate) conntrack: (u64, u64),
}

impl Default for AgentStatus {
    fn default() -> Self {
        Self {
            kube_proxy_replacement: true,
            masquerading: "BPF",
            encryption: "Disabled",
            degraded: 0,
            failing_controllers: 0,
            health: (3, 3),
            conntrack: (131_072, 65_536),
        }
    }
}

/// What `bpftool net show` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Programs {
    /// One program on each hook.
    Complete,
    /// None at all.
    Gone,
    /// None on `cilium_host`.
    HostDeviceBare,
    /// Two of a name on the hooks of `cilium_host` and `cilium_vxlan`.
    Duplicated,
    /// One on each hook; another plugin named the pods' devices.
    Chained,
}

/// The agent's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    /// Nothing to see.
    Quiet,
    /// The datapath can't be initialized, again and again (cilium/cilium#46065).
    DatapathLoop,
}

/// What happened to a piece of evidence on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It was not gathered.
    Missing,
    /// It broke off in the middle of a line, without exit status.
    Truncated,
    /// A deadline passed; nothing came.
    Timeout,
    /// Exec is forbidden.
    Forbidden,
    /// It ended well and printed nothing but what an empty table prints.
    Empty,
    /// Lines of shells and kubectl stand among its own.
    Noise,
    /// It lies there compressed.
    Gzip,
    /// Its lines stand in another order.
    Shuffled,
    /// The command failed: exit 1, with this message.
    Failed(&'static str),
}

/// What must be said of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expect {
    /// The codes that are right; empty means any that is not forbidden.
    pub(crate) codes: Vec<&'static str>,
    /// The kinds that are wrong.
    pub(crate) forbid: Vec<&'static str>,
    /// The pods that must be named as affected.
    pub(crate) affected: Vec<String>,
    /// Pods that must not be named as affected.
    pub(crate) unaffected: Vec<String>,
    /// The one command of the remedy.
    pub(crate) command: Option<String>,
    /// The most confidence that is right.
    pub(crate) at_most: Option<&'static str>,
    /// The statuses of checks that are right.
    pub(crate) checks: Vec<(&'static str, Vec<&'static str>)>,
    /// Figures: check, path in its data, value.
    pub(crate) figures: Vec<(&'static str, &'static str, u64)>,
    /// A word that the report must hold somewhere in this node's entry.
    pub(crate) says: Vec<&'static str>,
}
