//! Two reports of the same nodes, before and after: which verdicts, checks and figures changed. `staledp diff` shows it
//! for what was saved, `staledp fix` for the node whose agent it restarted.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::checks::HostPingData;
use crate::report::text::{hang, safe, width, wrap};
use crate::report::{Check, CheckData, NodeReport, Report};

/// Below this width before and after stand one below the other.
const NARROW: usize = 64;

/// The schema of this version.
pub const SCHEMA: &str = "staledp.diff/v1";

/// What changed between two reports.
#[derive(Clone, Debug, Serialize)]
pub struct Diff {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// When the two were made, RFC 3339.
    pub generated_at: [String; 2],
    /// When the evidence of the two was taken, RFC 3339, where that is known.
    pub captured_at: [Option<String>; 2],
    /// Nodes that only the first has.
    pub only_before: Vec<String>,
    /// Nodes that only the second has.
    pub only_after: Vec<String>,
    /// Nodes of both where anything changed, by name.
    pub changed: Vec<NodeDiff>,
    /// How many nodes of both are the same.
    pub unchanged: usize,
}

impl Diff {
    /// Whether anything differs.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        !self.only_before.is_empty() || !self.only_after.is_empty() || !self.changed.is_empty()
    }
}

/// What changed on one node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeDiff {
    /// Its name.
    pub node: String,
    /// Its changes: the verdict first, then the agent, then the checks in order.
    pub changes: Vec<Change>,
    /// The same in the words of both reports, and what did not change, too.
    #[serde(skip)]
    pub rows: Vec<DiffRow>,
}

/// Something of a node in words, before and after.
#[derive(Clone, Debug)]
pub struct DiffRow {
    /// What it is: `verdict`, `agent`, or a check.
    pub what: String,
    /// What the first report says of it.
    pub before: String,
    /// What the second report says of it.
    pub after: String,
    /// Whether more than words changed.
    pub changed: bool,
}

/// One value that changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What it is: `verdict`, `cilium.pod`, `dns-conntrack.status`, `dns-conntrack.data.unanswered`, …
    pub what: String,
    /// Its value in the first report; null where the first lacks it.
    pub before: Value,
    /// Its value in the second report; null where the second lacks it.
    pub after: Value,
}

/// Compares two reports of the same nodes. Wording, times and durations do not count; a missing figure is null,
/// which differs from 0.
#[must_use]
pub fn compare(before: &Report, after: &Report) -> Diff {
    let by_name = |report: &Report| -> BTreeMap<String, NodeReport> {
        let named = |node: &NodeReport| match &node.context {
            Some(context) => format!("{context}/{}", node.node),
            None => node.node.clone(),
        };
        report.nodes.iter().map(|node| (named(node), node.clone())).collect()
    };
    let (mut old, new) = (by_name(before), by_name(after));
    let mut diff = Diff {
        schema: SCHEMA,
        generated_at: [before.generated_at.clone(), after.generated_at.clone()],
        captured_at: [before.source.captured_at.clone(), after.source.captured_at.clone()],
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
        let node = compare_node(&then, &now);
        if node.changes.is_empty() {
            diff.unchanged += 1;
        } else {
            diff.changed.push(node);
        }
    }
    diff.only_before = old.into_keys().collect();
    diff
}

/// Compares what two reports say of one node.
#[must_use]
pub fn compare_node(then: &NodeReport, now: &NodeReport) -> NodeDiff {
    let (mut changes, mut rows) = (Vec::new(), Vec::new());
    let mut row = |what: &str, words: [String; 2], values: &[(String, Value, Value)]| {
        let so_far = changes.len();
        for (name, before, after) in values {
            add(name, before, after, &mut changes);
        }
        let [before, after] = words;
        rows.push(DiffRow { what: what.to_owned(), before, after, changed: changes.len() > so_far });
    };
    let both = |word: fn(&NodeReport) -> String| [word(then), word(now)];
    let value = |name: &str, value: fn(&NodeReport) -> Value| (name.to_owned(), value(then), value(now));
    let code = |node: &NodeReport| node.verdict.code.name().to_owned();
    row("verdict", both(code), &[value("verdict", |node| json(&node.verdict.code))]);
    row("agent", both(agent), &[value("cilium", |node| json(&node.cilium))]);
    for check in &now.checks {
        let old = then.checks.iter().find(|old| old.id == check.id);
        let id = check.id.name();
        let status = |check: &Check| json(&check.status);
        let was = |of: fn(&Check) -> Value| old.map_or(Value::Null, of);
        let values = [
            (format!("{id}.status"), was(status), status(check)),
            (format!("{id}.data"), was(figures), figures(check)),
        ];
        let words = |check: &Check| format!("{}: {}", check.status.name(), check.summary);
        row(id, [old.map_or_else(String::new, words), words(check)], &values);
    }
    NodeDiff { node: now.node.clone(), changes, rows }
}

fn agent(node: &NodeReport) -> String {
    let known = [&node.cilium.pod, &node.cilium.version].into_iter().flatten();
    let known: Vec<&str> = known.map(String::as_str).collect();
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

/// A check's figures. Round-trip times are of a moment, and no change.
fn figures(check: &Check) -> Value {
    match &check.data {
        CheckData::HostPing(data) => json(&HostPingData { rtt_avg_ms: None, ..data.clone() }),
        data => json(data),
    }
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

/// The changes for people, in lines of at most so many columns, with or without header rows.
#[must_use]
pub fn text(diff: &Diff, columns: usize, headers: bool) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for node in &diff.changed {
        let changed: Vec<&DiffRow> = node.rows.iter().filter(|row| row.changed).collect();
        // Writing to a String can't fail.
        _ = writeln!(out, "{}", safe(&node.node));
        out += &beside(&changed, columns, headers);
        let same: Vec<&str> = node.rows.iter().filter(|row| !row.changed).map(|row| row.what.as_str()).collect();
        if !same.is_empty() {
            out += &hang("unchanged: ", &same.join(", "), columns);
        }
        let mut figures = node.changes.iter().filter(|change| change.what.contains(".data.")).peekable();
        if figures.peek().is_some() {
            out.push_str("figures that changed:\n");
        }
        for change in figures {
            let (before, after) = (word(&change.before), word(&change.after));
            let what = change.what.replace(".data.", ": ");
            let says = if before == after { "changed".to_owned() } else { format!("{before} -> {after}") };
            out += &hang("  ", &safe(&format!("{what}: {says}")), columns);
        }
        out.push('\n');
    }
    for (nodes, word) in [(&diff.only_before, "first"), (&diff.only_after, "second")] {
        if !nodes.is_empty() {
            out += &hang(&format!("only in the {word}: "), &safe(&nodes.join(", ")), columns);
        }
    }
    _ = writeln!(out, "nodes that changed: {}, that did not: {}", diff.changed.len(), diff.unchanged);
    out
}

/// Before and after side by side, with or without a header row; on narrow screens one below the other.
#[must_use]
pub fn beside(rows: &[&DiffRow], columns: usize, headers: bool) -> String {
    let mut out = String::new();
    if columns < NARROW {
        for row in rows {
            out += &hang("", &safe(&row.what), columns);
            out += &hang("  before  ", &safe(&row.before), columns);
            out += &hang("  after   ", &safe(&row.after), columns);
        }
        return out;
    }
    let head = DiffRow { what: "CHECK".into(), before: "BEFORE".into(), after: "AFTER".into(), changed: false };
    let first = rows.iter().map(|row| width(&row.what)).max().unwrap_or(0).max(width(&head.what));
    let longest = rows.iter().map(|row| width(&safe(&row.before))).max().unwrap_or(0).max(width(&head.before));
    let room = columns.saturating_sub(first + 4);
    let left = (room / 2).min(longest);
    for row in std::iter::once(&head).filter(|_| headers).chain(rows.iter().copied()) {
        let cells = [(&row.before, left), (&row.after, room - left)].map(|(text, width)| wrap(&safe(text), width));
        for at in 0..cells[0].len().max(cells[1].len()).max(1) {
            let what = if at == 0 { row.what.as_str() } else { "" };
            let [before, after] = cells.each_ref().map(|lines| lines.get(at).map_or("", String::as_str));
            let pad = |text: &str, to: usize| " ".repeat(to.saturating_sub(width(text)));
            let line = format!("{what}{}  {before}{}  {after}", pad(what, first), pad(before, left));
            out += line.trim_end();
            out.push('\n');
        }
    }
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
