//! The report for a person at night: verdict first, evidence next, the one command last.
//!
//! On a screen lines are wrapped to its width; a pipe or a file gets each finding on a line of its own.
//! Lines are laid out here, not by the table's crate: it would break names in the middle, ask the terminal for its
//! width, and read `NO_COLOR` behind our back. It gets cells that are wrapped already and draws them.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style as Ink};
use comfy_table::{ContentArrangement, Table, presets};

use super::figures;
use super::symptoms;
use super::text::{self, count, hang, safe, wrap};
use super::{Check, NodeReport, Report, Skipped, SourceInfo, SourceKind, Summary};
use crate::checks::Status;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Kind;
use crate::rules::verdict::{Confidence, Remediation, RiskLevel, Verdict};

/// How to show a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether escapes for colours may stand in the text.
    pub color: bool,
    /// The width of the screen in columns; none: there is no screen, and each finding has one line, however long.
    pub width: Option<u16>,
    /// Fold nothing: every healthy node with its details, every pod.
    pub wide: bool,
}

/// From this many nodes on, healthy ones are counted instead of listed.
const MANY_NODES: usize = 21;

/// So many pods are listed one by one.
const MANY_PODS: usize = 8;

/// From this width on, figures and their meaning stand side by side.
const SIDE_BY_SIDE: usize = 110;

/// The longest line across, in columns.
const RULE: usize = text::PROSE_WIDTH;

/// Below this width, checks are listed instead of laid out as a table.
const NARROW: usize = 64;

const BOLD: Ink = Ink::new().bold();
const DIM: Ink = Ink::new().dimmed();
const RED: Ink = AnsiColor::Red.on_default().bold();
const GREEN: Ink = AnsiColor::Green.on_default();
const YELLOW: Ink = AnsiColor::Yellow.on_default().bold();
const CYAN: Ink = AnsiColor::Cyan.on_default();

/// How many skipped nodes are named for one reason, unless the table is wide.
const MOST_SKIPPED: usize = 5;

/// The whole report as text, with a newline at its end.
#[must_use]
pub fn render(report: &Report, style: &Style) -> String {
    let mut page = Page::new(*style);
    page.header(report);
    page.run(report);
    if report.nodes.len() > 1 {
        page.overview(&report.nodes);
    }
    for node in &report.nodes {
        if report.nodes.len() == 1 || style.wide || node.verdict.kind != Kind::Healthy {
            page.blank();
            if report.nodes.len() > 1 {
                page.rule();
            }
            page.node(node);
        }
    }
    page.closing(&report.summary);
    page.out
}

/// A node in one line, for those who watch.
#[must_use]
pub fn one_line(node: &NodeReport) -> String {
    let verdict = &node.verdict;
    let (mark, _) = mark(verdict.kind);
    format!("{mark} {}: {}{}", safe(&node.node), verdict.code.name(), confidence(verdict))
}

/// The mark and the colour of a verdict. The mark says it without the colour.
const fn mark(kind: Kind) -> (&'static str, Ink) {
    match kind {
        Kind::Stale => ("✗", RED),
        Kind::OtherFault => ("!", YELLOW),
        Kind::Inconclusive => ("?", CYAN),
        Kind::Healthy => ("✓", GREEN),
    }
}

/// The word for a check's status and its colour.
const fn word(status: Status) -> (&'static str, Ink) {
    match status {
        Status::Pass => ("✓ pass", GREEN),
        Status::Fail => ("✗ fail", RED),
        Status::Warn => ("! warn", YELLOW),
        Status::Unknown => ("? unknown", CYAN),
        Status::NotApplicable => ("- n/a", DIM),
    }
}

/// The page that is being written.
struct Page {
    out: String,
    color: bool,
    wide: bool,
    /// Columns of the screen.
    columns: usize,
    /// Columns of prose.
    prose: usize,
}

impl Page {
    fn new(style: Style) -> Self {
        let columns = text::columns(style.width);
        Self { out: String::new(), color: style.color, wide: style.wide, columns, prose: text::prose(columns) }
    }

    /// Harmless text in a colour, where colours are wanted.
    fn ink(&self, ink: Ink, text: &str) -> String {
        if self.color { format!("{ink}{text}{ink:#}") } else { text.to_owned() }
    }

    fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    fn blank(&mut self) {
        self.out.push('\n');
    }

    /// A line across, between nodes.
    fn rule(&mut self) {
        let line = self.ink(DIM, &"─".repeat(self.prose.min(RULE)));
        self.line(&line);
    }

    /// A heading of a part of a node.
    fn heading(&mut self, title: &str) {
        self.blank();
        for line in wrap(title, self.columns) {
            let line = self.ink(BOLD, &line);
            self.line(&line);
        }
    }

    /// A wrapped text, in front of which `first` stands; `ink` colours that alone. Where it would leave too little room
    /// beside it, the text goes below it.
    fn item(&mut self, first: &str, ink: Ink, text: &str) {
        let indent = text::width(first);
        if indent > self.prose / 5 * 2 && indent + text::width(text) > self.prose {
            let depth = first.len() - first.trim_start().len() + 2;
            let line = self.ink(ink, first.trim_end());
            self.line(&line);
            self.out.push_str(&hang(&" ".repeat(depth), text, self.prose));
            return;
        }
        let whole = hang(first, text, self.prose);
        match whole.strip_prefix(first) {
            Some(rest) if !first.trim().is_empty() => {
                let first = self.ink(ink, first);
                self.out.push_str(&first);
                self.out.push_str(rest);
            }
            _ => self.out.push_str(&whole),
        }
    }

    /// What the report rests on.
    fn header(&mut self, report: &Report) {
        let mut parts = source(&report.source);
        parts.push(count(report.nodes.len(), "node", "nodes"));
        if let Some(shard) = report.shard {
            parts.push(format!("shard {shard}"));
        }
        parts.push(safe(&report.generated_at).into_owned());
        for line in wrap(&parts.join(" · "), self.prose) {
            let line = self.ink(DIM, &line);
            self.line(&line);
        }
    }

    /// What makes the report less than it was meant to be, and what is to be known of the run.
    fn run(&mut self, report: &Report) {
        if report.partial {
            let reason = report.partial_reason.as_deref().unwrap_or("no reason is given");
            self.item("PARTIAL: ", YELLOW, &safe(reason));
        }
        for note in &report.notes {
            self.item("Note: ", DIM, &safe(note));
        }
        let mut skipped: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for Skipped { node, says } in &report.skipped {
            skipped.entry(says).or_default().push(node);
        }
        for (says, nodes) in skipped {
            let more = nodes.len().saturating_sub(MOST_SKIPPED);
            let more = if more > 0 && !self.wide { format!(" and {more} more") } else { String::new() };
            let named = if self.wide { nodes.len() } else { MOST_SKIPPED };
            let named = nodes.iter().take(named).copied().collect::<Vec<_>>().join(", ");
            self.item("Skipped: ", DIM, &safe(&format!("{named}{more}: {says}")));
        }
    }

    /// One row per node, problems first, as the report has them.
    fn overview(&mut self, nodes: &[NodeReport]) {
        self.blank();
        let fold = nodes.len() >= MANY_NODES && !self.wide;
        let shown: Vec<_> = nodes.iter().filter(|n| !fold || n.verdict.kind != Kind::Healthy).collect();
        if !shown.is_empty() {
            self.overview_rows(&shown);
        }
        let folded = nodes.len() - shown.len();
        if folded > 0 {
            let (mark, ink) = mark(Kind::Healthy);
            let line = format!("{mark} {}: -o wide lists them", count(folded, "healthy node", "healthy nodes"));
            let line = self.ink(ink, &line);
            self.line(&line);
        }
        if !self.wide {
            self.oddities(nodes);
        }
    }

    fn overview_rows(&mut self, nodes: &[&NodeReport]) {
        let mut rows = vec![["NODE", "VERDICT", "HOST", "POD-EGRESS", "DNS", "BACKENDS"].map(str::to_owned)];
        for node in nodes {
            let (mark, _) = mark(node.verdict.kind);
            rows.push([
                safe(&node.node).into_owned(),
                format!("{mark} {}{}", node.verdict.code.name(), confidence(&node.verdict)),
                short(node, CheckId::HostPing),
                short(node, CheckId::PodEgress),
                short(node, CheckId::DnsConntrack),
                short(node, CheckId::DnsBackends),
            ]);
        }
        if total(&rows) > self.columns {
            // The first thing to give up: it stands again in the details.
            for (node, row) in nodes.iter().zip(rows.iter_mut().skip(1)) {
                row[1] = format!("{} {}", mark(node.verdict.kind).0, node.verdict.code.name());
            }
        }
        if total(&rows) > self.columns {
            self.overview_list(nodes, &rows);
            return;
        }
        let [name, verdict, ..] = widths(&rows);
        let lines = draw(&rows);
        for (i, line) in lines.iter().enumerate() {
            let line = match i.checked_sub(1).and_then(|i| nodes.get(i)) {
                None => self.ink(BOLD, line),
                Some(node) => self.ink_columns(line, name + 2, verdict, mark(node.verdict.kind).1),
            };
            self.line(&line);
        }
    }

    /// The overview where rows would be wider than the screen: the name whole, the rest below it.
    fn overview_list(&mut self, nodes: &[&NodeReport], rows: &[[String; 6]]) {
        for (node, row) in nodes.iter().zip(rows.iter().skip(1)) {
            let (_, ink) = mark(node.verdict.kind);
            let name = self.ink(BOLD, &row[0]);
            self.line(&name);
            let verdict = self.ink(ink, &row[1]);
            self.line(&format!("  {verdict}"));
            let figures = format!("host {}, pod-egress {}, DNS {}, backends {}", row[2], row[3], row[4], row[5]);
            self.item("  ", DIM, &figures);
        }
    }

    /// What should be known of healthy nodes although they are healthy.
    fn oddities(&mut self, nodes: &[NodeReport]) {
        let mut first = true;
        for node in nodes.iter().filter(|n| n.verdict.kind == Kind::Healthy) {
            let warnings = node.checks.iter().filter(|c| c.status == Status::Warn).map(|c| &c.summary);
            for says in warnings.chain(&node.notes) {
                if std::mem::take(&mut first) {
                    self.blank();
                }
                self.item(&format!("{}: ", safe(&node.node)), BOLD, &safe(says));
            }
        }
    }

    /// Everything about one node.
    fn node(&mut self, node: &NodeReport) {
        self.verdict(node);
        self.blank();
        self.checks(&node.checks);
        self.reasons(node);
        self.affected(node);
        self.sources(&node.checks);
        self.symptoms(node);
        if !node.notes.is_empty() {
            self.heading("Notes");
            for note in &node.notes {
                self.item("  - ", DIM, &safe(note));
            }
        }
        if !node.known_issues.is_empty() {
            self.heading("Known upstream issues");
            for issue in &node.known_issues {
                let (id, says) = (safe(&issue.id), format!("{}: {}", safe(&issue.title), safe(&issue.why)));
                if self.columns == text::UNBOUNDED {
                    self.item(&format!("  {id}: "), CYAN, &says);
                } else {
                    let id = self.ink(CYAN, &format!("  {id}"));
                    self.line(&id);
                    self.item("    ", DIM, &says);
                }
            }
        }
        self.what_to_do(node);
    }

    fn verdict(&mut self, node: &NodeReport) {
        let Verdict { kind, code, confidence, summary, .. } = &node.verdict;
        let (mark, ink) = mark(*kind);
        let name = safe(&node.node).into_owned();
        let kind = kind.name().to_uppercase();
        let says = if kind.eq_ignore_ascii_case(code.name()) {
            format!("{mark} {kind}{}", confidence.map_or(String::new(), |c| format!(" ({} confidence)", c.name())))
        } else {
            format!(
                "{mark} {kind}: {}{}",
                code.name(),
                confidence.map_or(String::new(), |c| format!(" ({} confidence)", c.name()))
            )
        };
        if text::width(&name) + 2 + text::width(&says) <= self.columns {
            let line = format!("{}  {}", self.ink(BOLD, &name), self.ink(ink, &says));
            self.line(&line);
        } else {
            let line = self.ink(BOLD, &name);
            self.line(&line);
            for line in wrap(&says, self.columns) {
                let line = self.ink(ink, &line);
                self.line(&line);
            }
        }
        self.item("", DIM, &safe(summary));
        let cilium = &node.cilium;
        let mut parts = Vec::new();
        if let Some(version) = &cilium.version {
            parts.push(format!("Cilium {}", safe(version)));
        }
        if let Some(pod) = &cilium.pod {
            parts.push(match &cilium.namespace {
                Some(namespace) => format!("{}/{}", safe(namespace), safe(pod)),
                None => safe(pod).into_owned(),
            });
        }
        if let Some(started) = &cilium.started_at {
            parts.push(format!("since {}", safe(started)));
        }
        for line in wrap(&parts.join(" · "), self.prose) {
            let line = self.ink(DIM, &line);
            self.line(&line);
        }
    }

    /// The five checks: which, what it says, its figures, what they mean.
    fn checks(&mut self, checks: &[Check]) {
        if self.columns < NARROW {
            for check in checks {
                let (word, ink) = word(check.status);
                let line = format!("{}  {}", self.ink(ink, word), check.id.name());
                self.line(&line);
                self.item("  ", DIM, &meaning(check));
                for figure in figures::of(check) {
                    self.item("  · ", DIM, &figure);
                }
            }
            return;
        }
        // The longest id and the longest word, and two columns between cells.
        let (id, status) = (18, 9);
        let unbounded = self.columns == text::UNBOUNDED;
        let room = if unbounded { text::UNBOUNDED } else { self.columns.min(180) - id - status - 4 };
        let mut rows = Vec::new();
        let mut inks = Vec::new();
        let side_by_side = self.columns >= SIDE_BY_SIDE && !unbounded;
        let (left, right) = if side_by_side { (room / 2 - 1, room - room / 2 - 1) } else { (room, room) };
        rows.push(if side_by_side {
            vec!["CHECK".to_owned(), "STATUS".to_owned(), "FIGURES".to_owned(), "MEANING".to_owned()]
        } else {
            vec!["CHECK".to_owned(), "STATUS".to_owned(), "MEANING AND FIGURES".to_owned()]
        });
        for check in checks {
            let (word, ink) = word(check.status);
            let figures: Vec<_> = figures::of(check)
                .iter()
                .flat_map(|figure| hang("· ", figure, left).lines().map(str::to_owned).collect::<Vec<_>>())
                .collect();
            let meaning = wrap(&meaning(check), right);
            let mut row = vec![check.id.name().to_owned(), word.to_owned()];
            let mut cells = if side_by_side { vec![figures, meaning] } else { vec![[meaning, figures].concat()] };
            if unbounded {
                cells = vec![vec![cells.concat().join(" ")]];
            }
            let height = cells.iter().map(Vec::len).max().unwrap_or_default().max(1);
            inks.push((ink, text::width(word), height));
            row.extend(cells.iter().map(|lines| lines.join("\n")));
            rows.push(row);
        }
        let mut lines = draw(&rows).into_iter();
        if let Some(head) = lines.next() {
            let head = self.ink(BOLD, &head);
            self.line(&head);
        }
        for (ink, word, height) in inks {
            for (i, line) in lines.by_ref().take(height).enumerate() {
                let line = if i == 0 { self.ink_columns(&line, id + 2, word, ink) } else { line };
                self.line(&line);
            }
        }
    }

    fn reasons(&mut self, node: &NodeReport) {
        if !node.verdict.because.is_empty() {
            self.heading("Because");
            for reason in &node.verdict.because {
                self.item(&format!("  {}: ", safe(&reason.check)), BOLD, &safe(&reason.says));
            }
        }
        if !node.verdict.ruled_out.is_empty() {
            self.heading("Ruled out");
            for look_alike in &node.verdict.ruled_out {
                self.item(&format!("  {}: ", look_alike.code.name()), BOLD, &safe(&look_alike.says));
            }
        }
        if !node.verdict.open.is_empty() {
            self.heading("Open");
            for look_alike in &node.verdict.open {
                let says = format!("{} (settled by: {})", safe(&look_alike.says), safe(&look_alike.settle));
                self.item(&format!("  {}: ", look_alike.code.name()), BOLD, &says);
            }
        }
    }

    fn affected(&mut self, node: &NodeReport) {
        if node.affected.is_empty() {
            return;
        }
        self.heading(&format!("Affected ({})", count(node.affected.len(), "pod", "pods")));
        let shown = if self.wide || node.affected.len() <= MANY_PODS + 1 { node.affected.len() } else { MANY_PODS };
        for pod in node.affected.iter().take(shown) {
            let name = format!("  {}/{}", safe(&pod.namespace), safe(&pod.pod));
            let says = safe(&pod.says);
            if text::width(&name) + 2 + text::width(&says) <= self.columns {
                self.line(&format!("{name}  {says}"));
            } else {
                self.line(&name);
                self.item("    ", DIM, &says);
            }
        }
        if shown < node.affected.len() {
            self.line(&format!("  … and {} more: -o wide lists them", node.affected.len() - shown));
        }
    }

    /// Who asks for names, and who is answered; only where nothing is folded.
    fn sources(&mut self, checks: &[Check]) {
        let sources: Vec<_> = checks.iter().flat_map(figures::sources).collect();
        if !self.wide || sources.is_empty() {
            return;
        }
        self.heading("DNS flows by source");
        for source in sources {
            self.item("  ", DIM, &source);
        }
    }

    fn symptoms(&mut self, node: &NodeReport) {
        if node.symptoms.is_empty() {
            return;
        }
        self.heading(&format!("Symptoms ({})", node.symptoms.len()));
        let shown = if self.wide { usize::MAX } else { symptoms::SHOWN };
        self.out.push_str(&symptoms::list(&node.symptoms, shown, self.prose));
    }

    /// The command, or why there is none.
    fn what_to_do(&mut self, node: &NodeReport) {
        // A command beside a verdict that forbids it would be read as the way out.
        let remedy = node.remediation.as_ref().filter(|_| node.verdict.kind == Kind::Stale);
        match (remedy, node.verdict.kind) {
            (Some(remedy), _) => self.remedy(remedy),
            (None, Kind::OtherFault) => self.advice("Do not restart the Cilium pod", &node.advice),
            (None, Kind::Inconclusive) => self.advice("Do not restart anything on this evidence", &node.advice),
            (None, Kind::Stale) => self.advice("No command can be named", &node.advice),
            (None, Kind::Healthy) if node.advice.is_empty() => {}
            (None, Kind::Healthy) => self.advice("Nothing to repair", &node.advice),
        }
    }

    fn advice(&mut self, title: &str, advice: &[String]) {
        self.heading(title);
        for text in advice {
            self.item("  - ", DIM, &safe(text));
        }
    }

    fn remedy(&mut self, remedy: &Remediation) {
        let (level, ink) = match remedy.risk.level {
            RiskLevel::Low => ("low", GREEN),
            RiskLevel::Medium => ("medium", YELLOW),
            RiskLevel::High => ("HIGH", RED),
        };
        self.blank();
        let title = format!("{}{}", self.ink(BOLD, "Risk of the repair: "), self.ink(ink, level));
        self.line(&title);
        for reason in &remedy.risk.because {
            self.item("  - ", DIM, &safe(reason));
        }
        if !remedy.verify.is_empty() {
            self.heading("Afterwards, verify");
            for command in &remedy.verify {
                self.command(command, Ink::new());
            }
        }
        self.heading("To repair this node, restart its one Cilium pod");
        for command in &remedy.commands {
            self.command(command, BOLD);
        }
    }

    /// A command on a line of its own: not wrapped, not indented, so that it can be copied whole.
    fn command(&mut self, command: &str, ink: Ink) {
        if text::is_safe(command) {
            let line = self.ink(ink, command);
            self.line(&line);
        } else {
            // Copied as shown it would not be the command that is meant.
            let shown = safe(command);
            self.item("  ", DIM, &format!("(holds characters that can't be shown; -o json has it whole) {shown}"));
        }
    }

    /// How many of which kind.
    fn closing(&mut self, summary: &Summary) {
        self.blank();
        let parts = [
            (summary.stale, "stale", RED),
            (summary.other_fault, "with another fault", YELLOW),
            (summary.inconclusive, "not judged", CYAN),
            (summary.healthy, "healthy", GREEN),
        ];
        let parts: Vec<_> =
            parts.iter().filter(|(n, ..)| *n > 0).map(|(n, what, ink)| (format!("{n} {what}"), *ink)).collect();
        let nodes = count(summary.nodes, "node", "nodes");
        let plain: Vec<_> = parts.iter().map(|(part, _)| part.as_str()).collect();
        if parts.is_empty() {
            self.line(&format!("{nodes}: nothing to judge"));
        } else if text::width(&format!("{nodes}: {}", plain.join(", "))) <= self.columns {
            let parts: Vec<_> = parts.iter().map(|(part, ink)| self.ink(*ink, part)).collect();
            self.line(&format!("{nodes}: {}", parts.join(", ")));
        } else {
            self.line(&format!("{nodes}:"));
            for (part, ink) in parts {
                let part = self.ink(ink, &part);
                self.line(&format!("  {part}"));
            }
        }
    }

    /// Colours `columns` columns of a line, from column `start` on.
    fn ink_columns(&self, line: &str, start: usize, columns: usize, ink: Ink) -> String {
        if !self.color {
            return line.to_owned();
        }
        let byte_at = |column: usize| {
            let mut used = 0;
            line.char_indices()
                .find(|(_, c)| {
                    let here = used >= column;
                    used += text::width(c.encode_utf8(&mut [0; 4]));
                    here
                })
                .map_or(line.len(), |(at, _)| at)
        };
        let (from, to) = (byte_at(start), byte_at(start + columns));
        let (cell, rest) = line[from..].split_at(to - from);
        let word = cell.trim_end();
        format!("{}{}{}{rest}", &line[..from], self.ink(ink, word), &cell[word.len()..])
    }
}

/// The columns that each cell of these rows needs.
fn widths<const N: usize>(rows: &[[String; N]]) -> [usize; N] {
    std::array::from_fn(|i| rows.iter().map(|row| text::width(&row[i])).max().unwrap_or_default())
}

/// The columns that these rows need.
fn total<const N: usize>(rows: &[[String; N]]) -> usize {
    widths(rows).iter().sum::<usize>() + 2 * (N - 1)
}

/// Rows into lines: columns two blanks apart, no frame, nothing behind the last word.
fn draw<R: AsRef<[String]>>(rows: &[R]) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).force_no_tty();
    for row in rows {
        table.add_row(row.as_ref());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// The meaning of a check, and why it is unknown where the summary does not say so already.
fn meaning(check: &Check) -> String {
    let summary = safe(&check.summary);
    match &check.reason {
        Some(reason) if !check.summary.contains(reason.as_str()) => format!("{summary}: {}", safe(reason)),
        _ => summary.into_owned(),
    }
}

/// How sure, in a row: said of every verdict that is not plainly healthy.
fn confidence(verdict: &Verdict) -> String {
    if verdict.kind == Kind::Healthy && verdict.confidence == Some(Confidence::High) {
        String::new()
    } else {
        verdict.confidence.map_or(String::new(), |c| format!(" ({})", c.name()))
    }
}

/// One check in one word or two.
fn short(node: &NodeReport, id: CheckId) -> String {
    node.checks.iter().find(|c| c.id == id).map_or_else(|| "?".to_owned(), figures::short)
}

/// What a report rests on, in the parts of its first line.
pub(super) fn source(source: &SourceInfo) -> Vec<String> {
    let kind = match source.kind {
        SourceKind::Cluster => None,
        SourceKind::Bundle => Some("bundle"),
        SourceKind::Sysdump => Some("sysdump"),
        SourceKind::Bugtool => Some("bugtool"),
    };
    let path = source.path.as_ref();
    let saved = kind.map(|kind| path.map_or_else(|| kind.to_owned(), |path| format!("{kind} {}", safe(path))));
    let context = source.context.as_ref().map(|context| format!("context {}", safe(context)));
    saved.into_iter().chain(context).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    const HOSTILE: &str = "evil\u{1b}[2J\n\u{202e}kubectl delete\u{9b}31m\u{200b}";
    const COMMAND: &str = "kubectl --context=grigri delete pod cilium-swmbt -n kube-system";
    const PLAIN: Style = Style { color: false, width: None, wide: false };

    fn four() -> Report {
        sample::report(vec![sample::stale(), sample::other_fault(), sample::inconclusive(), sample::healthy("brno")])
    }

    fn widths_in_use() -> impl Iterator<Item = Style> {
        [None, Some(0), Some(40), Some(63), Some(64), Some(80), Some(110), Some(200), Some(u16::MAX)]
            .into_iter()
            .flat_map(|width| [false, true].map(|wide| Style { color: false, width, wide }))
    }

    /// Escapes taken out again: what the reader sees.
    fn bleached(text: &str) -> String {
        text.split("\u{1b}[")
            .enumerate()
            .map(|(i, part)| if i == 0 { part } else { part.split_once('m').unwrap().1 })
            .collect()
    }

    #[test]
    fn the_command_stands_last_whole_and_alone_at_every_width() {
        for style in widths_in_use() {
            let shown = render(&sample::report(vec![sample::stale()]), &style);
            let lines: Vec<_> = shown.lines().collect();
            // Then comes only the count.
            assert_eq!(lines[lines.len() - 3..], [COMMAND, "", "1 node: 1 stale"], "{style:?}");
            assert!(lines.contains(&"staledp diagnose --context=grigri --node prusik"));
            assert!(shown.contains("Risk of the repair: medium"));
        }
    }

    #[test]
    fn lines_fit_the_screen_but_for_commands() {
        for style in widths_in_use().filter(|style| style.width.is_some()) {
            let columns = usize::from(style.width.unwrap_or_default().max(40));
            for line in
                render(&four(), &style).lines().filter(|l| !l.starts_with("kubectl") && !l.starts_with("staledp"))
            {
                assert!(text::width(line) <= columns, "{style:?}: {line}");
            }
        }
    }

    #[test]
    fn without_a_screen_each_finding_has_one_line() {
        let report = four();
        let shown = render(&report, &PLAIN);
        let line_of = |parts: &[&str]| {
            let found = shown.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count();
            assert!(found > 0, "no line holds all of {parts:?}:\n{shown}");
        };
        for node in report.nodes.iter().filter(|node| node.verdict.kind != Kind::Healthy) {
            line_of(&[&node.verdict.summary]);
            for check in &node.checks {
                let figures = figures::of(check);
                let mut parts = vec![check.id.name(), word(check.status).0, check.summary.as_str()];
                parts.extend(figures.iter().map(String::as_str));
                line_of(&parts);
            }
            node.verdict.because.iter().for_each(|reason| line_of(&[&reason.check, &reason.says]));
            node.verdict.ruled_out.iter().for_each(|out| line_of(&[out.code.name(), &out.says]));
            node.verdict.open.iter().for_each(|open| line_of(&[open.code.name(), &open.says]));
            node.known_issues.iter().for_each(|issue| line_of(&[&issue.id, &issue.title, &issue.why]));
            node.affected.iter().take(MANY_PODS).for_each(|pod| line_of(&[&pod.pod, &pod.says]));
            node.notes.iter().for_each(|says| line_of(&[says]));
            let remedy = node.remediation.iter().flat_map(|remedy| &remedy.risk.because);
            remedy.for_each(|says| line_of(&[says]));
        }
    }

    #[test]
    fn names_are_never_broken() {
        let mut node = sample::stale();
        let name = "ip-10-0-113-204.eu-central-1.compute.internal.a-rather-long-domain.example";
        node.node = name.to_owned();
        let report = sample::report(vec![node, sample::healthy(name)]);
        for style in widths_in_use() {
            let shown = render(&report, &style);
            assert!(shown.matches(name).count() >= 3, "{shown}");
        }
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        for width in [40, 80, 200] {
            let plain = render(&four(), &Style { width: Some(width), ..PLAIN });
            let color = render(&four(), &Style { width: Some(width), color: true, wide: false });
            assert!(!plain.contains('\u{1b}'));
            assert!(color.contains('\u{1b}'));
            assert_eq!(bleached(&color), plain);
        }
        // A colour ends with its word.
        let color = render(&four(), &Style { color: true, width: Some(80), wide: false });
        assert!(color.contains("✓ pass\u{1b}[0m  the node reaches"), "{color}");
        assert!(color.contains("✗ stale-datapath\u{1b}[0m  "), "{color}");
    }

    #[test]
    fn hostile_strings_do_nothing() {
        let evil = || HOSTILE.to_owned();
        let mut node = sample::stale();
        node.node = evil();
        node.verdict.summary = evil();
        node.verdict.because[0].says = evil();
        node.verdict.because[0].check = evil();
        node.verdict.ruled_out[0].says = evil();
        node.affected[0].pod = evil();
        node.notes = vec![evil()];
        node.advice = vec![evil()];
        node.known_issues[0].title = evil();
        node.cilium.pod = Some(evil());
        node.cilium.version = Some(evil());
        for check in &mut node.checks {
            check.summary = evil();
            check.reason = Some(evil());
            check.data = serde_json::json!({"target": HOSTILE, "sent": 1, "received": 1, "address": HOSTILE,
                "entries": 1, "packets_zero": 1, "probes": [{"pod": HOSTILE, "by_name": HOSTILE}], "service": HOSTILE,
                "realized": 1, "prefixes": [HOSTILE], "listed": 1, "by_protocol": {HOSTILE: {"realized": 0, "expected": 1}}});
        }
        let remedy = node.remediation.as_mut().unwrap();
        remedy.commands = vec![evil()];
        remedy.verify = vec![evil()];
        remedy.risk.because = vec![evil()];
        let mut report = sample::report(vec![node.clone(), node]);
        report.source.context = Some(evil());
        report.generated_at = evil();
        for style in widths_in_use() {
            let shown = render(&report, &style);
            assert!(shown.chars().all(|c| c == '\n' || text::shows(c)), "{shown}");
            assert!(!shown.lines().any(|line| line.starts_with("kubectl")), "{shown}");
            assert!(shown.contains("\\x1b[2J\\n\\u{202e}kubectl"));
        }
    }

    #[test]
    fn a_figure_that_proves_nothing_says_so() {
        let figures = |data| {
            let mut node = sample::healthy("brno");
            node.checks[2].data = data;
            figures::of(&node.checks[2]).join("\n")
        };
        let of = |accounting| serde_json::json!({"packets_zero": 7, "entries": 9, "accounting": accounting});
        assert_eq!(figures(of("off")), "Packets=0: 7 of 9 lines (proves nothing, packet accounting is off)");
        assert_eq!(figures(of("total")), "Packets=0: 7 of 9 lines (proves nothing, the counter is of both directions)");
        assert_eq!(figures(of("split")), "Packets=0: 7 of 9 lines (replies only, expired lines too)");
        let absent = serde_json::json!({"packets_zero": null, "entries": 1, "accounting": "absent"});
        assert_eq!(figures(absent), "Packets=0: not in this dump, its lines have no counters; 1 line");
        for nonsense in [serde_json::json!(null), serde_json::json!([1]), serde_json::json!({"entries": "many"})] {
            assert_eq!(figures(nonsense), "");
        }
    }

    #[test]
    fn another_fault_forbids_the_restart_even_where_a_command_slipped_in() {
        let mut node = sample::other_fault();
        node.remediation = sample::stale().remediation;
        let shown = render(&sample::report(vec![node]), &PLAIN);
        assert!(shown.contains("Do not restart the Cilium pod"));
        assert!(shown.contains("uplink"));
        assert!(!shown.contains("kubectl"));
    }

    #[test]
    fn look_alike_that_could_not_be_looked_at_is_open_and_not_ruled_out() {
        let shown = render(&sample::report(vec![sample::stale()]), &PLAIN);
        let (ruled_out, open) = shown.split_once("Open\n").unwrap();
        assert!(ruled_out.contains("node-local-dns-down"));
        assert!(open.contains("datapath-programs-duplicated: attached-programs is missing"));
    }

    #[test]
    fn many_healthy_nodes_fold_into_a_line_unless_wide() {
        let mut nodes = vec![sample::stale()];
        nodes.extend((0..30).map(|i| sample::healthy(&format!("node-{i:02}"))));
        let mut odd = sample::healthy("odd-one");
        odd.notes = vec!["two sockets point to pods that are gone".to_owned()];
        nodes.push(odd);
        let report = sample::report(nodes);
        let shown = render(&report, &PLAIN);
        assert!(shown.contains("✓ 31 healthy nodes: -o wide lists them"));
        assert!(!shown.contains("node-07"));
        assert!(shown.contains("odd-one: two sockets point to pods that are gone"));
        assert!(shown.ends_with("\n32 nodes: 1 stale, 31 healthy\n"));
        assert!(render(&report, &Style { wide: true, ..PLAIN }).contains("node-07"));
    }

    #[test]
    fn twenty_nodes_are_listed_one_by_one() {
        let report = sample::report((0..20).map(|i| sample::healthy(&format!("node-{i:02}"))).collect());
        let shown = render(&report, &PLAIN);
        assert!(shown.contains("node-00") && shown.contains("node-19"));
        assert!(!shown.contains("Packets=0"), "no details of healthy nodes");
    }

    #[test]
    fn sources_are_listed_where_nothing_is_folded() {
        let report = sample::report(vec![sample::stale()]);
        let wide = render(&report, &Style { wide: true, ..PLAIN });
        let line = "  loki/vector-agent-p7vxd (10.42.0.17): 0 answered, 1800 never, 17 no longer\n";
        assert!(wide.contains(line), "{wide}");
        assert!(wide.contains("  10.42.0.23: 0 answered, 414 never, 0 no longer\n"));
        assert!(!render(&report, &PLAIN).contains("DNS flows by source"));
    }

    #[test]
    fn an_empty_report_says_so() {
        let shown = render(&sample::report(vec![]), &PLAIN);
        assert!(shown.ends_with("0 nodes: nothing to judge\n"));
    }

    /// Shows the samples to a person: `W=80 C=1 cargo test --lib look -- --ignored --nocapture`.
    #[test]
    #[ignore = "for eyes, not for machines"]
    fn look_at_it() {
        let var = |name: &str| std::env::var(name).ok();
        let width = var("W").and_then(|w| w.parse().ok());
        let style = Style { color: var("C").is_some(), width, wide: var("WIDE").is_some() };
        let report = if var("ONE").is_some() { sample::report(vec![sample::stale()]) } else { four() };
        println!("{}", render(&report, &style));
    }
}
