//! `staledp diagnose`: the five checks on each chosen node, a verdict, and the exit code of the worst.

use std::collections::BTreeMap;

use super::merge;
use super::nodes;
use super::printing::{Terminal, render};
use super::saving;
use super::source::{Opened, Work, look};
use crate::base::error::{Error, ErrorKind};
use crate::base::exit::Exit;
use crate::base::screen::Format;
use crate::cli::DiagnoseArgs;
use crate::diagnose::diagnose;
use crate::gather::Source;
use crate::gather::supplement::SymptomSource;
use crate::kubernetes::agents::agent_namespace;
use crate::kubernetes::inventory::{Inventory, Page};
use crate::kubernetes::objects::{ControllerRevision, newest};
use crate::progress::Progress;
use crate::report::{Report, json};
use crate::settings::{EvidenceFrom, Settings};

/// Diagnoses the chosen nodes and prints the report.
pub(super) async fn run(args: DiagnoseArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let DiagnoseArgs { nodes, cluster, mut target, symptoms, save } = args;
    target.node.extend(nodes);
    let contexts = if cluster.context.len() > 1 { cluster.context.clone() } else { Vec::new() };
    let settings = Settings::resolve(cluster, target, symptoms, save);
    let (mut report, was_stopped) = if contexts.is_empty() {
        one_cluster(&settings, terminal).await?
    } else {
        fleet(&contexts, settings.clone(), terminal).await?
    };
    let none = nodes::note_on_none(&settings, report.nodes.len() + report.skipped.len());
    if let Some(note) = &none {
        terminal.say(note);
        report.notes.push(note.clone());
    }
    let text = match terminal.screen.format {
        // The nodes' lines were printed as they came.
        Format::Jsonl => json::jsonl_end(&report)?,
        _ => render(&report, &terminal.screen)?,
    };
    terminal.print(text).await?;
    // A run that its own deadline ended is partial, too, and has judged what it could.
    Ok(match none {
        _ if report.partial && was_stopped => Exit::Interrupted,
        Some(_) if !report.partial => Exit::Healthy,
        _ => report.exit(),
    })
}

/// Judges the nodes of one cluster, or of saved evidence; says whether the run was interrupted.
async fn one_cluster(settings: &Settings, terminal: &Terminal) -> Result<(Report, bool), Error> {
    let progress = terminal.progress();
    let judge = Judge { terminal, progress: &progress, revisions: false };
    let judged = terminal.signals.or_partial(&progress, "Printing partial results", look(settings, &judge)).await;
    progress.clear();
    Ok((judged?, progress.was_stopped()))
}

/// Judges the nodes of several clusters, one after the other. A cluster that cannot be looked at makes the report partial;
/// the run fails where none can.
async fn fleet(contexts: &[String], mut settings: Settings, terminal: &Terminal) -> Result<(Report, bool), Error> {
    if settings.save.is_some() {
        return Err(Error::usage("cannot save several clusters as one bundle").with_hint("capture each cluster"));
    }
    let (mut reports, mut failed) = (Vec::new(), Vec::new());
    let mut was_stopped = false;
    for context in contexts {
        if was_stopped {
            failed.push((context, Error::interrupted()));
            continue;
        }
        if let EvidenceFrom::Cluster(cluster) = &mut settings.evidence {
            cluster.context = Some(context.clone());
        }
        match one_cluster(&settings, terminal).await {
            Ok((report, stopped)) => {
                was_stopped = stopped;
                reports.push((context.clone(), report));
            }
            Err(error) => {
                was_stopped = error.kind() == ErrorKind::Interrupted;
                failed.push((context, error));
            }
        }
    }
    if reports.is_empty() {
        return Err(failed.into_iter().next().map_or_else(Error::interrupted, |(_, error)| error));
    }
    let mut report = merge::join(reports)?;
    let reasons = failed.iter().map(|(context, error)| format!("{context}: {error}"));
    let reasons: Vec<String> = report.partial_reason.take().into_iter().chain(reasons).collect();
    report.partial = !reasons.is_empty();
    report.partial_reason = report.partial.then(|| reasons.join("; "));
    Ok((report, was_stopped))
}

/// Judges nodes, and keeps the evidence where that is wanted.
pub(super) struct Judge<'a> {
    pub(super) terminal: &'a Terminal,
    pub(super) progress: &'a Progress,
    /// Whether it is learnt, too, which revision of its DaemonSet a new agent would be.
    pub(super) revisions: bool,
}

impl Work for Judge<'_> {
    type Done = Report;

    fn progress(&self) -> Option<&Progress> {
        Some(self.progress)
    }

    async fn on<S: Source>(&self, opened: Opened<'_, S>) -> Result<Report, Error> {
        let Some(save) = &opened.settings.save else { return Ok(self.judged(opened).await) };
        let Opened { source, inventory, nodes, settings, about } = opened;
        let saving = saving::begin(source, settings, save, inventory, self.terminal)?;
        let report = self.judged(Opened { source: &saving, inventory, nodes, settings, about }).await;
        self.progress.clear();
        if report.partial {
            saving.mark_partial();
        }
        saving::end(saving, self.terminal);
        Ok(report)
    }
}

impl Judge<'_> {
    async fn judged<S: Source>(&self, opened: Opened<'_, S>) -> Report {
        let Opened { source, inventory, nodes, settings, about } = opened;
        let newest = if self.revisions { newest_revisions(source, inventory, settings).await } else { None };
        let mut report = diagnose(source, inventory, nodes, &settings.diagnose, about, self.progress).await;
        if let Some(newest) = newest {
            for case in report.nodes.iter_mut().filter_map(|node| node.restart.as_mut()) {
                case.learn_revisions(&newest);
            }
        }
        report
    }
}

/// The newest revision of each DaemonSet beside the agents, by the DaemonSet's uid; none where they cannot be read.
async fn newest_revisions<S: Source>(
    source: &S,
    inventory: &Inventory,
    settings: &Settings,
) -> Option<BTreeMap<String, String>> {
    let named = settings.diagnose.questions.cilium_namespace.clone();
    let namespace = named.or_else(|| agent_namespace(inventory.pods.known()))?;
    let bytes = source.further(&SymptomSource::Revisions { namespace: &namespace }).await.ok()?;
    let page = serde_json::from_slice::<Page<ControllerRevision>>(&bytes).ok()?;
    Some(newest(&page.items))
}
