//! What `staledp manifests` prints: YAML that parses, with the rights that `rbac` prints, and nothing left open.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

fn printed(args: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_staledp")).arg("manifests").args(args).output().expect("it runs");
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

/// The objects of a YAML stream.
fn objects(yaml: &str) -> Vec<Value> {
    yaml.split("\n---\n").map(|part| serde_saphyr::from_str(part).unwrap_or_else(|e| panic!("{e}\n{part}"))).collect()
}

fn kinds(objects: &[Value]) -> Vec<&str> {
    objects.iter().map(|object| object["kind"].as_str().expect("a kind")).collect()
}

#[track_caller]
fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

/// The rules of all roles, each as one line.
fn rules(objects: &[Value]) -> BTreeSet<String> {
    let roles = objects.iter().filter(|object| object["kind"].as_str().is_some_and(|kind| kind.ends_with("Role")));
    roles.flat_map(|role| role["rules"].as_array().expect("rules").iter().map(ToString::to_string)).collect()
}

#[test]
fn every_manifest_is_yaml_in_one_namespace_with_nothing_left_open() {
    for what in ["watch", "cronjob", "job", "alerts", "readiness-rule", "medik8s"] {
        let text = printed(&[
            what,
            "--namespace",
            "probes",
            "--image",
            "registry.example/staledp:1",
            "--api-server",
            "[fd00::1]:6443",
        ]);
        let objects = objects(&text);
        assert!(
            objects.iter().all(|object| object["apiVersion"].is_string() && object["metadata"]["name"].is_string())
        );
        for object in &objects {
            let namespace = &object["metadata"]["namespace"];
            assert!(namespace.is_null() || namespace == "probes", "{what}: {object}");
        }
        for open in ["{namespace}", "{image}", "{rights}", "{environment}", "{condition}", "{shards}", "{last}"] {
            assert!(!text.contains(open), "{what}: {open}");
        }
    }
}

#[test]
fn manifests_of_one_namespace_do_not_undo_each_others_labels() {
    let namespace = |what: &str| {
        let objects = objects(&printed(&[what]));
        let pod = objects.iter().find_map(|object| {
            let spec = object.pointer("/spec/template/spec").or(object.pointer("/spec/jobTemplate/spec/template/spec"));
            spec.map(|spec| spec["hostNetwork"].clone())
        });
        assert_eq!(pod, Some(Value::from(true)), "{what}");
        of_kind(&objects, "Namespace")["metadata"].clone()
    };
    let watch = namespace("watch");
    assert_eq!(watch["labels"]["pod-security.kubernetes.io/enforce"], "privileged", "hostNetwork needs it");
    assert_eq!((&namespace("cronjob"), &namespace("job")), (&watch, &watch));
}

#[test]
fn watch_has_the_printed_rights_and_asks_the_api_server_by_its_address() {
    let text = printed(&["watch", "--api-server", "192.168.10.5:6443", "--service-monitor"]);
    let objects = objects(&text);
    let wanted = [
        "Namespace",
        "ServiceAccount",
        "ClusterRole",
        "Role",
        "ClusterRoleBinding",
        "RoleBinding",
        "Deployment",
        "Service",
        "ServiceMonitor",
    ];
    assert_eq!(kinds(&objects), wanted);
    let rbac = Command::new(env!("CARGO_BIN_EXE_staledp")).args(["rbac", "watch"]).output().expect("it runs");
    let rbac = String::from_utf8(rbac.stdout).expect("text");
    assert_eq!(rules(&objects), rules(&self::objects(&rbac)));
    let deployment = of_kind(&objects, "Deployment");
    let (spec, pod) = (&deployment["spec"], &deployment["spec"]["template"]["spec"]);
    assert_eq!((&spec["replicas"], &spec["strategy"]["type"]), (&Value::from(1), &Value::from("Recreate")));
    assert_eq!((&pod["hostNetwork"], &pod["serviceAccountName"]), (&Value::from(true), &Value::from("staledp-watch")));
    let container = &pod["containers"][0];
    assert_eq!(container["env"][0]["value"], "192.168.10.5");
    assert_eq!(container["env"][1]["value"], "6443");
    assert_eq!(spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]);
    assert_eq!(of_kind(&objects, "Service")["spec"]["selector"], spec["template"]["metadata"]["labels"]);
    // The arguments are ones that the program takes.
    let mut args: Vec<&str> =
        container["args"].as_array().expect("arguments").iter().filter_map(Value::as_str).collect();
    args.push("--help");
    assert!(Command::new(env!("CARGO_BIN_EXE_staledp")).args(args).output().expect("it runs").status.success());
}

#[test]
fn job_gives_each_pod_its_shard() {
    let text = printed(&["job", "--shards", "3"]);
    let objects = objects(&text);
    let job = &of_kind(&objects, "Job")["spec"];
    assert_eq!((&job["completions"], &job["parallelism"]), (&Value::from(3), &Value::from(3)));
    let args = job["template"]["spec"]["containers"][0]["args"].to_string();
    assert!(args.contains("--shard=$(JOB_COMPLETION_INDEX)/3"), "{args}");
    assert!(text.contains("seq 0 2"), "{text}");
}

#[test]
fn alerts_name_metrics_that_exist_and_a_command_each() {
    let text = printed(&["alerts"]);
    let objects = objects(&text);
    let rules = objects[0]["spec"]["groups"][0]["rules"].as_array().expect("rules");
    assert!(rules.len() >= 4);
    for rule in rules {
        let command = rule["annotations"]["command"].as_str().expect("a command");
        assert!(command.starts_with("staledp ") || command.starts_with("kubectl "), "{command}");
        assert!(rule["expr"].as_str().is_some_and(|expr| expr.contains("staledp_")), "{rule}");
    }
}

/// What Prometheus says of the printed rules when these series come in, one value a minute, and of each alert whether it
/// fires at these minutes.
struct RuleTest {
    series: &'static [(&'static str, &'static str)],
    alert: &'static str,
    labels: &'static str,
    command: &'static str,
    fires: &'static [(u32, bool)],
}

const RULE_TESTS: [RuleTest; 8] = [
    RuleTest {
        // Minute 4 to 23; in between it turns from one stale verdict to another.
        series: &[
            (r#"staledp_node_verdict{node="prusik",kind="healthy",code="healthy"}"#, "1x4 stale _x19 1x20"),
            (r#"staledp_node_verdict{node="prusik",kind="stale",code="stale-datapath"}"#, "_x4 1x7 stale"),
            (r#"staledp_node_verdict{node="prusik",kind="stale",code="stale-selective"}"#, "_x12 1x11 stale"),
        ],
        alert: "StaledpNodeStale",
        labels: "node: prusik, severity: critical",
        command: "staledp fix --node prusik",
        fires: &[(3, false), (13, false), (15, true), (23, true), (25, false)],
    },
    RuleTest {
        // One look that was not confirmed.
        series: &[(r#"staledp_node_verdict{node="prusik",kind="stale",code="stale-datapath"}"#, "1x5 stale")],
        alert: "StaledpNodeStale",
        labels: "node: prusik, severity: critical",
        command: "staledp fix --node prusik",
        fires: &[(5, false), (11, false), (20, false)],
    },
    RuleTest {
        series: &[
            (r#"staledp_node_verdict{node="brno",kind="other-fault",code="cluster-dns-down"}"#, "1x40 stale"),
            (r#"staledp_node_verdict{node="vienna",kind="healthy",code="healthy"}"#, "1x60"),
        ],
        alert: "StaledpNodeOtherFault",
        labels: "node: brno, severity: warning",
        command: "staledp diagnose --node brno",
        fires: &[(29, false), (31, true), (42, false)],
    },
    RuleTest {
        // Rounds until minute 60, and none after that until minute 150.
        series: &[("staledp_last_complete_round_timestamp_seconds", "0+60x60 3600x89 9000+60x30")],
        alert: "StaledpRoundTooOld",
        labels: "severity: warning",
        command: "kubectl logs -n staledp deployment/staledp-watch",
        fires: &[(60, false), (120, false), (127, true), (152, false)],
    },
    RuleTest {
        series: &[("staledp_leader", "1x10 stale _x29 1x20")],
        alert: "StaledpWatchGone",
        labels: "severity: warning",
        command: "kubectl get pods -n staledp -l app.kubernetes.io/name=staledp-watch",
        fires: &[(9, false), (20, false), (27, true), (42, false)],
    },
    RuleTest {
        // One of two processes holds the Lease.
        series: &[(r#"staledp_leader{pod="a"}"#, "0x60"), (r#"staledp_leader{pod="b"}"#, "1x60")],
        alert: "StaledpWatchGone",
        labels: "severity: warning",
        command: "kubectl get pods -n staledp -l app.kubernetes.io/name=staledp-watch",
        fires: &[(30, false), (59, false)],
    },
    RuleTest {
        series: &[(r#"staledp_leader{pod="a"}"#, "0x60")],
        alert: "StaledpWatchGone",
        labels: "severity: warning",
        command: "kubectl get pods -n staledp -l app.kubernetes.io/name=staledp-watch",
        fires: &[(14, false), (16, true)],
    },
    RuleTest {
        series: &[(r#"staledp_failed_fixes{node="prusik"}"#, "_x4 1x59 stale")],
        alert: "StaledpFixFailed",
        labels: "node: prusik, severity: critical",
        command: "kubectl get events -A --field-selector reason=CiliumPodRestarted,involvedObject.name=prusik",
        fires: &[(4, false), (7, true), (60, true), (66, false)],
    },
];

/// The tests in the words of `promtool test rules`. An alert that fires is expected with its summary, as the rule has it.
fn promtool_tests(rules: &[Value]) -> Value {
    let tests = RULE_TESTS.iter().map(|test| {
        let rule = rules.iter().find(|rule| rule["alert"] == test.alert).unwrap_or_else(|| panic!("no {}", test.alert));
        let labels: serde_json::Map<String, Value> = test
            .labels
            .split(", ")
            .filter_map(|pair| pair.split_once(": "))
            .map(|(k, v)| (k.into(), v.into()))
            .collect();
        let node = labels.get("node").and_then(Value::as_str).unwrap_or_default();
        let summary = rule["annotations"]["summary"].as_str().expect("a summary").replace("{{ $labels.node }}", node);
        let expected = json!({"exp_labels": labels, "exp_annotations": {"summary": summary, "command": test.command}});
        let at = test.fires.iter().map(|(minute, fires)| {
            let alerts = if *fires { vec![expected.clone()] } else { Vec::new() };
            json!({"eval_time": format!("{minute}m"), "alertname": test.alert, "exp_alerts": alerts})
        });
        let series = test.series.iter().map(|(series, values)| json!({"series": series, "values": values}));
        json!({"interval": "1m", "input_series": series.collect::<Vec<_>>(), "alert_rule_test": at.collect::<Vec<_>>()})
    });
    json!({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests.collect::<Vec<_>>()})
}

#[test]
fn printed_alerts_fire_when_they_should_and_clear() {
    let printed = objects(&printed(&["alerts"]));
    let rules = printed[0]["spec"]["groups"][0]["rules"].as_array().expect("rules").clone();
    let tested: BTreeSet<&str> = RULE_TESTS.iter().map(|test| test.alert).collect();
    let all: BTreeSet<&str> = rules.iter().filter_map(|rule| rule["alert"].as_str()).collect();
    assert_eq!(tested, all, "every alert is tried");
    let folder = tempfile::tempdir().expect("a folder");
    // JSON is YAML.
    std::fs::write(folder.path().join("rules.yaml"), printed[0]["spec"].to_string()).expect("a file");
    let tests = folder.path().join("tests.yaml");
    std::fs::write(&tests, promtool_tests(&rules).to_string()).expect("a file");
    let out = match Command::new("promtool").args(["test", "rules"]).arg(&tests).output() {
        Ok(out) => out,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            assert!(std::env::var_os("CI").is_none_or(|v| v != "true"), "no promtool here, and CI has to have one");
            let says = b"SKIPPED: alert rules: no promtool in PATH; Debian's package prometheus has it, see .ci/run\n";
            let _ = std::io::Write::write_all(&mut std::io::stderr(), says);
            return;
        }
        Err(error) => panic!("promtool does not start: {error}"),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(out.status.success(), "{}{}", text(&out.stdout), text(&out.stderr));
}

#[test]
fn dashboard_is_json_with_a_panel_for_each_metric() {
    let dashboard: Value = serde_json::from_str(&printed(&["dashboard"])).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len());
    assert!(
        panels.iter().all(|panel| panel["targets"][0]["expr"].as_str().is_some_and(|expr| expr.contains("staledp_")))
    );
}

#[test]
fn consumers_of_the_condition_name_its_type() {
    for what in ["readiness-rule", "medik8s"] {
        let text = printed(&[what, "--condition-type", "example.org/Datapath"]);
        let object = &objects(&text)[0];
        let condition = if what == "medik8s" {
            &object["spec"]["unhealthyConditions"][0]
        } else {
            &object["spec"]["conditions"][0]
        };
        assert_eq!(condition["type"], "example.org/Datapath");
    }
    assert_eq!(
        objects(&printed(&["medik8s"]))[0]["spec"]["unhealthyConditions"][0]["status"],
        "False",
        "nothing but False"
    );
}
