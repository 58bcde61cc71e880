//! `staledp symptoms` on large clusters against the test API server on loopback, all figures in one run, each beside
//! its goal.
//!
//! `cargo bench --bench symptoms` prints them. The real binary runs as a process of its own, so its memory is measured
//! alone. The baseline reads the same pages in this process and does nothing with them: what is above it is the
//! program's. A figure that misses its goal is no failure: machines differ.

#[expect(dead_code, reason = "the tests use all of it, the benchmark a part")]
#[path = "../support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::api::ApiServer;
use support::run::{Outcome, staledp};
use support::scenes::{Health, Scene};
use support::world::World;

fn main() {
    // Only `cargo bench` says `--bench`; without it small sizes show that this still works.
    let smoke = !std::env::args().any(|arg| arg == "--bench") || std::env::args().any(|arg| arg == "--test");
    let (pods, events) = if smoke { (100, 400) } else { (5_000, 20_000) };
    let row = |what: &str, figure: String, goal: &str| println!("{what:<62} {figure:>16}   {goal}");

    let api = ApiServer::start(cluster(pods, events));
    let begin = Instant::now();
    let bytes = read_all(api.address());
    row(&format!("{pods} pods, {events} events: the pages alone"), seconds(begin.elapsed()), "baseline");
    row("  their size", mebibytes(bytes), "");
    let told = run(&api, &[]);
    judged(&told, pods, events);
    row("  symptoms", seconds(told.elapsed), "goal: 10 s or less");
    row("  its peak memory", peak(&told), "");
    let kept = tempfile::tempdir().expect("a folder");
    let bundle = kept.path().join("kept").display().to_string();
    let saved = run(&api, &["--save", &bundle]);
    judged(&saved, pods, events);
    row("  the same, saved", seconds(saved.elapsed), "");
    row("  its peak memory", peak(&saved), "");
    let again = staledp(["symptoms", "--from", &bundle, "-o", "json"]).run();
    judged(&again, pods, events);
    row("  read again", seconds(again.elapsed), "");
    row("  its peak memory", peak(&again), "");

    let more = run(&ApiServer::start(cluster(pods, events * 2)), &[]);
    judged(&more, pods, events * 2);
    row(&format!("{pods} pods, {} events: symptoms", events * 2), seconds(more.elapsed), "");
    row("  its peak memory", peak(&more), "goal: flat, as with half of them");
}

/// One node with so many pods, of which a tenth fails its probes, in so many events.
fn cluster(pods: usize, events: usize) -> World {
    let mut world = Scene::new(&[("prusik", Health::Fine)]).world();
    let model = world.pods.iter().find(|pod| pod["metadata"]["name"] == "web-1").expect("a pod").clone();
    world.pods.clear();
    for n in 0..pods {
        let mut pod = model.clone();
        pod["metadata"]["name"] = json!(format!("web-{n}"));
        world.pods.push(pod);
    }
    let failing = pods / 10;
    let event = |n: usize| {
        let name = format!("web-{}", n % failing);
        json!({
            "metadata": {"name": format!("{name}.{n:x}"), "namespace": "apps"},
            "involvedObject": {"kind": "Pod", "namespace": "apps", "name": name, "fieldPath": "spec.containers{main}"},
            "reason": "Unhealthy", "type": "Warning", "count": 1,
            "message": format!("Readiness probe failed: Get \"http://10.42.1.7:{n}/\": dial tcp: i/o timeout"),
            "firstTimestamp": "2026-06-06T10:00:00Z", "lastTimestamp": "2026-06-06T11:00:00Z",
            "source": {"component": "kubelet", "host": "prusik"},
        })
    };
    world.events = (0..events).map(event).collect();
    world
}

fn run(api: &ApiServer, args: &[&str]) -> Outcome {
    let kubeconfig = api.kubeconfig();
    let path = kubeconfig.path();
    let all = [&["symptoms", "--kubeconfig", &path, "-o", "json"], args].concat();
    staledp(all).deadline(Duration::from_secs(300)).run()
}

/// Every failing pod has its symptom, and every event was counted.
fn judged(outcome: &Outcome, pods: usize, events: usize) {
    let report = outcome.report().0;
    let symptoms = report["nodes"][0]["symptoms"].as_array().expect("symptoms");
    assert_eq!(symptoms.len(), pods / 10, "{}", outcome.stderr);
    let counted: u64 = symptoms.iter().filter_map(|symptom| symptom["count"].as_u64()).sum();
    assert_eq!(counted, events as u64);
    let read = |entry: &&Value| entry["what"] != "logs" && entry["what"] != "buffers";
    assert_eq!(report["not_read"].as_array().map_or(0, |all| all.iter().filter(read).count()), 0, "{report:#}");
}

/// Reads all pages of pods and of failed probes, one after the other, and says how many bytes they are.
fn read_all(address: SocketAddr) -> u64 {
    ["/api/v1/pods?limit=500", "/api/v1/events?limit=500&fieldSelector=reason%3DUnhealthy"]
        .iter()
        .map(|list| {
            let (mut total, mut token) = (0, String::new());
            loop {
                let page = get(address, &format!("{list}{token}"));
                total += page.len() as u64;
                // The token stands before the objects.
                let text = String::from_utf8_lossy(&page);
                let next = text.split_once("\"continue\":\"").and_then(|(_, rest)| rest.split_once('"'));
                let Some((next, _)) = next else { return total };
                token = format!("&continue={}", next.replace('+', "%2B").replace('=', "%3D").replace('/', "%2F"));
            }
        })
        .sum()
}

fn get(address: SocketAddr, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = Vec::new();
    // The server keeps the connection open; the last chunk ends the answer.
    let mut buffer = vec![0; 256 << 10];
    while !answer.ends_with(b"\r\n0\r\n\r\n") {
        match stream.read(&mut buffer).expect("the server answers") {
            0 => break,
            n => answer.extend_from_slice(&buffer[..n]),
        }
    }
    answer
}

fn seconds(elapsed: Duration) -> String {
    format!("{:.2} s", elapsed.as_secs_f64())
}

fn peak(outcome: &Outcome) -> String {
    outcome.peak_kib.map_or("not told".to_owned(), |kib| mebibytes(kib << 10))
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
