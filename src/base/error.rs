//! Why a command did not run to its end: one type, and the one place that decides which exit code an error gets.
//!
//! An error says what failed and for which object, then why (its causes, outermost first), then what to do next.

use std::error::Error as StdError;
use std::fmt;

use crate::base::exit::Exit;
use crate::base::failure::{Failure, FailureKind};

/// What kind of trouble it is: it decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line is wrong: the caller can correct it.
    Usage,
    /// The configuration that a tool reads is wrong, such as options for `ssh`.
    Configuration,
    /// No cluster was found or none answered.
    CannotReach,
    /// Something saved, or standard input or output, cannot be read or written.
    CannotRead,
    /// A signal ended the run before it had anything to report.
    Interrupted,
    /// A fault of this program.
    Bug,
}

impl ErrorKind {
    /// The exit code of errors of this kind.
    #[must_use]
    pub const fn exit(self) -> Exit {
        match self {
            Self::Usage | Self::Configuration => Exit::Usage,
            Self::CannotReach | Self::CannotRead | Self::Bug => Exit::CannotRun,
            Self::Interrupted => Exit::Interrupted,
        }
    }
}

/// An error that ends a command. `{error}` is what failed and why, on one line; [`Self::hint`] is what to do next.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    /// What failed, naming the object, with the chain of causes below it.
    failed: anyhow::Error,
    hint: Option<String>,
}

impl Error {
    /// An error of this kind. `failed` says what failed and for which object: `cannot read the report a.json`.
    pub fn new(kind: ErrorKind, failed: impl fmt::Display) -> Self {
        Self { kind, failed: anyhow::Error::msg(failed.to_string()), hint: None }
    }

    /// The command line is wrong.
    pub fn usage(failed: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Usage, failed)
    }

    /// What a tool is configured with is wrong.
    pub fn configuration(failed: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Configuration, failed)
    }

    /// No cluster to ask.
    pub fn cannot_reach(failed: impl fmt::Display) -> Self {
        Self::new(ErrorKind::CannotReach, failed)
    }

    /// Something cannot be read or written.
    pub fn cannot_read(failed: impl fmt::Display) -> Self {
        Self::new(ErrorKind::CannotRead, failed)
    }

    /// A signal ended the run.
    #[must_use]
    pub fn interrupted() -> Self {
        Self::new(ErrorKind::Interrupted, "interrupted")
    }

    /// This program is wrong.
    pub fn bug(failed: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Bug, failed).with_hint("this is a fault of staledp: report it with the command line used")
    }

    /// The same error with why it came about; its own causes are kept.
    #[must_use]
    pub fn because(self, cause: impl StdError + Send + Sync + 'static) -> Self {
        Self { failed: anyhow::Error::new(cause).context(self.to_string()), ..self }
    }

    /// The same error with what to do next: an imperative without a full stop.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same error as the cause of what failed because of it; kind and hint stay.
    #[must_use]
    pub fn context(self, failed: impl fmt::Display) -> Self {
        Self { failed: self.failed.context(failed.to_string()), ..self }
    }

    /// Which kind.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do next, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        self.kind.exit()
    }

    /// What failed, why, and what to do next, for a place that has room for one text only.
    #[must_use]
    pub fn with_advice(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{self}; {hint}"),
            None => self.to_string(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for cause in self.failed.chain().map(ToString::to_string) {
            // Many layers repeat the message below them.
            if text.is_empty() {
                text = cause;
            } else if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
        }
        f.write_str(&text)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.failed.source()
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind {
            FailureKind::Timeout | FailureKind::Forbidden | FailureKind::Unreachable => ErrorKind::CannotReach,
            FailureKind::NotFound | FailureKind::Truncated | FailureKind::NoShell | FailureKind::Other => {
                ErrorKind::CannotRead
            }
        };
        Self::new(kind, failure.message)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn error_names_what_failed_then_why_and_keeps_its_hint() {
        let denied = io::Error::new(io::ErrorKind::PermissionDenied, "permission denied");
        let error =
            Error::cannot_read("cannot read the report a.json").because(denied).with_hint("run it as its owner");
        assert_eq!(error.to_string(), "cannot read the report a.json: permission denied");
        assert_eq!(error.hint(), Some("run it as its owner"));
        assert!(error.source().is_some());
        let error = error.context("cannot compare the reports");
        assert_eq!(
            error.with_advice(),
            "cannot compare the reports: cannot read the report a.json: permission denied; run it as its owner"
        );
        assert_eq!(error.exit(), Exit::CannotRun);
    }

    #[test]
    fn kind_decides_the_exit_code() {
        for (error, code) in [
            (Error::usage("x"), 2),
            (Error::configuration("x"), 2),
            (Error::cannot_reach("x"), 5),
            (Error::cannot_read("x"), 5),
            (Error::bug("x"), 5),
            (Error::interrupted(), 130),
        ] {
            assert_eq!(error.exit().code(), code, "{error}");
        }
    }
}
