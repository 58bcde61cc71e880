//! The ways of packets of a stale node in a few lines: which are dead, which are alive, with their figures.

use anstyle::Style as Ink;

use super::page::{BOLD, CYAN, DIM, GREEN, Page, RED, YELLOW, draw, total};
use crate::knowledge::code::Kind;
use crate::report::NodeReport;
use crate::report::text::{self, safe};
use crate::report::ways::WayFigures;
use crate::ways::life::Life;

/// So many ways are shown, the dead ones first.
const MOST: usize = 6;

/// The word for how a way does, and its colour.
pub(in crate::report) const fn life_word(life: Life) -> (&'static str, Ink) {
    match life {
        Life::Dead => ("✗ dead", RED),
        Life::Mixed => ("! mixed", YELLOW),
        Life::Alive => ("✓ alive", GREEN),
        Life::Unseen => ("? too few", CYAN),
    }
}

impl Page {
    pub(super) fn ways(&mut self, node: &NodeReport) {
        if node.verdict.kind != Kind::Stale || node.ways.is_empty() {
            return;
        }
        let mut ways: Vec<&WayFigures> = node.ways.iter().collect();
        ways.sort_by_key(|way| match way.life {
            Life::Dead => 0,
            Life::Mixed => 1,
            Life::Alive => 2,
            Life::Unseen => 3,
        });
        ways.truncate(MOST);
        let head = ["WAY", "STATE", "FLOWS ANSWERED"].map(str::to_owned);
        let row = |way: &&WayFigures| {
            let figures = format!("{} of {}", way.answered, way.judged());
            [safe(&way.label).into_owned(), life_word(way.life).0.to_owned(), figures]
        };
        let rows: Vec<[String; 3]> = std::iter::once(head).chain(ways.iter().map(row)).collect();
        self.blank();
        if total(&rows) > self.columns {
            for (way, [label, word, figures]) in ways.iter().zip(rows.iter().skip(1)) {
                let line = self.ink(life_word(way.life).1, word);
                self.line(&line);
                self.item("  ", DIM, &format!("{label}: {figures} flows answered"));
            }
            return;
        }
        let mut lines = draw(&rows).into_iter();
        if let Some(head) = lines.next().filter(|_| self.headers) {
            let head = self.ink(BOLD, &head);
            self.line(&head);
        }
        let start = rows.iter().map(|row| text::width(&row[0])).max().unwrap_or_default() + 2;
        for (line, way) in lines.zip(ways) {
            let (word, ink) = life_word(way.life);
            let line = self.ink_columns(&line, start, text::width(word), ink);
            self.line(&line);
        }
    }
}
