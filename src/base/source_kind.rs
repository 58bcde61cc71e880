//! The kind of source: a cluster, or evidence saved from one.

use serde::{Deserialize, Serialize};

/// The kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A live cluster.
    Cluster,
    /// A bundle that was saved from one.
    Bundle,
    /// An archive of `cilium sysdump`.
    Sysdump,
    /// An archive of `cilium-bugtool`: one node.
    Bugtool,
}
