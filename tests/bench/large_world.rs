//! A large cluster for benchmarks: nodes in good health, each with 30 pods.

use std::time::Duration;

use serde_json::Value;

use super::support::scenes::{Health, Scene, answered_lookup};
use super::support::world::{ExecReply, Kubelet, Output, Pods, World};

/// The dump's command.
pub(crate) const DUMP: [&str; 5] = ["cilium-dbg", "bpf", "ct", "list", "global"];
/// The pods of a node: its agent, NodeLocal DNS, and others with an address of their own.
pub(crate) const PODS: u32 = 30;
/// How long a command in a pod takes.
const ANSWER: Duration = Duration::from_millis(50);

/// A cluster of this many nodes, all in good health, of which the first `dead` never answer.
pub(crate) fn fleet(count: u32, lines: u64, dead: u32) -> World {
    let model = Scene::new(&[("zulu", Health::Fine)]).world();
    let of_model = |pod: &&Value| {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        ["cilium-zulu", "nodelocaldns-1", "web-1"].contains(&name)
    };
    let mut world = World { services: model.services.clone(), ..World::default() };
    world.endpoint_slices.clone_from(&model.endpoint_slices);
    for n in 0..count {
        let name = format!("node-{n:04}");
        let renamed = |object: &Value| -> Value {
            let text = object.to_string();
            let text = text.replace("zulu", &name).replace("nodelocaldns-1", &format!("nodelocaldns-{n}"));
            let text = text.replace("web-1", &format!("web-{n}")).replace("10.42.1.", &format!("{}.", subnet(n)));
            let host = format!("192.168.{}.{}", 10 + n / 200, 20 + n % 200);
            serde_json::from_str(&text.replace("192.168.10.21", &host)).expect("it was JSON")
        };
        world.nodes.extend(model.nodes.iter().map(renamed));
        let pods: Vec<Value> = model.pods.iter().filter(of_model).map(renamed).collect();
        let web = pods.iter().find(|pod| pod["metadata"]["name"] == format!("web-{n}")).expect("a pod").clone();
        world.pods.extend(pods);
        world.pods.extend((3..PODS).map(|more| {
            let text = web.to_string().replace(&format!("web-{n}"), &format!("web-{n}-{more}"));
            let text = text.replace(&format!("{}.10", subnet(n)), &format!("{}.{}", subnet(n), 10 + more));
            serde_json::from_str(&text).expect("it was JSON")
        }));
        let line = move |i| answered_lookup(i).replace("10.42.1.", &format!("{}.", subnet(n)));
        let dump = ExecReply::prints(Output::lines(lines, line)).delayed(ANSWER);
        world.on_exec(Pods::agent(&name), &DUMP, dump);
        if n < dead {
            world.kubelet(&name, Kubelet::Frozen);
        }
    }
    // What every pod says; the last rule that fits wins, so these are found first.
    for rule in model.execs.iter().filter(|rule| !rule.argv.fits(&DUMP.map(str::to_owned))) {
        let mut rule = rule.clone();
        rule.pods = Pods::Any;
        rule.reply = rule.reply.delayed(ANSWER);
        world.execs.push(rule);
    }
    world
}

/// The pods of a node, by their first three parts.
pub(crate) fn subnet(n: u32) -> String {
    format!("10.{}.{}", 64 + n / 256, n % 256)
}
