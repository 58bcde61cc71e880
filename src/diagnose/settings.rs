//! The settings of a diagnosis: what to ask, how long it may take, and how many nodes at once.

use std::time::Duration;

use crate::base::questions::Questions;
use crate::base::shard::Shard;
use crate::base::symptom_options::SymptomOptions;

/// Everything a diagnosis needs to know beside its nodes and their source.
#[derive(Clone, Debug)]
pub struct DiagnoseSettings {
    /// Whether the nodes were named one by one: then none is skipped.
    pub named: bool,
    /// What to ask, and where.
    pub questions: Questions,
    /// Which symptoms are read beyond the lists.
    pub symptoms: SymptomOptions,
    /// Timeout of one node.
    pub timeout: Duration,
    /// Number of nodes looked at in parallel.
    pub concurrency: usize,
    /// Timeout of the whole run; none: as long as its nodes take.
    pub deadline: Option<Duration>,
    /// Which shard of all nodes these are; none: all of them.
    pub shard: Option<Shard>,
    /// Count only conntrack entries with traffic since the agent's container started: after a restart the dead flows of
    /// the old agent are still listed.
    pub since_agent_start: bool,
    /// Whether a single node may be compared with one neighbour.
    pub compare: bool,
}

impl DiagnoseSettings {
    /// Timeout of symptoms, which are read beside the nodes: that of one node, and no longer than the run.
    #[must_use]
    pub fn symptoms_limit(&self) -> Duration {
        self.deadline.map_or(self.timeout, |whole| whole.min(self.timeout))
    }
}
