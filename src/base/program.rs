//! The program's name as its caller types it: `staledp`, or `kubectl staledp` where kubectl runs it as a plugin.
//!
//! It is set once, before anything is printed. Whatever prints a command line of this program asks here.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::OnceLock;

/// The name of this program.
const OWN: &str = "staledp";
/// Its name as kubectl's plugin.
const PLUGIN: &str = "kubectl staledp";
/// What its file is called as kubectl's plugin.
pub const PLUGIN_FILE: &str = "kubectl-staledp";

static NAME: OnceLock<&'static str> = OnceLock::new();

/// Notes the name by which the program was started: the first word of its command line. Only the first call counts.
pub fn started_as(word: &OsStr) {
    let _ = NAME.set(name_of(word));
}

fn name_of(word: &OsStr) -> &'static str {
    let file = Path::new(word).file_stem().and_then(OsStr::to_str);
    if file == Some(PLUGIN_FILE) { PLUGIN } else { OWN }
}

/// The program's name in command lines that people type.
#[must_use]
pub fn name() -> &'static str {
    NAME.get().copied().unwrap_or(OWN)
}

/// The name of the program's file.
#[must_use]
pub fn file() -> &'static str {
    if name() == PLUGIN { PLUGIN_FILE } else { OWN }
}

/// A text whose quoted command lines of this program (`` `staledp explain` ``) have the name that the caller types.
#[must_use]
pub fn named(text: &str) -> Cow<'_, str> {
    with_name(text, name())
}

fn with_name<'a>(text: &'a str, name: &str) -> Cow<'a, str> {
    if name == OWN || !text.contains("`staledp ") {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace("`staledp ", &format!("`{name} ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugin_is_known_by_its_file() {
        for (word, name) in [
            ("staledp", OWN),
            ("/usr/bin/staledp", OWN),
            ("", OWN),
            ("kubectl-staledp", PLUGIN),
            ("/home/a/.krew/bin/kubectl-staledp", PLUGIN),
            ("kubectl-staledp.exe", PLUGIN),
            ("kubectl-staledp-old", OWN),
        ] {
            assert_eq!(name_of(OsStr::new(word)), name, "{word}");
        }
    }

    #[test]
    fn command_lines_in_texts_get_the_callers_name_and_nothing_else_does() {
        let text = "Run `staledp fix --node NODE`: staledp restarts it.";
        assert_eq!(with_name(text, PLUGIN), "Run `kubectl staledp fix --node NODE`: staledp restarts it.");
        assert_eq!(with_name(text, OWN), text);
    }
}
