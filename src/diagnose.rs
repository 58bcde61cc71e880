//! Many nodes: how many at once, what is shown meanwhile, and the report of all. One node is in [`node`].

mod entry;
mod node;

use futures::StreamExt as _;

use crate::gather::Source;
use crate::gather::cluster::Inventory;
use crate::report::{Check, NodeReport, Report, SourceInfo, Summary, Tool};
use crate::rules::case::Case;
use crate::rules::{self, Judgement, fleet};
use crate::settings::Settings;
use entry::node_report;
use node::Looker;

/// Who is told what is being done, for a person who waits.
pub trait Observer {
    /// This step of this node begins.
    fn step(&self, node: &str, step: &str);
    /// This node is done.
    fn done(&self, node: &str);
}

/// Looks at these nodes and judges them.
pub async fn diagnose<S: Source>(
    source: &S,
    inventory: &Inventory,
    nodes: &[String],
    settings: &Settings,
    about: SourceInfo,
    observer: &impl Observer,
) -> Report {
    let mut looked: Vec<(Case, Vec<Check>)> = futures::stream::iter(nodes)
        .map(|node| async move {
            let looker = Looker { source, inventory, settings, observer, node };
            let seen = looker.look().await;
            observer.done(node);
            seen
        })
        .buffer_unordered(settings.concurrency)
        .collect()
        .await;
    // Nodes end in any order; the report has one.
    looked.sort_by(|a, b| a.0.around.node.cmp(&b.0.around.node));
    let mut judged: Vec<(String, Judgement)> =
        looked.iter().map(|(case, _)| (case.around.node.clone(), rules::judge(case))).collect();
    fleet::compare(&mut judged);
    let mut reports: Vec<NodeReport> = looked
        .into_iter()
        .zip(judged)
        .map(|((case, checks), (_, judgement))| node_report(&case, checks, judgement))
        .collect();
    reports.sort_by(|a, b| (a.verdict.kind, &a.node).cmp(&(b.verdict.kind, &b.node)));
    Report {
        schema: crate::report::SCHEMA.into(),
        tool: Tool::THIS,
        generated_at: crate::clock::now(),
        source: about,
        summary: Summary::of(&reports),
        partial: false,
        partial_reason: None,
        shard: None,
        notes: Vec::new(),
        nodes: reports,
    }
}
