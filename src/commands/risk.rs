//! `staledp risk`: what a restart of the agent may cost on each chosen node, from facts.

use super::diagnose::Judge;
use super::printing::{Terminal, document};
use super::source::look;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::screen::Format;
use crate::cli::RiskArgs;
use crate::cli::symptoms::SymptomArgs;
use crate::report::risk::RiskReport;
use crate::report::text;
use crate::settings::Settings;

/// Looks at the chosen nodes and prints the risk of a restart of each agent.
pub(super) async fn run(args: RiskArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let RiskArgs { cluster, target, save } = args;
    let settings = Settings::resolve(cluster, target, SymptomArgs::default(), save);
    let progress = terminal.progress_until_the_end();
    let judge = Judge { terminal, progress: &progress, revisions: true };
    let looked = terminal.signals.or_partial(&progress, "Printing partial results", look(&settings, &judge)).await;
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
