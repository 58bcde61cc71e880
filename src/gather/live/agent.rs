//! Questions to one node's agent: together where its container has a shell, one by one where not; and none that would do
//! harm, or that a silent agent would let wait.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::bounded::{CommandEnd, ExecTarget, HeldOutput, Limit, Task};
use super::dialect::Dialect;
use super::pack::{self, GIVEN_UP, PackedAnswer, Unpacker, is_packed, needs_agent};
use super::{AGENT, Known, Live, SMALL};
use crate::base::answer::{Answer, End};
use crate::base::evidence::Evidence;
use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;
use crate::base::time::Timestamp;
use crate::gather::Question;
use crate::gather::live::kube::Exec;
use crate::kubernetes::agents;
use crate::kubernetes::objects::Pod;

/// What was asked together is read within this time, or asked anew.
const FRESH: Duration = Duration::from_secs(120);
/// How long all of it may take: as long as an agent that hangs makes it take, and some.
const PACK: Duration = Duration::from_secs(25);
/// What the network, the API server and the kubelet may add to that.
const GRACE: Duration = Duration::from_secs(4);
/// Whether the agent preallocates its maps, by its own configuration; `false` in Helm's default.
const PREALLOCATES: [&str; 2] = ["cat", "/tmp/cilium/config-map/preallocate-bpf-maps"];

/// What was learnt of one agent since the cluster's lists were read.
#[derive(Default)]
pub(super) struct AgentKnown {
    /// What was asked together and not read yet.
    packed: HashMap<Evidence, PackedAnswer>,
    /// When it was asked; none: it was not.
    asked: Option<(Instant, Timestamp)>,
    /// Its container cannot run several commands in one exec.
    one_by_one: bool,
    /// How many commands it let the time go by of, with none answered in between.
    silent: u32,
    /// Whether its drop counters can be read without harm; none: not known.
    counters_are_harmless: Option<bool>,
}

impl Known {
    /// Learns the releases of agents.
    pub(super) fn learn_releases(&mut self, pods: &[Pod]) {
        let agents = pods.iter().filter_map(|pod| Some((pod.reference(), agents::release(pod)?)));
        self.releases.extend(agents);
    }

    fn dialect(&self, agent: &PodRef) -> Dialect {
        let by_release = || Dialect::of_release(self.releases.get(agent).copied());
        self.dialects.get(agent).copied().unwrap_or_else(by_release)
    }

    /// Whether the release only reads its counters. Cilium 1.18 replaces the kernel's table where the agent preallocates its
    /// maps; a release that is not known may be that one.
    fn counters_are_harmless(&self, agent: &PodRef) -> bool {
        self.releases.get(agent).is_some_and(|release| release.line() != (1, 18))
    }
}

impl Live {
    /// One of the agent's own commands, in the dialect that this agent speaks.
    pub(super) async fn ask_agent(&self, question: &Question<'_>, out: &mut HeldOutput<'_>) -> Answer {
        let Some(agent) = question.agent else {
            return Answer::not_gathered(format!("no Cilium agent to ask on {}", question.node));
        };
        let evidence = question.evidence;
        if is_packed(evidence) {
            self.ask_together(question.node, agent, evidence).await;
            if let Some(packed) = self.taken(agent, evidence) {
                packed.pour(&mut |chunk| out.take(chunk));
                return packed.answer;
            }
        }
        let is_reading = matches!(
            evidence,
            Evidence::BpfMetrics | Evidence::BpfMetricsAgain | Evidence::DropMetrics | Evidence::DropMetricsAgain
        );
        if is_reading && !self.counters_are_harmless(question.node, agent).await {
            if matches!(evidence, Evidence::BpfMetrics | Evidence::BpfMetricsAgain) {
                let argv = self.known.borrow().dialect(agent).argv(evidence);
                return Answer { argv, ..Answer::not_gathered(pack::HARMFUL) };
            }
            // The agent has the table open and counts drops as a metric of its own.
            let mut known = self.known.borrow_mut();
            let dialect = known.dialect(agent).by_agents_counters();
            known.dialects.insert(agent.clone(), dialect);
        }
        if !self.asks_agent(agent, evidence) {
            return self.ask_plainly(question, agent, SMALL, out).await;
        }
        let silent = self.known.borrow().agents.get(agent).map_or(0, |known| known.silent);
        if silent >= GIVEN_UP {
            let argv = self.known.borrow().dialect(agent).argv(evidence);
            let failure = Failure::new(FailureKind::Timeout, pack::SILENT);
            return Answer { argv, end: End::Failed(failure), ..Answer::not_gathered("") };
        }
        let most = if silent > 0 { Duration::from_secs(pack::AGENT_AGAIN_S) } else { SMALL };
        let answer = self.ask_plainly(question, agent, most, out).await;
        let silent = if is_timeout(&answer.end) { silent + 1 } else { 0 };
        self.known.borrow_mut().agents.entry(agent.clone()).or_default().silent = silent;
        answer
    }

    /// The plain command, tried again in another dialect where the agent does not understand.
    /// Nothing but a large table may take more than `most`.
    async fn ask_plainly(
        &self,
        question: &Question<'_>,
        agent: &PodRef,
        most: Duration,
        out: &mut HeldOutput<'_>,
    ) -> Answer {
        let evidence = question.evidence;
        let large = matches!(
            evidence,
            Evidence::CtList
                | Evidence::NeighbourCtList
                | Evidence::NatList
                | Evidence::IpcacheList
                | Evidence::MapGetIpcache
        );
        // A neighbour is asked once, and its kubelet is not this node's.
        let node = (evidence != Evidence::NeighbourCtList).then_some(question.node);
        let place = ExecTarget { node, pod: agent, container: Some(AGENT), one_of_many: false };
        let most = match evidence {
            Evidence::CtList | Evidence::NeighbourCtList | Evidence::NatList => self.timeout,
            _ => most.min(self.timeout),
        };
        loop {
            let dialect = self.known.borrow().dialect(agent);
            let argv = dialect.argv(evidence);
            let limit = Limit::dump(most);
            let outcome = self.run(Task { place, argv: &argv, limit, large }, out).await;
            let next = dialect.after(evidence, &outcome);
            match next {
                Some(next) if out.forget() => {
                    self.known.borrow_mut().dialects.insert(agent.clone(), next);
                }
                _ => return outcome.into_answer(argv),
            }
        }
    }

    /// Whether the command for this evidence asks the agent itself.
    fn asks_agent(&self, agent: &PodRef, evidence: Evidence) -> bool {
        let is_counters = matches!(evidence, Evidence::DropMetrics | Evidence::DropMetricsAgain);
        needs_agent(evidence) || is_counters && self.known.borrow().dialect(agent).asks_agent_for_counters()
    }

    /// What of the pack answers this, where it was asked and is fresh. Each answer is given once.
    fn taken(&self, agent: &PodRef, evidence: Evidence) -> Option<PackedAnswer> {
        let mut known = self.known.borrow_mut();
        let known = known.agents.get_mut(agent)?;
        let (asked, started_at) = known.asked?;
        let mut packed = known.packed.remove(&evidence)?;
        if known.packed.is_empty() {
            // Its memory, too: there may be thousands of agents.
            known.packed = HashMap::new();
        }
        packed.answer.started_at = Some(started_at);
        (asked.elapsed() < FRESH).then_some(packed)
    }

    /// Asks for everything that is small in one exec, once for each look: the first reading of the drop counters begins one.
    async fn ask_together(&self, node: &str, agent: &PodRef, evidence: Evidence) {
        {
            let mut known = self.known.borrow_mut();
            let known = known.agents.entry(agent.clone()).or_default();
            let waits = known.packed.contains_key(&evidence);
            let is_first = known.asked.is_none() || evidence == Evidence::BpfMetrics;
            if is_first {
                known.silent = 0;
            }
            if known.one_by_one || waits || !is_first {
                return;
            }
            known.asked = Some((Instant::now(), super::now()));
            known.packed.clear();
        }
        if self.unanswered(node).is_some() {
            return;
        }
        // An older agent knows its program by another name: it is asked by that, once.
        for _ in 0..2 {
            let dialect = self.known.borrow().dialect(agent);
            let harmless = self.known.borrow().counters_are_harmless(agent);
            let answers = self.run_pack(node, agent, dialect, harmless).await;
            let lacks = |(evidence, packed): &(Evidence, PackedAnswer)| {
                *evidence == Evidence::BpfEndpointList && matches!(packed.answer.end, End::Exited(126 | 127))
            };
            let mut known = self.known.borrow_mut();
            if let Some(older) = dialect.by_old_name().filter(|_| answers.iter().any(lacks)) {
                known.dialects.insert(agent.clone(), older);
                continue;
            }
            let known = known.agents.entry(agent.clone()).or_default();
            known.one_by_one = answers.is_empty();
            // One that was only slow once is not silent; and where the kernel's commands were late, too, it may not be the
            // agent.
            let of_agent = || answers.iter().filter(|(evidence, _)| needs_agent(*evidence));
            let is_silent = of_agent().count() > 0 && of_agent().all(|(_, packed)| is_timeout(&packed.answer.end));
            let kernel_answers = answers.iter().any(|(_, packed)| matches!(packed.answer.end, End::Exited(_)));
            known.silent = match (is_silent, kernel_answers) {
                (true, true) => GIVEN_UP,
                (true, false) => 1,
                (false, _) => 0,
            };
            let counters = answers.iter().find(|(evidence, _)| *evidence == Evidence::BpfMetrics);
            known.counters_are_harmless = counters.map(|(_, packed)| !matches!(packed.answer.end, End::NotGathered(_)));
            known.packed = answers.into_iter().collect();
            return;
        }
    }

    /// Runs the pack; what came of it whole, or the same failure for all. Nothing where the container cannot do it.
    async fn run_pack(
        &self,
        node: &str,
        agent: &PodRef,
        dialect: Dialect,
        harmless: bool,
    ) -> Vec<(Evidence, PackedAnswer)> {
        let argv = pack::argv(dialect, self.compress, harmless);
        let limit = PACK.min(self.timeout) + GRACE;
        let exec = Exec { pod: agent, container: Some(AGENT), argv: &argv, limit, most: pack::MOST };
        let mut unpacker = Unpacker::new();
        let clock = Instant::now();
        let ended = self.cluster.exec(&exec, &mut |chunk| unpacker.take(chunk)).await;
        let (stderr, outcome) = (ended.stderr.clone(), CommandEnd::from(ended));
        let mut answers = unpacker.answers(dialect, &stderr);
        let took = clock.elapsed().as_millis();
        tracing::debug!(
            "{} pieces of evidence of {agent} came together in {took} ms: {:?}",
            answers.len(),
            outcome.end
        );
        if let End::Failed(failure) = &outcome.end
            && !outcome.lacks_program
        {
            if outcome.unanswered {
                self.known.borrow_mut().unanswered.insert(node.to_owned(), failure.clone());
            }
            let mut failure = failure.clone();
            // A person asked for plain commands.
            failure.message = failure.message.replace(&argv.join(" "), "the small evidence of this node");
            for evidence in pack::all() {
                if answers.iter().all(|(answered, _)| *answered != evidence) {
                    answers.push((evidence, PackedAnswer::failed(dialect.argv(evidence), failure.clone())));
                }
            }
        }
        answers
    }

    /// Whether the drop counters of this agent can be read without harm.
    async fn counters_are_harmless(&self, node: &str, agent: &PodRef) -> bool {
        if self.known.borrow().counters_are_harmless(agent) {
            return true;
        }
        let known = self.known.borrow().agents.get(agent).and_then(|known| known.counters_are_harmless);
        if let Some(harmless) = known {
            return harmless;
        }
        let argv = PREALLOCATES.map(str::to_owned);
        let place = ExecTarget { node: Some(node), pod: agent, container: Some(AGENT), one_of_many: false };
        let mut said = Vec::new();
        let mut keep = |chunk: &[u8]| {
            if said.len() < 64 {
                said.extend_from_slice(chunk);
            }
        };
        let mut out = HeldOutput::new(&mut keep);
        let limit = Limit::dump(SMALL.min(self.timeout));
        let outcome = self.run(Task { place, argv: &argv, limit, large: false }, &mut out).await;
        out.release();
        let harmless = outcome.end == End::Exited(0) && said.trim_ascii() == b"false";
        self.known.borrow_mut().agents.entry(agent.clone()).or_default().counters_are_harmless = Some(harmless);
        harmless
    }
}

fn is_timeout(end: &End) -> bool {
    matches!(end, End::Failed(failure) if failure.kind == FailureKind::Timeout)
}
