//! Two reports of the same nodes, before and after: which verdicts, checks and figures changed.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::report::text::safe;
use crate::report::{Check, NodeReport, Report};

/// The schema of this version.
pub const SCHEMA: &str = "staledp.diff/v1";

/// What changed between two reports.
#[derive(Clone, Debug, Serialize)]
pub struct Diff {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// When the two were made, RFC 3339.
    pub generated_at: [String; 2],
    /// Nodes that only the first has.
    pub only_before: Vec<String>,
    /// Nodes that only the second has.
    pub only_after: Vec<String>,
    /// Nodes of both where anything changed, by name.
    pub changed: Vec<NodeDiff>,
    /// How many nodes of both are the same.
    pub unchanged: usize,
}

/// What changed on one node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeDiff {
    /// Its name.
    pub node: String,
    /// Its changes: the verdict first, then the agent, then the checks in order.
    pub changes: Vec<Change>,
}

/// One value that changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What it is: `verdict`, `cilium.pod`, `dns-conntrack.status`, `dns-conntrack.data.unanswered`, …
    pub what: String,
    /// What it was; null where it was not there.
    pub before: Value,
    /// What it is; null where it is not there.
    pub after: Value,
}

/// Compares two reports of the same nodes. Wording, times and durations are no changes; a figure that could not be had
/// is null, which is different from 0.
#[must_use]
pub fn compare(before: &Report, after: &Report) -> Diff {
    let by_name = |report: &Report| -> BTreeMap<String, NodeReport> {
        report.nodes.iter().map(|node| (node.node.clone(), node.clone())).collect()
    };
    let (mut old, new) = (by_name(before), by_name(after));
    let mut diff = Diff {
        schema: SCHEMA,
        generated_at: [before.generated_at.clone(), after.generated_at.clone()],
        only_before: Vec::new(),
        only_after: Vec::new(),
        changed: Vec::new(),
        unchanged: 0,
    };
    for (name, now) in new {
        let Some(then) = old.remove(&name) else {
            diff.only_after.push(name);
            continue;
        };
        let changes = changes(&then, &now);
        if changes.is_empty() {
            diff.unchanged += 1;
        } else {
            diff.changed.push(NodeDiff { node: name, changes });
        }
    }
    diff.only_before = old.into_keys().collect();
    diff
}

fn changes(then: &NodeReport, now: &NodeReport) -> Vec<Change> {
    let mut out = Vec::new();
    let value = |node: &NodeReport| (json(&node.verdict.code), json(&node.cilium));
    let ((old_code, old_agent), (new_code, new_agent)) = (value(then), value(now));
    add("verdict", &old_code, &new_code, &mut out);
    add("cilium", &old_agent, &new_agent, &mut out);
    for check in &now.checks {
        let old = then.checks.iter().find(|old| old.id == check.id);
        let id = json(&check.id);
        let id = id.as_str().unwrap_or_default();
        add(&format!("{id}.status"), &old.map_or(Value::Null, |old| json(&old.status)), &json(&check.status), &mut out);
        add(&format!("{id}.data"), &old.map_or(Value::Null, figures), &figures(check), &mut out);
    }
    out
}

/// A check's figures. Round-trip times are of a moment, and no change.
fn figures(check: &Check) -> Value {
    let mut data = check.data.clone();
    if let Some(fields) = data.as_object_mut() {
        fields.remove("rtt_avg_ms");
    }
    data
}

fn json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// Goes down to the single values; lists are compared as a whole.
fn add(what: &str, before: &Value, after: &Value, out: &mut Vec<Change>) {
    if before == after {
        return;
    }
    if let (Value::Object(old), Value::Object(new)) = (before, after) {
        let gone = old.keys().filter(|key| !new.contains_key(*key));
        for key in new.keys().chain(gone) {
            let value = |fields: &serde_json::Map<String, Value>| fields.get(key).cloned().unwrap_or(Value::Null);
            add(&format!("{what}.{key}"), &value(old), &value(new), out);
        }
        return;
    }
    out.push(Change { what: what.to_owned(), before: before.clone(), after: after.clone() });
}

/// The changes for people.
#[must_use]
pub fn text(diff: &Diff) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for node in &diff.changed {
        // Writing to a String can't fail.
        _ = writeln!(out, "{}", safe(&node.node));
        for change in &node.changes {
            let (before, after) = (word(&change.before), word(&change.after));
            _ = writeln!(out, "  {}: {} -> {}", change.what, safe(&before), safe(&after));
        }
    }
    for (nodes, word) in [(&diff.only_before, "first"), (&diff.only_after, "second")] {
        if !nodes.is_empty() {
            _ = writeln!(out, "only in the {word}: {}", safe(&nodes.join(", ")));
        }
    }
    _ = writeln!(out, "nodes that changed: {}, that did not: {}", diff.changed.len(), diff.unchanged);
    out
}

/// A value in a few words.
fn word(value: &Value) -> String {
    match value {
        Value::Null => "not known".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("{} in a list", items.len()),
        Value::Object(fields) => format!("{} figures", fields.len()),
        other => other.to_string(),
    }
}
