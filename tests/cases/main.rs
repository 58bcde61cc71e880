//! Every case with known truth, judged by the program itself: public reports, simulated faults, a real cluster.

mod truth;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use truth::{Complaint, Truth};

/// What came of one case.
struct Judged {
    name: String,
    nodes: usize,
    complaints: Vec<Complaint>,
    /// Nodes that are stale and must not be.
    wrongly_stale: BTreeSet<String>,
    /// Nodes that must be stale and are not.
    missed_stale: BTreeSet<String>,
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/data")
}

fn names() -> Vec<String> {
    let entries = std::fs::read_dir(data()).expect("the cases are part of the project");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name().into_string();
    let mut names: Vec<String> = entries.map(|entry| name(entry).expect("a name in UTF-8")).collect();
    names.sort();
    names
}

fn truth_of(name: &str) -> Truth {
    let path = data().join(name).join("truth.json");
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Judges one case with the program itself.
fn judge_case(name: &str) -> Judged {
    let truth = truth_of(name);
    let output = Command::new(env!("CARGO_BIN_EXE_staledp"))
        .args(["diagnose", "-o", "json", "--from"])
        .arg(data().join(name).join("bundle.tar.gz"))
        .args(&truth.args)
        .output()
        .expect("the program runs");
    let mut judged = Judged {
        name: name.to_owned(),
        nodes: truth.nodes.len(),
        complaints: Vec::new(),
        wrongly_stale: BTreeSet::new(),
        missed_stale: BTreeSet::new(),
    };
    let mut complain = |node: Option<&String>, says| judged.complaints.push(Complaint { node: node.cloned(), says });
    let exit = output.status.code().unwrap_or(-1);
    let Ok(report) = serde_json::from_slice::<Value>(&output.stdout) else {
        let said = String::from_utf8_lossy(&output.stderr);
        complain(None, format!("no JSON (exit {exit}: {})", said.trim()));
        return judged;
    };
    if !truth.exit.contains(&exit) {
        complain(None, format!("exit {exit}, not {:?}", truth.exit));
    }
    let entries = report["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    for (node, right) in &truth.nodes {
        let Some(entry) = entries.iter().find(|entry| entry["node"] == node.as_str()) else {
            complain(Some(node), "no entry".to_owned());
            continue;
        };
        for says in right.against(entry, &report["notes"]) {
            complain(Some(node), says);
        }
        match (entry["verdict"]["kind"] == "stale", right.may_be_stale()) {
            (true, false) => judged.wrongly_stale.insert(node.clone()),
            (false, true) => judged.missed_stale.insert(node.clone()),
            _ => continue,
        };
    }
    judged
}

/// Judges all cases, two at once, in their order.
fn judge_all(names: &[String]) -> Vec<Judged> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let judged = judge_case(name);
                    done.lock().expect("no thread panics while it holds the lock").push(judged);
                }
            });
        }
    });
    let mut done = done.into_inner().expect("the threads are done");
    done.sort_by(|a, b| a.name.cmp(&b.name));
    done
}

#[test]
fn every_case_gets_an_acceptable_verdict_with_the_words_of_its_truth() {
    let judged = judge_all(&names());
    let mut complaints = Vec::new();
    for case in &judged {
        complaints.extend(case.complaints.iter().map(|complaint| format!("{}{complaint}", case.name)));
    }
    for line in &complaints {
        println!("  {line}");
    }
    let complained = |case: &Judged| case.complaints.iter().filter_map(|c| c.node.clone()).collect::<BTreeSet<_>>();
    let sum = |count: &dyn Fn(&Judged) -> usize| judged.iter().map(count).sum::<usize>();
    println!(
        "{} cases, {} nodes, {} with a complaint: {} complaints, wrongly stale {}, missed stale {}",
        judged.len(),
        sum(&|case| case.nodes),
        sum(&|case| complained(case).len()),
        complaints.len(),
        sum(&|case| case.wrongly_stale.len()),
        sum(&|case| case.missed_stale.len()),
    );
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}
