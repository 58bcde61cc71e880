//! Findings and ways into a verdict.
//!
//! [`witnesses`] says which ways are dead and who speaks for the host, [`lookalikes`] hears the other side, [`stale`] says
//! what it takes to call a node stale, [`fleet`] compares nodes, [`remedy`] names what to do, and [`signs`] which upstream
//! issues it may be. Here they are put in order.

pub mod beyond;
pub mod case;
pub mod fleet;
mod hidden_maps;
pub mod lookalikes;
pub mod opinion;
pub mod remedy;
mod rest;
pub mod signs;
mod silent_agent;
pub mod stale;
pub mod verdict;
pub mod witnesses;

use crate::base::evidence::Evidence;
use crate::base::failure::Failure;
use crate::knowledge::code::{Code, Kind};
use crate::kubernetes::agents::Agent;
use crate::ways::dns::DnsLife;
use case::Case;
use fleet::Neighbour;
use lookalikes::LOOK_ALIKES;
use opinion::{Exclusion, Opinion, Phase};
use stale::datapath::Held;
use verdict::{Affected, Because, Confidence, Open, RuledOut, Verdict};

/// The verdict on one node, before nodes are compared.
#[derive(Clone, Debug)]
pub struct NodeVerdict {
    /// The verdict.
    pub verdict: Verdict,
    /// The pods that are hit.
    pub affected: Vec<Affected>,
    /// Whether anything looks broken, whatever the verdict.
    pub in_trouble: bool,
    /// Whether pods of this node are seen to get answers from DNS or the world, whatever the verdict: then what fails
    /// elsewhere is not an outage of everything.
    pub answered: bool,
    /// Things to know that change nothing.
    pub notes: Vec<String>,
    /// What was seen of a neighbour, where this node was judged alone.
    pub neighbour: Option<Neighbour>,
}

/// Judges one node by itself.
#[must_use]
pub fn judge(case: &Case) -> NodeVerdict {
    let heard: Vec<(Code, Phase, Exclusion)> =
        LOOK_ALIKES.iter().map(|other| (other.code, other.phase, (other.ask)(case))).collect();
    let opinion = cap(case, decide(case, &heard));
    let kind = opinion.code.kind();
    let (mut ruled_out, mut open) = (Vec::new(), Vec::new());
    if kind != Kind::Healthy && case.agent().is_some() {
        for (code, _, exclusion) in heard {
            match exclusion {
                _ if code == opinion.code => {}
                Exclusion::NotApplicable => {}
                Exclusion::RuledOut(says) => ruled_out.push(RuledOut { code, says: says.text, figures: says.figures }),
                Exclusion::Open { why, settle } => open.push(open_look_alike(case, code, why, settle)),
                Exclusion::Applies(other) => {
                    let says = format!("{MAY_APPLY}{}", other.summary);
                    open.push(Open { code, says, settle: mend_first(opinion.code), missing_right: None });
                }
            }
        }
    }
    let confident = kind != Kind::Inconclusive;
    let mut because: Vec<Because> = Vec::new();
    for reason in opinion.because {
        let is_told = because.iter().any(|told| (&told.check, &told.says) == (&reason.check, &reason.says));
        because.extend((!is_told).then_some(reason));
    }
    NodeVerdict {
        in_trouble: lookalikes::in_trouble(case),
        answered: answered(case),
        notes: rest::notes(case),
        neighbour: None,
        affected: opinion.affected,
        verdict: Verdict {
            kind,
            code: opinion.code,
            confidence: confident.then_some(opinion.confidence),
            confidence_because: if confident { opinion.confidence_because } else { Vec::new() },
            summary: opinion.summary,
            cause: opinion.cause,
            because,
            ruled_out,
            open,
        },
    }
}

/// How the sentence on a look-alike begins that applies beside the verdict.
const MAY_APPLY: &str = "may apply as well: ";

/// What settles a look-alike that applies beside the verdict.
fn mend_first(code: Code) -> String {
    format!("mend {} first, then diagnose again", code.name())
}

/// A look-alike that is open, with the right or the part of a list that is missing to settle it.
fn open_look_alike(case: &Case, code: Code, why: String, settle: String) -> Open {
    let (gap, part) = match settle.as_str() {
        "pods" => (case.around.pods_gap.as_ref(), case.around.pods_part.as_ref()),
        "events" => (case.trouble.events_gap.as_ref(), case.trouble.events_part.as_ref()),
        _ => (None, None),
    };
    let name = settle.split(' ').next();
    let evidence = Evidence::ALL.into_iter().find(|evidence| Some(evidence.name()) == name);
    let right = gap.and_then(|gap| gap.right.as_deref());
    let right = right.or_else(|| evidence.and_then(|evidence| case.beyond.missing_right(evidence)));
    let says = match part {
        Some(part) => format!("{why}; of the {settle} only those of {part} could be listed"),
        None => why,
    };
    Open { code, says, missing_right: right.map(str::to_owned), settle }
}

/// Whether pods of this node are seen to get answers.
fn answered(case: &Case) -> bool {
    case.dns.life == DnsLife::Alive && case.egress.by_name != Some(false)
        || case.egress.by_name == Some(true)
        || case.egress.by_address == Some(true) && case.dns.life == DnsLife::Alive
}

/// Evidence that was not read could contradict: that caps the confidence, with the reason.
fn cap(case: &Case, opinion: Opinion) -> Opinion {
    let kind = opinion.code.kind();
    let unseen = case.beyond.not_looked_at();
    let age_known = case.agent_age_s().is_some_and(|age| age >= 0);
    let mut opinion = opinion;
    if kind != Kind::Healthy && case.agent().is_some() && !unseen.is_empty() {
        let names: Vec<&str> = unseen.iter().map(|evidence| evidence.name()).collect();
        let what = if names.len() == 1 {
            "1 piece of evidence is"
        } else {
            &format!("{} pieces of evidence are", names.len())
        };
        opinion = opinion.at_most(Confidence::Medium, format!("{what} missing ({})", names.join(", ")));
    }
    let unread = case.beyond.direct_not_read();
    if kind == Kind::Healthy && !unread.is_empty() {
        let names: Vec<&str> = unread.iter().map(|evidence| evidence.name()).collect();
        let why = format!("evidence that names a broken program or map by itself was not read: {}", names.join(", "));
        opinion = opinion.at_most(Confidence::Medium, why);
    }
    if kind == Kind::Stale && !age_known {
        opinion = opinion.at_most(Confidence::Medium, "the agent's age is not known");
    }
    if opinion.confidence < Confidence::High && opinion.confidence_because.is_empty() {
        opinion.confidence_because.push(rests_on(opinion.code).to_owned());
    }
    opinion
}

/// What an opinion rests on that is not sure, where it does not say so itself: no direct sign names these faults.
const fn rests_on(code: Code) -> &'static str {
    match code {
        Code::PolicyDenied | Code::DatapathDrops => {
            "dropped packets rise while something fails; that they are the packets that fail is not seen"
        }
        Code::NewPodsStuck => "events and waiting pods show it, and nothing names the cause",
        Code::StaleServiceMap => "one comparison of the service table shows it; a second one would make it high",
        Code::EgressBroken => "what was looked at does not explain it",
        _ => "flows and probes show it, and no direct sign names the cause",
    }
}

fn decide(case: &Case, heard: &[(Code, Phase, Exclusion)]) -> Opinion {
    if let Agent::Unknown(failure) = &case.around.agent {
        return missing("the cluster's pods could not be listed", failure, "pods");
    }
    let applies = |phase: Phase| {
        heard.iter().filter(|(_, at, _)| *at == phase).find_map(|(.., exclusion)| match exclusion {
            Exclusion::Applies(opinion) => Some((**opinion).clone()),
            _ => None,
        })
    };
    // Direct signs are asked before what rests on flows alone.
    if let Some(opinion) = applies(Phase::Direct)
        .or_else(|| stale::tail_calls::missing(case))
        .or_else(|| stale::programs::missing(case))
        .or_else(|| stale::map::stale(case))
        .or_else(|| lookalikes::socket_lb::detached(case))
        .or_else(|| stale::node_address::stale(case))
        .or_else(|| stale::silent_agent::services(case))
        .or_else(|| hidden_maps::hidden(case))
    {
        return opinion;
    }
    if let Some(opinion) = applies(Phase::Flows).or_else(|| rest::no_dump(case)).or_else(|| rest::contradiction(case)) {
        return opinion;
    }
    let datapath = match stale::datapath::datapath(case) {
        Held::Stale(opinion) => return *opinion,
        Held::Silent(opinion) => Some(*opinion),
        Held::No => None,
    };
    if let Some(opinion) = stale::service_map::service_map(case) {
        return opinion;
    }
    let selective = match stale::selective::selective(case) {
        Held::Stale(opinion) => return *opinion,
        Held::Silent(opinion) => Some(*opinion),
        Held::No => None,
    };
    applies(Phase::Rest)
        .or(datapath)
        .or_else(|| rest::egress_broken(case))
        .or(selective)
        .or_else(|| silent_agent::silent(case))
        .or_else(|| rest::unanswered_checks(case))
        .or_else(|| rest::odd(case))
        .unwrap_or_else(|| rest::healthy(case))
}

/// A check that decides could not be run.
fn missing(what: &str, failure: &Failure, check: &str) -> Opinion {
    let summary = format!("This node cannot be judged: {what}: {}.", failure.message.trim_end_matches('.'));
    Opinion::new(Code::EvidenceMissing, Confidence::High, summary)
        .because(Because::evidence(check, failure.message.clone()))
}
