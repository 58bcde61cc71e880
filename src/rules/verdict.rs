//! The verdict on a node: its code, its confidence, its reasons, and the remedy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::evidence::Evidence;
use crate::base::time::Timestamp;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::{Code, Kind};

use crate::knowledge::risk::RiskLevel;

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

/// A number or word that a sentence rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Figure {
    /// A count, or seconds where the name ends in `_s`.
    Count(i64),
    /// A rate or share.
    Number(f64),
    /// A name, a version, a state.
    Text(String),
}

impl From<u32> for Figure {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<usize> for Figure {
    fn from(count: usize) -> Self {
        Self::Count(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<u64> for Figure {
    fn from(count: u64) -> Self {
        Self::Count(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<i64> for Figure {
    fn from(count: i64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Figure {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Figure {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Figure {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// The figures of one sentence, by name.
pub type Figures = BTreeMap<String, Figure>;

/// Collects figures: `figures([("dead", 3.into()), ("decided", 4.into())])`.
#[must_use]
pub fn figures<const N: usize>(pairs: [(&str, Figure); N]) -> Figures {
    pairs.into_iter().map(|(name, figure)| (name.to_owned(), figure)).collect()
}

/// A sentence and the figures that it rests on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Says {
    /// The sentence.
    pub text: String,
    /// Its figures.
    pub figures: Figures,
}

impl Says {
    /// A sentence with its figures.
    pub fn new<const N: usize>(text: impl Into<String>, pairs: [(&str, Figure); N]) -> Self {
        Self { text: text.into(), figures: figures(pairs) }
    }
}

/// A reason for a verdict, the check or evidence that it rests on, and the figures of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Because {
    /// A check's id, or the name of supplementary evidence.
    pub check: String,
    /// One sentence.
    pub says: String,
    /// What it rests on.
    #[serde(default, skip_serializing_if = "Figures::is_empty")]
    pub figures: Figures,
}

impl Because {
    /// A reason that rests on one of the five checks.
    pub fn check(id: CheckId, says: impl Into<String>) -> Self {
        Self { check: id.name().to_owned(), says: says.into(), figures: Figures::new() }
    }

    /// A reason that rests on supplementary evidence.
    pub fn evidence(name: &str, says: impl Into<String>) -> Self {
        Self { check: name.to_owned(), says: says.into(), figures: Figures::new() }
    }

    /// The same with its figures.
    #[must_use]
    pub fn with(mut self, figures: Figures) -> Self {
        self.figures = figures;
        self
    }

    /// A sentence that carries its figures, said of this check or evidence.
    #[must_use]
    pub fn said(name: &str, says: Says) -> Self {
        Self { check: name.to_owned(), says: says.text, figures: says.figures }
    }
}

/// A look-alike that was considered and ruled out, with the figures that do it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuledOut {
    /// The look-alike's code.
    pub code: Code,
    /// One sentence.
    pub says: String,
    /// What it rests on.
    #[serde(default, skip_serializing_if = "Figures::is_empty")]
    pub figures: Figures,
}

/// A look-alike that could not be ruled out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The look-alike's code.
    pub code: Code,
    /// Why, in one sentence.
    pub says: String,
    /// What would settle it: evidence, a flag or a right.
    pub settle: String,
    /// The right whose lack keeps it open, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_right: Option<String>,
}

/// The broken thing itself, where the evidence names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// `program`, `map`, `mount`, `rule`, `peer`, `address`, …
    pub what: String,
    /// Its name: a program, a map, a table.
    pub name: String,
    /// Where: a device, a node.
    pub on: Option<String>,
    /// The key in a map.
    pub key: Option<String>,
    /// What should be there.
    pub expected: Option<String>,
    /// What was found.
    pub found: Option<String>,
    /// Since when, RFC 3339.
    pub since: Option<String>,
    /// The evidence that shows it.
    pub evidence: String,
}

impl Cause {
    /// A broken thing by its name, and the evidence that shows it.
    pub fn named(what: &str, name: impl Into<String>, evidence: Evidence) -> Self {
        Self {
            what: what.to_owned(),
            name: name.into(),
            on: None,
            key: None,
            expected: None,
            found: None,
            since: None,
            evidence: evidence.name().to_owned(),
        }
    }

    /// The same with the expected and the found value.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>, found: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self.found = Some(found.into());
        self
    }

    /// The same with where it is.
    #[must_use]
    pub fn on(self, place: impl Into<String>) -> Self {
        self.on_where_known(Some(place.into()))
    }

    /// The same with where it is, where that is known.
    #[must_use]
    pub fn on_where_known(mut self, place: Option<String>) -> Self {
        self.on = place;
        self
    }

    /// The same with its key in a map.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same with since when, where that is known.
    #[must_use]
    pub fn since(mut self, since: Option<Timestamp>) -> Self {
        self.since = since.map(|since| since.to_string());
        self
    }
}

/// The verdict on a node, with its remedy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What it means for the operator.
    pub kind: Kind,
    /// The code.
    pub code: Code,
    /// How sure; none for an inconclusive verdict.
    pub confidence: Option<Confidence>,
    /// Why it is not higher; empty where it is high, or where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confidence_because: Vec<String>,
    /// One sentence.
    pub summary: String,
    /// The broken thing itself.
    #[serde(default)]
    pub cause: Option<Cause>,
    /// The reasons.
    pub because: Vec<Because>,
    /// The look-alikes that are ruled out.
    pub ruled_out: Vec<RuledOut>,
    /// The look-alikes that are not.
    #[serde(default)]
    pub open: Vec<Open>,
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
    /// Keep the evidence first: the restart destroys it.
    #[serde(default)]
    pub keep: Vec<String>,
    /// The gentler remedy, where there is one: to be tried before the restart.
    #[serde(default)]
    pub gentle: Vec<String>,
    /// The restart as this tool does it: with its safety checks, a question and a verification.
    #[serde(default)]
    pub fix: Vec<String>,
    /// The restart by hand: the exact commands, in order.
    pub commands: Vec<String>,
    /// The commands that show whether it worked.
    pub verify: Vec<String>,
    /// What it may cost.
    pub risk: Risk,
}
