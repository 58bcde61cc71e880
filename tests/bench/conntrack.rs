//! One pass over a large dump, beside the runbook's three greps over the same file, in the same run.
//!
//! `cargo bench` prints the figures with their goals. A figure that misses its goal is no failure: machines differ.

mod dump;

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use staledp::gather::reading::beside;
use staledp::kubernetes::roles::{Range, Role, Roles};
use staledp::ways::group::Group;
use staledp::ways::lens::Lens;
use staledp::ways::pass::Pass;
use staledp::ways::picture::Picture;

use dump::{GREPS, Random, line};

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
    let bundle = folder.path().join("bundle");
    let dump = write_bundle(&bundle, size);
    let lens = lens();

    let one_core = best(rounds, || {
        black_box(one_pass(&dump, &lens));
    });
    let pass = best(rounds, || {
        black_box(pass_beside_reading(&dump, &lens));
    });
    let picture = one_pass(&dump, &lens);
    assert!(picture.group(Group::NodeLocalDns).live() > 0 && picture.unparsed == 0, "the dump is read");
    let greps = best(rounds, || GREPS.iter().for_each(|grep| shell(grep, &dump)));
    let (whole, memory) = diagnose(&bundle);

    let megabytes = fs::metadata(&dump).expect("the dump").len() as f64 / 1e6;
    let mut table = String::new();
    let mut row = |what: &str, figure: String, goal: &str| {
        let _ = writeln!(table, "{what:<60} {figure:>14}   {goal}");
    };
    row("a dump in the format of 1.19", format!("{megabytes:.0} MB"), "");
    row(
        "one pass on one core, every line typed, file read included",
        rate(megabytes, one_core),
        "goal: 1 GB/s or more",
    );
    row("the same beside the reading, as `diagnose --from` does it", rate(megabytes, pass), "");
    row("the runbook's three greps over the same file", rate(megabytes, greps), "baseline");
    let ratio = greps.as_secs_f64() / pass.as_secs_f64();
    row("the pass beside the reading is so many times as fast", format!("{ratio:.1} x"), "goal: 5 or more");
    row("the real binary, `diagnose --from`, from start to end", format!("{:.0} ms", whole.as_secs_f64() * 1e3), "");
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
    let mut pass = Pass::new(lens);
    let file = fs::File::open(dump).expect("the dump opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(beside(|outlet| outlet.pour(file), &mut |chunk| pass.feed(chunk))).expect("the dump is read");
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
        .args(["diagnose", "-o", "json", "--from"])
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

/// One node with some hundred pods; the others are the world.
fn lens() -> Lens {
    let mut roles = Roles::new(true);
    roles.name([169, 254, 25, 10].into(), Role::NodeLocalDns);
    roles.name_range("10.42.1.0/24".parse().expect("a range"), Range::LocalPods);
    roles.name_range("10.42.0.0/16".parse().expect("a range"), Range::ClusterPods);
    roles.name_range("10.43.0.0/16".parse().expect("a range"), Range::Services);
    (10..210).for_each(|pod| roles.name([10, 42, 1, pod].into(), Role::LocalPod));
    let external = ["1.1.1.1", "8.8.8.8", "185.12.0.0/16"].map(|prefix| prefix.parse().expect("a prefix")).to_vec();
    Lens {
        roles: roles.into(),
        external,
        probe_sources: Vec::new(),
        probe_target: [1, 1, 1, 1].into(),
        most_age_s: None,
    }
}

/// Writes a bundle of one node around a dump of this size, and says where the dump is.
fn write_bundle(bundle: &Path, size: usize) -> std::path::PathBuf {
    let node = bundle.join("nodes/linz");
    fs::create_dir_all(&node).expect("a folder");
    fs::create_dir_all(bundle.join("kube")).expect("a folder");
    let write = |path: &Path, text: &str| fs::write(path, text).expect("a file");
    write(&bundle.join("bundle.json"), r#"{"schema": "staledp.bundle/v1", "captured_at": "2026-06-06T12:00:00Z"}"#);
    let pods: Vec<String> = std::iter::once(
        r#"{"metadata": {"name": "cilium-x", "namespace": "kube-system", "labels": {"k8s-app": "cilium"}},
            "spec": {"nodeName": "linz", "hostNetwork": true}, "status": {"phase": "Running"}}"#
            .to_owned(),
    )
    .chain((10..210).map(|pod| {
        format!(
            r#"{{"metadata": {{"name": "web-{pod}", "namespace": "apps"}}, "spec": {{"nodeName": "linz"}},
                "status": {{"phase": "Running", "podIP": "10.42.1.{pod}"}}}}"#
        )
    }))
    .collect();
    write(&bundle.join("kube/pods.json"), &format!(r#"{{"items": [{}]}}"#, pods.join(",")));
    write(&node.join("ct-list.json"), r#"{"argv": ["cilium-dbg", "bpf", "ct", "list", "global"], "exit_code": 0}"#);
    let dump = node.join("ct-list.out");
    let mut file = std::io::BufWriter::new(fs::File::create(&dump).expect("a file"));
    let mut random = Random(7);
    let mut written = 0;
    while written < size {
        let line = line(&mut random);
        file.write_all(line.as_bytes()).expect("the dump is written");
        written += line.len();
    }
    file.flush().expect("the dump is written");
    dump
}
