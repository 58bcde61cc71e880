//! The verdict codes in words: what each means, what it takes to say it, and what to do and not to do.

use crate::knowledge::code::Code;

/// What is to be known of a code.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// What has to be seen before it is said.
    pub evidence: &'static [&'static str],
    /// What to do.
    pub todo: &'static [&'static str],
    /// What not to do.
    pub avoid: &'static [&'static str],
    /// Upstream issues that look like it, cause it, or are started by its remedy.
    pub issues: &'static [u32],
}

/// What to do instead of restarting the Cilium pod, for the kinds other-fault and inconclusive: for the first the way
/// to the real fault, for the second what would settle it. Empty for the others.
#[must_use]
pub const fn advice(code: Code) -> &'static [&'static str] {
    use crate::knowledge::code::Kind;
    match code.kind() {
        Kind::OtherFault | Kind::Inconclusive => entry(code).todo,
        Kind::Stale | Kind::Healthy => &[],
    }
}

const RESTART_ONE: &str = "Restart this node's one Cilium pod with the command that the report names, then diagnose again: \
    dead lines stay in the conntrack table, so only flows that are newer than the restart count.";
const KEEP_EVIDENCE: &str = "Keep the evidence first (a `cilium sysdump`): the restart destroys it, and \
    upstream can't help without.";
const NOT_BY_LABEL: &str = "Don't delete Cilium pods by label: that restarts all nodes at once.";
const NOT_CILIUM: &str = "Don't restart the Cilium pod: it is not what is broken.";

/// The entry of a code.
#[must_use]
#[expect(clippy::too_many_lines, reason = "a table of texts, one arm a code")]
pub const fn entry(code: Code) -> Entry {
    match code {
        Code::Healthy => Entry {
            meaning: "Nothing is wrong: every check that could say otherwise was answered, and none did.",
            evidence: &[
                "Live DNS flows to the node-local address are answered (LastRxReport near LastTxReport).",
                "No check failed, and none that decides is unknown.",
            ],
            todo: &["Nothing."],
            avoid: &[
                "Don't take `Packets=0` for a fault: on Cilium 1.16 to 1.20 with default settings every line of a \
                healthy node says so.",
            ],
            issues: &[],
        },
        Code::StaleDatapath => Entry {
            meaning: "The node's own network is fine, but what its pods send is not answered: this node's Cilium \
                datapath no longer carries their traffic.",
            evidence: &[
                "The host reaches the outside.",
                "Live DNS flows to the node-local address are unanswered or no longer answered, for many pods.",
                "A second, independent group is dead too: pod egress by address, pod to host, host to pod, or pod to \
                 world. Two groups: medium confidence. Three, or a direct sign: high.",
                "NodeLocal DNS is ready, the agent has run for more than a few minutes, and other nodes are fine where \
                 there are any.",
            ],
            todo: &[KEEP_EVIDENCE, RESTART_ONE],
            avoid: &[
                NOT_BY_LABEL,
                "Don't restart a second time if the first did not help: save a sysdump, and plan to drain and reboot \
                 the node.",
            ],
            issues: &[45077, 46065, 44194, 43877, 28433],
        },
        Code::StaleSelective => Entry {
            meaning: "The datapath is stale for some pods or flows of the node only; others are answered.",
            evidence: &[
                "At least one pod has several live flows that are unanswered or no longer answered, and none that is \
                 answered.",
                "Other pods of the same node are answered.",
                "Or: kubelet's probes of one pod never complete (SYN in, SYN+ACK out, again and again) while it answers \
                 others.",
            ],
            todo: &[KEEP_EVIDENCE, RESTART_ONE],
            avoid: &[NOT_BY_LABEL],
            issues: &[21345, 45233, 44855],
        },
        Code::StaleServiceMap => Entry {
            meaning: "The service table of the agent or of the kernel has other backends for cluster DNS than the \
                cluster has ready endpoints.",
            evidence: &[
                "`service list` shows fewer, or other, active backends for cluster DNS than the EndpointSlices have \
                 ready, for longer than an update takes, and the row is no LocalRedirect.",
                "Or `service list` and `bpf lb list` differ.",
            ],
            todo: &[KEEP_EVIDENCE, RESTART_ONE],
            avoid: &[
                NOT_BY_LABEL,
                "Don't count backends with grep: only the first stands on the row's own line, the others on \
                 continuation lines below it.",
            ],
            issues: &[48050, 43944],
        },
        Code::DatapathProgramsMissing => Entry {
            meaning: "A device that needs a Cilium program has none.",
            evidence: &["`bpftool net show`: a hook of the host device, of cilium_host or of an lxc device has no \
                Cilium program. This is a direct sign."],
            todo: &[
                KEEP_EVIDENCE,
                RESTART_ONE,
                "Then find what removed the programs, or it comes back: in #28433 it was another vendor's agent.",
            ],
            avoid: &[NOT_BY_LABEL],
            issues: &[28433, 21345],
        },
        Code::StaleMap => Entry {
            meaning: "A table that the kernel's datapath uses differs from the agent's own copy of it.",
            evidence: &[
                "`bpf endpoint list` and `map get cilium_lxc`, or `bpf ipcache list` and `map get cilium_ipcache_v2`, \
                 differ for an entry that matters on this node: a local pod, another node's pods, or cluster DNS.",
                "On a live cluster, two readings show the same difference. This is a direct sign.",
            ],
            todo: &[
                KEEP_EVIDENCE,
                "Look once more after two minutes: the agent restores missing entries of pods within about 90 seconds.",
                RESTART_ONE,
            ],
            avoid: &[NOT_BY_LABEL, "Don't edit the table by hand: the agent does not learn of the change."],
            issues: &[],
        },
        Code::StaleNodeAddress => Entry {
            meaning: "The agent works with a node address that this node no longer has.",
            evidence: &[
                "The device address in the agent's status is not one of the node's addresses in Kubernetes. This is a \
                 direct sign.",
            ],
            todo: &[
                KEEP_EVIDENCE,
                RESTART_ONE,
                "Then find out why the node's address changed (DHCP, a rebuilt interface): the next change brings the \
                 fault back.",
            ],
            avoid: &[NOT_BY_LABEL],
            issues: &[],
        },
        Code::HostNetworkDown => Entry {
            meaning: "The node itself does not reach the outside, so its pods can't either.",
            evidence: &[
                "The ping from the node itself (over SSH, or from the agent container, which shares the host's \
                network) is not answered.",
            ],
            todo: &[
                "Look at the node's uplink first: link, address, default route, the gateway.",
                "If it began when the Cilium agent restarted, see #45077 and #30609: the agent's restart itself can \
                 take the host's egress away.",
            ],
            avoid: &[
                "Don't restart the Cilium pod: it can't repair the uplink, and after #45077 it may repeat the fault.",
            ],
            issues: &[45077, 30609, 46010],
        },
        Code::ClusterWideOutage => Entry {
            meaning: "All judged nodes, two or more, show the same failure: it is not one node's datapath.",
            evidence: &["The same check fails in the same way on every judged node."],
            todo: &[
                "Look for what the nodes share: cluster DNS, its upstream, the router or firewall, a change of policy or \
                 of Cilium's configuration.",
                "Diagnose more nodes: one that is fine tells what differs.",
            ],
            avoid: &[
                "Don't restart Cilium node by node: agents that restart together put load on the API server at the \
                worst moment.",
            ],
            issues: &[],
        },
        Code::NodeLocalDnsDown => Entry {
            meaning: "NodeLocal DNS on this node is down; the datapath is not.",
            evidence: &[
                "Lines to the node-local address are unanswered or refused.",
                "Pods reach the world by address.",
                "The NodeLocal DNS pod of the node is not ready or not there.",
            ],
            todo: &[
                "Look at the NodeLocal DNS pod of this node: events, log of its last end, memory limit; restart that \
                pod.",
            ],
            avoid: &[NOT_CILIUM],
            issues: &[43454, 43080],
        },
        Code::ClusterDnsDown => Entry {
            meaning: "Cluster DNS itself is down or short of endpoints.",
            evidence: &[
                "The EndpointSlices have fewer ready endpoints, too.",
                "Or NodeLocal DNS answers while its flows to its upstream are dead.",
            ],
            todo: &["Look at the cluster DNS pods (k8s-app=kube-dns): ready, restarting, scheduled; then at their \
                upstream resolvers."],
            avoid: &[NOT_CILIUM],
            issues: &[32489],
        },
        Code::NodeIsolated => Entry {
            meaning: "Pods of this node reach the world and their own node, but not the pods of other nodes, and other \
                nodes do not reach them.",
            evidence: &[
                "Flows between pods of this node and pods of other nodes are dead, in both directions, for several pods.",
                "Flows to the world and to the node itself are answered.",
                "More than one other node is cut off; if only one is, look at that one first.",
            ],
            todo: &[
                "Compare the peers of this node with those of a healthy one: `cilium-dbg encrypt status`, \
                 `cilium-dbg bpf ipcache list`, and cluster health in `cilium-dbg status --verbose`.",
                "Check that the network between the nodes lets the tunnel through: VXLAN 8472/UDP, Geneve 6081/UDP, \
                 WireGuard 51871/UDP, or ESP.",
                "Look at the MTU of the path if small packets pass and large ones do not.",
            ],
            avoid: &[
                "Don't restart the Cilium pod before the tunnel and the peers are checked: in some reports a restart \
                 brought the peers back, in others it lost them.",
            ],
            issues: &[],
        },
        Code::ServiceTranslationMissing => Entry {
            meaning: "Packets of pods leave with a service address as their destination: nothing translates it to a \
                backend, although the service table has the service.",
            evidence: &[
                "Live conntrack entries go to service addresses themselves and are unanswered, while the service table \
                 holds backends for them.",
                "Direct sign: `bpftool cgroup tree` shows no `cil_sock*` programs although the status says that socket \
                 load balancing covers all pods.",
            ],
            todo: &[
                "Find the cgroup that the agent attached to (`cilium-dbg status --verbose`, `bpftool cgroup tree`) and \
                 compare it with the one that the pods run under.",
                "Check how the runtime mounts cgroups on this node; the agent's `cgroup.hostRoot` must name that mount.",
            ],
            avoid: &[
                "Don't restart the Cilium pod for it: as long as the cgroup mount is wrong, the agent attaches to the \
                 same place again.",
            ],
            issues: &[48420],
        },
        Code::DnsProxyBroken => Entry {
            meaning: "DNS queries of pods are redirected to the agent's own DNS proxy, and the proxy does not answer.",
            evidence: &[
                "The unanswered DNS entries carry the flag ProxyRedirect.",
                "DNS entries without that flag, and flows to other destinations, are answered.",
            ],
            todo: &[
                "Read the agent's log for messages of the DNS proxy (subsys fqdn/dnsproxy).",
                "Compare the proxy's port in `cilium-dbg status --verbose` with the port in the node's TPROXY rules \
                 (`iptables-save -t mangle`): in #36063 the rule pointed to a port that nothing listened on.",
                "As a stopgap, lift the L7 DNS rule for the affected pods: their queries then bypass the proxy.",
            ],
            avoid: &[
                "Don't restart the Cilium pod before the port is compared: during the restart no query through the \
                 proxy is answered at all.",
            ],
            issues: &[36063, 33144],
        },
        Code::NewPodsStuck => Entry {
            meaning: "Pods that already run are fine, but the agent gives no network to new ones.",
            evidence: &[
                "Events FailedCreatePodSandBox that name cilium-cni, or pods in ContainerCreating for minutes.",
                "Flows of the running pods are answered.",
                "Often with it: failing controllers or degraded modules in the agent's status.",
            ],
            todo: &[
                "Read the error in the event and in the agent's log: it names the step that fails.",
                "Cordon the node until new pods start again.",
                "If the agent started less than a few minutes ago, wait: `putEndpointIdTooManyRequests` is normal for \
                 about a minute after a start.",
            ],
            avoid: &[
                "Don't restart the Cilium pod before the error is read: where it cannot load its programs it fails in \
                 the same way again.",
            ],
            issues: &[46065],
        },
        Code::DatapathDrops => Entry {
            meaning: "The datapath drops packets for a reason that it states, and the count rises.",
            evidence: &[
                "A drop reason in `bpf metrics list` rises between two readings: for example a NAT mapping that could \
                 not be made, a conntrack insertion without a full table, or the VLAN filter.",
                "The failing traffic fits the direction and the place of the drops.",
            ],
            todo: &[
                "Read the drop reason and its source file in the report, then watch single packets: \
                 `hubble observe --verdict DROPPED`.",
                "NAT mapping: look at the fill of the NAT table and at how many connections leave to one far end.",
                "VLAN filter: list the VLANs in `vlan-bpf-bypass`, or remove the VLAN device from Cilium's devices.",
            ],
            avoid: &[
                "Don't restart the Cilium pod for a drop reason alone: most of them are configuration or load, and come \
                 back with it.",
            ],
            issues: &[32472],
        },
        Code::HostFirewallDrops => Entry {
            meaning: "A rule of the node's own firewall, outside of Cilium's chains, drops the packets.",
            evidence: &[
                "`iptables-save` shows a DROP or REJECT rule outside of the CILIUM_ chains that covers pod addresses or \
                 DNS; the report quotes it.",
                "The way that the rule names (host to pod, pod to host, or DNS answers) is dead; other ways are alive.",
            ],
            todo: &[
                "Find who wrote the rule: a firewall service (firewalld, ufw), a security agent, or a script; compare \
                 with a healthy node.",
                "Remove the rule there, or add an exception for the pod network.",
            ],
            avoid: &[NOT_CILIUM],
            issues: &[],
        },
        Code::LinkLocalMasquerade => Entry {
            meaning: "Traffic from pods to the link-local DNS address is not answered on any node while BPF masquerading \
                is on: Cilium 1.16.5 changed what happens to link-local addresses.",
            evidence: &[
                "Lines to the node-local address are unanswered on every node.",
                "Pods reach the world.",
                "BPF masquerading is on.",
            ],
            todo: &[
                "Read cilium/cilium#36761 and #35153: the reports tie it to bpf.masquerade=true, \
                 and name 1.16.4 as the last patch that worked.",
                "Bring NodeLocal DNS to the pods by a LocalRedirectPolicy, or change the masquerading.",
            ],
            avoid: &["Don't restart the Cilium pod: it comes back with the same configuration."],
            issues: &[36761],
        },
        Code::LocalRedirectBroken => Entry {
            meaning: "A LocalRedirectPolicy for DNS has no active backend, or no effect.",
            evidence: &[
                "The service table has a LocalRedirect row without an active backend.",
                "Or a policy exists, and lines still go to the plain address.",
            ],
            todo: &[
                "Check that the local backend pod of the policy runs on this node and is ready.",
                "Compare the version with the issues below; some are fixed in later patches.",
                "Trust `service list` and `bpf lb list`; `lrp list` shows wrong rows on 1.18 and 1.19 (#43944).",
            ],
            avoid: &[NOT_CILIUM],
            issues: &[43800, 42313, 45522, 43944, 41424, 40450, 44138],
        },
        Code::PolicyDenied => Entry {
            meaning: "Network policy denies the traffic.",
            evidence: &[
                "A probe fails, but there are no unanswered lines: a denied first packet makes none.",
                "The `Policy denied` drops rise.",
            ],
            todo: &[
                "Find the policy that selects the pod: `hubble observe --verdict DROPPED`, or \
                 `cilium-dbg monitor --type drop` on this node.",
                "If the policy allows the traffic, see #45233 and #44855: there the pod's policy map is incomplete, and \
                 recreating that pod, or for #45233 the agent's restart, ends it.",
            ],
            avoid: &[
                "Don't restart the Cilium pod before the policies are read: a denial by policy comes back with it.",
            ],
            issues: &[45233, 44855, 33144],
        },
        Code::UdpMasqueradeBroken => Entry {
            meaning: "UDP from pods to the world is dead while TCP is answered: the kernel does not masquerade UDP.",
            evidence: &[
                "Pod to world: UDP unanswered, TCP answered.",
                "The NAT list has TCP rows and no UDP rows.",
                "Seen on arm64 with the Armbian kernel 6.12.58; kernel 6.6 was fine. No upstream issue was found.",
            ],
            todo: &[
                "Compare the kernel with a node where UDP works, and boot a kernel known to work (6.6 in that case).",
            ],
            avoid: &["Don't restart the Cilium pod: the fault survives it."],
            issues: &[47718],
        },
        Code::ConntrackFull => Entry {
            meaning: "The connection tracking table is full, and new flows find no room.",
            evidence: &[
                "The number of entries is at the table's size.",
                "`CT: Map insertion failed` is among the drops.",
            ],
            todo: &[
                "Enlarge the table (bpf-ct-global-any-max, bpf-ct-global-tcp-max, or bpf-map-dynamic-size-ratio), and \
                 find who opens so many flows.",
                "On 1.18.0 with IPv6 see #40820: entries are never collected.",
            ],
            avoid: &["Don't restart the Cilium pod: the table is pinned and stays as full as it is."],
            issues: &[40820],
        },
        Code::DatapathProgramsDuplicated => Entry {
            meaning: "A hook holds two Cilium programs of one name: an orphaned link of an earlier agent still runs.",
            evidence: &["`bpftool net show`: two programs of one name on one hook. This is a direct sign."],
            todo: &[
                "Look for a second mount over /sys/fs/bpf (`findmnt /sys/fs/bpf`, #47847).",
                "Drain and reboot the node, then upgrade past the issues below.",
            ],
            avoid: &["Don't restart the Cilium pod: a restart does not clean orphaned programs, it is what made them."],
            issues: &[44194, 47847],
        },
        Code::DatapathNotInitialized => Entry {
            meaning: "The agent can't initialize the datapath and retries; its pod looks ready all the while.",
            evidence: &[
                "The agent's log says \"Failed to initialize datapath, retrying later\".",
                "Or its module health is Degraded for a datapath or orchestrator module.",
            ],
            todo: &[
                "Save a cilium sysdump, and read the error in the agent's log.",
                "Plan to drain and reboot the node; compare the version with the issues below.",
            ],
            avoid: &["Don't restart the Cilium pod: the retry begins again with every restart (#46065)."],
            issues: &[46065, 43877, 47718],
        },
        Code::AgentNotRunning => Entry {
            meaning: "No Cilium agent runs on the node.",
            evidence: &["No pod with k8s-app=cilium on this node is running."],
            todo: &[
                "Find out why: `kubectl describe` the Cilium pod of this node, its events, its last log, the image, \
                the taints; or why the DaemonSet has none here.",
            ],
            avoid: &[
                "Don't delete a pod that is pulling its image or crashing: without a network it may not come back.",
            ],
            issues: &[],
        },
        Code::AgentStarting => Entry {
            meaning: "The agent started a moment ago, or is still regenerating endpoints: what is seen now is not what \
                will be.",
            evidence: &["The agent's container started minutes ago, or endpoints are still being regenerated."],
            todo: &[
                "Measure again in some minutes: agents have taken from 15 seconds to 7 minutes until they were ready.",
                "If endpoints stay stuck, look for \"Failed to initialize datapath\" in the agent's log (#46065).",
            ],
            avoid: &["Don't restart it again: the waiting starts anew."],
            issues: &[46065, 45077],
        },
        Code::EgressBroken => Entry {
            meaning: "Pods of this node don't reach the outside; the host does, DNS is answered, and nothing above \
                explains it.",
            evidence: &["Pod egress fails by address.", "The host reaches the outside.", "DNS is answered."],
            todo: &[
                "Compare with a node that works: masquerading, egress gateway, routes, the firewall in front.",
                "Look at the NAT list for the address that pods leave with: #25437 was a wrong one.",
            ],
            avoid: &["Don't restart the Cilium pod on this alone: in #25437 it did not help."],
            issues: &[25437, 37271, 47761],
        },
        Code::EvidenceMissing => Entry {
            meaning: "A check that decides could not be run, so nothing can be said.",
            evidence: &["A right is missing, nobody could be asked (no SSH and no agent container, no pod that can \
                probe), or a deadline passed. The reason names which."],
            todo: &[
                "Supply what the reason of the unknown check names: the right (get and create on pods/exec), the pod to \
                 probe with (`--probe-pod`), SSH, or more time (`--timeout`). Then run again.",
            ],
            avoid: &["Don't restart anything on this evidence."],
            issues: &[],
        },
        Code::EvidenceTruncated => Entry {
            meaning: "The conntrack dump was not read whole, so its figures are of a part.",
            evidence: &["The dump broke off before its exit status, or hit the size cap."],
            todo: &[
                "Run again with more time (`--timeout 5m`); if it breaks off again, take the dump on the node itself and \
                 read it with `--from`.",
            ],
            avoid: &["Don't restart anything on this evidence."],
            issues: &[],
        },
        Code::EvidenceContradictory => Entry {
            meaning: "The pieces of evidence contradict each other.",
            evidence: &["For example: probes pass while the dump shows all flows dead."],
            todo: &[
                "Run again: a change in the middle of a diagnosis looks like this.",
                "If it stays, keep the evidence (a `cilium sysdump`) and compare the pieces that are named under `because`.",
            ],
            avoid: &["Don't restart anything on this evidence."],
            issues: &[],
        },
        Code::MapsNotVisible => Entry {
            meaning: "The whole dump is empty on a node that runs pods: the tool looks at other maps than the kernel \
                uses.",
            evidence: &["Not one entry, though pods run on the node."],
            todo: &[
                "Look for a second mount over /sys/fs/bpf on the node: `findmnt /sys/fs/bpf` (#23485).",
                "If there is one, find who makes it, remove it, and only then plan what to do with the agent.",
            ],
            avoid: &["Don't restart the Cilium pod: with a second mount a restart makes duplicate programs (#47847)."],
            issues: &[23485, 47847],
        },
        Code::TooLittleTraffic => Entry {
            meaning: "Nothing failed, but there was too little to see: few live flows and no probe that ran.",
            evidence: &["Fewer than 10 live DNS lines, and no pod of the node could run a probe."],
            todo: &[
                "Name a pod of this node that has wget, curl or nslookup (`--probe-pod NS/NAME`), or run again when \
                there is traffic.",
            ],
            avoid: &["Don't take it for healthy, and don't restart anything on it."],
            issues: &[],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::code::Kind;

    #[test]
    fn every_code_is_told_whole_and_names_issues_that_are_known() {
        for &code in Code::ALL {
            let entry = entry(code);
            assert!(!entry.meaning.is_empty() && !entry.evidence.is_empty(), "{}", code.name());
            assert!(!entry.todo.is_empty() && !entry.avoid.is_empty(), "{}", code.name());
            for &number in entry.issues {
                assert!(super::super::upstream::find(number).is_some(), "{}: #{number}", code.name());
            }
            for text in entry.evidence.iter().chain(entry.todo).chain(entry.avoid).chain([&entry.meaning]) {
                assert!(!text.contains("  ") && !text.contains('\n'), "{}: {text}", code.name());
            }
        }
    }

    #[test]
    fn advice_is_for_nodes_that_are_not_to_be_restarted() {
        for &code in Code::ALL {
            let wanted = matches!(code.kind(), Kind::OtherFault | Kind::Inconclusive);
            assert_eq!(!advice(code).is_empty(), wanted, "{}", code.name());
            for text in advice(code) {
                assert!(!text.contains("delete pod"), "{}: {text}", code.name());
            }
        }
    }
}
