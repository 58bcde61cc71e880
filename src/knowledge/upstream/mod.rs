//! Upstream issues as data: one entry each with its versions, its sign, and what a restart does.
//!
//! State of 2026-11. Versions are those that reporters and release notes name; not all others were tried. So a match
//! says "reported for 1.19.4" or "not confirmed for 1.19.4", never "this is it", and it never convicts a node: it
//! explains a verdict, and it raises the risk of a restart. It never lowers that risk.

mod dns;
mod drops;
pub mod facts;
pub mod log_error;
mod paths;
mod policy;
mod programs;
mod restart;
mod services;
pub mod versions;

use crate::base::version::Version;
use crate::knowledge::risk::RiskLevel;
use facts::{Fact, Sighting, Signs};
use versions::Span;

/// Until when upstream's threads and release notes were read.
pub const KNOWN_AS_OF: &str = "2026-11";

/// What a restart of the Cilium pod does where an issue is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Restart {
    /// It can start the fault or repeats it, and the host itself loses its network.
    TakesHost,
    /// It can start the fault, the node's pods lose their network, and a further restart does not repair it.
    CutsPods,
    /// It can start the fault or repeats it.
    Triggers,
    /// It does not cure it.
    DoesNotHelp,
    /// It cured it in the reports.
    Helps,
    /// No report says.
    Unknown,
}

impl Restart {
    /// In words.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::TakesHost => "a restart of the Cilium pod can take the node itself off the network",
            Self::CutsPods => {
                "a restart of the Cilium pod can cut off the pods of the node, and a further one does not help"
            }
            Self::Triggers => "a restart of the Cilium pod can start it or repeats it",
            Self::DoesNotHelp => "a restart of the Cilium pod does not cure it",
            Self::Helps => "a restart of the Cilium pod cured it in the reports",
            Self::Unknown => "effect of a restart: unknown",
        }
    }

    /// How bad it is if a restart starts it; none for an issue that a restart does not start.
    #[must_use]
    pub const fn harm(self) -> Option<RiskLevel> {
        match self {
            Self::TakesHost | Self::CutsPods => Some(RiskLevel::High),
            Self::Triggers => Some(RiskLevel::Medium),
            Self::DoesNotHelp | Self::Helps | Self::Unknown => None,
        }
    }
}

/// An upstream issue or pull request.
#[derive(Clone, Copy, Debug)]
pub struct Issue {
    /// The repository: `cilium/cilium`.
    pub repo: &'static str,
    /// Its number there.
    pub number: u32,
    /// Whether the number is a pull request's.
    pub pull: bool,
    /// Its title, in staledp's words.
    pub title: &'static str,
    /// The versions that it was reported for.
    pub affected: &'static [Span],
    /// The first release of each line that holds the fix.
    pub fixed: &'static [Version],
    /// Whether it is open, and where the fix or a relative is.
    pub state: &'static str,
    /// What users see.
    pub symptom: &'static str,
    /// What tells it from others, for a person.
    pub evidence: &'static str,
    /// What must be seen before the report names it; empty if staledp does not read what tells it.
    pub needs: &'static [Fact],
    /// The set-up that it is known from: nothing of it may be contradicted by what was seen.
    pub setting: &'static [Fact],
    /// What a restart does.
    pub restart: Restart,
    /// What to do.
    pub advice: &'static str,
}

/// An entry to fill in.
const BLANK: Issue = Issue {
    repo: "cilium/cilium",
    number: 0,
    pull: false,
    title: "",
    affected: &[],
    fixed: &[],
    state: "state not verified",
    symptom: "",
    evidence: "",
    needs: &[],
    setting: &[],
    restart: Restart::Unknown,
    advice: "",
};

impl Issue {
    /// `cilium/cilium#46065`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}#{}", self.repo, self.number)
    }

    /// Its page.
    #[must_use]
    pub fn url(&self) -> String {
        let kind = if self.pull { "pull" } else { "issues" };
        format!("https://github.com/{}/{kind}/{}", self.repo, self.number)
    }

    /// Whether this version has it: yes, by a report; no, because it is older than the first affected release or holds
    /// the fix; none if the text is not a version, or if it was neither confirmed nor excluded.
    #[must_use]
    pub fn affects(&self, version: &str) -> Option<bool> {
        self.affects_version(Version::parse(version)?)
    }

    fn affects_version(&self, version: Version) -> Option<bool> {
        versions::affects(self.affected, self.fixed, version)
    }

    /// Whether what was seen of the set-up contradicts it. What was not looked at does not.
    fn fits(&self, signs: &Signs) -> bool {
        self.setting.iter().all(|fact| fact.look(signs) != Sighting::Absent)
    }

    /// The sentence that names its sign in this evidence; none if part of the sign is not seen or was not looked at,
    /// if the set-up contradicts it, or if this version excludes it.
    #[must_use]
    pub fn sign(&self, signs: &Signs) -> Option<String> {
        if self.needs.is_empty() || !self.fits(signs) || self.standing(signs) == Some(false) {
            return None;
        }
        let (mut verdict, mut says) = (None, Vec::new());
        for fact in self.needs {
            match (fact.look(signs), fact) {
                (Sighting::Seen(sentence), Fact::Verdict(_)) => verdict = Some(sentence),
                (Sighting::Seen(sentence), _) => says.push(sentence),
                (Sighting::Absent | Sighting::NotLookedAt, _) => return None,
            }
        }
        // The verdict's own sentence says more than its code wherever something else was seen.
        if says.is_empty() { verdict } else { Some(says.join(", and ")) }
    }

    /// Whether the agent's release has it, as far as both are known: see [`Self::affects`].
    #[must_use]
    pub fn standing(&self, signs: &Signs) -> Option<bool> {
        signs.version.and_then(|version| self.affects_version(version))
    }
}

/// Every issue that is known here; those that matter most for a restart first.
pub fn all() -> impl Iterator<Item = &'static Issue> {
    let groups: [&'static [Issue]; 7] = [
        restart::ISSUES,
        programs::ISSUES,
        policy::ISSUES,
        services::ISSUES,
        dns::ISSUES,
        paths::ISSUES,
        drops::ISSUES,
    ];
    groups.into_iter().flatten()
}

/// The issue of this number; of cilium/cilium where other repositories have the number, too.
#[must_use]
pub fn find(number: u32) -> Option<&'static Issue> {
    let of_number = || all().filter(move |issue| issue.number == number);
    of_number().find(|issue| issue.repo == BLANK.repo).or_else(|| of_number().next())
}

/// The issues whose sign is seen, each with the reason; those that were reported for this version first.
#[must_use]
pub fn matching(signs: &Signs) -> Vec<(&'static Issue, String)> {
    let mut found: Vec<_> = all()
        .filter_map(|issue| {
            let sign = issue.sign(signs)?;
            let reported = match (signs.version, issue.standing(signs)) {
                (Some(version), Some(true)) => format!("reported for {version}"),
                (Some(version), _) => format!("not confirmed for {version}"),
                (None, _) => "not confirmed for an unknown version".to_owned(),
            };
            Some((issue, format!("{sign}; {reported}; {}", issue.restart.says())))
        })
        .collect();
    found.sort_by_key(|(issue, _)| issue.standing(signs) != Some(true));
    found
}

/// The issues that a restart can start here: reported for this version, and not contradicted by the set-up.
#[must_use]
pub fn restart_risks_here(signs: &Signs) -> Vec<&'static Issue> {
    all()
        .filter(|issue| issue.restart.harm().is_some())
        .filter(|issue| issue.standing(signs) == Some(true) && issue.fits(signs))
        .collect()
}

/// The issues that a restart can start or repeat, that this version does not exclude, and whose sign may be there:
/// nothing contradicts it, and part of it was not looked at. Those that were reported for this version are among
/// [`restart_risks_here`] already.
#[must_use]
pub fn restart_risks_not_looked_at(signs: &Signs) -> Vec<&'static Issue> {
    all()
        .filter(|issue| issue.restart.harm().is_some() && !issue.needs.is_empty())
        .filter(|issue| signs.version.is_some() && issue.standing(signs).is_none() && issue.fits(signs))
        .filter(|issue| {
            let looks: Vec<_> = issue.needs.iter().map(|fact| fact.look(signs)).collect();
            looks.contains(&Sighting::NotLookedAt) && !looks.contains(&Sighting::Absent)
        })
        .collect()
}

#[cfg(test)]
mod tests;
