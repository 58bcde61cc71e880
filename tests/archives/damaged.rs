//! Bundles that are damaged or incomplete: what is missing, what is there and cannot be read, and what breaks off are
//! told apart, and nothing is said of flows that nobody can attribute.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::made::tar;
use crate::{diagnose, files_of, fixture, run};

const DUMP: &str = "nodes/prusik/ct-list.out.gz";
const DESCRIPTION: &str = "nodes/prusik/ct-list.json";

type Files = Vec<(String, Vec<u8>)>;

/// Code, what is said of the dump, why, and the damage.
type Damage = (&'static str, &'static str, &'static str, fn(&mut Files));

/// Writes a bundle in a folder.
fn folder_of(files: &[(String, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
    folder
}

/// What is said of prusik when a bundle in which it is stale was changed.
fn prusik(change: impl FnOnce(&mut Files)) -> Value {
    let mut files = files_of(&fixture("2026-06-06-prusik"));
    change(&mut files);
    let folder = folder_of(&files);
    let (_, report, stderr) = diagnose(folder.path());
    let node = report["nodes"].as_array().into_iter().flatten().find(|node| node["node"] == "prusik");
    node.unwrap_or_else(|| panic!("{stderr}")).clone()
}

fn content<'a>(files: &'a mut Files, name: &str) -> &'a mut Vec<u8> {
    &mut files.iter_mut().find(|(there, _)| there == name).unwrap_or_else(|| panic!("no {name}")).1
}

#[test]
fn missing_unreadable_and_truncated_dumps_are_told_apart() {
    let cases: [Damage; 6] = [
        ("evidence-missing", "is missing", "the bundle has no ct-list for this node", |files| {
            files.retain(|(name, _)| name != DUMP && name != DESCRIPTION);
        }),
        ("evidence-missing", "is missing", "the bundle has no output of ct-list", |files| {
            files.retain(|(name, _)| name != DUMP);
        }),
        ("evidence-missing", "cannot be read", "ct-list.out.gz: invalid gzip header", |files| {
            *content(files, DUMP) = b"no gzip at all, whatever its name says".to_vec();
        }),
        ("evidence-missing", "cannot be read", "ct-list.json is not valid JSON: EOF", |files| {
            *content(files, DESCRIPTION) = b"{\"argv\": [".to_vec();
        }),
        ("evidence-missing", "cannot be read", "this is not a conntrack dump", |files| {
            files.retain(|(name, _)| name != DUMP);
            files.push(("nodes/prusik/ct-list.out".to_owned(), b"not an entry\n".repeat(40)));
        }),
        ("evidence-truncated", "was not read whole", "only a part of ct-list.out.gz can be read", |files| {
            let dump = content(files, DUMP);
            dump.truncate(dump.len() / 2);
        }),
    ];
    for (code, what, why, change) in cases {
        let node = prusik(change);
        let summary = node["verdict"]["summary"].as_str().expect("a sentence");
        assert_eq!(node["verdict"]["code"], code, "{summary}");
        assert!(summary.contains(&format!("conntrack dump {what}")) && summary.contains(why), "{what}: {summary}");
        for check in [2, 3] {
            let reason = node["checks"][check]["reason"].as_str().expect("a reason");
            assert!(node["checks"][check]["status"] == "unknown" && reason.contains(why), "{why}: {reason}");
        }
    }
}

#[test]
fn dump_that_ends_within_the_last_fields_of_an_entry_makes_no_node_stale() {
    let node = prusik(|files| {
        let mut text = Vec::new();
        GzDecoder::new(&content(files, DUMP)[..]).read_to_end(&mut text).expect("gzip");
        let half = text.len() / 2;
        let end = half + text[half..].windows(10).position(|at| at == b"BackendID=").expect("an entry") + 10;
        text.truncate(end);
        files.retain(|(name, _)| name != DUMP);
        files.push(("nodes/prusik/ct-list.out".to_owned(), text));
    });
    assert_eq!(node["verdict"]["code"], "evidence-truncated", "{}", node["verdict"]);
}

#[test]
fn without_the_list_of_pods_no_check_says_that_pods_have_no_flows() {
    let node = prusik(|files| files.retain(|(name, _)| !name.starts_with("kube/")));
    assert_eq!(node["verdict"]["code"], "evidence-missing");
    for (check, figure) in [(2, "live"), (3, "world")] {
        let check = &node["checks"][check];
        let reason = check["reason"].as_str().unwrap_or_default();
        assert_eq!(check["status"], "unknown", "{check}");
        assert!(reason.ends_with("whole list of pods: kube/pods.json is not in the bundle"), "{check}");
        assert!(check["data"][figure].is_null(), "no count of flows that were not recognized: {check}");
    }
}

fn refused(path: &Path, bytes: &[u8]) -> String {
    fs::write(path, bytes).expect("a file");
    let outcome = run(path);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(5), ""), "{}", outcome.stderr);
    outcome.stderr
}

#[test]
fn plain_tar_that_breaks_off_before_bundle_json_or_any_node_exits_5_and_says_so() {
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("cut.tar");
    let mut files = files_of(&fixture("2026-06-06-prusik"));
    // bundle.json first, then nodes/.
    files.sort();
    let (first, in_order) = (tar(&files, "kept"), files.clone());
    files.reverse();
    let last = tar(&files, "kept");
    for length in [last.len() / 3, last.len() / 2] {
        let says = refused(&path, &last[..length]);
        assert!(says.contains("only its beginning is readable, and contains neither a bundle.json"), "{says}");
        assert!(says.contains("hint: copy the archive again"), "{says}");
    }
    for whole in [1, 2] {
        let length = tar(&in_order[..whole], "kept").len() - 1024;
        let says = refused(&path, &first[..length]);
        assert!(says.contains("it breaks off before any node: "), "{says}");
    }
}
