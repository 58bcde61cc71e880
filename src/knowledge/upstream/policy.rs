//! Issues of network policy: it denies what it should allow, or allows what it should deny.

use super::facts::{DropDirection, Fact, Mark};
use super::versions::Span;
use super::{BLANK, Issue, Restart};
use crate::base::version::Version;
use crate::knowledge::code::Code;

const DENIED: Fact = Fact::Verdict(&[Code::PolicyDenied]);
const DENIED_OUT: Fact = Fact::DropsIn("Policy denied", DropDirection::Egress);
const DENIED_IN: Fact = Fact::DropsIn("Policy denied", DropDirection::Ingress);
const SINCE_START: Fact = Fact::Has(Mark::FailsSinceAgentStart);

const FQDN_SYMPTOM: &str = "egress that an FQDN rule allows is dropped on single nodes until the agent restarts";
const FQDN_EVIDENCE: &str =
    "Policy denied, egress, to allowed names; the metric cilium_ipcache_errors_total has cannot_overwrite_by_source";
const FQDN_ADVICE: &str = "If the policy allows the name, a restart of this node's agent ended it in the reports.";

pub(super) const ISSUES: &[Issue] = &[
    Issue {
        number: 45233,
        title: "A NetworkPolicy is missing from an endpoint's map on a new node",
        affected: &[Span::Since(1, 18, 6)],
        state: "open; #45243 closed",
        symptom: "pods that a policy selects drop allowed traffic until the agent is restarted",
        evidence: "`policy get` lacks rules; Policy denied rises",
        needs: &[DENIED],
        restart: Restart::Helps,
        advice: "Compare the endpoint's policy map with the policy before the agent is restarted.",
        ..BLANK
    },
    Issue {
        number: 44855,
        title: "An endpoint's policy map stays empty after its first regeneration failed",
        affected: &[Span::Since(1, 18, 7), Span::Line(1, 19)],
        state: "open; an earlier form, #38998, was fixed in 1.18",
        symptom: "one endpoint drops everything",
        evidence: "Policy denied rises for one endpoint only",
        needs: &[DENIED],
        restart: Restart::DoesNotHelp,
        advice: "Recreate that pod.",
        ..BLANK
    },
    Issue {
        number: 44714,
        title: "FQDN rules stop allowing egress on single nodes",
        affected: &[Span::Between(1, 18, 0, 8)],
        state: "closed; fixes #44731 and #44754 in 1.18.9; see #41873 and #42594",
        symptom: FQDN_SYMPTOM,
        evidence: FQDN_EVIDENCE,
        needs: &[DENIED, DENIED_OUT],
        restart: Restart::Helps,
        advice: FQDN_ADVICE,
        ..BLANK
    },
    Issue {
        number: 41873,
        title: "Allowed traffic is dropped until the agent restarts",
        affected: &[Span::Between(1, 18, 0, 8)],
        state: "closed; #42815 in 1.18.5; a reporter on 1.19.6 saw it again, and there a restart did not help",
        symptom: FQDN_SYMPTOM,
        evidence: FQDN_EVIDENCE,
        needs: &[DENIED, DENIED_OUT],
        restart: Restart::Helps,
        advice: FQDN_ADVICE,
        ..BLANK
    },
    Issue {
        number: 42594,
        title: "FQDN rules drop at random after the update to 1.18.3",
        affected: &[Span::Between(1, 18, 0, 8)],
        state: "closed; see #44714",
        symptom: FQDN_SYMPTOM,
        evidence: FQDN_EVIDENCE,
        needs: &[DENIED, DENIED_OUT],
        restart: Restart::Helps,
        advice: FQDN_ADVICE,
        ..BLANK
    },
    Issue {
        number: 24502,
        title: "The API server's identity leaves the ipcache",
        state: "state not verified",
        symptom: "traffic to the API server that a policy allows is denied after the agent's restart",
        evidence: "Policy denied rises since the agent's start",
        needs: &[DENIED, SINCE_START],
        restart: Restart::Triggers,
        advice: "Look up the API server's address in `cilium-dbg bpf ipcache list`: it should have the identity kube-apiserver.",
        ..BLANK
    },
    Issue {
        number: 47880,
        pull: true,
        title: "CIDR policies drop pods' traffic after the agent's restart",
        affected: &[Span::Between(1, 20, 0, 1)],
        fixed: &[Version::release(1, 20, 1)],
        state: "fixed",
        symptom: "with policy-cidr-match-mode=pods, restored pods are denied traffic after an agent restart",
        evidence: "Policy denied rises since the agent's start",
        needs: &[DENIED, SINCE_START],
        setting: &[Fact::Has(Mark::PolicyCidrMatchesPods)],
        restart: Restart::Triggers,
        advice: "Recreate the restored pods, and upgrade to 1.20.1 or later before the next restart.",
        ..BLANK
    },
    Issue {
        number: 48444,
        title: "Kubelet's probes are denied with policy enforcement `always`",
        affected: &[Span::Since(1, 20, 0)],
        state: "open",
        symptom: "pods become unready because kubelet's probes are dropped",
        evidence: "Policy denied rises towards pods",
        needs: &[DENIED, DENIED_IN],
        setting: &[Fact::Has(Mark::PolicyAlwaysEnforced)],
        restart: Restart::DoesNotHelp,
        advice: "Allow ingress from the entity host, or use the enforcement mode `default`.",
        ..BLANK
    },
    Issue {
        number: 34042,
        title: "Netkit and policies drop kubelet's probes",
        affected: &[Span::Seen(1, 16, 1)],
        state: "state not verified",
        symptom: "kubelet's probes of pods are dropped",
        evidence: "netkit devices, and Policy denied rises towards pods",
        needs: &[DENIED, DENIED_IN, Fact::Has(Mark::Netkit)],
        advice: "Compare with a node whose pods have veth devices.",
        ..BLANK
    },
    Issue {
        number: 47727,
        title: "A policy update has no effect for up to two minutes",
        affected: &[Span::Between(1, 20, 0, 1)],
        fixed: &[Version::release(1, 20, 1)],
        state: "fixed; see #47642",
        symptom: "allowed traffic is denied for the first minutes",
        evidence: "Policy denied rises in the first two minutes of the agent or of a change",
        needs: &[DENIED, Fact::AgentYounger(180)],
        restart: Restart::DoesNotHelp,
        advice: "Wait two minutes and measure again.",
        ..BLANK
    },
    Issue {
        number: 47642,
        title: "A policy update is overlooked for up to two minutes",
        affected: &[Span::Between(1, 20, 0, 2)],
        fixed: &[Version::release(1, 20, 2)],
        state: "fixed; see #47727",
        symptom: "allowed traffic is denied for the first minutes",
        evidence: "Policy denied rises in the first two minutes of the agent or of a change",
        needs: &[DENIED, Fact::AgentYounger(180)],
        restart: Restart::DoesNotHelp,
        advice: "Wait two minutes and measure again.",
        ..BLANK
    },
    Issue {
        number: 33144,
        title: "The node-local DNS address loses the identity host after an agent restart",
        affected: &[Span::Line(1, 16)],
        state: "closed; a regression of the 1.16 cycle",
        symptom: "DNS through an L7 policy times out after an agent restart",
        evidence: "the identity of the address in the ipcache changes from host to world",
        needs: &[Fact::Verdict(&[Code::DnsProxyBroken, Code::PolicyDenied]), SINCE_START],
        setting: &[Fact::Has(Mark::ProxyRedirects)],
        restart: Restart::Triggers,
        advice: "Look up the address in `cilium-dbg bpf ipcache list`, and upgrade.",
        ..BLANK
    },
    Issue {
        number: 47012,
        title: "Policy entries that were kept over a restart are never removed",
        state: "#47062 merged in 2026",
        symptom: "the opposite of an outage: too much is allowed",
        evidence: "none in what staledp reads",
        advice: "Upgrade.",
        ..BLANK
    },
];
