//! The look-alikes: faults that look like a stale datapath. For these the agent must not be restarted.
//!
//! Each look-alike is one entry of [`LOOK_ALIKES`], asked in this order; its function answers whether it applies, is ruled
//! out by figures, is open, or is not applicable. Its text is in `knowledge/lookalikes.rs`; where it is a verdict of its own,
//! its code is in `knowledge/code.rs` and that code's text in `knowledge/codes/`.

mod agent;
mod cluster_dns;
mod datapath;
mod drops;
pub mod firewall;
mod host;
mod isolation;
mod local_dns;
mod new_pods;
pub mod socket_lb;

use crate::base::evidence::Evidence;
use crate::checks::Status;
use crate::knowledge::code::Code;
use crate::rules::beyond::Supplement;
use crate::rules::case::Case;
use crate::rules::opinion::{Exclusion, LookAlike, Phase};
use crate::rules::stale::selective;
use crate::rules::witnesses::{dead_ways, probes_fail};
use crate::ways::dns::DnsLife;

pub(crate) use cluster_dns::ANSWERS_HERE;
pub(crate) use drops::MISSED_TAIL_CALL;
pub(crate) use host::waits_for_nat;
pub(crate) use isolation::{OTHER_NODES, SILENT_NODE, one_node_is_silent};
pub(crate) use local_dns::masquerades;

/// All of them, in the order in which they are asked.
pub const LOOK_ALIKES: &[LookAlike] = &[
    LookAlike { code: Code::AgentNotRunning, phase: Phase::Direct, ask: agent::not_running },
    LookAlike { code: Code::DatapathProgramsDuplicated, phase: Phase::Direct, ask: datapath::duplicated },
    LookAlike { code: Code::DatapathNotInitialized, phase: Phase::Direct, ask: datapath::not_initialized },
    LookAlike { code: Code::HostFirewallDrops, phase: Phase::Direct, ask: firewall::drops },
    LookAlike { code: Code::AgentStarting, phase: Phase::Flows, ask: agent::starting },
    LookAlike { code: Code::ConntrackFull, phase: Phase::Flows, ask: drops::conntrack_full },
    LookAlike { code: Code::HostNetworkDown, phase: Phase::Flows, ask: host::network_down },
    LookAlike { code: Code::LocalRedirectBroken, phase: Phase::Flows, ask: local_dns::redirect_broken },
    LookAlike { code: Code::DnsProxyBroken, phase: Phase::Flows, ask: local_dns::proxy_broken },
    LookAlike { code: Code::ServiceTranslationMissing, phase: Phase::Flows, ask: datapath::translation_missing },
    LookAlike { code: Code::UdpMasqueradeBroken, phase: Phase::Flows, ask: host::udp_masquerade },
    LookAlike { code: Code::LinkLocalMasquerade, phase: Phase::Flows, ask: local_dns::link_local_masquerade },
    LookAlike { code: Code::NodeLocalDnsDown, phase: Phase::Flows, ask: local_dns::down },
    LookAlike { code: Code::DatapathDrops, phase: Phase::Flows, ask: drops::others },
    LookAlike { code: Code::NodeIsolated, phase: Phase::Flows, ask: isolation::isolated },
    LookAlike { code: Code::ClusterDnsDown, phase: Phase::Flows, ask: cluster_dns::down },
    LookAlike { code: Code::PolicyDenied, phase: Phase::Flows, ask: drops::policy_denied },
    LookAlike { code: Code::NewPodsStuck, phase: Phase::Rest, ask: new_pods::stuck },
];

/// Whether anything at all looks broken now. Look-alikes that rest on standing signs are not said of a node without any.
#[must_use]
pub fn in_trouble(case: &Case) -> bool {
    probes_fail(case)
        || case.egress.by_name == Some(false)
        || case.egress.dns == Some(false)
        || case.egress.mixed
        || matches!(case.dns.life, DnsLife::Dead | DnsLife::DeadForOne | DnsLife::Mixed)
        || case.backends.finding.status == Status::Fail
        || !dead_ways(case).is_empty()
        || !selective::cut_off_pods(case).is_empty()
}

/// Whether services are another's affair: without kube-proxy replacement, packets may pass Cilium with the service's own
/// address and be translated behind it.
fn translated_by_others(case: &Case) -> bool {
    case.beyond.status.seen().is_some_and(|status| status.kube_proxy_replacement == Some(false))
}

/// What to say of a look-alike whose evidence was not looked at.
fn not_looked(what: Evidence, why: &str) -> Exclusion {
    Exclusion::open(format!("{what} is missing: {why}"), what.name())
}

/// What supplementary evidence says, or that it was not looked at.
fn beyond<T>(seen: &Supplement<T>, what: Evidence, says: impl FnOnce(&T) -> Exclusion) -> Exclusion {
    match seen {
        Supplement::Seen(value) => says(value),
        Supplement::NotLooked(why) => not_looked(what, &why.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_table_is_asked_for_before_a_dead_host_because_it_breaks_the_host_too() {
        let place = |code| LOOK_ALIKES.iter().position(|other| other.code == code);
        assert!(place(Code::ConntrackFull).is_some() && place(Code::ConntrackFull) < place(Code::HostNetworkDown));
    }
}
