//! Saves what a command reads as a bundle.

use std::path::Path;

use super::printing::{Terminal, warn};
use crate::base::error::Error;
use crate::gather::Source;
use crate::gather::save::{Run, Saving};
use crate::kubernetes::inventory::Inventory;
use crate::settings::{EvidenceFrom, Settings};

/// Begins a bundle with the cluster's lists.
pub(super) fn begin<'a, S: Source>(
    source: &'a S,
    settings: &Settings,
    path: &Path,
    inventory: &Inventory,
    terminal: &Terminal,
) -> Result<Saving<'a, S>, Error> {
    if let EvidenceFrom::Path(from) = &settings.evidence
        && let (Ok(from), Ok(to)) = (from.canonicalize(), path.canonicalize())
        && from == to
    {
        let failed = format!("cannot read from {} and save to it in one run", path.display());
        return Err(Error::usage(failed).with_hint("save to another path"));
    }
    let argv = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let redact = settings.redact.then(|| settings.diagnose.questions.addresses());
    let run = Run { argv, timeout: settings.diagnose.timeout, redact };
    let saving = Saving::create(source, path, &run)?;
    if let Some(older) = saving.older() {
        terminal.say(&format!("existing bundle moved to {}", older.display()));
    }
    saving.keep(inventory);
    Ok(saving)
}

/// Ends a bundle that was kept beside the main thing. That it could not be written is a warning only.
pub(super) fn end<S: Source>(saving: Saving<'_, S>, terminal: &Terminal) {
    let remark = saving.remark();
    match saving.finish() {
        Ok(path) => terminal.say(&format!("saved: {}{remark}", path.display())),
        Err(trouble) => warn(&trouble),
    }
}
