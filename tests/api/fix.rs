//! `staledp fix` and `staledp rbac` against a cluster that lives: whatever happens, at most one DELETE, the lock
//! released, and an honest last line.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use staledp::base::clock;

use crate::support::api::{ApiServer, Kubeconfig, Logged};
use crate::support::http::Answer;
use crate::support::run::{Outcome, Run, staledp, unfolded};
use crate::support::scenes::{Health, Scene, revision, unanswered};
use crate::support::world::{ExecReply, ExecRule, Fault, FaultKind, Kubelet, Pods, World};
use crate::support::writes::Allowed;

const POD: &str = "/api/v1/namespaces/kube-system/pods/cilium-swmbt";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/staledp-fix";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/kube-system/events";
/// What the test server calls a DELETE that changes nothing.
const DRY_RUN: &str = "dry-run DELETE";
const PATIENCE: Duration = Duration::from_secs(50);

/// prusik is stale; its agent belongs to a DaemonSet, and a restart helps.
pub(crate) fn stale() -> World {
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
    world.on_exec(Pods::Any, &["cilium-dbg", "endpoint", "list"], ExecReply::prints(ENDPOINTS));
    world.on_exec(
        Pods::Any,
        &["nslookup", "google.com"],
        ExecReply::prints("Name: google.com\nAddress: 142.250.1.1\n"),
    );
    world.writes.ready_after = Duration::from_secs(2);
    world
}

/// What an agent says that is not done yet.
const ENDPOINTS: &str = "\
ENDPOINT   POLICY (ingress)   POLICY (egress)   IDENTITY   LABELS (source:key[=value])   IPv6   IPv4          STATUS
           ENFORCEMENT        ENFORCEMENT
126        Disabled           Disabled          8          reserved:ingress                     10.42.1.14    ready
839        Disabled           Disabled          4          reserved:health                      10.42.1.196   regenerating
                                                           k8s:app=ready
2424       Disabled           Disabled          1          reserved:host                                      restoring
";

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

pub(crate) fn lease(api: &ApiServer) -> Option<Value> {
    let mut found = None;
    api.change(|world| found = world.writes.leases.first().cloned());
    found
}

pub(crate) fn events(api: &ApiServer) -> Vec<Value> {
    let mut found = Vec::new();
    api.change(|world| found.clone_from(&world.writes.events));
    found
}

fn is_write(request: &Logged) -> bool {
    !matches!(request.method.as_str(), "GET" | "HEAD" | DRY_RUN) && !request.path.ends_with("/selfsubjectaccessreviews")
}

/// What holds whatever happens: one DELETE at the most and of the one pod by its UID, nothing written but what the
/// contract allows, and the lock released.
#[track_caller]
pub(crate) fn in_good_order(api: &ApiServer, deleted: usize) {
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
    for request in api.requests().iter().filter(|request| request.method == DRY_RUN) {
        assert_eq!((request.path.as_str(), request.query.as_str()), (POD, ""), "a dry run is asked for in the body");
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
fn stale_node_is_restarted_once_and_verified() {
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
    let changes = fix["changes"].as_array().expect("what changed, as `diff` has it");
    let verdict = json!({"what": "verdict", "before": "stale-datapath", "after": "healthy"});
    assert!(changes.contains(&verdict), "{changes:#?}");
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
fn node_that_is_not_stale_is_not_restarted() {
    let mut world = stale();
    cured(&mut world);
    let (api, outcome) = run(world, &["--yes"]);
    ends(&outcome.exits(7), "refused");
    in_good_order(&api, 0);
    assert!(!api.requests().iter().any(is_write));
}

#[test]
fn dry_run_prints_the_request_and_writes_nothing() {
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
fn dry_run_is_asked_for_in_the_body_and_deletes_nothing() {
    for args in [&["--dry-run"][..], &["--yes"]] {
        let (api, outcome) = run(stale(), args);
        let report = outcome.exits(0).report().0;
        assert_eq!(rule(&report, "dry-run")["result"], "pass");
        let asked: Vec<Logged> = api.requests().into_iter().filter(|request| request.method == DRY_RUN).collect();
        assert_eq!(asked.len(), 1, "{asked:#?}");
        let body: Value = serde_json::from_slice(&asked[0].body).expect("a body");
        let uid = json!({"uid": "uid-cilium-swmbt"});
        assert_eq!((&body["dryRun"], &body["preconditions"]), (&json!(["All"]), &uid));
        in_good_order(&api, usize::from(args == ["--yes"]));
    }
}

#[test]
fn unanswered_dry_run_is_unknown_and_does_not_stop() {
    let unsupported = "admission webhook \"x\" does not support dry run";
    let faults = [
        Fault::new(POD, FaultKind::HangUp).on(DRY_RUN),
        Fault::too_many(POD, "1").on(DRY_RUN),
        Fault::status(POD, 400, "BadRequest", unsupported).on(DRY_RUN),
    ];
    at_once(faults, |fault| {
        let mut world = stale();
        world.fault(fault);
        let (api, outcome) = run(world, &["--dry-run"]);
        assert_eq!(rule(&outcome.exits(0).report().0, "dry-run")["result"], "unknown");
        in_good_order(&api, 0);
    });
}

/// Each change comes while the question waits for its answer, which is yes.
#[test]
fn change_while_the_question_waits_refuses_the_restart() {
    type Change = fn(&mut World);
    let cases: [(&str, Change); 6] = [
        ("pod: cilium-swmbt was replaced", |w| {
            w.pod_mut("kube-system/cilium-swmbt")["metadata"]["uid"] = "another".into();
        }),
        ("pod: cilium-swmbt is already being deleted", |w| {
            w.pod_mut("kube-system/cilium-swmbt")["metadata"]["deletionTimestamp"] = clock::now().to_string().into();
        }),
        ("node: ", |w| {
            let node = w.nodes.iter_mut().find(|node| node["metadata"]["name"] == "prusik").expect("prusik");
            node["status"]["conditions"][0]["status"] = "Unknown".into();
        }),
        ("version: ", |w| w.revisions.push(revision("other", 2))),
        ("the risk is high: other-agents", |w| {
            w.pod_mut("kube-system/cilium-brno")["status"]["conditions"][0]["status"] = "False".into();
        }),
        ("still-stale: the node has recovered", cured),
    ];
    at_once(cases, |(says, change)| {
        let api = ApiServer::start(stale());
        let Some((ended, said)) = on_a_terminal(&api, "", |api| api.change(change), "y\n") else { return };
        assert_eq!(ended, 7, "{says}\n{said}");
        assert!(unfolded(&said.replace('\r', "")).contains(says), "{says}\n{said}");
        in_good_order(&api, 0);
    });
}

#[test]
fn fix_without_terminal_or_yes_changes_nothing() {
    let (api, outcome) = run(stale(), &[]);
    ends(&outcome.exits(7), "refused");
    assert!(!api.requests().iter().any(is_write));
}

#[test]
fn evidence_of_after_the_restart_is_kept_and_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["kept", "kept.tar.gz"] {
        let bundle = folder.path().join(name).display().to_string();
        let after = folder.path().join(name.replace("kept", "kept-after")).display().to_string();
        let outcome = run(stale(), &["--yes", "--save", &bundle]).1.exits(0);
        let report = outcome.report().0;
        let fix = &report["fix"][0];
        assert_eq!((&fix["evidence"], &fix["evidence_after"]), (&json!(bundle), &json!(after)));
        let changed = &fix["restart_changed"];
        assert!(changed["unchanged"].as_array().expect("tables").contains(&json!("service-list")), "{changed:#}");
        assert!(changed["not_compared"].as_array().is_some_and(|tables| !tables.is_empty()), "{changed:#}");
        let kept = staledp(["diagnose", "--from", &after, "-o", "json"]).run();
        assert_eq!(kept.report().node("prusik")["node"], "prusik", "{}", kept.stderr);
        let to = folder.path().join("issue.tar.gz").display().to_string();
        let issue =
            staledp(["report", "prusik", "--from", &bundle, "--after", &after, "--to", &to]).run().exits(0).stdout;
        let compared = "| Check | Before | After |\n| --- | --- | --- |\n| verdict | stale-datapath | healthy |";
        assert!(issue.contains(compared) && issue.contains("## What the restart changed, by table and key"), "{issue}");
        assert!(!issue.contains("prusik"), "{issue}");
    }
}

#[test]
fn last_section_of_a_repair_is_what_the_restart_changed() {
    let api = ApiServer::start(stale());
    let path = api.kubeconfig();
    let path = path.path();
    let args = ["fix", "--kubeconfig", &path, "--no-ssh", "--node", "prusik", "--yes"];
    let outcome = staledp(args).deadline(Duration::from_secs(120)).run().exits(0);
    let (_, last) =
        outcome.stdout.split_once("\n\nWhat the restart changed, by table and key\n").expect("the last section");
    assert!(last.contains("unchanged: service-list") && !last.contains("\n\n"), "{last}");
}

#[test]
fn saved_evidence_gives_the_same_verdict() {
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
    // What was kept before may be the only evidence there is.
    for name in ["kept", "kept.tar.gz"] {
        let bundle = folder.path().join(name).display().to_string();
        let outcome = run(stale(), &["--dry-run", "--save", &bundle]).1.exits(0);
        assert!(unfolded(&outcome.stderr).contains(&format!("existing bundle moved to {bundle}.1")));
    }
    let mut left: Vec<_> =
        std::fs::read_dir(folder.path()).expect("the folder").map(|e| e.expect("an entry").file_name()).collect();
    left.sort();
    assert_eq!(left, ["kept", "kept.1", "kept.tar.gz", "kept.tar.gz.1"], "nothing else is left behind");
}

#[test]
fn what_the_diagnosis_read_is_weighed_before_a_restart() {
    let weighed = |change: &dyn Fn(&mut World), name: &str| {
        let mut world = stale();
        change(&mut world);
        let (_api, outcome) = run(world, &["--dry-run"]);
        rule(&outcome.exits(0).report().0, name).clone()
    };
    let mounted = |world: &mut World, devices: &[u32]| {
        let mount = |device| format!("41 35 0:{device} / /sys/fs/bpf rw,relatime shared:9 - bpf bpf rw,mode=700\n");
        let mounts: String = devices.iter().map(mount).collect();
        world.on_exec(Pods::Any, &["cat", "/proc/self/mountinfo"], ExecReply::prints(mounts.as_str()));
    };
    // What could not be read is no pass.
    let unread = weighed(&|_| {}, "bpf-mounts");
    assert!(unread["result"] == "unknown" && unread["stops"] == false, "{unread:#}");
    let facts = weighed(&|world| mounted(world, &[30]), "node-facts");
    assert!(facts["result"] == "pass" && facts["says"].to_string().contains("bpf-mounts"), "{facts:#}");
    let twice = weighed(&|world| mounted(world, &[30, 51]), "bpf-mounts");
    assert!(twice["result"] == "risk" && twice["risk"] == "medium", "{twice:#}");
}

/// Rules of the preflight: what is changed in the world, which rule speaks, and the flag that goes on all the same.
#[test]
fn every_rule_of_the_preflight_stops_a_restart() {
    type Change = fn(&mut World);
    let cases: [(&str, Change, Option<&str>); 15] = [
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
        ("cooldown", |w| started(w, 400), Some("--accept-risk")),
        (
            "cooldown",
            |w| {
                started(w, 400);
                w.events.push(trace_of_a_restart(400));
            },
            None,
        ),
        (
            "cooldown",
            |w| {
                started(w, 400);
                w.fault(Fault::new("/api/v1/namespaces/kube-system/events", FaultKind::Forbidden("alice".into())));
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
        ("dry-run", |w| _ = w.fault(Fault::status(POD, 409, "Conflict", "the UID does not match").on(DRY_RUN)), None),
        ("dry-run", |w| _ = w.fault(Fault::new(POD, FaultKind::Forbidden("alice".into())).on(DRY_RUN)), None),
    ];
    at_once(cases, |(name, change, flag)| {
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
            assert!(unfolded(&outcome.stderr).contains(&format!("{flag} overrides it")), "{name}: {}", outcome.stderr);
            run(world, &["--dry-run", flag]).1.exits(0);
        }
    });
}

/// Runs cases beside each other, a few at a time: most of their time is waiting.
fn at_once<T: Send>(cases: impl IntoIterator<Item = T, IntoIter: Send>, each: impl Fn(T) + Sync) {
    let cases = std::sync::Mutex::new(cases.into_iter());
    let next = || cases.lock().expect("no case panics while it takes the next").next();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(case) = next() {
                    each(case);
                }
            });
        }
    });
}

/// The agent of prusik started so many seconds ago.
fn started(world: &mut World, ago: u64) {
    let at = (clock::now() - Duration::from_secs(ago)).to_string();
    world.pod_mut("kube-system/cilium-swmbt")["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] =
        at.into();
}

/// The Event of a restart of prusik's agent by this program, so many seconds ago.
fn trace_of_a_restart(ago: u64) -> Value {
    let at = format!("{:.6}", clock::now() - Duration::from_secs(ago));
    json!({"metadata": {"name": "staledp-x", "namespace": "kube-system"}, "reason": "CiliumPodRestarted",
           "involvedObject": {"kind": "Node", "name": "prusik"}, "reportingComponent": "staledp", "eventTime": at})
}

#[test]
fn storm_needs_nodes_at_risk_ok() {
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
    let (_api, outcome) = run(world.clone(), &["--dry-run", "--force", &code]);
    let outcome = outcome.exits(0);
    assert_eq!(outcome.report().0["fix"][0]["forced"], true);
    // What is shown to be done names the cluster, as it does for a stale node.
    let (api, outcome) = run(world, &["--yes", "--force", &code, "--verify", "1s"]);
    let command = "kubectl --context=grigri delete pod cilium-swmbt -n kube-system";
    assert!(unfolded(&outcome.stderr).contains(command), "{}", outcome.stderr);
    ends(&outcome.exits(6), "not-verified");
    in_good_order(&api, 1);
    staledp(["fix", "--node", "prusik", "--force", "healthy"]).run().exits(2);
    staledp(["fix", "--node", "prusik", "--force"]).run().exits(2);
    for flag in ["--all-nodes", "-l"] {
        staledp(["fix", "--node", "prusik", flag]).run().exits(2);
    }
}

/// A Lease of somebody else, renewed this long ago.
fn held(by: &str, node: &str, ago: Duration) -> Value {
    let time = format!("{:.6}", clock::now() - ago);
    json!({"metadata": {"name": "staledp-fix", "namespace": "kube-system", "uid": "u", "resourceVersion": "17",
                        "annotations": {"staledp/node": node, "staledp/pod": "cilium-swmbt",
                                        "staledp/pod-uid": "uid-cilium-swmbt", "staledp/verdict": "stale-datapath"}},
           "spec": {"holderIdentity": by, "leaseDurationSeconds": 900, "acquireTime": time, "renewTime": time}})
}

#[test]
fn delete_is_never_sent_twice() {
    let text_429 = Fault::too_many(POD, "1").on("DELETE");
    let budget = json!({"causes": [{"reason": "DisruptionBudget", "message": "no"}]});
    let json_429 = Answer::failure(429, "TooManyRequests", "Cannot evict pod", budget);
    let late_504 = Answer::failure(504, "Timeout", "request did not complete within the allotted timeout", Value::Null);
    let cases: [(&str, Fault, i32, &str); 10] = [
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
        ("504 and done", Fault::new(POD, FaultKind::DoneThen(late_504.clone())).on("DELETE"), 0, "verified"),
        ("504 and not done", Fault::new(POD, FaultKind::Answer(late_504)).on("DELETE"), 7, "refused"),
        ("cut and done", Fault::new(POD, FaultKind::DoneThenHangUp).on("DELETE"), 0, "verified"),
    ];
    at_once(cases, |(name, fault, code, how)| {
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

#[test]
fn pod_already_gone_is_not_a_failure() {
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
        cured(world);
    });
    let outcome = running.wait().exits(0);
    assert_eq!(outcome.report().0["fix"][0]["restart"], "gone-already");
    in_good_order(&api, 1);
}

/// As it is when somebody else's restart came between the last look and this run's request.
#[test]
fn pod_replaced_by_another_user_is_not_deleted_again() {
    let mut world = stale();
    world.fault(Fault::new(POD, FaultKind::Delay(Duration::from_secs(2))).on("DELETE"));
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let running = fix(&kubeconfig, &["--yes"]).start();
    api.wait_until(PATIENCE, |log| log.iter().any(|request| request.method == "DELETE"));
    api.change(|world| {
        // Another pod of this name: the server itself answers 409.
        world.pod_mut("kube-system/cilium-swmbt")["metadata"]["uid"] = "another".into();
        cured(world);
    });
    let outcome = running.wait().exits(0);
    ends(&outcome, "verified");
    assert_eq!(outcome.report().0["fix"][0]["restart"], "gone-already");
    assert!(
        unfolded(&outcome.stderr)
            .contains("cilium-swmbt was already deleted by another user (Operation cannot be fulfilled")
    );
    in_good_order(&api, 1);
    let note = events(&api)[0]["note"].as_str().expect("a note").to_owned();
    assert!(note.contains("found cilium-swmbt already deleted by another user"), "{note}");
}

/// The node does well from now on.
fn cured(world: &mut World) {
    let cure = world.writes.cure.clone();
    world.execs.extend(cure);
    world.execs.extend(Scene::healthy().world().execs);
}

#[test]
fn dead_kubelet_is_named_while_waiting() {
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
    assert!(outcome.stderr.contains("went down"), "{}", outcome.stderr);
    in_good_order(&api, 1);
    assert_eq!(events(&api).len(), 1);
}

/// An API server that goes away, and comes back when the node does well again.
struct Away {
    /// Since when it is away.
    since: fn(&[Logged]) -> bool,
    /// What becomes of the DELETE.
    delete: Option<FaultKind>,
    /// What requests meet meanwhile, and for how many seconds.
    meanwhile: Vec<(Fault, u64)>,
    /// How it ends, and what is said of the restart.
    ends: (i32, &'static str, Value),
}

#[test]
fn fix_outlasts_an_absent_api_server() {
    let deleted = |log: &[Logged]| has(log, "DELETE", 1);
    let hangs_up = || Fault::new("*", FaultKind::HangUp);
    let starting =
        Fault::status("*", 503, "ServiceUnavailable", "the server is currently unable to handle the request");
    let cases = [
        // While the replacement is awaited: gone, then hung, then only just starting.
        Away {
            since: |log| has(log, "DELETE", 1) && log.last().is_some_and(|request| request.method != "DELETE"),
            delete: None,
            meanwhile: vec![(hangs_up(), 20), (Fault::new("*", FaultKind::Silence), 15), (starting, 10)],
            ends: (0, "verified", json!("deleted")),
        },
        // The answer to the DELETE is the first thing that is lost.
        Away {
            since: deleted,
            delete: Some(FaultKind::DoneThenHangUp),
            meanwhile: vec![(hangs_up().on("GET"), 25)],
            ends: (0, "verified", json!("deleted")),
        },
        Away {
            since: deleted,
            delete: Some(FaultKind::HangUp),
            meanwhile: vec![(hangs_up().on("GET"), 25)],
            ends: (7, "refused", Value::Null),
        },
        // It does not come back in time.
        Away {
            since: deleted,
            delete: Some(FaultKind::HangUp),
            meanwhile: vec![(hangs_up().on("GET"), 40)],
            ends: (6, "not-verified", json!("not-known")),
        },
    ];
    at_once(cases, |Away { since, delete, meanwhile, ends: (code, how, restart) }| {
        let mut world = stale();
        world.faults.extend(delete.map(|kind| Fault::new(POD, kind).on("DELETE")));
        let api = ApiServer::start(world);
        let kubeconfig = api.kubeconfig();
        let wait = if code == 6 { "30s" } else { "3m" };
        let running = fix(&kubeconfig, &["--yes", "--request-timeout", "5s", "--wait", wait]).start();
        api.wait_until(PATIENCE, since);
        for (fault, seconds) in meanwhile {
            api.change(|world| {
                // What becomes of the DELETE stays as it is: it may be logged, and not done yet.
                world.faults.retain(|fault| fault.path != "*");
                world.faults.insert(0, fault);
            });
            std::thread::sleep(Duration::from_secs(seconds));
        }
        let says = if restart == json!("not-known") { "without getting an answer" } else { "restarted" };
        api.change(|world| {
            world.faults.retain(|fault| fault.path != "*");
            cured(world);
        });
        let outcome = running.wait().exits(code);
        ends(&outcome, how);
        assert_eq!(outcome.report().0["fix"][0]["restart"], restart, "{}", outcome.stderr);
        in_good_order(&api, 1);
        let notes: Vec<Value> = events(&api).into_iter().map(|event| event["note"].clone()).collect();
        assert_eq!(notes.len(), usize::from(code != 7));
        assert!(notes.iter().all(|note| note.as_str().is_some_and(|note| note.contains(says))), "{notes:?}");
    });
}

/// What a pod's container says of itself.
fn container(name: &str, ready: bool, restarts: u32, state: &Value) -> Value {
    let last = if restarts > 0 { json!({"terminated": {"exitCode": 1, "reason": "Error"}}) } else { json!({}) };
    json!({"name": name, "ready": ready, "restartCount": restarts, "image": "quay.io/cilium/cilium:v1.19.4",
           "state": state, "lastState": last})
}

#[test]
fn wait_shows_the_progress_of_the_new_pod() {
    let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
    let runs = json!({"running": {"startedAt": clock::now().to_string()}});
    let done = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
    let agent = |state: &Value, restarts| container("cilium-agent", false, restarts, state);
    let inits = |first: Value, second: Value| json!([first, second]);
    let config = |state: &Value, ready| container("config", ready, 0, state);
    let cgroup = |state: &Value, restarts| container("mount-cgroup", false, restarts, state);
    let initializing = waiting("PodInitializing", "");
    let creating = waiting("ContainerCreating", "");
    let crash = waiting("CrashLoopBackOff", "back-off 40s restarting failed container");
    let no_image = waiting("ImagePullBackOff", "Back-off pulling image \"quay.io/cilium/cilium:v1.19.4\"");
    let no_config = waiting("CreateContainerConfigError", "configmap \"cilium-config\" not found");

    let mut world = stale();
    world.writes.ready_after = Duration::from_secs(3600);
    let not_yet = "Error: Cannot get endpoint list: dial unix /var/run/cilium/cilium.sock: connect: no such file\n";
    world.on_exec(Pods::Any, &["cilium-dbg", "endpoint", "list"], ExecReply::fails(1, not_yet));
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let running = fix(&kubeconfig, &["--yes"]).start();
    let is_new = |pod: &Value| pod["metadata"]["uid"] == "uid-cilium-swmbt-1";
    running.wait_until_it_says(PATIENCE, "[7/9]");
    let set = |inits: &Value, containers: &Value| {
        api.change(|world| {
            let pod = world.pods.iter_mut().find(|pod| is_new(pod)).expect("the new pod");
            pod["status"]["initContainerStatuses"] = inits.clone();
            pod["status"]["containerStatuses"] = containers.clone();
        });
    };
    let event = |reason: &str, message: &str, kind: &str| {
        let at = clock::now().to_string();
        let event = json!({"metadata": {"name": reason, "namespace": "kube-system"}, "reason": reason, "type": kind,
                           "involvedObject": {"kind": "Pod", "uid": "uid-cilium-swmbt-1", "name": "cilium-q87g1"},
                           "message": message, "count": 1, "firstTimestamp": at, "lastTimestamp": at});
        api.change(|world| world.events.push(event));
    };
    let says = |words: &str| running.wait_until_it_says(PATIENCE, &format!("cilium-q87g1: {words}"));

    set(&json!([]), &json!([]));
    says("starting");
    event("FailedMount", "MountVolume.SetUp failed for volume \"etc-cni-netd\"", "Warning");
    says("starting: FailedMount: MountVolume.SetUp failed for volume \"etc-cni-netd\"");
    event("Pulling", "Pulling image \"quay.io/cilium/cilium:v1.19.4\"", "Normal");
    set(&inits(config(&initializing, false), cgroup(&initializing, 0)), &json!([agent(&initializing, 0)]));
    says("init container config (1 of 2) is starting: pulling quay.io/cilium/cilium:v1.19.4");
    event("Pulled", "Successfully pulled image \"quay.io/cilium/cilium:v1.19.4\" in 2.1s", "Normal");
    set(&inits(config(&runs, false), cgroup(&initializing, 0)), &json!([agent(&initializing, 0)]));
    says("init container config (1 of 2) runs");
    set(&inits(config(&done, true), cgroup(&crash, 3)), &json!([agent(&initializing, 0)]));
    let last = "its last run ended with exit code 1 (Error)";
    says(&format!("init container mount-cgroup (2 of 2) crash-loops (CrashLoopBackOff), after 3 restarts; {last}"));
    api.change(|world| world.events.clear());
    set(&json!([]), &json!([agent(&creating, 0)]));
    says("the agent is starting");
    set(&json!([]), &json!([agent(&no_image, 0)]));
    says("the agent waits for its image: ImagePullBackOff: Back-off pulling image");
    set(&json!([]), &json!([agent(&no_config, 0)]));
    says("the agent cannot start: CreateContainerConfigError: configmap \"cilium-config\" not found");
    set(&json!([]), &json!([agent(&crash, 2)]));
    says(&format!("the agent crash-loops (CrashLoopBackOff), after 2 restarts; {last}"));
    set(&json!([]), &json!([agent(&runs, 2)]));
    says(&format!("the agent runs but is not ready yet, after 2 restarts; {last}: no endpoint list yet"));
    assert!(!running.so_far().contains("regenerating"), "nobody has said so:\n{}", running.so_far());
    api.change(|world| {
        world.on_exec(Pods::Any, &["cilium-dbg", "endpoint", "list"], ExecReply::prints(ENDPOINTS));
    });
    set(&json!([]), &json!([agent(&runs, 0)]));
    says(
        "the agent runs but is not ready yet: regenerating endpoints: 2 of 3 are not ready yet (1 regenerating, 1 \
         restoring)",
    );
    set(&json!([]), &json!([container("cilium-agent", true, 0, &runs)]));
    api.change(|world| {
        let pod = world.pods.iter_mut().find(|pod| is_new(pod)).expect("the new pod");
        pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
        cured(world);
    });
    ends(&running.wait().exits(0), "verified");
    in_good_order(&api, 1);
}

#[test]
fn a_restart_that_does_not_help_is_not_verified_and_not_repeated() {
    let mut world = stale();
    world.writes.cure.clear();
    let (api, outcome) = run(world, &["--yes", "--verify", "6s"]);
    let outcome = outcome.exits(6);
    ends(&outcome, "not-verified");
    let next = outcome.report().0["fix"][0]["next"][0].as_str().expect("a next step").to_owned();
    assert!(next.starts_with("do not restart again"), "{next}");
    in_good_order(&api, 1);
    assert_eq!(events(&api)[0]["type"], "Warning");
}

#[test]
fn a_kubelet_that_is_silent_at_first_after_the_restart_is_asked_again() {
    let mut world = stale();
    // Nobody asks the new agent while it is waited for: the verification is the first to do so.
    world.writes.ready_after = Duration::ZERO;
    let api = ApiServer::start(world);
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

/// prusik is stale, and all of it is well after the restart, the dump included, which holds these lines besides.
fn stale_until_the_restart(lines: &[String]) -> World {
    let mut world = stale();
    let fine = Scene::new(&[("prusik", Health::Fine), ("vienna", Health::Fine), ("brno", Health::Fine)]).world();
    let dump = dump(&fine, lines);
    world.writes.cure = fine.execs;
    let argv = crate::support::world::Argv::Prefix(CT_LIST.map(str::to_owned).to_vec());
    world.writes.cure.push(ExecRule {
        pods: Pods::agent("prusik"),
        argv,
        reply: ExecReply::prints(dump.as_str()),
        later: None,
    });
    // So that what was sent some seconds ago was sent after the new agent's start.
    world.writes.ready_after = Duration::from_secs(9);
    world
}

const CT_LIST: [&str; 5] = ["cilium-dbg", "bpf", "ct", "list", "global"];

/// prusik's dump with further lines.
fn dump(world: &World, lines: &[String]) -> String {
    let agent = json!({"metadata": {"labels": {"k8s-app": "cilium"}}, "spec": {"nodeName": "prusik"}});
    let bytes = world.reply(&agent, &CT_LIST.map(str::to_owned)).stdout.pieces(1 << 20).flatten().collect();
    let text = String::from_utf8(bytes).expect("text");
    format!("{}\n{}\n", text.trim_end_matches('\n'), lines.join("\n"))
}

/// A probe that failed, as the kubelet tells it.
fn unhealthy(pod: &str, message: &str, count: u32) -> Value {
    let at = clock::now().to_string();
    json!({"metadata": {"name": format!("{pod}.{message}"), "namespace": "apps"}, "reason": "Unhealthy",
           "involvedObject": {"kind": "Pod", "namespace": "apps", "name": pod, "fieldPath": "spec.containers{main}"},
           "message": message, "type": "Warning", "count": count, "firstTimestamp": at, "lastTimestamp": at,
           "source": {"component": "kubelet"}})
}

const TIMEOUT: &str = "Readiness probe failed: Get \"http://10.42.1.10:8080/\": context deadline exceeded";
const SAYS_NO: &str = "Readiness probe failed: HTTP probe failed with statuscode: 503";

#[test]
fn what_breaks_while_watching_is_not_verified() {
    type Change = fn(&mut World);
    let cases: [(&str, Change, &str); 8] = [
        (
            "a flow to node-local DNS",
            dead_flow,
            "1 new unanswered flow: apps/web-1: 10.42.1.10:55555 -> 169.254.25.10:53 (pods to node-local DNS)",
        ),
        (
            "the only flow of its pod on that way",
            |w| {
                let line = unanswered("UDP OUT 10.42.1.13:5000 -> 203.0.113.9:514", 7);
                let dump = dump(w, &[line]);
                w.on_exec(Pods::agent("prusik"), &CT_LIST, ExecReply::prints(dump.as_str()));
            },
            "apps/app-1-3: 10.42.1.13:5000 -> 203.0.113.9:514 (pods to the world by UDP)",
        ),
        ("the whole node", |w| w.execs = stale().execs, "new unanswered flows: "),
        (
            "a probe without answer",
            |w| w.events.push(unhealthy("web-1", TIMEOUT, 1)),
            "1 new failed probe: readiness probe of apps/web-1 failed: Get",
        ),
        (
            "a probe of a pod that was ready",
            |w| w.events.push(unhealthy("web-1", SAYS_NO, 3)),
            "1 new failed probe: readiness probe of apps/web-1 failed 3 times: HTTP probe",
        ),
        (
            "the agent's container",
            |w| {
                let agent = w.pod_mut("kube-system/cilium-q87g1");
                agent["status"]["containerStatuses"][0]["restartCount"] = 1.into();
            },
            "container cilium-agent of cilium-q87g1 restarted",
        ),
        (
            "the agent's pod",
            |w| w.pod_mut("kube-system/cilium-q87g1")["metadata"]["uid"] = "another".into(),
            "the agent cilium-q87g1 is gone",
        ),
        (
            "the right to look",
            |w| _ = w.fault(Fault::new("/api/v1/events", FaultKind::Forbidden("alice".into()))),
            "could not watch: events is forbidden",
        ),
    ];
    at_once(cases, |(name, change, says)| {
        let api = ApiServer::start(stale_until_the_restart(&[]));
        let kubeconfig = api.kubeconfig();
        let running = fix(&kubeconfig, &["--yes", "--watch", "20s"]).start();
        running.wait_until_it_says(PATIENCE, "watching for 20s");
        // The first look is what later ones are compared with; its last call asks for the failed probes.
        api.wait_until(PATIENCE, |log| asked_probes(log) >= 1);
        std::thread::sleep(Duration::from_millis(500));
        api.change(change);
        let outcome = running.wait().exits(6);
        ends(&outcome, "not-verified");
        let report = outcome.report().0;
        let told = report["fix"][0]["says"].as_str().expect("words");
        assert!(told.contains("while watching: ") && told.contains(says), "{name}: {told}");
        assert!(report["fix"][0]["after"]["watched"]["seconds"].as_u64().is_some_and(|s| s <= 30), "{name}");
        in_good_order(&api, 1);
    });
}

/// One flow more without an answer, to node-local DNS.
fn dead_flow(world: &mut World) {
    let line = unanswered("UDP OUT 10.42.1.10:55555 -> 169.254.25.10:53", 7);
    let dump = dump(world, &[line]);
    world.on_exec(Pods::agent("prusik"), &CT_LIST, ExecReply::prints(dump.as_str()));
}

/// Who compared nothing, or could not look again at what looked wrong at the last look, did not see that it lasts.
#[test]
fn a_watch_that_could_not_compare_is_not_verified() {
    let away = || Fault::new("/api/v1/events", FaultKind::Forbidden("alice".into()));
    let cases = [("the first look", "only one observation succeeded"), ("the look again", "events is forbidden")];
    at_once(cases, |(name, says)| {
        let api = ApiServer::start(stale_until_the_restart(&[]));
        let kubeconfig = api.kubeconfig();
        let running = fix(&kubeconfig, &["--yes", "--watch", "5s"]).start();
        if name == "the first look" {
            api.wait_until(PATIENCE, |log| has(log, "DELETE", 1));
            api.change(|world| _ = world.fault(away()));
        }
        running.wait_until_it_says(PATIENCE, "watching for 5s");
        // The first look, and after 2 s what it could not see; the last look comes after 5 s.
        std::thread::sleep(Duration::from_millis(3500));
        if name == "the first look" {
            api.change(|world| world.faults.clear());
        } else {
            api.change(dead_flow);
            let before = asked_probes(&api.requests());
            api.wait_until(PATIENCE, |log| asked_probes(log) > before);
            // It is answered; the next question is that of the look again.
            std::thread::sleep(Duration::from_millis(500));
            api.change(|world| _ = world.fault(away()));
        }
        let outcome = running.wait().exits(6);
        ends(&outcome, "not-verified");
        let fix = &outcome.report().0["fix"][0];
        let told = fix["says"].as_str().expect("words");
        assert!(told.contains(&format!("could not watch: {says}")), "{name}: {told}");
        let next = fix["next"][0].as_str().expect("what is next");
        assert!(next.starts_with("staledp diagnose --context=grigri --node prusik: "), "{name}: {next}");
        in_good_order(&api, 1);
    });
}

/// The question of the watch for failed probes.
fn is_probes(request: &Logged) -> bool {
    request.path == "/api/v1/events" && request.query.contains("reason%3DUnhealthy")
}

/// How often that was asked since the restart.
fn asked_probes(log: &[Logged]) -> usize {
    log.iter().rev().take_while(|request| request.method != "DELETE").filter(|request| is_probes(request)).count()
}

/// What was there before, and what is a pod's or a far end's own affair, is no news; and looking costs little.
#[test]
fn a_quiet_watch_passes_and_asks_little() {
    let lines = [
        unanswered("UDP OUT 10.42.1.12:55555 -> 169.254.25.10:53", 7),
        // Its pod gets answers from others out there.
        unanswered("TCP OUT 10.42.1.11:46001 -> 203.0.113.9:443", 7),
    ];
    let mut world = stale_until_the_restart(&lines);
    world.events.push(unhealthy("app-1-3", SAYS_NO, 5));
    world.pod_mut("apps/app-1-4")["status"]["conditions"][0]["status"] = "False".into();
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let running = fix(&kubeconfig, &["--yes", "--watch", "15s"]).start();
    running.wait_until_it_says(PATIENCE, "watching for 15s");
    let asked = |log: &[Logged]| log.iter().filter(|request| is_probes(request)).count();
    let before = asked(&api.requests());
    api.wait_until(PATIENCE, |log| asked(log) > before);
    // The first look is over: nothing more is asked for a moment.
    let mut begin = 0;
    while begin != api.requests().len() {
        begin = api.requests().len();
        std::thread::sleep(Duration::from_millis(500));
    }
    api.change(|world| {
        let more = unanswered("TCP OUT 10.42.1.11:46002 -> 203.0.113.9:443", 7);
        let dump = dump(world, &[more]);
        world.on_exec(Pods::agent("prusik"), &CT_LIST, ExecReply::prints(dump.as_str()));
        world.events.retain(|event| event["reason"] != "Unhealthy");
        world.events.push(unhealthy("app-1-3", SAYS_NO, 9));
        world.events.push(unhealthy("app-1-4", SAYS_NO, 1));
        world.events.push(unhealthy("web-2", TIMEOUT, 4));
    });
    running.wait_until_it_says(PATIENCE, "nothing new in 4 observations");
    let calls = api.requests().len() - begin;
    let outcome = running.wait().exits(0);
    ends(&outcome, "verified");
    let watched = &outcome.report().0["fix"][0]["after"]["watched"];
    assert_eq!((&watched["looks"], &watched["flows"], &watched["blind"]), (&json!(4), &json!([]), &Value::Null));
    // Three looks more: pods, dump, events; and what asks again where a tool is missing.
    assert!(calls <= 3 * 4, "{calls} calls");
    in_good_order(&api, 1);
}

#[test]
fn one_of_two_concurrent_runs_wins() {
    let api = ApiServer::start(stale());
    let kubeconfig = api.kubeconfig();
    let one = fix(&kubeconfig, &["--yes"]).start();
    let other = fix(&kubeconfig, &["--yes"]).start();
    let mut codes = [one.wait().code, other.wait().code];
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(7)]);
    in_good_order(&api, 1);
}

/// In containers that share the name of their machine, two runs may have one name: the process tells whose the lock is.
#[test]
fn lock_of_a_process_with_the_same_name_is_left_alone() {
    let mut world = stale();
    world.fault(Fault::new(LEASE, FaultKind::Delay(Duration::from_secs(3))).on("PUT").times(1));
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let running = fix(&kubeconfig, &["--yes"]).start();
    api.wait_until(PATIENCE, |log| has(log, "PUT", 1));
    let put = api.requests().into_iter().find(|request| request.method == "PUT").expect("the request for the lock");
    let wanted: Value = serde_json::from_slice(&put.body).expect("a Lease");
    let mut namesake = held(wanted["spec"]["holderIdentity"].as_str().expect("a holder"), "brno", Duration::ZERO);
    namesake["metadata"]["annotations"]["staledp/process"] = "another-boot/pid:[1]/1/1".into();
    api.change(|world| world.writes.leases.push(namesake.clone()));
    let outcome = running.wait().exits(7);
    ends(&outcome, "refused");
    let fix = &outcome.report().0["fix"][0];
    assert!(fix["says"].as_str().is_some_and(|says| says.starts_with("a repair is under way: ")), "{fix:#}");
    assert_eq!(fix["released"], Value::Null, "what was not taken can't be released");
    assert_eq!(lease(&api), Some(namesake));
    in_good_order_but_for_the_lock(&api, 0);
}

#[test]
fn run_killed_before_the_delete_is_started_over() {
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
    assert!(outcome.stderr.contains("starting over"), "{}", outcome.stderr);
    // One of each run; the first was never done.
    in_good_order(&api, 2);
    assert_eq!(events(&api).len(), 1);
}

#[test]
fn run_killed_after_the_delete_is_resumed_without_another_restart() {
    let api = ApiServer::start(stale());
    let kubeconfig = api.kubeconfig();
    let first = fix(&kubeconfig, &["--yes"]).start();
    let after = |log: &[Logged]| log.iter().rev().take_while(|request| request.method != "DELETE").count();
    api.wait_until(PATIENCE, |log| log.iter().any(|request| request.method == "DELETE") && after(log) > 0);
    first.kill();
    first.wait();
    let outcome = fix(&kubeconfig, &["--yes"]).run().exits(0);
    assert!(outcome.stderr.contains("without another restart"), "{}", outcome.stderr);
    let fix = &outcome.report().0["fix"][0];
    assert_eq!((&fix["resumed"], &fix["changes"]), (&json!(true), &json!([])));
    assert_eq!(fix["before"]["node"], "prusik");
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

/// It restarted an agent that is long gone, and whose successor is stale again.
#[test]
fn run_interrupted_long_ago_is_not_resumed() {
    let mut world = stale();
    let mut lease = held("bob@desk/7", "prusik", Duration::from_secs(3 * 86_400));
    lease["metadata"]["annotations"]["staledp/pod-uid"] = "uid-of-then".into();
    world.writes.leases.push(lease);
    let (api, outcome) = run(world, &["--yes"]);
    let outcome = outcome.exits(0);
    assert!(outcome.stderr.contains("too long ago to resume: starting over"), "{}", outcome.stderr);
    assert_eq!(outcome.report().0["fix"][0]["resumed"], false);
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
fn second_interruption_ends_at_once() {
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

/// When a run is interrupted.
enum When {
    /// As soon as these requests were made.
    Asked(fn(&[Logged]) -> bool),
    /// As soon as it has said this.
    Said(&'static str),
}

fn has(log: &[Logged], method: &str, times: usize) -> bool {
    log.iter().filter(|request| request.method == method && !request.path.ends_with("reviews")).count() >= times
}

/// Step 5 has a test of its own: it takes a terminal.
#[test]
fn interruption_at_any_step_leaves_good_order() {
    let by = |seconds, path: &str, method| Fault::new(path, FaultKind::Delay(Duration::from_secs(seconds))).on(method);
    let late = |path: &str, method| by(2, path, method);
    // What follows is quick, and a busy machine may take its time to see the words and to interrupt.
    let very_late = |path: &str, method| by(6, path, method);
    let before = "interrupted before the restart: nothing was changed";
    let after = "interrupted after cilium-swmbt was restarted";
    let last = "(interrupted during the cleanup)";
    let steps: [(&str, When, Option<Fault>, usize, &str); 12] = [
        ("1 diagnose", When::Asked(|log| log.iter().any(|r| r.exec.is_some())), None, 0, before),
        // What comes next takes its time, so that it is this step, and no later one, that is interrupted.
        (
            "2 preflight",
            When::Asked(|log| log.iter().any(|r| r.path.ends_with("reviews"))),
            Some(late(LEASE, "GET")),
            0,
            before,
        ),
        ("3 evidence", When::Said("[3/9]"), Some(late(LEASE, "GET")), 0, before),
        ("4 lock", When::Asked(|log| has(log, "PUT", 1)), Some(late(LEASE, "PUT")), 0, before),
        ("5 consent", When::Asked(|log| has(log, "PUT", 2)), Some(late(LEASE, "PUT")), 0, before),
        (
            "6 delete",
            When::Asked(|log| has(log, "DELETE", 1)),
            Some(late(POD, "DELETE")),
            1,
            "which was still untouched when looked up",
        ),
        (
            "6 delete, carried out",
            When::Asked(|log| has(log, "DELETE", 1)),
            Some(Fault::new(POD, FaultKind::DoneThenSilence).on("DELETE")),
            1,
            after,
        ),
        ("7 wait", When::Said("[7/9]"), None, 1, after),
        ("8 verify", When::Said("[8/9]"), Some(very_late("/api/v1/nodes", "GET")), 1, after),
        ("8 watch", When::Said("watching for 1m"), None, 1, "interrupted while watching"),
        ("9 lock", When::Asked(|log| has(log, "DELETE", 1) && has(log, "PUT", 3)), Some(late(LEASE, "PUT")), 1, last),
        ("9 trace", When::Asked(|log| has(log, "POST", 1)), Some(late(EVENTS, "POST")), 1, last),
    ];
    at_once(steps, |(name, when, fault, deleted, says)| {
        let mut world = stale();
        world.faults.extend(fault);
        let api = ApiServer::start(world);
        let kubeconfig = api.kubeconfig();
        let folder = tempfile::tempdir().expect("a folder");
        let bundle = folder.path().join("kept").display().to_string();
        let watch: &[&str] = if says == last { &[] } else { &["--watch", "60s"] };
        let args = [&["--yes", "--save", &bundle], watch].concat();
        let running = fix(&kubeconfig, &args).start();
        match when {
            When::Asked(reached) => api.wait_until(PATIENCE, reached),
            When::Said(words) => running.wait_until_it_says(PATIENCE, words),
        }
        running.interrupt();
        let outcome = running.wait();
        eprintln!("{name}");
        let outcome = outcome.exits(130);
        ends(&outcome, if says == last { "verified" } else { "interrupted" });
        let report = outcome.report().0;
        let told = report["fix"][0]["says"].as_str().expect("a last line");
        assert!(told.contains(says), "{name}: {told}");
        // What was asked for when it was interrupted is done after all.
        std::thread::sleep(Duration::from_secs(2));
        in_good_order(&api, deleted);
        assert_eq!(events(&api).len(), deleted, "{name}");
        if report["fix"][0]["evidence"].is_string() {
            let again = staledp(["diagnose", "--from", &bundle, "-o", "json"]).run().exits(1).report();
            assert_eq!(again.code("prusik"), "stale-datapath", "{name}");
        } else {
            assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0, "{name}");
        }
        assert_eq!(report["fix"][0]["evidence"].is_string(), !name.starts_with(['1', '2']), "{name}");
    });
}

#[test]
fn lock_that_cannot_be_released_is_reported_with_its_expiry() {
    let mut world = stale();
    world.fault(Fault::new(POD, FaultKind::Delay(Duration::from_secs(1))).on("DELETE"));
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let running = fix(&kubeconfig, &["--yes"]).start();
    api.wait_until(PATIENCE, |log| has(log, "DELETE", 1));
    api.change(|world| {
        world.fault(Fault::new(LEASE, FaultKind::Forbidden("alice".into())).on("PUT"));
    });
    let outcome = running.wait().exits(0);
    assert_eq!(outcome.report().0["fix"][0]["released"], false);
    assert!(unfolded(&outcome.stderr).contains("it expires after 15 minutes"), "{}", outcome.stderr);
    in_good_order_but_for_the_lock(&api, 1);
}

#[test]
fn lock_is_held_although_its_answers_get_lost() {
    let mut world = stale();
    world.fault(Fault::new(LEASE, FaultKind::DoneThenHangUp).on("PUT").times(1));
    let (api, outcome) = run(world, &["--yes"]);
    ends(&outcome.exits(0), "verified");
    in_good_order(&api, 1);
    // The renewal before the DELETE, too.
    let api = ApiServer::start(stale());
    let lost = |api: &ApiServer| {
        api.change(|world| {
            world.fault(Fault::new(LEASE, FaultKind::DoneThenHangUp).on("PUT").times(1));
        });
    };
    let Some((ended, said)) = on_a_terminal(&api, "", lost, "y\n") else { return };
    assert_eq!(ended, 0, "{said}");
    in_good_order(&api, 1);
}

/// The rights that `staledp rbac` prints, as an authorizer has them.
pub(crate) fn granted(command: &str) -> Vec<Allowed> {
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
    at_once(granted("fix").into_iter().enumerate(), |(index, right)| {
        let mut rights = granted("fix");
        rights.remove(index);
        let mut world = stale();
        world.writes.rights = Some(rights);
        let (api, outcome) = run(world, &["--dry-run"]);
        assert!(matches!(outcome.code, Some(5 | 7)), "{right:?} {:?}", outcome.code);
        assert!(!api.requests().iter().any(is_write), "{right:?}");
    });
}

/// Runs it on a terminal of its own, with a further flag, and types an answer when the question has been there for a
/// while.
fn on_a_terminal(api: &ApiServer, flag: &str, meanwhile: impl Fn(&ApiServer), typed: &str) -> Option<(i32, String)> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    let kubeconfig = api.kubeconfig();
    let home = tempfile::tempdir().expect("a folder");
    let program = env!("CARGO_BIN_EXE_staledp");
    let command =
        format!("{program} fix --kubeconfig {} --no-ssh --node prusik --no-progress {flag}", kubeconfig.path());
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
    meanwhile(api);
    let mut stdin = child.stdin.take().expect("stdin");
    stdin.write_all(typed.as_bytes()).expect("it is typed");
    let output = child.wait_with_output().expect("it ends");
    drop(stdin);
    Some((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[test]
fn question_defaults_to_no() {
    // Who wants to hear nothing else hears what is asked; the last is Ctrl-C.
    let cases = [("", "\n", 7, 0), ("", "n\n", 7, 0), ("", "y\n", 0, 1), ("-q", "n\n", 7, 0), ("", "\u{3}", 130, 0)];
    at_once(cases, |(flag, typed, code, deleted)| {
        let api = ApiServer::start(stale());
        let Some((ended, said)) = on_a_terminal(&api, flag, |_| {}, typed) else { return };
        assert_eq!(ended, code, "{typed:?}\n{said}");
        assert_eq!(said.contains("interrupted before the restart: nothing was changed"), code == 130, "{said}");
        assert_eq!(events(&api).len(), deleted, "{typed:?}");
        for word in
            ["context  grigri", "node     prusik", "cilium-swmbt", "kubectl --context=grigri delete pod", "[y/N]"]
        {
            assert!(said.contains(word), "{word}\n{said}");
        }
        in_good_order(&api, deleted);
    });
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
fn help_of_fix_promises_what_it_does_and_fits_a_screen() {
    let help = staledp(["fix", "--help"]).run().exits(0).stdout;
    for word in ["At most one DELETE", "Ctrl-C", "never restarts all nodes", "   9. Clean up"] {
        assert!(help.contains(word), "{word}\n{help}");
    }
    for code in ["0", "2", "5", "6", "7", "130"] {
        assert!(help.lines().any(|line| line.starts_with(&format!("  {code}  "))), "{code}\n{help}");
    }
    let (promise, steps) = (help.split("Usage:").next(), help.split("Steps, each shown").nth(1));
    for line in promise.into_iter().chain(steps).flat_map(str::lines) {
        assert!(line.chars().count() < 80, "{line:?}");
    }
}

#[test]
fn several_nodes_are_repaired_one_after_the_other() {
    let mut world = stale();
    let fine = || Scene::new(&[("prusik", Health::Fine), ("vienna", Health::Fine), ("brno", Health::Fine)]).world();
    let brno = Scene::new(&[("prusik", Health::Stale), ("vienna", Health::Fine), ("brno", Health::Stale)]).world();
    let name_lookup = world.execs.pop();
    world.execs = brno.execs;
    world.execs.extend(name_lookup);
    let of_brno =
        |rule: &ExecRule| format!("{:?}", rule.pods).contains("brno") || format!("{:?}", rule.pods).contains("-3");
    world.writes.cure = fine().execs.into_iter().filter(|rule| !of_brno(rule)).collect();
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let running = fix(&kubeconfig, &["--node", "brno", "--yes", "--nodes-at-risk-ok"]).start();
    running.wait_until_it_says(PATIENCE, "prusik: cilium-q87g1 runs, and ");
    api.change(|world| world.writes.cure = fine().execs);
    let outcome = running.wait().exits(0);
    let report = outcome.report().0;
    for (at, node, pod) in [(0, "prusik", "cilium-swmbt"), (1, "brno", "cilium-brno")] {
        let fix = &report["fix"][at];
        assert_eq!((&fix["node"], &fix["outcome"], &fix["released"]), (&json!(node), &json!("verified"), &json!(true)));
        assert!(fix["request"]["path"].as_str().is_some_and(|path| path.ends_with(pod)), "{fix:#}");
    }
    assert_eq!((deletes(&api).len(), events(&api).len()), (2, 2));
    // The second was begun when the first was over.
    let writes: Vec<_> = api.requests().into_iter().filter(is_write).map(|request| request.method).collect();
    let one = ["PUT", "PUT", "DELETE", "PUT", "POST"];
    assert_eq!(writes, [one, one].concat());
}

#[test]
fn several_nodes_stop_at_the_first_that_is_not_verified() {
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
