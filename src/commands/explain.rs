//! `staledp explain [CODE]`: explains a verdict code, a check or an upstream issue, without a cluster.

use super::printing::Terminal;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::report::explain::explain;

/// Explains one topic, or lists them all.
pub(super) async fn run(topic: Option<&str>, terminal: &Terminal) -> Result<Exit, Error> {
    terminal.print(explain(topic)?).await?;
    Ok(Exit::Healthy)
}
