//! A reader of standard output that stalls: it holds up neither the nodes nor the end.

use std::time::Duration;

use crate::pipe::{end, full_pipe, send, wait_until_it_handles_signals};
use crate::support::api::ApiServer;
use crate::support::run::staledp;
use crate::support::scenes::{Health, Scene};
use crate::support::world::{ExecReply, Pods};

const PATIENCE: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(1);

#[test]
fn stalled_reader_of_live_jsonl_is_interrupted_by_the_first_signal_and_delays_no_node() {
    for signal in ["INT", "TERM"] {
        let mut world = Scene::new(&["brno", "prusik", "vienna"].map(|name| (name, Health::Fine))).world();
        // prusik hangs; vienna comes late, when brno's line waits for its reader already.
        world.on_exec(Pods::agent("prusik"), &["cilium-dbg", "bpf", "ct", "list", "global"], ExecReply::silent());
        let late = ExecReply::prints("").delayed(Duration::from_secs(1));
        world.on_exec(Pods::agent("vienna"), &["ping"], late);
        let api = ApiServer::start(world);
        let kubeconfig = api.kubeconfig();
        let path = kubeconfig.path();
        let args = ["diagnose", "--kubeconfig", &path, "--no-ssh", "--all-nodes", "-o", "jsonl", "--timeout", "50s"];
        let (writer, reader) = full_pipe();
        let (mut child, _home) = staledp(args).into_pipe(writer);
        wait_until_it_handles_signals(&child);
        // Of vienna everything is asked, though nobody has read brno's line.
        api.wait_until(PATIENCE, |requests| {
            let mut calls = requests.iter().filter_map(|request| request.exec.as_ref());
            calls.any(|call| call.node == "vienna" && call.argv.contains(&"service".to_owned()))
        });
        send(&child, signal);
        let (code, took) = end(&mut child, PATIENCE);
        assert_eq!(code, Some(130), "{signal}");
        assert!(took <= SOON, "{signal}: {took:?}");
        drop(reader);
    }
}

#[test]
fn stalled_reader_of_fix_is_interrupted_by_the_first_signal() {
    for format in ["table", "json", "jsonl", "yaml"] {
        let api = ApiServer::start(Scene::new(&[("prusik", Health::Fine), ("vienna", Health::Fine)]).world());
        let kubeconfig = api.kubeconfig();
        let path = kubeconfig.path();
        let args = ["fix", "--kubeconfig", &path, "--no-ssh", "--node", "prusik", "--yes", "-o", format];
        let (writer, reader) = full_pipe();
        let (mut child, _home) = staledp(args).into_pipe(writer);
        wait_until_it_handles_signals(&child);
        // A healthy node is refused at once, and the report waits for its reader.
        api.wait_until(PATIENCE, |requests| requests.iter().filter(|request| request.exec.is_some()).count() > 10);
        std::thread::sleep(Duration::from_secs(4));
        assert!(child.try_wait().expect("a child").is_none(), "{format}: it waits for its reader");
        send(&child, "TERM");
        let (code, took) = end(&mut child, PATIENCE);
        assert_eq!(code, Some(130), "{format}");
        assert!(took <= SOON, "{format}: {took:?}");
        assert!(api.writes().is_empty(), "{format}");
        drop(reader);
    }
}
