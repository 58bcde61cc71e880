//! `staledp merge REPORT…`: joins the reports of shards into one, as if one run had judged all nodes, and the reports of
//! several clusters into one of the fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::printing::{Terminal, render};
use crate::base::clock;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::shard::Shard;
use crate::base::source_kind::SourceKind;
use crate::base::time;
use crate::base::tool::Tool;
use crate::diagnose::{compare, make_final, sort};
use crate::report::{NodeReport, Report, SCHEMA, Skipped, SourceInfo, Summary, read};

/// Joins the reports and prints the whole.
pub(super) async fn run(paths: Vec<PathBuf>, terminal: &Terminal) -> Result<Exit, Error> {
    let screen = terminal.screen;
    let joined = terminal.beside(move || {
        let report = join(paths.iter().map(|path| read_one(path)).collect::<Result<_, Error>>()?)?;
        Ok((render(&report, &screen)?, report.exit()))
    });
    let (text, exit) = joined.await?;
    terminal.print(text).await?;
    Ok(exit)
}

/// A report and what errors call it; `-` is standard input.
fn read_one(path: &Path) -> Result<(String, Report), Error> {
    let name = path.display().to_string();
    let report = if name == "-" { read::from("standard input", io::stdin().lock()) } else { read::read(path) };
    Ok((name, report?))
}

/// Joins reports; each comes with what errors call it. Those of one context become one, as if one run had judged all its
/// nodes; those of several contexts become a report of the fleet, whose nodes name their context.
///
/// # Errors
///
/// Where reports do not go together: a usage error.
pub(super) fn join(named: Vec<(String, Report)>) -> Result<Report, Error> {
    let mut clusters: BTreeMap<Option<String>, Vec<(String, Report)>> = BTreeMap::new();
    for (name, report) in named.into_iter().flat_map(|(name, report)| by_context(name, report)) {
        clusters.entry(report.source.context.clone()).or_default().push((name, report));
    }
    if clusters.len() < 2 {
        return join_cluster(clusters.into_values().flatten().collect());
    }
    if let Some((name, _)) = clusters.get(&None).and_then(|unnamed| unnamed.first()) {
        return Err(Error::usage(format!("cannot join the reports: {name} names no context and others do"))
            .with_hint("join only reports that name their context, or only reports of one cluster"));
    }
    let whole = |mut reports: Vec<(String, Report)>| match &reports[..] {
        // A whole report was compared already, and a second comparison would rest on less than the first.
        [(_, one)] if one.shard.is_none() => Ok(reports.swap_remove(0).1),
        _ => join_cluster(reports),
    };
    fleet(clusters.into_values().map(whole).collect::<Result<_, Error>>()?)
}

/// A report of a fleet as reports of its clusters; any other as it is.
fn by_context(name: String, mut report: Report) -> Vec<(String, Report)> {
    let mut clusters: BTreeMap<Option<String>, Vec<NodeReport>> = BTreeMap::new();
    for mut node in std::mem::take(&mut report.nodes) {
        clusters.entry(node.context.take().or_else(|| report.source.context.clone())).or_default().push(node);
    }
    if clusters.is_empty() {
        return vec![(name, report)];
    }
    let mut parts = Vec::new();
    for (context, nodes) in clusters {
        let mut part = report.clone();
        // What is said of the whole is said once.
        (report.notes, report.skipped, report.partial) = (Vec::new(), Vec::new(), false);
        part.source.context = context;
        part.summary = Summary::of(&nodes);
        part.nodes = nodes;
        parts.push((name.clone(), part));
    }
    parts
}

/// The reports of several clusters as one. Nodes are compared within their cluster only, which was done before.
fn fleet(clusters: Vec<Report>) -> Result<Report, Error> {
    let kinds: Vec<SourceKind> = clusters.iter().map(|report| report.source.kind).collect();
    let newest = clusters.iter().map(|report| &report.generated_at).max_by_key(|text| time::moment(text));
    let Some((kind, newest)) = kinds.first().zip(newest) else {
        return Err(Error::usage("no report to join"));
    };
    if let Some(other) = kinds.iter().find(|other| *other != kind) {
        let kinds = format!("{kind:?} and {other:?}").to_lowercase();
        return Err(Error::usage(format!("cannot join the reports: they have different sources ({kinds})"))
            .with_hint("join live reports with live ones and saved ones with saved ones"));
    }
    let captured_at = clusters.iter().filter_map(|report| time::moment(report.source.captured_at.as_deref()?)).min();
    let source = SourceInfo::saved(*kind, None, None).read_back(captured_at, clock::now());
    let generated_at = newest.clone();
    let (mut nodes, mut remarks, mut skipped, mut reasons) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for report in clusters {
        let context = report.source.context.unwrap_or_default();
        if report.partial {
            let why = report.partial_reason.as_deref().unwrap_or("no reason given");
            reasons.push(format!("{context}: {why}"));
        }
        remarks.extend(report.notes.into_iter().map(|note| format!("{context}: {note}")));
        let of_context =
            |skipped: Skipped| Skipped { says: format!("{} (context {context})", skipped.says), ..skipped };
        skipped.extend(report.skipped.into_iter().map(of_context));
        nodes.extend(report.nodes.into_iter().map(|node| NodeReport { context: Some(context.clone()), ..node }));
    }
    Ok(joined(generated_at, source, nodes, skipped, remarks, &reasons))
}

/// A report of these parts; `reasons` say what makes it partial.
fn joined(
    generated_at: String,
    source: SourceInfo,
    mut nodes: Vec<NodeReport>,
    skipped: Vec<Skipped>,
    remarks: Vec<String>,
    reasons: &[String],
) -> Report {
    sort(&mut nodes);
    Report {
        schema: SCHEMA.into(),
        tool: Tool::THIS,
        generated_at,
        source,
        summary: Summary::of(&nodes),
        partial: !reasons.is_empty(),
        partial_reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
        shard: None,
        notes: remarks,
        skipped,
        nodes,
    }
}

/// Joins reports of one cluster.
///
/// A node in several of them is taken from the newest, or the last one given if equally old. Missing shards make the whole
/// partial. Reports of different sources or of different numbers of shards are a usage error.
fn join_cluster(mut named: Vec<(String, Report)>) -> Result<Report, Error> {
    let cannot = |why: String| Error::usage(format!("cannot join the reports: {why}"));
    // A stable sort: of equally old ones the last that was named stays last, and counts.
    named.sort_by_key(|(_, report)| time::moment(&report.generated_at));
    let Some((newest, last)) = named.last() else { return Err(Error::usage("no report to join")) };
    let (last_context, generated_at) = (last.source.context.clone(), last.generated_at.clone());
    if let Some((other, report)) = named.iter().find(|(_, report)| report.source.kind != last.source.kind) {
        let kinds = format!("{:?} and {:?}", report.source.kind, last.source.kind).to_lowercase();
        return Err(cannot(format!("{other} and {newest} have different sources ({kinds})"))
            .with_hint("join live reports with live ones and saved ones with saved ones"));
    }
    let path = last.source.path.clone().filter(|path| named.iter().all(|(_, r)| r.source.path.as_ref() == Some(path)));
    // The whole is as old as its oldest part. A report of a live run without the moment is of when it was made.
    let captured_at =
        named.iter().map(|(_, report)| report.source.captured_at.as_ref().unwrap_or(&report.generated_at));
    let captured_at = captured_at.filter_map(|text| time::moment(text)).min();
    let source = SourceInfo::saved(last.source.kind, last_context, path).read_back(captured_at, clock::now());

    let shards: BTreeSet<Shard> = named.iter().filter_map(|(_, report)| report.shard).collect();
    let of: BTreeSet<u32> = shards.iter().map(|shard| shard.of).collect();
    if of.len() > 1 {
        let of: Vec<String> = of.iter().map(u32::to_string).collect();
        return Err(cannot(format!(
            "they are shards of different totals ({}), so their nodes overlap",
            of.join(" and ")
        )));
    }
    let whole_is_there = named.iter().any(|(_, report)| report.shard.is_none());
    let missing: Vec<String> = match of.first() {
        Some(of) if !whole_is_there => {
            let all = (0..*of).map(|index| Shard { index, of: *of });
            all.filter(|shard| !shards.contains(shard)).map(|shard| shard.to_string()).collect()
        }
        _ => Vec::new(),
    };

    let mut reasons: Vec<String> = Vec::new();
    let mut remarks: Vec<String> = Vec::new();
    let mut skipped: BTreeMap<String, Skipped> = BTreeMap::new();
    let mut nodes: BTreeMap<String, NodeReport> = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for (name, report) in named {
        if report.partial {
            let reason = report.partial_reason.as_deref().unwrap_or("no reason given");
            reasons.push(format!("{name} is partial: {reason}"));
        }
        remarks.extend(report.notes);
        skipped.extend(report.skipped.into_iter().map(|skipped| (skipped.node.clone(), skipped)));
        for node in report.nodes {
            let replaced = nodes.insert(node.node.clone(), node);
            twice.extend(replaced.map(|node| node.node));
        }
    }
    if !missing.is_empty() {
        reasons.push(format!("missing shards: {}", missing.join(", ")));
    }
    if !twice.is_empty() {
        let twice: Vec<String> = twice.into_iter().collect();
        remarks.push(format!("in several reports (the newest counts): {}", twice.join(", ")));
    }
    let mut seen = BTreeSet::new();
    remarks.retain(|note| seen.insert(note.clone()));

    let mut nodes: Vec<NodeReport> = nodes.into_values().collect();
    compare(&mut nodes);
    if missing.is_empty() {
        make_final(&mut nodes);
    }
    let skipped = skipped.into_values().filter(|skipped| !nodes.iter().any(|n| n.node == skipped.node)).collect();
    // Only an empty slice needs to say that it is one.
    let shard = shards.first().copied().filter(|_| shards.len() == 1 && !missing.is_empty());
    Ok(Report { shard, ..joined(generated_at, source, nodes, skipped, remarks, &reasons) })
}
