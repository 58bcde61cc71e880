//! `staledp version`: name and version, as text or for programs.

use super::printing::Terminal;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::screen::Format;
use crate::base::tool::Tool;
use crate::report::json;

/// Prints the version.
pub(super) async fn run(terminal: &Terminal) -> Result<Exit, Error> {
    let tool = Tool::THIS;
    let text = match terminal.screen.format {
        Format::Table | Format::Wide => format!("{} {}\n", tool.name, tool.version),
        Format::Json => json::json(&tool)?,
        Format::Jsonl => json::line(&tool)?,
        Format::Yaml => json::yaml(&tool)?,
    };
    terminal.print(text).await?;
    Ok(Exit::Healthy)
}
