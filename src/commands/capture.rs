//! Asks all there is to ask of nodes, and judges nothing: for evidence that others will read.

use futures::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use crate::base::answer::{Answer, End, Raw};
use crate::base::evidence::Evidence;
use crate::base::pod_ref::PodRef;
use crate::checks::pod_egress;
use crate::checks::pod_egress::ProbeRaw;
use crate::diagnose::Observer;
use crate::gather::{Probe, Question, Source};
use crate::kubernetes::objects::Inventory;
use crate::kubernetes::surroundings::{Agent, Surroundings};
use crate::settings::Settings;
use crate::symptoms::look;

/// What became of a capture.
#[derive(Debug, Default)]
pub struct Capture {
    /// Whether it was ended before its end: what was under way is kept as broken off, and the rest was not asked.
    pub partial: bool,
    /// Answers that came to a clean end, whatever they say.
    pub answers: usize,
    /// What could not be had: which evidence, of which node, and why.
    pub missing: Vec<String>,
}

/// Asks everything of these nodes, within the time that each of them has, or until whoever waits ends it. The answers
/// pass through `source` and stay there: it is a [`crate::gather::save::Saving`].
pub async fn capture<S: Source>(
    source: &S,
    inventory: &Inventory,
    nodes: &[String],
    settings: &Settings,
    observer: &impl Observer,
) -> Capture {
    observer.begin(nodes.len());
    let ends = settings.deadline.map(|whole| Instant::now() + whole);
    let asked = futures::stream::iter(nodes).map(|node| async move {
        let own = Instant::now() + settings.timeout;
        let asker = Asker { source, node, deadline: ends.map_or(own, |ends| ends.min(own)), ends };
        let done = asker.node(inventory, settings, observer).await;
        observer.done(node);
        done
    });
    // What is told meanwhile passes through the source, too.
    let telling = look::look(source, inventory, &settings.symptoms, Some(nodes), settings.symptoms_limit());
    let told = futures::stream::once(telling).map(|told| Capture {
        missing: told.not_read.into_iter().map(|unread| format!("{}: {}", unread.what, unread.reason)).collect(),
        ..Capture::default()
    });
    let asked = futures::stream::select(asked.buffer_unordered(settings.concurrency), told);
    let mut asked = std::pin::pin!(asked);
    let mut interrupted = std::pin::pin!(observer.interrupted());
    let mut whole = Capture::default();
    loop {
        let part = tokio::select! {
            biased;
            () = &mut interrupted => {
                whole.partial = true;
                break;
            }
            part = asked.next() => part,
        };
        let Some(Capture { answers, missing, .. }) = part else { break };
        whole.answers += answers;
        whole.missing.extend(missing);
    }
    whole.partial |= ends.is_some_and(|ends| ends <= Instant::now());
    whole.missing.sort();
    whole
}

struct Asker<'a, S> {
    source: &'a S,
    node: &'a str,
    /// When this node has to be done.
    deadline: Instant,
    /// When the whole run has to be over.
    ends: Option<Instant>,
}

impl<S: Source> Asker<'_, S> {
    async fn node(&self, inventory: &Inventory, settings: &Settings, observer: &impl Observer) -> Capture {
        let agent = match Surroundings::of(self.node, inventory, &settings.questions).agent {
            Agent::Running(agent) => Some(agent.pod),
            Agent::Unknown(_) | Agent::NotRunning { .. } => None,
        };
        let mut done = Capture::default();
        for evidence in Evidence::ALL {
            observer.step(self.node, evidence.name());
            match evidence {
                Evidence::PodEgress => self.probes(agent.as_ref(), inventory, &mut done).await,
                Evidence::PodEgressAddress | Evidence::PodDns => {}
                _ => {
                    let question = Question { node: self.node, evidence, agent: agent.as_ref(), probe: None };
                    // The source keeps it.
                    let asked = timeout_at(self.deadline, self.source.ask(&question, &mut |_| {})).await;
                    self.count(evidence, asked.ok().as_ref(), &mut done);
                }
            }
        }
        done
    }

    /// Up to three pods, until one has a tool to probe with: as a diagnosis does.
    async fn probes(&self, agent: Option<&PodRef>, inventory: &Inventory, done: &mut Capture) {
        let pods = self.source.probe_pods(self.node, inventory);
        for (index, pod) in pods.iter().enumerate() {
            let probe = Some(Probe { slot: index + 1, pod, last: index + 1 == pods.len() });
            let by_name = self.probe(Evidence::PodEgress, agent, probe, done).await;
            let by_address = self.probe(Evidence::PodEgressAddress, agent, probe, done).await;
            let dns = self.probe(Evidence::PodDns, agent, probe, done).await;
            let own = inventory.families(pod);
            let told = pod_egress::judge(&[ProbeRaw { pod: pod.clone(), own, by_name, by_address, dns }], None);
            if !self.source.is_saved() && (told.by_name.is_some() || told.by_address.is_some()) {
                return;
            }
        }
    }

    async fn probe(
        &self,
        evidence: Evidence,
        agent: Option<&PodRef>,
        probe: Option<Probe<'_>>,
        done: &mut Capture,
    ) -> Raw {
        let question = Question { node: self.node, evidence, agent, probe };
        let asked = timeout_at(self.deadline, self.source.ask_small(&question)).await;
        self.count(evidence, asked.as_ref().ok().map(|raw| &raw.answer), done);
        asked.unwrap_or_else(|_| Raw { answer: Answer::not_gathered("the node's time was over"), stdout: Vec::new() })
    }

    fn count(&self, evidence: Evidence, answer: Option<&Answer>, done: &mut Capture) {
        let why = match answer.map(|answer| &answer.end) {
            Some(End::Exited(_)) => {
                done.answers += 1;
                return;
            }
            Some(End::Failed(failure)) => failure.message.as_str(),
            Some(End::NotGathered(why)) => why,
            None if self.ends == Some(self.deadline) => "the run's time was over; see --deadline",
            None => "the node's time was over; see --timeout",
        };
        done.missing.push(format!("{evidence} of {}: {why}", self.node));
    }
}
