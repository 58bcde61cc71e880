//! `staledp risk`: what a restart of the agent may cost on each chosen node, from facts.

use super::printing::{Terminal, document};
use super::saving;
use super::source::{Work, look};
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::screen::{Format, Screen};
use crate::cli::RiskArgs;
use crate::cli::symptoms::SymptomArgs;
use crate::diagnose::diagnose;
use crate::gather::Source;
use crate::gather::supplement::SymptomSource;
use crate::kubernetes::agents::agent_namespace;
use crate::kubernetes::inventory::{Inventory, Page};
use crate::kubernetes::objects::{ControllerRevision, newest};
use crate::progress::Progress;
use crate::report::risk::RiskReport;
use crate::report::{Report, SourceInfo, text};
use crate::settings::Settings;

/// Looks at the chosen nodes and prints the risk of a restart of each agent.
pub(super) async fn run(args: RiskArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let RiskArgs { cluster, target, save } = args;
    let settings = Settings::resolve(cluster, target, SymptomArgs::default(), save);
    // A node's line is known at the end only: as it comes, it would be a report's.
    let screen = Screen { format: Format::Json, ..terminal.screen };
    let progress = Progress::new(&screen, &terminal.output);
    let weigh = Weigh { terminal, progress: &progress };
    let looked = terminal.signals.or_partial(&progress, "Printing partial results", look(&settings, &weigh)).await;
    progress.clear();
    let report = RiskReport::new(looked?);
    let columns = text::prose(text::columns(terminal.screen.width));
    let text = match terminal.screen.format {
        Format::Jsonl => report.jsonl()?,
        format => document(&terminal.screen, &report, || report.text(columns, format == Format::Wide))?,
    };
    terminal.print(text).await?;
    Ok(if report.partial && progress.was_stopped() { Exit::Interrupted } else { report.exit() })
}

/// Looks at nodes as a diagnosis does, and at the revisions of the agents' DaemonSet.
struct Weigh<'a> {
    terminal: &'a Terminal,
    progress: &'a Progress,
}

impl Work for Weigh<'_> {
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
            return Ok(self.looked(source, inventory, nodes, settings, about).await);
        };
        let saving = saving::begin(source, settings, save, inventory, self.terminal)?;
        let report = self.looked(&saving, inventory, nodes, settings, about).await;
        self.progress.clear();
        if report.partial {
            saving.mark_partial();
        }
        saving::end(saving, self.terminal);
        Ok(report)
    }
}

impl Weigh<'_> {
    async fn looked<S: Source>(
        &self,
        source: &S,
        inventory: &Inventory,
        nodes: &[String],
        settings: &Settings,
        about: SourceInfo,
    ) -> Report {
        let named = settings.diagnose.questions.cilium_namespace.clone();
        let namespace = named.or_else(|| agent_namespace(inventory.pods.known()));
        let revisions = match &namespace {
            Some(namespace) => source.further(&SymptomSource::Revisions { namespace }).await.ok(),
            None => None,
        };
        let revisions = revisions.and_then(|bytes| serde_json::from_slice::<Page<ControllerRevision>>(&bytes).ok());
        let mut report = diagnose(source, inventory, nodes, &settings.diagnose, about, self.progress).await;
        if let Some(revisions) = revisions {
            let newest = newest(&revisions.items);
            for case in report.nodes.iter_mut().filter_map(|node| node.restart.as_mut()) {
                case.learn_revisions(&newest);
            }
        }
        report
    }
}
