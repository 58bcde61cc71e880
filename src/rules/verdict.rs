//! What can be said of a node: the codes, their kinds, and how sure it is.

use serde::{Deserialize, Serialize};

use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::{Code, Kind};

pub use crate::knowledge::risk::RiskLevel;

/// How sure a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Consistent with the evidence, and not much more.
    Low,
    /// Two witnesses, or further evidence was not looked at.
    Medium,
    /// Three witnesses, or a direct sign.
    High,
}

impl Confidence {
    /// The word in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A reason for a verdict, and the check or evidence that it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Because {
    /// A check's id, or the name of further evidence.
    pub check: String,
    /// One sentence.
    pub says: String,
}

impl Because {
    /// A reason that rests on one of the five checks.
    pub fn check(id: CheckId, says: impl Into<String>) -> Self {
        Self { check: id.name().to_owned(), says: says.into() }
    }

    /// A reason that rests on further evidence.
    pub fn evidence(name: &str, says: impl Into<String>) -> Self {
        Self { check: name.to_owned(), says: says.into() }
    }
}

/// A look-alike that was considered, and why it is out, or that it could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuledOut {
    /// The look-alike's code.
    pub code: Code,
    /// One sentence.
    pub says: String,
}

/// What is said of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What it means for the operator.
    pub kind: Kind,
    /// The code.
    pub code: Code,
    /// How sure.
    pub confidence: Confidence,
    /// One sentence.
    pub summary: String,
    /// The reasons.
    pub because: Vec<Because>,
    /// The look-alikes.
    pub ruled_out: Vec<RuledOut>,
}

/// A pod that is hit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// How.
    pub says: String,
}

/// The risk of a remedy and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    /// How much.
    pub level: RiskLevel,
    /// Why.
    pub because: Vec<String>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remediation {
    /// The exact commands, in order.
    pub commands: Vec<String>,
    /// The commands that show whether it worked.
    pub verify: Vec<String>,
    /// What it may cost.
    pub risk: Risk,
}
