//! The README's table of commands is complete in both directions: every command that a test cluster saw is in it (each
//! [`ApiServer`] holds that at its end), and every command in it is one that the program really runs.

use std::collections::BTreeSet;
use std::time::Duration;

use super::fix::stale;
use crate::support::api::ApiServer;
use crate::support::commands::{plain, table};
use crate::support::packing::Packing;
use crate::support::run::staledp;
use crate::support::scenes::Scene;
use crate::support::world::{AgentTool, ExecReply, Pods, World};

/// An agent's counters, and what it says of drops.
const COUNTERS: &str = "REASON   DIRECTION   PACKETS   BYTES\nSuccess   EGRESS      900       9000\n";
const DROPS: &str = "Metric   Labels   Value\n";
/// What only SSH asks, and no test cluster sees; `tests/api/ssh.rs` does.
const OVER_SSH: &str = "cat /proc/mounts";

/// The commands that a run of the program asks this world's containers to run.
fn seen(world: World, command: &str, args: &[&str]) -> BTreeSet<String> {
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let path = kubeconfig.path();
    let mut words = vec![command, "--kubeconfig", &path, "--no-ssh", "--node", "prusik"];
    words.extend(args);
    let _ = staledp(words).deadline(Duration::from_secs(120)).run();
    api.execs().iter().flat_map(|call| plain(&call.argv)).collect()
}

/// A world whose agents have another release.
fn of_release(tag: &str, mut world: World) -> World {
    for pod in world.pods.iter_mut().filter(|pod| pod["metadata"]["labels"]["k8s-app"] == "cilium") {
        *pod = serde_json::from_str(&pod.to_string().replace(":v1.19.4", tag)).expect("JSON");
    }
    world.on_exec(Pods::Any, &["cilium-dbg", "bpf", "metrics", "list"], ExecReply::prints(COUNTERS));
    world.on_exec(Pods::Any, &["cilium-dbg", "metrics", "list", "-p", "drop"], ExecReply::prints(DROPS));
    world
}

#[test]
fn readme_lists_what_is_run_and_nothing_else() {
    let mut other_tools = Scene::stale().world();
    other_tools.on_exec(Pods::Any, &["ping"], ExecReply::missing());
    other_tools.on_exec(Pods::Any, &["wget"], ExecReply::missing());
    other_tools.on_exec(Pods::Any, &["nslookup"], ExecReply::missing());
    other_tools.on_exec(Pods::Any, &["getent"], ExecReply::prints("10.43.0.1  kubernetes.default\n"));
    let mut bash_alone = other_tools.clone();
    other_tools.on_exec(Pods::Any, &["curl"], ExecReply::prints("200\n"));
    bash_alone.on_exec(Pods::Any, &["bash"], ExecReply::prints(""));
    let refuses = |words: &[&str], says: &str| {
        let mut world = of_release(":v1.19.4", Scene::healthy().world());
        world.on_exec(Pods::Any, words, ExecReply::fails(1, says));
        world
    };
    let no_global = refuses(&["cilium-dbg", "bpf", "ct", "list", "global"], "Error: unknown command \"global\"\n");
    let no_json =
        refuses(&["cilium-dbg", "bpf", "metrics", "list", "-o"], "Error: unknown shorthand flag: 'o' in -o\n");
    let old = World { agent_tool: AgentTool::CiliumOnly, ..of_release(":v1.14.2", Scene::healthy().world()) };
    let prealloc = of_release(":v1.18.2", Scene::healthy().world());
    let no_shell = World { packing: Packing::NoShell, ..of_release(":v1.18.2", Scene::healthy().world()) };
    let save = tempfile::tempdir().expect("a folder");
    let bundle = save.path().join("bundle").display().to_string();
    let evidence = save.path().join("evidence").display().to_string();
    let runs: [(World, &str, Vec<&str>); 9] = [
        (other_tools, "diagnose", vec![]),
        (bash_alone, "diagnose", vec![]),
        (no_global, "diagnose", vec![]),
        (no_json, "diagnose", vec![]),
        (old, "diagnose", vec![]),
        (prealloc, "diagnose", vec![]),
        (no_shell, "diagnose", vec![]),
        (Scene::healthy().world(), "capture", vec![&bundle]),
        (stale(), "fix", vec!["--yes", "--save", &evidence]),
    ];
    let runs = std::thread::scope(|scope| {
        let run = |(world, command, args): (World, &'static str, Vec<&str>)| seen(world, command, &args);
        let started = runs.map(|one| {
            let args: Vec<String> = one.2.iter().map(|&word| word.to_owned()).collect();
            scope.spawn(move || run((one.0, one.1, args.iter().map(String::as_str).collect())))
        });
        started.map(|one| one.join().expect("a run"))
    });
    let seen: BTreeSet<String> = runs.into_iter().flatten().collect();
    let tools = [
        "cilium-dbg ",
        "bpftool ",
        "cat ",
        "grep ",
        "ls ",
        "iptables",
        "ip6tables",
        "ping",
        "wget",
        "curl",
        "bash",
        "nslookup",
        "getent",
    ];
    let listed: BTreeSet<String> =
        table().into_iter().filter(|span| tools.iter().any(|tool| span.starts_with(tool))).collect();
    let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    let unseen: Vec<&str> =
        listed.iter().copied().filter(|command| *command != OVER_SSH && !seen.contains(*command)).collect();
    assert!(unseen.is_empty(), "in the README's table, and never run: {unseen:?}\nseen: {seen:#?}");
    let unlisted: Vec<&String> = seen.iter().filter(|command| !listed.contains(command.as_str())).collect();
    assert!(unlisted.is_empty(), "run, and not in the README's table: {unlisted:?}");
}

#[test]
fn table_of_counters_that_reading_would_replace_is_never_opened() {
    let mut world = of_release(":v1.18.2", Scene::stale().world());
    let dropped = format!("{DROPS}cilium_drop_count_total   direction=EGRESS reason=Policy denied   21.000000\n");
    let words = ["cilium-dbg", "metrics", "list", "-p", "drop_count_total"];
    world.on_exec(Pods::agent("prusik"), &words, ExecReply::prints(dropped.as_str()));
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let path = kubeconfig.path();
    let words = ["diagnose", "--kubeconfig", &path, "--no-ssh", "--node", "prusik", "-o", "json"];
    let report = staledp(words).run().report();
    let node = report.node("prusik");
    let ran: Vec<String> =
        api.execs().iter().filter(|call| call.node == "prusik").flat_map(|c| plain(&c.argv)).collect();
    let times = |command: &str| ran.iter().filter(|ran| ran.as_str() == command).count();
    // The pack names the command, and the container decides not to run it.
    assert_eq!(times("cilium-dbg bpf metrics list"), 0, "{ran:#?}");
    assert_eq!(times("cilium-dbg bpf metrics list -o json"), 1, "{ran:#?}");
    assert!(times("cilium-dbg metrics list -p drop_count_total") >= 2, "{ran:#?}");
    // The same number twice: nothing rises, and that is known.
    let out = node["verdict"]["ruled_out"].as_array().expect("a list");
    assert!(out.iter().any(|out| out["code"] == "policy-denied"), "{:#}", node["verdict"]);
}

/// Asked one after the other, three probes that hang cost three times their limit.
#[test]
fn probe_that_hangs_does_not_hold_up_the_others() {
    let mut world = Scene::stale().world();
    for tool in ["wget", "nslookup"] {
        world.on_exec(Pods::Any, &[tool], ExecReply::fails(1, "timed out\n").delayed(Duration::from_secs(4)));
    }
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let path = kubeconfig.path();
    let words = ["diagnose", "--kubeconfig", &path, "--no-ssh", "--compare", "never", "--node", "prusik", "-o", "json"];
    let report = staledp(words).run().report();
    assert_eq!(report.check("prusik", "pod-egress")["status"], "fail");
    assert!(api.most_execs_at_once("prusik") >= 3, "{} at once", api.most_execs_at_once("prusik"));
}
