//! A saved bundle as a cluster that lives.
//!
//! What the bundle holds of a node is what its pods answer: the probes in the pods that ran them, the rest in the
//! node's Cilium agent. A live run against it must come to the same verdict as a run that reads the folder.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use staledp::base::{clock, time};

use super::http::Answer;
use super::world::{Argv, End, ExecReply, ExecRule, Fault, FaultKind, Pods, World};

/// What each kind of evidence asks, for bundles without the JSON beside the output.
const COMMANDS: [(&str, &[&str]); 8] = [
    ("host-ping", &["ping", "-c", "2", "-W", "3", "1.1.1.1"]),
    ("ct-list", &["cilium-dbg", "bpf", "ct", "list", "global"]),
    ("service-list", &["cilium-dbg", "service", "list"]),
    ("lb-list", &["cilium-dbg", "bpf", "lb", "list"]),
    ("agent-status", &["cilium-dbg", "status", "--verbose"]),
    ("drop-metrics", &["cilium-dbg", "bpf", "metrics", "list"]),
    ("nat-list", &["cilium-dbg", "bpf", "nat", "list"]),
    ("attached-programs", &["bpftool", "net", "show"]),
];

/// The lists of a bundle, and the API path of each.
const LISTS: [(&str, &str); 5] = [
    ("nodes", "/api/v1/nodes"),
    ("pods", "*/pods"),
    ("services", "*/services"),
    ("endpointslices", "*/endpointslices"),
    ("events", "*/events"),
];

impl World {
    /// The cluster that a bundle was saved from.
    pub(crate) fn from_bundle(folder: &Path) -> Self {
        let mut world = Self::default();
        let about =
            read_json(&folder.join("bundle.json")).unwrap_or_else(|| panic!("no bundle in {}", folder.display()));
        assert_eq!(about["schema"], "staledp.bundle/v1", "the bundle's schema");
        if let Some(context) = about["context"].as_str() {
            context.clone_into(&mut world.context);
        }
        let age = about["captured_at"].as_str().and_then(time::moment);
        let age = age.and_then(|captured| Duration::try_from(clock::now().duration_since(captured)).ok());
        let age = age.unwrap_or_default();
        for (name, path) in LISTS {
            let mut list = read_json(&folder.join("kube").join(format!("{name}.json")));
            if let Some(list) = &mut list {
                make_younger(list, age);
            }
            let Some(items) = list.as_ref().and_then(|list| list["items"].as_array()) else {
                // Not gathered then, so not to be had now.
                world.fault(Fault::new(path, FaultKind::Forbidden("viewer".to_owned())));
                continue;
            };
            let target = match name {
                "nodes" => &mut world.nodes,
                "pods" => &mut world.pods,
                "services" => &mut world.services,
                "endpointslices" => &mut world.endpoint_slices,
                _ => &mut world.events,
            };
            target.clone_from(items);
        }
        for node in entries(&folder.join("nodes")) {
            world.evidence_of(&folder.join("nodes").join(&node), &node);
        }
        world
    }

    fn evidence_of(&mut self, folder: &Path, node: &str) {
        let mut names: Vec<String> = entries(folder)
            .iter()
            .filter_map(|file| [".json", ".out", ".out.gz"].iter().find_map(|end| file.strip_suffix(end)))
            .map(str::to_owned)
            .collect();
        names.dedup();
        for name in names {
            let about = read_json(&folder.join(format!("{name}.json"))).unwrap_or_else(|| json!({"exit_code": 0}));
            let stdout = read_output(folder, &name);
            let kind = name.split('.').next().unwrap_or_default();
            let argv: Vec<String> = match about["argv"].as_array() {
                Some(words) => words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect(),
                None => COMMANDS
                    .iter()
                    .find(|(command, _)| *command == kind)
                    .map(|(_, words)| words.iter().map(|&word| word.to_owned()).collect())
                    .unwrap_or_default(),
            };
            if kind == "agent-log" {
                self.log_of(node, &stdout);
                continue;
            }
            if argv.is_empty() {
                continue;
            }
            let (pods, argv) = match about["pod"].as_str() {
                Some(pod) => {
                    if !self.probe_pods.iter().any(|known| known == pod) {
                        self.probe_pods.push(pod.to_owned());
                    }
                    (Pods::named(pod), Argv::SameQuestion(argv))
                }
                None if kind.starts_with("pod-") => continue,
                None => (Pods::agent(node), Argv::Prefix(argv)),
            };
            // The counters of dropped packets are read twice.
            let later = (name == "drop-metrics.2").then(Arc::default);
            self.execs.push(ExecRule { pods, argv, reply: reply(&about, stdout), later });
        }
        self.hide_logs_that_were_not_saved(node);
    }

    /// An empty log would be an answer, and there was none.
    fn hide_logs_that_were_not_saved(&mut self, node: &str) {
        let agents = Pods::agent(node);
        let name = |pod: &Value, key: &str| pod["metadata"][key].as_str().unwrap_or_default().to_owned();
        let names =
            self.pods.iter().filter(|pod| agents.fit(pod)).map(|pod| (name(pod, "namespace"), name(pod, "name")));
        for (namespace, pod) in names.filter(|key| !self.logs.contains_key(key)).collect::<Vec<_>>() {
            let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log");
            self.fault(Fault::new(&path, FaultKind::Forbidden("viewer".to_owned())));
        }
    }

    fn log_of(&mut self, node: &str, log: &[u8]) {
        let agents = Pods::agent(node);
        for pod in self.pods.iter().filter(|pod| agents.fit(pod)) {
            let name = |key: &str| pod["metadata"][key].as_str().unwrap_or_default().to_owned();
            self.logs.insert((name("namespace"), name("name")), String::from_utf8_lossy(log).into_owned());
        }
    }
}

/// Moves all times of the cluster's objects to where they would be if the bundle were saved now: an agent that had
/// just started then has just started in the live cluster.
fn make_younger(value: &mut Value, age: Duration) {
    match value {
        Value::String(text) => {
            if let Some(moment) = time::moment(text) {
                *text = format!("{:.0}", moment + age);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| make_younger(item, age)),
        Value::Object(fields) => fields.values_mut().for_each(|field| make_younger(field, age)),
        _ => {}
    }
}

fn reply(about: &Value, stdout: Vec<u8>) -> ExecReply {
    let end = match about["error"]["kind"].as_str() {
        None => End::Exit(about["exit_code"].as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(0)),
        Some("timeout") => End::Silence,
        Some("truncated") => End::CloseWithoutStatus,
        Some("not-found" | "no-shell") => End::MissingBinary,
        Some("forbidden") => {
            let message = "pods \"saved\" is forbidden: User \"viewer\" cannot get resource \"pods/exec\" in API group \
                           \"\" in the namespace \"kube-system\"";
            End::Refused(Answer::failure(403, "Forbidden", message, json!({"name": "saved", "kind": "pods"})))
        }
        Some("unreachable") => {
            let message = "error dialing backend: dial tcp 10.77.0.13:10250: connect: connection refused";
            End::Refused(Answer::failure(500, "", message, Value::Null))
        }
        Some(_) => End::RuntimeError(about["error"]["message"].as_str().unwrap_or_default().to_owned()),
    };
    ExecReply::ends(stdout, end).stderr(about["stderr"].as_str().unwrap_or_default())
}

/// The names in a folder, sorted; none where there is no folder.
fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn read_json(path: &Path) -> Option<Value> {
    let text = fs::read(path).ok()?;
    Some(serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn read_output(folder: &Path, name: &str) -> Vec<u8> {
    if let Ok(bytes) = fs::read(folder.join(format!("{name}.out"))) {
        return bytes;
    }
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(folder.join(format!("{name}.out.gz"))) {
        flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes).expect("the output is gzip");
    }
    bytes
}
