//! A packet-level simulator of clusters: the truth is the fault that was injected, never an opinion of the rules.
//!
//! `cargo test --test simulator -- --nocapture` prints what was said by what is true, and the seeds of all that is wrong;
//! `STALEDP_SIM_NODES=10000` simulates more nodes, `STALEDP_SIM_FIRST=N` begins with another seed than 1 (seeds that no
//! rule was written beside). The everyday test does the same with clusters whose pods also wait in vain for reasons of their
//! own; `STALEDP_SIM_EVERYDAY=N` shows one of them. `STALEDP_SIM_SEED=N` shows the plan of one seed and keeps its bundle, with
//! `STALEDP_SIM_SITUATION=NAME` that of a named situation (as properties use them); `STALEDP_SIM_KIND=N` does so with the
//! plans of a kind.

mod bundle;
mod calm;
mod chores;
mod cluster;
mod everyday;
mod fault;
mod firewall;
mod habits;
#[path = "../support/sentences.rs"]
mod held;
mod kinds;
mod lists;
mod other;
mod plan;
mod properties;
#[path = "../support/scenario/release.rs"]
#[allow(dead_code, reason = "shared with the scenarios, which also write older releases")]
mod release;
mod rng;
mod run;
mod sentences;
mod situations;
mod stale;
mod table;
mod traffic;
mod wire;
mod words;

use run::Wrong;

/// Nodes that are simulated where the environment names no other number.
const NODES: usize = 1_000;
/// The same, of clusters with everyday trouble.
const EVERYDAY_NODES: usize = 400;

#[test]
fn no_node_is_wrongly_stale_and_no_shown_fault_is_healthy() {
    if let Some(seed) = number("STALEDP_SIM_SEED") {
        let named = std::env::var("STALEDP_SIM_SITUATION");
        return show(&named.map_or_else(|_| situations::by_seed(seed), |name| situations::of_seed(&name, seed)));
    }
    judge_seeds(NODES, situations::by_seed);
}

#[test]
fn everyday_trouble_of_pods_makes_no_node_stale_and_no_shown_fault_healthy() {
    if let Some(seed) = number("STALEDP_SIM_EVERYDAY") {
        return show(&situations::everyday(seed));
    }
    judge_seeds(EVERYDAY_NODES, situations::everyday);
}

/// Judges the plans of seeds until so many nodes were looked at, and fails where the worst of what is wrong comes out.
fn judge_seeds(nodes: usize, plan: fn(u64) -> plan::Plan) {
    let nodes = number("STALEDP_SIM_NODES").map_or(nodes, |nodes| usize::try_from(nodes).expect("a number of nodes"));
    let mut seeds = Vec::new();
    let mut sum = 0;
    for seed in number("STALEDP_SIM_FIRST").unwrap_or(1).. {
        if sum >= nodes {
            break;
        }
        sum += plan(seed).looked_at().len();
        seeds.push(seed);
    }
    let judged = run::side_by_side(seeds.len(), |at| run::judge_plan(&plan(seeds[at])));
    let said: Vec<_> = judged.into_iter().flatten().collect();
    let count = |wrong| run::count(&said, wrong);
    println!("{} clusters, {} nodes\n{}", seeds.len(), said.len(), run::matrix(&said));
    println!("{}", run::wrongs(&said));
    println!(
        "wrongly stale {}, faulty and healthy {}, fine and alarmed {}, another code {}, no entry {}",
        count(Wrong::Stale),
        count(Wrong::Healthy),
        count(Wrong::Alarm),
        count(Wrong::Code),
        count(Wrong::Nothing),
    );
    assert_eq!(count(Wrong::Stale), 0, "nodes are wrongly stale:\n{}", run::wrongs(&said));
    assert_eq!(count(Wrong::Healthy), 0, "shown faults are said to be healthy:\n{}", run::wrongs(&said));
    assert_eq!(count(Wrong::Nothing), 0, "nodes have no entry:\n{}", run::wrongs(&said));
}

#[test]
fn every_kind_of_wrong_verdict_is_told_from_what_looks_like_it() {
    let kinds = kinds::all();
    if let Some(wanted) = number("STALEDP_SIM_KIND") {
        let of = kinds.iter().filter(|kind| u64::from(kind.number) == wanted);
        return of.flat_map(|kind| &kind.plans).for_each(show);
    }
    let plans: Vec<_> = kinds.iter().flat_map(|kind| kind.plans.iter().map(move |plan| (kind, plan))).collect();
    let complaints = run::side_by_side(plans.len(), |at| run::complaints(plans[at].1));
    let mut lines = Vec::new();
    for ((kind, plan), wrong) in plans.iter().zip(complaints) {
        lines.extend(wrong.iter().map(|one| format!("  {} ({}) {}: {one}", kind.number, kind.about, plan.name)));
    }
    println!("{} kinds, {} plans, {} complaints\n{}", kinds.len(), plans.len(), lines.len(), lines.join("\n"));
    assert!(lines.is_empty(), "{} complaints:\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn every_kind_has_three_plans_and_all_numbers_are_there() {
    let kinds = kinds::all();
    let numbers: Vec<u8> = kinds.iter().map(|kind| kind.number).collect();
    assert_eq!(numbers, (1..=29).collect::<Vec<_>>());
    for kind in kinds {
        assert!(kind.plans.len() >= 3, "kind {} has {} plans", kind.number, kind.plans.len());
    }
}

/// A number of the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Prints what a plan is and what was said of it, and keeps its bundle.
fn show(plan: &plan::Plan) {
    let built = bundle::build(plan);
    let folder = tempfile::tempdir().expect("a folder").keep();
    bundle::write(&built.files, &folder);
    println!(
        "{plan:#?}\nlost in the last minute, by node: (pods, flows) {:?}\nbundle: {}",
        built.lost,
        folder.display()
    );
    for said in run::judge_plan(plan) {
        println!("{}: {} ({}) {}; right: {:?}", said.node, said.code, said.confidence, said.summary, said.codes);
    }
}
