//! Names for a shell that completes: those of the kubeconfig, and the cluster's nodes and namespaces.

use std::path::Path;

use k8s_openapi::api::core::v1 as core;
use serde::Deserialize;

use super::{Cluster, Selection, config};
use crate::base::cluster_settings::ClusterSettings;

/// The names that a kubeconfig has.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Its contexts.
    pub contexts: Vec<String>,
    /// Its clusters.
    pub clusters: Vec<String>,
    /// Its users.
    pub users: Vec<String>,
    /// Its current context.
    pub current: Option<String>,
}

/// The names in a kubeconfig, by default the one that kubectl would read; none where it cannot be read.
#[must_use]
pub fn names(kubeconfig: Option<&Path>) -> Names {
    let Ok(kubeconfig) = config::read(kubeconfig) else { return Names::default() };
    Names {
        contexts: kubeconfig.contexts.into_iter().map(|named| named.name).collect(),
        clusters: kubeconfig.clusters.into_iter().map(|named| named.name).collect(),
        current: kubeconfig.current_context.filter(|name| !name.is_empty()),
        users: kubeconfig.auth_infos.into_iter().map(|named| named.name).collect(),
    }
}

/// The names of a cluster's nodes; none where they cannot be listed.
pub async fn node_names(settings: &ClusterSettings) -> Option<Vec<String>> {
    let nodes = Cluster::connect(settings).await.ok()?.nodes().await.ok()?;
    Some(nodes.into_iter().map(|node| node.metadata.name.into()).collect())
}

/// The names of a cluster's namespaces; none where they cannot be listed.
pub async fn namespace_names(settings: &ClusterSettings) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Namespace {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        name: String,
    }
    let cluster = Cluster::connect(settings).await.ok()?;
    let namespaces = cluster.list::<core::Namespace, Namespace>(Selection::default()).await.ok()?;
    Some(namespaces.into_iter().map(|namespace| namespace.metadata.name).collect())
}
