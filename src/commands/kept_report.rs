//! A report to compare with: one that was written to a file, or what saved evidence says with the usual settings.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::Parser as _;

use super::diagnose::Judge;
use super::printing::Terminal;
use super::source::{look, spooled};
use crate::base::error::Error;
use crate::cli::{Cli, Command, DiagnoseArgs};
use crate::gather::saved;
use crate::gather::spool::Spooled;
use crate::report::{Report, read};
use crate::settings::Settings;

/// The report in a file, or the judgement of a bundle or archive with the usual settings.
pub(super) async fn report_of(path: PathBuf, terminal: &Terminal) -> Result<Report, Error> {
    let spooled = terminal.signals.or_interrupted(spooled(&path)).await?;
    let bytes = spooled.as_ref().map_or(&*path, Spooled::path).to_owned();
    if !bytes.is_dir() && !saved::is_archive(&bytes).unwrap_or(false) {
        let name = path.display().to_string();
        return terminal.beside(move || read::read_as(&name, &bytes)).await;
    }
    let settings = usual_settings(&bytes)?;
    let progress = terminal.progress_until_the_end();
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
