//! Many nodes: whatever happens to some of them, every one has a row, and the run ends in time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::pipe;
use crate::support::api::{ApiServer, Kubeconfig, Logged};
use crate::support::http::Answer;
use crate::support::run::{Outcome, Run, staledp};
use crate::support::scenes::{Health, Scene, agent};
use crate::support::world::{End, ExecReply, Fault, FaultKind, Kubelet, Pods, World};

const NODES: [&str; 3] = ["brno", "prusik", "vienna"];
const DUMP: [&str; 5] = ["cilium-dbg", "bpf", "ct", "list", "global"];
/// A node's time where something never answers.
const PATIENCE: &str = "14s";

fn all(kubeconfig: &Kubeconfig, args: &[&str]) -> Run {
    let path = kubeconfig.path();
    let mut words = vec!["diagnose", "--kubeconfig", &path, "--no-ssh", "--all-nodes"];
    words.extend(args);
    if !args.contains(&"--timeout") {
        words.extend(["--timeout", PATIENCE]);
    }
    if !args.contains(&"-o") {
        words.extend(["-o", "json"]);
    }
    staledp(words).deadline(Duration::from_secs(58))
}

fn world(health: Health) -> World {
    Scene::new(&NODES.map(|name| (name, health))).world()
}

/// The node's dump never comes, which costs its whole time.
fn hang(world: &mut World, node: &str) {
    world.on_exec(Pods::agent(node), &DUMP, ExecReply::silent());
}

fn kinds(report: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let nodes = report["nodes"].as_array().expect("nodes").iter();
    nodes.map(|node| (text(&node["node"]), text(&node["verdict"]["kind"]))).collect()
}

#[track_caller]
fn every_node_has_a_row(outcome: &Outcome) -> BTreeMap<String, String> {
    let report = outcome.report().0;
    let kinds = kinds(&report);
    assert_eq!(kinds.keys().map(String::as_str).collect::<Vec<_>>(), NODES, "{report:#}");
    for node in report["nodes"].as_array().expect("nodes") {
        assert_eq!(node["checks"].as_array().map(Vec::len), Some(5), "{node:#}");
    }
    kinds
}

/// What may go wrong with the requests for commands.
fn request_faults() -> Vec<(&'static str, FaultKind)> {
    let status =
        |code, reason: &str, message: &str| FaultKind::Answer(Answer::failure(code, reason, message, Value::Null));
    vec![
        ("403", FaultKind::Forbidden("viewer".to_owned())),
        ("404", status(404, "NotFound", "pods \"x\" not found")),
        ("410", status(410, "Expired", "too old")),
        ("429", Fault::too_many("", "1").kind),
        ("500", status(500, "InternalError", "Internal error occurred")),
        ("503", status(503, "ServiceUnavailable", "the server is currently unable to handle the request")),
        ("reset", FaultKind::Reset),
        ("closed", FaultKind::HangUp),
        ("silence", FaultKind::Silence),
    ]
}

/// What may go wrong with the dump once it began.
fn stream_faults() -> Vec<(&'static str, End)> {
    vec![
        ("silence", End::Silence),
        ("cut frame", End::MidFrame),
        ("drop", End::Drop),
        ("reset", End::Reset),
        ("no status", End::CloseWithoutStatus),
        ("exit 1", End::Exit(1)),
    ]
}

#[test]
fn a_refused_node_costs_no_other_its_verdict() {
    for (name, kind) in request_faults() {
        let mut one = world(Health::Fine);
        one.fault(Fault::new("*/pods/cilium-swmbt/exec", kind.clone()));
        let api = ApiServer::start(one);
        let outcome = all(&api.kubeconfig(), &[]).run().exits(4);
        let kinds = every_node_has_a_row(&outcome);
        assert_eq!(kinds["prusik"], "inconclusive", "{name}: {kinds:?}");
        assert_eq!((&*kinds["brno"], &*kinds["vienna"]), ("healthy", "healthy"), "{name}");
        assert!(outcome.elapsed < Duration::from_secs(40), "{name}: {:?}", outcome.elapsed);

        let mut every = world(Health::Fine);
        every.fault(Fault::new("*/exec", kind));
        let api = ApiServer::start(every);
        let outcome = all(&api.kubeconfig(), &[]).run().exits(4);
        let kinds = every_node_has_a_row(&outcome);
        assert!(kinds.values().all(|kind| kind == "inconclusive"), "{name} on all: {kinds:?}");
        assert!(outcome.elapsed < Duration::from_secs(40), "{name} on all: {:?}", outcome.elapsed);
    }
}

#[test]
fn a_stream_that_breaks_costs_no_other_node_its_verdict() {
    let scene = Scene::new(&NODES.map(|name| (name, Health::Fine)));
    let dump = |node: &str| std::fs::read(scene.path().join(format!("nodes/{node}/ct-list.out"))).expect("a dump");
    for (name, end) in stream_faults() {
        for broken in [&["prusik"][..], &NODES[..]] {
            let mut world = scene.world();
            for node in broken {
                world.on_exec(Pods::agent(node), &DUMP, ExecReply::ends(dump(node), end.clone()));
            }
            let api = ApiServer::start(world);
            let outcome = all(&api.kubeconfig(), &[]).run().exits(4);
            for (node, kind) in every_node_has_a_row(&outcome) {
                let right = if broken.contains(&&*node) { "inconclusive" } else { "healthy" };
                assert_eq!(kind, right, "{name} on {broken:?}: {node}");
            }
            assert!(outcome.elapsed < Duration::from_secs(40), "{name}: {:?}", outcome.elapsed);
        }
    }
}

#[test]
fn a_verdict_is_the_same_beside_a_dead_node() {
    let scene = Scene::new(&[("prusik", Health::Stale), ("vienna", Health::Fine), ("brno", Health::Fine)]);
    for kubelet in [Kubelet::Dead, Kubelet::Frozen] {
        let mut world = scene.world();
        world.kubelet("brno", kubelet);
        let api = ApiServer::start(world);
        let outcome = all(&api.kubeconfig(), &[]).run().exits(1);
        let kinds = every_node_has_a_row(&outcome);
        assert_eq!((&*kinds["prusik"], &*kinds["vienna"], &*kinds["brno"]), ("stale", "healthy", "inconclusive"));
    }
}

#[test]
fn one_dead_node_of_three_costs_less_than_fifteen_seconds() {
    let mut world = Scene::stale().world();
    world.kubelet("brno", Kubelet::Frozen);
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let path = kubeconfig.path();
    let outcome = staledp(["diagnose", "--kubeconfig", &path, "--no-ssh", "--all-nodes", "-o", "json"]).run().exits(1);
    let kinds = every_node_has_a_row(&outcome);
    assert_eq!((&*kinds["prusik"], &*kinds["vienna"], &*kinds["brno"]), ("stale", "healthy", "inconclusive"));
    assert!(outcome.elapsed < Duration::from_secs(15), "with default settings: {:?}", outcome.elapsed);
    // What is asked first is asked side by side: the ping, the counters and a pod's three probes.
    assert_eq!(api.execs_on("brno").len(), 5, "nothing further is asked of it");
}

#[test]
fn odd_nodes_have_rows() {
    let mut world = world(Health::Fine);
    for node in &mut world.nodes {
        if node["metadata"]["name"] == "brno" {
            node["spec"]["unschedulable"] = true.into();
        }
        if node["metadata"]["name"] == "vienna" {
            node["status"]["conditions"] = json!([{"type": "Ready", "status": "False", "reason": "KubeletNotReady"}]);
        }
    }
    world.pods.retain(|pod| pod["metadata"]["name"] != agent("prusik"));
    let api = ApiServer::start(world);
    let outcome = all(&api.kubeconfig(), &[]).run().exits(3);
    let kinds = every_node_has_a_row(&outcome);
    assert_eq!(kinds["brno"], "healthy", "a cordoned node");
    let report = outcome.report();
    assert_eq!(report.code("prusik"), "agent-not-running");
    assert!(report.node("brno")["notes"].to_string().contains("cordoned"));
    assert!(report.node("vienna")["notes"].to_string().contains("not ready"));
}

/// A run over healthy nodes of which prusik changes while its ping, which takes a while, is under way.
fn while_prusik_pings(change: impl FnOnce(&mut World)) -> Outcome {
    let mut world = world(Health::Fine);
    let ping = ExecReply::prints("PING 1.1.1.1\n").delayed(Duration::from_secs(3));
    world.on_exec(Pods::agent("prusik"), &["ping"], ping);
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let running = all(&kubeconfig, &[]).start();
    api.wait_until(Duration::from_secs(30), |requests| {
        requests.iter().filter_map(|request| request.exec.as_ref()).any(|call| call.node == "prusik")
    });
    api.change(change);
    let outcome = running.wait().exits(4);
    let kinds = every_node_has_a_row(&outcome);
    assert_eq!((&*kinds["brno"], &*kinds["prusik"], &*kinds["vienna"]), ("healthy", "inconclusive", "healthy"));
    let summary = outcome.report().node("prusik")["verdict"]["summary"].to_string();
    assert!(summary.contains("was deleted after the cluster was listed"), "{summary}");
    outcome
}

#[test]
fn a_node_that_is_deleted_while_it_is_looked_at_says_so() {
    while_prusik_pings(|world| {
        world.nodes.retain(|node| node["metadata"]["name"] != "prusik");
        world.pods.retain(|pod| pod["spec"]["nodeName"] != "prusik");
    });
}

#[test]
fn an_agent_that_is_replaced_while_it_is_looked_at_costs_no_other_its_verdict() {
    let outcome = while_prusik_pings(|world| {
        let agent = world.pod_mut(&format!("kube-system/{}", agent("prusik")));
        agent["metadata"]["name"] = "cilium-new01".into();
        agent["metadata"]["uid"] = "uid-cilium-new01".into();
    });
    let remediation = outcome.report().node("prusik")["remediation"].clone();
    assert_eq!(remediation, Value::Null, "nothing is said of the new agent");
}

#[test]
fn throttled_lists_are_asked_for_again_as_told_and_that_is_said_once() {
    let mut world = world(Health::Fine);
    world.fault(Fault::too_many("/api/v1/pods", "1").times(2)).fault(Fault::too_many("/api/v1/nodes", "1").times(1));
    let api = ApiServer::start(world);
    let outcome = all(&api.kubeconfig(), &[]).run().exits(0);
    every_node_has_a_row(&outcome);
    let notes = outcome.report().0["notes"].to_string();
    assert!(notes.contains("refused 3 requests for now (429)"), "{notes}");
    assert_eq!(outcome.stderr.matches("429").count(), 1, "{}", outcome.stderr);
    assert!(outcome.elapsed >= Duration::from_secs(2), "it waited as told: {:?}", outcome.elapsed);
}

#[test]
fn lists_are_asked_for_once_and_a_node_costs_few_commands() {
    let mut world = world(Health::Fine);
    // Brno's first two pods have no tools, prusik's not even a shell, and vienna's has what it takes.
    for pod in ["apps/app-2-1", "apps/app-2-2"] {
        world.on_exec(Pods::named(pod), &["sh"], ExecReply::missing());
    }
    let api = ApiServer::start(world);
    let pods = ["app-1-1", "app-1-2", "web-1", "app-2-1", "app-2-2", "web-2", "web-3"].map(|pod| format!("apps/{pod}"));
    let pods: Vec<&str> = pods.iter().flat_map(|pod| ["--probe-pod", pod]).collect();
    all(&api.kubeconfig(), &pods).run().exits(0);
    let mut lists: BTreeMap<String, usize> = BTreeMap::new();
    let is_list = |logged: &&Logged| logged.exec.is_none() && !logged.path.ends_with("/log");
    for request in api.requests().iter().filter(is_list) {
        *lists.entry(format!("{}?{}", request.path, request.query)).or_default() += 1;
    }
    assert!(lists.values().all(|times| *times == 1), "{lists:#?}");
    // Warnings, and the events that symptoms are read from, by reason.
    assert_eq!(lists.keys().filter(|list| list.starts_with("/api/v1/events")).count(), 4, "{lists:#?}");
    assert!(lists.len() <= 9, "{lists:#?}");
    for (node, most) in [("brno", 9), ("prusik", 9), ("vienna", 7)] {
        let calls = api.execs_on(node);
        assert!(calls.len() <= most, "{node}: {calls:#?}");
        assert!(api.most_execs_at_once(node) <= 4, "{node}");
    }
}

#[test]
fn a_throttled_handshake_is_repeated_as_told_and_said_once() {
    let mut world = world(Health::Fine);
    world.fault(Fault::too_many("*/exec", "1").times(4));
    let api = ApiServer::start(world);
    let outcome = all(&api.kubeconfig(), &[]).run().exits(0);
    every_node_has_a_row(&outcome);
    let report = outcome.report().0;
    assert!(report["notes"].to_string().contains("429"), "{:#}", report["notes"]);
    assert_eq!(outcome.stderr.matches("429").count(), 1, "{}", outcome.stderr);
    assert!(outcome.elapsed >= Duration::from_secs(1), "it waited as told");
}

#[test]
fn an_interrupt_tells_what_is_known() {
    for format in ["json", "jsonl"] {
        let mut world = world(Health::Fine);
        hang(&mut world, "prusik");
        let api = ApiServer::start(world);
        let kubeconfig = api.kubeconfig();
        let running = all(&kubeconfig, &["-o", format, "--timeout", "50s", "--concurrency", "1"]).start();
        // brno is done when prusik's dump, which hangs, was begun; vienna is never begun.
        api.wait_until(Duration::from_secs(30), |requests| {
            let calls = requests.iter().filter_map(|request| request.exec.as_ref());
            calls.into_iter().any(|call| call.node == "prusik" && call.argv.contains(&"ct".to_owned()))
        });
        running.interrupt();
        let outcome = running.wait().exits(130);
        assert!(outcome.elapsed < Duration::from_secs(30), "{:?}", outcome.elapsed);
        let report = whole(&outcome.stdout);
        assert_eq!((&report["partial"], &report["partial_reason"]), (&json!(true), &json!("interrupted")));
        let kinds = kinds(&report);
        assert_eq!(kinds.keys().map(String::as_str).collect::<Vec<_>>(), NODES);
        assert_eq!(kinds["brno"], "healthy");
        // What still runs there ends by itself: this program can't end it any more.
        for call in api.execs() {
            assert!(call.argv.iter().any(|word| word.contains("timeout")), "{:?} has no bound of its own", call.argv);
        }
        // What was finished of prusik is kept, and the row says where it was.
        for (node, finished, at) in [("prusik", 2, "(reading the conntrack table)"), ("vienna", 0, "before")] {
            let node = report["nodes"].as_array().expect("nodes").iter().find(|entry| entry["node"] == node);
            let node = node.expect("a row");
            assert_eq!(node["verdict"]["code"], "evidence-missing", "{node:#}");
            let summary = node["verdict"]["summary"].to_string();
            assert!(summary.contains("interrupted") && summary.contains(at), "{node:#}");
            let checks = node["checks"].as_array().expect("checks");
            let status: Vec<&str> = checks.iter().filter_map(|check| check["status"].as_str()).collect();
            let right: Vec<&str> = (0..5).map(|i| if i < finished { "pass" } else { "unknown" }).collect();
            assert_eq!(status, right, "{node:#}");
        }
    }
}

#[test]
fn interrupted_report_goes_on_while_its_reader_takes_some_and_a_second_interrupt_ends_at_once() {
    let names: Vec<String> = (0..24).map(|i| format!("node-{i:02}")).collect();
    let nodes: Vec<(&str, Health)> = names.iter().map(|name| (name.as_str(), Health::Fine)).collect();
    for second in [false, true] {
        let mut world = Scene::new(&nodes).world();
        hang(&mut world, "node-00");
        let api = ApiServer::start(world);
        let kubeconfig = api.kubeconfig();
        let (mut child, _home) = all(&kubeconfig, &["--timeout", "50s"]).by_hand();
        api.wait_until(Duration::from_secs(40), |requests| {
            requests.iter().filter_map(|request| request.exec.as_ref()).any(|call| call.node == "node-23")
        });
        pipe::send(&child, "INT");
        // The report is longer than a pipe holds.
        let mut reader = child.stdout.take().expect("a pipe");
        let (enough, stop) = std::sync::mpsc::channel::<()>();
        let reading = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while stop.try_recv().is_err() && matches!(reader.read(&mut piece), Ok(1..)) {
                std::thread::sleep(Duration::from_millis(200));
            }
            reader
        });
        std::thread::sleep(Duration::from_millis(1500));
        assert!(child.try_wait().expect("it can be waited for").is_none(), "its reader still takes some");
        if second {
            pipe::send(&child, "INT");
        } else {
            // The reader stalls: nothing is waited for any more.
            let _ = enough.send(());
        }
        let (code, took) = pipe::end(&mut child, Duration::from_secs(10));
        assert_eq!(code, Some(130));
        assert!(took < Duration::from_millis(1500), "{took:?}");
        drop(enough);
        drop(reading.join());
    }
}

/// A report in JSON or in JSON lines.
fn whole(text: &str) -> Value {
    let mut values: Vec<Value> =
        serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().expect("JSON");
    let mut last = values.pop().expect("a report");
    if last.get("nodes").is_none() {
        last["nodes"] = values.into();
    }
    last
}

#[test]
fn the_run_has_a_deadline_of_its_own_and_says_so_in_every_format() {
    for format in ["json", "jsonl", "yaml", "table"] {
        let mut world = world(Health::Fine);
        hang(&mut world, "prusik");
        let api = ApiServer::start(world);
        let args = ["--timeout", "45s", "--deadline", "6s", "--concurrency", "1", "-o", format];
        let outcome = all(&api.kubeconfig(), &args).run().exits(4);
        assert!(outcome.elapsed < Duration::from_secs(12), "{:?}", outcome.elapsed);
        if format == "table" {
            let line = "PARTIAL: the run's time was over; see --deadline";
            assert!(outcome.stdout.lines().any(|shown| shown == line), "{}", outcome.stdout);
            continue;
        }
        if format == "yaml" {
            assert!(outcome.stdout.contains("partial: true\n"), "{}", outcome.stdout);
            continue;
        }
        let report = whole(&outcome.stdout);
        assert_eq!(report["partial"], true);
        assert_eq!(report["partial_reason"], "the run's time was over; see --deadline");
        let kinds = kinds(&report);
        assert_eq!(kinds.keys().map(String::as_str).collect::<Vec<_>>(), NODES);
        assert_eq!(
            (&*kinds["brno"], &*kinds["prusik"], &*kinds["vienna"]),
            ("healthy", "inconclusive", "inconclusive")
        );
        // prusik ended with what it had, and vienna was never begun.
        let node = |name: &str| report["nodes"].as_array().expect("nodes").iter().find(|n| n["node"] == name).cloned();
        let (prusik, vienna) = (node("prusik").expect("a row"), node("vienna").expect("a row"));
        assert_eq!(prusik["checks"][1]["status"], "pass", "{prusik:#}");
        assert!(prusik["checks"][2]["reason"].to_string().contains("--deadline"), "{prusik:#}");
        let summary = vienna["verdict"]["summary"].to_string();
        assert!(summary.contains("the run's time was over before this node was looked at"), "{summary}");
        assert!(api.execs_on("vienna").is_empty());
    }
    // A run that ends in time is whole.
    let api = ApiServer::start(world(Health::Fine));
    let outcome = all(&api.kubeconfig(), &["--deadline", "50s"]).run().exits(0);
    assert_eq!(outcome.report().0["partial"], Value::Null);
}

#[test]
fn json_lines_come_as_nodes_are_known() {
    let mut world = world(Health::Fine);
    hang(&mut world, "prusik");
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let (mut child, _home) = all(&kubeconfig, &["-o", "jsonl", "--timeout", "40s"]).by_hand();
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let begun = Instant::now();
    let mut early = BTreeSet::new();
    for _ in 0..2 {
        let line: Value = serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON");
        early.insert(line["node"].as_str().expect("a node").to_owned());
    }
    assert_eq!(early, BTreeSet::from(["brno".to_owned(), "vienna".to_owned()]), "before prusik's time is over");
    assert!(begun.elapsed() < Duration::from_secs(35), "{:?}", begun.elapsed());
    assert!(child.try_wait().expect("it can be waited for").is_none(), "it still waits for prusik");
    let _ = child.kill();
    let _ = child.wait();
}

#[test]
fn a_pipe_that_nobody_reads_ends_the_run() {
    let mut world = world(Health::Fine);
    hang(&mut world, "prusik");
    // vienna comes after brno, when nobody reads any more.
    let late = ExecReply::prints("").delayed(Duration::from_secs(4));
    world.on_exec(Pods::agent("vienna"), &["ping"], late);
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let (mut child, _home) = all(&kubeconfig, &["-o", "jsonl", "--timeout", "45s"]).by_hand();
    let mut reader = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("a line");
    drop(reader);
    let begun = Instant::now();
    while child.try_wait().expect("it can be waited for").is_none() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it goes on for nobody");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn nodes_can_be_left_out() {
    let api = ApiServer::start(world(Health::Fine));
    let kubeconfig = api.kubeconfig();
    let outcome = all(&kubeconfig, &["--exclude-node", "prusik", "--exclude-node", "brno"]).run().exits(0);
    assert_eq!(kinds(&outcome.report().0).into_keys().collect::<Vec<_>>(), ["vienna"]);
    assert!(api.execs_on("prusik").is_empty());
    all(&kubeconfig, &["--exclude-node", "nosuch"]).run().exits(2);
    all(&kubeconfig, &["--shard", "2/2"]).run().exits(2);
}

/// A report without what differs from run to run.
fn gist(mut report: Value) -> Value {
    for name in ["generated_at", "source", "shard"] {
        report.as_object_mut().expect("a report").remove(name);
    }
    report
}

#[test]
fn shards_joined_are_the_whole() {
    let names = ["a1", "b2", "c3", "d4", "e5"];
    let all_of = |health| names.map(|name| (name, health));
    let mut mixed = all_of(Health::Stale);
    mixed[3].1 = Health::Fine;
    for nodes in [all_of(Health::Stale), mixed, all_of(Health::Fine)] {
        let scene = Scene::new(&nodes);
        let from = scene.path().display().to_string();
        let folder = tempfile::tempdir().expect("a folder");
        let right = staledp(["diagnose", "--from", &from, "-o", "json"]).run();
        for of in [1, 2, 3, 8] {
            let mut files = Vec::new();
            let mut judged = 0;
            for index in 0..of {
                let format = ["json", "jsonl", "yaml"][index % 3];
                let shard = format!("{index}/{of}");
                let outcome = staledp(["diagnose", "--from", &from, "--shard", &shard, "-o", format]).run();
                assert!(matches!(outcome.code, Some(0 | 1 | 3)), "{}", outcome.stderr);
                let file = folder.path().join(format!("{index}-{of}.{format}")).display().to_string();
                judged += outcome.stdout.matches("\"host-ping\"").count().min(1);
                std::fs::write(&file, &outcome.stdout).expect("a file");
                files.push(file);
            }
            assert!(judged > 0);
            let args = |files: &[String]| [&["merge".to_owned(), "-o".to_owned(), "json".to_owned()], files].concat();
            let joined = staledp(args(&files)).run();
            assert_eq!(joined.code, right.code, "{}", joined.stderr);
            assert_eq!(
                format!("{:#}", gist(joined.report().0)),
                format!("{:#}", gist(right.report().0)),
                "{of} shards: left joined, right whole"
            );
            if of > 1 {
                let some = staledp(args(&files[1..])).run();
                let report = some.report().0;
                assert_eq!(report["partial"], true);
                assert!(report["partial_reason"].to_string().contains(&format!("0/{of}")));
                assert_ne!(some.code, Some(0), "what is missing is no all-clear");
            }
        }
    }
}

#[test]
fn only_reports_that_belong_together_are_joined() {
    let scene = Scene::new(&NODES.map(|name| (name, Health::Fine)));
    let from = scene.path().display().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, report: &Value| {
        let file = folder.path().join(name).display().to_string();
        std::fs::write(&file, report.to_string()).expect("a file");
        file
    };
    let report = staledp(["diagnose", "--from", &from, "-o", "json"]).run().exits(0).report().0;
    let one = put("one", &report);
    let mut elsewhere = report.clone();
    elsewhere["source"]["context"] = Value::Null;
    let outcome = staledp(["merge", &one, &put("two", &elsewhere)]).run().exits(2);
    assert!(outcome.stderr.contains("names no context and others do"), "{}", outcome.stderr);
    let mut newer_schema = report.clone();
    newer_schema["schema"] = "staledp.report/v2".into();
    staledp(["merge", &one, &put("three", &newer_schema)]).run().exits(5);
    staledp(["merge", &one, "/nonexistent"]).run().exits(5);

    // The newest entry of a node counts, wherever it stands.
    let mut older = report.clone();
    older["generated_at"] = "2020-01-01T00:00:00Z".into();
    older["nodes"][0]["verdict"]["kind"] = "other-fault".into();
    older["nodes"][0]["verdict"]["code"] = "egress-broken".into();
    let older = put("older", &older);
    for files in [[&one, &older], [&older, &one]] {
        let outcome = staledp(["merge", "-o", "json", files[0], files[1]]).run().exits(0);
        assert!(outcome.report().0["notes"].to_string().contains("several reports"));
    }
    let mut halves = [report.clone(), report];
    for (half, of) in halves.iter_mut().zip([2, 3]) {
        half["shard"] = json!({"index": 0, "of": of});
    }
    staledp(["merge", &put("h2", &halves[0]), &put("h3", &halves[1])]).run().exits(2);
}

/// Many nodes, of which node-07 is stale; their dumps take a moment.
fn many(count: usize, moment: Duration) -> World {
    let names: Vec<String> = (0..count).map(|i| format!("node-{i:02}")).collect();
    let health = |name: &String| if name == "node-07" { Health::Stale } else { Health::Fine };
    let nodes: Vec<(&str, Health)> = names.iter().map(|name| (name.as_str(), health(name))).collect();
    let scene = Scene::new(&nodes);
    let mut world = scene.world();
    for (node, _) in &nodes {
        let dump = std::fs::read(scene.path().join(format!("nodes/{node}/ct-list.out"))).expect("a dump");
        world.on_exec(Pods::agent(node), &DUMP, ExecReply::prints(dump).delayed(moment));
    }
    world
}

#[test]
fn no_more_nodes_than_was_said_are_looked_at_at_once() {
    for most in [1, 3] {
        let api = ApiServer::start(many(9, Duration::from_millis(300)));
        all(&api.kubeconfig(), &["--concurrency", &most.to_string()]).run().exits(1);
        // The server sees the end of a command a moment after the program has gone on.
        let seen = api.most_nodes_at_once();
        assert!((most..=most + 1).contains(&seen), "{seen} at once with --concurrency {most}");
    }
}

#[test]
fn a_person_who_waits_sees_how_far_it_is_and_each_finding_as_it_comes() {
    let mut world = many(24, Duration::from_millis(500));
    hang(&mut world, "node-03");
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let program = env!("CARGO_BIN_EXE_staledp");
    let command = format!(
        "stty cols 100; {program} diagnose --kubeconfig {} --no-ssh --all-nodes --timeout 8s",
        kubeconfig.path()
    );
    let run = Command::new("script").args(["-qefc", &command, "/dev/null"]).env("TERM", "xterm").output();
    let Ok(output) = run else {
        eprintln!("skipped: there is no script(1) to make a terminal with");
        return;
    };
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    let (meanwhile, report) = shown.split_once("VERDICT").expect("a table");
    for part in ["/24 nodes", "node-03  reading the conntrack table (", "1 stale", "left"] {
        assert!(meanwhile.contains(part), "{part:?} is not shown meanwhile:\n{meanwhile}");
    }
    assert!(meanwhile.contains("✗ node-07: stale-datapath"), "{meanwhile}");
    assert!(!meanwhile.contains("✓ node-05"), "of so many, healthy ones get no line: {meanwhile}");
    assert!(report.contains("22 healthy nodes: -o wide lists them"), "{report}");
    let (stale, inconclusive) = (report.find("node-07").expect("a row"), report.find("node-03").expect("a row"));
    assert!(stale < inconclusive, "problems first");
}

/// Serves a slow fleet to a person: run the program with the kubeconfig that is named.
#[test]
#[ignore = "for eyes, not for machines"]
fn look_at_it() {
    let mut world = many(30, Duration::from_secs(2));
    world.kubelet("node-03", Kubelet::Frozen).kubelet("node-11", Kubelet::Dead);
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    println!("{}", kubeconfig.path());
    std::thread::sleep(Duration::from_secs(120));
}
