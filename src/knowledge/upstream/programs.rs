//! Issues of programs and maps: missing, doubled, invisible, or attached in the wrong place.

use super::facts::{Fact, Mark};
use super::log_error::LogError;
use super::versions::Span;
use super::{BLANK, Issue, Restart};
use crate::base::version::Version;
use crate::knowledge::code::Code;

const PROGRAMS_MISSING: Fact = Fact::Verdict(&[Code::DatapathProgramsMissing]);
const UNTRANSLATED: Fact = Fact::Verdict(&[Code::ServiceTranslationMissing]);

pub(super) const ISSUES: &[Issue] = &[
    Issue {
        number: 28433,
        title: "Endpoints lose their network after hours, until the agent restarts",
        affected: &[Span::Seen(1, 14, 0)],
        state: "closed; another vendor's agent (Elastic) removed Cilium's tc filters",
        symptom: "pods of a node lose their network after hours, until the agent restarts",
        evidence: "programs are missing on the devices",
        needs: &[PROGRAMS_MISSING],
        restart: Restart::Helps,
        advice: "Find what removes the programs: an agent for security or observability that attaches its own.",
        ..BLANK
    },
    Issue {
        repo: "microsoft/retina",
        number: 252,
        title: "Retina removes Cilium's programs from devices",
        state: "a second known culprit beside #28433",
        symptom: "pods lose their network after Retina starts or ends on the node",
        evidence: "programs are missing, and Retina runs on the node",
        needs: &[PROGRAMS_MISSING],
        restart: Restart::Helps,
        advice: "If Retina runs on this node, stop it before the agent is restarted.",
        ..BLANK
    },
    Issue {
        number: 21345,
        title: "A pod's device lacks its to-container program",
        affected: &[Span::Line(1, 11), Span::Line(1, 12)],
        state: "closed as stale",
        symptom: "single pods are cut off",
        evidence: "the egress filter is missing on the pod's lxc device",
        needs: &[PROGRAMS_MISSING, Fact::Has(Mark::PodDeviceBare)],
        advice: "Restart the pod that is cut off first.",
        ..BLANK
    },
    Issue {
        number: 47625,
        pull: true,
        title: "The endpoint watchdog raises a false alarm while a pod is deleted",
        fixed: &[Version::release(1, 20, 1)],
        state: "fixed",
        symptom: "the log says \"Detected unexpected endpoint BPF program removal\" although nothing was removed",
        evidence: "the message stands once, beside the end of a pod, and `bpftool net show` is complete",
        needs: &[Fact::Log(LogError::ProgramRemoval)],
        advice: "Compare the message with the attached programs before you believe it.",
        ..BLANK
    },
    Issue {
        number: 27720,
        title: "Missed tail calls drop packets (1.14)",
        affected: &[Span::Seen(1, 14, 0)],
        state: "closed",
        symptom: "packets are dropped before a conntrack entry is made",
        evidence: "the drop reason Missed tail call rises",
        needs: &[Fact::Drops("Missed tail call")],
        restart: Restart::Helps,
        advice: "An emptied map of tail calls is filled again only when the agent restarts.",
        ..BLANK
    },
    Issue {
        number: 15446,
        title: "Missed tail calls drop packets (1.8)",
        affected: &[Span::Seen(1, 8, 4)],
        state: "closed; as #27720",
        symptom: "packets are dropped before a conntrack entry is made",
        evidence: "the drop reason Missed tail call rises",
        needs: &[Fact::Drops("Missed tail call")],
        restart: Restart::Helps,
        advice: "An emptied map of tail calls is filled again only when the agent restarts.",
        ..BLANK
    },
    Issue {
        number: 23485,
        title: "Lists of BPF maps are empty after a second mount over /sys/fs/bpf",
        state: "state not verified",
        symptom: "most `bpf … list` commands show nothing while the status says Ok and pods are broken",
        evidence: "two mounts over /sys/fs/bpf (`findmnt`); the dump is empty or cannot be opened on a node that runs pods",
        needs: &[Fact::Verdict(&[Code::MapsNotVisible])],
        setting: &[Fact::Has(Mark::SecondBpfMount)],
        advice: "Remove the second mount before anything is restarted: see #47847.",
        ..BLANK
    },
    Issue {
        number: 27900,
        title: "Socket load balancing attaches to the wrong cgroup",
        affected: &[Span::Seen(1, 14, 1)],
        state: "state not verified",
        symptom: "pods cannot reach service addresses: their packets leave untranslated",
        evidence: "flows to plain service addresses are unanswered; `cil_sock*` programs hang on another cgroup",
        needs: &[UNTRANSLATED],
        advice: "Point `cgroup.hostRoot` to the cgroup file system that the pods run under.",
        ..BLANK
    },
    Issue {
        number: 48420,
        title: "Socket load-balancing links stay on a dying cgroup (Talos)",
        affected: &[Span::Since(1, 20, 1)],
        state: "open",
        symptom: "host-network pods cannot reach service addresses",
        evidence: "`bpftool cgroup tree` shows no `cil_sock*` program where the status promises them",
        needs: &[UNTRANSLATED],
        setting: &[Fact::Has(Mark::SocketProgramsMissing)],
        advice: "Compare the cgroup that holds the links with the one that the pods run under.",
        ..BLANK
    },
];
