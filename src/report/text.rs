//! Text from the world made fit for a screen: nothing in it can move a cursor, hide a word or turn a line around.
//!
//! Names of pods and nodes, labels in archives, and what programs wrote to standard error are other people's words. On
//! a terminal a control character in them is an instruction, and a bidirectional override shows `kubectl delete` where
//! something else stands. So every such string goes through [`safe`] once, on its way to the screen. The JSON report
//! keeps the bytes as they are, escaped.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The width where output is not a terminal: nothing is wrapped, so that lines can be searched, cut and counted whole.
pub const UNBOUNDED: usize = usize::MAX >> 8;

/// The narrowest width that is laid out for, in columns. Narrower screens get lines of this width.
pub const MIN_WIDTH: u16 = 40;

/// The widest a line of prose gets on a screen, in columns: longer lines are hard to read back.
pub const PROSE_WIDTH: usize = 110;

/// The most characters that are shown of one string.
pub const LONGEST: usize = 1_000;

/// The longest word that is never broken, in columns. A Kubernetes name has at most 253; anything longer is not a name.
const LONGEST_WORD: usize = 256;

/// Whether a character may be shown as it is.
///
/// Out are control characters (C0, DEL, C1), line and paragraph separators, bidirectional controls, everything else
/// that takes no column (zero-width spaces and joiners, tags, stacked marks), and characters of private use, which a
/// font may draw as anything.
pub(super) fn shows(c: char) -> bool {
    let private = matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}');
    // Most of these have no width either, but by the tables of the day; the danger has to be named, not measured.
    let directs = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{61c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}' | '\u{ad}');
    !c.is_control() && !private && !directs && c.width().is_some_and(|w| w > 0)
}

/// Whether a text is harmless as it is.
#[must_use]
pub fn is_safe(text: &str) -> bool {
    text.chars().all(shows)
}

/// One line of harmless text: what may not be shown becomes a visible escape (`\n`, `\x1b`, `\u{202e}`), and what is
/// longer than [`LONGEST`] characters is cut, with an ellipsis.
#[must_use]
pub fn safe(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST && is_safe(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().min(LONGEST));
    for (i, c) in text.chars().enumerate() {
        if i == LONGEST {
            out.push('…');
            break;
        }
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if shows(c) => out.push(c),
            // Writing to a String can't fail.
            c if u32::from(c) < 0x100 => _ = write!(out, "\\x{:02x}", u32::from(c)),
            c => _ = write!(out, "\\u{{{:x}}}", u32::from(c)),
        }
    }
    Cow::Owned(out)
}

/// The columns of a screen, as far as they are laid out for; [`UNBOUNDED`] where there is no screen.
#[must_use]
pub fn columns(screen: Option<u16>) -> usize {
    screen.map_or(UNBOUNDED, |width| usize::from(width.max(MIN_WIDTH)))
}

/// The columns of prose on a page of so many.
#[must_use]
pub fn prose(columns: usize) -> usize {
    if columns == UNBOUNDED { UNBOUNDED } else { columns.min(PROSE_WIDTH) }
}

/// The columns that a harmless text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// Breaks harmless text between words into lines of at most `columns`. A word that is longer stands on a line of its
/// own and is not broken: it is a name or a command that will be copied. Only what is too long to be a name
/// (over 256 columns) is.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ').filter(|w| !w.is_empty()).flat_map(pieces) {
        let wide = word.width();
        if used > 0 && used + 1 + wide > columns {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += wide;
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A word whole, or in pieces of [`LONGEST_WORD`] columns where it is too long for a name.
fn pieces(word: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut columns) = (0, 0);
    for (at, c) in word.char_indices() {
        let wide = c.width().unwrap_or(0);
        if columns + wide > LONGEST_WORD {
            pieces.push(&word[start..at]);
            (start, columns) = (at, 0);
        }
        columns += wide;
    }
    pieces.push(&word[start..]);
    pieces
}

/// Wraps `text` behind `first` and indents the lines that follow as deep. Ends with a newline.
#[must_use]
pub fn hang(first: &str, text: &str, columns: usize) -> String {
    let indent = first.width();
    let mut out = String::new();
    for (i, line) in wrap(text, columns.saturating_sub(indent).max(1)).iter().enumerate() {
        if i == 0 {
            out.push_str(first);
        } else {
            out.push_str(&" ".repeat(indent));
        }
        out.push_str(line);
        out.push('\n');
    }
    if out.is_empty() {
        out.push_str(first.trim_end());
        out.push('\n');
    }
    out
}

/// `node/NAME`, a line for each: as kubectl writes names, so that they can be handed to it or to `fix`. A name that no
/// node can have is left out: in a pipe to other programs it could become an option or several words.
#[must_use]
pub fn names<'a>(nodes: impl Iterator<Item = &'a str>) -> String {
    let is_name = |name: &&str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        !name.is_empty() && !name.starts_with('-') && name.bytes().all(plain)
    };
    nodes.filter(is_name).fold(String::new(), |mut out, name| {
        let _ = writeln!(out, "node/{name}");
        out
    })
}

/// The same text for a screen that has ASCII only, column by column: marks and lines have stand-ins, and whatever else is
/// not ASCII is a question mark.
#[must_use]
pub fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '✓' => out.push('+'),
            '✗' | '×' => out.push('x'),
            '·' | '•' => out.push('*'),
            '─' | '–' | '—' => out.push('-'),
            '…' => out.push('~'),
            '→' | '▶' => out.push('>'),
            c if c.is_ascii() => out.push(c),
            c => out.extend(std::iter::repeat_n('?', c.width().unwrap_or(1))),
        }
    }
    out
}

/// `1 node`, `2 nodes`.
#[must_use]
pub fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_is_unchanged() {
        for text in ["prusik", "k8s-odroid-hc4-3", "žluťoučký kůň", "日本", "ÄÖÜ …", ""] {
            assert!(matches!(safe(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn control_characters_become_visible_escapes() {
        assert_eq!(safe("a\x1b[2Jb"), "a\\x1b[2Jb");
        assert_eq!(safe("a\nb\r\tc"), "a\\nb\\r\\tc");
        assert_eq!(safe("a\0\u{7f}\u{9b}31mb"), "a\\x00\\x7f\\x9b31mb");
        assert_eq!(safe("a\u{202e}b\u{2066}c\u{200f}d"), "a\\u{202e}b\\u{2066}c\\u{200f}d");
        assert_eq!(safe("zero\u{200b}width\u{feff}\u{2028}"), "zero\\u{200b}width\\u{feff}\\u{2028}");
        assert_eq!(safe("e\u{301}\u{301}"), "e\\u{301}\\u{301}");
        assert_eq!(safe("\u{e0041}\u{f8ff}"), "\\u{e0041}\\u{f8ff}");
    }

    #[test]
    fn long_text_is_cut_with_an_ellipsis() {
        let shown = safe(&"x".repeat(100_000)).into_owned();
        assert_eq!(shown.chars().count(), LONGEST + 1);
        assert!(shown.ends_with('…'));
    }

    #[test]
    fn ascii_text_takes_the_same_columns() {
        for text in ["✗ stale · 3 ✓", "────", "日本 …", "plain", "žluť"] {
            let plain = ascii(text);
            assert!(plain.is_ascii());
            assert_eq!(width(&plain), width(text), "{plain}");
        }
        assert_eq!(ascii("✗ stale ✓"), "x stale +");
    }

    #[test]
    fn names_are_not_broken() {
        let name = "ip-10-0-113-204.eu-central-1.compute.internal";
        assert_eq!(wrap(&format!("the node {name} is fine"), 20), ["the node", name, "is fine"]);
        assert_eq!(wrap("", 10), Vec::<String>::new());
        assert_eq!(wrap("日本 日本 日本", 9), ["日本 日本", "日本"]);
    }

    #[test]
    fn text_longer_than_a_name_is_broken() {
        let lines = wrap(&"x".repeat(600), 40);
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [256, 256, 88]);
    }

    #[test]
    fn following_lines_are_indented() {
        assert_eq!(hang("- ", "one two three", 9), "- one two\n  three\n");
        assert_eq!(hang("- ", "", 9), "-\n");
    }

    proptest! {
        #[test]
        fn any_text_becomes_harmless_and_wraps(text in "\\PC*|(?s).*", columns in 0_usize..50) {
            let shown = safe(&text);
            prop_assert!(shown.chars().all(shows));
            let wrapped = wrap(&shown, columns);
            prop_assert_eq!(
                wrapped.join("").replace(' ', ""),
                shown.replace(' ', "")
            );
        }
    }
}
