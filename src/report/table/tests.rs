//! What the whole page shows at every width.

use super::checks::word;
use super::details::MANY_PODS;
use super::*;
use crate::checks::BackendFigures;
use crate::report::text;
use crate::report::ways::WayFigures;
use crate::report::{CheckData, figures, sample};
use crate::rules::verdict::Cause;
use crate::ways::life::Life;

const HOSTILE: &str = "evil\u{1b}[2J\n\u{202e}kubectl delete\u{9b}31m\u{200b}";
const COMMAND: &str = "kubectl --context=grigri delete pod cilium-swmbt -n kube-system";
const PLAIN: Style = Style { color: false, width: None, headers: true, wide: false };

fn four() -> Report {
    sample::report(vec![sample::stale(), sample::other_fault(), sample::inconclusive(), sample::healthy("brno")])
}

fn widths_in_use() -> impl Iterator<Item = Style> {
    [None, Some(0), Some(40), Some(63), Some(64), Some(80), Some(110), Some(200), Some(u16::MAX)]
        .into_iter()
        .flat_map(|width| [false, true].map(|wide| Style { width, wide, ..PLAIN }))
}

/// Escapes taken out again: what the reader sees.
fn bleached(text: &str) -> String {
    text.split("\u{1b}[")
        .enumerate()
        .map(|(i, part)| if i == 0 { part } else { part.split_once('m').unwrap().1 })
        .collect()
}

/// The lines with commands, in their order.
fn commands(shown: &str) -> Vec<&str> {
    shown.lines().filter(|line| line.starts_with("kubectl ") || line.starts_with("staledp ")).collect()
}

#[test]
fn stale_node_ends_with_its_commands_in_order_whole_and_alone_at_every_width() {
    for style in widths_in_use() {
        let shown = render(&sample::report(vec![sample::stale()]), &style);
        let right = [
            "staledp capture --context=grigri --node prusik evidence-prusik",
            "staledp fix --context=grigri --node prusik",
            COMMAND,
            "kubectl --context=grigri get pods -n kube-system -l k8s-app=cilium --field-selector spec.nodeName=prusik",
            "staledp diagnose --context=grigri --node prusik",
        ];
        assert_eq!(commands(&shown), right, "{style:?}");
        // Then comes only the count.
        assert!(shown.ends_with(&format!("{}\n\n1 node: 1 stale\n", right[4])), "{shown}");
        let risk = shown.find("Risk of the restart: medium").unwrap();
        assert!(shown.rfind("endless").is_some_and(|why| risk < why), "{shown}");
        assert!(risk < shown.find("staledp fix --context").unwrap(), "the risk stands before what carries it");
        assert!(!shown.contains("old: diagnose again"));
    }
}

#[test]
fn ways_of_a_stale_node_are_at_most_six_lines_with_the_dead_ones_first() {
    let way = |label: &str, life: Life, answered: u32, unanswered: u32| WayFigures {
        way: "world".to_owned(),
        label: label.to_owned(),
        life,
        answered,
        unanswered,
        pods_answered: 1,
        pods_unanswered: 1,
        last_answer: None,
    };
    let mut node = sample::stale();
    node.ways = vec![way("pods to x", Life::Alive, 5, 0), way("pods to node-local DNS", Life::Dead, 0, 65)];
    node.ways.extend((0..6).map(|i| way(&format!("way {i}"), Life::Unseen, 1, 0)));
    let shown = render(&sample::report(vec![node.clone()]), &Style { width: Some(80), ..PLAIN });
    let (_, ways) = shown.split_once("WAY                     STATE      FLOWS ANSWERED\n").expect("the ways");
    let lines: Vec<&str> = ways.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(lines[0], "pods to node-local DNS  ✗ dead     0 of 65");
    assert_eq!(lines[1], "pods to x               ✓ alive    5 of 5");
    assert_eq!((lines.len(), lines[2]), (6, "way 0                   ? too few  1 of 1"));
    let narrow = render(&sample::report(vec![node.clone()]), &Style { width: Some(40), ..PLAIN });
    assert!(narrow.contains("✗ dead\n  pods to node-local DNS: 0 of 65 flows"), "{narrow}");
    let without = render(&sample::report(vec![node.clone()]), &Style { headers: false, ..PLAIN });
    assert!(!without.contains("FLOWS ANSWERED") && without.contains("\npods to x "), "{without}");
    // Only a stale node has them: for others they would be read as the reason.
    node.verdict = sample::other_fault().verdict;
    assert!(!render(&sample::report(vec![node]), &PLAIN).contains("FLOWS ANSWERED"));
}

#[test]
fn overview_has_the_same_columns_at_every_width_that_holds_it() {
    let report = four();
    let head = |style: &Style| {
        let shown = render(&report, style);
        let head = shown.lines().find(|line| line.starts_with("NODE ")).map(str::to_owned);
        head.map(|head| head.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    };
    let mut seen = 0;
    for style in widths_in_use() {
        let Some(columns) = head(&style) else { continue };
        assert_eq!(columns, ["NODE", "VERDICT", "HOST", "POD-EGRESS", "DNS", "BACKENDS"], "{style:?}");
        seen += 1;
    }
    assert!(seen > 6 && head(&Style { width: Some(200), ..PLAIN }).is_some(), "{seen}");
}

#[test]
fn gentle_remedy_comes_after_the_evidence_and_before_the_restart() {
    let mut node = sample::stale();
    let gentle = "kubectl --context=grigri delete pod web-7d9c -n shop";
    node.remediation.as_mut().unwrap().gentle = vec![gentle.to_owned()];
    let shown = render(&sample::report(vec![node]), &PLAIN);
    assert_eq!(commands(&shown)[1], gentle);
    assert!(shown.contains("\n3. Only if the pod's replacement on this node fails too: restart"), "{shown}");
}

#[test]
fn commands_on_old_evidence_stand_below_the_advice_to_diagnose_again() {
    let mut report = sample::report(vec![sample::stale()]);
    report.source.age_s = Some(15_000_000);
    let shown = render(&report, &PLAIN);
    assert!(shown.starts_with("context grigri · 1 node · captured 2026-06-06 11:59 UTC, 5 months ago\n"), "{shown}");
    let advice = shown.find("This evidence is 5 months old: diagnose again before you act.").unwrap();
    assert!(advice < shown.find("staledp capture").unwrap());
    report.source.context = None;
    assert!(render(&report, &PLAIN).contains("The evidence names no context"));
}

#[test]
fn broken_thing_and_reasons_for_the_confidence_stand_below_the_summary() {
    let mut node = sample::stale();
    node.verdict.confidence = Some(Confidence::Medium);
    node.verdict.confidence_because = vec!["1 piece of evidence is missing (attached-programs)".to_owned()];
    node.verdict.cause = Some(Cause {
        what: "map".to_owned(),
        name: "cilium_lxc".to_owned(),
        on: None,
        key: Some("10.0.0.1".to_owned()),
        expected: Some("7".to_owned()),
        found: Some("9".to_owned()),
        since: None,
        evidence: "map-get-lxc".to_owned(),
    });
    let shown = render(&sample::report(vec![node]), &PLAIN);
    let broken = "\nBroken: map cilium_lxc, key 10.0.0.1: expected 7, found 9 (map-get-lxc)\n";
    let medium =
        "\nMedium, because: 1 piece of evidence is missing (attached-programs); raised by: attached-programs\n";
    assert!(shown.contains(broken) && shown.contains(medium), "{shown}");
}

#[test]
fn inconclusive_node_has_no_confidence_but_what_would_settle_it() {
    let mut node = sample::inconclusive();
    let right = "`get` and `create` on `pods/exec` in namespace kube-system";
    for check in node.checks.iter_mut().filter(|check| check.reason.as_deref().is_some_and(|r| r.contains("exec"))) {
        check.missing_right = Some(right.to_owned());
    }
    let shown = render(&sample::report(vec![node]), &PLAIN);
    assert!(!shown.contains("confidence"), "{shown}");
    let first = format!("What would settle it\n  1. {right} (`staledp rbac diagnose` prints the role)\n");
    assert!(shown.contains(&first), "{shown}");
    assert!(shown.contains(&format!("Missing rights\n  - {right}: it costs 3 checks (dns-conntrack, ")), "{shown}");
    assert_eq!(shown.matches("no right to create").count(), 0, "{shown}");
}

#[test]
fn lines_fit_the_screen_except_commands() {
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
fn names_are_not_broken_at_any_width() {
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
fn colours_change_no_text() {
    for width in [40, 80, 200] {
        let plain = render(&four(), &Style { width: Some(width), ..PLAIN });
        let color = render(&four(), &Style { width: Some(width), color: true, ..PLAIN });
        assert!(!plain.contains('\u{1b}'));
        assert!(color.contains('\u{1b}'));
        assert_eq!(bleached(&color), plain);
    }
    // A colour ends with its word.
    let color = render(&four(), &Style { color: true, width: Some(80), ..PLAIN });
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
fn control_characters_are_escaped_and_cannot_begin_a_line() {
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
fn other_fault_shows_no_command_even_where_the_report_holds_one() {
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
fn many_nodes_with_one_verdict_are_one_screen_and_wide_shows_each() {
    let mut nodes: Vec<_> = (0..1_500)
        .map(|i| {
            let mut node = sample::other_fault();
            node.node = format!("node-{i:04}");
            node
        })
        .collect();
    nodes.insert(0, sample::stale());
    let report = sample::report(nodes);
    let shown = render(&report, &Style { width: Some(100), ..PLAIN });
    assert!(shown.lines().count() < 120, "{} lines:\n{shown}", shown.lines().count());
    let row = shown.lines().find(|line| line.starts_with("1500 nodes  ! ")).expect("a row of the group");
    assert!(row.contains(report.nodes[1].verdict.code.name()), "{row}");
    assert!(shown.contains("The same verdict on 1499 more nodes\n") && shown.contains("node-0001, "), "{shown}");
    assert!(
        shown.contains("\nprusik ") && shown.ends_with("\n1501 nodes: 1 stale, 1500 with another fault\n"),
        "{shown}"
    );
    assert!(!shown.contains("node-1499"));
    let wide = render(&report, &Style { width: Some(100), wide: true, ..PLAIN });
    assert!(wide.contains("\nnode-1499 ") && !wide.contains("The same verdict on"));
}

#[test]
fn few_nodes_with_one_verdict_are_shown_one_by_one() {
    let node = |i: usize| {
        let mut node = sample::other_fault();
        node.node = format!("node-{i}");
        node
    };
    let shown = render(&sample::report((0..5).map(node).collect()), &PLAIN);
    assert!((0..5).all(|i| shown.contains(&format!("\nnode-{i}  ! OTHER-FAULT"))), "{shown}");
}

#[test]
fn twenty_nodes_are_listed_one_by_one() {
    let report = sample::report((0..20).map(|i| sample::healthy(&format!("node-{i:02}"))).collect());
    let shown = render(&report, &PLAIN);
    assert!(shown.contains("node-00") && shown.contains("node-19"));
    assert!(!shown.contains("Packets=0"), "no details of healthy nodes");
}

#[test]
fn wide_lists_the_sources_of_dns_flows() {
    let report = sample::report(vec![sample::stale()]);
    let wide = render(&report, &Style { wide: true, ..PLAIN });
    let line = "  loki/vector-agent-p7vxd (10.42.0.17): 0 answered, 1800 never, 17 no longer\n";
    assert!(wide.contains(line), "{wide}");
    assert!(wide.contains("  10.42.0.23: 0 answered, 414 never, 0 no longer\n"));
    assert!(!render(&report, &PLAIN).contains("DNS flows by source"));
}

#[test]
fn report_without_nodes_has_nothing_to_judge() {
    let shown = render(&sample::report(vec![]), &PLAIN);
    assert!(shown.ends_with("0 nodes: nothing to judge\n"));
}

/// Shows the samples to a person: `W=80 C=1 cargo test --lib samples_for -- --ignored --nocapture`.
#[test]
#[ignore = "for eyes, not for machines"]
fn samples_for_a_reader() {
    let var = |name: &str| std::env::var(name).ok();
    let width = var("W").and_then(|w| w.parse().ok());
    let style = Style { color: var("C").is_some(), width, wide: var("WIDE").is_some(), ..PLAIN };
    let report = if var("ONE").is_some() { sample::report(vec![sample::stale()]) } else { four() };
    println!("{}", render(&report, &style));
}
