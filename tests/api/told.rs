//! What a cluster tells by itself, kind by kind, as a person and as a program read it.

use serde_json::{Value, json};

use super::symptoms::{all, healthy, ordinary, symptoms, unhealthy};
use crate::support::api::ApiServer;
use crate::support::run::staledp;
use crate::support::scenes::{Health, Scene};
use crate::support::world::World;

/// What a person reads: the table.
fn text(api: &ApiServer, args: &[&str]) -> String {
    let kubeconfig = api.kubeconfig();
    staledp([&["symptoms", "--kubeconfig", &kubeconfig.path()], args].concat()).run().exits(0).stdout
}

/// Three healthy nodes: prusik, brno, vienna.
pub(crate) fn three() -> World {
    Scene::new(&["prusik", "brno", "vienna"].map(|node| (node, Health::Fine))).world()
}

/// A text without the folds of its lines.
pub(crate) fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The group and its one list.
pub(crate) fn install(world: &mut World, group: &str, version: &str, resource: &str, items: &Value) {
    world
        .foreign
        .insert(format!("/apis/{group}"), json!({"kind": "APIGroup", "preferredVersion": {"version": version}}));
    world.foreign.insert(format!("/apis/{group}/{version}/{resource}"), json!({"metadata": {}, "items": items}));
}

/// Says that a node was not ready.
pub(crate) fn not_ready(node: &str, at: &str) -> Value {
    json!({
        "metadata": {"name": format!("{node}.18"), "namespace": "default"},
        "involvedObject": {"kind": "Node", "name": node, "uid": node},
        "reason": "NodeNotReady", "type": "Normal", "message": format!("Node {node} status is now: NodeNotReady"),
        "firstTimestamp": at, "lastTimestamp": at, "count": 1, "source": {"component": "node-controller"},
    })
}

#[test]
fn nodes_that_were_not_ready_in_one_window_are_said_before_all_else_with_the_time() {
    let mut world = three();
    world.events = vec![
        not_ready("brno", "2026-06-06T10:00:00Z"),
        not_ready("prusik", "2026-06-06T10:04:00Z"),
        not_ready("vienna", "2026-06-06T10:07:30Z"),
        // Long before, and alone.
        not_ready("vienna", "2026-06-05T08:00:00Z"),
    ];
    let (namespace, pod) = ordinary(&world);
    world.events.push(unhealthy(&namespace, &pod, 1, 4));
    let api = ApiServer::start(world);
    let report = symptoms(&api, &[]).exits(0).report().0;
    let storm = &report["cluster_events"][0];
    assert_eq!(storm["first"], "2026-06-06T10:00:00Z", "{report:#}");
    assert_eq!((&storm["last"], &storm["nodes"]), (&json!("2026-06-06T10:07:30Z"), &json!(3)));
    let text = text(&api, &[]);
    let says = "3 of 3 nodes stopped being ready between 2026-06-06T10:00:00Z and 2026-06-06T10:07:30Z";
    let at = |what: &str| unfolded(&text).find(what).unwrap_or_else(|| panic!("'{what}' is not in {text}"));
    assert!(at("The whole cluster at once") < at(says) && at(says) < at("probe-failures"), "{text}");

    let kubeconfig = api.kubeconfig();
    let args = ["diagnose", "--kubeconfig", &kubeconfig.path(), "--no-ssh", "--node", "prusik", "-o", "json"];
    let node = staledp(args).run().report().node("prusik").clone();
    assert!(node["notes"].to_string().contains(&format!("cluster-wide event: {says}")), "{:#}", node["notes"]);
    assert_eq!(node["verdict"]["kind"], "healthy", "symptoms make no verdict");
}

#[test]
fn many_pods_that_were_restarted_in_one_window_are_one_event_and_two_are_none() {
    let restarted = |world: &mut World, most: usize| {
        let ordinary = world.pods.iter_mut().filter(|p| p["spec"]["hostNetwork"] != true);
        for (n, pod) in ordinary.take(most).enumerate() {
            let at = format!("2026-06-06T09:0{}:00Z", n % 8);
            pod["status"]["containerStatuses"][0]["restartCount"] = json!(1);
            pod["status"]["containerStatuses"][0]["lastState"] =
                json!({"terminated": {"reason": "Error", "exitCode": 1, "finishedAt": at}});
        }
    };
    let mut world = three();
    restarted(&mut world, usize::MAX);
    let pods = world.pods.len();
    let hit = world.pods.iter().filter(|p| p["status"]["containerStatuses"][0]["restartCount"] == 1).count();
    let api = ApiServer::start(world);
    let says = format!(
        "{hit} of {pods} pods on 3 of 3 nodes were restarted between 2026-06-06T09:00:00Z and 2026-06-06T09:07:00Z"
    );
    let report = symptoms(&api, &[]).exits(0).report().0;
    assert_eq!(report["cluster_events"][0]["says"], says.as_str(), "{:#}", report["cluster_events"]);
    assert!(unfolded(&text(&api, &[])).contains(&says));

    let mut world = three();
    restarted(&mut world, 2);
    let api = ApiServer::start(world);
    assert_eq!(symptoms(&api, &[]).exits(0).report().0["cluster_events"], json!([]));
}

/// A local redirect by address.
pub(crate) fn redirect() -> Value {
    json!([{
        "metadata": {"name": "nodelocaldns", "namespace": "kube-system", "annotations": {"note": "hunter2"},
                     "creationTimestamp": "2026-05-01T00:00:00Z"},
        "spec": {"redirectFrontend": {"addressMatcher": {"ip": "169.254.25.10", "toPorts": [{"port": "53"}]}},
                 "redirectBackend": {"localEndpointSelector": {"matchLabels": {"k8s-app": "hunter2"}}}},
    }])
}

#[test]
fn local_redirects_are_told_with_what_upstream_knows_of_the_release() {
    let told = |image: &str| {
        let mut world = healthy();
        install(&mut world, "cilium.io", "v2", "ciliumlocalredirectpolicies", &redirect());
        for pod in world.pods.iter_mut().filter(|pod| pod["metadata"]["labels"]["k8s-app"] == "cilium") {
            pod["spec"]["containers"][0]["image"] = json!(image);
            pod["status"]["containerStatuses"][0]["image"] = json!(image);
        }
        let api = ApiServer::start(world);
        let report = symptoms(&api, &[]).exits(0).report().0;
        let policy = report["elsewhere"][0].clone();
        assert_eq!((&policy["kind"], &policy["pod"]), (&json!("node-local-dns"), &json!("nodelocaldns")), "{report:#}");
        let says = policy["says"].as_str().expect("text").to_owned();
        assert!(unfolded(&text(&api, &[])).contains(&says), "{says}");
        assert_eq!(report["next"], Value::Null, "a policy is no reason to look at a node");
        says
    };
    let says = told("quay.io/cilium/cilium:v1.19.4");
    assert!(says.contains("redirects 169.254.25.10 (addressMatcher)"), "{says}");
    for (issue, standing) in [
        ("cilium/cilium#43944, `lrp list` shows an invalid address (", "reported for 1.19.4; closed"),
        ("cilium/cilium#44138, Rethink LocalRedirectPolicy (", "not confirmed for 1.19.4; open"),
        (
            "cilium/cilium#45522, Keep an addressMatcher redirect from taking another service's frontend (",
            "reported for 1.19.4; merged",
        ),
    ] {
        assert!(says.contains(&format!("{issue}{standing}")), "{issue}{standing}: {says}");
    }
    let older = told("quay.io/cilium/cilium:v1.17.1");
    assert!(!older.contains("43944") && !older.contains("45522") && older.contains("44138"), "{older}");
    let unknown = told("registry.example/cilium@sha256:0123");
    assert!(unknown.contains("45522") && unknown.contains("the running version is unknown"), "{unknown}");
}

#[test]
fn external_dns_is_a_dependent_whose_log_tells_names_and_connections() {
    let mut world = healthy();
    let (namespace, pod) = ordinary(&world);
    world.pod_mut(&format!("{namespace}/{pod}"))["metadata"]["labels"] =
        json!({"app.kubernetes.io/name": "external-dns"});
    let log = "2026-06-06T11:00:00Z time=\"x\" level=error msg=\"Get \\\"https://api.dns.example/zones\\\": dial tcp: lookup api.dns.example on 169.254.25.10:53: read udp 10.42.1.10:4->169.254.25.10:53: i/o timeout\"\n\
               2026-06-06T11:01:00Z level=error msg=\"Get \\\"https://10.1.2.3/zones\\\": dial tcp 10.1.2.3:443: i/o timeout\"\n\
               2026-06-06T11:02:00Z level=info msg=\"All records are already up to date\"\n";
    world.logs.insert((namespace, pod.clone()), log.to_owned());
    let api = ApiServer::start(world);
    assert!(all(&symptoms(&api, &[]).exits(0).report().0).is_empty(), "logs are read only where they are asked for");
    let found = all(&symptoms(&api, &["--logs"]).exits(0).report().0);
    let mut says: Vec<_> = found
        .iter()
        .filter(|(_, s)| s["kind"] == "dependents" && s["pod"] == pod.as_str())
        .map(|(_, s)| s["says"].as_str().expect("text"))
        .collect();
    says.sort_unstable();
    assert_eq!(
        says,
        [
            "1 line says that a connection was not answered",
            "1 line says that api.dns.example was not resolved: no answer from 169.254.25.10"
        ]
    );
    assert_eq!(found.len(), 2, "{found:#?}");
}

#[test]
fn objects_are_told_of_the_node_from_which_they_were_asked() {
    let message = |source: &str| {
        format!("dial tcp: lookup git.example on 169.254.25.10:53: read udp {source}:4->169.254.25.10:53: i/o timeout")
    };
    let application = |name: &str, message: &str| {
        json!({"metadata": {"name": name, "namespace": "argocd"},
               "spec": {"source": {"helm": {"parameters": [{"value": "hunter2"}]}}},
               "status": {"conditions": [{"type": "ComparisonError", "message": message,
                                          "lastTransitionTime": "2026-06-06T11:00:00Z"}],
                          "operationState": {"phase": "Running"}}})
    };
    let mut world = three();
    let pod = world.pods.iter_mut().find(|pod| pod["status"]["podIP"] == "10.42.2.11").expect("a pod of another node");
    let node = pod["spec"]["nodeName"].as_str().expect("a node").to_owned();
    pod["metadata"]["labels"]["app.kubernetes.io/name"] = json!("argocd-repo-server");
    let name = pod["metadata"]["name"].as_str().expect("a name").to_owned();
    let items = json!([
        application("by-address", &message("10.42.2.11")),
        application("gone", &message("10.42.2.99")),
        application("manual", "git.example: permission denied"),
        application("no-address", "failed to list refs: dial tcp: lookup git.example: i/o timeout"),
    ]);
    install(&mut world, "argoproj.io", "v1alpha1", "applications", &items);
    let api = ApiServer::start(world);
    let outcome = symptoms(&api, &[]).exits(0);
    let report = outcome.report().0;
    let here: Vec<_> = all(&report).into_iter().map(|(node, s)| (node, s["pod"].clone(), s["says"].clone())).collect();
    let by = |who: &str| format!("(resolved by {who} on this node)");
    let first = format!(
        "Application, ComparisonError: git.example was not resolved: no answer from 169.254.25.10 {}",
        by(&format!("pod apps/{name}"))
    );
    let second = format!(
        "Application, ComparisonError: git.example was not resolved: no answer, or a temporary failure {}",
        by("argocd-repo-server")
    );
    assert_eq!(
        here,
        [(node.clone(), json!("by-address"), json!(first)), (node.clone(), json!("no-address"), json!(second))]
    );
    assert_eq!(report["elsewhere"].as_array().map(Vec::len), Some(1), "whoever asked is gone: {report:#}");
    assert!(!outcome.stdout.contains("hunter2"));

    // The diagnosis of that node asks for them, and that of another node does not.
    for (asked, times) in
        [(node.as_str(), 1), ("prusik", 0)].into_iter().filter(|(asked, times)| *times == 1 || *asked != node)
    {
        let before = api.requests().len();
        let kubeconfig = api.kubeconfig();
        let args = ["diagnose", "--kubeconfig", &kubeconfig.path(), "--no-ssh", "--node", asked, "-o", "json"];
        let report = staledp(args).run().exits(0).report();
        let dependents = |s: &&Value| s["kind"] == "dependents";
        let told = report.node(asked)["symptoms"].as_array().map_or(0, |all| all.iter().filter(dependents).count());
        let lists = api.requests()[before..].iter().filter(|r| r.path.ends_with("/applications")).count();
        assert_eq!((told, lists), (times * 2, times), "{asked}: {:#}", report.0);
    }
}

#[test]
fn an_endpoint_that_comes_and_goes_is_told_from_one_that_is_back() {
    let says = |since: &str| {
        let mut world = healthy();
        let (namespace, pod) = ordinary(&world);
        let condition = json!([{"type": "Ready", "status": "True", "lastTransitionTime": since}]);
        world.pod_mut(&format!("{namespace}/{pod}"))["status"]["conditions"] = condition;
        // From 10:00 to 11:00.
        world.events.push(unhealthy(&namespace, &pod, 1, 14));
        let api = ApiServer::start(world);
        let found = all(&symptoms(&api, &[]).exits(0).report().0);
        let says = found[0].1["says"].as_str().expect("text").to_owned();
        assert!(unfolded(&text(&api, &[])).contains(&says), "{says}");
        says
    };
    let flips = says("2026-06-06T10:30:00Z");
    let first = "14 failed readiness probes in 60 min";
    assert_eq!(flips, format!("{first}; ready again since 2026-06-06T10:30:00Z: flapping"));
    // Never unready, as far as the API remembers: single probes failed below the threshold.
    assert_eq!(says("2026-05-01T00:00:00Z"), format!("{first}; ready now"));
}

#[test]
fn each_phrase_of_a_log_is_read_with_its_name_and_server() {
    let silent = "was not resolved: no answer";
    let cases = [
        (
            "dial tcp: lookup a.example on 169.254.25.10:53: read udp 10.42.1.9:4->169.254.25.10:53: i/o timeout",
            "a.example was not resolved: no answer from 169.254.25.10",
            "unanswered",
        ),
        (
            "read udp 10.42.1.9:41007->10.43.0.10:53: i/o timeout",
            "a name was not resolved: no answer from 10.43.0.10",
            "unanswered",
        ),
        (
            "urllib3: Failed to resolve 'b.example' ([Errno -3] Temporary failure in name resolution)",
            "b.example was not resolved: no answer, or a temporary failure",
            "unanswered",
        ),
        ("wget: bad address 'c.example'", "c.example was not resolved; unknown whether an answer came", "open"),
        (
            "lookup d.example on 169.254.25.10:53: no such host",
            "d.example could not be resolved, though 169.254.25.10 answered",
            "answered",
        ),
        (
            "lookup e.example. on [fd00::a]:53: server misbehaving",
            "e.example could not be resolved, though [fd00::a] answered",
            "answered",
        ),
        ("Error: getaddrinfo EAI_AGAIN f.example", "f.example was not resolved", "unanswered"),
        ("Error: getaddrinfo ENOTFOUND g.example", "g.example could not be resolved", "answered"),
        ("java.net.UnknownHostException: h.example", "h.example was not resolved; unknown whether", "open"),
        ("curl: (6) Could not resolve host: i.example", "i.example was not resolved; unknown whether", "open"),
        (";; connection timed out; no servers could be reached", silent, "unanswered"),
    ];
    for (line, says, looks) in cases {
        let mut world = healthy();
        let (namespace, pod) = ordinary(&world);
        let log = format!("2026-06-06T11:00:00Z {line}\n2026-06-06T11:00:01Z listening on 0.0.0.0:53\n");
        world.logs.insert((namespace, pod), log);
        let api = ApiServer::start(world);
        let found = all(&symptoms(&api, &["--logs"]).exits(0).report().0);
        assert_eq!(found.len(), 1, "{line}: {found:#?}");
        let told = &found[0].1;
        let there = told["says"].as_str().expect("text");
        assert!(there.starts_with("1 line says that ") && there.contains(says), "{line}: {there}");
        assert_eq!((&told["kind"], &told["looks"]), (&json!("dns-errors"), &json!(looks)), "{line}");
        assert_eq!((&told["first"], &told["last"]), (&json!("2026-06-06T11:00:00Z"), &json!("2026-06-06T11:00:00Z")));
        let sample = told["sample"].as_str().expect("a sample");
        assert!(sample.contains(&line[line.len() - 20..]), "{sample}");
    }
}

#[test]
fn a_kill_for_memory_is_told_from_a_failed_probe_and_from_an_end_of_its_own() {
    let restarted = |world: &mut World, pod: &str, reason: &str, code: i32| {
        let pod = world.pods.iter_mut().find(|p| p["metadata"]["name"] == pod).expect("the pod");
        let status = &mut pod["status"]["containerStatuses"][0];
        status["restartCount"] = json!(6);
        status["lastState"] =
            json!({"terminated": {"reason": reason, "exitCode": code, "finishedAt": "2026-06-06T11:00:00Z"}});
    };
    let liveness = |pod: &str, nth: usize| {
        let mut event = unhealthy("apps", pod, nth, 12);
        let message = event["message"].as_str().expect("text").replace("Readiness", "Liveness");
        event["message"] = json!(message);
        event
    };
    let mut world = healthy();
    for (pod, reason, code) in [
        ("app-1-1", "OOMKilled", 137),
        ("app-1-2", "Error", 137),
        ("app-1-3", "Error", 137),
        ("app-1-4", "Error", 1),
        ("app-1-5", "Error", 137),
    ] {
        restarted(&mut world, pod, reason, code);
    }
    world.events.extend([
        liveness("app-1-1", 1),
        liveness("app-1-2", 2),
        liveness("app-1-3", 3),
        liveness("app-1-4", 4),
    ]);
    let mut killing = unhealthy("apps", "app-1-2", 9, 6);
    killing["reason"] = json!("Killing");
    killing["type"] = json!("Normal");
    killing["message"] = json!("Container main failed liveness probe, will be restarted");
    world.events.push(killing);
    let api = ApiServer::start(world);
    let found = all(&symptoms(&api, &[]).exits(0).report().0);
    for (pod, says) in [
        ("app-1-1", ": it exceeded its memory limit (OOMKilled)"),
        ("app-1-2", ": the kubelet killed it for a failed probe"),
        ("app-1-3", ": killed (exit code 137), probably by the kubelet for its failed probes"),
        ("app-1-4", ": Error (exit code 1)"),
        ("app-1-5", ": Error (exit code 137)"),
    ] {
        let told = found.iter().find(|(_, s)| s["kind"] == "restarts" && s["pod"] == pod).expect("its restarts");
        assert!(told.1["says"].as_str().expect("text").ends_with(says), "{pod}: {:#}", told.1);
    }
}

#[test]
fn lines_and_yaml_say_what_json_says() {
    let mut world = three();
    let (namespace, pod) = ordinary(&world);
    world.events.push(unhealthy(&namespace, &pod, 1, 7));
    world.events.push(unhealthy("apps", "web-2", 2, 3));
    world.events[1]["source"]["host"] = json!("brno");
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let run =
        |format: &str| staledp(["symptoms", "--kubeconfig", &kubeconfig.path(), "-o", format]).run().exits(0).stdout;
    let timeless = |mut value: Value| {
        value["generated_at"] = Value::Null;
        value["source"]["captured_at"] = Value::Null;
        value
    };
    let json: Value = timeless(serde_json::from_str(&run("json")).expect("JSON"));
    let yaml: Value = timeless(serde_saphyr::from_str(&run("yaml")).expect("YAML"));
    assert_eq!(yaml, json);
    assert_eq!(json["nodes"].as_array().map(Vec::len), Some(2));

    let lines: Vec<Value> = run("jsonl").lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    let (end, nodes) = lines.split_last().expect("lines");
    assert_eq!(json!(nodes), json["nodes"], "a node a line, in the same order");
    assert_eq!(end["summary"], json!({"nodes": 2}));
    let mut rest = timeless(end.clone());
    let fields = rest.as_object_mut().expect("an object");
    fields.shift_remove("summary");
    let mut whole = json.clone();
    whole.as_object_mut().expect("an object").shift_remove("nodes");
    assert_eq!(rest, whole);
    let keys = ["kind", "namespace", "pod", "container", "count", "first", "last", "says", "explained"];
    for key in keys {
        assert!(json["nodes"][0]["symptoms"][0].get(key).is_some(), "{key}");
    }
}

#[test]
fn what_is_asked_only_by_name_is_said_to_be_not_asked() {
    let api = ApiServer::start(healthy());
    let report = symptoms(&api, &[]).exits(0).report().0;
    let asked = json!([{"what": "logs", "option": "--logs"}, {"what": "buffers", "option": "--prometheus"}]);
    assert_eq!(report["not_asked"], asked);
    let text = text(&api, &[]);
    assert!(text.contains("Not asked: logs (--logs), buffers (--prometheus)."), "{text}");
    assert!(text.ends_with("No symptoms were found.\n"), "{text}");
    assert_eq!(symptoms(&api, &["--logs"]).exits(0).report().0["not_asked"], json!([asked[1]]));
}

#[test]
fn a_question_needs_somebody_to_ask_and_a_bundle_is_nobody() {
    let api = ApiServer::start(healthy());
    for (args, why) in [
        (&["symptoms", "--query", "up"][..], "--prometheus <URL|NS/SERVICE[:PORT]>"),
        (&["diagnose", "--node", "prusik", "--query", "up"], "--prometheus <URL|NS/SERVICE[:PORT]>"),
        (&["symptoms", "--from", "bundle", "--prometheus", "monitoring/prometheus"], "cannot be used with"),
        (&["diagnose", "--from", "bundle", "--prometheus", "monitoring/prometheus"], "cannot be used with"),
        (&["symptoms", "--prometheus", "http://me:hunter2@prometheus.example"], "credentials on a command line"),
    ] {
        let outcome = staledp(args).run().exits(2);
        assert!(outcome.stderr.contains(why), "{}", outcome.stderr);
        assert!(outcome.stdout.is_empty());
    }
    assert!(api.requests().is_empty());
}

#[test]
fn symptoms_that_were_answered_are_no_reason_to_look_at_a_node() {
    let mut world = healthy();
    let (namespace, pod) = ordinary(&world);
    let mut event = unhealthy(&namespace, &pod, 1, 50);
    event["message"] = json!("Readiness probe failed: HTTP probe failed with statuscode: 503");
    world.events.push(event);
    let api = ApiServer::start(world);
    let report = symptoms(&api, &[]).exits(0).report().0;
    assert_eq!((&report["next"], &report["nodes"][0]["weight"]), (&Value::Null, &json!(0)));
    assert!(text(&api, &[]).ends_with("No symptom points to a node's datapath.\n"));
}

#[test]
fn pods_with_symptoms_that_the_verdict_explains_are_among_the_affected() {
    let mut world = Scene::stale().world();
    // Pods without a flow of their own: only the kubelet's word says that they are hit.
    let template = world.pods.iter().find(|pod| pod["metadata"]["name"] == "web-1").expect("a pod").clone();
    for (n, name) in ["vault-0", "bazarr-0"].into_iter().enumerate() {
        let mut pod = template.clone();
        pod["metadata"]["name"] = json!(name);
        pod["status"]["podIP"] = json!(format!("10.42.1.{}", 240 + n));
        pod["status"]["podIPs"] = json!([{"ip": format!("10.42.1.{}", 240 + n)}]);
        world.pods.push(pod);
    }
    world.events.push(unhealthy("apps", "vault-0", 1, 90));
    let status = &mut world.pod_mut("apps/bazarr-0")["status"]["containerStatuses"][0];
    status["restartCount"] = json!(7);
    status["lastState"] =
        json!({"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-06-06T11:00:00Z"}});
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let args = ["diagnose", "--kubeconfig", &kubeconfig.path(), "--no-ssh", "--node", "prusik"];
    let report = staledp([&args[..], &["-o", "json"]].concat()).run().exits(1).report();
    let node = report.node("prusik");
    assert_eq!(node["verdict"]["code"], "stale-datapath");
    let affected = |pod: &str| {
        let all = node["affected"].as_array().expect("affected");
        all.iter().find(|a| a["pod"] == pod).map(|a| a["says"].as_str().expect("text").to_owned())
    };
    let says = affected("vault-0").unwrap_or_else(|| panic!("vault-0 is hit: {:#}", node["affected"]));
    assert!(says.starts_with("by symptom probe-failures: 90 failed readiness probes in 60 min"), "{says}");
    assert_eq!(affected("bazarr-0"), None, "its end has a reason of its own");
    let explained = |pod: &str| {
        let all = node["symptoms"].as_array().expect("symptoms");
        all.iter().find(|s| s["pod"] == pod).expect("a symptom")["explained"].clone()
    };
    assert_eq!((explained("vault-0"), explained("bazarr-0")), (json!(true), json!(false)));
    let text = unfolded(&staledp(args).run().exits(1).stdout);
    assert!(text.contains("explained by the verdict: pods of this node get no answers"), "{text}");
    let memory = "not explained by the verdict: exceeding a memory limit is not a network fault";
    assert!(text.contains(memory), "{text}");
}

#[test]
fn the_command_at_the_end_can_be_copied_and_leads_to_the_likeliest_node() {
    let mut world = three();
    world.context = "two words".to_owned();
    // Many that were answered or may be anything on one node, two that speak of the datapath on another.
    for pod in world.pods.iter_mut().filter(|pod| pod["spec"]["nodeName"] == "prusik") {
        let name = pod["metadata"]["name"].as_str().expect("a name").to_owned();
        let mut event = unhealthy("apps", &name, 1, 50);
        event["message"] = json!("Readiness probe failed: HTTP probe failed with statuscode: 503");
        world.events.push(event);
        pod["status"]["containerStatuses"][0]["restartCount"] = json!(40);
    }
    for (n, pod) in ["web-2", "app-2-1"].into_iter().enumerate() {
        world.pod_mut(&format!("apps/{pod}"))["status"]["conditions"][0]["status"] = json!("False");
        world.events.push(unhealthy("apps", pod, 20 + n, 5));
    }
    let node = world.pod("apps", "web-2").expect("a pod")["spec"]["nodeName"].as_str().expect("a node").to_owned();
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let args = ["symptoms", "--kubeconfig", &kubeconfig.path(), "--as", "somebody"];
    let text = staledp(args).run().exits(0).stdout;
    let command = text.lines().last().expect("a command");
    let right = format!(
        "staledp diagnose --context='two words' --kubeconfig={} --as=somebody --node {node}",
        kubeconfig.path()
    );
    assert_eq!(command, right, "{text}");
    assert!(unfolded(&text).contains(&format!("Symptoms are hints, not a verdict. Start with {node}")));
    // As a shell reads it.
    let words =
        std::process::Command::new("sh").args(["-c", &format!("printf '%s\\n' {command}")]).output().expect("sh");
    let words: Vec<String> = String::from_utf8_lossy(&words.stdout).lines().map(str::to_owned).collect();
    let again = staledp([&words[1..], &["--no-ssh".to_owned(), "-o".to_owned(), "json".to_owned()]].concat()).run();
    assert_eq!(again.report().0["nodes"].as_array().map(Vec::len), Some(1), "{}", again.stderr);
    assert_eq!(again.report().node(&node)["symptoms"].as_array().map(Vec::len), Some(2));
}
