//! The one place that reads the clock, and the seconds between two moments.

use crate::base::time::Timestamp;

/// Now, to the second: that is how reports and bundles write it.
#[must_use]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Seconds from one RFC 3339 moment to another; negative if the second is earlier, none if one of them is not a moment.
#[must_use]
pub fn seconds_between(from: &str, to: &str) -> Option<i64> {
    let (from, to): (Timestamp, Timestamp) = (from.parse().ok()?, to.parse().ok()?);
    Some(to.as_second() - from.as_second())
}
