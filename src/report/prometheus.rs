//! The report as metrics in Prometheus' text format, for the textfile collector of the node exporter.

use std::fmt::Write as _;

use super::Report;
use crate::base::time;
use crate::knowledge::code::Kind;

/// The whole report. Each node has one verdict, whose value is 1.
#[must_use]
pub fn metrics(report: &Report) -> String {
    let mut out = String::new();
    let context = report.source.context.as_deref().unwrap_or_default();
    let label = |name: &str, value: &str| format!("{name}=\"{}\"", escaped(value));
    head(&mut out, "staledp_node_verdict", "The verdict on a node; the value is always 1.");
    for node in &report.nodes {
        let context = node.context.as_deref().unwrap_or(context);
        let verdict = &node.verdict;
        let confidence = verdict.confidence.map_or("", |confidence| confidence.name());
        let labels = [
            label("context", context),
            label("node", &node.node),
            label("kind", verdict.kind.name()),
            label("code", verdict.code.name()),
            label("confidence", confidence),
        ];
        let _ = writeln!(out, "staledp_node_verdict{{{}}} 1", labels.join(","));
    }
    head(&mut out, "staledp_node_check_status", "The status of a check of a node; the value is always 1.");
    for node in &report.nodes {
        let context = node.context.as_deref().unwrap_or(context);
        for check in &node.checks {
            let labels = [
                label("context", context),
                label("node", &node.node),
                label("check", check.id.name()),
                label("status", check.status.name()),
            ];
            let _ = writeln!(out, "staledp_node_check_status{{{}}} 1", labels.join(","));
        }
    }
    head(&mut out, "staledp_nodes", "How many nodes of which kind.");
    let summary = &report.summary;
    for (kind, count) in [
        (Kind::Stale, summary.stale),
        (Kind::OtherFault, summary.other_fault),
        (Kind::Inconclusive, summary.inconclusive),
        (Kind::Healthy, summary.healthy),
    ] {
        let _ = writeln!(out, "staledp_nodes{{{},{}}} {count}", label("context", context), label("kind", kind.name()));
    }
    head(&mut out, "staledp_report_partial", "Whether nodes are missing from the report or were not finished.");
    let _ = writeln!(out, "staledp_report_partial{{{}}} {}", label("context", context), u8::from(report.partial));
    if let Some(moment) = time::moment(report.source.captured_at.as_deref().unwrap_or(&report.generated_at)) {
        head(&mut out, "staledp_report_timestamp_seconds", "When the evidence was taken, in seconds since 1970.");
        let context = label("context", context);
        let _ = writeln!(out, "staledp_report_timestamp_seconds{{{context}}} {}", moment.as_second());
    }
    out
}

fn head(out: &mut String, name: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
}

/// A label's value: the format knows three escapes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn every_node_has_one_verdict_and_five_checks() {
        let report = sample::report(vec![sample::stale(), sample::healthy("brno")]);
        let text = metrics(&report);
        let count = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
        assert_eq!((count("staledp_node_verdict{"), count("staledp_node_check_status{")), (2, 10), "{text}");
        let stale = "staledp_node_verdict{context=\"grigri\",node=\"prusik\",kind=\"stale\",code=\"stale-datapath\",confidence=\"high\"} 1\n";
        assert!(text.contains(stale), "{text}");
        assert!(text.contains("staledp_nodes{context=\"grigri\",kind=\"healthy\"} 1\n"), "{text}");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (_, value) = line.rsplit_once(' ').expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }

    #[test]
    fn names_cannot_end_a_label() {
        let mut node = sample::healthy("x");
        node.node = "a\"} 1\nb\\".to_owned();
        let text = metrics(&sample::report(vec![node]));
        assert!(text.contains("node=\"a\\\"} 1\\nb\\\\\","), "{text}");
    }
}
