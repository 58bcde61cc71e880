//! Where in the drawing of a node the broken thing is.

use crate::knowledge::code::{Code, Kind};
use crate::rules::verdict::{Cause, Verdict};

/// A part of the drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Cilium's programs and maps between pods and everything else.
    Datapath,
    /// The node itself.
    Host,
    /// The resolver that pods ask.
    Dns,
    /// Between this node and the others.
    Tunnel,
    /// Between this node and the world.
    Uplink,
}

/// Devices between nodes.
const BETWEEN_NODES: [&str; 4] = ["vxlan", "geneve", "cilium_wg", "overlay"];

/// Where the verdict places the fault; none where it places it nowhere on this node.
pub(super) fn place(verdict: &Verdict) -> Option<Place> {
    match &verdict.cause {
        Some(cause) => Some(of_cause(cause)),
        None => of_code(verdict.code),
    }
}

fn of_cause(cause: &Cause) -> Place {
    let on = cause.on.as_deref().unwrap_or_default();
    let names_tunnel = BETWEEN_NODES.iter().any(|device| on.contains(device) || cause.name.contains(device));
    // Where pods' devices are hit as well, it is not the tunnel alone.
    let names_tunnel = names_tunnel && !on.contains("lxc") && !on.contains("cilium_host");
    match cause.what.as_str() {
        "program" | "map" | "peer" if names_tunnel => Place::Tunnel,
        "peer" => Place::Tunnel,
        "rule" | "address" => Place::Host,
        _ => Place::Datapath,
    }
}

const fn of_code(code: Code) -> Option<Place> {
    match code {
        Code::HostNetworkDown | Code::HostFirewallDrops => Some(Place::Host),
        Code::NodeLocalDnsDown
        | Code::ClusterDnsDown
        | Code::DnsProxyBroken
        | Code::LinkLocalMasquerade
        | Code::LocalRedirectBroken => Some(Place::Dns),
        Code::NodeIsolated => Some(Place::Tunnel),
        Code::EgressBroken | Code::UdpMasqueradeBroken => Some(Place::Uplink),
        // The fault is not this node's, or will pass by itself.
        Code::ClusterWideOutage | Code::AgentStarting => None,
        _ => match code.kind() {
            Kind::Stale | Kind::OtherFault => Some(Place::Datapath),
            Kind::Inconclusive | Kind::Healthy => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::evidence::Evidence;

    #[test]
    fn broken_thing_is_where_its_device_is() {
        let program = |on: &str| of_cause(&Cause::named("program", "cil_x", Evidence::AttachedPrograms).on(on));
        assert_eq!(program("lxc8a41"), Place::Datapath);
        assert_eq!(program("cilium_vxlan"), Place::Tunnel);
        assert_eq!(program("cilium_vxlan, every lxc device"), Place::Datapath);
        assert_eq!(of_cause(&Cause::named("rule", "-j DROP", Evidence::HostFirewall)), Place::Host);
    }

    #[test]
    fn faults_of_this_node_have_a_place_and_others_have_none() {
        for code in Code::ALL {
            let is_elsewhere = matches!(code, Code::ClusterWideOutage | Code::AgentStarting);
            let expected = matches!(code.kind(), Kind::Stale | Kind::OtherFault) && !is_elsewhere;
            assert_eq!(of_code(*code).is_some(), expected, "{}", code.name());
        }
    }
}
