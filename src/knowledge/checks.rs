//! The texts of the five checks: what each asks, of what, and what its figures do and don't mean.

use crate::knowledge::check_id::CheckId;

/// What people should know of a check.
#[derive(Clone, Copy, Debug)]
pub struct CheckText {
    /// The command or list that it reads.
    pub evidence: &'static str,
    /// What its figures mean.
    pub means: &'static [&'static str],
    /// What they don't.
    pub not: &'static [&'static str],
}

/// The text of a check.
#[must_use]
pub const fn text(id: CheckId) -> CheckText {
    match id {
        CheckId::HostPing => CheckText {
            evidence: "`ssh NODE ping -c 2 -W 3 1.1.1.1`; without SSH the same ping from the Cilium agent's container, \
                which shares the host's network.",
            means: &[
                "An answer: the node's own way to the outside works, so a dead way of pods ends between pods and host.",
                "No answer, and the host's other flows dead too: it is the host's network.",
            ],
            not: &[
                "No answer alone: a firewall may drop echo requests and pass everything else.",
                "An answer while the host's TCP and UDP are dead in the dump: such a host is not fine.",
                "A target that no node reaches: set another one with `--ping-target`.",
            ],
        },
        CheckId::PodEgress => CheckText {
            evidence: "In a pod of the node: a fetch by name, a connection to an address, and a lookup of a cluster \
                name, with the tools that the pod has.",
            means: &[
                "Any answer of the far end passes, an HTTP error or a TLS complaint too: the question is the path.",
                "By address fine and by name not: it is DNS, not egress.",
                "By name fine and by address not: the path works, and the address is filtered or silent.",
            ],
            not: &[
                "A pod without a tool or a shell: its check is unknown, not failed.",
                "A target that neither the host nor a healthy node reaches: set another one with `--probe-url` or \
                 `--ping-target`.",
            ],
        },
        CheckId::DnsConntrack => CheckText {
            evidence: "`cilium-dbg bpf ct list global`: the OUT entries to the DNS address that pods really ask: \
                node-local DNS, another resolver of the node, or the pods and the service address of cluster DNS.",
            means: &[
                "answered: LastRxReport is near LastTxReport. The datapath writes it with the first packet that comes \
                 back, whatever the accounting.",
                "unanswered: LastRxReport is 0 although the resolver's patience is over.",
                "stopped: LastRxReport lags behind LastTxReport; clients that keep one socket look like this.",
                "in flight and expired entries are counted separately and decide nothing; expired ones may stay for hours.",
            ],
            not: &[
                "`Packets=0` on Cilium 1.16 to 1.20: packet accounting is off by default (since cilium/cilium#27527), \
                 so every entry of a healthy node shows it. With accounting on, one counter counts both directions and \
                 starts at 1. After 1.20 the field is gone. Only 1.15 and older count replies apart (RxPackets).",
                "`RxFlagsSeen=0x00`: these are TCP flags; every UDP entry shows it, answered or not.",
                "Thousands of entries: the node is busy.",
                "No entries to the node-local address: with a LocalRedirectPolicy that works, the entries name the \
                 pod's address.",
                "Fewer than 10 live flows: too few to judge.",
            ],
        },
        CheckId::ExternalConntrack => CheckText {
            evidence: "The same dump: entries to the runbook's outside addresses (`--external-ip`), and all entries from \
                pods to the world.",
            means: &[
                "Unanswered entries to the world: packets leave the pod and nothing comes back.",
                "UDP dead and TCP answered: UDP is not masqueraded, which is a fault of the kernel.",
            ],
            not: &[
                "No entries to 1.1.1.1, 8.8.8.8, 185.12…: pods of this node may simply not call them. A broken path still \
                 makes entries, because an entry is made when the packet leaves the pod. No entry at all means no \
                 traffic, or a policy that denies it.",
                "A connection that has been idle for an hour: it is not an answer.",
            ],
        },
        CheckId::DnsBackends => CheckText {
            evidence: "`cilium-dbg service list` beside the EndpointSlices of the cluster DNS service.",
            means: &[
                "Fewer active backends than this node should have, for longer than an update takes: the service table \
                 is stale. Readiness, topology hints, zones and `internalTrafficPolicy` decide which it should have.",
            ],
            not: &[
                "\"It should be 2\": it should be as many as are ready for this node.",
                "One backend in a row of type LocalRedirect: the local backend is the right one.",
                "One backend in a grep: only the first stands on the row's own line.",
            ],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_explained_whole() {
        for id in CheckId::ALL {
            let entry = text(id);
            assert!(!entry.evidence.is_empty() && !entry.means.is_empty() && !entry.not.is_empty(), "{}", id.name());
            for text in entry.means.iter().chain(entry.not).chain([&entry.evidence]) {
                assert!(!text.contains("  ") && !text.contains('\n'), "{}: {text}", id.name());
            }
        }
        assert!(text(CheckId::DnsConntrack).not[0].contains("1.16"));
    }
}
