//! One request that may change something, its one answer, and the two objects that `fix` and `watch` both write: a Lease
//! and Events.
//!
//! Nothing here is repeated by itself, and a request that got no answer is [`NoAnswer`]: it may have been carried out or
//! not, and the caller has to look.

use std::cell::Cell;
use std::fmt;

use http::{Method, StatusCode};
use jiff::{Timestamp, fmt::rfc2822};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::objects::Lease;
use crate::base::failure::{Failure, FailureKind};
use crate::gather::live::kube::{Cluster, Reply, Right, refusal, said};

/// The longest note of an Event that the API takes, in bytes.
pub(crate) const LONGEST_NOTE: usize = 1024;
/// The longest reporting instance of an Event, in bytes.
pub(crate) const LONGEST_INSTANCE: usize = 128;

/// The wire for requests that may change something.
pub(crate) struct Wire<'a> {
    cluster: &'a Cluster,
    /// How far the API server's clock is ahead of this machine's, in seconds, by its last answer.
    ahead_s: Cell<i64>,
}

/// No answer came: whether the request was done is not known.
#[derive(Clone, Debug)]
pub(crate) struct NoAnswer(pub(crate) String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What became of writing the Lease.
#[derive(Clone, Debug)]
pub(crate) enum PutAnswer {
    /// It is written; this is what it is now.
    Done(Box<Lease>),
    /// Somebody else was faster.
    Overtaken,
    /// It was refused, and nothing was changed.
    Refused(Failure),
    /// It may be written or not.
    Lost(NoAnswer),
}

impl<'a> Wire<'a> {
    /// Nothing was asked yet.
    #[must_use]
    pub(crate) const fn new(cluster: &'a Cluster) -> Self {
        Self { cluster, ahead_s: Cell::new(0) }
    }

    /// The cluster behind it, for requests that only read.
    pub(crate) const fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// Now, by the API server's clock as far as it is known: Leases of several machines are compared by it.
    #[must_use]
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(Timestamp::now().as_microsecond() + self.ahead_s.get() * 1_000_000)
            .unwrap_or_else(|_| Timestamp::now())
    }

    /// The Lease of this name; none if it was never taken.
    ///
    /// # Errors
    ///
    /// Why it cannot be read; a missing right is named.
    pub(crate) async fn lease(&self, namespace: &str, name: &str) -> Result<Option<Lease>, Failure> {
        let right = Right { verbs: "`get`", resource: "leases", namespace: Some(namespace) };
        self.get(&lease_path(namespace, name), &right).await
    }

    /// Writes a Lease: with a resourceVersion the one that was read, without one only where there is none.
    pub(crate) async fn put_lease(&self, namespace: &str, name: &str, lease: &Lease) -> PutAnswer {
        let (annotations, version) = (&lease.metadata.annotations, &lease.metadata.resource_version);
        let metadata = if version.is_empty() {
            json!({"name": name, "namespace": namespace, "annotations": annotations})
        } else {
            json!({"name": name, "namespace": namespace, "annotations": annotations,
                   "resourceVersion": version, "uid": lease.metadata.uid})
        };
        let body = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata,
                          "spec": lease.spec});
        let reply = match self.send(Method::PUT, &lease_path(namespace, name), Some(&body)).await {
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

    /// Records an Event of events.k8s.io.
    ///
    /// # Errors
    ///
    /// Why it was not written, or that it is unknown whether it was.
    pub(crate) async fn post_event(&self, namespace: &str, event: &Value) -> Result<(), Failure> {
        let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        let reply = self.send(Method::POST, &path, Some(event)).await;
        let reply = reply.map_err(|lost| Failure::new(FailureKind::Unreachable, lost.0))?;
        let right = Right { verbs: "`create`", resource: "events.events.k8s.io", namespace: Some(namespace) };
        read::<Value>(&reply, &right).map(|_| ())
    }

    /// One object; none where there is none.
    ///
    /// # Errors
    ///
    /// Why it cannot be read; a missing right is named.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, right: &Right<'_>) -> Result<Option<T>, Failure> {
        let reply = self.send(Method::GET, path, None).await;
        let reply = reply.map_err(|lost| Failure::new(FailureKind::Unreachable, lost.0))?;
        if reply.status == StatusCode::NOT_FOUND && reply.refusal().reason == "NotFound" {
            return Ok(None);
        }
        read(&reply, right).map(Some)
    }

    /// One request with a JSON body, one answer, one deadline.
    ///
    /// # Errors
    ///
    /// That no answer came.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply, NoAnswer> {
        self.send_as("application/json", method, path, body).await
    }

    /// One request whose body is of this type, one answer, one deadline.
    ///
    /// # Errors
    ///
    /// That no answer came.
    pub(crate) async fn send_as(
        &self,
        content_type: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, NoAnswer> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, content_type)
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

fn lease_path(namespace: &str, name: &str) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}")
}

/// Leases and Events take times with exactly six decimals.
pub(crate) fn six_decimals(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// The start of a text, for fields that the API bounds in bytes.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The object in an answer.
///
/// # Errors
///
/// Why it is not there; a missing right is named.
pub(crate) fn read<T: DeserializeOwned>(reply: &Reply, right: &Right<'_>) -> Result<T, Failure> {
    if !reply.status.is_success() {
        return Err(refusal(&reply.refusal(), right));
    }
    serde_json::from_slice(&reply.body)
        .map_err(|error| Failure::new(FailureKind::Other, format!("cannot read the answer: {error}")))
}

/// What the API server answered, in words.
pub(crate) fn answered(reply: &Reply) -> String {
    format!("the API server answered {}: {}", reply.status.as_u16(), said(&reply.refusal()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_six_decimals() {
        let time = Timestamp::from_second(1_796_000_000).expect("a time");
        assert_eq!(six_decimals(time), "2026-11-30T00:53:20.000000Z");
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!((cut("aé", 2), cut("aé", 3), cut("ab", 9)), ("a", "aé", "ab"));
    }
}
