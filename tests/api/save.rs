//! Evidence that lasts: a live run that is saved and read again says the same.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::api::ApiServer;
use crate::support::run::staledp;
use crate::support::saved::{
    contents, difference, files, lasting, read_back, run_live, same_in_same_out, same_in_same_out_as,
};
use crate::support::scenes::Scene;
use crate::support::world::{End, ExecReply, Pods};

#[test]
fn a_live_run_that_is_saved_and_read_again_says_the_same() {
    for scene in [Scene::healthy(), Scene::stale()] {
        for kept in ["kept", "kept.tar.gz"] {
            same_in_same_out_as(scene.world(), "a scene", kept, &["--all-nodes"]);
        }
    }
}

#[test]
fn a_dump_that_breaks_off_leaves_a_bundle_that_says_so() {
    for end in [End::Drop, End::Silence, End::CloseWithoutStatus] {
        let scene = Scene::stale();
        let dump = fs::read(scene.path().join("nodes/prusik/ct-list.out")).expect("the dump");
        let mut world = scene.world();
        world.on_exec(
            Pods::agent("prusik"),
            &["cilium-dbg", "bpf", "ct", "list", "global"],
            ExecReply::ends(dump[..dump.len() / 2].to_vec(), end),
        );
        same_in_same_out(world, "broken off");
    }
}

/// A stale node whose agent never answers `service list`: a run stands still there, with the dump behind it.
fn with_a_silent_service_list() -> ApiServer {
    let mut world = Scene::stale().world();
    world.on_exec(Pods::agent("prusik"), &["cilium-dbg", "service", "list"], ExecReply::silent());
    ApiServer::start(world)
}

fn wait_for_the_service_list(api: &ApiServer) {
    api.wait_until(std::time::Duration::from_secs(30), |requests| {
        requests.iter().any(|r| r.exec.as_ref().is_some_and(|call| call.argv.iter().any(|word| word == "service")))
    });
}

#[test]
fn a_run_that_is_interrupted_leaves_a_bundle_that_can_be_read() {
    let keep = tempfile::tempdir().expect("a folder");
    let bundle = keep.path().join("kept");
    let api = with_a_silent_service_list();
    let kubeconfig = api.kubeconfig();
    let running = staledp([
        "diagnose",
        "--kubeconfig",
        &kubeconfig.path(),
        "--no-ssh",
        "--node",
        "prusik",
        "--save",
        &bundle.display().to_string(),
    ])
    .start();
    wait_for_the_service_list(&api);
    running.interrupt();
    assert_eq!(running.wait().code, Some(130));
    let report = read_back(&bundle).report();
    assert_eq!(report.check("prusik", "dns-conntrack")["status"], "fail", "{:#}", report.0);
    assert_eq!(report.check("prusik", "dns-backends")["status"], "unknown", "{:#}", report.0);
}

#[test]
fn a_run_whose_api_server_goes_away_leaves_a_bundle_that_says_the_same() {
    let keep = tempfile::tempdir().expect("a folder");
    let bundle = keep.path().join("kept");
    let api = with_a_silent_service_list();
    let kubeconfig = api.kubeconfig();
    let (config, to) = (kubeconfig.path(), bundle.display().to_string());
    let running =
        staledp(["diagnose", "--kubeconfig", &config, "--no-ssh", "--node", "prusik", "--save", &to, "-o", "json"])
            .start();
    wait_for_the_service_list(&api);
    drop(api);
    let live = running.wait();
    assert_eq!(live.report().check("prusik", "dns-conntrack")["status"], "fail", "{:#}", live.report().0);
    assert_eq!(live.report().check("prusik", "dns-backends")["status"], "unknown", "{:#}", live.report().0);
    let saved = read_back(&bundle);
    let (left, right) = (lasting(&saved), lasting(&live));
    assert!(left == right, "{}", difference(&left, &right));
    assert_eq!(saved.code, live.code);
}

#[test]
fn a_capture_that_is_interrupted_leaves_a_bundle_that_says_so() {
    for name in ["kept", "kept.tar.gz"] {
        let keep = tempfile::tempdir().expect("a folder");
        let bundle = keep.path().join(name);
        let api = with_a_silent_service_list();
        let kubeconfig = api.kubeconfig();
        let (config, to) = (kubeconfig.path(), bundle.display().to_string());
        let running =
            staledp(["capture", "--kubeconfig", &config, "--no-ssh", "--node", "prusik", &to, "-o", "json"]).start();
        wait_for_the_service_list(&api);
        running.interrupt();
        let outcome = running.wait().exits(130);
        assert_eq!(outcome.stdout, "", "standard output is for reports");
        assert!(outcome.stderr.contains("saved: "), "{}", outcome.stderr);
        let folder = if bundle.is_dir() { bundle } else { unpacked(&bundle, keep.path()) };
        let about: Value = serde_json::from_slice(&fs::read(folder.join("bundle.json")).expect("about")).expect("JSON");
        assert_eq!(about["partial"], true, "{about:#}");
        let report = read_back(&folder).report();
        assert_eq!(report.check("prusik", "dns-conntrack")["status"], "fail", "{:#}", report.0);
        let services = report.check("prusik", "dns-backends");
        let reason = services["reason"].as_str().unwrap_or_default();
        assert_eq!(services["status"], "unknown", "{services:#}");
        assert!(reason.contains("the run ended"), "{services:#}");
    }
}

/// An archive as a folder. What comes later takes the place of what is there, as with `tar`.
pub(crate) fn unpacked(archive: &Path, beside: &Path) -> PathBuf {
    let file = fs::File::open(archive).expect("the archive");
    let folder = beside.join("unpacked");
    tar::Archive::new(flate2::read::MultiGzDecoder::new(file)).unpack(&folder).expect("an archive");
    folder
}

#[test]
fn a_bundle_of_an_older_schema_is_read_and_a_newer_one_refused() {
    let scene = Scene::stale();
    let about = |value: Value| fs::write(scene.path().join("bundle.json"), value.to_string()).expect("a file");
    let whole = lasting(&read_back(scene.path()).exits(1));
    // What the first bundles held, and what a later staledp of the same schema may add.
    let older = serde_json::json!({"schema": "staledp.bundle/v1", "captured_at": "2026-06-06T12:00:00Z"});
    let mut later = older.clone();
    later["weather"] = "fair".into();
    for mut value in [older, later] {
        value["context"] = "grigri".into();
        about(value);
        assert_eq!(lasting(&read_back(scene.path()).exits(1)), whole);
    }
    about(serde_json::json!({"schema": "staledp.bundle/v2", "context": "grigri"}));
    let refused = read_back(scene.path()).exits(5);
    assert_eq!(refused.stdout, "");
    for words in ["staledp.bundle/v2", "staledp.bundle/v1", "use a newer staledp"] {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    for odd in [serde_json::json!({}), serde_json::json!({"schema": 2}), serde_json::json!([])] {
        about(odd);
        read_back(scene.path()).exits(5);
    }
}

#[test]
fn a_bundle_is_private_and_holds_no_secrets() {
    let keep = tempfile::tempdir().expect("a folder");
    let bundle = keep.path().join("kept");
    let mut world = Scene::healthy().world();
    for pod in &mut world.pods {
        pod["metadata"]["annotations"] = serde_json::json!({"note": "hunter2"});
        for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
            container["env"] = serde_json::json!([{"name": "PASSWORD", "value": "hunter2"}]);
            container["command"] = serde_json::json!(["run", "--password=hunter2"]);
        }
        if pod["metadata"]["labels"]["k8s-app"] == "cilium" {
            pod["spec"]["containers"][0]["args"] = serde_json::json!(["--token=hunter2"]);
        }
    }
    let api = ApiServer::start(world);
    let to = bundle.display().to_string();
    let url = "https://me:hunter2@google.com/?token=hunter2";
    run_live(&api, "diagnose", &["--all-nodes", "--save", &to, "--probe-url", url]);
    for path in files(&bundle) {
        assert!(!contents(&path).contains("hunter2"), "{}", path.display());
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600, "{}", path.display());
        let folder = path.parent().expect("a folder");
        assert_eq!(fs::metadata(folder).expect("a folder").permissions().mode() & 0o777, 0o700);
    }
    let about: Value = serde_json::from_slice(&fs::read(bundle.join("bundle.json")).expect("about")).expect("JSON");
    assert_eq!(about["schema"], "staledp.bundle/v1");
    assert_eq!(about["tool"]["name"], "staledp");
    assert_eq!(about["context"], "grigri");
    assert_eq!(about["argv"][1], "diagnose");
}

#[test]
fn nothing_that_is_there_is_lost_and_no_link_is_followed() {
    let keep = tempfile::tempdir().expect("a folder");
    let path = |name: &str| keep.path().join(name);
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/healthy/bundle").display().to_string();
    let save = |to: &Path| staledp(["capture", "--from", &fixture, &to.display().to_string()]).run();

    // A folder with other things in it stays as it is.
    fs::create_dir(path("other")).expect("a folder");
    fs::write(path("other/thesis.txt"), "mine").expect("a file");
    let refused = save(&path("other")).exits(5);
    assert!(refused.stderr.contains("contains something other than a bundle"), "{}", refused.stderr);
    assert_eq!(files(&path("other")).len(), 1);

    // A bundle that is there is moved aside, also twice; its links are not followed.
    save(&path("kept")).exits(0);
    fs::write(path("victim"), "mine").expect("a file");
    fs::remove_file(path("kept/kube/pods.json")).expect("a file");
    symlink(path("victim"), path("kept/kube/pods.json")).expect("a link");
    let again = save(&path("kept")).exits(0);
    assert!(again.stderr.contains("kept.1"), "{}", again.stderr);
    save(&path("kept")).exits(0);
    assert!(path("kept.1").is_dir() && path("kept.2").is_dir());
    assert_eq!(fs::read_to_string(path("victim")).expect("a file"), "mine");

    // What is being read is not written.
    let kept = path("kept").display().to_string();
    staledp(["capture", "--from", &kept, &kept]).run().exits(2);
    assert!(!path("kept.3").exists());

    // A file is no folder.
    let refused = save(&path("victim")).exits(5);
    assert!(refused.stderr.contains("is not a folder"), "{}", refused.stderr);
}

#[test]
fn a_capture_whose_time_is_over_keeps_what_it_has_and_says_so() {
    let keep = tempfile::tempdir().expect("a folder");
    let bundle = keep.path().join("kept");
    let mut world = Scene::stale().world();
    world.on_exec(Pods::agent("prusik"), &["cilium-dbg", "bpf", "ct"], ExecReply::silent());
    let api = ApiServer::start(world);
    let to = bundle.display().to_string();
    let outcome = run_live(&api, "capture", &["--all-nodes", "--deadline", "5s", &to]).exits(0);
    assert!(outcome.elapsed < std::time::Duration::from_secs(12), "{:?}", outcome.elapsed);
    let line = "missing: ct-list (prusik): timed out (--deadline)";
    assert!(outcome.stderr.lines().any(|said| said == line), "{}", outcome.stderr);
    let about: Value = serde_json::from_slice(&fs::read(bundle.join("bundle.json")).expect("about")).expect("JSON");
    assert_eq!(about["partial"], true);
    assert!(bundle.join("nodes/vienna/ct-list.json").is_file());
}

#[test]
fn a_capture_holds_all_evidence_and_is_judged_as_a_diagnosis_is() {
    let keep = tempfile::tempdir().expect("a folder");
    let bundle = keep.path().join("kept");
    let scene = Scene::stale();
    let api = ApiServer::start(scene.world());
    let live = run_live(&api, "diagnose", &["--all-nodes"]).exits(1);
    let outcome = run_live(&api, "capture", &["--all-nodes", &bundle.display().to_string()]).exits(0);
    assert_eq!(outcome.stdout, "", "standard output is for reports");
    assert!(api.writes().is_empty());
    for evidence in ["host-ping", "pod-egress", "pod-dns", "ct-list", "service-list", "lb-list", "agent-log"] {
        for node in ["prusik", "vienna", "brno"] {
            let description = bundle.join(format!("nodes/{node}/{evidence}.json"));
            assert!(description.is_file(), "{}", description.display());
        }
    }
    assert!(bundle.join("nodes/prusik/ct-list.out.gz").is_file(), "compressed on the way");
    let saved = read_back(&bundle).exits(1).report();
    for node in ["prusik", "vienna", "brno"] {
        assert_eq!(saved.code(node), live.report().code(node));
    }
}
