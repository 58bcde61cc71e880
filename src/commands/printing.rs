//! Results to standard output and remarks to standard error, for every command.

use std::io;
use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;

use super::signals::Signals;
use crate::base::error::Error;
use crate::base::screen::{Format, Screen};
use crate::knowledge::code::Kind;
use crate::progress::{Output, Progress};
use crate::report::{Report, html, json, junit, prometheus, table, text};
use crate::settings;

/// How long an interrupted run waits for a reader that takes nothing of its partial results.
const STALLED: Duration = Duration::from_millis(600);

/// Where a command meets its caller: the screen, standard output, and signals.
#[derive(Debug)]
pub(super) struct Terminal {
    /// How to show results.
    pub(super) screen: Screen,
    /// Standard output.
    pub(super) output: Output,
    /// What the caller interrupts with.
    pub(super) signals: Signals,
}

impl Terminal {
    /// Shows progress, where the screen allows it.
    pub(super) fn progress(&self) -> Progress {
        Progress::new(&self.screen, &self.output)
    }

    /// Shows progress of a command that knows a node's line at the end only: as it comes, it would be a report's.
    pub(super) fn progress_until_the_end(&self) -> Progress {
        Progress::new(&Screen { format: Format::Json, ..self.screen }, &self.output)
    }

    /// Prints on standard output and waits until the reader has taken it. A closed pipe is not an error. The first signal
    /// ends the waiting; what an interrupted run prints has a reader as long as that one takes anything.
    pub(super) async fn print(&self, text: impl Into<Vec<u8>>) -> Result<(), Error> {
        let text = text.into();
        let is_table = matches!(self.screen.format, Format::Table | Format::Wide);
        self.output.put(if is_table && self.screen.ascii {
            text::ascii(&String::from_utf8_lossy(&text)).into_bytes()
        } else {
            text
        });
        let was_interrupted = self.signals.has_come();
        let mut written = std::pin::pin!(self.output.written());
        loop {
            let before = self.output.bytes();
            tokio::select! {
                biased;
                () = &mut written => break,
                () = self.signals.first(), if !was_interrupted => return Err(Error::interrupted()),
                () = sleep(STALLED), if was_interrupted => {
                    if self.output.bytes() == before {
                        return Err(Error::interrupted());
                    }
                }
            }
        }
        match self.output.trouble() {
            Some(kind) if kind != io::ErrorKind::BrokenPipe => {
                Err(Error::cannot_read("cannot write to standard output").because(io::Error::from(kind)))
            }
            _ => Ok(()),
        }
    }

    /// Does what blocks on a thread of its own, and waits for it; the first signal ends the waiting.
    pub(super) async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let done = async {
            let joined = tokio::task::spawn_blocking(work).await;
            joined.map_err(|error| Error::bug("cannot read").because(error))?
        };
        self.signals.or_interrupted(done).await
    }

    /// Writes a remark to standard error.
    pub(super) fn say(&self, line: &str) {
        if !self.screen.quiet {
            let line = text::safe(line);
            let line = if self.screen.ascii { text::ascii(&line) } else { line.into_owned() };
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}

/// Writes to standard error what went wrong beside the main thing.
pub(super) fn warn(error: &Error) {
    put("warning", error);
}

/// Writes to standard error why a command failed, and what to do next.
pub(super) fn show_error(error: &Error) {
    put("error", error);
}

fn put(word: &str, error: &Error) {
    let hint = error.hint().map(|hint| format!("hint: {hint}"));
    // An API or a file may have written any of it.
    let ascii = settings::ascii_locale();
    for text in [Some(format!("{word}: {error}")), hint].into_iter().flatten() {
        for line in text.lines() {
            let line = text::safe(line);
            let line = if ascii { text::ascii(&line).into() } else { line };
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}

/// A value in one of the formats for programs, or the text for people.
pub(super) fn document<T: Serialize>(
    screen: &Screen,
    value: &T,
    text: impl FnOnce() -> String,
) -> Result<String, Error> {
    match screen.format {
        Format::Json => json::json(value),
        Format::Jsonl => json::line(value),
        Format::Yaml => json::yaml(value),
        Format::Table | Format::Wide | Format::Name | Format::Html | Format::Junit | Format::Prometheus => Ok(text()),
    }
}

/// A report in the format of the screen.
pub(super) fn render(report: &Report, screen: &Screen) -> Result<String, Error> {
    match screen.format {
        Format::Table | Format::Wide => Ok(table::render(report, &style(screen))),
        Format::Json => json::json(report),
        Format::Yaml => json::yaml(report),
        Format::Name => {
            Ok(text::names(report.nodes.iter().filter(|n| n.verdict.kind != Kind::Healthy).map(|n| &*n.node)))
        }
        Format::Html => Ok(html::render(report)),
        Format::Junit => Ok(junit::junit(report)),
        Format::Prometheus => Ok(prometheus::metrics(report)),
        Format::Jsonl => report
            .nodes
            .iter()
            .map(|node| json::jsonl_node(node, &report.source))
            .chain([json::jsonl_end(report)])
            .collect(),
    }
}

/// How tables look on this screen.
pub(super) fn style(screen: &Screen) -> table::Style {
    table::Style {
        color: screen.color,
        width: screen.width,
        wide: screen.format == Format::Wide,
        headers: screen.headers,
    }
}
