//! One pass over a large dump, that of a real node repeated with other addresses, beside the runbook's three greps over the same file, in the same run.
//!
//! `cargo bench` prints the figures with their goals. A figure that misses its goal is no failure: machines differ.

mod dump;

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use staledp::diagnose::dump::DumpPass;
use staledp::gather::reading::beside;
use staledp::kubernetes::roles::{Range, Role, Roles};
use staledp::ways::group::Group;
use staledp::ways::lens::Lens;
use staledp::ways::pass::Pass;
use staledp::ways::picture::Picture;

use dump::{GREPS, Random};

/// The size of the dump, in bytes.
const SIZE: usize = 150_000_000;
/// How often everything is measured; the best counts.
const ROUNDS: usize = 7;
/// How much is read at once, in bytes.
const CHUNK: usize = 256 << 10;

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
fn main() {
    // `cargo test` runs benches with `--test`: then a small dump shows that this still works.
    let smoke = std::env::args().any(|arg| arg == "--test");
    let (size, rounds) = if smoke { (1_000_000, 1) } else { (SIZE, ROUNDS) };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (bundle, dump) = write_bundle(folder.path(), size);
    let lens = lens(&bundle);

    let bytes = fs::read(&dump).expect("the dump is read");
    let in_memory = best(rounds, || {
        let mut pass = Pass::new(&lens);
        bytes.chunks(CHUNK).for_each(|chunk| pass.feed(chunk));
        black_box(pass.finish(true));
    });
    drop(bytes);
    let one_core = best(rounds, || {
        black_box(one_pass(&dump, &lens));
    });
    let pass = best(rounds, || {
        black_box(pass_beside_reading(&dump, &lens));
    });
    let picture = one_pass(&dump, &lens);
    assert!(picture.group(Group::NodeLocalDns).live() > 0 && picture.unparsed == 0, "the dump is read");
    let greps = best(rounds, || GREPS.iter().for_each(|grep| shell(grep, &dump)));
    let runs: Vec<_> = std::iter::repeat_with(|| diagnose(&bundle)).take(rounds).collect();
    let whole = runs.iter().map(|(time, _)| *time).min().unwrap_or_default();
    let memory = runs.iter().map(|(_, memory)| *memory).max().unwrap_or_default();

    let megabytes = fs::metadata(&dump).expect("the dump").len() as f64 / 1e6;
    let mut table = String::new();
    let mut row = |what: &str, figure: String, goal: &str| {
        let _ = writeln!(table, "{what:<60} {figure:>14}   {goal}");
    };
    row("a real node's dump (1.20), repeated with other addresses", format!("{megabytes:.0} MB"), "");
    row("one pass on one core, every line typed", rate(megabytes, in_memory), "goal: 1.5 GB/s or more");
    row("the same with the file read in between", rate(megabytes, one_core), "");
    row("the same beside the reading, as `diagnose --from` does it", rate(megabytes, pass), "");
    row("the runbook's three greps over the same file", rate(megabytes, greps), "baseline");
    let faster = |time: Duration| format!("{:.1} x", greps.as_secs_f64() / time.as_secs_f64());
    row("the pass beside the reading is so many times as fast", faster(pass), "");
    row(
        "the real binary, `diagnose --from`, of one node, from start to end",
        format!("{:.0} ms", whole.as_secs_f64() * 1e3),
        "",
    );
    row("it is so many times as fast as the greps", faster(whole), "goal: 5 or more");
    row("its peak memory", format!("{:.1} MiB", memory as f64 / 1024.0), "goal: 32 MiB or less");
    print!("{table}");
}

fn rate(megabytes: f64, time: Duration) -> String {
    format!("{:.2} GB/s", megabytes / 1e3 / time.as_secs_f64())
}

fn best(rounds: usize, mut work: impl FnMut()) -> Duration {
    let once = |()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    std::iter::repeat_n((), rounds).map(once).min().unwrap_or_default()
}

fn one_pass(dump: &Path, lens: &Lens) -> Picture {
    let mut file = fs::File::open(dump).expect("the dump opens");
    let mut buffer = vec![0; CHUNK];
    let mut pass = Pass::new(lens);
    loop {
        match file.read(&mut buffer).expect("the dump is read") {
            0 => return pass.finish(true),
            n => pass.feed(&buffer[..n]),
        }
    }
}

fn pass_beside_reading(dump: &Path, lens: &Lens) -> Picture {
    let mut pass = DumpPass::new(lens);
    let second = pass.second();
    let file = fs::File::open(dump).expect("the dump opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime
        .block_on(beside(|outlet| outlet.share(file, second), &mut |chunk| pass.feed(chunk)))
        .expect("the dump is read");
    pass.finish(true)
}

fn shell(script: &str, dump: &Path) {
    // The count is read, as a person reads it: GNU grep stops at the first match where its output goes to /dev/null.
    // `grep -c` ends with 1 where the count is 0, so the exit status says nothing.
    let output = Command::new("sh").args(["-c", script, "sh"]).arg(dump).output().expect("a shell with grep");
    let count = String::from_utf8_lossy(&output.stdout);
    assert!(count.trim().parse::<u64>().is_ok(), "`{script}` counts; it said {count:?}");
}

/// Time and peak memory, in KiB, of the real binary on the bundle.
fn diagnose(bundle: &Path) -> (Duration, u64) {
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_staledp"))
        .args(["diagnose", "--node", NODE, "-o", "json", "--from"])
        .arg(bundle)
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("the binary runs").is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(1));
    }
    (start.elapsed(), peak)
}

/// A bundle of a real cluster of three nodes.
const REAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/data/02e-hosttopod-vienna/bundle.tar.gz");
/// Its node with the most entries.
const NODE: &str = "prusik";

/// That node, as its cluster's lists tell it.
fn lens(bundle: &Path) -> Lens {
    let mut roles = Roles::new(true);
    roles.name([169, 254, 25, 10].into(), Role::NodeLocalDns);
    roles.name([10, 77, 0, 11].into(), Role::ThisHost);
    roles.name_range("10.42.1.0/24".parse().expect("a range"), Range::LocalPods);
    roles.name_range("10.42.0.0/16".parse().expect("a range"), Range::ClusterPods);
    roles.name_range("10.43.0.0/16".parse().expect("a range"), Range::Services);
    let pods = fs::read_to_string(bundle.join("kube/pods.json")).expect("the pods");
    let pods: Value = serde_json::from_str(&pods).expect("a list");
    for pod in pods["items"].as_array().expect("pods") {
        let address = pod["status"]["podIP"].as_str().and_then(|ip| ip.parse().ok());
        if let Some(address) = address.filter(|_| pod["spec"]["nodeName"] == NODE && pod["spec"]["hostNetwork"] != true)
        {
            roles.name(address, Role::LocalPod);
        }
    }
    let external = ["1.1.1.1", "8.8.8.8", "185.12.0.0/16"].map(|prefix| prefix.parse().expect("a prefix")).to_vec();
    Lens {
        roles: roles.into(),
        external,
        probe_sources: Vec::new(),
        probe_target: [1, 1, 1, 1].into(),
        most_age_s: None,
    }
}

/// Writes the bundle of the real cluster with the one node, whose dump is repeated to this size; says where the bundle
/// and the dump are.
fn write_bundle(folder: &Path, size: usize) -> (PathBuf, PathBuf) {
    let packed = fs::File::open(REAL).expect("the real bundle");
    tar::Archive::new(flate2::read::GzDecoder::new(packed)).unpack(folder).expect("it is unpacked");
    let bundle = folder.join("bundle");
    let dump = bundle.join("nodes").join(NODE).join("ct-list.out");
    let mut repeated = Repeated::new(&fs::read_to_string(&dump).expect("its dump"));
    let mut file = std::io::BufWriter::new(fs::File::create(&dump).expect("a file"));
    let mut written = 0;
    while written < size {
        let line = repeated.line();
        file.write_all(line.as_bytes()).expect("the dump is written");
        written += line.len();
    }
    file.flush().expect("the dump is written");
    (bundle, dump)
}

/// The lines of a real node's dump, again and again, each time with other ports, other nodes' pods and other addresses of
/// the world. The node's own pods, its DNS and the listed addresses stay what they are, so that every way is in it.
struct Repeated {
    lines: Vec<String>,
    next: usize,
    random: Random,
}

impl Repeated {
    /// Repeats these lines, which are of a node whose pods have addresses in `10.42.1.0/24`.
    fn new(dump: &str) -> Self {
        let lines = dump.lines().filter(|line| line.contains(" -> ")).map(|line| format!("{line}\n")).collect();
        Self { lines, next: 0, random: Random(7) }
    }

    /// The next line, with its line end.
    fn line(&mut self) -> String {
        let line = self.lines[self.next % self.lines.len()].clone();
        let first_time = self.next < self.lines.len();
        self.next += 1;
        if first_time { line } else { self.renamed(&line) }
    }

    fn renamed(&mut self, line: &str) -> String {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        // `TCP OUT left -> right …`
        for at in [2, 4] {
            if let Some((ip, port)) = words[at].rsplit_once(':') {
                words[at] = format!("{}:{}", self.address(ip), self.port(port));
            }
        }
        words.join(" ")
    }

    fn address(&mut self, ip: &str) -> String {
        let mut below = |limit| self.random.below(limit);
        match ip.split('.').collect::<Vec<_>>()[..] {
            ["10", "42", "1", _] | ["10", "43" | "77", ..] | ["169", ..] => ip.to_owned(),
            ["10", "42", node, _] => format!("10.42.{node}.{}", 2 + below(250)),
            // Half of what goes to the listed addresses goes elsewhere, so that there is a world to tell apart.
            ["1" | "8", ..] if below(2) == 0 => ip.to_owned(),
            [_, _, _, _] => format!("{}.{}.{}.{}", 20 + below(100), below(256), below(256), below(256)),
            _ => ip.to_owned(),
        }
    }

    /// Ports that a kernel chose are chosen anew.
    fn port(&mut self, port: &str) -> String {
        match port.parse() {
            Ok(32_768_u16..) => (32_768 + self.random.below(28_000)).to_string(),
            _ => port.to_owned(),
        }
    }
}
