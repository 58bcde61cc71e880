//! `staledp watch` against a cluster that lives: one honest condition on each node, whatever happens to the program, to
//! the API server and to the nodes, and nothing written but what the contract allows.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::fix::granted;
use super::symptoms::{Prometheus, get as prometheus_get};
use crate::support::api::{ApiServer, Kubeconfig, Logged};
use crate::support::run::{Outcome, Run, Running, staledp};
use crate::support::scenes::{Health, Scene};
use crate::support::watches::Watches;
use crate::support::world::{Fault, FaultKind, Kubelet, World};

const CONDITION: &str = "staledp.dev/DatapathHealthy";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/staledp/leases/staledp-watch";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/staledp/events";
const PATIENCE: Duration = Duration::from_secs(100);
const NODES: [&str; 3] = ["prusik", "vienna", "brno"];

fn fine() -> World {
    Scene::new(&NODES.map(|node| (node, Health::Fine))).world()
}

fn watch(kubeconfig: &Kubeconfig, args: &[&str]) -> Run {
    let path = kubeconfig.path();
    let mut all = vec!["watch", "--kubeconfig", &path, "--no-ssh", "--listen", "127.0.0.1:0", "--namespace", "staledp"];
    if !args.contains(&"--every") {
        all.extend(["--every", "4s"]);
    }
    if !args.contains(&"--confirm-after") {
        all.extend(["--confirm-after", "2s"]);
    }
    all.extend(args);
    staledp(all).deadline(Duration::from_secs(240))
}

/// A watch that goes on, and its kubeconfig.
struct Watch {
    running: Running,
    _kubeconfig: Kubeconfig,
}

impl std::ops::Deref for Watch {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

fn start(api: &ApiServer, args: &[&str]) -> Watch {
    let kubeconfig = api.kubeconfig();
    Watch { running: watch(&kubeconfig, args).start(), _kubeconfig: kubeconfig }
}

fn condition(api: &ApiServer, node: &str) -> Option<Value> {
    let mut found = None;
    api.change(|world| {
        let node = world.nodes.iter().find(|other| other["metadata"]["name"] == node).expect("the node");
        let conditions = node["status"]["conditions"].as_array().expect("conditions");
        found = conditions.iter().find(|condition| condition["type"] == CONDITION).cloned();
    });
    found
}

fn status(api: &ApiServer, node: &str) -> Option<String> {
    condition(api, node).map(|condition| condition["status"].as_str().expect("a status").to_owned())
}

/// Waits until it is so; panics with what the program said when that takes too long.
#[track_caller]
fn until(running: &Running, what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it took too long until {what}:\n{}", running.so_far());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[track_caller]
fn until_all_are_true(running: &Running, api: &ApiServer) {
    until(running, "all are True", || NODES.iter().all(|node| status(api, node).as_deref() == Some("True")));
}

fn events(api: &ApiServer) -> Vec<(String, String)> {
    let mut found = Vec::new();
    api.change(|world| found.clone_from(&world.writes.events));
    let text = |event: &Value, key: &str| event[key].as_str().expect("text").to_owned();
    found.iter().map(|event| (text(event, "type"), text(event, "reason"))).collect()
}

fn lease(api: &ApiServer) -> Value {
    let mut found = Value::Null;
    api.change(|world| found = world.writes.leases.first().cloned().unwrap_or_default());
    found
}

fn looks_at(api: &ApiServer, node: &str) -> usize {
    let dump = |call: &&crate::support::exec::ExecCall| {
        call.argv.iter().any(|word| word.contains("ct list global") || word == "ct")
    };
    api.execs_on(node).iter().filter(dump).count()
}

/// Nothing is written but the condition, Events and the Lease.
#[track_caller]
fn only_allowed_writes(api: &ApiServer) {
    for Logged { method, path, body, .. } in api.writes() {
        let is_status = path.starts_with("/api/v1/nodes/") && path.ends_with("/status");
        let allowed = match method.as_str() {
            "PATCH" => is_status,
            "PUT" => path == LEASE,
            "POST" => path == EVENTS,
            _ => false,
        };
        assert!(allowed, "{method} {path} is not allowed");
        if is_status {
            let patch: Value = serde_json::from_slice(&body).expect("JSON");
            let (parts, status) =
                (patch.as_object().expect("an object"), patch["status"].as_object().expect("a status"));
            assert!(parts.keys().all(|key| key == "metadata" || key == "status"), "{patch}");
            assert_eq!((status.len(), &status["conditions"][0]["type"]), (1, &Value::from(CONDITION)), "{patch}");
            assert_eq!(patch["metadata"].as_object().map(serde_json::Map::len), Some(1), "only the UID: {patch}");
        }
    }
}

/// Ends it as Kubernetes does: within a second, and with the Lease released.
#[track_caller]
fn ends_in_good_order(watch: Watch, api: &ApiServer) -> Outcome {
    let begun = Instant::now();
    watch.running.terminate();
    let outcome = watch.running.wait().exits(130);
    assert!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
    assert_eq!(lease(api)["spec"]["holderIdentity"], "", "the Lease is released");
    only_allowed_writes(api);
    assert!(outcome.peak_kib.is_none_or(|kib| kib < 60 << 10), "it took {:?} KiB", outcome.peak_kib);
    outcome
}

fn address(running: &Running) -> SocketAddr {
    running.wait_until_it_says(PATIENCE, "/readyz on 127.0.0.1:");
    let said = running.so_far();
    let at = said.split(" on ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("an address");
    at.parse().unwrap_or_else(|_| panic!("no address: {at}"))
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn condition_turns_false_after_two_convictions_and_true_after_healing() {
    let api = ApiServer::start(Scene::stale().world());
    let running = start(&api, &[]);
    let at = address(&running);
    running.wait_until_it_says(PATIENCE, "prusik: stale-datapath:");
    assert_eq!(condition(&api, "prusik"), None, "one conviction writes nothing");
    until(&running, "prusik is False", || status(&api, "prusik").as_deref() == Some("False"));
    assert!(looks_at(&api, "prusik") >= 2);
    let stale = condition(&api, "prusik").expect("it is there");
    assert_eq!(stale["reason"], "StaleDatapath");
    let message = stale["message"].as_str().expect("a message");
    assert!(message.contains("staledp fix --context=grigri --node prusik"), "{message}");
    assert!(message.contains("kubectl --context=grigri delete pod cilium-swmbt -n kube-system"), "{message}");
    until(&running, "the others are True", || {
        ["vienna", "brno"].iter().all(|n| status(&api, n).as_deref() == Some("True"))
    });
    until(&running, "there is an Event", || !events(&api).is_empty());
    assert_eq!(events(&api), [("Warning".to_owned(), "StaleDatapath".to_owned())]);
    let metrics = get(at, "/metrics");
    assert!(
        metrics.contains("staledp_node_verdict{node=\"prusik\",kind=\"stale\",code=\"stale-datapath\"} 1"),
        "{metrics}"
    );
    assert!(get(at, "/readyz").starts_with("HTTP/1.1 200"));

    api.change(|world| world.execs = fine().execs);
    until_all_are_true(&running, &api);
    until(&running, "there is a second Event", || events(&api).len() > 1);
    // A few more looks: nothing is said twice.
    let before = looks_at(&api, "prusik");
    until(&running, "more looks", || looks_at(&api, "prusik") > before + 1);
    assert_eq!(events(&api)[1..], [("Normal".to_owned(), "Healthy".to_owned())]);
    ends_in_good_order(running, &api);
}

#[test]
fn kill_between_two_convictions_loses_nothing() {
    let api = ApiServer::start(Scene::stale().world());
    // Nothing confirms the first conviction while the first process lives.
    let first = start(&api, &["--every", "600s", "--confirm-after", "25s"]);
    first.wait_until_it_says(PATIENCE, "prusik: stale-datapath:");
    let waits =
        || lease(&api)["metadata"]["annotations"]["staledp.dev/waiting"].to_string().contains("prusik=stale-datapath@");
    until(&first, "the conviction is on the Lease", waits);
    first.kill();
    drop(first.running.wait());
    assert_eq!(condition(&api, "prusik"), None);
    let second = start(&api, &["--every", "600s", "--confirm-after", "25s"]);
    until(&second, "prusik is False", || status(&api, "prusik").as_deref() == Some("False"));
    assert!(!second.so_far().contains("prusik: stale-datapath: "), "one more look was enough:\n{}", second.so_far());
    until(&second, "there is an Event", || !events(&api).is_empty());
    second.kill();
    drop(second.running.wait());
    let third = start(&api, &["--every", "600s"]);
    third.wait_until_it_says(PATIENCE, "this process holds the Lease");
    let before = looks_at(&api, "vienna");
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(looks_at(&api, "vienna"), before, "a node that was judged a moment ago is not looked at again");
    assert_eq!(status(&api, "prusik").as_deref(), Some("False"), "no restart clears it");
    assert!(
        get(address(&third), "/metrics").contains("code=\"stale-datapath\"} 1"),
        "the verdict is read from the node"
    );
    assert_eq!(events(&api).len(), 1);
    ends_in_good_order(third, &api);
}

#[test]
fn node_that_cannot_be_judged_keeps_its_status_and_its_heartbeat_ages() {
    let api = ApiServer::start(fine());
    let running = start(&api, &["--timeout", "5s"]);
    until_all_are_true(&running, &api);
    api.change(|world| {
        world.kubelet("vienna", Kubelet::Frozen);
    });
    // A look may be under way that began before.
    let before = looks_at(&api, "brno");
    until(&running, "two more rounds", || looks_at(&api, "brno") >= before + 2);
    let (frozen, other) = (condition(&api, "vienna"), condition(&api, "brno"));
    let before = looks_at(&api, "brno");
    until(&running, "three more rounds", || looks_at(&api, "brno") >= before + 3);
    assert_eq!(condition(&api, "vienna"), frozen, "nothing changed, the heartbeat neither");
    assert_ne!(condition(&api, "brno"), other, "the others go on");
    for node in NODES {
        assert_eq!(status(&api, node).as_deref(), Some("True"), "{node}");
    }
    assert!(events(&api).is_empty());
    let metrics = get(address(&running), "/metrics");
    assert!(metrics.contains("staledp_nodes{kind=\"inconclusive\"} 1"), "{metrics}");
    ends_in_good_order(running, &api);
}

#[test]
fn first_look_that_says_nothing_writes_no_condition() {
    let mut world = fine();
    world.kubelet("vienna", Kubelet::Dead);
    let api = ApiServer::start(world);
    let running = start(&api, &[]);
    until(&running, "the others are True", || {
        ["prusik", "brno"].iter().all(|n| status(&api, n).as_deref() == Some("True"))
    });
    let before = looks_at(&api, "brno");
    until(&running, "a few looks", || looks_at(&api, "brno") > before + 1);
    assert_eq!(condition(&api, "vienna"), None);
    ends_in_good_order(running, &api);
}

#[test]
fn second_watch_waits_until_the_first_ends() {
    let api = ApiServer::start(fine());
    let first = start(&api, &[]);
    first.wait_until_it_says(PATIENCE, "this process holds the Lease");
    let second = start(&api, &[]);
    second.wait_until_it_says(PATIENCE, "holds the Lease staledp-watch; waiting");
    assert!(get(address(&second), "/readyz").starts_with("HTTP/1.1 503"));
    assert!(get(address(&second), "/healthz").starts_with("HTTP/1.1 200"));
    until_all_are_true(&first, &api);
    assert!(!second.so_far().contains("this process holds"), "{}", second.so_far());
    ends_in_good_order(first, &api);
    second.wait_until_it_says(PATIENCE, "this process holds the Lease");
    ends_in_good_order(second, &api);
}

#[test]
fn api_server_that_is_away_for_a_minute_turns_no_condition() {
    let api = ApiServer::start(fine());
    let running = start(&api, &[]);
    until_all_are_true(&running, &api);
    api.change(|world| {
        world.watches.cut = true;
        world.fault(Fault::new("*", FaultKind::Reset));
    });
    running.wait_until_it_says(PATIENCE, "stopped watching: it could not be renewed for 30s");
    std::thread::sleep(Duration::from_secs(25));
    api.change(|world| {
        world.watches.cut = false;
        world.faults.clear();
    });
    let before = looks_at(&api, "brno");
    until(&running, "it looks again", || looks_at(&api, "brno") > before + 1);
    for node in NODES {
        assert_eq!(status(&api, node).as_deref(), Some("True"), "{node}");
    }
    assert!(events(&api).is_empty(), "{:?}", events(&api));
    ends_in_good_order(running, &api);
}

#[test]
fn lease_that_another_took_stops_the_watch_at_once() {
    let api = ApiServer::start(fine());
    let running = start(&api, &[]);
    until_all_are_true(&running, &api);
    api.change(|world| {
        let lease = &mut world.writes.leases[0];
        lease["spec"]["holderIdentity"] = "another".into();
        lease["spec"]["renewTime"] = format!("{:.6}", staledp::base::clock::now()).into();
        lease["metadata"]["resourceVersion"] = "9999".into();
    });
    running.wait_until_it_says(PATIENCE, "stopped watching: another took it");
    let patches = |api: &ApiServer| api.writes().iter().filter(|request| request.method == "PATCH").count();
    let before = patches(&api);
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(patches(&api), before, "nothing is written without the Lease");
    running.terminate();
    running.running.wait().exits(130);
    assert_eq!(lease(&api)["spec"]["holderIdentity"], "another", "a Lease of another is not released");
}

#[test]
fn watches_that_expire_and_a_busy_api_server_are_borne() {
    let mut world = Scene::stale().world();
    world.watches = Watches { last: Some(Duration::from_secs(1)), ..Watches::default() };
    world.fault(Fault::too_many("/api/v1/nodes/*/status", "1").times(3));
    world.fault(Fault::too_many("/api/v1/pods", "1").times(2));
    let api = ApiServer::start(world);
    let running = start(&api, &[]);
    until(&running, "prusik is False", || status(&api, "prusik").as_deref() == Some("False"));
    api.change(|world| world.watches.expired = true);
    let lists = || api.requests().iter().filter(|r| r.path == "/api/v1/pods" && r.query.contains("limit=")).count();
    let before = lists();
    until(&running, "the lists are read anew", || lists() > before + 2);
    api.change(|world| {
        world.watches.expired = false;
        world.execs = fine().execs;
    });
    until_all_are_true(&running, &api);
    until(&running, "both Events", || events(&api).len() > 1);
    assert_eq!(events(&api).len(), 2, "none comes twice: {:?}", events(&api));
    ends_in_good_order(running, &api);
}

#[test]
fn node_that_goes_takes_its_metrics_along() {
    let api = ApiServer::start(fine());
    let running = start(&api, &[]);
    until_all_are_true(&running, &api);
    let at = address(&running);
    assert!(get(at, "/metrics").contains("node=\"brno\""));
    api.change(|world| world.nodes.retain(|node| node["metadata"]["name"] != "brno"));
    until(&running, "it is forgotten", || !get(at, "/metrics").contains("node=\"brno\""));
    ends_in_good_order(running, &api);
}

#[test]
fn uninstall_removes_the_condition_and_no_other() {
    let api = ApiServer::start(fine());
    let kubeconfig = api.kubeconfig();
    let running = start(&api, &[]);
    until_all_are_true(&running, &api);
    ends_in_good_order(running, &api);
    let outcome = watch(&kubeconfig, &["--uninstall"]).run().exits(0);
    assert_eq!(outcome.stdout, format!("removed the condition {CONDITION} from 3 nodes\n"));
    for node in NODES {
        assert_eq!(condition(&api, node), None, "{node}");
    }
    api.change(|world| {
        for node in &world.nodes {
            assert_eq!(node["status"]["conditions"][0]["type"], "Ready", "{node}");
        }
    });
    assert_eq!(lease(&api)["spec"]["holderIdentity"], "");
    only_allowed_writes(&api);
}

#[test]
fn the_printed_rights_are_enough_for_a_watch() {
    let mut world = Scene::stale().world();
    world.writes.rights = Some(granted("watch"));
    let api = ApiServer::start(world);
    let running = start(&api, &[]);
    until(&running, "prusik is False", || status(&api, "prusik").as_deref() == Some("False"));
    until(&running, "there is an Event", || !events(&api).is_empty());
    assert!(!running.so_far().contains("cannot"), "{}", running.so_far());
    ends_in_good_order(running, &api);
}

#[test]
fn watch_without_its_rights_names_what_is_missing() {
    let mut world = fine();
    let lacks = |resource: &str| granted("watch").into_iter().filter(|right| right.resource != resource).collect();
    world.writes.rights = Some(lacks("leases"));
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let outcome = watch(&kubeconfig, &[]).run().exits(5);
    assert!(outcome.stderr.contains("staledp rbac watch"), "{}", outcome.stderr);
    let mut world = fine();
    world.writes.rights = Some(lacks("nodes/status"));
    let api = ApiServer::start(world);
    let running = start(&api, &[]);
    running.wait_until_it_says(PATIENCE, "cannot set the condition");
    running.wait_until_it_says(PATIENCE, "`patch` on `nodes/status`");
}

/// The printed alert rules, ready for a Prometheus of its own, with their waiting times cut to a second.
fn alert_rules() -> String {
    let yaml = staledp(["manifests", "alerts"]).run().exits(0).stdout;
    let rule: Value = serde_saphyr::from_str(&yaml).expect("the rule is YAML");
    let mut spec = rule["spec"].clone();
    for rule in spec["groups"][0]["rules"].as_array_mut().expect("rules") {
        assert!(rule["for"].is_string(), "{rule}");
        rule["for"] = "1s".into();
    }
    spec.to_string()
}

#[test]
fn real_prometheus_scrapes_the_metrics_and_the_printed_alerts_fire_and_clear() {
    let api = ApiServer::start(Scene::stale().world());
    let running = start(&api, &[]);
    let Some(prometheus) = Prometheus::with_rules(address(&running), "{cluster: test}", &alert_rules()) else {
        assert!(std::env::var_os("CI").is_none_or(|v| v != "true"), "no prometheus here, and CI has to have one");
        eprintln!("skipped: no prometheus in PATH; Debian's package has it, see .ci/run");
        return;
    };
    let alerts = || prometheus_get(prometheus.address, "/api/v1/alerts").unwrap_or_default();
    let fires = |alert: &str| {
        let answer = alerts();
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
        let Ok(body) = serde_json::from_str::<Value>(&body) else { return false };
        let all = body["data"]["alerts"].as_array().cloned().unwrap_or_default();
        all.iter().any(|found| found["labels"]["alertname"] == alert && found["state"] == "firing")
    };
    until(&running, "the alert fires", || fires("StaledpNodeStale"));
    assert!(alerts().contains("staledp fix --node prusik"), "{}", alerts());
    assert!(!fires("StaledpFixFailed"), "{}", alerts());
    api.change(|world| {
        world.execs = fine().execs;
        world.events.push(serde_json::json!({
            "metadata": {"name": "staledp-x", "namespace": "kube-system"}, "type": "Warning",
            "reason": "CiliumPodRestarted", "involvedObject": {"kind": "Node", "name": "prusik"},
            "eventTime": format!("{:.6}", staledp::base::clock::now()),
        }));
    });
    until(&running, "the alert clears", || !fires("StaledpNodeStale"));
    until(&running, "the failed repair is told", || fires("StaledpFixFailed"));
    until(&running, "the round is young", || !fires("StaledpRoundTooOld"));
    assert!(!fires("StaledpWatchGone"), "{}", alerts());
    ends_in_good_order(running, &api);
}

/// What README says of the cost, held against the requests of a round in which every node is healthy.
#[test]
fn healthy_round_costs_what_the_readme_says() {
    let api = ApiServer::start(fine());
    let running = start(&api, &["--every", "600s"]);
    until_all_are_true(&running, &api);
    let requests = api.requests();
    let execs = requests.iter().filter(|request| request.exec.is_some()).count();
    let logs = requests.iter().filter(|request| request.path.ends_with("/log")).count();
    let patches = requests.iter().filter(|request| request.method == "PATCH").count();
    let lists: Vec<&str> =
        requests.iter().filter(|r| r.query.contains("limit=")).map(|request| request.path.as_str()).collect();
    let watches = requests.iter().filter(|request| request.query.contains("watch=true")).count();
    println!(
        "3 nodes, one look each: {execs} execs, {logs} logs, {patches} patches, {watches} watches, lists {lists:?}"
    );
    assert!(execs <= 3 * 8, "at most 8 execs a look: {execs}");
    assert!(logs <= 3, "at most one log a look: {logs}");
    assert_eq!((patches, watches), (3, 2));
    // Nodes and pods once, then what a batch reads: DNS services, their slices, warnings.
    assert!(lists.len() <= 2 + 4, "{lists:?}");
    ends_in_good_order(running, &api);
}

#[test]
fn condition_that_heals_before_it_could_be_written_makes_no_event() {
    let api = ApiServer::start(fine());
    let running = start(&api, &[]);
    until_all_are_true(&running, &api);
    let since = condition(&api, "prusik").expect("it is there")["lastTransitionTime"].clone();
    api.change(|world| {
        world.fault(Fault::status("/api/v1/nodes/prusik/status", 503, "ServiceUnavailable", "not now"));
        world.execs = Scene::stale().world().execs;
    });
    running.wait_until_it_says(PATIENCE, "prusik: stale-datapath:");
    let refused = |api: &ApiServer| {
        let is_false = |request: &&Logged| {
            request.path.ends_with("/prusik/status") && String::from_utf8_lossy(&request.body).contains("\"False\"")
        };
        api.writes().iter().filter(is_false).count()
    };
    until(&running, "False was tried", || refused(&api) > 0);
    let before = looks_at(&api, "prusik");
    api.change(|world| world.execs = fine().execs);
    until(&running, "it is seen healthy", || looks_at(&api, "prusik") > before + 1);
    api.change(|world| world.faults.clear());
    let before = looks_at(&api, "prusik");
    until(&running, "more looks", || looks_at(&api, "prusik") > before + 2);
    let now = condition(&api, "prusik").expect("it is there");
    assert_eq!((&now["status"], &now["lastTransitionTime"]), (&"True".into(), &since));
    assert_eq!(events(&api), [], "nobody saw it False");
    ends_in_good_order(running, &api);
}

#[test]
fn node_that_was_made_anew_under_its_name_inherits_no_conviction() {
    let api = ApiServer::start(Scene::stale().world());
    let running = start(&api, &["--every", "600s", "--confirm-after", "12s"]);
    running.wait_until_it_says(PATIENCE, "prusik: stale-datapath:");
    api.change(|world| {
        let node = world.nodes.iter_mut().find(|node| node["metadata"]["name"] == "prusik").expect("the node");
        node["metadata"]["uid"] = "uid-of-another".into();
    });
    let begun = Instant::now();
    until(&running, "prusik is False", || status(&api, "prusik").as_deref() == Some("False"));
    assert!(begun.elapsed() > Duration::from_secs(11), "two looks at the new node: {:?}", begun.elapsed());
    let said = running.so_far();
    assert_eq!(said.matches("prusik: stale-datapath: ").count(), 2, "a first conviction of each:\n{said}");
    ends_in_good_order(running, &api);
}
