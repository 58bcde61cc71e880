//! Issues of ways between nodes and to the outside: tunnels, encryption, addresses and egress.

use super::facts::{Fact, Mark};
use super::versions::Span;
use super::{BLANK, Issue, Restart};
use crate::knowledge::code::Code;

const ISOLATED: Fact = Fact::Verdict(&[Code::NodeIsolated]);
const WIREGUARD: Fact = Fact::Has(Mark::WireGuard);

const PEERS_EVIDENCE: &str = "flows to other nodes are dead; `cilium-dbg encrypt status` lists fewer peers than nodes";
const PEERS_ADVICE: &str =
    "Compare the WireGuard peers with a healthy node's. A restart brought them back in the reports.";

pub(super) const ISSUES: &[Issue] = &[
    Issue {
        number: 46687,
        title: "WireGuard between one pair of nodes is dead",
        affected: &[Span::Seen(1, 19, 3)],
        state: "state not verified",
        symptom: "pods of two nodes cannot reach each other while both reach all others",
        evidence: "flows to one node are dead; cluster health is n-1 of n",
        needs: &[ISOLATED, WIREGUARD, Fact::Has(Mark::OneFarNodeDead)],
        restart: Restart::DoesNotHelp,
        advice: "Look at the other node as well: its keys and its endpoint's address.",
        ..BLANK
    },
    Issue {
        number: 35644,
        title: "WireGuard's allowed addresses are wrong after a node restarts",
        affected: &[Span::Seen(1, 16, 3)],
        state: "closed; see #20925",
        symptom: "pods of one node cannot reach pods of others",
        evidence: PEERS_EVIDENCE,
        needs: &[ISOLATED, WIREGUARD],
        restart: Restart::Helps,
        advice: PEERS_ADVICE,
        ..BLANK
    },
    Issue {
        number: 20925,
        title: "WireGuard peers are missing on some nodes",
        affected: &[Span::Seen(1, 11, 7)],
        state: "closed; see #35644",
        symptom: "pods of one node cannot reach pods of others",
        evidence: PEERS_EVIDENCE,
        needs: &[ISOLATED, WIREGUARD],
        restart: Restart::Helps,
        advice: PEERS_ADVICE,
        ..BLANK
    },
    Issue {
        number: 31979,
        title: "WireGuard with native routing loses allowed addresses when the agent restarts",
        state: "fixed by #34095; short, until all endpoints are known again; see #31985",
        symptom: "pods of one node cannot reach pods of others after an agent restart",
        evidence: "dead since the agent's start",
        needs: &[ISOLATED, WIREGUARD, Fact::Has(Mark::FailsSinceAgentStart)],
        restart: Restart::Triggers,
        advice: "The agent's last start began it: compare the peers before it is restarted again.",
        setting: &[Fact::Lacks(Mark::Tunnel)],
        ..BLANK
    },
    Issue {
        number: 31985,
        title: "WireGuard with a kvstore removes peers when the agent restarts",
        state: "fixed by #34062; short, until the kvstore is read; see #31979",
        symptom: "pods of one node cannot reach pods of others after an agent restart",
        evidence: "dead since the agent's start",
        needs: &[ISOLATED, WIREGUARD, Fact::Has(Mark::FailsSinceAgentStart)],
        restart: Restart::Triggers,
        advice: "The agent's last start began it: compare the peers before it is restarted again.",
        ..BLANK
    },
    Issue {
        number: 25518,
        title: "IPsec cuts a node off from the others",
        affected: &[Span::Seen(1, 13, 2)],
        state: "state not verified",
        symptom: "pods of one node cannot reach pods of others",
        evidence: "flows to other nodes are dead, and encryption is IPsec",
        needs: &[ISOLATED, Fact::Has(Mark::Ipsec)],
        restart: Restart::Helps,
        advice: "Compare keys and `ip xfrm state` with a healthy node.",
        ..BLANK
    },
    Issue {
        number: 31528,
        title: "The agent keeps an address that the node no longer has",
        affected: &[Span::Seen(1, 15, 2)],
        state: "state not verified; it follows a change of the node's address, not a release",
        symptom: "traffic of the node and its pods is lost after the node's address changed",
        evidence: "the device address in the status is not one of the node's addresses",
        needs: &[Fact::Verdict(&[Code::StaleNodeAddress])],
        restart: Restart::Helps,
        advice: "Restart the one agent, then find out why the address changed.",
        ..BLANK
    },
    Issue {
        number: 37271,
        title: "Pods lose connectivity after an upgrade to 1.16.5 or later",
        affected: &[Span::Since(1, 16, 5), Span::Line(1, 17)],
        state: "closed; bisected to BPF host routing with a tunnel",
        symptom: "pods of some nodes lose connectivity",
        evidence: "the routing set-up: a tunnel with BPF host routing",
        needs: &[
            Fact::Verdict(&[Code::StaleDatapath, Code::EgressBroken, Code::NodeIsolated]),
            Fact::Has(Mark::Tunnel),
            Fact::Has(Mark::BpfHostRouting),
        ],
        advice: "Try bpf.hostLegacyRouting=true on one node.",
        ..BLANK
    },
    Issue {
        number: 25437,
        title: "One node leaves with the wrong source address",
        affected: &[Span::Line(1, 13)],
        state: "closed",
        symptom: "egress of one node is broken",
        evidence: "deleting the pod did not help; a reboot, or removing cilium_host, did",
        needs: &[Fact::Verdict(&[Code::EgressBroken]), Fact::Has(Mark::EgressByAddressDead)],
        restart: Restart::DoesNotHelp,
        advice: "Look in the NAT list at the address that pods leave with.",
        ..BLANK
    },
    Issue {
        number: 47761,
        title: "The egress gateway ignores changes of the local address",
        affected: &[Span::Line(1, 20)],
        state: "open",
        symptom: "packets vanish after an address moved",
        evidence: "`bpf egress list` shows 0.0.0.0",
        advice: "Compare `bpf egress list` with the gateway's addresses.",
        ..BLANK
    },
    Issue {
        number: 30627,
        title: "The identity of an outside address is removed",
        affected: &[Span::Seen(1, 14, 4)],
        state: "state not verified",
        symptom: "pods lose one far end while others answer",
        evidence: "flows to exactly one far end are dead",
        needs: &[
            Fact::Verdict(&[Code::PolicyDenied, Code::StaleSelective, Code::EgressBroken]),
            Fact::Has(Mark::OneFarEndDead),
        ],
        advice: "Look up the far end in `cilium-dbg bpf ipcache list`.",
        ..BLANK
    },
    Issue {
        number: 46680,
        title: "Pods fail to reach their own host at times",
        affected: &[Span::Since(1, 17, 17), Span::Since(1, 19, 5)],
        state: "open",
        symptom: "some connections of pods to their own node time out",
        evidence: "flows from pods to their node are partly answered",
        needs: &[Fact::Has(Mark::PodToHostMixed)],
        advice: "Count failures over some minutes, and compare with another node.",
        ..BLANK
    },
];
