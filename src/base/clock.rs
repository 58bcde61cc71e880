//! The one place that asks the clock.

use k8s_openapi::jiff::Timestamp;

/// Now, RFC 3339 in UTC, to the second.
#[must_use]
pub fn now() -> String {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}
