//! The texts of the kinds inconclusive and healthy.

use super::CodeText;

const NO_RESTART: &str = "Don't restart anything on this evidence.";

pub(super) const HEALTHY: CodeText = CodeText {
    meaning: "Nothing that was looked at is wrong: every check that decides ran and passed.",
    evidence: &[
        "Live DNS flows of pods are answered (LastRxReport near LastTxReport), or probes of pods succeed.",
        "No check that decides failed or is unknown. A ping alone decides nothing: the target may not answer pings.",
        "High confidence takes live DNS flows in the dump, every check passed, and direct evidence of the programs and \
         the kernel's tables. Where that was not read, it is medium at most, and the report says what is missing.",
    ],
    todo: &["Nothing."],
    avoid: &[
        "Don't take `Packets=0` for a fault: on Cilium 1.16 to 1.20 with default settings every entry of a healthy \
        node shows it.",
    ],
    issues: &[],
};

pub(super) const EVIDENCE_MISSING: CodeText = CodeText {
    meaning: "A deciding check could not run, so the node cannot be judged.",
    evidence: &[
        "A right is missing, a probe could not run (neither SSH nor the agent container, no pod that can probe), \
        or the time ran out. The report names the reason.",
    ],
    todo: &[
        "Provide what the summary names: the missing evidence, or what the unknown check reports: the right (get and \
        create on pods/exec), the pod to probe with (`--probe-pod`), SSH, or more time (`--timeout`). Then run it again.",
    ],
    avoid: &[NO_RESTART],
    issues: &[],
};

pub(super) const EVIDENCE_TRUNCATED: CodeText = CodeText {
    meaning: "The conntrack dump is incomplete, so its figures describe only a part.",
    evidence: &["The connection closed before the dump's exit status, or the dump reached the size limit."],
    todo: &[
        "Run it again with more time (`--timeout 5m`). If it fails again, take the dump on the node itself and read \
        it with `--from`.",
    ],
    avoid: &[NO_RESTART],
    issues: &[],
};

pub(super) const EVIDENCE_CONTRADICTORY: CodeText = CodeText {
    meaning: "The pieces of evidence contradict each other.",
    evidence: &["For example: probes pass while the dump shows all flows dead."],
    todo: &[
        "Run it again: a change in the middle of a diagnosis looks like this.",
        "If it stays, save the evidence (a `cilium sysdump`) and compare the pieces that the report names.",
    ],
    avoid: &[NO_RESTART],
    issues: &[46680],
};

pub(super) const MAPS_NOT_VISIBLE: CodeText = CodeText {
    meaning: "The agent's view of the BPF file system does not hold the maps that the kernel uses.",
    evidence: &[
        "Two BPF file systems are mounted at /sys/fs/bpf in the agent's view; the dump fails with \"Unable to open\".",
        "Or the whole dump is empty although pods run on the node.",
    ],
    todo: &[
        "Look for a second mount over /sys/fs/bpf on the node: `findmnt /sys/fs/bpf` (#23485).",
        "If there is one, find what mounts it, remove it, and only then plan what to do with the agent.",
    ],
    avoid: &["Don't restart the Cilium pod: with a second mount a restart makes duplicate programs (#47847)."],
    issues: &[23485, 47847],
};

pub(super) const TOO_LITTLE_TRAFFIC: CodeText = CodeText {
    meaning: "Nothing failed, but there was too little to see: few live flows, and no probe that ran.",
    evidence: &["Fewer than 10 live DNS flows, and no pod of the node could run a probe."],
    todo: &[
        "Name a pod of this node that has wget, curl or nslookup (`--probe-pod NS/NAME`), or run it again when there \
        is traffic.",
    ],
    avoid: &["Don't take it for healthy, and don't restart anything on it."],
    issues: &[],
};
