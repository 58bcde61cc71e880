//! Archives of `cilium sysdump` and `cilium-bugtool`, made in the layout of each era from the fixtures, and bundles in one
//! file, judged by the real binary: the same as the fixture's bundle, without what no archive can hold.

#[path = "support/archives.rs"]
mod made;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use made::{ERAS, cmd, gzip, sysdump, tar, zip};

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

/// A report without when it was made and where it was read from.
fn lasting(mut report: Value) -> Value {
    report["generated_at"] = Value::Null;
    report["source"]["path"] = Value::Null;
    report
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).join("bundle")
}

/// Packs a folder with the system's tar, its files by name; with `-v` as `.`, so that every name begins with `./`.
fn pack(args: &[&str], folder: &Path, to: &Path) {
    let mut tar = Command::new("tar");
    tar.args(args).arg("-f").arg(to).arg("-C").arg(folder).arg("--");
    if args.contains(&"-v") {
        tar.arg(".");
    } else {
        tar.args(fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name()));
    }
    assert!(tar.output().expect("tar runs").status.success(), "{args:?}");
}

#[test]
fn a_bundle_in_one_file_is_judged_as_its_folder() {
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("no-name-says-what-it-is");
    let long = format!("--transform=s,^,{}/,", "a-folder-of-a-long-name".repeat(10));
    let ways: [&[&str]; 6] = [
        &["-cz"],
        &["-c"],
        &["-cz", "-v"],
        &["-cz", "--transform=s,^,kept/,"],
        &["-c", "--format=gnu", &long],
        &["-cz", "--format=pax", &long],
    ];
    for (number, bundle) in fixtures().iter().enumerate() {
        let (right, folder, _) = diagnose(bundle);
        let all = bundle.ends_with("2026-06-06-prusik/bundle");
        for (_, way) in ways.iter().enumerate().filter(|(way, _)| all || number % ways.len() == *way) {
            pack(way, bundle, &path);
            let (code, report, stderr) = diagnose(&path);
            assert_eq!(lasting(report), lasting(folder.clone()), "{way:?} {} {stderr}", bundle.display());
            assert_eq!(code, right);
        }
    }
}

/// The files of a bundle folder, by their names in it.
fn files_of(bundle: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut out, mut folders) = (Vec::new(), vec![bundle.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(bundle).expect("below it").display().to_string();
                out.push((name, fs::read(&path).expect("a file")));
            }
        }
    }
    out
}

#[test]
fn of_what_lies_twice_in_a_bundle_the_last_counts() {
    let bundle = fixture("2026-06-06-prusik");
    let (_, right, _) = diagnose(&bundle);
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("kept.tar.gz");
    let files = files_of(&bundle);
    let older = |name: &str, text: &str| (format!("nodes/prusik/{name}"), text.as_bytes().to_vec());
    let wrong = [
        older("service-list.out", "ID   Frontend   Service Type   Backend\n"),
        older("service-list.json", r#"{"exit_code": 0}"#),
        older("ct-list.out", "of a first look that had it plain\n"),
        older("ct-list.json", r#"{"exit_code": 1}"#),
    ];
    let mut before = wrong.to_vec();
    before.extend(files.clone());
    fs::write(&path, gzip(&tar(&before, "kept"))).expect("a file");
    let (_, report, stderr) = diagnose(&path);
    assert_eq!(lasting(report), lasting(right), "{stderr}");

    let failed = r#"{"exit_code": null, "error": {"kind": "timeout", "message": "the second look did not end"}}"#;
    let mut after = files;
    after.push(older("service-list.json", failed));
    fs::write(&path, gzip(&tar(&after, "kept"))).expect("a file");
    let (_, report, _) = diagnose(&path);
    let node = report["nodes"].as_array().expect("nodes").iter().find(|node| node["node"] == "prusik").expect("prusik");
    assert_eq!(node["checks"][4]["reason"], "the second look did not end");
}

#[test]
fn a_bundle_that_was_not_copied_whole_says_so_and_keeps_what_it_has() {
    let bundle = fixture("stale-datapath");
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("kept.tar");
    let (mut first, rest): (Vec<_>, Vec<_>) =
        files_of(&bundle).into_iter().partition(|(name, _)| !name.contains("service-list"));
    first.sort();
    let whole = tar(&[first.clone(), rest].concat(), "kept");
    let left = tar(&first, "kept").len();
    // Behind the last whole file, where an end mark would be, and in the midst of the next one.
    for length in [left - 1024, left - 500] {
        for bytes in [whole[..length].to_vec(), gzip(&whole)[..gzip(&whole).len() / 2].to_vec()] {
            fs::write(&path, &bytes).expect("a file");
            let (code, report, stderr) = diagnose(&path);
            if bytes.len() == length {
                let backends = &report["nodes"][0]["checks"][4];
                assert_eq!(backends["status"], "unknown", "{code:?} {stderr}");
                let reason = backends["reason"].as_str().expect("a reason");
                assert!(reason.contains("the archive breaks off"), "{reason}");
            } else {
                assert!(!stderr.contains("panicked") && code != Some(0), "{code:?} {stderr}");
            }
        }
    }
    // A byte that changed: nothing that came out of this can be believed.
    let mut damaged = gzip(&whole);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    let words = harmless("damaged", &damaged);
    assert!(words.contains("corrupt"), "{words}");
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
