//! What a person sees while waiting: on standard error, and only on a terminal.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::diagnose::Observer;
use crate::report::text;
use crate::settings::Screen;

/// A line per node that is being looked at.
pub struct Progress {
    lines: Option<MultiProgress>,
    nodes: RefCell<BTreeMap<String, ProgressBar>>,
}

impl Progress {
    /// Shows progress where the screen allows it.
    #[must_use]
    pub fn new(screen: &Screen) -> Self {
        let lines = screen.progress.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Self { lines, nodes: RefCell::default() }
    }

    /// Takes everything off the screen again.
    pub fn clear(&self) {
        if let Some(lines) = &self.lines {
            // A screen that cannot be cleared is no reason to stop.
            let _ = lines.clear();
        }
    }
}

impl Observer for Progress {
    fn step(&self, node: &str, step: &str) {
        let Some(lines) = &self.lines else { return };
        let mut nodes = self.nodes.borrow_mut();
        let bar = nodes.entry(node.to_owned()).or_insert_with(|| {
            let style = ProgressStyle::with_template("{spinner} {prefix}  {msg} {elapsed:.dim}");
            let bar = lines.add(ProgressBar::new_spinner());
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.set_prefix(text::safe(node).into_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        bar.set_message(step.to_owned());
    }

    fn done(&self, node: &str) {
        if let Some(bar) = self.nodes.borrow_mut().remove(node) {
            bar.finish_and_clear();
        }
    }
}
