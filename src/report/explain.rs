//! `staledp explain`: the knowledge as text, without a cluster.

use super::text::{count, hang, safe};
use crate::base::error::Error;
use crate::base::screen::DEFAULT_WIDTH;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::{Code, Kind};
use crate::knowledge::upstream::{self, ISSUES, Issue};
use crate::knowledge::{checks, codes};

/// Columns of the text.
const COLUMNS: usize = DEFAULT_WIDTH as usize;

/// What to do about an unknown topic.
const LIST: &str = "`staledp explain` lists them all";

/// Explains a verdict code, a check, or an upstream issue (`cilium/cilium#46065`, `cilium#46065`, `#46065`, `46065`).
/// Without a topic it lists them all. The text ends with a newline.
///
/// # Errors
///
/// [`ErrorKind::Usage`](crate::base::error::ErrorKind) for any other topic; its hint names the nearest ones.
pub fn explain(topic: Option<&str>) -> Result<String, Error> {
    let Some(topic) = topic else { return Ok(list()) };
    let asked = topic.trim().to_ascii_lowercase();
    if let Some(code) = Code::ALL.iter().find(|code| code.name() == asked) {
        return Ok(about_code(*code));
    }
    if let Some(id) = CheckId::ALL.iter().find(|id| id.name() == asked) {
        return Ok(about_check(*id));
    }
    if let Some(number) = number(&asked) {
        let unknown = || Error::usage(format!("unknown upstream issue cilium/cilium#{number}")).with_hint(LIST);
        return upstream::find(number).map(about_issue).ok_or_else(unknown);
    }
    let near = near(&asked);
    let hint = if near.is_empty() { LIST.to_owned() } else { format!("did you mean {}? {LIST}", near.join(", ")) };
    Err(Error::usage(format!("unknown code, check or issue '{}'", safe(topic))).with_hint(hint))
}

/// The number of an issue, as people name it.
fn number(asked: &str) -> Option<u32> {
    let number = asked
        .strip_prefix("https://github.com/cilium/cilium/issues/")
        .or_else(|| asked.strip_prefix("https://github.com/cilium/cilium/pull/"))
        .or_else(|| asked.strip_prefix("cilium/cilium#"))
        .or_else(|| asked.strip_prefix("cilium#"))
        .or_else(|| asked.strip_prefix('#'))
        .unwrap_or(asked);
    // `parse` would take a sign.
    number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse().ok()).flatten()
}

/// At most three names that are like the one that was typed, nearest first.
fn near(asked: &str) -> Vec<&'static str> {
    // A longer one is not a typing error, and comparing costs its length.
    if asked.is_empty() || asked.len() > 64 {
        return vec![];
    }
    let names = Code::ALL.iter().map(|code| code.name()).chain(CheckId::ALL.iter().map(|id| id.name()));
    let mut near: Vec<_> = names
        .filter_map(|name| {
            let away = distance(asked, name);
            let part = asked.len() >= 3 && name.contains(asked);
            (part || away <= name.len() / 3).then_some((if part { 0 } else { away }, name))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = (diagonal + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row[b.len()]
}

/// What a kind means for the operator.
const fn kind_says(kind: Kind) -> &'static str {
    match kind {
        Kind::Healthy => "nothing is wrong",
        Kind::Stale => "restart this node's Cilium pod, with the risk in mind",
        Kind::OtherFault => "something else is wrong: the Cilium pod must not be restarted for it",
        Kind::Inconclusive => "nothing can be said: the report names what would settle it",
    }
}

fn list() -> String {
    let mut out = String::new();
    for kind in [Kind::Stale, Kind::OtherFault, Kind::Inconclusive, Kind::Healthy] {
        out += &hang("", &format!("{}: {}", kind.name(), kind_says(kind)), COLUMNS);
        for code in Code::ALL.iter().filter(|code| code.kind() == kind) {
            out += &hang("  ", code.name(), COLUMNS);
            out += &hang("      ", codes::entry(*code).meaning, COLUMNS);
        }
        out.push('\n');
    }
    out += "checks, in their order\n";
    for id in CheckId::ALL {
        out += &hang(&format!("  {:<18}  ", id.name()), id.question(), COLUMNS);
    }
    let issues = count(ISSUES.len(), "upstream issue", "upstream issues");
    out.push('\n');
    out += &hang("", &format!("{issues} in cilium/cilium"), COLUMNS);
    for issue in ISSUES {
        out += &hang(&format!("  #{}  ", issue.number), issue.title, COLUMNS);
    }
    out += "\nstaledp explain CODE, CHECK or #ISSUE tells more.\n";
    out
}

fn bullets(out: &mut String, title: &str, texts: &[&str]) {
    out.push('\n');
    out.push_str(&hang("", title, COLUMNS));
    for text in texts {
        out.push_str(&hang("  - ", text, COLUMNS));
    }
}

fn about_code(code: Code) -> String {
    let entry = codes::entry(code);
    let mut out = hang("", &format!("{} ({}: {})", code.name(), code.kind().name(), kind_says(code.kind())), COLUMNS);
    out.push('\n');
    out += &hang("", entry.meaning, COLUMNS);
    bullets(&mut out, "Said when", entry.evidence);
    bullets(&mut out, "What to do", entry.todo);
    bullets(&mut out, "What not to do", entry.avoid);
    let related: Vec<_> = entry.issues.iter().filter_map(|number| upstream::find(*number)).collect();
    if !related.is_empty() {
        out += "\nRelated upstream issues\n";
        for issue in related {
            let versions = versions(issue);
            let text = format!("{} ({versions}; {}): {}", issue.title, issue.state, issue.restart.says());
            out += &hang(&format!("  #{}  ", issue.number), &text, COLUMNS);
        }
    }
    out
}

fn about_check(id: CheckId) -> String {
    let entry = checks::entry(id);
    let mut out = hang("", &format!("{}: {}", id.name(), id.question()), COLUMNS);
    bullets(&mut out, "Evidence", &[entry.evidence]);
    bullets(&mut out, "What its figures mean", entry.means);
    bullets(&mut out, "What proves nothing", entry.not);
    out
}

fn versions(issue: &Issue) -> String {
    let spans: Vec<_> = issue.reported.iter().map(ToString::to_string).collect();
    if spans.is_empty() { "no versions named".to_owned() } else { format!("reported for {}", spans.join(", ")) }
}

fn about_issue(issue: &Issue) -> String {
    let kind = if issue.pull { "pull" } else { "issues" };
    let mut out = hang("", &format!("{}: {}", issue.id(), issue.title), COLUMNS);
    out += &hang("", &format!("https://github.com/cilium/cilium/{kind}/{}", issue.number), COLUMNS);
    out.push('\n');
    for (name, text) in [
        ("Versions", versions(issue)),
        ("State", issue.state.to_owned()),
        ("Symptom", issue.symptom.to_owned()),
        ("Evidence", issue.evidence.to_owned()),
        ("Restart", issue.restart.says().to_owned()),
    ] {
        out += &hang(&format!("{name:<10}"), &text, COLUMNS);
    }
    let codes: Vec<_> = Code::ALL
        .iter()
        .filter(|code| codes::entry(**code).issues.contains(&issue.number))
        .map(|code| code.name())
        .collect();
    if !codes.is_empty() {
        out += &hang(&format!("{:<10}", "Codes"), &codes.join(", "), COLUMNS);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text::width;

    fn refused(topic: &str) -> String {
        explain(Some(topic)).unwrap_err().with_advice()
    }

    #[test]
    fn the_list_names_everything() {
        let list = explain(None).unwrap();
        for name in Code::ALL.iter().map(|c| c.name()).chain(CheckId::ALL.iter().map(|c| c.name())) {
            assert!(list.contains(&format!("\n  {name}")), "{name}");
        }
        for issue in ISSUES {
            assert!(list.contains(&format!("\n  #{}", issue.number)));
        }
    }

    #[test]
    fn everything_can_be_explained_and_fits() {
        let topics: Vec<String> = Code::ALL
            .iter()
            .map(|c| c.name().to_owned())
            .chain(CheckId::ALL.iter().map(|c| c.name().to_owned()))
            .chain(ISSUES.iter().map(Issue::id))
            .collect();
        for topic in topics.iter().map(|t| Some(t.as_str())).chain([None]) {
            let text = explain(topic).unwrap();
            assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{topic:?}");
            assert!(text.lines().all(|line| width(line) <= COLUMNS && line.trim_end() == line), "{text}");
        }
    }

    #[test]
    fn issues_are_found_by_all_their_names() {
        for topic in ["cilium/cilium#46065", "cilium#46065", "#46065", "46065", " Cilium/Cilium#46065 "] {
            assert!(explain(Some(topic)).unwrap().starts_with("cilium/cilium#46065: "), "{topic}");
        }
        assert!(refused("#1").contains("cilium/cilium#1"));
    }

    #[test]
    fn a_slip_of_the_finger_is_helped() {
        assert!(refused("stale-datpath").contains("did you mean stale-datapath"));
        assert!(refused("masquerade").contains("link-local-masquerade"));
        assert!(explain(Some("DNS-CONNTRACK")).is_ok());
        assert!(!refused("xyzzy").contains("did you mean"));
        for odd in ["", "#", "+46065", "#99999999999999999999", "\u{1b}[2J\n"] {
            let error = refused(odd);
            assert!(!error.contains('\n') && !error.contains('\u{1b}'), "{error:?}");
        }
        assert!(refused(&"x".repeat(1 << 20)).len() < 2_000);
    }
}
