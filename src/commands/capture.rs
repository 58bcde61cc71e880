//! `staledp capture`: collects all evidence of nodes into a bundle, and judges nothing.

use futures::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use super::nodes;
use super::printing::Terminal;
use super::saving;
use super::source::{Opened, Work, look};
use crate::base::answer::{Answer, End, Raw};
use crate::base::error::Error;
use crate::base::evidence::Evidence;
use crate::base::exit::Exit;
use crate::base::pod_ref::PodRef;
use crate::checks::pod_egress;
use crate::checks::pod_egress::ProbeRaw;
use crate::cli::{CaptureArgs, SaveArgs};
use crate::diagnose::{DiagnoseSettings, Observer, supplement};
use crate::gather::{Probe, Question, Source};
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::inventory::Inventory;
use crate::progress::Progress;
use crate::settings::Settings;

/// Captures the chosen nodes into a bundle.
pub(super) async fn run(args: CaptureArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let CaptureArgs { to, redact, cluster, target, symptoms } = args;
    let settings = Settings::resolve(cluster, target, symptoms, SaveArgs { save: Some(to), redact });
    let progress = terminal.progress();
    let collect = Collect { terminal, progress: &progress };
    let captured = terminal.signals.or_partial(&progress, "Saving partial results", look(&settings, &collect)).await;
    progress.clear();
    captured
}

/// Collects evidence and judges nothing.
struct Collect<'a> {
    terminal: &'a Terminal,
    progress: &'a Progress,
}

impl Work for Collect<'_> {
    type Done = Exit;

    fn progress(&self) -> Option<&Progress> {
        Some(self.progress)
    }

    async fn on<S: Source>(&self, opened: Opened<'_, S>) -> Result<Exit, Error> {
        let Opened { source, inventory, nodes, settings, .. } = opened;
        if let Some(note) = nodes::note_on_none(settings, nodes.len()) {
            self.terminal.say(&note);
            return Ok(Exit::Healthy);
        }
        let Some(save) = &settings.save else { return Err(Error::bug("a capture without a place for it")) };
        let saving = saving::begin(source, settings, save, inventory, self.terminal)?;
        let Capture { partial, answers, missing } =
            capture(&saving, inventory, nodes, &settings.diagnose, self.progress).await;
        self.progress.clear();
        if partial {
            saving.mark_partial();
        }
        let remark = saving.remark();
        let path = saving.finish()?;
        for line in &missing {
            self.terminal.say(&format!("missing: {line}"));
        }
        let (nodes, missing) = (nodes.len(), missing.len());
        let counts = format!("nodes: {nodes}, answers: {answers}, missing: {missing}");
        self.terminal.say(&format!("saved: {} ({counts}){remark}", path.display()));
        Ok(if partial && self.progress.was_stopped() { Exit::Interrupted } else { Exit::Healthy })
    }
}

/// What came of a capture.
#[derive(Debug, Default)]
struct Capture {
    /// Whether it was ended early: what was under way is saved as broken off, and the rest was not asked.
    partial: bool,
    /// Answers that came to a clean end, whatever they say.
    answers: usize,
    /// What is missing: which evidence, of which node, and why.
    missing: Vec<String>,
}

/// Asks everything of these nodes, within the time that each of them has, or until the observer ends it. The answers
/// pass through `source` and stay there: it is a [`crate::gather::save::Saving`].
async fn capture<S: Source>(
    source: &S,
    inventory: &Inventory,
    nodes: &[String],
    settings: &DiagnoseSettings,
    observer: &impl Observer,
) -> Capture {
    observer.begin(nodes.len());
    let ends = settings.deadline.map(|whole| Instant::now() + whole);
    let cluster = &ClusterMap::new(inventory, settings.questions.named());
    let asked = futures::stream::iter(nodes).map(|node| async move {
        let own = Instant::now() + settings.timeout;
        let asker = Asker { source, node, deadline: ends.map_or(own, |ends| ends.min(own)), ends };
        let done = asker.node(cluster, observer).await;
        observer.done(node);
        done
    });
    // Symptoms are read meanwhile, and saved like everything that passes through the source.
    let telling =
        supplement::read_symptoms(source, inventory, &settings.symptoms, Some(nodes), settings.symptoms_limit());
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
    async fn node(&self, cluster: &ClusterMap<'_>, observer: &impl Observer) -> Capture {
        let agent = cluster.agent(self.node).running().map(|agent| agent.pod.clone());
        let mut done = Capture::default();
        for evidence in Evidence::ALL {
            observer.step(self.node, evidence.name());
            match evidence {
                Evidence::PodEgress => self.probes(agent.as_ref(), cluster, &mut done).await,
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
    async fn probes(&self, agent: Option<&PodRef>, cluster: &ClusterMap<'_>, done: &mut Capture) {
        let pods = self.source.probe_pods(self.node, cluster);
        for (index, pod) in pods.iter().enumerate() {
            let probe = Some(Probe { slot: index + 1, pod, last: index + 1 == pods.len() });
            let by_name = self.probe(Evidence::PodEgress, agent, probe, done).await;
            let by_address = self.probe(Evidence::PodEgressAddress, agent, probe, done).await;
            let dns = self.probe(Evidence::PodDns, agent, probe, done).await;
            let own = cluster.families(self.node, pod);
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
        asked.unwrap_or_else(|_| Raw { answer: Answer::not_gathered("timed out (--timeout)"), stdout: Vec::new() })
    }

    fn count(&self, evidence: Evidence, answer: Option<&Answer>, done: &mut Capture) {
        let why = match answer.map(|answer| &answer.end) {
            Some(End::Exited(_)) => {
                done.answers += 1;
                return;
            }
            Some(End::Failed(failure)) => failure.message.as_str(),
            Some(End::NotGathered(why)) => why,
            None if self.ends == Some(self.deadline) => "timed out (--deadline)",
            None => "timed out (--timeout)",
        };
        done.missing.push(format!("{evidence} ({}): {why}", self.node));
    }
}
