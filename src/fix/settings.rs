//! The settings of a repair.

use std::path::PathBuf;
use std::time::Duration;

use crate::base::cluster_settings::ClusterSettings;
use crate::diagnose::DiagnoseSettings;
use crate::knowledge::code::Code;

/// Everything `fix` needs to know.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct FixSettings {
    /// The nodes, in the order in which they were named.
    pub nodes: Vec<String>,
    /// The cluster.
    pub cluster: ClusterSettings,
    /// How it diagnoses.
    pub look: DiagnoseSettings,
    /// Whether `--yes` answers the question.
    pub yes: bool,
    /// Whether there is a terminal to ask at.
    pub terminal: bool,
    /// Stop before anything is changed.
    pub dry_run: bool,
    /// The verdict that does not stop it.
    pub force: Option<Code>,
    /// Whether a high risk is accepted.
    pub accept_risk: bool,
    /// Whether several broken nodes do not stop it.
    pub nodes_at_risk_ok: bool,
    /// Number of other nodes to judge.
    pub neighbours: usize,
    /// Timeout of waiting for the replacement.
    pub wait: Duration,
    /// Timeout of the verification.
    pub verify: Duration,
    /// How long to watch after the verification.
    pub watch: Option<Duration>,
    /// Where to save the evidence; none: a new folder in the working directory.
    pub save: Option<PathBuf>,
    /// The lock is renewed when it is this old.
    pub renew_lock_after: Duration,
    /// Who repairs, as the lock shows it: `alice@laptop/4711`.
    pub who: String,
    /// This process, if it can be identified; see [`super::process`].
    pub process: Option<String>,
}
