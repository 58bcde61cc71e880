//! The evidence of a restart: kept before it, and once more after it, so that it can be said what the restart changed.

use std::path::{Path, PathBuf};

use super::FixContext;
use super::report::NodeFix;
use crate::base::error::Error;
use crate::diagnose::tables::restart_changes;
use crate::gather::live::Live;
use crate::gather::save::{Run, Saving};
use crate::kubernetes::inventory::Inventory;
use crate::report::tables::RestartChanges;
use crate::rules::remedy;

/// Saves all evidence from now on, and the lists that were read before.
pub(super) fn keep<'a>(cx: &FixContext<'a>, folder: &Path, inventory: &Inventory) -> Result<Saving<'a, Live>, Error> {
    let saving = begin(cx, folder)?;
    saving.keep(inventory);
    Ok(saving)
}

fn begin<'a>(cx: &FixContext<'a>, path: &Path) -> Result<Saving<'a, Live>, Error> {
    let argv = ["staledp", "fix"].map(str::to_owned).to_vec();
    Saving::create(cx.live, path, &Run { argv, timeout: cx.settings.look.timeout, redact: None })
}

/// Where the evidence of after a restart is kept, beside that of before: `NAME-after`, `NAME-after.tar.gz`.
fn path_after(before: &Path) -> PathBuf {
    let name = before.file_name().unwrap_or_default().to_string_lossy();
    let ending = [".tar.gz", ".tgz"].into_iter().find(|ending| name.ends_with(ending)).unwrap_or_default();
    let stem = name.strip_suffix(ending).unwrap_or(&name);
    before.with_file_name(format!("{stem}-after{ending}"))
}

/// The evidence of after a restart, while the node is looked at again. The last look counts.
pub(super) struct EvidenceAfter<'a> {
    saving: Option<Saving<'a, Live>>,
}

impl<'a> EvidenceAfter<'a> {
    /// Begins it beside that of before. That it cannot be written is said, and stops nothing: the pod is restarted already.
    pub(super) fn begin(cx: &FixContext<'a>, before: Option<&Path>) -> Self {
        let saving = before.map(|before| begin(cx, &path_after(before)));
        let saving = match saving {
            Some(Ok(saving)) => Some(saving),
            Some(Err(why)) => {
                cx.steps.line(&format!("cannot save the evidence after the restart: {why}"));
                None
            }
            None => None,
        };
        if let Some(older) = saving.as_ref().and_then(Saving::older) {
            cx.steps.line(&format!("existing bundle moved to {}", older.display()));
        }
        Self { saving }
    }

    /// What keeps it; none where it cannot be kept.
    pub(super) const fn saving(&self) -> Option<&Saving<'a, Live>> {
        self.saving.as_ref()
    }

    /// Ends it; where it lies.
    pub(super) fn finish(&mut self, cx: &FixContext<'_>) -> Option<PathBuf> {
        match self.saving.take()?.finish() {
            Ok(path) => {
                cx.steps.line(&format!("evidence after the restart: {}", path.display()));
                Some(path)
            }
            Err(why) => {
                cx.steps.line(&format!("the evidence after the restart is incomplete: {why}"));
                None
            }
        }
    }
}

/// What the restart changed in the node's tables, by the evidence that was kept before and after it.
pub(super) async fn changed_tables(cx: &FixContext<'_>, fix: &NodeFix) -> Option<RestartChanges> {
    let (before, after) = fix.evidence.as_deref().zip(fix.evidence_after.as_deref())?;
    match restart_changes(before, after, &fix.node).await {
        Ok(changes) => Some(changes),
        Err(why) => {
            cx.steps.line(&format!("cannot compare the tables before and after the restart: {why}"));
            None
        }
    }
}

/// How to report a node upstream that a restart did not repair.
pub(super) fn report_upstream(fix: &NodeFix) -> String {
    let option = |name: &str, path: &Option<PathBuf>| {
        let path = path.as_ref().map(|path| remedy::quoted(&path.display().to_string()));
        path.map_or(String::new(), |path| format!(" --{name} {path}"))
    };
    let (from, after) = (option("from", &fix.evidence), option("after", &fix.evidence_after));
    let after = if from.is_empty() { String::new() } else { after };
    format!(
        "report it upstream: `staledp report {}{from}{after}` makes a redacted archive and the issue; `staledp explain` names \
         the known issues",
        remedy::quoted(&fix.node)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_of_after_lies_beside_that_of_before_in_the_same_form() {
        for (before, after) in [
            ("/x/kept", "/x/kept-after"),
            ("kept.tar.gz", "kept-after.tar.gz"),
            ("./a.tgz", "./a-after.tgz"),
            ("staledp-prusik-2026-11-27T120000Z", "staledp-prusik-2026-11-27T120000Z-after"),
        ] {
            assert_eq!(path_after(Path::new(before)), Path::new(after));
        }
    }
}
