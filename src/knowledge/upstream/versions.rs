//! Which releases an upstream issue was reported for, and what follows for other releases.

use std::fmt;

use crate::base::version::{Stage, Version};

/// Versions for which something was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// A whole release line, `1.19`, with its release candidates.
    Line(u32, u32),
    /// From this patch of a release line to the line's end: `1.18.8` and later 1.18.
    Since(u32, u32, u32),
    /// From the first of these patches of a release line to before the second.
    Between(u32, u32, u32, u32),
    /// One report from this version, of a fault that is not tied to a release: it excludes no other version.
    Seen(u32, u32, u32),
}

impl Span {
    fn holds(self, version: Version) -> bool {
        match self {
            Self::Line(major, minor) => version.line() == (major, minor),
            Self::Since(major, minor, patch) => {
                version.line() == (major, minor) && version >= Version::release(major, minor, patch)
            }
            Self::Between(major, minor, patch, before) => {
                version.line() == (major, minor)
                    && (patch == 0 && version.stage != Stage::Development
                        || version >= Version::release(major, minor, patch))
                    && version < Version::release(major, minor, before)
            }
            Self::Seen(major, minor, patch) => version == Version::release(major, minor, patch),
        }
    }

    /// The first version that it names; none where earlier versions are not excluded.
    const fn start(self) -> Option<Version> {
        match self {
            Self::Line(major, minor) => Some(Version { major, minor, patch: 0, stage: Stage::Development }),
            Self::Since(major, minor, patch) | Self::Between(major, minor, patch, _) => {
                Some(Version::release(major, minor, patch))
            }
            Self::Seen(..) => None,
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Line(major, minor) => write!(f, "{major}.{minor}.x"),
            Self::Since(major, minor, patch) => write!(f, "{major}.{minor}.{patch} and later {major}.{minor}"),
            Self::Between(major, minor, patch, before) if before > patch + 1 => {
                write!(f, "{major}.{minor}.{patch} to {major}.{minor}.{}", before - 1)
            }
            Self::Between(major, minor, patch, _) | Self::Seen(major, minor, patch) => {
                write!(f, "{major}.{minor}.{patch}")
            }
        }
    }
}

/// Whether a version has the fault: yes, by a report; no, because it is older than the first affected release or holds
/// the fix; none if it was neither confirmed nor excluded. A development build may be older or newer than any patch of
/// its line, so only a report for the whole line decides there.
pub(super) fn affects(affected: &[Span], fixed: &[Version], version: Version) -> Option<bool> {
    let development = version.stage == Stage::Development;
    let near = |other: Version| other.line() == version.line();
    let same_line = fixed.iter().find(|fix| near(**fix));
    if development {
        if affected.iter().any(|span| matches!(span, Span::Line(..)) && span.holds(version)) && same_line.is_none() {
            return Some(true);
        }
        if same_line.is_some() || affected.iter().filter_map(|span| span.start()).any(near) {
            return None;
        }
    }
    let holds_fix = match same_line {
        Some(fix) => version >= *fix,
        // A line without a fix of its own is safe if it is newer than every line that has one.
        None => fixed.iter().max().is_some_and(|newest| version > *newest),
    };
    if holds_fix {
        return Some(false);
    }
    if affected.iter().any(|span| span.holds(version)) {
        return Some(true);
    }
    let first = affected.iter().map(|span| span.start()).min()??;
    (version < first).then_some(false)
}
