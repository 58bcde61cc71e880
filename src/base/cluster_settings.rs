//! Which cluster is asked, as whom, and how its nodes are reached by SSH: what a connection needs.

use std::path::PathBuf;
use std::time::Duration;

use super::secret::Secret;
use super::ssh_address::SshAddress;

/// Which cluster, and how to reach its nodes.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// The kubeconfig context; none: the current one.
    pub context: Option<String>,
    /// The kubeconfig file; none: what kubectl would read.
    pub kubeconfig: Option<PathBuf>,
    /// The user to act as.
    pub as_user: Option<String>,
    /// The groups to act as.
    pub as_groups: Vec<String>,
    /// What replaces parts of the kubeconfig.
    pub overrides: Overrides,
    /// How long a single request may take.
    pub request_timeout: Duration,
    /// SSH; none: not to be used.
    pub ssh: Option<SshSettings>,
    /// Whether large tables may cross the wire compressed.
    pub compress: bool,
}

/// What replaces parts of the kubeconfig, as kubectl's options of these names do.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The kubeconfig's cluster to use in place of the context's.
    pub cluster: Option<String>,
    /// The kubeconfig's user to use in place of the context's.
    pub user: Option<String>,
    /// The address of the API server.
    pub server: Option<String>,
    /// The bearer token to log in with; other credentials are then not used.
    pub token: Option<Secret>,
    /// The UID to act as.
    pub as_uid: Option<String>,
}

/// How to reach a node by SSH.
#[derive(Clone, Debug)]
pub struct SshSettings {
    /// The user; none: what `ssh NODE` takes.
    pub user: Option<String>,
    /// The port; none: what `ssh NODE` takes.
    pub port: Option<u16>,
    /// Options as in `ssh -o`.
    pub options: Vec<(String, String)>,
    /// Which of the node's names.
    pub address: SshAddress,
}
