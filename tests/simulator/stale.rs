//! Situations in which the datapath of a node went stale.

use crate::cluster::{Resolver, WayOut};
use crate::fault::{Fault, Place};
use crate::plan::{Device, Quirk, Truth};
use crate::release::Release;
use crate::situations::{Situation, direct_dns};

const STALE: &[&str] = &["stale-datapath"];
const STALE_SOMEHOW: &[&str] = &["stale-datapath", "stale-selective", "egress-broken"];
const CUT_OFF: &[&str] = &["stale-selective", "stale-datapath", "egress-broken"];

/// All of them.
pub(crate) const SITUATIONS: &[Situation] = &[
    Situation {
        weight: 6,
        name: "stale-everything-sent",
        make: |plan, sick| {
            plan.fault(Fault::at(Place::PodOutLate, sick.node, sick.since)).truth(sick.node, Truth::is(STALE))
        },
    },
    Situation {
        weight: 3,
        name: "stale-before-conntrack",
        make: |plan, sick| {
            plan.fault(Fault::at(Place::PodOut, sick.node, sick.since)).truth(sick.node, Truth::faulty(STALE_SOMEHOW))
        },
    },
    Situation {
        weight: 6,
        name: "stale-host-to-pod",
        make: |plan, sick| {
            let local = plan.setup.resolver == Resolver::LinkLocal || plan.setup.resolver == Resolver::OfNode;
            let truth = if local { Truth::is(STALE) } else { Truth::faulty(STALE_SOMEHOW) };
            plan.fault(Fault::at(Place::HostToPod, sick.node, sick.since)).truth(sick.node, truth)
        },
    },
    Situation {
        weight: 4,
        name: "stale-pods-and-host",
        make: |plan, sick| {
            let truth = if plan.setup.resolver == Resolver::LinkLocal {
                Truth::is(STALE)
            } else {
                Truth::faulty(STALE_SOMEHOW)
            };
            plan.fault(Fault::at(Place::PodToHost, sick.node, sick.since))
                .fault(Fault::at(Place::HostToPod, sick.node, sick.since))
                .truth(sick.node, truth)
        },
    },
    Situation {
        weight: 4,
        name: "stale-into-pods",
        make: |plan, sick| {
            plan.fault(Fault::at(Place::PodIn, sick.node, sick.since)).truth(sick.node, Truth::is(STALE))
        },
    },
    Situation {
        weight: 4,
        name: "stale-one-pod",
        make: |plan, sick| {
            let pod = sick.busy_pod(&plan);
            plan.fault(Fault::at(Place::PodOutLate, sick.node, sick.since).of(vec![pod]))
                .truth(sick.node, Truth::faulty(CUT_OFF))
        },
    },
    Situation {
        weight: 3,
        name: "stale-half-of-pods",
        make: |plan, sick| {
            let pods = sick.half(&plan);
            plan.fault(Fault::at(Place::PodOutLate, sick.node, sick.since).of(pods))
                .truth(sick.node, Truth::faulty(CUT_OFF))
        },
    },
    Situation {
        weight: 2,
        name: "stale-half-of-packets",
        make: |plan, sick| {
            plan.fault(Fault::at(Place::HostToPod, sick.node, sick.since).share(50))
                .truth(sick.node, Truth::perhaps(STALE_SOMEHOW))
        },
    },
    Situation {
        weight: 2,
        name: "stale-half-of-flows",
        make: |plan, sick| {
            plan.fault(Fault::at(Place::PodOutLate, sick.node, sick.since).flows(50))
                .truth(sick.node, Truth::faulty(STALE_SOMEHOW))
        },
    },
    Situation {
        weight: 4,
        name: "stale-after-conntrack",
        make: |plan, sick| {
            let codes = &["stale-datapath", "stale-selective", "egress-broken", "cluster-dns-down"];
            plan.fault(Fault::at(Place::PodInLate, sick.node, sick.since)).truth(sick.node, Truth::faulty(codes))
        },
    },
    Situation {
        weight: 3,
        name: "stale-world-answers",
        make: |plan, sick| {
            plan.fault(Fault::at(Place::PodWorldIn, sick.node, sick.since))
                .truth(sick.node, Truth::faulty(STALE_SOMEHOW))
        },
    },
    Situation {
        weight: 4,
        name: "stale-icmp-blocked",
        make: |plan, sick| {
            plan.with(|s| s.way_out = WayOut::NoIcmp)
                .fault(Fault::at(Place::PodOutLate, sick.node, sick.since))
                .truth(sick.node, Truth::faulty(STALE))
                .rest(Truth::perhaps(&["healthy"]))
        },
    },
    Situation {
        weight: 4,
        name: "stale-service-table",
        make: |plan, sick| {
            plan.with(direct_dns).quirk(Quirk::OldTable(sick.node)).truth(sick.node, Truth::is(&["stale-service-map"]))
        },
    },
    Situation {
        weight: 3,
        name: "stale-kernel-table",
        make: |plan, sick| {
            plan.with(direct_dns)
                .quirk(Quirk::OldKernelTable(sick.node))
                .truth(sick.node, Truth::is(&["stale-service-map"]))
        },
    },
    Situation {
        weight: 3,
        name: "stale-host-device-bare",
        make: |plan, sick| {
            plan.fault(Fault::at(Place::HostToPod, sick.node, sick.since))
                .quirk(Quirk::Bare(sick.node, Device::Host))
                .truth(sick.node, Truth::is(&["datapath-programs-missing"]))
        },
    },
    Situation {
        weight: 3,
        name: "stale-one-device-bare",
        make: |plan, sick| {
            let pod = sick.busy_pod(&plan);
            plan.fault(Fault::at(Place::NoProgram, sick.node, sick.since).of(vec![pod]))
                .quirk(Quirk::Bare(sick.node, Device::Pod(pod)))
                // The list of attached programs does not tell which devices there are.
                .truth(sick.node, Truth::perhaps(&["datapath-programs-missing", "stale-selective", "egress-broken"]))
        },
    },
    Situation {
        weight: 2,
        name: "stale-tunnel-device-bare",
        make: |plan, sick| {
            plan.fault(Fault::at(Place::TunnelOut, sick.node, sick.since))
                .fault(Fault::at(Place::TunnelIn, sick.node, sick.since))
                .quirk(Quirk::Bare(sick.node, Device::Tunnel))
                .with(|s| s.release = s.release.max(Release::V1_16))
                .truth(sick.node, Truth::is(&["datapath-programs-missing"]))
        },
    },
    Situation {
        weight: 3,
        name: "stale-tail-calls",
        make: |plan, sick| {
            let lost = Fault::at(Place::PodOut, sick.node, sick.since).counts("Missed tail call", "EGRESS");
            let codes = &["datapath-programs-missing", "stale-datapath", "datapath-drops"];
            plan.fault(lost).truth(sick.node, Truth::is(codes))
        },
    },
];
