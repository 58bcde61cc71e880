//! The source of a report: a cluster or saved evidence, and when the evidence was taken.

use serde::{Deserialize, Serialize};

use crate::base::source_kind::SourceKind;
use crate::base::time::{self, Timestamp};

/// From this age on, in seconds, evidence is too old to act on without a new diagnosis.
const OLD_S: i64 = 600;
/// By how many seconds the clocks of two machines differ at most before the report names that.
const CLOCKS_DIFFER_S: i64 = 120;

/// What a report rests on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SourceInfo {
    /// `cluster`, `bundle`, `sysdump` or `bugtool`.
    pub kind: SourceKind,
    /// The kubeconfig context, where one is known.
    pub context: Option<String>,
    /// The path that was read, where it was not a cluster.
    pub path: Option<String>,
    /// When the evidence was taken, RFC 3339, where that is known.
    #[serde(default)]
    pub captured_at: Option<String>,
    /// The age of the evidence when the report was made, in seconds; null for a live cluster, and where it is
    /// not known.
    #[serde(default)]
    pub age_s: Option<i64>,
    /// By how many seconds the evidence is ahead of this machine's clock, where one of the two clocks must be wrong; the
    /// age is not known then.
    #[serde(skip)]
    pub ahead_s: Option<i64>,
}

impl SourceInfo {
    /// A live cluster.
    #[must_use]
    pub const fn live(context: Option<String>) -> Self {
        Self { kind: SourceKind::Cluster, context, path: None, captured_at: None, age_s: None, ahead_s: None }
    }

    /// Something that was saved.
    #[must_use]
    pub const fn saved(kind: SourceKind, context: Option<String>, path: Option<String>) -> Self {
        Self { kind, context, path, captured_at: None, age_s: None, ahead_s: None }
    }

    /// The same with the moment of its evidence; what was saved has an age.
    #[must_use]
    pub fn dated(mut self, captured_at: Option<Timestamp>, now: Timestamp) -> Self {
        self.captured_at = captured_at.map(|at| at.to_string());
        (self.age_s, self.ahead_s) = match self.kind {
            SourceKind::Cluster => (None, None),
            SourceKind::Bundle | SourceKind::Sysdump | SourceKind::Bugtool => age_s(captured_at, now),
        };
        self
    }

    /// The same for a report that is read back, whatever it rests on: its evidence has an age by now.
    #[must_use]
    pub fn read_back(mut self, captured_at: Option<Timestamp>, now: Timestamp) -> Self {
        self.captured_at = captured_at.map(|at| at.to_string());
        (self.age_s, self.ahead_s) = age_s(captured_at, now);
        self
    }

    /// The age in words where the evidence is too old to act on: `5 months`.
    #[must_use]
    pub fn old(&self) -> Option<String> {
        self.age_s.filter(|age| *age > OLD_S).map(time::age)
    }

    /// When the evidence was taken, in words: `captured 2026-06-06 12:00 UTC, 5 months ago`.
    #[must_use]
    pub fn when(&self) -> Option<String> {
        let captured = time::minute(time::moment(self.captured_at.as_deref()?)?);
        Some(match (self.age_s, self.ahead_s) {
            (_, Some(ahead)) => format!(
                "captured {captured}, which is {} ahead of this machine's clock: this clock or the capturing machine's is \
                 wrong, so the age is unknown",
                time::age(ahead),
            ),
            (Some(age), None) => format!("captured {captured}, {} ago", time::age(age)),
            (None, None) => format!("captured {captured}"),
        })
    }
}

/// The age in seconds, or by how many seconds the evidence is ahead of the clock.
fn age_s(captured_at: Option<Timestamp>, now: Timestamp) -> (Option<i64>, Option<i64>) {
    let Some(captured) = captured_at else { return (None, None) };
    match time::seconds_between(captured, now) {
        // Clocks that differ a little make no evidence of the future.
        age if age >= -CLOCKS_DIFFER_S => (Some(age.max(0)), None),
        age => (None, Some(-age)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(age_s: i64) -> SourceInfo {
        let now = time::moment("2026-06-06T12:00:00Z").unwrap();
        let captured = Timestamp::from_second(now.as_second() - age_s).ok();
        SourceInfo::saved(SourceKind::Bundle, None, None).dated(captured, now)
    }

    #[test]
    fn saved_evidence_is_too_old_to_act_on_after_ten_minutes() {
        assert_eq!(bundle(600).old(), None);
        assert_eq!(bundle(601).old().as_deref(), Some("10 minutes"));
        assert_eq!(bundle(-50).age_s, Some(0));
    }

    #[test]
    fn evidence_of_the_future_has_no_age_and_a_wrong_clock_is_named() {
        let ahead = bundle(-7_200);
        assert_eq!((ahead.age_s, ahead.old()), (None, None));
        assert_eq!(
            ahead.when().as_deref(),
            Some(
                "captured 2026-06-06 14:00 UTC, which is 2 hours ahead of this machine's clock: this clock or the \
                 capturing machine's is wrong, so the age is unknown"
            )
        );
    }

    #[test]
    fn live_evidence_has_a_moment_and_no_age_until_it_is_read_back() {
        let now = time::moment("2026-06-06T12:00:00Z").unwrap();
        let live = SourceInfo::live(None).dated(time::moment("2026-06-06T11:00:00Z"), now);
        assert_eq!((live.age_s, live.old()), (None, None));
        assert_eq!(live.when().as_deref(), Some("captured 2026-06-06 11:00 UTC"));
        let read = live.read_back(time::moment("2026-06-06T11:00:00Z"), now);
        assert_eq!(read.when().as_deref(), Some("captured 2026-06-06 11:00 UTC, 60 minutes ago"));
        assert_eq!(read.old().as_deref(), Some("60 minutes"));
    }

    #[test]
    fn evidence_of_an_unknown_moment_has_no_age() {
        let now = time::moment("2026-06-06T12:00:00Z").unwrap();
        let unknown = SourceInfo::saved(SourceKind::Bugtool, None, None).dated(None, now);
        assert_eq!((unknown.age_s, unknown.when()), (None, None));
    }
}
