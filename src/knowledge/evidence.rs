//! The texts of the evidence: what each piece is read by, and what it tells.

use crate::base::evidence::Evidence;

/// What people should know of a piece of evidence.
#[derive(Clone, Copy, Debug)]
pub struct EvidenceText {
    /// How to read it by hand.
    pub by_hand: &'static str,
    /// What it tells.
    pub tells: &'static str,
}

/// The text of a piece of evidence.
#[must_use]
#[expect(clippy::too_many_lines, reason = "a table of texts")]
pub const fn text(evidence: Evidence) -> EvidenceText {
    match evidence {
        Evidence::HostPing => EvidenceText {
            by_hand: "`ssh NODE ping -c 2 1.1.1.1`, or the same in the agent's container, which shares the host's network.",
            tells: "Whether the host itself reaches the outside.",
        },
        Evidence::PodEgress => EvidenceText {
            by_hand: "`kubectl exec POD -- wget -q -O /dev/null -t 1 https://google.com`, in a pod of the node.",
            tells: "Whether pods reach the outside by name.",
        },
        Evidence::PodEgressAddress => EvidenceText {
            by_hand: "`kubectl exec POD -- wget -q -O /dev/null -t 1 http://1.1.1.1`, in a pod of the node.",
            tells: "Whether pods reach the outside by address: tells a dead path from dead DNS.",
        },
        Evidence::PodDns => EvidenceText {
            by_hand: "`kubectl exec POD -- nslookup kubernetes.default.svc.cluster.local`, in a pod of the node.",
            tells: "Whether cluster DNS answers that pod.",
        },
        Evidence::CtList => EvidenceText {
            by_hand: "`cilium-dbg bpf ct list global` in the agent's container.",
            tells: "Which flows of which ways are answered: the connection tracking table of the node.",
        },
        Evidence::NeighbourCtList => EvidenceText {
            by_hand: "`cilium-dbg bpf ct list global` in the agent's container of another node.",
            tells: "Whether pods of another node are answered where those of this one are not.",
        },
        Evidence::ServiceList => EvidenceText {
            by_hand: "`cilium-dbg service list` in the agent's container.",
            tells: "Which backends the agent knows for cluster DNS.",
        },
        Evidence::LbList => EvidenceText {
            by_hand: "`cilium-dbg bpf lb list` in the agent's container.",
            tells: "Which backends the kernel's service table holds, also while the agent is silent.",
        },
        Evidence::AgentStatus => EvidenceText {
            by_hand: "`cilium-dbg status --verbose` in the agent's container.",
            tells: "Version, set-up and addresses of the agent, controllers that fail, encryption, host firewall, proxy.",
        },
        Evidence::BpfMetrics | Evidence::DropMetrics => EvidenceText {
            by_hand: "`cilium-dbg bpf metrics list -o json` in the agent's container. Not on Cilium 1.18 with preallocated \
                maps, which it replaces: there `cilium-dbg metrics list -p drop_count_total`.",
            tells: "How many packets the datapath has dropped, by reason. One reading says nothing of now.",
        },
        Evidence::BpfMetricsAgain | Evidence::DropMetricsAgain => EvidenceText {
            by_hand: "The drop counters once more, five seconds or more after the first reading.",
            tells: "Which reasons rise: packets that are dropped now.",
        },
        Evidence::NatList => EvidenceText {
            by_hand: "`cilium-dbg bpf nat list` in the agent's container.",
            tells: "Whether UDP and TCP to the world are masqueraded.",
        },
        Evidence::AttachedPrograms => EvidenceText {
            by_hand: "`bpftool net show` in the agent's container.",
            tells: "Which device has which Cilium program: a device without one is a direct sign.",
        },
        Evidence::LinkList => EvidenceText {
            by_hand: "`bpftool link show` in the agent's container.",
            tells: "Which links of programs are attached, and which were detached.",
        },
        Evidence::CgroupTree => EvidenceText {
            by_hand: "`bpftool cgroup tree /run/cilium/cgroupv2` in the agent's container.",
            tells: "Whether the programs of socket load balancing are attached, and whether others' are.",
        },
        Evidence::CallsMaps => EvidenceText {
            by_hand: "`bpftool map dump pinned FILE` of each `/sys/fs/bpf/tc/globals/cilium_calls_*`, in the agent's container.",
            tells: "Which map of tail calls is empty.",
        },
        Evidence::EndpointList => EvidenceText {
            by_hand: "`cilium-dbg endpoint list -o json` in the agent's container.",
            tells: "The pods that the agent knows, with their devices, identities and policies.",
        },
        Evidence::BpfEndpointList => EvidenceText {
            by_hand: "`cilium-dbg bpf endpoint list` in the agent's container.",
            tells: "The pods that the kernel's datapath knows; held against the agent's own copy (map-get-lxc).",
        },
        Evidence::MapGetLxc => EvidenceText {
            by_hand: "`cilium-dbg map get cilium_lxc` in the agent's container.",
            tells: "The agent's own copy of the kernel's table of pods.",
        },
        Evidence::IpcacheList => EvidenceText {
            by_hand: "`cilium-dbg bpf ipcache list` in the agent's container.",
            tells: "Identity and tunnel of each address as the kernel has them; held against the agent's own copy.",
        },
        Evidence::MapGetIpcache => EvidenceText {
            by_hand: "`cilium-dbg map get cilium_ipcache_v2` in the agent's container (`cilium_ipcache` before 1.18).",
            tells: "The agent's own copy of the kernel's table of identities and tunnels.",
        },
        Evidence::Mounts => EvidenceText {
            by_hand: "`cat /proc/self/mountinfo` in the agent's container.",
            tells: "Whether a second BPF file system hides the pinned maps.",
        },
        Evidence::HostMounts => EvidenceText {
            by_hand: "`ssh NODE cat /proc/mounts`.",
            tells: "The same of the node itself: the agent's container may not see a later mount.",
        },
        Evidence::HostFirewall => EvidenceText {
            by_hand: "`iptables-save` in the agent's container, which shares the host's network, or on the node.",
            tells: "Whether a rule of the host that is not Cilium's drops packets between the host and its pods. IPv4 only.",
        },
        Evidence::HostFirewallV6 => EvidenceText {
            by_hand: "`ip6tables-save` in the agent's container, which shares the host's network, or on the node.",
            tells: "Whether a rule of the host that is not Cilium's drops IPv6 packets between the host and its pods.",
        },
        Evidence::KernelBtf => EvidenceText {
            by_hand: "`ls /sys/kernel/btf/vmlinux` in the agent's container.",
            tells: "Whether the kernel has the BTF that newer releases need to start.",
        },
        Evidence::AgentConfig => EvidenceText {
            by_hand: "`grep -s \"\" /tmp/cilium/config-map/*` in the agent's container.",
            tells: "Some settings of the running agent that change what a restart does.",
        },
        Evidence::ConfigDrift => EvidenceText {
            by_hand: "`cilium-dbg metrics list -p drift_checker_config_delta` in the agent's container; since 1.18.",
            tells: "How many settings the ConfigMap has that the running agent does not have yet.",
        },
        Evidence::AgentLog => EvidenceText {
            by_hand: "`kubectl logs CILIUM-POD -n kube-system -c cilium-agent --tail=400`.",
            tells: "Errors that name a fault. An old line proves nothing of now.",
        },
    }
}
