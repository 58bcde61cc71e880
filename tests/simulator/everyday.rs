//! Situations of clusters as they really are, in which no datapath is broken: nodes that are off, applications that hang, sites
//! that let little out.

use crate::chores::{Chore, Errand};
use crate::cluster::{Cluster, Family, MINUTE, Role, SECOND, WayOut};
use crate::fault::{Fault, Place, Proto};
use crate::plan::{Plan, Quirk, Truth};
use crate::situations::{Sick, Situation};

/// All pods of this role hang: their kernel takes no new connection.
fn hung(plan: Plan, sick: Sick, role: Role, port: u16) -> Plan {
    let cluster = Cluster::new(plan.setup.clone());
    let of = |node: usize| {
        let pods = cluster.nodes[node].pods.iter().enumerate().filter(|(_, pod)| pod.role == role);
        pods.map(|(nth, _)| nth).collect::<Vec<_>>()
    };
    let faults =
        (0..plan.setup.nodes).map(|node| Fault::at(Place::PodInLate, node, sick.since).of(of(node)).port(port));
    let plan = plan.rest(Truth::perhaps(&["healthy"]));
    faults.fold(plan, Plan::fault)
}

/// These nodes are off, and nothing can be gathered of them.
fn off(plan: Plan, since: crate::cluster::Moment, nodes: &[usize]) -> Plan {
    let left: Vec<usize> = (0..plan.setup.nodes).filter(|node| !nodes.contains(node)).collect();
    let plan = nodes.iter().fold(plan, |plan, node| plan.fault(Fault::at(Place::Line, *node, since)));
    plan.only(&left).rest(Truth::perhaps(&["healthy", "cluster-dns-down", "node-isolated", "cluster-wide-outage"]))
}

/// All of them.
pub(crate) const SITUATIONS: &[Situation] = &[
    Situation { weight: 10, name: "everyday", make: |plan, _| plan },
    Situation {
        weight: 3,
        name: "everyday-few-pods",
        make: |plan, sick| plan.with(|s| s.pods = 1 + sick.node % 3).rest(Truth::perhaps(&["healthy"])),
    },
    Situation {
        weight: 2,
        name: "everyday-drained",
        make: |plan, sick| {
            let calls = Chore { what: Errand::DeadPeers(1), node: None };
            plan.with(|s| (s.drained, s.chores) = (Some(sick.node), vec![calls])).rest(Truth::perhaps(&["healthy"]))
        },
    },
    Situation {
        weight: 4,
        name: "everyday-node-off",
        make: |plan, sick| {
            let node = sick.node.max(1);
            off(plan, sick.since, &[node])
        },
    },
    Situation {
        weight: 4,
        name: "everyday-rack-off",
        make: |plan, sick| {
            let plan = plan.with(|s| s.nodes = s.nodes.max(4));
            let last = plan.setup.nodes - 1;
            off(plan, sick.since, &[last, last - 1])
        },
    },
    Situation { weight: 4, name: "everyday-database-hung", make: |plan, sick| hung(plan, sick, Role::Database, 5_432) },
    Situation { weight: 4, name: "everyday-front-hung", make: |plan, sick| hung(plan, sick, Role::Web, 8_080) },
    Situation {
        weight: 4,
        name: "everyday-overloaded",
        make: |plan, sick| {
            // The programs of a node take connections and say nothing; kubelet finds none of its pods ready.
            plan.fault(Fault::at(Place::Program, sick.node, sick.since))
                .truth(sick.node, Truth::perhaps(&["healthy"]))
                .rest(Truth::perhaps(&["healthy"]))
        },
    },
    Situation {
        weight: 3,
        name: "everyday-second-family-cut",
        make: |plan, sick| {
            let at = |place| Fault::at(place, sick.node, sick.since).v6_only();
            plan.with(|s| s.family = Family::Dual)
                .fault(at(Place::TunnelOut))
                .fault(at(Place::TunnelIn))
                .fault(at(Place::PodWorldOut))
                .truth(sick.node, Truth::perhaps(&["node-isolated", "egress-broken", "healthy"]))
                .rest(Truth::perhaps(&["healthy"]))
        },
    },
    Situation {
        weight: 3,
        name: "everyday-no-quic",
        make: |plan, _| {
            let blocked = Fault::everywhere(Place::FarEnd, -90 * 24 * 60 * MINUTE).proto(Proto::Udp).port(443);
            plan.fault(blocked)
        },
    },
    Situation {
        weight: 6,
        name: "everyday-proxy",
        make: |plan, _| {
            let codes = &["healthy", "host-network-down", "cluster-wide-outage", "cluster-dns-down", "egress-broken"];
            plan.with(|s| s.way_out = WayOut::Proxy).rest(Truth::perhaps(codes))
        },
    },
    Situation {
        weight: 3,
        name: "everyday-rebooted",
        make: |plan, sick| {
            let up = [4 * MINUTE, 11 * MINUTE, 40 * MINUTE][sick.node % 3];
            plan.with(|s| s.rebooted = Some((sick.node, up)))
                .quirk(Quirk::AgentAge(sick.node, up - 45 * SECOND))
                .truth(sick.node, Truth::perhaps(&["healthy", "agent-starting"]))
        },
    },
];
