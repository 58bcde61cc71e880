//! Archives of `cilium sysdump` and `cilium-bugtool`, made in the layout of each era from the fixtures, and bundles in
//! one file, judged by the real binary: the same as the fixture's bundle, without what no archive can hold.

mod bundles;
mod damaged;
mod eras;
mod hostile;
mod judged;
mod large;
mod made;
#[path = "../support/run.rs"]
#[allow(dead_code, reason = "shared with other test crates, and none of them uses all of it")]
mod run;
mod symptoms;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use run::{Outcome, staledp};

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut all: Vec<PathBuf> = fs::read_dir(root)
        .expect("fixtures")
        .map(|entry| entry.expect("an entry").path().join("bundle"))
        .filter(|path| path.join("kube/pods.json").is_file() && path.join("kube/nodes.json").is_file())
        .collect();
    all.sort();
    all
}

/// Exit code, report and standard error of the real binary on an archive.
fn diagnose(path: &Path) -> (Option<i32>, Value, String) {
    let outcome = run(path);
    (outcome.code, serde_json::from_str(&outcome.stdout).unwrap_or_default(), outcome.stderr)
}

fn run(path: &Path) -> Outcome {
    staledp(["diagnose", "-o", "json", "--from", &path.display().to_string()]).run()
}

/// A report without when it was made, where it was read from, and how old that was.
fn lasting(mut report: Value) -> Value {
    report["generated_at"] = Value::Null;
    report["source"]["path"] = Value::Null;
    report["source"]["age_s"] = Value::Null;
    report
}

/// The bundle of a fixture.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).join("bundle")
}

/// The files of a bundle folder, by their names in it.
fn files_of(bundle: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut out, mut folders) = (Vec::new(), vec![bundle.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(bundle).expect("below it").display().to_string();
                out.push((name, fs::read(&path).expect("a file")));
            }
        }
    }
    out
}
