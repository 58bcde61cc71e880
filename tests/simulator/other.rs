//! Situations in which something else than a datapath is wrong.

use crate::cluster::{MINUTE, Resolver, Role, SECOND};
use crate::fault::{Fault, Place, Proto};
use crate::plan::{Quirk, Truth};
use crate::situations::{Situation, direct_dns, local_dns};

const ISOLATED: &[&str] = &["node-isolated", "stale-datapath", "stale-selective", "egress-broken"];
const LOCAL_DNS: &[&str] = &["node-local-dns-down", "egress-broken"];
const DNS_OF_ALL: &[&str] = &["cluster-dns-down", "cluster-wide-outage", "egress-broken", "node-local-dns-down"];

/// All of them.
pub(crate) const SITUATIONS: &[Situation] = &[
    Situation {
        weight: 4,
        name: "host-line-cut",
        make: |plan, mut sick| {
            // The API server is on the first node.
            sick.node = sick.node.max(1);
            plan.fault(Fault::at(Place::Line, sick.node, sick.since))
                .truth(sick.node, Truth::is(&["host-network-down"]))
        },
    },
    Situation {
        weight: 3,
        name: "host-line-only-icmp",
        make: |plan, mut sick| {
            sick.node = sick.node.max(1);
            let codes = &["host-network-down", "egress-broken"];
            plan.fault(Fault::at(Place::Line, sick.node, sick.since).proto(Proto::Tcp))
                .fault(Fault::at(Place::Line, sick.node, sick.since).proto(Proto::Udp))
                .truth(sick.node, Truth::faulty(codes))
        },
    },
    Situation {
        weight: 3,
        name: "upstream-dead",
        make: |plan, sick| {
            let upstream = plan.setup.upstream();
            let local = matches!(plan.setup.resolver, Resolver::LinkLocal | Resolver::Redirected | Resolver::OfNode);
            // Half of what a local resolver is asked it knows already.
            let truth = if local { Truth::perhaps(DNS_OF_ALL) } else { Truth::faulty(DNS_OF_ALL) };
            plan.fault(Fault::everywhere(Place::FarEnd, sick.since).to(upstream)).rest(truth)
        },
    },
    Situation {
        weight: 4,
        name: "local-dns-hung",
        make: |plan, sick| {
            plan.with(local_dns)
                .fault(Fault::at(Place::LocalResolver, sick.node, sick.since))
                .truth(sick.node, Truth::faulty(LOCAL_DNS))
        },
    },
    Situation {
        weight: 3,
        name: "local-dns-hung-and-port-filtered",
        make: |plan, sick| {
            plan.with(local_dns)
                .fault(Fault::at(Place::LocalResolver, sick.node, sick.since))
                .fault(Fault::at(Place::HostIn, sick.node, -90 * 24 * 60 * MINUTE).port(9_100))
                .fault(Fault::at(Place::HostIn, sick.node, -90 * 24 * 60 * MINUTE).port(10_250))
                .truth(sick.node, Truth::faulty(LOCAL_DNS))
        },
    },
    Situation {
        weight: 3,
        name: "host-firewall",
        make: |plan, sick| {
            // What pods begin is dropped at the host; what the host begins is answered.
            plan.with(|s| s.resolver = Resolver::LinkLocal)
                .fault(Fault::at(Place::HostIn, sick.node, sick.since))
                .truth(sick.node, Truth::faulty(&["host-firewall-drops", "node-local-dns-down", "egress-broken"]))
        },
    },
    Situation {
        weight: 3,
        name: "local-dns-gone",
        make: |plan, sick| {
            plan.with(|s| s.resolver = Resolver::LinkLocal)
                .fault(Fault::at(Place::LocalResolverGone, sick.node, sick.since))
                .quirk(Quirk::LocalDnsUnready(sick.node))
                .quirk(Quirk::Restarts(sick.node, 9, -200 * SECOND))
                .truth(sick.node, Truth::is(&["node-local-dns-down"]))
        },
    },
    Situation {
        weight: 3,
        name: "local-dns-flapping",
        make: |plan, sick| {
            plan.with(|s| s.resolver = Resolver::LinkLocal)
                .fault(Fault::at(Place::LocalResolverGone, sick.node, -400 * SECOND).until(-41 * SECOND))
                .quirk(Quirk::Restarts(sick.node, 14, -40 * SECOND))
                .truth(sick.node, Truth::perhaps(&["node-local-dns-down"]))
        },
    },
    Situation {
        weight: 3,
        name: "cluster-dns-hung",
        make: |plan, sick| {
            plan.fault(Fault::everywhere(Place::ClusterResolver, sick.since))
                .quirk(Quirk::ClusterDnsUnready(sick.since + 30 * SECOND))
                .rest(Truth::faulty(&["cluster-dns-down", "cluster-wide-outage"]))
        },
    },
    Situation {
        weight: 3,
        name: "policy-new-egress-dns",
        make: |plan, sick| {
            let pod = sick.busy_pod(&plan);
            let denied = Fault::at(Place::EgressPolicy, sick.node, sick.since).of(vec![pod]).proto(Proto::Udp);
            plan.fault(denied.counts("Policy denied", "EGRESS")).truth(sick.node, Truth::perhaps(&["policy-denied"]))
        },
    },
    Situation {
        weight: 3,
        name: "policy-new-egress-all",
        make: |plan, sick| {
            let pods = sick.half(&plan);
            let denied = Fault::at(Place::EgressPolicy, sick.node, sick.since).of(pods);
            plan.fault(denied.counts("Policy denied", "EGRESS")).truth(sick.node, Truth::perhaps(&["policy-denied"]))
        },
    },
    Situation {
        weight: 4,
        name: "policy-ingress-dns",
        make: |plan, sick| {
            // One namespace may not ask the local resolver, which is a pod: the asker's line is made, nothing answers it.
            let plan = plan.with(|s| s.resolver = Resolver::Redirected);
            let cluster = crate::cluster::Cluster::new(plan.setup.clone());
            let own = cluster.nodes[sick.node].pods.iter().position(|pod| pod.role == Role::LocalDns).unwrap_or(0);
            let denied = Fault::at(Place::IngressPolicy, sick.node, sick.since).of(vec![own]).begun_in("media");
            plan.fault(denied.counts("Policy denied", "INGRESS")).truth(sick.node, Truth::perhaps(&["policy-denied"]))
        },
    },
    Situation {
        weight: 3,
        name: "policy-ingress-cluster-dns",
        make: |plan, sick| {
            let plan = plan.with(direct_dns);
            let cluster = crate::cluster::Cluster::new(plan.setup.clone());
            let mut plan = plan.rest(Truth::perhaps(&["healthy", "policy-denied", "cluster-dns-down"]));
            for (node, pod) in cluster.with_role(Role::ClusterDns) {
                let denied = Fault::at(Place::IngressPolicy, node, sick.since).of(vec![pod]).begun_in("media");
                plan = plan.fault(denied.counts("Policy denied", "INGRESS"));
            }
            plan
        },
    },
    Situation {
        weight: 3,
        name: "udp-masquerade",
        make: |plan, sick| {
            plan.fault(Fault::at(Place::PodWorldIn, sick.node, sick.since).proto(Proto::Udp))
                .quirk(Quirk::NoUdpNat(sick.node))
                .truth(sick.node, Truth::perhaps(&["udp-masquerade-broken", "egress-broken", "cluster-dns-down"]))
        },
    },
    Situation {
        weight: 3,
        name: "conntrack-full",
        make: |plan, sick| {
            let lost = Fault::at(Place::NewLine, sick.node, sick.since).share(70);
            plan.fault(lost.counts("CT: Map insertion failed", "EGRESS"))
                .quirk(Quirk::TableFull(sick.node))
                .truth(sick.node, Truth::faulty(&["conntrack-full"]))
        },
    },
    Situation {
        weight: 2,
        name: "insertion-fails-table-not-full",
        make: |plan, sick| {
            let lost = Fault::at(Place::NewLine, sick.node, sick.since).share(60);
            plan.fault(lost.counts("CT: Map insertion failed", "EGRESS"))
                .truth(sick.node, Truth::faulty(&["datapath-drops", "conntrack-full", "egress-broken"]))
        },
    },
    Situation {
        weight: 3,
        name: "drops-nat",
        make: |plan, sick| {
            let lost =
                Fault::at(Place::PodWorldOut, sick.node, sick.since).counts("No mapping for NAT masquerade", "EGRESS");
            plan.fault(lost).truth(sick.node, Truth::faulty(&["datapath-drops", "egress-broken"]))
        },
    },
    Situation {
        weight: 3,
        name: "agent-absent",
        make: |plan, sick| {
            plan.quirk(Quirk::AgentAbsent(sick.node)).truth(sick.node, Truth::is(&["agent-not-running"]))
        },
    },
    Situation {
        weight: 3,
        name: "young-agent-and-dead",
        make: |plan, sick| {
            plan.fault(Fault::at(Place::PodOutLate, sick.node, -75 * SECOND))
                .quirk(Quirk::AgentAge(sick.node, 70 * SECOND))
                .truth(sick.node, Truth::faulty(&["agent-starting", "stale-datapath"]))
        },
    },
    Situation {
        weight: 3,
        name: "outage-of-the-world",
        make: |plan, sick| {
            plan.fault(Fault::everywhere(Place::FarEnd, sick.since)).rest(Truth::faulty(&[
                "cluster-wide-outage",
                "host-network-down",
                "cluster-dns-down",
            ]))
        },
    },
    Situation {
        weight: 2,
        name: "all-nodes-dead",
        make: |plan, sick| {
            plan.fault(Fault::everywhere(Place::PodOutLate, sick.since)).rest(Truth::faulty(&[
                "cluster-wide-outage",
                "stale-datapath",
                "cluster-dns-down",
            ]))
        },
    },
    Situation {
        weight: 3,
        name: "node-isolated",
        make: |plan, sick| {
            plan.fault(Fault::at(Place::TunnelOut, sick.node, sick.since))
                .fault(Fault::at(Place::TunnelIn, sick.node, sick.since))
                .truth(sick.node, Truth::faulty(ISOLATED))
                .rest(Truth::perhaps(&["healthy"]))
        },
    },
    Situation {
        weight: 3,
        name: "node-isolated-encrypted",
        make: |plan, sick| {
            plan.fault(Fault::at(Place::TunnelIn, sick.node, sick.since))
                .quirk(Quirk::Encrypted)
                .truth(sick.node, Truth::faulty(ISOLATED))
                .rest(Truth::perhaps(&["healthy"]))
        },
    },
    Situation {
        weight: 2,
        name: "programs-doubled",
        make: |plan, sick| {
            plan.quirk(Quirk::Doubled(sick.node)).truth(sick.node, Truth::is(&["datapath-programs-duplicated"]))
        },
    },
    Situation {
        weight: 3,
        name: "dns-proxy-dead",
        make: |plan, sick| {
            let plan = plan.with(|s| s.dns_port = 53);
            let cluster = crate::cluster::Cluster::new(plan.setup.clone());
            let asking = cluster.nodes[sick.node].applications().collect();
            plan.fault(Fault::at(Place::PodOutLate, sick.node, sick.since).port(53).of(asking))
                .quirk(Quirk::Proxied(sick.node))
                .truth(sick.node, Truth::faulty(&["dns-proxy-broken"]))
        },
    },
    Situation {
        weight: 2,
        name: "redirect-empty",
        make: |plan, sick| {
            plan.with(|s| s.resolver = Resolver::Redirected)
                .fault(Fault::at(Place::PodOut, sick.node, sick.since).proto(Proto::Udp).port(53))
                .quirk(Quirk::RedirectEmpty(sick.node))
                .truth(sick.node, Truth::is(&["local-redirect-broken", "node-local-dns-down"]))
        },
    },
    Situation {
        weight: 2,
        name: "datapath-loop",
        make: |plan, sick| {
            plan.quirk(Quirk::DatapathLoop(sick.node)).truth(sick.node, Truth::is(&["datapath-not-initialized"]))
        },
    },
    Situation {
        weight: 3,
        name: "new-pods-stuck",
        make: |plan, sick| plan.quirk(Quirk::Stuck(sick.node)).truth(sick.node, Truth::is(&["new-pods-stuck"])),
    },
    Situation {
        weight: 2,
        name: "agent-frozen",
        make: |plan, sick| {
            plan.quirk(Quirk::AgentFrozen(sick.node)).truth(sick.node, Truth::perhaps(&["evidence-missing"]))
        },
    },
];
