//! `staledp risk` and `staledp report` against a live cluster: what only it can answer, and nothing is written.

use serde_json::Value;

use crate::support::api::ApiServer;
use crate::support::packing::pack;
use crate::support::run::{Outcome, staledp};
use crate::support::scenes::{Scene, revision};
use crate::support::world::{ExecReply, Fault, FaultKind, Pods, World};

/// prusik, healthy, with an agent that belongs to a DaemonSet and needs no pull.
fn world() -> World {
    let mut world = Scene::healthy().world();
    let pod = world.pod_mut("kube-system/cilium-swmbt");
    pod["metadata"]["labels"]["controller-revision-hash"] = "964b8f5b5".into();
    for container in pod["spec"]["containers"].as_array_mut().expect("containers") {
        container["imagePullPolicy"] = "IfNotPresent".into();
    }
    world.revisions.push(revision("964b8f5b5", 1));
    world
}

fn risk(world: World) -> (ApiServer, Outcome) {
    let api = ApiServer::start(world);
    let path = api.kubeconfig();
    let path = path.path();
    let outcome = staledp(["risk", "--kubeconfig", &path, "--no-ssh", "-o", "json", "--node", "prusik"]).run();
    (api, outcome)
}

#[track_caller]
fn line(outcome: &Outcome, id: &str) -> (String, String) {
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("JSON: {}", outcome.stderr));
    let lines = report["nodes"][0]["lines"].as_array().expect("lines");
    let line = lines.iter().find(|line| line["id"] == id).unwrap_or_else(|| panic!("no {id}: {report:#}"));
    (line["result"].as_str().expect("a result").to_owned(), line["says"].as_str().expect("a sentence").to_owned())
}

#[test]
fn facts_of_the_live_node_are_read_in_the_one_pack_and_nothing_is_written() {
    let mut world = world();
    let agent = || Pods::agent("prusik");
    world.on_exec(agent(), &["ls", "/sys/kernel/btf/vmlinux"], ExecReply::prints("/sys/kernel/btf/vmlinux\n"));
    let config = "/tmp/cilium/config-map/enable-ipv4:true\n/tmp/cilium/config-map/policy-cidr-match-mode:pods\n";
    world.on_exec(agent(), &["grep", "-s"], ExecReply::prints(config));
    let (api, outcome) = risk(world);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert_eq!(line(&outcome, "kernel-btf").0, "passed");
    assert_eq!(line(&outcome, "agent-revision").0, "passed");
    assert_eq!(line(&outcome, "agent-image").0, "passed");
    let packs = api.execs_on("prusik").iter().filter(|call| pack(&call.argv).is_some()).count();
    assert_eq!(packs, 1);
    let writes = api.requests().into_iter().filter(|request| !matches!(request.method.as_str(), "GET" | "HEAD"));
    assert_eq!(writes.map(|request| request.path).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn pending_revision_and_a_pull_are_raised() {
    let mut world = world();
    world.revisions.push(revision("newer", 2));
    world.pod_mut("kube-system/cilium-swmbt")["spec"]["containers"][0]["imagePullPolicy"] = "Always".into();
    let (_api, outcome) = risk(world);
    assert_eq!(line(&outcome, "agent-revision").0, "raised");
    assert_eq!(line(&outcome, "agent-image").0, "raised");
}

#[test]
fn revision_that_may_not_be_read_is_not_looked_at() {
    let mut world = world();
    world.fault(Fault::new("*/controllerrevisions", FaultKind::Forbidden("alice".into())));
    let (_api, outcome) = risk(world);
    assert_eq!(line(&outcome, "agent-revision").0, "not-looked-at");
}

#[test]
fn saved_look_has_the_same_risk() {
    let folder = tempfile::tempdir().expect("a folder");
    let bundle = folder.path().join("kept").display().to_string();
    let api = ApiServer::start(world());
    let path = api.kubeconfig();
    let path = path.path();
    let args = ["risk", "--kubeconfig", &path, "--no-ssh", "-o", "json", "--node", "prusik", "--save", &bundle];
    let live = staledp(args).run();
    let again = staledp(["risk", "--from", &bundle, "-o", "json"]).run();
    let lines = |outcome: &Outcome| {
        let report: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        report["nodes"][0]["lines"].clone()
    };
    assert_eq!((lines(&live), live.code), (lines(&again), again.code));
}

#[test]
fn report_of_a_live_node_saves_a_redacted_archive_and_prints_the_issue() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("issue.tar.gz").display().to_string();
    let api = ApiServer::start(Scene::stale().world());
    let path = api.kubeconfig();
    let path = path.path();
    let outcome = staledp(["report", "prusik", "--kubeconfig", &path, "--no-ssh", "--to", &to]).run().exits(0);
    assert!(outcome.stdout.starts_with("# stale-datapath on a node"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("prusik") && !outcome.stdout.contains("swmbt"), "{}", outcome.stdout);
    let again = staledp(["diagnose", "--from", &to, "-o", "json"]).run().exits(1);
    let judged: Value = serde_json::from_str(&again.stdout).expect("JSON");
    assert_eq!(judged["nodes"][0]["verdict"]["code"], "stale-datapath");
}
