//! The texts of the kind stale: this node's Cilium pod should be restarted.

use super::CodeText;

const KEEP_EVIDENCE: &str =
    "Save the evidence first (a `cilium sysdump`): the restart destroys it, and upstream needs it.";
const RESTART_ONE: &str = "Run `staledp fix --node NODE`: it restarts this node's one Cilium pod and verifies the \
    result. The report names the kubectl command beside it. Dead entries stay in the conntrack table for a while, so \
    only flows that began after the restart count.";
const NOT_BY_LABEL: &str = "Don't delete Cilium pods by label: that restarts the agents of all nodes at once.";

pub(super) const STALE_DATAPATH: CodeText = CodeText {
    meaning: "The node's own network is fine, but what its pods send is not answered: this node's Cilium datapath no \
        longer carries their traffic.",
    evidence: &[
        "The host reaches the outside.",
        "Two ways of several pods are dead that share neither their far end nor their path, for example DNS and the \
         world, or host to pods and pods to pods of other nodes.",
        "Nothing contradicts it: no kubelet probe completes where host and pods should be cut off, and the far ends \
         answer others.",
        "Where all dead ways pass the host's own firewall, its rules were read and let these packets through. Unread, \
         they keep the verdict back as `evidence-missing`.",
        "The agent has run for more than a few minutes, and other nodes are fine where there are any.",
        "Two dead ways give medium confidence; three, or a direct sign, give high.",
    ],
    todo: &[KEEP_EVIDENCE, RESTART_ONE],
    avoid: &[
        NOT_BY_LABEL,
        "Don't restart a second time if the first restart did not help: save a sysdump, and plan to drain and reboot \
         the node.",
    ],
    issues: &[45077, 46065, 44194, 43877, 28433, 37271, 28764, 27922, 27720, 15446],
};

pub(super) const STALE_SELECTIVE: CodeText = CodeText {
    meaning: "The datapath is stale for some pods, some flows or one direction; others of the same way are answered.",
    evidence: &[
        "Flows of the named pods are unanswered while flows of other pods on the same way were answered over the same \
         time.",
        "Or kubelet's probes of a pod never complete (SYN in, SYN+ACK out, again and again) while that pod answers \
         others.",
        "The counters of dropped packets were read twice, and policy drops none of them; unread, they keep the verdict \
         back as `evidence-missing`, as the host's rules do where the flows pass them.",
        "The report says if a pod has been cut off since the agent's own last start.",
    ],
    todo: &[
        "If only one pod is affected, restart that pod first.",
        "If pods have been cut off since the agent's last start, recreate them: another restart may cut off others in \
         the same way (#37077).",
        KEEP_EVIDENCE,
        RESTART_ONE,
    ],
    avoid: &[NOT_BY_LABEL],
    issues: &[37077, 29405, 21345, 45233, 44855, 30627],
};

pub(super) const STALE_SERVICE_MAP: CodeText = CodeText {
    meaning: "The service table of the agent or the kernel has other backends for cluster DNS than this node should \
        have.",
    evidence: &[
        "The table lacks endpoints that this node should have by their readiness, topology hints, \
         `trafficDistribution`, zone and `internalTrafficPolicy`, or holds endpoints that are gone, for longer than an \
         update takes; and the row is not a LocalRedirect.",
        "Or `service list` (the agent) and `bpf lb list` (the kernel) differ.",
    ],
    todo: &[KEEP_EVIDENCE, RESTART_ONE],
    avoid: &[
        NOT_BY_LABEL,
        "Don't count backends with grep: only the first stands on the row's own line, the others follow on lines of \
         their own.",
    ],
    issues: &[48050, 43358, 28084, 45981, 45441, 45314, 41022, 48271, 43944],
};

pub(super) const DATAPATH_PROGRAMS_MISSING: CodeText = CodeText {
    meaning: "A device that needs a Cilium program has none, or the datapath's tail calls lead nowhere.",
    evidence: &[
        "`bpftool net show` lacks a Cilium program on cilium_host, a host device, the tunnel's or WireGuard's device, or \
         on a pod's device where other pods have one. This is a direct sign.",
        "Or the drop reason `Missed tail call` rises: a map of tail calls is empty, and only a restart fills it again.",
    ],
    todo: &[
        KEEP_EVIDENCE,
        RESTART_ONE,
        "Then find what removed the programs, or the fault comes back: in reports it was another vendor's agent (#28433, \
         microsoft/retina#252).",
    ],
    avoid: &[NOT_BY_LABEL],
    issues: &[28433, 252, 21345, 27720, 15446, 47625],
};

pub(super) const STALE_MAP: CodeText = CodeText {
    meaning: "A table that the kernel's datapath uses differs from the agent's own copy of it.",
    evidence: &[
        "`bpf endpoint list` and `map get cilium_lxc`, or `bpf ipcache list` and `map get cilium_ipcache_v2`, differ \
         for an entry that matters on this node: a local pod, another node's pods, or cluster DNS. This is a direct \
         sign.",
        "On a live cluster two readings show the same difference.",
    ],
    todo: &[
        KEEP_EVIDENCE,
        "Look again after two minutes: the agent restores missing entries of pods within about 90 seconds.",
        RESTART_ONE,
    ],
    avoid: &[NOT_BY_LABEL, "Don't edit the table by hand: the agent does not notice the change."],
    issues: &[24502, 30627],
};

pub(super) const STALE_NODE_ADDRESS: CodeText = CodeText {
    meaning: "The agent works with a node address that this node no longer has.",
    evidence: &[
        "The device address in the agent's status is not one of the node's addresses in Kubernetes. This is a \
        direct sign.",
    ],
    todo: &[
        KEEP_EVIDENCE,
        RESTART_ONE,
        "Then find out why the node's address changed (DHCP, a rebuilt interface): the next change brings the fault \
         back.",
    ],
    avoid: &[NOT_BY_LABEL],
    issues: &[31528],
};
