//! Every case with known truth, judged by the program itself: public reports, simulated faults, a real cluster.

mod truth;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use truth::{Complaint, Truth};

/// Nodes of which only evidence beside the five checks' own tells the truth, and what that evidence is. They may be
/// judged otherwise for now; none of them may be wrongly stale.
const NEEDS_FURTHER_EVIDENCE: [(&str, &str, &str); 13] = [
    (ONE_LXC, "prusik", "one pod's tcx link is detached: endpoint-list against attached-programs"),
    (ONE_LXC, "brno", "socket LB programs are detached: cgroup-tree"),
    (ONE_LXC, "vienna", "the agent's socket is gone: endpoint-list fails at once"),
    (IPCACHE, "prusik", "entries of the kernel's ipcache: ipcache-list against map-get-ipcache"),
    (IPCACHE, "brno", "one pod's entry of cilium_lxc: bpf-endpoint-list against map-get-lxc"),
    (IPCACHE, "vienna", "one pod's tail calls are gone: bpf-metrics read twice, calls-maps"),
    (HOSTNS_ALONE, "prusik", "tail calls of the host's programs are gone: bpf-metrics read twice, calls-maps"),
    (HOSTNS_ALONE, "vienna", "one pod's tcx link is detached: endpoint-list against attached-programs"),
    (HOSTNS, "prusik", "tail calls of the host's programs are gone: bpf-metrics read twice, calls-maps"),
    (HOSTNS, "brno", "a second BPF file system is mounted in the agent's view: mounts"),
    (HOSTNS, "vienna", "the CNI program is gone: events of sandboxes that cannot be made"),
    (FROZEN, "prusik", "the agent hangs: lb-list against EndpointSlices"),
    (IPTABLES, "prusik", "a rule of the host drops what goes to pods: host-firewall"),
];

const ONE_LXC: &str = "x-01a-lxc-one_socket-lb-detached_agent-socket-gone_config-drift";
const IPCACHE: &str = "x-02a-ipcache_02d-onepod_02c2-onepod";
const HOSTNS_ALONE: &str = "x-02c-hostns-alone_01a-lxc-one-vienna";
const HOSTNS: &str = "x-02c-hostns-tailcalls_09-second-bpffs_cni-binary-gone";
const FROZEN: &str = "x-07b-frozen-agent_coredns-rolled";
const IPTABLES: &str = "x-09c-second-mount-restart_02e-iptables";

/// What came of one case.
struct Judged {
    name: String,
    nodes: usize,
    complaints: Vec<Complaint>,
    /// Nodes that are stale and must not be.
    wrongly_stale: BTreeSet<String>,
    /// Nodes that must be stale and are not.
    missed_stale: BTreeSet<String>,
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/data")
}

fn names() -> Vec<String> {
    let entries = std::fs::read_dir(data()).expect("the cases are part of the project");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name().into_string();
    let mut names: Vec<String> = entries.map(|entry| name(entry).expect("a name in UTF-8")).collect();
    names.sort();
    names
}

fn truth_of(name: &str) -> Truth {
    let path = data().join(name).join("truth.json");
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Judges one case with the program itself.
fn judge_case(name: &str) -> Judged {
    let truth = truth_of(name);
    let output = Command::new(env!("CARGO_BIN_EXE_staledp"))
        .args(["diagnose", "-o", "json", "--from"])
        .arg(data().join(name).join("bundle.tar.gz"))
        .args(&truth.args)
        .output()
        .expect("the program runs");
    let mut judged = Judged {
        name: name.to_owned(),
        nodes: truth.nodes.len(),
        complaints: Vec::new(),
        wrongly_stale: BTreeSet::new(),
        missed_stale: BTreeSet::new(),
    };
    let mut complain = |node: Option<&String>, says| judged.complaints.push(Complaint { node: node.cloned(), says });
    let exit = output.status.code().unwrap_or(-1);
    let Ok(report) = serde_json::from_slice::<Value>(&output.stdout) else {
        let said = String::from_utf8_lossy(&output.stderr);
        complain(None, format!("no JSON (exit {exit}: {})", said.trim()));
        return judged;
    };
    if !truth.exit.contains(&exit) {
        complain(None, format!("exit {exit}, not {:?}", truth.exit));
    }
    let entries = report["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    for (node, right) in &truth.nodes {
        let Some(entry) = entries.iter().find(|entry| entry["node"] == node.as_str()) else {
            complain(Some(node), "no entry".to_owned());
            continue;
        };
        for says in right.against(entry, &report["notes"]) {
            complain(Some(node), says);
        }
        match (entry["verdict"]["kind"] == "stale", right.may_be_stale()) {
            (true, false) => judged.wrongly_stale.insert(node.clone()),
            (false, true) => judged.missed_stale.insert(node.clone()),
            _ => continue,
        };
    }
    judged
}

/// Judges all cases, two at once, in their order.
fn judge_all(names: &[String]) -> Vec<Judged> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let judged = judge_case(name);
                    done.lock().expect("no thread panics while it holds the lock").push(judged);
                }
            });
        }
    });
    let mut done = done.into_inner().expect("the threads are done");
    done.sort_by(|a, b| a.name.cmp(&b.name));
    done
}

/// Why nothing is asked of this node yet, where that is so. A report's exit code waits for the last of its nodes.
fn not_yet(case: &str, node: Option<&str>) -> Option<&'static str> {
    let waits = |(c, n, _): &&(&str, &str, &str)| *c == case && node.is_none_or(|node| node == *n);
    NEEDS_FURTHER_EVIDENCE.iter().find(waits).map(|(_, _, why)| *why)
}

#[test]
fn every_case_gets_an_acceptable_verdict_with_the_words_of_its_truth() {
    let judged = judge_all(&names());
    let (mut required, mut later) = (Vec::new(), Vec::new());
    for case in &judged {
        for complaint in &case.complaints {
            let line = format!("{}{complaint}", case.name);
            let node = complaint.node.as_deref();
            let wrongly_stale = node.is_some_and(|node| case.wrongly_stale.contains(node));
            match not_yet(&case.name, node) {
                Some(why) if !wrongly_stale => later.push(format!("{line} ({why})")),
                _ => required.push(line),
            }
        }
    }
    println!("not yet required:");
    for line in &later {
        println!("  {line}");
    }
    println!("complaints:");
    for line in &required {
        println!("  {line}");
    }
    let complained = |case: &Judged| case.complaints.iter().filter_map(|c| c.node.clone()).collect::<BTreeSet<_>>();
    let sum = |count: &dyn Fn(&Judged) -> usize| judged.iter().map(count).sum::<usize>();
    println!(
        "{} cases, {} nodes, {} with a complaint: {} complaints and {} not yet required, wrongly stale {}, missed stale {}",
        judged.len(),
        sum(&|case| case.nodes),
        sum(&|case| complained(case).len()),
        required.len(),
        later.len(),
        sum(&|case| case.wrongly_stale.len()),
        sum(&|case| case.missed_stale.len()),
    );
    assert!(required.is_empty(), "{} complaints:\n{}", required.len(), required.join("\n"));
}

#[test]
fn what_waits_for_further_evidence_is_a_node_of_a_case() {
    for (case, node, why) in NEEDS_FURTHER_EVIDENCE {
        assert!(truth_of(case).nodes.contains_key(node), "{case} has no node {node}");
        assert!(!why.is_empty(), "{case}/{node} needs a reason");
    }
}
