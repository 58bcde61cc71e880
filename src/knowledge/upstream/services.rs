//! Issues of the service table: backends that are gone, missing, or in the wrong row, and sockets that keep them.

use super::facts::{Fact, Mark};
use super::versions::Span;
use super::{BLANK, Issue, Restart};
use crate::base::version::Version;

const STRAY: Fact = Fact::Has(Mark::StrayBackends);
const GONE: &[Fact] = &[Fact::Has(Mark::SocketsToGonePods)];
const WILDCARD: &[Fact] = &[Fact::Has(Mark::WildcardOnNodeAddress)];

const GONE_SYMPTOM: &str = "connected UDP sockets go on sending to DNS pods that are gone";
const GONE_EVIDENCE: &str = "conntrack entries to addresses that no pod has";
const GONE_ADVICE: &str = "Restart the client, not Cilium.";
const WILDCARD_SYMPTOM: &str = "the host's TCP and UDP are dead while it answers ping";
const WILDCARD_EVIDENCE: &str = "`bpf lb list` has a row NODE:0/ANY";
const WILDCARD_ADVICE: &str =
    "Upgrade past the fix #45572, or remove the LoadBalancer or the external address that equals the node's.";

pub(super) const ISSUES: &[Issue] = &[
    Issue {
        number: 48050,
        title: "Deletions of EndpointSlices are lost when the API server's connection returns",
        affected: &[Span::Between(1, 19, 0, 3)],
        fixed: &[Version::release(1, 19, 3)],
        state: "closed; fixed by #45198",
        symptom: "backends that are gone stay active until the EndpointSlice is written again; everything looks ready",
        evidence: "the service table holds backends that the EndpointSlices do not",
        needs: &[STRAY],
        advice: "Upgrade to 1.19.3 or later.",
        ..BLANK
    },
    Issue {
        number: 28084,
        title: "The row of kube-dns is wrong",
        affected: &[Span::Seen(1, 12, 7)],
        state: "state not verified",
        symptom: "cluster DNS is dead on one node",
        evidence: "the row holds no ready endpoint",
        needs: &[Fact::Has(Mark::RowWithoutReadyEndpoint)],
        advice: "Compare the row with a healthy node's.",
        ..BLANK
    },
    Issue {
        number: 45981,
        title: "The kernel's backend map is nearly empty",
        affected: &[Span::Seen(1, 18, 9)],
        state: "state not verified",
        symptom: "services of one node are dead while the agent's own table is right",
        evidence: "`bpf lb list` says \"backend N not found\"",
        needs: &[Fact::Has(Mark::KernelBackendsNotFound)],
        advice: "Keep `bpf lb list` and `service list` before anything is restarted.",
        ..BLANK
    },
    Issue {
        number: 45441,
        title: "ClusterMesh leaves stale backends behind",
        affected: &[Span::Seen(1, 17, 14)],
        state: "state not verified",
        symptom: "some connections to a global service go to pods that are gone",
        evidence: "stray backends of another cluster",
        needs: &[STRAY, Fact::Has(Mark::ClusterMesh)],
        restart: Restart::DoesNotHelp,
        advice: "Look at the other cluster's clustermesh-apiserver.",
        ..BLANK
    },
    Issue {
        number: 43358,
        title: "The load-balancer map is not updated",
        state: "state not verified",
        symptom: "services of one node go to pods that are gone, more with every rollout",
        evidence: "the agent's and the kernel's table are both out of date",
        needs: &[Fact::Has(Mark::BothTablesOld)],
        restart: Restart::Helps,
        advice: "Keep the agent's log: it shows when the updates ended.",
        ..BLANK
    },
    Issue {
        number: 45314,
        title: "Keys collide in the load-balancer map",
        affected: &[Span::Between(1, 19, 0, 7)],
        fixed: &[Version::release(1, 19, 7)],
        state: "fixed",
        symptom: "a frontend's row is wrong",
        evidence: "a load balancer's address equals the node's address",
        needs: &[Fact::Has(Mark::FrontendOnNodeAddress)],
        advice: "Upgrade to 1.19.7 or later.",
        ..BLANK
    },
    Issue {
        number: 44430,
        title: "A wildcard row on the node's address swallows the host's traffic",
        affected: &[Span::Between(1, 19, 0, 3)],
        state: "fixed by #45572; see #43206 and #45408",
        symptom: WILDCARD_SYMPTOM,
        evidence: WILDCARD_EVIDENCE,
        needs: WILDCARD,
        restart: Restart::DoesNotHelp,
        advice: WILDCARD_ADVICE,
        ..BLANK
    },
    Issue {
        number: 43206,
        title: "A wildcard row on the node's address (second report)",
        affected: &[Span::Between(1, 19, 0, 3)],
        state: "state not verified; see #44430",
        symptom: WILDCARD_SYMPTOM,
        evidence: WILDCARD_EVIDENCE,
        needs: WILDCARD,
        restart: Restart::DoesNotHelp,
        advice: WILDCARD_ADVICE,
        ..BLANK
    },
    Issue {
        number: 45408,
        title: "A wildcard row on the node's address (third report)",
        affected: &[Span::Between(1, 19, 0, 3)],
        state: "state not verified; see #44430",
        symptom: WILDCARD_SYMPTOM,
        evidence: WILDCARD_EVIDENCE,
        needs: WILDCARD,
        restart: Restart::DoesNotHelp,
        advice: WILDCARD_ADVICE,
        ..BLANK
    },
    Issue {
        number: 41022,
        title: "PreferClose leaves a row empty although other zones have endpoints",
        affected: &[Span::Between(1, 18, 0, 1)],
        state: "fixed by #41116",
        symptom: "a service with trafficDistribution PreferClose is dead in zones without an endpoint",
        evidence: "an empty row while other zones have ready endpoints",
        needs: &[Fact::Has(Mark::EmptyRowOtherZones)],
        restart: Restart::DoesNotHelp,
        advice: "Run an endpoint in each zone or remove trafficDistribution until the upgrade.",
        ..BLANK
    },
    Issue {
        number: 48271,
        title: "A backend stays in the table for 20 to 34 seconds after its end",
        affected: &[Span::Since(1, 19, 7)],
        state: "open",
        symptom: "a short series of failed connections after each rollout",
        evidence: "a stray backend that is gone half a minute later",
        needs: &[STRAY],
        restart: Restart::DoesNotHelp,
        advice: "Measure again after a minute.",
        ..BLANK
    },
    Issue {
        number: 31012,
        title: "Socket load balancing keeps old connections after a local redirect came",
        affected: &[Span::Line(1, 15)],
        state: "closed",
        symptom: GONE_SYMPTOM,
        evidence: GONE_EVIDENCE,
        needs: GONE,
        restart: Restart::DoesNotHelp,
        advice: GONE_ADVICE,
        ..BLANK
    },
    Issue {
        number: 48096,
        title: "Connected UDP sockets keep CoreDNS backends that are gone",
        affected: &[Span::Seen(1, 17, 3)],
        state: "open; see #48244",
        symptom: GONE_SYMPTOM,
        evidence: GONE_EVIDENCE,
        needs: GONE,
        restart: Restart::DoesNotHelp,
        advice: GONE_ADVICE,
        ..BLANK
    },
    Issue {
        number: 48244,
        title: "A connected UDP socket keeps a ClusterIP backend that was removed",
        affected: &[Span::Seen(1, 17, 4), Span::Seen(1, 18, 9)],
        state: "open; see #48096",
        symptom: GONE_SYMPTOM,
        evidence: GONE_EVIDENCE,
        needs: GONE,
        restart: Restart::DoesNotHelp,
        advice: GONE_ADVICE,
        ..BLANK
    },
    Issue {
        number: 27300,
        title: "NGINX keeps asking a CoreDNS pod that no longer exists",
        state: "closed; see #48096",
        symptom: GONE_SYMPTOM,
        evidence: GONE_EVIDENCE,
        needs: GONE,
        restart: Restart::DoesNotHelp,
        advice: GONE_ADVICE,
        ..BLANK
    },
    Issue {
        number: 24327,
        title: "UDP sockets keep DNS pods that are gone",
        affected: &[Span::Seen(1, 12, 2)],
        state: "state not verified; see #27300",
        symptom: GONE_SYMPTOM,
        evidence: GONE_EVIDENCE,
        needs: GONE,
        restart: Restart::DoesNotHelp,
        advice: GONE_ADVICE,
        ..BLANK
    },
    Issue {
        number: 32472,
        title: "Conntrack entries of services name backends that are gone",
        affected: &[Span::Since(1, 15, 1)],
        state: "closed",
        symptom: "packets are dropped: \"Service backend not found\"",
        evidence: "that drop reason rises",
        needs: &[Fact::Drops("Service backend not found")],
        advice: "Compare the service's row with its EndpointSlices.",
        ..BLANK
    },
];
