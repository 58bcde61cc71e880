//! A Cilium version, as far as it orders releases.

use std::fmt;

/// How far a build is from the release whose number it carries, earliest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// `-dev`, `-ci`, `-snapshot`: a build of any day before the release.
    Development,
    /// `-pre.N`, `-alpha.N`, `-beta.N`.
    Preview(u32),
    /// `-rc.N`.
    Candidate(u32),
    /// The release itself, also with a vendor's or a commit's suffix.
    Release,
}

/// A version: three numbers and the stage before the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 1.
    pub major: u32,
    /// The release line.
    pub minor: u32,
    /// The patch; 0 where the text names none.
    pub patch: u32,
    /// How far it is from the release.
    pub stage: Stage,
}

impl Version {
    /// The release with these numbers.
    #[must_use]
    pub const fn release(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch, stage: Stage::Release }
    }

    /// Reads a version as tags, `cilium-dbg status` and people write it: `v1.19.4`, `1.19.4-rc.1`, `1.20`,
    /// `1.18.6 (v1.18.6-95896696)`, `v1.19.4@sha256:…`. None if the text does not begin with two numbers.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let mut numbers = numbers.trim_end_matches('.').split('.').map(|n| n.parse::<u32>().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        let patch = match numbers.next() {
            Some(patch) => patch?,
            None => 0,
        };
        Some(Self { major, minor, patch, stage: stage(rest) })
    }

    /// Major and minor number: 1.19 of 1.19.4.
    #[must_use]
    pub const fn line(self) -> (u32, u32) {
        (self.major, self.minor)
    }
}

/// The stage that a suffix such as `-rc.1` names. A digest, a vendor's suffix or the abbreviated commit behind a
/// release's number is still that release.
fn stage(suffix: &str) -> Stage {
    let suffix = suffix.strip_prefix('-').unwrap_or_default().to_ascii_lowercase();
    let letters = suffix.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(suffix.len());
    let (word, rest) = suffix.split_at(letters);
    let digits = rest.trim_start_matches('.');
    let digits = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    let number = digits.parse().unwrap_or(0);
    match word {
        "rc" => Stage::Candidate(number),
        "pre" | "alpha" | "beta" => Stage::Preview(number),
        "dev" | "snapshot" | "ci" => Stage::Development,
        _ => Stage::Release,
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        match self.stage {
            Stage::Development => write!(f, "-dev"),
            Stage::Preview(number) => write!(f, "-pre.{number}"),
            Stage::Candidate(number) => write!(f, "-rc.{number}"),
            Stage::Release => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_people_write_them() {
        let parsed = |text| Version::parse(text).map(|v| (v.major, v.minor, v.patch, v.stage));
        assert_eq!(parsed("v1.19.4"), Some((1, 19, 4, Stage::Release)));
        assert_eq!(parsed("1.19.4-rc.1"), Some((1, 19, 4, Stage::Candidate(1))));
        assert_eq!(parsed("1.19.0-rc0"), Some((1, 19, 0, Stage::Candidate(0))));
        assert_eq!(parsed("1.20"), Some((1, 20, 0, Stage::Release)));
        assert_eq!(parsed("1.20.0-pre.2"), Some((1, 20, 0, Stage::Preview(2))));
        assert_eq!(parsed("1.18.6 (v1.18.6-95896696)"), Some((1, 18, 6, Stage::Release)));
        assert_eq!(parsed("v1.19.4@sha256:abc"), Some((1, 19, 4, Stage::Release)));
        assert_eq!(parsed("1.21.0-dev"), Some((1, 21, 0, Stage::Development)));
        assert_eq!(parsed("v1.17.6-gke.100"), Some((1, 17, 6, Stage::Release)));
        for nonsense in
            ["", "latest", "v", "1", "1.", "1..2", "99999999999.1", "1.x", "sha256:1.2", "..", "v1.2.99999999999"]
        {
            assert_eq!(parsed(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn versions_are_ordered_as_releases() {
        let order = [
            "1.9.0",
            "1.18.8",
            "1.18.10",
            "1.19.0-dev",
            "1.19.0-pre.1",
            "1.19.0-rc.1",
            "1.19.0-rc.2",
            "1.19.0",
            "1.19.3",
            "1.20.0-pre.1",
            "1.20",
        ];
        let versions: Vec<_> = order.iter().filter_map(|v| Version::parse(v)).collect();
        assert_eq!(versions.len(), order.len());
        assert!(versions.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn printed_version_reads_back_as_itself() {
        for text in ["1.19.4", "1.19.4-rc.1", "1.20.0-pre.2", "1.21.0-dev"] {
            assert_eq!(Version::parse(text).unwrap().to_string(), text);
        }
    }
}
