//! The five checks in words: what each asks, of what, and what its figures do and don't mean.

use crate::knowledge::check_id::CheckId;

/// What is to be known of a check.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What is run or read.
    pub evidence: &'static str,
    /// What its figures mean.
    pub means: &'static [&'static str],
    /// What they don't.
    pub not: &'static [&'static str],
}

/// The entry of a check.
#[must_use]
pub const fn entry(id: CheckId) -> Entry {
    match id {
        CheckId::HostPing => Entry {
            evidence: "`ssh NODE ping -c 2 -W 3 1.1.1.1`; without SSH the same ping from the Cilium agent's container, \
                which shares the host's network.",
            means: &[
                "An answer: the node's own way to the outside works, so what is dead is dead between pods and host.",
                "No answer, and everything else dead too: it is the host's network.",
            ],
            not: &["No answer alone: echo requests may be filtered while everything else passes."],
        },
        CheckId::PodEgress => Entry {
            evidence: "In a pod of the node: a fetch by name, a connection to an address, a lookup of a cluster name; with \
                whatever tool the pod has.",
            means: &[
                "Any answer from the far end passes, an HTTP error or a TLS complaint too: the question is the path.",
                "By address fine and by name not: it is DNS, not egress.",
            ],
            not: &["A pod without a tool or without a shell says nothing; it is unknown, not failed."],
        },
        CheckId::DnsConntrack => Entry {
            evidence: "`cilium-dbg bpf ct list global`: the OUT lines to the node-local DNS address, port 53.",
            means: &[
                "answered: LastRxReport is near LastTxReport. It is written with the first packet that comes back, \
                 whatever the accounting.",
                "never answered: LastRxReport is 0 though the resolver's patience is over.",
                "no longer answered: LastRxReport lags behind LastTxReport; clients that keep one socket look so.",
                "in flight and expired lines are counted apart and decide nothing; expired ones may stay for hours.",
            ],
            not: &[
                "`Packets=0` on Cilium 1.16 to 1.20: packet accounting is off by default (since cilium/cilium#27527), so \
                 every line of a healthy node says so. With accounting on, the one counter is of both directions and \
                 starts at 1. After 1.20 the field is gone. Only 1.15 and older count replies apart (RxPackets).",
                "`RxFlagsSeen=0x00`: these are TCP flags; every UDP line says so, answered or not.",
                "Thousands of lines: a busy node.",
                "No lines at all: with a LocalRedirectPolicy that works the lines show the pod's address, not the \
                 node-local one.",
                "Fewer than 10 live lines: a handful proves nothing.",
            ],
        },
        CheckId::ExternalConntrack => Entry {
            evidence: "The same dump: lines to the runbook's outside addresses (`--external-ip`), and all lines from pods \
                to the world.",
            means: &[
                "Unanswered lines to the world: packets leave the pod and nothing comes back.",
                "UDP dead and TCP answered: masquerading of UDP, a kernel's fault.",
            ],
            not: &["No entries to 1.1.1.1, 8.8.8.8, 185.12…: pods of this node may just not call them. A broken path \
                still makes lines, for a line is made when the packet leaves the pod; none speaks for no traffic, or for \
                a policy that denies it."],
        },
        CheckId::DnsBackends => Entry {
            evidence: "`cilium-dbg service list` beside the EndpointSlices of the cluster DNS service.",
            means: &[
                "Fewer active backends than ready endpoints, for longer than an update takes: the service table is \
                stale.",
            ],
            not: &[
                "\"It should be 2\" is no rule: it should be as many as are ready.",
                "One backend in a row of type LocalRedirect is right: the local one.",
                "One backend in a grep: only the first stands on the row's own line.",
            ],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_told_whole() {
        for id in CheckId::ALL {
            let entry = entry(id);
            assert!(!entry.evidence.is_empty() && !entry.means.is_empty() && !entry.not.is_empty(), "{}", id.name());
            for text in entry.means.iter().chain(entry.not).chain([&entry.evidence]) {
                assert!(!text.contains("  ") && !text.contains('\n'), "{}: {text}", id.name());
            }
        }
        assert!(entry(CheckId::DnsConntrack).not[0].contains("1.16"));
    }
}
