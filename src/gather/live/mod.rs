//! The live cluster: which commands answer a question, and what is asked instead where a tool is missing.

mod agent;
mod bounded;
mod dialect;
pub mod kube;
mod lists;
mod pack;
mod packed;
pub mod ssh;
mod tools;

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use tokio::time::timeout;

use super::supplement::SymptomSource;
use super::{Question, Sink, Source, probes};
use crate::base::answer::{Answer, End, Raw, SMALL_OUTPUT, Via};
use crate::base::cluster_settings::{ClusterSettings, SshSettings};
use crate::base::error::Error;
use crate::base::evidence::Evidence;
use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;
use crate::base::probe_tools::is_usage_error;
use crate::base::questions::Questions;
use crate::base::ssh_address::SshAddress;
use crate::base::time::Timestamp;
use crate::base::version::Version;
use crate::kubernetes::agents::AGENT_CONTAINER as AGENT;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::inventory::{Inventory, Listed};
use crate::kubernetes::objects::{EndpointSlice, Event, Node, Pod, Service};
use agent::AgentKnown;
use bounded::{Bounded, CommandEnd, ExecTarget, HeldOutput, Limit, Task};
use dialect::Dialect;
use kube::{Cluster, LOG_LINES};
use ssh::Ssh;
use tools::Tools;

/// How long a probe or a ping may take on the far side: tools give up after 5 s by themselves, name look-ups later.
const PROBE: Duration = Duration::from_secs(8);
/// How long an answer over SSH is waited for before the agent's container is asked beside it: longer than a ping
/// without replies takes.
const SSH_ALONE: Duration = Duration::from_secs(5);
/// How long a small answer of the agent may take.
const SMALL: Duration = Duration::from_secs(20);
/// The port that stands for "the outside answers" where there is no ping: open on every public resolver.
const HTTPS: u16 = 443;

/// A live cluster.
pub struct Live {
    cluster: Cluster,
    ssh: Option<SshRoute>,
    questions: Questions,
    timeout: Duration,
    bounded: Bounded,
    compress: bool,
    known: RefCell<Known>,
}

/// SSH, or why it is not available for any node.
struct SshRoute {
    ssh: Result<Ssh, Failure>,
    address: SshAddress,
}

/// What was learnt on the way.
#[derive(Default)]
struct Known {
    nodes: HashMap<String, Node>,
    containers: HashMap<PodRef, String>,
    dialects: HashMap<PodRef, Dialect>,
    /// The releases of agents, by their images.
    releases: HashMap<PodRef, Version>,
    agents: HashMap<PodRef, AgentKnown>,
    /// Nodes whose kubelet let a handshake's whole time go by, since the lists were read.
    unanswered: HashMap<String, Failure>,
    /// Nodes that SSH did not reach.
    unreached: HashMap<String, Failure>,
}

/// Connects to the cluster and asks it one cheap question; `timeout` is what one node may take.
///
/// # Errors
///
/// [`ErrorKind::Configuration`](crate::base::error::ErrorKind) for options that cannot be given to `ssh`; `CannotReach`
/// where no cluster is found, or it does not answer.
pub async fn connect(cluster: &ClusterSettings, questions: &Questions, timeout: Duration) -> Result<Live, Error> {
    if let Some(settings) = &cluster.ssh {
        ssh::check(settings)?;
    }
    let reach = |settings: &SshSettings| SshRoute { ssh: Ssh::new(settings), address: settings.address };
    Ok(Live {
        ssh: cluster.ssh.as_ref().map(reach),
        cluster: Cluster::connect(cluster).await?,
        questions: questions.clone(),
        timeout,
        bounded: Bounded::new(cluster.compress),
        compress: cluster.compress,
        known: RefCell::default(),
    })
}

impl Live {
    /// The kubeconfig context; none inside a cluster.
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        self.cluster.context()
    }

    /// The wire to the API server, for requests that are not evidence of a node.
    #[must_use]
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Looks a name up from a pod of this node that [`Source::probe_pods`] chose; `last` says that no other is left to
    /// ask.
    pub async fn look_up(&self, node: &str, pod: &PodRef, name: &str, last: bool) -> Raw {
        let container = self.known.borrow().containers.get(pod).cloned();
        let place = ExecTarget { node: Some(node), pod, container: container.as_deref(), one_of_many: !last };
        self.ask_for_text(place, probes::lookup(name)).await
    }

    /// Reads one node's pods anew into the lists; returns those that are not being ended, which alone are in the lists
    /// then.
    ///
    /// # Errors
    ///
    /// Why they cannot be read; the lists stay as they were.
    pub async fn pods_on(&self, node: &str, inventory: &mut Inventory) -> Result<Vec<Pod>, Failure> {
        let mut here = self.cluster.pods_on(node).await?;
        here.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        {
            let mut known = self.known.borrow_mut();
            known.unanswered.remove(node);
            known.unreached.remove(node);
            known.learn_releases(&here);
            for pod in &here {
                known.agents.remove(&pod.reference());
            }
        }
        let anew = |mut pods: Vec<Pod>| {
            pods.retain(|pod| pod.spec.node_name != node);
            pods.extend(here.iter().cloned());
            pods
        };
        inventory.pods = match std::mem::replace(&mut inventory.pods, Listed::Whole(Vec::new())) {
            Listed::Missing(why) => Listed::Partial { items: here.clone(), of: format!("node {node}"), why },
            listed => listed.map(anew),
        };
        Ok(here)
    }

    /// What the agent of this node says of its endpoints, whatever they are doing: `cilium-dbg endpoint list`.
    pub async fn endpoint_list(&self, node: &str, agent: &PodRef) -> Raw {
        let by = |program: &str| [program, "endpoint", "list"].map(str::to_owned).to_vec();
        let place = ExecTarget { node: Some(node), pod: agent, container: Some(AGENT), one_of_many: false };
        self.ask_for_text(place, vec![by("cilium-dbg"), by("cilium")]).await
    }

    /// The first [`SMALL_OUTPUT`] bytes of what the first command that is there says.
    async fn ask_for_text(&self, place: ExecTarget<'_>, ladder: Vec<Vec<String>>) -> Raw {
        let mut stdout = Vec::new();
        let mut keep = |chunk: &[u8]| {
            let room = SMALL_OUTPUT.saturating_sub(stdout.len());
            stdout.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        };
        let mut out = HeldOutput::new(&mut keep);
        let answer = self.run_first_available(place, ladder, &mut out).await;
        out.release();
        Raw { answer, stdout }
    }

    /// Leaves nothing behind on this machine.
    pub async fn close(&self) {
        if let Some(SshRoute { ssh: Ok(ssh), .. }) = &self.ssh {
            ssh.close().await;
        }
    }

    /// The host's question: over SSH, else from the agent's container, which shares the host's network. Where the login
    /// takes long both are asked: a node that is dead is dead to both, and is waited for once.
    async fn host_ping(&self, question: &Question<'_>, out: &mut HeldOutput<'_>) -> Answer {
        let Some(reach) = &self.ssh else {
            return match question.agent {
                Some(agent) => self.ping_by_agent(question.node, agent, out).await,
                None => Answer::not_gathered("neither SSH nor a Cilium agent on the node is available"),
            };
        };
        let mut ssh = pin!(self.ping_by_ssh(reach, question.node));
        let (by_ssh, by_agent) = match (timeout(SSH_ALONE, &mut ssh).await, question.agent) {
            (Ok(ssh @ Ok(_)), _) => (ssh, None),
            (Ok(Err(failure)), Some(agent)) => {
                (Err(failure), Some(self.ping_by_agent(question.node, agent, out).await))
            }
            (Ok(Err(failure)), None) => (Err(failure), None),
            (Err(_), None) => (ssh.await, None),
            (Err(_), Some(agent)) => match select(ssh, pin!(self.ping_by_agent(question.node, agent, out))).await {
                Either::Left((Ok(ended), _)) => (Ok(ended), None),
                Either::Left((Err(failure), by_agent)) => (Err(failure), Some(by_agent.await)),
                Either::Right((by_agent, ssh)) => (ssh.await, Some(by_agent)),
            },
        };
        match (by_ssh, by_agent) {
            // The host's own word counts more, unless too much of the other went out already: then it is not mixed with
            // it.
            (Ok(ended), _) if out.forget() => self.pinged(ended, out),
            (Ok(_), Some(by_agent)) => by_agent,
            (Ok(_), None) => {
                let failure = Failure::new(FailureKind::Truncated, "the ping in the agent's container did not finish");
                answered(ssh::ping_argv(self.questions.ping_target), End::Failed(failure))
            }
            (Err(failure), Some(by_agent)) => after_ssh(&failure, by_agent),
            (Err(failure), None) => {
                let argv = ssh::ping_argv(self.questions.ping_target);
                Answer { via: Some(Via::Ssh), ..answered(argv, End::Failed(prefixed("ssh", &failure))) }
            }
        }
    }

    /// The answer of a ping over SSH.
    fn pinged(&self, ended: ssh::HostAnswer, out: &mut HeldOutput<'_>) -> Answer {
        out.take(&ended.stdout);
        let argv = ssh::ping_argv(self.questions.ping_target);
        Answer { stderr: ended.stderr, via: Some(Via::Ssh), ..answered(argv, ended.end) }
    }

    /// The node's own mounts, which no container sees: over SSH, or not at all.
    async fn host_mounts(&self, node: &str, out: &mut HeldOutput<'_>) -> Answer {
        let Some(reach) = &self.ssh else {
            return Answer::not_gathered("without SSH the node's own mounts cannot be read");
        };
        let asked = async {
            // A node that stayed silent a moment ago is not waited for again.
            if let Some(failure) = self.known.borrow().unreached.get(node) {
                return Err(failure.clone());
            }
            let ssh = reach.ssh.as_ref().map_err(Clone::clone)?;
            ssh.mounts(&self.destination(reach.address, node)?, PROBE).await
        };
        match asked.await {
            Ok(ended) => {
                out.take(&ended.stdout);
                Answer { stderr: ended.stderr, via: Some(Via::Ssh), ..answered(ssh::mounts_argv(), ended.end) }
            }
            Err(failure) => answered(ssh::mounts_argv(), End::Failed(prefixed("ssh", &failure))),
        }
    }

    async fn ping_by_ssh(&self, reach: &SshRoute, node: &str) -> Result<ssh::HostAnswer, Failure> {
        let ssh = reach.ssh.as_ref().map_err(Clone::clone)?;
        let destination = self.destination(reach.address, node)?;
        let pinged = ssh.ping(&destination, self.questions.ping_target, PROBE).await;
        if let Err(failure) = &pinged {
            self.known.borrow_mut().unreached.insert(node.to_owned(), failure.clone());
        }
        pinged
    }

    /// What `ssh` connects to.
    fn destination(&self, address: SshAddress, node: &str) -> Result<String, Failure> {
        let kind = match address {
            SshAddress::Name => return Ok(node.to_owned()),
            SshAddress::InternalIp => "InternalIP",
            SshAddress::ExternalIp => "ExternalIP",
        };
        let known = self.known.borrow();
        known.nodes.get(node).and_then(|node| node.address(kind)).map(str::to_owned).ok_or_else(|| {
            Failure::new(FailureKind::NotFound, format!("node {node} has no {kind}; try another --ssh-address"))
        })
    }

    /// By `ping`, which the agent's image may lack, then by a connection. Both tell by their words what they did.
    async fn ping_by_agent(&self, node: &str, agent: &PodRef, out: &mut HeldOutput<'_>) -> Answer {
        let target = self.questions.ping_target;
        let ladder = vec![ssh::ping_argv(target), probes::connect_by_bash(&target.to_string(), HTTPS)];
        let place = ExecTarget { node: Some(node), pod: agent, container: Some(AGENT), one_of_many: false };
        let answer = self.run_first_available(place, ladder, out).await;
        Answer { via: Some(Via::AgentContainer), ..answer }
    }

    async fn probe(&self, question: &Question<'_>, out: &mut HeldOutput<'_>) -> Answer {
        let Some(probe) = question.probe else {
            return Answer::not_gathered(format!("no pod on {} can run a probe", question.node));
        };
        let container = self.known.borrow().containers.get(probe.pod).cloned();
        let ladder = probes::ladder(question.evidence, &self.questions);
        let container = container.as_deref();
        let place = ExecTarget { node: Some(question.node), pod: probe.pod, container, one_of_many: !probe.last };
        let answer = self.run_first_available(place, ladder, out).await;
        Answer { pod: Some(probe.pod.clone()), ..answer }
    }

    /// Tries commands until one is there to answer; its answer counts, whatever it is. What is known to be missing is
    /// not tried.
    async fn run_first_available(
        &self,
        place: ExecTarget<'_>,
        ladder: Vec<Vec<String>>,
        out: &mut HeldOutput<'_>,
    ) -> Answer {
        let mut missing: Vec<String> = Vec::new();
        let mut last = Vec::new();
        let no_shell = || place.one_of_many && self.bounded.tools(place.pod) == Some(Tools::NoShell);
        for argv in ladder {
            let Some(program) = argv.first().filter(|program| !missing.contains(program)).cloned() else { continue };
            if no_shell() || self.bounded.tools(place.pod).is_some_and(|tools| tools.lack(&program)) {
                missing.push(program);
                last = argv;
                continue;
            }
            let limit = Limit::probe(PROBE.min(self.timeout));
            let outcome = self.run(Task { place, argv: &argv, limit, large: false }, out).await;
            let refused = matches!(outcome.end, End::Exited(code) if code != 0) && is_usage_error(&outcome.stderr);
            if !(outcome.lacks_program || refused) || !out.forget() {
                return outcome.into_answer(argv);
            }
            if outcome.lacks_program {
                missing.push(program);
            }
            last = argv;
        }
        let container = place.container.map(|name| format!("container {name} of ")).unwrap_or_default();
        let lacks = if no_shell() { "shell".to_owned() } else { missing.join(", no ") };
        let message = format!("{container}pod {} has no tool to probe with: no {lacks}", place.pod);
        answered(last, End::Failed(Failure::new(FailureKind::NoShell, message)))
    }

    /// Runs a command, unless the node's kubelet was silent before. One that is dead or frozen is waited for once; one
    /// that is only busy loses its verdict for now, and never gets a wrong one: the reason says what happened.
    async fn run(&self, task: Task<'_>, out: &mut HeldOutput<'_>) -> CommandEnd {
        if let Some(failure) = task.place.node.and_then(|node| self.unanswered(node)) {
            return CommandEnd::failed(failure);
        }
        let outcome = self.bounded.run(&self.cluster, task, out).await;
        if let (true, Some(node), End::Failed(failure)) = (outcome.unanswered, task.place.node, &outcome.end) {
            self.known.borrow_mut().unanswered.insert(node.to_owned(), failure.clone());
        }
        outcome
    }

    /// Why nothing further is asked of a node's kubelet.
    fn unanswered(&self, node: &str) -> Option<Failure> {
        let failure = self.known.borrow().unanswered.get(node).cloned()?;
        let message = format!("not asked: {failure}; if the kubelet is only busy, run again");
        Some(Failure::new(failure.kind, message))
    }

    async fn agent_log(&self, question: &Question<'_>, out: &mut HeldOutput<'_>) -> Answer {
        let Some(agent) = question.agent else {
            return Answer::not_gathered(format!("no Cilium agent on {}", question.node));
        };
        let tail = format!("--tail={LOG_LINES}");
        let argv = ["kubectl", "logs", "-n", &agent.namespace, "-c", AGENT, &tail, &agent.name];
        let argv = argv.iter().map(|&word| word.to_owned()).collect();
        // Logs come from the kubelet, too.
        if let Some(failure) = self.unanswered(question.node) {
            return answered(argv, End::Failed(failure));
        }
        answered(argv, self.cluster.log(agent, AGENT, &mut |chunk| out.take(chunk)).await)
    }
}

impl Source for Live {
    async fn inventory(&self) -> Inventory {
        let captured_at = now();
        let (nodes, pods, dns, events) = tokio::join!(
            self.cluster.nodes(),
            self.everywhere_or_in_cilium_namespace(async |namespace| self.cluster.pods(namespace).await),
            Box::pin(self.dns()),
            self.warnings(),
        );
        self.assemble(captured_at, nodes.into(), pods, dns, events)
    }

    fn probe_pods(&self, node: &str, cluster: &ClusterMap<'_>) -> Vec<PodRef> {
        let chosen = probes::choose(node, cluster, &self.questions.probe_pods);
        let pods = cluster.pods_on(node);
        let mut known = self.known.borrow_mut();
        for name in &chosen {
            let pod =
                pods.iter().find(|pod| pod.metadata.name == name.name && pod.metadata.namespace == name.namespace);
            if let Some(container) = pod.and_then(|pod| probes::container(pod)) {
                known.containers.insert(name.clone(), container);
            }
        }
        chosen
    }

    fn refusals(&self) -> u64 {
        self.cluster.refusals()
    }

    async fn events(&self, reason: &str, _inventory: &Inventory, each: &mut dyn FnMut(&Event)) -> Result<(), Failure> {
        self.cluster.events(reason, each).await
    }

    async fn further(&self, what: &SymptomSource<'_>) -> Result<Vec<u8>, Failure> {
        self.cluster.further(what).await
    }

    async fn cluster_dns_now(&self) -> Option<(Listed<Service>, Listed<EndpointSlice>)> {
        Some(self.dns().await)
    }

    async fn agents_now(&self) -> Option<Inventory> {
        Some(self.nodes_and_agents().await)
    }

    /// Asks one question. On one node they come one after the other: many commands at once make older runtimes stall
    /// for half a minute (seen with containerd 1.6 from 20 on).
    async fn ask(&self, question: &Question<'_>, out: Sink<'_>) -> Answer {
        let (started_at, clock) = (now(), Instant::now());
        let mut out = HeldOutput::new(out);
        let mut answer = match question.evidence {
            Evidence::HostPing => self.host_ping(question, &mut out).await,
            Evidence::PodEgress | Evidence::PodEgressAddress | Evidence::PodDns => self.probe(question, &mut out).await,
            Evidence::AgentLog => self.agent_log(question, &mut out).await,
            Evidence::CtList
            | Evidence::NeighbourCtList
            | Evidence::ServiceList
            | Evidence::LbList
            | Evidence::AgentStatus
            | Evidence::DropMetrics
            | Evidence::DropMetricsAgain
            | Evidence::NatList
            | Evidence::AttachedPrograms
            | Evidence::BpfMetrics
            | Evidence::BpfMetricsAgain
            | Evidence::EndpointList
            | Evidence::BpfEndpointList
            | Evidence::MapGetLxc
            | Evidence::IpcacheList
            | Evidence::MapGetIpcache
            | Evidence::LinkList
            | Evidence::CgroupTree
            | Evidence::Mounts
            | Evidence::HostFirewall
            | Evidence::HostFirewallV6
            | Evidence::ConfigDrift
            | Evidence::CallsMaps
            | Evidence::KernelBtf
            | Evidence::AgentConfig => self.ask_agent(question, &mut out).await,
            Evidence::HostMounts => self.host_mounts(question.node, &mut out).await,
        };
        out.release();
        if !matches!(answer.end, End::NotGathered(_)) {
            answer.started_at = Some(started_at);
            answer.duration_ms = u64::try_from(clock.elapsed().as_millis()).ok();
        }
        answer
    }
}

/// The time.
fn now() -> Timestamp {
    crate::base::clock::now()
}

fn answered(argv: Vec<String>, end: End) -> Answer {
    Answer { argv, end, stderr: String::new(), started_at: None, duration_ms: None, via: None, pod: None }
}

impl CommandEnd {
    fn into_answer(self, argv: Vec<String>) -> Answer {
        Answer { stderr: self.stderr, ..answered(argv, self.end) }
    }
}

fn prefixed(way: &str, failure: &Failure) -> Failure {
    Failure::new(failure.kind, format!("{way}: {}", failure.message))
}

/// What the agent's container said, beside the reason why SSH failed.
fn after_ssh(ssh: &Failure, mut answer: Answer) -> Answer {
    match &mut answer.end {
        End::Failed(failure) => failure.message = format!("ssh: {ssh}; agent container: {failure}"),
        End::Exited(_) | End::NotGathered(_) => answer.stderr = format!("ssh: {ssh}\n{}", answer.stderr),
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_the_agent_still_says_why_ssh_could_not_be_had() {
        let ssh = Failure::new(FailureKind::Unreachable, "no route");
        let answer = after_ssh(&ssh, Answer { stderr: "x".to_owned(), ..answered(Vec::new(), End::Exited(1)) });
        assert_eq!(answer.stderr, "ssh: no route\nx");
        let failed = End::Failed(Failure::new(FailureKind::Timeout, "late"));
        let End::Failed(both) = after_ssh(&ssh, answered(Vec::new(), failed)).end else { panic!("it failed") };
        assert_eq!(both, Failure::new(FailureKind::Timeout, "ssh: no route; agent container: late"));
    }
}
