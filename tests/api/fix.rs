//! `staledp fix` and `staledp rbac` against a cluster that lives: whatever happens, at most one DELETE, the lock
//! released, and an honest last line.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::support::api::{ApiServer, Kubeconfig, Logged};
use crate::support::http::Answer;
use crate::support::run::{Outcome, Run, staledp};
use crate::support::scenes::{Health, Scene};
use crate::support::world::{ExecReply, Fault, FaultKind, Kubelet, Pods, World};
use crate::support::writes::Allowed;

const POD: &str = "/api/v1/namespaces/kube-system/pods/cilium-swmbt";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/staledp-fix";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/kube-system/events";
const PATIENCE: Duration = Duration::from_secs(50);

/// prusik is stale; its agent belongs to a DaemonSet, and a restart helps.
fn stale() -> World {
    let mut world = Scene::stale().world();
    let images = json!([{"names": ["quay.io/cilium/cilium:v1.19.4"]}]);
    for node in &mut world.nodes {
        node["status"]["images"] = images.clone();
    }
    for pod in &mut world.pods {
        if pod["metadata"]["labels"]["k8s-app"] == "cilium" {
            pod["metadata"]["labels"]["controller-revision-hash"] = "964b8f5b5".into();
        }
        if pod["metadata"]["labels"]["k8s-app"] == "kube-dns" {
            pod["spec"]["nodeName"] = "vienna".into();
        }
    }
    let agent = json!({"name": "cilium-agent", "image": "quay.io/cilium/cilium:v1.19.4",
                       "imagePullPolicy": "IfNotPresent"});
    world.daemon_sets.push(json!({
        "metadata": {"name": "cilium", "namespace": "kube-system", "uid": "uid-owner-cilium", "generation": 1},
        "spec": {"updateStrategy": {"type": "RollingUpdate"}, "template": {"spec": {"containers": [agent]}}},
        "status": {"observedGeneration": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3},
    }));
    world.revisions.push(revision("964b8f5b5", 1));
    // The dump stays as it was: the old agent's dead flows are still listed after a restart that helped.
    let fine = Scene::new(&[("prusik", Health::Fine), ("vienna", Health::Fine), ("brno", Health::Fine)]).world();
    let is_dump = |rule: &crate::support::world::ExecRule| format!("{:?}", rule.argv).contains("\"ct\"");
    world.writes.cure = fine.execs.into_iter().filter(|rule| !is_dump(rule)).collect();
    world.on_exec(
        Pods::Any,
        &["nslookup", "google.com"],
        ExecReply::prints("Name: google.com\nAddress: 142.250.1.1\n"),
    );
    world.writes.ready_after = Duration::from_secs(2);
    world
}

fn revision(hash: &str, number: u32) -> Value {
    json!({"metadata": {"name": format!("cilium-{hash}"), "namespace": "kube-system",
                        "labels": {"controller-revision-hash": hash},
                        "ownerReferences": [{"kind": "DaemonSet", "name": "cilium", "uid": "uid-owner-cilium",
                                             "controller": true}]},
           "revision": number})
}

fn fix(kubeconfig: &Kubeconfig, args: &[&str]) -> Run {
    let path = kubeconfig.path();
    let mut all = vec!["fix", "--kubeconfig", &path, "--no-ssh", "-o", "json", "--node", "prusik"];
    all.extend(args);
    staledp(all).deadline(Duration::from_secs(120))
}

fn run(world: World, args: &[&str]) -> (ApiServer, Outcome) {
    let api = ApiServer::start(world);
    let outcome = fix(&api.kubeconfig(), args).run();
    (api, outcome)
}

fn deletes(api: &ApiServer) -> Vec<Logged> {
    api.requests().into_iter().filter(|request| request.method == "DELETE").collect()
}

fn lease(api: &ApiServer) -> Option<Value> {
    let mut found = None;
    api.change(|world| found = world.writes.leases.first().cloned());
    found
}

fn events(api: &ApiServer) -> Vec<Value> {
    let mut found = Vec::new();
    api.change(|world| found.clone_from(&world.writes.events));
    found
}

fn is_write(request: &Logged) -> bool {
    !matches!(request.method.as_str(), "GET" | "HEAD") && !request.path.ends_with("/selfsubjectaccessreviews")
}

/// What holds whatever happens: one DELETE at the most and of the one pod by its UID, nothing written but what the
/// contract allows, and the lock released.
#[track_caller]
fn in_good_order(api: &ApiServer, deleted: usize) {
    in_good_order_but_for_the_lock(api, deleted);
    let holder = lease(api).map_or(Value::Null, |lease| lease["spec"]["holderIdentity"].clone());
    assert!(holder.is_null() || holder == "", "the lock is released, and not held by {holder}");
}

#[track_caller]
fn in_good_order_but_for_the_lock(api: &ApiServer, deleted: usize) {
    let sent = deletes(api);
    assert_eq!(sent.len(), deleted, "{sent:#?}");
    for request in &sent {
        assert_eq!((request.path.as_str(), request.query.as_str()), (POD, ""));
        let body: Value = serde_json::from_slice(&request.body).expect("a body");
        assert_eq!(
            body,
            json!({"kind": "DeleteOptions", "apiVersion": "v1",
                                "preconditions": {"uid": "uid-cilium-swmbt"}})
        );
    }
    for request in api.requests().iter().filter(|request| is_write(request)) {
        let what = (request.method.as_str(), request.path.as_str());
        assert!(matches!(what, ("DELETE", POD) | ("PUT", LEASE) | ("POST", EVENTS)), "{what:?} is not allowed");
    }
}

#[track_caller]
fn ends(outcome: &Outcome, how: &str) {
    let fix = &outcome.report().0["fix"][0];
    assert_eq!(fix["outcome"], how, "{fix:#}\n{}", outcome.stderr);
    let says = fix["says"].as_str().expect("a last line");
    let last = outcome.stderr.lines().rev().take(12).collect::<Vec<_>>().join("\n");
    let begin: String = says.chars().take(20).collect();
    assert!(last.contains(&begin), "the last line says {says:?}:\n{}", outcome.stderr);
}

#[track_caller]
fn rule<'a>(report: &'a Value, name: &str) -> &'a Value {
    let rules = report["fix"][0]["preflight"].as_array().expect("a preflight");
    rules.iter().find(|rule| rule["rule"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

#[test]
fn a_stale_node_is_restarted_once_and_shown_to_work() {
    let (api, outcome) = run(stale(), &["--yes"]);
    let outcome = outcome.exits(0);
    ends(&outcome, "verified");
    in_good_order(&api, 1);
    let report = outcome.report().0;
    let fix = &report["fix"][0];
    assert_eq!((&fix["restart"], &fix["event"], &fix["released"]), (&json!("deleted"), &json!(true), &json!(true)));
    assert_eq!(fix["before"]["verdict"]["code"], "stale-datapath");
    assert_eq!(fix["after"]["node"]["verdict"]["code"], "healthy");
    assert_eq!(fix["after"]["name_lookup"], true);
    assert_eq!(report["nodes"][0]["verdict"]["kind"], "healthy");
    let events = events(&api);
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&events[0]["regarding"]["kind"], &events[0]["related"]["uid"]),
        (&json!("Node"), &json!("uid-cilium-swmbt"))
    );
    let note = events[0]["note"].as_str().expect("a note");
    assert!(note.contains("stale-datapath") && note.contains("verified"), "{note}");
    // The lock is taken before, and let go after.
    let writes: Vec<_> = api.requests().into_iter().filter(is_write).map(|request| request.method).collect();
    assert_eq!(writes, ["PUT", "PUT", "DELETE", "PUT", "POST"]);
    for step in 1..=9 {
        assert!(outcome.stderr.contains(&format!("[{step}/9]")), "step {step}:\n{}", outcome.stderr);
    }
}

#[test]
fn what_is_not_stale_is_not_restarted() {
    let mut world = stale();
    let cure = world.writes.cure.clone();
    world.execs.extend(cure);
    world.execs.extend(Scene::healthy().world().execs);
    let (api, outcome) = run(world, &["--yes"]);
    ends(&outcome.exits(7), "refused");
    in_good_order(&api, 0);
    assert!(!api.requests().iter().any(is_write));
}

#[test]
fn a_dry_run_prints_the_request_and_sends_none() {
    let (api, outcome) = run(stale(), &["--dry-run"]);
    let outcome = outcome.exits(0);
    ends(&outcome, "dry-run");
    assert!(!api.requests().iter().any(is_write), "no lock, no deletion, no event");
    let request = &outcome.report().0["fix"][0]["request"];
    assert_eq!(
        *request,
        json!({"method": "DELETE", "path": POD,
        "body": {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "uid-cilium-swmbt"}}})
    );
    assert!(outcome.stderr.contains(&format!("DELETE {POD}")), "{}", outcome.stderr);
}

#[test]
fn without_a_terminal_and_without_yes_nothing_is_changed() {
    let (api, outcome) = run(stale(), &[]);
    ends(&outcome.exits(7), "refused");
    assert!(!api.requests().iter().any(is_write));
}

#[test]
fn the_evidence_is_kept_and_judges_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["kept", "kept.tar.gz"] {
        let path = folder.path().join(name);
        let bundle = path.display().to_string();
        let (_api, outcome) = run(stale(), &["--dry-run", "--save", &bundle]);
        let outcome = outcome.exits(0);
        assert!(outcome.stderr.contains(&bundle), "the path is printed:\n{}", outcome.stderr);
        assert_eq!(path.is_file(), name != "kept", "a folder, or one file");
        let again = staledp(["diagnose", "--from", &bundle, "-o", "json"]).run().exits(1).report();
        assert_eq!(again.code("prusik"), "stale-datapath");
    }
    let mut left: Vec<_> =
        std::fs::read_dir(folder.path()).expect("the folder").map(|e| e.expect("an entry").file_name()).collect();
    left.sort();
    assert_eq!(left, ["kept", "kept.tar.gz"], "nothing else is left behind");
}

/// Rules of the preflight: what is changed in the world, which rule speaks, and the flag that goes on all the same.
#[test]
fn every_rule_of_the_preflight_stops_a_restart() {
    type Change = fn(&mut World);
    let cases: [(&str, Change, Option<&str>); 11] = [
        ("owner", |w| w.pod_mut("kube-system/cilium-swmbt")["metadata"]["ownerReferences"] = json!([]), None),
        ("version", |w| w.revisions.push(revision("other", 2)), None),
        (
            "version",
            |w| {
                w.revisions.push(revision("other", 2));
                w.daemon_sets[0]["spec"]["updateStrategy"]["type"] = "OnDelete".into();
            },
            Some("--accept-risk"),
        ),
        (
            "version",
            |w| {
                w.fault(Fault::new("*/controllerrevisions", FaultKind::Forbidden("alice".into())));
            },
            None,
        ),
        (
            "other-agents",
            |w| w.pod_mut("kube-system/cilium-brno")["status"]["conditions"][0]["status"] = "False".into(),
            Some("--accept-risk"),
        ),
        (
            "image",
            |w| w.daemon_sets[0]["spec"]["template"]["spec"]["containers"][0]["image"] = "other:1".into(),
            Some("--accept-risk"),
        ),
        (
            "node",
            |w| {
                let node = w.nodes.iter_mut().find(|node| node["metadata"]["name"] == "prusik").expect("prusik");
                node["status"]["conditions"][0]["status"] = "Unknown".into();
            },
            None,
        ),
        (
            "cooldown",
            |w| {
                let now = humantime::format_rfc3339_seconds(SystemTime::now() - Duration::from_secs(400)).to_string();
                w.pod_mut("kube-system/cilium-swmbt")["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] =
                    now.into();
            },
            None,
        ),
        (
            "cluster-dns",
            |w| {
                for pod in w.pods.iter_mut().filter(|pod| pod["metadata"]["labels"]["k8s-app"] == "kube-dns") {
                    pod["spec"]["nodeName"] = "prusik".into();
                }
            },
            Some("--accept-risk"),
        ),
        ("lock", |w| w.writes.leases.push(held("bob@desk/7", "brno", Duration::ZERO)), None),
        ("rights", |w| w.writes.rights = Some(granted("diagnose")), None),
    ];
    for (name, change, flag) in cases {
        let mut world = stale();
        change(&mut world);
        let (api, outcome) = run(world.clone(), &["--dry-run"]);
        let outcome = outcome.exits(7);
        let report = outcome.report().0;
        let spoke = rule(&report, name);
        assert!(spoke["result"] != "pass" && spoke["risk"] == "high", "{name}: {spoke:#}");
        assert_eq!(spoke["stops"], flag.is_none(), "{name}: {spoke:#}");
        assert!(!api.requests().iter().any(is_write), "{name}");
        if let Some(flag) = flag {
            run(world, &["--dry-run", flag]).1.exits(0);
        }
    }
}

#[test]
fn a_storm_needs_its_own_word() {
    let mut world = stale();
    let brno = Scene::new(&[("prusik", Health::Stale), ("vienna", Health::Fine), ("brno", Health::Stale)]).world();
    world.execs = brno.execs;
    let (api, outcome) = run(world.clone(), &["--yes"]);
    let outcome = outcome.exits(7);
    let report = outcome.report().0;
    let says = rule(&report, "storm")["says"].as_str().expect("words").to_owned();
    assert!(says.contains("2 stale of 3 judged nodes") && says.contains("50 %"), "the arithmetic: {says}");
    in_good_order(&api, 0);
    run(world, &["--dry-run", "--nodes-at-risk-ok"]).1.exits(0);
}

#[test]
fn only_the_named_verdict_is_forced() {
    let mut world = stale();
    // Nobody answers any more for the host: the node can't be judged.
    world.fault(Fault::new("*/exec", FaultKind::Forbidden("alice".into())));
    let code = run(world.clone(), &["--dry-run"]).1.exits(7).report().code("prusik").to_owned();
    run(world.clone(), &["--dry-run", "--force", "egress-broken"]).1.exits(7);
    let (_api, outcome) = run(world, &["--dry-run", "--force", &code]);
    let outcome = outcome.exits(0);
    assert_eq!(outcome.report().0["fix"][0]["forced"], true);
    staledp(["fix", "--node", "prusik", "--force", "healthy"]).run().exits(2);
    staledp(["fix", "--node", "prusik", "--force"]).run().exits(2);
    for flag in ["--all-nodes", "-l"] {
        staledp(["fix", "--node", "prusik", flag]).run().exits(2);
    }
}

/// A Lease of somebody else, renewed this long ago.
fn held(by: &str, node: &str, ago: Duration) -> Value {
    let time = humantime::format_rfc3339_micros(SystemTime::now() - ago).to_string();
    json!({"metadata": {"name": "staledp-fix", "namespace": "kube-system", "uid": "u", "resourceVersion": "17",
                        "annotations": {"staledp/node": node, "staledp/pod": "cilium-swmbt",
                                        "staledp/pod-uid": "uid-cilium-swmbt", "staledp/verdict": "stale-datapath"}},
           "spec": {"holderIdentity": by, "leaseDurationSeconds": 900, "acquireTime": time, "renewTime": time}})
}

#[test]
fn whatever_the_delete_answers_nothing_is_sent_twice() {
    let text_429 = Fault::too_many(POD, "1").on("DELETE");
    let budget = json!({"causes": [{"reason": "DisruptionBudget", "message": "no"}]});
    let json_429 = Answer::failure(429, "TooManyRequests", "Cannot evict pod", budget);
    let cases: [(&str, Fault, i32, &str); 8] = [
        ("429 later", text_429, 7, "refused"),
        ("429 no", Fault::new(POD, FaultKind::Answer(json_429)).on("DELETE"), 7, "refused"),
        ("403", Fault::new(POD, FaultKind::Forbidden("alice".into())).on("DELETE"), 7, "refused"),
        (
            "409",
            Fault::status(POD, 409, "Conflict", "the UID in the precondition (a) does not match").on("DELETE"),
            7,
            "refused",
        ),
        ("500 and not done", Fault::status(POD, 500, "InternalError", "etcd").on("DELETE"), 7, "refused"),
        ("cut and not done", Fault::new(POD, FaultKind::HangUp).on("DELETE"), 7, "refused"),
        ("reset and not done", Fault::new(POD, FaultKind::Reset).on("DELETE"), 7, "refused"),
        ("cut and done", Fault::new(POD, FaultKind::DoneThenHangUp).on("DELETE"), 0, "verified"),
    ];
    std::thread::scope(|scope| {
        for (name, fault, code, how) in cases {
            scope.spawn(move || {
                let mut world = stale();
                world.fault(fault);
                let (api, outcome) = run(world, &["--yes"]);
                eprintln!("{name}");
                let outcome = outcome.exits(code);
                ends(&outcome, how);
                in_good_order(&api, 1);
                assert_eq!(events(&api).len(), usize::from(code == 0), "{name}");
            });
        }
    });
}

#[test]
fn a_pod_that_is_gone_already_is_no_failure() {
    let mut world = stale();
    let gone = Answer::failure(404, "NotFound", "pods \"cilium-swmbt\" not found", json!({"name": "cilium-swmbt"}));
    world.fault(Fault::new(POD, FaultKind::Answer(gone)).on("DELETE"));
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let running = fix(&kubeconfig, &["--yes"]).start();
    api.wait_until(PATIENCE, |log| log.iter().any(|request| request.method == "DELETE"));
    // Somebody else's deletion.
    api.change(|world| {
        let new = world.pod_mut("kube-system/cilium-swmbt");
        new["metadata"]["uid"] = "another".into();
        new["metadata"]["name"] = "cilium-other".into();
        let cure = world.writes.cure.clone();
        world.execs.extend(cure);
        world.execs.extend(Scene::healthy().world().execs);
    });
    let outcome = running.wait().exits(0);
    assert_eq!(outcome.report().0["fix"][0]["restart"], "gone-already");
    in_good_order(&api, 1);
}

#[test]
fn a_dead_kubelet_is_told_as_such() {
    let mut world = stale();
    world.writes.kubelet_is_dead = true;
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let running = fix(&kubeconfig, &["--yes", "--wait", "12s"]).start();
    api.wait_until(PATIENCE, |log| log.iter().any(|request| request.method == "DELETE"));
    api.change(|world| {
        for node in world.nodes.iter_mut().filter(|node| node["metadata"]["name"] == "prusik") {
            node["status"]["conditions"][0]["status"] = "Unknown".into();
        }
    });
    let outcome = running.wait().exits(6);
    ends(&outcome, "not-verified");
    assert!(outcome.stderr.contains("died meanwhile"), "{}", outcome.stderr);
    in_good_order(&api, 1);
    assert_eq!(events(&api).len(), 1);
}

#[test]
fn an_api_server_that_is_away_while_waiting_is_outlasted() {
    let api = ApiServer::start(stale());
    let kubeconfig = api.kubeconfig();
    let running = fix(&kubeconfig, &["--yes"]).start();
    api.wait_until(PATIENCE, |log| log.iter().any(|request| request.method == "DELETE"));
    api.change(|world| {
        // Not the DELETE itself, which is logged before it is done.
        world.fault(Fault::new("*", FaultKind::HangUp).on("GET").times(8));
    });
    let outcome = running.wait().exits(0);
    in_good_order(&api, 1);
    ends(&outcome, "verified");
}

#[test]
fn a_restart_that_does_not_help_is_not_verified_and_not_repeated() {
    let mut world = stale();
    world.writes.cure.clear();
    let (api, outcome) = run(world, &["--yes", "--verify", "6s"]);
    let outcome = outcome.exits(6);
    ends(&outcome, "not-verified");
    let next = outcome.report().0["fix"][0]["next"][0].as_str().expect("a next step").to_owned();
    assert!(next.starts_with("not another restart"), "{next}");
    in_good_order(&api, 1);
    assert_eq!(events(&api)[0]["type"], "Warning");
}

#[test]
fn a_kubelet_that_is_silent_at_first_after_the_restart_is_asked_again() {
    let api = ApiServer::start(stale());
    let kubeconfig = api.kubeconfig();
    let running = fix(&kubeconfig, &["--yes"]).start();
    api.wait_until(PATIENCE, |log| log.iter().any(|request| request.method == "DELETE"));
    api.change(|world| _ = world.kubelet("prusik", Kubelet::Frozen));
    let after = |log: &[Logged]| {
        let since = log.iter().skip_while(|request| request.method != "DELETE");
        since.filter_map(|request| request.exec.as_ref()).filter(|call| call.node == "prusik").count()
    };
    api.wait_until(PATIENCE, |log| after(log) > 0);
    // It is logged before the kubelet has it.
    std::thread::sleep(Duration::from_secs(2));
    // Meanwhile the dead flows are gone, the dump included.
    let fine = Scene::new(&[("prusik", Health::Fine)]).world().execs;
    api.change(|world| {
        world.kubelets.clear();
        world.execs.extend(fine);
    });
    let outcome = running.wait().exits(0);
    ends(&outcome, "verified");
    assert!(outcome.stderr.contains("the kubelet did not answer within 8s"), "{}", outcome.stderr);
    in_good_order(&api, 1);
}

#[test]
fn what_breaks_again_while_watching_is_not_verified() {
    let api = ApiServer::start(stale());
    let kubeconfig = api.kubeconfig();
    let running = fix(&kubeconfig, &["--yes", "--watch", "40s"]).start();
    let asked = |log: &[Logged]| {
        log.iter()
            .filter_map(|r| r.exec.as_ref())
            .filter(|e| e.argv.ends_with(&["nslookup".to_owned(), "google.com".to_owned()]))
            .count()
    };
    api.wait_until(PATIENCE, |log| asked(log) >= 2);
    api.change(|world| world.execs = stale().execs);
    let outcome = running.wait().exits(6);
    assert!(outcome.stderr.contains("watching for 40s"), "{}", outcome.stderr);
    in_good_order(&api, 1);
}

#[test]
fn of_two_at_once_one_wins() {
    let api = ApiServer::start(stale());
    let kubeconfig = api.kubeconfig();
    let one = fix(&kubeconfig, &["--yes"]).start();
    let other = fix(&kubeconfig, &["--yes"]).start();
    let mut codes = [one.wait().code, other.wait().code];
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(7)]);
    in_good_order(&api, 1);
}

#[test]
fn killed_between_lock_and_delete_the_next_run_starts_anew() {
    let mut world = stale();
    world.fault(Fault::new(POD, FaultKind::Silence).on("DELETE").times(1));
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let first = fix(&kubeconfig, &["--yes"]).start();
    api.wait_until(PATIENCE, |log| log.iter().any(|request| request.method == "DELETE"));
    first.kill();
    first.wait();
    let outcome = fix(&kubeconfig, &["--yes"]).run().exits(0);
    assert!(outcome.stderr.contains("an earlier run was interrupted"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("starting anew"), "{}", outcome.stderr);
    // One of each run; the first was never done.
    in_good_order(&api, 2);
    assert_eq!(events(&api).len(), 1);
}

#[test]
fn killed_between_delete_and_verify_the_next_run_goes_on_without_another_restart() {
    let api = ApiServer::start(stale());
    let kubeconfig = api.kubeconfig();
    let first = fix(&kubeconfig, &["--yes"]).start();
    let after = |log: &[Logged]| log.iter().rev().take_while(|request| request.method != "DELETE").count();
    api.wait_until(PATIENCE, |log| log.iter().any(|request| request.method == "DELETE") && after(log) > 0);
    first.kill();
    first.wait();
    let outcome = fix(&kubeconfig, &["--yes"]).run().exits(0);
    assert!(outcome.stderr.contains("without another restart"), "{}", outcome.stderr);
    assert_eq!(outcome.report().0["fix"][0]["resumed"], true);
    in_good_order(&api, 1);
    assert_eq!(events(&api).len(), 1);
}

#[test]
fn an_expired_lock_is_taken_over_and_a_held_one_is_not() {
    let mut world = stale();
    world.writes.leases.push(held("bob@desk/7", "brno", Duration::from_secs(1000)));
    let (api, outcome) = run(world, &["--yes"]);
    let outcome = outcome.exits(0);
    assert!(outcome.stderr.contains("a repair of brno was interrupted"), "{}", outcome.stderr);
    in_good_order(&api, 1);
}

/// Both operators' clocks may be wrong; the API server's is the same for both.
#[test]
fn a_lock_expires_by_the_clock_of_the_api_server() {
    let now = k8s_openapi::jiff::Timestamp::now();
    let behind = k8s_openapi::jiff::Timestamp::from_second(now.as_second() - 600).expect("a time");
    let mut world = stale();
    world.writes.date = Some(behind.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    // Expired for this machine, and for the API server it holds for some minutes more.
    world.writes.leases.push(held("bob@desk/7", "brno", Duration::from_secs(1000)));
    let (api, outcome) = run(world, &["--yes"]);
    let report = outcome.exits(7).report().0;
    assert_eq!(rule(&report, "lock")["result"], "stop");
    assert!(!api.requests().iter().any(is_write));
}

#[test]
fn a_second_interruption_ends_it_at_once() {
    let api = ApiServer::start(stale());
    let kubeconfig = api.kubeconfig();
    let running = fix(&kubeconfig, &["--yes", "--watch", "60s"]).start();
    api.wait_until(PATIENCE, |log| log.iter().any(|r| r.method == "DELETE"));
    // Letting go would take its time.
    api.change(|world| {
        world.fault(Fault::new(LEASE, FaultKind::Silence));
    });
    running.interrupt();
    std::thread::sleep(Duration::from_secs(1));
    let begin = std::time::Instant::now();
    running.interrupt();
    running.wait().exits(130);
    assert!(begin.elapsed() < Duration::from_secs(10), "it took {:?}", begin.elapsed());
    in_good_order_but_for_the_lock(&api, 1);
}

#[test]
fn an_interruption_at_any_step_leaves_good_order() {
    type Reached = fn(&[Logged]) -> bool;
    let steps: [(&str, Reached, usize); 5] = [
        ("diagnose", |log| log.iter().any(|r| r.exec.is_some()), 0),
        ("preflight", |log| log.iter().any(|r| r.path.ends_with("selfsubjectaccessreviews")), 0),
        ("lock", |log| log.iter().any(|r| r.method == "PUT"), 2),
        ("wait", |log| log.iter().any(|r| r.method == "DELETE"), 1),
        (
            "verify",
            |log| {
                log.iter().any(|r| {
                    r.exec.as_ref().is_some_and(|e| e.argv.ends_with(&["nslookup".to_owned(), "google.com".to_owned()]))
                })
            },
            1,
        ),
    ];
    for (name, reached, deleted) in steps {
        let api = ApiServer::start(stale());
        let kubeconfig = api.kubeconfig();
        let running = fix(&kubeconfig, &["--yes", "--watch", "60s"]).start();
        api.wait_until(PATIENCE, reached);
        running.interrupt();
        let outcome = running.wait().exits(130);
        eprintln!("{name}");
        ends(&outcome, "interrupted");
        // Between lock and delete it may be either.
        let deleted = if deleted == 2 { deletes(&api).len().min(1) } else { deleted };
        in_good_order(&api, deleted);
        assert_eq!(events(&api).len(), deleted, "{name}");
    }
}

/// The rights that `staledp rbac` prints, as an authorizer has them.
fn granted(command: &str) -> Vec<Allowed> {
    let yaml = staledp(["rbac", command]).run().exits(0).stdout;
    let mut all = Vec::new();
    for role in yaml.split("\n---\n") {
        let role: BTreeMap<String, Value> = serde_saphyr::from_str(role).expect("the role is YAML");
        let namespace = role["metadata"]["namespace"].as_str().map(str::to_owned);
        assert_eq!(role["kind"] == "Role", namespace.is_some());
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        for rule in role["rules"].as_array().expect("rules") {
            let names = texts(&rule["resourceNames"]);
            for verb in texts(&rule["verbs"]) {
                all.push(Allowed {
                    group: texts(&rule["apiGroups"])[0].clone(),
                    resource: texts(&rule["resources"])[0].clone(),
                    verb,
                    namespace: namespace.clone(),
                    name: names.first().cloned(),
                });
            }
        }
    }
    all
}

#[test]
fn the_printed_rights_are_enough() {
    let mut world = stale();
    world.writes.rights = Some(granted("diagnose"));
    let api = ApiServer::start(world.clone());
    let path = api.kubeconfig();
    let args = ["diagnose", "--kubeconfig", &path.path(), "--no-ssh", "-o", "json", "--all-nodes"];
    let report = staledp(args).run().exits(1).report();
    assert_eq!(report.code("prusik"), "stale-datapath");
    assert!(api.writes().is_empty(), "diagnose writes nothing: {:#?}", api.writes());

    world.writes.rights = Some(granted("fix"));
    let (api, outcome) = run(world, &["--yes"]);
    ends(&outcome.exits(0), "verified");
    in_good_order(&api, 1);
}

#[test]
fn each_printed_right_is_needed() {
    for (index, right) in granted("fix").into_iter().enumerate() {
        let mut rights = granted("fix");
        rights.remove(index);
        let mut world = stale();
        world.writes.rights = Some(rights);
        let (api, outcome) = run(world, &["--dry-run"]);
        assert!(matches!(outcome.code, Some(5 | 7)), "{right:?} {:?}", outcome.code);
        assert!(!api.requests().iter().any(is_write), "{right:?}");
    }
}

/// Runs it on a terminal of its own, and types an answer.
fn on_a_terminal(api: &ApiServer, typed: &str) -> Option<(i32, String)> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    let kubeconfig = api.kubeconfig();
    let home = tempfile::tempdir().expect("a folder");
    let program = env!("CARGO_BIN_EXE_staledp");
    let command = format!("{program} fix --kubeconfig {} --no-ssh --node prusik --no-progress", kubeconfig.path());
    let child = Command::new("script")
        .args(["-qefc", &command, "/dev/null"])
        .env("HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: there is no script(1) to make a terminal with");
        return None;
    };
    api.wait_until(PATIENCE, |log| log.iter().any(|request| request.method == "PUT"));
    // The question comes right after the lock.
    std::thread::sleep(Duration::from_secs(1));
    let mut stdin = child.stdin.take().expect("stdin");
    stdin.write_all(typed.as_bytes()).expect("it is typed");
    let output = child.wait_with_output().expect("it ends");
    drop(stdin);
    Some((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[test]
fn the_question_is_answered_with_no_unless_somebody_says_yes() {
    for (typed, code, deleted) in [("\n", 7, 0), ("n\n", 7, 0), ("y\n", 0, 1)] {
        let api = ApiServer::start(stale());
        let Some((ended, said)) = on_a_terminal(&api, typed) else { return };
        assert_eq!(ended, code, "{typed:?}\n{said}");
        for word in
            ["context  grigri", "node     prusik", "cilium-swmbt", "kubectl --context=grigri delete pod", "[y/N]"]
        {
            assert!(said.contains(word), "{word}\n{said}");
        }
        in_good_order(&api, deleted);
    }
}

#[test]
fn the_readme_shows_a_session_that_happened() {
    let api = ApiServer::start(stale());
    let kubeconfig = api.kubeconfig();
    let args = ["fix", "--kubeconfig", &kubeconfig.path(), "--no-ssh", "--node", "prusik", "--yes"];
    let outcome = staledp(args).run().exits(0);
    println!("{}\n{}", outcome.stderr, outcome.stdout);
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the readme");
    let stable = outcome.stderr.lines().filter(|line| line.starts_with('['));
    for line in stable.chain(outcome.stdout.lines().filter(|line| line.contains("✓ VERIFIED"))) {
        assert!(readme.contains(line), "the readme lacks {line:?}");
    }
}

#[test]
fn several_nodes_go_no_further_than_the_first_that_is_not_verified() {
    let mut world = stale();
    world.writes.cure.clear();
    let brno = Scene::new(&[("prusik", Health::Stale), ("vienna", Health::Fine), ("brno", Health::Stale)]).world();
    let name_lookup = world.execs.pop();
    world.execs = brno.execs;
    world.execs.extend(name_lookup);
    let args = ["--node", "brno", "--yes", "--nodes-at-risk-ok", "--verify", "3s"];
    let (api, outcome) = run(world, &args);
    let report = outcome.exits(6).report().0;
    assert_eq!(
        (&report["fix"][0]["outcome"], &report["fix"][1]["outcome"]),
        (&json!("not-verified"), &json!("not-tried"))
    );
    in_good_order(&api, 1);
}
