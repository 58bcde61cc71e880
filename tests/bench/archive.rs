//! A sysdump of 50 nodes and 2 GB, judged by the real binary, beside what a person does with the same file: `unzip -p`
//! of the members that are needed, and the runbook's three greps over them.
//!
//! `cargo bench --bench archive` prints the figures with their goals. A figure that misses its goal is no failure:
//! machines differ. The archive takes some 400 MB of the temporary folder.

mod dump;
#[path = "../archives/made.rs"]
#[allow(dead_code, reason = "shared with the tests of archives, and this uses a part")]
mod made;
#[path = "../support/run.rs"]
#[allow(dead_code, reason = "shared with other test crates, and none of them uses all of it")]
mod run;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use dump::{GREPS, Random};
use made::{TIME, Zip, gzip, tar};
use run::{Outcome, staledp};

/// How often everything is measured; the best counts.
const ROUNDS: usize = 3;
/// Pods of each node.
const PODS: usize = 40;

/// How large everything is.
struct Sizes {
    nodes: usize,
    /// The conntrack dump of a node, in bytes; its NAT table is an eighth of it, and so is what nobody needs.
    dump: usize,
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
fn main() {
    // Only `cargo bench` says `--bench`; without it small sizes show that this still works.
    let smoke = !std::env::args().any(|arg| arg == "--bench") || std::env::args().any(|arg| arg == "--test");
    let (nodes, dump, rounds) = if smoke { (3, 400_000, 1) } else { (50, 32_000_000, ROUNDS) };
    let sizes = Sizes { nodes, dump };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let row = |what: &str, figure: String, goal: &str| println!("{what:<66} {figure:>14}   {goal}");
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());

    let path = folder.path().join("cilium-sysdump.zip");
    let plain = write_sysdump(&path, &sizes, false);
    let packed = fs::metadata(&path).expect("the sysdump").len();
    let size = format!("{:.2} GB", plain as f64 / 1e9);
    row(&format!("a sysdump of {} nodes, {:.0} MB as a zip", sizes.nodes, packed as f64 / 1e6), size, "");
    let best = judged(&path, &sizes, rounds);
    row("`diagnose --from`, from start to end", seconds(best.elapsed), "");
    row("  its peak memory", mebibytes(&best), "goal: 64 MiB or less");
    match unzip_and_grep(&path, &folder.path().join("member"), &sizes, rounds) {
        Some(baseline) => {
            row("`unzip -p` of the dumps and service lists, and three greps over each", seconds(baseline), "baseline");
            let ratio = baseline.as_secs_f64() / best.elapsed.as_secs_f64();
            row("  diagnose is so many times as fast", format!("{ratio:.1} x"), "goal: 1 or more");
        }
        None => row("no baseline: there is no unzip program", String::new(), ""),
    }

    write_sysdump(&path, &sizes, true);
    let best = judged(&path, &sizes, rounds);
    row("the same with every node's bugtool archive left as tar.gz", seconds(best.elapsed), "");
    row("  its peak memory", mebibytes(&best), "goal: 64 MiB or less");
}

fn mebibytes(outcome: &Outcome) -> String {
    format!("{:.1} MiB", f64::from(u32::try_from(outcome.peak_kib.unwrap_or(0)).unwrap_or(u32::MAX)) / 1024.0)
}

/// The fastest run of the real binary on the sysdump; every run must find on every node what was put there.
fn judged(path: &Path, sizes: &Sizes, rounds: usize) -> Outcome {
    let once = |()| {
        let outcome = staledp(["diagnose", "-o", "json", "--from", &path.display().to_string()]).run();
        let report = outcome.report();
        let nodes = report.0["nodes"].as_array().expect("nodes");
        assert_eq!(nodes.len(), sizes.nodes);
        for node in nodes {
            let live = |check: usize, field: &str| node["checks"][check]["data"][field].as_u64().unwrap_or(0);
            assert!(live(2, "live") > 0 && live(3, "world") > 0, "its dump was read: {node:#}");
            assert_eq!(node["checks"][4]["status"], Value::from("pass"), "its services were read: {node:#}");
        }
        outcome
    };
    std::iter::repeat_n((), rounds).map(once).min_by_key(|outcome| outcome.elapsed).expect("a run")
}

/// What a person does: node by node the members that are needed, and the greps over them.
fn unzip_and_grep(zip: &Path, member: &Path, sizes: &Sizes, rounds: usize) -> Option<Duration> {
    let mut script = "for node in $(seq 1 \"$3\"); do\n".to_owned();
    for file in ["service-list", "bpf-ct-list-global"] {
        let _ =
            writeln!(script, "unzip -p \"$2\" \"*/cilium-bugtool-cilium-$node-*/cmd/cilium-dbg-{file}.md\" > \"$1\"");
    }
    script.push_str(&GREPS.join("\n"));
    script.push_str("\ndone\n");
    let once = || {
        let begun = Instant::now();
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, "sh"]).arg(member).arg(zip).arg(sizes.nodes.to_string());
        let output = shell.output().expect("a shell with grep");
        let counts = String::from_utf8_lossy(&output.stdout);
        let counted = counts.lines().filter(|count| count.parse().is_ok_and(|count: u64| count > 0)).count();
        assert!(counted > sizes.nodes, "they count: {counts}");
        begun.elapsed()
    };
    Command::new("unzip").arg("-v").output().ok()?;
    std::iter::repeat_with(once).take(rounds).min()
}

/// Writes the sysdump, and says how large its members are.
fn write_sysdump(path: &Path, sizes: &Sizes, nested: bool) -> usize {
    let mut random = Random(7);
    let mut lines = String::with_capacity(sizes.dump + 512);
    while lines.len() < sizes.dump {
        lines.push_str(&line(&mut random));
    }
    let mut nat = String::new();
    while nat.len() < sizes.dump / 8 {
        let (from, port, to) = (10 + random.below(200), 1024 + random.below(60_000), random.below(256));
        let _ = writeln!(
            nat,
            "TCP OUT 10.42.1.{from}:{port} -> 93.184.215.{to}:443 XLATE_SRC 192.168.1.5:{port} Created=12sec ago NeedsCT=1"
        );
    }
    let top = format!("cilium-sysdump-{TIME}");
    let mut zip = Zip::new(BufWriter::new(File::create(path).expect("a file")));
    let mut size = 0;
    let mut add = |name: &str, text: &[u8]| {
        size += text.len();
        zip.add(&format!("{top}/{name}"), text, |_| {});
    };
    for (name, text) in lists(sizes.nodes) {
        add(&format!("k8s-{name}-{TIME}.yaml"), text.as_bytes());
    }
    for node in 1..=sizes.nodes {
        // Every node has pods of its own.
        let own = |text: &str| text.replace("10.42.1.", &format!("10.42.{node}.")).into_bytes();
        let services = "ID   Frontend              Service Type   Backend                            \n\
             1    10.43.0.10:53/UDP     ClusterIP      1 => 10.42.1.10:53/UDP (active)    \n\
             \x20                                            2 => 10.42.1.11:53/UDP (active)    \n\
             2    10.43.0.10:53/TCP     ClusterIP      1 => 10.42.1.10:53/TCP (active)    \n\
             \x20                                            2 => 10.42.1.11:53/TCP (active)    \n";
        let files = vec![
            ("cmd/cilium-dbg-bpf-ct-list-global.md".to_owned(), own(&lines)),
            ("cmd/cilium-dbg-bpf-nat-list.md".to_owned(), own(&nat)),
            ("cmd/cilium-dbg-endpoint-list-o-json.md".to_owned(), own(&nat)),
            ("cmd/cilium-dbg-service-list.md".to_owned(), services.as_bytes().to_vec()),
        ];
        let place = format!("cilium-bugtool-cilium-{node}-{TIME}");
        if nested {
            add(&format!("{place}.tar.gz"), &gzip(&tar(&files, "cilium-bugtool-x")));
        } else {
            for (name, text) in &files {
                add(&format!("{place}/{name}"), text);
            }
        }
    }
    zip.finish().flush().expect("a file");
    size
}

/// The lists of a cluster of so many nodes, as YAML.
fn lists(nodes: usize) -> Vec<(&'static str, String)> {
    let begin = |kind: &str| format!("apiVersion: v1\nkind: {kind}List\nitems:\n");
    let (mut node_list, mut pods) = (begin("Node"), begin("Pod"));
    for node in 1..=nodes {
        let _ = write!(
            node_list,
            "- metadata:\n    name: node-{node}\n  spec:\n    podCIDRs:\n    - 10.42.{node}.0/24\n  status:\n    \
             conditions:\n    - type: Ready\n      status: \"True\"\n      lastHeartbeatTime: \"2026-06-06T12:00:00Z\"\n"
        );
        let mut pod = |name: &str, label: &str, address: &str, host: bool| {
            let _ = write!(
                pods,
                "- metadata:\n    name: {name}\n    namespace: kube-system\n    labels:\n      k8s-app: {label}\n  spec:\n    \
                 nodeName: node-{node}\n    hostNetwork: {host}\n  status:\n    phase: Running\n    podIP: {address}\n    \
                 conditions:\n    - type: Ready\n      status: \"True\"\n    containerStatuses:\n    - name: cilium-agent\n      \
                 ready: true\n      state:\n        running:\n          startedAt: \"2026-05-01T12:00:00Z\"\n"
            );
        };
        pod(&format!("cilium-{node}"), "cilium", &format!("192.168.1.{node}"), true);
        pod(&format!("node-local-dns-{node}"), "node-local-dns", &format!("192.168.1.{node}"), true);
        for number in 10..10 + PODS {
            pod(&format!("web-{node}-{number}"), "web", &format!("10.42.{node}.{number}"), false);
        }
    }
    let services = "- metadata:\n    name: kube-dns\n    namespace: kube-system\n    labels:\n      k8s-app: kube-dns\n  spec:\n    \
         type: ClusterIP\n    clusterIP: 10.43.0.10\n    ports:\n    - port: 53\n      protocol: UDP\n    - port: 53\n      protocol: TCP\n";
    let endpoints = "- metadata:\n    name: kube-dns\n    namespace: kube-system\n  subsets:\n  - addresses:\n    - ip: 10.42.1.10\n    - ip: 10.42.1.11\n    \
         ports:\n    - port: 53\n      protocol: UDP\n    - port: 53\n      protocol: TCP\n";
    vec![
        ("nodes", node_list),
        ("pods", pods),
        ("services", begin("Service") + services),
        ("endpoints", begin("Endpoints") + endpoints),
    ]
}

/// A line in the format of 1.19: 2 % queries to node-local DNS, 1 % to a listed address, the rest TCP to the world,
/// most of it answered and some of it over.
fn line(random: &mut Random) -> String {
    const NOW: u64 = 813_456;
    let source = format!("10.42.1.{}:{}", 10 + random.below(200), 1024 + random.below(60_000));
    match random.below(100) {
        0..2 => {
            let asked = NOW - random.below(50);
            let answered = if random.below(40) == 0 { 0 } else { asked };
            let expires = asked + 60;
            format!(
                "UDP OUT {source} -> 169.254.25.10:53 expires={expires} Packets=0 Bytes=0 RxFlagsSeen=0x00 \
                 LastRxReport={answered} TxFlagsSeen=0x00 LastTxReport={asked} Flags=0x0000 [ ] RevNAT=0 \
                 SourceSecurityID=35631 BackendID=0 NatPort=0 \n"
            )
        }
        kind => {
            let last = NOW - random.below(20_000);
            let expires = last + 8_000;
            let to = if kind == 2 {
                "1.1.1.1".to_owned()
            } else {
                format!("{}.{}.{}.{}", 20 + random.below(100), random.below(256), random.below(256), random.below(256))
            };
            format!(
                "TCP OUT {source} -> {to}:443 expires={expires} Packets=0 Bytes=0 RxFlagsSeen=0x1b LastRxReport={last} \
                 TxFlagsSeen=0x1b LastTxReport={last} Flags=0x0013 [ RxClosing TxClosing SeenNonSyn ] RevNAT=0 \
                 SourceSecurityID=35631 BackendID=0 NatPort=0 \n"
            )
        }
    }
}
