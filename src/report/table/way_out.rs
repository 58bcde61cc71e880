//! What to do about a node, in order. It is read last, so nothing in it or above it may contradict it.

use anstyle::Style as Ink;

use super::page::{BOLD, DIM, GREEN, Page, RED, YELLOW};
use crate::base::program;
use crate::knowledge::code::Kind;
use crate::knowledge::risk::RiskLevel;
use crate::report::text::safe;
use crate::report::{NodeReport, SourceInfo, settle};
use crate::rules::verdict::{Remediation, Risk};

/// The warning above commands if the evidence does not name its cluster.
const NO_CONTEXT: &str = "The evidence names no context: make sure that these commands act on the cluster it is from.";

impl Page {
    /// The way out, or why there is none.
    pub(super) fn what_to_do(&mut self, node: &NodeReport, source: &SourceInfo) {
        // A command beside a verdict that forbids it would be read as the way out.
        let remedy = node.remediation.as_ref().filter(|_| node.verdict.kind == Kind::Stale);
        match (remedy, node.verdict.kind) {
            (Some(remedy), _) => self.remedy(remedy, node, source),
            (None, Kind::OtherFault) => self.advice("Do not restart the Cilium pod", &node.advice),
            (None, Kind::Inconclusive) => self.what_settles(node),
            (None, Kind::Stale) => self.advice("No command can be named", &node.advice),
            (None, Kind::Healthy) if node.advice.is_empty() => {}
            (None, Kind::Healthy) => self.advice("Nothing to repair", &node.advice),
        }
    }

    fn advice(&mut self, title: &str, advice: &[String]) {
        self.heading(title);
        for text in advice {
            self.item("  - ", DIM, &safe(text));
        }
    }

    /// What a node that could not be judged needs, what helps most first.
    fn what_settles(&mut self, node: &NodeReport) {
        let steps = settle::steps(node);
        if !steps.is_empty() {
            self.heading("What would settle it");
            for (number, step) in (1..).zip(&steps) {
                self.item(&format!("  {number}. "), DIM, &safe(step));
            }
        }
        self.advice("Do not restart anything on this evidence", &node.advice);
    }

    /// The steps in their order: keep the evidence, the gentle remedy, the restart, the verification.
    fn remedy(&mut self, remedy: &Remediation, node: &NodeReport, source: &SourceInfo) {
        let Remediation { keep, gentle, fix, commands, verify, risk } = remedy;
        self.heading("What to do, in this order");
        if source.context.is_none() && node.context.is_none() {
            self.item("", YELLOW, NO_CONTEXT);
        }
        if let Some(age) = source.old() {
            self.item("", YELLOW, &format!("This evidence is {age} old: diagnose again before you act."));
        }
        if source.ahead_s.is_some() {
            self.item("", YELLOW, "The age of this evidence is unknown: diagnose again before you act.");
        }
        let mut number = 1..;
        let mut step = |page: &mut Self, says: &str| {
            page.blank();
            page.item(&format!("{}. ", number.next().unwrap_or_default()), BOLD, says);
        };
        if !keep.is_empty() {
            step(self, "Keep the evidence, which a restart destroys:");
            self.commands(keep, Ink::new());
        }
        if !gentle.is_empty() {
            step(self, "Only one pod is affected. Restart that pod first (a pod without an owner is not recreated):");
            self.commands(gentle, BOLD);
        }
        let restart = if gentle.is_empty() {
            "Restart this node's one Cilium pod"
        } else {
            "Only if the pod's replacement on this node fails too: restart this node's one Cilium pod"
        };
        let with = if fix.is_empty() {
            String::new()
        } else {
            format!(" with {} fix (recommended: it checks again, asks, and verifies)", program::name())
        };
        step(self, &format!("{restart}{with}."));
        self.risk(risk);
        self.commands(fix, BOLD);
        if !fix.is_empty() {
            self.item("   ", DIM, "Or by hand, without these checks:");
        }
        self.commands(commands, BOLD);
        if !verify.is_empty() {
            step(self, "After the restart, verify:");
            self.commands(verify, Ink::new());
        }
    }

    fn commands(&mut self, commands: &[String], ink: Ink) {
        for command in commands {
            self.command(command, ink);
        }
    }

    /// What the restart may cost, and why.
    fn risk(&mut self, risk: &Risk) {
        let (level, ink) = match risk.level {
            RiskLevel::Low => ("low", GREEN),
            RiskLevel::Medium => ("medium", YELLOW),
            RiskLevel::High => ("HIGH", RED),
        };
        let title = format!("{}{}", self.ink(BOLD, "   Risk of the restart: "), self.ink(ink, level));
        self.line(&title);
        for reason in &risk.because {
            self.item("   - ", DIM, &safe(reason));
        }
    }
}
