//! What a page holds, whatever the world put into the report: it parses, nothing in it runs or is loaded, and no figure is
//! missing.

use html5gum::{Token, Tokenizer};

use super::*;
use crate::report::sample;
use crate::report::ways::{LastAnswer, WayFigures};
use crate::rules::verdict::Cause;
use crate::symptoms::{Symptom, SymptomKind};
use crate::ways::life::Life;

const HOSTILE: &str =
    "</pre><script>alert(1)</script><img src=x onerror=\"alert('x')\">&lt;\u{1b}[2J\u{202e}\u{0}\" onload=\"x";

/// Elements that have no end.
const VOID: [&str; 3] = ["meta", "br", "hr"];

/// Elements that a page is made of; anything else came from outside.
const OURS: [&str; 38] = [
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "header",
    "main",
    "footer",
    "section",
    "div",
    "figure",
    "figcaption",
    "h1",
    "h2",
    "h3",
    "p",
    "ul",
    "ol",
    "li",
    "span",
    "strong",
    "code",
    "pre",
    "time",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "svg",
    "g",
    "rect",
    "line",
    "polygon",
    "circle",
    "text",
];

fn way(name: &str, life: Life, answered: u32, unanswered: u32) -> WayFigures {
    WayFigures {
        way: name.to_owned(),
        label: format!("pods by {name}"),
        life,
        answered,
        unanswered,
        pods_answered: 1,
        pods_unanswered: 2,
        last_answer: None,
    }
}

fn stale() -> NodeReport {
    let mut node = sample::stale();
    node.ways = vec![
        WayFigures { label: "pods to node-local DNS".to_owned(), ..way("dns", Life::Dead, 0, 65) },
        way("dns-upstream", Life::Alive, 44, 0),
        way("world", Life::Mixed, 12_345, 20),
        way("pod-to-host", Life::Dead, 1, 30),
        way("host-to-pod", Life::Alive, 17, 0),
        way("pod-to-pod-here", Life::Unseen, 2, 0),
        way("across-out", Life::Alive, 51, 1),
        way("across-in", Life::Alive, 6, 0),
        way("host-to-world", Life::Alive, 8, 0),
        way("host-to-cluster", Life::Alive, 9, 0),
    ];
    node.last_answers = vec![LastAnswer {
        namespace: Some("shop".to_owned()),
        pod: Some("cart-0".to_owned()),
        address: "10.42.1.7".to_owned(),
        answered: 0,
        unanswered: 3,
        last_answer: Some("2026-06-06T11:31:00Z".to_owned()),
    }];
    node.symptoms = vec![Symptom {
        kind: SymptomKind::ProbeFailures,
        pod: Some("vault-0".to_owned()),
        count: 90,
        first: Some("2026-06-05T12:59:19Z".to_owned()),
        last: Some("2026-06-06T11:59:19Z".to_owned()),
        ..Symptom::default()
    }];
    node
}

/// The page's text and the values of attributes, after checking that it is well formed and that nothing in it can run or
/// load anything.
fn read(page: &str) -> String {
    let mut open: Vec<String> = Vec::new();
    let mut all = String::new();
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for token in Tokenizer::new(page) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                let name = lossy(&tag.name);
                // `title` of an SVG is one, too.
                assert!(OURS.contains(&name.as_str()), "an element that no page has: {name}");
                for (key, value) in &tag.attributes {
                    let (key, value) = (lossy(key), lossy(value));
                    assert!(
                        !key.starts_with("on") && !["style", "src", "href", "xlink:href"].contains(&key.as_str()),
                        "{key}"
                    );
                    all += &(value + "\n");
                }
                if !VOID.contains(&name.as_str()) {
                    open.push(name);
                }
            }
            Token::EndTag(tag) => assert_eq!(open.pop(), Some(lossy(&tag.name)), "elements are closed in order"),
            Token::String(text) => all += &lossy(&text),
            Token::Error(error) => panic!("it does not parse: {error:?}"),
            Token::Comment(_) | Token::Doctype(_) => {}
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    assert!(page.chars().all(|c| c == '\n' || shows(c)), "nothing steers a screen");
    for elsewhere in ["http:", "https:", "//", "url(", "@import", "<script", "<link", "<iframe"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    assert!(page.contains("content=\"default-src 'none'; style-src 'sha256-"));
    all
}

#[test]
fn page_has_each_node_with_its_verdict_and_each_way_with_its_figures() {
    let report = sample::report(vec![stale(), sample::other_fault(), sample::inconclusive(), sample::healthy("brno")]);
    let text = read(&render(&report));
    for node in &report.nodes {
        assert!(text.contains(&node.node) && text.contains(node.verdict.code.name()), "{}", node.node);
    }
    for says in [
        "✗ 0/65",
        "✓ 44/44",
        "! 12k/12k",
        "among themselves ? 2/2",
        "pods by across-out: 51 of 52 flows answered; without answer: 2 pods",
        "✗ marks where the verdict places the fault.",
        "last answer to cart-0",
        "90 failed probes of vault-0 within 23 hours, the last",
        "2026-06-06 11:31:00",
        "node prusik",
        "staledp fix --context=grigri --node prusik",
        "1 stale",
    ] {
        assert!(text.contains(says), "{says:?} is not in:\n{text}");
    }
}

#[test]
fn only_a_stale_node_has_commands() {
    let mut other = sample::other_fault();
    other.remediation = sample::stale().remediation;
    let text = read(&render(&sample::report(vec![other])));
    assert!(!text.contains("staledp fix") && text.contains("uplink"), "{text}");
}

#[test]
fn hostile_texts_are_text() {
    let evil = || HOSTILE.to_owned();
    let mut node = stale();
    node.node = evil();
    node.context = Some(evil());
    node.verdict.summary = evil();
    node.verdict.confidence_because = vec![evil()];
    node.verdict.because[0].says = evil();
    node.verdict.because[0].check = evil();
    node.verdict.cause = Some(Cause {
        what: evil(),
        name: evil(),
        on: Some(evil()),
        key: Some(evil()),
        expected: Some(evil()),
        found: Some(evil()),
        since: Some("2026-06-06T11:00:00Z".to_owned()),
        evidence: evil(),
    });
    node.advice = vec![evil()];
    node.notes = vec![evil()];
    node.known_issues[0].title = evil();
    node.cilium.started_at = Some(evil());
    node.affected[0].pod = evil();
    for way in &mut node.ways {
        way.label = evil();
    }
    node.last_answers[0].pod = Some(evil());
    node.symptoms[0].pod = Some(evil());
    for check in &mut node.checks {
        check.summary = evil();
    }
    let remedy = node.remediation.as_mut().unwrap();
    (remedy.fix, remedy.keep, remedy.risk.because) = (vec![evil()], vec![evil()], vec![evil()]);
    let mut report = sample::report(vec![node]);
    report.source.context = Some(evil());
    report.source.path = Some(evil());
    report.generated_at = evil();
    report.partial = true;
    report.partial_reason = Some(evil());
    report.notes = vec![evil()];
    let page = render(&report);
    let text = read(&page);
    assert!(text.matches("<script>alert(1)</script>").count() > 20, "it is shown as text");
    assert!(!page.contains("<script>") && !page.contains("<img"));
}

#[test]
fn page_of_many_nodes_is_small_and_says_what_it_leaves_out() {
    let named = |mut node: NodeReport, i: usize| {
        node.node = format!("node-{i:04}");
        node
    };
    let nodes = (0..1_500).map(|i| named(if i % 3 == 0 { sample::other_fault() } else { sample::healthy("x") }, i));
    let mut nodes: Vec<NodeReport> = nodes.collect();
    nodes.sort_by_key(|node| node.verdict.kind);
    let page = render(&sample::report(nodes));
    let text = read(&page);
    assert!(page.len() < 1 << 20, "{} bytes", page.len());
    assert!(text.contains("The same verdict on 499 more nodes: ") && text.contains("800 more nodes are healthy."));
}

#[test]
fn node_without_a_conntrack_table_is_drawn_without_figures() {
    let mut node = sample::inconclusive();
    node.ways.clear();
    let text = read(&render(&sample::report(vec![node])));
    assert!(text.contains("No conntrack table was read, so no way has figures."), "{text}");
}
