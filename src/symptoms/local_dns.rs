//! NodeLocal DNS: whether its pods are ready, how often each of their containers was started again, and what upstream
//! knows of the local redirects that lead to it.

use super::probes::Tally;
use super::restarts::{containers, matters};
use super::{Kind, Looks, Symptom, Symptoms, restarts};
use crate::checks::surroundings::is_node_local_dns;
use crate::gather::cluster::{Custom, Inventory};
use crate::knowledge::upstream;

/// The upstream issues about local redirects.
const REDIRECT_ISSUES: [u32; 3] = [43944, 44138, 45522];

/// Pods that are not ready, and restarts by container.
pub(super) fn tell(inventory: &Inventory, tally: &Tally, now: Option<i64>, into: &mut Symptoms) {
    for pod in inventory.pods.iter().flatten().filter(|pod| pod.is_alive() && is_node_local_dns(pod)) {
        let node = Some(pod.spec.node_name.as_str());
        if pod.ready() == Some(false) {
            let ready = pod.status.conditions.iter().find(|c| c.r#type == "Ready");
            let since = ready.and_then(|c| c.last_transition_time.clone());
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
                ..Symptom::of(Kind::NodeLocalDns, &pod.reference(), None)
            };
            into.add(node, symptom);
        }
        for container in containers(pod).filter(|c| matters(c, now)) {
            into.add(node, restarts::of(Kind::NodeLocalDns, pod, container, tally, now));
        }
    }
}

/// The local redirects, with what upstream knows of them.
pub(super) fn tell_redirects(redirects: &[Custom], into: &mut Symptoms) {
    for policy in redirects {
        let frontend = &policy.spec.redirect_frontend;
        let what = match (&frontend.address_matcher.ip, &frontend.service_matcher) {
            (ip, _) if !ip.is_empty() => format!("redirects {ip} (addressMatcher)"),
            (_, service) if !service.service_name.is_empty() => {
                format!("redirects the service {}/{} (serviceMatcher)", service.namespace, service.service_name)
            }
            _ => "redirects something that was not told".to_owned(),
        };
        let known: Vec<String> = REDIRECT_ISSUES
            .iter()
            .filter_map(|number| upstream::find(*number))
            .map(|issue| format!("{}: {}", issue.id(), issue.title))
            .collect();
        into.add(
            None,
            Symptom {
                kind: Kind::NodeLocalDns,
                namespace: Some(policy.metadata.namespace.clone()),
                pod: Some(policy.metadata.name.clone()),
                count: 1,
                first: policy.metadata.creation_timestamp.clone(),
                says: format!("CiliumLocalRedirectPolicy {what}; known upstream: {}", known.join("; ")),
                looks: Looks::Fine,
                ..Symptom::default()
            },
        );
    }
}
