//! `staledp gate`: whether the nodes that a rollout changed are worse than before.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::gate_choice::{Choice, Chosen, has_other_agent, old_revision};
use super::kept_report::report_of;
use super::nodes::note_on_none;
use super::printing::{Terminal, document};
use super::source::{Opened, Work, look};
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::screen::Format;
use crate::base::time::{self, moment, span};
use crate::cli::GateArgs;
use crate::diagnose::{DiagnoseSettings, Observer as _, diagnose};
use crate::gather::Source;
use crate::knowledge::code::Code;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::inventory::Inventory;
use crate::kubernetes::settled::{Unsettled, unsettled};
use crate::progress::Progress;
use crate::report::gate::{ChosenNode, GateBaseline, GateReport, NodeGate};
use crate::report::{Report, text};
use crate::settings::{EvidenceFrom, GateSettings, NodeChoice, Settings, gate};

/// Between two looks at agents that are not ready yet.
const PAUSE: Duration = Duration::from_secs(3);
/// The same for each node of the cluster: a list of a thousand nodes is not read every few seconds.
const PAUSE_PER_NODE: Duration = Duration::from_millis(10);
/// The longest pause, where agents only have to grow older.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a first change is waited for: a rollout may take a moment to begin.
const FIRST_CHANGE: Duration = Duration::from_secs(60);
/// Below this age, in seconds, a verdict may be `agent-starting`.
const STARTING_S: i64 = 300;

/// Waits for the chosen nodes to settle, judges them, and prints how they compare with the baseline.
pub(super) async fn run(args: GateArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let settings = gate(args)?;
    let path = settings.before.display().to_string();
    let baseline = report_of(settings.before.clone(), terminal).await?;
    let progress = terminal.progress_until_the_end();
    let gate = Gate { settings: &settings, baseline: &baseline, path, progress: &progress };
    // The choice is the gate's own: it needs all nodes to find those that changed or are gone.
    let open = Settings { nodes: NodeChoice::All, exclude: Vec::new(), ..settings.look.clone() };
    let open = Settings { diagnose: DiagnoseSettings { shard: None, ..open.diagnose.clone() }, ..open };
    let looked = terminal.signals.or_partial(&progress, "Printing partial results", look(&open, &gate)).await;
    progress.clear();
    let report = looked?;
    let columns = text::prose(text::columns(terminal.screen.width));
    let text = match terminal.screen.format {
        Format::Jsonl => report.jsonl()?,
        Format::Name => text::names(report.not_passed()),
        format => document(&terminal.screen, &report, || {
            report.text(columns, format == Format::Wide, terminal.screen.headers)
        })?,
    };
    terminal.print(text).await?;
    Ok(if report.partial && progress.was_stopped() { Exit::Interrupted } else { report.exit() })
}

/// Compares nodes with a baseline.
struct Gate<'a> {
    settings: &'a GateSettings,
    baseline: &'a Report,
    path: String,
    progress: &'a Progress,
}

impl Work for Gate<'_> {
    type Done = GateReport;

    fn progress(&self) -> Option<&Progress> {
        Some(self.progress)
    }

    async fn on<S: Source>(&self, given: Opened<'_, S>) -> Result<GateReport, Error> {
        let Opened { source, inventory, nodes: there, settings: opened, about } = given;
        let begun = Instant::now();
        let is_live = matches!(opened.evidence, EvidenceFrom::Cluster(_));
        let wait = opened.diagnose.deadline.map_or(self.settings.wait, |whole| whole.min(self.settings.wait));
        let mut waiting = Waiting { ends: begun + wait, settle_s: self.settings.settle_s, said: BTreeMap::new() };
        if let Some(newer) = self.newer_than(inventory).filter(|_| !is_live) {
            let failed = format!("the baseline is {newer} newer than the evidence of --from");
            return Err(Error::usage(failed).with_hint("--before is the older one"));
        }
        let choice = Choice::new(self.settings, self.baseline, about.context.as_deref(), inventory)?;
        let mut chosen = choice.nodes(inventory, there)?;
        let mut fresh: Option<Inventory> = None;
        loop {
            let lists = fresh.as_ref().unwrap_or(inventory);
            let mut open = self.unsettled(lists, &chosen, waiting.settle_s);
            let is_over = |waiting: &Waiting| !is_live || Instant::now() >= waiting.ends || self.progress.was_stopped();
            let none_yet = chosen.nodes.is_empty() && begun.elapsed() < FIRST_CHANGE && choice.is_by_change();
            if !is_over(&waiting) && (none_yet || open.values().any(|why| !why.for_good)) {
                chosen = self.wait(source, &choice, chosen, &mut waiting, begun).await;
                fresh = Some(source.inventory().await);
                let lists = fresh.as_ref().unwrap_or(inventory);
                chosen = choice.again(lists, chosen);
                open = self.unsettled(lists, &chosen, waiting.settle_s);
                let settled = !chosen.nodes.is_empty() && open.values().all(|why| why.for_good);
                if !settled && !is_over(&waiting) {
                    continue;
                }
            }
            let lists = fresh.as_ref().unwrap_or(inventory);
            let names: Vec<String> = chosen.nodes.keys().cloned().collect();
            let left = opened.diagnose.deadline.map(|whole| whole.saturating_sub(begun.elapsed()));
            let by_name = matches!(self.settings.look.nodes, NodeChoice::Named(_));
            let looking = DiagnoseSettings { named: by_name, deadline: left, ..opened.diagnose.clone() };
            let waited_s = begun.elapsed().as_secs();
            let judged = diagnose(source, lists, &names, &looking, about.clone(), self.progress).await;
            // With a lower --settle, or an agent that started meanwhile.
            let is_starting = judged.nodes.iter().any(|node| node.verdict.code == Code::AgentStarting);
            if is_starting && !is_over(&waiting) {
                waiting.settle_s = waiting.settle_s.max(STARTING_S);
                self.pause(waiting.ends.min(Instant::now() + PAUSE)).await;
                fresh = Some(source.inventory().await);
                continue;
            }
            return Ok(self.report(&choice, lists, chosen, &open, judged, waited_s));
        }
    }
}

/// How long it is waited, and what was said of it.
struct Waiting {
    ends: Instant,
    /// From which age on an agent is settled, in seconds.
    settle_s: i64,
    said: BTreeMap<String, String>,
}

impl Gate<'_> {
    /// Which of the chosen nodes have not settled, by these lists.
    fn unsettled(&self, lists: &Inventory, chosen: &Chosen, settle_s: i64) -> BTreeMap<String, Unsettled> {
        let map = ClusterMap::new(lists, self.settings.look.diagnose.questions.named());
        let meant = chosen.nodes.keys().filter(|node| map.why_not_meant(node).is_none());
        let at = lists.origin.captured_at;
        meant.filter_map(|node| Some((node.clone(), unsettled(node, &map, at, settle_s)?))).collect()
    }

    /// Waits until the chosen nodes have settled by the agents' pods, or the time is over; returns them with those that
    /// joined.
    async fn wait<S: Source>(
        &self,
        source: &S,
        choice: &Choice<'_>,
        mut chosen: Chosen,
        waiting: &mut Waiting,
        begun: Instant,
    ) -> Chosen {
        if waiting.said.is_empty() {
            let most = waiting.ends.saturating_duration_since(begun);
            self.progress.say(&if chosen.nodes.is_empty() {
                format!("no node has changed yet: waiting at most {} for the first", span(most.min(FIRST_CHANGE)))
            } else {
                format!("waiting at most {} until the nodes have settled", span(most))
            });
        }
        loop {
            let Ok(Some(lists)) = timeout_at(waiting.ends, source.agents_now()).await else { return chosen };
            chosen = choice.again(&lists, chosen);
            let open = self.unsettled(&lists, &chosen, waiting.settle_s);
            self.say_what_changed(&chosen, &open, waiting);
            if !chosen.nodes.is_empty() && open.values().all(|why| why.for_good) {
                return chosen;
            }
            if chosen.nodes.is_empty() && begun.elapsed() >= FIRST_CHANGE {
                return chosen;
            }
            let count = u32::try_from(lists.nodes.known().len()).unwrap_or(u32::MAX);
            let usual = (PAUSE + PAUSE_PER_NODE.saturating_mul(count)).min(LONGEST_PAUSE);
            let only_young: Option<Vec<i64>> = open.values().map(|why| why.only_young_s).collect();
            let pause = match only_young.and_then(|left| left.into_iter().max()) {
                Some(left) => Duration::from_secs(left.unsigned_abs()).clamp(Duration::from_secs(1), LONGEST_PAUSE),
                None => usual,
            };
            let until = waiting.ends.min(Instant::now() + pause);
            self.pause(until).await;
            if until >= waiting.ends || self.progress.was_stopped() {
                return chosen;
            }
        }
    }

    /// Waits until then; a signal ends it.
    async fn pause(&self, until: Instant) {
        tokio::select! {
            () = sleep_until(until) => {}
            () = self.progress.interrupted() => {}
        }
    }

    /// Says each reason once, and once that a node has settled.
    fn say_what_changed(&self, chosen: &Chosen, open: &BTreeMap<String, Unsettled>, waiting: &mut Waiting) {
        for node in chosen.nodes.keys() {
            let says = open.get(node).map_or("settled", |why| why.says.as_str());
            if waiting.said.get(node).map(String::as_str) != Some(says) {
                self.progress.say(&format!("{node}: {says}"));
                waiting.said.insert(node.clone(), says.to_owned());
            }
        }
    }

    fn report(
        &self,
        choice: &Choice<'_>,
        lists: &Inventory,
        chosen: Chosen,
        open: &BTreeMap<String, Unsettled>,
        judged: Report,
        waited_s: u64,
    ) -> GateReport {
        let context = judged.source.context.clone();
        let map = ClusterMap::new(lists, self.settings.look.diagnose.questions.named());
        let compared = judged.nodes.iter().map(|after| {
            let (node, before) = (after.node.as_str(), choice.before(&after.node));
            let how = ChosenNode {
                because: chosen.nodes.get(node).cloned().unwrap_or_default(),
                agent_changed: before.and_then(|before| has_other_agent(before, node, &map)),
                unsettled: open.get(node).map(|why| why.says.clone()),
            };
            NodeGate::new(before, after, &how, context.as_deref())
        });
        let gone = chosen.missing.iter().filter_map(|name| Some(NodeGate::gone(choice.before(name)?, "named")));
        let nodes = compared.chain(gone).collect();
        let Report { generated_at, source, .. } = self.baseline;
        let baseline = GateBaseline {
            path: self.path.clone(),
            generated_at: generated_at.clone(),
            captured_at: source.captured_at.clone(),
            context: source.context.clone(),
        };
        let mut report = GateReport::new(baseline, judged, nodes);
        report.waited_s = waited_s;
        report.since = choice.since().map(|since| since.to_string());
        report.notes.extend(self.notes(lists, &chosen, report.source.context.as_deref()));
        report.summary.unchanged = chosen.unchanged.len();
        report.unchanged = chosen.unchanged;
        report.gone = chosen.gone;
        report
    }

    /// By how much the baseline is newer than these lists; none where it is not.
    fn newer_than(&self, lists: &Inventory) -> Option<String> {
        let (before, now) = (moment(self.baseline.source.captured_at.as_deref()?)?, lists.origin.captured_at?);
        (before > now).then(|| time::age(time::seconds_between(now, before)))
    }

    /// What a reader has to know of the comparison as a whole.
    fn notes(&self, lists: &Inventory, chosen: &Chosen, context: Option<&str>) -> Vec<String> {
        let theirs = self.baseline.source.context.as_deref();
        let mut notes = Vec::new();
        if let (Some(theirs), Some(ours)) = (theirs, context)
            && theirs != ours
        {
            notes.push(format!(
                "the baseline is of the context {theirs}, this run of {ours}: nodes are compared by name"
            ));
        }
        if self.baseline.partial {
            let why = self.baseline.partial_reason.as_deref().unwrap_or("no reason is given");
            notes.push(format!("the baseline is partial: {why}"));
        }
        if let Some(newer) = self.newer_than(lists) {
            notes.push(format!("by the clocks the baseline is {newer} newer than what it is compared with"));
        }
        notes.extend(note_on_none(&self.settings.look, chosen.nodes.len() + chosen.unchanged.len()));
        let old = old_revision(lists, chosen);
        if old > 0 {
            let agents = text::count(old, "agent that did not change is", "agents that did not change are");
            notes.push(format!("{agents} of another revision than those judged: the rollout is not over"));
        }
        notes
    }
}
