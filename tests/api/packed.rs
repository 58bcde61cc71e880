//! The dump on its way: compressed where the container can do it, plain where it can't, and never less than it was.

use std::time::Duration;

use serde_json::Value;

use crate::support::api::ApiServer;
use crate::support::packing::{Packing, packed};
use crate::support::run::{Outcome, staledp};
use crate::support::scenes::{Scene, answered_lookup};
use crate::support::world::{End, ExecReply, Output, Pods, World};

const DUMP: [&str; 5] = ["cilium-dbg", "bpf", "ct", "list", "global"];
const LINES: u64 = 20_000;

/// A healthy cluster whose dump on prusik has this many lines and this end.
fn world(packing: Packing, end: End) -> World {
    let mut world = World { packing, ..Scene::healthy().world() };
    world.on_exec(Pods::agent("prusik"), &DUMP, ExecReply::ends(Output::lines(LINES, answered_lookup), end));
    world
}

fn prusik(world: World, args: &[&str]) -> (ApiServer, Outcome) {
    let api = ApiServer::start(world);
    let path = api.kubeconfig();
    let path = path.path();
    let mut all = vec!["diagnose", "--kubeconfig", &path, "--no-ssh", "-o", "json", "--node", "prusik"];
    all.extend(args);
    let outcome = staledp(all).deadline(Duration::from_secs(120)).run();
    (api, outcome)
}

/// How often the dump was asked for compressed, and how often plainly.
fn asked(api: &ApiServer) -> (usize, usize) {
    let is_dump = |argv: &[String]| argv.join(" ").ends_with(&DUMP.join(" "));
    let dumps: Vec<_> = api.execs_on("prusik").into_iter().filter(|call| is_dump(&call.argv)).collect();
    let compressed = dumps.iter().filter(|call| packed(&call.argv).is_some()).count();
    (compressed, dumps.len() - compressed)
}

fn entries(outcome: &Outcome) -> Value {
    outcome.report().check("prusik", "dns-conntrack")["data"]["entries"].clone()
}

#[test]
fn a_dump_crosses_compressed_and_is_a_quarter_or_less() {
    let (api, outcome) = prusik(world(Packing::Gzip, End::Exit(0)), &["-v"]);
    let outcome = outcome.exits(0);
    assert_eq!(entries(&outcome), LINES);
    assert_eq!(asked(&api), (1, 0));
    let execs = api.execs_on("prusik");
    assert!(execs.len() <= 8, "{execs:#?}");
    assert!(api.most_execs_at_once("prusik") <= 4);
    let said = outcome.stderr.lines().find(|line| line.contains("fetched compressed")).expect("-v says it").to_owned();
    let figures: Vec<u64> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [crossed, became] = figures[..] else { panic!("two figures: {said}") };
    assert!(
        crossed * 4 <= became && became == (0..LINES).map(|n| answered_lookup(n).len() as u64).sum::<u64>(),
        "{said}"
    );
}

#[test]
fn no_compress_asks_plainly() {
    let (api, outcome) = prusik(world(Packing::Gzip, End::Exit(0)), &["--no-compress"]);
    assert_eq!(entries(&outcome.exits(0)), LINES);
    assert_eq!(asked(&api), (0, 1));
}

#[test]
fn what_can_not_compress_is_asked_plainly() {
    for packing in [Packing::NoGzip, Packing::NoShell, Packing::Passes, Packing::Cut(0), Packing::Cut(15)] {
        let (api, outcome) = prusik(world(packing, End::Exit(0)), &[]);
        assert_eq!(entries(&outcome.exits(0)), LINES, "{packing:?}");
        assert_eq!(asked(&api), (1, 1), "{packing:?}");
    }
}

#[test]
fn the_dumps_own_exit_status_is_kept() {
    let (_api, outcome) = prusik(world(Packing::Gzip, End::Exit(3)), &[]);
    let check = outcome.report().check("prusik", "dns-conntrack").clone();
    assert_eq!(check["status"], "unknown", "half a dump is no dump: {check:#}");
    assert!(check["reason"].as_str().is_some_and(|why| why.contains('3')), "{check:#}");
}

#[test]
fn a_cut_is_never_a_smaller_count() {
    for (packing, end) in [
        (Packing::Cut(40_000), End::Exit(0)),
        (Packing::Killed, End::Exit(0)),
        (Packing::Gzip, End::Drop),
        (Packing::Gzip, End::CloseWithoutStatus),
        (Packing::Gzip, End::Reset),
    ] {
        let what = format!("{packing:?} {end:?}");
        let (_api, outcome) = prusik(world(packing, end), &[]);
        let report = outcome.report();
        let check = report.check("prusik", "dns-conntrack");
        assert_eq!(check["status"], "unknown", "{what}: {check:#}");
        assert_eq!(report.code("prusik"), "evidence-truncated", "{what}");
    }
}

#[test]
fn an_older_agent_is_asked_compressed_by_its_older_name() {
    let mut older = world(Packing::Gzip, End::Exit(0));
    older.agent_tool = crate::support::world::AgentTool::CiliumOnly;
    let (_api, outcome) = prusik(older, &[]);
    assert_eq!(entries(&outcome.exits(0)), LINES);
}
