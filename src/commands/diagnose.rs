//! `staledp diagnose`: the five checks on each chosen node, a verdict, and the exit code of the worst.

use super::nodes;
use super::printing::{Terminal, render};
use super::saving;
use super::source::{Work, look};
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::screen::Format;
use crate::cli::DiagnoseArgs;
use crate::diagnose::diagnose;
use crate::gather::Source;
use crate::kubernetes::inventory::Inventory;
use crate::progress::Progress;
use crate::report::{Report, SourceInfo, json};
use crate::settings::Settings;

/// Diagnoses the chosen nodes and prints the report.
pub(super) async fn run(args: DiagnoseArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let DiagnoseArgs { nodes, cluster, mut target, symptoms, save } = args;
    target.node.extend(nodes);
    let settings = Settings::resolve(cluster, target, symptoms, save);
    let progress = terminal.progress();
    let judge = Judge { terminal, progress: &progress };
    let judged = terminal.signals.or_partial(&progress, "Printing partial results", look(&settings, &judge)).await;
    progress.clear();
    let mut report = judged?;
    let none = nodes::note_on_none(&settings, report.nodes.len() + report.skipped.len());
    if let Some(note) = &none {
        terminal.say(note);
        report.notes.push(note.clone());
    }
    let text = match terminal.screen.format {
        // The nodes' lines were printed as they came.
        Format::Jsonl => json::jsonl_end(&report)?,
        Format::Table | Format::Wide | Format::Json | Format::Yaml | Format::Name => render(&report, &terminal.screen)?,
    };
    terminal.print(text).await?;
    // A run that its own deadline ended is partial, too, and has judged what it could.
    Ok(match none {
        _ if report.partial && progress.was_stopped() => Exit::Interrupted,
        Some(_) if !report.partial => Exit::Healthy,
        _ => report.exit(),
    })
}

/// Judges nodes, and keeps the evidence where that is wanted.
pub(super) struct Judge<'a> {
    pub(super) terminal: &'a Terminal,
    pub(super) progress: &'a Progress,
}

impl Work for Judge<'_> {
    type Done = Report;

    fn progress(&self) -> Option<&Progress> {
        Some(self.progress)
    }

    async fn on<S: Source>(
        &self,
        source: &S,
        inventory: &Inventory,
        nodes: &[String],
        settings: &Settings,
        about: SourceInfo,
    ) -> Result<Report, Error> {
        let Some(save) = &settings.save else {
            return Ok(diagnose(source, inventory, nodes, &settings.diagnose, about, self.progress).await);
        };
        let saving = saving::begin(source, settings, save, inventory, self.terminal)?;
        let report = diagnose(&saving, inventory, nodes, &settings.diagnose, about, self.progress).await;
        self.progress.clear();
        if report.partial {
            saving.mark_partial();
        }
        saving::end(saving, self.terminal);
        Ok(report)
    }
}
