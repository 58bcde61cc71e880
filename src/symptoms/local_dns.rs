//! NodeLocal DNS: whether its pods are ready, how often each of their containers was started again, and what upstream
//! knows of the local redirects that lead to it.

use std::collections::BTreeSet;

use super::probes::Tally;
use super::restarts::{containers, matters};
use super::{Looks, Symptom, SymptomKind, Symptoms, restarts};
use crate::knowledge::upstream;
use crate::knowledge::upstream::Issue;
use crate::kubernetes::agents::versions;
use crate::kubernetes::inventory::Inventory;
use crate::kubernetes::node_local_dns::is_node_local_dns;
use crate::kubernetes::objects::Custom;

/// The upstream issues about local redirects.
const REDIRECT_ISSUES: [u32; 3] = [43944, 44138, 45522];

/// Pods that are not ready, and restarts by container.
pub(super) fn add_local_dns_symptoms(inventory: &Inventory, tally: &Tally, now: Option<i64>, into: &mut Symptoms) {
    for pod in inventory.pods.known().iter().filter(|pod| pod.is_alive() && is_node_local_dns(pod)) {
        let node = Some(pod.spec.node_name.as_str());
        if pod.ready() == Some(false) {
            let ready = pod.status.conditions.iter().find(|c| c.r#type == "Ready");
            let since = ready.and_then(|c| c.last_transition_time.as_deref().map(str::to_owned));
            let says =
                since.as_ref().map_or_else(|| "not ready".to_owned(), |since| format!("not ready since {since}"));
            let looks = if pod.spec.host_network { Looks::OfTheHost } else { Looks::Open };
            let symptom = Symptom {
                count: 1,
                last: since.clone(),
                first: since,
                says,
                looks,
                weight: 4,
                ..Symptom::of_pod(SymptomKind::NodeLocalDns, &pod.reference(), None)
            };
            into.add(node, symptom);
        }
        for container in containers(pod).filter(|c| matters(c, now)) {
            into.add(node, restarts::restart_symptom(SymptomKind::NodeLocalDns, pod, container, tally, now));
        }
    }
}

/// The local redirects, with what upstream knows of them in the versions of Cilium that run here.
pub(crate) fn add_redirect_symptoms(redirects: &[Custom], inventory: &Inventory, into: &mut Symptoms) {
    let versions = versions(inventory.pods.known());
    let known: Vec<String> = REDIRECT_ISSUES
        .iter()
        .filter_map(|number| upstream::find(*number))
        .filter_map(|issue| {
            let standing = standing(issue, &versions)?;
            Some(format!("{}, {} ({standing}; {})", issue.id(), issue.title, issue.state))
        })
        .collect();
    let known = if known.is_empty() { String::new() } else { format!("; known upstream: {}", known.join("; ")) };
    for policy in redirects {
        let frontend = &policy.spec.redirect_frontend;
        let what = match (&frontend.address_matcher.ip, &frontend.service_matcher) {
            (ip, _) if !ip.is_empty() => format!("redirects {ip} (addressMatcher)"),
            (_, service) if !service.service_name.is_empty() => {
                format!("redirects the service {}/{} (serviceMatcher)", service.namespace, service.service_name)
            }
            _ => "redirects an unknown frontend".to_owned(),
        };
        into.add(
            None,
            Symptom {
                kind: SymptomKind::NodeLocalDns,
                namespace: Some(policy.metadata.namespace.to_string()),
                pod: Some(policy.metadata.name.to_string()),
                count: 1,
                first: policy.metadata.creation_timestamp.as_deref().map(str::to_owned),
                says: format!("CiliumLocalRedirectPolicy {what}{known}"),
                looks: Looks::Fine,
                ..Symptom::default()
            },
        );
    }
}

/// What an issue has to do with the versions that run; none where all of them are free of it.
fn standing(issue: &Issue, versions: &BTreeSet<String>) -> Option<String> {
    let listed = |versions: Vec<&str>| versions.join(", ");
    let of = |answer| versions.iter().filter(|v| issue.affects(v) == answer).map(String::as_str).collect::<Vec<_>>();
    let (hit, open) = (of(Some(true)), of(None));
    match (hit.is_empty(), open.is_empty()) {
        (false, _) => Some(format!("reported for {}", listed(hit))),
        (true, false) => Some(format!("not confirmed for {}", listed(open))),
        (true, true) if versions.is_empty() => Some("the running version is unknown".to_owned()),
        (true, true) => None,
    }
}
