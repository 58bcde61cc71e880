//! What holds of every cluster, whatever is broken in it.

use std::collections::BTreeMap;

use crate::bundle::{self, Built, Files, failed};
use crate::cluster::{MINUTE, Resolver, SECOND, Setup};
use crate::plan::{Plan, Quirk, kind_of};
use crate::rng::Rng;
use crate::run::{self, Said};
use crate::situations::{self, EVIDENCE, Sick, named};

/// Seeds of each property.
const SEEDS: usize = 36;

/// Runs this for each seed, and fails with everything that came.
fn for_seeds(first: u64, check: impl Fn(u64) -> Vec<String> + Sync) {
    let wrong = run::side_by_side(SEEDS, |at| check(first + u64::try_from(at).expect("few")));
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {SEEDS} seeds and more:\n  {}", wrong.len(), wrong.join("\n  "));
}

fn kinds(said: &[Said]) -> BTreeMap<usize, &'static str> {
    said.iter().map(|one| (one.at, one.kind())).collect()
}

fn told(one: &Said) -> String {
    format!("{} ({}) {}", one.code, one.confidence, one.summary)
}

/// The plans in which taking evidence away is tried: every situation, again and again.
fn any(seed: u64) -> Plan {
    let names = situations::names();
    let name = names[usize::try_from(seed).expect("few") * 7 % names.len()];
    let mut plan = situations::of_seed(name, seed);
    plan.edits.clear();
    plan
}

/// Takes one piece of evidence of a node away, in one of four ways.
fn taken(built: &Built, node: usize, evidence: &str, how: i64) -> Files {
    let mut files = built.files.clone();
    let name = &built.names[node];
    match how {
        0 => {
            files.remove(&format!("nodes/{name}/{evidence}.out"));
            files.remove(&format!("nodes/{name}/{evidence}.json"));
        }
        1 => {
            if let Some(out) = files.get_mut(&format!("nodes/{name}/{evidence}.out")) {
                out.truncate(out.len() / 2);
            }
            failed(&mut files, name, evidence, "truncated", "the connection closed early");
        }
        2 => failed(&mut files, name, evidence, "timeout", "no answer within 60s"),
        _ => failed(&mut files, name, evidence, "forbidden", "pods/exec is forbidden"),
    }
    files
}

#[test]
fn less_evidence_never_accuses_and_never_acquits() {
    for_seeds(1_000, |seed| {
        let plan = any(seed);
        let built = bundle::build(&plan);
        let whole = run::judge_files(&plan, &built.names, &built.files);
        let mut rng = Rng::stream(&[seed, 70]);
        let mut wrong = Vec::new();
        for _ in 0..6 {
            let (evidence, how) = (rng.pick(&EVIDENCE), rng.between(0, 3));
            let node = rng.pick(&plan.looked_at());
            let files = taken(&built, node, evidence, how);
            let part = run::judge_files(&plan, &built.names, &files);
            for (before, after) in whole.iter().zip(&part) {
                let accused =
                    after.kind() == "stale" && before.kind() != "stale" && plan.right(after.at).class() != "stale";
                let acquitted = after.kind() == "healthy"
                    && before.kind() != "healthy"
                    && plan.right(after.at).shown
                    && plan.right(after.at).class() != "healthy";
                if accused || acquitted {
                    wrong.push(format!(
                        "{} seed {seed}, {}: without {evidence} of {} (way {how}): {}, before: {}",
                        plan.name,
                        after.node,
                        built.names[node],
                        told(after),
                        told(before)
                    ));
                }
            }
        }
        wrong
    });
}

#[test]
fn healthy_traffic_of_other_pods_makes_no_node_stale() {
    for_seeds(2_000, |seed| {
        let plan = any(seed);
        let more = plan.clone().with(|s| s.extra = 6);
        let said = run::judge_plan(&plan);
        let crowded = run::judge_plan(&more);
        let both = said.iter().zip(&crowded);
        both.filter(|(before, after)| after.stale_rank() > 0 && before.stale_rank() == 0)
            .filter(|(_, after)| !plan.right(after.at).may_be_stale())
            .map(|(before, after)| {
                format!("{} seed {seed}, {}: {}, before: {}", plan.name, after.node, told(after), told(before))
            })
            .collect()
    });
}

/// The kinds of both, where they differ.
fn differing(plan: &Plan, seed: u64, one: &[Said], other: &[Said]) -> Vec<String> {
    let (left, right) = (kinds(one), kinds(other));
    let differ = left.iter().filter(|(at, kind)| right.get(at) != Some(kind));
    differ
        .map(|(at, _)| {
            let find = |all: &[Said]| all.iter().find(|s| s.at == *at).map(told).unwrap_or_default();
            format!("{} seed {seed}, node {at}: {}, else: {}", plan.name, find(other), find(one))
        })
        .collect()
}

#[test]
fn other_names_and_addresses_change_no_kind() {
    for_seeds(3_000, |seed| {
        let plan = any(seed);
        let renamed = plan.clone().with(|s| (s.names, s.net) = ((s.names + 1) % 3, if s.net == 42 { 199 } else { 42 }));
        let built = bundle::build(&renamed);
        let swap =
            [("shop", "kiosk"), ("media", "films"), ("\"apps\"", "\"work\""), ("apps/", "work/"), ("gull", "tern")];
        let rename = |text: &String| swap.iter().fold(text.clone(), |text, (from, to)| text.replace(from, to));
        let files: Files = built.files.iter().map(|(path, text)| (path.clone(), rename(text))).collect();
        let one = run::judge_plan(&plan);
        let other = run::judge_files(&run::weighed(&renamed, &built.lost), &built.names, &files);
        differing(&plan, seed, &one, &other)
    });
}

#[test]
fn another_time_changes_no_kind() {
    for_seeds(4_000, |seed| {
        let plan = any(seed);
        let one = run::judge_plan(&plan);
        let later = run::judge_plan(&plan.clone().with(|s| s.now += 31_536_013));
        let older = run::judge_plan(&plan.clone().with(|s| s.up += 5 * 86_400));
        let mut wrong = differing(&plan, seed, &one, &later);
        wrong.extend(differing(&plan, seed, &one, &older));
        wrong
    });
}

/// Situations in which it makes no difference to the kind whether there is NodeLocal DNS.
const WITHOUT_LOCAL_DNS: [&str; 8] = [
    "calm",
    "calm-healed",
    "stale-everything-sent",
    "stale-into-pods",
    "stale-host-device-bare",
    "host-line-cut",
    "agent-absent",
    "programs-doubled",
];

#[test]
fn cluster_dns_in_place_of_node_local_dns_changes_no_kind() {
    for_seeds(5_000, |seed| {
        let name = WITHOUT_LOCAL_DNS[usize::try_from(seed).expect("few") % WITHOUT_LOCAL_DNS.len()];
        let sick = Sick { node: 1, since: -20 * MINUTE };
        let make = |resolver| {
            let setup = Setup { resolver, ..Setup::any(seed) };
            named(name, setup, sick)
        };
        let one = run::judge_plan(&make(Resolver::LinkLocal));
        let other = run::judge_plan(&make(Resolver::ClusterDns));
        differing(&make(Resolver::ClusterDns), seed, &one, &other)
    });
}

#[test]
fn a_contrary_witness_never_raises_the_confidence() {
    for_seeds(6_000, |seed| {
        let sick = Sick { node: 0, since: -15 * MINUTE };
        let setup = Setup { resolver: Resolver::LinkLocal, ..Setup::any(seed) };
        let name = ["local-dns-hung-and-port-filtered", "local-dns-hung", "host-firewall"]
            [usize::try_from(seed).expect("few") % 3];
        // Kubelet's probes complete over the same path, or there are none.
        let plan = named(name, setup, sick);
        let heard = plan.clone().with(|s| s.probed = true);
        let alone = plan.with(|s| s.probed = false);
        let (heard, alone) = (run::judge_plan(&heard), run::judge_plan(&alone));
        let both = heard.iter().zip(&alone);
        both.filter(|(heard, alone)| heard.stale_rank() > alone.stale_rank())
            .map(|(heard, alone)| {
                format!("{name} seed {seed}, {}: {}, unheard: {}", heard.node, told(heard), told(alone))
            })
            .collect()
    });
}

#[test]
fn the_same_seed_gives_the_same_bundle() {
    for seed in [7, 77, 777] {
        let plan = situations::by_seed(seed);
        assert!(bundle::build(&plan).files == bundle::build(&plan).files, "seed {seed}");
    }
}

#[test]
fn an_agents_age_is_written_where_it_is_read() {
    let plan = Plan::calm("calm", Setup::plain(1)).quirk(Quirk::AgentAge(1, 70 * SECOND));
    let pods = &bundle::build(&plan).files["kube/pods.json"];
    assert!(pods.contains(&crate::lists::time(plan.setup.now - 70)));
    assert_eq!(kind_of("datapath-programs-missing"), "stale");
}
