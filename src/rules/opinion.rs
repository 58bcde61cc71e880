//! The opinion of one rule about a node, and how each look-alike answers: applies, ruled out, or open.

use crate::knowledge::code::Code;
use crate::rules::case::Case;
use crate::rules::verdict::{Affected, Because, Cause, Confidence, Figure, Says};

/// What one rule thinks.
#[derive(Clone, Debug)]
pub struct Opinion {
    /// The code.
    pub code: Code,
    /// How sure.
    pub confidence: Confidence,
    /// Why it is not surer; empty where it is.
    pub confidence_because: Vec<String>,
    /// One sentence.
    pub summary: String,
    /// The broken thing itself, where the evidence names it.
    pub cause: Option<Cause>,
    /// The reasons.
    pub because: Vec<Because>,
    /// The pods that are hit.
    pub affected: Vec<Affected>,
}

impl Opinion {
    /// An opinion without reasons yet.
    pub fn new(code: Code, confidence: Confidence, summary: impl Into<String>) -> Self {
        Self {
            code,
            confidence,
            confidence_because: Vec::new(),
            summary: summary.into(),
            cause: None,
            because: Vec::new(),
            affected: Vec::new(),
        }
    }

    /// The same with one more reason.
    #[must_use]
    pub fn because(mut self, reason: Because) -> Self {
        self.because.push(reason);
        self
    }

    /// The same with one more reason, where there is one.
    #[must_use]
    pub fn and(mut self, name: &str, says: Option<Says>) -> Self {
        self.because.extend(says.map(|says| Because::said(name, says)));
        self
    }

    /// The same, no surer than this, and why.
    #[must_use]
    pub fn at_most(mut self, confidence: Confidence, why: impl Into<String>) -> Self {
        if self.confidence > confidence {
            self.confidence = confidence;
        }
        self.confidence_because.push(why.into());
        self
    }
}

/// What became of one look-alike.
#[derive(Clone, Debug)]
pub enum Exclusion {
    /// It applies: the evidence shows it.
    Applies(Box<Opinion>),
    /// It is out, by these figures.
    RuledOut(Says),
    /// It could not be looked at, or what was seen does not decide.
    Open {
        /// Why.
        why: String,
        /// What would settle it: evidence, a flag or a right.
        settle: String,
    },
    /// There is nothing of the kind here.
    NotApplicable,
}

impl Exclusion {
    /// Out, by these figures.
    pub fn out<const N: usize>(text: impl Into<String>, pairs: [(&str, Figure); N]) -> Self {
        Self::RuledOut(Says::new(text, pairs))
    }

    /// Out by these figures, where there are any; else open.
    pub fn out_by(says: Option<Says>, why: &str, settle: &str) -> Self {
        says.map_or_else(|| Self::open(why, settle), Self::RuledOut)
    }

    /// Not decided, and what would settle it.
    pub fn open(why: impl Into<String>, settle: impl Into<String>) -> Self {
        Self::Open { why: why.into(), settle: settle.into() }
    }

    /// It applies: the evidence shows it.
    #[must_use]
    pub fn applies(opinion: Opinion) -> Self {
        Self::Applies(Box::new(opinion))
    }
}

/// When a look-alike is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before anything that rests on flows: a direct sign.
    Direct,
    /// Before the node is called stale.
    Flows,
    /// After it was not.
    Rest,
}

/// A fault that only looks like a stale datapath: the agent must not be restarted for it.
#[derive(Clone, Copy)]
pub struct LookAlike {
    /// Its code.
    pub code: Code,
    /// When it is asked.
    pub phase: Phase,
    /// Whether it applies, is ruled out, or is open.
    pub ask: fn(&Case) -> Exclusion,
}
