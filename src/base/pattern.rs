//! Regular expressions that are part of the program's text.

use regex::Regex;

/// Compiles a pattern that stands in the program's text.
///
/// # Panics
///
/// Where the pattern is wrong, which the first test that touches it shows.
pub(crate) fn pattern(text: &'static str) -> Regex {
    match Regex::new(text) {
        Ok(regex) => regex,
        Err(error) => unreachable!("a pattern of this program is wrong: {error}"),
    }
}
