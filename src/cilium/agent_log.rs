//! The agent's log: lines about a datapath that never came up, and about programs that were removed.
//!
//! Lines are logfmt: `time=… level=warn msg="…" key=value`; older releases put `subsys=` first. A value with blanks stands
//! in quotes.

use crate::base::time::{Timestamp, moment};
use std::collections::BTreeMap;

/// The most endpoints that are kept of the watchdog's lines.
const MOST: usize = 4_096;

/// Words of a datapath that does not come up, in any case.
const FAILED: [&str; 4] = [
    "failed to initialize datapath",
    "unable to initialize datapath",
    "failed to compile socket lb",
    "failed to load socket lb",
];

/// Why the datapath does not come up, by the error's own words: the retry loop is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatapathFailure {
    /// The kernel has no type information: no restart helps (cilium/cilium#48778).
    NoKernelTypes,
    /// Programs of an earlier agent can't be detached from the control group (cilium/cilium#46065, #43877).
    CannotDetach,
    /// The kernel's verifier refuses a program (cilium/cilium#47718).
    Verifier,
    /// Anything else.
    Other,
}

impl DatapathFailure {
    fn by_words(error: &str) -> Self {
        let lower = error.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        if has(&["no btf found", "btf: not supported", "kernel btf", "no btf"]) {
            Self::NoKernelTypes
        } else if has(&["detach cgroup", "detach programs", "detaching program"]) {
            Self::CannotDetach
        } else if has(&["verifier error", "invalid argument: processed", "verifier log"]) {
            Self::Verifier
        } else {
            Self::Other
        }
    }
}

/// What the watchdog says of programs that are gone from pods' devices. It looks every 30 s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovedPrograms {
    /// Lines that say so.
    pub lines: usize,
    /// The endpoints of the last such line, by number, with `namespace/pod`; none in releases before 1.20, which stop at the
    /// first and do not name it. The host's own endpoint has an empty name.
    pub endpoints: BTreeMap<u32, String>,
    /// All endpoints of the node, those that are well, too, as the last such line counts them.
    pub all: Option<u64>,
    /// When the first and the last such line were written.
    pub first_at: Option<Timestamp>,
    /// The last.
    pub last_at: Option<Timestamp>,
}

/// What the log tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentLog {
    /// Lines read.
    pub lines: usize,
    /// Lines that say that the datapath could not be initialized, or that programs could not be compiled or loaded.
    pub datapath_failures: usize,
    /// The last such line, as it came.
    pub last_failure: Option<String>,
    /// What its error says, where it has one.
    pub last_error: Option<String>,
    /// Which of the known reasons that is.
    pub failure: Option<DatapathFailure>,
    /// Lines that say that a program was refused by the kernel's verifier (cilium/cilium#47718).
    pub verifier_errors: usize,
    /// Lines that say that Envoy was given one resource key twice (cilium/cilium#47624).
    pub duplicate_keys: usize,
    /// What the watchdog says.
    pub removed: RemovedPrograms,
    /// Lines of level `error` or above.
    pub errors: usize,
    /// When the first line that has a time was written.
    pub begins_at: Option<Timestamp>,
    /// When the last one was.
    pub ends_at: Option<Timestamp>,
}

/// Reads the log.
#[must_use]
pub fn parse(text: &str) -> AgentLog {
    let mut log = AgentLog::default();
    for line in text.lines() {
        log.lines += 1;
        log.take(line);
    }
    log
}

impl AgentLog {
    fn take(&mut self, line: &str) {
        let at = field(line, "time").as_deref().and_then(moment);
        self.begins_at = self.begins_at.or(at);
        self.ends_at = at.or(self.ends_at);
        self.errors += usize::from(matches!(field(line, "level").as_deref(), Some("error" | "fatal" | "panic")));
        let lower = line.to_ascii_lowercase();
        self.duplicate_keys += usize::from(lower.contains("duplicate resource key"));
        self.verifier_errors += usize::from(lower.contains("verifier error"));
        if FAILED.iter().any(|words| lower.contains(words)) {
            self.datapath_failures += 1;
            self.last_failure = Some(line.to_owned());
            self.last_error = field(line, "error");
            self.failure = Some(DatapathFailure::by_words(self.last_error.as_deref().unwrap_or(line)));
        } else if lower.contains("detected unexpected endpoint bpf program removal") {
            self.removed.take(line, at);
        }
    }
}

impl RemovedPrograms {
    fn take(&mut self, line: &str, at: Option<Timestamp>) {
        self.lines += 1;
        self.first_at = self.first_at.or(at);
        self.last_at = at.or(self.last_at);
        self.endpoints = field(line, "endpoints").map(|map| endpoints(&map)).unwrap_or_default();
        // `count` up to 1.19: neither is how many lack their program.
        self.all = ["total", "count"].into_iter().find_map(|key| field(line, key)?.parse().ok());
    }

    /// The pods of the last line, `namespace/pod`.
    pub fn pods(&self) -> impl Iterator<Item = &str> {
        self.endpoints.values().map(String::as_str).filter(|pod| pod.len() > 1)
    }
}

/// `map[96:media/hermes 165:/]`: endpoints by number, with the pod's name.
fn endpoints(map: &str) -> BTreeMap<u32, String> {
    let Some(inside) = map.strip_prefix("map[").map(|rest| rest.trim_end_matches(']')) else {
        return BTreeMap::new();
    };
    let pairs = inside.split_whitespace().filter_map(|pair| pair.split_once(':'));
    pairs.filter_map(|(id, pod)| Some((id.parse().ok()?, pod.to_owned()))).take(MOST).collect()
}

/// The value of a field of a logfmt line, without its quotes.
fn field(line: &str, key: &str) -> Option<String> {
    let mut rest = line;
    loop {
        let at = rest.find(key)?;
        let (before, found) = (&rest[..at], &rest[at + key.len()..]);
        let begins_a_word = before.is_empty() || before.ends_with(' ');
        if begins_a_word && let Some(value) = found.strip_prefix('=') {
            return Some(match value.strip_prefix('"') {
                Some(quoted) => unquoted(quoted),
                None => value.split(' ').next().unwrap_or_default().to_owned(),
            });
        }
        rest = found;
    }
}

/// The text up to the closing quote.
fn unquoted(quoted: &str) -> String {
    let mut value = String::new();
    let mut chars = quoted.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => break,
            '\\' => value.extend(chars.next()),
            other => value.push(other),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_retry_loop_is_counted() {
        let log = parse(
            "level=info msg=\"Daemon initialization completed\"\n\
             level=warn msg=\"Failed to initialize datapath, retrying later\" error=\"detach cgroup: x\"\n\
             level=warn msg=\"Failed to initialize datapath, retrying later\" error=\"detach cgroup: y\"\n",
        );
        assert_eq!((log.lines, log.datapath_failures), (3, 2));
        assert!(log.last_failure.is_some_and(|l| l.contains('y')));
        assert_eq!(
            (log.last_error.as_deref(), log.failure),
            (Some("detach cgroup: y"), Some(DatapathFailure::CannotDetach))
        );
    }

    #[test]
    fn reasons_are_told_by_the_errors_own_words() {
        for (error, failure) in [
            ("load kernel spec: no BTF found for kernel version 6.1: not supported", DatapathFailure::NoKernelTypes),
            ("detach programs from cgroup /run/x: no such file", DatapathFailure::CannotDetach),
            ("program cil_from_netdev: verifier error: R1 invalid", DatapathFailure::Verifier),
            ("no such device eth7", DatapathFailure::Other),
        ] {
            let line = format!(
                "time=2026-01-02T03:04:05Z level=error msg=\"Failed to compile socket LB programs\" error=\"{error}\""
            );
            let log = parse(&line);
            assert_eq!((log.failure, log.errors), (Some(failure), 1), "{error}");
            assert_eq!(log.last_error.as_deref(), Some(error));
        }
        assert_eq!(parse("level=info msg=\"no BTF found is a text\"").failure, None);
    }

    #[test]
    fn the_watchdog_names_endpoints_where_the_release_does() {
        let named = parse(
            "time=2026-01-02T03:04:05Z level=warn msg=\"Detected unexpected endpoint BPF program removal. Look.\" module=a.ep endpoints=map[7:media/x] total=9\n\
             time=2026-01-02T03:04:35Z level=warn msg=\"Detected unexpected endpoint BPF program removal. Look.\" module=a.ep endpoints=\"map[7:media/x 96:shop/y 165:/]\" total=9\n",
        );
        assert_eq!((named.removed.lines, named.removed.all), (2, Some(9)));
        assert_eq!(named.removed.endpoints.len(), 3);
        assert_eq!(named.removed.pods().collect::<Vec<_>>(), ["media/x", "shop/y"]);
        assert_eq!(named.removed.first_at, moment("2026-01-02T03:04:05Z"));
        assert_eq!(named.removed.last_at, moment("2026-01-02T03:04:35Z"));
        let counted = parse("level=warn msg=\"Detected unexpected endpoint BPF program removal.\" count=2 subsys=w\n");
        assert_eq!((counted.removed.all, counted.removed.endpoints.len()), (Some(2), 0));
        assert_eq!(counted.removed.first_at, None);
    }

    #[test]
    fn a_value_may_have_quotes_in_it() {
        let line = r#"level=warn msg="a time=5 \"b\"" time=9 error="said \"no\" twice""#;
        assert_eq!(field(line, "error").as_deref(), Some("said \"no\" twice"));
        assert_eq!(field(line, "msg").as_deref(), Some("a time=5 \"b\""));
        assert_eq!(field(line, "missing"), None);
    }
}
