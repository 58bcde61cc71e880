//! The steps as they happen, on standard error, and the one question to who sits before them.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{BufRead as _, Write as _};

use futures::channel::oneshot;

use crate::base::screen::Screen;
use crate::report::text::{UNBOUNDED, ascii, columns, hang, prose, safe};

/// Steps 1 to 9.
const STEPS: u8 = 9;

/// Who shows the steps.
#[derive(Debug)]
pub(super) struct Steps {
    quiet: bool,
    /// Whether standard error takes ASCII only.
    ascii: bool,
    /// Lines are folded at this width.
    columns: usize,
    /// Whether a question stands on the last line, without its answer.
    open: Cell<bool>,
}

impl Steps {
    pub(super) fn new(screen: &Screen) -> Self {
        let columns = prose(columns(screen.error_width));
        Self { quiet: screen.quiet, ascii: screen.ascii, columns, open: Cell::new(false) }
    }

    /// A step begins.
    pub(super) fn begin(&self, number: u8, name: &str, says: &str) {
        self.put(&hang(&format!("[{number}/{STEPS}] {name}: "), &safe(says), self.columns));
    }

    /// More about the current step.
    pub(super) fn line(&self, says: &str) {
        self.put(&hang("        ", &safe(says), self.columns));
    }

    /// A word and what belongs to it, one below the other.
    pub(super) fn entry(&self, word: &str, says: &str) {
        self.put(&entry(word, says, self.columns));
    }

    /// Asks, with all that an answer needs, also with --quiet; returns the answer, if any.
    pub(super) async fn ask(&self, facts: &[(&str, &str)], question: &str) -> Option<String> {
        let facts: String = facts.iter().map(|(word, says)| entry(word, says, self.columns)).collect();
        let _ = write!(std::io::stderr(), "{}", self.shown(&format!("{facts}        {question}")));
        let _ = std::io::stderr().flush();
        self.open.set(true);
        let (sender, answer) = oneshot::channel();
        // A read from a terminal can't be cancelled; this thread is not waited for at the end.
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            let _ = sender.send(read.map(|_| line));
        });
        let answer = answer.await;
        // The answer ended the line.
        self.open.set(false);
        answer.ok()?.ok()
    }

    fn put(&self, text: &str) {
        if self.open.take() {
            let _ = writeln!(std::io::stderr());
        }
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "{}", self.shown(text.trim_end()));
        }
    }

    fn shown<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.ascii { ascii(text).into() } else { text.into() }
    }
}

fn entry(word: &str, says: &str, columns: usize) -> String {
    // A command is copied whole.
    let columns = if word == "command" { UNBOUNDED } else { columns };
    hang(&format!("        {word:8} "), &safe(says), columns)
}
