//! What the whole page shows at every width.

use super::checks::word;
use super::details::MANY_PODS;
use super::*;
use crate::checks::BackendFigures;
use crate::report::text;
use crate::report::{CheckData, figures, sample};

const HOSTILE: &str = "evil\u{1b}[2J\n\u{202e}kubectl delete\u{9b}31m\u{200b}";
const COMMAND: &str = "kubectl --context=grigri delete pod cilium-swmbt -n kube-system";
const PLAIN: Style = Style { color: false, width: None, wide: false };

fn four() -> Report {
    sample::report(vec![sample::stale(), sample::other_fault(), sample::inconclusive(), sample::healthy("brno")])
}

fn widths_in_use() -> impl Iterator<Item = Style> {
    [None, Some(0), Some(40), Some(63), Some(64), Some(80), Some(110), Some(200), Some(u16::MAX)]
        .into_iter()
        .flat_map(|width| [false, true].map(|wide| Style { color: false, width, wide }))
}

/// Escapes taken out again: what the reader sees.
fn bleached(text: &str) -> String {
    text.split("\u{1b}[")
        .enumerate()
        .map(|(i, part)| if i == 0 { part } else { part.split_once('m').unwrap().1 })
        .collect()
}

#[test]
fn the_command_stands_last_whole_and_alone_at_every_width() {
    for style in widths_in_use() {
        let shown = render(&sample::report(vec![sample::stale()]), &style);
        let lines: Vec<_> = shown.lines().collect();
        // Then comes only the count.
        assert_eq!(lines[lines.len() - 3..], [COMMAND, "", "1 node: 1 stale"], "{style:?}");
        assert!(lines.contains(&"staledp diagnose --context=grigri --node prusik"));
        assert!(shown.contains("Risk of the repair: medium"));
    }
}

#[test]
fn lines_fit_the_screen_but_for_commands() {
    for style in widths_in_use().filter(|style| style.width.is_some()) {
        let columns = usize::from(style.width.unwrap_or_default().max(40));
        for line in render(&four(), &style).lines().filter(|l| !l.starts_with("kubectl") && !l.starts_with("staledp")) {
            assert!(text::width(line) <= columns, "{style:?}: {line}");
        }
    }
}

#[test]
fn without_a_screen_each_finding_has_one_line() {
    let report = four();
    let shown = render(&report, &PLAIN);
    let line_of = |parts: &[&str]| {
        let found = shown.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count();
        assert!(found > 0, "no line holds all of {parts:?}:\n{shown}");
    };
    for node in report.nodes.iter().filter(|node| node.verdict.kind != Kind::Healthy) {
        line_of(&[&node.verdict.summary]);
        for check in &node.checks {
            let figures = figures::of_check(check);
            let mut parts = vec![check.id.name(), word(check.status).0, check.summary.as_str()];
            parts.extend(figures.iter().map(String::as_str));
            line_of(&parts);
        }
        node.verdict.because.iter().for_each(|reason| line_of(&[&reason.check, &reason.says]));
        node.verdict.ruled_out.iter().for_each(|out| line_of(&[out.code.name(), &out.says]));
        node.verdict.open.iter().for_each(|open| line_of(&[open.code.name(), &open.says]));
        node.known_issues.iter().for_each(|issue| line_of(&[&issue.id, &issue.title, &issue.why]));
        node.affected.iter().take(MANY_PODS).for_each(|pod| line_of(&[&pod.pod, &pod.says]));
        node.notes.iter().for_each(|says| line_of(&[says]));
        let remedy = node.remediation.iter().flat_map(|remedy| &remedy.risk.because);
        remedy.for_each(|says| line_of(&[says]));
    }
}

#[test]
fn names_are_never_broken() {
    let mut node = sample::stale();
    let name = "ip-10-0-113-204.eu-central-1.compute.internal.a-rather-long-domain.example";
    node.node = name.to_owned();
    let report = sample::report(vec![node, sample::healthy(name)]);
    for style in widths_in_use() {
        let shown = render(&report, &style);
        assert!(shown.matches(name).count() >= 3, "{shown}");
    }
}

#[test]
fn colours_change_nothing_but_colours() {
    for width in [40, 80, 200] {
        let plain = render(&four(), &Style { width: Some(width), ..PLAIN });
        let color = render(&four(), &Style { width: Some(width), color: true, wide: false });
        assert!(!plain.contains('\u{1b}'));
        assert!(color.contains('\u{1b}'));
        assert_eq!(bleached(&color), plain);
    }
    // A colour ends with its word.
    let color = render(&four(), &Style { color: true, width: Some(80), wide: false });
    assert!(color.contains("✓ pass\u{1b}[0m  the node reaches"), "{color}");
    assert!(color.contains("✗ stale-datapath\u{1b}[0m  "), "{color}");
}

/// Every text in the figures of a check.
fn hostile_figures(data: &mut CheckData) {
    let evil = || HOSTILE.to_owned();
    match data {
        CheckData::HostPing(data) => data.target = evil(),
        CheckData::PodEgress(data) => {
            for probe in &mut data.probes {
                (probe.pod, probe.namespace, probe.tool) = (evil(), evil(), Some(evil()));
            }
        }
        CheckData::DnsConntrack(data) => {
            data.address = evil();
            for source in &mut data.sources {
                (source.address, source.namespace, source.pod) = (evil(), Some(evil()), Some(evil()));
            }
        }
        CheckData::ExternalConntrack(data) => data.prefixes = vec![evil()],
        CheckData::DnsBackends(data) => {
            (data.service, data.address, data.row_type) = (Some(evil()), Some(evil()), Some(evil()));
            data.by_protocol.insert(evil(), BackendFigures { realized: 0, expected: 1 });
        }
    }
}

#[test]
fn hostile_strings_do_nothing() {
    let evil = || HOSTILE.to_owned();
    let mut node = sample::stale();
    node.node = evil();
    node.verdict.summary = evil();
    node.verdict.because[0].says = evil();
    node.verdict.because[0].check = evil();
    node.verdict.ruled_out[0].says = evil();
    node.affected[0].pod = evil();
    node.notes = vec![evil()];
    node.advice = vec![evil()];
    node.known_issues[0].title = evil();
    node.cilium.pod = Some(evil());
    node.cilium.version = Some(evil());
    for check in &mut node.checks {
        check.summary = evil();
        check.reason = Some(evil());
        hostile_figures(&mut check.data);
    }
    let remedy = node.remediation.as_mut().unwrap();
    remedy.commands = vec![evil()];
    remedy.verify = vec![evil()];
    remedy.risk.because = vec![evil()];
    let mut report = sample::report(vec![node.clone(), node]);
    report.source.context = Some(evil());
    report.generated_at = evil();
    for style in widths_in_use() {
        let shown = render(&report, &style);
        assert!(shown.chars().all(|c| c == '\n' || text::shows(c)), "{shown}");
        assert!(!shown.lines().any(|line| line.starts_with("kubectl")), "{shown}");
        assert!(shown.contains("\\x1b[2J\\n\\u{202e}kubectl"));
    }
}

#[test]
fn another_fault_forbids_the_restart_even_where_a_command_slipped_in() {
    let mut node = sample::other_fault();
    node.remediation = sample::stale().remediation;
    let shown = render(&sample::report(vec![node]), &PLAIN);
    assert!(shown.contains("Do not restart the Cilium pod"));
    assert!(shown.contains("uplink"));
    assert!(!shown.contains("kubectl"));
}

#[test]
fn look_alike_that_could_not_be_looked_at_is_open_and_not_ruled_out() {
    let shown = render(&sample::report(vec![sample::stale()]), &PLAIN);
    let (ruled_out, open) = shown.split_once("Open\n").unwrap();
    assert!(ruled_out.contains("node-local-dns-down"));
    assert!(open.contains("datapath-programs-duplicated: attached-programs is missing"));
}

#[test]
fn many_healthy_nodes_fold_into_a_line_unless_wide() {
    let mut nodes = vec![sample::stale()];
    nodes.extend((0..30).map(|i| sample::healthy(&format!("node-{i:02}"))));
    let mut odd = sample::healthy("odd-one");
    odd.notes = vec!["two sockets point to pods that are gone".to_owned()];
    nodes.push(odd);
    let report = sample::report(nodes);
    let shown = render(&report, &PLAIN);
    assert!(shown.contains("✓ 31 healthy nodes: -o wide lists them"));
    assert!(!shown.contains("node-07"));
    assert!(shown.contains("odd-one: two sockets point to pods that are gone"));
    assert!(shown.ends_with("\n32 nodes: 1 stale, 31 healthy\n"));
    assert!(render(&report, &Style { wide: true, ..PLAIN }).contains("node-07"));
}

#[test]
fn twenty_nodes_are_listed_one_by_one() {
    let report = sample::report((0..20).map(|i| sample::healthy(&format!("node-{i:02}"))).collect());
    let shown = render(&report, &PLAIN);
    assert!(shown.contains("node-00") && shown.contains("node-19"));
    assert!(!shown.contains("Packets=0"), "no details of healthy nodes");
}

#[test]
fn sources_are_listed_where_nothing_is_folded() {
    let report = sample::report(vec![sample::stale()]);
    let wide = render(&report, &Style { wide: true, ..PLAIN });
    let line = "  loki/vector-agent-p7vxd (10.42.0.17): 0 answered, 1800 never, 17 no longer\n";
    assert!(wide.contains(line), "{wide}");
    assert!(wide.contains("  10.42.0.23: 0 answered, 414 never, 0 no longer\n"));
    assert!(!render(&report, &PLAIN).contains("DNS flows by source"));
}

#[test]
fn an_empty_report_says_so() {
    let shown = render(&sample::report(vec![]), &PLAIN);
    assert!(shown.ends_with("0 nodes: nothing to judge\n"));
}

/// Shows the samples to a person: `W=80 C=1 cargo test --lib look -- --ignored --nocapture`.
#[test]
#[ignore = "for eyes, not for machines"]
fn look_at_it() {
    let var = |name: &str| std::env::var(name).ok();
    let width = var("W").and_then(|w| w.parse().ok());
    let style = Style { color: var("C").is_some(), width, wide: var("WIDE").is_some() };
    let report = if var("ONE").is_some() { sample::report(vec![sample::stale()]) } else { four() };
    println!("{}", render(&report, &style));
}
