//! What `fix` says at its end, on standard output: the report of the nodes as they are now, and what was done.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::lock;
use super::preflight::{self, RuleReport};
use super::verify::LookAfter;
use crate::base::exit::Exit;
use crate::report::diff;
use crate::report::diff::{Change, DiffRow};
use crate::report::tables::RestartChanges;
use crate::report::text;
use crate::report::text::{hang, safe};
use crate::report::{NodeReport, Report};

/// How it ended for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FixOutcome {
    /// It was not this node's turn.
    NotTried,
    /// Restarted, and shown to work.
    Verified,
    /// Restarted, or perhaps restarted, and not shown to work.
    NotVerified,
    /// Nothing was changed.
    Refused,
    /// It would have been done.
    DryRun,
    /// Interrupted.
    Interrupted,
}

/// What became of the deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartOutcome {
    /// This run's request did it.
    Deleted,
    /// Somebody else was faster.
    GoneAlready,
    /// Interrupted during the request; the pod was untouched when it was looked up.
    Untouched,
    /// Unknown.
    NotKnown,
}

/// What was done about one node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeFix {
    /// The node.
    pub node: String,
    /// How it ended.
    pub outcome: FixOutcome,
    /// Why, in words.
    pub says: String,
    /// What to do next.
    pub next: Vec<String>,
    /// The verdict that it was about.
    pub verdict: Option<&'static str>,
    /// Whether that verdict had to be forced.
    pub forced: bool,
    /// The rules, with their results.
    pub preflight: Vec<RuleReport>,
    /// The rules that were checked again right before the DELETE, with their results.
    pub recheck: Vec<RuleReport>,
    /// Where the evidence of before lies.
    pub evidence: Option<PathBuf>,
    /// Where the evidence of after lies; none where nothing was restarted, or it could not be saved.
    pub evidence_after: Option<PathBuf>,
    /// The request, as it was or would be sent.
    pub request: Option<Value>,
    /// What became of it; none where none was sent.
    pub restart: Option<RestartOutcome>,
    /// Whether an interrupted run was resumed.
    pub resumed: bool,
    /// The new pod.
    pub new_pod: Option<String>,
    /// Whether the Event was written; none where there was nothing to tell.
    pub event: Option<bool>,
    /// Whether the lock is free again; none where it was not taken.
    pub released: Option<bool>,
    /// The node before; for a resumed run, as this run found it.
    pub before: Option<NodeReport>,
    /// The node after.
    pub after: Option<LookAfter>,
    /// What changed between the two, as `staledp diff` has it; empty for a resumed run.
    pub changes: Vec<Change>,
    /// What the restart changed in the node's tables, by table and key; none where the evidence of before or after is
    /// missing, or of a resumed run.
    pub restart_changed: Option<RestartChanges>,
}

impl NodeFix {
    pub(super) fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            outcome: FixOutcome::NotTried,
            says: "not tried: an earlier node was not verified".to_owned(),
            next: Vec::new(),
            verdict: None,
            forced: false,
            preflight: Vec::new(),
            recheck: Vec::new(),
            evidence: None,
            evidence_after: None,
            request: None,
            restart: None,
            resumed: false,
            new_pod: None,
            event: None,
            released: None,
            before: None,
            after: None,
            changes: Vec::new(),
            restart_changed: None,
        }
    }

    /// The node before and after the restart, where this run saw both.
    pub(super) fn both(&self) -> Option<(&NodeReport, &LookAfter)> {
        self.before.as_ref().zip(self.after.as_ref()).filter(|_| !self.resumed)
    }
}

/// The whole.
#[derive(Clone, Debug, Serialize)]
pub struct FixReport {
    /// The nodes as they were seen last.
    #[serde(flatten)]
    pub report: Report,
    /// What was done, node by node.
    pub fix: Vec<NodeFix>,
    /// Whether it was interrupted, be it when only the last words were left.
    pub interrupted: bool,
}

impl FixReport {
    /// The exit code: what was done to one node and did not succeed wins over what was not done to another.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let any = |outcome| self.fix.iter().any(|node| node.outcome == outcome);
        let restarted = self.fix.iter().any(|node| node.restart.is_some() || node.resumed);
        if self.interrupted {
            Exit::Interrupted
        } else if any(FixOutcome::NotVerified) {
            Exit::NotVerified
        } else if any(FixOutcome::Refused) || any(FixOutcome::NotTried) {
            // 7 promises that nothing was changed.
            if restarted { Exit::NotVerified } else { Exit::Refused }
        } else {
            Exit::Healthy
        }
    }

    /// The report for a person, with or without header rows.
    #[must_use]
    pub fn table(&self, width: Option<u16>, headers: bool) -> String {
        let columns = text::prose(text::columns(width));
        let mut out = String::new();
        for node in &self.fix {
            if !out.is_empty() {
                out.push('\n');
            }
            table(&mut out, node, columns, headers);
        }
        out
    }
}

fn table(out: &mut String, node: &NodeFix, columns: usize, headers: bool) {
    let word = match node.outcome {
        FixOutcome::NotTried => "NOT TRIED",
        FixOutcome::Verified => "✓ VERIFIED",
        FixOutcome::NotVerified => "✗ NOT VERIFIED",
        FixOutcome::Refused => "REFUSED",
        FixOutcome::DryRun => "DRY RUN",
        FixOutcome::Interrupted => "INTERRUPTED",
    };
    let mut put = |first: &str, says: &str| out.push_str(&hang(first, &safe(says), columns));
    put(&format!("{}  {word}: ", safe(&node.node)), &node.says);
    let rules = node.preflight.iter().chain(&node.recheck);
    for item in rules.filter(|item| item.stops || item.result != preflight::RuleResult::Pass) {
        let word = if item.stops { "stop" } else { item.risk.name() };
        put(&format!("  {word:6} "), &format!("{}: {}", item.rule, item.says));
    }
    if let Some(request) = node.request.as_ref().filter(|_| node.outcome == FixOutcome::DryRun) {
        put("  request   ", &format!("{} {}", text_of(&request["method"]), text_of(&request["path"])));
        put("            ", &request["body"].to_string());
    }
    if let Some(path) = &node.evidence {
        put("  evidence  ", &path.display().to_string());
    }
    if let Some(path) = &node.evidence_after {
        put("  after     ", &path.display().to_string());
    }
    if let (Some(restart), Some(new)) = (node.restart, &node.new_pod) {
        let word = match restart {
            RestartOutcome::Deleted => "deleted",
            RestartOutcome::GoneAlready => "deleted by another user",
            RestartOutcome::Untouched => "not deleted when looked up",
            RestartOutcome::NotKnown => "perhaps deleted",
        };
        put("  restart   ", &format!("{word}; the new pod is {new}"));
    }
    if let Some(watched) = node.after.as_ref().and_then(|after| after.watched.as_ref()) {
        put("  watched   ", &watched.says());
    }
    if node.event == Some(false) {
        put("  event     ", "unknown whether it was recorded");
    }
    if node.released == Some(false) {
        put("  lock      ", &format!("it may still be held; it expires after {} minutes", lock::LIFE_S / 60));
    }
    for next in &node.next {
        put("  next      ", next);
    }
    if let Some((before, after)) = node.both() {
        let mut rows = diff::compare_node(before, &after.node).rows;
        let lookup = match after.name_lookup {
            Some(true) => "answered",
            Some(false) => "no answer",
            None => "not asked",
        };
        let what = "name lookup".to_owned();
        rows.push(DiffRow { what, before: "not asked".to_owned(), after: lookup.to_owned(), changed: true });
        out.push('\n');
        out.push_str(&diff::beside(&rows.iter().collect::<Vec<_>>(), columns, headers));
    }
    if let Some(changed) = &node.restart_changed {
        out.push('\n');
        out.push_str(&changed.text(columns));
    }
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
