//! `staledp diff`: what changed between two bundles, archives or reports of the same nodes.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

fn fixture(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).join("bundle").display().to_string()
}

fn staledp(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_staledp")).args(args).output().expect("the program runs")
}

#[test]
fn a_bundle_and_its_report_do_not_differ() {
    let bundle = fixture("2026-06-06-prusik");
    let keep = tempfile::tempdir().expect("a folder");
    for format in ["json", "yaml", "jsonl"] {
        let report = staledp(&["diagnose", "--from", &bundle, "-o", format]);
        let path = keep.path().join("report");
        std::fs::write(&path, report.stdout).expect("a file");
        let out = staledp(&["diff", &path.display().to_string(), &bundle]);
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(String::from_utf8_lossy(&out.stdout), "3 nodes compared: no difference\n", "{format}");
    }
}

#[test]
fn verdicts_and_figures_that_changed_are_named_with_both_values() {
    let (stale, healthy) = (fixture("stale-datapath"), fixture("healthy"));
    let out = staledp(&["diff", &stale, &healthy, "-o", "json"]);
    assert_eq!(out.status.code(), Some(0));
    let diff: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(diff["schema"], "staledp.diff/v1");
    assert_eq!(diff["only_before"][0], "linz");
    let changes = diff["changed"][0]["changes"].as_array().expect("changes");
    let change = |what: &str| changes.iter().find(|change| change["what"] == what).expect(what);
    assert_eq!(change("verdict")["before"], "stale-datapath");
    assert_eq!(change("verdict")["after"], "healthy");
    assert_eq!(change("dns-conntrack.status")["after"], "pass");
    assert_eq!(change("dns-conntrack.data.unanswered")["before"], 65);
    assert_eq!(change("dns-conntrack.data.unanswered")["after"], 0);
    let yaml = staledp(&["diff", &stale, &healthy, "-o", "yaml"]);
    let yaml: Value = serde_saphyr::from_str(&String::from_utf8_lossy(&yaml.stdout)).expect("YAML");
    assert_eq!(yaml["changed"], diff["changed"]);
    let text = staledp(&["diff", &stale, &healthy]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    let lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "graz is better: it was stale-datapath and is healthy now",
        "unchanged: agent, host-ping, dns-backends",
        "dns-conntrack: unanswered: 65 -> 0",
        "external-conntrack: TCP, unanswered flows to the outside: 12 -> 0",
        "Only in BEFORE, so gone or not collected again: linz",
        "1 node compared: 1 changed (1 better), 0 did not",
    ] {
        assert!(lines.iter().any(|there| there == line), "{line}\n{text}");
    }
}

#[test]
fn what_became_of_each_node_is_said_in_a_sentence_within_80_columns() {
    let keep = tempfile::tempdir().expect("a folder");
    let report = |name: &str| -> Value {
        serde_json::from_slice(&staledp(&["diagnose", "--from", &fixture(name), "-o", "json"]).stdout).expect("JSON")
    };
    let of = |fixture: &str, name: &str| {
        let mut node = report(fixture)["nodes"][0].clone();
        node["node"] = name.into();
        node
    };
    let file = |name: &str, nodes: Vec<Value>| {
        let mut whole = report("healthy");
        whole["nodes"] = nodes.into();
        let path = keep.path().join(name);
        std::fs::write(&path, whole.to_string()).expect("a file");
        path.display().to_string()
    };
    let (stale, healthy, full, cut) = ("stale-datapath", "healthy", "conntrack-full", "evidence-truncated");
    let before = [("a", stale), ("b", healthy), ("c", stale), ("d", healthy), ("e", cut), ("gone", healthy)];
    let after = [("a", healthy), ("b", stale), ("c", full), ("d", cut), ("e", healthy), ("new", stale)];
    let nodes = |nodes: [(&str, &str); 6]| nodes.iter().map(|(name, fixture)| of(fixture, name)).collect();
    let (before, after) = (file("before.json", nodes(before)), file("after.json", nodes(after)));
    let out = Command::new(env!("CARGO_BIN_EXE_staledp"))
        .args(["diff", &before, &after])
        .env("COLUMNS", "80")
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&out.stdout);
    for line in [
        "a is better: it was stale-datapath and is healthy now",
        "b is worse: it was healthy and is stale-datapath now",
        "c has another fault: it was stale-datapath and is conntrack-full now",
        "d can no longer be judged: it was healthy and is evidence-truncated now",
        "e can be judged now: it was evidence-truncated and is healthy now",
        "Only in BEFORE, so gone or not collected again: gone",
        "Only in AFTER, so new or not collected before: new",
        "5 nodes compared: 5 changed (1 worse, 1 better), 0 did not",
    ] {
        assert!(text.lines().any(|there| there == line), "{line}\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(!text.contains('_'), "no name of a JSON field: {text}");
}

#[test]
fn what_cannot_be_compared_ends_with_5() {
    let healthy = fixture("healthy");
    let nowhere = staledp(&["diff", "/nowhere", &healthy]);
    assert_eq!(nowhere.status.code(), Some(5), "{}", String::from_utf8_lossy(&nowhere.stderr));
    assert!(nowhere.stdout.is_empty());
}
