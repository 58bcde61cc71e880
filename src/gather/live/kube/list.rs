//! Lists: paged, bounded in time and in repeats, and read into the slim shapes of [`crate::kubernetes::objects`].

use std::time::Duration;

use ::kube::api::ListParams;
use ::kube::client::Body;
use ::kube::core::{Request, Status};
use ::kube::{Error, Resource};
use http::{HeaderMap, StatusCode};
use k8s_openapi::api::{core::v1 as core, discovery::v1 as discovery};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};

use super::busy::{self, TRIES};
use super::{Cluster, Right, failure, late, refusal};
use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;
use crate::kubernetes::agents::AGENT_SELECTOR;
use crate::kubernetes::arguments::keep_only_needed_arguments;
use crate::kubernetes::inventory::Page;
use crate::kubernetes::objects::{EndpointSlice, Event, Node, Pod, Service};

/// Objects per page: what kubectl asks for.
pub(super) const PAGE: u32 = 500;
/// A whole list may take this many times as long as a single request.
pub(super) const REQUESTS_PER_LIST: u32 = 4;
/// A list that grows while it is read must end as well: half a million objects.
const MOST_PAGES: usize = 1000;
/// Events are a help, no evidence: two pages of warnings are plenty.
const EVENT_PAGES: usize = 2;

/// What to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// The namespace; none: all.
    pub namespace: Option<&'a str>,
    /// A label selector.
    pub labels: Option<&'a str>,
    /// A field selector.
    pub fields: Option<&'a str>,
    /// After how many pages the rest is left out; none: the list has to end by itself.
    pub pages: Option<usize>,
}

impl Cluster {
    /// All nodes.
    ///
    /// # Errors
    ///
    /// Why the list cannot be read; a missing right is named.
    pub async fn nodes(&self) -> Result<Vec<Node>, Failure> {
        self.list::<core::Node, _>(Selection::default()).await
    }

    /// The pods of a namespace, or of all, without the arguments that are not needed.
    ///
    /// # Errors
    ///
    /// Why the list cannot be read; a missing right is named.
    pub async fn pods(&self, namespace: Option<&str>) -> Result<Vec<Pod>, Failure> {
        self.list_of_pods(Selection { namespace, ..Selection::default() }).await
    }

    /// The agents' pods of a namespace, or of all, without the arguments that are not needed.
    ///
    /// # Errors
    ///
    /// Why the list cannot be read; a missing right is named.
    pub async fn agents(&self, namespace: Option<&str>) -> Result<Vec<Pod>, Failure> {
        let selection = Selection { namespace, labels: Some(AGENT_SELECTOR), ..Selection::default() };
        self.list_of_pods(selection).await
    }

    /// The pods on a node, without the arguments that are not needed.
    ///
    /// # Errors
    ///
    /// Why the list cannot be read; a missing right is named.
    pub async fn pods_on(&self, node: &str) -> Result<Vec<Pod>, Failure> {
        let fields = format!("spec.nodeName={node}");
        self.list_of_pods(Selection { fields: Some(&fields), ..Selection::default() }).await
    }

    async fn list_of_pods(&self, what: Selection<'_>) -> Result<Vec<Pod>, Failure> {
        self.list_with_version::<core::Pod, Pod>(what, keep_only_needed_arguments).await.map(|(pods, _)| pods)
    }

    /// The one service of this name, as a list, so that the right to list is enough.
    ///
    /// # Errors
    ///
    /// Why the list cannot be read; a missing right is named.
    pub async fn service(&self, service: &PodRef) -> Result<Vec<Service>, Failure> {
        let fields = format!("metadata.name={}", service.name);
        let namespace = Some(service.namespace.as_str());
        self.list::<core::Service, _>(Selection { namespace, fields: Some(&fields), ..Selection::default() }).await
    }

    /// The services with these labels, of a namespace or of all.
    ///
    /// # Errors
    ///
    /// Why the list cannot be read; a missing right is named.
    pub async fn services(&self, namespace: Option<&str>, labels: &str) -> Result<Vec<Service>, Failure> {
        self.list::<core::Service, _>(Selection { namespace, labels: Some(labels), ..Selection::default() }).await
    }

    /// The endpoint slices of a service.
    ///
    /// # Errors
    ///
    /// Why the list cannot be read; a missing right is named.
    pub async fn endpoint_slices(&self, service: &PodRef) -> Result<Vec<EndpointSlice>, Failure> {
        let labels = format!("kubernetes.io/service-name={}", service.name);
        let namespace = Some(service.namespace.as_str());
        let selection = Selection { namespace, labels: Some(&labels), ..Selection::default() };
        self.list::<discovery::EndpointSlice, _>(selection).await
    }

    /// The first warnings among the events of a namespace, or of all: a bounded number, in the server's order.
    ///
    /// # Errors
    ///
    /// Why the list cannot be read; a missing right is named.
    pub async fn warnings(&self, namespace: Option<&str>) -> Result<Vec<Event>, Failure> {
        let fields = Some("type=Warning");
        let selection = Selection { namespace, fields, pages: Some(EVENT_PAGES), ..Selection::default() };
        self.list::<core::Event, _>(selection).await
    }

    /// All pages of a list, under one deadline.
    ///
    /// # Errors
    ///
    /// Why the list cannot be read; a missing right is named.
    pub async fn list<K, T>(&self, what: Selection<'_>) -> Result<Vec<T>, Failure>
    where
        K: Resource<DynamicType = ()>,
        T: DeserializeOwned,
    {
        self.list_with_version::<K, T>(what, |_| {}).await.map(|(items, _)| items)
    }

    /// All pages of a list, under one deadline, and the version of its first page, from which a watch can go on: what
    /// changed while the other pages were read comes again then. `slim` drops what is not needed of each page.
    pub(super) async fn list_with_version<K, T>(
        &self,
        what: Selection<'_>,
        slim: impl Fn(&mut [T]),
    ) -> Result<(Vec<T>, Option<String>), Failure>
    where
        K: Resource<DynamicType = ()>,
        T: DeserializeOwned,
    {
        let resource = K::plural(&());
        let right = Right { verbs: "`list`", resource: &resource, namespace: what.namespace };
        let deadline = Instant::now() + self.request_timeout * REQUESTS_PER_LIST;
        let request = Request::new(K::url_path(&(), what.namespace));
        let mut params = ListParams::default().limit(PAGE);
        params.label_selector = what.labels.map(str::to_owned);
        params.field_selector = what.fields.map(str::to_owned);

        let (mut items, mut version) = (Vec::new(), None);
        for _ in 0..what.pages.unwrap_or(MOST_PAGES) {
            let mut page = self.page::<T>(&request, &mut params, &right, deadline).await?;
            slim(&mut page.items);
            items.extend(page.items);
            version = version.or(page.metadata.version);
            params.continue_token = page.metadata.next.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                return Ok((items, version));
            }
        }
        if what.pages.is_some() {
            return Ok((items, version));
        }
        Err(Failure::new(FailureKind::Truncated, format!("the list of {resource} has too many pages")))
    }

    /// One page. A page token that grew too old is exchanged for the new one that comes with the refusal: the list then
    /// continues at today's state, which is fine for a diagnosis.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        request: &Request,
        params: &mut ListParams,
        right: &Right<'_>,
        deadline: Instant,
    ) -> Result<Page<T>, Failure> {
        let mut tries = 1;
        loop {
            let one = (Instant::now() + self.request_timeout).min(deadline);
            let asked = timeout_at(one, self.page_once(request, params)).await;
            let Ok(answer) = asked else {
                return Err(late(&format!("no list of {}", right.resource), self.request_timeout));
            };
            let reply = answer.map_err(|error| failure(&error, right))?;
            if reply.status.is_success() {
                return serde_json::from_slice(&reply.body).map_err(|error| {
                    Failure::new(FailureKind::Other, format!("cannot read the list of {}: {error}", right.resource))
                });
            }
            let status = reply.refusal();
            let fresh = status.metadata.as_ref().and_then(|meta| meta.continue_.clone()).filter(|t| !t.is_empty());
            let wait = match reply.status {
                StatusCode::GONE if fresh.is_some() && params.continue_token.is_some() => {
                    params.continue_token = fresh;
                    Duration::ZERO
                }
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                    reply.wait(tries)
                }
                _ => return Err(refusal(&status, right)),
            };
            if tries >= TRIES || Instant::now() + wait >= deadline {
                let mut failure = refusal(&status, right);
                failure.message = format!("{} ({tries} tries)", failure.message);
                return Err(failure);
            }
            tries += 1;
            sleep(wait).await;
        }
    }

    async fn page_once(&self, request: &Request, params: &ListParams) -> Result<Reply, Error> {
        let request = request.list(params).map_err(Error::BuildRequest)?;
        let response = self.client.send(request.map(Body::from)).await?;
        let (parts, body) = response.into_parts();
        Ok(Reply { status: parts.status, headers: parts.headers, body: body.collect_bytes().await?.to_vec() })
    }
}

/// An answer as it came: the client's own way of reading would lose the `Retry-After` header.
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The status object, or one made of a plain text: refusals for being too busy are plain text.
    #[must_use]
    pub fn refusal(&self) -> Status {
        let mut status = serde_json::from_slice::<Status>(&self.body)
            .unwrap_or_else(|_| Status::failure(String::from_utf8_lossy(&self.body).trim(), ""));
        status.code = self.status.as_u16();
        status
    }

    /// How long to wait after this many tries: what the server says, else longer each time.
    fn wait(&self, tries: u32) -> Duration {
        busy::wait(busy::retry_after(&self.headers), tries)
    }
}
