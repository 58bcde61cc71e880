//! What a moment can fake is looked at twice, and one node alone is held against a neighbour.

use std::time::Duration;

use serde_json::Value;

use crate::support::api::{ApiServer, Logged};
use crate::support::run::{Outcome, Running, staledp};
use crate::support::scenes::{Health, Scene};
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
    let api = ApiServer::start(world);
    let running = diagnose(&api, &[]);
    // The kernel's table is read next, so the agent's has been read by then.
    api.wait_until(LONG, |requests| execs_of(requests, &["bpf", "lb", "list"]) > 0);
    api.change(|world| {
        world.on_exec(Pods::agent("prusik"), &SERVICES, ExecReply::prints(whole.as_str()));
    });
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
    assert!(ruled_out(&node, "cluster-wide-outage").starts_with("not looked at"), "{node:#}");
    assert!(api.execs_on("brno").is_empty());
}
