//! Missing rights and partial lists: each named once, with all that it costs, and where it weighs on the verdict.

use serde_json::Value;

use crate::support::api::ApiServer;
use crate::support::run::staledp;
use crate::support::scenes::Scene;
use crate::support::world::{Fault, FaultKind, World};

/// The report of prusik as JSON, and as a person reads it.
fn prusik(world: World) -> (Value, String) {
    let api = ApiServer::start(world);
    let kubeconfig = api.kubeconfig();
    let path = kubeconfig.path();
    let words = ["diagnose", "--kubeconfig", &path, "--no-ssh", "--node", "prusik"];
    let json = staledp([&words[..], &["-o", "json"]].concat()).run().report().node("prusik").clone();
    let text = staledp(words).run().stdout;
    (json, text)
}

fn open(node: &Value) -> &[Value] {
    node["verdict"]["open"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn right_to_read_logs_is_named_once_although_no_check_needs_it() {
    let mut world = Scene::stale().world();
    world.fault(Fault::new("*/log", FaultKind::Forbidden("viewer".to_owned())));
    let (node, text) = prusik(world);
    let right = "`get` on `pods/log` in namespace kube-system";
    let lacking: Vec<&str> = open(&node)
        .iter()
        .filter(|open| open["missing_right"] == right)
        .filter_map(|open| open["code"].as_str())
        .collect();
    assert!(lacking.contains(&"datapath-not-initialized"), "{:#}", node["verdict"]["open"]);
    let codes = lacking.join(", ");
    let noun = if lacking.len() == 1 { "look-alike" } else { "look-alikes" };
    let costs = format!("\nMissing rights\n  - {right}: it costs {} {noun} ({codes}).", lacking.len());
    assert!(text.contains(&costs), "{costs}\n{text}");
    assert!(text.contains("`staledp rbac diagnose` prints the role."), "{text}");
    assert_eq!(text.matches(right).count(), 1, "{text}");
    assert!(text.contains("not permitted, see Missing rights"), "{text}");
}

#[test]
fn partial_list_of_pods_is_named_where_it_keeps_a_look_alike_open() {
    let mut world = Scene::stale().world();
    world.fault(Fault::new("/api/v1/pods", FaultKind::Forbidden("viewer".to_owned())));
    let (node, text) = prusik(world);
    let part = "of the pods only those of namespace kube-system could be listed";
    let stuck = open(&node).iter().find(|open| open["code"] == "new-pods-stuck");
    let stuck = stuck.unwrap_or_else(|| panic!("{:#}", node["verdict"]));
    assert!(stuck["says"].as_str().is_some_and(|says| says.contains(part)), "{stuck:#}");
    let right = stuck["missing_right"].as_str().expect("the right that would make it whole");
    assert!(right.contains("pods") && text.contains(&format!("  - {right}: it costs ")), "{right}\n{text}");
}
