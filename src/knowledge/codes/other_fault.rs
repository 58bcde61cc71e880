//! The texts of the kind other-fault: the Cilium pod must not be restarted for these.

use super::CodeText;

const NOT_CILIUM: &str = "Don't restart the Cilium pod: it is not what is broken.";

pub(super) const HOST_NETWORK_DOWN: CodeText = CodeText {
    meaning: "The node itself does not reach the outside, so its pods cannot either.",
    evidence: &[
        "The node's own ping (over SSH, or from the agent container, which shares the host's network) is not answered.",
        "The host's own TCP and UDP flows are not answered either: an unanswered ping alone may be a filter.",
    ],
    todo: &[
        "Check the node's uplink first: link, address, default route, gateway.",
        "If it began when the Cilium agent restarted, see #45077 and #30609: that restart can take the host's egress \
         away.",
        "If the host answers ping only, look for a wildcard row on its address in `bpf lb list` (#44430).",
    ],
    avoid: &["Don't restart the Cilium pod: it cannot repair the uplink, and after #45077 it may repeat the fault."],
    issues: &[45077, 30609, 20667, 13254, 46010, 44221, 44430, 43206, 45408],
};

pub(super) const CLUSTER_WIDE_OUTAGE: CodeText = CodeText {
    meaning: "Every judged node shows the same failure, so this is not a single-node problem.",
    evidence: &["The same check fails in the same way on every judged node, and there are two or more."],
    todo: &[
        "Check what the nodes share: cluster DNS, its upstream, the router or firewall, a change of policy or of \
         Cilium's configuration.",
        "Diagnose more nodes: a healthy one shows what differs.",
    ],
    avoid: &[
        "Don't restart Cilium node by node: agents that restart together load the API server at the worst moment.",
    ],
    issues: &[],
};

pub(super) const NODE_LOCAL_DNS_DOWN: CodeText = CodeText {
    meaning: "The local DNS resolver of this node is down, hung or crash-looping; the datapath works.",
    evidence: &[
        "Entries to the resolver's address are unanswered or refused.",
        "Pods reach the world by address, and their other ways are alive.",
        "The NodeLocal DNS pod of the node is not ready, restarts again and again, or is missing; or the resolver is a \
         process of the host that does not answer.",
    ],
    todo: &[
        "Look at the NodeLocal DNS pod of this node: its events, its last log, its memory limit. Restart that pod. If the \
         node has none, bring its DaemonSet back, or let pods ask the DNS service (kubelet's clusterDNS).",
        "If the resolver is a process of the node (AKS LocalDNS, Talos host DNS), look at its service on the node.",
    ],
    avoid: &[NOT_CILIUM],
    issues: &[43454, 43080, 23848],
};

pub(super) const CLUSTER_DNS_DOWN: CodeText = CodeText {
    meaning: "Cluster DNS itself is down, short of endpoints, or cut off from its upstream.",
    evidence: &[
        "The EndpointSlices have no or too few ready endpoints.",
        "Or the endpoints answer no node.",
        "Or lookups of outside names fail because what cluster DNS asks of its upstream is not answered.",
    ],
    todo: &[
        "If names of the cluster still resolve, look at the upstream resolvers that the Corefile names first.",
        "Else look at the cluster DNS pods: are they scheduled, ready, restarting? Then at their upstream.",
    ],
    avoid: &[NOT_CILIUM],
    issues: &[32489, 36761],
};

pub(super) const NODE_ISOLATED: CodeText = CodeText {
    meaning: "Pods of this node reach the world and their own node, but not the pods of other nodes, and other \
        nodes do not reach them.",
    evidence: &[
        "Flows between pods of this node and pods of other nodes are dead, in both directions, for several pods.",
        "Flows to the world and to the node itself are answered.",
        "More than one other node is cut off; if only one is, look at that one first. With one other node in the \
         cluster, this node's evidence does not tell which of the two is at fault.",
    ],
    todo: &[
        "Compare the peers of this node with those of a healthy one: `cilium-dbg encrypt status`, \
         `cilium-dbg bpf ipcache list`, and cluster health in `cilium-dbg status --verbose`.",
        "Check that the network between the nodes lets the tunnel through: VXLAN 8472/UDP, Geneve 6081/UDP, \
         WireGuard 51871/UDP, or ESP.",
        "Look at the MTU of the path if small packets pass and large ones do not.",
    ],
    avoid: &["Don't restart the Cilium pod before the tunnel and the peers are checked: in some reports a restart \
         brought the peers back, in others it lost them."],
    issues: &[35644, 20925, 31979, 31985, 46687, 25518, 28764, 27922, 37271],
};

pub(super) const SERVICE_TRANSLATION_MISSING: CodeText = CodeText {
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
    avoid: &["Don't restart the Cilium pod for it: as long as the cgroup mount is wrong, the agent attaches to the \
         same place again."],
    issues: &[27900, 48420],
};

pub(super) const DNS_PROXY_BROKEN: CodeText = CodeText {
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
    avoid: &["Don't restart the Cilium pod before the port is compared: during the restart no query through the \
         proxy is answered at all."],
    issues: &[36063, 33144],
};

pub(super) const NEW_PODS_STUCK: CodeText = CodeText {
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
    avoid: &["Don't restart the Cilium pod before the error is read: where it cannot load its programs it fails in \
         the same way again."],
    issues: &[48778, 46065, 47624, 43877],
};

pub(super) const DATAPATH_DROPS: CodeText = CodeText {
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
    avoid: &["Don't restart the Cilium pod for a drop reason alone: most of them are configuration or load, and come \
         back with it."],
    issues: &[35010, 33074, 24177, 21346, 45719, 36803, 32472],
};

pub(super) const HOST_FIREWALL_DROPS: CodeText = CodeText {
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
};

pub(super) const LINK_LOCAL_MASQUERADE: CodeText = CodeText {
    meaning: "Pods get no answer from a link-local DNS address on any node while BPF masquerading is on: Cilium 1.16.5 \
        changed what happens to link-local addresses.",
    evidence: &[
        "Entries to the link-local address are unanswered on every node.",
        "Pods reach the world, and the host reaches the address.",
        "BPF masquerading is on, and the version is 1.16.5 or later.",
    ],
    todo: &[
        "Read cilium/cilium#36761 and #35153: the reports tie it to bpf.masquerade=true and name 1.16.4 as the last \
         patch that worked.",
        "Bring NodeLocal DNS to the pods by a LocalRedirectPolicy, or change the masquerading.",
    ],
    avoid: &["Don't restart the Cilium pod: it comes back with the same configuration."],
    issues: &[36761, 36737, 10002, 16597],
};

pub(super) const LOCAL_REDIRECT_BROKEN: CodeText = CodeText {
    meaning: "A LocalRedirectPolicy for DNS has no active backend, or no effect.",
    evidence: &[
        "The service table has a LocalRedirect row without an active backend.",
        "Or a policy exists, and entries still go to the plain address.",
    ],
    todo: &[
        "Check that the policy's backend pod runs on this node and is ready.",
        "Compare the version with the known upstream issues; later patches fix some of them.",
        "Trust `service list` and `bpf lb list`; `lrp list` shows wrong rows on 1.18 and 1.19 (#43944).",
    ],
    avoid: &[NOT_CILIUM],
    issues: &[43800, 42313, 45522, 43944, 41424, 40450, 36740, 42751, 44138],
};

pub(super) const POLICY_DENIED: CodeText = CodeText {
    meaning: "A network policy denies the traffic.",
    evidence: &[
        "The drops for `Policy denied` rise, and their direction fits what fails.",
        "Packets that the sender's own policy denies leave no conntrack entry. Packets that are denied at the receiver, \
         or by a policy that came later, leave an unanswered entry.",
    ],
    todo: &[
        "Find the policy that selects the pod: `hubble observe --verdict DROPPED`.",
        "If the policies allow the traffic and only this node denies it since the agent's start, see #44714, #41873 and \
         #45233: there a restart of this one agent helped in the reports.",
        "If one pod alone is denied everything, recreate that pod (#44855).",
    ],
    avoid: &["Don't restart the Cilium pod before you have read the policies: a policy that denies is still there \
        afterwards."],
    issues: &[44714, 41873, 42594, 45233, 44855, 24502, 47880, 48444, 34042, 47727, 47642, 33144, 30627, 47012],
};

pub(super) const UDP_MASQUERADE_BROKEN: CodeText = CodeText {
    meaning: "UDP from pods to the world is dead while TCP is answered: UDP is not masqueraded.",
    evidence: &[
        "Pods to the world: UDP to many far ends is unanswered, TCP is answered. One dead resolver is not enough.",
        "The NAT list has TCP rows and no UDP rows.",
        "Seen on arm64 with the Armbian kernel 6.12.58, while kernel 6.6 was fine. No upstream issue is known.",
    ],
    todo: &[
        "Compare the kernel with a node where UDP works, and boot a kernel that is known to work (6.6 in that case).",
    ],
    avoid: &["Don't restart the Cilium pod: the fault survives it."],
    issues: &[47718],
};

pub(super) const CONNTRACK_FULL: CodeText = CodeText {
    meaning: "The connection tracking table is full, so new flows find no room.",
    evidence: &[
        "The number of entries is near the table's size.",
        "The drops for `CT: Map insertion failed` rise.",
        "The host's own new connections fail too.",
    ],
    todo: &[
        "Enlarge the table (bpf-ct-global-any-max, bpf-ct-global-tcp-max, or bpf-map-dynamic-size-ratio), and find which \
         pods open so many flows.",
        "On 1.18.0 with IPv6 see #40820: entries are never removed.",
    ],
    avoid: &["Don't restart the Cilium pod: the table is pinned and stays as full as it is."],
    issues: &[40820, 35010, 21346],
};

pub(super) const DATAPATH_PROGRAMS_DUPLICATED: CodeText = CodeText {
    meaning: "A hook holds two Cilium programs of one name: an orphaned link of an earlier agent still runs.",
    evidence: &["`bpftool net show` lists two programs of one name on one hook. This is a direct sign."],
    todo: &[
        "Look for a second mount over /sys/fs/bpf (`findmnt /sys/fs/bpf`, #47847), and remove it.",
        "Drain and reboot the node, then upgrade past the known upstream issues.",
    ],
    avoid: &["Don't restart the Cilium pod: a restart does not remove orphaned programs; a restart made them."],
    issues: &[44194, 47847],
};

pub(super) const DATAPATH_NOT_INITIALIZED: CodeText = CodeText {
    meaning: "The agent cannot initialize the datapath and keeps retrying; its pod may look ready all the while.",
    evidence: &[
        "The agent's log repeats \"Failed to initialize datapath, retrying later\". The error behind these words tells \
         the issues below apart.",
        "Or the status shows a datapath or orchestrator module as Degraded.",
    ],
    todo: &[
        "Save a cilium sysdump, and read the error in the agent's log.",
        "If the error says that no BTF was found, boot a kernel with BTF.",
        "If it is about detaching from a cgroup, plan to drain and reboot the node.",
    ],
    avoid: &["Don't restart the Cilium pod: the retry begins again with every restart."],
    issues: &[46065, 43877, 48778, 48016, 44216, 47718],
};

pub(super) const AGENT_NOT_RUNNING: CodeText = CodeText {
    meaning: "No Cilium agent runs on this node, although its DaemonSet selects the node.",
    evidence: &["No Cilium agent pod on this node is running."],
    todo: &[
        "Find the reason: `kubectl describe` the Cilium pod of this node, its events, its last log, its image and the \
        node's taints; or why the DaemonSet has no pod here.",
    ],
    avoid: &[
        "Don't delete a pod that is pulling its image or crashing: without a network its replacement may not start.",
    ],
    issues: &[48273],
};

pub(super) const AGENT_STARTING: CodeText = CodeText {
    meaning: "The agent started a moment ago, and what fails now can come from that.",
    evidence: &[
        "The agent's container started minutes ago, or endpoints are still being regenerated.",
        "What fails began after that start; entries of an outage that is over do not count.",
    ],
    todo: &[
        "Measure again in some minutes: agents have taken from 15 seconds to 7 minutes until they were ready.",
        "If endpoints stay stuck, look for \"Failed to initialize datapath\" in the agent's log (#46065, #48778).",
    ],
    avoid: &["Don't restart it again: the waiting begins anew."],
    issues: &[46065, 45077, 47727, 47642],
};

pub(super) const EGRESS_BROKEN: CodeText = CodeText {
    meaning: "Pods of this node do not reach the outside although the host does, and no other code explains it.",
    evidence: &["Pod egress fails by name and by address.", "The host reaches the outside."],
    todo: &[
        "Compare with a node that works: masquerading, egress gateway, routes, the firewall in front of the nodes.",
        "Look in the NAT list at the address that pods leave with: in #25437 it was the wrong one.",
    ],
    avoid: &["Don't restart the Cilium pod on this alone: in #25437 that did not help."],
    issues: &[25437, 37271, 47761],
};
