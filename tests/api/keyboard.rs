//! The habits of kubectl, against a cluster: where the cluster is named, and as whom it is asked.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::fix::stale;
use crate::support::api::ApiServer;
use crate::support::run::{Outcome, staledp};
use crate::support::scenes::Scene;

/// A diagnosis of prusik, all of whose arguments are given.
fn run(args: &[&str]) -> Outcome {
    staledp(args).run()
}

#[test]
fn connection_options_may_stand_before_the_command() {
    let api = ApiServer::start(Scene::healthy().world());
    let kubeconfig = api.kubeconfig_with(&["other", "grigri"]);
    let path = kubeconfig.path();
    let report = run(&[
        "--kubeconfig",
        &path,
        "--context",
        "grigri",
        "--as",
        "alice",
        "--as-uid",
        "7",
        "diagnose",
        "--no-ssh",
        "prusik",
        "-o",
        "json",
    ])
    .exits(0)
    .report();
    assert_eq!((report.code("prusik"), &report.0["source"]["context"]), ("healthy", &"grigri".into()));
    for request in api.requests() {
        assert_eq!(request.headers.get("impersonate-user").map(String::as_str), Some("alice"), "{}", request.path);
        assert_eq!(request.headers.get("impersonate-uid").map(String::as_str), Some("7"), "{}", request.path);
    }
    run(&["--as-uid", "7", "diagnose", "--kubeconfig", &path, "prusik"]).exits(2);
}

#[test]
fn server_and_token_replace_those_of_the_kubeconfig_and_the_token_is_kept_nowhere() {
    let api = ApiServer::start(Scene::stale().world());
    let folder = tempfile::tempdir().expect("a folder");
    let server = format!("http://{}", api.address());
    let kept = folder.path().join("kept").display().to_string();
    // No kubeconfig at all: these two are enough, as for kubectl.
    let args = ["--server", &server, "--token", "hunter2hunter2", "diagnose", "prusik", "--no-ssh", "--save", &kept];
    let outcome = run(&[&args[..], &["-vv"]].concat()).exits(1);
    for request in api.requests() {
        let login = request.headers.get("authorization").map(String::as_str);
        assert_eq!(login, Some("Bearer hunter2hunter2"), "{}", request.path);
    }
    // The context of another cluster must not stand in commands.
    assert!(outcome.stdout.contains("The evidence names no context") && !outcome.stdout.contains("--context="));
    assert!(!outcome.stdout.contains("hunter2") && !outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
    let described = fs::read_to_string(format!("{kept}/bundle.json")).expect("bundle.json");
    assert!(described.contains("--token") && !described.contains("hunter2"), "{described}");
}

#[test]
fn server_of_its_own_is_not_the_contexts_and_commands_do_not_name_that() {
    let (right, wrong) = (ApiServer::start(Scene::stale().world()), ApiServer::start(Scene::healthy().world()));
    let kubeconfig = wrong.kubeconfig();
    let server = format!("http://{}", right.address());
    let args =
        ["diagnose", "prusik", "--no-ssh", "--kubeconfig", &kubeconfig.path(), "--server", &server, "-o", "json"];
    let report = run(&args).exits(1).report();
    assert!(report.0["source"]["context"].is_null(), "{}", report.0["source"]);
    assert!(wrong.requests().is_empty());
    let commands = report.node("prusik")["remediation"].to_string();
    assert!(commands.contains("kubectl delete pod") && !commands.contains("--context"), "{commands}");
}

#[test]
fn unknown_cluster_or_user_is_an_error_that_names_those_there_are() {
    let api = ApiServer::start(Scene::healthy().world());
    let kubeconfig = api.kubeconfig();
    for (option, what) in [("--cluster", "cluster"), ("--user", "user")] {
        let outcome = run(&["diagnose", "prusik", "--kubeconfig", &kubeconfig.path(), option, "nowhere"]).exits(5);
        assert!(outcome.stderr.contains(&format!("the kubeconfig has no {what} 'nowhere'")), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("choose one of: test"), "{}", outcome.stderr);
    }
    let named = ["diagnose", "prusik", "--no-ssh", "--kubeconfig", &kubeconfig.path(), "--cluster", "test"];
    run(&[&named[..], &["--user", "test"]].concat()).exits(0);
}

#[test]
fn names_of_nodes_that_are_not_healthy_go_through_xargs_to_fix() {
    let api = ApiServer::start(Scene::stale().world());
    let kubeconfig = api.kubeconfig();
    let script = r#""$1" diagnose --all-nodes --no-ssh --kubeconfig "$2" -o name | tee /dev/stderr |
        xargs "$1" fix --dry-run --no-ssh --kubeconfig "$2""#;
    let out = Command::new("timeout")
        .args(["120", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_staledp"), &kubeconfig.path()])
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("node/prusik\n"), "{said}");
    // This world has no DaemonSet, so the preflight stops the run; it has understood the name.
    assert!(said.contains("prusik: stopped by the preflight"), "{said}");
    // What xargs makes of any exit code from 1 to 125.
    assert_eq!(out.status.code(), Some(123), "{said}");
}

#[test]
fn several_contexts_are_one_report_whose_nodes_name_theirs() {
    let (stale, healthy) = (ApiServer::start(Scene::stale().world()), ApiServer::start(Scene::healthy().world()));
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("config");
    let named = |name: &str, key: &str, value: Value| json!({"name": name, key: value});
    let server = |api: &ApiServer| json!({"server": format!("http://{}", api.address())});
    let context = |cluster: &str| json!({"cluster": cluster});
    let config = json!({
        "clusters": [
            named("a", "cluster", server(&stale)),
            named("b", "cluster", server(&healthy)),
            named("c", "cluster", json!({"server": "http://127.0.0.1:9"})),
        ],
        "contexts": [
            named("east", "context", context("a")), named("west", "context", context("b")), named("gone", "context", context("c")),
        ],
    });
    fs::write(&kubeconfig, config.to_string()).expect("a file");
    let path = kubeconfig.display().to_string();
    let args = ["diagnose", "--all-nodes", "--no-ssh", "--kubeconfig", &path, "--context", "east", "--context", "west"];
    let report = run(&[&args[..], &["-o", "json"]].concat()).exits(1).report().0;
    assert_eq!((&report["summary"]["nodes"], &report["source"]["context"]), (&4.into(), &Value::Null));
    let first = &report["nodes"][0];
    assert_eq!((&first["context"], &first["node"]), (&"east".into(), &"prusik".into()));
    assert!(first["remediation"]["fix"][0].as_str().is_some_and(|fix| fix.contains("--context=east")), "{first:#}");
    let shown = run(&args).exits(1).stdout;
    assert!(shown.contains("2 contexts · 4 nodes") && shown.contains("CONTEXT  NODE"), "{shown}");
    assert!(!shown.contains("names no context"), "{shown}");
    // The lines of a fleet are read back as the whole is.
    let lines = run(&[&args[..], &["-o", "jsonl"]].concat()).exits(1).stdout;
    fs::write(folder.path().join("lines"), lines).expect("a file");
    let again = run(&["merge", &folder.path().join("lines").display().to_string(), "-o", "json"]).exits(1).report().0;
    assert_eq!((&again["summary"], &again["nodes"][0]["context"]), (&report["summary"], &"east".into()));
    // A cluster that cannot be reached makes the report partial, and is named.
    let partial = run(&[
        "--context",
        "gone",
        "diagnose",
        "--all-nodes",
        "--no-ssh",
        "--kubeconfig",
        &path,
        "--context",
        "west",
        "--context",
        "gone",
        "-o",
        "json",
    ]);
    let partial = partial.exits(4).report().0;
    assert!(partial["partial_reason"].as_str().is_some_and(|why| why.contains("gone: ")), "{partial:#}");
    run(&["fix", "prusik", "--kubeconfig", &path, "--context", "east", "--context", "west"]).exits(2);
}

#[test]
fn fix_without_header_rows_prints_otherwise_the_same() {
    let shown = |more: &[&str]| {
        let api = ApiServer::start(stale());
        let kubeconfig = api.kubeconfig();
        let path = kubeconfig.path();
        let args = ["fix", "prusik", "--yes", "--no-ssh", "--kubeconfig", &path];
        let outcome = staledp([&args[..], more].concat()).deadline(Duration::from_secs(120)).run();
        outcome.exits(0).stdout
    };
    // Figures and times of two runs differ; what the lines are about does not.
    let is_header = |line: &&str| line.starts_with("CHECK  ");
    let about = |line: &str| line.trim_start().split("  ").next().unwrap_or_default().to_owned();
    let (with, without) = (shown(&[]), shown(&["--no-headers"]));
    assert_eq!(with.lines().filter(is_header).count(), 1, "{with}");
    assert!(!without.lines().any(|line| is_header(&line)), "{without}");
    for row in ["host-ping", "pod-egress", "name lookup"] {
        let is_there = |text: &str| text.lines().any(|line| about(line) == row);
        assert!(is_there(&with) && is_there(&without), "{row}\n{with}\n{without}");
    }
}
