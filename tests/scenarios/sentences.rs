//! Every sentence of every report rests on a figure of that report, whatever evidence is there: all scenarios, fixtures
//! and cases, and the fixtures' scenarios without one or two pieces of their evidence.
//!
//! Measured on the program before sentences had figures: 19,825 complaints about these 761 bundles. Most were figures that
//! were not in the report; 3,742 times a look-alike was ruled out without its evidence.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::kept::{case_files, cases, fixture_files, named};
use crate::scenario::bundle::{self, Files};
use crate::scenario::rng::Rng;
use crate::scenario::{incidents, run};
use crate::suite;
use crate::support::sentences::{Holds, complaints};

/// Pairs of evidence files that are taken away from each fixture's scenario.
const PAIRS: usize = 6;

/// A bundle to judge: what it is, its files, further arguments.
struct Bundle {
    name: String,
    files: Files,
    args: Vec<String>,
}

/// Judges these, two at once, and fails with every sentence that claims more than is shown.
#[track_caller]
fn hold(bundles: &[Bundle]) {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(bundle) = bundles.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = of_bundle(bundle);
                    wrong.lock().expect("no worker panics while it holds the lock").insert(bundle.name.clone(), found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("the workers are done");
    assert_eq!(wrong.len(), bundles.len(), "every bundle has a name of its own");
    let lines: Vec<String> =
        wrong.iter().flat_map(|(name, found)| found.iter().map(move |one| format!("{name}: {one}"))).collect();
    println!("{} bundles, {} sentences", bundles.len(), lines.len());
    assert!(lines.is_empty(), "{} sentences in {} bundles:\n{}", lines.len(), bundles.len(), lines.join("\n"));
}

fn of_bundle(bundle: &Bundle) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a folder");
    bundle::write(&bundle.files, dir.path()).expect("a folder that can be written");
    let judged = run::judge_dir(dir.path(), &bundle.args);
    if judged.report.is_null() {
        // Without the list of nodes nothing can be chosen.
        assert!(matches!(judged.exit, Some(2 | 5)), "{}: {}", bundle.name, judged.stderr);
        return Vec::new();
    }
    let holds = Holds::of(bundle.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())));
    complaints(&judged.report, &holds)
}

#[test]
fn every_sentence_of_every_scenario_rests_on_its_figures() {
    let of = |scenario: crate::scenario::model::Scenario| Bundle {
        files: bundle::files(&scenario),
        name: scenario.name,
        args: scenario.args,
    };
    hold(&suite::all().into_iter().map(of).collect::<Vec<_>>());
}

#[test]
fn every_sentence_of_every_fixture_and_case_rests_on_its_figures() {
    let mut bundles = Vec::new();
    for fixture in incidents::fixtures() {
        let scenario = fixture.scenario;
        let files = fixture_files(&scenario.name);
        bundles.push(Bundle { name: format!("fixture {}", scenario.name), files, args: scenario.args });
    }
    for folder in cases() {
        let (files, args) = case_files(&folder);
        bundles.push(Bundle { name: format!("case {}", named(&folder)), files, args });
    }
    hold(&bundles);
}

#[test]
fn every_sentence_rests_on_its_figures_whatever_evidence_is_missing() {
    let mut bundles = Vec::new();
    for fixture in incidents::fixtures().into_iter().filter(|f| f.scenario.name != "healthy-1.19-default") {
        let files = bundle::files(&fixture.scenario);
        let mut rng = Rng::new(&format!("sentences of {}", fixture.scenario.name));
        let pieces = pieces(&files);
        let mut subsets: Vec<Vec<&String>> = pieces.iter().map(|piece| vec![piece]).collect();
        for _ in 0..PAIRS {
            subsets.push(vec![rng.pick(&pieces), rng.pick(&pieces)]);
        }
        subsets.sort();
        subsets.dedup();
        for subset in subsets {
            let mut less = files.clone();
            less.retain(|path, _| !subset.iter().any(|piece| is_of(path, piece)));
            let name = format!("{} without {subset:?}", fixture.scenario.name);
            bundles.push(Bundle { name, files: less, args: fixture.scenario.args.clone() });
        }
    }
    hold(&bundles);
}

/// What can be taken away: the cluster's lists, and each kind of evidence from all nodes.
pub(crate) fn pieces(files: &Files) -> Vec<String> {
    let piece = |path: &String| match path.split('/').collect::<Vec<_>>()[..] {
        ["kube", file] if file != "nodes.json" => Some(format!("kube/{file}")),
        ["nodes", _, file] => file.strip_suffix(".out").or_else(|| file.strip_suffix(".json")).map(str::to_owned),
        _ => None,
    };
    let pieces: std::collections::BTreeSet<String> = files.keys().filter_map(piece).collect();
    pieces.into_iter().collect()
}

/// Whether a file is of such a piece.
pub(crate) fn is_of(path: &str, piece: &str) -> bool {
    path == piece
        || path.starts_with("nodes/") && {
            let file = path.rsplit('/').next().unwrap_or_default();
            ["out", "out.gz", "json"].iter().any(|ending| file == format!("{piece}.{ending}"))
        }
}
