//! The published schema of the report: every golden report is by it, and what is wrong is refused.

#[path = "support/schema.rs"]
mod schema;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

fn fixtures() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let golden = fs::read_dir(folder).expect("fixtures").filter_map(|entry| {
        let path = entry.expect("an entry").path().join("expected.json");
        let read = || serde_json::from_slice::<Value>(&fs::read(&path).expect("a file")).expect("JSON");
        path.is_file().then(read)
    });
    // The age grows day by day, so the golden ones have a word in its place.
    let aged = golden.map(|mut report| {
        if report["source"]["age_s"] == "(age)" {
            report["source"]["age_s"] = json!(1);
        }
        report
    });
    aged.collect()
}

fn staledp(args: &[&str]) -> Vec<u8> {
    Command::new(env!("CARGO_BIN_EXE_staledp")).args(args).output().expect("the program runs").stdout
}

#[test]
fn every_golden_report_is_by_the_published_schema() {
    let golden = fixtures();
    assert!(golden.len() > 20, "{}", golden.len());
    golden.iter().for_each(schema::check);
}

#[test]
fn schema_command_prints_what_a_report_is_by() {
    let printed: Value = serde_json::from_slice(&staledp(&["schema"])).expect("JSON");
    assert_eq!(printed, schema::published());
    assert_eq!(printed["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stale-selective/bundle");
    let report = staledp(&["diagnose", "--from", &bundle.display().to_string(), "-o", "json"]);
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    schema::check(&report);
}

#[test]
fn merged_report_of_several_contexts_is_by_the_published_schema() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = [("east", "stale-datapath"), ("west", "healthy")].map(|(context, case)| {
        let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{case}/bundle"));
        let report = staledp(&["diagnose", "--from", &bundle.display().to_string(), "-o", "json"]);
        let mut report: Value = serde_json::from_slice(&report).expect("JSON");
        report["source"]["context"] = context.into();
        let path = folder.path().join(context).display().to_string();
        fs::write(&path, report.to_string()).expect("a file");
        path
    });
    let merged: Value = serde_json::from_slice(&staledp(&["merge", &paths[0], &paths[1], "-o", "json"])).expect("JSON");
    assert_eq!(merged["nodes"][0]["context"], "east");
    schema::check(&merged);
}

#[test]
fn evidence_of_the_future_has_no_age_in_a_report_by_the_schema() {
    let folder = tempfile::tempdir().expect("a folder");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/healthy/bundle");
    let to = folder.path().join("bundle");
    let copied = Command::new("cp").arg("-r").args([&from, &to]).status().expect("cp runs");
    assert!(copied.success());
    let about = to.join("bundle.json");
    let mut described: Value = serde_json::from_slice(&fs::read(&about).expect("a file")).expect("JSON");
    described["captured_at"] = "2199-01-01T00:00:00Z".into();
    fs::write(&about, described.to_string()).expect("a file");
    let from = to.display().to_string();
    let report: Value = serde_json::from_slice(&staledp(&["diagnose", "--from", &from, "-o", "json"])).expect("JSON");
    assert_eq!((&report["source"]["age_s"], &report["nodes"][0]["verdict"]["kind"]), (&Value::Null, &"healthy".into()));
    schema::check(&report);
    let shown = String::from_utf8(staledp(&["diagnose", "--from", &from])).expect("text");
    assert!(shown.contains("ahead of this machine's clock") && !shown.contains(" ago"), "{shown}");
}

#[test]
fn schema_command_prints_what_a_gate_is_by() {
    let printed: Value = serde_json::from_slice(&staledp(&["schema", "gate"])).expect("JSON");
    assert_eq!(printed["title"], "staledp.gate/v1");
    let bundle = |name: &str| format!("{}/fixtures/{name}/bundle", env!("CARGO_MANIFEST_DIR"));
    let (before, after) = (bundle("healthy"), bundle("stale-selective"));
    let report = staledp(&["gate", "--before", &before, "--from", &after, "--all-nodes", "-o", "json"]);
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    schema::check(&report);
    let mut wrong = report;
    wrong["nodes"][0]["result"] = json!("bad");
    assert!(!schema::faults(&wrong, false).is_empty());
}

#[test]
fn report_with_a_fault_is_refused_and_a_field_of_a_later_version_is_not() {
    let is_valid = |report: &Value| schema::faults(report, false).is_empty();
    let right = fixtures().into_iter().find(|report| report["nodes"][0]["verdict"]["kind"] == "stale").expect("one");
    assert!(is_valid(&right));
    let mut later = right.clone();
    later["nodes"][0]["later"] = json!(1);
    assert!(is_valid(&later));
    for (path, value) in [
        ("/schema", json!("staledp.report/v2")),
        ("/summary/stale", json!(-1)),
        ("/nodes/0/verdict/kind", json!("sick")),
        ("/nodes/0/verdict/confidence", json!("sure")),
        ("/nodes/0/checks/0/id", json!("dns-backends")),
        ("/nodes/0/checks/2/data/live", json!("many")),
        ("/nodes/0/checks", json!([])),
        ("/nodes/0/remediation/risk/level", json!(3)),
        ("/generated_at", json!(null)),
    ] {
        let mut wrong = right.clone();
        *wrong.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        assert!(!is_valid(&wrong), "{path}");
    }
    let mut unknown = right;
    unknown["nodes"][0]["checks"][0]["status"] = json!("unknown");
    unknown["nodes"][0]["checks"][0]["reason"] = json!(null);
    assert!(!is_valid(&unknown), "an unknown check has a reason");
}
