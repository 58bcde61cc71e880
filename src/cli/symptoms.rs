//! The arguments of `symptoms`.

use std::path::PathBuf;

use clap::Args;

use super::{ClusterArgs, SaveArgs};
use crate::base::prometheus::Prometheus;

/// `staledp symptoms`.
#[derive(Args, Debug)]
pub struct SymptomsArgs {
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,

    /// Read from a bundle (a folder or a tar), a `cilium sysdump` zip or a `cilium-bugtool` tar instead of a cluster
    #[arg(long, value_name = "PATH", conflicts_with_all = super::FROM_A_CLUSTER)]
    pub from: Option<PathBuf>,

    /// Symptoms that cost requests of their own.
    #[command(flatten)]
    pub symptoms: SymptomArgs,

    /// Whether to save a bundle, and where.
    #[command(flatten)]
    pub save: SaveArgs,
}

/// The symptoms that cost requests of their own.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Symptoms")]
pub struct SymptomArgs {
    /// Search the last 200 lines of the logs of at most 20 pods for DNS errors, pods with symptoms first
    #[arg(long)]
    pub logs: bool,

    /// Query Prometheus for Vector's buffers: at a URL, or behind a service through the API server's proxy
    #[arg(long, value_name = "URL|NS/SERVICE[:PORT]", conflicts_with = "from")]
    pub prometheus: Option<Prometheus>,

    /// Additional PromQL query (repeatable)
    #[arg(long, value_name = "PROMQL", requires = "prometheus")]
    pub query: Vec<String>,
}
