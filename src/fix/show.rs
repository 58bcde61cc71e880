//! The steps as they happen, on standard error, and the one question to who sits before them.

use std::cell::Cell;
use std::io::{BufRead as _, Write as _};

use futures::channel::oneshot;

use crate::report::text::{hang, safe};
use crate::settings::Screen;

/// Steps 1 to 9.
const STEPS: u8 = 9;
/// Lines of the steps are folded at this width.
const WIDTH: usize = 100;

/// Who shows the steps.
#[derive(Debug)]
pub(super) struct Steps {
    quiet: bool,
    /// Whether a question stands on the last line, without its answer.
    open: Cell<bool>,
}

impl Steps {
    pub(super) const fn new(screen: &Screen) -> Self {
        Self { quiet: screen.quiet, open: Cell::new(false) }
    }

    /// A step begins.
    pub(super) fn begin(&self, number: u8, name: &str, says: &str) {
        self.put(&hang(&format!("[{number}/{STEPS}] {name}: "), &safe(says), WIDTH));
    }

    /// More about the step that goes on.
    pub(super) fn line(&self, says: &str) {
        self.put(&hang("        ", &safe(says), WIDTH));
    }

    /// A word and what belongs to it, one below the other.
    pub(super) fn entry(&self, word: &str, says: &str) {
        self.put(&entry(word, says));
    }

    /// Asks, with what has to be known to answer, also where nothing else is said; the answer, where there is one.
    pub(super) async fn ask(&self, facts: &[(&str, &str)], question: &str) -> Option<String> {
        let facts: String = facts.iter().map(|(word, says)| entry(word, says)).collect();
        let _ = write!(std::io::stderr(), "{facts}        {question}");
        let _ = std::io::stderr().flush();
        self.open.set(true);
        let (sender, answer) = oneshot::channel();
        // A read from a terminal can't be cancelled; nobody waits for this thread at the end.
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
            let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
        }
    }
}

fn entry(word: &str, says: &str) -> String {
    hang(&format!("        {word:8} "), &safe(says), WIDTH)
}
