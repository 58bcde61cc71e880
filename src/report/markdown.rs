//! Text from the world made fit for Markdown: nothing in it can end a code block, make a link, ping a person, or draw a
//! heading.

use std::fmt::Write as _;

use super::text::safe;

/// A sentence behind other words of a line: every character that Markdown or HTML could take for its own is escaped.
/// References such as `cilium/cilium#47847` stay links.
#[must_use]
pub fn prose(text: &str) -> String {
    let shown = safe(text);
    let mut out = String::with_capacity(shown.len());
    let mut before = None;
    for c in shown.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A mention would call a stranger to the issue.
            '@' => out.push_str("&#64;"),
            // Behind a word it refers to an issue, as ours do; elsewhere to one that nobody meant.
            '#' if before.is_some_and(char::is_alphanumeric) => out.push('#'),
            ':' if out.ends_with("http") || out.ends_with("https") || out.ends_with("ftp") => out.push_str("&#58;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '$' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
        before = Some(c);
    }
    out
}

/// A word as it is, in a code span.
#[must_use]
pub fn code(text: &str) -> String {
    let shown = safe(text);
    if shown.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(&shown) + 1);
    let pad = if shown.starts_with('`') || shown.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{shown}{pad}{fence}")
}

/// The same in a cell of a table, which a bar would end even in a code span.
#[must_use]
pub fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// Lines as they are, in a code block with a fence that is longer than any in them.
#[must_use]
pub fn block<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let lines: Vec<_> = lines.into_iter().map(safe).collect();
    let longest = lines.iter().map(|line| longest_run(line)).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    let mut out = format!("{fence}text\n");
    for line in &lines {
        // Writing to a String cannot fail.
        _ = writeln!(out, "{}", line.trim_end());
    }
    out += &fence;
    out.push('\n');
    out
}

/// How many backticks stand one behind the other at the most.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::text::is_safe;

    #[test]
    fn sentence_makes_no_markup_and_keeps_references() {
        assert_eq!(prose("reported in cilium/cilium#47847: a mount"), "reported in cilium/cilium#47847: a mount");
        assert_eq!(prose("@admin <img src=x> [a](http://b)"), "&#64;admin &lt;img src=x&gt; \\[a\\](http&#58;//b)");
        assert_eq!(prose("# x #5 `y` *z* a_b | c"), "\\# x \\#5 \\`y\\` \\*z\\* a\\_b \\| c");
        assert_eq!(prose("a\nb\u{1b}[2J"), "a\\\\nb\\\\x1b\\[2J");
    }

    #[test]
    fn code_cannot_end_its_own_span_or_block() {
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("``"), "``` `` ```");
        assert_eq!(cell("a|b"), "`a\\|b`");
        let shown = block(["```", "# evil", "a\n```\nb"]);
        assert_eq!(shown, "````text\n```\n# evil\na\\n```\\nb\n````\n");
    }

    proptest! {
        #[test]
        fn any_text_stays_inside(lines in prop::collection::vec("(?s).{0,60}|`{0,9}", 0..6)) {
            let shown = block(lines.iter().map(String::as_str));
            let fence: String = shown.chars().take_while(|c| *c == '`').collect();
            let all: Vec<&str> = shown.lines().collect();
            prop_assert_eq!(all.len(), lines.len() + 2);
            prop_assert!(all[1..all.len() - 1].iter().all(|line| !line.contains(&fence) && is_safe(line)));
            for line in &lines {
                let said = prose(line);
                prop_assert!(is_safe(&said) && !said.contains('<') && !said.contains('@'));
                let span = code(line);
                prop_assert!(is_safe(&span));
            }
        }
    }
}
