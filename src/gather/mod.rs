//! The world behind one trait.
//!
//! A [`Source`] answers questions about a cluster: a live cluster, or a bundle that was saved from one. Everything
//! that comes back is raw: bytes, how they ended, what was asked, when, and how long it took. What the bytes mean is
//! decided further down the walk, in [`crate::cilium`] and [`crate::checks`].

pub mod archive;
pub mod bundle;
pub mod cluster;
pub mod kube;
pub mod live;
pub mod probes;
pub mod reading;
pub mod save;
pub mod saved;
pub mod scrub;
pub mod selector;
pub mod ssh;
pub mod symptoms;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use cluster::{EndpointSlice, Event, Inventory, Listed, Service};
use symptoms::Further;

/// One kind of evidence about a node; each is the output of one plain command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Evidence {
    /// `ping` of an outside address from the node itself.
    HostPing,
    /// A connection from a pod to an outside name.
    PodEgress,
    /// A connection from the same pod to an outside address.
    PodEgressAddress,
    /// A lookup of a cluster name from the same pod.
    PodDns,
    /// The whole connection tracking table of the node.
    CtList,
    /// The agent's view of the services.
    ServiceList,
    /// The kernel's view of the services.
    LbList,
    /// `cilium-dbg status --verbose`.
    AgentStatus,
    /// `cilium-dbg bpf metrics list`.
    DropMetrics,
    /// The same again, some seconds and a probe later: what rises in between is dropped now.
    DropMetricsAgain,
    /// `cilium-dbg bpf nat list`.
    NatList,
    /// `bpftool net show`.
    AttachedPrograms,
    /// The last lines of the agent's log.
    AgentLog,
    /// The whole connection tracking table of a neighbour, asked of the neighbour's agent: kept beside the node that it
    /// is held against.
    NeighbourCtList,
}

impl Evidence {
    /// Every kind, in the order in which it is gathered.
    pub const ALL: [Self; 14] = [
        Self::HostPing,
        Self::PodEgress,
        Self::PodEgressAddress,
        Self::PodDns,
        Self::CtList,
        Self::ServiceList,
        Self::LbList,
        Self::AgentStatus,
        Self::DropMetrics,
        Self::DropMetricsAgain,
        Self::NatList,
        Self::AttachedPrograms,
        Self::AgentLog,
        Self::NeighbourCtList,
    ];

    /// The name in a bundle and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostPing => "host-ping",
            Self::PodEgress => "pod-egress",
            Self::PodEgressAddress => "pod-egress-address",
            Self::PodDns => "pod-dns",
            Self::CtList => "ct-list",
            Self::ServiceList => "service-list",
            Self::LbList => "lb-list",
            Self::AgentStatus => "agent-status",
            Self::DropMetrics => "drop-metrics",
            Self::DropMetricsAgain => "drop-metrics.2",
            Self::NatList => "nat-list",
            Self::AttachedPrograms => "attached-programs",
            Self::AgentLog => "agent-log",
            Self::NeighbourCtList => "neighbour-ct-list",
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A pod by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodRef {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl std::str::FromStr for PodRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(format!("'{text}' is not NAMESPACE/NAME")),
        }
    }
}

/// One question to a [`Source`].
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The node it is about.
    pub node: &'a str,
    /// What is wanted.
    pub evidence: Evidence,
    /// The Cilium agent's pod on the node, where there is one that runs.
    pub agent: Option<&'a PodRef>,
    /// Who probes: only for the three pod probes.
    pub probe: Option<Probe<'a>>,
}

/// The pod that runs a probe.
#[derive(Clone, Copy, Debug)]
pub struct Probe<'a> {
    /// 1 for the first pod of the node that was tried, 2 for the second, …
    pub slot: usize,
    /// The pod.
    pub pod: &'a PodRef,
    /// Whether no other pod is left to ask: then one without a shell is worth being tried tool by tool.
    pub last: bool,
}

/// From where the host's question was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// Over SSH, on the node itself.
    Ssh,
    /// From the Cilium agent's container, which shares the host's network.
    AgentContainer,
}

/// Why there was no clean end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// A deadline passed.
    Timeout,
    /// A right is missing, or a login was refused.
    Forbidden,
    /// The thing asked, or the program that answers, is not there.
    NotFound,
    /// No connection came about.
    Unreachable,
    /// It began, and broke off before its exit status, or hit the size cap.
    Truncated,
    /// The container has no shell or tool to ask with.
    NoShell,
    /// Anything else.
    #[serde(other)]
    Other,
}

/// Why an answer is missing, in a form for a program and one for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// For a program.
    pub kind: FailureKind,
    /// For a person; ends with what to do next, where that is known.
    pub message: String,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The time that a whole node may take was over before this evidence was there.
    #[must_use]
    pub fn time_over(evidence: Evidence, whole: Duration) -> Self {
        let whole = humantime::format_duration(whole);
        let message = format!("the node's time of {whole} was over before {evidence} ended; see --timeout");
        Self::new(FailureKind::Timeout, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The command ran to its end, with this exit code.
    Exited(i32),
    /// There was no clean end.
    Failed(Failure),
    /// Nobody asked: the bundle has no such file, or there was nobody to ask. The text says which.
    NotGathered(String),
}

/// Everything about an answer but its standard output, which went to the caller's sink as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The one plain command that was run.
    pub argv: Vec<String>,
    /// How it ended.
    pub end: End,
    /// Standard error, at most 64 KiB of it.
    pub stderr: String,
    /// When it was asked, RFC 3339 in UTC.
    pub started_at: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Only for `host-ping`: from where.
    pub via: Option<Via>,
    /// Only for the pod probes: from which pod.
    pub pod: Option<PodRef>,
}

impl Answer {
    /// An answer that was never asked for, and why.
    pub fn not_gathered(why: impl Into<String>) -> Self {
        Self {
            argv: Vec::new(),
            end: End::NotGathered(why.into()),
            stderr: String::new(),
            started_at: None,
            duration_ms: None,
            via: None,
            pod: None,
        }
    }
}

/// An answer with its standard output, for evidence that is small.
#[derive(Clone, Debug)]
pub struct Raw {
    /// How it ended and what was asked.
    pub answer: Answer,
    /// Standard output, at most [`SMALL_OUTPUT`] bytes.
    pub stdout: Vec<u8>,
}

/// The most that is kept of an output that is read as a whole, in bytes. What is longer counts as truncated.
pub const SMALL_OUTPUT: usize = 8 << 20;

/// Where standard output goes, chunk by chunk, as it comes.
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]);

/// The world: a live cluster or something that was saved from one.
pub trait Source {
    /// The cluster's lists. Each list that could not be had carries its reason.
    async fn inventory(&self) -> Inventory;

    /// The pods that may be asked to probe from this node, best first, at most three.
    fn probe_pods(&self, node: &str, inventory: &Inventory) -> Vec<PodRef>;

    /// Whether everything it can tell is there already, so that a further question costs nobody anything.
    fn is_saved(&self) -> bool {
        false
    }

    /// How many nodes may be looked at at once, at most.
    fn at_once(&self) -> usize {
        usize::MAX
    }

    /// The agent whose dump was kept beside this node as its neighbour's, where that is told.
    fn kept_neighbour(&self, _node: &str) -> Option<PodRef> {
        None
    }

    /// How often it said so far that it is too busy and should be asked later.
    fn refusals(&self) -> u64 {
        0
    }

    /// Cluster DNS as the API has it now, once more: its services and their endpoint slices. None where there is no
    /// "now".
    async fn cluster_dns_now(&self) -> Option<(Listed<Service>, Listed<EndpointSlice>)> {
        None
    }

    /// Asks one question; standard output goes to `out` as it comes. Always ends: every implementation has a
    /// deadline of its own.
    async fn ask(&self, question: &Question<'_>, out: Sink<'_>) -> Answer;

    /// Shows the events of one reason to `each`, one after the other, so that nobody has to hold them.
    ///
    /// # Errors
    ///
    /// The reason why they can't be had; `each` may have seen some.
    async fn events(&self, reason: &str, inventory: &Inventory, each: &mut dyn FnMut(&Event)) -> Result<(), Failure> {
        let events = inventory.events.as_ref().map_err(Clone::clone)?;
        events.iter().filter(|event| event.reason == reason).for_each(each);
        Ok(())
    }

    /// Asks for something that only symptoms are read from. What comes is free of credentials that can be told.
    ///
    /// # Errors
    ///
    /// The reason why it can't be had; [`FailureKind::NotFound`] where there is no such thing.
    async fn further(&self, _what: &Further<'_>) -> Result<Vec<u8>, Failure> {
        Err(Failure::new(FailureKind::NotFound, "what was saved does not hold it"))
    }

    /// Asks one question whose answer is small enough to be held.
    async fn ask_small(&self, question: &Question<'_>) -> Raw {
        let mut stdout = Vec::new();
        let mut over = false;
        let mut keep = |chunk: &[u8]| {
            let room = SMALL_OUTPUT - stdout.len();
            over |= chunk.len() > room;
            stdout.extend_from_slice(&chunk[..chunk.len().min(room)]);
        };
        let mut answer = self.ask(question, &mut keep).await;
        if over {
            let message = format!("the output is longer than {} MiB and was not read to its end", SMALL_OUTPUT >> 20);
            answer.end = End::Failed(Failure::new(FailureKind::Truncated, message));
        }
        Raw { answer, stdout }
    }
}
