//! The lists below a node's reasons: pods, sources of DNS flows, symptoms, notes and upstream issues.

use super::page::{CYAN, DIM, Page};
use crate::report::text::{self, count, safe};
use crate::report::{Check, NodeReport, figures, symptoms};

/// So many pods are listed one by one.
pub(super) const MANY_PODS: usize = 8;

impl Page {
    pub(super) fn affected(&mut self, node: &NodeReport) {
        if node.affected.is_empty() {
            return;
        }
        self.heading(&format!("Affected ({})", count(node.affected.len(), "pod", "pods")));
        let shown = if self.wide || node.affected.len() <= MANY_PODS + 1 { node.affected.len() } else { MANY_PODS };
        for pod in node.affected.iter().take(shown) {
            let name = format!("  {}/{}", safe(&pod.namespace), safe(&pod.pod));
            let says = safe(&pod.says);
            if text::width(&name) + 2 + text::width(&says) <= self.columns {
                self.line(&format!("{name}  {says}"));
            } else {
                self.line(&name);
                self.item("    ", DIM, &says);
            }
        }
        if shown < node.affected.len() {
            self.line(&format!("  … and {} more: -o wide lists them", node.affected.len() - shown));
        }
    }

    /// Who asks for names, and who is answered; only where nothing is folded.
    pub(super) fn sources(&mut self, checks: &[Check]) {
        let sources: Vec<_> = checks.iter().flat_map(figures::sources).collect();
        if !self.wide || sources.is_empty() {
            return;
        }
        self.heading("DNS flows by source");
        for source in sources {
            self.item("  ", DIM, &source);
        }
    }

    pub(super) fn symptoms(&mut self, node: &NodeReport) {
        if node.symptoms.is_empty() {
            return;
        }
        self.heading(&format!("Symptoms ({})", node.symptoms.len()));
        let shown = if self.wide { usize::MAX } else { symptoms::SHOWN };
        self.out.push_str(&symptoms::list(&node.symptoms, shown, self.prose));
    }

    pub(super) fn notes(&mut self, node: &NodeReport) {
        if !node.notes.is_empty() {
            self.heading("Notes");
            for note in &node.notes {
                self.item("  - ", DIM, &safe(note));
            }
        }
    }

    pub(super) fn known_issues(&mut self, node: &NodeReport) {
        if !node.known_issues.is_empty() {
            self.heading("Known upstream issues");
            for issue in &node.known_issues {
                let (id, says) = (safe(&issue.id), format!("{}: {}", safe(&issue.title), safe(&issue.why)));
                if self.columns == text::UNBOUNDED {
                    self.item(&format!("  {id}: "), CYAN, &says);
                } else {
                    let id = self.ink(CYAN, &format!("  {id}"));
                    self.line(&id);
                    self.item("    ", DIM, &says);
                }
            }
        }
    }
}
