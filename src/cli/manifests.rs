//! `staledp manifests`, as typed.

use clap::{Args, ValueEnum};

use crate::base::error::Error;

/// `staledp manifests`.
#[derive(Args, Debug)]
pub struct ManifestsArgs {
    /// What to print
    #[arg(value_enum)]
    pub what: ManifestName,

    /// Image with staledp as its entrypoint
    #[arg(long, value_name = "IMAGE", default_value = concat!("staledp:", env!("CARGO_PKG_VERSION")))]
    pub image: String,

    /// Namespace that staledp runs in; medik8s: that Self Node Remediation runs in
    #[arg(long, value_name = "NAMESPACE", default_value = "staledp")]
    pub namespace: String,

    /// Namespace of the Cilium agents
    #[arg(long, value_name = "NAMESPACE", default_value = "kube-system")]
    pub cilium_namespace: String,

    /// Type of the condition on nodes
    #[arg(long, value_name = "TYPE", default_value = "staledp.dev/DatapathHealthy")]
    pub condition_type: String,

    /// Real address of the API server, so that no Service of a stale node lies between
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    pub api_server: Option<(String, u16)>,

    /// job: number of pods that share the nodes
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub shards: u32,

    /// watch: add a ServiceMonitor
    #[arg(long)]
    pub service_monitor: bool,
}

/// What can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ManifestName {
    /// Namespace, service account, rights, Deployment and Service of `staledp watch`
    Watch,
    /// CronJob that diagnoses all nodes every half hour
    Cronjob,
    /// Indexed Job whose pods share the nodes
    Job,
    /// PrometheusRule: stale nodes, old rounds, failed repairs
    Alerts,
    /// Grafana dashboard (JSON)
    Dashboard,
    /// NodeReadinessRule of the Node Readiness Controller
    ReadinessRule,
    /// NodeHealthCheck of Medik8s
    Medik8s,
}

fn host_and_port(text: &str) -> Result<(String, u16), Error> {
    let wrong = || Error::usage("not an address: write HOST:PORT, such as 192.168.10.5:6443");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_host =
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'));
    match port.parse() {
        Ok(port) if is_host && port > 0 => Ok((host.to_owned(), port)),
        _ => Err(wrong()),
    }
}
