//! The requests of a repair: reads that no diagnosis needs, and the only requests of this program that change objects.
//!
//! A pod is deleted with a [`Consent`] only, which can be made nowhere but in [`super::consent`].
//!
//! Nothing here is repeated by itself, and a request that got no answer is [`NoAnswer`]: it may have been carried out or
//! not, and the caller has to look.

use std::cell::Cell;
use std::fmt;

use ::kube::Resource as _;
use http::{Method, StatusCode};
use jiff::{Timestamp, fmt::rfc2822};
use k8s_openapi::api::{apps::v1 as apps, core::v1 as core};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::consent::Consent;
use super::objects::{AgentPod, DaemonSet, Lease, NodeWithImages};
use crate::base::failure::{Failure, FailureKind};
use crate::gather::live::kube::{Cluster, Reply, Right, Selection, refusal, said};
use crate::kubernetes::objects::{ControllerRevision, Event};
use crate::rights::{Grant, LEASE, Scope};

/// The cluster, for a repair.
pub(super) struct Writer<'a> {
    cluster: &'a Cluster,
    /// How far the API server's clock is ahead of this machine's, in seconds, by its last answer.
    ahead_s: Cell<i64>,
}

/// No answer came: whether the request was done is not known.
#[derive(Clone, Debug)]
pub(super) struct NoAnswer(pub(super) String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What became of writing the Lease.
#[derive(Clone, Debug)]
pub(super) enum PutAnswer {
    /// It is written; this is what it is now.
    Done(Box<Lease>),
    /// Somebody else was faster.
    Overtaken,
    /// It was refused, and nothing was changed.
    Refused(Failure),
    /// It may be written or not.
    Lost(NoAnswer),
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
        Self { cluster, ahead_s: Cell::new(0) }
    }

    /// Now, by the API server's clock as far as it is known: Leases of several machines are compared by it.
    #[must_use]
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(Timestamp::now().as_microsecond() + self.ahead_s.get() * 1_000_000)
            .unwrap_or_else(|_| Timestamp::now())
    }

    /// The DaemonSet of this name; none where there is none.
    ///
    /// # Errors
    ///
    /// Why it cannot be read; a missing right is named.
    pub(super) async fn daemon_set(&self, namespace: &str, name: &str) -> Result<Option<DaemonSet>, Failure> {
        let path = format!("{}/{name}", apps::DaemonSet::url_path(&(), Some(namespace)));
        self.get(&path, &Right { verbs: "`get`", resource: "daemonsets", namespace: Some(namespace) }).await
    }

    /// The revisions in a namespace.
    ///
    /// # Errors
    ///
    /// Why they cannot be read; a missing right is named.
    pub(super) async fn revisions(&self, namespace: &str) -> Result<Vec<ControllerRevision>, Failure> {
        let all = Selection { namespace: Some(namespace), ..Selection::default() };
        self.cluster.list::<apps::ControllerRevision, _>(all).await
    }

    /// A node with its images and conditions; none where it is gone.
    ///
    /// # Errors
    ///
    /// Why it cannot be read; a missing right is named.
    pub(super) async fn node(&self, name: &str) -> Result<Option<NodeWithImages>, Failure> {
        let path = format!("{}/{name}", core::Node::url_path(&(), None));
        self.get(&path, &Right { verbs: "`get`", resource: "nodes", namespace: None }).await
    }

    /// All pods of the agent in a namespace, those that are terminating included.
    ///
    /// # Errors
    ///
    /// Why the list cannot be read; a missing right is named.
    pub(super) async fn all_agents(&self, namespace: &str) -> Result<Vec<AgentPod>, Failure> {
        let labels = Some(crate::kubernetes::agents::AGENT_SELECTOR);
        let all = Selection { namespace: Some(namespace), labels, ..Selection::default() };
        self.cluster.list::<core::Pod, _>(all).await
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
        self.cluster.list::<core::Pod, _>(here).await
    }

    /// The events that this program left in a namespace.
    ///
    /// # Errors
    ///
    /// Why they cannot be read; a missing right is named.
    pub(super) async fn traces(&self, namespace: &str, controller: &str) -> Result<Vec<Event>, Failure> {
        let fields = format!("reportingComponent={controller}");
        let own = Selection { namespace: Some(namespace), fields: Some(&fields), pages: Some(1), labels: None };
        self.cluster.list::<core::Event, _>(own).await
    }

    /// The events about one pod, in the server's order.
    ///
    /// # Errors
    ///
    /// Why they cannot be read; a missing right is named.
    pub(super) async fn events_of(&self, namespace: &str, uid: &str) -> Result<Vec<Event>, Failure> {
        let fields = format!("involvedObject.uid={uid}");
        let own = Selection { namespace: Some(namespace), fields: Some(&fields), pages: Some(1), labels: None };
        self.cluster.list::<core::Event, _>(own).await
    }

    /// Whether this user has a right; the question changes nothing.
    ///
    /// # Errors
    ///
    /// Why that cannot be answered.
    pub(super) async fn may(&self, grant: &Grant, verb: &str, cilium_namespace: &str) -> Result<bool, Failure> {
        let (resource, subresource) = grant.resource.split_once('/').unwrap_or((grant.resource, ""));
        let namespace = if grant.scope == Scope::CiliumNamespace { cilium_namespace } else { "" };
        let known = [("verb", verb), ("group", grant.group), ("resource", resource)];
        let perhaps =
            [("subresource", subresource), ("name", grant.name.unwrap_or_default()), ("namespace", namespace)];
        let given = known.into_iter().chain(perhaps.into_iter().filter(|(_, value)| !value.is_empty()));
        let attributes: Map<String, Value> = given.map(|(key, value)| (key.to_owned(), value.into())).collect();
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                            "spec": {"resourceAttributes": attributes}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let right = Right { verbs: "`create`", resource: "selfsubjectaccessreviews", namespace: None };
        let reply = self.send(Method::POST, path, Some(&review)).await;
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
        self.get(&lease_path(namespace), &Right { verbs: "`get`", resource: "leases", namespace: Some(namespace) })
            .await
    }

    /// Writes the lock: with a resourceVersion the one that was read, without one only where there is none.
    pub(super) async fn put_lease(&self, namespace: &str, lease: &Lease) -> PutAnswer {
        let (annotations, version) = (&lease.metadata.annotations, &lease.metadata.resource_version);
        let metadata = if version.is_empty() {
            json!({"name": LEASE, "namespace": namespace, "annotations": annotations})
        } else {
            json!({"name": LEASE, "namespace": namespace, "annotations": annotations,
                   "resourceVersion": version, "uid": lease.metadata.uid})
        };
        let body = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata,
                          "spec": lease.spec});
        let reply = match self.send(Method::PUT, &lease_path(namespace), Some(&body)).await {
            Ok(reply) => reply,
            Err(lost) => return PutAnswer::Lost(lost),
        };
        match reply.status {
            status if status.is_success() => match serde_json::from_slice(&reply.body) {
                Ok(lease) => PutAnswer::Done(Box::new(lease)),
                Err(error) => PutAnswer::Lost(NoAnswer(format!("cannot read the answer: {error}"))),
            },
            // A creating PUT gets 422 if the Lease exists by now; nothing else in it can be invalid.
            StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => PutAnswer::Overtaken,
            status if status.is_server_error() => PutAnswer::Lost(NoAnswer(answered(&reply))),
            _ => {
                let right = Right { verbs: "`create` and `update`", resource: "leases", namespace: Some(namespace) };
                PutAnswer::Refused(refusal(&reply.refusal(), &right))
            }
        }
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
        let version: Value = self.get("/version", &right).await?.unwrap_or_default();
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
        let reply = match self.send(Method::DELETE, &target.path(), Some(body)).await {
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
        let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        let reply = self.send(Method::POST, &path, Some(event)).await;
        let reply = reply.map_err(|lost| Failure::new(FailureKind::Unreachable, lost.0))?;
        let right = Right { verbs: "`create`", resource: "events.events.k8s.io", namespace: Some(namespace) };
        read::<Value>(&reply, &right).map(|_| ())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, right: &Right<'_>) -> Result<Option<T>, Failure> {
        let reply = self.send(Method::GET, path, None).await;
        let reply = reply.map_err(|lost| Failure::new(FailureKind::Unreachable, lost.0))?;
        if reply.status == StatusCode::NOT_FOUND && reply.refusal().reason == "NotFound" {
            return Ok(None);
        }
        read(&reply, right).map(Some)
    }

    /// One request, one answer, one deadline.
    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply, NoAnswer> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(http::header::ACCEPT, "application/json")
            .body(body.map(Value::to_string).unwrap_or_default().into_bytes())
            .map_err(|error| NoAnswer(format!("cannot build the request for {path}: {error}")))?;
        let reply = self.cluster.send(request).await.map_err(|failure| NoAnswer(failure.message))?;
        self.set_clock(&reply);
        Ok(reply)
    }

    fn set_clock(&self, reply: &Reply) {
        let date = reply.headers.get(http::header::DATE).and_then(|value| value.to_str().ok());
        if let Some(there) = date.and_then(|date| rfc2822::parse(date).ok()) {
            let ahead = there.timestamp().as_second() - Timestamp::now().as_second();
            // The header is cut to the second, and came a moment ago.
            self.ahead_s.set(if ahead.abs() <= 2 { 0 } else { ahead });
        }
    }
}

fn lease_path(namespace: &str) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}")
}

fn read<T: DeserializeOwned>(reply: &Reply, right: &Right<'_>) -> Result<T, Failure> {
    if !reply.status.is_success() {
        return Err(refusal(&reply.refusal(), right));
    }
    serde_json::from_slice(&reply.body)
        .map_err(|error| Failure::new(FailureKind::Other, format!("cannot read the answer: {error}")))
}

fn answered(reply: &Reply) -> String {
    format!("the API server answered {}: {}", reply.status.as_u16(), said(&reply.refusal()))
}

/// The 429 that means "no": JSON with this cause; the other, plain text, means "later".
fn is_budget(reply: &Reply) -> bool {
    let causes = serde_json::from_slice::<Value>(&reply.body).ok();
    let causes = causes.as_ref().and_then(|status| status.pointer("/details/causes")?.as_array());
    causes.into_iter().flatten().any(|cause| cause.get("reason").is_some_and(|reason| reason == "DisruptionBudget"))
}
