//! Classes of errors in the agent's log that distinguish upstream issues.
//!
//! "Failed to initialize datapath" alone tells nothing: the error's own text names the step that fails (#46065 and
//! #48778 begin with the same words).

use std::collections::BTreeMap;

/// What a line of the agent's log complains of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogError {
    /// "Failed to initialize datapath, retrying later", whatever the reason.
    DatapathInitialization,
    /// The kernel offers no BTF, which CO-RE programs need (#48778).
    NoBtf,
    /// A program could not be detached from a cgroup (#46065, #43877).
    CgroupDetach,
    /// The kernel refuses the probe for `bpf_set_retval` (#48016).
    SetRetval,
    /// The kernel's verifier refuses a program (#44216, #47718).
    Verifier,
    /// Envoy's resources hold one key twice (#47624).
    DuplicateResourceKey,
    /// The watchdog found an endpoint without its program.
    ProgramRemoval,
    /// The agent refuses new endpoints while it is busy: `putEndpointIdTooManyRequests`.
    TooManyEndpointRequests,
}

impl LogError {
    /// Every class.
    pub const ALL: [Self; 8] = [
        Self::DatapathInitialization,
        Self::NoBtf,
        Self::CgroupDetach,
        Self::SetRetval,
        Self::Verifier,
        Self::DuplicateResourceKey,
        Self::ProgramRemoval,
        Self::TooManyEndpointRequests,
    ];

    /// What the log says.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::DatapathInitialization => "the datapath could not be initialized",
            Self::NoBtf => "the kernel has no BTF",
            Self::CgroupDetach => "a program could not be detached from its cgroup",
            Self::SetRetval => "the kernel refuses the probe for bpf_set_retval",
            Self::Verifier => "the kernel's verifier refuses a program",
            Self::DuplicateResourceKey => "Envoy was given one resource key twice",
            Self::ProgramRemoval => "an endpoint's program was removed",
            Self::TooManyEndpointRequests => "the agent refuses new endpoints because it is busy",
        }
    }

    fn is_in(self, lower: &str) -> bool {
        let all = |words: &[&str]| words.iter().all(|word| lower.contains(word));
        match self {
            Self::DatapathInitialization => all(&["failed to initialize datapath"]),
            Self::NoBtf => all(&["no btf found"]),
            Self::CgroupDetach => all(&["detach", "cgroup"]),
            Self::SetRetval => all(&["setretval"]) || all(&["bpf_set_retval"]),
            Self::Verifier => all(&["verifier error"]),
            Self::DuplicateResourceKey => all(&["duplicate resource key"]),
            Self::ProgramRemoval => all(&["unexpected endpoint bpf program removal"]),
            Self::TooManyEndpointRequests => all(&["putendpointidtoomanyrequests"]),
        }
    }
}

/// The classes that one line of the agent's log belongs to; most lines belong to none.
pub fn classes(line: &str) -> impl Iterator<Item = LogError> {
    let lower = line.to_ascii_lowercase();
    LogError::ALL.into_iter().filter(move |class| class.is_in(&lower))
}

/// How many of these lines belong to each class.
pub fn count<'a>(lines: impl IntoIterator<Item = &'a str>) -> BTreeMap<LogError, usize> {
    let mut counts = BTreeMap::new();
    for class in lines.into_iter().flat_map(classes) {
        *counts.entry(class).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_opening_phrase_with_two_errors_gives_two_classes() {
        let without_btf = "msg=\"Failed to initialize datapath, retrying later\" error=\"load spec: no BTF found\"";
        let cgroup = "msg=\"Failed to initialize datapath, retrying later\" error=\"detach cgroup program: x\"";
        let found = |line| classes(line).collect::<Vec<_>>();
        assert_eq!(found(without_btf), [LogError::DatapathInitialization, LogError::NoBtf]);
        assert_eq!(found(cgroup), [LogError::DatapathInitialization, LogError::CgroupDetach]);
        assert!(found("level=info msg=\"Daemon initialization completed\"").is_empty());
        assert_eq!(count([without_btf, without_btf, cgroup])[&LogError::DatapathInitialization], 3);
    }
}
