//! The test server speaks as the captured API servers did: each test here is a page of the captures.

use std::io;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::api::ApiServer;
use crate::support::client::{self, Client, exec, exec_with, get};
use crate::support::scenes::{Health, Scene, answered_lookup};
use crate::support::world::{
    AgentTool, Containerd, End, ExecReply, Fault, FaultKind, Kubelet, Output, Pods, Protocols, World,
};

const V5: &str = "v5.channel.k8s.io";
const V4: &str = "v4.channel.k8s.io";
const BOTH: &str = "v5.channel.k8s.io, v4.channel.k8s.io";
/// Short, for streams that never speak again.
const A_MOMENT: Duration = Duration::from_millis(300);

fn pod(name: &str, containers: &[&str]) -> Value {
    let containers: Vec<Value> = containers.iter().map(|name| json!({"name": name, "image": "img"})).collect();
    json!({"kind": "Pod", "apiVersion": "v1",
           "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
           "spec": {"nodeName": "prusik", "containers": containers}, "status": {"phase": "Running"}})
}

/// The lab of the captures: a pod that says "out" and "err" and exits with 7, and its odd neighbours.
fn lab() -> World {
    let mut world =
        World { pods: vec![pod("workload", &["main"]), pod("two-containers", &["a", "b"])], ..World::default() };
    let words = ["sh", "-c", "echo out; echo err >&2; exit 7"];
    world.on_exec(Pods::Any, &words, ExecReply::ends("out\n", End::Exit(7)).stderr("err\n"));
    world.on_exec(Pods::Any, &["true"], ExecReply::prints(""));
    world
}

const WORDS: &str = "/api/v1/namespaces/default/pods/workload/exec?command=sh&command=-c\
                     &command=echo+out%3B+echo+err+%3E%262%3B+exit+7&stdout=true&stderr=true";

fn target(pod: &str, argv: &[&str]) -> String {
    client::exec_target("default", pod, argv)
}

#[test]
fn exec_speaks_v5_as_captured() {
    let api = ApiServer::start(lab());
    for offer in [V5, BOTH, "v4.channel.k8s.io, v5.channel.k8s.io"] {
        let seen = exec(api.address(), WORDS, offer);
        assert_eq!(seen.handshake.status, 101);
        assert_eq!(seen.handshake.header("sec-websocket-protocol"), Some(V5));
        assert_eq!(seen.handshake.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        let status = r#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: command terminated with exit code 7","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#;
        let expected: Vec<(u8, Vec<u8>)> =
            [(1, ""), (2, "err\n"), (1, "out\n"), (3, status)].map(|(c, d)| (c, d.into())).to_vec();
        assert_eq!(seen.frames, expected);
        assert_eq!((seen.close, seen.error), (Some(1000), None));
    }
}

#[test]
fn exec_speaks_v4_as_captured() {
    let api = ApiServer::start(lab());
    let seen = exec(api.address(), WORDS, V4);
    assert_eq!(seen.handshake.header("sec-websocket-protocol"), Some(V4));
    assert_eq!(
        seen.status(),
        r#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: error executing command [sh -c echo out; echo err \u003e\u00262; exit 7], exit code 7","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#
    );
    assert_eq!(seen.close, Some(1000));
}

#[test]
fn exec_of_a_command_that_succeeds_says_success() {
    let api = ApiServer::start(lab());
    for offer in [V5, V4] {
        let seen = exec(api.address(), &target("workload", &["true"]), offer);
        assert_eq!(seen.frames, [(1, vec![]), (3, br#"{"metadata":{},"status":"Success"}"#.to_vec())]);
    }
    api.change(|world| world.containerd = Containerd::V2);
    assert_eq!(exec(api.address(), &target("workload", &["true"]), V4).status(), r#"{"status":"Success"}"#);
}

#[test]
fn exec_of_an_old_stack_refuses_v5_alone_with_an_empty_403() {
    let api = ApiServer::start(World { protocols: Protocols::V4Only, ..lab() });
    let refused = exec(api.address(), WORDS, V5).handshake;
    assert_eq!((refused.status, refused.body.len(), refused.header("content-type")), (403, 0, None));
    assert_eq!(refused.header("connection"), Some("close"));
    assert_eq!(exec(api.address(), WORDS, BOTH).handshake.header("sec-websocket-protocol"), Some(V4));
}

#[test]
fn exec_without_a_protocol_tells_its_status_in_plain_text() {
    let api = ApiServer::start(lab());
    let seen = exec(api.address(), WORDS, "");
    assert_eq!(seen.handshake.header("sec-websocket-protocol"), None);
    assert_eq!(
        seen.status(),
        "command terminated with non-zero exit code: error executing command [sh -c echo out; echo err >&2; exit 7], \
         exit code 7"
    );
}

#[test]
fn exec_of_a_missing_binary_is_an_internal_error_without_exit_code() {
    let api = ApiServer::start(lab());
    let id = "1704b1f6b36e2bf343e0a6e12bb369ff218a1cc1b298d7aa2e6ab588be530a28";
    let inner = format!(
        r#"error executing command in container: failed to exec in container: failed to start exec \"{id}\": OCI runtime exec failed: exec failed: unable to start container process: exec: \"nosuch\": executable file not found in $PATH"#
    );
    let whole = |inner: &str, prefix: &str| {
        let (once, cause) = (format!("Internal error occurred: {inner}"), inner);
        let (message, cause) =
            if prefix.is_empty() { (once, cause.to_owned()) } else { (format!("{prefix}{once}"), once) };
        format!(
            r#"{{"metadata":{{}},"status":"Failure","message":"{message}","reason":"InternalError","details":{{"causes":[{{"message":"{cause}"}}]}},"code":500}}"#
        )
    };
    let asked = target("workload", &["nosuch"]);
    let unknown = format!("{inner}: unknown");
    assert_eq!(exec(api.address(), &asked, V5).status(), whole(&unknown, "Internal error occurred: "));
    assert_eq!(exec(api.address(), &asked, V4).status(), whole(&unknown, ""));
    let absolute = exec(api.address(), &target("workload", &["/no/such"]), V5).status();
    assert!(
        absolute.contains(r#"exec: \"/no/such\": stat /no/such: no such file or directory: unknown""#),
        "{absolute}"
    );
    let nothing = exec(api.address(), &target("workload", &[]), V5).status();
    assert!(nothing.contains("exec failed: args must not be empty: unknown"), "{nothing}");

    api.change(|world| world.containerd = Containerd::V2);
    assert_eq!(exec(api.address(), &asked, V5).status(), whole(&inner, "Internal error occurred: "));
    assert_eq!(
        exec(api.address(), &asked, V4).status(),
        format!(
            r#"{{"status":"Failure","message":"Internal error occurred: {inner}","reason":"InternalError","code":500}}"#
        )
    );
}

#[test]
fn exec_into_what_does_not_run_is_refused_in_the_handshake() {
    let mut world = lab();
    world.pods.extend([pod("done", &["main"]), pod("unsched", &["main"])]);
    world.pod_mut("default/done")["status"]["containerStatuses"] =
        json!([{"name": "main", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]);
    world.pod_mut("default/unsched")["spec"]["nodeName"] = Value::Null;
    let api = ApiServer::start(world);
    let refused = |asked: &str| exec(api.address(), asked, V5).handshake;

    let done = refused(&target("done", &["true"]));
    assert_eq!((done.status, done.text()), (500, "container not found (\"main\")".to_owned()));
    assert_eq!(done.header("content-type"), Some("text/plain; charset=utf-8"));

    let status = |status: u16, body: &str, asked: &str| {
        let reply = refused(asked);
        assert_eq!((reply.status, reply.text()), (status, format!("{body}\n")));
        assert_eq!(reply.header("content-type"), Some("application/json"));
    };
    status(
        400,
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pod unsched does not have a host assigned","reason":"BadRequest","code":400}"#,
        &target("unsched", &["true"]),
    );
    status(
        404,
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods \"nopod\" not found","reason":"NotFound","details":{"name":"nopod","kind":"pods"},"code":404}"#,
        &target("nopod", &["true"]),
    );
    status(
        400,
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"a container name must be specified for pod two-containers, choose one of: [a b]","reason":"BadRequest","code":400}"#,
        &target("two-containers", &["true"]),
    );
    status(
        400,
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"container zzz is not valid for pod two-containers","reason":"BadRequest","code":400}"#,
        &format!("{}&container=zzz", target("two-containers", &["true"])),
    );
    let no_streams = refused("/api/v1/namespaces/default/pods/workload/exec?command=true");
    assert_eq!(
        (no_streams.status, no_streams.text().as_str()),
        (400, "you must specify at least 1 of stdin, stdout, stderr")
    );
    let no_upgrade = get(api.address(), WORDS);
    assert_eq!((no_upgrade.status, &no_upgrade.json()["message"]), (400, &json!("Upgrade request required")));
}

#[test]
fn exec_without_the_right_is_refused_in_the_words_of_rbac() {
    let mut world = lab();
    world.fault(Fault::no_exec());
    let api = ApiServer::start(world);
    let refused = exec(api.address(), &target("workload", &["true"]), BOTH).handshake;
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.text(),
        concat!(
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods \"workload\" is forbidden: "#,
            r#"User \"viewer\" cannot get resource \"pods/exec\" in API group \"\" in the namespace \"default\"","reason":"Forbidden","#,
            r#""details":{"name":"workload","kind":"pods"},"code":403}"#,
            "\n"
        )
    );
    api.change(|world| world.faults = vec![Fault::new("*/exec", FaultKind::ForbiddenWithoutWords)]);
    let refused = exec(api.address(), &target("workload", &["true"]), BOTH).handshake;
    assert_eq!(refused.json()["message"], "pods \"workload\" is forbidden: ");
    assert!(api.writes().is_empty());
}

#[test]
fn a_dead_kubelet_is_told_at_once_and_a_frozen_one_never() {
    let mut world = lab();
    world.kubelet("prusik", Kubelet::Dead);
    let api = ApiServer::start(world);
    let refused = exec(api.address(), &target("workload", &["true"]), V5).handshake;
    assert_eq!(refused.status, 500);
    assert_eq!(
        refused.text(),
        "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"error dialing \
         backend: dial tcp 10.77.0.13:10250: connect: connection refused\",\"code\":500}\n"
    );
    let log = "/api/v1/namespaces/default/pods/workload/log";
    assert_eq!(get(api.address(), log).status, 500, "logs come from the kubelet too");
    api.change(|world| _ = world.kubelet("prusik", Kubelet::Frozen));
    assert!(Client::connect(api.address()).patience(A_MOMENT).send("GET", log, &[]).is_err());
    let silent = exec_with(api.address(), &target("workload", &["true"]), V5, A_MOMENT, |_, _| ());
    assert_eq!(silent.expect_err("no answer").kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_stream_breaks_off_in_every_way() {
    let text = "a line\n".repeat(10_000);
    let api = ApiServer::start(lab());
    let broken = |end: End| {
        let end_kind = end.clone();
        api.change(|world| _ = world.on_exec(Pods::Any, &["dump"], ExecReply::ends(text.as_str(), end)));
        let mut bytes = 0;
        let patience = if matches!(end_kind, End::Silence) { Duration::from_secs(2) } else { Duration::from_secs(20) };
        let seen = exec_with(api.address(), &target("workload", &["dump"]), V5, patience, |channel, data| {
            assert_ne!(channel, 3, "no status");
            bytes += data.len();
        });
        let seen = seen.expect("the handshake is answered");
        (bytes, seen.close, seen.error.unwrap_or_default())
    };
    assert_eq!(broken(End::CloseWithoutStatus), (text.len(), Some(1000), String::new()));
    for end in [End::Drop, End::MidFrame] {
        let (bytes, close, error) = broken(end);
        assert_eq!((bytes, close), (text.len(), None));
        assert!(error.contains("without closing handshake"), "{error}");
    }
    let (bytes, close, error) = broken(End::Reset);
    assert!(bytes <= text.len() && close.is_none() && !error.is_empty());
    let (bytes, close, error) = broken(End::Silence);
    assert_eq!((bytes, close), (text.len(), None));
    assert!(error.contains("temporarily unavailable") || error.contains("WouldBlock"), "{error}");
    let never = {
        api.change(|world| _ = world.on_exec(Pods::Any, &["true"], ExecReply::ends("", End::NoHandshake)));
        exec_with(api.address(), &target("workload", &["true"]), V5, A_MOMENT, |_, _| ())
    };
    assert!(never.is_err());
}

#[test]
fn frames_carry_at_most_32_kib_however_much_there_is() {
    let mut world = lab();
    let lines = 100_000;
    world.on_exec(
        Pods::Any,
        &["dump"],
        ExecReply::prints(Output::lines(lines, answered_lookup)).stderr(vec![b'!'; 70_000]),
    );
    let api = ApiServer::start(world);
    let (mut longest, mut out, mut err, mut newlines) = (0, 0_u64, 0, 0);
    let seen =
        exec_with(api.address(), &target("workload", &["dump"]), V5, Duration::from_secs(20), |channel, data| {
            longest = longest.max(data.len());
            match channel {
                1 => {
                    out += data.len() as u64;
                    newlines += data.split(|&byte| byte == b'\n').count() - 1;
                }
                2 => err += data.len(),
                _ => {}
            }
        });
    assert_eq!(seen.expect("a handshake").close, Some(1000));
    assert_eq!((longest, err, newlines), (32 << 10, 70_000, 100_000));
    assert_eq!(out, (0..lines).map(|i| answered_lookup(i).len() as u64).sum::<u64>());
}

#[test]
fn delays_are_kept() {
    let delay = Duration::from_millis(150);
    let mut world = lab();
    world.on_exec(Pods::Any, &["late"], ExecReply::prints("x").delayed(delay).handshake_delayed(delay));
    world.fault(Fault::new("/version", FaultKind::Delay(delay)).times(1));
    let api = ApiServer::start(world);
    let begin = Instant::now();
    assert_eq!(exec(api.address(), &target("workload", &["late"]), V5).channel(1), b"x");
    assert!(begin.elapsed() >= 2 * delay);
    let begin = Instant::now();
    assert_eq!(get(api.address(), "/version").json()["gitVersion"], "v1.36.2");
    assert!(begin.elapsed() >= delay);
}

#[test]
fn timeout_in_front_of_a_command_is_not_part_of_it() {
    let api = ApiServer::start(lab());
    for front in [
        &["timeout", "-k", "1", "5"][..],
        &["timeout", "-s", "KILL", "5"],
        &["timeout", "-t", "5"],
        &["timeout", "--foreground", "5"],
    ] {
        let seen = exec(api.address(), &target("workload", &[front, &["true"]].concat()), V5);
        assert_eq!(seen.status(), r#"{"metadata":{},"status":"Success"}"#, "{front:?}");
    }
    let missing = exec(api.address(), &target("workload", &["timeout", "5", "nosuch"]), V5);
    assert!(missing.status().contains(r#"{"reason":"ExitCode","message":"127"}"#), "{missing:?}");
    assert!(String::from_utf8_lossy(&missing.channel(2)).contains("failed to run command 'nosuch'"));
    api.change(|world| _ = world.on_exec(Pods::Any, &["timeout"], ExecReply::missing()));
    let missing = exec(api.address(), &target("workload", &["timeout", "5", "true"]), V5);
    assert!(missing.status().contains("InternalError"), "{missing:?}");
}

#[test]
fn an_old_agent_knows_its_tool_by_the_old_name_only() {
    let mut world = lab();
    world.on_exec(Pods::Any, &["cilium-dbg", "status"], ExecReply::prints("fine"));
    let api = ApiServer::start(world);
    let said = |tool: &str| exec(api.address(), &target("workload", &[tool, "status", "--verbose"]), V5);
    assert_eq!((said("cilium").channel(1), said("cilium-dbg").channel(1)), (b"fine".to_vec(), b"fine".to_vec()));
    let unknown = exec(api.address(), &target("workload", &["cilium-dbg", "frobnicate"]), V5);
    assert_eq!(unknown.channel(2), b"Error: unknown command \"frobnicate\" for \"cilium-dbg\"\n");
    api.change(|world| world.agent_tool = AgentTool::CiliumOnly);
    assert_eq!(said("cilium").channel(1), b"fine");
    assert!(said("cilium-dbg").status().contains("executable file not found in $PATH"));
}

fn cluster() -> World {
    Scene::new(&[("prusik", Health::Fine), ("vienna", Health::Fine)]).world()
}

fn names(reply: &client::Reply) -> Vec<String> {
    let list = reply.json();
    let items = list["items"].as_array().expect("items");
    items.iter().filter_map(|item| item["metadata"]["name"].as_str().map(str::to_owned)).collect()
}

#[test]
fn lists_name_their_kind_and_their_items_do_not() {
    let api = ApiServer::start(cluster());
    for (path, kind) in [
        ("/api/v1/nodes", "NodeList"),
        ("/api/v1/pods", "PodList"),
        ("/api/v1/namespaces/apps/pods", "PodList"),
        ("/api/v1/services", "ServiceList"),
        ("/api/v1/events", "EventList"),
        ("/apis/discovery.k8s.io/v1/endpointslices", "EndpointSliceList"),
        ("/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices", "EndpointSliceList"),
        ("/apis/apps/v1/daemonsets", "DaemonSetList"),
    ] {
        let reply = get(api.address(), path);
        let list = reply.json();
        assert_eq!((reply.status, &list["kind"]), (200, &json!(kind)), "{path}");
        assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
        for item in list["items"].as_array().expect("items") {
            assert!(item.get("kind").is_none() && item.get("apiVersion").is_none(), "{item}");
        }
    }
    let nobody = get(api.address(), "/api/v1/namespaces/nosuch/pods");
    assert_eq!((nobody.status, names(&nobody).len()), (200, 0));
    let one = get(api.address(), "/api/v1/nodes/prusik").json();
    assert_eq!((&one["kind"], &one["metadata"]["name"]), (&json!("Node"), &json!("prusik")));
    assert_eq!(get(api.address(), "/api/v1/nodes/nosuch").json()["message"], "nodes \"nosuch\" not found");
}

#[test]
fn pages_are_as_long_as_asked_for_and_say_what_is_left() {
    let api = ApiServer::start(cluster());
    let whole = names(&get(api.address(), "/api/v1/pods"));
    let mut found = Vec::new();
    let mut target = "/api/v1/pods?limit=7".to_owned();
    loop {
        let page = get(api.address(), &target);
        found.extend(names(&page));
        let metadata = page.json()["metadata"].clone();
        let Some(token) = metadata["continue"].as_str() else {
            assert!(metadata.get("remainingItemCount").is_none());
            break;
        };
        assert_eq!(metadata["remainingItemCount"], whole.len() - found.len());
        target = format!("/api/v1/pods?limit=7&continue={}", token.replace('+', "%2B").replace('=', "%3D"));
    }
    assert_eq!(found, whole);
    let with_selector = get(api.address(), "/api/v1/pods?limit=2&labelSelector=app").json();
    assert!(with_selector["metadata"]["continue"].is_string());
    assert!(with_selector["metadata"].get("remainingItemCount").is_none(), "absent where a selector is set");
    assert_eq!(names(&get(api.address(), "/api/v1/pods?limit=2&resourceVersion=0")), whole, "the limit is ignored");
    assert_eq!(names(&get(api.address(), "/api/v1/pods?limit=-1")), whole);
    for (query, message) in [
        ("limit=x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
        (
            "limit=2&continue=4577/2%2B%3D&resourceVersion=1",
            "specifying resource version is not allowed when using continue",
        ),
    ] {
        let reply = get(api.address(), &format!("/api/v1/pods?{query}"));
        assert_eq!((reply.status, &reply.json()["message"]), (400, &json!(message)));
    }
    let garbage = get(api.address(), "/api/v1/pods?limit=2&continue=garbage");
    assert!(garbage.json()["message"].as_str().is_some_and(|text| text.starts_with("invalid continue token: ")));
}

#[test]
fn an_expired_token_is_told_with_a_fresh_one() {
    let mut world = cluster();
    world.fault(Fault::new("/api/v1/pods", FaultKind::Expired).times(1));
    let api = ApiServer::start(world);
    let first = get(api.address(), "/api/v1/pods?limit=2").json()["metadata"]["continue"].clone();
    let next = format!("/api/v1/pods?limit=2&continue={}", first.as_str().expect("a token").replace('+', "%2B"));
    let expired = get(api.address(), &next);
    assert_eq!((expired.status, &expired.json()["reason"]), (410, &json!("Expired")));
    assert!(expired.json()["metadata"]["continue"].is_string());
    assert_eq!(get(api.address(), &next).status, 200);
}

#[test]
fn selectors_choose_and_wrong_ones_are_refused() {
    let api = ApiServer::start(cluster());
    let chosen = |query: &str| names(&get(api.address(), &format!("/api/v1/pods?{query}")));
    assert_eq!(chosen("labelSelector=k8s-app%3Dcilium"), ["cilium-swmbt", "cilium-vienna"]);
    assert_eq!(chosen("labelSelector=k8s-app%3D%3Dcilium&fieldSelector=spec.nodeName%3Dvienna"), ["cilium-vienna"]);
    assert_eq!(chosen("labelSelector=k8s-app%20in%20(cilium,kube-dns),!app").len(), 4);
    assert_eq!(chosen("labelSelector=k8s-app,k8s-app%20notin%20(cilium),k8s-app!%3Dkube-dns").len(), 2);
    assert_eq!(chosen("fieldSelector=spec.nodeName%3Dprusik,status.phase!%3DRunning").len(), 0);
    assert_eq!(chosen("fieldSelector=spec.hostNetwork%3Dtrue,spec.nodeName%3Dprusik").len(), 2);
    for (query, message) in [
        ("labelSelector=k8s-app%3D%3D%3Dcilium", "unable to parse requirement: found '=', expected: identifier"),
        (
            "labelSelector=k8s-app%20is%20cilium",
            "unable to parse requirement: found 'is', expected: in, notin, =, ==, !=, gt, lt",
        ),
        ("fieldSelector=metadata.uid%3Dx", "field label not supported: metadata.uid"),
        ("fieldSelector=prusik", "invalid selector: 'prusik'; can't understand 'prusik'"),
    ] {
        let reply = get(api.address(), &format!("/api/v1/pods?{query}"));
        assert_eq!((reply.status, &reply.json()["message"]), (400, &json!(message)));
    }
}

#[test]
fn lists_without_the_right_are_refused_in_the_words_of_rbac() {
    let mut world = cluster();
    world.fault(Fault::new("*", FaultKind::Forbidden("nobody".to_owned())));
    let api = ApiServer::start(world);
    for (path, message) in [
        (
            "/api/v1/pods",
            r#"pods is forbidden: User "nobody" cannot list resource "pods" in API group "" at the cluster scope"#,
        ),
        (
            "/api/v1/namespaces/kube-system/pods",
            r#"pods is forbidden: User "nobody" cannot list resource "pods" in API group "" in the namespace "kube-system""#,
        ),
        (
            "/api/v1/nodes",
            r#"nodes is forbidden: User "nobody" cannot list resource "nodes" in API group "" at the cluster scope"#,
        ),
        (
            "/api/v1/namespaces/rec/pods/lines/log",
            r#"pods "lines" is forbidden: User "nobody" cannot get resource "pods/log" in API group "" in the namespace "rec""#,
        ),
    ] {
        let reply = get(api.address(), path);
        assert_eq!((reply.status, &reply.json()["message"]), (403, &json!(message)));
    }
}

#[test]
fn requests_go_wrong_in_every_way() {
    let mut world = cluster();
    world
        .fault(Fault::too_many("/api/v1/pods", "1").times(1))
        .fault(Fault::status("/api/v1/services", 503, "ServiceUnavailable", "the server is currently unable"))
        .fault(Fault::new("/api/v1/events", FaultKind::Reset))
        .fault(Fault::new("/apis/*/endpointslices", FaultKind::HangUp))
        .fault(Fault::new("/readyz", FaultKind::Silence));
    let api = ApiServer::start(world);
    let mut kept = Client::connect(api.address());
    let throttled = kept.send("GET", "/api/v1/pods", &[]).expect("an answer");
    assert_eq!((throttled.status, throttled.header("retry-after")), (429, Some("1")));
    assert_eq!(throttled.text(), "Too many requests, please try again later.\n");
    assert_eq!(throttled.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(kept.send("GET", "/api/v1/pods", &[]).expect("the connection is kept").status, 200);
    assert_eq!(kept.send("GET", "/api/v1/services", &[]).expect("an answer").json()["reason"], "ServiceUnavailable");
    let head = kept.send("HEAD", "/api/v1/nodes", &[]).expect("an answer");
    assert_eq!((head.status, head.body.len()), (405, 0));
    assert_eq!(
        kept.send("GET", "/apis/cilium.io/v2/ciliumnodes", &[]).expect("an answer").text(),
        "404 page not found\n"
    );
    let error =
        |path: &str| Client::connect(api.address()).patience(A_MOMENT).send("GET", path, &[]).expect_err("no answer");
    assert_eq!(error("/api/v1/events").kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(error("/apis/discovery.k8s.io/v1/endpointslices").kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(error("/readyz").kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn logs_are_text_and_their_limits_are_the_servers() {
    let mut world = lab();
    world.logs.insert(("default".to_owned(), "workload".to_owned()), "one\ntwo\nthree\n".to_owned());
    let api = ApiServer::start(world);
    let log = |query: &str| get(api.address(), &format!("/api/v1/namespaces/default/pods/workload/log{query}"));
    assert_eq!((log("").text().as_str(), log("").header("content-type")), ("one\ntwo\nthree\n", Some("text/plain")));
    assert_eq!(log("?tailLines=2").text(), "two\nthree\n");
    assert_eq!(log("?tailLines=2&limitBytes=6").text(), "two\nth", "the first bytes of the tail");
    let accept = [("accept", "text/plain")];
    let refused = Client::connect(api.address()).send("GET", "/api/v1/namespaces/default/pods/workload/log", &accept);
    assert_eq!(refused.expect("an answer").status, 406);
    assert_eq!(get(api.address(), "/api/v1/namespaces/default/pods/two-containers/log").status, 400);
}

#[test]
fn every_request_is_in_the_log_and_execs_are_counted_by_node() {
    let mut world = lab();
    world.on_exec(Pods::Any, &["wait"], ExecReply::silent());
    let api = ApiServer::start(world);
    let address = api.address();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            std::thread::spawn(move || {
                exec_with(address, &target("workload", &["wait"]), V5, Duration::from_secs(2), |_, _| ())
            })
        })
        .collect();
    api.wait_until(Duration::from_secs(10), |requests| requests.len() == 3);
    for thread in waiting {
        thread.join().expect("no panic").expect("a handshake");
    }
    let user = [("impersonate-user", "alice"), ("audit-id", "mine")];
    let reply = Client::connect(address).send("DELETE", "/api/v1/namespaces/default/pods/workload?x=1", &user);
    let reply = reply.expect("an answer");
    assert_eq!((reply.status, reply.header("audit-id")), (200, Some("mine")));
    let calls = api.execs_on("prusik");
    assert_eq!((calls.len(), api.execs().len(), api.most_execs_at_once("prusik")), (3, 3, 3));
    assert_eq!((calls[0].pod.as_str(), calls[0].argv.as_slice()), ("workload", &["wait".to_owned()][..]));
    let writes = api.writes();
    assert_eq!((writes.len(), writes[0].method.as_str(), writes[0].query.as_str()), (1, "DELETE", "x=1"));
    assert_eq!(writes[0].headers["impersonate-user"], "alice");
    assert_eq!(writes[0].path, "/api/v1/namespaces/default/pods/workload");
}

#[test]
fn a_bundle_answers_as_the_cluster_it_was_saved_from() {
    let scene = Scene::stale();
    let api = ApiServer::start(scene.world());
    let run =
        |namespace: &str, pod: &str, argv: &[&str]| exec(api.address(), &client::exec_target(namespace, pod, argv), V5);
    let dump =
        run("kube-system", "cilium-swmbt", &["timeout", "-k", "1", "30", "cilium-dbg", "bpf", "ct", "list", "global"]);
    let saved = std::fs::read(scene.path().join("nodes/prusik/ct-list.out")).expect("the dump");
    assert_eq!((dump.channel(1), dump.status().as_str()), (saved, r#"{"metadata":{},"status":"Success"}"#));
    let ping = run("kube-system", "cilium-vienna", &["ping", "-c", "2", "-W", "3", "1.1.1.1"]);
    assert!(String::from_utf8_lossy(&ping.channel(1)).contains("2 received"));
    let wget = run("apps", "web-1", &["wget", "-q", "-O", "/dev/null", "-T", "5", "https://google.com"]);
    assert!(wget.status().contains(r#""message":"1"}"#) && wget.channel(2) == b"wget: bad address 'google.com'\n");
    assert!(run("apps", "app-1-1", &["wget", "https://google.com"]).status().contains("executable file not found"));
    let config = api.kubeconfig_with(&["grigri", "other"]);
    let config: Value =
        serde_json::from_str(&std::fs::read_to_string(config.path()).expect("it is there")).expect("JSON");
    assert_eq!((&config["current-context"], &config["contexts"][1]["name"]), (&json!("grigri"), &json!("other")));
}

/// delete-evict.json: beside a body, even an empty one, `dryRun=All` in the query is ignored and the pod really deleted.
#[test]
fn dry_run_in_the_query_counts_only_without_a_body() {
    let uid = r#""preconditions": {"uid": "uid-1"}"#;
    let cases = [
        ("?dryRun=All", String::new(), 200, false),
        ("", format!(r#"{{{uid}, "dryRun": ["All"]}}"#), 200, false),
        ("", r#"{"preconditions": {"uid": "another"}, "dryRun": ["All"]}"#.to_owned(), 409, false),
        ("", format!(r#"{{{uid}, "dryRun": ["yes"]}}"#), 422, false),
        ("?dryRun=All", format!("{{{uid}}}"), 200, true),
        ("?dryRun=All", "{}".to_owned(), 200, true),
    ];
    for (query, body, status, deleted) in cases {
        let mut victim = pod("victim", &["main"]);
        victim["metadata"]["uid"] = "uid-1".into();
        let api = ApiServer::start(World { pods: vec![victim], ..World::default() });
        let path = format!("/api/v1/namespaces/default/pods/victim{query}");
        let mut client = Client::connect(api.address());
        let reply =
            if body.is_empty() { client.send("DELETE", &path, &[]) } else { client.send_json("DELETE", &path, &body) };
        assert_eq!(reply.expect("an answer").status, status, "{query} {body}");
        let mut is_ending = false;
        api.change(|world| is_ending = !world.pods[0]["metadata"]["deletionTimestamp"].is_null());
        assert_eq!(is_ending, deleted, "{query} {body}");
    }
}
