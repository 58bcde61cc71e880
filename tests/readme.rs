//! A newcomer's first minutes: what README says of installing it as a kubectl plugin is done as it stands there.

#[path = "support/offline.rs"]
mod offline;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use offline::{bundle, run};
use serde_json::Value;

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md")
}

/// The lines below "Install" that a newcomer types.
fn install() -> Vec<String> {
    let readme = readme();
    let (_, rest) = readme.split_once("## Install and first steps\n").expect("the section");
    let (_, rest) = rest.split_once("```sh\n").expect("a session");
    let (session, _) = rest.split_once("```").expect("its end");
    session.lines().map(str::to_owned).collect()
}

#[test]
fn local_build_is_installed_as_a_kubectl_plugin_by_following_the_readme() {
    let lines = install();
    assert_eq!(lines[0], "cargo install --locked --path .");
    assert_eq!(lines.last().map(String::as_str), Some("kubectl staledp version"), "{lines:?}");
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        eprintln!("skipped: kubectl is not installed");
        return;
    }
    let home = tempfile::tempdir().expect("a folder");
    let bin = home.path().join(".cargo/bin");
    fs::create_dir_all(&bin).expect("a folder");
    // What the first line does: the build itself is this test's.
    symlink(env!("CARGO_BIN_EXE_staledp"), bin.join("staledp")).expect("a link");
    let shell = |script: &str| {
        let out = Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()))
            .output()
            .expect("bash");
        assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).expect("text")
    };
    let said = shell(&lines[1..].join("\n"));
    assert!(said.starts_with(&format!("staledp {}\n", env!("CARGO_PKG_VERSION"))), "{said}");
    assert!(shell("kubectl staledp explain --help").contains("kubectl staledp explain stale-datapath"));
    assert_eq!(shell("kubectl __complete staledp explain stale-m 2>/dev/null"), "stale-map\n:4\n");
}

#[test]
fn readme_says_of_releases_only_that_they_are_not_there_yet() {
    let readme = readme();
    assert!(readme.contains("**Nothing is published yet**"));
    for script in [".ci/build", ".ci/image", ".ci/reproducible"] {
        assert!(readme.contains(script) && Path::new(env!("CARGO_MANIFEST_DIR")).join(script).exists(), "{script}");
    }
}

/// "Upgrades and compatibility": a report as the first edition of its schema had it is read by what reads reports.
#[test]
fn report_with_only_the_fields_of_the_first_edition_is_still_read() {
    let golden = Path::new(&bundle("2026-06-06-prusik")).with_file_name("expected.json");
    let mut report: Value = serde_json::from_slice(&fs::read(golden).expect("a golden")).expect("JSON");
    keep(&mut report["source"], &["kind", "context", "path"]);
    for node in report["nodes"].as_array_mut().expect("nodes") {
        keep(node, &["node", "cilium", "verdict", "checks", "affected", "remediation", "known_issues"]);
        keep(&mut node["verdict"], &["kind", "code", "confidence", "summary", "because", "ruled_out"]);
        for list in ["because", "ruled_out"] {
            node["verdict"][list]
                .as_array_mut()
                .expect("a list")
                .iter_mut()
                .for_each(|item| keep(item, &["check", "code", "says"]));
        }
        for check in node["checks"].as_array_mut().expect("checks") {
            keep(check, &["id", "status", "summary", "reason", "duration_ms", "data"]);
        }
        if node["remediation"].is_object() {
            keep(&mut node["remediation"], &["commands", "verify", "risk"]);
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("old.json");
    fs::write(&file, report.to_string()).expect("a file");
    let old = file.display().to_string();
    for format in ["table", "json", "html"] {
        let out = run(&["merge", &old, "-o", format]);
        assert_eq!(out.status.code(), Some(1), "{format}: {}", String::from_utf8_lossy(&out.stderr));
    }
    let out = run(&["diff", &old, &old, "--exit-code"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
}

fn keep(value: &mut Value, names: &[&str]) {
    let fields = value.as_object_mut().expect("an object");
    fields.retain(|name, _| names.contains(&name.as_str()));
}
