//! Reports read back: JSON, JSON lines and YAML, told apart by what they hold.
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

/// The most that is read of one report, in bytes: some ten thousand nodes.
pub const LARGEST: u64 = 256 << 20;

/// Reads the report in a file.
///
/// # Errors
///
/// "cannot read …": what is wrong with it, and what to do.
pub fn read(path: &Path) -> Result<Report, String> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| format!("cannot read the report {name}: {error}"))?;
    from(&name, file)
}

/// Reads a report from anything; `name` is what errors call it.
///
/// # Errors
///
/// As [`read`].
pub fn from(name: &str, reader: impl Read) -> Result<Report, String> {
    let mut bytes = Vec::new();
    let read = reader.take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot read the report {name}: {error}"))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("cannot read the report {name}: it is longer than {} MiB", LARGEST >> 20));
    }
    parse(&bytes).map_err(|why| format!("cannot read the report {name}: {why}"))
}

/// Reads a report from its bytes.
///
/// # Errors
///
/// What is wrong with it, to stand behind "cannot read …:".
pub fn parse(bytes: &[u8]) -> Result<Report, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err("it is empty; the run that wrote it may have failed".to_owned());
    }
    if !text.starts_with('{') {
        return yaml(text);
    }
    let mut values = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        values.push(value.map_err(|error| {
            if error.is_eof() {
                "it breaks off; the run that wrote it may have been killed".to_owned()
            } else {
                format!("it is no JSON: {error}")
            }
        })?);
    }
    let Some(mut last) = values.pop() else { return Err("it is empty".to_owned()) };
    if last.get("schema").is_none() {
        return Err(if last.get("node").is_some() {
            "its last line is no summary: the run that wrote it did not come to its end".to_owned()
        } else {
            format!("it is no report of staledp: it has no schema, which would be {SCHEMA}")
        });
    }
    known(last["schema"].as_str())?;
    if last.get("nodes").is_none() {
        // JSON lines: a node each, the rest last.
        last["nodes"] = Value::Array(std::mem::take(&mut values));
    }
    if !values.is_empty() {
        return Err("it holds several reports; give each a file of its own".to_owned());
    }
    sound(from_value(last)?)
}

fn yaml(text: &str) -> Result<Report, String> {
    #[derive(Deserialize)]
    struct Head {
        schema: Option<String>,
    }
    let head: Head = from_yaml(text)?;
    known(head.schema.as_deref())?;
    sound(from_yaml(text)?)
}

fn from_yaml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
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
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| format!("it is neither a JSON nor a YAML report: {}", one_line(&error.to_string())))
}

fn from_value(value: Value) -> Result<Report, String> {
    let by = value["tool"]["version"].as_str().unwrap_or("an unknown version").to_owned();
    serde_json::from_value(value).map_err(|error| {
        format!("its fields are not those of {SCHEMA}: {error}; it was written by staledp {}", one_line(&by))
    })
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Whether this version reads that schema.
fn known(schema: Option<&str>) -> Result<(), String> {
    let (family, ours) = SCHEMA.rsplit_once("/v").unwrap_or((SCHEMA, "1"));
    match schema {
        Some(SCHEMA) => Ok(()),
        None => Err(format!("it is no report of staledp: it has no schema, which would be {SCHEMA}")),
        Some(other) => match other.strip_prefix(family).and_then(|rest| rest.strip_prefix("/v")) {
            Some(number) if number.parse::<u32>().is_ok() => Err(format!(
                "it has schema {other}, and this staledp reads v{ours}: read it with the version that wrote it, or newer"
            )),
            _ => Err(format!("it is no report of staledp: its schema is {other}, not {SCHEMA}")),
        },
    }
}

/// What the types alone don't say.
fn sound(report: Report) -> Result<Report, String> {
    let twice = |nodes: &[NodeReport]| {
        let mut names: Vec<&str> = nodes.iter().map(|node| node.node.as_str()).collect();
        names.sort_unstable();
        names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].to_owned())
    };
    if let Some(name) = twice(&report.nodes) {
        return Err(format!("it has two entries for node {name}"));
    }
    if report.shard.is_some_and(|shard| shard.index >= shard.of) {
        return Err("its shard is none that can be".to_owned());
    }
    Ok(report)
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

    fn lines(report: &Report) -> String {
        let nodes = report.nodes.iter().map(|node| json::jsonl_node(node).unwrap());
        nodes.chain([json::jsonl_end(report).unwrap()]).collect()
    }

    #[test]
    fn every_format_comes_back_as_it_was_written() {
        let report = report();
        let right = json::json(&report).unwrap();
        for text in [right.clone(), json::yaml(&report).unwrap(), lines(&report)] {
            assert_eq!(json::json(&parse(text.as_bytes()).unwrap()).unwrap(), right);
        }
    }

    #[test]
    fn more_fields_are_fine_and_another_schema_is_not() {
        let mut value: Value = serde_json::from_str(&json::json(&report()).unwrap()).unwrap();
        value["nodes"][0]["later"] = "x".into();
        value["later"] = 7.into();
        assert!(parse(value.to_string().as_bytes()).is_ok());
        for (schema, word) in [("staledp.report/v2", "newer"), ("staledp.bundle/v1", "no report"), ("x", "no report")] {
            value["schema"] = schema.into();
            let why = parse(value.to_string().as_bytes()).unwrap_err();
            assert!(why.contains(word) && why.contains(schema), "{why}");
            let why = parse(format!("schema: {schema}\n").as_bytes()).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn the_contracts_fields_are_enough() {
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
    fn what_is_no_whole_report_is_refused_with_a_reason() {
        let whole = lines(&report());
        let (nodes, _) = whole.trim_end().rsplit_once('\n').unwrap();
        let json = json::json(&report()).unwrap();
        for (text, word) in [
            (String::new(), "empty"),
            (nodes.to_owned(), "did not come to its end"),
            (whole[..whole.len() / 2].to_owned(), "breaks off"),
            (format!("{json}{json}"), "several"),
            ("[1, 2]".to_owned(), "neither"),
            ("{\"a\": 1}".to_owned(), "no schema"),
            ("just words".to_owned(), "neither"),
            (format!("{{\"schema\": \"{SCHEMA}\", \"nodes\": 7}}"), "fields"),
        ] {
            let why = parse(text.as_bytes()).unwrap_err();
            assert!(why.contains(word), "{word}: {why}");
        }
        let mut twice = report();
        twice.nodes = vec![sample::healthy("a"), sample::healthy("a")];
        assert!(parse(json::json(&twice).unwrap().as_bytes()).unwrap_err().contains("two entries"));
    }

    #[test]
    fn a_report_without_end_is_not_read_to_its_end() {
        let why = from("-", std::io::repeat(b' ')).unwrap_err();
        assert!(why.contains("longer than"), "{why}");
    }
}
