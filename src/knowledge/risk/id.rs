//! The lines of a node's restart risk, by name, and what people should know of each.

use serde::{Serialize, Serializer};

/// One fact that bears on a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RiskId {
    /// Can the new agent load its programs?
    KernelBtf,
    /// Does a second mount hide the pinned maps?
    BpfMounts,
    /// Do programs hang twice on a hook?
    DuplicatePrograms,
    /// Do others' programs hang on the sockets' hooks?
    CgroupPrograms,
    /// Does a host policy with DNS or FQDN rules select the node?
    HostPolicies,
    /// Do CIDR policies match pods?
    CidrMatchMode,
    /// Does the restart apply other settings, too?
    ConfigDrift,
    /// Does the restart apply another revision, too?
    AgentRevision,
    /// Is the image on the node?
    AgentImage,
    /// Does cluster DNS run here?
    DnsOnNode,
    /// Are there webhooks that run only here?
    WebhooksOnNode,
    /// Does WireGuard have peers to lose?
    WireguardPeers,
    /// Do packets go through the agent's proxy?
    ProxyRedirects,
    /// Does the agent crash?
    AgentCrashes,
    /// Did the agent start a moment ago?
    AgentAge,
    /// What was reported for this release?
    KnownIssues,
}

/// What people should know of a line.
#[derive(Clone, Copy, Debug)]
pub struct RiskText {
    /// Its name in reports.
    pub name: &'static str,
    /// What it asks.
    pub question: &'static str,
    /// What it reads.
    pub evidence: &'static str,
    /// What raises the risk, and what that means.
    pub raised: &'static str,
    /// What to do then.
    pub todo: &'static str,
    /// An item of the list after "not checked:".
    pub unread: &'static str,
    /// Upstream issues of cilium/cilium that it rests on.
    pub issues: &'static [u32],
}

impl RiskId {
    /// The lines that rest on a fact of the node.
    pub const OF_FACTS: [Self; 15] = [
        Self::KernelBtf,
        Self::BpfMounts,
        Self::DuplicatePrograms,
        Self::CgroupPrograms,
        Self::HostPolicies,
        Self::CidrMatchMode,
        Self::ConfigDrift,
        Self::AgentRevision,
        Self::AgentImage,
        Self::DnsOnNode,
        Self::WebhooksOnNode,
        Self::WireguardPeers,
        Self::ProxyRedirects,
        Self::AgentCrashes,
        Self::AgentAge,
    ];

    /// All lines, in their order: what is known by the release alone comes last.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::OF_FACTS.into_iter().chain([Self::KnownIssues])
    }

    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.text().name
    }

    /// Whether the preflight of `staledp fix` looks at it right before a restart.
    #[must_use]
    pub const fn is_of_preflight(self) -> bool {
        matches!(self, Self::AgentRevision | Self::AgentImage | Self::AgentAge | Self::WebhooksOnNode)
    }

    /// What people should know of it.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "a table of texts")]
    pub const fn text(self) -> RiskText {
        match self {
            Self::KernelBtf => RiskText {
                name: "kernel-btf",
                question: "does the kernel have the BTF that the agent needs to start its datapath?",
                evidence: "`ls /sys/kernel/btf/vmlinux` in the agent's container, and the agent's log.",
                raised: "The kernel has no BTF and the release needs it: the running agent works on, the new one gives no \
                    network to new pods.",
                todo: "Boot a kernel with CONFIG_DEBUG_INFO_BTF before the agent is restarted or upgraded.",
                unread: "the kernel's BTF (kernel-btf)",
                issues: &[48_778],
            },
            Self::BpfMounts => RiskText {
                name: "bpf-mounts",
                question: "is one BPF file system mounted at /sys/fs/bpf, and no second one over it?",
                evidence: "/proc/self/mountinfo in the agent's container; /proc/mounts of the node, where it was read.",
                raised: "A second mount hides the pinned maps and links: the new agent makes others and attaches its programs \
                    beside the old ones, which no restart removes.",
                todo: "Find what mounts it (fstab and `mount -a`, another agent), unmount it, then look again.",
                unread: "a second BPF mount (mounts)",
                issues: &[47_847],
            },
            Self::DuplicatePrograms => RiskText {
                name: "duplicate-programs",
                question: "does each hook have one program of a name, with none left by an earlier agent?",
                evidence: "`bpftool net show` and `bpftool cgroup tree`.",
                raised: "Programs of an earlier agent hang beside those of the running one. A restart does not remove them.",
                todo: "Drain and reboot the node in place of a restart.",
                unread: "duplicate programs (attached-programs)",
                issues: &[44_194, 47_847],
            },
            Self::CgroupPrograms => RiskText {
                name: "cgroup-programs",
                question: "are the hooks of sockets free of other products' programs?",
                evidence: "`bpftool cgroup tree`: programs on the root control group that are not Cilium's.",
                raised: "The new agent may fail to detach a program that is not its own, and then retries without end.",
                todo: "Find out whose program it is; upgrade Cilium to a release that holds the fix.",
                unread: "other products' socket programs (cgroup-tree)",
                issues: &[43_877],
            },
            Self::HostPolicies => RiskText {
                name: "host-policies",
                question: "is the node free of host policies with DNS, FQDN or L7 rules?",
                evidence: "the line `Host firewall` of the agent's status, and the policy of the host's own endpoint in \
                    `cilium-dbg endpoint list -o json`.",
                raised: "The host's own packets go through the agent's proxy: while it is away the node itself may lose its \
                    network, the kubelet and the image registry included.",
                todo: "Keep a console or a second way to the node at hand, or take the node out of the policy first.",
                unread: "host policies (agent-status, endpoint-list)",
                issues: &[45_077],
            },
            Self::CidrMatchMode => RiskText {
                name: "cidr-match-mode",
                question: "do CIDR policies leave pods alone?",
                evidence: "`policy-cidr-match-mode` in the agent's configuration; asked only for releases that have the fault.",
                raised: "With `pods` in this setting, pods that the new agent restores are denied what policies allow.",
                todo: "Upgrade to a release that holds the fix, or recreate the restored pods after the restart.",
                unread: "the CIDR match mode (agent-config)",
                issues: &[47_880],
            },
            Self::ConfigDrift => RiskText {
                name: "config-drift",
                question: "does the running agent have all settings of the ConfigMap?",
                evidence: "`cilium-dbg metrics list -p drift_checker_config_delta`; releases before 1.18 do not have it.",
                raised: "The restart also applies settings that somebody changed meanwhile, on this node first.",
                todo: "Read what changed in the ConfigMap cilium-config, and decide whether it should come with this restart.",
                unread: "pending configuration changes (config-drift)",
                issues: &[44_703],
            },
            Self::AgentRevision => RiskText {
                name: "agent-revision",
                question: "will the new pod be of the same revision as the running one?",
                evidence: "the pod's label controller-revision-hash against the newest ControllerRevision of its DaemonSet.",
                raised: "The deleted pod comes back as another revision: another image, other arguments, or other rights.",
                todo: "Finish or take back the rollout first (`kubectl rollout status`, `kubectl rollout undo`).",
                unread: "a pending revision (controllerrevisions)",
                issues: &[],
            },
            Self::AgentImage => RiskText {
                name: "agent-image",
                question: "can the new pod start without pulling an image?",
                evidence: "the agent's pod: its images and when they are pulled.",
                raised: "The new pod needs the registry before the node has its network again.",
                todo: "Check that the registry is reachable from the node, or pull the image by hand first.",
                unread: "whether the image is on the node (pods)",
                issues: &[],
            },
            Self::DnsOnNode => RiskText {
                name: "dns-on-node",
                question: "does cluster DNS run elsewhere?",
                evidence: "the endpoints of the cluster DNS service, and which node they are on.",
                raised: "DNS pods run on this node: clients on other nodes notice if their flows break. With all of them here \
                    the whole cluster depends on this restart.",
                todo: "Move DNS pods to other nodes first, or accept a pause.",
                unread: "whether cluster DNS runs here",
                issues: &[],
            },
            Self::WebhooksOnNode => RiskText {
                name: "webhooks-on-node",
                question: "does each webhook have a ready pod on another node?",
                evidence: "ready pods whose name or container name says webhook or admission, by workload. The lists of \
                    webhook configurations are not read, so a webhook of another name is not found.",
                raised: "If the API server cannot reach the only pod of a webhook that must answer, it refuses new pods: the \
                    new agent too.",
                todo: "Run a second replica on another node, or exempt Cilium's namespace from the webhook.",
                unread: "webhooks that run only here (pods)",
                issues: &[],
            },
            Self::WireguardPeers => RiskText {
                name: "wireguard-peers",
                question: "does the node do without WireGuard?",
                evidence: "the line `Encryption` of the agent's status.",
                raised: "The new agent may remove peers or their addresses until it knows all endpoints again: pods of this \
                    node then do not reach other nodes.",
                todo: "Compare `cilium-dbg encrypt status` before and after; wait for all peers before the next node.",
                unread: "encryption (agent-status)",
                issues: &[31_979, 31_985],
            },
            Self::ProxyRedirects => RiskText {
                name: "proxy-redirects",
                question: "do packets of pods reach their end without the agent's proxy?",
                evidence: "the line `Proxy Status` of the agent's status.",
                raised: "DNS and L7 policies send packets through the agent: these pause while it restarts.",
                todo: "Restart at a quiet time, one node after the other.",
                unread: "redirects to the agent's proxy (agent-status)",
                issues: &[],
            },
            Self::AgentCrashes => RiskText {
                name: "agent-crashes",
                question: "does the agent run without crashing?",
                evidence: "how often the agent's container was started again, and how it ended last.",
                raised: "An agent that crashes, or needs more memory than it may have, needs most while it starts: it may not \
                    come back.",
                todo: "Read the log of the previous container and raise the memory limit first.",
                unread: "earlier restarts of the agent",
                issues: &[],
            },
            Self::AgentAge => RiskText {
                name: "agent-age",
                question: "has the agent run for more than 10 minutes?",
                evidence: "when the agent's container started.",
                raised: "The agent has not settled yet: a second restart so soon hides what the first one did.",
                todo: "Wait until the agent is 10 minutes old, and look again.",
                unread: "when the agent started",
                issues: &[],
            },
            Self::KnownIssues => RiskText {
                name: "known-issues",
                question: "is the release free of issues that a restart starts, apart from those that a line above answers?",
                evidence: "the agent's version and the facts of the node, against the upstream issues that staledp knows.",
                raised: "A restart of this release was reported to start these faults, and no fact of this node excludes them.",
                todo: "`staledp explain #NUMBER` names the sign and the fixed releases of each.",
                unread: "the agent's version",
                issues: &[],
            },
        }
    }
}

impl Serialize for RiskId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}
