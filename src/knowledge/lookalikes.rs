//! The faults that can look like a stale datapath: what each looks like, what rules it out, and what would settle it.
//!
//! What to do about each stands with its code: [`crate::knowledge::codes::advice`].

use crate::knowledge::code::Code;

/// A look-alike in words.
#[derive(Clone, Copy, Debug)]
pub struct LookAlikeText {
    /// Its code.
    pub code: Code,
    /// What is the same as with a stale datapath.
    pub looks_like: &'static str,
    /// What rules it out.
    pub ruled_out_by: &'static str,
    /// What settles it if it could not be checked: an evidence, a right or an option.
    pub settle: &'static str,
}

/// Every look-alike.
const TEXTS: &[LookAlikeText] = &[
    LookAlikeText {
        code: Code::AgentNotRunning,
        looks_like: "pods of the node lose their network, or new pods get none",
        ruled_out_by: "a running Cilium agent pod on the node",
        settle: "the right to list pods in Cilium's namespace",
    },
    LookAlikeText {
        code: Code::AgentStarting,
        looks_like: "flows are unanswered while the agent restores its endpoints",
        ruled_out_by: "an agent that has run for more than a few minutes, or dead flows that began long after its start",
        settle: "the agent's start time (pods) and a second diagnosis in a few minutes",
    },
    LookAlikeText {
        code: Code::DatapathProgramsDuplicated,
        looks_like: "pod-to-pod and service traffic of the node is dead",
        ruled_out_by: "no hook with two Cilium programs of one name",
        settle: "attached-programs (`bpftool net show` in the agent container: create on pods/exec)",
    },
    LookAlikeText {
        code: Code::DatapathNotInitialized,
        looks_like: "endpoints stay stuck although the agent's pod is ready",
        ruled_out_by: "no failed initialization in the agent's log, and no degraded datapath module",
        settle: "agent-log (get on pods/log) and agent-status",
    },
    LookAlikeText {
        code: Code::ConntrackFull,
        looks_like: "new flows of pods and host fail",
        ruled_out_by: "a table below its size, or insertion failures that do not rise",
        settle: "drop-metrics read twice, and the table sizes in agent-status",
    },
    LookAlikeText {
        code: Code::HostNetworkDown,
        looks_like: "pods of the node do not reach the outside",
        ruled_out_by: "the host's own ping or its own flows to the world are answered",
        settle: "host-ping over SSH (`--ssh-user`), or a target that answers (`--ping-target`)",
    },
    LookAlikeText {
        code: Code::HostFirewallDrops,
        looks_like: "host to pods, pods to host, or DNS answers are dead while the world is alive",
        ruled_out_by: "no rule of the host outside of Cilium's chains drops or rejects pod or DNS traffic",
        settle: "host-firewall (`iptables-save` in the agent container or on the node; for IPv6 `ip6tables-save`)",
    },
    LookAlikeText {
        code: Code::LocalRedirectBroken,
        looks_like: "DNS queries of pods are unanswered",
        ruled_out_by: "each LocalRedirect row has an active backend, and no query goes past the redirect",
        settle: "service-list, and the right to list ciliumlocalredirectpolicies",
    },
    LookAlikeText {
        code: Code::NodeLocalDnsDown,
        looks_like: "DNS queries of all pods are unanswered",
        ruled_out_by: "the resolver's pod is ready and was not restarted, or other ways of the pods are dead too",
        settle: "the right to list pods, and `--node-local-dns ADDR` if the resolver is not a pod",
    },
    LookAlikeText {
        code: Code::DnsProxyBroken,
        looks_like: "DNS queries of pods that an L7 policy selects are unanswered",
        ruled_out_by: "the unanswered DNS entries do not carry ProxyRedirect",
        settle: "ct-list read whole, and agent-status for the proxy's redirects",
    },
    LookAlikeText {
        code: Code::ServiceTranslationMissing,
        looks_like: "pods get no answer from services, cluster DNS among them",
        ruled_out_by: "no live entries to plain service addresses, and all `cil_sock*` programs are attached",
        settle: "cgroup-tree (`bpftool cgroup tree`) and service-list",
    },
    LookAlikeText {
        code: Code::NodeIsolated,
        looks_like: "pods get no answer from pods of other nodes, cluster DNS among them",
        ruled_out_by: "flows between pods of this node and other nodes are answered, or ways that stay on the node are \
            dead too",
        settle: "ct-list of this node and of a neighbour, and agent-status for encryption and cluster health",
    },
    LookAlikeText {
        code: Code::UdpMasqueradeBroken,
        looks_like: "UDP of pods to the world is dead",
        ruled_out_by: "UDP flows to the world are answered, the NAT list has UDP rows, or TCP is dead too",
        settle: "nat-list (`cilium-dbg bpf nat list`)",
    },
    LookAlikeText {
        code: Code::LinkLocalMasquerade,
        looks_like: "DNS queries of all pods to a link-local address are unanswered",
        ruled_out_by: "BPF masquerading is off, other nodes answer, or more than the link-local address is dead",
        settle: "agent-status for the masquerading, and a second node (`--node`, `--all-nodes`)",
    },
    LookAlikeText {
        code: Code::ClusterDnsDown,
        looks_like: "lookups of pods fail",
        ruled_out_by: "cluster DNS has ready endpoints that answer other nodes",
        settle: "the right to list endpointslices, and `--dns-service NS/NAME` if the service has another name",
    },
    LookAlikeText {
        code: Code::PolicyDenied,
        looks_like: "traffic of selected pods fails; denied at the receiver, it leaves unanswered entries",
        ruled_out_by: "the drops for `Policy denied` do not rise while probes are sent, or their direction does not fit",
        settle: "drop-metrics or bpf-metrics, read twice with a probe in between",
    },
    LookAlikeText {
        code: Code::DatapathDrops,
        looks_like: "some flows of pods fail while others work",
        ruled_out_by: "no drop reason rises between two readings",
        settle: "drop-metrics or bpf-metrics, read twice five seconds or more apart",
    },
    LookAlikeText {
        code: Code::NewPodsStuck,
        looks_like: "pods of the node are not ready",
        ruled_out_by: "no FailedCreatePodSandBox of cilium-cni, and no pod in ContainerCreating for minutes",
        settle: "the right to list events and pods, and agent-status",
    },
    LookAlikeText {
        code: Code::EgressBroken,
        looks_like: "probes of pods to the outside fail",
        ruled_out_by: "a probe by name or by address succeeds",
        settle: "pod-egress from a pod that has wget or curl (`--probe-pod NS/NAME`)",
    },
    LookAlikeText {
        code: Code::ClusterWideOutage,
        looks_like: "the same failure as on a stale node",
        ruled_out_by: "another judged node that does not show this failure",
        settle: "more nodes (`--all-nodes`, or one neighbour with `--node`)",
    },
];

/// The text of a look-alike; none for codes of another kind.
#[must_use]
pub fn text(code: Code) -> Option<&'static LookAlikeText> {
    TEXTS.iter().find(|text| text.code == code)
}

/// What would settle a look-alike that could not be checked; empty for codes of another kind.
#[must_use]
pub fn settle(code: Code) -> &'static str {
    text(code).map_or("", |text| text.settle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::code::Kind;

    #[test]
    fn every_other_fault_is_one_look_alike_and_no_other_code_is() {
        for &code in Code::ALL {
            let times = TEXTS.iter().filter(|text| text.code == code).count();
            assert_eq!(times, usize::from(code.kind() == Kind::OtherFault), "{}", code.name());
            assert_eq!(settle(code).is_empty(), code.kind() != Kind::OtherFault, "{}", code.name());
        }
    }

    #[test]
    fn look_alikes_are_whole() {
        for text in TEXTS {
            for words in [text.looks_like, text.ruled_out_by, text.settle] {
                assert!(!words.is_empty() && !words.contains("  ") && !words.contains('\n'), "{}", text.code.name());
                assert!(!words.ends_with('.'), "{}: {words}", text.code.name());
            }
        }
    }
}
