//! The arguments of `staledp report`.

use std::path::PathBuf;

use clap::Args;

use super::{ClusterArgs, LookArgs};

/// `staledp report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Node to report; with --from it may be left out where the evidence holds one node
    #[arg(value_name = "NODE", required_unless_present = "from")]
    pub node: Option<String>,

    /// Read the evidence from a bundle, a `cilium sysdump` zip or a `cilium-bugtool` tar instead of a cluster
    #[arg(long, value_name = "PATH", conflicts_with_all = ["context", "kubeconfig", "as_user"])]
    pub from: Option<PathBuf>,

    /// The evidence of the same node after the restart, as `staledp fix` keeps it: NAME-after
    #[arg(long, value_name = "PATH", requires = "from")]
    pub after: Option<PathBuf>,

    /// Where to save the redacted archive: one file NAME.tar.gz; an existing one is renamed NAME.tar.gz.1
    #[arg(long, value_name = "FILE", default_value = "staledp-report.tar.gz")]
    pub to: PathBuf,

    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,

    /// What to ask, and where.
    #[command(flatten)]
    pub look: LookArgs,
}
