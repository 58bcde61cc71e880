//! Direct evidence from a live node: in one exec, harmlessly, and not held up by an agent that hangs.

use std::time::Duration;

use serde_json::Value;

use crate::support::api::ApiServer;
use crate::support::packing::{Packing, pack};
use crate::support::run::{Outcome, staledp};
use crate::support::scenes::Scene;
use crate::support::world::{ExecReply, Pods, World};

fn prusik(world: World) -> (ApiServer, Outcome) {
    let api = ApiServer::start(world);
    let path = api.kubeconfig();
    let path = path.path();
    let args = ["diagnose", "--kubeconfig", &path, "--no-ssh", "-o", "json", "--node", "prusik"];
    let outcome = staledp(args).deadline(Duration::from_secs(60)).run();
    (api, outcome)
}

fn node(outcome: &Outcome) -> Value {
    outcome.report().node("prusik").clone()
}

/// How many execs ran the pack, and how many others ended with these words.
fn asked(api: &ApiServer, words: &[&str]) -> (usize, usize) {
    let calls = api.execs_on("prusik");
    let packs = calls.iter().filter(|call| pack(&call.argv).is_some()).count();
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    (packs, calls.iter().filter(|call| call.argv.ends_with(&words)).count())
}

const TREE: &str = "CgroupPath\nID       AttachType      AttachFlags     Name\n/run/cilium/cgroupv2\n\
                    71       cgroup_inet4_connect multi           cil_sock4_connect\n";
const STATUS: &str = "KVStore:                 Disabled   \n\
                      KubeProxyReplacement:    True   [ens3   192.0.2.11 (Direct Routing)]\n\
                      Cilium:                  Ok   1.19.4 (v1.19.4-aaaa)\n\
                      IPAM:                    IPv4: 3/254 allocated from 10.9.1.0/24, \n\
                      KubeProxyReplacement Details:\n\
                      \x20 Socket LB:            Enabled\n\
                      \x20 Socket LB Coverage:   Full\n";

/// A healthy node whose tree of control groups lacks two socket programs.
fn detached() -> World {
    let mut world = Scene::healthy().world();
    world.on_exec(Pods::agent("prusik"), &["bpftool", "cgroup", "tree"], ExecReply::prints(TREE));
    world.on_exec(Pods::agent("prusik"), &["cilium-dbg", "status"], ExecReply::prints(STATUS));
    world
}

#[test]
fn a_healthy_node_is_asked_for_its_small_evidence_in_one_exec() {
    let mut world = Scene::healthy().world();
    let counters = "REASON   DIRECTION   PACKETS   BYTES\nSuccess   EGRESS      900       9000\n";
    world.on_exec(Pods::agent("prusik"), &["cilium-dbg", "bpf", "metrics", "list"], ExecReply::prints(counters));
    let (api, outcome) = prusik(world);
    outcome.exits(0);
    assert_eq!(asked(&api, &["bpf", "metrics", "list", "-o", "json"]), (1, 1), "the second reading is the last");
    let calls = api.execs_on("prusik");
    assert!(calls.len() <= 9, "eight, and one for the pod that has no tools: {calls:#?}");
}

#[test]
fn a_broken_thing_is_named_on_a_node_where_nothing_fails_and_read_twice() {
    for packing in [Packing::Gzip, Packing::NoGzip, Packing::NoShell, Packing::Cut(20)] {
        let (api, outcome) = prusik(World { packing, ..detached() });
        let node = node(&outcome);
        assert_eq!(node["verdict"]["code"], "service-translation-missing", "{packing:?}: {node:#}");
        assert_eq!(node["verdict"]["cause"]["name"], "cil_sock4_sendmsg");
        let plainly = asked(&api, &["bpftool", "cgroup", "tree", "/run/cilium/cgroupv2"]).1;
        let first_in_pack = matches!(packing, Packing::Gzip | Packing::NoGzip);
        assert_eq!(plainly, if first_in_pack { 1 } else { 2 }, "{packing:?}");
    }
}

#[test]
fn a_moment_in_which_a_program_is_replaced_is_looked_at_again() {
    let api = ApiServer::start(detached());
    let path = api.kubeconfig();
    let path = path.path();
    let args = ["diagnose", "--kubeconfig", &path, "--no-ssh", "-o", "json", "--node", "prusik"];
    let running = staledp(args).deadline(Duration::from_secs(60)).start();
    api.wait_until(Duration::from_secs(30), |requests| {
        let calls = requests.iter().filter_map(|request| request.exec.as_ref());
        calls.into_iter().any(|call| pack(&call.argv).is_some())
    });
    let whole = format!(
        "{TREE}72       cgroup_udp4_sendmsg multi   cil_sock4_sendmsg\n73       cgroup_udp4_recvmsg multi   cil_sock4_recvmsg\n"
    );
    api.change(|world| {
        world.on_exec(Pods::agent("prusik"), &["bpftool", "cgroup", "tree"], ExecReply::prints(whole.as_str()));
    });
    assert_eq!(node(&running.wait())["verdict"]["code"], "healthy");
}

/// A node in good health whose agent answers nothing.
fn frozen() -> World {
    let mut world = Scene::healthy().world();
    for words in [&["status"][..], &["endpoint"], &["map"], &["metrics"], &["service"]] {
        let argv: Vec<&str> = std::iter::once("cilium-dbg").chain(words.iter().copied()).collect();
        world.on_exec(Pods::agent("prusik"), &argv, ExecReply::silent());
    }
    world
}

#[test]
fn what_to_do_about_an_agent_that_hangs_is_not_to_give_a_right() {
    let mut world = frozen();
    let right = "SERVICE ADDRESS     BACKEND ADDRESS (REVNAT_ID) (SLOT)\n\
                 10.43.0.10:53/UDP (1)   10.42.1.200:53/UDP (3) (1)\n10.43.0.10:53/UDP (2)   10.42.2.200:53/UDP (3) (2)\n\
                 10.43.0.10:53/TCP (1)   10.42.1.200:53/TCP (2) (1)\n10.43.0.10:53/TCP (2)   10.42.2.200:53/TCP (2) (2)\n";
    world.on_exec(Pods::agent("prusik"), &["cilium-dbg", "bpf", "lb", "list"], ExecReply::prints(right));
    let (_api, outcome) = prusik(world);
    let node = node(&outcome);
    assert_eq!(node["verdict"]["code"], "evidence-missing", "{node:#}");
    assert_eq!(node["verdict"]["cause"]["what"], "agent");
    assert_eq!(node["verdict"]["because"][0]["says"], "`cilium-dbg endpoint list -o json` did not end within 3s");
    let advice = node["advice"].to_string();
    assert!(advice.contains("why the agent does not answer") && !advice.contains("--timeout"), "{advice}");
}

#[test]
fn an_agent_that_hangs_is_told_within_ten_seconds_by_what_the_kernel_holds() {
    let mut world = frozen();
    let gone =
        "SERVICE ADDRESS     BACKEND ADDRESS (REVNAT_ID) (SLOT)\n10.43.0.10:53/UDP (1)   10.9.77.77:53/UDP (3) (1)\n";
    world.on_exec(Pods::agent("prusik"), &["cilium-dbg", "bpf", "lb", "list"], ExecReply::prints(gone));
    let (api, outcome) = prusik(world);
    let node = node(&outcome);
    assert_eq!(node["verdict"]["code"], "stale-service-map", "{node:#}");
    assert_eq!(node["verdict"]["cause"]["what"], "agent");
    assert_eq!(asked(&api, &["service", "list"]).1, 0, "it did not answer two other commands");
    assert!(outcome.elapsed < Duration::from_secs(10), "{:?}", outcome.elapsed);
}

#[test]
fn the_counters_of_a_release_that_would_lose_them_are_left_alone() {
    let of_release = |tag: &str| {
        let mut world = Scene::healthy().world();
        for pod in world.pods.iter_mut().filter(|pod| pod["metadata"]["labels"]["k8s-app"] == "cilium") {
            let text = pod.to_string().replace(":v1.19.4", tag);
            *pod = serde_json::from_str(&text).expect("JSON");
        }
        let counters = "REASON   DIRECTION   PACKETS   BYTES\nSuccess   EGRESS      900       9000\n";
        world.on_exec(Pods::agent("prusik"), &["cilium-dbg", "bpf", "metrics", "list"], ExecReply::prints(counters));
        let (api, outcome) = prusik(world);
        outcome.exits(0);
        let calls = api.execs_on("prusik");
        let commands = calls.iter().find_map(|call| pack(&call.argv)).expect("a pack").1;
        let kind = commands.into_iter().find(|command| command.argv.contains(&"metrics".to_owned())).map(|c| c.kind);
        (kind.expect("the counters"), asked(&api, &["bpf", "metrics", "list", "-o", "json"]).1)
    };
    assert_eq!(of_release(":v1.19.4"), ("kernel".to_owned(), 1));
    assert_eq!(
        of_release(":v1.18.2"),
        ("counters".to_owned(), 0),
        "the container decides by the agent's configuration"
    );
    assert_eq!(of_release(""), ("counters".to_owned(), 0), "a release that is not known may be that one");
}
