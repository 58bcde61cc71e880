//! What a moment can fake is looked at twice, and one node alone is held against a neighbour.

use std::time::Duration;

use serde_json::Value;

use crate::support::api::{ApiServer, Logged};
use crate::support::run::{Outcome, Running, staledp};
use crate::support::scenes::{Health, Scene, line};
use crate::support::world::{ExecReply, Pods, World};

/// A wait that only a broken program outlasts.
const LONG: Duration = Duration::from_secs(60);
/// The agent's service table.
const SERVICES: [&str; 3] = ["cilium-dbg", "service", "list"];
/// The header of the service table.
const HEADER: &str = "ID   Frontend             Service Type   Backend\n";

fn diagnose(api: &ApiServer, args: &[&str]) -> Running {
    let kubeconfig = api.kubeconfig();
    let path = kubeconfig.path();
    let mut all = vec!["diagnose", "--kubeconfig", &path, "--no-ssh", "-o", "json", "--node", "prusik"];
    all.extend(args);
    let running = staledp(all).deadline(Duration::from_secs(120)).start();
    // The kubeconfig is read at the start; it has to be there until then.
    api.wait_until(LONG, |requests| !requests.is_empty());
    running
}

fn execs_of(requests: &[Logged], argv: &[&str]) -> usize {
    let of = |logged: &&Logged| logged.exec.as_ref().is_some_and(|call| call.argv.ends_with(&owned(argv)));
    requests.iter().filter(of).count()
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The node's service table with the first backend of cluster DNS only.
fn half_a_table(scene: &Scene) -> (String, String) {
    let whole = std::fs::read_to_string(scene.path().join("nodes/prusik/service-list.out")).expect("the table");
    let mut half = String::new();
    for line in whole.lines().filter(|line| !line.trim_start().starts_with("2 =>")) {
        half.push_str(line);
        half.push('\n');
    }
    assert!(half.len() < whole.len() && half.contains("1 =>"), "a backend is gone:\n{whole}");
    (whole, half)
}

fn ruled_out<'a>(node: &'a Value, code: &str) -> &'a str {
    let all = node["verdict"]["ruled_out"].as_array().expect("a list");
    let found = all.iter().find(|entry| entry["code"] == code);
    found.and_then(|entry| entry["says"].as_str()).unwrap_or_else(|| panic!("{code} is not ruled out: {node:#}"))
}

fn open<'a>(node: &'a Value, code: &str) -> &'a str {
    let all = node["verdict"]["open"].as_array().expect("a list");
    let found = all.iter().find(|entry| entry["code"] == code);
    found.and_then(|entry| entry["says"].as_str()).unwrap_or_else(|| panic!("{code} is not open: {node:#}"))
}

fn finished(running: Running) -> (Value, Outcome) {
    let outcome = running.wait();
    let node = outcome.report().node("prusik").clone();
    (node, outcome)
}

#[test]
fn a_service_table_that_catches_up_while_it_is_looked_at_is_not_stale() {
    let scene = Scene::healthy();
    let (whole, half) = half_a_table(&scene);
    let mut world = scene.world();
    world.on_exec(Pods::agent("prusik"), &SERVICES, ExecReply::prints(half.as_str()));
    world.on_exec_again(Pods::agent("prusik"), &SERVICES, ExecReply::prints(whole.as_str()));
    let api = ApiServer::start(world);
    let running = diagnose(&api, &[]);
    let (node, outcome) = finished(running);
    assert_eq!(node["verdict"]["code"], "healthy", "{node:#}");
    outcome.exits(0);
    assert_eq!(execs_of(&api.requests(), &SERVICES[1..]), 2, "looked at twice, and not more");
}

#[test]
fn a_service_table_that_stays_behind_is_stale() {
    let scene = Scene::healthy();
    let (_, half) = half_a_table(&scene);
    let mut world = scene.world();
    world.on_exec(Pods::agent("prusik"), &SERVICES, ExecReply::prints(half.as_str()));
    let api = ApiServer::start(world);
    let (node, _) = finished(diagnose(&api, &[]));
    assert_eq!(node["verdict"]["code"], "stale-service-map", "{node:#}");
    assert_eq!(execs_of(&api.requests(), &SERVICES[1..]), 2);
}

#[test]
fn a_table_without_any_row_proves_nothing() {
    let mut world = Scene::healthy().world();
    world.on_exec(Pods::agent("prusik"), &SERVICES, ExecReply::prints(HEADER));
    let (node, _) = finished(diagnose(&ApiServer::start(world), &[]));
    assert_eq!(node["verdict"]["kind"], "inconclusive", "{node:#}");
}

fn two_nodes(neighbour: Health) -> World {
    Scene::new(&[("prusik", Health::Stale), ("brno", neighbour)]).world()
}

#[test]
fn a_stale_node_is_held_against_a_healthy_neighbour_by_one_exec() {
    let api = ApiServer::start(two_nodes(Health::Fine));
    let (node, _) = finished(diagnose(&api, &[]));
    assert_eq!(node["verdict"]["code"], "stale-datapath", "{node:#}");
    assert!(ruled_out(&node, "cluster-wide-outage").contains("brno"), "{node:#}");
    assert_eq!(api.execs_on("brno").len(), 1, "the dump and nothing else");
}

#[test]
fn the_same_failure_next_door_is_no_single_nodes() {
    let api = ApiServer::start(two_nodes(Health::Stale));
    let (node, outcome) = finished(diagnose(&api, &[]));
    assert_eq!(node["verdict"]["code"], "cluster-wide-outage", "{node:#}");
    assert_eq!(node["remediation"], Value::Null);
    outcome.exits(3);
}

#[test]
fn without_comparison_no_neighbour_is_asked_and_the_confidence_shows_it() {
    let api = ApiServer::start(two_nodes(Health::Stale));
    let (node, _) = finished(diagnose(&api, &["--compare", "never"]));
    assert_eq!(node["verdict"]["code"], "stale-datapath", "{node:#}");
    assert_ne!(node["verdict"]["confidence"], "high");
    assert!(open(&node, "cluster-wide-outage").contains("--compare never"), "{node:#}");
    assert!(api.execs_on("brno").is_empty());
}

/// A healthy bundle whose probe by address failed, with the probe's own connection in the dump, last answered then.
fn failed_probe_with_its_flow(last_answer: u32, last_packet: u32) -> Value {
    let scene = Scene::healthy();
    let node = scene.path().join("nodes/prusik");
    let about = std::fs::read_to_string(node.join("pod-egress-address.json")).expect("the probe");
    let failed = about
        .replace("\"exit_code\": 0", "\"exit_code\": 1")
        .replace("\"stderr\": \"\"", "\"stderr\": \"wget: download timed out\"");
    assert_ne!(about, failed);
    std::fs::write(node.join("pod-egress-address.json"), failed).expect("the probe is written");
    let mut dump = std::fs::read_to_string(node.join("ct-list.out")).expect("the dump");
    // What else goes there would blur whose flow it is.
    dump = dump.split_inclusive('\n').filter(|line| !line.contains("-> 1.1.1.1:")).collect();
    let flags = if last_answer == 0 { (0, 0x02) } else { (0x12, 0x1a) };
    let pod = std::fs::read_to_string(scene.path().join("kube/pods.json")).expect("the pods");
    let pods: Value = serde_json::from_str(&pod).expect("JSON");
    let web = pods["items"].as_array().into_iter().flatten().find(|pod| pod["metadata"]["name"] == "web-1");
    let ip = web.and_then(|pod| pod["status"]["podIP"].as_str()).expect("its address").to_owned();
    dump.push_str(&line(
        &format!("TCP OUT {ip}:41234 -> 1.1.1.1:80"),
        last_packet + 60,
        (flags.0, last_answer),
        (flags.1, last_packet),
        "Flags=0x0010 [ SeenNonSyn ] RevNAT=0 SourceSecurityID=35631",
    ));
    std::fs::write(node.join("ct-list.out"), dump).expect("the dump is written");
    let path = scene.path().display().to_string();
    let outcome = staledp(["diagnose", "-o", "json", "--from", &path]).run();
    outcome.report().node("prusik").clone()
}

#[test]
fn the_probes_own_flow_says_whether_its_packets_were_answered() {
    let notes = |node: &Value| node["notes"].to_string();
    let answered = failed_probe_with_its_flow(813_455, 813_455);
    assert!(notes(&answered).contains("shows its connection answered"), "{answered:#}");
    let before = failed_probe_with_its_flow(813_400, 813_400);
    assert!(!notes(&before).contains("shows its connection answered"), "an answer of before the probe: {before:#}");
    for node in [answered, before, failed_probe_with_its_flow(0, 813_445)] {
        assert_ne!(node["verdict"]["kind"], "stale", "{node:#}");
    }
}
