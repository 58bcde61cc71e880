//! Same in, same out: every scenario is a live cluster, too, and its saved bundle says the same; and so does a redacted
//! one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::scenario::bundle;
use crate::scenario::model::Scenario;
use crate::suite;
use crate::support::saved::{redacted, same, same_in_same_out_as};
use crate::support::world::World;

/// Does this with the bundle of every scenario, a few at once, and names those that fail.
fn with_all(what: impl Fn(&Scenario, &Path) + Sync) {
    let scenarios = suite::all();
    let failed = suite::a_few_at_once(&scenarios, |scenario| {
        let dir = tempfile::tempdir().expect("a folder");
        bundle::write(&bundle::files(scenario), dir.path()).expect("a folder that can be written");
        // All are tried, so that one run shows them all.
        catch_unwind(AssertUnwindSafe(|| what(scenario, dir.path()))).is_err()
    });
    let failed: Vec<&str> = scenarios
        .iter()
        .zip(failed)
        .filter(|(_, failed)| *failed)
        .map(|(scenario, _)| scenario.name.as_str())
        .collect();
    assert!(failed.is_empty(), "{} of {}: {failed:#?}", failed.len(), scenarios.len());
}

#[test]
fn every_scenario_as_a_live_cluster_saved_and_read_again_says_the_same() {
    with_all(|scenario, dir| {
        let chosen: Vec<&str> = match &scenario.args[..] {
            [] => vec!["--all-nodes"],
            args => args.iter().map(String::as_str).collect(),
        };
        // Every other one as one file.
        let kept = if scenario.name.len() % 2 == 0 { "kept" } else { "kept.tar.gz" };
        same_in_same_out_as(World::from_bundle(dir), &scenario.name, kept, &chosen);
    });
}

#[test]
fn every_scenario_redacted_says_the_same() {
    with_all(|scenario, dir| {
        let keep = tempfile::tempdir().expect("a folder");
        let (before, after) = redacted(dir, &keep.path().join("kept"));
        same(&before, &after, &scenario.name);
    });
}
