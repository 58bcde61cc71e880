//! What `staledp manifests` prints: YAML that parses, with the rights that `rbac` prints, and nothing left open.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

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
