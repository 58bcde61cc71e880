//! The settings of `staledp gate`, resolved from its arguments.

use std::path::PathBuf;
use std::time::Duration;

use super::{EvidenceFrom, Settings};
use crate::base::error::Error;
use crate::base::time::Since;
use crate::cli::symptoms::SymptomArgs;
use crate::cli::{GateArgs, SaveArgs};

/// What was meant by `staledp gate`.
#[derive(Clone, Debug)]
pub struct GateSettings {
    /// The baseline.
    pub before: PathBuf,
    /// From when on a change of a node counts; none: since the baseline.
    pub since: Option<Since>,
    /// The longest time to wait until the agents are settled.
    pub wait: Duration,
    /// From which age on an agent is settled, in seconds.
    pub settle_s: i64,
    /// Which nodes are looked at, and how.
    pub look: Settings,
}

/// Resolves what was typed.
///
/// # Errors
///
/// A usage error where both the baseline and the evidence are standard input.
pub fn gate(args: GateArgs) -> Result<GateSettings, Error> {
    let GateArgs { nodes, before, since, wait, settle, cluster, mut target } = args;
    target.node.extend(nodes);
    let look = Settings::resolve(cluster, target, SymptomArgs::default(), SaveArgs::default());
    if let EvidenceFrom::Path(path) = &look.evidence
        && path.as_os_str() == "-"
        && before.as_os_str() == "-"
    {
        return Err(Error::usage("--before and --from cannot both read standard input"));
    }
    let settle_s = i64::try_from(settle.as_secs()).unwrap_or(i64::MAX);
    Ok(GateSettings { before, since, wait, settle_s, look })
}
