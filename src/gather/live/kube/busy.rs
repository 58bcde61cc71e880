//! What a busy API server answers (429), and how long it asks to wait.
//!
//! The client drops the headers of an exec that was refused, so every answer is looked at as it comes by.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};

/// The longest wait between two tries, whatever the server would like.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often something is asked for while the server says "later".
pub(super) const TRIES: u32 = 4;

/// What the server said of being busy.
#[derive(Debug, Default)]
pub(super) struct Busy {
    said: Mutex<Said>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Said {
    refusals: u64,
    wait: Option<Duration>,
}

impl Busy {
    /// Takes note of an answer.
    pub(super) fn note(&self, status: StatusCode, headers: &HeaderMap) {
        if status == StatusCode::TOO_MANY_REQUESTS {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            said.refusals += 1;
            said.wait = retry_after(headers);
        }
    }

    /// How often it said "later".
    pub(super) fn refusals(&self) -> u64 {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).refusals
    }

    /// How long to wait after this many tries that were refused.
    pub(super) fn wait(&self, tries: u32) -> Duration {
        wait(self.said.lock().unwrap_or_else(PoisonError::into_inner).wait, tries)
    }
}

/// The header, where it is a number of seconds.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs)
}

/// How long to wait: what the server says, else longer each time; never longer than [`LONGEST_WAIT`].
pub(super) fn wait(said: Option<Duration>, tries: u32) -> Duration {
    said.unwrap_or_else(|| Duration::from_millis(250) * 2_u32.pow(tries.min(8))).min(LONGEST_WAIT)
}
