//! Which cluster to connect to: kubeconfig, context, impersonation.

use std::path::{Path, PathBuf};

use ::kube::Config;
use ::kube::config::{
    AuthInfo, Context, KubeConfigOptions, Kubeconfig, KubeconfigError, NamedAuthInfo, NamedCluster, NamedContext,
};
use http::HeaderValue;
use http::header::USER_AGENT;

use super::chain;
use crate::base::cluster_settings::{ClusterSettings, Overrides};
use crate::base::error::Error;
use crate::base::similar;

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
        Ok(kubeconfig) if settings.context.is_some() || !kubeconfig.contexts.is_empty() || is_named(settings) => {
            from_kubeconfig(kubeconfig, settings).await?
        }
        Err(error) if settings.kubeconfig.is_none() && is_absent(&error) && is_named(settings) => {
            from_kubeconfig(Kubeconfig::default(), settings).await?
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
    if settings.overrides.as_uid.is_some() {
        config.auth_info.impersonate_uid.clone_from(&settings.overrides.as_uid);
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
pub(super) fn read(file: Option<&Path>) -> Result<Kubeconfig, KubeconfigError> {
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

/// Whether the options name a cluster without a context.
fn is_named(settings: &ClusterSettings) -> bool {
    settings.overrides.cluster.is_some() || settings.overrides.server.is_some()
}

async fn from_kubeconfig(kubeconfig: Kubeconfig, settings: &ClusterSettings) -> Result<Chosen, Error> {
    let wanted = settings.context.clone().or_else(|| kubeconfig.current_context.clone());
    let name = wanted.filter(|name| !name.is_empty());
    let context = match name.as_deref() {
        Some(name) => {
            let found = kubeconfig.contexts.iter().find(|context| context.name == name);
            let there = kubeconfig.contexts.iter().map(|context| &*context.name);
            found.ok_or_else(|| missing("context", name, there))?.context.clone().unwrap_or_default()
        }
        None if is_named(settings) => Context::default(),
        None => {
            let there = kubeconfig.contexts.iter().map(|context| &*context.name);
            return Err(Error::cannot_reach("the kubeconfig has no current context")
                .with_hint(format!("choose one with --context: {}", list(there))));
        }
    };
    let kubeconfig = overridden(kubeconfig, context, &settings.overrides)?;
    // An address or cluster of its own is not the context's any more: commands that name the context would act elsewhere.
    let context = name.clone().filter(|_| !is_named(settings));
    let proxy_named = names_proxy(&kubeconfig, IN_USE);
    let user = match (&settings.overrides.token, user_of(&kubeconfig, IN_USE)) {
        (Some(_), _) => "the token of --token".to_owned(),
        (None, user) => format!("kubeconfig user {}", user.unwrap_or("of no name")),
    };
    let options = KubeConfigOptions { context: Some(IN_USE.to_owned()), ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| {
        let what = name.map_or_else(|| "these options".to_owned(), |name| format!("the context '{name}'"));
        Error::cannot_reach(format!("cannot use {what}: {}", chain(&error)))
    })?;
    // As kubectl has it: no proxy of the environment can reach this machine's own loopback.
    if !proxy_named && config.cluster_url.host().is_some_and(is_loopback) {
        config.proxy_url = None;
    }
    Ok(Chosen { config, context, user })
}

/// The name of the one context of a kubeconfig that [`overridden`] made.
const IN_USE: &str = "in use";

/// The kubeconfig with one context, [`IN_USE`], which has what the options say in place of what the context says.
fn overridden(mut kubeconfig: Kubeconfig, mut context: Context, overrides: &Overrides) -> Result<Kubeconfig, Error> {
    let Overrides { cluster, user, server, token, as_uid: _ } = overrides;
    if let Some(named) = cluster {
        if server.is_none() && !kubeconfig.clusters.iter().any(|cluster| cluster.name == *named) {
            let there = kubeconfig.clusters.iter().map(|cluster| &*cluster.name);
            return Err(missing("cluster", named, there));
        }
        context.cluster.clone_from(named);
    }
    if let Some(named) = user {
        if token.is_none() && !kubeconfig.auth_infos.iter().any(|user| user.name == *named) {
            let there = kubeconfig.auth_infos.iter().map(|user| &*user.name);
            return Err(missing("user", named, there));
        }
        context.user = Some(named.clone());
    }
    if let Some(server) = server {
        let found = kubeconfig.clusters.iter_mut().find(|cluster| cluster.name == context.cluster);
        let mut cluster = found.and_then(|named| named.cluster.take()).unwrap_or_default();
        cluster.server = Some(server.clone());
        // The name in the certificate was that of the other address.
        cluster.tls_server_name = None;
        kubeconfig.clusters =
            vec![NamedCluster { name: context.cluster.clone(), cluster: Some(cluster), ..NamedCluster::default() }];
    }
    if let Some(token) = token {
        // A token that was typed is meant: a certificate beside it would win with the API server.
        let login = AuthInfo { token: Some(token.reveal().to_owned().into()), ..AuthInfo::default() };
        let name = context.user.get_or_insert_default().clone();
        kubeconfig.auth_infos = vec![NamedAuthInfo { name, auth_info: Some(login), ..NamedAuthInfo::default() }];
    }
    kubeconfig.contexts =
        vec![NamedContext { name: IN_USE.to_owned(), context: Some(context), ..NamedContext::default() }];
    Ok(kubeconfig)
}

/// The error about a name that the kubeconfig does not have.
fn missing<'a>(what: &str, name: &str, there: impl Iterator<Item = &'a str> + Clone) -> Error {
    let meant = similar::question(name, there.clone());
    Error::cannot_reach(format!("the kubeconfig has no {what} '{name}'"))
        .with_hint(format!("{meant}choose one of: {}", list(there)))
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names = names.collect::<Vec<_>>().join(", ");
    if names.is_empty() { "none".to_owned() } else { names }
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
