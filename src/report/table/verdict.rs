//! The first lines of a node: its verdict, how sure it is, and its agent.

use super::mark;
use super::page::{BOLD, DIM, Page};
use crate::report::NodeReport;
use crate::report::text::{self, safe, wrap};
use crate::rules::verdict::Verdict;

impl Page {
    pub(super) fn verdict(&mut self, node: &NodeReport) {
        let Verdict { kind, code, confidence, summary, .. } = &node.verdict;
        let (mark, ink) = mark(*kind);
        let name = safe(&node.node).into_owned();
        let kind = kind.name().to_uppercase();
        let says = if kind.eq_ignore_ascii_case(code.name()) {
            format!("{mark} {kind}{}", confidence.map_or(String::new(), |c| format!(" ({} confidence)", c.name())))
        } else {
            format!(
                "{mark} {kind}: {}{}",
                code.name(),
                confidence.map_or(String::new(), |c| format!(" ({} confidence)", c.name()))
            )
        };
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
