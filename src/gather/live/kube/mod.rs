//! The Kubernetes wire. This file and those in its folder are the only ones that know it.
//!
//! A [`Cluster`] is one connection's worth of settings: whom to ask, as whom, and how long a request may take. What can
//! be asked is in its parts: lists, logs and commands in containers. Nothing here builds a request that changes an
//! object; those that do are in [`crate::fix`], which sends them through [`Cluster::send`].
//!
//! Automatic retries of the client are switched off: it would repeat every request, whatever its verb, up to fifteen
//! times (kube 5.0.0), and a diagnosis has better things to do with its minute. Lists repeat themselves, within bounds.

mod busy;
mod config;
mod exec;
mod follow;
mod list;
mod log;
pub mod names;
mod supplement;
mod traffic;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ::kube::client::{Body, ClientBuilder};
use ::kube::core::Status;
use ::kube::{Client, Config, Error};
use futures::channel::oneshot;
use http::{Request, Response};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tower::util::{MapRequestLayer, MapResponseLayer};

use crate::base::cluster_settings::ClusterSettings;
use crate::base::error;
use crate::base::failure::{Failure, FailureKind};

use busy::Busy;
pub use exec::{Ended, Exec};
pub use follow::{Follow, Followed};
pub use list::{Reply, Selection};
pub use log::LOG_LINES;
use traffic::Traffic;
pub use traffic::VERBS;

/// How long a login plugin may take; those that open a browser wait for a person.
const LOGIN: Duration = Duration::from_secs(60);
/// What to do where a request cannot even be made.
const KUBECONFIG: &str = "check the kubeconfig";

/// A cluster that answered.
pub struct Cluster {
    client: Client,
    context: Option<String>,
    user: String,
    request_timeout: Duration,
    busy: Arc<Busy>,
    traffic: Arc<Traffic>,
}

impl Cluster {
    /// Finds the cluster that is meant, and asks it one cheap question.
    ///
    /// # Errors
    ///
    /// [`error::ErrorKind::CannotReach`] where there is no kubeconfig, no such context, or no answer.
    pub async fn connect(settings: &ClusterSettings) -> Result<Self, error::Error> {
        let config::Chosen { config, context, user } = config::choose(settings).await?;
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let plugin = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
        let busy = Arc::new(Busy::default());
        let traffic = Arc::new(Traffic::default());
        let client = log_in(config, Arc::clone(&busy), Arc::clone(&traffic))
            .await
            .map_err(|why| cannot_log_in(&server, plugin.as_deref(), &why.message))?;
        let cluster = Self { client, context, user, request_timeout: settings.request_timeout, busy, traffic };
        cluster.greet(&server, plugin.as_deref()).await?;
        Ok(cluster)
    }

    /// The kubeconfig context; none inside a cluster.
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// As whom the cluster is asked, as far as this side knows: `kubeconfig user ops`.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// How often the API server said that it is too busy (429).
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.busy.refusals()
    }

    /// How many requests of each verb were sent so far.
    #[must_use]
    pub fn requests(&self) -> [(&'static str, u64); VERBS.len()] {
        self.traffic.counts()
    }

    /// How many commands in containers were asked for so far.
    #[must_use]
    pub fn execs(&self) -> u64 {
        self.requests().iter().filter(|(verb, _)| *verb == "exec").map(|(_, count)| count).sum()
    }

    /// Sends one request, once, and reads its whole answer, whatever its status; within the time of one request.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Timeout`] or [`FailureKind::Unreachable`] where no answer came: whether the request was carried out
    /// is not known then.
    pub async fn send(&self, request: http::Request<Vec<u8>>) -> Result<Reply, Failure> {
        let asked = async {
            let (parts, body) = self.client.send(request.map(Body::from)).await?.into_parts();
            let body = body.collect_bytes().await?.to_vec();
            Ok::<_, Error>(Reply { status: parts.status, headers: parts.headers, body })
        };
        match timeout(self.request_timeout, asked).await {
            Err(_) => Err(late("the API server did not answer", self.request_timeout)),
            Ok(Err(error)) => Err(failure(&error, &Right { verbs: "", resource: "", namespace: None })),
            Ok(Ok(reply)) => Ok(reply),
        }
    }

    /// `/version` is open to everybody on a stock cluster. Where it is not, a 403 is still an answer: what may be asked
    /// is found out list by list, and each says which right it lacks.
    async fn greet(&self, server: &str, plugin: Option<&str>) -> Result<(), error::Error> {
        let request = http::Request::get("/version").body(Vec::new()).map_err(|error| {
            error::Error::cannot_reach(format!("cannot ask the API server {server}"))
                .because(error)
                .with_hint(KUBECONFIG)
        })?;
        match timeout(self.request_timeout, self.client.request_text(request)).await {
            Err(_) => Err(error::Error::cannot_reach(format!(
                "cannot reach the API server {server}: no answer within {}",
                span(self.request_timeout)
            ))
            .with_hint("check the network, or raise --request-timeout")),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(Error::Api(status))) if status.code == 403 && status.message.contains("impersonate") => {
                Err(error::Error::cannot_reach(format!("impersonation refused: {}", said(&status)))
                    .with_hint("grant `impersonate` on `users` and `groups`, or leave out --as"))
            }
            // Forbidden or too busy: it is there.
            Ok(Err(Error::Api(status))) if matches!(status.code, 403 | 429) => Ok(()),
            Ok(Err(Error::Api(status))) if status.code == 401 => {
                Err(error::Error::cannot_reach(format!("cannot log in to the API server {server}: {}", said(&status)))
                    .with_hint("renew the credentials in the kubeconfig"))
            }
            Ok(Err(error @ Error::Auth(_))) => Err(cannot_log_in(server, plugin, &chain(&error))),
            Ok(Err(error)) => {
                Err(error::Error::cannot_reach(format!("cannot reach the API server {server}: {}", words(&error)))
                    .with_hint("check the network and the kubeconfig"))
            }
        }
    }
}

/// Makes the client. A login plugin is run meanwhile, and kube waits for it without a limit and without yielding, so it
/// gets a thread that need not be waited for.
async fn log_in(config: Config, busy: Arc<Busy>, traffic: Arc<Traffic>) -> Result<Client, Failure> {
    let (sender, client) = oneshot::channel();
    let runtime = Handle::current();
    std::thread::spawn(move || {
        let _context = runtime.enter();
        // The receiver is gone if it took too long.
        let _ = sender.send(ClientBuilder::try_from(config).map(|builder| {
            let watch = MapResponseLayer::new(move |response: Response<_>| {
                busy.note(response.status(), response.headers());
                response
            });
            let count = MapRequestLayer::new(move |request: Request<_>| {
                traffic.note(request.method(), request.uri());
                request
            });
            builder.with_layer(&watch).with_layer(&count).build()
        }));
    });
    match timeout(LOGIN, client).await {
        Err(_) => Err(Failure::new(FailureKind::Timeout, format!("no login within {}", span(LOGIN)))),
        Ok(Err(_)) => Err(Failure::new(FailureKind::Other, "the login broke off")),
        Ok(Ok(made)) => made.map_err(|error| Failure::new(FailureKind::Other, chain(&error))),
    }
}

/// kube's own error does not name the login plugin that is missing, which is all that the reader wants to know.
fn cannot_log_in(server: &str, plugin: Option<&str>, why: &str) -> error::Error {
    let plugin = plugin.map(|command| format!(" with the kubeconfig's login plugin '{command}'")).unwrap_or_default();
    error::Error::cannot_reach(format!("cannot log in to the API server {server}{plugin}: {why}"))
}

/// A right, in the words of a Role.
pub struct Right<'a> {
    /// The verbs, each in backquotes.
    pub verbs: &'a str,
    /// The resource.
    pub resource: &'a str,
    /// The namespace; none: all.
    pub namespace: Option<&'a str>,
}

impl Right<'_> {
    fn words(&self) -> String {
        let namespace = self.namespace.map(|name| format!(" in namespace {name}")).unwrap_or_default();
        format!("{} on `{}`{namespace}", self.verbs, self.resource)
    }
}

/// What the API's refusal means; a missing right is named.
#[must_use]
pub fn refusal(status: &Status, right: &Right<'_>) -> Failure {
    match status.code {
        401 => Failure::new(
            FailureKind::Forbidden,
            format!("the API server no longer accepts the login ({}); log in again", said(status)),
        ),
        // A 403 of authorisation always carries a Status; without one it comes from something in between, and more
        // rights would not help.
        403 if status.reason == "Forbidden" => Failure::forbidden(&said(status), right.words()),
        403 => Failure::new(
            FailureKind::Other,
            format!(
                "the API server, or a proxy before it, refused the protocol (403 without a Kubernetes status: {}); no \
                 right is missing, check what lies between",
                said(status)
            ),
        ),
        404 => Failure::new(FailureKind::NotFound, said(status)),
        code => Failure::new(FailureKind::Other, format!("the API server answered {code}: {}", said(status))),
    }
}

/// What a request's failure means.
fn failure(error: &Error, right: &Right<'_>) -> Failure {
    match error {
        Error::Api(status) => refusal(status, right),
        Error::Service(_) | Error::HyperError(_) => {
            Failure::new(FailureKind::Unreachable, format!("the connection to the API server failed: {}", words(error)))
        }
        other => Failure::new(FailureKind::Other, words(other)),
    }
}

/// A failure to answer in time.
fn late(what: &str, limit: Duration) -> Failure {
    Failure::new(FailureKind::Timeout, format!("{what} within {}", span(limit)))
}

/// What the server said, on one line.
#[must_use]
pub fn said(status: &Status) -> String {
    let message = status.message.trim();
    if message.is_empty() { "no message".to_owned() } else { message.to_owned() }
}

/// A duration as people write it.
fn span(duration: Duration) -> String {
    crate::base::time::span(duration)
}

/// A client's error without the name of its variant, which tells the reader nothing.
fn words(error: &Error) -> String {
    match error {
        Error::Service(inner) => chain(inner.as_ref()),
        Error::HyperError(inner) => chain(inner),
        other => chain(other),
    }
}

/// An error with its causes: kube's own text often holds only the outermost.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Many layers repeat the message below them.
        if !text.contains(&more) {
            let _ = write!(text, ": {more}");
        }
        cause = error.source();
    }
    text
}
