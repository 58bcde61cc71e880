//! The program against a real cluster: the one that `STALEDP_TEST_KUBECONFIG` names. Without it every test here says
//! loudly that it is skipped.
//!
//! The tests read, and `watch` sets its condition and removes it again. `fix` restarts a Cilium pod, so it is only tried
//! on the node that `STALEDP_TEST_FIX_NODE` names. Needs `kubectl` for what is checked by the API server itself.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

const CONDITION: &str = "staledp.dev/TestDatapathHealthy";
const NAMESPACE: &str = "default";

/// Tests that write take turns: they share one Lease.
static WRITES: Mutex<()> = Mutex::new(());

/// A real cluster; none where none is named, which is said on the real standard error, past the test's own.
fn cluster(test: &str) -> Option<String> {
    let named = std::env::var("STALEDP_TEST_KUBECONFIG").ok().filter(|path| !path.is_empty());
    if named.is_none() {
        let says = format!("SKIPPED: {test}: no real cluster, for STALEDP_TEST_KUBECONFIG is not set\n");
        let _ = std::io::stderr().write_all(says.as_bytes());
    }
    named
}

fn staledp(kubeconfig: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_staledp"));
    command.args(args).args(["--kubeconfig", kubeconfig]);
    command.output().expect("it runs")
}

fn kubectl(kubeconfig: &str, args: &[&str], input: &str) -> Output {
    let mut child = Command::new("kubectl")
        .args(["--kubeconfig", kubeconfig])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl is installed");
    child.stdin.take().expect("stdin").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}\n{}", text(&output.stdout), text(&output.stderr)))
}

/// What the API server says of an object that is only tried.
fn is_accepted(kubeconfig: &str, yaml: &str) {
    let tried = kubectl(kubeconfig, &["apply", "--dry-run=server", "--validate=strict", "-f", "-"], yaml);
    assert!(tried.status.success(), "{}\n{yaml}", text(&tried.stderr));
}

/// What `manifests` prints for the namespace of these tests.
fn manifest(what: &[&str]) -> String {
    let printed = Command::new(env!("CARGO_BIN_EXE_staledp"))
        .arg("manifests")
        .args(what)
        .args(["--namespace", NAMESPACE, "--api-server", "192.0.2.1:6443"])
        .output()
        .expect("it runs");
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    text(&printed.stdout)
}

fn nodes(kubeconfig: &str) -> Vec<Value> {
    let listed = json(&kubectl(kubeconfig, &["get", "nodes", "-o", "json"], ""));
    listed["items"].as_array().expect("nodes").clone()
}

fn condition(node: &Value) -> Option<&Value> {
    node["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == CONDITION)
}

#[test]
fn diagnose_judges_every_node() {
    let Some(kubeconfig) = cluster("diagnose") else { return };
    let output = staledp(&kubeconfig, &["diagnose", "--all-nodes", "--no-ssh", "-o", "json"]);
    let report = json(&output);
    let (judged, skipped) =
        (report["nodes"].as_array().expect("nodes").len(), report["skipped"].as_array().map_or(0, Vec::len));
    assert_eq!(judged + skipped, nodes(&kubeconfig).len());
    assert!(matches!(output.status.code(), Some(0 | 1 | 3 | 4)), "{:?}", output.status);
}

#[test]
fn printed_rights_and_manifests_are_accepted_by_the_api_server() {
    let Some(kubeconfig) = cluster("rbac and manifests") else { return };
    for command in ["diagnose", "symptoms", "gate", "risk", "fix", "watch"] {
        let printed =
            Command::new(env!("CARGO_BIN_EXE_staledp")).args(["rbac", command, "--namespace", NAMESPACE]).output();
        is_accepted(&kubeconfig, &text(&printed.expect("it runs").stdout));
    }
    for what in ["watch", "cronjob", "job"] {
        is_accepted(&kubeconfig, &manifest(&[what]));
    }
}

#[test]
fn printed_objects_of_other_projects_are_accepted_where_their_definitions_are_installed() {
    let Some(kubeconfig) = cluster("objects of other projects") else { return };
    for (definition, what) in [
        ("prometheusrules.monitoring.coreos.com", &["alerts"][..]),
        ("servicemonitors.monitoring.coreos.com", &["watch", "--service-monitor"]),
        ("nodereadinessrules.readiness.node.x-k8s.io", &["readiness-rule"]),
        ("nodehealthchecks.remediation.medik8s.io", &["medik8s"]),
    ] {
        let installed = kubectl(&kubeconfig, &["get", "customresourcedefinition", definition], "");
        if installed.status.success() {
            is_accepted(&kubeconfig, &manifest(what));
        } else {
            let why = text(&installed.stderr);
            assert!(why.contains("NotFound"), "{definition}: {why}");
            let says = format!("SKIPPED: manifests {}: this cluster has no {definition}\n", what.join(" "));
            let _ = std::io::stderr().write_all(says.as_bytes());
        }
    }
}

#[test]
fn gate_compares_every_node_with_a_report_of_a_moment_ago() {
    let Some(kubeconfig) = cluster("gate") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let before = folder.path().join("before.json").display().to_string();
    let report = staledp(&kubeconfig, &["diagnose", "--all-nodes", "--no-ssh", "-o", "json"]).stdout;
    std::fs::write(&before, report).expect("a file");
    let args =
        ["gate", "--before", &before, "--all-nodes", "--no-ssh", "--settle", "1s", "--wait", "20s", "-o", "json"];
    let output = staledp(&kubeconfig, &args);
    let report = json(&output);
    let judged = report["nodes"].as_array().expect("nodes");
    assert_eq!(judged.len() + report["skipped"].as_array().map_or(0, Vec::len), nodes(&kubeconfig).len());
    assert!(judged.iter().all(|node| node["agent_changed"] != true), "no agent was restarted: {report:#}");
    assert!(matches!(output.status.code(), Some(0 | 1 | 4)), "{:?}", output.status);
}

#[test]
fn watch_sets_its_condition_and_uninstall_removes_it() {
    let Some(kubeconfig) = cluster("watch") else { return };
    let _turn = WRITES.lock();
    let mut watch = Command::new(env!("CARGO_BIN_EXE_staledp"))
        .args(["watch", "--kubeconfig", &kubeconfig, "--no-ssh", "--namespace", NAMESPACE, "--listen", "127.0.0.1:0"])
        .args(["--condition-type", CONDITION, "--every", "60s", "--confirm-after", "20s"])
        .spawn()
        .expect("it starts");
    // What can be judged at all is judged within two looks of a minute each.
    let deadline = Instant::now() + Duration::from_secs(240);
    while Instant::now() < deadline && !nodes(&kubeconfig).iter().any(|node| condition(node).is_some()) {
        std::thread::sleep(Duration::from_secs(2));
    }
    let ended = Command::new("kill").args(["-TERM", &watch.id().to_string()]).status();
    assert!(ended.is_ok_and(|status| status.success()));
    assert_eq!(watch.wait().expect("it ends").code(), Some(130));
    assert!(nodes(&kubeconfig).iter().any(|node| condition(node).is_some()), "no node got a condition");
    for node in nodes(&kubeconfig) {
        if let Some(condition) = condition(&node) {
            assert!(condition["message"].as_str().is_some_and(|message| !message.is_empty()), "{condition}");
        }
    }
    let args =
        ["watch", "--uninstall", "--namespace", NAMESPACE, "--listen", "127.0.0.1:0", "--condition-type", CONDITION];
    let removed = staledp(&kubeconfig, &args);
    assert_eq!(removed.status.code(), Some(0), "{}", text(&removed.stderr));
    assert!(nodes(&kubeconfig).iter().all(|node| condition(node).is_none()), "a condition is left");
}

#[test]
fn fix_tries_the_named_node() {
    let Some(kubeconfig) = cluster("fix") else { return };
    let Ok(node) = std::env::var("STALEDP_TEST_FIX_NODE") else {
        let _ = std::io::stderr()
            .write_all(b"SKIPPED: fix: STALEDP_TEST_FIX_NODE names no node whose Cilium pod may be restarted\n");
        return;
    };
    let _turn = WRITES.lock();
    let tried = staledp(&kubeconfig, &["fix", "--node", &node, "--no-ssh", "--dry-run", "-o", "json"]);
    assert!(matches!(tried.status.code(), Some(0 | 7)), "{}", text(&tried.stderr));
    // A node that is not stale is left alone: that is the answer on a healthy cluster.
    let fixed = staledp(&kubeconfig, &["fix", "--node", &node, "--no-ssh", "--yes", "-o", "json"]);
    assert!(matches!(fixed.status.code(), Some(0 | 7)), "{}", text(&fixed.stderr));
}
