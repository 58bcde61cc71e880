//! The page that is being written: its columns, colours, wrapped items and drawn rows.

use anstyle::{AnsiColor, Style as Ink};
use comfy_table::{ContentArrangement, Table, presets};

use super::Style;
use crate::report::text::{self, hang, safe, wrap};

/// The longest line across, in columns.
const RULE: usize = text::PROSE_WIDTH;

pub(super) const BOLD: Ink = Ink::new().bold();
pub(super) const DIM: Ink = Ink::new().dimmed();
pub(super) const RED: Ink = AnsiColor::Red.on_default().bold();
pub(super) const GREEN: Ink = AnsiColor::Green.on_default();
pub(super) const YELLOW: Ink = AnsiColor::Yellow.on_default().bold();
pub(super) const CYAN: Ink = AnsiColor::Cyan.on_default();

/// The page that is being written.
pub(super) struct Page {
    pub(super) out: String,
    pub(super) color: bool,
    pub(super) wide: bool,
    /// Whether tables have header rows.
    pub(super) headers: bool,
    /// Columns of the screen.
    pub(super) columns: usize,
    /// Columns of prose.
    pub(super) prose: usize,
}

impl Page {
    pub(super) fn new(style: Style) -> Self {
        let columns = text::columns(style.width);
        Self {
            out: String::new(),
            color: style.color,
            wide: style.wide,
            headers: style.headers,
            columns,
            prose: text::prose(columns),
        }
    }

    /// Harmless text in a colour, where colours are wanted.
    pub(super) fn ink(&self, ink: Ink, text: &str) -> String {
        if self.color { format!("{ink}{text}{ink:#}") } else { text.to_owned() }
    }

    pub(super) fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    pub(super) fn blank(&mut self) {
        self.out.push('\n');
    }

    /// A line across, between nodes.
    pub(super) fn rule(&mut self) {
        let line = self.ink(DIM, &"─".repeat(self.prose.min(RULE)));
        self.line(&line);
    }

    /// A heading of a part of a node.
    pub(super) fn heading(&mut self, title: &str) {
        self.blank();
        for line in wrap(title, self.columns) {
            let line = self.ink(BOLD, &line);
            self.line(&line);
        }
    }

    /// A wrapped text, in front of which `first` stands; `ink` colours that alone. Where it would leave too little room
    /// beside it, the text goes below it.
    pub(super) fn item(&mut self, first: &str, ink: Ink, text: &str) {
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

    /// A command on a line of its own: not wrapped, not indented, so that it can be copied whole.
    pub(super) fn command(&mut self, command: &str, ink: Ink) {
        if text::is_safe(command) {
            let line = self.ink(ink, command);
            self.line(&line);
        } else {
            // Copied as shown it would not be the command that is meant.
            let shown = safe(command);
            self.item("  ", DIM, &format!("(holds characters that can't be shown; -o json has it whole) {shown}"));
        }
    }

    /// Colours `columns` columns of a line, from column `start` on.
    pub(super) fn ink_columns(&self, line: &str, start: usize, columns: usize, ink: Ink) -> String {
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
#[expect(clippy::indexing_slicing, reason = "both have N places")]
pub(super) fn widths<const N: usize>(rows: &[[String; N]]) -> [usize; N] {
    std::array::from_fn(|i| rows.iter().map(|row| text::width(&row[i])).max().unwrap_or_default())
}

/// The columns that these rows need.
pub(super) fn total<const N: usize>(rows: &[[String; N]]) -> usize {
    widths(rows).iter().sum::<usize>() + 2 * (N - 1)
}

/// Rows into lines: columns two blanks apart, no frame, nothing behind the last word.
pub(super) fn draw<R: AsRef<[String]>>(rows: &[R]) -> Vec<String> {
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
