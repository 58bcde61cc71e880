//! A scenario into the files of a bundle (contract, section 5).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::conntrack;
use super::kube;
use super::model::{Fault, Node, Scenario};
use super::probe::{self, Output};
use super::rng::Rng;
use super::tables;

/// Dumps above this size lie compressed in fixtures, in bytes.
const PLAIN: usize = 20_000;

/// A bundle in memory: path and content.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The files of this scenario's bundle.
pub(crate) fn files(scenario: &Scenario) -> Files {
    let captured = kube::time(scenario.cluster.captured_at);
    let mut out: Files = kube::lists(scenario).into_iter().collect();
    let about = json!({
        "schema": "staledp.bundle/v1",
        "tool": {"name": "scenarios", "version": "1"},
        "captured_at": captured,
        "context": scenario.cluster.context,
        "argv": ["staledp", "diagnose", "--all-nodes"],
    });
    out.insert("bundle.json".to_owned(), kube::pretty(&about));
    for (path, text) in &scenario.cluster.further {
        out.insert(path.clone(), text.clone().into_bytes());
    }
    for node in &scenario.nodes {
        for (name, output) in evidence(scenario, node) {
            let faults: Vec<Fault> = node
                .faults
                .iter()
                .filter(|(of, _)| *of == name || name.starts_with(&format!("{of}.")))
                .map(|f| f.1)
                .collect();
            let seed = format!("{}/{}/{name}", scenario.name, node.name);
            put(&mut out, &format!("nodes/{}/{name}", node.name), output, &faults, &captured, &seed);
        }
    }
    out
}

/// Compresses what is large, as fixtures want it.
pub(crate) fn compress_large(files: Files) -> Files {
    files
        .into_iter()
        .map(|(path, bytes)| {
            let output = Path::new(&path).extension().is_some_and(|e| e == "out");
            if bytes.len() > PLAIN && output { (path + ".gz", gzip(&bytes)) } else { (path, bytes) }
        })
        .collect()
}

/// Writes a bundle.
///
/// # Errors
///
/// The file system's.
pub(crate) fn write(files: &Files, dir: &Path) -> io::Result<()> {
    for (path, bytes) in files {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().expect("every file has a folder"))?;
        fs::write(path, bytes)?;
    }
    Ok(())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

/// What was gathered of one node, by the name of the evidence.
fn evidence(scenario: &Scenario, node: &Node) -> Vec<(String, Output)> {
    let seed = &scenario.name;
    let cilium = node.release.binary();
    let mut out: Vec<(String, Output)> = Vec::new();
    if let Some(ping) = probe::ping(node) {
        out.push(("host-ping".to_owned(), ping));
    }
    for (slot, probes) in node.probes.iter().enumerate() {
        let number = if slot == 0 { String::new() } else { format!(".{}", slot + 1) };
        let pod = &node.pods[probes.pod];
        let each = [
            ("pod-egress", probe::fetch(node, probes.tool, probes.by_name, true)),
            ("pod-egress-address", probe::fetch(node, probes.tool, probes.by_address, false)),
            ("pod-dns", probe::lookup(node, probes.dns)),
        ];
        for (name, output) in each {
            if let Some(mut output) = output {
                output.pod = Some(format!("{}/{}", pod.namespace, pod.name));
                out.push((format!("{name}{number}"), output));
            }
        }
    }
    let mut agent = |name: &str, argv: &[&str], text: String| out.push((name.to_owned(), Output::ok(argv, text)));
    agent("ct-list", &[cilium, "bpf", "ct", "list", "global"], conntrack::dump(seed, node, &scenario.cluster));
    agent("service-list", &[cilium, "service", "list"], tables::service_list(node));
    if let Some(table) = &node.lb {
        agent("lb-list", &[cilium, "bpf", "lb", "list"], tables::lb_list(seed, node, table));
    }
    if let Some(status) = &node.status {
        agent("agent-status", &[cilium, "status", "--verbose"], tables::agent_status(node, status));
    }
    if let Some(drops) = &node.drops {
        agent("drop-metrics", &[cilium, "bpf", "metrics", "list"], tables::drop_metrics(node, drops));
        if let Some(rise) = node.drops_rise {
            let later: Vec<_> = drops.iter().map(|(reason, way, packets)| (*reason, *way, packets + rise)).collect();
            agent("drop-metrics.2", &[cilium, "bpf", "metrics", "list"], tables::drop_metrics(node, &later));
        }
    }
    if let Some((tcp, udp)) = node.nat {
        agent("nat-list", &[cilium, "bpf", "nat", "list"], tables::nat_list(seed, node, tcp, udp));
    }
    if let Some(programs) = node.programs {
        agent("attached-programs", &["bpftool", "net", "show"], tables::attached_programs(node, programs));
    }
    if let Some(log) = node.log {
        agent("agent-log", &["kubectl", "logs", "--tail=500"], tables::agent_log(node, log));
    }
    out
}

/// Puts one piece of evidence where it belongs, after what happened to it on its way.
fn put(out: &mut Files, path: &str, mut output: Output, faults: &[Fault], captured: &str, seed: &str) {
    let mut bytes = output.stdout.clone().into_bytes();
    let mut compressed = false;
    for fault in faults {
        match fault {
            Fault::Missing => return,
            Fault::Truncated => {
                bytes.truncate(cut(&bytes));
                let message = "the stream ended without an exit status".to_owned();
                (output.exit, output.error) = (None, Some(("truncated", message)));
            }
            Fault::Timeout => {
                bytes.clear();
                (output.exit, output.error) = (None, Some(("timeout", "no answer within 15 s".to_owned())));
            }
            Fault::Forbidden => {
                bytes.clear();
                let message = "pods is forbidden: User \"viewer\" cannot create resource \"pods/exec\" in API group \"\" in the namespace \"kube-system\"";
                (output.exit, output.error) = (None, Some(("forbidden", message.to_owned())));
            }
            Fault::Empty => bytes = b"\n\n".to_vec(),
            Fault::Noise => bytes = noise(&bytes),
            Fault::Gzip => compressed = true,
            Fault::Shuffled => bytes = shuffled(&bytes, seed),
            Fault::Failed(message) => {
                bytes.clear();
                (output.exit, output.stderr) = (Some(1), (*message).to_owned());
            }
        }
    }
    let mut about = json!({
        "argv": output.argv,
        "exit_code": output.exit,
        "stderr": output.stderr,
        "started_at": captured,
        "duration_ms": output.duration_ms,
        "error": output.error.map(|(kind, message)| json!({"kind": kind, "message": message})),
    });
    if let Some(via) = output.via {
        about["via"] = Value::from(via);
    }
    if let Some(pod) = output.pod {
        about["pod"] = Value::from(pod);
    }
    out.insert(format!("{path}.json"), kube::pretty(&about));
    if compressed {
        out.insert(format!("{path}.out.gz"), gzip(&bytes));
    } else {
        out.insert(format!("{path}.out"), bytes);
    }
}

/// Where a stream broke off: at two fifths, in the middle of a line.
fn cut(bytes: &[u8]) -> usize {
    let mut at = bytes.len() * 2 / 5;
    while at > 0 && (bytes[at] == b'\n' || bytes[at - 1] == b'\n') {
        at -= 1;
    }
    at
}

/// What shells and kubectl put between the lines.
fn noise(bytes: &[u8]) -> Vec<u8> {
    const NOISE: [&str; 5] = [
        "Defaulted container \"cilium-agent\" out of: cilium-agent, config (init), mount-cgroup (init)",
        "root@node:/home/cilium# cilium-dbg bpf ct list global",
        "# taken by hand",
        "```",
        "Unable to open /sys/fs/bpf/tc/globals/cilium_ct6_global: no such file or directory. Skipping.",
    ];
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::new();
    for (nth, line) in text.lines().enumerate() {
        if nth % 40 == 0 {
            out.push_str(NOISE[nth / 40 % NOISE.len()]);
            out.push('\n');
        }
        out.push_str(line);
        out.push('\n');
    }
    out.push_str("command terminated with exit code 0\n");
    out.into_bytes()
}

/// The same lines in another order.
fn shuffled(bytes: &[u8], seed: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<&str> = text.lines().collect();
    Rng::new(&format!("{seed}/shuffled")).shuffle(&mut lines);
    let mut out = lines.join("\n");
    out.push('\n');
    out.into_bytes()
}
