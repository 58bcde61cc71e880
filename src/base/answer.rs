//! The answer to a question: bytes, how they ended, what was asked, when, and how long it took.

use serde::{Deserialize, Serialize};

use crate::base::failure::Failure;
use crate::base::pod_ref::PodRef;
use crate::base::time::Timestamp;

/// From where the host's own network was probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// Over SSH, on the node itself.
    Ssh,
    /// From the Cilium agent's container, which shares the host's network.
    AgentContainer,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The command ran to its end, with this exit code.
    Exited(i32),
    /// There was no clean end.
    Failed(Failure),
    /// The question was not asked: the bundle has no such file, or there was no pod or container to ask. The text is the
    /// reason.
    NotGathered(String),
}

/// Everything about an answer but its standard output, which went to the caller's sink as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The one plain command that was run.
    pub argv: Vec<String>,
    /// How it ended.
    pub end: End,
    /// Standard error, at most 64 KiB of it.
    pub stderr: String,
    /// When it was asked, RFC 3339 in UTC.
    pub started_at: Option<Timestamp>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Only for `host-ping`: whether over SSH or from the agent's container.
    pub via: Option<Via>,
    /// Only for the pod probes: from which pod.
    pub pod: Option<PodRef>,
}

impl Answer {
    /// The answer to a question that was not asked, and why.
    pub fn not_gathered(why: impl Into<String>) -> Self {
        Self {
            argv: Vec::new(),
            end: End::NotGathered(why.into()),
            stderr: String::new(),
            started_at: None,
            duration_ms: None,
            via: None,
            pod: None,
        }
    }
}

/// An answer with its standard output, for evidence that is small.
#[derive(Clone, Debug)]
pub struct Raw {
    /// How it ended and what was asked.
    pub answer: Answer,
    /// Standard output, at most [`SMALL_OUTPUT`] bytes.
    pub stdout: Vec<u8>,
}

/// The most that is kept of an output that is read as a whole, in bytes. A longer one counts as truncated.
pub const SMALL_OUTPUT: usize = 8 << 20;
