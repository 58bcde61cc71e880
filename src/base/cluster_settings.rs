//! Which cluster is asked, as whom, and how its nodes are reached by SSH: what a connection needs.

use std::path::PathBuf;
use std::time::Duration;

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
    /// How long a single request may take.
    pub request_timeout: Duration,
    /// SSH; none: not to be used.
    pub ssh: Option<SshSettings>,
    /// Whether large tables may cross the wire compressed.
    pub compress: bool,
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
