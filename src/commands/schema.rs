//! `staledp schema`: the JSON Schema of a report, as this version writes it.

use super::printing::Terminal;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli::SchemaOf;
use crate::report::{JSON_SCHEMA, gate};

/// Prints the schema.
pub(super) async fn run(what: SchemaOf, terminal: &Terminal) -> Result<Exit, Error> {
    let schema = match what {
        SchemaOf::Report => JSON_SCHEMA,
        SchemaOf::Gate => gate::JSON_SCHEMA,
    };
    terminal.print(schema).await?;
    Ok(Exit::Healthy)
}
