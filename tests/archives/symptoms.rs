//! What archives tell of symptoms: all that `diagnose` reads is read, and what they can't hold is not taken for
//! nothing.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::made::{ERAS, cmd, gzip, list, sysdump, tar, zip};
use crate::run::staledp;
use crate::{files_of, fixture, lasting};

fn symptoms(path: &Path) -> Value {
    staledp(["symptoms", "-o", "json", "--from", &path.display().to_string()]).run().exits(0).report().0
}

/// The symptoms of a node: kind, pod, says.
fn told(report: &Value, node: &str) -> Vec<Value> {
    let nodes = report["nodes"].as_array().expect("nodes");
    let node = nodes.iter().find(|n| n["node"] == node).unwrap_or_else(|| panic!("{node}: {report:#}"));
    let symptoms = node["symptoms"].as_array().expect("symptoms").iter();
    symptoms.map(|s| json!([s["kind"], s["pod"], s["says"]])).collect()
}

fn reason<'a>(report: &'a Value, what: &str) -> &'a str {
    let unread = report["not_read"].as_array().expect("a list");
    let entry = unread.iter().find(|entry| entry["what"].as_str().is_some_and(|text| text.starts_with(what)));
    entry.and_then(|entry| entry["reason"].as_str()).unwrap_or_else(|| panic!("{what} was read: {report:#}"))
}

#[test]
fn a_bundle_in_one_file_tells_what_its_folder_tells() {
    let keep = tempfile::tempdir().expect("a folder");
    for name in ["2026-06-06-prusik", "2026-06-03-k8s-odroid-hc4-3"] {
        let bundle = fixture(name);
        let path = keep.path().join("kept.tar.gz");
        fs::write(&path, gzip(&tar(&files_of(&bundle), "kept"))).expect("a file");
        let (one, folder) = (symptoms(&path), symptoms(&bundle));
        let timeless = |mut report: Value| {
            report["next"] = Value::Null;
            report["generated_at"] = Value::Null;
            lasting(report)
        };
        assert_eq!(timeless(one.clone()), timeless(folder), "{name}");
        let next = one["next"].as_str().expect("a command");
        assert!(next.starts_with(&format!("staledp diagnose --from {} --node ", path.display())), "{next}");
    }
}

#[test]
fn a_sysdump_tells_what_its_lists_tell_and_names_what_it_cannot_hold() {
    let keep = tempfile::tempdir().expect("a folder");
    let bundle = fixture("2026-06-06-prusik");
    let thin = keep.path().join("thin");
    for (name, bytes) in files_of(&bundle).into_iter().filter(|(name, _)| !name.starts_with("symptoms/")) {
        let path = thin.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
    let policy = json!([{"metadata": {"name": "nodelocaldns", "namespace": "kube-system"},
                         "spec": {"redirectFrontend": {"addressMatcher": {"ip": "169.254.25.10"}}}}]);
    for era in ERAS {
        let path = keep.path().join("somebody-sent-me-this.zip");
        let mut members = sysdump(&bundle, era);
        let redirects = list("CiliumLocalRedirectPolicyList", policy.clone(), "me");
        members.push(("ciliumlocalredirectpolicies-20260606-120000.yaml".to_owned(), redirects));
        fs::write(&path, zip(&members, |_, _| {})).expect("a file");
        let report = symptoms(&path);
        assert_eq!(report["source"]["kind"], "sysdump");
        for node in ["prusik", "vienna", "brno"] {
            assert_eq!(told(&report, node), told(&symptoms(&thin), node), "{node}, {era:?}");
        }
        assert_eq!((reason(&report, "logs"), reason(&report, "secretstores, ")), ("none saved", "not saved"));
        assert_eq!(reason(&report, "buffers"), "no Prometheus answer saved");
        let redirect = report["elsewhere"][0]["says"].as_str().expect("a policy");
        assert!(
            redirect.starts_with("CiliumLocalRedirectPolicy redirects 169.254.25.10 (addressMatcher)"),
            "{redirect}"
        );
        let next = report["next"].as_str().expect("a command");
        assert_eq!(next, format!("staledp diagnose --from {} --node prusik", path.display()));
    }
    let text = staledp(["symptoms", "--from", &keep.path().join("somebody-sent-me-this.zip").display().to_string()]);
    let text = text.run().exits(0).stdout;
    assert!(text.starts_with("sysdump ") && text.contains("\nNot read\n"), "{text}");
}

#[test]
fn a_bugtool_archive_tells_nothing_and_says_why() {
    let keep = tempfile::tempdir().expect("a folder");
    let path = keep.path().join("cilium-bugtool.tar.gz");
    let files = cmd(&fixture("2026-06-06-prusik").join("nodes/prusik"), ERAS[1]);
    fs::write(&path, gzip(&tar(&files, "cilium-bugtool-20260606-120000"))).expect("a file");
    let report = symptoms(&path);
    assert_eq!((&report["source"]["kind"], &report["nodes"]), (&json!("bugtool"), &json!([])));
    for what in ["pods", "events"] {
        let why = reason(&report, what);
        assert!(why.contains("a bugtool archive has no Kubernetes lists"), "{what}: {why}");
    }
    let text = staledp(["symptoms", "--from", &path.display().to_string()]).run().exits(0).stdout;
    assert!(text.ends_with("No symptoms were found in what could be read.\n"), "{text}");
}
