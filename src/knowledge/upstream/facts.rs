//! Which facts of a node's evidence can be the sign of an upstream issue, and whether one is seen, is not, or was
//! not looked at.

use std::collections::BTreeMap;

use super::log_error::LogError;
use crate::base::version::Version;
use crate::knowledge::code::Code;

macro_rules! marks {
    ($($(#[$meta:meta])* $variant:ident = $says:literal;)*) => {
        /// A fact about a node that is there or not. Those with a number say it behind a colon.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mark {
            $($(#[$meta])* $variant,)*
        }

        impl Mark {
            /// Every mark.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The sentence for a node that has it, without its number.
            #[must_use]
            pub const fn says(self) -> &'static str {
                match self { $(Self::$variant => $says,)* }
            }
        }
    };
}

marks! {
    // How the node is set up.
    /// `Attach Mode: TCX`.
    Tcx = "programs are attached by TCX";
    /// `Device Mode: netkit`.
    Netkit = "pod devices are netkit";
    /// `Routing: Network: Tunnel`.
    Tunnel = "nodes are connected by a tunnel";
    /// `Routing: … Host: BPF`.
    BpfHostRouting = "the host's routing is done by BPF";
    /// `Masquerading: BPF`.
    BpfMasquerading = "BPF does the masquerading";
    /// `KubeProxyReplacement: True`.
    KubeProxyReplacement = "Cilium replaces kube-proxy";
    /// `Encryption: Wireguard`.
    WireGuard = "encryption is WireGuard";
    /// `Encryption: IPsec`.
    Ipsec = "encryption is IPsec";
    /// `ClusterMesh` is configured.
    ClusterMesh = "the cluster is part of a ClusterMesh";
    /// `CNI Chaining: aws-cni`.
    AwsCniChaining = "Cilium is chained to the AWS CNI";
    /// `policy-cidr-match-mode` contains `pods`.
    PolicyCidrMatchesPods = "policy-cidr-match-mode includes pods";
    /// A policy for the host applies to this node.
    HostPolicy = "a policy for the host applies to this node";
    /// That policy sends packets through the agent's proxy.
    HostProxyRules = "the host's policy sends packets through the agent's proxy";
    /// The kernel has BTF.
    KernelBtf = "the kernel has BTF";
    /// The policy enforcement mode is `always`.
    PolicyAlwaysEnforced = "policy enforcement is `always`";
    /// Redirects to the agent's proxy are active; the number is how many.
    ProxyRedirects = "redirects to the agent's proxy are active";
    /// BPF file systems are mounted over the first one at /sys/fs/bpf; the number is how many.
    SecondBpfMount = "a second BPF file system is mounted over /sys/fs/bpf";
    /// `cilium_drift_checker_config_delta` is not 0; the number is its value.
    ConfigDrift = "configuration changes that the running agent has not applied";

    // When it began.
    /// What fails has failed since the agent's own last start.
    FailsSinceAgentStart = "it has failed since the agent's own last start";
    /// Pods that ran before the agent's last start and are cut off since; the number is how many.
    RestoredPodsCutOff = "pods older than the agent that have been cut off since the agent's last start";
    /// Pods created around the agent's start that never worked; the number is how many.
    NewbornPodsCutOff = "pods created while the agent started that have been cut off ever since";

    // The agent.
    /// Controllers that fail; the number is how many.
    FailingControllers = "failing controllers";
    /// Degraded modules; the number is how many.
    DegradedModules = "degraded modules";

    // Programs.
    /// A pod's device lacks its program.
    PodDeviceBare = "a pod's device lacks its program";
    /// `cilium_host`, a host device or a tunnel device lacks its program.
    HostDeviceBare = "a device of the host lacks its program";
    /// Two programs of one name hang on one hook; the number is how many such hooks.
    DuplicatePrograms = "hooks with two programs of one name";
    /// `cil_sock*` programs are missing from the cgroup tree that they belong to.
    SocketProgramsMissing = "socket load-balancing programs are missing from the cgroup tree";

    /// Other products' programs hang on the hooks of sockets; the number is how many.
    ForeignCgroupPrograms = "other products' programs on the hooks of sockets";

    // Services.
    /// The service table holds backends that are not ready endpoints; the number is how many.
    StrayBackends = "backends in the service table that are not ready endpoints";
    /// Ready endpoints that the service table lacks; the number is how many.
    MissingBackends = "ready endpoints that the service table lacks";
    /// A row of cluster DNS holds no ready endpoint at all.
    RowWithoutReadyEndpoint = "a row of cluster DNS holds no ready endpoint";
    /// The agent's and the kernel's table are equally out of date.
    BothTablesOld = "the agent's and the kernel's service tables are equally out of date";
    /// `bpf lb list` says `backend N not found`; the number is how often.
    KernelBackendsNotFound = "rows of `bpf lb list` whose backend is not found";
    /// `bpf lb list` holds a row `NODE:0/ANY`.
    WildcardOnNodeAddress = "`bpf lb list` has a wildcard row on the node's own address";
    /// A load balancer's address in `bpf lb list` is the node's address.
    FrontendOnNodeAddress = "a load balancer's frontend is the node's own address";
    /// A row is empty although other zones have ready endpoints.
    EmptyRowOtherZones = "a row is empty although other zones have ready endpoints";
    /// A LocalRedirect row without an active backend.
    RedirectWithoutBackend = "a LocalRedirect row has no active backend";
    /// A local redirect exists, and queries go to the plain address past it.
    RedirectWithoutEffect = "queries go to the plain address, past the local redirect";
    /// A LocalRedirect row although its own pod is not ready.
    RedirectToUnreadyPod = "a local redirect holds the row while its own pod is not ready";

    // Ways.
    /// The link-local DNS address gives no answer to pods while they reach the world.
    LinkLocalDnsDead = "a link-local DNS address does not answer pods, which reach the world";
    /// Live sockets of pods go to pods that are gone; the number is how many.
    SocketsToGonePods = "live sockets to DNS pods that are gone";
    /// What DNS servers of this node ask of their upstream is not answered.
    UpstreamDnsDead = "upstream DNS does not answer";
    /// Pod egress by address fails on this node.
    EgressByAddressDead = "pods do not reach the outside by address";
    /// Only some flows of pods to their own node are answered.
    PodToHostMixed = "only some flows of pods to their own node are answered";
    /// Flows to exactly one other node are dead.
    OneFarNodeDead = "flows to exactly one other node are dead";
    /// Flows to exactly one far end in the world are dead.
    OneFarEndDead = "flows to exactly one far end outside the cluster are dead";
    /// The host's TCP and UDP are dead in the dump while its ping is answered.
    HostAnswersPingOnly = "the host answers ICMP, but its TCP and UDP are dead";
    /// Cluster health counts fewer nodes reachable than there are.
    ClusterHealthLow = "cluster health counts unreachable nodes";
    /// Most conntrack entries are of IPv6.
    ConntrackMostlyIpv6 = "most conntrack entries are of IPv6";
}

/// Direction of a drop, as the datapath counts it from the pod's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropDirection {
    /// Towards the pod.
    Ingress,
    /// From the pod.
    Egress,
}

/// A drop reason that rises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RisingDrop {
    /// The reason as `bpf metrics list` prints it.
    pub reason: String,
    /// Its direction, where known.
    pub direction: Option<DropDirection>,
}

/// The facts of a node that upstream issues ask for. Evidence that was not read is absent, and an issue that
/// needs it does not match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// The agent's version.
    pub version: Option<Version>,
    /// The verdict's code.
    pub code: Option<Code>,
    /// Age of the agent's container when the evidence was taken, in seconds.
    pub agent_age_s: Option<i64>,
    /// Errors in the agent's log by class; none where the log was not read.
    pub log_errors: Option<BTreeMap<LogError, usize>>,
    /// Drop reasons that rise; none where drops were not read.
    pub rising_drops: Option<Vec<RisingDrop>>,
    /// The kernel, as the node says it: `6.18.39+rpt-rpi-2712`.
    pub kernel: Option<String>,
    /// The architecture, as Kubernetes says it: `arm64`.
    pub architecture: Option<String>,
    /// The operating system, as Kubernetes says it: `Talos (v1.11.0)`.
    pub os_image: Option<String>,
    /// How often each mark was seen; see [`Signs::mark`].
    pub marks: BTreeMap<Mark, u64>,
}

impl Signs {
    /// Records a mark: how often it was seen (0 if it was looked for and not found), or none if its evidence was not read.
    pub fn mark(&mut self, mark: Mark, seen: Option<u64>) {
        match seen {
            Some(times) => self.marks.insert(mark, times),
            None => self.marks.remove(&mark),
        };
    }

    /// Records a mark without a number.
    pub fn mark_if(&mut self, mark: Mark, seen: Option<bool>) {
        self.mark(mark, seen.map(u64::from));
    }

    /// How often a mark was seen; none if its evidence was not read.
    #[must_use]
    pub fn marked(&self, mark: Mark) -> Option<u64> {
        self.marks.get(&mark).copied()
    }
}

/// What an issue asks of a node.
#[derive(Clone, Copy, Debug)]
pub enum Fact {
    /// The verdict is one of these.
    Verdict(&'static [Code]),
    /// This mark is there.
    Has(Mark),
    /// This mark is not there.
    Lacks(Mark),
    /// The agent's log has an error of this class.
    Log(LogError),
    /// A drop reason that contains this text, whatever its case, rises in either direction.
    Drops(&'static str),
    /// The same in this direction.
    DropsIn(&'static str, DropDirection),
    /// The agent started less than this many seconds before.
    AgentYounger(i64),
    /// The kernel is of this line or newer.
    KernelSince(u32, u32),
    /// The kernel's name contains this word.
    KernelNamed(&'static str),
    /// The architecture is this one.
    Architecture(&'static str),
    /// The operating system's name contains this word.
    System(&'static str),
    /// One of these.
    AnyOf(&'static [Fact]),
}

/// Whether a fact was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// Yes, in one sentence.
    Seen(String),
    /// It was looked for, and is not there.
    Absent,
    /// Its evidence was not read.
    NotLookedAt,
}

impl Sighting {
    fn when(seen: Option<bool>, says: impl FnOnce() -> String) -> Self {
        match seen {
            Some(true) => Self::Seen(says()),
            Some(false) => Self::Absent,
            None => Self::NotLookedAt,
        }
    }
}

impl Fact {
    /// Whether these signs show it.
    #[must_use]
    pub fn look(&self, signs: &Signs) -> Sighting {
        match *self {
            Self::Verdict(codes) => {
                let says =
                    || signs.code.map_or_else(String::new, |code| format!("it fits the verdict {}", code.name()));
                Sighting::when(signs.code.map(|code| codes.contains(&code)), says)
            }
            Self::Has(mark) => {
                let times = signs.marked(mark);
                Sighting::when(times.map(|times| times > 0), || match times {
                    Some(times) if times > 1 => format!("{}: {times}", mark.says()),
                    _ => mark.says().to_owned(),
                })
            }
            Self::Lacks(mark) => {
                Sighting::when(signs.marked(mark).map(|times| times == 0), || format!("not so: {}", mark.says()))
            }
            Self::Log(class) => {
                let times = signs.log_errors.as_ref().map(|errors| errors.get(&class).copied().unwrap_or(0));
                Sighting::when(times.map(|times| times > 0), || {
                    let times = times.unwrap_or(0);
                    let plural = if times == 1 { "" } else { "s" };
                    format!("agent-log: {} ({times} time{plural})", class.says())
                })
            }
            Self::Drops(reason) => drops(signs, reason, None),
            Self::DropsIn(reason, direction) => drops(signs, reason, Some(direction)),
            Self::AgentYounger(seconds) => {
                let young = signs.agent_age_s.map(|age| (0..seconds).contains(&age));
                Sighting::when(young, || format!("the agent started less than {} minutes before", seconds / 60))
            }
            Self::KernelSince(major, minor) => {
                let line = signs.kernel.as_deref().and_then(Version::parse).map(Version::line);
                Sighting::when(line.map(|line| line >= (major, minor)), || kernel(signs))
            }
            Self::KernelNamed(word) => {
                Sighting::when(signs.kernel.as_deref().map(|kernel| kernel.contains(word)), || kernel(signs))
            }
            Self::Architecture(wanted) => {
                let says = || format!("the architecture is {wanted}");
                Sighting::when(signs.architecture.as_deref().map(|found| found == wanted), says)
            }
            Self::System(word) => {
                let says = || format!("the operating system is {word}");
                Sighting::when(signs.os_image.as_deref().map(|system| system.contains(word)), says)
            }
            Self::AnyOf(facts) => any_of(facts, signs),
        }
    }
}

fn kernel(signs: &Signs) -> String {
    signs.kernel.as_deref().map_or_else(String::new, |kernel| format!("the kernel is {kernel}"))
}

fn drops(signs: &Signs, reason: &str, direction: Option<DropDirection>) -> Sighting {
    let Some(rising) = &signs.rising_drops else { return Sighting::NotLookedAt };
    let wanted = reason.to_ascii_lowercase();
    let mut of_reason = rising.iter().filter(|drop| drop.reason.to_ascii_lowercase().contains(&wanted)).peekable();
    if of_reason.peek().is_none() {
        return Sighting::Absent;
    }
    let Some(direction) = direction else { return Sighting::Seen(format!("drops rise: {reason}")) };
    let mut unknown = false;
    for drop in of_reason {
        match drop.direction {
            Some(found) if found == direction => {
                let name = if direction == DropDirection::Ingress { "ingress" } else { "egress" };
                return Sighting::Seen(format!("drops rise: {reason}, {name}"));
            }
            Some(_) => {}
            None => unknown = true,
        }
    }
    if unknown { Sighting::NotLookedAt } else { Sighting::Absent }
}

fn any_of(facts: &[Fact], signs: &Signs) -> Sighting {
    let mut unknown = false;
    for fact in facts {
        match fact.look(signs) {
            Sighting::Seen(says) => return Sighting::Seen(says),
            Sighting::NotLookedAt => unknown = true,
            Sighting::Absent => {}
        }
    }
    if unknown { Sighting::NotLookedAt } else { Sighting::Absent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_is_not_the_same_as_not_looked_at() {
        let mut signs = Signs::default();
        let fact = Fact::Has(Mark::StrayBackends);
        assert_eq!(fact.look(&signs), Sighting::NotLookedAt);
        signs.mark(Mark::StrayBackends, Some(0));
        assert_eq!(fact.look(&signs), Sighting::Absent);
        signs.mark(Mark::StrayBackends, Some(2));
        assert!(matches!(fact.look(&signs), Sighting::Seen(says) if says.ends_with(": 2")));
        signs.mark(Mark::StrayBackends, None);
        assert_eq!(fact.look(&signs), Sighting::NotLookedAt);
    }

    #[test]
    fn drop_of_unknown_direction_neither_proves_nor_refutes() {
        let rising = |direction| Signs {
            rising_drops: Some(vec![RisingDrop { reason: "Policy denied".to_owned(), direction }]),
            ..Signs::default()
        };
        let fact = Fact::DropsIn("policy denied", DropDirection::Ingress);
        assert_eq!(fact.look(&rising(None)), Sighting::NotLookedAt);
        assert_eq!(fact.look(&rising(Some(DropDirection::Egress))), Sighting::Absent);
        assert!(matches!(fact.look(&rising(Some(DropDirection::Ingress))), Sighting::Seen(_)));
        assert_eq!(fact.look(&Signs { rising_drops: Some(vec![]), ..Signs::default() }), Sighting::Absent);
        assert_eq!(fact.look(&Signs::default()), Sighting::NotLookedAt);
    }

    #[test]
    fn kernels_are_compared_by_number() {
        let signs = |kernel: &str| Signs { kernel: Some(kernel.to_owned()), ..Signs::default() };
        let since = Fact::KernelSince(7, 2);
        assert!(matches!(since.look(&signs("7.10.1-talos")), Sighting::Seen(_)));
        assert_eq!(since.look(&signs("6.18.39+rpt-rpi-2712")), Sighting::Absent);
        assert_eq!(since.look(&signs("unknown")), Sighting::NotLookedAt);
    }
}
