//! What the tools of each era wrote.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::made::{ERAS, cmd, gzip, output_of, sysdump, tar, zip};
use crate::run::staledp;
use crate::{diagnose, files_of, fixture, fixtures};

/// Verdicts, and the figures of the checks that an archive can hold.
pub(crate) fn gist(report: &Value) -> Value {
    let node = |node: &Value| {
        let figures = |id: &str| {
            let check = node["checks"].as_array().into_iter().flatten().find(|check| check["id"] == id).cloned();
            check.map(|check| json!([check["status"], check["data"]]))
        };
        let figures: Vec<_> =
            ["dns-conntrack", "external-conntrack", "dns-backends"].iter().map(|id| figures(id)).collect();
        json!([node["node"], node["cilium"], node["verdict"]["kind"], node["verdict"]["code"], figures])
    };
    report["nodes"].as_array().into_iter().flatten().map(node).collect()
}

/// A copy of a bundle without what no archive can hold.
fn without_probes(bundle: &Path, to: &Path) {
    for part in ["kube", "nodes"] {
        fs::create_dir_all(to.join(part)).expect("a folder");
    }
    fs::copy(bundle.join("bundle.json"), to.join("bundle.json")).expect("a copy");
    for entry in fs::read_dir(bundle.join("kube")).expect("kube") {
        let path = entry.expect("an entry").path();
        fs::copy(&path, to.join("kube").join(path.file_name().expect("a name"))).expect("a copy");
    }
    for entry in fs::read_dir(bundle.join("nodes")).expect("nodes") {
        let folder = entry.expect("an entry").path();
        let there = to.join("nodes").join(folder.file_name().expect("a name"));
        fs::create_dir_all(&there).expect("a folder");
        for file in fs::read_dir(&folder).expect("files") {
            let path = file.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if !name.starts_with("host-ping") && !name.starts_with("pod-") {
                fs::copy(&path, there.join(name)).expect("a copy");
            }
        }
    }
}

#[test]
fn a_sysdump_of_each_era_is_judged_as_its_bundle_without_probes() {
    let keep = tempfile::tempdir().expect("a folder");
    let mut differ = Vec::new();
    for (number, bundle) in fixtures().iter().enumerate() {
        let reference = keep.path().join(format!("{number}"));
        without_probes(bundle, &reference);
        let (_, right, _) = diagnose(&reference);
        for era in ERAS {
            let path = keep.path().join("somebody-sent-me-this");
            fs::write(&path, zip(&sysdump(bundle, era), |_, _| {})).expect("a file");
            let (code, report, stderr) = diagnose(&path);
            let name = bundle.display();
            // A node without an agent has no folder in a sysdump.
            let mut right = gist(&right);
            right.as_array_mut().expect("nodes").retain(|node| !node[1]["pod"].is_null());
            if right.as_array().is_some_and(Vec::is_empty) {
                continue;
            }
            if report["source"]["kind"] != "sysdump" || gist(&report) != right {
                differ.push({
                    let codes = |gist: &Value| -> String {
                        let nodes = gist.as_array().into_iter().flatten();
                        nodes.map(|node| node[3].to_string()).collect::<Vec<_>>().join(" ")
                    };
                    format!("{name} {era:?}: {code:?} {stderr} {}, not {}", codes(&gist(&report)), codes(&right))
                });
            }
        }
    }
    assert!(differ.is_empty(), "archive, then bundle:\n{}", differ.join("\n"));
}

#[test]
fn a_sysdump_becomes_a_redacted_bundle_of_the_same_verdicts() {
    let keep = tempfile::tempdir().expect("a folder");
    let (path, kept) = (keep.path().join("dump.zip"), keep.path().join("kept"));
    fs::write(&path, zip(&sysdump(&fixture("2026-06-06-prusik"), ERAS[0]), |_, _| {})).expect("a file");
    let (from, to) = (path.display().to_string(), kept.display().to_string());
    staledp(["capture", "--from", &from, "--redact", &to]).run().exits(0);
    let told = |path: &Path| {
        let report = diagnose(path).1;
        let nodes = report["nodes"].as_array().expect("nodes").clone();
        let mut told: Vec<String> = nodes
            .iter()
            .map(|node| {
                json!([
                    node["verdict"]["code"],
                    node["verdict"]["confidence"],
                    node["checks"][2]["data"]["unanswered"],
                    node["checks"][3]["data"]
                ])
                .to_string()
            })
            .collect();
        told.sort();
        told
    };
    assert_eq!(told(&kept), told(&path));
    for (name, bytes) in files_of(&kept) {
        let text = format!("{name}\n{}", String::from_utf8_lossy(&bytes));
        for gone in ["prusik", "vienna", "swmbt", "grigri", "10.42.1.", "192.168.10.2"] {
            assert!(!text.contains(gone), "{gone} in {name}");
        }
    }
}

/// A bundle of what a bugtool archive can tell: one node's evidence, and of the lists its name and pod ranges.
fn as_bugtool_tells(folder: &Path, to: &Path) {
    for part in ["kube", "nodes/linz"] {
        fs::create_dir_all(to.join(part)).expect("a folder");
    }
    fs::write(to.join("bundle.json"), r#"{"schema": "staledp.bundle/v1"}"#).expect("a file");
    for file in fs::read_dir(folder).expect("files") {
        let path = file.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let told = [
            "ct-list",
            "service-list",
            "lb-list",
            "agent-status",
            "drop-metrics.",
            "nat-list",
            "attached-",
            "bpf-endpoint-list",
            "ipcache-list",
            "cgroup-tree",
        ];
        if told.iter().any(|told| name.starts_with(told)) && !name.starts_with("drop-metrics.2") {
            fs::copy(&path, to.join("nodes/linz").join(name)).expect("a copy");
        }
    }
    let status = output_of(folder, "agent-status").unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let ranges = status.lines().find(|line| line.starts_with("IPAM:")).unwrap_or_default();
    let ranges: Vec<&str> = ranges.split([' ', ',']).filter(|word| word.contains('.') && word.contains('/')).collect();
    let nodes = json!({"items": [{"metadata": {"name": "linz"}, "spec": {"podCIDRs": ranges}}]});
    fs::write(to.join("kube/nodes.json"), nodes.to_string()).expect("a file");
}

#[test]
fn a_bugtool_archive_is_judged_as_a_bundle_of_what_it_can_tell() {
    let keep = tempfile::tempdir().expect("a folder");
    let (mut told, mut differ) = (BTreeSet::new(), Vec::new());
    for (number, bundle) in fixtures().iter().enumerate() {
        let folder =
            fs::read_dir(bundle.join("nodes")).expect("nodes").next().expect("a node").expect("an entry").path();
        let reference = keep.path().join(format!("{number}"));
        as_bugtool_tells(&folder, &reference);
        let (right_code, right, _) = diagnose(&reference);
        for (way, era) in ERAS.iter().enumerate() {
            let mut files = cmd(&folder, *era);
            files.push(("cmd/uname--a.md".to_owned(), b"Linux linz 6.12.30-amd64 #1 SMP x86_64 GNU/Linux\n".to_vec()));
            // The tool walks its folder by name.
            files.sort();
            if files.iter().all(|(name, _)| !name.contains("bpf-ct-list")) {
                continue;
            }
            let bytes = tar(&files, "cilium-bugtool-20260606-120000.000+0000-UTC-1");
            let path = keep.path().join("bugtool");
            fs::write(&path, if (number + way) % 2 == 0 { gzip(&bytes) } else { bytes }).expect("a file");
            let (code, report, stderr) = diagnose(&path);
            let name = bundle.display();
            if (code, gist(&report)) != (right_code, gist(&right)) || report["source"]["kind"] != "bugtool" {
                differ.push(format!("{name} {era:?}: {code:?} {stderr} {}\n not {}", gist(&report), gist(&right)));
                continue;
            }
            let node = &report["nodes"][0];
            told.insert(format!("{} {}", node["checks"][2]["status"], node["checks"][3]["status"]));
            let ping = &node["checks"][0];
            assert_eq!(
                (&ping["status"], &ping["reason"]),
                (&json!("unknown"), &json!("archives contain no ping from the host"))
            );
        }
    }
    assert!(differ.is_empty(), "archive, then bundle:\n{}", differ.join("\n"));
    assert!(told.len() > 2, "the dumps tell different things: {told:?}");
}
