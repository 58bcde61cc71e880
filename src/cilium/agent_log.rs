//! The agent's log: the few lines that tell of a datapath that never came up.

/// What the log tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentLog {
    /// Lines read.
    pub lines: usize,
    /// "Failed to initialize datapath, retrying later" (cilium/cilium#46065).
    pub datapath_failures: usize,
    /// The last such line, as it came.
    pub last_failure: Option<String>,
    /// Lines that say that a program was refused by the kernel's verifier (cilium/cilium#47718).
    pub verifier_errors: usize,
}

/// Reads the log.
#[must_use]
pub fn parse(text: &str) -> AgentLog {
    let mut log = AgentLog::default();
    for line in text.lines() {
        log.lines += 1;
        let lower = line.to_ascii_lowercase();
        if lower.contains("failed to initialize datapath") {
            log.datapath_failures += 1;
            log.last_failure = Some(line.to_owned());
        }
        log.verifier_errors += usize::from(lower.contains("verifier error"));
    }
    log
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
    }
}
