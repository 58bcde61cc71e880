//! The arguments of `staledp risk`.

use clap::Args;

use super::{ClusterArgs, SaveArgs, TargetArgs};
use crate::base::exit::Exit;

/// What the levels mean, at the head of its long help.
pub(super) const LEVELS: &str =
    "Show what a restart of the Cilium pod may cost on each chosen node, from facts; never \
writes to the cluster.

Each line is one fact: passed, raised, or not looked at. A fact that was not looked at counts as much as the worst \
that it could have said, so missing evidence never lowers the risk. What is known by the release alone is the last \
line, and holds only what no fact answers better. `staledp explain ID` explains a line.";

/// The end of its help.
pub(super) fn after_help() -> String {
    let examples = "  staledp risk --node prusik
  staledp risk --all-nodes -o json > risk.json
  staledp risk --from evidence/";
    let codes = [
        (Exit::Healthy, "nothing raises the risk on any node, and all was looked at"),
        (Exit::Usage, Exit::Usage.meaning()),
        (Exit::OtherFault, "a fact raises the risk on at least one node"),
        (Exit::Inconclusive, "no fact raises the risk, but at least one was not looked at"),
        (Exit::CannotRun, Exit::CannotRun.meaning()),
        (Exit::Interrupted, Exit::Interrupted.meaning()),
    ];
    format!("Examples:\n{examples}\n\n{}", Exit::help_of(&codes))
}

/// `staledp risk`.
#[derive(Args, Debug)]
pub struct RiskArgs {
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Which nodes, and from which source.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Whether to save a bundle, and where.
    #[command(flatten)]
    pub save: SaveArgs,
}
