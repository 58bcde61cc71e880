//! Which symptoms a verdict explains. Symptoms never make a verdict.

use super::{Looks, Symptom, SymptomKind};
use crate::knowledge::code::Code;
use crate::rules::verdict::{Affected, Verdict};

/// Says of each symptom of a node whether its verdict explains it.
pub fn explain_symptoms(symptoms: &mut [Symptom], verdict: &Verdict, affected: &[Affected]) {
    for symptom in symptoms {
        let hit = affected
            .iter()
            .any(|a| Some(&a.namespace) == symptom.namespace.as_ref() && Some(&a.pod) == symptom.pod.as_ref());
        let (explained, why) = explanation(symptom, verdict.code, hit);
        symptom.explained = explained;
        symptom.why = why.map(str::to_owned);
    }
}

fn explanation(symptom: &Symptom, code: Code, hit: bool) -> (Option<bool>, Option<&'static str>) {
    let yes = |why| (Some(true), Some(why));
    let no = |why| (Some(false), Some(why));
    let open = |why| (None, Some(why));
    let of_names = matches!(symptom.kind, SymptomKind::DnsErrors);
    match (code, symptom.looks) {
        (_, Looks::Fine) => (None, None),
        (_, Looks::Memory) => no("exceeding a memory limit is not a network fault"),
        (Code::HostNetworkDown | Code::ClusterWideOutage, Looks::Unanswered | Looks::OfTheHost) => {
            yes("this node gets no answers from the outside")
        }
        (_, Looks::OfTheHost) => open("it uses the host's network, not the pods' datapath; see its log"),
        (_, Looks::Open) => open("the cause is unknown; see its log"),
        (Code::StaleDatapath | Code::DatapathProgramsMissing, Looks::Unanswered) => {
            yes("pods of this node get no answers")
        }
        (Code::StaleSelective, Looks::Unanswered) if hit => yes("this pod is among the affected pods"),
        (Code::StaleSelective, Looks::Unanswered) => no("this pod is not among the affected pods"),
        (
            Code::NodeLocalDnsDown
            | Code::ClusterDnsDown
            | Code::LocalRedirectBroken
            | Code::LinkLocalMasquerade
            | Code::StaleServiceMap,
            Looks::Unanswered,
        ) if of_names => yes("DNS does not work for this node's pods"),
        (Code::EgressBroken, Looks::Unanswered)
            if matches!(symptom.kind, SymptomKind::DnsErrors | SymptomKind::Buffers | SymptomKind::Dependents) =>
        {
            yes("pods of this node do not reach the outside")
        }
        (Code::Healthy, Looks::Unanswered) => no("this node's pods got answers when it was checked"),
        (_, Looks::Unanswered) => open("the verdict does not cover it"),
        (_, Looks::Answered) => open("an answer came, so the network path works; ask the side that answered"),
    }
}

/// Pods of a stale node that have symptoms of its kind and are not among the affected yet, and where that is known
/// from. Selectively stale nodes get none: there the flows say who is hit.
#[must_use]
pub fn pods_with_symptoms(symptoms: &[Symptom], verdict: &Verdict, affected: &[Affected]) -> Vec<Affected> {
    if !matches!(verdict.code, Code::StaleDatapath | Code::DatapathProgramsMissing) {
        return Vec::new();
    }
    let mut more: Vec<Affected> = Vec::new();
    for symptom in symptoms.iter().filter(|s| s.explained == Some(true) && s.kind != SymptomKind::Dependents) {
        let (Some(namespace), Some(pod)) = (&symptom.namespace, &symptom.pod) else { continue };
        let known = |a: &Affected| a.namespace == *namespace && a.pod == *pod;
        if !affected.iter().any(known) && !more.iter().any(known) {
            let says = format!("by symptom {}: {}", symptom.kind.name(), symptom.says);
            more.push(Affected { namespace: namespace.clone(), pod: pod.clone(), says });
        }
    }
    more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_verdict_explains_a_kill_for_memory_and_every_code_has_an_answer() {
        for code in Code::ALL {
            let oom = Symptom { looks: Looks::Memory, kind: SymptomKind::Restarts, ..Symptom::default() };
            assert_eq!(explanation(&oom, *code, true).0, Some(false));
            let probe = Symptom { looks: Looks::Unanswered, ..Symptom::default() };
            assert!(explanation(&probe, *code, true).1.is_some());
        }
        let probe = Symptom { looks: Looks::Unanswered, ..Symptom::default() };
        assert_eq!(explanation(&probe, Code::StaleDatapath, false).0, Some(true));
        assert_eq!(explanation(&probe, Code::StaleSelective, false).0, Some(false));
        assert_eq!(explanation(&probe, Code::EvidenceMissing, false).0, None);
    }
}
