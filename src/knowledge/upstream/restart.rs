//! Issues around the agent's start: the restart starts them, repeats them, or shows them.

use super::facts::{Fact, Mark};
use super::log_error::LogError;
use super::versions::Span;
use super::{BLANK, Issue, Restart};
use crate::base::version::Version;
use crate::knowledge::code::Code;

/// A host that lost its network within this many seconds of its agent's start may have lost it by that start.
const SOON_AFTER_START_S: i64 = 3600;

const HOST_LOST_SOON_AFTER_START: &[Fact] =
    &[Fact::Verdict(&[Code::HostNetworkDown]), Fact::AgentYounger(SOON_AFTER_START_S)];

const NOT_INITIALIZED: &[Code] = &[Code::DatapathNotInitialized, Code::NewPodsStuck];

pub(super) const ISSUES: &[Issue] = &[
    Issue {
        number: 45077,
        title: "The host loses all egress when the agent restarts",
        affected: &[Span::Since(1, 18, 8)],
        state: "open; labelled fqdn and proxy; #38361 is a relative: nodes that a host policy with DNS or FQDN rules selects",
        symptom: "the host's own egress is dead for minutes after the agent pod was deleted",
        evidence: "the host is hit, not only its pods, and it begins with the agent's restart",
        needs: HOST_LOST_SOON_AFTER_START,
        restart: Restart::TakesHost,
        advice: "Don't restart the agent again. Keep a console or a second way to the node at hand.",
        ..BLANK
    },
    Issue {
        number: 46065,
        title: "An orphaned cgroup link stops the datapath's initialization after each restart",
        affected: &[Span::Since(1, 18, 9), Span::Line(1, 19)],
        state: "closed as stale; the attempted fix #46389 was closed unmerged",
        symptom: "after every restart the agent retries every 10 s without end; endpoints stay stuck while the status says Ok",
        evidence: "the agent's log repeats \"Failed to initialize datapath\" with an error about detaching from a cgroup",
        needs: &[Fact::Log(LogError::DatapathInitialization), Fact::Log(LogError::CgroupDetach)],
        restart: Restart::Triggers,
        advice: "Save a sysdump, then drain and reboot the node; a further restart begins the same loop.",
        ..BLANK
    },
    Issue {
        number: 44194,
        title: "TCX programs of the previous agent stay attached",
        affected: &[Span::Since(1, 18, 6)],
        state: "closed",
        symptom: "pod-to-pod and ClusterIP traffic is dead after the agent's restart",
        evidence: "`bpftool net show` has two programs of one name on a hook",
        needs: &[Fact::Verdict(&[Code::DatapathProgramsDuplicated])],
        setting: &[Fact::Has(Mark::Tcx)],
        restart: Restart::CutsPods,
        advice: "Drain and reboot the node: a restart does not remove the old programs.",
        ..BLANK
    },
    Issue {
        number: 47847,
        title: "A second mount of the BPF file system leads to duplicate programs",
        state: "closed; reported with 1.18.6, but the mount triggers it, not a release",
        symptom: "pod-to-pod and ClusterIP traffic is dead after an agent restart that follows a new mount over /sys/fs/bpf",
        evidence: "two mounts at /sys/fs/bpf (`findmnt /sys/fs/bpf`); duplicate names in `bpftool net show`",
        needs: &[Fact::Verdict(&[Code::DatapathProgramsDuplicated, Code::MapsNotVisible])],
        setting: &[Fact::Has(Mark::SecondBpfMount)],
        restart: Restart::CutsPods,
        advice: "Find what mounts it (fstab and `mount -a` in the report), remove it, then drain and reboot the node.",
        ..BLANK
    },
    Issue {
        number: 43877,
        title: "The agent cannot detach foreign programs from a cgroup",
        affected: &[Span::Between(1, 18, 6, 14)],
        fixed: &[Version::release(1, 18, 14), Version::release(1, 19, 8)],
        state: "closed; fixed by #44066",
        symptom: "the datapath orchestrator retries without end and is Degraded",
        evidence: "the error's text names both the detaching and the cgroup; a degraded module alone is not this issue",
        needs: &[Fact::Log(LogError::CgroupDetach)],
        restart: Restart::Triggers,
        advice: "Upgrade to a release that holds the fix; a restart retries the same step.",
        ..BLANK
    },
    Issue {
        number: 30609,
        title: "The node loses its network when the agent stops",
        affected: &[Span::Between(1, 15, 0, 1)],
        state: "closed",
        symptom: "the node loses its network when the agent stops: the remedy is the trigger",
        evidence: "it begins when the agent ends",
        needs: HOST_LOST_SOON_AFTER_START,
        restart: Restart::TakesHost,
        advice: "Don't restart the agent again. Keep a console or a second way to the node at hand.",
        ..BLANK
    },
    Issue {
        number: 20667,
        title: "The node loses its network when the agent stops (1.11 and 1.12)",
        affected: &[Span::Line(1, 11), Span::Line(1, 12)],
        state: "closed; as #30609",
        symptom: "the node loses its network when the agent stops",
        evidence: "it begins when the agent ends",
        needs: HOST_LOST_SOON_AFTER_START,
        restart: Restart::TakesHost,
        advice: "Don't restart the agent again; upgrade.",
        ..BLANK
    },
    Issue {
        number: 13254,
        title: "The node loses its network when the agent stops (1.8)",
        affected: &[Span::Line(1, 8)],
        state: "closed; as #30609",
        symptom: "the node loses its network when the agent stops",
        evidence: "it begins when the agent ends",
        needs: HOST_LOST_SOON_AFTER_START,
        restart: Restart::TakesHost,
        advice: "Don't restart the agent again; upgrade.",
        ..BLANK
    },
    Issue {
        number: 44221,
        title: "An upgrade of Cilium takes the node off the network",
        affected: &[Span::Since(1, 19, 0)],
        state: "open",
        symptom: "the host is unreachable after its agent was upgraded",
        evidence: "the host is dead since the start of the agent",
        needs: HOST_LOST_SOON_AFTER_START,
        advice: "Reach the node by its console and keep the agent's log before anything is restarted.",
        ..BLANK
    },
    Issue {
        number: 46010,
        title: "1.19 with kube-proxy replacement kills host networking on Talos",
        affected: &[Span::Line(1, 19)],
        state: "closed",
        symptom: "the host's network dies when endpoints are initialized",
        evidence: "the host is dead too, on Talos with kube-proxy replacement",
        needs: &[Fact::Verdict(&[Code::HostNetworkDown]), Fact::System("Talos")],
        setting: &[Fact::Has(Mark::KubeProxyReplacement)],
        advice: "Compare with a node that runs an earlier release.",
        ..BLANK
    },
    Issue {
        number: 37077,
        title: "Endpoints are not restored when the agent starts",
        affected: &[Span::Seen(1, 14, 18)],
        state: "state not verified",
        symptom: "pods that ran before the agent's restart are cut off after it",
        evidence: "the pods are older than the agent, and nothing that they sent since its start was answered",
        needs: &[Fact::Has(Mark::RestoredPodsCutOff)],
        restart: Restart::Triggers,
        advice: "Recreate the pods that are cut off. The agent's last start began this, so a further restart may cut off \
            others in the same way.",
        ..BLANK
    },
    Issue {
        number: 27922,
        title: "A node loses the others after a rolling restart of the agents",
        state: "state not verified",
        symptom: "cluster health stays low after the agents were restarted one after the other",
        evidence: "cluster health of the status below n/n since the agent's start",
        needs: &[
            Fact::Verdict(&[Code::NodeIsolated, Code::StaleDatapath, Code::StaleSelective]),
            Fact::Has(Mark::ClusterHealthLow),
            Fact::Has(Mark::FailsSinceAgentStart),
        ],
        restart: Restart::Triggers,
        advice: "A restart started it and another one ended it: restart this one agent only, and watch it come up.",
        ..BLANK
    },
    Issue {
        number: 29405,
        title: "The taint agent-not-ready is removed before the datapath is ready",
        affected: &[Span::Seen(1, 19, 4)],
        state: "open",
        symptom: "pods created in the first seconds of an agent never get their network",
        evidence: "only pods that are as old as the agent are cut off",
        needs: &[Fact::Has(Mark::NewbornPodsCutOff)],
        advice: "Recreate those pods; the agent needs no restart.",
        ..BLANK
    },
    Issue {
        number: 48778,
        title: "Socket load balancing needs kernel BTF: without it new pods get no network",
        affected: &[Span::Since(1, 19, 8), Span::Since(1, 20, 2)],
        state: "open",
        symptom: "the datapath's initialization is retried without end and new pods get no network; old pods are fine",
        evidence: "the log says \"no BTF found\"; new pods fail with 429 putEndpointIdTooManyRequests",
        needs: &[Fact::Verdict(NOT_INITIALIZED), Fact::Log(LogError::NoBtf)],
        restart: Restart::DoesNotHelp,
        advice: "Boot a kernel with BTF (CONFIG_DEBUG_INFO_BTF, /sys/kernel/btf/vmlinux exists) or go back to the \
            previous patch release; a restart repeats the error.",
        ..BLANK
    },
    Issue {
        number: 48016,
        title: "Kernel 7.2 refuses the probe for bpf_set_retval",
        fixed: &[Version::release(1, 18, 14), Version::release(1, 19, 8), Version::release(1, 20, 2)],
        state: "fixed",
        symptom: "the agent does not start its datapath on kernel 7.2 and newer",
        evidence: "the log names FnSetRetval or \"R1 is not a scalar\"; kernel 7.2 or newer",
        needs: &[Fact::Log(LogError::SetRetval)],
        setting: &[Fact::KernelSince(7, 2)],
        restart: Restart::DoesNotHelp,
        advice: "Upgrade Cilium to a release that holds the fix, or boot an older kernel.",
        ..BLANK
    },
    Issue {
        number: 44216,
        title: "Programs fail in the verifier of Talos' kernel 6.18.5",
        affected: &[Span::Seen(1, 18, 7), Span::Between(1, 19, 0, 2)],
        state: "state not verified",
        symptom: "programs do not load",
        evidence: "a verifier error in the agent's log, on kernel 6.18.5",
        needs: &[Fact::Log(LogError::Verifier)],
        setting: &[Fact::System("Talos"), Fact::KernelNamed("6.18")],
        restart: Restart::DoesNotHelp,
        advice: "Boot another kernel or change the Cilium release: the restarted agent loads the same programs.",
        ..BLANK
    },
    Issue {
        number: 47718,
        title: "bpf.masquerade does not load on the Raspberry Pi kernel 6.18",
        affected: &[Span::Since(1, 20, 0)],
        state: "open; likely a kernel without BTF (#45224, #45626; BTF is documented as required since #46063)",
        symptom: "programs do not load",
        evidence: "a verifier error or missing BTF in the agent's log, on a kernel of the Raspberry Pi",
        needs: &[Fact::AnyOf(&[Fact::Log(LogError::Verifier), Fact::Log(LogError::NoBtf)])],
        setting: &[Fact::KernelNamed("rpi")],
        restart: Restart::DoesNotHelp,
        advice: "Boot a kernel with BTF.",
        ..BLANK
    },
    Issue {
        number: 47624,
        title: "Agent and Envoy wait for each other on the policy stream",
        affected: &[Span::Between(1, 20, 0, 1)],
        fixed: &[Version::release(1, 20, 1)],
        state: "fixed; a twin in split mode was seen later",
        symptom: "controllers fail, endpoints are not regenerated and new pods hang",
        evidence: "\"duplicate resource key\" in the log or in a degraded module",
        needs: &[Fact::Log(LogError::DuplicateResourceKey)],
        advice: "Upgrade to 1.20.1 or later.",
        ..BLANK
    },
    Issue {
        number: 28764,
        title: "Kube-proxy replacement with WireGuard does not come up on new nodes",
        affected: &[Span::Seen(1, 14, 2)],
        state: "state not verified",
        symptom: "all ways of a new node are dead",
        evidence: "a young node with WireGuard and kube-proxy replacement",
        needs: &[
            Fact::Verdict(&[Code::StaleDatapath, Code::NodeIsolated]),
            Fact::Has(Mark::WireGuard),
            Fact::Has(Mark::FailsSinceAgentStart),
        ],
        setting: &[Fact::Has(Mark::KubeProxyReplacement)],
        restart: Restart::Helps,
        advice: "Restart the one agent of the new node.",
        ..BLANK
    },
    Issue {
        number: 46741,
        pull: true,
        title: "Make the agent's readiness depend on its datapath",
        state: "for 1.19 and main; closed, not merged as far as visible",
        symptom: "a ready agent says nothing about its datapath",
        evidence: "none: it explains why kubectl shows a broken agent as ready",
        advice: "Don't take the agent's readiness for a working datapath.",
        ..BLANK
    },
    Issue {
        number: 44703,
        title: "A metric for configuration that the running agent has not applied",
        state: "since 1.18: cilium_drift_checker_config_delta",
        symptom: "a restart of the agent applies pending changes of the ConfigMap, too",
        evidence: "`cilium-dbg metrics list -p drift_checker_config_delta` is not 0",
        needs: &[Fact::Has(Mark::ConfigDrift)],
        advice: "Read what changed in the ConfigMap cilium-config before the agent is restarted.",
        ..BLANK
    },
    Issue {
        number: 48273,
        pull: true,
        title: "`cilium-dbg map events` crashes the agent",
        fixed: &[Version::release(1, 18, 14), Version::release(1, 19, 8), Version::release(1, 20, 2)],
        state: "fixed",
        symptom: "the agent crashes while map events are read",
        evidence: "the agent's restart follows the command; staledp never calls it",
        advice: "Don't call `cilium-dbg map events` before the fix.",
        ..BLANK
    },
];
