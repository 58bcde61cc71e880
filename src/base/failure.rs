//! Why an answer is missing: "could not look" as a value.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::evidence::Evidence;
use crate::base::time::span;

/// Why there was no clean end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// A deadline passed.
    Timeout,
    /// A permission is missing, or a login was refused.
    Forbidden,
    /// The object, file or program does not exist.
    NotFound,
    /// No connection was established.
    Unreachable,
    /// The connection closed before the exit status, or the output reached the size limit.
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
    /// The missing right, where it is one of the cluster's: "`get` and `create` on `pods/exec` in namespace kube-system".
    /// The message holds it word for word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), right: None }
    }

    /// A missing right: what the API server said, and which right to grant.
    #[must_use]
    pub fn forbidden(said: &str, right: String) -> Self {
        let message = format!("{said}; grant {right}");
        Self { kind: FailureKind::Forbidden, message, right: Some(right) }
    }

    /// The timeout of the whole node passed before this evidence was complete.
    #[must_use]
    pub fn time_over(evidence: Evidence, whole: Duration) -> Self {
        let whole = span(whole);
        let message = format!("timed out after {whole} collecting {evidence} (--timeout)");
        Self::new(FailureKind::Timeout, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
