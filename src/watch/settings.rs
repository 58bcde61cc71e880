//! The settings of `staledp watch`.

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::cluster_settings::ClusterSettings;
use crate::diagnose::DiagnoseSettings;

/// Everything `watch` needs to know.
#[derive(Clone, Debug)]
pub struct WatchSettings {
    /// The cluster.
    pub cluster: ClusterSettings,
    /// How it looks at nodes.
    pub look: DiagnoseSettings,
    /// Each node is looked at at least so often.
    pub every: Duration,
    /// The least time between the two looks that convict a node.
    pub confirm_after: Duration,
    /// The most execs per minute.
    pub execs_per_minute: u32,
    /// Where metrics and probes are served.
    pub listen: SocketAddr,
    /// The type of the condition.
    pub condition: String,
    /// The namespace of the Lease and the Events.
    pub namespace: String,
    /// Who watches, as the Lease shows it; no other process has the same.
    pub identity: String,
    /// Remove the condition from all nodes, and watch nothing.
    pub uninstall: bool,
}
