//! Situations in which nothing is wrong with any node's datapath, odd as they look.

use crate::cluster::{Family, MINUTE, Resolver, SECOND, Setup, Spread, WayOut};
use crate::fault::{Fault, Place};
use crate::plan::{Quirk, Truth};
use crate::release::Release;
use crate::situations::{Situation, direct_dns};

/// All of them.
pub(crate) const SITUATIONS: &[Situation] = &[
    Situation { weight: 24, name: "calm", make: |plan, _| plan },
    Situation {
        weight: 4,
        name: "calm-zones",
        make: |plan, _| plan.with(|s| (s.spread, s.nodes, s.dns_pods) = (Spread::Zones, 4, 2)),
    },
    Situation {
        weight: 4,
        name: "calm-internal-local",
        make: |plan, _| plan.with(|s| (s.spread, s.dns_pods) = (Spread::Local, s.nodes)),
    },
    Situation {
        weight: 4,
        name: "calm-no-icmp",
        make: |plan, _| plan.with(|s| s.way_out = WayOut::NoIcmp).rest(Truth::perhaps(&["healthy"])),
    },
    Situation {
        weight: 3,
        name: "calm-only-https",
        make: |plan, _| plan.with(|s| s.way_out = WayOut::OnlyHttps).rest(Truth::perhaps(&["healthy"])),
    },
    Situation {
        weight: 3,
        name: "calm-air-gap",
        make: |plan, _| {
            let codes = &["healthy", "host-network-down", "cluster-wide-outage", "cluster-dns-down"];
            plan.with(|s| s.way_out = WayOut::AirGap).rest(Truth::perhaps(codes))
        },
    },
    Situation {
        weight: 4,
        name: "calm-healed",
        make: |plan, sick| {
            let healed = Fault::at(Place::PodOutLate, sick.node, -40 * MINUTE).until(-9 * MINUTE);
            plan.fault(healed).truth(sick.node, Truth::healthy())
        },
    },
    Situation {
        weight: 3,
        name: "calm-healed-by-restart",
        make: |plan, sick| {
            let healed = Fault::at(Place::HostToPod, sick.node, -40 * MINUTE).until(-3 * MINUTE);
            plan.fault(healed)
                .quirk(Quirk::AgentAge(sick.node, 3 * MINUTE))
                .truth(sick.node, Truth::is(&["healthy", "agent-starting"]))
        },
    },
    Situation {
        weight: 3,
        name: "calm-young-agent",
        make: |plan, sick| {
            plan.quirk(Quirk::AgentAge(sick.node, 70 * SECOND))
                .truth(sick.node, Truth::is(&["healthy", "agent-starting"]))
        },
    },
    Situation {
        weight: 3,
        name: "calm-far-end-dead",
        make: |plan, sick| {
            let dead = Setup::world(plan.setup.v6(), 8);
            plan.fault(Fault::everywhere(Place::FarEnd, sick.since).to(dead))
        },
    },
    Situation {
        weight: 2,
        name: "calm-old-drops",
        make: |plan, sick| plan.quirk(Quirk::OldDrops(sick.node, "Policy denied", "EGRESS", 8_400)),
    },
    Situation {
        weight: 3,
        name: "calm-terminating-backend",
        make: |plan, _| {
            plan.with(|s| {
                (s.release, s.resolver) = (
                    Release::V1_20,
                    if s.resolver == Resolver::Redirected { Resolver::ClusterDns } else { s.resolver },
                );
            })
            .quirk(Quirk::Terminating)
        },
    },
    Situation {
        weight: 3,
        name: "calm-quiet",
        make: |plan, _| plan.with(|s| (s.pods, s.busy) = (2, 40)).rest(Truth::perhaps(&["healthy"])),
    },
    Situation { weight: 2, name: "calm-encrypted", make: |plan, _| plan.quirk(Quirk::Encrypted) },
    Situation {
        weight: 2,
        name: "calm-some-loss",
        make: |plan, sick| plan.fault(Fault::at(Place::Line, sick.node, sick.since).share(2)),
    },
    Situation {
        weight: 3,
        name: "calm-host-port-filtered",
        make: |plan, sick| {
            let codes = &["healthy", "host-firewall-drops", "egress-broken"];
            plan.fault(Fault::at(Place::HostIn, sick.node, -90 * 24 * 60 * MINUTE).port(9_100))
                .truth(sick.node, Truth::perhaps(codes))
        },
    },
    Situation {
        weight: 4,
        name: "calm-old-sockets",
        make: |plan, sick| {
            // Cluster DNS was rolled; some clients go on asking the pods that are gone, on sockets that they keep.
            plan.with(direct_dns).quirk(Quirk::OldSockets(sick.node)).truth(sick.node, Truth::perhaps(&["healthy"]))
        },
    },
    Situation {
        weight: 3,
        name: "calm-program-hung",
        make: |plan, sick| {
            let pods = sick.half(&plan);
            let hung = Fault::at(Place::Program, sick.node, sick.since).of(pods[..2].to_vec());
            plan.fault(hung).truth(sick.node, Truth::perhaps(&["healthy"]))
        },
    },
    Situation {
        weight: 2,
        name: "calm-no-way-for-the-second-family",
        make: |plan, sick| {
            let plan = plan.with(|s| s.family = Family::Dual).rest(Truth::perhaps(&["healthy", "cluster-wide-outage"]));
            let far = (0..14).map(|nth| Setup::world(true, nth)).collect::<Vec<_>>();
            far.into_iter().fold(plan, |plan, to| plan.fault(Fault::everywhere(Place::FarEnd, sick.since).to(to)))
        },
    },
];
