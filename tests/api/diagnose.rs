//! `staledp diagnose` against a cluster that lives: the real binary, the test server, and the contract.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{ApiServer, Kubeconfig};
use crate::support::http::Answer;
use crate::support::run::{Outcome, Report, Run, staledp};
use crate::support::scenes::{Health, Scene, agent, answered_lookup};
use crate::support::world::{
    AgentTool, Containerd, End, ExecReply, Fault, FaultKind, Kubelet, Output, Pods, Protocols, World,
};

/// The dump's command.
const DUMP: [&str; 5] = ["cilium-dbg", "bpf", "ct", "list", "global"];
/// A node's time where something never answers: short, and long enough for all that does on a busy machine.
const PATIENCE: &str = "8s";
/// The end of a run whose node has that much time: everything here ends soon after its deadline.
const SOON: Duration = Duration::from_secs(25);

/// A run of `diagnose` against a server, without SSH, as JSON.
fn diagnose(kubeconfig: &Kubeconfig, args: &[&str]) -> Run {
    let path = kubeconfig.path();
    let mut all = vec!["diagnose", "--kubeconfig", &path, "--no-ssh", "-o", "json"];
    all.extend(args);
    staledp(all)
}

/// Serves a world and diagnoses prusik there.
fn prusik(world: World, args: &[&str]) -> (ApiServer, Outcome) {
    let api = ApiServer::start(world);
    let outcome = diagnose(&api.kubeconfig(), &[&["--node", "prusik"], args].concat()).run();
    (api, outcome)
}

fn healthy() -> World {
    Scene::healthy().world()
}

/// A cluster whose conntrack dump on prusik ends so, after what the healthy one says.
fn healthy_with_dump(end: End) -> World {
    let scene = Scene::healthy();
    let dump = std::fs::read(scene.path().join("nodes/prusik/ct-list.out")).expect("the dump");
    let mut world = scene.world();
    world.on_exec(Pods::agent("prusik"), &DUMP, ExecReply::ends(dump, end));
    world
}

#[track_caller]
fn unknown_reason(check: &Value) -> &str {
    assert_eq!(check["status"], "unknown", "{check:#}");
    check["reason"].as_str().expect("unknown carries a reason")
}

#[test]
fn a_healthy_node_is_healthy_and_nothing_is_written() {
    let (api, outcome) = prusik(healthy(), &[]);
    let outcome = outcome.exits(0);
    let report = outcome.report();
    assert_eq!(report.0["schema"], "staledp.report/v1");
    assert_eq!(report.0["source"]["kind"], "cluster");
    assert_eq!(report.0["source"]["context"], "grigri");
    assert_eq!(report.0["summary"], json!({"nodes": 1, "healthy": 1, "stale": 0, "other_fault": 0, "inconclusive": 0}));
    let node = report.node("prusik");
    assert_eq!((&node["verdict"]["kind"], report.code("prusik")), (&json!("healthy"), "healthy"), "{node:#}");
    assert_eq!(node["cilium"]["pod"], "cilium-swmbt");
    assert_eq!(node["remediation"], Value::Null);
    let ids: Vec<_> = node["checks"].as_array().expect("checks").iter().map(|check| &check["id"]).collect();
    assert_eq!(ids, ["host-ping", "pod-egress", "dns-conntrack", "external-conntrack", "dns-backends"]);
    for check in node["checks"].as_array().expect("checks") {
        assert_eq!(check["status"], "pass", "{check:#}");
    }
    assert_eq!(report.check("prusik", "host-ping")["data"]["via"], "agent-container");
    assert_eq!(report.check("prusik", "dns-conntrack")["data"]["unanswered"], 0);

    assert!(api.writes().is_empty(), "only GETs, of lists and for exec: {:#?}", api.writes());
    assert!(api.execs_on("prusik").len() >= 4, "ping, a probe, the dump and the services: {:#?}", api.execs());
    let most = api.most_execs_at_once("prusik");
    assert!(most <= 4, "containerd 1.6 stalls under many execs at once; there were {most}");
}

#[test]
fn a_stale_node_is_stale_and_its_pod_is_the_remedy() {
    let scene = Scene::stale();
    let api = ApiServer::start(scene.world());
    let outcome = diagnose(&api.kubeconfig(), &["--all-nodes"]).run().exits(1);
    let report = outcome.report();
    assert_eq!(report.0["summary"], json!({"nodes": 3, "healthy": 2, "stale": 1, "other_fault": 0, "inconclusive": 0}));
    assert_eq!(report.0["nodes"][0]["node"], "prusik", "the stale one first");
    let node = report.node("prusik");
    assert_eq!((&node["verdict"]["kind"], report.code("prusik")), (&json!("stale"), "stale-datapath"), "{node:#}");
    assert_eq!(
        node["remediation"]["commands"],
        json!(["kubectl --context=grigri delete pod cilium-swmbt -n kube-system"])
    );
    assert_eq!(report.check("prusik", "host-ping")["status"], "pass");
    assert_eq!(report.check("prusik", "dns-conntrack")["status"], "fail");
    assert_eq!(report.check("prusik", "dns-conntrack")["data"]["answered"], 0);
    for other in ["vienna", "brno"] {
        assert_eq!(report.code(other), "healthy", "{:#}", report.node(other));
        assert_eq!(report.node(other)["remediation"], Value::Null);
    }
    assert!(api.writes().is_empty());
}

#[test]
fn the_running_agent_is_the_remedy_while_the_old_one_still_ends() {
    for old in ["cilium-aaaaa", "cilium-zzzzz"] {
        let mut world = Scene::stale().world();
        let mut ending = world.pod("kube-system", "cilium-swmbt").expect("the agent").clone();
        ending["metadata"]["name"] = old.into();
        ending["metadata"]["uid"] = "uid-old".into();
        ending["metadata"]["creationTimestamp"] = "2026-04-01T00:00:00Z".into();
        ending["metadata"]["deletionTimestamp"] = "2026-06-06T11:59:00Z".into();
        world.pods.push(ending);
        let (api, outcome) = prusik(world, &[]);
        let report = outcome.exits(1).report();
        let node = report.node("prusik");
        assert_eq!(node["cilium"]["pod"], "cilium-swmbt");
        assert_eq!(
            node["remediation"]["commands"],
            json!(["kubectl --context=grigri delete pod cilium-swmbt -n kube-system"])
        );
        assert!(api.execs().iter().all(|call| call.pod != old), "the old one was asked: {:#?}", api.execs());
    }
}

/// What must be the same for a live cluster and for the bundle it was made from.
fn gist(outcome: &Outcome) -> Value {
    let report = outcome.report();
    let nodes = report.0["nodes"].as_array().expect("nodes");
    let checks = |node: &Value| -> Vec<Value> {
        let checks = node["checks"].as_array().expect("checks");
        // The figures of the tables. The host may have been asked over SSH then, and the probes with another tool.
        let of_a_table = |check: &Value| !matches!(check["id"].as_str(), Some("host-ping" | "pod-egress"));
        let figures = |check: &Value| if of_a_table(check) { check["data"].clone() } else { Value::Null };
        // Without an agent nobody but SSH can be asked for the host, and there is none here.
        let no_agent = node["cilium"]["pod"].is_null();
        let status = |check: &Value| {
            if no_agent && check["id"] == "host-ping" { Value::Null } else { check["status"].clone() }
        };
        checks.iter().map(|check| json!([check["id"], status(check), figures(check)])).collect()
    };
    nodes
        .iter()
        .map(|node| json!([node["node"], node["verdict"]["kind"], node["verdict"]["code"], checks(node)]))
        .collect()
}

fn from_folder(folder: &Path) -> Outcome {
    staledp(["diagnose", "--from", &folder.display().to_string(), "-o", "json"]).run()
}

#[track_caller]
fn live_and_saved_agree(folder: &Path) {
    let world = World::from_bundle(folder);
    let nodes: Vec<String> = std::fs::read_dir(folder.join("nodes"))
        .expect("nodes")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let probe_pods = world.probe_pods.clone();
    let mut args = vec!["--timeout", PATIENCE];
    args.extend(nodes.iter().flat_map(|node| ["--node", node]));
    args.extend(probe_pods.iter().flat_map(|pod| ["--probe-pod", pod]));
    let saved = from_folder(folder);
    let api = ApiServer::start(world);
    let live = diagnose(&api.kubeconfig(), &args).run();
    let name = folder.display();
    assert_eq!(format!("{:#}", gist(&live)), format!("{:#}", gist(&saved)), "left live, right saved: {name}");
    assert_eq!(live.code, saved.code, "{name}\nlive: {}\nsaved: {}", live.stderr, saved.stderr);
    assert!(api.writes().is_empty());
}

#[test]
fn a_bundle_served_as_a_cluster_gives_what_the_bundle_gives() {
    for scene in [Scene::healthy(), Scene::stale()] {
        live_and_saved_agree(scene.path());
    }
}

#[test]
fn fixtures_served_as_clusters_give_what_the_fixtures_give() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let Ok(entries) = std::fs::read_dir(&fixtures) else {
        eprintln!("skipped: there are no fixtures yet");
        return;
    };
    let mut differ = Vec::new();
    for entry in entries {
        let bundle = entry.expect("an entry").path().join("bundle");
        // All are tried, so that one run shows how far the two ways are apart.
        if bundle.join("bundle.json").exists() && std::panic::catch_unwind(|| live_and_saved_agree(&bundle)).is_err() {
            differ.push(bundle);
        }
    }
    assert!(differ.is_empty(), "live and saved differ: {differ:#?}");
}

#[test]
fn an_unknown_context_ends_with_5_and_names_the_known_ones() {
    let api = ApiServer::start(healthy());
    let kubeconfig = api.kubeconfig_with(&["grigri", "brno"]);
    let outcome = diagnose(&kubeconfig, &["--node", "prusik", "--context", "nosuch"]).run().exits(5);
    for word in ["nosuch", "grigri", "brno"] {
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    }
    assert_eq!(outcome.stdout, "");
    assert!(api.requests().is_empty(), "nothing was contacted");
}

#[test]
fn a_context_other_than_the_current_one_can_be_chosen() {
    let api = ApiServer::start(Scene::stale().world());
    let kubeconfig = api.kubeconfig_with(&["brno", "it's prod"]);
    let outcome = diagnose(&kubeconfig, &["--node", "prusik", "--context", "it's prod"]).run().exits(1);
    let report = outcome.report();
    assert_eq!(report.0["source"]["context"], "it's prod");
    let command = report.node("prusik")["remediation"]["commands"][0].as_str().expect("a command");
    let script = format!("kubectl() {{ for word; do echo \"[$word]\"; done; }}; {command}");
    let words = std::process::Command::new("/bin/sh").args(["-c", &script]).output().expect("a shell");
    assert_eq!(
        String::from_utf8_lossy(&words.stdout),
        "[--context=it's prod]\n[delete]\n[pod]\n[cilium-swmbt]\n[-n]\n[kube-system]\n",
        "a command that can be pasted into a shell: {command}"
    );
}

#[test]
fn an_unknown_node_ends_with_2_and_names_the_known_ones() {
    let api = ApiServer::start(Scene::stale().world());
    let outcome = diagnose(&api.kubeconfig(), &["--node", "prusk"]).run().exits(2);
    for word in ["prusk", "prusik", "vienna", "brno"] {
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    }
    assert_eq!(outcome.stdout, "");
    assert!(api.execs().is_empty(), "no node was asked anything");
}

#[test]
fn no_node_at_all_ends_with_2_and_names_the_nodes() {
    let api = ApiServer::start(Scene::stale().world());
    let outcome = diagnose(&api.kubeconfig(), &[]).run().exits(2);
    for word in ["--node", "--all-nodes", "prusik", "vienna", "brno"] {
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    }
    assert!(api.execs().is_empty(), "no node was asked anything");
}

#[test]
fn nodes_can_be_chosen_by_label() {
    let api = ApiServer::start(Scene::stale().world());
    let outcome = diagnose(&api.kubeconfig(), &["-l", "kubernetes.io/hostname in (vienna)"]).run();
    // A set selector is kubectl's; a program that does not know it must say so and not choose something else.
    if outcome.code == Some(2) {
        assert!(outcome.stderr.contains("hostname"), "{}", outcome.stderr);
    } else {
        assert_eq!(outcome.exits(0).report().0["summary"]["nodes"], 1);
    }
    let outcome = diagnose(&api.kubeconfig(), &["-l", "kubernetes.io/hostname=vienna"]).run().exits(0);
    assert_eq!(outcome.report().code("vienna"), "healthy");
    assert!(api.execs_on("prusik").is_empty());
}

#[test]
fn without_the_right_to_exec_the_missing_right_is_named() {
    for kind in [FaultKind::Forbidden("viewer".to_owned()), FaultKind::ForbiddenWithoutWords] {
        let mut world = Scene::stale().world();
        world.fault(Fault::new("*/exec", kind));
        let (_api, outcome) = prusik(world, &[]);
        let report = outcome.exits(4).report();
        assert_eq!(report.code("prusik"), "evidence-missing");
        assert_eq!(report.node("prusik")["remediation"], Value::Null);
        let reason = unknown_reason(report.check("prusik", "dns-conntrack"));
        for word in ["get", "create", "pods/exec"] {
            assert!(reason.contains(word), "{reason}");
        }
    }
}

#[test]
fn missing_right_is_told_once_in_the_table_with_what_it_costs() {
    let mut world = Scene::stale().world();
    world.fault(Fault::new("*/exec", FaultKind::Forbidden("viewer".to_owned())));
    let api = ApiServer::start(world);
    let text = staledp(["diagnose", "--kubeconfig", &api.kubeconfig().path(), "--no-ssh", "--node", "prusik"]).run();
    let text = text.exits(4).stdout;
    let kube_system = "`get` and `create` on `pods/exec` in namespace kube-system";
    let costs =
        format!("  - {kube_system}: it costs 4 checks (host-ping, dns-conntrack, external-conntrack, dns-backends)");
    assert!(text.contains(&costs), "{text}");
    assert!(
        text.contains(&format!("What would settle it\n  1. {kube_system} (`staledp rbac diagnose` prints the role)"))
    );
    // Once in the summary of the verdict, once with its costs, once as the first thing that would settle it.
    assert!(text.matches(kube_system).count() <= 3, "{text}");
}

#[test]
fn an_empty_403_is_not_taken_for_a_missing_right() {
    let mut world = healthy();
    world.fault(Fault::new("*/exec", FaultKind::Answer(Answer::empty(403))));
    let (_api, outcome) = prusik(world, &[]);
    let report = outcome.exits(4).report();
    assert_eq!(report.code("prusik"), "evidence-missing");
    unknown_reason(report.check("prusik", "dns-conntrack"));
}

#[test]
fn a_frozen_kubelet_is_waited_for_once() {
    // By the handshake's own limit, by that of a request, and by the node's.
    for (args, limit) in [(&[][..], 8), (&["--request-timeout", "3s"], 3), (&["--timeout", "2s"], 2)] {
        let mut world = healthy();
        world.kubelet("prusik", Kubelet::Frozen);
        let api = ApiServer::start(world);
        let kubeconfig = api.kubeconfig();
        let run = diagnose(&kubeconfig, &[&["--node", "prusik"], args].concat()).deadline(SOON);
        let outcome = run.run().exits(4);
        let report = outcome.report();
        assert_eq!(report.code("prusik"), "evidence-missing");
        assert!(outcome.elapsed < Duration::from_secs(limit + 4), "{args:?}: {:?}", outcome.elapsed);
        let reason = unknown_reason(report.check("prusik", "dns-conntrack"));
        if args.first() != Some(&"--timeout") {
            assert!(reason.contains(&format!("the kubelet did not answer within {limit}s")), "{reason}");
            // The ping, the counters and a pod's three probes are asked side by side.
            assert_eq!(api.execs_on("prusik").len(), 5, "nothing further is asked of it");
        }
    }
}

#[test]
fn a_busy_kubelet_that_answers_late_is_no_dead_one() {
    let mut world = healthy();
    let late = |seconds| ExecReply::prints("").handshake_delayed(Duration::from_secs(seconds));
    let pod = Pods::named("apps/web-1");
    world.on_exec(pod.clone(), &["wget"], late(4));
    let (api, outcome) = prusik(world, &["--timeout", "40s"]);
    assert_eq!(outcome.exits(0).report().code("prusik"), "healthy");
    assert!(api.execs_on("prusik").len() > 3);

    // One answer that is too late costs the verdict, and makes no wrong one, whatever was seen before.
    for scene in [Scene::healthy(), Scene::stale()] {
        let mut world = scene.world();
        world.on_exec(pod.clone(), &["nslookup"], late(20));
        let (_api, outcome) = prusik(world, &["--timeout", "40s"]);
        let outcome = outcome.exits(4);
        let report = outcome.report();
        assert_eq!(report.code("prusik"), "evidence-missing");
        let reason = unknown_reason(report.check("prusik", "dns-conntrack"));
        assert!(reason.contains("did not answer within 8s") && reason.contains("run again"), "{reason}");
        assert!(outcome.elapsed < Duration::from_secs(25), "{:?}", outcome.elapsed);
    }
}

#[test]
fn a_frozen_kubelet_does_not_hold_up_the_other_nodes() {
    let mut world = Scene::new(&[("prusik", Health::Fine), ("vienna", Health::Fine)]).world();
    world.kubelet("prusik", Kubelet::Frozen);
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let run = diagnose(&kubeconfig, &["--all-nodes", "--timeout", PATIENCE]).deadline(SOON);
    let report = run.run().exits(4).report();
    assert_eq!((report.code("prusik"), report.code("vienna")), ("evidence-missing", "healthy"));
}

#[test]
fn a_dead_kubelet_is_told_at_once() {
    let mut world = healthy();
    world.kubelet("prusik", Kubelet::Dead);
    let (_api, outcome) = prusik(world, &["--timeout", "50s"]);
    let outcome = outcome.exits(4);
    assert_eq!(outcome.report().code("prusik"), "evidence-missing");
    assert!(outcome.elapsed < Duration::from_secs(20), "{:?}", outcome.elapsed);
}

#[test]
fn a_dump_that_ends_without_its_status_is_truncated_however_it_ends() {
    for end in [End::CloseWithoutStatus, End::Drop, End::MidFrame] {
        let (_api, outcome) = prusik(healthy_with_dump(end.clone()), &[]);
        let report = outcome.exits(4).report();
        assert_eq!(report.code("prusik"), "evidence-truncated", "{end:?}: {:#}", report.node("prusik"));
        unknown_reason(report.check("prusik", "dns-conntrack"));
    }
}

#[test]
fn a_dump_whose_connection_is_reset_is_no_verdict() {
    let (_api, outcome) = prusik(healthy_with_dump(End::Reset), &[]);
    // A reset throws away what is under way, possibly all of it.
    let report = outcome.exits(4).report();
    assert!(matches!(report.code("prusik"), "evidence-truncated" | "evidence-missing"), "{}", report.code("prusik"));
}

#[test]
fn a_dump_that_falls_silent_costs_the_deadline_and_no_more() {
    for world in [healthy_with_dump(End::Silence), {
        let mut world = healthy();
        world.on_exec(Pods::agent("prusik"), &DUMP, ExecReply::silent());
        world
    }] {
        let api = ApiServer::start(world);
        let kubeconfig = api.kubeconfig();
        let run = diagnose(&kubeconfig, &["--node", "prusik", "--timeout", PATIENCE]).deadline(SOON);
        let outcome = run.run().exits(4);
        let report = outcome.report();
        assert!(
            matches!(report.code("prusik"), "evidence-truncated" | "evidence-missing"),
            "{}",
            report.code("prusik")
        );
        unknown_reason(report.check("prusik", "dns-conntrack"));
        assert!(outcome.elapsed < Duration::from_secs(12), "--timeout {PATIENCE} was kept: {:?}", outcome.elapsed);
    }
}

#[test]
fn a_dump_that_fails_half_way_is_no_verdict() {
    let (_api, outcome) = prusik(healthy_with_dump(End::Exit(1)), &[]);
    let report = outcome.exits(4).report();
    unknown_reason(report.check("prusik", "dns-conntrack"));
}

#[test]
fn slow_answers_are_waited_for() {
    let mut world = healthy_with_dump(End::Exit(0));
    let late = Duration::from_millis(1500);
    if let Some(rule) = world.execs.last_mut() {
        rule.reply = rule.reply.clone().delayed(late).handshake_delayed(late);
    }
    world.fault(Fault::new("/api/v1/*", FaultKind::Delay(Duration::from_millis(200))));
    let (_api, outcome) = prusik(world, &[]);
    assert_eq!(outcome.exits(0).report().code("prusik"), "healthy");
}

#[test]
fn a_pod_that_cannot_be_asked_is_followed_by_the_next() {
    let mut world = healthy();
    // The list still says that it runs.
    let gone = Answer::text(500, "container not found (\"main\")");
    world.fault(Fault::new("*/namespaces/apps/pods/app-1-1/exec", FaultKind::Answer(gone)));
    world.on_exec(Pods::Any, &["wget"], ExecReply::prints(""));
    world.on_exec(Pods::Any, &["nslookup"], ExecReply::prints("Address: 10.43.0.1\n"));
    let (api, outcome) = prusik(world, &[]);
    let report = outcome.exits(0).report();
    assert_eq!(report.check("prusik", "pod-egress")["status"], "pass");
    let calls = api.execs();
    let asked: BTreeSet<_> = calls.iter().map(|call| &call.pod).filter(|pod| **pod != agent("prusik")).collect();
    assert!(asked.contains(&"app-1-1".to_owned()) && asked.len() == 2, "the oldest first, then the next: {asked:?}");
}

#[test]
fn at_most_three_pods_are_asked_to_probe() {
    let mut world = healthy();
    for word in ["wget", "curl", "nslookup"] {
        world.on_exec(Pods::Any, &[word], ExecReply::missing());
    }
    let (api, outcome) = prusik(world, &[]);
    let report = outcome.exits(4).report();
    assert_eq!(report.code("prusik"), "evidence-missing");
    unknown_reason(report.check("prusik", "pod-egress"));
    let calls = api.execs();
    let asked: Vec<_> = calls.iter().filter(|call| call.pod != agent("prusik")).map(|call| &call.pod).collect();
    assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), 3, "{asked:?}");
    assert_eq!(asked.len(), 3, "and each of them once: {asked:?}");
}

#[test]
fn completed_pods_are_no_reason_to_give_up() {
    let mut world = healthy();
    for i in 1..12 {
        world.complete(&format!("apps/app-1-{i}"));
    }
    let (_api, outcome) = prusik(world, &[]);
    let report = outcome.exits(0).report();
    assert_eq!(report.check("prusik", "pod-egress")["data"]["probes"][0]["pod"], "web-1");
}

#[test]
fn a_pod_with_curl_only_can_probe() {
    let mut world = healthy();
    world.on_exec(Pods::Any, &["wget"], ExecReply::missing());
    world.on_exec(Pods::Any, &["curl"], ExecReply::prints(""));
    let (_api, outcome) = prusik(world, &[]);
    let report = outcome.exits(0).report();
    let check = report.check("prusik", "pod-egress");
    assert_eq!((&check["status"], &check["data"]["probes"][0]["tool"]), (&json!("pass"), &json!("curl")), "{check:#}");
}

#[test]
fn a_named_probe_pod_is_the_one_that_is_asked() {
    let mut world = healthy();
    world.on_exec(Pods::named("apps/app-1-7"), &["wget"], ExecReply::prints(""));
    world.on_exec(Pods::named("apps/app-1-7"), &["nslookup"], ExecReply::prints("Address: 10.43.0.1\n"));
    let (api, outcome) = prusik(world, &["--probe-pod", "apps/app-1-7"]);
    let report = outcome.exits(0).report();
    assert_eq!(report.check("prusik", "pod-egress")["data"]["probes"][0]["pod"], "app-1-7");
    assert!(api.execs().iter().all(|call| call.namespace != "apps" || call.pod == "app-1-7"));
}

#[test]
fn pods_without_a_shell_are_followed_by_the_next_and_the_last_and_an_agent_are_asked() {
    let mut world = healthy();
    world.on_exec(Pods::Any, &["sh"], ExecReply::missing());
    let (api, outcome) = prusik(world, &[]);
    let report = outcome.exits(4).report();
    assert_eq!(report.check("prusik", "host-ping")["status"], "pass", "by the agent's own ping");
    let reason = unknown_reason(report.check("prusik", "pod-egress"));
    assert!(reason.contains("none of the 3 pods that were tried has a tool"), "{reason}");
    assert_eq!(report.check("prusik", "dns-conntrack")["status"], "pass", "uncompressed");
    let mut asked = std::collections::BTreeMap::new();
    api.execs().into_iter().filter(|call| call.pod != agent("prusik")).for_each(|call| {
        *asked.entry(call.pod).or_insert(0) += 1;
    });
    let once = asked.values().filter(|times| **times == 1).count();
    assert_eq!((asked.len(), once), (3, 2), "the last one is asked tool by tool: {asked:?}");
}

#[test]
fn containers_without_timeout_can_be_asked_all_the_same() {
    let mut world = healthy();
    world.on_exec(Pods::Any, &["timeout"], ExecReply::missing());
    let (_api, outcome) = prusik(world, &[]);
    assert_eq!(outcome.exits(0).report().code("prusik"), "healthy");
}

#[test]
fn an_old_agent_is_asked_by_the_old_name() {
    let (_api, outcome) = prusik(World { agent_tool: AgentTool::CiliumOnly, ..healthy() }, &[]);
    assert_eq!(outcome.exits(0).report().code("prusik"), "healthy");
}

#[test]
fn an_agent_without_its_tool_is_missing_evidence() {
    let mut world = healthy();
    world.on_exec(Pods::agent("prusik"), &["cilium-dbg"], ExecReply::missing());
    world.containerd = Containerd::V2;
    let (_api, outcome) = prusik(world, &[]);
    let report = outcome.exits(4).report();
    assert_eq!(report.code("prusik"), "evidence-missing");
    unknown_reason(report.check("prusik", "dns-conntrack"));
}

#[test]
fn a_server_of_1_20_is_spoken_to_in_v4() {
    let world = World { protocols: Protocols::V4Only, containerd: Containerd::V2, ..healthy() };
    let (_api, outcome) = prusik(world, &[]);
    assert_eq!(outcome.exits(0).report().code("prusik"), "healthy");
}

#[test]
fn an_agent_with_a_sidecar_is_asked_in_the_right_container() {
    let mut world = healthy();
    let sidecar = json!({"name": "aaa-sidecar", "image": "img"});
    let containers = &mut world.pod_mut("kube-system/cilium-swmbt")["spec"]["containers"];
    containers.as_array_mut().expect("containers").insert(0, sidecar);
    let (api, outcome) = prusik(world, &[]);
    assert_eq!(outcome.exits(0).report().code("prusik"), "healthy");
    let containers = api.execs().into_iter().filter(|call| call.pod == "cilium-swmbt").map(|call| call.container);
    assert!(containers.into_iter().all(|name| name.as_deref() == Some("cilium-agent")));
}

#[test]
fn an_api_that_is_down_ends_with_5() {
    // Bound and not listening: the port is refused, and nobody else can be given it meanwhile.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port on loopback");
    let address = socket.local_addr().expect("an address");
    let outcome = diagnose(&Kubeconfig::new(address, &["grigri"]), &["--node", "prusik"]).run().exits(5);
    assert!(outcome.stderr.contains(&address.to_string()), "who was not reached: {}", outcome.stderr);
}

#[test]
fn an_api_that_says_nothing_ends_with_5_within_the_request_timeout() {
    let mut world = healthy();
    world.fault(Fault::new("*", FaultKind::Silence));
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let run = diagnose(&kubeconfig, &["--node", "prusik", "--request-timeout", "2s"]).deadline(SOON);
    run.run().exits(5);
}

#[test]
fn an_api_that_knows_nobody_ends_with_5() {
    let mut world = healthy();
    world.fault(Fault::status("*", 401, "Unauthorized", "Unauthorized"));
    let (_api, outcome) = prusik(world, &[]);
    let outcome = outcome.exits(5);
    assert!(outcome.stderr.to_lowercase().contains("unauthorized"), "{}", outcome.stderr);
}

#[test]
fn a_throttled_greeting_is_no_reason_to_give_up() {
    let mut world = healthy();
    world.fault(Fault::too_many("/version", "1").times(1));
    let (_api, outcome) = prusik(world, &[]);
    assert_eq!(outcome.exits(0).report().code("prusik"), "healthy");
}

#[test]
fn a_throttled_list_is_asked_for_again() {
    let mut world = healthy();
    for path in ["/api/v1/nodes", "/api/v1/pods", "*/services", "*/endpointslices"] {
        world.fault(Fault::too_many(path, "1").times(1));
    }
    let (_api, outcome) = prusik(world, &[]);
    assert_eq!(outcome.exits(0).report().code("prusik"), "healthy");
}

#[test]
fn events_that_cannot_be_had_change_no_verdict() {
    for fault in [
        Fault::new("*/events", FaultKind::Forbidden("viewer".to_owned())),
        Fault::status("*/events", 503, "ServiceUnavailable", "the server is currently unable to handle the request"),
        Fault::new("*/events", FaultKind::Reset),
    ] {
        let mut world = healthy();
        world.fault(fault);
        let (_api, outcome) = prusik(world, &[]);
        assert_eq!(outcome.exits(0).report().code("prusik"), "healthy");
    }
}

#[test]
fn a_pod_list_of_one_namespace_is_noted_and_calls_no_pod_gone() {
    let mut world = Scene::stale().world();
    world.fault(Fault::new("/api/v1/pods", FaultKind::Forbidden("viewer".to_owned())));
    let (_api, outcome) = prusik(world, &["--node", "brno", "--node", "vienna"]);
    let report = outcome.report();
    let notes = report.0["notes"].as_array().expect("notes").iter().filter_map(Value::as_str);
    let partial: Vec<&str> = notes.filter(|note| note.contains("pods of namespace kube-system")).collect();
    assert_eq!(partial.len(), 1, "{:#}", report.0["notes"]);
    assert!(partial[0].contains("staledp rbac diagnose"), "{partial:?}");
    let whole = prusik(Scene::stale().world(), &[]).1.report();
    let live = |report: &Report| report.check("prusik", "dns-conntrack")["data"]["live"].clone();
    assert_eq!(live(&report), live(&whole), "pods that are not listed are counted all the same");
    assert_ne!(report.node("prusik")["verdict"]["kind"], "healthy");
}

#[test]
fn endpoint_slices_that_cannot_be_had_leave_the_backends_unknown() {
    let mut world = healthy();
    world.fault(Fault::new("*/endpointslices", FaultKind::Forbidden("viewer".to_owned())));
    let (_api, outcome) = prusik(world, &[]);
    let report = outcome.exits(4).report();
    let reason = unknown_reason(report.check("prusik", "dns-backends"));
    assert!(reason.contains("endpointslices"), "{reason}");
}

#[test]
fn a_big_cluster_is_read_to_its_last_page() {
    let mut world = healthy();
    let template = world.pod("apps", "web-1").expect("a pod").clone();
    // They sort before the pods that matter, so whoever stops at the first page finds no agent.
    for i in 0..2500 {
        let mut pod = template.clone();
        pod["metadata"]["namespace"] = "aaa".into();
        pod["metadata"]["name"] = format!("other-{i}").into();
        pod["metadata"]["uid"] = format!("uid-other-{i}").into();
        pod["spec"]["nodeName"] = "elsewhere".into();
        world.pods.push(pod);
    }
    world.fault(Fault::new("/api/v1/pods", FaultKind::Expired).times(1));
    let (api, outcome) = prusik(world, &[]);
    assert_eq!(outcome.exits(0).report().code("prusik"), "healthy");
    assert!(api.writes().is_empty());
}

#[test]
fn acting_as_somebody_else_is_sent_with_every_request() {
    let (api, outcome) = prusik(healthy(), &["--as", "alice", "--as-group", "oncall"]);
    outcome.exits(0);
    let requests = api.requests();
    assert!(requests.iter().any(|request| request.exec.is_some()));
    for request in requests {
        assert_eq!(request.headers.get("impersonate-user").map(String::as_str), Some("alice"), "{}", request.path);
        assert_eq!(request.headers.get("impersonate-group").map(String::as_str), Some("oncall"), "{}", request.path);
    }
}

#[test]
fn the_kubeconfig_may_come_from_the_environment() {
    let api = ApiServer::start(healthy());
    let kubeconfig = api.kubeconfig();
    let run = staledp(["diagnose", "--node", "prusik", "--no-ssh", "-o", "json"]);
    let outcome = run.env("KUBECONFIG", &kubeconfig.path()).run();
    assert_eq!(outcome.exits(0).report().code("prusik"), "healthy");
    staledp(["diagnose", "--node", "prusik", "--no-ssh"]).run().exits(5);
}

/// As kubectl has it: clusters of kind and tunnels are on loopback, and no proxy can reach them.
#[test]
fn a_server_on_loopback_is_asked_without_the_proxy_of_the_environment() {
    let api = ApiServer::start(healthy());
    let kubeconfig = api.kubeconfig();
    // Nothing listens on port 9; whoever asks there is refused.
    let proxied = diagnose(&kubeconfig, &["--node", "prusik"]).env("HTTPS_PROXY", "http://127.0.0.1:9");
    assert_eq!(proxied.run().exits(0).report().code("prusik"), "healthy");
}

#[test]
fn an_interrupt_ends_with_130() {
    let mut world = healthy();
    world.on_exec(Pods::agent("prusik"), &DUMP, ExecReply::silent());
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let running = diagnose(&kubeconfig, &["--node", "prusik", "--timeout", "50s"]).start();
    api.wait_until(Duration::from_secs(30), |requests| {
        requests.iter().filter_map(|request| request.exec.as_ref()).any(|call| call.argv.iter().any(|w| w == "ct"))
    });
    running.interrupt();
    let outcome = running.wait().exits(130);
    assert!(outcome.elapsed < Duration::from_secs(40), "{:?}", outcome.elapsed);
}

#[test]
fn a_flood_on_standard_error_drowns_nothing() {
    let mut world = healthy_with_dump(End::Exit(0));
    if let Some(rule) = world.execs.last_mut() {
        rule.reply =
            rule.reply.clone().stderr(Output::lines(100_000, |i| format!("level=warning msg=\"noise {i}\"\n")));
    }
    let (_api, outcome) = prusik(world, &[]);
    let outcome = outcome.exits(0);
    assert_eq!(outcome.report().code("prusik"), "healthy");
}

/// Slow: the dump of a full table, as a debug build reads it.
#[test]
fn slow_a_dump_of_150_mb_is_read_in_little_more_memory_than_a_small_one() {
    const BYTES: u64 = 150_000_000;
    const MORE_KIB: u64 = 16 << 10;
    let look = |lines: u64| {
        let mut world = healthy();
        world.on_exec(Pods::agent("prusik"), &DUMP, ExecReply::prints(Output::lines(lines, answered_lookup)));
        let api = ApiServer::start(world);
        let kubeconfig = api.kubeconfig();
        let run = diagnose(&kubeconfig, &["--node", "prusik", "--timeout", "280s", "--no-compress"]);
        let outcome = run.deadline(Duration::from_secs(300)).run();
        let report = outcome.report();
        let data = &report.check("prusik", "dns-conntrack")["data"];
        assert_eq!(data["entries"], lines, "every line was counted: {data:#}");
        (outcome.peak_kib, outcome.elapsed)
    };
    let lines = BYTES / answered_lookup(0).len() as u64;
    let ((small, _), (large, took)) = (look(1000), look(lines));
    match small.zip(large) {
        Some((small, large)) => assert!(large < small + MORE_KIB, "{large} KiB, not {small} KiB, in {took:?}"),
        None => eprintln!("skipped: the system does not tell a process's peak memory"),
    }
    eprintln!("{lines} lines in {took:?}, peak memory {large:?} KiB, of a small dump {small:?} KiB");
}
