//! Why the verdict is what it is: its reasons, what is ruled out, what is open, and the rights that are missing.

use super::page::{BOLD, Page};
use crate::base::program;
use crate::knowledge::code::Kind;
use crate::report::settle::{self, MissingRight, missing_rights};
use crate::report::text::{count, safe};
use crate::report::{Check, NodeReport};
use crate::rules::verdict::Open;

/// What stands in place of a refusal that is reported once under the missing rights.
const NOT_PERMITTED: &str = "not permitted, see Missing rights";

impl Page {
    pub(super) fn reasons(&mut self, node: &NodeReport) {
        let verdict = &node.verdict;
        let rights = missing_rights(node);
        if !verdict.because.is_empty() {
            self.heading("Because");
            for reason in &verdict.because {
                self.item(&format!("  {}: ", safe(&reason.check)), BOLD, &safe(unless_refused(&reason.says, &rights)));
            }
        }
        if !verdict.ruled_out.is_empty() {
            self.heading("Ruled out");
            for look_alike in &verdict.ruled_out {
                self.item(&format!("  {}: ", look_alike.code.name()), BOLD, &safe(&look_alike.says));
            }
        }
        if !verdict.open.is_empty() {
            self.heading("Open");
            for (says, by, codes) in open_by_reason(&verdict.open, &rights) {
                // Of a node that could not be judged all of it stands in order at the end. Evidence that is missing
                // names itself.
                let names_it = says == NOT_PERMITTED || verdict.kind == Kind::Inconclusive || says.starts_with(by);
                let by = if names_it { String::new() } else { format!(" (settled by: {by})") };
                self.item(&format!("  {}: ", codes.join(", ")), BOLD, &safe(&format!("{says}{by}")));
            }
        }
        self.missing_rights(&rights);
    }

    /// One line per missing right: what it costs, and what prints the role.
    fn missing_rights(&mut self, rights: &[MissingRight<'_>]) {
        if rights.is_empty() {
            return;
        }
        self.heading("Missing rights");
        for MissingRight { right, checks, codes } in rights {
            let mut costs = Vec::new();
            if !checks.is_empty() {
                costs.push(format!("{} ({})", count(checks.len(), "check", "checks"), checks.join(", ")));
            }
            if !codes.is_empty() {
                let names: Vec<&str> = codes.iter().map(|code| code.name()).collect();
                costs.push(format!("{} ({})", count(codes.len(), "look-alike", "look-alikes"), names.join(", ")));
            }
            let says = format!(
                "{right}: it costs {}. `{} rbac diagnose` prints the role.",
                costs.join(" and "),
                program::name()
            );
            self.item("  - ", BOLD, &safe(&says));
        }
    }
}

/// What a check says; a refusal is reported once, under the missing rights.
pub(super) fn meaning(check: &Check) -> String {
    if check.missing_right.is_some() {
        return NOT_PERMITTED.to_owned();
    }
    let summary = safe(&check.summary);
    match &check.reason {
        Some(reason) if !check.summary.contains(reason.as_str()) => format!("{summary}: {}", safe(reason)),
        _ => summary.into_owned(),
    }
}

/// The open look-alikes by what keeps them open and what settles it, in their order.
fn open_by_reason<'a>(open: &'a [Open], rights: &[MissingRight<'_>]) -> Vec<(&'a str, &'a str, Vec<&'static str>)> {
    let mut all: Vec<(&str, &str, Vec<&'static str>)> = Vec::new();
    for look_alike in open {
        let is_refused = rights.iter().any(|missing| settle::lacks(look_alike, missing.right));
        let says = if is_refused { NOT_PERMITTED } else { &look_alike.says };
        let by = if says == NOT_PERMITTED { "" } else { look_alike.settle.as_str() };
        match all.iter_mut().find(|(other, settle, _)| (*other, *settle) == (says, by)) {
            Some((.., codes)) => codes.push(look_alike.code.name()),
            None => all.push((says, by, vec![look_alike.code.name()])),
        }
    }
    all
}

fn unless_refused<'a>(says: &'a str, rights: &[MissingRight<'_>]) -> &'a str {
    if rights.iter().any(|missing| says.contains(missing.right)) { NOT_PERMITTED } else { says }
}
