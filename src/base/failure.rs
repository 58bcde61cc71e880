//! Why an answer is missing: "could not look" as a value.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::evidence::Evidence;

/// Why there was no clean end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// A deadline passed.
    Timeout,
    /// A right is missing, or a login was refused.
    Forbidden,
    /// The thing asked, or the program that answers, is not there.
    NotFound,
    /// No connection came about.
    Unreachable,
    /// It began, and broke off before its exit status, or hit the size cap.
    Truncated,
    /// The container has no shell or tool to ask with.
    NoShell,
    /// Anything else.
    #[serde(other)]
    Other,
}

/// Why an answer is missing, in a form for a program and one for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// For a program.
    pub kind: FailureKind,
    /// For a person; ends with what to do next, where that is known.
    pub message: String,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The time that a whole node may take was over before this evidence was there.
    #[must_use]
    pub fn time_over(evidence: Evidence, whole: Duration) -> Self {
        let whole = crate::base::time::span(whole);
        let message = format!("the node's time of {whole} was over before {evidence} ended; see --timeout");
        Self::new(FailureKind::Timeout, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
