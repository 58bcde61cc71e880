//! What is right about a case, and what a report says against it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// What is right about one bundle.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Truth {
    /// How the case came to be: for people.
    #[serde(rename = "about")]
    _about: String,
    /// The fault that a simulation injected: for people.
    #[serde(default, rename = "injected")]
    _injected: Option<String>,
    /// Further arguments of `diagnose`.
    #[serde(default)]
    pub(crate) args: Vec<String>,
    /// Acceptable exit codes.
    pub(crate) exit: Vec<i32>,
    /// What is right about each node.
    pub(crate) nodes: BTreeMap<String, NodeTruth>,
}

/// What is right about one node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeTruth {
    /// Acceptable verdict codes.
    codes: Vec<String>,
    /// Kinds that no verdict may have, even with an acceptable code.
    forbid_kinds: Vec<String>,
    /// Names that `affected` must hold.
    affected: Vec<String>,
    /// Words that the node's entry, or the report's notes, must hold.
    #[serde(default)]
    says: Vec<String>,
    /// Words of which they must hold one.
    #[serde(default)]
    says_any: Vec<String>,
    /// Words that they must not hold.
    #[serde(default)]
    not: Vec<String>,
    /// The status of checks.
    #[serde(default)]
    checks: BTreeMap<String, String>,
    /// Figures: `check.field`, or `pod-egress.probe.field` for the first probe.
    #[serde(default)]
    data: BTreeMap<String, Value>,
    /// The version of Cilium.
    version: Option<String>,
    /// The risk of the remedy.
    risk: Option<String>,
    /// Words that the remedy's commands must hold.
    remedy: Option<String>,
}

/// Something that a report says against the truth.
#[derive(Debug)]
pub(crate) struct Complaint {
    /// The node; none where it is about the whole report.
    pub(crate) node: Option<String>,
    /// What is wrong.
    pub(crate) says: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(f, "/{node}: {}", self.says),
            None => write!(f, ": {}", self.says),
        }
    }
}

/// Whether a verdict code is of kind `stale`.
fn is_stale(code: &str) -> bool {
    code.starts_with("stale-") || code == "datapath-programs-missing"
}

impl NodeTruth {
    /// Whether a verdict of kind `stale` is acceptable.
    pub(crate) fn may_be_stale(&self) -> bool {
        self.codes.iter().any(|code| is_stale(code))
    }

    /// All that this entry of a report says against it.
    pub(crate) fn against(&self, entry: &Value, notes: &Value) -> Vec<String> {
        let mut out = Vec::new();
        let kind = text(&entry["verdict"]["kind"]);
        let code = text(&entry["verdict"]["code"]);
        if !self.codes.iter().any(|c| c == code) {
            out.push(format!("{code}, not {}", self.codes.join("|")));
        } else if self.forbid_kinds.iter().any(|k| k == kind) {
            out.push(format!("kind {kind}"));
        }
        let whole = format!("{entry}{notes}");
        out.extend(self.says.iter().filter(|s| !whole.contains(*s)).map(|s| format!("nothing says '{s}'")));
        if !self.says_any.is_empty() && !self.says_any.iter().any(|s| whole.contains(s)) {
            out.push(format!("nothing says any of {:?}", self.says_any));
        }
        out.extend(self.not.iter().filter(|s| whole.contains(*s)).map(|s| format!("says '{s}'")));
        self.figures(entry, &mut out);
        self.remedy(entry, kind, code, &mut out);
        out
    }

    fn figures(&self, entry: &Value, out: &mut Vec<String>) {
        let check = |id: &str| {
            let checks = entry["checks"].as_array().map_or(&[][..], Vec::as_slice);
            checks.iter().find(|c| c["id"] == id).unwrap_or(&Value::Null)
        };
        for (id, status) in &self.checks {
            let got = text(&check(id)["status"]);
            if got != status {
                out.push(format!("{id} is {got}, not {status}"));
            }
        }
        for (path, right) in &self.data {
            let (id, field) = path.split_once('.').expect("a check and a field");
            let data = &check(id)["data"];
            let got = match field.strip_prefix("probe.") {
                Some(field) => &data["probes"][0][field],
                None => &data[field],
            };
            if got != right {
                out.push(format!("{path} is {got}, not {right}"));
            }
        }
        if let Some(version) = &self.version
            && entry["cilium"]["version"] != version.as_str()
        {
            out.push(format!("version {}, not {version}", entry["cilium"]["version"]));
        }
        let risk = &entry["remediation"]["risk"]["level"];
        if let Some(right) = &self.risk
            && risk != right.as_str()
        {
            out.push(format!("risk {risk}, not {right}"));
        }
        let affected = entry["affected"].to_string();
        let lacking = self.affected.iter().filter(|name| !affected.contains(*name));
        out.extend(lacking.map(|name| format!("affected lacks {name}")));
    }

    fn remedy(&self, entry: &Value, kind: &str, code: &str, out: &mut Vec<String>) {
        let commands = entry["remediation"]["commands"].as_array().map_or(&[][..], Vec::as_slice);
        let commands = commands.iter().map(text).collect::<Vec<_>>().join(" ");
        let restarts = commands.contains("delete pod cilium-");
        if kind == "stale" && !(restarts && commands.contains("-n kube-system")) {
            out.push("stale without the restart command".to_owned());
        }
        if kind != "stale" && restarts {
            out.push(format!("{code} must not restart the agent"));
        }
        if let Some(right) = &self.remedy
            && !commands.contains(right)
        {
            out.push("remedy names another pod".to_owned());
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("(none)")
}
