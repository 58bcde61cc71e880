//! `staledp watch`, as typed.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use super::values::duration;
use super::{ClusterArgs, LookArgs};
use crate::base::error::Error;

/// What `watch --help` says first; in lines that a screen of 80 columns does not fold.
pub(super) const ABOUT: &str = "\
Judge all nodes continuously, from inside the cluster, and keep one condition on
each

It judges as `diagnose` does and repairs nothing. It writes one condition on
nodes (nodes/status), one Lease named staledp-watch in its own namespace, and
an Event when a condition turns.

The condition is False after two convictions in a row, Unknown after another
fault was seen twice, and True as soon as a node is seen healthy. Only a healthy
look clears False. A node that cannot be judged keeps its condition, and the
heartbeat of that grows old.";

/// `staledp watch`.
#[derive(Args, Debug)]
#[command(next_help_heading = "Watch")]
pub struct WatchArgs {
    /// Look at each node at least this often; suspects are looked at sooner
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration)]
    pub every: Duration,

    /// Least time between the two looks that convict a node: an entry without answer lives for a minute, so that the
    /// second look rests on other flows
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub confirm_after: Duration,

    /// Budget of commands in containers per minute; a costly look is paid off by a pause
    #[arg(long, value_name = "N", default_value = "2400", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub execs_per_minute: u32,

    /// Address and port of /metrics, /healthz and /readyz
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:9651")]
    pub listen: SocketAddr,

    /// Type of the condition on nodes
    #[arg(long, value_name = "TYPE", default_value = "staledp.dev/DatapathHealthy", value_parser = condition_type)]
    pub condition_type: String,

    /// Namespace of the Lease and the Events [default: the pod's own, else staledp]
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Remove the condition from all nodes and stop
    #[arg(long)]
    pub uninstall: bool,

    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,

    /// What to ask, and where.
    #[command(flatten)]
    pub look: LookArgs,
}

/// `DOMAIN/Name`, as Kubernetes wants the types of conditions that are not its own.
fn condition_type(text: &str) -> Result<String, Error> {
    let is_label = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    };
    match text.split_once('/') {
        Some((domain, name)) if is_label(domain) && is_label(name) && domain.contains('.') && text.len() <= 316 => {
            Ok(text.to_owned())
        }
        _ => Err(Error::usage("not a condition type: write DOMAIN/Name, such as example.org/DatapathHealthy")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_type_needs_a_domain() {
        assert!(condition_type("staledp.dev/DatapathHealthy").is_ok());
        for wrong in ["Ready", "x/y", "a.b/", "/Name", "a.b/c d", ""] {
            assert!(condition_type(wrong).is_err(), "{wrong}");
        }
    }
}
