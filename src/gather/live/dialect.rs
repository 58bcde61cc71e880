//! The agent's commands, and what older and newer agents call them.

use super::bounded::CommandEnd;
use crate::base::answer::End;
use crate::base::evidence::Evidence;
use crate::base::version::Version;
use crate::cilium::agent_config::{FOLDER, KEYS};
use crate::cilium::kernel_btf::BTF;

/// How one agent wants to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own")]
pub(super) struct Dialect {
    /// Up to 1.14 the program was called `cilium`.
    old_name: bool,
    /// `global` belonged to tables per endpoint, which are gone; newer agents may refuse the word (cilium#43147).
    no_global: bool,
    /// Before 1.18 the map of addresses had a name without a number.
    old_ipcache: bool,
    /// Reading the kernel's table of counters would replace it, so the agent is asked for its own metric of drops.
    agents_counters: bool,
}

/// Where Cilium mounts the control groups that its socket programs are attached to, by default.
const CGROUP_ROOT: &str = "/run/cilium/cgroupv2";
/// Counts what each tail-call map holds, `NAME COUNT` a line. It opens pinned maps for reading and writes nothing.
const COUNT_CALLS: &str = "for f in /sys/fs/bpf/tc/globals/cilium_calls_*; do \
    n=$(bpftool map dump pinned $f | grep -c '^key'); echo \"$(basename $f) $n\"; done";

/// Prints the settings that are there, `PATH:VALUE` a line.
fn config_argv() -> Vec<String> {
    let files = KEYS.iter().map(|key| format!("{FOLDER}/{key}"));
    ["grep", "-s", ""].map(str::to_owned).into_iter().chain(files).collect()
}

impl Dialect {
    /// The dialect of a release, as far as the release tells.
    pub(super) fn of_release(release: Option<Version>) -> Self {
        Self { old_ipcache: release.is_some_and(|release| release.line() < (1, 18)), ..Self::default() }
    }

    /// The same by the program's older name; none where that is the name already.
    pub(super) const fn by_old_name(self) -> Option<Self> {
        if self.old_name { None } else { Some(Self { old_name: true, ..self }) }
    }

    /// The same for an agent whose table of counters must not be opened.
    pub(super) const fn by_agents_counters(self) -> Self {
        Self { agents_counters: true, ..self }
    }

    /// Whether reading the drop counters asks the agent itself.
    pub(super) const fn asks_agent_for_counters(self) -> bool {
        self.agents_counters
    }

    /// The plain command.
    pub(super) fn argv(self, evidence: Evidence) -> Vec<String> {
        let words: &[&str] = match evidence {
            Evidence::AttachedPrograms => return to_owned(&["bpftool", "net", "show"]),
            Evidence::LinkList => return to_owned(&["bpftool", "link", "show"]),
            Evidence::CgroupTree => return to_owned(&["bpftool", "cgroup", "tree", CGROUP_ROOT]),
            Evidence::Mounts => return to_owned(&["cat", "/proc/self/mountinfo"]),
            Evidence::HostFirewall => return to_owned(&["iptables-save"]),
            Evidence::HostFirewallV6 => return to_owned(&["ip6tables-save"]),
            Evidence::KernelBtf => return to_owned(&["ls", BTF]),
            Evidence::AgentConfig => return config_argv(),
            Evidence::CallsMaps => return to_owned(&["sh", "-c", COUNT_CALLS]),
            Evidence::BpfMetrics | Evidence::BpfMetricsAgain => &["bpf", "metrics", "list", "-o", "json"],
            Evidence::EndpointList => &["endpoint", "list", "-o", "json"],
            Evidence::BpfEndpointList => &["bpf", "endpoint", "list"],
            Evidence::MapGetLxc => &["map", "get", "cilium_lxc"],
            Evidence::IpcacheList => &["bpf", "ipcache", "list"],
            Evidence::MapGetIpcache if self.old_ipcache => &["map", "get", "cilium_ipcache"],
            Evidence::MapGetIpcache => &["map", "get", "cilium_ipcache_v2"],
            Evidence::ConfigDrift => &["metrics", "list", "-p", "drift_checker_config_delta"],
            Evidence::CtList | Evidence::NeighbourCtList if self.no_global => &["bpf", "ct", "list"],
            Evidence::CtList | Evidence::NeighbourCtList => &["bpf", "ct", "list", "global"],
            Evidence::ServiceList => &["service", "list"],
            Evidence::LbList => &["bpf", "lb", "list"],
            Evidence::DropMetrics | Evidence::DropMetricsAgain if self.agents_counters => {
                &["metrics", "list", "-p", "drop_count_total"]
            }
            Evidence::DropMetrics | Evidence::DropMetricsAgain => &["bpf", "metrics", "list"],
            Evidence::NatList => &["bpf", "nat", "list"],
            Evidence::AgentStatus
            | Evidence::HostPing
            | Evidence::PodEgress
            | Evidence::PodEgressAddress
            | Evidence::PodDns
            | Evidence::HostMounts
            | Evidence::AgentLog => &["status", "--verbose"],
        };
        let program = if self.old_name { "cilium" } else { "cilium-dbg" };
        std::iter::once(program).chain(words.iter().copied()).map(str::to_owned).collect()
    }

    /// The dialect to try next, where this outcome says that the agent did not understand.
    pub(super) fn after(self, evidence: Evidence, outcome: &CommandEnd) -> Option<Self> {
        let is_cilium = self.argv(evidence).first().is_some_and(|program| program.starts_with("cilium"));
        if outcome.lacks_program && !self.old_name && is_cilium {
            return Some(Self { old_name: true, ..self });
        }
        let failed = matches!(outcome.end, End::Exited(code) if code != 0);
        let no_such_map = outcome.stderr.to_lowercase().contains("not found");
        if failed && evidence == Evidence::MapGetIpcache && !self.old_ipcache && no_such_map {
            return Some(Self { old_ipcache: true, ..self });
        }
        let is_dump = matches!(evidence, Evidence::CtList | Evidence::NeighbourCtList);
        if failed && is_dump && !self.no_global && refuses_an_argument(&outcome.stderr) {
            return Some(Self { no_global: true, ..self });
        }
        None
    }
}

/// The agent's command line has no exit code of its own for this; these are its library's words.
fn refuses_an_argument(stderr: &str) -> bool {
    let words = ["invalid argument", "unknown command", "unknown argument", "accepts", "too many arg"];
    let lower = stderr.to_lowercase();
    words.iter().any(|word| lower.contains(word))
}

fn to_owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::failure::{Failure, FailureKind};

    fn outcome(end: End, stderr: &str, lacks_program: bool) -> CommandEnd {
        CommandEnd { end, stderr: stderr.to_owned(), lacks_program, unanswered: false }
    }

    #[test]
    fn an_older_agent_is_asked_by_its_older_name() {
        let missing = outcome(End::Failed(Failure::new(FailureKind::NotFound, "")), "", true);
        let old = Dialect::default().after(Evidence::ServiceList, &missing).unwrap();
        assert_eq!(old.argv(Evidence::ServiceList), ["cilium", "service", "list"]);
        assert_eq!(old.after(Evidence::ServiceList, &missing), None);
        assert_eq!(Dialect::default().after(Evidence::AttachedPrograms, &missing), None);
    }

    #[test]
    fn an_agent_that_refuses_global_is_asked_without() {
        let refused =
            outcome(End::Exited(1), "Error: unknown command \"global\" for \"cilium-dbg bpf ct list\"\n", false);
        let new = Dialect::default().after(Evidence::CtList, &refused).unwrap();
        assert_eq!(new.argv(Evidence::CtList), ["cilium-dbg", "bpf", "ct", "list"]);
        assert_eq!(Dialect::default().after(Evidence::NatList, &refused), None);
    }

    #[test]
    fn any_other_failure_is_an_answer() {
        let failed = outcome(End::Exited(1), "Unable to open map: permission denied\n", false);
        assert_eq!(Dialect::default().after(Evidence::CtList, &failed), None);
    }
}
