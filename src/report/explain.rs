//! `staledp explain`: codes, checks, evidence and upstream issues as text, without a cluster.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::text::{count, hang, safe};
use crate::base::error::Error;
use crate::base::evidence::Evidence;
use crate::base::program;
use crate::base::screen::DEFAULT_WIDTH;
use crate::base::similar;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::{Code, Kind};
use crate::knowledge::risk::RiskId;
use crate::knowledge::upstream::{self, Issue, KNOWN_AS_OF};
use crate::knowledge::{checks, codes, evidence, lookalikes};

/// Columns of the text.
const COLUMNS: usize = DEFAULT_WIDTH as usize;

/// What to do about an unknown topic.
fn list_hint() -> String {
    format!("`{} explain` lists them all", program::name())
}

/// What can be explained.
#[derive(Clone, Copy)]
pub enum Topic {
    /// Everything, as a list.
    All,
    /// A verdict code.
    Code(Code),
    /// A check.
    Check(CheckId),
    /// A line of a restart's risk.
    Risk(RiskId),
    /// A piece of evidence.
    Evidence(Evidence),
    /// An upstream issue.
    Issue(&'static Issue),
}

/// Explains a topic. The text ends with a newline.
#[must_use]
pub fn explain(topic: Topic) -> String {
    match topic {
        Topic::All => list(),
        Topic::Code(code) => about_code(code),
        Topic::Check(id) => about_check(id),
        Topic::Risk(id) => about_risk(id),
        Topic::Evidence(id) => about_evidence(id),
        Topic::Issue(issue) => about_issue(issue),
    }
}

/// Finds the topic that was typed: a verdict code, a check, a line of `risk`, a piece of evidence, or an upstream issue
/// (`cilium/cilium#46065`, `cilium#46065`, `#46065`, `46065`, its address); without one all of them.
///
/// # Errors
///
/// [`ErrorKind::Usage`](crate::base::error::ErrorKind) for any other topic; its hint names the nearest ones.
pub fn find(topic: Option<&str>) -> Result<Topic, Error> {
    let Some(topic) = topic else { return Ok(Topic::All) };
    let asked = topic.trim().to_ascii_lowercase();
    if let Some(code) = Code::ALL.iter().find(|code| code.name() == asked) {
        return Ok(Topic::Code(*code));
    }
    if let Some(id) = CheckId::ALL.iter().find(|id| id.name() == asked) {
        return Ok(Topic::Check(*id));
    }
    if let Some(id) = RiskId::all().find(|id| id.name() == asked) {
        return Ok(Topic::Risk(id));
    }
    if let Some(id) = Evidence::ALL.iter().find(|id| id.name() == asked) {
        return Ok(Topic::Evidence(*id));
    }
    if let Some(issue) = upstream::all().find(|issue| issue.id() == asked || issue.url() == asked) {
        return Ok(Topic::Issue(issue));
    }
    if let Some(number) = number(&asked) {
        let unknown = || Error::usage(format!("unknown upstream issue cilium/cilium#{number}")).with_hint(list_hint());
        return upstream::find(number).map(Topic::Issue).ok_or_else(unknown);
    }
    let hint = format!("{}{}", similar::question(&asked, names().map(|(name, _)| name)), list_hint());
    Err(Error::usage(format!("unknown code, check, line of risk, evidence or issue '{}'", safe(topic))).with_hint(hint))
}

/// What can be asked for by name, with a sentence on each. A name that means several things, as `host-ping` does, stands
/// once, with what [`find`] takes it for.
pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    let codes = Code::ALL.iter().map(|code| (code.name(), codes::text(*code).meaning));
    let checks = CheckId::ALL.into_iter().map(|id| (id.name(), id.question()));
    let risks = RiskId::all().map(|id| (id.name(), id.text().question));
    let evidence = Evidence::ALL.into_iter().map(|id| (id.name(), evidence::text(id).tells));
    let mut known = HashSet::new();
    codes.chain(checks).chain(risks).chain(evidence).filter(move |(name, _)| known.insert(*name))
}

/// The number of an issue of cilium/cilium, as people write it.
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

/// What a kind means for the operator.
const fn kind_says(kind: Kind) -> &'static str {
    match kind {
        Kind::Healthy => "nothing is wrong",
        Kind::Stale => "restart this node's Cilium pod, with the risk in mind",
        Kind::OtherFault => "something else is wrong: don't restart the Cilium pod for it",
        Kind::Inconclusive => "the node cannot be judged: the report names what would settle it",
    }
}

/// `#46065` for Cilium's own issues, `microsoft/retina#252` for those of others.
fn short_id(issue: &Issue) -> String {
    let id = issue.id();
    id.strip_prefix("cilium/cilium").map_or_else(|| id.clone(), str::to_owned)
}

fn list() -> String {
    let mut out = String::new();
    for kind in [Kind::Stale, Kind::OtherFault, Kind::Inconclusive, Kind::Healthy] {
        out += &hang("", &format!("{}: {}", kind.name(), kind_says(kind)), COLUMNS);
        for code in Code::ALL.iter().filter(|code| code.kind() == kind) {
            out += &hang("  ", code.name(), COLUMNS);
            out += &hang("      ", codes::text(*code).meaning, COLUMNS);
        }
        out.push('\n');
    }
    out += "checks, in their order\n";
    for id in CheckId::ALL {
        out += &hang(&format!("  {:<18}  ", id.name()), id.question(), COLUMNS);
    }
    out += "\nlines of a restart's risk, as `staledp risk` prints them\n";
    for id in RiskId::all() {
        out += &hang(&format!("  {:<18}  ", id.name()), id.text().question, COLUMNS);
    }
    out += "\nevidence, as reports name it\n";
    for id in Evidence::ALL {
        out += &hang(&format!("  {:<18}  ", id.name()), evidence::text(id).tells, COLUMNS);
    }
    let issues = count(upstream::all().count(), "upstream issue", "upstream issues");
    out.push('\n');
    out += &hang("", &format!("{issues} known as of {KNOWN_AS_OF}"), COLUMNS);
    for issue in upstream::all() {
        out += &hang(&format!("  {}  ", short_id(issue)), issue.title, COLUMNS);
    }
    let _ = writeln!(out, "\n{} explain CODE, CHECK, LINE, EVIDENCE or #ISSUE explains one.", program::name());
    out
}

fn bullets(out: &mut String, title: &str, texts: &[&str]) {
    out.push('\n');
    out.push_str(&hang("", title, COLUMNS));
    for text in texts {
        out.push_str(&hang("  - ", &program::named(text), COLUMNS));
    }
}

fn about_code(code: Code) -> String {
    let text = codes::text(code);
    let mut out = hang("", &format!("{} ({}: {})", code.name(), code.kind().name(), kind_says(code.kind())), COLUMNS);
    out.push('\n');
    out += &hang("", text.meaning, COLUMNS);
    bullets(&mut out, "Said when", text.evidence);
    if let Some(look_alike) = lookalikes::text(code) {
        out.push('\n');
        out += &hang("", "Compared with a stale datapath", COLUMNS);
        out += &hang("  - the same: ", look_alike.looks_like, COLUMNS);
        out += &hang("  - ruled out by: ", look_alike.ruled_out_by, COLUMNS);
        out += &hang("  - if open, settled by: ", look_alike.settle, COLUMNS);
    }
    bullets(&mut out, "What to do", text.todo);
    bullets(&mut out, "What not to do", text.avoid);
    let related: Vec<_> = text.issues.iter().filter_map(|number| upstream::find(*number)).collect();
    if !related.is_empty() {
        out.push('\n');
        out += &hang("", &format!("Related upstream issues, known as of {KNOWN_AS_OF}"), COLUMNS);
        for issue in related {
            let versions = versions(issue);
            let text = format!("{} ({versions}; {}): {}", issue.title, issue.state, issue.restart.says());
            out += &hang(&format!("  {}  ", short_id(issue)), &text, COLUMNS);
        }
    }
    out
}

fn about_check(id: CheckId) -> String {
    let text = checks::text(id);
    let mut out = hang("", &format!("{}: {}", id.name(), id.question()), COLUMNS);
    bullets(&mut out, "Evidence", &[text.evidence]);
    bullets(&mut out, "What its figures mean", text.means);
    bullets(&mut out, "What proves nothing", text.not);
    out
}

fn about_risk(id: RiskId) -> String {
    let text = id.text();
    let mut out = hang("", &format!("{}: {}", text.name, text.question), COLUMNS);
    bullets(&mut out, "Evidence", &[text.evidence]);
    bullets(&mut out, "If it raises the risk", &[text.raised]);
    bullets(&mut out, "What to do", &[text.todo]);
    bullets(&mut out, "If it was not looked at", &["It counts as much as the worst that it could have said."]);
    let related: Vec<_> = text.issues.iter().filter_map(|number| upstream::find(*number)).collect();
    if !related.is_empty() {
        out.push('\n');
        out += &hang("", &format!("Related upstream issues, known as of {KNOWN_AS_OF}"), COLUMNS);
        for issue in related {
            out +=
                &hang(&format!("  {}  ", short_id(issue)), &format!("{} ({})", issue.title, versions(issue)), COLUMNS);
        }
    }
    out
}

fn about_evidence(id: Evidence) -> String {
    let text = evidence::text(id);
    let mut out = hang("", id.name(), COLUMNS);
    bullets(&mut out, "What it tells", &[text.tells]);
    bullets(&mut out, "How to read it by hand", &[text.by_hand]);
    let settles = |code: &&Code| lookalikes::text(**code).is_some_and(|text| has_word(text.settle, id.name()));
    let codes: Vec<&str> = Code::ALL.iter().filter(settles).map(|code| code.name()).collect();
    if !codes.is_empty() {
        bullets(&mut out, "Where a report leaves them open, it settles", &[&codes.join(", ")]);
    }
    out
}

/// Whether a text has this name as a word of its own.
fn has_word(text: &str, name: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '.')).any(|word| word == name)
}

/// The versions of an issue: reported for which, fixed in which.
fn versions(issue: &Issue) -> String {
    let list = |texts: Vec<String>| texts.join(", ");
    let spans = list(issue.affected.iter().map(ToString::to_string).collect());
    let fixes = list(issue.fixed.iter().map(ToString::to_string).collect());
    match (spans.is_empty(), fixes.is_empty()) {
        (true, true) => "no versions named".to_owned(),
        (true, false) => format!("fixed in {fixes}"),
        (false, true) => format!("reported for {spans}"),
        (false, false) => format!("reported for {spans}; fixed in {fixes}"),
    }
}

fn about_issue(issue: &Issue) -> String {
    let mut out = hang("", &format!("{}: {}", issue.id(), issue.title), COLUMNS);
    out += &hang("", &issue.url(), COLUMNS);
    out.push('\n');
    let named = if issue.needs.is_empty() {
        "never: staledp does not read the evidence that shows it"
    } else {
        "when a report shows this evidence, and the version does not exclude it"
    };
    for (name, text) in [
        ("Versions", versions(issue)),
        ("State", format!("{} (known as of {KNOWN_AS_OF})", issue.state)),
        ("Symptom", issue.symptom.to_owned()),
        ("Evidence", issue.evidence.to_owned()),
        ("Named", named.to_owned()),
        ("Restart", issue.restart.says().to_owned()),
        ("Advice", issue.advice.to_owned()),
    ] {
        out += &hang(&format!("{name:<10}"), &text, COLUMNS);
    }
    let codes: Vec<_> = Code::ALL
        .iter()
        .filter(|code| codes::text(**code).issues.contains(&issue.number))
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

    fn explain(topic: Option<&str>) -> Result<String, Error> {
        find(topic).map(super::explain)
    }

    fn refused(topic: &str) -> String {
        explain(Some(topic)).unwrap_err().with_advice()
    }

    /// The table of README: a row a code, worst kind first.
    fn table() -> String {
        let mut out = "| Code | Kind | Meaning |\n| --- | --- | --- |\n".to_owned();
        for kind in [Kind::Stale, Kind::OtherFault, Kind::Inconclusive, Kind::Healthy] {
            for code in Code::ALL.iter().filter(|code| code.kind() == kind) {
                let cells = [&format!("`{}`", code.name()), kind.name(), codes::text(*code).meaning];
                out += "| ";
                out += &cells.join(" | ");
                out += " |\n";
            }
        }
        out
    }

    #[test]
    fn readme_lists_every_code_with_its_meaning() {
        let table = table();
        assert!(include_str!("../../README.md").contains(&table), "README's table of codes should be:\n{table}");
    }

    #[test]
    fn list_names_every_code_check_and_issue() {
        let list = explain(None).unwrap();
        let names = Code::ALL.iter().map(|c| c.name()).chain(CheckId::ALL.iter().map(|c| c.name()));
        let names = names.chain(RiskId::all().map(RiskId::name)).chain(Evidence::ALL.iter().map(|id| id.name()));
        for name in names {
            assert!(list.contains(&format!("\n  {name}")), "{name}");
        }
        for issue in upstream::all() {
            assert!(list.contains(&format!("\n  {}", short_id(issue))), "{}", issue.id());
        }
        assert!(list.contains("upstream issues known as of 2026-11"));
    }

    #[test]
    fn every_topic_is_explained_within_the_columns() {
        let topics: Vec<String> = Code::ALL
            .iter()
            .map(|c| c.name().to_owned())
            .chain(CheckId::ALL.iter().map(|c| c.name().to_owned()))
            .chain(RiskId::all().map(|id| id.name().to_owned()))
            .chain(Evidence::ALL.iter().map(|id| id.name().to_owned()))
            .chain(upstream::all().map(Issue::id))
            .collect();
        for topic in topics.iter().map(|t| Some(t.as_str())).chain([None]) {
            let text = explain(topic).unwrap();
            assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{topic:?}");
            assert!(text.lines().all(|line| width(line) <= COLUMNS && line.trim_end() == line), "{text}");
        }
    }

    #[test]
    fn issues_are_found_however_they_are_written() {
        for topic in ["cilium/cilium#46065", "cilium#46065", "#46065", "46065", " Cilium/Cilium#46065 "] {
            assert!(explain(Some(topic)).unwrap().starts_with("cilium/cilium#46065: "), "{topic}");
        }
        assert!(
            explain(Some("https://github.com/cilium/cilium/pull/45522")).unwrap().starts_with("cilium/cilium#45522: ")
        );
        assert!(explain(Some("microsoft/retina#252")).unwrap().starts_with("microsoft/retina#252: "));
        assert!(refused("#1").contains("cilium/cilium#1"));
    }

    #[test]
    fn look_alike_is_explained_with_what_settles_it() {
        let text = explain(Some("datapath-drops")).unwrap();
        assert!(
            text.contains("ruled out by: no drop reason rises") && text.contains("settled by: drop-metrics"),
            "{text}"
        );
        assert!(!explain(Some("stale-map")).unwrap().contains("ruled out by"));
    }

    #[test]
    fn typing_error_gets_a_suggestion() {
        assert!(refused("stale-datpath").contains("did you mean stale-datapath"));
        assert!(
            refused("stale-mpa")
                .contains("unknown code, check, line of risk, evidence or issue 'stale-mpa'; did you mean stale-map")
        );
        let dump = explain(Some("ct-list")).unwrap();
        assert!(dump.contains("`cilium-dbg bpf ct list global`") && dump.contains("node-isolated"), "{dump}");
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
