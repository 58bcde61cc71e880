//! Direct evidence: what names the broken program, map, mount, rule or agent, read from bundles that are written here.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "shared with other test crates, and none of them uses all of it")]
mod support;

use std::fs;

use serde_json::{Value, json};

use support::run::staledp;
use support::scenes::{Health, Scene};

/// Writes the output of one command into prusik's folder.
fn put(scene: &Scene, evidence: &str, out: &str) {
    put_ended(scene, evidence, out, 0, "");
}

fn put_ended(scene: &Scene, evidence: &str, out: &str, code: i32, stderr: &str) {
    put_at(scene, evidence, out, code, stderr, "2026-06-06T12:00:00Z");
}

fn put_at(scene: &Scene, evidence: &str, out: &str, code: i32, stderr: &str, at: &str) {
    let folder = scene.path().join("nodes/prusik");
    let about = json!({"argv": ["x"], "exit_code": code, "stderr": stderr, "started_at": at, "duration_ms": 90});
    fs::write(folder.join(format!("{evidence}.json")), about.to_string()).expect("a description");
    fs::write(folder.join(format!("{evidence}.out")), out).expect("an output");
}

fn judged(scene: &Scene) -> Value {
    let path = scene.path().display().to_string();
    let outcome = staledp(["diagnose", "-o", "json", "--from", &path]).run();
    outcome.report().node("prusik").clone()
}

fn code(scene: &Scene) -> String {
    judged(scene)["verdict"]["code"].as_str().expect("a code").to_owned()
}

/// A pod of prusik's with its address.
fn pod(scene: &Scene, name: &str) -> String {
    let pods: Value =
        serde_json::from_slice(&fs::read(scene.path().join("kube/pods.json")).expect("pods")).expect("JSON");
    let found = pods["items"].as_array().into_iter().flatten().find(|pod| pod["metadata"]["name"] == name);
    found.and_then(|pod| pod["status"]["podIP"].as_str()).expect("its address").to_owned()
}

fn status(attach: &str, socket_lb: &str) -> String {
    format!(
        "KVStore:                 Disabled   \n\
         Kubernetes:              Ok         1.34 (v1.34.2) [linux/amd64]\n\
         KubeProxyReplacement:    True   [ens3   192.0.2.11 (Direct Routing)]\n\
         Cilium:                  Ok   1.19.4 (v1.19.4-aaaa)\n\
         IPAM:                    IPv4: 3/254 allocated from 10.9.1.0/24, \n\
         Routing:                 Network: Tunnel [vxlan]   Host: BPF\n\
         Attach Mode:             {attach}\n\
         Device Mode:             veth\n\
         Masquerading:            BPF   [ens3]   10.9.1.0/24  [IPv4: Enabled, IPv6: Disabled]\n\
         Controller Status:       20/20 healthy\n\
         KubeProxyReplacement Details:\n\
         \x20 Status:               True\n\
         \x20 Socket LB:            Enabled\n\
         \x20 Socket LB Coverage:   {socket_lb}\n\
         \x20 Devices:              ens3   192.0.2.11 (Direct Routing)\n"
    )
}

/// The endpoints web-1 and app-1-1 with their devices.
fn endpoints(scene: &Scene) -> String {
    let endpoint = |id: u32, name: &str, device: &str| {
        json!({"id": id, "status": {"external-identifiers": {"k8s-namespace": "apps", "k8s-pod-name": name},
               "identity": {"id": 9000 + id}, "state": "ready",
               "networking": {"addressing": [{"ipv4": pod(scene, name)}], "interface-index": id, "interface-name": device}}})
    };
    json!([endpoint(31, "web-1", "lxc0web"), endpoint(32, "app-1-1", "lxc0app")]).to_string()
}

fn programs(devices: &[&str]) -> String {
    let all = ["cilium_host", "ens3", "cilium_vxlan"].iter().chain(devices).zip(2..);
    let lines = all.flat_map(|(device, n)| {
        ["ingress", "egress"]
            .map(|way| format!("{device}({n}) tcx/{way} {} prog_id {n}1 link_id {n}2\n", program(device, way)))
    });
    format!("xdp:\n\ntc:\n{}\nflow_dissector:\n", lines.collect::<String>())
}

fn program(device: &str, way: &str) -> String {
    let side = if way == "ingress" { "from" } else { "to" };
    let what = match device {
        "cilium_host" => "host",
        "cilium_vxlan" => "overlay",
        device if device.starts_with("lxc") => "container",
        _ => "netdev",
    };
    format!("cil_{side}_{what}")
}

fn endpoint_rows(scene: &Scene, names: &[(&str, u32)]) -> String {
    let row = |(name, id): &(&str, u32)| {
        format!(
            "{}:0   id={id}   sec_id={}  flags=0x0000 ifindex={id}  mac=0A:00:00:00:00:{id} nodemac=0A:00:00:00:01:{id}  sync\n",
            pod(scene, name),
            9000 + id
        )
    };
    names.iter().map(row).collect()
}

#[test]
fn one_bare_pod_device_is_told_on_a_node_without_any_trouble() {
    let scene = Scene::healthy();
    put(&scene, "agent-status", &status("TCX", "Full"));
    put(&scene, "endpoint-list", &endpoints(&scene));
    put(&scene, "attached-programs", &programs(&["lxc0web", "lxc0app"]));
    assert_eq!(code(&scene), "healthy");
    put(&scene, "attached-programs", &programs(&["lxc0app"]));
    let node = judged(&scene);
    assert_eq!(node["verdict"]["code"], "datapath-programs-missing", "{node:#}");
    let cause = &node["verdict"]["cause"];
    assert_eq!((&cause["what"], &cause["on"]), (&json!("program"), &json!("lxc0web (apps/web-1)")));
    assert_eq!(node["affected"][0]["pod"], "web-1");
}

#[test]
fn what_the_listing_cannot_show_convicts_nobody() {
    let scene = Scene::healthy();
    put(&scene, "agent-status", &status("TCX", "Full"));
    put(&scene, "endpoint-list", &endpoints(&scene));
    // An older bpftool shows nothing of tcx.
    put(&scene, "attached-programs", "xdp:\n\ntc:\n\nflow_dissector:\n");
    assert_eq!(code(&scene), "healthy");
    // A pod that the cluster does not list was deleted meanwhile.
    put(&scene, "attached-programs", &programs(&["lxc0web", "lxc0app"]));
    put(&scene, "endpoint-list", &endpoints(&scene).replace("lxc0web", "lxc0other").replace("web-1", "web-77"));
    assert_eq!(code(&scene), "healthy");
    // One that is not ready yet has no program yet.
    put(&scene, "endpoint-list", &endpoints(&scene).replace("lxc0web", "lxc0new").replace("ready", "regenerating"));
    assert_eq!(code(&scene), "healthy");
    // Chained to another plugin, or with netkit, devices have other names or ways.
    put(&scene, "endpoint-list", &endpoints(&scene).replace("lxc0web", "lxc0new"));
    assert_eq!(code(&scene), "datapath-programs-missing");
    put(&scene, "agent-status", &status("TCX", "Full").replace("veth", "netkit"));
    assert_eq!(code(&scene), "healthy");
    // Half a list, or one of a command that failed.
    put(&scene, "agent-status", &status("TCX", "Full"));
    put_ended(&scene, "endpoint-list", &endpoints(&scene).replace("lxc0web", "lxc0new"), 1, "Error: x\n");
    assert_eq!(code(&scene), "healthy");
}

#[test]
fn the_watchdogs_line_names_the_pod_where_the_listing_is_an_old_tools() {
    let scene = Scene::healthy();
    put(&scene, "agent-status", &status("TCX", "Full"));
    put(&scene, "attached-programs", "xdp:\n\ntc:\n\nflow_dissector:\n");
    let line = |at: &str| {
        format!(
            "time={at} level=warn msg=\"Detected unexpected endpoint BPF program removal. Consider investigating\" \
             endpoints=map[31:apps/web-1] total=4\n"
        )
    };
    put(&scene, "agent-log", &line("2026-06-06T10:30:00Z"));
    assert_eq!(code(&scene), "healthy", "it looks every 30 s: an old line is of something that is mended");
    put(&scene, "agent-log", &format!("{}{}", line("2026-06-06T11:59:15Z"), line("2026-06-06T11:59:45Z")));
    let node = judged(&scene);
    assert_eq!(node["verdict"]["code"], "datapath-programs-missing", "{node:#}");
    assert_eq!(node["verdict"]["cause"]["since"], "2026-06-06T11:59:15Z");
    assert!(node["verdict"]["summary"].as_str().is_some_and(|says| says.contains("apps/web-1")), "{node:#}");
}

const KERNEL_HEAD: &str = "IP ADDRESS      LOCAL ENDPOINT INFO\n";
const AGENT_HEAD: &str = "Key   Value   State   Error\n";

#[test]
fn a_pod_that_the_kernels_table_lacks_is_named() {
    let scene = Scene::healthy();
    let agent = format!("{AGENT_HEAD}{}", endpoint_rows(&scene, &[("web-1", 31), ("app-1-1", 32)]));
    put(&scene, "map-get-lxc", &agent);
    put(
        &scene,
        "bpf-endpoint-list",
        &format!("{KERNEL_HEAD}{}", endpoint_rows(&scene, &[("web-1", 31), ("app-1-1", 32)])),
    );
    assert_eq!(code(&scene), "healthy");
    let lacks = format!("{KERNEL_HEAD}{}", endpoint_rows(&scene, &[("app-1-1", 32)]));
    put(&scene, "bpf-endpoint-list", &lacks);
    let node = judged(&scene);
    assert_eq!(node["verdict"]["code"], "stale-map", "{node:#}");
    let cause = &node["verdict"]["cause"];
    assert_eq!((&cause["name"], &cause["key"]), (&json!("cilium_lxc"), &json!(pod(&scene, "web-1"))));
    assert_eq!((&cause["found"], &node["affected"][0]["pod"]), (&json!("no entry"), &json!("web-1")));
    assert!(node["remediation"]["commands"][0].as_str().is_some_and(|command| command.contains("delete pod")));
    // An entry that the agent itself has not written yet is no difference.
    put(&scene, "map-get-lxc", &agent.replacen("sync", "insert", 1));
    assert_eq!(code(&scene), "healthy");
    put(&scene, "map-get-lxc", &agent);
    // A command that failed shows nothing.
    put_ended(&scene, "bpf-endpoint-list", &lacks, 1, "");
    assert_eq!(code(&scene), "healthy");
}

#[test]
fn a_wrong_tunnel_is_told_with_both_values_and_what_comes_and_goes_is_not() {
    let scene = Scene::new(&[("prusik", Health::Fine), ("brno", Health::Fine)]);
    let (own, far) = (pod(&scene, "web-1"), pod(&scene, "web-2"));
    let row =
        |ip: &str, tunnel: &str| format!("{ip}/32   identity=7011 encryptkey=0 tunnelendpoint={tunnel} flags=<none>\n");
    let rows = format!("{}{}", row(&own, "0.0.0.0"), row(&far, "192.0.2.12"));
    let head = "IP PREFIX/ADDRESS   IDENTITY\n";
    put(&scene, "map-get-ipcache", &format!("{AGENT_HEAD}{}", rows.replace("<none>", "<none>   sync")));
    put(&scene, "ipcache-list", &format!("{head}{rows}"));
    assert_eq!(code(&scene), "healthy");
    put(&scene, "ipcache-list", &format!("{head}{}", rows.replace("192.0.2.12", "192.0.2.99")));
    let node = judged(&scene);
    assert_eq!(node["verdict"]["code"], "stale-map", "{node:#}");
    let cause = &node["verdict"]["cause"];
    assert_eq!((&cause["key"], &cause["evidence"]), (&json!(far), &json!("ipcache-list")));
    let value = |key: &str| cause[key].as_str().unwrap_or_default().to_owned();
    assert!(value("expected").contains("192.0.2.12") && value("found").contains("192.0.2.99"), "{cause}");
    // A pod of another node came or went between the two readings.
    put(&scene, "ipcache-list", &format!("{head}{}", row(&own, "0.0.0.0")));
    assert_eq!(code(&scene), "healthy");
    // A pod of this node counts as another's, or as the world.
    put(&scene, "ipcache-list", &format!("{head}{}", row(&far, "192.0.2.12")));
    assert_eq!(code(&scene), "stale-map");
}

const COUNTERS: &str = r#"[{"reason": "Missed tail call", "direction": "ingress", "packets": PACKETS, "bytes": 9, "line": 7,
                            "file": "bpf_lxc.c"}]"#;

#[test]
fn tail_calls_that_are_missed_name_the_empty_map_and_its_pod() {
    let scene = Scene::healthy();
    put(&scene, "endpoint-list", &endpoints(&scene));
    put(&scene, "bpf-metrics", &COUNTERS.replace("PACKETS", "900"));
    let again = |packets: &str| {
        let text = COUNTERS.replace("PACKETS", packets);
        put_at(&scene, "bpf-metrics.2", &text, 0, "", "2026-06-06T12:00:06Z");
    };
    again("904");
    assert_eq!(code(&scene), "healthy", "a few are lost while programs are replaced");
    put(&scene, "calls-maps", "cilium_calls_00031 0\ncilium_calls_00032 10\ncilium_calls_hostns_00009 6\n");
    let node = judged(&scene);
    assert_eq!(node["verdict"]["code"], "datapath-programs-missing", "{node:#}");
    let cause = &node["verdict"]["cause"];
    assert_eq!((&cause["name"], &cause["on"]), (&json!("cilium_calls_00031"), &json!("apps/web-1")));
    // A listing of another form shows all maps as empty: then none is named.
    put(&scene, "calls-maps", "cilium_calls_00031 0\ncilium_calls_00032 0\n");
    assert_eq!(code(&scene), "healthy");
    again("960");
    assert_eq!(judged(&scene)["verdict"]["cause"]["name"], "cilium_calls");
    // An empty table says so on standard error.
    put_ended(&scene, "bpf-metrics", "", 0, "No entries found.\n");
    put_ended(&scene, "bpf-metrics.2", "", 0, "No entries found.\n");
    assert_eq!(code(&scene), "healthy");
}

fn tree(without: &str) -> String {
    let names = ["sock4_connect", "sock4_sendmsg", "sock4_recvmsg", "sock6_connect"];
    let rows = names.iter().zip(70..).filter(|(name, _)| **name != without);
    let rows: Vec<String> =
        rows.map(|(name, n)| format!("{n}       cgroup_{name} multi           cil_{name}\n")).collect();
    let rows = rows.concat();
    format!("CgroupPath\nID       AttachType      AttachFlags     Name\n/run/cilium/cgroupv2\n{rows}")
}

#[test]
fn a_socket_program_that_is_not_attached_is_named_where_the_agent_says_it_serves_all() {
    let scene = Scene::healthy();
    put(&scene, "agent-status", &status("TCX", "Full"));
    put(&scene, "cgroup-tree", &tree(""));
    assert_eq!(code(&scene), "healthy");
    put(&scene, "cgroup-tree", &tree("sock4_connect"));
    let node = judged(&scene);
    assert_eq!(node["verdict"]["code"], "service-translation-missing", "{node:#}");
    assert_eq!(node["verdict"]["cause"]["name"], "cil_sock4_connect");
    assert_eq!(node["remediation"], Value::Null);
    put(&scene, "agent-status", &status("TCX", "Hostns-only"));
    assert_eq!(code(&scene), "healthy", "pods' packets are translated one by one there");
}

#[test]
fn a_second_bpf_mount_explains_a_dump_that_cannot_be_opened() {
    let scene = Scene::healthy();
    let one = "2120 1953 0:44 / /sys/fs/bpf rw,relatime - bpf bpf rw\n";
    let two = format!("{one}2300 2120 0:611 / /sys/fs/bpf rw,relatime - bpf bpf rw\n");
    put_ended(&scene, "ct-list", "", 1, "Unable to open /sys/fs/bpf/tc/globals/cilium_ct4_global: no such file\n");
    put(&scene, "mounts", one);
    assert_eq!(code(&scene), "evidence-missing");
    put(&scene, "mounts", &two);
    let node = judged(&scene);
    assert_eq!(node["verdict"]["code"], "maps-not-visible", "{node:#}");
    assert_eq!(node["verdict"]["cause"]["on"], "/sys/fs/bpf");
}

fn firewall(rule: &str) -> String {
    format!(
        "*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:CILIUM_OUTPUT - [0:0]\n{rule}\
         -A OUTPUT -m comment --comment \"cilium-feeder\" -j CILIUM_OUTPUT\nCOMMIT\n"
    )
}

#[test]
fn a_rule_of_the_host_is_quoted_only_where_its_way_is_dead() {
    let scene = Scene::stale();
    let (net, _) =
        pod(&scene, "web-1").rsplit_once('.').map(|(net, last)| (net.to_owned(), last.to_owned())).expect("IPv4");
    let rule = format!("-A OUTPUT -d {net}.0/24 -o cilium_host -j DROP");
    put(&scene, "host-firewall", &firewall(""));
    assert_eq!(code(&scene), "stale-datapath");
    put(&scene, "host-firewall", &firewall(&format!("{rule}\n")));
    let node = judged(&scene);
    assert_eq!(node["verdict"]["code"], "host-firewall-drops", "{node:#}");
    assert!(node["verdict"]["cause"]["name"].as_str().is_some_and(|name| name.contains(&rule)), "{node:#}");
    assert_eq!(node["remediation"], Value::Null, "a restart does not help");
    let healthy = Scene::healthy();
    put(&healthy, "host-firewall", &firewall(&format!("{rule}\n")));
    assert_eq!(code(&healthy), "healthy", "host and pods hear each other");
}

#[test]
fn udp_that_dies_without_a_nat_table_is_no_healthy_node() {
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/udp-masquerade-broken/bundle");
    let bundle = tempfile::tempdir().expect("a folder");
    for folder in ["", "kube", "nodes/graz"] {
        fs::create_dir_all(bundle.path().join(folder)).expect("a folder");
        for entry in fs::read_dir(fixture.join(folder)).expect("a folder").flatten() {
            if entry.path().is_file() && !entry.file_name().to_string_lossy().starts_with("nat-list") {
                fs::copy(entry.path(), bundle.path().join(folder).join(entry.file_name())).expect("a copy");
            }
        }
    }
    let path = bundle.path().display().to_string();
    let judged = || staledp(["diagnose", "-o", "json", "--from", &path]).run().report().node("graz").clone();
    assert_eq!(judged()["verdict"]["code"], "udp-masquerade-broken", "it is typical of this kind of machine");
    let nodes = bundle.path().join("kube/nodes.json");
    let list = fs::read_to_string(&nodes).expect("the list of nodes");
    fs::write(&nodes, list.replace("arm64", "amd64").replace("meson64", "amd64")).expect("the list of nodes");
    let node = judged();
    assert_eq!(node["verdict"]["code"], "evidence-missing", "{node:#}");
    let open = node["verdict"]["open"].as_array().into_iter().flatten();
    assert!(open.clone().any(|open| open["settle"] == "nat-list"), "{node:#}");
}

/// The service table of the kernel with these backends of cluster DNS.
fn lb(backends: &[&str]) -> String {
    let row = |(n, ip): (usize, &&str)| format!("10.43.0.10:53/UDP ({n})   {ip}:53/UDP (3) ({n})\n");
    let rows: String = (1..).zip(backends).map(row).collect();
    format!("SERVICE ADDRESS     BACKEND ADDRESS (REVNAT_ID) (SLOT)\n{rows}")
}

#[test]
fn a_silent_agent_is_told_and_the_kernels_services_are_held_against_the_endpoints() {
    let scene = Scene::healthy();
    let no_socket =
        "Error: Cannot get services: dial unix /var/run/cilium/cilium.sock: connect: no such file or directory\n";
    for evidence in ["service-list", "agent-status", "endpoint-list"] {
        put_ended(&scene, evidence, "", 1, no_socket);
    }
    let slices: Value =
        serde_json::from_slice(&fs::read(scene.path().join("kube/endpointslices.json")).expect("slices"))
            .expect("JSON");
    let ready: Vec<&str> = slices["items"][0]["endpoints"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|endpoint| endpoint["addresses"][0].as_str())
        .collect();
    put(&scene, "lb-list", &lb(&ready));
    let node = judged(&scene);
    assert_eq!(node["verdict"]["code"], "evidence-missing", "{node:#}");
    let cause = &node["verdict"]["cause"];
    assert_eq!((&cause["what"], &cause["found"]), (&json!("agent"), &json!("no socket")));
    put(&scene, "lb-list", &lb(&["10.9.77.77", "10.9.77.78"]));
    let node = judged(&scene);
    assert_eq!(node["verdict"]["code"], "stale-service-map", "{node:#}");
    let summary = node["verdict"]["summary"].as_str().unwrap_or_default();
    assert!(summary.contains("10.9.77.77") && summary.contains(ready[0]), "{summary}");
}
