//! What to do about a node, in order: the last thing that is read.

use anstyle::Style as Ink;

use super::page::{BOLD, DIM, GREEN, Page, RED, YELLOW};
use crate::knowledge::code::Kind;
use crate::report::NodeReport;
use crate::report::text::safe;
use crate::rules::verdict::{Remediation, RiskLevel};

impl Page {
    /// The command, or why there is none.
    pub(super) fn what_to_do(&mut self, node: &NodeReport) {
        // A command beside a verdict that forbids it would be read as the way out.
        let remedy = node.remediation.as_ref().filter(|_| node.verdict.kind == Kind::Stale);
        match (remedy, node.verdict.kind) {
            (Some(remedy), _) => self.remedy(remedy),
            (None, Kind::OtherFault) => self.advice("Do not restart the Cilium pod", &node.advice),
            (None, Kind::Inconclusive) => self.advice("Do not restart anything on this evidence", &node.advice),
            (None, Kind::Stale) => self.advice("No command can be named", &node.advice),
            (None, Kind::Healthy) if node.advice.is_empty() => {}
            (None, Kind::Healthy) => self.advice("Nothing to repair", &node.advice),
        }
    }

    pub(super) fn advice(&mut self, title: &str, advice: &[String]) {
        self.heading(title);
        for text in advice {
            self.item("  - ", DIM, &safe(text));
        }
    }

    pub(super) fn remedy(&mut self, remedy: &Remediation) {
        let (level, ink) = match remedy.risk.level {
            RiskLevel::Low => ("low", GREEN),
            RiskLevel::Medium => ("medium", YELLOW),
            RiskLevel::High => ("HIGH", RED),
        };
        self.blank();
        let title = format!("{}{}", self.ink(BOLD, "Risk of the repair: "), self.ink(ink, level));
        self.line(&title);
        for reason in &remedy.risk.because {
            self.item("  - ", DIM, &safe(reason));
        }
        if !remedy.verify.is_empty() {
            self.heading("Afterwards, verify");
            for command in &remedy.verify {
                self.command(command, Ink::new());
            }
        }
        self.heading("To repair this node, restart its one Cilium pod");
        for command in &remedy.commands {
            self.command(command, BOLD);
        }
    }
}
