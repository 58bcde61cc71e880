//! The kinds of wrong verdicts that were measured once: of each, one that must be said, one that looks like it and is not,
//! and one with less evidence.

use crate::cluster::{Balancing, Family, MINUTE, Resolver, SECOND, Setup, Spread, WayOut};
use crate::fault::{Fault, Place};
use crate::plan::{Device, Edit, Plan, Quirk, Truth, Word};
use crate::release::Release;
use crate::situations::{Sick, named};

/// A kind: its number, what it is about, and its plans.
pub(crate) struct Kind {
    pub(crate) number: u8,
    pub(crate) about: &'static str,
    pub(crate) plans: Vec<Plan>,
}

/// Node 0 is sick since some minutes, and holds no cluster DNS pod.
const SICK: Sick = Sick { node: 0, since: -12 * MINUTE };

/// A plain cluster, changed.
fn plain(seed: u64, change: impl FnOnce(&mut Setup)) -> Setup {
    let mut setup = Setup::plain(seed);
    change(&mut setup);
    setup
}

/// This situation in a plain cluster.
fn usual(name: &str, seed: u64) -> Plan {
    named(name, Setup::plain(seed), SICK)
}

/// This situation in a cluster without NodeLocal DNS.
fn direct(name: &str, seed: u64) -> Plan {
    named(name, plain(seed, |s| s.resolver = Resolver::ClusterDns), SICK)
}

/// A calm cluster, changed.
fn calm(seed: u64, change: impl FnOnce(&mut Setup)) -> Plan {
    Plan::calm("calm", plain(seed, change))
}

/// Node 1 is, for what would cut off the API server too.
const SICK_WORKER: Sick = Sick { node: 1, since: -12 * MINUTE };

/// With less evidence of a node it may be that nothing can be said, and nothing else may be.
fn less(mut plan: Plan, edit: Edit) -> Plan {
    let node = match &edit {
        Edit::Lost(node, _) | Edit::Cut(node, _) | Edit::TimedOut(node, _) | Edit::Forbidden(node, _) => Some(*node),
        // A list is of all nodes.
        Edit::NoList(_) => None,
    };
    for at in 0..plan.setup.nodes {
        if node.is_none_or(|node| node == at) {
            let truth = Truth { unknown: true, ..plan.right(at).clone() };
            plan = plan.truth(at, truth);
        }
    }
    Plan { name: format!("{}, less: {edit:?}", plan.name), ..plan.edit(edit) }
}

/// Under another name.
fn called(name: &str, plan: Plan) -> Plan {
    Plan { name: name.to_owned(), ..plan }
}

/// All kinds.
pub(crate) fn all() -> Vec<Kind> {
    let mut kinds = wrongly_stale();
    kinds.extend(wrong_otherwise());
    kinds.extend(hidden_or_left_out());
    kinds.extend(wrong_in_words_and_figures());
    kinds.extend(of_the_real_cluster());
    kinds.extend(wrong_sentences());
    kinds
}

fn kind(number: u8, about: &'static str, plans: Vec<Plan>) -> Kind {
    Kind { number, about, plans }
}

fn zones(seed: u64) -> Setup {
    plain(seed, |s| (s.spread, s.nodes, s.resolver) = (Spread::Zones, 4, Resolver::ClusterDns))
}

fn denied() -> Kind {
    kind(
        2,
        "packets denied at the receiver, or by a later policy, leave lines",
        vec![
            usual("policy-new-egress-dns", 105),
            usual("policy-new-egress-all", 106),
            usual("policy-ingress-dns", 209),
            direct("policy-ingress-cluster-dns", 210),
            direct("stale-one-pod", 107),
            less(usual("policy-new-egress-dns", 108), Edit::Lost(0, "drop-metrics.2")),
            less(usual("policy-new-egress-dns", 213), Edit::Forbidden(0, "drop-metrics")),
            less(direct("policy-ingress-cluster-dns", 214), Edit::Forbidden(0, "drop-metrics")),
        ],
    )
}

fn wrongly_stale() -> Vec<Kind> {
    let old = Truth::is(&["stale-service-map"]);
    vec![
        kind(
            1,
            "the service table is held against the endpoints that this node should have",
            vec![
                called("zones, old table", Plan::calm("", zones(101)).quirk(Quirk::OldTable(0)).truth(0, old)),
                called("zones", Plan::calm("", zones(102))),
                called("local only", calm(103, |s| (s.spread, s.dns_pods) = (Spread::Local, 3))),
                less(called("zones", Plan::calm("", zones(104))), Edit::NoList("endpointslices")),
            ],
        ),
        denied(),
        kind(
            3,
            "pods are compared over the same time, by shares",
            vec![
                direct("stale-half-of-flows", 109),
                usual("local-dns-flapping", 110),
                less(usual("local-dns-flapping", 111), Edit::NoList("pods")),
            ],
        ),
        kind(
            4,
            "the contrary witness is heard",
            vec![
                usual("stale-pods-and-host", 112),
                usual("local-dns-hung-and-port-filtered", 113),
                less(usual("local-dns-hung-and-port-filtered", 114), Edit::Lost(0, "pod-egress")),
                less(usual("stale-pods-and-host", 215), Edit::Lost(0, "host-firewall")),
                less(usual("host-firewall", 216), Edit::Lost(0, "host-firewall")),
                called("IPv6, datapath", named("stale-pods-and-host", plain(217, |s| s.family = Family::V6), SICK)),
                called("IPv6, firewall", named("host-firewall", plain(218, |s| s.family = Family::V6), SICK)),
                less(
                    named("host-firewall", plain(219, |s| s.family = Family::V6), SICK),
                    Edit::Lost(0, "host-firewall-v6"),
                ),
            ],
        ),
        kind(
            5,
            "an answered ping does not make the host fine",
            vec![
                named("host-line-only-icmp", Setup::plain(115), SICK_WORKER),
                direct("stale-everything-sent", 116),
                less(named("host-line-only-icmp", Setup::plain(117), SICK_WORKER), Edit::Lost(1, "host-ping")),
            ],
        ),
        kind(
            6,
            "programs are known by every spelling",
            vec![
                named("stale-host-device-bare", plain(118, |s| s.release = Release::V1_14), SICK).quirk(Quirk::Iproute),
                named("stale-host-device-bare", plain(119, |s| s.release = Release::V1_15), SICK),
                called("iproute2", calm(120, |s| s.release = Release::V1_14).quirk(Quirk::Iproute)),
                less(called("iproute2", calm(121, |s| s.release = Release::V1_14)), Edit::Lost(0, "attached-programs")),
            ],
        ),
        kind(
            7,
            "the version is found in an unhealthy status, too",
            vec![
                direct("stale-everything-sent", 122)
                    .quirk(Quirk::StatusFailure(0))
                    .word(0, Word::Version(Release::V1_19.version())),
                called("agent complains", calm(123, |_| {}))
                    .quirk(Quirk::StatusFailure(0))
                    .word(0, Word::Version(Release::V1_19.version())),
                less(usual("stale-host-to-pod", 124), Edit::Lost(0, "agent-status"))
                    .word(0, Word::Version(Release::V1_19.version())),
            ],
        ),
        kind(
            8,
            "others are looked at before some are said to be hit",
            vec![
                direct("stale-one-pod", 125).word(0, Word::Says("gull")),
                named("stale-everything-sent", plain(126, |s| (s.pods, s.busy) = (5, 200)), SICK),
                less(direct("stale-one-pod", 127), Edit::Cut(0, "ct-list")),
            ],
        ),
        kind(
            9,
            "cut off since the agent's own start: another restart is not said without a word",
            vec![
                named(
                    "stale-one-pod",
                    plain(128, |s| s.agent_age = 90 * MINUTE),
                    Sick { node: 0, since: -90 * MINUTE },
                )
                .word(0, Word::Says("37077")),
                named("stale-one-pod", plain(129, |s| s.agent_age = 90 * MINUTE), SICK).word(0, Word::Silent("37077")),
                less(named("stale-one-pod", plain(130, |s| s.agent_age = 90 * MINUTE), SICK), Edit::NoList("pods"))
                    .word(0, Word::Silent("37077")),
            ],
        ),
    ]
}

fn wrong_otherwise() -> Vec<Kind> {
    let somewhere = |seed, label, namespace, port| {
        calm(seed, |s| {
            (s.resolver, s.dns_label, s.dns_namespace, s.dns_port) = (Resolver::ClusterDns, label, namespace, port);
        })
    };
    vec![
        kind(
            10,
            "the DNS that pods really ask is found",
            vec![
                called("of the node", calm(131, |s| s.resolver = Resolver::OfNode)),
                called("k8s-app=coredns", somewhere(132, ("k8s-app", "coredns"), "kube-system", 53)),
                called("port 8053", somewhere(133, ("k8s-app", "kube-dns"), "kube-system", 8_053)),
                called(
                    "openshift",
                    somewhere(134, ("dns.operator.openshift.io/owning-dns", "default"), "openshift-dns", 5_353)
                        .args(&["--dns-service", "openshift-dns/kube-dns"]),
                ),
                called("helm chart", somewhere(135, ("app.kubernetes.io/name", "coredns"), "kube-system", 53)),
                called("IPv6", calm(136, |s| (s.family, s.resolver) = (Family::V6, Resolver::ClusterDns))),
                called(
                    "per packet",
                    calm(137, |s| (s.balancing, s.resolver) = (Balancing::Packet, Resolver::ClusterDns)),
                ),
                named("stale-everything-sent", plain(138, |s| s.resolver = Resolver::OfNode), SICK),
                less(direct("stale-into-pods", 139), Edit::NoList("services")),
            ],
        ),
        kind(
            11,
            "ways to other nodes are witnesses",
            vec![
                direct("node-isolated-encrypted", 140),
                direct("node-isolated", 141),
                called(
                    "another node is cut off",
                    calm(142, |s| s.resolver = Resolver::ClusterDns)
                        .fault(Fault::at(Place::Line, 1, SICK.since))
                        .truth(1, Truth::faulty(&["host-network-down", "node-isolated"]))
                        .rest(Truth::perhaps(&["healthy"])),
                ),
                named(
                    "stale-host-to-pod",
                    plain(143, |s| s.resolver = Resolver::ClusterDns),
                    Sick { node: 0, since: -40 * MINUTE },
                ),
                less(direct("node-isolated", 144), Edit::Cut(0, "ct-list")),
            ],
        ),
        kind(
            12,
            "egress is broken by name and by address only",
            vec![
                usual("stale-world-answers", 145),
                usual("calm-only-https", 146).rest(Truth::healthy()),
                less(usual("calm-only-https", 147), Edit::Lost(0, "pod-egress")),
            ],
        ),
    ]
}

fn hidden_or_left_out() -> Vec<Kind> {
    vec![
        kind(
            13,
            "a target that cannot speak is no witness",
            vec![
                direct("stale-icmp-blocked", 148),
                direct("calm-no-icmp", 149),
                direct("calm-air-gap", 150).word(0, Word::Says("--ping-target")),
                called("one node, no ICMP", direct("stale-icmp-blocked", 151).only(&[0])),
            ],
        ),
        kind(
            14,
            "drops that rise are told, and no others",
            vec![
                usual("drops-nat", 152).word(0, Word::Says("No mapping for NAT masquerade")),
                usual("insertion-fails-table-not-full", 153),
                called("healthy, and something rises", calm(154, |_| {}))
                    .quirk(Quirk::Drops(0, "VLAN traffic disallowed by VLAN filter", "INGRESS", 160))
                    .truth(0, Truth::is(&["healthy", "datapath-drops"]))
                    .word(0, Word::Says("VLAN")),
                usual("calm-old-drops", 155),
                less(usual("drops-nat", 156), Edit::Lost(0, "drop-metrics.2")),
            ],
        ),
        kind(
            15,
            "healthy needs an agent that gives new pods a network",
            vec![
                usual("new-pods-stuck", 157),
                usual("calm-young-agent", 158),
                less(usual("new-pods-stuck", 159), Edit::NoList("events")),
            ],
        ),
        kind(
            16,
            "the fault comes before what it brings about",
            vec![
                named("stale-host-to-pod", Setup::plain(160), Sick { node: 2, since: -12 * MINUTE }),
                direct("cluster-dns-hung", 161),
                less(
                    named("stale-host-to-pod", Setup::plain(162), Sick { node: 2, since: -12 * MINUTE }),
                    Edit::NoList("endpointslices"),
                )
                .truth(2, Truth::faulty(&["stale-datapath"])),
            ],
        ),
    ]
}

fn wrong_in_words_and_figures() -> Vec<Kind> {
    vec![
        kind(
            17,
            "one dead resolver is that resolver",
            vec![
                usual("udp-masquerade", 163),
                direct("upstream-dead", 164),
                called("one node looked at", direct("upstream-dead", 165).only(&[0])),
                less(usual("udp-masquerade", 166), Edit::Lost(0, "nat-list")),
            ],
        ),
        kind(
            18,
            "a pass needs an answer",
            vec![
                usual("stale-world-answers", 167).word(0, Word::NoPass("external-conntrack")),
                direct("calm-old-sockets", 211),
                usual("calm-program-hung", 212),
                called("idle connections", calm(168, |s| s.way_out = WayOut::AirGap))
                    .rest(Truth::perhaps(&["healthy", "cluster-wide-outage", "host-network-down", "cluster-dns-down"]))
                    .word(0, Word::NoPass("external-conntrack")),
                less(usual("stale-world-answers", 169), Edit::Lost(0, "ct-list"))
                    .word(0, Word::NoPass("external-conntrack")),
            ],
        ),
        kind(
            19,
            "flags of lines, and second addresses, are read",
            vec![
                direct("dns-proxy-dead", 170),
                called("proxied, and fine", calm(171, |s| s.resolver = Resolver::ClusterDns).quirk(Quirk::Proxied(0))),
                named("stale-everything-sent", plain(172, |s| s.family = Family::Dual), SICK),
                less(direct("dns-proxy-dead", 173), Edit::Lost(0, "ct-list")),
            ],
        ),
        kind(
            20,
            "words of tools",
            vec![
                called("foreign ping", calm(174, |_| {}))
                    .quirk(Quirk::ForeignPing(0))
                    .word(0, Word::Figure("host-ping", "received", "2")),
                named("host-line-cut", Setup::plain(175), SICK_WORKER)
                    .quirk(Quirk::ForeignPing(1))
                    .word(1, Word::Figure("host-ping", "received", "0")),
                less(usual("stale-everything-sent", 176), Edit::Lost(0, "host-ping")),
            ],
        ),
        kind(
            21,
            "foreign addresses are no known backends",
            vec![
                direct("stale-service-table", 177).word(0, Word::Figure("dns-backends", "realized", "0")),
                direct("stale-kernel-table", 178),
                less(direct("stale-service-table", 179), Edit::Lost(0, "service-list")),
            ],
        ),
        kind(
            22,
            "nodes without an agent by design are no findings",
            vec![
                usual("agent-absent", 180),
                called("foreign node", calm(181, |_| {}).quirk(Quirk::Foreign(2)).only(&[0, 1])),
                less(usual("agent-absent", 182), Edit::NoList("nodes")),
            ],
        ),
        kind(
            23,
            "known issues need more than a phrase",
            vec![
                usual("datapath-loop", 183),
                usual("calm", 184).word(0, Word::Silent("46065")).word(0, Word::Silent("43877")),
                less(usual("datapath-loop", 185), Edit::Lost(0, "agent-log")).truth(0, Truth::perhaps(&["healthy"])),
            ],
        ),
    ]
}

fn of_the_real_cluster() -> Vec<Kind> {
    let young = |plan: Plan, nodes: &[usize]| {
        nodes.iter().fold(plan, |plan, node| plan.quirk(Quirk::AgentAge(*node, 2 * MINUTE)))
    };
    vec![
        kind(
            24,
            "a backend state that is not known loses no row",
            vec![
                called(
                    "old table and a strange state",
                    direct("calm-terminating-backend", 186)
                        .quirk(Quirk::OldTable(0))
                        .truth(0, Truth::is(&["stale-service-map"])),
                ),
                direct("calm-terminating-backend", 187),
                less(direct("calm-terminating-backend", 188), Edit::Lost(0, "lb-list")),
            ],
        ),
        kind(
            25,
            "nodes are compared by evidence",
            vec![
                young(direct("stale-everything-sent", 189), &[1, 2]).rest(Truth::is(&["healthy", "agent-starting"])),
                called(
                    "two of four",
                    named("stale-everything-sent", plain(190, |s| s.nodes = 4), SICK)
                        .fault(Fault::at(Place::PodOutLate, 1, SICK.since))
                        .truth(1, Truth::is(&["stale-datapath"])),
                ),
                called(
                    "two of four, one seen",
                    named("stale-everything-sent", plain(191, |s| s.nodes = 4), SICK).only(&[0]),
                ),
            ],
        ),
        kind(
            26,
            "a young agent explains what can come from its start",
            vec![
                usual("young-agent-and-dead", 192),
                usual("calm-healed-by-restart", 193),
                called(
                    "healed, and passing",
                    usual("calm-healed-by-restart", 194)
                        .quirk(Quirk::AgentAge(1, 100 * SECOND))
                        .rest(Truth::is(&["healthy", "agent-starting"])),
                ),
                called(
                    "young, and a device bare",
                    usual("stale-host-device-bare", 195).quirk(Quirk::AgentAge(0, 100 * SECOND)),
                ),
                less(usual("young-agent-and-dead", 196), Edit::Lost(0, "pod-dns")),
            ],
        ),
        kind(
            27,
            "a silent agent is named, and the kernel's table is held against the endpoints",
            vec![
                called("frozen, and rolled", direct("stale-kernel-table", 197).quirk(Quirk::AgentFrozen(0))),
                usual("agent-frozen", 198),
                called("frozen everywhere", usual("agent-frozen", 199))
                    .quirk(Quirk::AgentFrozen(1))
                    .quirk(Quirk::AgentFrozen(2))
                    .rest(Truth::perhaps(&["evidence-missing", "cluster-wide-outage"])),
            ],
        ),
    ]
}

fn wrong_sentences() -> Vec<Kind> {
    vec![
        kind(
            28,
            "old drops and absent resolvers explain nothing",
            vec![
                called("policy rises", usual("policy-new-egress-all", 200)),
                direct("stale-one-pod", 201).quirk(Quirk::OldDrops(0, "Policy denied", "EGRESS", 5_100)),
                called("no NodeLocal DNS", direct("cluster-dns-hung", 202)),
                less(direct("cluster-dns-hung", 203), Edit::Lost(0, "ct-list")),
            ],
        ),
        kind(
            29,
            "sentences say what the figures show",
            vec![
                usual("stale-tail-calls", 204)
                    .word(0, Word::Silent("not elsewhere either"))
                    .word(0, Word::Says("ail call")),
                called("one backend", calm(205, |s| (s.dns_pods, s.resolver) = (1, Resolver::ClusterDns)))
                    .word(0, Word::Silent("1 backends"))
                    .word(0, Word::Silent("2 backend is")),
                less(usual("stale-host-device-bare", 206), Edit::Lost(0, "agent-status")).word(0, Word::Silent("(v-)")),
                called(
                    "bare tunnel",
                    named("stale-tunnel-device-bare", plain(207, |s| s.resolver = Resolver::ClusterDns), SICK)
                        .word(0, Word::Says("cilium_vxlan"))
                        .rest(Truth::perhaps(&["healthy"])),
                ),
                called(
                    "every device bare",
                    usual("calm", 208)
                        .fault(Fault::at(Place::NoProgram, 0, SICK.since))
                        .quirk(Quirk::Bare(0, Device::Pods))
                        .truth(0, Truth::is(&["datapath-programs-missing"])),
                ),
            ],
        ),
    ]
}
