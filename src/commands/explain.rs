//! `staledp explain [CODE]`: explains a verdict code, a check, evidence or an upstream issue, without a cluster.

use super::printing::{Terminal, document};
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::report::explain::{explain, find};
use crate::report::explain_data::Topics;

/// Explains one topic, or lists them all.
pub(super) async fn run(topic: Option<&str>, terminal: &Terminal) -> Result<Exit, Error> {
    let topic = find(topic)?;
    terminal.print(document(&terminal.screen, &Topics::new(topic), || explain(topic))?).await?;
    Ok(Exit::Healthy)
}
