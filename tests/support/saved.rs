//! What is saved, and what it says when it is read again.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::api::ApiServer;
use super::run::{Outcome, staledp};
use super::world::World;

/// What a node may take in these runs.
const PATIENCE: &str = "8s";

/// A report without what is different in every run: when, from where, and how long it took.
pub(crate) fn lasting(outcome: &Outcome) -> String {
    fn drop_times(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("duration_ms");
                fields.values_mut().for_each(drop_times);
            }
            Value::Array(items) => items.iter_mut().for_each(drop_times),
            _ => {}
        }
    }
    let mut report = outcome.report().0;
    drop_times(&mut report);
    report["generated_at"] = Value::Null;
    report["source"]["kind"] = Value::Null;
    for name in ["path", "captured_at", "age_s"] {
        report["source"][name] = Value::Null;
    }
    format!("{report:#}")
}

/// A run against a cluster, without SSH.
pub(crate) fn run_live(api: &ApiServer, command: &str, args: &[&str]) -> Outcome {
    let kubeconfig = api.kubeconfig();
    let path = kubeconfig.path();
    let mut all = vec![command, "--kubeconfig", &path, "--no-ssh", "-o", "json", "--timeout", PATIENCE];
    all.extend(args);
    staledp(all).run()
}

/// A bundle judged.
pub(crate) fn read_back(path: &Path) -> Outcome {
    read_back_with(path, &[])
}

/// The same, with further arguments.
pub(crate) fn read_back_with(path: &Path, more: &[&str]) -> Outcome {
    let from = path.display().to_string();
    let mut args = vec!["diagnose", "--from", &from, "-o", "json"];
    args.extend(more);
    staledp(args).run()
}

/// All files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out
}

/// What a file holds, decompressed.
pub(crate) fn contents(path: &Path) -> String {
    let bytes = fs::read(path).expect("a file");
    let mut text = Vec::new();
    if path.extension().is_some_and(|ending| ending == "gz") {
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text).expect("a compressed file");
    } else {
        text = bytes;
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A live run of a world, saved and read again.
#[track_caller]
pub(crate) fn same_in_same_out(world: World, name: &str) {
    same_in_same_out_as(world, name, "kept", &["--all-nodes"]);
}

/// The same, in a file or folder of this name, with these nodes.
#[track_caller]
pub(crate) fn same_in_same_out_as(world: World, name: &str, kept: &str, nodes: &[&str]) {
    let keep = tempfile::tempdir().expect("a folder");
    let bundle = keep.path().join(kept);
    let to = bundle.display().to_string();
    let probes = world.probe_pods.clone();
    let mut args = vec!["--save", &to];
    args.extend(nodes);
    args.extend(probes.iter().flat_map(|pod| ["--probe-pod", pod]));
    let api = ApiServer::start(world);
    let live = run_live(&api, "diagnose", &args);
    if live.code == Some(5) || live.code == Some(2) {
        // Without a list of nodes nothing was chosen, and nothing is there to read.
        assert!(!bundle.exists(), "{name}: {}", live.stderr);
        return;
    }
    let saved = read_back(&bundle);
    let (left, right) = (lasting(&saved), lasting(&live));
    assert!(left == right, "{name}\n{}", difference(&left, &right));
    assert_eq!(saved.code, live.code, "{name}");
    assert!(live.stderr.contains("saved: "), "{}", live.stderr);
    assert!(api.writes().is_empty(), "{name}");
}

/// What a report says of each node, without its names, addresses and sentences, in no order.
pub(crate) fn essence(report: &Value) -> Value {
    fn figures(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let names = ["address", "addresses", "pod", "namespace", "service"];
                let plain = |(key, value): (&String, &Value)| {
                    let value = if names.contains(&key.as_str()) { json!(!value.is_null()) } else { figures(value) };
                    (key.clone(), value)
                };
                Value::Object(fields.iter().map(plain).collect())
            }
            // Ties are told by name or address.
            Value::Array(items) => sorted(items.iter().map(figures).collect()),
            other => other.clone(),
        }
    }
    let words = |list: &Value, key: &str| -> Value {
        sorted(list.as_array().into_iter().flatten().map(|item| item[key].clone()).collect())
    };
    let of_node = |node: &Value| {
        let verdict = &node["verdict"];
        let checks: Vec<Value> = node["checks"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|check| json!([check["id"], check["status"], check["reason"].is_null(), figures(&check["data"])]))
            .collect();
        let symptoms: Vec<Value> = node["symptoms"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|symptom| json!([symptom["kind"], symptom["count"], symptom["looks"], symptom["first"]]))
            .collect();
        json!({
            "verdict": [verdict["kind"], verdict["code"], verdict["confidence"]],
            "because": words(&verdict["because"], "check"),
            "ruled_out": words(&verdict["ruled_out"], "code"),
            "open": words(&verdict["open"], "code"),
            "version": node["cilium"]["version"],
            "started_at": node["cilium"]["started_at"],
            "checks": checks,
            "symptoms": sorted(symptoms),
            "affected": node["affected"].as_array().map(Vec::len),
            "commands": node["remediation"]["commands"].as_array().map(Vec::len),
            "risk": node["remediation"]["risk"]["level"],
            "known_issues": words(&node["known_issues"], "id"),
        })
    };
    let nodes = report["nodes"].as_array().expect("nodes").iter().map(of_node).collect();
    json!({"summary": report["summary"], "nodes": sorted(nodes)})
}

fn sorted(mut items: Vec<Value>) -> Value {
    items.sort_by_cached_key(Value::to_string);
    Value::Array(items)
}

/// A redacted copy of a bundle, and both reports.
pub(crate) fn redacted(bundle: &Path, to: &Path) -> (Outcome, Outcome) {
    let before = read_back_with(bundle, &["--redact", "--save", &to.display().to_string()]);
    (before, read_back(to))
}

/// Panics where a redacted bundle says something else than what it was made of.
#[track_caller]
pub(crate) fn same(before: &Outcome, after: &Outcome, name: &str) {
    assert_eq!(after.code, before.code, "{name}\n{}", after.stderr);
    let (left, right) = (essence(&after.report().0), essence(&before.report().0));
    let (left, right) = (format!("{left:#}"), format!("{right:#}"));
    assert!(left == right, "{name}\n{}", difference(&left, &right));
}

/// The lines around the first difference: whole reports are long.
pub(crate) fn difference(read_again: &str, first: &str) -> String {
    let differ = read_again.lines().zip(first.lines()).position(|(left, right)| left != right).unwrap_or_default();
    let around = |text: &str| text.lines().skip(differ.saturating_sub(6)).take(12).collect::<Vec<_>>().join("\n");
    format!("read again:\n{}\nat first:\n{}", around(read_again), around(first))
}
