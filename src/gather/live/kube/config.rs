//! Which cluster to connect to: kubeconfig, context, impersonation.

use std::path::{Path, PathBuf};

use ::kube::Config;
use ::kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use http::HeaderValue;
use http::header::USER_AGENT;

use super::chain;
use crate::base::cluster_settings::ClusterSettings;
use crate::base::error::Error;

/// A cluster and the name of its context.
pub(super) struct Chosen {
    /// How to reach it.
    pub(super) config: Config,
    /// The context's name; none inside a cluster.
    pub(super) context: Option<String>,
    /// As whom it is asked, as far as this side knows: the name of the kubeconfig's user, and whom it acts as.
    pub(super) user: String,
}

/// What kubectl would choose, or the reason why nothing can be chosen.
pub(super) async fn choose(settings: &ClusterSettings) -> Result<Chosen, Error> {
    let mut chosen = match read(settings.kubeconfig.as_deref()) {
        Ok(kubeconfig) if settings.context.is_some() || !kubeconfig.contexts.is_empty() => {
            from_kubeconfig(kubeconfig, settings.context.clone()).await?
        }
        // An empty kubeconfig means the same as none, as it does for kubectl.
        Ok(_) => in_cluster("the kubeconfig holds no contexts")?,
        Err(error) if settings.kubeconfig.is_none() && is_absent(&error) => {
            in_cluster(&format!("no kubeconfig found at {}", looked_for()))?
        }
        Err(error) => return Err(Error::cannot_reach(format!("cannot read the kubeconfig: {}", chain(&error)))),
    };
    let config = &mut chosen.config;
    // Through the login, not as a header of our own: a header would be sent beside the kubeconfig's `as`.
    if let Some(user) = &settings.as_user {
        config.auth_info.impersonate = Some(user.clone());
    }
    if !settings.as_groups.is_empty() {
        config.auth_info.impersonate_groups = Some(settings.as_groups.clone());
    }
    if let Some(other) = &config.auth_info.impersonate {
        chosen.user = format!("{} acting as {other}", chosen.user);
    }
    config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("staledp/", env!("CARGO_PKG_VERSION")))));
    config.connect_timeout = Some(settings.request_timeout);
    config.default_retry = false;
    Ok(chosen)
}

/// The kubeconfig: the given file, else those of `KUBECONFIG`, else `~/.kube/config`.
fn read(file: Option<&Path>) -> Result<Kubeconfig, KubeconfigError> {
    if let Some(file) = file {
        return Kubeconfig::read_from(file);
    }
    // kubectl skips the files of a list that are not there; kube would give up at the first.
    let listed: Vec<PathBuf> = std::env::var_os("KUBECONFIG")
        .map(|paths| std::env::split_paths(&paths).filter(|path| path.exists()).collect())
        .unwrap_or_default();
    if listed.is_empty() {
        return Kubeconfig::read();
    }
    listed.iter().try_fold(Kubeconfig::default(), |merged, file| merged.merge(Kubeconfig::read_from(file)?))
}

/// Where the kubeconfig was looked for, as a person would write it.
fn looked_for() -> String {
    let listed = std::env::var("KUBECONFIG").ok().filter(|listed| !listed.is_empty());
    listed.unwrap_or_else(|| "~/.kube/config".to_owned())
}

/// Whether the kubeconfig is simply missing; any other fault of it is reported.
fn is_absent(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(error, _) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

async fn from_kubeconfig(kubeconfig: Kubeconfig, wanted: Option<String>) -> Result<Chosen, Error> {
    let there = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect::<Vec<_>>();
    let list = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    let Some(name) = wanted.or_else(|| kubeconfig.current_context.clone()).filter(|name| !name.is_empty()) else {
        return Err(Error::cannot_reach("the kubeconfig has no current context")
            .with_hint(format!("choose one with --context: {list}")));
    };
    if !there.contains(&name.as_str()) {
        return Err(Error::cannot_reach(format!("the kubeconfig has no context '{name}'"))
            .with_hint(format!("choose one of: {list}")));
    }
    let proxy_named = names_proxy(&kubeconfig, &name);
    let user = format!("kubeconfig user {}", user_of(&kubeconfig, &name).unwrap_or("of no name"));
    let options = KubeConfigOptions { context: Some(name.clone()), ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| Error::cannot_reach(format!("cannot use the context '{name}': {}", chain(&error))))?;
    // As kubectl has it: no proxy of the environment can reach this machine's own loopback.
    if !proxy_named && config.cluster_url.host().is_some_and(is_loopback) {
        config.proxy_url = None;
    }
    Ok(Chosen { config, context: Some(name), user })
}

/// The kubeconfig's name for the user of a context.
fn user_of<'a>(kubeconfig: &'a Kubeconfig, context: &str) -> Option<&'a str> {
    let context = kubeconfig.contexts.iter().find(|named| named.name == context)?;
    context.context.as_ref()?.user.as_deref()
}

/// Whether the kubeconfig itself names a proxy for this context.
fn names_proxy(kubeconfig: &Kubeconfig, context: &str) -> bool {
    let context = kubeconfig.contexts.iter().find(|named| named.name == context);
    let cluster = context.and_then(|named| named.context.as_ref()).map(|context| &context.cluster);
    let named = kubeconfig.clusters.iter().find(|named| Some(&named.name) == cluster);
    named.and_then(|named| named.cluster.as_ref()).is_some_and(|cluster| cluster.proxy_url.is_some())
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn in_cluster(why: &str) -> Result<Chosen, Error> {
    let config = Config::incluster().map_err(|_| {
        Error::cannot_reach(format!("{why}, and not running in a cluster")).with_hint("set KUBECONFIG or --kubeconfig")
    })?;
    Ok(Chosen { config, context: None, user: "this pod's service account".to_owned() })
}
