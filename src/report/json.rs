//! The report for programs: JSON, JSON lines and YAML.
//!
//! Strings are the world's own, unchanged; but what could steer a terminal is written as an escape, which programs
//! read as the same character: people look at these formats, too.

use std::fmt::Write as _;

use serde::Serialize;

use super::symptoms::SymptomsReport;
use super::text::shows;
use super::{NodeReport, Report, Skipped, SourceInfo, Summary};
use crate::base::error::Error;
use crate::base::shard::Shard;
use crate::base::tool::Tool;

/// The whole report as indented JSON, with a newline at its end.
///
/// # Errors
///
/// Only a bug: everything in a report can be written as JSON.
pub fn json<T: Serialize>(report: &T) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(report)
        .map_err(|e| Error::bug(format!("cannot write the report as JSON: {e}")))?;
    Ok(escaped(&text) + "\n")
}

/// One node a line, the rest of the report last.
///
/// # Errors
///
/// As [`json`].
pub fn lines<N: Serialize>(nodes: &[N], rest: &impl Serialize) -> Result<String, Error> {
    let mut text = nodes.iter().map(line).collect::<Result<String, Error>>()?;
    text += &line(rest)?;
    Ok(text)
}

/// The symptoms of a cluster, in the three forms of the report.
///
/// # Errors
///
/// As [`json`].
pub fn symptoms(report: &SymptomsReport, form: Form) -> Result<String, Error> {
    #[derive(Serialize)]
    struct End<'a> {
        #[serde(flatten)]
        rest: serde_json::Map<String, serde_json::Value>,
        summary: &'a SymptomsSummary,
    }
    #[derive(Serialize)]
    struct SymptomsSummary {
        nodes: usize,
    }
    match form {
        Form::Json => json(report),
        Form::Yaml => yaml(report),
        Form::Jsonl => {
            let value = serde_json::to_value(report)
                .map_err(|e| Error::bug(format!("cannot write the report as JSON: {e}")))?;
            let mut rest = value.as_object().cloned().unwrap_or_default();
            rest.shift_remove("nodes");
            lines(&report.nodes, &End { rest, summary: &SymptomsSummary { nodes: report.nodes.len() } })
        }
    }
}

/// The forms for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Indented JSON.
    Json,
    /// One node per line, the summary last.
    Jsonl,
    /// YAML.
    Yaml,
}

/// One node as a line of JSON, with a newline at its end. The line says itself of which cluster and moment it is, for it
/// is often kept without the others.
///
/// # Errors
///
/// As [`json`].
pub fn jsonl_node(node: &NodeReport, source: &SourceInfo) -> Result<String, Error> {
    #[derive(Serialize)]
    struct NodeLine<'a> {
        context: Option<&'a str>,
        captured_at: Option<&'a str>,
        #[serde(flatten)]
        node: &'a NodeReport,
    }
    let context = node.context.as_deref().or(source.context.as_deref());
    // It stands once in a line.
    let node = &NodeReport { context: None, ..node.clone() };
    line(&NodeLine { context, captured_at: source.captured_at.as_deref(), node })
}

/// The last line of `-o jsonl`: the report without its nodes, which were printed before.
///
/// # Errors
///
/// As [`json`].
pub fn jsonl_end(report: &Report) -> Result<String, Error> {
    #[derive(Serialize)]
    struct End<'a> {
        schema: &'a str,
        tool: &'a Tool,
        generated_at: &'a str,
        source: &'a SourceInfo,
        summary: &'a Summary,
        #[serde(skip_serializing_if = "Option::is_none")]
        partial: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        partial_reason: &'a Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        shard: &'a Option<Shard>,
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        notes: &'a [String],
        #[serde(skip_serializing_if = "<[Skipped]>::is_empty")]
        skipped: &'a [Skipped],
    }
    let Report {
        schema,
        tool,
        generated_at,
        source,
        summary,
        partial,
        partial_reason,
        shard,
        notes,
        skipped,
        nodes: _,
    } = report;
    let partial = partial.then_some(true);
    line(&End { schema, tool, generated_at, source, summary, partial, partial_reason, shard, notes, skipped })
}

/// The whole report as YAML, with a newline at its end.
///
/// # Errors
///
/// Only a bug: everything in a report can be written as YAML.
pub fn yaml<T: Serialize>(report: &T) -> Result<String, Error> {
    let options = serde_saphyr::ser_options! {
        // One string, one line: folding is where YAML writers and readers disagree.
        prefer_block_scalars: false,
        compact_list_indent: true,
    };
    let text = serde_saphyr::to_string_with_options(report, options)
        .map_err(|e| Error::bug(format!("cannot write the report as YAML: {e}")))?;
    if text.chars().all(|c| c == '\n' || shows(c)) {
        Ok(text)
    } else {
        // A plain YAML scalar has no escapes for what may not be shown. JSON has, and every JSON text is YAML.
        json(report)
    }
}

pub(crate) fn line<T: Serialize>(value: &T) -> Result<String, Error> {
    let text = serde_json::to_string(value).map_err(|e| Error::bug(format!("cannot write the report as JSON: {e}")))?;
    Ok(escaped(&text) + "\n")
}

/// Writes what may not be shown as `\uXXXX`. Outside of strings JSON is plain ASCII, and control characters below
/// U+0020 are escaped already, so every such character stands in a string. Newlines are the indentation's.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        if c == '\n' || shows(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String can't fail.
                _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::sample;
    use super::*;

    const HOSTILE: &str = "a\u{202e}b\u{9b}31m\u{1b}[2J\u{e0041}\n\"c\\";

    #[test]
    fn json_has_the_fields_of_the_schema() {
        let report = sample::report(vec![sample::stale(), sample::healthy("brno")]);
        let value: Value = serde_json::from_str(&json(&report).unwrap()).unwrap();
        assert_eq!(value["schema"], "staledp.report/v1");
        assert_eq!(value["tool"]["name"], "staledp");
        assert_eq!(value["source"]["kind"], "cluster");
        assert_eq!(value["summary"]["stale"], 1);
        let node = &value["nodes"][0];
        assert_eq!(node["verdict"]["kind"], "stale");
        assert_eq!(node["verdict"]["code"], "stale-datapath");
        assert_eq!(node["verdict"]["confidence"], "high");
        assert_eq!(node["verdict"]["because"][0]["check"], "dns-conntrack");
        assert_eq!(node["verdict"]["ruled_out"][0]["code"], "node-local-dns-down");
        let ids: Vec<_> = node["checks"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["host-ping", "pod-egress", "dns-conntrack", "external-conntrack", "dns-backends"]);
        assert_eq!(node["checks"][0]["reason"], Value::Null);
        assert_eq!(node["remediation"]["risk"]["level"], "medium");
        assert_eq!(value["nodes"][1]["remediation"], Value::Null);
        assert_eq!(node["known_issues"][0]["id"], "cilium/cilium#46065");
    }

    #[test]
    fn jsonl_has_one_node_per_line_and_a_summary_without_nodes() {
        let report = sample::report(vec![sample::stale()]);
        let node = jsonl_node(&report.nodes[0], &report.source).unwrap();
        let end = jsonl_end(&report).unwrap();
        for line in [&node, &end] {
            assert_eq!(line.matches('\n').count(), 1);
        }
        let node: Value = serde_json::from_str(&node).unwrap();
        assert_eq!((&node["context"], &node["captured_at"]), (&"grigri".into(), &"2026-06-06T11:59:30Z".into()));
        assert_eq!(node["verdict"]["code"], "stale-datapath");
        let end: Value = serde_json::from_str(&end).unwrap();
        assert_eq!(end["summary"]["nodes"], 1);
        assert!(end.get("nodes").is_none());
    }

    #[test]
    fn hostile_text_is_escaped_and_comes_back_unchanged() {
        let mut node = sample::stale();
        node.node = HOSTILE.to_owned();
        let report = sample::report(vec![node]);
        for text in
            [json(&report).unwrap(), jsonl_node(&report.nodes[0], &report.source).unwrap(), yaml(&report).unwrap()]
        {
            assert!(text.chars().all(|c| c == '\n' || shows(c)));
        }
        let value: Value = serde_json::from_str(&json(&report).unwrap()).unwrap();
        assert_eq!(value["nodes"][0]["node"], HOSTILE);
        let value: Value = serde_saphyr::from_str(&yaml(&report).unwrap()).unwrap();
        assert_eq!(value["nodes"][0]["node"], HOSTILE);
    }

    #[test]
    fn yaml_says_the_same_as_json() {
        let report = sample::report(vec![sample::stale(), sample::other_fault(), sample::inconclusive()]);
        let json: Value = serde_json::from_str(&json(&report).unwrap()).unwrap();
        let text = yaml(&report).unwrap();
        let yaml: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(json, yaml);
        // `off` is a boolean to older YAML readers.
        assert!(text.contains("accounting: \"off\"") || text.contains("accounting: 'off'"), "{text}");
    }
}
