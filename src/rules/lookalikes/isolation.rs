//! `node-isolated`: pods reach the world and their node, but no pod of other nodes.

use crate::base::evidence::Evidence;
use crate::cilium::status::Encryption;
use crate::knowledge::code::Code;
use crate::rules::case::Case;
use crate::rules::opinion::{Exclusion, Opinion};
use crate::rules::verdict::{Because, Confidence};
use crate::rules::witnesses::{Fate, dead_ways, host, reaches_world};
use crate::ways::life::Life;
use crate::ways::way::Way;

/// Whether all that is dead goes between nodes, while other ways live.
pub(super) fn isolated(case: &Case) -> Exclusion {
    if case.picture().is_none() {
        return Exclusion::open("the conntrack dump was not read", Evidence::CtList.name());
    }
    let out = case.way(Way::AcrossOut);
    let dead = dead_ways(case);
    let across: Vec<_> = dead.iter().filter(|way| way.fate == Fate::Across).collect();
    if !across.iter().any(|way| !way.dns) {
        return Exclusion::out_by(
            case.way_says(Way::AcrossOut).or_else(|| case.way_says(Way::AcrossIn)).filter(|_| out.life != Life::Dead),
            "too few flows between nodes to judge",
            "more traffic between nodes",
        );
    }
    if let Some(other) = dead.iter().find(|way| way.fate != Fate::Across) {
        return Exclusion::RuledOut(crate::rules::verdict::Says {
            text: other.because.says.clone(),
            figures: other.because.figures.clone(),
        });
    }
    if !reaches_world(case) && case.way(Way::World).life != Life::Alive || !host(case).is_fine() {
        return Exclusion::open(
            "whether pods reach the world beside it is not known",
            "a pod that can probe (--probe-pod)",
        );
    }
    let summary = "Pods of this node reach the world and their node, but no pod of other nodes: the tunnel, the encryption or \
                   the peers are broken.";
    let mut opinion = Opinion::new(Code::NodeIsolated, Confidence::Medium, summary);
    opinion.because = across.iter().map(|way| way.because.clone()).collect();
    if let Some(Encryption::Wireguard { peers, .. }) =
        case.beyond.status.seen().and_then(|status| status.encryption.as_ref())
    {
        let peers = peers.map_or_else(|| "an unknown number of peers".to_owned(), |peers| format!("{peers} peers"));
        opinion
            .because
            .push(Because::evidence(Evidence::AgentStatus.name(), format!("WireGuard encrypts here, with {peers}")));
    }
    opinion
        .because
        .push(Because::check(crate::knowledge::check_id::CheckId::PodEgress, case.egress.finding.summary.clone()));
    Exclusion::applies(opinion)
}
