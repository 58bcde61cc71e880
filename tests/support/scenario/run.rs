//! Runs the real binary on a scenario's bundle and compares what it says with what is right.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::bundle;
use super::model::{Expect, Node, Scenario};

/// What came of one run.
pub(crate) struct Judged {
    /// The exit code.
    pub(crate) exit: Option<i32>,
    /// The report; `Null` where none came.
    pub(crate) report: Value,
    /// Standard error.
    pub(crate) stderr: String,
}

/// Runs the binary in a folder, with nothing of the caller's environment that could lead it to a cluster.
pub(crate) fn program(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_staledp"))
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("PATH", "/usr/bin:/bin")
        .output()
        .expect("the binary can be run")
}

/// Judges a bundle folder.
pub(crate) fn judge_dir(dir: &Path, further: &[String]) -> Judged {
    let mut arguments = vec!["diagnose", "--from", ".", "-o", "json"];
    arguments.extend(further.iter().map(String::as_str));
    let output = program(dir, &arguments);
    Judged {
        exit: output.status.code(),
        report: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Judges a scenario.
pub(crate) fn judge(scenario: &Scenario) -> Judged {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    bundle::write(&bundle::files(scenario), dir.path()).expect("a temporary folder can be written");
    judge_dir(dir.path(), &scenario.args)
}

impl Judged {
    /// The entry of a node.
    pub(crate) fn node(&self, name: &str) -> &Value {
        let nodes = self.report["nodes"].as_array();
        nodes.and_then(|all| all.iter().find(|n| n["node"] == name)).unwrap_or(&Value::Null)
    }

    /// Kind and code said of a node.
    pub(crate) fn verdict(&self, name: &str) -> (String, String) {
        let verdict = &self.node(name)["verdict"];
        let word = |key: &str| verdict[key].as_str().unwrap_or("(none)").to_owned();
        (word("kind"), word("code"))
    }

    /// What the verdict of a node rests on, for a person.
    pub(crate) fn because(&self, name: &str) -> String {
        let verdict = &self.node(name)["verdict"];
        let list = verdict["because"].as_array().cloned().unwrap_or_default();
        list.iter()
            .map(|b| format!("{}: {}", b["check"].as_str().unwrap_or("?"), b["says"].as_str().unwrap_or("?")))
            .collect::<Vec<_>>()
            .join("\n      ")
    }
}

/// The kind that a code belongs to, from the table of verdicts.
pub(crate) fn kind_of(code: &str) -> &'static str {
    match code {
        "healthy" => "healthy",
        "stale-datapath"
        | "stale-selective"
        | "stale-service-map"
        | "datapath-programs-missing"
        | "stale-map"
        | "stale-node-address" => "stale",
        "evidence-missing"
        | "evidence-truncated"
        | "evidence-contradictory"
        | "maps-not-visible"
        | "too-little-traffic" => "inconclusive",
        _ => "other-fault",
    }
}

/// Everything that is wrong with what was said; empty when all is right.
pub(crate) fn complaints(scenario: &Scenario, judged: &Judged) -> Vec<String> {
    if judged.report.is_null() {
        let stderr = judged.stderr.trim();
        return vec![format!("no report came; exit {:?}, standard error: {stderr}", judged.exit)];
    }
    let mut out = Vec::new();
    if !judged.exit.is_some_and(|code| scenario.exit.contains(&code)) {
        out.push(format!("exit code {:?}, right would be {:?}", judged.exit, scenario.exit));
    }
    form(scenario, judged, &mut out);
    for node in &scenario.nodes {
        let before = out.len();
        node_complaints(node, judged, &mut out);
        for line in &mut out[before..] {
            *line = format!("{}: {line}", node.name);
        }
    }
    out
}

/// What holds for every report, whatever is said in it (contract, sections 2 to 4).
fn form(scenario: &Scenario, judged: &Judged, out: &mut Vec<String>) {
    let report = &judged.report;
    if report["schema"] != "staledp.report/v1" {
        out.push(format!("schema is {}", report["schema"]));
    }
    let nodes = report["nodes"].as_array().cloned().unwrap_or_default();
    if nodes.len() != scenario.nodes.len() {
        out.push(format!("{} nodes in the report, {} were looked at", nodes.len(), scenario.nodes.len()));
    }
    let rank = |node: &Value| {
        let kinds = ["stale", "other-fault", "inconclusive", "healthy"];
        let kind = kinds.iter().position(|k| node["verdict"]["kind"] == *k);
        (kind, node["node"].as_str().unwrap_or_default().to_owned())
    };
    if !nodes.is_sorted_by_key(rank) {
        out.push("nodes are not sorted by kind, then name".to_owned());
    }
    let kinds: Vec<Option<usize>> = nodes.iter().map(|n| rank(n).0).collect();
    let exit = match kinds.iter().flatten().min() {
        Some(0) => 1,
        Some(1) => 3,
        Some(2) => 4,
        _ => 0,
    };
    if judged.exit != Some(exit) {
        out.push(format!("exit code {:?} does not follow from the verdicts: {exit}", judged.exit));
    }
    let summary = &report["summary"];
    for (key, at) in [("stale", 0), ("other_fault", 1), ("inconclusive", 2), ("healthy", 3)] {
        let count = kinds.iter().filter(|k| **k == Some(at)).count();
        if summary[key].as_u64() != u64::try_from(count).ok() {
            out.push(format!("summary.{key} is {}, there are {count}", summary[key]));
        }
    }
    for node in &nodes {
        node_form(node, out);
    }
}

fn node_form(node: &Value, out: &mut Vec<String>) {
    let name = node["node"].as_str().unwrap_or("?");
    let verdict = &node["verdict"];
    let kind = verdict["kind"].as_str().unwrap_or("?");
    let code = verdict["code"].as_str().unwrap_or("?");
    if kind != kind_of(code) {
        out.push(format!("{name}: {code} is said to be {kind}"));
    }
    if verdict["because"].as_array().is_none_or(Vec::is_empty) {
        out.push(format!("{name}: {code} without a reason"));
    }
    if verdict["summary"].as_str().is_none_or(str::is_empty) {
        out.push(format!("{name}: {code} without a summary"));
    }
    let ids = ["host-ping", "pod-egress", "dns-conntrack", "external-conntrack", "dns-backends"];
    let checks = node["checks"].as_array().cloned().unwrap_or_default();
    if !checks.iter().map(|c| c["id"].as_str().unwrap_or("?")).eq(ids) {
        out.push(format!("{name}: not the five checks in their order"));
    }
    for check in &checks {
        if check["status"] == "unknown" && check["reason"].is_null() {
            out.push(format!("{name}: {} is unknown without a reason", check["id"]));
        }
    }
    let commands = node["remediation"]["commands"].as_array().cloned().unwrap_or_default();
    let restarts = commands.iter().filter_map(Value::as_str).any(|c| c.contains("delete pod"));
    if restarts != (kind == "stale") {
        out.push(format!("{name}: {code} with the commands {commands:?}"));
    }
    if kind == "stale" && node["remediation"]["risk"]["level"].as_str().is_none() {
        out.push(format!("{name}: a restart without its risk"));
    }
}

fn node_complaints(node: &Node, judged: &Judged, out: &mut Vec<String>) {
    let said = judged.node(&node.name);
    let (kind, code) = judged.verdict(&node.name);
    let expect = &node.expect;
    if !expect.codes.is_empty() && !expect.codes.contains(&code.as_str()) {
        out.push(format!("{code}, right would be {}", expect.codes.join(" or ")));
    }
    if expect.forbid.contains(&kind.as_str()) {
        out.push(format!("{kind} ({code}) is wrong here"));
    }
    if let Some(command) = &expect.command
        && said["remediation"]["commands"] != serde_json::json!([command])
    {
        out.push(format!("commands are {}, right would be {command}", said["remediation"]["commands"]));
    }
    if let Some(most) = expect.at_most {
        let order = ["low", "medium", "high"];
        let at = |word: &str| order.iter().position(|o| *o == word);
        let got = said["verdict"]["confidence"].as_str().unwrap_or("?");
        if at(got) > at(most) {
            out.push(format!("confidence {got}, at most {most} would be right"));
        }
    }
    named_pods(expect, said, out);
    for (id, statuses) in &expect.checks {
        let check = check(said, id);
        let status = check["status"].as_str().unwrap_or("?");
        if !statuses.contains(&status) {
            out.push(format!("{id} is {status} ({}), right would be {}", check["summary"], statuses.join(" or ")));
        }
    }
    for (id, path, value) in &expect.figures {
        let figure = &check(said, id)["data"][*path];
        if figure.as_u64() != Some(*value) {
            out.push(format!("{id}.{path} is {figure}, right would be {value}"));
        }
    }
    let text = said.to_string();
    for word in &expect.says {
        if !text.contains(word) {
            out.push(format!("nowhere says '{word}'"));
        }
    }
}

fn check<'a>(said: &'a Value, id: &str) -> &'a Value {
    let checks = said["checks"].as_array();
    checks.and_then(|all| all.iter().find(|c| c["id"] == id)).unwrap_or(&Value::Null)
}

fn named_pods(expect: &Expect, said: &Value, out: &mut Vec<String>) {
    let affected: Vec<&str> =
        said["affected"].as_array().into_iter().flatten().filter_map(|a| a["pod"].as_str()).collect();
    for pod in &expect.affected {
        if !affected.contains(&pod.as_str()) {
            out.push(format!("{pod} is not among the affected: {affected:?}"));
        }
    }
    for pod in &expect.unaffected {
        if affected.contains(&pod.as_str()) {
            out.push(format!("{pod} is among the affected: {affected:?}"));
        }
    }
}
