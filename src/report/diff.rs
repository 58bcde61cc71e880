//! Two reports of the same nodes, before and after: which verdicts, checks and figures changed. `staledp diff` shows it
//! for what was saved, `staledp fix` for the node whose agent it restarted.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::checks::HostPingData;
use crate::knowledge::code::{Code, Kind};
use crate::report::text::{count, hang, safe, width, wrap};
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
    /// The codes of its two verdicts.
    #[serde(skip)]
    pub codes: [Code; 2],
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
    NodeDiff { node: now.node.clone(), changes, codes: [then.verdict.code, now.verdict.code], rows }
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
    let mut out = String::new();
    for node in &diff.changed {
        out += &hang("", &safe(&format!("{} {}", node.node, course(node.codes))), columns);
        let (changed, same): (Vec<&DiffRow>, Vec<&DiffRow>) =
            node.rows.iter().filter(|row| row.what != "verdict").partition(|row| row.changed);
        if !changed.is_empty() {
            out += &beside(&changed, columns, headers);
        }
        let same: Vec<&str> = same.iter().map(|row| row.what.as_str()).collect();
        if !same.is_empty() {
            out += &hang("unchanged: ", &same.join(", "), columns);
        }
        let mut figures = node.changes.iter().filter_map(figure).peekable();
        if figures.peek().is_some() {
            out.push_str("figures that changed:\n");
        }
        for says in figures {
            out += &hang("  ", &safe(&says), columns);
        }
        out.push('\n');
    }
    let only = [
        ("Only in BEFORE, so gone or not collected again: ", &diff.only_before),
        ("Only in AFTER, so new or not collected before: ", &diff.only_after),
    ];
    for (what, nodes) in only {
        if !nodes.is_empty() {
            out += &hang(what, &safe(&nodes.join(", ")), columns);
        }
    }
    out + &hang("", &closing(diff), columns)
}

/// What became of a node, in a predicate.
fn course([before, after]: [Code; 2]) -> String {
    let (was, is) = (before.name(), after.name());
    if before == after {
        return format!("is {is}, as before; what it rests on changed");
    }
    let word = match (before.kind(), after.kind()) {
        (Kind::Inconclusive, Kind::Inconclusive) => "still cannot be judged",
        (Kind::Inconclusive, _) => "can be judged now",
        (_, Kind::Inconclusive) => "can no longer be judged",
        (_, Kind::Healthy) => "is better",
        (Kind::Healthy, _) => "is worse",
        _ => "has another fault",
    };
    format!("{word}: it was {was} and is {is} now")
}

/// How many nodes were compared, and what became of them.
fn closing(diff: &Diff) -> String {
    let compared = diff.changed.len() + diff.unchanged;
    let became = |from: bool, to: bool| {
        let healthy = |code: Code| code.kind() == Kind::Healthy;
        let judged = |node: &&NodeDiff| node.codes.iter().all(|code| code.kind() != Kind::Inconclusive);
        let changed = diff.changed.iter().filter(judged);
        changed.filter(|node| node.codes.map(healthy) == [from, to]).count()
    };
    let parts = [(became(true, false), "worse"), (became(false, true), "better")];
    let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    let nodes = count(compared, "node", "nodes");
    match diff.changed.len() {
        _ if compared == 0 => "No node is in both.".to_owned(),
        0 => format!("{nodes} compared: no difference"),
        changed => format!("{nodes} compared: {changed} changed{parts}, {} did not", diff.unchanged),
    }
}

/// A figure that changed, in words; none for what is not a figure.
fn figure(change: &Change) -> Option<String> {
    let (check, field) = change.what.split_once(".data.")?;
    let (before, after) = (figure_text(&change.before), figure_text(&change.after));
    let says = if before == after { format!("{after}, but not the same") } else { format!("{before} -> {after}") };
    Some(format!("{check}: {}: {says}", label(field)))
}

/// A field of a check's figures as people call it.
fn label(field: &str) -> String {
    match field.split_once('.') {
        Some((protocol @ ("tcp" | "udp"), field)) => {
            return format!("{}, {}", protocol.to_uppercase(), label(field));
        }
        Some(("by_protocol", rest)) => {
            let (protocol, field) = rest.split_once('.').unwrap_or((rest, ""));
            return format!("{protocol}, {}", label(field)).trim_end_matches(", ").to_owned();
        }
        _ => {}
    }
    let words = match field {
        "entries" => "entries to node-local DNS",
        "packets_zero" => "entries with Packets=0",
        "live" => "live flows",
        "in_flight" => "too recent to judge",
        "stopped" => "no longer answered",
        "accounting" => "packet accounting",
        "path" => "way of DNS",
        "prefixes" => "listed addresses",
        "listed" => "entries to the listed addresses",
        "world" => "live flows to the outside",
        "world_answered" => "answered flows to the outside",
        "world_unanswered" => "unanswered flows to the outside",
        "via" => "asked from",
        "sent" | "received" => return format!("packets {field}"),
        "row_type" => "type of the row",
        "realized" => "backends that the datapath knows",
        "expected" => "backends that are ready",
        other => return other.replace('_', " "),
    };
    words.to_owned()
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

/// A figure's value in a few words; of lists and groups only how much is in them.
fn figure_text(value: &Value) -> String {
    match value {
        Value::Null => "not known".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.len().to_string(),
        Value::Object(fields) => count(fields.len(), "figure", "figures"),
        other => other.to_string(),
    }
}
