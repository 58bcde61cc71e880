//! Time as a type: moments are parsed at the edge and compared as time, durations read and written as people do.

use std::time::Duration;

use jiff::SignedDuration;
pub use jiff::Timestamp;

use crate::base::error::Error;

/// The moment that RFC 3339 text stands for; none where it is anything else.
#[must_use]
pub fn moment(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// From when on something counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// From this moment on.
    Moment(Timestamp),
    /// From so long ago on.
    Ago(Duration),
}

impl Since {
    /// The moment, as seen from another one; none where it lies before all time.
    #[must_use]
    pub fn before(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Moment(moment) => Some(moment),
            Self::Ago(ago) => now.checked_sub(SignedDuration::try_from(ago).ok()?).ok(),
        }
    }
}

/// Seconds from one moment to another; negative if the second is earlier.
#[must_use]
pub fn seconds_between(from: Timestamp, to: Timestamp) -> i64 {
    to.as_second() - from.as_second()
}

/// A moment to the minute, for people: `2026-06-06 12:00 UTC`.
#[must_use]
pub fn minute(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// An age in its largest unit: `40 seconds`, `7 minutes`, `3 days`, `5 months`, `2 years`. Negative ages, of clocks that differ, are
/// `0 seconds`.
#[must_use]
pub fn age(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        172_800..7_776_000 => (seconds / 86_400, "day"),
        // Months of 30.4 days, years of 365.
        7_776_000..63_072_000 => (seconds / 2_628_000, "month"),
        _ => (seconds / 31_536_000, "year"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// A duration as it is typed: `1m 30s`.
#[must_use]
pub fn span(duration: Duration) -> String {
    // A duration too long for the type is longer than any deadline.
    format!("{:#}", SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX))
}

/// A duration as people type it: `60` (seconds), `60s`, `1m30s`, `500ms`.
///
/// # Errors
///
/// [`ErrorKind::Usage`](crate::base::error::ErrorKind) with the forms that can be read.
pub fn parse_duration(text: &str) -> Result<Duration, Error> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let parsed = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or_else(|| Error::usage(format!("'{text}' is not a duration: write 30s, 2m or 1m30s")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_compared_as_time_whatever_their_zone() {
        assert_eq!(moment("2026-06-06T12:00:00+02:00"), moment("2026-06-06T10:00:00Z"));
        assert!(moment("2026-06-06T12:00:00+02:00") < moment("2026-06-06T10:00:00.5Z"));
        assert_eq!(moment("2026-06-06"), None);
    }

    #[test]
    fn age_is_a_number_of_its_largest_unit() {
        let ages = [-5, 1, 119, 120, 3_600, 7_200, 90_000, 172_800, 7_776_000, 63_072_000].map(age);
        let right = [
            "0 seconds",
            "1 second",
            "119 seconds",
            "2 minutes",
            "60 minutes",
            "2 hours",
            "25 hours",
            "2 days",
            "2 months",
            "2 years",
        ];
        assert_eq!(ages, right);
    }

    #[test]
    fn moment_is_written_to_the_minute() {
        assert_eq!(moment("2026-06-06T14:00:59+02:00").map(minute).as_deref(), Some("2026-06-06 12:00 UTC"));
    }

    #[test]
    fn span_is_written_as_it_is_typed() {
        for (text, right) in [("90", "1m 30s"), ("60s", "1m"), ("500ms", "500ms"), ("1h 1s", "1h 1s"), ("0s", "0s")] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(span(duration), right);
            assert_eq!(parse_duration(right).unwrap(), duration);
        }
    }
}
