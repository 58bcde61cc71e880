//! The command line from outside: readers that stall or go away, signals, exit codes, help and errors.

#[path = "support/offline.rs"]
mod offline;
#[path = "support/pipe.rs"]
mod pipe;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use offline::{bundle, run, staledp};
use pipe::{end, full_pipe, send, wait_until_it_handles_signals};
use serde_json::Value;
use staledp::base::exit::Exit;

/// How soon a command has to end after the first signal.
const SOON: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A report in a file of its own.
fn report_file(folder: &Path, bundle: &str) -> PathBuf {
    let path = folder.join("report.json");
    fs::write(&path, run(&["diagnose", "--from", bundle, "-o", "json"]).stdout).expect("a file");
    path
}

/// Every command that prints, with arguments that make it print.
fn printing_commands(report: &str) -> Vec<Vec<String>> {
    let (stale, healthy) = (bundle("stale-datapath"), bundle("healthy"));
    let issue = Path::new(report).with_file_name("issue.tar.gz").display().to_string();
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["diff", &stale, &healthy],
        vec!["diff", &stale, &healthy, "-o", "json"],
        vec!["merge", report],
        vec!["merge", report, "-o", "jsonl"],
        vec!["diagnose", "--from", &stale, "-o", "html"],
        vec!["explain"],
        vec!["rbac", "fix"],
        vec!["manifests", "watch"],
        vec!["completions", "bash"],
        vec!["man"],
        vec!["man", "diagnose"],
        vec!["schema"],
        vec!["config", "view"],
        vec!["version"],
        vec!["report", "--from", &healthy, "--to", &issue],
        vec!["schema", "gate"],
        vec!["gate", "--before", &healthy, "--from", &stale, "--all-nodes", "-o", "name"],
        vec!["gate", "--before", report, "--from", &stale, "--all-nodes"],
    ];
    for format in ["table", "json", "jsonl", "yaml"] {
        commands.push(vec!["diagnose", "--from", &stale, "-o", format]);
        commands.push(vec!["symptoms", "--from", &stale, "-o", format]);
        commands.push(vec!["risk", "--from", &stale, "-o", format]);
        commands.push(vec!["gate", "--before", &healthy, "--from", &stale, "--all-nodes", "-o", format]);
    }
    commands.iter().map(|words| words.iter().map(|word| (*word).to_owned()).collect()).collect()
}

fn words(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn stalled_reader_of_any_command_is_interrupted_by_the_first_signal() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = report_file(folder.path(), &bundle("stale-datapath"));
    for some in printing_commands(&report.display().to_string()).chunks(4) {
        std::thread::scope(|scope| {
            // One signal after the other: both runs of `report` write the same archive.
            for args in some {
                scope.spawn(move || ["INT", "TERM"].map(|signal| signal_ends_stalled(args, signal)));
            }
        });
    }
}

fn signal_ends_stalled(args: &[String], signal: &str) {
    let (writer, reader) = full_pipe();
    let mut child: Child =
        staledp(&words(args)).stdout(writer).stderr(Stdio::null()).spawn().expect("the program starts");
    wait_until_it_handles_signals(&child);
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().expect("a child").is_none(), "{args:?} waits for its reader");
    send(&child, signal);
    let (code, took) = end(&mut child, PATIENCE);
    assert_eq!(code, Some(130), "{args:?} {signal}");
    assert!(took <= SOON, "{args:?} {signal}: {took:?}");
    drop(reader);
}

#[test]
fn closed_pipe_ends_any_command_quietly() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = report_file(folder.path(), &bundle("stale-datapath"));
    for args in printing_commands(&report.display().to_string()) {
        let whole = run(&words(&args));
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let child = staledp(&words(&args)).stdout(writer).stderr(Stdio::piped()).spawn().expect("the program starts");
        let closed = child.wait_with_output().expect("the program ends");
        assert_eq!(closed.status.code(), whole.status.code(), "{args:?}");
        // `report` names the archive that it saved.
        let said = stderr(&closed);
        let complains =
            said.lines().find(|line| !line.starts_with("saved: ") && !line.starts_with("existing archive "));
        assert_eq!(complains, None, "{args:?}");
    }
}

#[test]
fn full_disk_is_an_error_with_exit_code_5() {
    for args in [&["explain"][..], &["diagnose", "--from", &bundle("healthy"), "-o", "jsonl"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let out = staledp(args).stdout(full).stderr(Stdio::piped()).output().expect("the program runs");
        assert_eq!(out.status.code(), Some(5), "{args:?} {}", stderr(&out));
        assert!(stderr(&out).starts_with("error: cannot write to standard output"), "{}", stderr(&out));
    }
}

#[test]
fn report_larger_than_a_pipe_arrives_whole_at_a_slow_reader() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = run(&["diagnose", "--from", &bundle("stale-datapath"), "-o", "json"]).stdout;
    let mut report: Value = serde_json::from_slice(&one).expect("JSON");
    let node = report["nodes"][0].clone();
    let nodes: Vec<Value> = (0..60)
        .map(|i| {
            let mut node = node.clone();
            node["node"] = format!("node-{i:03}").into();
            node
        })
        .collect();
    report["nodes"] = nodes.into();
    let path = folder.path().join("many.json");
    fs::write(&path, report.to_string()).expect("a file");
    let mut child = staledp(&["merge", &path.display().to_string(), "-o", "jsonl"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(child.try_wait().expect("a child").is_none(), "more than a pipe holds waits for its reader");
    let out = child.wait_with_output().expect("the program ends");
    let text = String::from_utf8(out.stdout).expect("text");
    assert_eq!((text.lines().count(), out.status.code()), (61, Some(3)), "many stale nodes have a common cause");
    assert!(text.len() > 64 << 10, "{} bytes", text.len());
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[test]
fn version_is_text_or_json() {
    let (text, json) = (run(&["version"]), run(&["version", "-o", "json"]));
    let version = env!("CARGO_PKG_VERSION");
    assert!(String::from_utf8_lossy(&text.stdout).starts_with(&format!("staledp {version}\n")));
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!((&json["name"], &json["version"]), (&"staledp".into(), &version.into()));
}

#[test]
fn errors_name_what_failed_why_and_what_to_do_next() {
    let empty = tempfile::tempdir().expect("a folder");
    let broken = tempfile::tempdir().expect("a folder");
    fs::write(broken.path().join("bundle.json"), "{").expect("a file");
    let (empty, broken) = (empty.path().display().to_string(), broken.path().display().to_string());
    for (args, code, expected) in [
        (
            vec!["diagnose", "--all-nodes"],
            5,
            vec![
                "error: no kubeconfig found at ~/.kube/config, and not running in a cluster\n",
                "hint: set KUBECONFIG or --kubeconfig\n",
            ],
        ),
        (vec!["diagnose", "--from", &empty], 5, vec!["is not a bundle: bundle.json not found"]),
        (vec!["diagnose", "--from", &broken], 5, vec!["bundle.json is not valid JSON: "]),
        (vec!["diagnose", "--from", "/nowhere"], 5, vec!["cannot read the bundle /nowhere"]),
        (vec!["explain", "stale-datapth"], 2, vec!["stale-datapath"]),
        (vec!["merge", "/nowhere"], 5, vec!["cannot read the report /nowhere: No such file"]),
        (vec!["diagnose", "--timeout", "0s"], 2, vec!["a duration must be above 0 and at most 24h"]),
        (vec!["diagnose", "--timeout", "soon"], 2, vec!["not a duration", "30s", "2m"]),
        (vec!["fix"], 2, vec!["--node"]),
    ] {
        let out = run(&args);
        assert_eq!(out.status.code(), Some(code), "{args:?} {}", stderr(&out));
        for words in expected {
            assert!(stderr(&out).contains(words), "{args:?}: {words:?} is not in:\n{}", stderr(&out));
        }
        assert!(out.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn help_of_every_command_ends_with_examples_and_exit_codes() {
    let help = |command: &str| String::from_utf8(run(&[command, "--help"]).stdout).expect("text");
    let commands = [
        "diagnose",
        "capture",
        "fix",
        "watch",
        "gate",
        "symptoms",
        "diff",
        "report",
        "risk",
        "merge",
        "explain",
        "rbac",
        "manifests",
        "completions",
        "man",
        "schema",
        "config",
        "version",
    ];
    for command in commands {
        let text = help(command);
        let (_, after) = text.split_once("Examples:\n").unwrap_or_else(|| panic!("{command} has no examples:\n{text}"));
        let examples = after.lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>();
        assert!((2..=4).contains(&examples.len()), "{command}: {examples:?}");
        let named = format!("staledp {command}");
        assert!(examples.iter().all(|line| line.contains(&named)), "{command}: {examples:?}");
        assert!(after.contains("Exit codes:\n  0    "), "{command}:\n{after}");
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{command}: {line}");
        }
    }
}

#[test]
fn every_line_of_a_risk_is_explained() {
    let out = run(&["risk", "--from", &bundle("stale-datapath"), "-o", "json"]);
    assert_eq!(out.status.code(), Some(3), "{}", stderr(&out));
    let report: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(report["schema"], "staledp.risk/v1");
    let lines = report["nodes"][0]["lines"].as_array().expect("lines");
    assert!(lines.len() > 10, "{lines:#?}");
    for line in lines {
        let id = line["id"].as_str().expect("an id");
        let explained = run(&["explain", id]);
        assert_eq!(explained.status.code(), Some(0), "{id}");
        assert!(String::from_utf8_lossy(&explained.stdout).starts_with(&format!("{id}: ")), "{id}");
        assert!(["passed", "raised", "not-looked-at"].contains(&line["result"].as_str().expect("a result")), "{line}");
        assert!(line["result"] != "passed" || line["level"] == "low", "{line}");
    }
}

#[test]
fn risk_of_a_bundle_with_less_evidence_is_never_lower() {
    let rank = |level: &Value| ["low", "medium", "high"].iter().position(|name| level == name).expect("a level");
    let levels = |from: &str| {
        let out = run(&["risk", "--from", from, "--node", "prusik", "-o", "json"]);
        let report: Value = serde_json::from_slice(&out.stdout).expect("JSON");
        let lines = report["nodes"][0]["lines"].as_array().expect("lines").clone();
        lines.iter().map(|line| (line["id"].clone(), rank(&line["level"]))).collect::<Vec<_>>()
    };
    let whole = bundle("2026-06-06-prusik");
    let before = levels(&whole);
    let nodes = Path::new(&whole).join("nodes/prusik");
    let mut tried = 0;
    for entry in fs::read_dir(&nodes).expect("evidence") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let Some(evidence) = name.strip_suffix(".json") else { continue };
        let less = tempfile::tempdir().expect("a folder");
        copy(Path::new(&whole), less.path());
        for file in ["json", "out", "out.gz"] {
            let _ = fs::remove_file(less.path().join(format!("nodes/prusik/{evidence}.{file}")));
        }
        let after = levels(&less.path().display().to_string());
        for ((id, was), (_, is)) in before.iter().zip(&after) {
            assert!(is >= was, "without {evidence} {id} fell");
        }
        tried += 1;
    }
    assert!(tried >= 5, "{tried} pieces of evidence");
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            fs::create_dir_all(&target).expect("a folder");
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a file");
        }
    }
}

#[test]
fn report_names_nothing_that_the_redacted_archive_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("issue.tar.gz").display().to_string();
    let out = run(&["report", "prusik", "--from", &bundle("2026-06-06-prusik"), "--to", &to]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let issue = String::from_utf8(out.stdout).expect("text");
    assert!(issue.starts_with("# stale-datapath on a node (Cilium 1.19.4)\n"), "{issue}");
    for section in ["## Versions", "## Configuration that matters", "## Checks", "## Timeline", "## The broken thing"] {
        assert!(issue.contains(section), "{section}");
    }
    for secret in ["prusik", "grigri", "swmbt", "frontend", "orders", "10.42."] {
        assert!(!issue.contains(secret), "{secret}:\n{issue}");
    }
    let again = run(&["diagnose", "--from", &to, "-o", "json"]);
    let judged: Value = serde_json::from_slice(&again.stdout).expect("JSON");
    assert_eq!(judged["nodes"][0]["verdict"]["code"], "stale-datapath");
    let names: Vec<_> =
        fs::read_dir(folder.path()).expect("the folder").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(names, ["issue.tar.gz"], "nothing else is left behind");
}

#[test]
fn report_of_a_healthy_node_says_that_it_shows_no_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("issue.tar.gz").display().to_string();
    let out = run(&["report", "graz", "--from", &bundle("healthy"), "--to", &to]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let issue = String::from_utf8(out.stdout).expect("text");
    assert!(issue.contains("None: this node is healthy") && !issue.contains("flows die"), "{issue}");
}

#[test]
fn report_needs_one_node_and_a_name_that_is_an_archive() {
    let (stale, healthy) = (bundle("stale-datapath"), bundle("healthy"));
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("issue").display().to_string();
    for (args, words) in [
        (vec!["report", "--from", &stale], "a report is about one node: name it"),
        (vec!["report", "--from", &healthy, "--to", &to], "its name does not end with .tar.gz"),
        (vec!["report"], "NODE"),
        (vec!["report", "prusik", "--from", &healthy, "-o", "json"], "report has no json output"),
    ] {
        let out = run(&args);
        assert_eq!(out.status.code(), Some(2), "{args:?} {}", stderr(&out));
        assert!(stderr(&out).contains(words), "{args:?}: {}", stderr(&out));
    }
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0, "nothing is left behind");
}

#[test]
fn readme_lists_the_exit_codes_and_their_meanings() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md");
    let rows: Vec<String> = Exit::ALL.iter().map(|exit| format!("| {} | {} |", exit.code(), exit.meaning())).collect();
    assert!(readme.contains(&rows.join("\n")), "README.md lacks:\n{}", rows.join("\n"));
}
