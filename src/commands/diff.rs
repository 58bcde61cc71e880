//! `staledp diff BEFORE AFTER`: which verdicts, checks and figures changed between two bundles, archives or reports.

use std::path::PathBuf;

use super::kept_report::report_of;
use super::printing::{Terminal, document};
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::report::{diff, text};

/// Compares two reports and prints what changed.
///
/// `exit_code`: differences are an exit code of their own.
pub(super) async fn run(before: PathBuf, after: PathBuf, exit_code: bool, terminal: &Terminal) -> Result<Exit, Error> {
    let diff = diff::compare(&report_of(before, terminal).await?, &report_of(after, terminal).await?);
    let screen = &terminal.screen;
    let text = document(screen, &diff, || diff::text(&diff, text::prose(text::columns(screen.width)), screen.headers))?;
    terminal.print(text).await?;
    Ok(if exit_code && diff.is_any() { Exit::Differs } else { Exit::Healthy })
}
