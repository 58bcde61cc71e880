//! Custom resources of other projects whose conditions name a DNS or connection failure.

use super::logs::{asking_address, in_words, name_and_server, named_failure};
use super::{Looks, Symptom, SymptomKind, Symptoms, sample};
use crate::kubernetes::foreign_kind::ForeignKind;
use crate::kubernetes::inventory::Inventory;
use crate::kubernetes::objects::{Custom, Pod};

/// The kinds that are looked at, and the name label of the pods that ask for them.
pub const KINDS: [(ForeignKind, &str); 4] = [
    (foreign("external-secrets.io", "secretstores", "SecretStore"), "external-secrets"),
    (foreign("external-secrets.io", "clustersecretstores", "ClusterSecretStore"), "external-secrets"),
    (foreign("external-secrets.io", "externalsecrets", "ExternalSecret"), "external-secrets"),
    (foreign("argoproj.io", "applications", "Application"), "argocd-repo-server"),
];

/// Cilium's local redirects.
pub const REDIRECTS: ForeignKind = foreign("cilium.io", "ciliumlocalredirectpolicies", "CiliumLocalRedirectPolicy");

/// The name label of the pods of ExternalDNS, which has no kind of its own: its log says it.
pub const EXTERNAL_DNS: &str = "external-dns";

const fn foreign(group: &'static str, resource: &'static str, kind: &'static str) -> ForeignKind {
    ForeignKind { group, resource, kind }
}

/// Whether a pod carries this name label.
pub(crate) fn is_named(pod: &Pod, name: &str) -> bool {
    ["app.kubernetes.io/name", "app", "k8s-app"]
        .iter()
        .any(|key| pod.metadata.labels.get(key).is_some_and(|v| v == name))
}

/// The pods that ask for the objects of a kind.
fn controllers<'a>(inventory: &'a Inventory, name: &str) -> impl Iterator<Item = &'a Pod> {
    inventory.pods.known().iter().filter(move |pod| pod.is_alive() && is_named(pod, name))
}

/// Whether one of them runs on a node that is meant.
pub(crate) fn is_asked_from_node(inventory: &Inventory, name: &str, is_meant: impl Fn(&str) -> bool) -> bool {
    controllers(inventory, name).any(|pod| is_meant(&pod.spec.node_name))
}

/// The pod that met a failure, by the address that the message names as its own, and its node; without an address: the
/// node, where all the kind's controllers are on one.
fn asking_pod<'a>(inventory: &'a Inventory, name: &str, message: &str) -> Option<(String, &'a str)> {
    if let Some(address) = asking_address(message) {
        let mut pods = inventory.pods.known().iter().filter(|pod| pod.is_alive() && !pod.spec.host_network);
        let pod = pods.find(|pod| pod.ips().any(|ip| ip == address))?;
        return Some((format!("pod {}", pod.reference()), &pod.spec.node_name));
    }
    let mut nodes = controllers(inventory, name).map(|pod| pod.spec.node_name.as_str());
    let first = nodes.next()?;
    nodes.all(|node| node == first).then(|| (name.to_owned(), first))
}

/// The symptoms of the objects of one kind.
pub(crate) fn add_dependent_symptoms(
    kind: ForeignKind,
    controller: &str,
    objects: &[Custom],
    inventory: &Inventory,
    into: &mut Symptoms,
) {
    for object in objects {
        let state = &object.status.operation_state;
        let failed = matches!(state.phase.as_str(), "Failed" | "Error");
        let last = ("its last operation failed".to_owned(), state.message.as_str(), state.finished_at.as_deref());
        let operation = failed.then_some(last);
        let conditions =
            object.status.conditions.iter().filter(|told| told.status != "True" || told.r#type.ends_with("Error"));
        let told = conditions.map(|t| {
            let what = if t.status == "False" { format!("not {}", t.r#type) } else { t.r#type.clone() };
            (what, t.message.as_str(), t.last_transition_time.as_deref())
        });
        let Some((what, failure, message, since)) = told
            .chain(operation)
            .find_map(|(what, message, since)| Some((what, named_failure(message)?, message, since)))
        else {
            continue;
        };
        let (name, server) = name_and_server(message);
        let (says, looks) = (in_words(failure, name, server), failure.looks());
        let from = asking_pod(inventory, controller, message);
        let by = from.as_ref().map(|(by, _)| format!(" (resolved by {by} on this node)")).unwrap_or_default();
        let symptom = Symptom {
            kind: SymptomKind::Dependents,
            namespace: Some(object.metadata.namespace.to_string()).filter(|n| !n.is_empty()),
            pod: Some(object.metadata.name.to_string()),
            count: 1,
            first: since.map(str::to_owned),
            last: since.map(str::to_owned),
            says: format!("{}, {what}: {says}{by}", kind.kind),
            sample: sample(message),
            looks,
            weight: match looks {
                Looks::Unanswered => 2,
                Looks::Open => 1,
                _ => 0,
            },
            ..Symptom::default()
        };
        into.add(from.map(|(_, node)| node), symptom);
    }
}
