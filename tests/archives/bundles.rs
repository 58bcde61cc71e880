//! Bundles in one file.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::hostile::harmless;
use crate::made::{ERAS, cmd, gzip, sysdump, tar, zip};
use crate::run::staledp;
use crate::{diagnose, files_of, fixture, fixtures, lasting};

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

#[test]
fn bundle_json_may_be_the_last_file_of_a_plain_tar() {
    let bundle = fixture("2026-06-06-prusik");
    let (right, folder, _) = diagnose(&bundle);
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("kept.tar");
    for names in [["kube", "nodes", "symptoms", "bundle.json"], ["bundle.json", "symptoms", "nodes", "kube"]] {
        let packed = Command::new("tar").arg("-cf").arg(&path).arg("-C").arg(&bundle).args(names).output();
        assert!(packed.expect("tar runs").status.success(), "{names:?}");
        let (code, report, stderr) = diagnose(&path);
        assert_eq!(lasting(report), lasting(folder.clone()), "{names:?} {stderr}");
        assert_eq!(code, right);
    }
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
    // A first look that failed without output, then one that went well: its output is written before its description.
    let described = files.iter().position(|(name, _)| name == "nodes/prusik/service-list.json").expect("a description");
    let mut well = files.clone();
    let description = well.remove(described);
    well.insert(0, older("service-list.json", failed));
    well.push(description);
    fs::write(&path, gzip(&tar(&well, "kept"))).expect("a file");
    let (_, report, stderr) = diagnose(&path);
    assert_eq!(lasting(report), lasting(diagnose(&bundle).1), "{stderr}");

    // A list that could not be had again is none to what was asked after it.
    let mut refused = files.clone();
    let why = br#"{"kind": "timeout", "message": "the slices did not come again"}"#;
    refused.push(("kube/endpointslices.error.json".to_owned(), why.to_vec()));
    fs::write(&path, gzip(&tar(&refused, "kept"))).expect("a file");
    let (_, report, _) = diagnose(&path);
    assert!(report.to_string().contains("the slices did not come again"), "{report}");

    let mut after = files;
    after.push(older("service-list.json", failed));
    fs::write(&path, gzip(&tar(&after, "kept"))).expect("a file");
    let (_, report, _) = diagnose(&path);
    let node = report["nodes"].as_array().expect("nodes").iter().find(|node| node["node"] == "prusik").expect("prusik");
    assert_eq!(node["checks"][4]["reason"], "the second look did not end");
}

#[test]
fn truncated_bundle_is_named_and_its_rest_is_read() {
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
                assert!(reason.contains("the archive is truncated"), "{reason}");
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

#[test]
fn archives_of_all_kinds_can_be_compared() {
    let keep = tempfile::tempdir().expect("a folder");
    let named = |name: &str, bytes: Vec<u8>| {
        let path = keep.path().join(name);
        fs::write(&path, bytes).expect("a file");
        path
    };
    // What changed, and from what to what.
    let differences = |before: &Path, after: &Path| -> Vec<String> {
        let paths = [before, after].map(|path| path.display().to_string());
        let diff = staledp(["diff", "-o", "json", &paths[0], &paths[1]]).run().exits(0).report().0;
        let nodes = diff["changed"].as_array().expect("a list");
        let of = |node: &Value| {
            let told = |change: &Value| {
                format!("{} {}", change["what"], [&change["before"], &change["after"]].map(Value::to_string).join(" "))
            };
            node["changes"].as_array().expect("a list").iter().map(told).collect::<Vec<_>>()
        };
        nodes.iter().flat_map(of).collect()
    };
    let bundle = fixture("2026-06-06-prusik");
    let kept = named("kept", gzip(&tar(&files_of(&bundle), "kept")));
    assert_eq!(differences(&bundle, &kept), [""; 0]);
    let plain = named("plain", zip(&sysdump(&bundle, ERAS[0]), |_, _| {}));
    let nested = named("nested", zip(&sysdump(&bundle, ERAS[4]), |_, _| {}));
    assert_eq!(differences(&plain, &nested), [""; 0]);
    // A sysdump holds no probes, and says so.
    let changed = differences(&kept, &plain);
    assert!(changed.contains(&r#""pod-egress.status" "fail" "unknown""#.to_owned()), "{changed:#?}");
    let bugtool = |name: &str, node: &Path| {
        let mut files = cmd(node, ERAS[2]);
        files.push(("cmd/uname--a.md".to_owned(), b"Linux linz 6.12.30 #1 SMP x86_64 GNU/Linux\n".to_vec()));
        named(name, gzip(&tar(&files, "cilium-bugtool-x")))
    };
    let changed =
        differences(&bugtool("before", &bundle.join("nodes/prusik")), &bugtool("after", &bundle.join("nodes/vienna")));
    assert!(changed.iter().any(|change| change.starts_with("\"external-conntrack.data.")), "{changed:#?}");
}

#[test]
fn a_listing_without_its_output_was_not_gathered() {
    let keep = tempfile::tempdir().expect("a folder");
    let bundle = keep.path().join("bundle");
    copy(&fixture("healthy"), &bundle);
    let nodes = fs::read_dir(bundle.join("nodes")).expect("nodes");
    for node in nodes.map(|node| node.expect("a node").path()) {
        fs::remove_file(node.join("ct-list.out.gz")).expect("the dump");
    }
    let (code, report, _) = diagnose(&bundle);
    assert_eq!((code, &report["nodes"][0]["verdict"]["code"]), (Some(4), &"evidence-missing".into()), "{report}");
    let reason = report["nodes"][0]["checks"][2]["reason"].as_str().expect("a reason");
    assert!(reason.contains("has no output of ct-list"), "{reason}");
}

#[test]
fn a_pipe_in_a_bundle_is_never_waited_for() {
    let keep = tempfile::tempdir().expect("a folder");
    let bundle = keep.path().join("bundle");
    copy(&fixture("healthy"), &bundle);
    let list = bundle.join("kube/services.json");
    fs::remove_file(&list).expect("a list");
    assert!(Command::new("mkfifo").arg(&list).status().expect("mkfifo runs").success());
    let (code, report, stderr) = diagnose(&bundle);
    assert!(matches!(code, Some(0 | 4)), "{code:?} {stderr}");
    let reason = report["nodes"][0]["checks"][4]["reason"].as_str().expect("a reason");
    assert!(reason.contains("not a regular file"), "{reason}");
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in files_of(from) {
        let file = to.join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, bytes).expect("a file");
    }
}

#[test]
fn path_without_bundle_json_exits_5() {
    let keep = tempfile::tempdir().expect("a folder");
    let refused = |path: &Path, words: &str| {
        let outcome = crate::run(path).exits(5);
        assert_eq!(outcome.stdout, "");
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    };
    refused(&keep.path().join("nowhere"), "nowhere");
    refused(keep.path(), "bundle.json not found");
    let about = r#"{"schema": "staledp.bundle/v1", "captured_at": "2026-06-06T12:00:00Z"}"#;
    fs::write(keep.path().join("bundle.json"), about).expect("a file");
    refused(keep.path(), "neither a nodes nor a kube folder");
    let text = keep.path().join("letter.txt");
    fs::write(&text, "no archive either\n").expect("a file");
    refused(&text, "letter.txt");
}
