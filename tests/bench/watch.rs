//! `staledp watch` against the test API server on loopback: how long a round of 1,000 nodes with 30 pods each takes with the
//! default budget, and whether memory stays flat over 10,000 looks.
//!
//! `cargo bench --bench watch` prints the figures beside their goals; `-- round` and `-- looks` only one of the two. The
//! server shares the machine, so the processor time of both is printed. A figure that misses its goal is no failure.

#[expect(dead_code, reason = "the tests use all of it, the benchmark a part")]
#[path = "../support/mod.rs"]
mod support;

#[path = "large_world.rs"]
mod large_world;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use large_world::{PODS, fleet};
use support::api::ApiServer;
use support::world::World;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(3600);

fn main() {
    // Only `cargo bench` says `--bench`; without it small sizes show that this still works.
    let args: Vec<String> = std::env::args().collect();
    let has = |word: &str| args.iter().any(|arg| arg == word);
    let smoke = !has("--bench") || has("--test");
    let (nodes, few, looks) = if smoke { (6, 3, 12) } else { (1000, 100, 10_000) };
    if !has("looks") {
        round(nodes);
    }
    if !has("round") {
        many_looks(few, looks);
    }
}

fn row(what: &str, figure: &str, goal: &str) {
    println!("{what:<62} {figure:>16}   {goal}");
}

/// The first round of all nodes, with the defaults.
fn round(nodes: u32) {
    let before = own_seconds();
    let mut watch = Watch::start(fleet(nodes, 200, 0), &[]);
    let begun = Instant::now();
    watch.until(|metrics| sum(metrics, "staledp_look_duration_seconds_count") >= f64::from(nodes));
    let took = begun.elapsed();
    let execs = watch.api.execs().len();
    row(
        &format!("{nodes} nodes with {PODS} pods each: the first round"),
        &format!("{:.0} s", took.as_secs_f64()),
        "goal: 300 s or less",
    );
    row("  execs for each node", &format!("{:.1}", share(execs, nodes)), "goal: 8 or less");
    row("  its peak memory", &mebibytes(watch.memory("VmHWM")), "");
    row("  its processor time", &format!("{:.0} s", watch.processor_seconds()), "");
    row("  processor time of the test server meanwhile", &format!("{:.0} s", own_seconds() - before), "");
}

/// Look after look at a few nodes: memory after a tenth of them, after the half, and at the end.
fn many_looks(nodes: u32, looks: u32) {
    let mut watch =
        Watch::start(fleet(nodes, 20, 0), &["--every", "1s", "--execs-per-minute", "100000", "--concurrency", "16"]);
    let begun = Instant::now();
    let mut seen = Vec::new();
    for part in [10, 2, 1] {
        let wanted = f64::from(looks / part);
        watch.until(|metrics| sum(metrics, "staledp_look_duration_seconds_count") >= wanted);
        seen.push(watch.memory("VmRSS"));
        // The server remembers every request, and the machine is shared.
        watch.api.forget_requests();
    }
    let flat = seen.iter().map(|kib| mebibytes(*kib)).collect::<Vec<_>>().join(", ");
    row(&format!("{nodes} nodes: memory after {}, {} and {looks} looks", looks / 10, looks / 2), &flat, "goal: flat");
    row("  its peak memory", &mebibytes(watch.memory("VmHWM")), "goal: 60 MiB or less");
    row("  looks a second", &format!("{:.1}", f64::from(looks) / begun.elapsed().as_secs_f64()), "");
}

/// A watch that goes on, and its cluster.
struct Watch {
    child: Child,
    address: SocketAddr,
    api: ApiServer,
    _home: tempfile::TempDir,
}

impl Watch {
    fn start(world: World, args: &[&str]) -> Self {
        let api = ApiServer::start(world);
        let home = tempfile::tempdir().expect("a folder");
        let config = home.path().join("config");
        fs::copy(api.kubeconfig().path(), &config).expect("the kubeconfig");
        // Of a moment ago: the one port that nobody has.
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let child = Command::new(env!("CARGO_BIN_EXE_staledp"))
            .args(["watch", "--no-ssh", "--namespace", "staledp", "--listen", &free.to_string(), "--kubeconfig"])
            .arg(&config)
            .args(args)
            .env_clear()
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        Self { child, address: free, api, _home: home }
    }

    /// Waits until the metrics say so.
    fn until(&mut self, is_so: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !self.metrics().is_some_and(|text| is_so(&text)) {
            assert!(begun.elapsed() < PATIENCE, "it took too long");
            assert!(self.child.try_wait().expect("a child").is_none(), "it ended");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn metrics(&self) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// A line of its state, in KiB.
    fn memory(&self, what: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
        line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok()).unwrap_or(0)
    }

    fn processor_seconds(&self) -> f64 {
        seconds_of(&format!("/proc/{}/stat", self.child.id()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The sum of a metric over all its series.
fn sum(metrics: &str, name: &str) -> f64 {
    let lines = metrics.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn share(all: usize, nodes: u32) -> f64 {
    all as f64 / f64::from(nodes)
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
fn mebibytes(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}

/// The processor time of this process so far, in seconds.
fn own_seconds() -> f64 {
    seconds_of("/proc/self/stat")
}

/// User and system time of a process, by the usual hundred ticks a second.
fn seconds_of(stat: &str) -> f64 {
    let stat = fs::read_to_string(stat).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
