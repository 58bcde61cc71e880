//! The loop of a watch: follow, screen, look, decide, write.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use tokio::time::{Instant, sleep};

use super::WatchSettings;
use super::condition::{ConditionStatus, DatapathCondition, LookResult, Rules, decide, on_top};
use super::lease::Leadership;
use super::metrics::Metrics;
use super::requests::{PatchAnswer, record_turn, set_condition};
use super::schedule::{Budget, Pace, Schedule};
use super::screening::{failed_fixes, signs};
use super::serve::Pulse;
use crate::diagnose::{Observer, diagnose};
use crate::fix::wire::Wire;
use crate::gather::live::Live;
use crate::gather::live::kube::Followed;
use crate::knowledge::code::{Code, Kind};
use crate::kubernetes::inventory::Listed;
use crate::kubernetes::objects::{Node, Pod};
use crate::report::{NodeReport, SourceInfo};

/// Between two glances at the lists.
const TICK: Duration = Duration::from_secs(1);
/// Nodes of one batch, as a multiple of those that are looked at in parallel: a suspect that turns up meanwhile waits for
/// the batch to end.
const BATCH: usize = 4;
/// How often a condition that cannot be written is tried; the next look writes it anew.
const TRIES: u32 = 10;
/// The longest pause between two tries, in seconds.
const LONGEST_PAUSE_S: i64 = 30;

/// A condition that is to be written.
struct Outgoing {
    condition: DatapathCondition,
    uid: String,
    turned: bool,
    tries: u32,
    /// Not before this, in seconds since the epoch.
    next: i64,
}

/// What the loop holds in memory; all of it can be lost.
struct Memory {
    schedule: Schedule,
    budget: Budget,
    outbox: BTreeMap<String, Outgoing>,
    /// Each node by its name: its UID, and the verdict that the metrics show of it.
    shown: BTreeMap<String, Shown>,
    /// Why the lists are out of touch, as it was last said.
    blind: Option<String>,
}

/// What is told of a node.
struct Shown {
    uid: String,
    code: Option<Code>,
}

/// Watches a cluster.
pub(super) struct Watcher<'a> {
    settings: &'a WatchSettings,
    live: &'a Live,
    wire: &'a Wire<'a>,
    leadership: &'a Leadership<'a>,
    metrics: &'a Metrics,
    pulse: &'a Pulse,
    say: &'a dyn Fn(&str),
    nodes: RefCell<Followed<Node>>,
    pods: RefCell<Followed<Pod>>,
    began: Instant,
}

impl<'a> Watcher<'a> {
    /// Nothing is followed yet.
    pub(super) fn new(
        settings: &'a WatchSettings,
        live: &'a Live,
        wire: &'a Wire<'a>,
        leadership: &'a Leadership<'a>,
        metrics: &'a Metrics,
        pulse: &'a Pulse,
        say: &'a dyn Fn(&str),
    ) -> Self {
        let (nodes, pods) = (RefCell::default(), RefCell::default());
        Self { settings, live, wire, leadership, metrics, pulse, say, nodes, pods, began: Instant::now() }
    }

    /// Follows the lists and judges nodes; never returns by itself.
    pub(super) async fn follow_and_judge(&self) {
        let cluster = self.live.cluster();
        // What was followed before the Lease was lost is old, and another process has written since.
        *self.nodes.borrow_mut() = Followed::default();
        *self.pods.borrow_mut() = Followed::default();
        tokio::join!(
            cluster.follow::<core::Node, Node>(&self.nodes),
            cluster.follow::<core::Pod, Pod>(&self.pods),
            Box::pin(self.judge()),
        );
    }

    async fn judge(&self) {
        let every_s = seconds(self.settings.every);
        let pace = Pace { every_s, confirm_s: seconds(self.settings.confirm_after) };
        let mut memory = Memory {
            schedule: Schedule::new(pace, self.now_s()),
            budget: Budget::new(self.settings.execs_per_minute, self.began.elapsed().as_secs_f64()),
            outbox: BTreeMap::new(),
            shown: BTreeMap::new(),
            blind: None,
        };
        let mut begun = false;
        loop {
            self.pulse.beat();
            let mut looked = false;
            if self.is_in_touch(&mut memory.blind) {
                self.pulse.set_ready(true);
                self.sync(&mut memory);
                if !std::mem::replace(&mut begun, true) {
                    self.leadership.keep_waiting(|node| memory.shown.contains_key(node));
                    self.metrics.round(self.last_round());
                }
                self.flush(&mut memory).await;
                looked = self.look_at_due(&mut memory).await;
            }
            // After a batch the next may be due: of a thousand nodes there are thirty, which must not add up to half a minute.
            if !looked {
                sleep(TICK).await;
            }
        }
    }

    /// Whether both lists were read and are followed; says when that changes.
    fn is_in_touch(&self, blind: &mut Option<String>) -> bool {
        let (nodes, pods) = (self.nodes.borrow(), self.pods.borrow());
        if let Some(why) = nodes.out_of_touch().or(pods.out_of_touch()) {
            if blind.is_none() {
                (self.say)(&format!("cannot follow the cluster's lists, so no node is judged: {why}"));
            }
            *blind = Some(why.to_string());
            return false;
        }
        if !(nodes.is_complete() && pods.is_complete()) {
            return false;
        }
        if blind.take().is_some() {
            (self.say)("the cluster's lists are followed again");
        }
        true
    }

    /// Brings the schedule and the metrics up to the nodes that there are. Of a new node they learn what its condition and
    /// the Lease say.
    fn sync(&self, memory: &mut Memory) {
        let nodes = self.nodes.borrow();
        let known = |node: &Node| self.condition(node);
        let looked = |node: &Node| {
            let waits = self.leadership.waiting(&node.metadata.name).map(|waiting| waiting.at);
            waits.max(known(node).map(|condition| condition.heartbeat))
        };
        // Another node of the name of one that is gone starts anew: what was seen was not seen of it.
        let is_another = |node: &&Node| {
            memory.shown.get(node.metadata.name.as_str()).is_some_and(|shown| shown.uid != node.metadata.uid)
        };
        let others: Vec<String> = nodes.items().filter(is_another).map(|node| node.metadata.name.to_string()).collect();
        for other in others {
            memory.schedule.forget(&other);
            self.forget(&other, memory);
        }
        let all = nodes.items().map(|node| (node.metadata.name.as_str(), looked(node)));
        for gone in memory.schedule.sync(all, self.now_s()) {
            self.forget(&gone, memory);
        }
        for node in
            nodes.items().filter(|node| !memory.shown.contains_key(node.metadata.name.as_str())).collect::<Vec<_>>()
        {
            let (name, condition) = (&node.metadata.name, known(node));
            // A process that was killed may have written the condition and not yet that nothing waits any more.
            let waits = self.leadership.waiting(name);
            let waits = waits.filter(|waiting| condition.as_ref().is_none_or(|c| c.heartbeat < waiting.at));
            self.leadership.set_waiting(name, waits);
            let in_trouble = condition.as_ref().is_some_and(|c| c.status != ConditionStatus::True);
            memory.schedule.remember(name, waits.is_some(), in_trouble);
            let code = condition.map(|condition| {
                self.metrics.judged(name, condition.code, None);
                self.metrics.looked(name, condition.heartbeat);
                condition.code
            });
            memory.shown.insert(name.to_string(), Shown { uid: node.metadata.uid.to_string(), code });
        }
    }

    /// Drops what was seen of a node that is gone, in all but the schedule.
    fn forget(&self, node: &str, memory: &mut Memory) {
        self.metrics.forget(node, memory.shown.remove(node).and_then(|shown| shown.code));
        self.leadership.set_waiting(node, None);
        memory.outbox.remove(node);
    }

    /// When every node had been looked at, as far as their conditions say it; now where one has none yet, so that the first
    /// round counts from here.
    fn last_round(&self) -> i64 {
        let nodes = self.nodes.borrow();
        let looked: Option<Vec<i64>> = nodes.items().map(|node| self.condition(node).map(|c| c.heartbeat)).collect();
        looked.and_then(|looked| looked.into_iter().min()).unwrap_or_else(|| self.now_s())
    }

    /// Looks at the nodes that are due; whether there were any and they could be paid.
    async fn look_at_due(&self, memory: &mut Memory) -> bool {
        let now = self.now_s();
        let signs = signs(self.nodes.borrow().items(), self.pods.borrow().items(), now);
        let most = self.settings.look.concurrency * BATCH;
        let due = memory.schedule.due(&signs, now, most, most);
        let can_pay = memory.budget.allows(self.began.elapsed().as_secs_f64());
        if due.is_empty() || !can_pay || !self.leadership.is_held() {
            return false;
        }
        for node in &due {
            if let Some((_, what)) = signs.get(node) {
                tracing::debug!(node, what, "looked at with a sign");
            }
        }
        let before = self.live.cluster().execs();
        let nodes = self.nodes.borrow().items().cloned().collect();
        // The pods of a large cluster are most of what this program holds: they are lent, not copied.
        let pods = self.pods.borrow_mut().lend();
        let inventory = self.live.inventory_around(nodes, pods).await;
        let about = SourceInfo::live(self.live.context().map(str::to_owned));
        let clock = LookClock { metrics: self.metrics, pulse: self.pulse, begun: RefCell::default() };
        let report = Box::pin(diagnose(self.live, &inventory, &due, &self.settings.look, about, &clock)).await;
        self.metrics.failed_fixes(&failed_fixes(inventory.events.known().iter(), now));
        if let Listed::Whole(pods) = inventory.pods {
            self.pods.borrow_mut().give_back(pods);
        }
        memory.budget.spend(self.live.cluster().execs().saturating_sub(before));
        // Another process may have judged meanwhile.
        if !self.leadership.is_held() {
            return false;
        }
        for skipped in &report.skipped {
            memory.schedule.looked(&skipped.node, now, true);
        }
        for entry in &report.nodes {
            self.take(entry, now, memory);
        }
        if memory.schedule.round_is_over(now) {
            self.metrics.round(now);
        }
        self.flush(memory).await;
        true
    }

    /// Takes in what was seen of one node.
    fn take(&self, entry: &NodeReport, at: i64, memory: &mut Memory) {
        let (name, code) = (entry.node.as_str(), entry.verdict.code);
        let said_something = code.kind() != Kind::Inconclusive;
        memory.schedule.looked(name, at, said_something);
        // A node that went while it was looked at.
        let Some(shown) = memory.shown.get_mut(name) else { return };
        self.metrics.judged(name, code, shown.code.replace(code));
        if said_something {
            self.metrics.looked(name, at);
        }
        let nodes = self.nodes.borrow();
        let same = |node: &&Node| node.metadata.name == name && node.metadata.uid == shown.uid;
        let Some(node) = nodes.items().find(same) else { return };
        let unwritten = memory.outbox.get(name).map(|outgoing| (outgoing.condition.clone(), outgoing.turned));
        let on_node = self.condition(node);
        let last = unwritten.as_ref().map(|(condition, _)| condition).or(on_node.as_ref());
        let commands = entry.remediation.as_ref().map(|remedy| [&remedy.fix[..], &remedy.commands].concat());
        let look =
            LookResult { code, summary: &entry.verdict.summary, commands: commands.as_deref().unwrap_or_default(), at };
        let waited = self.leadership.waiting(name);
        let decision = decide(last, waited, &look, self.rules());
        if decision.waiting.is_some() && decision.waiting != waited {
            let confirm = crate::base::time::span(self.settings.confirm_after);
            (self.say)(&format!(
                "{name}: {}: {} A second look in {confirm} confirms it or not.",
                code.name(),
                entry.verdict.summary
            ));
        }
        self.leadership.set_waiting(name, decision.waiting);
        let status = decision.write.as_ref().or(last).map(|condition| condition.status);
        memory.schedule.remember(
            name,
            decision.waiting.is_some(),
            status.is_some_and(|status| status != ConditionStatus::True),
        );
        if let Some(condition) = decision.write {
            let before = unwritten.as_ref().map(|(condition, turned)| (condition, *turned));
            let (condition, turned) = on_top(on_node.as_ref(), before, condition);
            let outgoing = Outgoing { condition, uid: node.metadata.uid.to_string(), turned, tries: 0, next: 0 };
            memory.outbox.insert(name.to_owned(), outgoing);
        }
    }

    /// Writes the conditions that are to be written. One that cannot be written now is tried again; the Event follows the
    /// one answer that says that it is written, so there is never a second.
    async fn flush(&self, memory: &mut Memory) {
        let now = self.now_s();
        let due: Vec<String> =
            memory.outbox.iter().filter(|(_, outgoing)| outgoing.next <= now).map(|(node, _)| node.clone()).collect();
        for node in due {
            if !self.leadership.is_held() {
                return;
            }
            self.pulse.beat();
            let Some(outgoing) = memory.outbox.get_mut(&node) else { continue };
            let kind = &self.settings.condition;
            match set_condition(self.wire, &node, &outgoing.uid, kind, &outgoing.condition).await {
                PatchAnswer::Done(patched) => {
                    let Some(outgoing) = memory.outbox.remove(&node) else { continue };
                    self.nodes.borrow_mut().refresh(*patched);
                    if outgoing.turned {
                        self.tell_turn(&node, &outgoing).await;
                    }
                }
                PatchAnswer::Gone => drop(memory.outbox.remove(&node)),
                PatchAnswer::Refused(failure) => {
                    (self.say)(&format!("{node}: cannot set the condition: {failure}"));
                    memory.outbox.remove(&node);
                }
                PatchAnswer::Later(why) => {
                    outgoing.tries += 1;
                    outgoing.next = now + 2_i64.saturating_pow(outgoing.tries).min(LONGEST_PAUSE_S);
                    if outgoing.tries >= TRIES {
                        (self.say)(&format!("{node}: cannot set the condition after {TRIES} tries: {why}"));
                        memory.outbox.remove(&node);
                    }
                }
            }
        }
    }

    async fn tell_turn(&self, node: &str, outgoing: &Outgoing) {
        let Outgoing { condition, uid, .. } = outgoing;
        let (kind, status, reason) = (&self.settings.condition, condition.status.name(), condition.reason());
        (self.say)(&format!("{node}: {kind} is {status}: {reason}: {}", condition.message));
        let WatchSettings { namespace, identity, .. } = self.settings;
        if let Err(failure) = record_turn(self.wire, namespace, identity, (node, uid), condition).await {
            (self.say)(&format!("{node}: cannot record the Event: {failure}"));
        }
    }

    fn condition(&self, node: &Node) -> Option<DatapathCondition> {
        DatapathCondition::read(&node.status.conditions, &self.settings.condition)
    }

    fn rules(&self) -> Rules {
        let (every_s, confirm_s) = (seconds(self.settings.every), seconds(self.settings.confirm_after));
        Rules { confirm_s, forget_s: (2 * every_s).max(10 * confirm_s), heartbeat_s: every_s / 2 }
    }

    /// Now, by the API server's clock, in seconds since the epoch.
    fn now_s(&self) -> i64 {
        self.wire.now().as_second()
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX).max(1)
}

/// Measures how long looks take, and shows that the watch lives while they do.
struct LookClock<'a> {
    metrics: &'a Metrics,
    pulse: &'a Pulse,
    begun: RefCell<HashMap<String, Instant>>,
}

impl Observer for LookClock<'_> {
    fn step(&self, node: &str, _: &str) {
        self.pulse.beat();
        self.begun.borrow_mut().entry(node.to_owned()).or_insert_with(Instant::now);
    }

    fn done(&self, node: &str) {
        self.pulse.beat();
        if let Some(begun) = self.begun.borrow_mut().remove(node) {
            self.metrics.took(begun.elapsed().as_secs_f64());
        }
    }
}
