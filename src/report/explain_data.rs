//! `staledp explain -o json`: the same topics as the text, for programs.

use serde::Serialize;

use super::explain::Topic;
use crate::base::evidence::Evidence;
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::{Code, Kind};
use crate::knowledge::risk::{RiskId, RiskText};
use crate::knowledge::upstream::{self, Issue, KNOWN_AS_OF};
use crate::knowledge::{checks, codes, evidence, lookalikes};

/// The schema of this version.
pub const SCHEMA: &str = "staledp.explain/v1";

/// Topics with their texts: one, or all there are.
#[derive(Clone, Debug, Serialize)]
pub struct Topics {
    schema: &'static str,
    /// How recent the knowledge of upstream issues is: a year and a month.
    upstream_known_as_of: &'static str,
    codes: Vec<CodeTopic>,
    checks: Vec<CheckTopic>,
    /// Lines of a restart's risk.
    risks: Vec<RiskTopic>,
    evidence: Vec<EvidenceTopic>,
    issues: Vec<IssueTopic>,
}

#[derive(Clone, Debug, Serialize)]
struct RiskTopic {
    id: RiskId,
    question: &'static str,
    evidence: &'static str,
    raised: &'static str,
    todo: &'static str,
    /// Ids of the issues below.
    issues: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct EvidenceTopic {
    id: &'static str,
    by_hand: &'static str,
    tells: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct CodeTopic {
    code: Code,
    kind: Kind,
    meaning: &'static str,
    evidence: &'static [&'static str],
    todo: &'static [&'static str],
    avoid: &'static [&'static str],
    /// Null for a code that is not a look-alike of a stale datapath.
    look_alike: Option<LookAlike>,
    /// Ids of the issues below.
    issues: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct LookAlike {
    looks_like: &'static str,
    ruled_out_by: &'static str,
    settle: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct CheckTopic {
    id: CheckId,
    question: &'static str,
    evidence: &'static str,
    means: &'static [&'static str],
    does_not_mean: &'static [&'static str],
}

#[derive(Clone, Debug, Serialize)]
struct IssueTopic {
    id: String,
    url: String,
    title: &'static str,
    affected: Vec<String>,
    fixed: Vec<String>,
    state: &'static str,
    symptom: &'static str,
    evidence: &'static str,
    restart: &'static str,
    advice: &'static str,
}

impl Topics {
    /// One topic, or all of them.
    #[must_use]
    pub fn new(topic: Topic) -> Self {
        let mut topics = Self {
            schema: SCHEMA,
            upstream_known_as_of: KNOWN_AS_OF,
            codes: vec![],
            checks: vec![],
            risks: vec![],
            evidence: vec![],
            issues: vec![],
        };
        match topic {
            Topic::Code(code) => topics.codes = vec![code_topic(code)],
            Topic::Check(id) => topics.checks = vec![check_topic(id)],
            Topic::Risk(id) => topics.risks = vec![risk_topic(id)],
            Topic::Evidence(id) => topics.evidence = vec![evidence_topic(id)],
            Topic::Issue(issue) => topics.issues = vec![issue_topic(issue)],
            Topic::All => {
                topics.codes = Code::ALL.iter().copied().map(code_topic).collect();
                topics.checks = CheckId::ALL.into_iter().map(check_topic).collect();
                topics.risks = RiskId::all().map(risk_topic).collect();
                topics.evidence = Evidence::ALL.into_iter().map(evidence_topic).collect();
                topics.issues = upstream::all().map(issue_topic).collect();
            }
        }
        topics
    }
}

fn code_topic(code: Code) -> CodeTopic {
    let codes::CodeText { meaning, evidence, todo, avoid, issues } = codes::text(code);
    let look_alike = lookalikes::text(code).map(|text| LookAlike {
        looks_like: text.looks_like,
        ruled_out_by: text.ruled_out_by,
        settle: text.settle,
    });
    let issues = issues.iter().filter_map(|number| upstream::find(*number)).map(Issue::id).collect();
    CodeTopic { code, kind: code.kind(), meaning, evidence, todo, avoid, look_alike, issues }
}

fn check_topic(id: CheckId) -> CheckTopic {
    let checks::CheckText { evidence, means, not } = checks::text(id);
    CheckTopic { id, question: id.question(), evidence, means, does_not_mean: not }
}

fn risk_topic(id: RiskId) -> RiskTopic {
    let RiskText { question, evidence, raised, todo, issues, .. } = id.text();
    let issues = issues.iter().filter_map(|number| upstream::find(*number)).map(Issue::id).collect();
    RiskTopic { id, question, evidence, raised, todo, issues }
}

fn evidence_topic(id: Evidence) -> EvidenceTopic {
    let evidence::EvidenceText { by_hand, tells } = evidence::text(id);
    EvidenceTopic { id: id.name(), by_hand, tells }
}

fn issue_topic(issue: &Issue) -> IssueTopic {
    IssueTopic {
        id: issue.id(),
        url: issue.url(),
        title: issue.title,
        affected: issue.affected.iter().map(ToString::to_string).collect(),
        fixed: issue.fixed.iter().map(ToString::to_string).collect(),
        state: issue.state,
        symptom: issue.symptom,
        evidence: issue.evidence,
        restart: issue.restart.says(),
        advice: issue.advice,
    }
}
