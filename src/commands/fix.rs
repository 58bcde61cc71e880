//! `staledp fix`: runs the repair, and prints its result.

use super::printing::Terminal;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::screen::Format;
use crate::cli::FixArgs;
use crate::report::json;
use crate::settings;

/// Repairs the named nodes and prints the report.
pub(super) async fn run(args: FixArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let settings = settings::fix(args);
    let progress = terminal.progress();
    let report = crate::fix::run(&settings, &terminal.screen, &progress, terminal.signals.came()).await?;
    let text = match terminal.screen.format {
        Format::Table | Format::Wide => report.table(terminal.screen.width),
        Format::Json => json::json(&report)?,
        Format::Jsonl => json::line(&report)?,
        Format::Yaml => json::yaml(&report)?,
    };
    terminal.print(text).await?;
    Ok(report.exit())
}
