//! The one place that reads the clock.

use crate::base::time::Timestamp;

/// Now, to the second: that is how reports and bundles write it.
#[must_use]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
