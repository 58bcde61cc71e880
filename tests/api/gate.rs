//! `staledp gate` against a cluster that is being upgraded: it waits until nodes have settled, tells the nodes that are
//! worse, and never says "no worse" of what it did not see.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::Value;
use staledp::base::clock;
use staledp::cli::gate::LOOP;

use super::fix::granted;
use crate::pipe::{end, full_pipe, send, wait_until_it_handles_signals};
use crate::support::api::{ApiServer, Kubeconfig};
use crate::support::run::{Outcome, Run, staledp};
use crate::support::scenes::{Health, Scene, agent};
use crate::support::world::{ExecReply, Kubelet, Pods, World};

const NODES: [&str; 3] = ["prusik", "vienna", "brno"];
const PATIENCE: Duration = Duration::from_secs(60);

fn fine() -> World {
    Scene::new(&NODES.map(|node| (node, Health::Fine))).world()
}

/// A cluster with the report of its nodes before anything was done.
struct Rollout {
    api: ApiServer,
    kubeconfig: Kubeconfig,
    _folder: tempfile::TempDir,
    before: String,
}

impl Rollout {
    fn of(world: World) -> Self {
        let api = ApiServer::start(world);
        let (kubeconfig, folder) = (api.kubeconfig(), tempfile::tempdir().expect("a folder"));
        let path = kubeconfig.path();
        let report = staledp(["diagnose", "--kubeconfig", &path, "--no-ssh", "--all-nodes", "-o", "json"]).run();
        let before = folder.path().join("before.json");
        fs::write(&before, report.stdout).expect("a file");
        // Agents that start from now on start later than the baseline, by whole seconds.
        std::thread::sleep(Duration::from_millis(1100));
        Self { api, kubeconfig, before: before.display().to_string(), _folder: folder }
    }

    fn gate(&self, args: &[&str]) -> Run {
        let path = self.kubeconfig.path();
        let mut all = vec!["gate", "--before", &self.before, "--kubeconfig", &path, "--no-ssh"];
        for (option, value) in [("--settle", "1s"), ("-o", "json"), ("--wait", "20s")] {
            if !args.contains(&option) {
                all.extend([option, value]);
            }
        }
        all.extend(args);
        staledp(all)
    }

    /// The node has a new agent from now on.
    fn restart(&self, node: &str, is_ready: bool) {
        self.api.change(|world| restart(world, node, is_ready));
    }
}

fn restart(world: &mut World, node: &str, is_ready: bool) {
    let now = clock::now().to_string();
    let pod = world.pod_mut(&format!("kube-system/{}", agent(node)));
    pod["metadata"]["uid"] = format!("uid-new-{node}").into();
    pod["metadata"]["creationTimestamp"] = now.clone().into();
    pod["status"]["startTime"] = now.clone().into();
    pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] = now.into();
    ready(pod, is_ready);
}

fn ready(pod: &mut Value, is_ready: bool) {
    pod["status"]["conditions"][0]["status"] = if is_ready { "True" } else { "False" }.into();
    pod["status"]["containerStatuses"][0]["ready"] = is_ready.into();
}

fn names(report: &Value, key: &str) -> Vec<String> {
    let text = |value: &Value| value["node"].as_str().or(value.as_str()).expect("a name").to_owned();
    report[key].as_array().expect("a list").iter().map(text).collect()
}

/// What the gate says of a node.
#[track_caller]
fn said(outcome: &Outcome, node: &str) -> (String, String) {
    let report = outcome.report();
    let text = |key: &str| report.node(node)[key].as_str().expect("text").to_owned();
    (text("result"), text("says"))
}

#[test]
fn healthy_node_with_a_new_agent_is_no_worse_and_only_it_is_judged() {
    let rollout = Rollout::of(fine());
    rollout.restart("prusik", true);
    let before = rollout.api.execs().len();
    let outcome = rollout.gate(&[]).run().exits(0);
    let report = outcome.report().0;
    assert_eq!(
        (names(&report, "nodes"), names(&report, "unchanged")),
        (vec!["prusik".into()], vec!["brno".into(), "vienna".into()])
    );
    assert_eq!(said(&outcome, "prusik"), ("no-worse".into(), "healthy before and now".into()));
    let node = &report["nodes"][0];
    assert_eq!((&node["agent_changed"], &report["summary"]["unchanged"]), (&true.into(), &2.into()));
    assert!(node["chosen"].as_str().is_some_and(|why| why.starts_with("its agent cilium-swmbt started 2")), "{node}");
    let asked: Vec<String> = rollout.api.execs().into_iter().skip(before).map(|call| call.node).collect();
    assert!(!asked.is_empty() && asked.iter().all(|node| node == "prusik"), "{asked:?}");
    assert!(rollout.api.writes().is_empty());
}

#[test]
fn node_that_went_stale_is_worse_and_the_checks_are_named_with_both_values() {
    let rollout = Rollout::of(fine());
    rollout.restart("prusik", true);
    rollout.api.change(|world| world.execs = Scene::stale().world().execs);
    // An agent in its first five minutes may still be at work, so it is older here.
    rollout.api.change(|world| {
        let pod = world.pod_mut("kube-system/cilium-swmbt");
        pod["metadata"]["name"] = "cilium-new".into();
        pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] = "2026-06-01T00:00:00Z".into();
        pod["status"]["startTime"] = "2026-06-01T00:00:00Z".into();
    });
    let outcome = rollout.gate(&[]).run().exits(1);
    let report = outcome.report();
    let node = report.node("prusik");
    assert_eq!((&node["result"], &node["before"]["code"]), (&"worse".into(), &"healthy".into()));
    assert_eq!(node["after"]["code"], "stale-datapath");
    let worse = node["worse"].as_array().expect("changes");
    let dns = worse.iter().find(|change| change["what"] == "dns-conntrack.status").expect("the check");
    assert_eq!((&dns["before"], &dns["after"]), (&"pass".into(), &"fail".into()));
    assert_eq!(node["next"][0], "staledp diagnose --context=grigri --node prusik");
    let table = rollout.gate(&["-o", "table"]).run().exits(1).stdout;
    for words in ["prusik  worse", "verdict ", "dns-conntrack ", "\nNext: staledp diagnose", "\nWorse: 1 node judged\n"]
    {
        assert!(table.contains(words), "{words:?}:\n{table}");
    }
    assert_eq!(rollout.gate(&["-o", "name"]).run().exits(1).stdout, "node/prusik\n");
}

#[test]
fn node_that_does_not_answer_cannot_be_told() {
    let rollout = Rollout::of(fine());
    rollout.restart("vienna", true);
    rollout.api.change(|world| {
        world.kubelet("vienna", Kubelet::Dead);
    });
    let outcome = rollout.gate(&["--timeout", "10s"]).run().exits(4);
    let (result, says) = said(&outcome, "vienna");
    assert_eq!(result, "cannot-tell");
    assert!(says.starts_with("healthy before, evidence-missing now"), "{says}");
}

#[test]
fn faulty_node_that_is_not_in_the_baseline_cannot_be_told_and_a_healthy_one_is_no_worse() {
    let mut world = Scene::stale().world();
    let pods = world.pods.clone();
    let others = |value: &Value| !value.to_string().contains("prusik") && !value.to_string().contains("brno");
    let nodes = world.nodes.clone();
    world.nodes.retain(others);
    let rollout = Rollout::of(world);
    rollout.api.change(|world| (world.nodes, world.pods) = (nodes, pods));
    let outcome = rollout.gate(&[]).run().exits(4);
    let (result, says) = said(&outcome, "prusik");
    assert_eq!(result, "cannot-tell");
    assert!(says.starts_with("stale-datapath now, and not in the baseline"), "{says}");
    assert_eq!(said(&outcome, "brno"), ("no-worse".into(), "healthy now; it is not in the baseline".into()));
}

#[test]
fn waits_until_the_agent_is_ready_and_old_enough_before_it_asks_the_node() {
    let rollout = Rollout::of(fine());
    rollout.restart("prusik", false);
    let before = rollout.api.execs().len();
    let running = rollout.gate(&["--settle", "8s"]).start();
    running.wait_until_it_says(PATIENCE, "prusik: its agent cilium-swmbt is not ready");
    rollout.restart("prusik", true);
    let restarted = Instant::now();
    // The lists are read every three seconds, so an agent is seen before it is old enough.
    running.wait_until_it_says(PATIENCE, "prusik: its agent cilium-swmbt has run for less than 8 s");
    assert_eq!(rollout.api.execs().len(), before, "nothing is asked of a node that has not settled");
    rollout.api.wait_until(PATIENCE, |requests| requests.iter().filter(|r| r.exec.is_some()).count() > before);
    // The start is known to the second.
    assert!(restarted.elapsed() > Duration::from_secs(6), "{:?}", restarted.elapsed());
    let outcome = running.wait().exits(0);
    assert!(outcome.stderr.contains("prusik: settled\n"), "{}", outcome.stderr);
    assert!(outcome.report().0["waited_s"].as_u64().is_some_and(|waited| waited >= 6));
}

#[test]
fn wait_that_ends_cannot_tell_and_says_what_was_waited_for() {
    let rollout = Rollout::of(fine());
    rollout.restart("prusik", false);
    let outcome = rollout.gate(&["--wait", "2s"]).run().exits(4);
    let (result, says) = said(&outcome, "prusik");
    assert_eq!(result, "cannot-tell");
    assert!(says.contains("it has not settled: its agent cilium-swmbt is not ready"), "{says}");
    assert!(outcome.stderr.contains("waiting at most 2s until the nodes have settled\n"), "{}", outcome.stderr);
}

#[test]
fn agent_that_does_not_come_back_is_worse_when_the_wait_ends() {
    let rollout = Rollout::of(fine());
    rollout.api.change(|world| {
        let pod = world.pod_mut("kube-system/cilium-swmbt");
        pod["status"]["containerStatuses"][0]["state"] = serde_json::json!({"waiting": {"reason": "CrashLoopBackOff"}});
        ready(pod, false);
    });
    let outcome = rollout.gate(&["--wait", "2s"]).run().exits(1);
    let (result, says) = said(&outcome, "prusik");
    assert_eq!(result, "worse");
    assert!(says.starts_with("healthy before, agent-not-running now"), "{says}");
}

#[test]
fn young_agent_in_trouble_is_looked_at_again_and_cannot_be_told() {
    let rollout = Rollout::of(fine());
    rollout.restart("prusik", true);
    rollout.api.change(|world| world.execs = Scene::stale().world().execs);
    let outcome = rollout.gate(&["--wait", "9s"]).run().exits(4);
    let (result, says) = said(&outcome, "prusik");
    assert_eq!(result, "cannot-tell");
    assert!(says.starts_with("agent-starting now"), "{says}");
    assert!(outcome.stderr.contains("has run for less than 300 s"), "{}", outcome.stderr);
}

#[test]
fn nodes_that_join_while_it_waits_are_judged_and_an_unfinished_rollout_is_noted() {
    let mut world = fine();
    for node in NODES {
        world.pod_mut(&format!("kube-system/{}", agent(node)))["metadata"]["labels"]["controller-revision-hash"] =
            "old".into();
    }
    let rollout = Rollout::of(world);
    let upgrade = |node: &str, is_ready: bool| {
        rollout.api.change(|world| {
            restart(world, node, is_ready);
            let pod = world.pod_mut(&format!("kube-system/{}", agent(node)));
            pod["metadata"]["labels"]["controller-revision-hash"] = "new".into();
        });
    };
    upgrade("prusik", false);
    let running = rollout.gate(&["--settle", "2s"]).start();
    running.wait_until_it_says(PATIENCE, "prusik: its agent cilium-swmbt is not ready");
    upgrade("brno", true);
    rollout.api.change(|world| ready(world.pod_mut("kube-system/cilium-swmbt"), true));
    let report = running.wait().exits(0).report().0;
    assert_eq!(names(&report, "nodes"), ["brno", "prusik"]);
    let note = "1 agent that did not change is of another revision than those judged: the rollout is not over";
    assert_eq!(report["notes"][0], note);
}

#[test]
fn rollout_that_begins_late_is_waited_for() {
    let rollout = Rollout::of(fine());
    let running = rollout.gate(&[]).start();
    running.wait_until_it_says(PATIENCE, "no node has changed yet: waiting at most 20s for the first");
    rollout.restart("vienna", true);
    assert_eq!(names(&running.wait().exits(0).report().0, "nodes"), ["vienna"]);
}

#[test]
fn nothing_that_changed_is_not_called_no_worse() {
    let rollout = Rollout::of(fine());
    let table = rollout.gate(&["--wait", "1s", "-o", "table"]).run().exits(4).stdout;
    assert!(table.contains("\nNot judged, because they did not change: brno, prusik, vienna\n"), "{table}");
    assert!(table.contains("\nCannot tell: no node was judged, because none changed since 2"), "{table}");
}

#[test]
fn nodes_are_chosen_by_name_by_labels_and_by_the_time_of_their_change() {
    let rollout = Rollout::of(fine());
    rollout.restart("prusik", true);
    rollout.api.change(|world| world.nodes[1]["metadata"]["labels"]["pool"] = "b".into());
    let judged = |args: &[&str], code: i32| names(&rollout.gate(args).run().exits(code).report().0, "nodes");
    assert_eq!(judged(&["vienna", "brno"], 0), ["brno", "vienna"]);
    assert_eq!(judged(&["-l", "pool=b"], 0), ["vienna"]);
    assert_eq!(judged(&["--since", "1h"], 0), ["prusik"]);
    assert_eq!(judged(&["--since", "2020-01-01T00:00:00Z"], 0), ["brno", "prusik", "vienna"]);
    assert_eq!(judged(&["--since", "1h", "--exclude-node", "prusik", "--wait", "1s"], 4), Vec::<String>::new());
    assert_eq!(judged(&["-l", "pool=c"], 4), Vec::<String>::new());
    let same = rollout.gate(&["vienna", "-o", "table"]).run().exits(0).stdout;
    assert!(same.contains("healthy before and now (the agent of the baseline still runs)"), "{same}");
    let unknown = rollout.gate(&["prusk"]).run().exits(2);
    assert!(unknown.stderr.contains("no node named 'prusk'"), "{}", unknown.stderr);
    rollout.gate(&["prusik", "--since", "1h"]).run().exits(2);
}

#[test]
fn node_that_is_gone_cannot_be_told_where_it_was_named_and_is_listed_else() {
    let rollout = Rollout::of(fine());
    rollout.restart("prusik", true);
    rollout.api.change(|world| {
        world.nodes.retain(|node| node["metadata"]["name"] != "brno");
        world.pods.retain(|pod| pod["spec"]["nodeName"] != "brno");
    });
    let report = rollout.gate(&[]).run().exits(0).report().0;
    assert_eq!((names(&report, "nodes"), names(&report, "gone")), (vec!["prusik".into()], vec!["brno".into()]));
    let named = rollout.gate(&["prusik", "brno"]).run().exits(4);
    assert_eq!(said(&named, "brno"), ("cannot-tell".into(), "it is in the baseline, and not there any more".into()));
    assert_eq!(said(&named, "prusik").0, "no-worse");
}

#[test]
fn api_server_that_is_away_while_it_waits_is_asked_again() {
    use crate::support::world::{Fault, FaultKind};
    let rollout = Rollout::of(fine());
    rollout.restart("prusik", false);
    let running = rollout.gate(&[]).start();
    running.wait_until_it_says(PATIENCE, "prusik: its agent cilium-swmbt is not ready");
    rollout.api.change(|world| {
        world.fault(Fault::new("/api/v1/*", FaultKind::Reset).times(6));
        ready(world.pod_mut("kube-system/cilium-swmbt"), true);
    });
    let outcome = running.wait().exits(0);
    assert_eq!(said(&outcome, "prusik").0, "no-worse");
}

#[test]
fn rights_of_diagnose_are_enough_and_are_what_rbac_prints() {
    let rollout = Rollout::of(fine());
    rollout.restart("prusik", false);
    let roles = |command: &str| staledp(["rbac", command]).run().exits(0).stdout.replace(command, "COMMAND");
    assert_eq!(roles("gate"), roles("diagnose"));
    rollout.api.change(|world| world.writes.rights = Some(granted("gate")));
    let running = rollout.gate(&[]).start();
    running.wait_until_it_says(PATIENCE, "prusik: its agent cilium-swmbt is not ready");
    rollout.api.change(|world| ready(world.pod_mut("kube-system/cilium-swmbt"), true));
    running.wait().exits(0);
}

#[test]
fn signal_ends_the_wait_at_once() {
    for signal in ["INT", "TERM"] {
        let rollout = Rollout::of(fine());
        rollout.restart("prusik", false);
        let (mut child, _home) = rollout.gate(&[]).by_hand();
        wait_until_it_handles_signals(&child);
        let agents = |r: &crate::support::api::Logged| r.path == "/api/v1/pods" && r.query.contains("labelSelector");
        rollout.api.wait_until(PATIENCE, |requests| requests.iter().any(agents));
        send(&child, signal);
        let (code, took) = end(&mut child, PATIENCE);
        assert_eq!(code, Some(130), "{signal}");
        assert!(took < Duration::from_secs(1), "{signal}: {took:?}");
    }
}

#[test]
fn signal_while_nodes_are_judged_prints_what_is_known_and_never_no_worse_of_the_rest() {
    let rollout = Rollout::of(fine());
    rollout.restart("prusik", true);
    rollout.restart("vienna", true);
    rollout.api.change(|world| {
        world.on_exec(Pods::agent("vienna"), &["cilium-dbg", "bpf", "ct", "list", "global"], ExecReply::silent());
    });
    let running = rollout.gate(&["--timeout", "50s"]).start();
    rollout.api.wait_until(PATIENCE, |requests| {
        let on = |node: &str| {
            requests.iter().rev().take(60).filter(|r| r.exec.as_ref().is_some_and(|call| call.node == node)).count()
        };
        on("vienna") > 3 && on("prusik") > 7
    });
    std::thread::sleep(Duration::from_secs(2));
    running.interrupt();
    let outcome = running.wait().exits(130);
    let report = outcome.report().0;
    assert_eq!(report["partial"], true);
    assert_eq!(said(&outcome, "vienna").0, "cannot-tell");
}

#[test]
fn stalled_reader_is_interrupted_by_the_first_signal() {
    std::thread::scope(|scope| {
        for format in ["table", "json", "jsonl", "yaml", "name"] {
            scope.spawn(move || signal_ends_stalled(format));
        }
    });
}

fn signal_ends_stalled(format: &str) {
    let rollout = Rollout::of(fine());
    rollout.restart("prusik", true);
    rollout.api.change(|world| {
        world.kubelet("prusik", Kubelet::Dead);
    });
    let before = rollout.api.requests().len();
    let (writer, reader) = full_pipe();
    let (mut child, _home) = rollout.gate(&["-o", format, "--timeout", "5s"]).into_pipe(writer);
    wait_until_it_handles_signals(&child);
    rollout.api.wait_until(PATIENCE, |requests| requests.iter().skip(before).any(|r| r.exec.is_some()));
    std::thread::sleep(Duration::from_secs(8));
    assert!(child.try_wait().expect("a child").is_none(), "{format}: it waits for its reader");
    send(&child, "TERM");
    let (code, took) = end(&mut child, PATIENCE);
    assert_eq!(code, Some(130), "{format}");
    assert!(took < Duration::from_secs(1), "{format}: {took:?}");
    drop(reader);
}

/// `kubectl` as far as the loop needs it, over bash's own sockets.
fn kubectl(address: std::net::SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    let agents = NODES.map(|node| format!("  {node}) pod={} ;;\n", agent(node))).concat();
    format!(
        "#!/bin/bash\ncase \"$1 $2\" in\n'get nodes') printf 'node/%s\\n' {}; exit ;;\n'delete pod') ;;\n*) exit 9 ;;\nesac\n\
         selector=\"${{@: -1}}\"\ncase \"${{selector#spec.nodeName=}}\" in\n{agents}  *) exit 9 ;;\nesac\n\
         exec 3<>/dev/tcp/{host}/{port}\n\
         printf 'DELETE /api/v1/namespaces/kube-system/pods/%s HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nContent-Length: 0\\r\\n\\r\\n' \"$pod\" >&3\n\
         read -r -u 3 line\n[[ $line == *' 200 '* ]] && sleep 1.5\n",
        NODES.join(" ")
    )
}

/// The loop as it stands in help and manual page, with the program under its name on the PATH.
fn run_the_loop(world: World) -> (ApiServer, std::process::Output) {
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be run");
    };
    put("kubectl", &kubectl(api.address()));
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_staledp"), folder.path().join("staledp")).expect("a link");
    let out = std::process::Command::new("bash")
        .args(["-c", LOOP])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
        .env("HOME", folder.path())
        .env("KUBECONFIG", kubeconfig.path())
        .envs([("STALEDP_NO_SSH", "1"), ("STALEDP_SETTLE", "1s"), ("STALEDP_WAIT", "20s")])
        .current_dir(folder.path())
        .output()
        .expect("bash runs");
    (api, out)
}

fn deleted(api: &ApiServer) -> Vec<String> {
    let deletes = api.requests().into_iter().filter(|request| request.method == "DELETE");
    deletes.filter_map(|request| request.path.rsplit('/').next().map(str::to_owned)).collect()
}

#[test]
fn printed_loop_upgrades_node_by_node() {
    let mut world = fine();
    world.writes.ready_after = Duration::from_secs(2);
    let (api, out) = run_the_loop(world);
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert_eq!(deleted(&api), NODES.map(agent), "{said}");
    assert_eq!(said.matches("\nNo worse: 1 node judged\n").count(), 3, "{said}");
    let help = staledp(["gate", "--help"]).run().exits(0).stdout;
    let manual = staledp(["man"]).run().exits(0).stdout.replace("\\-", "-").replace("\\e", "\\");
    for line in LOOP.lines() {
        assert!(help.contains(&format!("\n  {line}\n")), "{line}");
        assert!(manual.contains(&format!("\\&  {line}\n")), "{line}\n{manual}");
    }
}

#[test]
fn printed_loop_stops_at_the_first_node_that_is_not_fine() {
    let mut world = fine();
    world.writes.ready_after = Duration::from_secs(2);
    world.writes.cure = Scene::stale().world().execs;
    let (api, out) = run_the_loop(world);
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    // The agent is in its first five minutes, so more than "cannot tell" would be too much.
    assert_eq!(out.status.code(), Some(4), "{said}");
    assert_eq!(deleted(&api), [agent("prusik")], "{said}");
}
