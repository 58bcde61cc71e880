//! Every sentence of a report on a simulated cluster rests on a figure of it, with all evidence and with one or two pieces
//! less.

use std::collections::BTreeSet;

use crate::bundle::{self, Files};
use crate::held::{Holds, complaints};
use crate::rng::Rng;
use crate::{run, situations};

/// Clusters that are looked at: each situation at least once.
const SEEDS: u64 = 48;
/// Subsets of the evidence of each.
const SUBSETS: usize = 3;

#[test]
fn every_sentence_of_simulated_nodes_rests_on_its_figures_whatever_evidence_is_missing() {
    let names = situations::names();
    let count = usize::try_from(SEEDS).expect("few");
    let wrong = run::side_by_side(count, |at| {
        let seed = 7_000 + u64::try_from(at).expect("few");
        let plan = situations::of_seed(names[at % names.len()], seed);
        let built = bundle::build(&plan);
        let pieces = pieces(&built.files);
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let mut rng = Rng::stream(&[seed, 71]);
        let mut wrong = Vec::new();
        for nth in 0..=SUBSETS {
            // First with all, then without one, then without two.
            let less: Vec<&str> = (0..nth.min(2)).map(|_| rng.pick(&pieces)).collect();
            let mut files = built.files.clone();
            files.retain(|path, _| !less.iter().any(|piece| path.starts_with(piece)));
            // Without the list of nodes nothing can be chosen.
            let Ok(report) = run::report(&files, &plan.args) else { continue };
            let holds = Holds::of(files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())));
            let found = complaints(&report, &holds);
            wrong.extend(found.into_iter().map(|one| format!("{} seed {seed} without {less:?}: {one}", plan.name)));
        }
        wrong
    });
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} sentences:\n  {}", wrong.len(), wrong.join("\n  "));
}

/// What can be taken away: each list of the cluster, and each piece of evidence of each node, by the start of its path.
fn pieces(files: &Files) -> BTreeSet<String> {
    let piece = |path: &String| path.rsplit_once('.').map(|(piece, _)| format!("{piece}."));
    files.keys().filter(|path| path.starts_with("kube/") || path.starts_with("nodes/")).filter_map(piece).collect()
}
