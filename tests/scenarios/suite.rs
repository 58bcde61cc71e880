//! Runs all scenarios, a few at once, and tells everything that is wrong at the end.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::scenario::model::Scenario;
use crate::scenario::run::{self, Judged, complaints, kind_of};
use crate::scenario::{incidents, kube};
use crate::{matrix, situations};

/// Every scenario of the suite.
pub(crate) fn all() -> Vec<Scenario> {
    let mut out = vec![incidents::prusik(), incidents::odroid(), incidents::healthy_default()];
    out.extend(incidents::by_code());
    out.extend(situations::all());
    out.extend(matrix::all());
    out
}

/// Judges all of these, in order.
pub(crate) fn judge_all(scenarios: &[Scenario]) -> Vec<Judged> {
    a_few_at_once(scenarios, run::judge)
}

/// Does this with each, a few at once; what comes is in their order.
pub(crate) fn a_few_at_once<T: Send>(scenarios: &[Scenario], what: impl Fn(&Scenario) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(4);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((at, scenario)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    scenarios.get(at).map(|s| (at, s))
                } {
                    let one = what(scenario);
                    done.lock().expect("no worker panics while it holds the lock").push((at, one));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("the workers are done");
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, one)| one).collect()
}

/// Expected kind by the kind that came: for people who want to see at once which way the errors go.
fn confusion(scenarios: &[Scenario], judged: &[Judged]) -> String {
    let mut cells: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for (scenario, judged) in scenarios.iter().zip(judged) {
        for node in &scenario.nodes {
            let expected = node.expect.codes.first().map_or("(open)", |code| kind_of(code));
            *cells.entry((expected, judged.verdict(&node.name).0)).or_default() += 1;
        }
    }
    let kinds = ["stale", "other-fault", "inconclusive", "healthy", "(none)"];
    let mut out = format!("{:14}", "right \\ said");
    for kind in kinds {
        write!(out, "{kind:>14}").expect("a String takes all");
    }
    for expected in ["stale", "other-fault", "inconclusive", "healthy", "(open)"] {
        write!(out, "\n{expected:14}").expect("a String takes all");
        for kind in kinds {
            let count = cells.get(&(expected, kind.to_owned())).copied().unwrap_or(0);
            write!(out, "{count:>14}").expect("a String takes all");
        }
    }
    out
}

/// Runs these and fails with a table of all that is wrong.
pub(crate) fn prove(scenarios: &[Scenario]) {
    let judged = judge_all(scenarios);
    let mut failures = String::new();
    let mut count = 0;
    for (scenario, judged) in scenarios.iter().zip(&judged) {
        let wrong = complaints(scenario, judged);
        if wrong.is_empty() {
            continue;
        }
        count += 1;
        writeln!(failures, "\n{}\n  ({})", scenario.name, scenario.about).expect("a String takes all");
        for line in &wrong {
            writeln!(failures, "  - {line}").expect("a String takes all");
        }
        for node in &scenario.nodes {
            if wrong.iter().any(|w| w.starts_with(&node.name)) {
                let because = judged.because(&node.name);
                writeln!(failures, "    {} because\n      {because}", node.name).expect("a String takes all");
            }
        }
    }
    println!("{} scenarios\n{}", scenarios.len(), confusion(scenarios, &judged));
    assert!(count == 0, "{count} of {} scenarios:\n{failures}\n{}", scenarios.len(), confusion(scenarios, &judged));
}

#[test]
fn every_scenario_gets_the_verdict_of_the_documents() {
    prove(&all());
}

#[test]
fn every_scenario_has_a_name_of_its_own() {
    let mut names: Vec<String> = all().into_iter().map(|s| s.name).collect();
    names.sort();
    let doubles: Vec<_> = names.windows(2).filter(|w| w[0] == w[1]).map(|w| w[0].clone()).collect();
    assert!(doubles.is_empty(), "{doubles:?}");
}

#[test]
fn moments_are_written_as_the_api_server_writes_them() {
    assert_eq!(kube::time(crate::scenario::build::NOON), "2026-06-06T12:00:00Z");
    assert_eq!(kube::time(951_782_399), "2000-02-28T23:59:59Z");
    assert_eq!(kube::time(951_782_400), "2000-02-29T00:00:00Z");
}
