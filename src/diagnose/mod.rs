//! Many nodes: how many in parallel, the progress, and the report of all. One node is in [`node`].

mod beyond;
mod comparison;
pub mod dump;
mod entry;
mod neighbour;
mod node;
mod pace;
mod settings;
pub mod supplement;
pub mod tables;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::base::evidence::Evidence;
use crate::base::failure::Failure;
use crate::base::shard::spread;
use crate::base::tool::Tool;
use crate::gather::Source;
use crate::kubernetes::cluster_map::ClusterMap;
use crate::kubernetes::inventory::Inventory;
use crate::report;
use crate::report::{NodeReport, Report, Skipped, SourceInfo, Summary};
use crate::rules;
use crate::symptoms;
use crate::symptoms::listed::symptoms_of_lists;
use crate::symptoms::{Symptoms, explained};
use crate::ways::picture::Picture;
use comparison::Waiting;
pub(crate) use comparison::{compare, make_final};
use entry::{node_report, not_meant, unfinished};
use node::{Looker, SoFar};
use pace::Pace;
pub use settings::DiagnoseSettings;
use supplement::read_symptoms;

/// Starts are spread over this time: nodes that begin together ask together ever after.
const SPREAD_MS: u64 = 100;

/// Reported once while nodes are looked at.
const REFUSED_FOR_NOW: &str = "the API server is busy and refuses requests for now (429): waiting as long as it asks, with fewer nodes in parallel";

/// Receives progress events; can cancel the run.
pub trait Observer {
    /// So many nodes will be looked at.
    fn begin(&self, _nodes: usize) {}
    /// This step of this node begins.
    fn step(&self, node: &str, step: &str);
    /// This node was looked at.
    fn done(&self, node: &str);
    /// This is what the report will say of a node, whatever is found on the others, and what the report rests on. Once
    /// for every node.
    fn settled(&self, _node: &NodeReport, _source: &SourceInfo) {}
    /// Something about the run as a whole.
    fn note(&self, _says: &str) {}
    /// Resolves when the run must end and report partial results.
    async fn interrupted(&self) {
        std::future::pending::<()>().await;
    }
}

/// An observer that shows nothing.
pub(crate) struct Silent;

impl Observer for Silent {
    fn step(&self, _: &str, _: &str) {}
    fn done(&self, _: &str) {}
}

/// Reads only the conntrack dump of one node, as a picture of who gets answers.
///
/// # Errors
///
/// Why there is no dump.
pub(crate) async fn glance<S: Source>(
    source: &S,
    inventory: &Inventory,
    node: &str,
    settings: &DiagnoseSettings,
) -> Result<Box<Picture>, Failure> {
    let cluster = &ClusterMap::new(inventory, settings.questions.named());
    let looker = Looker { source, cluster, settings, observer: &Silent, node, ends: None, so_far: &RefCell::default() };
    looker.glance(node, Evidence::CtList).await
}

/// Looks at these nodes and judges them. Every node has an entry, whatever happens to it.
pub async fn diagnose<S: Source>(
    source: &S,
    inventory: &Inventory,
    nodes: &[String],
    settings: &DiagnoseSettings,
    about: SourceInfo,
    observer: &impl Observer,
) -> Report {
    let about = &about.dated(inventory.origin.captured_at, crate::base::clock::now());
    let ends = settings.deadline.map(|whole| Instant::now() + whole);
    let cluster = &*Box::new(ClusterMap::new(inventory, settings.questions.named()));
    let (nodes, skipped) = &leave_out_those_without_cilium(nodes, cluster, settings);
    let mut interrupted = std::pin::pin!(observer.interrupted());
    // What the cluster itself says is read beside the nodes: neither waits for the other until the end.
    let limit = settings.symptoms_limit();
    let mut telling = std::pin::pin!(read_symptoms(source, inventory, &settings.symptoms, Some(nodes), limit));
    let mut told = nodes.is_empty().then(Symptoms::default);
    let mut stopped = false;
    let is_over = || ends.is_some_and(|ends| ends <= Instant::now());
    let so_far: &RefCell<HashMap<String, SoFar>> = &RefCell::default();
    let look = |node: &String| {
        let node = node.clone();
        async move {
            let looker = Looker { source, cluster, settings, observer, node: &node, ends, so_far };
            judged_alone(&looker, nodes.len() == 1).await
        }
    };

    let finish = |reports: &mut Vec<NodeReport>| {
        if settings.shard.is_none() {
            make_final(reports);
        }
    };
    let tell = |mut settled: Vec<NodeReport>| {
        finish(&mut settled);
        for entry in &settled {
            observer.settled(entry, about);
        }
    };

    observer.begin(nodes.len());
    let mut pace = Pace::new(settings.concurrency.min(source.at_once()));
    let mut to_come = nodes.iter();
    let (mut running, mut waiting) = (FuturesUnordered::new(), Waiting::default());
    let mut reports: Vec<NodeReport> = Vec::with_capacity(nodes.len());
    // Judged, and waiting for their symptoms.
    let mut judged: Vec<NodeReport> = Vec::new();
    loop {
        // Evidence that was saved is there at once: without this nothing would ever look whether a signal came.
        yield_now().await;
        while running.len() < pace.limit()
            && !is_over()
            && let Some(node) = to_come.next()
        {
            running.push(look(node));
        }
        if running.is_empty() && told.is_some() {
            break;
        }
        tokio::select! {
            biased;
            () = &mut interrupted => {
                stopped = true;
                break;
            }
            found = &mut telling, if told.is_none() => told = Some(found),
            Some(entry) = running.next() => {
                observer.done(&entry.node);
                judged.push(entry);
                if pace.finished(source.refusals()) {
                    observer.note(REFUSED_FOR_NOW);
                }
            }
        }
        if let Some(told) = &told {
            for mut entry in judged.drain(..) {
                add_symptoms(told, &mut entry);
                reports.push(entry.clone());
                tell(waiting.add(entry));
            }
        }
    }
    // What was under way is dropped; on the far side every command has a bound of its own. Where the run's time was
    // over, nodes ended by themselves, with what they had.
    drop(running);
    let ended = if stopped { Some("interrupted") } else { is_over().then_some("the run's time was over") };
    let told = told.unwrap_or_else(|| symptoms_of_lists(inventory));
    let finished: BTreeSet<String> = reports.iter().chain(&judged).map(|entry| entry.node.clone()).collect();
    let cut = |node: &String| unfinished(node, cluster, ended.unwrap_or("the run ended"), so_far);
    let left = nodes.iter().filter(|node| !finished.contains(*node)).map(cut);
    for mut entry in judged.into_iter().chain(left) {
        add_symptoms(&told, &mut entry);
        reports.push(entry.clone());
        tell(waiting.add(entry));
    }
    compare(&mut reports);
    let held: BTreeSet<String> = waiting.rest().into_iter().map(|entry| entry.node).collect();
    tell(reports.iter().filter(|entry| held.contains(&entry.node)).cloned().collect());
    finish(&mut reports);
    sort(&mut reports);
    Report {
        schema: report::SCHEMA.into(),
        tool: Tool::THIS,
        generated_at: crate::base::clock::now().to_string(),
        source: about.clone(),
        summary: Summary::of(&reports),
        partial: ended.is_some(),
        partial_reason: ended.map(|ended| if stopped { ended.to_owned() } else { format!("{ended}; see --deadline") }),
        shard: settings.shard,
        notes: inventory.partial_lists().into_iter().chain(busy(source.refusals())).collect(),
        skipped: skipped.clone(),
        nodes: reports,
    }
}

/// The nodes to judge, and those that Cilium is not meant for. A node that was named always has an entry.
fn leave_out_those_without_cilium(
    nodes: &[String],
    cluster: &ClusterMap<'_>,
    settings: &DiagnoseSettings,
) -> (Vec<String>, Vec<Skipped>) {
    let (mut judged, mut skipped) = (Vec::with_capacity(nodes.len()), Vec::new());
    for node in nodes {
        match cluster.why_not_meant(node).filter(|_| !settings.named) {
            Some(says) => skipped.push(Skipped { node: node.clone(), says }),
            None => judged.push(node.clone()),
        }
    }
    (judged, skipped)
}

/// Looks at one node and judges it by itself, with a look at a neighbour where it is the only one.
async fn judged_alone<S: Source>(looker: &Looker<'_, S, impl Observer>, only: bool) -> NodeReport {
    if !only && !looker.source.is_saved() {
        sleep(Duration::from_millis(spread(looker.node) % SPREAD_MS)).await;
    }
    if let Some(why) = looker.cluster.why_not_meant(looker.node) {
        return not_meant(looker.node, looker.cluster, &why);
    }
    let (case, checks) = Box::pin(looker.look()).await;
    let mut entry = node_report(&case, checks, rules::judge(&case));
    entry.neighbour = neighbour::look(looker, only, entry.verdict.code).await;
    looker.so_far.borrow_mut().remove(looker.node);
    entry
}

/// Problems first, then by context, then by name.
pub(crate) fn sort(reports: &mut [NodeReport]) {
    reports.sort_by(|a, b| (a.verdict.kind, &a.context, &a.node).cmp(&(b.verdict.kind, &b.context, &b.node)));
}

/// What the cluster itself says of this node. No verdict changes by it.
fn add_symptoms(told: &Symptoms, entry: &mut NodeReport) {
    let asked = |unread: &&symptoms::NotRead| !matches!(unread.what.as_str(), "pods" | "nodes");
    let unread = told.not_read.iter().filter(asked);
    entry.notes.extend(unread.map(|unread| format!("symptoms not read: {}: {}", unread.what, unread.reason)));
    let Some(symptoms) = told.nodes.get(&entry.node) else { return };
    entry.symptoms.clone_from(symptoms);
    explained::explain_symptoms(&mut entry.symptoms, &entry.verdict, &entry.affected);
    entry.affected.extend(explained::pods_with_symptoms(&entry.symptoms, &entry.verdict, &entry.affected));
    entry.notes.extend(told.events.iter().map(|storm| format!("cluster-wide event: {}", storm.says)));
}

/// The note about a run whose API server was busy.
fn busy(refusals: u64) -> Vec<String> {
    let says = format!(
        "the API server was busy: it refused {refusals} requests for now (429); staledp waited as long as it asked, repeated \
         them within bounds, and looked at fewer nodes in parallel"
    );
    if refusals > 0 { vec![says] } else { Vec::new() }
}
