//! The exit codes: what each means, and how it reads in help, manual page and README. The same for every output format.
//! Which one an error gets, `error.rs` decides.

use std::fmt::Write as _;
use std::process::ExitCode;

/// The columns of help's section, for a screen that is as narrow as they come.
const COLUMNS: usize = 80;
/// Where the meanings begin.
const INDENT: usize = 7;

/// How a run ended, as other programs see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Every node judged is healthy; or `fix` worked and was verified.
    Healthy,
    /// At least one node is stale.
    Stale,
    /// `diff --exit-code`: the two differ. Its number is that of `git diff`, and so of [`Self::Stale`].
    Differs,
    /// The command line or the configuration is wrong; nothing was contacted.
    Usage,
    /// No node is stale, but at least one has another fault.
    OtherFault,
    /// No node is stale or otherwise faulty, but at least one could not be judged.
    Inconclusive,
    /// Could not run at all.
    CannotRun,
    /// `fix`: restarted, but the verification failed or did not finish.
    NotVerified,
    /// `fix`: refused by a safety rule, or not confirmed; nothing was changed.
    Refused,
    /// Interrupted.
    Interrupted,
}

impl Exit {
    /// Every code once, with what it means for the commands that judge nodes.
    pub const ALL: [Self; 9] = [
        Self::Healthy,
        Self::Stale,
        Self::Usage,
        Self::OtherFault,
        Self::Inconclusive,
        Self::CannotRun,
        Self::NotVerified,
        Self::Refused,
        Self::Interrupted,
    ];

    /// Those of a command that judges nodes.
    pub const OF_JUDGING: [Self; 7] = [
        Self::Healthy,
        Self::Stale,
        Self::Usage,
        Self::OtherFault,
        Self::Inconclusive,
        Self::CannotRun,
        Self::Interrupted,
    ];

    /// Those of a command that judges nothing.
    pub const OF_READING: [Self; 4] = [Self::Healthy, Self::Usage, Self::CannotRun, Self::Interrupted];

    /// Those of `diff`.
    pub const OF_DIFF: [Self; 5] = [Self::Healthy, Self::Differs, Self::Usage, Self::CannotRun, Self::Interrupted];

    /// Those of `fix`.
    pub const OF_FIX: [Self; 6] =
        [Self::Healthy, Self::Usage, Self::CannotRun, Self::NotVerified, Self::Refused, Self::Interrupted];

    /// The number that the calling program gets.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Stale | Self::Differs => 1,
            Self::Usage => 2,
            Self::OtherFault => 3,
            Self::Inconclusive => 4,
            Self::CannotRun => 5,
            Self::NotVerified => 6,
            Self::Refused => 7,
            Self::Interrupted => 130,
        }
    }

    /// What it means, in the words of help, manual page and README; commands stand in backquotes.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Healthy => "every node judged is healthy; or `fix` worked and was verified",
            Self::Stale => "at least one node is stale",
            Self::Differs => "with --exit-code: the two differ",
            Self::Usage => "the command line or the configuration is wrong; nothing was contacted",
            Self::OtherFault => "no node is stale, but at least one has another fault",
            Self::Inconclusive => "no node is stale or otherwise faulty, but at least one could not be judged",
            Self::CannotRun => {
                "could not run at all: no kubeconfig, no such context, API unreachable, bundle unreadable"
            }
            Self::NotVerified => "`fix`: restarted, but the verification failed or did not finish",
            Self::Refused => "`fix`: refused by a safety rule, or not confirmed; nothing was changed",
            Self::Interrupted => "interrupted",
        }
    }

    /// The section of a command's help. `healthy` says what 0 means for this command.
    #[must_use]
    pub fn help(codes: &[Self], healthy: &str) -> String {
        let meaning = |exit: &Self| if *exit == Self::Healthy { healthy } else { exit.meaning() };
        let codes: Vec<(Self, &str)> = codes.iter().map(|exit| (*exit, meaning(exit))).collect();
        Self::help_of(&codes)
    }

    /// The section of a command's help, each code with what it means for this command.
    #[must_use]
    pub fn help_of(codes: &[(Self, &str)]) -> String {
        let mut text = "Exit codes:".to_owned();
        for (exit, meaning) in codes {
            // Within the help of `fix` its name adds nothing.
            let meaning = meaning.strip_prefix("`fix`: ").unwrap_or(meaning);
            // Writing to a String cannot fail.
            let _ = write!(text, "\n  {:<3} ", exit.code());
            let mut column = INDENT - 1;
            for word in meaning.split(' ') {
                if column + 1 + word.len() >= COLUMNS {
                    let _ = write!(text, "\n{:indent$}", "", indent = INDENT - 1);
                    column = INDENT - 1;
                }
                let _ = write!(text, " {word}");
                column += 1 + word.len();
            }
        }
        text
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_contract_and_in_order() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 4, 5, 6, 7, 130]);
    }

    #[test]
    fn help_lists_each_code_with_its_meaning() {
        let help = Exit::help(&Exit::OF_FIX, "restarted and verified");
        assert!(help.starts_with("Exit codes:\n  0    restarted and verified\n  2    the command line"), "{help}");
        assert!(help.contains("\n  6    restarted, but"), "{help}");
        assert!(help.ends_with("\n  130  interrupted"), "{help}");
        assert!(help.contains("API unreachable,\n       bundle unreadable\n"), "{help}");
        assert!(help.lines().all(|line| line.len() < 80), "{help}");
    }
}
