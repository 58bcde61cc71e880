//! `staledp fix`: runs the repair, and prints its result.

use super::printing::{Terminal, document};
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli::FixArgs;
use crate::settings;

/// Repairs the named nodes and prints the report.
pub(super) async fn run(args: FixArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let settings = settings::fix(args);
    let progress = terminal.progress();
    let report = crate::fix::run(&settings, &terminal.screen, &progress, terminal.signals.came()).await?;
    let text = document(&terminal.screen, &report, || report.table(terminal.screen.width, terminal.screen.headers))?;
    terminal.print(text).await?;
    Ok(report.exit())
}
