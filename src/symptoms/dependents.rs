//! Objects of other people's kinds whose conditions name a DNS or connection failure.

use super::logs::{Fate, asked, fate};
use super::{Kind, Looks, Symptom, Symptoms, sample};
use crate::gather::cluster::{Custom, Inventory, Pod};
use crate::gather::symptoms::ForeignKind;

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
pub(super) fn is_named(pod: &Pod, name: &str) -> bool {
    ["app.kubernetes.io/name", "app", "k8s-app"]
        .iter()
        .any(|key| pod.metadata.labels.get(*key).is_some_and(|v| v == name))
}

/// The one node that asks for these objects: that of the controller, where all its pods are on one.
fn asker<'a>(inventory: &'a Inventory, name: &str) -> Option<&'a str> {
    let pods = inventory.pods.iter().flatten().filter(|pod| pod.is_alive() && is_named(pod, name));
    let mut nodes = pods.map(|pod| pod.spec.node_name.as_str());
    let first = nodes.next()?;
    nodes.all(|node| node == first).then_some(first)
}

/// The symptoms of the objects of one kind.
pub(super) fn tell(
    kind: ForeignKind,
    controller: &str,
    objects: &[Custom],
    inventory: &Inventory,
    into: &mut Symptoms,
) {
    let node = asker(inventory, controller);
    for object in objects {
        let state = &object.status.operation_state;
        let failed = matches!(state.phase.as_str(), "Failed" | "Error");
        let operation = failed.then_some(("operation", state.message.as_str(), state.finished_at.as_deref()));
        let conditions =
            object.status.conditions.iter().filter(|told| told.status != "True" || told.r#type.ends_with("Error"));
        let told = conditions.map(|t| (t.r#type.as_str(), t.message.as_str(), t.last_transition_time.as_deref()));
        let Some((what, fate, message, since)) =
            told.chain(operation).find_map(|(what, message, since)| Some((what, fate(message)?, message, since)))
        else {
            continue;
        };
        let (name, server) = asked(message);
        let name = name.map(|name| format!(": {}", name.trim_end_matches('.'))).unwrap_or_default();
        let server = server.map(|server| format!(", asked of {server}")).unwrap_or_default();
        let (says, looks) = match fate {
            Fate::NameUnanswered => (format!("a name was not resolved, no answer{name}{server}"), Looks::Unanswered),
            Fate::NameAnswered => {
                (format!("a name could not be resolved, though an answer came{name}{server}"), Looks::Answered)
            }
            Fate::Connection if message.contains("refused") || message.contains("reset by peer") => {
                ("a connection was refused".to_owned(), Looks::Answered)
            }
            Fate::Connection => ("a connection was not answered".to_owned(), Looks::Unanswered),
        };
        let by = node.map(|_| format!(" (asked by {controller}, which runs on this node)")).unwrap_or_default();
        let symptom = Symptom {
            kind: Kind::Dependents,
            namespace: Some(object.metadata.namespace.clone()).filter(|n| !n.is_empty()),
            pod: Some(object.metadata.name.clone()),
            count: 1,
            first: since.map(str::to_owned),
            last: since.map(str::to_owned),
            says: format!("{} {what}: {says}{by}", kind.kind),
            sample: sample(message),
            looks,
            weight: if looks == Looks::Unanswered { 2 } else { 1 },
            ..Symptom::default()
        };
        into.add(node, symptom);
    }
}
