//! `staledp diff BEFORE AFTER`: which verdicts, checks and figures changed between two bundles, archives or reports.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::Parser as _;

use super::diagnose::Judge;
use super::printing::{Terminal, document};
use super::source::{look, spooled};
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli::{Cli, Command, DiagnoseArgs};
use crate::gather::saved;
use crate::gather::spool::Spooled;
use crate::report::{Report, diff, read, text};
use crate::settings::Settings;

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

/// The report in a file, or the judgement of a bundle or archive with the usual settings.
async fn report_of(path: PathBuf, terminal: &Terminal) -> Result<Report, Error> {
    let spooled = terminal.signals.or_interrupted(spooled(&path)).await?;
    let bytes = spooled.as_ref().map_or(&*path, Spooled::path).to_owned();
    if !bytes.is_dir() && !saved::is_archive(&bytes).unwrap_or(false) {
        let name = path.display().to_string();
        return terminal.beside(move || read::read_as(&name, &bytes)).await;
    }
    let settings = usual_settings(&bytes)?;
    let progress = terminal.progress();
    let judge = Judge { terminal, progress: &progress, revisions: false };
    // Half of a report differs from a whole one in what was not looked at, so an interrupted one is not compared.
    let judged = terminal.signals.or_interrupted(look(&settings, &judge)).await;
    progress.clear();
    judged
}

/// What `staledp diagnose --from PATH` means.
fn usual_settings(path: &Path) -> Result<Settings, Error> {
    let words = [OsStr::new("staledp"), OsStr::new("diagnose"), OsStr::new("--from"), path.as_os_str()];
    match Cli::try_parse_from(words).map(|cli| cli.command) {
        Ok(Command::Diagnose(args)) => {
            let DiagnoseArgs { nodes: _, cluster, target, symptoms, save } = *args;
            Ok(Settings::resolve(cluster, target, symptoms, save))
        }
        Ok(_) => Err(Error::bug(format!("cannot read {}", path.display()))),
        Err(error) => Err(Error::usage(format!("cannot read {}", path.display())).because(error)),
    }
}
