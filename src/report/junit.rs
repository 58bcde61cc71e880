//! The report as JUnit XML, which CI systems show: a test case a node.

use std::fmt::Write as _;

use super::text::shows;
use super::{NodeReport, Report};
use crate::knowledge::code::Kind;

/// The whole report. A stale or otherwise faulty node is a failure, one that could not be judged an error, and one that
/// Cilium is not meant for is skipped.
#[must_use]
pub fn junit(report: &Report) -> String {
    let summary = &report.summary;
    let skipped = report.skipped.len();
    let (tests, failures) = (summary.nodes + skipped, summary.stale + summary.other_fault);
    let counts =
        format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{}\" skipped=\"{skipped}\"", summary.inconclusive);
    let context = report.source.context.as_deref().unwrap_or("staledp");
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"staledp diagnose\" {counts}>\n  \
         <testsuite name=\"{}\" timestamp=\"{}\" {counts}>\n",
        escaped(context),
        escaped(&report.generated_at),
    );
    for node in &report.nodes {
        case(&mut out, context, node);
    }
    for skipped in &report.skipped {
        let (name, says) = (escaped(&skipped.node), escaped(&skipped.says));
        let _ = writeln!(
            out,
            "    <testcase classname=\"{}\" name=\"{name}\"><skipped message=\"{says}\"/></testcase>",
            escaped(context)
        );
    }
    out + "  </testsuite>\n</testsuites>\n"
}

fn case(out: &mut String, context: &str, node: &NodeReport) {
    let verdict = &node.verdict;
    let took = node.checks.iter().filter_map(|check| check.duration_ms).sum::<u64>();
    let (name, context) = (escaped(&node.node), escaped(node.context.as_deref().unwrap_or(context)));
    let _ = write!(
        out,
        "    <testcase classname=\"{context}\" name=\"{name}\" time=\"{}.{:03}\"",
        took / 1000,
        took % 1000
    );
    let element = match verdict.kind {
        Kind::Healthy => {
            out.push_str("/>\n");
            return;
        }
        Kind::Stale | Kind::OtherFault => "failure",
        Kind::Inconclusive => "error",
    };
    let says: Vec<String> =
        verdict.because.iter().map(|because| format!("{}: {}", because.check, because.says)).collect();
    let (code, summary) = (escaped(verdict.code.name()), escaped(&verdict.summary));
    let _ = writeln!(
        out,
        ">\n      <{element} type=\"{code}\" message=\"{summary}\">{}</{element}>\n    </testcase>",
        escaped(&says.join("\n"))
    );
}

/// Text as it may stand in XML, in an attribute as well. XML has no form for most control characters; what could steer a
/// terminal is replaced, too.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            c if shows(c) => out.push(c),
            _ => out.push('\u{fffd}'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn node_is_a_case_that_passes_fails_or_has_an_error() {
        let report = sample::report(vec![
            sample::stale(),
            sample::other_fault(),
            sample::inconclusive(),
            sample::healthy("brno"),
        ]);
        let xml = junit(&report);
        assert!(xml.contains("tests=\"4\" failures=\"2\" errors=\"1\" skipped=\"0\""), "{xml}");
        assert_eq!((xml.matches("<failure ").count(), xml.matches("<error ").count()), (2, 1), "{xml}");
        assert!(xml.contains("<testcase classname=\"grigri\" name=\"brno\" time="), "{xml}");
        assert!(xml.contains("<failure type=\"stale-datapath\" message="), "{xml}");
    }

    #[test]
    fn hostile_names_stay_text() {
        let mut node = sample::healthy("x");
        node.node = "a\"/><script>&\u{1b}[2J\u{202e}\n".to_owned();
        let xml = junit(&sample::report(vec![node]));
        assert!(xml.contains("name=\"a&quot;/&gt;&lt;script&gt;&amp;\u{fffd}[2J\u{fffd}&#10;\""), "{xml}");
    }
}
