//! The symptoms of a cluster, for people: the worst node first, the command that looks at it last.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::Style as Ink;
use serde::Serialize;

use super::SourceInfo;
use super::table::{self, Style};
use super::text::{self, count, hang, safe, wrap};
use crate::base::tool::Tool;
use crate::symptoms::storm::Storm;
use crate::symptoms::{NotRead, Symptom, SymptomKind, Symptoms};

/// The schema of this version.
pub const SCHEMA: &str = "staledp.symptoms/v1";
/// So many symptoms of a node are listed one by one.
pub const SHOWN: usize = 12;
/// So many nodes are listed one by one.
const NODES: usize = 20;

const BOLD: Ink = Ink::new().bold();

/// The symptoms of a cluster.
#[derive(Clone, Debug, Serialize)]
pub struct SymptomsReport {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Which program made it.
    pub tool: Tool,
    /// When, RFC 3339 in UTC.
    pub generated_at: String,
    /// What it rests on.
    pub source: SourceInfo,
    /// What hit several nodes in one window.
    pub cluster_events: Vec<Storm>,
    /// The nodes with symptoms, the one to look at first in front.
    pub nodes: Vec<NodeSymptoms>,
    /// Symptoms that belong to no node that is known.
    pub elsewhere: Vec<Symptom>,
    /// What could not be read, and why.
    pub not_read: Vec<NotRead>,
    /// What was not asked for, because it costs calls of its own.
    pub not_asked: Vec<NotAsked>,
    /// The command that looks at the likeliest node; null where no node stands out.
    pub next: Option<String>,
}

/// Something that is only asked for by name.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NotAsked {
    /// What.
    pub what: &'static str,
    /// The option that enables it.
    pub option: &'static str,
}

impl NotAsked {
    /// The logs of pods.
    pub const LOGS: Self = Self { what: "logs", option: "--logs" };
    /// Prometheus, for buffers.
    pub const BUFFERS: Self = Self { what: "buffers", option: "--prometheus" };
}

/// A node with symptoms.
#[derive(Clone, Debug, Serialize)]
pub struct NodeSymptoms {
    /// Its name.
    pub node: String,
    /// Worst first.
    pub symptoms: Vec<Symptom>,
    /// How much they speak for a look at the node's datapath; 0: not at all. It ranks nodes and means nothing else.
    pub weight: u32,
}

/// The report of these symptoms.
#[must_use]
pub fn report(
    found: Symptoms,
    about: SourceInfo,
    next: Option<String>,
    not_asked: Vec<NotAsked>,
    generated_at: String,
) -> SymptomsReport {
    let order: Vec<(String, u32)> =
        found.ranked().into_iter().map(|name| (name.to_owned(), found.weight(name))).collect();
    let Symptoms { mut nodes, elsewhere, events, not_read } = found;
    let nodes = order
        .into_iter()
        .map(|(node, weight)| NodeSymptoms { symptoms: nodes.remove(&node).unwrap_or_default(), node, weight })
        .collect();
    SymptomsReport {
        schema: SCHEMA,
        tool: Tool::THIS,
        generated_at,
        source: about,
        cluster_events: events,
        nodes,
        elsewhere,
        not_read,
        not_asked,
        next,
    }
}

/// The report as text, with a newline at its end.
#[must_use]
pub fn render(report: &SymptomsReport, style: &Style) -> String {
    let prose = text::prose(text::columns(style.width));
    let bold = |text: &str| if style.color { format!("{BOLD}{text}{BOLD:#}") } else { text.to_owned() };
    let mut parts = table::source(&report.source);
    parts.push(format!("{} with symptoms", count(report.nodes.len(), "node", "nodes")));
    parts.push(table::moment(&report.source, &report.generated_at));
    let mut out = wrap(&parts.join(" · "), prose).join("\n") + "\n";
    let mut section = |title: &str, body: String| {
        if !body.is_empty() {
            out.push('\n');
            out.push_str(&bold(title));
            out.push('\n');
            out.push_str(&body);
        }
    };
    let items =
        |texts: &mut dyn Iterator<Item = String>| texts.map(|text| hang("  - ", &text, prose)).collect::<String>();
    section(
        "The whole cluster at once",
        items(&mut report.cluster_events.iter().map(|storm| {
            format!("{}: something hit them together; judge nodes by what came after", safe(&storm.says))
        })),
    );
    let shown = if style.wide { usize::MAX } else { NODES };
    for node in report.nodes.iter().take(shown) {
        let most = if style.wide { usize::MAX } else { SHOWN };
        let title = format!("{}  {}", safe(&node.node), kinds(&node.symptoms));
        section(&title, list(&node.symptoms, most, prose));
    }
    if report.nodes.len() > shown {
        section("More nodes", format!("  … and {} more: -o wide lists them\n", report.nodes.len() - shown));
    }
    section("Without a known node", list(&report.elsewhere, if style.wide { usize::MAX } else { SHOWN }, prose));
    section(
        "Not read",
        items(&mut report.not_read.iter().map(|unread| format!("{}: {}", safe(&unread.what), safe(&unread.reason)))),
    );
    out.push('\n');
    if !report.not_asked.is_empty() {
        let asked: Vec<String> = report.not_asked.iter().map(|not| format!("{} ({})", not.what, not.option)).collect();
        out.push_str(&(wrap(&format!("Not asked: {}.", asked.join(", ")), prose).join("\n") + "\n"));
    }
    match (&report.next, report.nodes.is_empty()) {
        (Some(command), _) => {
            let node = report.nodes.first().map_or("", |n| n.node.as_str());
            let says = format!("Symptoms are hints, not a verdict. Start with {}:", safe(node));
            out.push_str(&(wrap(&says, prose).join("\n") + "\n"));
            out.push_str(&bold(&safe(command)));
            out.push('\n');
        }
        (None, true) if report.not_read.is_empty() => out.push_str("No symptoms were found.\n"),
        (None, true) => out.push_str("No symptoms were found in what could be read.\n"),
        (None, false) => {
            let says = "No symptom points to a node's datapath.";
            out.push_str(&(wrap(says, prose).join("\n") + "\n"));
        }
    }
    out
}

/// How many of which kind, in a line.
fn kinds(symptoms: &[Symptom]) -> String {
    let mut counts: BTreeMap<SymptomKind, usize> = BTreeMap::new();
    for symptom in symptoms {
        *counts.entry(symptom.kind).or_default() += 1;
    }
    counts.iter().map(|(kind, n)| format!("{} {n}", kind.name())).collect::<Vec<_>>().join(", ")
}

/// Symptoms one below the other: who, what, a sample, and what the verdict has to do with it.
#[must_use]
pub fn list(symptoms: &[Symptom], shown: usize, prose: usize) -> String {
    let mut out = String::new();
    // A few more than are shown are shown, too: one line must not stand for one line.
    let shown = if symptoms.len() <= shown.saturating_add(1) { symptoms.len() } else { shown };
    for symptom in symptoms.iter().take(shown) {
        let names = [&symptom.namespace, &symptom.pod].into_iter().flatten().map(|name| safe(name)).collect::<Vec<_>>();
        let mut who = names.join("/");
        if let Some(container) = &symptom.container {
            _ = write!(who, " ({})", safe(container));
        }
        let mut who =
            if who.is_empty() { symptom.kind.name().to_owned() } else { format!("{}: {who}", symptom.kind.name()) };
        if let Some(when) = symptom.when() {
            _ = write!(who, ", {when}");
        }
        let word = match symptom.explained {
            Some(true) => "explained by the verdict",
            Some(false) => "not explained by the verdict",
            None => "open",
        };
        let sample = symptom.sample.as_ref().map(|sample| ("> ", safe(sample).into_owned()));
        let why = symptom.why.as_ref().map(|why| ("", format!("{word}: {}", safe(why))));
        let more = std::iter::once(("", safe(&symptom.says).into_owned())).chain(sample).chain(why);
        if prose == text::UNBOUNDED {
            let more: Vec<String> = more.map(|(mark, says)| format!("{mark}{says}")).collect();
            out += &hang("  ", &format!("{who}: {}", more.join(" · ")), prose);
        } else {
            out += &hang("  ", &who, prose);
            more.for_each(|(mark, says)| out += &hang(&format!("    {mark}"), &says, prose));
        }
    }
    if shown < symptoms.len() {
        _ = writeln!(out, "  … and {} more: -o wide lists them", symptoms.len() - shown);
    }
    out
}
