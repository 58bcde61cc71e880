//! The command line from outside: readers that stall or go away, signals, exit codes, help and errors.

#[path = "support/pipe.rs"]
mod pipe;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use pipe::{end, full_pipe, send, wait_until_it_handles_signals};
use serde_json::Value;
use staledp::base::exit::Exit;

/// How soon a command has to end after the first signal.
const SOON: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

fn bundle(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).join("bundle").display().to_string()
}

fn staledp(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_staledp"));
    command.args(args).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    staledp(args).output().expect("the program runs")
}

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
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["diff", &stale, &healthy],
        vec!["diff", &stale, &healthy, "-o", "json"],
        vec!["merge", report],
        vec!["merge", report, "-o", "jsonl"],
        vec!["explain"],
        vec!["rbac", "fix"],
        vec!["manifests", "watch"],
        vec!["completions", "bash"],
        vec!["man"],
        vec!["version"],
    ];
    for format in ["table", "json", "jsonl", "yaml"] {
        commands.push(vec!["diagnose", "--from", &stale, "-o", format]);
        commands.push(vec!["symptoms", "--from", &stale, "-o", format]);
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
            for args in some {
                for signal in ["INT", "TERM"] {
                    scope.spawn(move || signal_ends_stalled(args, signal));
                }
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
        assert_eq!(stderr(&closed), "", "{args:?}");
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
    assert_eq!(String::from_utf8_lossy(&text.stdout), format!("staledp {version}\n"));
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
    for command in [
        "diagnose",
        "capture",
        "fix",
        "watch",
        "symptoms",
        "diff",
        "merge",
        "explain",
        "rbac",
        "manifests",
        "completions",
        "man",
        "version",
    ] {
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
fn readme_lists_the_exit_codes_and_their_meanings() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md");
    let rows: Vec<String> = Exit::ALL.iter().map(|exit| format!("| {} | {} |", exit.code(), exit.meaning())).collect();
    assert!(readme.contains(&rows.join("\n")), "README.md lacks:\n{}", rows.join("\n"));
}
