//! The steps as they happen, on standard error.

use std::io::Write as _;

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
}

impl Steps {
    pub(super) const fn new(screen: &Screen) -> Self {
        Self { quiet: screen.quiet }
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
        self.put(&hang(&format!("        {word:8} "), &safe(says), WIDTH));
    }

    fn put(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
        }
    }
}
