//! The texts of the verdict codes: what each means, the evidence it needs, and what to do and not to do.

mod other_fault;
mod stale;
mod undecided;

use crate::knowledge::code::{Code, Kind};

/// What people should know of a code.
#[derive(Clone, Copy, Debug)]
pub struct CodeText {
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// The evidence that the code needs.
    pub evidence: &'static [&'static str],
    /// What to do.
    pub todo: &'static [&'static str],
    /// What not to do.
    pub avoid: &'static [&'static str],
    /// Numbers of upstream issues that look like it, cause it, or are started by its remedy.
    pub issues: &'static [u32],
}

/// What to do in place of restarting the Cilium pod, for the kinds other-fault and inconclusive: for the first the way
/// to the real fault, for the second what would settle it. Empty for the others.
#[must_use]
pub const fn advice(code: Code) -> &'static [&'static str] {
    match code.kind() {
        Kind::OtherFault | Kind::Inconclusive => text(code).todo,
        Kind::Stale | Kind::Healthy => &[],
    }
}

/// What to do about an agent that does not answer while nothing fails yet: neither a right nor more time helps.
pub const SILENT_AGENT: &[&str] = &[
    "Find out why the agent does not answer before anybody restarts it: its log (`kubectl logs`) and the events of its pod \
    (`kubectl describe pod`) are the proof. Keep both.",
    "Pods that run keep their network meanwhile; new ones get none here. `kubectl cordon` keeps them away until the agent \
    answers.",
];

/// The text of a code.
#[must_use]
pub const fn text(code: Code) -> CodeText {
    match code {
        Code::Healthy => undecided::HEALTHY,
        Code::StaleDatapath => stale::STALE_DATAPATH,
        Code::StaleSelective => stale::STALE_SELECTIVE,
        Code::StaleServiceMap => stale::STALE_SERVICE_MAP,
        Code::DatapathProgramsMissing => stale::DATAPATH_PROGRAMS_MISSING,
        Code::StaleMap => stale::STALE_MAP,
        Code::StaleNodeAddress => stale::STALE_NODE_ADDRESS,
        Code::HostNetworkDown => other_fault::HOST_NETWORK_DOWN,
        Code::ClusterWideOutage => other_fault::CLUSTER_WIDE_OUTAGE,
        Code::NodeLocalDnsDown => other_fault::NODE_LOCAL_DNS_DOWN,
        Code::ClusterDnsDown => other_fault::CLUSTER_DNS_DOWN,
        Code::NodeIsolated => other_fault::NODE_ISOLATED,
        Code::ServiceTranslationMissing => other_fault::SERVICE_TRANSLATION_MISSING,
        Code::DnsProxyBroken => other_fault::DNS_PROXY_BROKEN,
        Code::NewPodsStuck => other_fault::NEW_PODS_STUCK,
        Code::DatapathDrops => other_fault::DATAPATH_DROPS,
        Code::HostFirewallDrops => other_fault::HOST_FIREWALL_DROPS,
        Code::LinkLocalMasquerade => other_fault::LINK_LOCAL_MASQUERADE,
        Code::LocalRedirectBroken => other_fault::LOCAL_REDIRECT_BROKEN,
        Code::PolicyDenied => other_fault::POLICY_DENIED,
        Code::UdpMasqueradeBroken => other_fault::UDP_MASQUERADE_BROKEN,
        Code::ConntrackFull => other_fault::CONNTRACK_FULL,
        Code::DatapathProgramsDuplicated => other_fault::DATAPATH_PROGRAMS_DUPLICATED,
        Code::DatapathNotInitialized => other_fault::DATAPATH_NOT_INITIALIZED,
        Code::AgentNotRunning => other_fault::AGENT_NOT_RUNNING,
        Code::AgentStarting => other_fault::AGENT_STARTING,
        Code::EgressBroken => other_fault::EGRESS_BROKEN,
        Code::EvidenceMissing => undecided::EVIDENCE_MISSING,
        Code::EvidenceTruncated => undecided::EVIDENCE_TRUNCATED,
        Code::EvidenceContradictory => undecided::EVIDENCE_CONTRADICTORY,
        Code::MapsNotVisible => undecided::MAPS_NOT_VISIBLE,
        Code::TooLittleTraffic => undecided::TOO_LITTLE_TRAFFIC,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_whole_and_names_known_issues() {
        for &code in Code::ALL {
            let entry = text(code);
            assert!(!entry.meaning.is_empty() && !entry.evidence.is_empty(), "{}", code.name());
            assert!(!entry.todo.is_empty() && !entry.avoid.is_empty(), "{}", code.name());
            for &number in entry.issues {
                assert!(crate::knowledge::upstream::find(number).is_some(), "{}: #{number}", code.name());
            }
            for text in entry.evidence.iter().chain(entry.todo).chain(entry.avoid).chain([&entry.meaning]) {
                assert!(!text.contains("  ") && !text.contains('\n'), "{}: {text}", code.name());
            }
        }
    }

    #[test]
    fn advice_never_restarts_a_node_with_another_fault() {
        for &code in Code::ALL {
            let wanted = matches!(code.kind(), Kind::OtherFault | Kind::Inconclusive);
            assert_eq!(!advice(code).is_empty(), wanted, "{}", code.name());
            for text in advice(code).iter().chain(SILENT_AGENT) {
                assert!(!text.contains("delete pod"), "{}: {text}", code.name());
            }
        }
    }
}
