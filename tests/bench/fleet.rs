//! The whole fleet, from a bundle and against the test API server on loopback, all figures in one run, each beside its
//! goal. Every node has 30 pods.
//!
//! `cargo bench --bench fleet` prints them; with `-- saved` only those of bundles. The real binary runs as a process of its own, so its memory is measured
//! alone; the server is a thread of this one, and the processor time that it took is printed too, for both share the
//! machine. A figure that misses its goal is no failure: machines differ.

#[expect(dead_code, reason = "the tests use all of it, the benchmark a part")]
#[path = "../support/mod.rs"]
mod support;

#[path = "large_world.rs"]
mod large_world;

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use large_world::{DUMP, PODS, fleet, subnet};
use support::api::ApiServer;
use support::run::{Outcome, staledp};
use support::scenes::{Health, Scene, answered_lookup};
use support::world::{ExecReply, Kubelet, Output, Pods, World};

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn main() {
    // Only `cargo bench` says `--bench`; without it small sizes show that this still works.
    let smoke = !std::env::args().any(|arg| arg == "--bench") || std::env::args().any(|arg| arg == "--test");
    let (few, many, lines, big) = if smoke { (2, 6, 200, 2_000_000) } else { (10, 1000, 2000, 150_000_000) };
    // What one node may take where some never answer, in seconds.
    let patience_s = if smoke { 3 } else { 20 };
    let row = |what: &str, figure: String, goal: &str| println!("{what:<62} {figure:>16}   {goal}");

    saved_fleets(if smoke { &[2, 8] } else { &[250, 1000, 4000] }, &row);
    if std::env::args().any(|arg| arg == "saved") {
        return;
    }

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
        let said = one.stderr.lines().find(|line| line.contains("fetched compressed")).unwrap_or_default();
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

fn run(world: World, args: &[&str]) -> (Outcome, ApiServer) {
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let path = kubeconfig.path();
    let mut all = vec!["diagnose", "--kubeconfig", &path, "--no-ssh", "-o", "json"];
    all.extend(args);
    (staledp(all).deadline(Duration::from_secs(600)).run(), api)
}

/// Bundles of so many nodes: what each costs, how that grows, and how soon a SIGTERM ends the largest.
fn saved_fleets(sizes: &[u32], row: &impl Fn(&str, String, &str)) {
    let mut before: Option<f64> = None;
    for &count in sizes {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_fleet(folder.path(), count);
        let from = folder.path().display().to_string();
        let args = ["diagnose", "--from", &from, "-o", "json"];
        let started = children_seconds();
        let outcome = staledp(args).deadline(Duration::from_secs(600)).run();
        let cost = children_seconds() - started;
        judged(&outcome, count, 0);
        let what = format!("a bundle of {count} nodes with {PODS} pods each, processor time");
        let goal = before.map_or(String::new(), |before| format!("goal: {:.2} s or less, 5 x", 5.0 * before));
        row(&what, format!("{cost:.2} s"), &goal);
        row("  its peak memory", mebibytes(&outcome), "");
        before = Some(cost);
        if count == sizes.iter().copied().max().unwrap_or_default() {
            for part in [4, 2] {
                let (mut child, _home) = staledp(args).by_hand();
                let mut said = child.stdout.take().expect("its output");
                std::thread::sleep(outcome.elapsed / part);
                let sent = Instant::now();
                let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
                assert!(kill.is_ok_and(|status| status.success()), "the signal was sent");
                std::io::copy(&mut said, &mut std::io::sink()).expect("its output is read");
                child.wait().expect("it ends");
                let what = format!("  ends so long after a SIGTERM at 1/{part} of its time");
                row(&what, format!("{:.2} s", sent.elapsed().as_secs_f64()), "goal: 1 s or less");
            }
        }
    }
}

/// Writes a bundle of this many nodes, all in good health.
fn write_fleet(folder: &Path, count: u32) {
    let scene = Scene::new(&[("zulu", Health::Fine)]);
    let read = |name: &str| fs::read_to_string(scene.path().join(name)).expect("a file of the scene");
    for name in ["bundle.json", "kube/services.json", "kube/endpointslices.json", "kube/events.json"] {
        fs::create_dir_all(folder.join("kube")).expect("a folder");
        fs::copy(scene.path().join(name), folder.join(name)).expect("a file is copied");
    }
    let items = |name: &str| -> Vec<Value> {
        let list: Value = serde_json::from_str(&read(name)).expect("a list");
        list["items"].as_array().expect("items").clone()
    };
    let (nodes, pods) = (items("kube/nodes.json"), items("kube/pods.json"));
    let named = |name: &str| pods.iter().find(|pod| pod["metadata"]["name"] == name).expect("a pod").to_string();
    let system = [named("cilium-zulu"), named("nodelocaldns-1")];
    let (node, web) = (nodes[0].to_string(), named("web-1"));
    let answers = scene.path().join("nodes/zulu");
    let files: Vec<(String, String)> = fs::read_dir(&answers)
        .expect("a folder")
        .map(|file| file.expect("a file").file_name().into_string().expect("a name"))
        .map(|name| (name.clone(), read(&format!("nodes/zulu/{name}"))))
        .collect();
    let list = |name: &str| {
        let mut file = BufWriter::new(fs::File::create(folder.join(name)).expect("a file"));
        write!(file, "{{\"items\": [").expect("it is written");
        file
    };
    let (mut node_list, mut pod_list) = (list("kube/nodes.json"), list("kube/pods.json"));
    for n in 0..count {
        let comma = if n == 0 { "" } else { "," };
        let name = format!("node-{n:04}");
        let renamed = |text: &str| {
            text.replace("zulu", &name)
                .replace("nodelocaldns-1", &format!("nodelocaldns-{n}"))
                .replace("10.42.1.", &format!("{}.", subnet(n)))
                .replace("192.168.10.21", &format!("192.168.{}.{}", 10 + n / 200, 20 + n % 200))
        };
        write!(node_list, "{comma}{}", renamed(&node)).expect("it is written");
        write!(pod_list, "{comma}{}", system.each_ref().map(|pod| renamed(pod)).join(",")).expect("it is written");
        for i in 2..PODS {
            let own =
                web.replace("web-1", &format!("web-{n}-{i}")).replace("10.42.1.10", &format!("10.42.1.{}", 8 + i));
            write!(pod_list, ",{}", renamed(&own)).expect("it is written");
        }
        let answers = folder.join("nodes").join(&name);
        fs::create_dir_all(&answers).expect("a folder");
        for (file, text) in &files {
            fs::write(answers.join(file), renamed(&text.replace("web-1", &format!("web-{n}-2"))))
                .expect("it is written");
        }
    }
    for mut file in [node_list, pod_list] {
        write!(file, "]}}").and_then(|()| file.flush()).expect("it is written");
    }
}

/// Every node has a row, and all that answered are healthy.
fn judged(outcome: &Outcome, count: u32, dead: u32) {
    let report = outcome.report().0;
    assert_eq!(report["summary"]["nodes"], count, "{}", outcome.stderr);
    let nodes = report["nodes"].as_array().expect("nodes").iter();
    let other = nodes.filter(|node| node["verdict"]["kind"] != "healthy").nth(dead as usize);
    assert_eq!(report["summary"]["healthy"], count - dead, "{:#}", other.unwrap_or(&report["summary"]));
}

fn seconds(outcome: &Outcome) -> String {
    format!("{:.1} s", outcome.elapsed.as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
fn mebibytes(outcome: &Outcome) -> String {
    outcome.peak_kib.map_or("not told".to_owned(), |kib| format!("{:.1} MiB", kib as f64 / 1024.0))
}

/// The processor time of this process so far, in seconds.
fn own_seconds() -> f64 {
    seconds_of_stat(11)
}

/// The processor time of this process's children that have ended, in seconds.
fn children_seconds() -> f64 {
    seconds_of_stat(13)
}

/// Two fields of the process's state, behind its name, by the usual hundred ticks a second.
fn seconds_of_stat(first: usize) -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(first).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
