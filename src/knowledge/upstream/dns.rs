//! Issues of NodeLocal DNS, local redirects, link-local addresses and the DNS proxy.

use super::facts::{Fact, Mark};
use super::versions::Span;
use super::{BLANK, Issue, Restart};
use crate::base::version::Version;
use crate::knowledge::code::Code;

const LINK_LOCAL_DEAD: Fact = Fact::Has(Mark::LinkLocalDnsDead);
const NO_BACKEND: &[Fact] = &[Fact::Has(Mark::RedirectWithoutBackend)];
const NO_EFFECT: &[Fact] = &[Fact::Has(Mark::RedirectWithoutEffect)];
const OLD_LINES: &[Span] =
    &[Span::Line(1, 8), Span::Line(1, 9), Span::Line(1, 10), Span::Line(1, 11), Span::Line(1, 12), Span::Line(1, 13)];
const REDIRECT_LINES: &[Span] = &[Span::Line(1, 16), Span::Line(1, 17), Span::Line(1, 18)];

const NO_BACKEND_TITLE: &str = "Backends of a local redirect are missing (skipRedirectFromBackend)";
const LINK_LOCAL_SYMPTOM: &str =
    "pods get no answer from a link-local DNS address of their host, such as 169.254.116.108";
const LINK_LOCAL_ADVICE: &str =
    "A restart keeps the configuration: turn off the host's DNS forwarding to pods, or change bpf.masquerade.";

pub(super) const ISSUES: &[Issue] = &[
    Issue {
        number: 36761,
        title: "Pods cannot reach a link-local address with BPF masquerading",
        affected: &[Span::Since(1, 16, 5)],
        state: "closed; worked up to 1.16.4; see also #35153",
        symptom: "with bpf.masquerade=true pods get no answer from a link-local address such as 169.254.25.10",
        evidence: "all nodes alike; the host reaches the address",
        needs: &[LINK_LOCAL_DEAD],
        setting: &[Fact::Has(Mark::BpfMasquerading)],
        restart: Restart::DoesNotHelp,
        advice: "Bring NodeLocal DNS to the pods by a LocalRedirectPolicy, or change the masquerading.",
        ..BLANK
    },
    Issue {
        number: 36737,
        title: "Host DNS on a link-local address is dead for pods",
        affected: &[Span::Seen(1, 16, 5)],
        state: "a sibling of #36761",
        symptom: LINK_LOCAL_SYMPTOM,
        evidence: "all nodes alike; the host reaches the address",
        needs: &[LINK_LOCAL_DEAD],
        setting: &[Fact::Has(Mark::BpfMasquerading)],
        restart: Restart::DoesNotHelp,
        advice: LINK_LOCAL_ADVICE,
        ..BLANK
    },
    Issue {
        repo: "siderolabs/talos",
        number: 10002,
        title: "Talos' host DNS is dead for pods with Cilium 1.16.5",
        state: "a sibling of cilium/cilium#36761",
        symptom: LINK_LOCAL_SYMPTOM,
        evidence: "Talos forwards cluster DNS to its host DNS",
        needs: &[LINK_LOCAL_DEAD, Fact::System("Talos")],
        setting: &[Fact::Has(Mark::BpfMasquerading)],
        restart: Restart::DoesNotHelp,
        advice: LINK_LOCAL_ADVICE,
        ..BLANK
    },
    Issue {
        repo: "kubernetes/kops",
        number: 16597,
        title: "NodeLocal DNS does not work with Cilium on kOps 1.29",
        state: "closed; a relative of cilium/cilium#36761",
        symptom: "pods get no answer from NodeLocal DNS on any node",
        evidence: "all nodes alike; the host reaches the address",
        restart: Restart::DoesNotHelp,
        advice: LINK_LOCAL_ADVICE,
        ..BLANK
    },
    Issue {
        number: 43944,
        title: "`lrp list` shows an invalid address",
        affected: &[Span::Line(1, 18), Span::Line(1, 19)],
        fixed: &[Version::release(1, 20, 2)],
        state: "closed; #46638 is in 1.20.2, and not in the notes of 1.19.8 and 1.18.14; see also #43929",
        symptom: "a wrong display; serviceMatcher policies with a single port misbehave",
        evidence: "`lrp list` is odd while `service list` and `bpf lb list` are right",
        advice: "Trust `service list` and `bpf lb list`.",
        ..BLANK
    },
    Issue {
        number: 44138,
        title: "Rethink LocalRedirectPolicy",
        state: "open; a design",
        symptom: "none of its own",
        evidence: "none",
        advice: "Read it before you plan on local redirects.",
        ..BLANK
    },
    Issue {
        number: 45522,
        pull: true,
        title: "Keep an addressMatcher redirect from taking another service's frontend",
        affected: &[Span::Line(1, 18), Span::Line(1, 19)],
        state: "merged; a regression of 1.18; #45584 (1.19), #45585 (1.18) and #45412 (a variant for 1.17) merged",
        symptom: "a local redirect takes another service's frontend while its own pods are not ready",
        evidence: "a LocalRedirect row where the service's own row belongs",
        needs: &[Fact::Has(Mark::RedirectToUnreadyPod)],
        advice: "Make the redirect's own pod ready, and upgrade.",
        ..BLANK
    },
    Issue {
        number: 43800,
        title: "A local redirect by addressMatcher for node-local DNS has no effect",
        affected: &[Span::Since(1, 18, 2), Span::Line(1, 19)],
        state: "closed; with #42313",
        symptom: "DNS bypasses NodeLocal DNS",
        evidence: "the redirect's row is empty, or looks right while nothing is redirected",
        needs: NO_EFFECT,
        advice: "Use a serviceMatcher, or upgrade.",
        ..BLANK
    },
    Issue {
        number: 42313,
        title: "A local redirect by addressMatcher has no effect (1.18)",
        affected: &[Span::Since(1, 18, 2), Span::Line(1, 19)],
        state: "closed; with #43800",
        symptom: "DNS bypasses NodeLocal DNS",
        evidence: "the redirect's row is empty, or looks right while nothing is redirected",
        needs: NO_EFFECT,
        advice: "Use a serviceMatcher, or upgrade.",
        ..BLANK
    },
    Issue {
        number: 41424,
        title: NO_BACKEND_TITLE,
        affected: REDIRECT_LINES,
        state: "closed; with #40450, #36740, #42751",
        symptom: "no redirect takes place",
        evidence: "LocalRedirect rows without a backend",
        needs: NO_BACKEND,
        advice: "Check the backend pod of the policy on this node, and upgrade.",
        ..BLANK
    },
    Issue {
        number: 40450,
        title: NO_BACKEND_TITLE,
        affected: REDIRECT_LINES,
        state: "closed; with #41424",
        symptom: "no redirect takes place",
        evidence: "LocalRedirect rows without a backend",
        needs: NO_BACKEND,
        advice: "Check the backend pod of the policy on this node, and upgrade.",
        ..BLANK
    },
    Issue {
        number: 36740,
        title: NO_BACKEND_TITLE,
        affected: REDIRECT_LINES,
        state: "closed; with #41424",
        symptom: "no redirect takes place",
        evidence: "LocalRedirect rows without a backend",
        needs: NO_BACKEND,
        advice: "Check the backend pod of the policy on this node, and upgrade.",
        ..BLANK
    },
    Issue {
        number: 42751,
        title: NO_BACKEND_TITLE,
        affected: REDIRECT_LINES,
        state: "closed; with #41424",
        symptom: "no redirect takes place",
        evidence: "LocalRedirect rows without a backend",
        needs: NO_BACKEND,
        advice: "Check the backend pod of the policy on this node, and upgrade.",
        ..BLANK
    },
    Issue {
        number: 43454,
        title: "DNS is gone while node-local-dns restarts",
        affected: &[Span::Line(1, 18)],
        state: "closed; with #43080",
        symptom: "short outages of DNS although the datapath is fine",
        evidence: "the node-local-dns pod is not ready",
        needs: &[Fact::Verdict(&[Code::NodeLocalDnsDown])],
        advice: "Look at the node-local-dns pod.",
        ..BLANK
    },
    Issue {
        number: 43080,
        title: "DNS is gone on new nodes until node-local-dns is ready",
        affected: &[Span::Line(1, 18)],
        state: "closed; with #43454",
        symptom: "short outages of DNS although the datapath is fine",
        evidence: "the node-local-dns pod is not ready",
        needs: &[Fact::Verdict(&[Code::NodeLocalDnsDown])],
        advice: "Look at the node-local-dns pod.",
        ..BLANK
    },
    Issue {
        number: 23848,
        title: "Older combinations with NodeLocal DNS",
        affected: OLD_LINES,
        state: "closed; with #16906, #13040, #18644",
        symptom: "various: queries bypass NodeLocal DNS or are lost",
        evidence: "none that they share",
        advice: "Upgrade.",
        ..BLANK
    },
    Issue {
        number: 32489,
        title: "CoreDNS fails with BPF host routing on arm64",
        affected: &[Span::Since(1, 15, 4)],
        state: "open; arm64 with a linuxkit kernel 6.6",
        symptom: "upstream DNS times out",
        evidence: "the kernel, the architecture and dead flows to upstream DNS",
        needs: &[
            Fact::Has(Mark::UpstreamDnsDead),
            Fact::Architecture("arm64"),
            Fact::KernelNamed("linuxkit"),
            Fact::KernelNamed("6.6"),
        ],
        setting: &[Fact::Has(Mark::BpfHostRouting)],
        advice: "Turn off BPF host routing (bpf.hostLegacyRouting=true) or boot another kernel.",
        ..BLANK
    },
    Issue {
        number: 36063,
        title: "The TPROXY rule of the DNS proxy points to a dead port",
        affected: &[Span::Between(1, 16, 3, 4)],
        state: "closed; an option came with 1.16.4",
        symptom: "DNS through the agent's proxy fails",
        evidence: "ProxyRedirect in the entries; the port of the iptables rule is not the proxy's port",
        needs: &[Fact::Verdict(&[Code::DnsProxyBroken])],
        advice: "Compare the port of the TPROXY rule with the proxy's port in the status.",
        ..BLANK
    },
];
