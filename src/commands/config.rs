//! `staledp config view`: what holds for options that are not typed, and where it comes from.

use std::fmt::Write as _;

use super::printing::{Terminal, document};
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::report::text::safe;
use crate::settings;
use crate::settings::ConfigView;

/// Prints what holds.
pub(super) async fn view(terminal: &Terminal) -> Result<Exit, Error> {
    let view = settings::view()?;
    terminal.print(document(&terminal.screen, &view, || text(&view, terminal.screen.headers))?).await?;
    Ok(Exit::Healthy)
}

fn text(view: &ConfigView, headers: bool) -> String {
    let ConfigView { file, context, settings } = view;
    let or_none = |value: &Option<String>| value.as_deref().map_or("none".into(), safe).into_owned();
    let mut out = format!("configuration: {} · context: {}\n", or_none(file), or_none(context));
    let mut rows = Vec::new();
    if headers && !settings.is_empty() {
        rows.push(["OPTION", "VALUE", "FROM"].map(str::to_owned));
    }
    rows.extend(settings.iter().map(|setting| {
        let values = safe(&setting.values.join(", ")).into_owned();
        [format!("--{}", setting.option), values, safe(&setting.from).into_owned()]
    }));
    let wide = |column: fn(&[String; 3]) -> &String| rows.iter().map(|row| column(row).chars().count()).max();
    let (first, second) = (wide(|row| &row[0]).unwrap_or_default(), wide(|row| &row[1]).unwrap_or_default());
    for [option, value, from] in &rows {
        let _ = writeln!(out, "{option:first$}  {value:second$}  {from}");
    }
    out
}
