//! `staledp version`: name, version, commit, and how recent the knowledge of upstream issues is.

use serde::Serialize;

use super::printing::{Terminal, document};
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::tool::Tool;
use crate::knowledge::upstream::KNOWN_AS_OF;

/// What is known of this build.
#[derive(Serialize)]
struct Version {
    #[serde(flatten)]
    tool: Tool,
    /// The commit it was built from; `-dirty` behind it where files differ. Null for a debug build.
    commit: Option<&'static str>,
    /// When that commit was made, RFC 3339.
    date: Option<&'static str>,
    /// How recent the knowledge of upstream issues is: a year and a month.
    upstream_known_as_of: &'static str,
}

/// Prints the version.
pub(super) async fn run(terminal: &Terminal) -> Result<Exit, Error> {
    let known = |value: &'static str| Some(value).filter(|value| !value.is_empty());
    let version = Version {
        tool: Tool::THIS,
        commit: known(env!("STALEDP_COMMIT")),
        date: known(env!("STALEDP_COMMIT_DATE")),
        upstream_known_as_of: KNOWN_AS_OF,
    };
    let text = document(&terminal.screen, &version, || {
        let commit = match (version.commit, version.date) {
            (Some(commit), Some(date)) => format!("commit {commit} of {date}\n"),
            (Some(commit), None) => format!("commit {commit}\n"),
            (None, _) => String::new(),
        };
        let Tool { name, version } = &version.tool;
        format!("{name} {version}\n{commit}upstream issues known as of {KNOWN_AS_OF}\n")
    })?;
    terminal.print(text).await?;
    Ok(Exit::Healthy)
}
