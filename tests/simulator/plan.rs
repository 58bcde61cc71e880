//! What is simulated: a cluster, what is broken in it, what happens to the evidence, and what is right to say.

use std::collections::BTreeMap;

use crate::cluster::{Moment, Setup};
use crate::fault::Fault;

/// Something odd that is no packet lost: a state of the agent, a table, a device, the cluster's objects.
#[derive(Clone, Debug)]
pub(crate) enum Quirk {
    /// The agent of a node has run only this long.
    AgentAge(usize, Moment),
    /// A node has no agent pod.
    AgentAbsent(usize),
    /// The agent answers no command of its interface; what reads the kernel's maps still works.
    AgentFrozen(usize),
    /// The agent's log tells that it cannot initialize the datapath, again and again.
    DatapathLoop(usize),
    /// These devices of a node have no program: the beginning of their name, or `lxc` and a pod's place.
    Bare(usize, Device),
    /// Every hook of the node holds two programs.
    Doubled(usize),
    /// Cluster DNS was rolled, and both tables of this node still hold the pods that are gone.
    OldTable(usize),
    /// The same, in the kernel's table only: the agent's is right.
    OldKernelTable(usize),
    /// A backend of cluster DNS ends in a state of newer releases, on every node.
    Terminating,
    /// DNS of this node's pods goes through the agent's proxy.
    Proxied(usize),
    /// The conntrack table of a node is no larger than what is in it.
    TableFull(usize),
    /// The local resolver's container was restarted so often, and has run since.
    Restarts(usize, u32, Moment),
    /// The local resolver's pod is not ready.
    LocalDnsUnready(usize),
    /// The node's row of the redirect has no backend.
    RedirectEmpty(usize),
    /// New pods of a node wait for a network.
    Stuck(usize),
    /// A node that the agent's DaemonSet is not meant for, without an agent.
    Foreign(usize),
    /// The tables that count drops moved by so many between the two readings: reason, direction.
    Drops(usize, &'static str, &'static str, u64),
    /// Drops that had been counted long before both readings.
    OldDrops(usize, &'static str, &'static str, u64),
    /// One status line tells of a failure of the agent.
    StatusFailure(usize),
    /// Cluster DNS pods are not ready, all of them, since then.
    ClusterDnsUnready(Moment),
    /// Peers of the tunnel's encryption: the status says so.
    Encrypted,
    /// ping prints words of another language.
    ForeignPing(usize),
    /// Some pods of the node keep sockets to cluster DNS pods that are gone.
    OldSockets(usize),
    /// Programs were attached by iproute2, which names them otherwise.
    Iproute,
    /// UDP of pods is in no line of the NAT table.
    NoUdpNat(usize),
}

impl Quirk {
    /// Whether it shows on this node by itself, without a packet lost.
    pub(crate) fn direct(&self, node: usize) -> bool {
        match self {
            Self::AgentAbsent(n)
            | Self::Bare(n, _)
            | Self::Doubled(n)
            | Self::OldTable(n)
            | Self::OldKernelTable(n)
            | Self::DatapathLoop(n)
            | Self::Stuck(n)
            | Self::RedirectEmpty(n) => *n == node,
            _ => false,
        }
    }
}

/// Devices that may lack a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// `cilium_host`.
    Host,
    /// `cilium_vxlan`.
    Tunnel,
    /// The device of one pod, by its place.
    Pod(usize),
    /// All devices of pods.
    Pods,
}

/// What happens to a piece of evidence.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// It was not gathered.
    Lost(usize, &'static str),
    /// Only the first part came, and it is known.
    Cut(usize, &'static str),
    /// Its time was over before anything came.
    TimedOut(usize, &'static str),
    /// It is not allowed.
    Forbidden(usize, &'static str),
    /// A list of the API's is not there.
    NoList(&'static str),
}

/// Verdicts that say that nothing can be said.
pub(crate) const UNKNOWN: [&str; 5] =
    ["evidence-missing", "evidence-contradictory", "too-little-traffic", "evidence-truncated", "maps-not-visible"];

/// What the injected fault makes right to say of a node.
#[derive(Clone, Debug)]
pub(crate) struct Truth {
    /// Acceptable codes; the first is the class of the truth in the matrix.
    pub(crate) codes: Vec<&'static str>,
    /// Whether it is acceptable to say that nothing can be said.
    pub(crate) unknown: bool,
    /// Whether the evidence shows a fault, so that `healthy` would hide it.
    pub(crate) shown: bool,
}

impl Truth {
    /// One of these codes and nothing else.
    pub(crate) fn is(codes: &[&'static str]) -> Self {
        Self { codes: codes.to_vec(), unknown: false, shown: true }
    }

    /// One of these codes, or that nothing can be said: but never that nothing is wrong, unless it is named.
    pub(crate) fn faulty(codes: &[&'static str]) -> Self {
        Self { unknown: true, ..Self::is(codes) }
    }

    /// One of these codes, or that nothing can be said, or that nothing is wrong: the evidence cannot decide.
    pub(crate) fn perhaps(codes: &[&'static str]) -> Self {
        Self { unknown: true, shown: false, ..Self::is(codes) }
    }

    /// Nothing is wrong with it.
    pub(crate) fn healthy() -> Self {
        Self::is(&["healthy"])
    }

    /// The kind that is right.
    pub(crate) fn class(&self) -> &'static str {
        kind_of(self.codes[0])
    }

    /// Whether this verdict is acceptable.
    pub(crate) fn accepts(&self, code: &str) -> bool {
        self.codes.contains(&code) || (self.unknown && UNKNOWN.contains(&code)) || (!self.shown && code == "healthy")
    }

    /// Whether a verdict of kind `stale` is acceptable.
    pub(crate) fn may_be_stale(&self) -> bool {
        self.codes.iter().any(|code| kind_of(code) == "stale")
    }

    /// Whether `healthy` would hide something that the evidence shows.
    pub(crate) fn must_not_be_healthy(&self) -> bool {
        self.shown && !self.codes.contains(&"healthy")
    }
}

/// The kind of a verdict code.
pub(crate) fn kind_of(code: &str) -> &'static str {
    match code {
        "healthy" => "healthy",
        "datapath-programs-missing" => "stale",
        code if code.starts_with("stale-") => "stale",
        code if UNKNOWN.contains(&code) => "inconclusive",
        _ => "other-fault",
    }
}

/// All of one bundle.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What it shows.
    pub(crate) name: String,
    /// The cluster.
    pub(crate) setup: Setup,
    /// Lost packets.
    pub(crate) faults: Vec<Fault>,
    /// Odd states.
    pub(crate) quirks: Vec<Quirk>,
    /// What happens to evidence.
    pub(crate) edits: Vec<Edit>,
    /// Further arguments of the program.
    pub(crate) args: Vec<String>,
    /// The nodes that evidence was gathered of; none: of all.
    pub(crate) gathered: Option<Vec<usize>>,
    /// What is right of these nodes; of the others `rest`.
    pub(crate) truths: BTreeMap<usize, Truth>,
    /// What is right of all other nodes.
    pub(crate) rest: Truth,
    /// What the report must hold beside the verdicts.
    pub(crate) words: Vec<(usize, Word)>,
}

/// What a node's entry must hold, or must not.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    /// It says this.
    Says(&'static str),
    /// It does not say this.
    Silent(&'static str),
    /// A check does not pass.
    NoPass(&'static str),
    /// The version of Cilium.
    Version(&'static str),
    /// A figure of a check: its name, the field, the value as JSON prints it.
    Figure(&'static str, &'static str, &'static str),
}

impl Plan {
    /// A cluster with nothing wrong.
    pub(crate) fn calm(name: &str, setup: Setup) -> Self {
        Self {
            name: name.to_owned(),
            setup,
            faults: Vec::new(),
            quirks: Vec::new(),
            edits: Vec::new(),
            args: Vec::new(),
            gathered: None,
            truths: BTreeMap::new(),
            rest: Truth::healthy(),
            words: Vec::new(),
        }
    }

    /// With this lost.
    pub(crate) fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// With this odd state.
    pub(crate) fn quirk(mut self, quirk: Quirk) -> Self {
        self.quirks.push(quirk);
        self
    }

    /// With this done to evidence.
    pub(crate) fn edit(mut self, edit: Edit) -> Self {
        self.edits.push(edit);
        self
    }

    /// With these arguments.
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// Of this node, this is right.
    pub(crate) fn truth(mut self, node: usize, truth: Truth) -> Self {
        self.truths.insert(node, truth);
        self
    }

    /// Of all other nodes, this is right.
    pub(crate) fn rest(mut self, truth: Truth) -> Self {
        self.rest = truth;
        self
    }

    /// With this in the entry of a node.
    pub(crate) fn word(mut self, node: usize, word: Word) -> Self {
        self.words.push((node, word));
        self
    }

    /// Only these nodes were looked at.
    pub(crate) fn only(mut self, nodes: &[usize]) -> Self {
        self.gathered = Some(nodes.to_vec());
        self
    }

    /// The cluster set up otherwise.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Setup)) -> Self {
        change(&mut self.setup);
        self
    }

    /// What is right of a node.
    pub(crate) fn right(&self, node: usize) -> &Truth {
        self.truths.get(&node).unwrap_or(&self.rest)
    }

    /// The nodes that evidence was gathered of.
    pub(crate) fn looked_at(&self) -> Vec<usize> {
        self.gathered.clone().unwrap_or_else(|| (0..self.setup.nodes).collect())
    }

    /// Whether there is such a quirk.
    pub(crate) fn has(&self, is: impl Fn(&Quirk) -> bool) -> bool {
        self.quirks.iter().any(is)
    }
}
