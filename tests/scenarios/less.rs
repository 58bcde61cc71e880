//! Less of the direct evidence, or of the cluster's lists, never accuses and never acquits, on the cases that hold it all.
//! The direct evidence is optional: where one piece of it alone shows a fault, its absence may leave the node healthy.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::kept::{case_files, cases, fixture_files, named};
use crate::scenario::bundle::{self, Files};
use crate::scenario::rng::Rng;
use crate::scenario::{incidents, run};
use crate::sentences::{is_of, pieces};

/// Pairs of pieces that are taken away from each case.
const PAIRS: usize = 5;

/// Kind and code of each node.
type Kinds = BTreeMap<String, (String, String)>;

fn judged(files: &Files, args: &[String]) -> Kinds {
    let dir = tempfile::tempdir().expect("a folder");
    bundle::write(files, dir.path()).expect("a folder that can be written");
    let report = run::judge_dir(dir.path(), args).report;
    let of_node = |node: &Value| {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let verdict = &node["verdict"];
        (word(&node["node"]), (word(&verdict["kind"]), word(&verdict["code"])))
    };
    report["nodes"].as_array().into_iter().flatten().map(of_node).collect()
}

/// The nodes that less evidence made stale, or healthy though they are not.
fn accused_or_acquitted(before: &Kinds, after: &Kinds) -> Vec<String> {
    let both = before.iter().filter_map(|(node, was)| Some((node, was, after.get(node)?)));
    let wrong = both.filter(|(_, (was, _), (is, _))| {
        was != "stale" && is == "stale" || matches!(was.as_str(), "stale" | "other-fault") && is == "healthy"
    });
    wrong.map(|(node, (_, was), (_, is))| format!("{node}: {was} became {is}")).collect()
}

/// Takes pieces away from a bundle, one subset after the other; what comes out wrong.
fn without(name: &str, files: &Files, args: &[String], subsets: &[Vec<String>]) -> Vec<String> {
    let before = judged(files, args);
    assert!(!before.is_empty(), "{name} has nodes");
    let mut wrong = Vec::new();
    for subset in subsets {
        let mut less = files.clone();
        less.retain(|path, _| !subset.iter().any(|piece| is_of(path, piece)));
        let after = judged(&less, args);
        // What one piece of optional evidence alone shows is not seen without it; nothing else may acquit.
        let alone = subset.iter().any(|piece| DIRECT.contains(&piece.as_str()));
        let found = accused_or_acquitted(&before, &after).into_iter();
        let found = found.filter(|one| !(alone && one.ends_with("became healthy")));
        wrong.extend(found.map(|one| format!("{name} without {subset:?}: {one}")));
    }
    wrong
}

/// The direct evidence: each of these shows a broken program, map, mount or rule by itself.
const DIRECT: [&str; 15] = [
    "bpf-metrics",
    "bpf-metrics.2",
    "endpoint-list",
    "bpf-endpoint-list",
    "map-get-lxc",
    "ipcache-list",
    "map-get-ipcache",
    "link-list",
    "cgroup-tree",
    "mounts",
    "host-mounts",
    "host-firewall",
    "host-firewall-v6",
    "config-drift",
    "calls-maps",
];

#[test]
fn less_of_the_direct_evidence_never_accuses_and_other_evidence_never_acquits() {
    let mut wrong = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for folder in cases() {
        let (files, args) = case_files(&folder);
        let pieces = pieces(&files);
        let direct: Vec<&String> = pieces.iter().filter(|piece| DIRECT.contains(&piece.as_str())).collect();
        if direct.is_empty() {
            continue;
        }
        let mut rng = Rng::new(&format!("less of {}", named(&folder)));
        let mut subsets: Vec<Vec<String>> = direct.iter().map(|piece| vec![(*piece).clone()]).collect();
        subsets.extend((0..PAIRS).map(|_| vec![rng.pick(&pieces).clone(), rng.pick(&pieces).clone()]));
        seen.extend(direct.into_iter().cloned());
        wrong.extend(without(&named(&folder), &files, &args, &subsets));
    }
    assert!(seen.len() >= 10, "the cases hold the direct evidence: {seen:?}");
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// The cluster's lists.
const LISTS: [&str; 4] = ["pods", "services", "endpointslices", "events"];

#[test]
fn part_of_a_list_never_accuses_and_never_acquits() {
    let mut bundles: Vec<(String, Files, Vec<String>)> = Vec::new();
    for fixture in incidents::fixtures().into_iter().filter(|f| f.scenario.name != "healthy-1.19-default") {
        let scenario = fixture.scenario;
        bundles.push((scenario.name.clone(), fixture_files(&scenario.name), scenario.args));
    }
    for folder in cases().into_iter().filter(|folder| named(folder).starts_with("x-")) {
        let (files, args) = case_files(&folder);
        bundles.push((named(&folder), files, args));
    }
    let mut wrong = Vec::new();
    for (name, files, args) in &bundles {
        let before = judged(files, args);
        for list in LISTS {
            for part in [Part::OwnNamespace, Part::Half] {
                let mut less = files.clone();
                cut(&mut less, list, part);
                let found = accused_or_acquitted(&before, &judged(&less, args));
                wrong.extend(found.into_iter().map(|one| format!("{name} with {part:?} of {list}: {one}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is left of a list.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// What is in Cilium's namespace: the rights end there.
    OwnNamespace,
    /// Every other object: a page is missing.
    Half,
}

fn cut(files: &mut Files, list: &str, part: Part) {
    let path = format!("kube/{list}.json");
    let Some(text) = files.remove(&path) else { return };
    let mut why = json!({"kind": "forbidden", "message": format!("{list} cannot be listed")});
    let mut read: Value = serde_json::from_slice(&text).expect("a list");
    let items = read["items"].as_array_mut().expect("items");
    match part {
        Part::OwnNamespace => {
            items.retain(|item| item["metadata"]["namespace"] == "kube-system");
            why["of"] = json!("namespace kube-system");
        }
        Part::Half => {
            let mut keep = false;
            items.retain(|_| {
                keep = !keep;
                keep
            });
            why["of"] = json!("the first pages");
        }
    }
    files.insert(path, read.to_string().into_bytes());
    files.insert(format!("kube/{list}.error.json"), why.to_string().into_bytes());
}
