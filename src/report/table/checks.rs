//! The five checks of a node: which, what it says, its figures, what they mean.

use anstyle::Style as Ink;

use super::page::{BOLD, CYAN, DIM, GREEN, Page, RED, YELLOW, draw};
use super::reasons::meaning;
use crate::checks::Status;
use crate::report::text::{self, hang, wrap};
use crate::report::{Check, figures};

/// From this width on, figures and their meaning stand side by side.
const SIDE_BY_SIDE: usize = 110;

/// Below this width, checks are listed instead of laid out as a table.
const NARROW: usize = 64;

/// The word for a check's status and its colour.
pub(super) const fn word(status: Status) -> (&'static str, Ink) {
    match status {
        Status::Pass => ("✓ pass", GREEN),
        Status::Fail => ("✗ fail", RED),
        Status::Warn => ("! warn", YELLOW),
        Status::Unknown => ("? unknown", CYAN),
        Status::NotApplicable => ("- n/a", DIM),
    }
}

impl Page {
    /// The five checks: which, what it says, its figures, what they mean.
    pub(super) fn checks(&mut self, checks: &[Check]) {
        if self.columns < NARROW {
            for check in checks {
                let (word, ink) = word(check.status);
                let line = format!("{}  {}", self.ink(ink, word), check.id.name());
                self.line(&line);
                self.item("  ", DIM, &meaning(check));
                for figure in figures::of_check(check) {
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
            let figures: Vec<_> = figures::of_check(check)
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
        if let Some(head) = lines.next().filter(|_| self.headers) {
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
}
