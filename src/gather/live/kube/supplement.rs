//! Supplementary evidence over the wire, for symptoms only: events page by page, logs, foreign kinds, Prometheus.

use std::time::Duration;

use ::kube::api::ListParams;
use ::kube::core::{Request, Status};
use ::kube::{Client, Config, Error};
use http::HeaderValue;
use http::header::USER_AGENT;
use http_body_util::BodyExt as _;
use k8s_openapi::api::apps::v1 as apps;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::list::{PAGE, REQUESTS_PER_LIST, Selection};
use super::{Cluster, Right, failure, late, refusal, words};
use crate::base::credentials::without_credentials;
use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;
use crate::base::prometheus::Prometheus;
use crate::gather::supplement::{LINES, LOG_BYTES, PROMETHEUS_PORT, SymptomSource};
use crate::kubernetes::foreign_kind::ForeignKind;
use crate::kubernetes::inventory::Page;
use crate::kubernetes::objects::{ControllerRevision, Custom, Event, Meta, REVISION_LABEL};

/// The most events of one reason: a cluster of 5,000 pods keeps fewer in its hour.
const MOST_EVENT_PAGES: usize = 100;
/// The most objects of a foreign kind: ten thousand.
const MOST_OBJECT_PAGES: usize = 20;
/// The most that is read of an answer of Prometheus, in bytes.
const MOST_ANSWER: usize = 4 << 20;

/// `/apis/<group>`.
#[derive(Deserialize)]
struct Group {
    #[serde(rename = "preferredVersion")]
    preferred: GroupVersion,
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
}

/// A refusal of Prometheus itself.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Cluster {
    /// The events of one reason in all namespaces, shown as they come: at most one page is held in memory.
    ///
    /// # Errors
    ///
    /// Why the list cannot be read; a missing right is named.
    pub async fn events(&self, reason: &str, each: &mut dyn FnMut(&Event)) -> Result<(), Failure> {
        let right = Right { verbs: "`list`", resource: "events", namespace: None };
        let fields = format!("reason={reason}");
        self.paged("/api/v1/events", &right, Some(&fields), MOST_EVENT_PAGES, each).await
    }

    /// Something that only symptoms are read from.
    ///
    /// # Errors
    ///
    /// Why it cannot be read; a missing right is named.
    pub async fn further(&self, what: &SymptomSource<'_>) -> Result<Vec<u8>, Failure> {
        match *what {
            SymptomSource::Log { pod, container } => {
                let bytes = self.tail(pod, container, LINES, LOG_BYTES, true).await?;
                Ok(without_credentials(&String::from_utf8_lossy(&bytes)).into_bytes())
            }
            SymptomSource::Objects(kind) => self.objects(kind).await,
            SymptomSource::Revisions { namespace } => self.revisions(namespace).await,
            SymptomSource::Metrics { query, at: Some(at), .. } => timeout(self.request_timeout, async {
                self.metrics(at, query).await.map(|answer| with_question(&answer, query))
            })
            .await
            .unwrap_or_else(|_| Err(late("no answer from Prometheus", self.request_timeout))),
            SymptomSource::Metrics { at: None, .. } => {
                Err(Failure::new(FailureKind::NotFound, "no Prometheus given; see --prometheus"))
            }
        }
    }

    /// All pages of a list, shown object by object, under one deadline.
    async fn paged<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        right: &Right<'_>,
        fields: Option<&str>,
        most: usize,
        each: &mut dyn FnMut(&T),
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + self.request_timeout * REQUESTS_PER_LIST;
        let request = Request::new(path);
        let mut params = ListParams::default().limit(PAGE);
        params.field_selector = fields.map(str::to_owned);
        for _ in 0..most {
            let page: Page<T> = self.page(&request, &mut params, right, deadline).await?;
            page.items.iter().for_each(&mut *each);
            params.continue_token = page.metadata.next.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                return Ok(());
            }
        }
        let message =
            format!("the list of {} exceeds {} objects and was cut off", right.resource, most * PAGE as usize);
        Err(Failure::new(FailureKind::Truncated, message))
    }

    /// The revisions of the DaemonSets in a namespace, cut down to what tells them apart: their templates are left out.
    async fn revisions(&self, namespace: &str) -> Result<Vec<u8>, Failure> {
        let all = Selection { namespace: Some(namespace), ..Selection::default() };
        let mut items: Vec<ControllerRevision> = self.list::<apps::ControllerRevision, _>(all).await?;
        for item in &mut items {
            let hash = item.metadata.labels.get(REVISION_LABEL).map(|hash| (REVISION_LABEL, hash.to_owned()));
            item.metadata.labels = hash.into_iter().collect();
        }
        serde_json::to_vec_pretty(&serde_json::json!({"items": items}))
            .map_err(|error| Failure::new(FailureKind::Other, error.to_string()))
    }

    /// All objects of a kind that need not be installed, cut down to names and what they say; none where it is not
    /// installed.
    async fn objects(&self, kind: ForeignKind) -> Result<Vec<u8>, Failure> {
        let items = match self.installed_objects(kind).await {
            Err(failure) if failure.kind == FailureKind::NotFound => Vec::new(),
            had => had?,
        };
        serde_json::to_vec_pretty(&serde_json::json!({"items": items}))
            .map_err(|error| Failure::new(FailureKind::Other, error.to_string()))
    }

    /// The group is asked first: a list in an absent group is refused as forbidden to those who may not list, as if it
    /// were there; `/apis/<group>` is open to everybody.
    async fn installed_objects(&self, kind: ForeignKind) -> Result<Vec<Custom>, Failure> {
        let resource = format!("{}.{}", kind.resource, kind.group);
        let right = Right { verbs: "`list`", resource: &resource, namespace: None };
        let asked = http::Request::get(format!("/apis/{}", kind.group)).body(Vec::new());
        let asked = asked.map_err(|error| Failure::new(FailureKind::Other, error.to_string()))?;
        let group: Group = match timeout(self.request_timeout, self.client.request(asked)).await {
            Err(_) => return Err(late(&format!("API group {} did not respond", kind.group), self.request_timeout)),
            Ok(Err(error)) => return Err(failure(&error, &right)),
            Ok(Ok(group)) => group,
        };
        let path = format!("/apis/{}/{}/{}", kind.group, group.preferred.version, kind.resource);
        let mut items: Vec<Custom> = Vec::new();
        self.paged(&path, &right, None, MOST_OBJECT_PAGES, &mut |object: &Custom| {
            let mut object = object.clone();
            let Meta { name, namespace, creation_timestamp, .. } = object.metadata;
            object.metadata = Meta { name, namespace, creation_timestamp, ..Meta::default() };
            for told in &mut object.status.conditions {
                told.message = without_credentials(&told.message);
            }
            object.status.operation_state.message = without_credentials(&object.status.operation_state.message);
            items.push(object);
        })
        .await?;
        Ok(items)
    }

    async fn metrics(&self, at: &Prometheus, query: &str) -> Result<Vec<u8>, Failure> {
        let path = format!("/api/v1/query?query={}", utf8_percent_encode(query, PLAIN));
        match at {
            Prometheus::Url(uri) => {
                let client = stranger(uri, self.request_timeout)?;
                let what = format!("Prometheus at {uri}");
                answer(&client, &path, &what, None).await
            }
            Prometheus::Service { service, port } => {
                let port = match port {
                    Some(port) => port.clone(),
                    None => self.port_of(service).await,
                };
                let what = format!("Prometheus behind {service}:{port}");
                let resource = "services/proxy";
                let right = Right { verbs: "`get`", resource, namespace: Some(&service.namespace) };
                let PodRef { namespace, name } = service;
                let path = format!("/api/v1/namespaces/{namespace}/services/{name}:{port}/proxy{path}");
                answer(&self.client, &path, &what, Some(&right)).await
            }
        }
    }

    /// The port of a service that Prometheus most likely serves on: the proxy finds a named port only by its name.
    async fn port_of(&self, service: &PodRef) -> String {
        let listed = self.service(service).await.unwrap_or_default();
        let ports = listed.first().map(|service| service.spec.ports.as_slice()).unwrap_or_default();
        let likely = ports.iter().find(|p| p.port.to_string() == PROMETHEUS_PORT);
        let likely = likely.or_else(|| ports.iter().find(|p| matches!(p.name.as_str(), "web" | "http-web" | "http")));
        likely.or(ports.first()).map_or_else(|| PROMETHEUS_PORT.to_owned(), |port| port.port.to_string())
    }
}

/// A client that knows nothing of the cluster: no credentials, no certificate authority of its own, no retries.
fn stranger(uri: &http::Uri, limit: Duration) -> Result<Client, Failure> {
    let mut config = Config::new(uri.clone());
    config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("staledp/", env!("CARGO_PKG_VERSION")))));
    config.connect_timeout = Some(limit);
    config.default_retry = false;
    Client::try_from(config)
        .map_err(|error| Failure::new(FailureKind::Other, format!("cannot ask Prometheus at {uri}: {}", words(&error))))
}

/// What Prometheus said; at most [`MOST_ANSWER`] bytes of it. A refusal of its own is JSON, too, and says why.
async fn answer(client: &Client, path: &str, what: &str, right: Option<&Right<'_>>) -> Result<Vec<u8>, Failure> {
    let other = |kind, why: &str| Failure::new(kind, format!("{what}: {why}"));
    let request = http::Request::get(path).body(::kube::client::Body::empty());
    let request = request.map_err(|error| other(FailureKind::Other, &error.to_string()))?;
    let response = client.send(request).await.map_err(|error| match &error {
        Error::Service(_) | Error::HyperError(_) => other(FailureKind::Unreachable, &words(&error)),
        error => other(FailureKind::Other, &words(error)),
    })?;
    let code = response.status();
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| other(FailureKind::Unreachable, &error.to_string()))?;
        if let Some(chunk) = frame.data_ref() {
            bytes.extend_from_slice(chunk);
        }
        if bytes.len() > MOST_ANSWER {
            return Err(other(FailureKind::Truncated, &format!("the answer exceeds {} MiB", MOST_ANSWER >> 20)));
        }
    }
    if code.is_success() {
        return Ok(bytes);
    }
    // A Status is the API server's; Prometheus has a form of its own.
    if let (Some(right), Ok(mut status)) = (right, serde_json::from_slice::<Status>(&bytes))
        && !status.message.is_empty()
    {
        status.code = code.as_u16();
        let refused = refusal(&status, right);
        // A missing service does not mean a missing kind.
        let kind = if refused.kind == FailureKind::NotFound { FailureKind::Unreachable } else { refused.kind };
        return Err(other(kind, &refused.message));
    }
    let why = serde_json::from_slice::<Refusal>(&bytes).map_or_else(|_| code.to_string(), |told| told.error);
    Err(other(FailureKind::Other, &without_credentials(&why.chars().take(300).collect::<String>())))
}

/// The answer with its question in it, so that a saved answer says what was asked.
fn with_question(answer: &[u8], query: &str) -> Vec<u8> {
    let Ok(serde_json::Value::Object(mut object)) = serde_json::from_slice(answer) else { return answer.to_vec() };
    object.insert("query".to_owned(), query.into());
    serde_json::to_vec(&object).unwrap_or_else(|_| answer.to_vec())
}

/// What a query may hold unencoded; everything else becomes `%XX`: the API server passes a query on byte for byte.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_is_encoded_whole() {
        assert_eq!(
            utf8_percent_encode("a{b=\"c d\"}[5m]+&é", PLAIN).to_string(),
            "a%7Bb%3D%22c%20d%22%7D%5B5m%5D%2B%26%C3%A9"
        );
    }
}
