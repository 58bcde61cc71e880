//! `stale-node-address`: the agent works with an address that is not one of the node's (cilium/cilium#31528).

use std::net::IpAddr;

use crate::knowledge::code::Code;
use crate::rules::case::Case;
use crate::rules::lookalikes::in_trouble;
use crate::rules::opinion::Opinion;
use crate::rules::verdict::{Because, Cause, Confidence, Says};

/// A direct sign: the addresses of the agent's devices and those of the node object have none in common.
#[must_use]
pub fn stale(case: &Case) -> Option<Opinion> {
    let status = case.beyond.status.seen()?;
    let node = case.around.found.as_ref()?;
    let v4 = |ips: &mut dyn Iterator<Item = IpAddr>| ips.filter(IpAddr::is_ipv4).collect::<Vec<IpAddr>>();
    let agent = v4(&mut status.device_addresses.iter().copied());
    let own = v4(&mut node.ips());
    let differ = !agent.is_empty() && !own.is_empty() && agent.iter().all(|ip| !own.contains(ip));
    // Behind one address many devices may stand (a VPN, a second network): it counts where something fails, and where the
    // old and the new address are of one network.
    let of_one_network = |a: &IpAddr, b: &IpAddr| match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets().first_chunk::<3>() == b.octets().first_chunk::<3>(),
        _ => false,
    };
    let (old, new) = agent.iter().find_map(|old| Some((old, own.iter().find(|new| of_one_network(old, new))?)))?;
    if !differ || !in_trouble(case) {
        return None;
    }
    let summary = format!(
        "The agent works with the address {old}, but this node has {new}: its datapath answers for the old one."
    );
    let says = Says::new(
        format!("the agent's devices have {old}, the node object has {new}"),
        [("agent", old.to_string().into()), ("node", new.to_string().into())],
    );
    let mut opinion =
        Opinion::new(Code::StaleNodeAddress, Confidence::High, summary).because(Because::said("agent-status", says));
    opinion.cause = Some(Cause {
        what: "address".to_owned(),
        name: "node address".to_owned(),
        on: Some(case.around.node.clone()),
        key: None,
        expected: Some(new.to_string()),
        found: Some(old.to_string()),
        since: None,
        evidence: "agent-status".to_owned(),
    });
    Some(opinion)
}
