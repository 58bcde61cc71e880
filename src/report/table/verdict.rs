//! The first lines of a node: its verdict, the broken thing itself, how sure the verdict is and why, and the agent.

use super::mark;
use super::page::{BOLD, DIM, Page};
use crate::report::text::{self, safe, wrap};
use crate::report::{NodeReport, settle};
use crate::rules::verdict::{Cause, Confidence, Verdict};

impl Page {
    pub(super) fn verdict(&mut self, node: &NodeReport) {
        let Verdict { kind, code, confidence, summary, cause, .. } = &node.verdict;
        let (mark, ink) = mark(*kind);
        let context = node.context.as_ref().map_or(String::new(), |context| format!(" ({})", safe(context)));
        let name = format!("{}{context}", safe(&node.node));
        let kind = kind.name().to_uppercase();
        let code = if kind.eq_ignore_ascii_case(code.name()) { String::new() } else { format!(": {}", code.name()) };
        let sure = confidence.map_or(String::new(), |sure| format!(" ({} confidence)", sure.name()));
        let says = format!("{mark} {kind}{code}{sure}");
        if text::width(&name) + 2 + text::width(&says) <= self.columns {
            let line = format!("{}  {}", self.ink(BOLD, &name), self.ink(ink, &says));
            self.line(&line);
        } else {
            let line = self.ink(BOLD, &name);
            self.line(&line);
            for line in wrap(&says, self.columns) {
                let line = self.ink(ink, &line);
                self.line(&line);
            }
        }
        self.item("", DIM, &safe(summary));
        if let Some(cause) = cause {
            self.item("Broken: ", BOLD, &safe(&broken(cause)));
        }
        if let Some(confidence) = confidence {
            self.confidence(*confidence, &node.verdict);
        }
        self.agent(node);
    }

    /// Why the verdict is not surer, and what would raise it.
    fn confidence(&mut self, confidence: Confidence, verdict: &Verdict) {
        let word = match confidence {
            Confidence::High => return,
            Confidence::Medium => "Medium",
            Confidence::Low => "Low",
        };
        if verdict.confidence_because.is_empty() {
            return;
        }
        let raised = settle::by(verdict);
        let raised: Vec<&str> = raised.iter().map(|settled| settled.by).collect();
        let raised = if raised.is_empty() { String::new() } else { format!("; raised by: {}", raised.join(", ")) };
        let says = format!("{}{raised}", verdict.confidence_because.join("; "));
        self.item(&format!("{word}, because: "), BOLD, &safe(&says));
    }

    fn agent(&mut self, node: &NodeReport) {
        let cilium = &node.cilium;
        let mut parts = Vec::new();
        if let Some(version) = &cilium.version {
            parts.push(format!("Cilium {}", safe(version)));
        }
        if let Some(pod) = &cilium.pod {
            parts.push(match &cilium.namespace {
                Some(namespace) => format!("{}/{}", safe(namespace), safe(pod)),
                None => safe(pod).into_owned(),
            });
        }
        if let Some(started) = &cilium.started_at {
            parts.push(format!("since {}", safe(started)));
        }
        for line in wrap(&parts.join(" · "), self.prose) {
            let line = self.ink(DIM, &line);
            self.line(&line);
        }
    }
}

/// The broken thing in a line: `program cil_from_container on lxc1a2b: expected attached, found none (attached-programs)`.
pub(in crate::report) fn broken(cause: &Cause) -> String {
    let Cause { what, name, on, key, expected, found, since, evidence } = cause;
    let mut says =
        if name.to_lowercase().contains(&what.to_lowercase()) { name.clone() } else { format!("{what} {name}") };
    says += &on.as_ref().map(|on| format!(" on {on}")).unwrap_or_default();
    says += &key.as_ref().map(|key| format!(", key {key}")).unwrap_or_default();
    let values = [("expected", expected), ("found", found), ("since", since)];
    let values = values.into_iter().filter_map(|(word, value)| Some(format!("{word} {}", value.as_ref()?)));
    let values = values.collect::<Vec<_>>().join(", ");
    let values = if values.is_empty() { String::new() } else { format!(": {values}") };
    format!("{says}{values} ({evidence})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_thing_is_named_with_what_is_known_of_it() {
        let mut cause = Cause {
            what: "program".to_owned(),
            name: "cil_from_container".to_owned(),
            on: Some("lxc8a41".to_owned()),
            key: None,
            expected: Some("attached".to_owned()),
            found: Some("none".to_owned()),
            since: None,
            evidence: "attached-programs".to_owned(),
        };
        let says = "program cil_from_container on lxc8a41: expected attached, found none (attached-programs)";
        assert_eq!(broken(&cause), says);
        (cause.name, cause.on) = ("Cilium's program".to_owned(), None);
        assert_eq!(broken(&cause), "Cilium's program: expected attached, found none (attached-programs)");
        (cause.expected, cause.found, cause.key) = (None, None, Some("10.0.0.1".to_owned()));
        assert_eq!(broken(&cause), "Cilium's program, key 10.0.0.1 (attached-programs)");
    }
}
