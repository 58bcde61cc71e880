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
        assert_eq!(String::from_utf8_lossy(&out.stdout), "nodes that changed: 0, that did not: 3\n", "{format}");
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
        "verdict stale-datapath healthy",
        "unchanged: agent, host-ping, dns-backends",
        "dns-conntrack: unanswered: 65 -> 0",
    ] {
        assert!(lines.iter().any(|there| there == line), "{line}\n{text}");
    }
}

#[test]
fn what_cannot_be_compared_ends_with_5() {
    let healthy = fixture("healthy");
    let nowhere = staledp(&["diff", "/nowhere", &healthy]);
    assert_eq!(nowhere.status.code(), Some(5), "{}", String::from_utf8_lossy(&nowhere.stderr));
    assert!(nowhere.stdout.is_empty());
}
