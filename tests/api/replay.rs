//! What symptoms were read from is kept in a bundle, and says the same when it is read again.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use serde_json::{Value, json};

use super::fix::granted;
use super::symptoms::{healthy, ordinary, symptoms, unhealthy};
use super::told::{install, not_ready, redirect, three};
use crate::support::api::ApiServer;
use crate::support::run::{Outcome, staledp};
use crate::support::world::{Fault, FaultKind, World};
use crate::support::writes::Allowed;

/// A message that names a secret, and why a connection came to nothing.
const MESSAGE: &str = "Get \"https://vault.example/v1/kv?token=hunter2hunter2\": dial tcp: lookup vault.example on \
                       169.254.25.10:53: read udp 10.42.1.11:4->169.254.25.10:53: i/o timeout";

/// A cluster that tells something of every kind.
pub(crate) fn telling() -> World {
    let mut world = three();
    let (namespace, pod) = ordinary(&world);
    world.events.push(unhealthy(&namespace, &pod, 1, 7));
    let mut killing = unhealthy("apps", "app-1-2", 9, 6);
    killing["reason"] = json!("Killing");
    killing["type"] = json!("Normal");
    killing["message"] = json!("Container main failed liveness probe, will be restarted; password=hunter2hunter2");
    world.events.push(killing);
    world.events.extend(["brno", "vienna"].map(|node| not_ready(node, "2026-06-06T10:00:00Z")));
    let status = &mut world.pod_mut("apps/app-1-2")["status"]["containerStatuses"][0];
    status["restartCount"] = json!(9);
    status["lastState"] =
        json!({"terminated": {"reason": "Error", "exitCode": 2, "finishedAt": "2026-06-06T11:00:00Z"}});
    let told = |name: &str, condition: &str, status: Option<&str>| {
        json!([{"metadata": {"name": name, "namespace": "shop", "annotations": {"last-applied": "hunter2"},
                             "labels": {"note": "hunter2"}},
                "spec": {"provider": {"vault": {"auth": {"tokenSecretRef": "hunter2"}}}},
                "status": {"conditions": [{"type": condition, "status": status, "message": MESSAGE,
                                           "lastTransitionTime": "2026-06-06T11:00:00Z"}]}}])
    };
    install(&mut world, "external-secrets.io", "v1", "externalsecrets", &told("db", "Ready", Some("False")));
    install(&mut world, "external-secrets.io", "v1", "secretstores", &told("vault", "Ready", Some("False")));
    install(&mut world, "argoproj.io", "v1alpha1", "applications", &told("shop", "SyncError", None));
    install(&mut world, "cilium.io", "v2", "ciliumlocalredirectpolicies", &redirect());
    world.pod_mut("apps/app-1-1")["metadata"]["labels"]["app.kubernetes.io/name"] = json!("external-secrets");
    let line = "2026-06-06T11:00:00Z token=hunter2hunter2 lookup db.example on 169.254.25.10:53: i/o timeout\n";
    world.logs.insert((namespace, pod), line.to_owned());
    world
}

/// Something that answers as Prometheus does: a full buffer, whatever is asked.
pub(crate) fn prometheus() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let metric = json!({"namespace": "apps", "pod": "app-1-3", "component_id": "loki_journal"});
    let result = json!([{"metric": metric, "value": [1_780_000_000.0, "0.97"]}]);
    let answer = json!({"status": "success", "data": {"resultType": "vector", "result": result}}).to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 8192]);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}", answer.len());
            let _ = write!(stream, "{head}\r\nConnection: close\r\n\r\n{answer}");
        }
    });
    address
}

/// A report without what is different in every run: when, from where, and when Prometheus was asked.
fn lasting(outcome: &Outcome) -> Value {
    let mut report = timeless(outcome.report().0);
    for key in ["generated_at", "source", "next", "not_asked"] {
        report[key] = Value::Null;
    }
    report
}

/// Without the moment at which Prometheus was asked.
fn timeless(mut report: Value) -> Value {
    for node in report["nodes"].as_array_mut().expect("nodes") {
        for symptom in node["symptoms"].as_array_mut().expect("symptoms").iter_mut().filter(|s| s["kind"] == "buffers")
        {
            symptom["last"] = Value::Null;
        }
    }
    report
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

pub(crate) fn read_again(command: &str, bundle: &str) -> Outcome {
    staledp([command, "--from", bundle, "-o", "json"]).run()
}

/// The arguments that save to this path, and ask for all there is.
pub(crate) fn wishes<'a>(prometheus: &'a str, bundle: &'a str) -> Vec<&'a str> {
    vec!["--logs", "--prometheus", prometheus, "--query", "loki > 0", "--save", bundle]
}

#[test]
fn symptoms_that_are_saved_and_read_again_are_the_same() {
    let keep = tempfile::tempdir().expect("a folder");
    let path = |name: &str| keep.path().join(name).display().to_string();
    let prometheus = prometheus();
    let url = format!("http://{prometheus}");
    let api = ApiServer::start(telling());
    let [(bundle, live, again), _] = [path("kept"), path("kept.tar.gz")].map(|bundle| {
        let live = symptoms(&api, &wishes(&url, &bundle)).exits(0);
        assert!(live.stderr.contains("saved: "), "{}", live.stderr);
        let again = read_again("symptoms", &bundle).exits(0);
        assert_eq!(lasting(&again), lasting(&live), "left: read again, right: live; {bundle}");
        (bundle, live, again)
    });
    let told = live.stdout;
    for what in [
        "\"probe-failures\"",
        "the kubelet killed it for a failed probe",
        "2 of 3 nodes stopped being ready",
        "db.example was not resolved",
        "buffer of loki_journal: 97 % full",
        "0.97 for loki > 0",
        "ExternalSecret, not Ready: vault.example was not resolved",
        "SecretStore, not Ready: vault.example was not resolved",
        "Application, SyncError: vault.example was not resolved",
        "redirects 169.254.25.10 (addressMatcher)",
    ] {
        assert!(told.contains(what), "{what}: {told}");
    }
    let next = again.report().0["next"].as_str().expect("a command").to_owned();
    assert_eq!(next, format!("staledp diagnose --from {bundle} --node prusik"));

    // What is kept is what is used: no specification, no annotation, no credential.
    let files = files(Path::new(&bundle));
    for path in &files {
        let text = fs::read_to_string(path).expect("text");
        assert!(!text.contains("hunter2"), "{}: {text}", path.display());
    }
    let names: Vec<_> =
        files.iter().map(|path| path.strip_prefix(&bundle).expect("inside").display().to_string()).collect();
    for name in [
        "kube/pods.json",
        "symptoms/events/Unhealthy.json",
        "symptoms/events/NodeNotReady.json",
        "symptoms/objects/externalsecrets.json",
        "symptoms/objects/clustersecretstores.json",
        "symptoms/metrics/buffer-fill.json",
        "symptoms/logs/apps/app-1-2/main.log",
    ] {
        assert!(names.contains(&name.to_owned()), "{name} is not in {names:#?}");
    }
    assert!(api.writes().is_empty());
}

#[test]
fn a_bundle_of_a_diagnosis_or_a_capture_tells_all_that_the_cluster_told() {
    let keep = tempfile::tempdir().expect("a folder");
    let prometheus = prometheus();
    let url = format!("http://{prometheus}");
    let api = ApiServer::start(telling());
    let whole = symptoms(&api, &["--logs", "--prometheus", &url, "--query", "loki > 0"]).exits(0);
    let kubeconfig = api.kubeconfig();
    let cluster = ["--kubeconfig", &kubeconfig.path(), "--no-ssh", "--all-nodes"];

    let bundle = keep.path().join("diagnosed").display().to_string();
    let live = staledp([&["diagnose", "-o", "json"], &cluster[..], &wishes(&url, &bundle)].concat()).run();
    let of_nodes = |outcome: &Outcome| {
        let report = timeless(outcome.report().0);
        let nodes = report["nodes"].as_array().expect("nodes").iter();
        json!(nodes.map(|n| json!([n["node"], n["symptoms"], n["affected"], n["notes"]])).collect::<Vec<_>>())
    };
    assert_eq!(of_nodes(&read_again("diagnose", &bundle)), of_nodes(&live), "left: read again, right: live");
    assert!(live.stdout.contains("ExternalSecret, not Ready: vault.example was not resolved"), "{}", live.stdout);
    assert_eq!(lasting(&read_again("symptoms", &bundle)), lasting(&whole), "left: of the diagnosis, right: live");

    let bundle = keep.path().join("captured").display().to_string();
    let mut args = wishes(&url, &bundle);
    args.retain(|arg| *arg != "--save");
    staledp([&["capture"], &cluster[..], &args].concat()).run().exits(0);
    assert_eq!(lasting(&read_again("symptoms", &bundle)), lasting(&whole), "left: of the capture, right: live");
    assert_eq!(of_nodes(&read_again("diagnose", &bundle)), of_nodes(&live), "left: of the capture, right: live");
    for path in files(keep.path()) {
        let text = fs::read(&path).expect("a file");
        assert!(!String::from_utf8_lossy(&text).contains("hunter2"), "{}", path.display());
    }
}

#[test]
fn what_could_not_be_read_then_is_said_again_and_what_nobody_asked_for_is_not_taken_for_nothing() {
    let keep = tempfile::tempdir().expect("a folder");
    let bundle = keep.path().join("kept").display().to_string();
    let mut world = telling();
    world.fault(Fault::new("/api/v1/events", FaultKind::Forbidden("viewer".to_owned())));
    world.fault(Fault::new("*/log", FaultKind::Forbidden("viewer".to_owned())));
    for group in ["external-secrets.io/v1", "argoproj.io/v1alpha1", "cilium.io/v2"] {
        let message = format!("no list of {group} for you");
        world.fault(Fault::status(&format!("/apis/{group}/*"), 403, "Forbidden", &message));
    }
    let api = ApiServer::start(world);
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let url = format!("http://{nobody}");
    let live = symptoms(&api, &["--logs", "--prometheus", &url, "--query", "up", "--save", &bundle]).exits(0);
    let unread = live.report().0["not_read"].clone();
    for (what, reason) in [
        ("events", "grant `list` on `events`"),
        (
            "secretstores",
            "no list of external-secrets.io/v1 for you; grant `list` on `secretstores.external-secrets.io`",
        ),
        ("externalsecrets", "grant `list` on `externalsecrets.external-secrets.io`"),
        ("applications", "grant `list` on `applications.argoproj.io`"),
        ("ciliumlocalredirectpolicies", "grant `list` on `ciliumlocalredirectpolicies.cilium.io`"),
        ("the log of apps/", "grant `get` on `pods/log` in namespace apps"),
        ("buffers", "refused"),
        ("the answer to 'up'", "not asked"),
    ] {
        let fits = |entry: &&Value| {
            let text = |key: &str| entry[key].as_str().unwrap_or_default().to_lowercase();
            text("what").starts_with(what) && text("reason").contains(reason)
        };
        assert!(unread.as_array().expect("a list").iter().any(|entry| fits(&entry)), "{what}: {reason}: {unread:#}");
    }
    assert!(live.stdout.contains("9 restarts"), "the rest goes on: {}", live.stdout);
    // Whether a question was asked is not kept where nobody answered.
    let live = {
        let mut report = lasting(&live);
        report["not_read"].as_array_mut().expect("a list").retain(|entry| entry["what"] != "the answer to 'up'");
        report
    };
    assert_eq!(lasting(&read_again("symptoms", &bundle)), live, "left: read again, right: live");
    let text = staledp(["symptoms", "--from", &bundle]).run().exits(0).stdout;
    assert!(text.contains("Not read") && text.contains("pods/log"), "{text}");

    // A copy of it says the same, too.
    let copy = keep.path().join("copy").display().to_string();
    staledp(["symptoms", "--from", &bundle, "--save", &copy]).run().exits(0);
    assert_eq!(lasting(&read_again("symptoms", &copy)), live, "left: of the copy, right: live");

    // A bundle of an older release, or one made by hand, has no such folder.
    fs::remove_dir_all(Path::new(&bundle).join("symptoms")).expect("the folder goes");
    let unread = read_again("symptoms", &bundle).exits(0).report().0["not_read"].clone();
    let reason = |what: &str| {
        let entries = unread.as_array().expect("a list");
        let entry = entries.iter().find(|entry| entry["what"].as_str().is_some_and(|w| w.starts_with(what)));
        entry.unwrap_or_else(|| panic!("{what}: {unread:#}"))["reason"].as_str().expect("text").to_owned()
    };
    assert_eq!(reason("secretstores, clustersecretstores, externalsecrets, applications, cilium"), "not saved");
    assert_eq!((reason("logs"), reason("buffers")), ("none saved".into(), "no Prometheus answer saved".into()));
}

#[test]
fn the_printed_rights_are_enough_and_each_that_is_missing_is_named() {
    let prometheus = prometheus();
    let mut world = telling();
    let service = json!({"metadata": {"name": "prometheus", "namespace": "monitoring"},
                         "spec": {"ports": [{"name": "web", "port": 9090}]}});
    world.services.push(service);
    world.proxied.insert("monitoring/prometheus:9090".to_owned(), prometheus);
    install(&mut world, "external-secrets.io", "v1", "clustersecretstores", &json!([]));
    let look = |rights: Vec<Allowed>| {
        let mut world = world.clone();
        world.writes.rights = Some(rights);
        let api = ApiServer::start(world);
        let outcome = symptoms(&api, &["--logs", "--prometheus", "monitoring/prometheus"]).exits(0);
        assert!(api.writes().is_empty() && api.execs().is_empty());
        outcome.report().0
    };
    let whole = look(granted("symptoms"));
    assert_eq!(whole["not_read"], json!([]));
    for (index, right) in granted("symptoms").into_iter().enumerate() {
        let mut rights = granted("symptoms");
        rights.remove(index);
        let unread = look(rights)["not_read"].to_string();
        // Without the service's ports the usual one is taken.
        let is_told = right.resource == "services" || unread.contains(&format!("on `{}", right.resource));
        assert!(is_told, "{right:?}: {unread}");
    }
}

#[test]
fn events_that_break_off_are_kept_as_far_as_they_came_and_said_to_have_broken_off() {
    let keep = tempfile::tempdir().expect("a folder");
    let bundle = keep.path().join("kept").display().to_string();
    let mut world = healthy();
    let (namespace, pod) = ordinary(&world);
    for n in 0..900 {
        world.events.push(unhealthy(&namespace, &pod, n, 1));
    }
    // The second page is refused.
    let gone = Fault::status("/api/v1/events", 403, "Forbidden", "not any more");
    world.fault(Fault { param: Some("continue"), ..gone });
    let api = ApiServer::start(world);
    let live = symptoms(&api, &["--save", &bundle]).exits(0);
    let report = live.report().0;
    assert_eq!(report["nodes"][0]["symptoms"][0]["count"], 500, "{report:#}");
    assert_eq!(report["not_read"][0]["what"], "events (Unhealthy)", "{report:#}");
    let again = read_again("symptoms", &bundle).report().0;
    assert_eq!((&again["nodes"], &again["not_read"][0]), (&report["nodes"], &report["not_read"][0]));
}

#[test]
fn the_events_of_a_judged_node_are_found_among_many_and_a_list_without_end_is_said_to_be_cut() {
    let mut world = healthy();
    // Enough warnings of others to fill more than the two pages that a diagnosis keeps.
    world.events = (0..1_400).map(|n| unhealthy("aaa", &format!("other-{n}"), n, 1)).collect();
    for event in &mut world.events {
        event["source"]["host"] = json!("elsewhere");
    }
    world.events.push(unhealthy("apps", "web-1", 5_000, 90));
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let args = ["diagnose", "--kubeconfig", &kubeconfig.path(), "--no-ssh", "--node", "prusik", "-o", "json"];
    let report = staledp(args).run().exits(0).report();
    let told = report.node("prusik")["symptoms"].as_array().expect("symptoms").clone();
    assert_eq!(told.len(), 1, "only those of the node: {told:#?}");
    assert_eq!((&told[0]["pod"], &told[0]["count"]), (&json!("web-1"), &json!(90)));
    let notes = &report.node("prusik")["notes"];
    assert!(!notes.to_string().contains("not read"), "{notes:#}");

    // A server whose list never ends.
    let page =
        json!({"kind": "EventList", "metadata": {"continue": "more"}, "items": [unhealthy("apps", "web-1", 1, 2)]});
    api.change(|world| {
        world.fault(Fault::new("/api/v1/events", FaultKind::Answer(crate::support::http::Answer::json(200, &page))));
    });
    let report = staledp(args).run().exits(0).report();
    let notes = report.node("prusik")["notes"].to_string();
    let says = "symptoms not read: events (Unhealthy, Killing, NodeNotReady): the list of events exceeds 50000";
    assert!(
        notes.contains(says) || notes.contains("symptoms not read: events: the list of events exceeds 50000"),
        "{notes}"
    );
    assert_eq!(report.node("prusik")["symptoms"][0]["count"], 200 * 3, "{:#}", report.0);
}

#[test]
fn a_server_that_lets_events_wait_holds_no_verdict_up_for_longer_than_the_node_may_take() {
    let mut world = healthy();
    world.fault(Fault::new("/api/v1/events", FaultKind::Silence));
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let args = ["diagnose", "--kubeconfig", &kubeconfig.path(), "--no-ssh", "--node", "prusik", "-o", "json"];
    let outcome = staledp([&args[..], &["--timeout", "6s", "--request-timeout", "3s"]].concat()).run().exits(0);
    let notes = outcome.report().node("prusik")["notes"].to_string();
    assert!(notes.contains("symptoms not read: events: no list of events within 3s"), "{notes}");
    assert!(outcome.elapsed < std::time::Duration::from_secs(20), "{:?}", outcome.elapsed);
}
