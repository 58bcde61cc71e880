//! Many nodes by SSH: one connection for each, and none waits for another's.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::api::{ApiServer, Kubeconfig};
use crate::support::run::{Run, staledp};
use crate::support::scenes::{Health, Scene};
use crate::support::sshd::{SSHD, directory, is_here, put_program};
use crate::support::world::{Kubelet, World};

const NODES: [&str; 3] = ["brno", "prusik", "vienna"];
const PING: &str = "#!/bin/sh\necho 'PING 1.1.1.1 (1.1.1.1) 56(84) bytes of data.'\necho '2 packets transmitted, 2 \
                    received, 0% packet loss, time 1001ms'\n";

fn world() -> World {
    Scene::new(&NODES.map(|name| (name, Health::Fine))).world()
}

/// A way to these nodes: a real sshd of its own at the other end of each connection, but for those that stay silent.
struct Ways {
    directory: TempDir,
}

impl Ways {
    /// None where there is no sshd.
    fn new(silent: &str) -> Option<Self> {
        if !is_here(SSHD) || !is_here("/usr/bin/ssh") {
            return None;
        }
        let directory = directory(&[("ping", PING)], true, "");
        let path = directory.path();
        let p = path.display();
        let script = format!(
            "#!/bin/sh\necho \"$1\" >>{p}/connections\n[ \"$1\" = \"{silent}\" ] && exec sleep 60\n\
             exec {SSHD} -i -f {p}/config -E {p}/log\n"
        );
        put_program(&path.join("way"), &script);
        let key = std::fs::read_to_string(path.join("host.pub")).expect("a key");
        std::fs::write(path.join("known"), format!("{} {key}", NODES.join(","))).expect("a file");
        Some(Self { directory })
    }

    fn diagnose(&self, kubeconfig: &Kubeconfig, format: &str) -> Run {
        let p = self.directory.path().display();
        let path = kubeconfig.path();
        let mut words = ["diagnose", "--kubeconfig", &path, "--all-nodes", "-o", format].map(str::to_owned).to_vec();
        for option in [
            format!("ProxyCommand={p}/way %h"),
            format!("UserKnownHostsFile={p}/known"),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            format!("IdentityFile={p}/user"),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
        ] {
            words.extend(["--ssh-option".to_owned(), option]);
        }
        staledp(words)
    }

    /// How often each node was connected to.
    fn connections(&self) -> BTreeMap<String, usize> {
        let text = std::fs::read_to_string(self.directory.path().join("connections")).unwrap_or_default();
        let mut connections = BTreeMap::new();
        text.lines().for_each(|node| *connections.entry(node.to_owned()).or_default() += 1);
        connections
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

/// From where the host's question was answered.
fn via(node: &Value) -> &Value {
    &node["checks"][0]["data"]["via"]
}

#[test]
fn each_node_is_connected_to_once_and_asked_few_commands() {
    let Some(ways) = Ways::new("nobody") else { return };
    let api = ApiServer::start(world());
    let outcome = ways.diagnose(&api.kubeconfig(), "json").run().exits(0);
    let report = outcome.report();
    for node in NODES {
        assert_eq!(via(report.node(node)), "ssh", "{:#}\n{}", report.node(node), ways.log());
        let calls = api.execs_on(node);
        assert!(calls.len() <= 8 && calls.iter().all(|call| !call.argv.contains(&"ping".to_owned())), "{calls:#?}");
    }
    assert_eq!(ways.connections(), NODES.map(|node| (node.to_owned(), 1)).into());
}

#[test]
fn a_node_whose_ssh_stays_silent_holds_up_no_other() {
    let Some(ways) = Ways::new("brno") else { return };
    let api = ApiServer::start(world());
    let kubeconfig = api.kubeconfig();
    let begun = Instant::now();
    let (mut child, _home) = ways.diagnose(&kubeconfig, "jsonl").by_hand();
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let nodes: Vec<(Value, Duration)> = lines
        .map(|line| (serde_json::from_str(&line.expect("text")).expect("JSON"), begun.elapsed()))
        .take_while(|(line, _): &(Value, Duration)| !line["node"].is_null())
        .collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let names: Vec<&str> = nodes.iter().filter_map(|(node, _)| node["node"].as_str()).collect();
    assert_eq!(names.len(), 3);
    assert_eq!(names[2], "brno", "the others come before it");
    let (brno, took) = &nodes[2];
    assert!(nodes[1].1 + Duration::from_secs(2) < *took, "and do not wait for it: {:?}, {took:?}", nodes[1].1);
    assert_eq!(via(brno), "agent-container", "{brno:#}");
    assert!(nodes[..2].iter().all(|(node, _)| via(node) == "ssh"), "{nodes:#?}\n{}", ways.log());
    assert_eq!(ways.connections(), NODES.map(|node| (node.to_owned(), 1)).into());
}

#[test]
fn one_node_that_is_dead_to_ssh_and_to_its_kubelet_costs_less_than_fifteen_seconds() {
    let Some(ways) = Ways::new("brno") else { return };
    let mut world = world();
    world.kubelet("brno", Kubelet::Frozen);
    let api = ApiServer::start(world);
    let outcome = ways.diagnose(&api.kubeconfig(), "json").run().exits(4);
    let report = outcome.report();
    assert_eq!(report.code("brno"), "evidence-missing");
    assert_eq!((report.code("prusik"), report.code("vienna")), ("healthy", "healthy"));
    let reason = report.check("brno", "host-ping")["reason"].to_string();
    assert!(reason.contains("ssh: brno") && reason.contains("the kubelet did not answer"), "{reason}");
    assert!(outcome.elapsed < Duration::from_secs(15), "with default settings: {:?}", outcome.elapsed);
}
