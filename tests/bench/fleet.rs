//! The whole fleet against the test API server on loopback, all figures in one run, each beside its goal.
//!
//! `cargo bench --bench fleet` prints them. The real binary runs as a process of its own, so its memory is measured
//! alone; the server is a thread of this one, and the processor time that it took is printed too, for both share the
//! machine. A figure that misses its goal is no failure: machines differ.

#[expect(dead_code, reason = "the tests use all of it, the benchmark a part")]
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use serde_json::Value;

use support::api::ApiServer;
use support::run::{Outcome, staledp};
use support::scenes::{Health, Scene, answered_lookup};
use support::world::{ExecReply, Kubelet, Output, Pods, World};

/// The dump's command.
const DUMP: [&str; 5] = ["cilium-dbg", "bpf", "ct", "list", "global"];
/// How long a command in a pod takes.
const ANSWER: Duration = Duration::from_millis(50);

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn main() {
    // Only `cargo bench` says `--bench`; without it small sizes show that this still works.
    let smoke = !std::env::args().any(|arg| arg == "--bench") || std::env::args().any(|arg| arg == "--test");
    let (few, many, lines, big) = if smoke { (2, 6, 200, 2_000_000) } else { (10, 1000, 2000, 150_000_000) };
    // What one node may take where some never answer, in seconds.
    let patience_s = if smoke { 3 } else { 20 };
    let row = |what: &str, figure: String, goal: &str| println!("{what:<62} {figure:>16}   {goal}");

    let before = own_seconds();
    let (all, _) = run(fleet(many, lines, 0), &["--all-nodes", "--concurrency", "32"]);
    judged(&all, many, 0);
    row(&format!("{many} nodes, {lines} lines each, --concurrency 32"), seconds(&all), "goal: 60 s or less");
    row("  its peak memory", mebibytes(&all), "goal: 100 MiB or less");
    row("  processor time of the test server meanwhile", format!("{:.1} s", own_seconds() - before), "");

    let dead = many.div_ceil(20);
    let patience = format!("{patience_s}s");
    let (some, _) = run(fleet(many, lines, dead), &["--all-nodes", "--concurrency", "32", "--timeout", &patience]);
    judged(&some, many, dead);
    let most = f64::from(dead * patience_s) / 32.0;
    let longer = some.elapsed.as_secs_f64() - all.elapsed.as_secs_f64();
    let goal = format!("goal: {most:.0} s ({dead} x {patience_s} s / 32), and one such wait at the end");
    row(&format!("  the same with {dead} that never answer: longer by"), format!("{longer:.1} s"), &goal);

    let per_node = |count: u32| {
        let (outcome, _) = run(fleet(count, lines, 0), &["--all-nodes", "--concurrency", &few.to_string()]);
        judged(&outcome, count, 0);
        outcome.elapsed.as_secs_f64() * 1e3 * f64::from(few) / f64::from(count)
    };
    let (small, large) = (per_node(few), per_node(many));
    let cost = format!("{small:.0} -> {large:.0} ms");
    row(&format!("one node's time, {few} at once, of {few} and of {many} nodes"), cost, "goal: flat within 20 %");

    for (way, goal) in [("-v", "goal: a quarter or less"), ("--no-compress", "")] {
        let mut world = fleet(1, lines, 0);
        let count = big / answered_lookup(0).len() as u64;
        world.on_exec(Pods::Any, &DUMP, ExecReply::prints(Output::lines(count, answered_lookup)));
        let (one, _) = run(world, &["--all-nodes", way]);
        row(&format!("one node with a dump of {} MB, {way}", big / 1_000_000), seconds(&one), "");
        row("  its peak memory", mebibytes(&one), "goal: 48 MiB or less");
        let said = one.stderr.lines().find(|line| line.contains("crossed compressed")).unwrap_or_default();
        let figures: Vec<u64> = said.split(' ').filter_map(|word| word.trim_end_matches(',').parse().ok()).collect();
        if let [crossed, became] = figures[..] {
            row("  bytes over the wire", format!("{:.1} %", crossed as f64 / became as f64 * 100.0), goal);
        }
    }

    if smoke {
        return;
    }
    let mut world = Scene::stale().world();
    world.kubelet("brno", Kubelet::Frozen);
    let (three, _) = run(world, &["--all-nodes"]);
    row("three nodes, one dead, default settings", seconds(&three), "goal: less than 15 s");
}

/// A cluster of this many nodes, all in good health, of which the first `dead` never answer.
fn fleet(count: u32, lines: u64, dead: u32) -> World {
    let model = Scene::new(&[("zulu", Health::Fine)]).world();
    let of_model = |pod: &&Value| {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        ["cilium-zulu", "nodelocaldns-1", "web-1"].contains(&name)
    };
    let mut world = World { services: model.services.clone(), ..World::default() };
    world.endpoint_slices.clone_from(&model.endpoint_slices);
    for n in 0..count {
        let name = format!("node-{n:04}");
        let renamed = |object: &Value| -> Value {
            let text = object.to_string();
            let text = text.replace("zulu", &name).replace("nodelocaldns-1", &format!("nodelocaldns-{n}"));
            let text = text.replace("web-1", &format!("web-{n}")).replace("10.42.1.", &format!("{}.", subnet(n)));
            let host = format!("192.168.{}.{}", 10 + n / 200, 20 + n % 200);
            serde_json::from_str(&text.replace("192.168.10.21", &host)).expect("it was JSON")
        };
        world.nodes.extend(model.nodes.iter().map(renamed));
        world.pods.extend(model.pods.iter().filter(of_model).map(renamed));
        let line = move |i| answered_lookup(i).replace("10.42.1.", &format!("{}.", subnet(n)));
        let dump = ExecReply::prints(Output::lines(lines, line)).delayed(ANSWER);
        world.on_exec(Pods::agent(&name), &DUMP, dump);
        if n < dead {
            world.kubelet(&name, Kubelet::Frozen);
        }
    }
    // What every pod says; the last rule that fits wins, so these are found first.
    for rule in model.execs.iter().filter(|rule| !rule.argv.fits(&DUMP.map(str::to_owned))) {
        let mut rule = rule.clone();
        rule.pods = Pods::Any;
        rule.reply = rule.reply.delayed(ANSWER);
        world.execs.push(rule);
    }
    world
}

/// The pods of a node, by their first three parts.
fn subnet(n: u32) -> String {
    format!("10.{}.{}", 64 + n / 256, n % 256)
}

fn run(world: World, args: &[&str]) -> (Outcome, ApiServer) {
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let path = kubeconfig.path();
    let mut all = vec!["diagnose", "--kubeconfig", &path, "--no-ssh", "-o", "json"];
    all.extend(args);
    (staledp(all).deadline(Duration::from_secs(600)).run(), api)
}

/// Every node has a row, and all that answered are healthy.
fn judged(outcome: &Outcome, count: u32, dead: u32) {
    let summary = &outcome.report().0["summary"];
    assert_eq!(summary["nodes"], count, "{}", outcome.stderr);
    assert_eq!(summary["healthy"], count - dead, "{summary:#}");
}

fn seconds(outcome: &Outcome) -> String {
    format!("{:.1} s", outcome.elapsed.as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
fn mebibytes(outcome: &Outcome) -> String {
    outcome.peak_kib.map_or("not told".to_owned(), |kib| format!("{:.1} MiB", kib as f64 / 1024.0))
}

/// The processor time of this process so far, in seconds, by the usual hundred ticks a second.
fn own_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
