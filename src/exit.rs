//! The exit codes, and who gets which. The same for every output format.

use std::process::ExitCode;

use crate::report::{Report, Summary};

/// Every node judged is healthy.
pub const HEALTHY: u8 = 0;
/// At least one node is stale.
pub const STALE: u8 = 1;
/// The command line or the configuration is wrong; nothing was contacted.
pub const USAGE: u8 = 2;
/// No node is stale, but at least one has another fault.
pub const OTHER_FAULT: u8 = 3;
/// No node is stale or otherwise faulty, but at least one could not be judged.
pub const INCONCLUSIVE: u8 = 4;
/// Could not run at all.
pub const CANNOT_RUN: u8 = 5;
/// `fix`: restarted, but the verification failed or did not finish.
pub const NOT_VERIFIED: u8 = 6;
/// `fix`: refused by a safety rule, or not confirmed; nothing was changed.
pub const REFUSED: u8 = 7;
/// Interrupted.
pub const INTERRUPTED: u8 = 130;

/// The exit code of these figures: the worst node decides.
#[must_use]
pub fn of_summary(summary: &Summary) -> ExitCode {
    ExitCode::from(code(summary))
}

const fn code(summary: &Summary) -> u8 {
    if summary.stale > 0 {
        STALE
    } else if summary.other_fault > 0 {
        OTHER_FAULT
    } else if summary.inconclusive > 0 || summary.nodes == 0 {
        INCONCLUSIVE
    } else {
        HEALTHY
    }
}

/// The exit code of a report. A slice may be empty, and so may a report whose nodes are all ones that Cilium is not meant
/// for; a report that lacks nodes is no all-clear.
#[must_use]
pub fn of_report(report: &Report) -> ExitCode {
    if report.nodes.is_empty() && (report.shard.is_some() || !report.skipped.is_empty()) && !report.partial {
        return ExitCode::from(HEALTHY);
    }
    match code(&report.summary) {
        HEALTHY if report.partial => ExitCode::from(INCONCLUSIVE),
        code => ExitCode::from(code),
    }
}

/// An error of the world, with the exit code that belongs to it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wrong command line or configuration: exit 2.
    #[error("{0}")]
    Usage(String),
    /// Could not run at all: exit 5.
    #[error("{0}")]
    CannotRun(String),
    /// Ctrl-C: exit 130.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Its exit code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::CannotRun(_) => CANNOT_RUN,
            Self::Interrupted => INTERRUPTED,
        }
    }
}
