//! Holds every sentence of a report against the figures of that report and the evidence that it was made of.
//!
//! What counts as a number of a sentence: a word (what stands between blanks, without brackets, quotes and punctuation around
//! it, a sign before it or a unit such as `%` or `/s` behind it) that consists of digits, with commas between thousands or
//! one decimal point. So addresses, versions, ports of an address, names, `key=value` pairs and issues (`cilium#123`) are
//! not numbers. Not looked at either: what is quoted from a failure, a log, a rule or a table, which is evidence itself.
//!
//! What a number has to be: one of the sentence's own figures (rounded to as many decimals as are shown), or a number in a
//! text among them. A reason may also take it from the data of the check that it names, and the summary from the figures
//! of any reason and the data of any check. A time in words ("10 days") is a figure in seconds whose name ends in `_s`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What a bundle holds: the cluster's lists, and the evidence of each node that ended well.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holds {
    lists: BTreeSet<String>,
    nodes: BTreeMap<String, BTreeSet<String>>,
    listed_nodes: usize,
}

impl Holds {
    /// By the bundle's files: path and content.
    pub(crate) fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut holds = Self::default();
        let mut failed = BTreeSet::new();
        for (path, bytes) in files {
            let parts: Vec<&str> = path.trim_start_matches("./").split('/').collect();
            match parts[..] {
                ["kube", file] => {
                    let name = file.split('.').next().unwrap_or(file);
                    if name == "nodes" && file.rsplit('.').next() != Some("gz") {
                        let list: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
                        holds.listed_nodes = list["items"].as_array().map_or(0, Vec::len);
                    }
                    if !file.contains(".error.") {
                        holds.lists.insert(name.to_owned());
                    }
                }
                ["nodes", node, file] => {
                    if let Some(name) = file.strip_suffix(".out").or_else(|| file.strip_suffix(".out.gz")) {
                        holds.nodes.entry(node.to_owned()).or_default().insert(name.to_owned());
                    } else if let Some(name) = file.strip_suffix(".json") {
                        let about: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
                        // A probe that failed has said something; a command that failed has not.
                        let probe = name.starts_with("pod-") || name == "host-ping";
                        if about["error"].is_object() || !probe && about["exit_code"] != 0 {
                            failed.insert((node.to_owned(), name.to_owned()));
                        } else if probe {
                            holds.nodes.entry(node.to_owned()).or_default().insert(name.to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        for (node, name) in failed {
            if let Some(names) = holds.nodes.get_mut(&node) {
                names.remove(&name);
            }
        }
        holds
    }

    /// Whether this evidence of the node, or this list of the cluster, is there.
    fn has(&self, node: &str, name: &str) -> bool {
        let own = self.nodes.get(node);
        let is_it = |held: &String| held == name || name == "probe" && held.starts_with("pod-");
        self.lists.contains(name) || own.is_some_and(|names| names.iter().any(is_it))
    }
}

/// Everything that is wrong with the sentences of a report.
pub(crate) fn complaints(report: &Value, holds: &Holds) -> Vec<String> {
    let mut out = Vec::new();
    for node in list(&report["nodes"]) {
        let name = node["node"].as_str().unwrap_or("?");
        let mut wrong = Vec::new();
        numbers_of_node(node, &mut wrong);
        lists_apart(&node["verdict"], &mut wrong);
        confidence(&node["verdict"], &mut wrong);
        for out in list(&node["verdict"]["ruled_out"]) {
            evidence(report, node, out, holds, &mut wrong);
        }
        let code = node["verdict"]["code"].as_str().unwrap_or("?");
        out.extend(wrong.into_iter().map(|what| format!("{name} ({code}): {what}")));
    }
    out
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Each number of each sentence is a figure.
fn numbers_of_node(node: &Value, wrong: &mut Vec<String>) {
    let verdict = &node["verdict"];
    let checks = list(&node["checks"]);
    let quoted: Vec<&str> = checks.iter().filter_map(|check| check["reason"].as_str()).collect();
    let mut every: Vec<Figure> = checks.iter().flat_map(|check| figures(&check["data"])).collect();
    for because in list(&verdict["because"]) {
        let says = text(because, "says");
        let mut figures_here = figures(&because["figures"]);
        every.extend(figures_here.clone());
        let own = checks.iter().filter(|check| check["id"] == because["check"]);
        figures_here.extend(own.flat_map(|check| figures(&check["data"])));
        unsupported("because", says, &figures_here, &quoted, wrong);
        if says.contains("0 of 0") {
            wrong.push(format!("because \"0 of 0\": {says}"));
        }
    }
    for out in list(&verdict["ruled_out"]) {
        let says = text(out, "says");
        unsupported("ruled_out", says, &figures(&out["figures"]), &quoted, wrong);
        if says.contains("0 of 0") {
            wrong.push(format!("ruled out by \"0 of 0\": {says}"));
        }
        if out["figures"].as_object().is_none_or(serde_json::Map::is_empty) {
            wrong.push(format!("ruled out without a figure: {}: {says}", text(out, "code")));
        }
    }
    unsupported("summary", text(verdict, "summary"), &every, &quoted, wrong);
}

/// A figure: its name, and its number.
type Figure = (String, f64);

/// All numbers of a value, those within texts too.
fn figures(value: &Value) -> Vec<Figure> {
    fn add(name: &str, value: &Value, out: &mut Vec<Figure>) {
        match value {
            Value::Number(number) => out.extend(number.as_f64().map(|number| (name.to_owned(), number))),
            Value::String(text) => out.extend(words(text).filter_map(number).map(|n| (name.to_owned(), n.value))),
            Value::Array(items) => items.iter().for_each(|item| add(name, item, out)),
            Value::Object(fields) => fields.iter().for_each(|(name, value)| add(name, value, out)),
            Value::Null | Value::Bool(_) => {}
        }
    }
    let mut out = Vec::new();
    add("", value, &mut out);
    out
}

/// A number as it stands in a sentence.
struct Shown {
    value: f64,
    decimals: i32,
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}

/// The number that a word is, if it is one.
fn number(word: &str) -> Option<Shown> {
    let edge = |c: char| c.is_ascii_punctuation() || matches!(c, '…' | '·' | '–');
    let bare = word.trim_matches(edge);
    let bare = bare.strip_suffix("/s").unwrap_or(bare);
    if !bare.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = bare.replace(',', "");
    let (whole, part) = digits.split_once('.').unwrap_or((&digits, ""));
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    (plain(whole) && plain(part))
        .then(|| Some(Shown { value: digits.parse().ok()?, decimals: i32::try_from(part.len()).ok()? }))
        .flatten()
}

fn unsupported(what: &str, says: &str, figures: &[Figure], quoted: &[&str], wrong: &mut Vec<String>) {
    let mut rest = says.to_owned();
    for quote in quoted.iter().filter(|quote| !quote.is_empty()) {
        rest = rest.replace(quote.trim_end_matches('.'), "");
    }
    let words: Vec<&str> = words(&rest).collect();
    for (at, word) in words.iter().enumerate() {
        let Some(shown) = number(word) else { continue };
        let unit = words.get(at + 1).map(|word| word.trim_matches(|c: char| !c.is_alphabetic()));
        let before = at.checked_sub(1).map_or("", |before| words[before]);
        // A release, not a figure: "Cilium 1.18", "kernel 6.1".
        if matches!(before, "Cilium" | "kernel" | "release" | "key") {
            continue;
        }
        let supported = match unit.and_then(seconds) {
            Some(range) => figures.iter().any(|(name, figure)| {
                let (from, to) = (shown.value * range, (shown.value + 1.0) * range);
                name.ends_with("_s") && (from..to).contains(figure)
            }),
            None => figures.iter().any(|(_, figure)| {
                (figure - shown.value).abs() <= 0.5 * 10_f64.powi(-shown.decimals) + 1e-9 && (shown.decimals > 0)
                    || (figure - shown.value).abs() < 1e-9
            }),
        };
        if !supported {
            wrong.push(format!("{what}: no figure for {word}: {says}"));
        }
    }
}

/// The seconds of a unit of time in words.
fn seconds(unit: &str) -> Option<f64> {
    Some(match unit.trim_end_matches('s') {
        "second" => 1.0,
        "minute" => 60.0,
        "hour" => 3_600.0,
        "day" => 86_400.0,
        "month" => 2_628_000.0,
        "year" => 31_536_000.0,
        _ => return None,
    })
}

/// No code stands in two lists, or is the verdict's own; what is open says what would settle it.
fn lists_apart(verdict: &Value, wrong: &mut Vec<String>) {
    if !verdict["open"].is_array() {
        wrong.push("no list of what is open".to_owned());
    }
    let mut seen = BTreeSet::from([text(verdict, "code")]);
    for entry in list(&verdict["ruled_out"]).iter().chain(list(&verdict["open"])) {
        let code = text(entry, "code");
        if !seen.insert(code) {
            wrong.push(format!("{code} stands in two places: {}", text(entry, "says")));
        }
    }
    for open in list(&verdict["open"]) {
        if text(open, "says").is_empty() || text(open, "settle").is_empty() {
            wrong.push(format!("open without what would settle it: {open}"));
        }
    }
    for out in list(&verdict["ruled_out"]) {
        let says = text(out, "says");
        if ["not looked at", "is missing", "could not be checked", "could not be listed", "not known", "too few"]
            .iter()
            .any(|word| says.contains(word))
        {
            wrong.push(format!("ruled out, though not looked at: {says}"));
        }
    }
}

/// An inconclusive verdict has no confidence, others have one; one that is not high says why.
fn confidence(verdict: &Value, wrong: &mut Vec<String>) {
    let inconclusive = verdict["kind"] == "inconclusive";
    if inconclusive != verdict["confidence"].is_null() {
        wrong.push(format!("{} with confidence {}", text(verdict, "kind"), verdict["confidence"]));
    }
    let low = verdict["confidence"] == "low" || verdict["confidence"] == "medium";
    if low && list(&verdict["confidence_because"]).is_empty() {
        wrong.push(format!("confidence {} is not explained", verdict["confidence"]));
    }
}

/// Nothing is ruled out by evidence that is not there.
#[expect(clippy::match_same_arms, reason = "a code a line, in the order in which they are asked")]
fn evidence(report: &Value, node: &Value, out: &Value, holds: &Holds, wrong: &mut Vec<String>) {
    let (code, says) = (text(out, "code"), text(out, "says"));
    let name = text(node, "node");
    let figure = |key: &str| out["figures"][key].as_i64();
    let has = |evidence: &str| holds.has(name, evidence);
    let drops = has("bpf-metrics") || has("drop-metrics");
    let drops_again = drops && (has("bpf-metrics.2") || has("drop-metrics.2"));
    let by_way = out["figures"]["way"].is_string();
    let probed = has("probe");
    let lacking = match code {
        "agent-not-running" => !has("pods"),
        "agent-starting" if says.contains("nothing fails") => !has("pods") || !probed && !has("ct-list"),
        "agent-starting" => !has("pods") || figure("age_s").is_none(),
        "host-network-down" if by_way => !has("ct-list"),
        "host-network-down" => !has("host-ping"),
        "local-redirect-broken" => !has("service-list"),
        "dns-proxy-broken" | "service-translation-missing" => !has("ct-list"),
        "udp-masquerade-broken" => {
            !has("ct-list")
                || figure("udp_decided").is_none_or(|flows| flows == 0)
                || figure("nat_udp").is_some() && !has("nat-list")
        }
        // The release stands in the agent's status, and in its pod's image.
        "link-local-masquerade" if out["figures"]["version"].is_string() => !has("agent-status") && !has("pods"),
        "link-local-masquerade" if figure("masquerading").is_some() => !has("agent-status"),
        "link-local-masquerade" if says.contains("do not reach the world") => !probed && !has("ct-list"),
        // Kubelet's own voice: most pods are not ready, and their probes time out.
        "link-local-masquerade" | "node-isolated" if figure("unready").is_some() => !has("events") || !has("pods"),
        "node-local-dns-down" | "cluster-dns-down" if by_way => !has("ct-list"),
        "link-local-masquerade" => !has("ct-list"),
        "node-local-dns-down" => !has("pods"),
        "cluster-dns-down" => !has("endpointslices"),
        "datapath-drops" => !drops_again,
        // What was never counted until the first reading needs no second one.
        "policy-denied" => !drops_again && (!drops || figure("policy_denied") != Some(0)),
        "conntrack-full" => !drops || figure("insertion_failed") != Some(0) && !(has("ct-list") && has("agent-status")),
        "datapath-programs-duplicated" => !has("attached-programs") || figure("hooks").is_none_or(|hooks| hooks == 0),
        "datapath-not-initialized" => !has("agent-log") || figure("lines").is_none_or(|lines| lines == 0),
        "host-firewall-drops" => {
            !has("host-firewall") && !has("host-firewall-v6") || figure("rules").is_none_or(|rules| rules == 0)
        }
        "node-isolated" => {
            let across = out["figures"]["way"].as_str().is_some_and(|way| way.starts_with("across"));
            // All dead is no reason to rule it out.
            !has("ct-list") && !probed || across && figure("dead") == figure("decided")
        }
        "new-pods-stuck" => !has("pods") || says.contains("event") && !has("events"),
        "cluster-wide-outage" => {
            let fine = |other: &Value| other["node"] != name && other["verdict"]["kind"] == "healthy";
            let another = list(&report["nodes"]).iter().any(fine);
            let answered = node["neighbour"]["answered"].is_string();
            !another && !answered && holds.listed_nodes != 1
        }
        _ => {
            wrong.push(format!("{code} is ruled out, and the test does not know by what"));
            false
        }
    };
    if lacking {
        wrong.push(format!("{code} is ruled out without its evidence: {says} {}", out["figures"]));
    }
}
