//! Progress for a person who waits: a bar (of nodes, or of an archive's bytes), what the slowest nodes are doing, and
//! each finding as soon as it is one; on standard error, and only on a terminal. With `-o jsonl`, each node's line goes to
//! standard output as soon as it is known.

mod output;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::Notify;

use crate::base::screen::{Format, Screen};
use crate::diagnose::Observer;
use crate::gather::reading::Meter;
use crate::knowledge::code::Kind;
use crate::report::{NodeReport, SourceInfo, json, table, text};
pub use output::Output;

/// How many of the slowest nodes are shown.
const SLOWEST: usize = 4;
/// Above this many nodes, healthy ones get no line of their own.
const MANY: usize = 20;
/// How often the bar is redrawn.
const TICK: Duration = Duration::from_millis(200);

/// The screen while nodes are looked at.
pub struct Progress {
    screen: Screen,
    output: Output,
    bars: Option<Bars>,
    /// Whether the bar shows how much of an archive was read.
    by_bytes: Cell<bool>,
    total: Cell<usize>,
    finished: Cell<usize>,
    kinds: RefCell<HashMap<Kind, usize>>,
    running: RefCell<Vec<Running>>,
    begun: Cell<Option<Instant>>,
    stop: Notify,
    stopped: Cell<bool>,
}

struct Bars {
    all: MultiProgress,
    bar: ProgressBar,
    slow: Vec<ProgressBar>,
}

/// A node that is being looked at, in the order of their starts.
struct Running {
    node: String,
    step: String,
    since: Instant,
}

impl Progress {
    /// Shows progress where the screen allows it.
    #[must_use]
    pub fn new(screen: &Screen, output: &Output) -> Self {
        Self {
            screen: *screen,
            output: output.clone(),
            bars: screen.progress.then(|| Bars::new(screen.ascii)),
            by_bytes: Cell::default(),
            total: Cell::default(),
            finished: Cell::default(),
            kinds: RefCell::default(),
            running: RefCell::default(),
            begun: Cell::default(),
            stop: Notify::new(),
            stopped: Cell::default(),
        }
    }

    /// Shows from now on how much of an archive was read, as reported to the returned meter.
    #[must_use]
    pub fn meter(&self) -> Meter {
        let Some(Bars { bar, .. }) = &self.bars else { return Meter::default() };
        self.by_bytes.set(true);
        bar.set_style(style("{bar:20} {binary_bytes} of {binary_total_bytes} {elapsed} {wide_msg}", self.screen.ascii));
        bar.set_message("reading");
        bar.enable_steady_tick(TICK);
        let bar = bar.clone();
        Meter::new(move |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })
    }

    /// Whether nodes are being looked at, so that a run that is ended early has something to report.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun.get().is_some()
    }

    /// Ends the run with the results so far.
    pub fn stop(&self) {
        self.stopped.set(true);
        self.stop.notify_one();
    }

    /// Whether a signal ended it early.
    #[must_use]
    pub fn was_stopped(&self) -> bool {
        self.stopped.get()
    }

    /// Writes a line to standard error, above the bar.
    pub fn say(&self, line: &str) {
        if self.screen.quiet {
            return;
        }
        let line = self.shown(&text::safe(line));
        match &self.bars {
            // An error of standard error does not stop the run.
            Some(bars) => drop(bars.all.println(&line)),
            None => drop(writeln!(io::stderr(), "{line}")),
        }
    }

    /// Removes bars from the screen.
    pub fn clear(&self) {
        if let Some(bars) = &self.bars {
            bars.bar.finish_and_clear();
            bars.slow.iter().for_each(ProgressBar::finish_and_clear);
            let _ = bars.all.clear();
        }
    }

    fn show(&self) {
        let Some(bars) = &self.bars else { return };
        let kinds = self.kinds.borrow();
        let words =
            [(Kind::Stale, "stale"), (Kind::OtherFault, "with another fault"), (Kind::Inconclusive, "not judged")];
        let mut says: Vec<String> =
            words.iter().filter_map(|(kind, word)| Some(format!("{} {word}", kinds.get(kind)?))).collect();
        let (finished, total) = (self.finished.get(), self.total.get());
        let left = if self.by_bytes.get() {
            says.insert(0, format!("{finished}/{total} nodes"));
            let kib = |bytes: u64| usize::try_from(bytes >> 10).unwrap_or(usize::MAX);
            time_left(bars.bar.elapsed(), kib(bars.bar.position()), kib(bars.bar.length().unwrap_or(0)))
        } else {
            bars.bar.set_position(finished as u64);
            self.begun.get().and_then(|begun| time_left(begun.elapsed(), finished, total))
        };
        if let Some(left) = left {
            says.push(format!("about {} left", crate::base::time::span(left)));
        }
        bars.bar.set_message(self.shown(&says.join(" · ")));
        let running = self.running.borrow();
        for (at, bar) in bars.slow.iter().enumerate() {
            match running.get(at) {
                Some(node) => bar.set_message(self.shown(&format!(
                    "  {}  {} ({} s)",
                    text::safe(&node.node),
                    node.step,
                    node.since.elapsed().as_secs()
                ))),
                None => bar.set_message(""),
            }
        }
    }

    /// A text as standard error takes it.
    fn shown(&self, text: &str) -> String {
        if self.screen.ascii { text::ascii(text) } else { text.to_owned() }
    }

    /// A line of standard output, with the bars out of its way where they share a terminal.
    fn print(&self, line: String) {
        match &self.bars {
            Some(bars) if self.screen.width.is_some() => self.output.put_beside(line, bars.all.clone()),
            _ => self.output.put(line),
        }
    }
}

impl Bars {
    fn new(ascii: bool) -> Self {
        let style = |template| style(template, ascii);
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let bar = all.add(ProgressBar::new(0)).with_style(style("{bar:20} {pos}/{len} nodes {elapsed} {wide_msg}"));
        let slow = (0..SLOWEST).map(|_| all.add(ProgressBar::new_spinner()).with_style(style("{wide_msg}"))).collect();
        Self { all, bar, slow }
    }
}

fn style(template: &str, ascii: bool) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars(if ascii { "#>-" } else { "█▌░" })
}

/// How long the rest takes at the pace of the nodes, or KiB, so far; none while there are too few to estimate from.
fn time_left(elapsed: Duration, finished: usize, total: usize) -> Option<Duration> {
    let left = total.checked_sub(finished).filter(|left| *left > 0)?;
    if finished < 3 || elapsed < Duration::from_secs(2) {
        return None;
    }
    let factor = u32::try_from(left).ok()?;
    let by = u32::try_from(finished).ok()?;
    Some(Duration::from_secs((elapsed.checked_mul(factor)? / by).as_secs().max(1)))
}

impl Observer for Progress {
    fn begin(&self, nodes: usize) {
        self.total.set(nodes);
        self.begun.set(Some(Instant::now()));
        if let Some(bars) = &self.bars {
            if !self.by_bytes.get() {
                bars.bar.set_length(nodes as u64);
            }
            bars.bar.enable_steady_tick(TICK);
        }
        self.show();
    }

    fn step(&self, node: &str, step: &str) {
        {
            let mut running = self.running.borrow_mut();
            match running.iter_mut().find(|running| running.node == node) {
                Some(running) => step.clone_into(&mut running.step),
                None => running.push(Running { node: node.to_owned(), step: step.to_owned(), since: Instant::now() }),
            }
        }
        self.show();
    }

    fn done(&self, node: &str) {
        self.running.borrow_mut().retain(|running| running.node != node);
        self.finished.set(self.finished.get() + 1);
        self.show();
    }

    fn settled(&self, node: &NodeReport, source: &SourceInfo) {
        let kind = node.verdict.kind;
        *self.kinds.borrow_mut().entry(kind).or_default() += 1;
        if self.screen.format == Format::Jsonl {
            if let Ok(line) = json::jsonl_node(node, source) {
                self.print(line);
            }
        } else if self.bars.is_some() && self.total.get() > 1 && (kind != Kind::Healthy || self.total.get() <= MANY) {
            self.say(&table::one_line(node));
        }
        self.show();
    }

    fn note(&self, says: &str) {
        self.say(says);
    }

    async fn interrupted(&self) {
        // Without a reader the results are of no use.
        tokio::select! {
            () = self.stop.notified() => {}
            () = self.output.failed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remaining_time_is_estimated_from_three_nodes_and_two_seconds_on() {
        let second = Duration::from_secs;
        assert_eq!(time_left(second(10), 0, 100), None);
        assert_eq!(time_left(second(1), 50, 100), None);
        assert_eq!(time_left(second(10), 25, 100), Some(second(30)));
        assert_eq!(time_left(second(10), 100, 100), None);
    }
}
