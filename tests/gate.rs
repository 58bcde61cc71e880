//! `staledp gate` on saved evidence: what can be compared, in which shapes, and what cannot.

#[path = "support/offline.rs"]
mod offline;

use std::fs;
use std::process::{Output, Stdio};

use offline::{bundle, run, staledp};
use serde_json::Value;

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

#[test]
fn report_in_each_format_and_bundle_are_the_same_baseline() {
    let (healthy, stale) = (bundle("healthy"), bundle("stale-datapath"));
    let folder = tempfile::tempdir().expect("a folder");
    let mut seen = Vec::new();
    for format in ["json", "jsonl", "yaml", "bundle"] {
        let path = folder.path().join(format).display().to_string();
        let before = if format == "bundle" { &healthy } else { &path };
        if format != "bundle" {
            fs::write(&path, run(&["diagnose", "--from", &healthy, "-o", format]).stdout).expect("a file");
        }
        let out = run(&["gate", "--before", before, "--from", &stale, "graz", "-o", "json"]);
        assert_eq!(out.status.code(), Some(1), "{format}: {}", stderr(&out));
        seen.push(json(&out)["nodes"].clone());
    }
    assert!(seen.iter().all(|nodes| *nodes == seen[0]));
    assert_eq!(seen[0][0]["worse"][0]["what"], "verdict");
}

#[test]
fn baseline_may_come_from_standard_input_and_only_one_of_both() {
    let (healthy, stale) = (bundle("healthy"), bundle("stale-datapath"));
    let report = fs::File::from(std::os::fd::OwnedFd::from({
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let bytes = run(&["diagnose", "--from", &healthy, "-o", "json"]).stdout;
        std::thread::spawn(move || std::io::Write::write_all(&mut writer, &bytes));
        reader
    }));
    let mut gate = staledp(&["gate", "--before", "-", "--from", &stale, "--all-nodes"]);
    let out = gate.stdin(Stdio::from(report)).output().expect("it runs");
    assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
    let both = run(&["gate", "--before", "-", "--from", "-"]);
    assert_eq!(both.status.code(), Some(2), "{}", stderr(&both));
    assert!(stderr(&both).contains("cannot both read standard input"), "{}", stderr(&both));
}

#[test]
fn what_cannot_be_compared_is_an_error() {
    let (healthy, stale) = (bundle("healthy"), bundle("stale-datapath"));
    let folder = tempfile::tempdir().expect("a folder");
    let mut report: Value =
        serde_json::from_slice(&run(&["diagnose", "--from", &healthy, "-o", "json"]).stdout).expect("JSON");
    report["source"]["captured_at"] = "2026-06-07T12:00:00Z".into();
    let newer = folder.path().join("newer.json").display().to_string();
    fs::write(&newer, report.to_string()).expect("a file");
    for (args, code, words) in [
        (vec!["gate", "--from", &stale], 2, "--before"),
        (vec!["gate", "--before", "/nowhere", "--from", &stale], 5, "cannot read the report /nowhere"),
        (vec!["gate", "--before", &stale, "--from", "/nowhere"], 5, "cannot read the bundle /nowhere"),
        (vec!["gate", "--before", &newer, "--from", &stale], 2, "the baseline is 24 hours newer than the evidence"),
        (vec!["gate", "--before", &healthy, "--from", &stale, "-o", "junit"], 2, "gate has no junit output"),
        (vec!["gate", "--before", &healthy, "--from", &stale, "--since", "soon"], 2, "neither a time such as"),
    ] {
        let out = run(&args);
        assert_eq!(out.status.code(), Some(code), "{args:?} {}", stderr(&out));
        assert!(stderr(&out).contains(words), "{args:?}: {}", stderr(&out));
        assert!(out.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn saved_evidence_of_a_young_agent_is_not_waited_for_and_cannot_be_told() {
    let (healthy, young) = (bundle("healthy"), bundle("agent-starting"));
    let begun = std::time::Instant::now();
    let out = run(&["gate", "--before", &healthy, "--from", &young, "--all-nodes", "-o", "json"]);
    assert_eq!(out.status.code(), Some(4), "{}", stderr(&out));
    assert!(begun.elapsed().as_secs() < 20 && stderr(&out).is_empty(), "{}", stderr(&out));
    assert_eq!(json(&out)["nodes"][0]["result"], "cannot-tell");
}

#[test]
fn only_nodes_of_the_same_cluster_are_compared_with_those_of_a_fleet() {
    let (healthy, stale) = (bundle("healthy"), bundle("stale-datapath"));
    let folder = tempfile::tempdir().expect("a folder");
    let report: Value =
        serde_json::from_slice(&run(&["diagnose", "--from", &healthy, "-o", "json"]).stdout).expect("JSON");
    let put = |name: &str, context: &str| {
        let mut report = report.clone();
        report["source"]["context"] = context.into();
        let path = folder.path().join(name).display().to_string();
        fs::write(&path, report.to_string()).expect("a file");
        path
    };
    let fleet = |contexts: [&str; 2]| {
        let parts = [put("a", contexts[0]), put("b", contexts[1])];
        let path = folder.path().join("fleet.json").display().to_string();
        fs::write(&path, run(&["merge", &parts[0], &parts[1], "-o", "json"]).stdout).expect("a file");
        run(&["gate", "--before", &path, "--from", &stale, "graz", "-o", "json"])
    };
    assert_eq!(fleet(["grigri", "other"]).status.code(), Some(1));
    let elsewhere = fleet(["another", "other"]);
    assert_eq!(elsewhere.status.code(), Some(4), "{}", stderr(&elsewhere));
    assert_eq!(json(&elsewhere)["nodes"][0]["before"], Value::Null);
}

#[test]
fn every_format_says_the_same() {
    let (healthy, stale) = (bundle("healthy"), bundle("stale-datapath"));
    let out = |format: &str| run(&["gate", "--before", &healthy, "--from", &stale, "--all-nodes", "-o", format]);
    let whole = json(&out("json"));
    let yaml: Value = serde_saphyr::from_str(&String::from_utf8_lossy(&out("yaml").stdout)).expect("YAML");
    let told = |report: &Value| (report["nodes"].clone(), report["summary"].clone());
    assert_eq!(told(&yaml), told(&whole));
    let lines = out("jsonl").stdout;
    let lines: Vec<Value> =
        String::from_utf8_lossy(&lines).lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert_eq!(Value::from(lines[..2].to_vec()), whole["nodes"]);
    assert_eq!(lines[2]["summary"], whole["summary"]);
    for format in ["table", "wide", "json", "jsonl", "yaml", "name"] {
        assert_eq!(out(format).status.code(), Some(1), "{format}");
    }
}
