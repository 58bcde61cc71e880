//! The requests of a repair: reads that no diagnosis needs, and those that change objects.
//!
//! A pod is deleted with a [`Consent`] only, which can be made nowhere but in [`super::consent`].
//!
//! Nothing here is repeated by itself: see [`super::wire`].

use ::kube::Resource as _;
use http::{Method, StatusCode};
use jiff::Timestamp;
use k8s_openapi::api::{apps::v1 as apps, core::v1 as core};
use serde_json::{Map, Value, json};

use super::consent::Consent;
use super::objects::{AgentPod, DaemonSet, Lease, NodeWithImages};
use super::wire::{PutAnswer, Wire, answered, read};
use crate::base::failure::{Failure, FailureKind};
use crate::gather::live::kube::{Cluster, Reply, Right, Selection, refusal, said};
use crate::kubernetes::objects::{ControllerRevision, Event};
use crate::rights::{Grant, LEASE, Scope};

/// The cluster, for a repair.
pub(super) struct Writer<'a> {
    wire: Wire<'a>,
}

/// The API server's answer to a deletion, or to its dry run.
#[derive(Clone, Debug)]
pub(super) enum DeleteAnswer {
    /// The API server took it.
    Accepted,
    /// The pod was gone already.
    Gone,
    /// A pod of this name has another UID now: nothing was deleted.
    Replaced(String),
    /// It was refused, and nothing was deleted.
    Refused(String),
    /// The API server is too busy, and nothing was deleted.
    Busy(String),
    /// No answer, or one that does not say whether it was carried out.
    Unknown(String),
}

/// The pod to delete: by name and by UID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodToDelete {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) pod: String,
    /// Its unique id.
    pub(super) uid: String,
}

impl PodToDelete {
    /// The path of the request.
    #[must_use]
    pub(super) fn path(&self) -> String {
        format!("{}/{}", core::Pod::url_path(&(), Some(&self.namespace)), self.pod)
    }

    /// The body of the request. The precondition makes sure that no other pod is deleted.
    #[must_use]
    pub(super) fn body(&self) -> Value {
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": self.uid}})
    }

    /// The body that asks the API server to check the deletion and not to carry it out. `dryRun` belongs in the body:
    /// beside a body, Kubernetes ignores `?dryRun=All` in the query and deletes the pod (seen on 1.36).
    #[must_use]
    fn dry_run_body(&self) -> Value {
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": self.uid}, "dryRun": ["All"]})
    }
}

impl<'a> Writer<'a> {
    /// Nothing was asked yet.
    #[must_use]
    pub(super) const fn new(cluster: &'a Cluster) -> Self {
        Self { wire: Wire::new(cluster) }
    }

    /// Now, by the API server's clock as far as it is known: Leases of several machines are compared by it.
    #[must_use]
    pub(super) fn now(&self) -> Timestamp {
        self.wire.now()
    }

    /// The DaemonSet of this name; none where there is none.
    ///
    /// # Errors
    ///
    /// Why it cannot be read; a missing right is named.
    pub(super) async fn daemon_set(&self, namespace: &str, name: &str) -> Result<Option<DaemonSet>, Failure> {
        let path = format!("{}/{name}", apps::DaemonSet::url_path(&(), Some(namespace)));
        self.wire.get(&path, &Right { verbs: "`get`", resource: "daemonsets", namespace: Some(namespace) }).await
    }

    /// The revisions in a namespace.
    ///
    /// # Errors
    ///
    /// Why they cannot be read; a missing right is named.
    pub(super) async fn revisions(&self, namespace: &str) -> Result<Vec<ControllerRevision>, Failure> {
        let all = Selection { namespace: Some(namespace), ..Selection::default() };
        self.wire.cluster().list::<apps::ControllerRevision, _>(all).await
    }

    /// A node with its images and conditions; none where it is gone.
    ///
    /// # Errors
    ///
    /// Why it cannot be read; a missing right is named.
    pub(super) async fn node(&self, name: &str) -> Result<Option<NodeWithImages>, Failure> {
        let path = format!("{}/{name}", core::Node::url_path(&(), None));
        self.wire.get(&path, &Right { verbs: "`get`", resource: "nodes", namespace: None }).await
    }

    /// All pods of the agent in a namespace, those that are terminating included.
    ///
    /// # Errors
    ///
    /// Why the list cannot be read; a missing right is named.
    pub(super) async fn all_agents(&self, namespace: &str) -> Result<Vec<AgentPod>, Failure> {
        let labels = Some(crate::kubernetes::agents::AGENT_SELECTOR);
        let all = Selection { namespace: Some(namespace), labels, ..Selection::default() };
        self.wire.cluster().list::<core::Pod, _>(all).await
    }

    /// The agents' pods on a node, those that end included.
    ///
    /// # Errors
    ///
    /// Why they cannot be read; a missing right is named.
    pub(super) async fn agents(&self, namespace: &str, node: &str) -> Result<Vec<AgentPod>, Failure> {
        let fields = format!("spec.nodeName={node}");
        let labels = Some(crate::kubernetes::agents::AGENT_SELECTOR);
        let here = Selection { namespace: Some(namespace), labels, fields: Some(&fields), pages: Some(1) };
        self.wire.cluster().list::<core::Pod, _>(here).await
    }

    /// The events that this program left in a namespace.
    ///
    /// # Errors
    ///
    /// Why they cannot be read; a missing right is named.
    pub(super) async fn traces(&self, namespace: &str, controller: &str) -> Result<Vec<Event>, Failure> {
        let fields = format!("reportingComponent={controller}");
        let own = Selection { namespace: Some(namespace), fields: Some(&fields), pages: Some(1), labels: None };
        self.wire.cluster().list::<core::Event, _>(own).await
    }

    /// The events about one pod, in the server's order.
    ///
    /// # Errors
    ///
    /// Why they cannot be read; a missing right is named.
    pub(super) async fn events_of(&self, namespace: &str, uid: &str) -> Result<Vec<Event>, Failure> {
        let fields = format!("involvedObject.uid={uid}");
        let own = Selection { namespace: Some(namespace), fields: Some(&fields), pages: Some(1), labels: None };
        self.wire.cluster().list::<core::Event, _>(own).await
    }

    /// Whether this user has a right; the question changes nothing.
    ///
    /// # Errors
    ///
    /// Why that cannot be answered.
    pub(super) async fn may(&self, grant: &Grant, verb: &str, cilium_namespace: &str) -> Result<bool, Failure> {
        let (resource, subresource) = grant.resource.split_once('/').unwrap_or((grant.resource, ""));
        let namespace = match grant.scope {
            Scope::CiliumNamespace => cilium_namespace,
            Scope::Cluster | Scope::OwnNamespace => "",
        };
        let known = [("verb", verb), ("group", grant.group), ("resource", resource)];
        let perhaps =
            [("subresource", subresource), ("name", grant.name.unwrap_or_default()), ("namespace", namespace)];
        let given = known.into_iter().chain(perhaps.into_iter().filter(|(_, value)| !value.is_empty()));
        let attributes: Map<String, Value> = given.map(|(key, value)| (key.to_owned(), value.into())).collect();
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                            "spec": {"resourceAttributes": attributes}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let right = Right { verbs: "`create`", resource: "selfsubjectaccessreviews", namespace: None };
        let reply = self.wire.send(Method::POST, path, Some(&review)).await;
        let reply = reply.map_err(|lost| Failure::new(FailureKind::Unreachable, lost.0))?;
        let answer: Value = read(&reply, &right)?;
        answer
            .pointer("/status/allowed")
            .and_then(Value::as_bool)
            .ok_or_else(|| Failure::new(FailureKind::Other, "the access review has no answer"))
    }

    /// The lock; none if it was never taken.
    ///
    /// # Errors
    ///
    /// Why it cannot be read; a missing right is named.
    pub(super) async fn lease(&self, namespace: &str) -> Result<Option<Lease>, Failure> {
        self.wire.lease(namespace, LEASE).await
    }

    /// Writes the lock: with a resourceVersion the one that was read, without one only where there is none.
    pub(super) async fn put_lease(&self, namespace: &str, lease: &Lease) -> PutAnswer {
        self.wire.put_lease(namespace, LEASE, lease).await
    }

    /// Deletes one pod, once. The consent is used up by it.
    pub(super) async fn delete_pod(&self, target: &PodToDelete, _consent: Consent) -> DeleteAnswer {
        self.send_deletion(target, &target.body()).await
    }

    /// Asks the API server what it would answer to [`Self::delete_pod`]; nothing is deleted.
    pub(super) async fn try_deletion(&self, target: &PodToDelete) -> DeleteAnswer {
        self.send_deletion(target, &target.dry_run_body()).await
    }

    /// Whether the API server heeds a dry run: Kubernetes does since 1.13, and would carry out the request before.
    ///
    /// # Errors
    ///
    /// The reason why its version is not known.
    pub(super) async fn knows_dry_run(&self) -> Result<bool, Failure> {
        let right = Right { verbs: "`get`", resource: "/version", namespace: None };
        let version: Value = self.wire.get("/version", &right).await?.unwrap_or_default();
        let number = |key: &str| {
            let digits: String = version.get(key)?.as_str()?.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok()
        };
        number("major")
            .zip(number("minor"))
            .map(|version| version >= (1, 13))
            .ok_or_else(|| Failure::new(FailureKind::Other, "the version is unreadable"))
    }

    async fn send_deletion(&self, target: &PodToDelete, body: &Value) -> DeleteAnswer {
        let reply = match self.wire.send(Method::DELETE, &target.path(), Some(body)).await {
            Ok(reply) => reply,
            Err(lost) => return DeleteAnswer::Unknown(lost.0),
        };
        let status = reply.refusal();
        match reply.status {
            code if code.is_success() => DeleteAnswer::Accepted,
            StatusCode::NOT_FOUND if status.reason == "NotFound" => DeleteAnswer::Gone,
            StatusCode::CONFLICT => DeleteAnswer::Replaced(said(&status)),
            StatusCode::TOO_MANY_REQUESTS if is_budget(&reply) => {
                DeleteAnswer::Refused(format!("a PodDisruptionBudget forbids it: {}", said(&status)))
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let after = reply.headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
                let after = after.map(|seconds| format!(" and asks to wait {seconds} s")).unwrap_or_default();
                DeleteAnswer::Busy(format!("the API server is too busy{after}; run this again"))
            }
            StatusCode::REQUEST_TIMEOUT => DeleteAnswer::Unknown(answered(&reply)),
            code if code.is_client_error() => {
                let right = Right { verbs: "`delete`", resource: "pods", namespace: Some(&target.namespace) };
                DeleteAnswer::Refused(refusal(&status, &right).message)
            }
            _ => DeleteAnswer::Unknown(answered(&reply)),
        }
    }

    /// Leaves a trace.
    ///
    /// # Errors
    ///
    /// Why it was not written, or that it is unknown whether it was.
    pub(super) async fn post_event(&self, namespace: &str, event: &Value) -> Result<(), Failure> {
        self.wire.post_event(namespace, event).await
    }
}

/// The 429 that means "no": JSON with this cause; the other, plain text, means "later".
fn is_budget(reply: &Reply) -> bool {
    let causes = serde_json::from_slice::<Value>(&reply.body).ok();
    let causes = causes.as_ref().and_then(|status| status.pointer("/details/causes")?.as_array());
    causes.into_iter().flatten().any(|cause| cause.get("reason").is_some_and(|reason| reason == "DisruptionBudget"))
}
