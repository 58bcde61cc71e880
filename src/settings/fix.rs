//! What was meant by `staledp fix`.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use super::{Look, Nodes, Origin, Settings, cluster_settings};
use crate::base::cluster_settings::ClusterSettings;
use crate::base::process;
use crate::base::symptom_options::SymptomOptions;
use crate::cli::FixArgs;
use crate::knowledge::code::Code;

/// Everything `fix` needs to know.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct FixSettings {
    /// The nodes, in the order in which they were named.
    pub nodes: Vec<String>,
    /// The cluster.
    pub cluster: ClusterSettings,
    /// How its diagnoses look.
    pub look: Settings,
    /// Whether the question is answered already.
    pub yes: bool,
    /// Whether there is somebody at a terminal to be asked.
    pub terminal: bool,
    /// Stop before anything is changed.
    pub dry_run: bool,
    /// The verdict that is no obstacle.
    pub force: Option<Code>,
    /// A high risk is accepted.
    pub accept_risk: bool,
    /// Several broken nodes are no obstacle.
    pub nodes_at_risk_ok: bool,
    /// How many other nodes are judged, too.
    pub neighbours: usize,
    /// How long to wait for the replacement.
    pub wait: Duration,
    /// How long to try to verify.
    pub verify: Duration,
    /// How long to watch afterwards.
    pub watch: Option<Duration>,
    /// Where to keep the evidence; none: a new folder here.
    pub save: Option<PathBuf>,
    /// Who repairs, as others are told: `alice@laptop/4711`.
    pub who: String,
    /// This process, where it can be told from all others; see [`crate::base::process`].
    pub process: Option<String>,
}

impl FixSettings {
    /// Resolves what was typed.
    #[must_use]
    pub fn resolve(args: FixArgs) -> Self {
        let FixArgs {
            node,
            yes,
            dry_run,
            force,
            accept_risk,
            nodes_at_risk_ok,
            neighbours,
            wait,
            verify,
            watch,
            save,
            cluster,
            look,
        } = args;
        let Look { ssh, compress, compare, timeout, concurrency, questions } = Look::resolve(look);
        let cluster = cluster_settings(cluster, ssh, compress);
        let mut nodes: Vec<String> = Vec::new();
        for node in node {
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        let user = ["USER", "LOGNAME"].iter().find_map(|key| std::env::var(key).ok().filter(|name| !name.is_empty()));
        let user = user.unwrap_or_else(|| "unknown user".to_owned());
        Self {
            look: Settings {
                symptoms: SymptomOptions::default(),
                nodes: Nodes::Named(nodes.clone()),
                origin: Origin::Cluster(cluster.clone()),
                timeout,
                concurrency,
                compare,
                questions,
                save: None,
                redact: false,
                deadline: None,
                exclude: Vec::new(),
                shard: None,
                since_agent_start: false,
            },
            nodes,
            cluster,
            yes,
            terminal: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            dry_run,
            force,
            accept_risk,
            nodes_at_risk_ok,
            neighbours: usize::from(neighbours),
            wait,
            verify,
            watch,
            save,
            who: format!("{user}@{}/{}", process::host(), std::process::id()),
            process: process::this(),
        }
    }
}
