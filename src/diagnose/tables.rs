//! Reads a node's tables from saved evidence, to compare what they held before and after a restart.

use std::path::Path;
use std::sync::Arc;

use crate::base::answer::End;
use crate::base::error::Error;
use crate::gather::reading::Meter;
use crate::gather::saved::{self, Saved};
use crate::gather::{Question, Source};
use crate::report::tables::{NodeTables, RestartChanges, TABLES};

/// What a restart changed on a node, by the bundles from before and after it.
///
/// # Errors
///
/// Where one of them cannot be opened.
pub async fn restart_changes(before: &Path, after: &Path, node: &str) -> Result<RestartChanges, Error> {
    Ok(tables_in(before, node).await?.changed(&tables_in(after, node).await?))
}

async fn tables_in(path: &Path, node: &str) -> Result<NodeTables, Error> {
    Ok(match saved::open(path, &Arc::new(Meter::default())).await? {
        Saved::Bundle(bundle) => read_tables(&bundle, node).await,
        Saved::Archive(archive) => read_tables(&archive, node).await,
    })
}

/// The tables of a node, as they were saved.
pub async fn read_tables<S: Source>(source: &S, node: &str) -> NodeTables {
    let mut tables = NodeTables::default();
    for evidence in TABLES {
        let raw = source.ask_small(&Question { node, evidence, agent: None, probe: None }).await;
        let text = String::from_utf8_lossy(&raw.stdout);
        let output = match raw.answer.end {
            End::Exited(0) => Ok(&*text),
            End::Exited(code) => Err(format!("it ended with exit code {code}")),
            End::Failed(failure) => Err(failure.message),
            End::NotGathered(why) => Err(why),
        };
        tables.put(evidence, output);
    }
    tables
}
