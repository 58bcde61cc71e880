//! `staledp schema`: the JSON Schema of the report, as this version writes it.

use super::printing::Terminal;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::report::JSON_SCHEMA;

/// Prints the schema.
pub(super) async fn run(terminal: &Terminal) -> Result<Exit, Error> {
    terminal.print(JSON_SCHEMA).await?;
    Ok(Exit::Healthy)
}
