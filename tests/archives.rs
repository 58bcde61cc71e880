//! Archives of `cilium sysdump` and `cilium-bugtool`, made here in the layout of each era from the fixtures, and judged by
//! the real binary: the same as the fixture's bundle without what no archive can hold.

#![expect(clippy::format_push_string, reason = "the YAML of a test is small, and reads better so")]
#![expect(clippy::cast_possible_truncation, reason = "the archives of the tests are small")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};
use serde_json::{Value, json};

/// The names of an era.
#[derive(Clone, Copy, Debug)]
struct Era {
    tool: &'static str,
    dump: &'static str,
    fence: bool,
    top: bool,
    nested: bool,
}

const ERAS: [Era; 5] = [
    Era { tool: "cilium", dump: "bpf-ct-list-global", fence: false, top: true, nested: false },
    Era { tool: "cilium-dbg", dump: "bpf-ct-list-global", fence: false, top: false, nested: false },
    Era { tool: "cilium-dbg", dump: "bpf-ct-list-global---time-diff", fence: true, top: true, nested: false },
    Era { tool: "cilium-dbg", dump: "bpf-ct-list---time-diff", fence: false, top: false, nested: false },
    Era { tool: "cilium-dbg", dump: "bpf-ct-list-global", fence: false, top: true, nested: true },
];

const TIME: &str = "20260606-120000";

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut all: Vec<PathBuf> = fs::read_dir(root)
        .expect("fixtures")
        .map(|entry| entry.expect("an entry").path().join("bundle"))
        .filter(|path| path.join("kube/pods.json").is_file() && path.join("kube/nodes.json").is_file())
        .collect();
    all.sort();
    all
}

fn json_of(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn output_of(folder: &Path, name: &str) -> Option<Vec<u8>> {
    if let Ok(bytes) = fs::read(folder.join(format!("{name}.out"))) {
        return Some(bytes);
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(folder.join(format!("{name}.out.gz"))).ok()?;
    flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes).expect("gzip");
    Some(bytes)
}

/// The files of a `cmd` folder for what a bundle holds of a node.
fn cmd(folder: &Path, era: Era) -> Vec<(String, Vec<u8>)> {
    let named = [
        ("ct-list", format!("{}-{}", era.tool, era.dump)),
        ("service-list", format!("{}-service-list", era.tool)),
        ("lb-list", format!("{}-bpf-lb-list", era.tool)),
        ("agent-status", format!("{}-status---verbose", era.tool)),
        ("drop-metrics", format!("{}-bpf-metrics-list", era.tool)),
        ("nat-list", format!("{}-bpf-nat-list", era.tool)),
        ("attached-programs", "bpftool-net-show".to_owned()),
    ];
    let mut out = Vec::new();
    for (evidence, file) in named {
        let (Some(mut text), Some(about)) =
            (output_of(folder, evidence), json_of(&folder.join(format!("{evidence}.json"))))
        else {
            continue;
        };
        let command = file.replace('-', " ");
        text.extend_from_slice(about["stderr"].as_str().unwrap_or_default().as_bytes());
        if era.fence {
            text = [format!("# {command}\n\n```\n").as_bytes(), &text, b"\n```\n"].concat();
        }
        let error = about["exit_code"].as_i64().map_or_else(
            || Some("signal: killed".to_owned()),
            |code| (code != 0).then(|| format!("exit status {code}")),
        );
        if let Some(error) = error {
            text.extend_from_slice(format!("> Error while running '{command}':  {error}\n\n").as_bytes());
        }
        out.push((format!("cmd/{file}.md"), text));
        out.push((format!("cmd/{file}-o-json.md"), b"{\"not\": \"to be read\"}".to_vec()));
    }
    out.push(("conf/cmd/readme.md".to_owned(), b"nothing".to_vec()));
    out
}

/// YAML as kubectl and the sysdump write it: block style, items at the margin.
fn yaml(value: &Value, depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'/' | b'_'));
                let key = if plain { key.clone() } else { serde_json::to_string(key).expect("a key") };
                match value {
                    Value::Object(f) if !f.is_empty() => {
                        out.push_str(&format!("{pad}{key}:\n"));
                        yaml(value, depth + 1, out);
                    }
                    Value::Array(items) if !items.is_empty() => {
                        out.push_str(&format!("{pad}{key}:\n"));
                        yaml(value, depth, out);
                    }
                    _ => out.push_str(&format!("{pad}{key}: {value}\n")),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut text = String::new();
                yaml(item, depth + 1, &mut text);
                let text = text.trim_start();
                out.push_str(&format!("{pad}- {text}"));
                if !text.ends_with('\n') {
                    out.push('\n');
                }
            }
        }
        other => out.push_str(&format!("{pad}{other}\n")),
    }
}

fn list(kind: &str, mut items: Value, drop: &str) -> Vec<u8> {
    for item in items.as_array_mut().expect("items") {
        item["metadata"]["annotations"] = json!({"note": "items:\n- not: an item\nkind: none\n", "drop": drop});
    }
    let mut text = "apiVersion: v1\nitems:\n".to_owned();
    yaml(&items, 0, &mut text);
    text.push_str(&format!("kind: {kind}\nmetadata:\n  resourceVersion: \"1\"\n"));
    text.into_bytes()
}

/// Slices as the older kind of object.
fn endpoints(slices: &Value) -> Value {
    let of = |slice: &Value| {
        let side = |ready: bool| -> Vec<Value> {
            let endpoints = slice["endpoints"].as_array().into_iter().flatten();
            endpoints
                .filter(|e| e["conditions"]["ready"].as_bool().unwrap_or(true) == ready)
                .map(|e| json!({"ip": e["addresses"][0], "nodeName": e["nodeName"], "targetRef": e["targetRef"]}))
                .collect()
        };
        let name = &slice["metadata"]["labels"]["kubernetes.io/service-name"];
        let metadata = json!({"name": name, "namespace": slice["metadata"]["namespace"]});
        json!({"metadata": metadata,
               "subsets": [{"addresses": side(true), "notReadyAddresses": side(false), "ports": slice["ports"]}]})
    };
    slices.as_array().expect("slices").iter().map(of).collect()
}

/// The members of a sysdump of what a bundle holds.
fn sysdump(bundle: &Path, era: Era) -> Vec<(String, Vec<u8>)> {
    let top = if era.top { format!("cilium-sysdump-{TIME}/") } else { String::new() };
    let mut out = Vec::new();
    let lists = [("nodes", "Node"), ("pods", "Pod"), ("services", "Service"), ("events", "Event")];
    for (name, kind) in lists {
        if let Some(value) = json_of(&bundle.join(format!("kube/{name}.json"))) {
            let mut items = value["items"].clone();
            // Real nodes have it; bundles have no need of it.
            for item in items.as_array_mut().into_iter().flatten().filter(|_| name == "nodes") {
                let now = json_of(&bundle.join("bundle.json")).expect("about")["captured_at"].clone();
                item["status"]["conditions"][0]["lastHeartbeatTime"] = now;
            }
            let text = list(&format!("{kind}List"), items, "me");
            out.push((format!("{top}k8s-{name}-{TIME}.yaml"), text));
            out.push((format!("{top}k8s-{name}-{TIME}.txt"), b"NAME\n".to_vec()));
        }
    }
    if let Some(value) = json_of(&bundle.join("kube/endpointslices.json")) {
        let text = list("EndpointsList", endpoints(&value["items"]), "me");
        out.push((format!("{top}k8s-endpoints-{TIME}.yaml"), text));
    }
    let pods = json_of(&bundle.join("kube/pods.json")).expect("pods");
    for entry in fs::read_dir(bundle.join("nodes")).expect("nodes") {
        let folder = entry.expect("an entry").path();
        let node = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let agent =
            pods["items"].as_array().expect("items").iter().find(|pod| {
                pod["metadata"]["labels"]["k8s-app"] == "cilium" && pod["spec"]["nodeName"] == node.as_str()
            });
        let Some(pod) = agent.and_then(|agent| agent["metadata"]["name"].as_str()) else { continue };
        let files = cmd(&folder, era);
        if era.nested {
            let tar = gzip(&tar(&files, &format!("cilium-bugtool-{TIME}.000+0000-UTC-1")));
            out.push((format!("{top}cilium-bugtool-{pod}-{TIME}.tar.gz"), tar));
        } else {
            let place = format!("{top}cilium-bugtool-{pod}-{TIME}");
            out.extend(files.into_iter().map(|(name, text)| (format!("{place}/{name}"), text)));
        }
        if let Some(log) = output_of(&folder, "agent-log") {
            out.push((format!("{top}logs-{pod}-cilium-agent-{TIME}.log"), log));
            out.push((format!("{top}logs-{pod}-config-{TIME}.log"), b"another container".to_vec()));
        }
    }
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

fn tar(files: &[(String, Vec<u8>)], top: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, format!("{top}/{name}"), text.as_slice()).expect("a Vec takes all");
    }
    builder.into_inner().expect("a Vec takes all")
}

/// A zip; `lie` may change each member's record in the directory.
fn zip(members: &[(String, Vec<u8>)], lie: impl Fn(usize, &mut Vec<u8>)) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (index, (name, text)) in members.iter().enumerate() {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).expect("a Vec takes all");
        let packed = encoder.finish().expect("a Vec takes all");
        let mut crc = Crc::new();
        crc.update(text);
        let at = out.len() as u32;
        let mut shared = Vec::new();
        for word in [20_u16, 0, 8, 0, 0] {
            shared.extend_from_slice(&word.to_le_bytes());
        }
        for word in [crc.sum(), packed.len() as u32, text.len() as u32] {
            shared.extend_from_slice(&word.to_le_bytes());
        }
        shared.extend_from_slice(&(name.len() as u16).to_le_bytes());
        shared.extend_from_slice(&[0, 0]);
        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&shared);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&packed);
        let mut record = b"PK\x01\x02\x14\0".to_vec();
        record.extend_from_slice(&shared);
        record.extend_from_slice(&[0; 10]);
        record.extend_from_slice(&at.to_le_bytes());
        record.extend_from_slice(name.as_bytes());
        lie(index, &mut record);
        directory.extend(record);
    }
    let (at, size, count) = (out.len() as u32, directory.len() as u32, members.len() as u16);
    out.extend(directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&at.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out
}

fn diagnose(path: &Path) -> (Option<i32>, Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_staledp"))
        .args(["diagnose", "-o", "json", "--from"])
        .arg(path)
        .output()
        .expect("the program runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default(), stderr)
}

/// Verdicts, and the figures of the checks that an archive can hold.
fn gist(report: &Value) -> Value {
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
fn a_bugtool_archive_is_judged_by_what_it_can_tell() {
    let keep = tempfile::tempdir().expect("a folder");
    let fixture = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{name}/bundle/nodes"));
    for (fixture, may) in
        [(fixture("healthy"), ["healthy", "inconclusive"]), (fixture("stale-datapath"), ["stale", "inconclusive"])]
    {
        let folder = fs::read_dir(&fixture).expect("nodes").next().expect("a node").expect("an entry").path();
        for era in ERAS {
            for packed in [true, false] {
                let mut files = cmd(&folder, era);
                files.push((
                    "cmd/uname--a.md".to_owned(),
                    b"Linux prusik 6.12.30-amd64 #1 SMP x86_64 GNU/Linux\n".to_vec(),
                ));
                let bytes = tar(&files, "cilium-bugtool-20260606-120000.000+0000-UTC-1");
                let path = keep.path().join("bugtool");
                fs::write(&path, if packed { gzip(&bytes) } else { bytes }).expect("a file");
                let (code, report, stderr) = diagnose(&path);
                assert_eq!(report["source"]["kind"], "bugtool", "{code:?} {stderr}");
                let node = &report["nodes"][0];
                assert_eq!(node["node"], "prusik");
                let kind = node["verdict"]["kind"].as_str().expect("a kind");
                assert!(may.contains(&kind), "{era:?}: {:#}", node["verdict"]);
                let ping = &node["checks"][0];
                assert_eq!(
                    (&ping["status"], &ping["reason"]),
                    (&json!("unknown"), &json!("an archive holds no ping from the host"))
                );
                let entries = &node["checks"][2]["data"]["entries"];
                assert!(entries.as_u64().is_some_and(|entries| entries > 0), "the dump was read: {node:#}");
            }
        }
    }
}

/// Every hostile archive ends with exit code 5 or with a report that does not call anything stale or healthy.
#[track_caller]
fn harmless(name: &str, bytes: &[u8]) -> String {
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("archive");
    fs::write(&path, bytes).expect("a file");
    let (code, report, stderr) = diagnose(&path);
    assert!(matches!(code, Some(3..=5)), "{name}: {code:?} {stderr} {report:#}");
    assert!(!stderr.contains("panicked"), "{name}: {stderr}");
    stderr
}

#[test]
fn hostile_zips_are_refused_or_bounded() {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stale-datapath/bundle");
    let members = sysdump(&bundle, ERAS[1]);
    let put = |record: &mut Vec<u8>, at: usize, value: u32| record[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let whole = zip(&members, |_, _| {});

    let words = harmless("encrypted", &zip(&members, |_, record| record[8] |= 1));
    assert!(words.contains("encrypted"), "{words}");
    let words = harmless("overlapping", &zip(&members, |_, record| put(record, 42, 0)));
    assert!(words.contains("overlap"), "{words}");
    let words = harmless("another method", &zip(&members, |_, record| record[10] = 14));
    assert!(words.contains("method"), "{words}");
    let mut twice = members.clone();
    twice.extend(members.clone());
    let words = harmless("doubled", &zip(&twice, |_, _| {}));
    assert!(words.contains("two members"), "{words}");
    harmless("sizes too large", &zip(&members, |_, record| put(record, 24, u32::MAX - 1)));
    harmless("sizes too small", &zip(&members, |_, record| put(record, 24, 1)));
    harmless("wrong sums", &zip(&members, |_, record| record[16] ^= 1));
    harmless("cut", &whole[..whole.len() / 2]);
    harmless("cut in the directory", &whole[..whole.len() - 40]);
    harmless("no sysdump", &zip(&[("a.txt".to_owned(), b"x".to_vec())], |_, _| {}));
    let outside: Vec<_> =
        ["../../etc/passwd", "/etc/passwd", "..\\x", "cmd/", ""].map(|n| (n.to_owned(), vec![1])).into();
    harmless("names that lead outside", &zip(&outside, |_, _| {}));
}

#[test]
fn a_bomb_costs_no_memory_and_ends() {
    // Nothing but blanks, a thousandth in size when packed: no line ever ends.
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stale-datapath/bundle");
    let mut members = sysdump(&bundle, ERAS[1]);
    for (name, text) in &mut members {
        if name.contains("bpf-ct-list-global.md") || name.contains("k8s-events") {
            *text = vec![b' '; 5 << 20];
        }
    }
    harmless("a bomb", &zip(&members, |_, _| {}));
}

#[test]
fn hostile_tars_are_refused_or_bounded() {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stale-datapath/bundle/nodes");
    let folder = fs::read_dir(&bundle).expect("nodes").next().expect("a node").expect("an entry").path();
    let files = cmd(&folder, ERAS[1]);
    let whole = tar(&files, "x");
    harmless("cut", &gzip(&whole)[..2000]);
    harmless("cut plain", &whole[..700]);
    harmless("no bugtool", &gzip(&tar(&[("a".to_owned(), vec![1])], "x")));

    let special = |kind: tar::EntryType, size: u64, text: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_path("cmd/cilium-dbg-bpf-ct-list-global.md").expect("a path");
        header.set_cksum();
        let mut out = header.as_bytes().to_vec();
        out.extend_from_slice(text);
        out.resize(out.len().next_multiple_of(512), 0);
        out
    };
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Char, tar::EntryType::GNUSparse] {
        harmless("a link or device", &special(kind, 0, b""));
    }
    let long = vec![b'a'; 64 << 20];
    let words = harmless("a name of 64 MiB", &gzip(&special(tar::EntryType::GNULongName, long.len() as u64, &long)));
    assert!(words.contains("longer than any file name"), "{words}");
    harmless("a size of the moon", &special(tar::EntryType::Regular, u64::MAX >> 3, b"x"));
}
