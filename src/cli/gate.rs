//! `staledp gate`, as typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::{duration, node, since};
use super::{ClusterArgs, TargetArgs};
use crate::base::exit::Exit;
use crate::base::program;
use crate::base::time::Since;

/// What `gate --help` says first; in lines that a screen of 80 columns does not fold.
pub(super) const ABOUT: &str = "\
Judge nodes during a rollout and compare them with a report of before; never
writes to the cluster

It waits until the agents of the nodes are settled (the node and its agent
ready, the agent older than --settle), judges the nodes as `diagnose` does, and
compares each with its entry in the baseline:
  - worse: a fault that the node did not have, or a check that passed before
    and fails now.
  - no worse: healthy now, or the fault of before and no other.
  - cannot tell: the node could not be judged, its agent did not settle, it is
    faulty and not in the baseline, or its fault cannot be compared.

Without --since, -l or nodes it judges those whose agent is not the one of the
baseline, and those that join while it waits. Nodes that did not change are not
judged, and it says so.";

/// A rollout node by node; it runs as it stands, in `tests/api/gate.rs`.
pub const LOOP: &str = r#"staledp diagnose --all-nodes -o json > before.json
for node in $(kubectl get nodes -o name); do
  kubectl delete pod -n kube-system -l k8s-app=cilium \
    --field-selector spec.nodeName="${node#node/}" || exit
  staledp gate --before before.json "$node" || exit
done"#;

/// The end of its help.
pub(super) fn after_help() -> String {
    let examples = "  cilium upgrade && staledp gate --before before.json
  staledp gate --before before.json prusik brno
  staledp gate --before before.json --since 20m -l pool=b -o json";
    let codes = [
        (Exit::Healthy, "no node judged is worse than before"),
        (Exit::Stale, "at least one node is worse"),
        (Exit::Usage, Exit::Usage.meaning()),
        (Exit::Inconclusive, "no node is worse, but at least one cannot be told, or none was judged"),
        (Exit::CannotRun, Exit::CannotRun.meaning()),
        (Exit::Interrupted, Exit::Interrupted.meaning()),
    ];
    let indented = format!("  {}\n", LOOP.replace('\n', "\n  "));
    let text = format!(
        "Examples:\n{examples}\n\nNode by node, for agents with the update strategy OnDelete:\n{indented}\n{}",
        Exit::help_of(&codes)
    );
    text.replace("staledp ", &format!("{} ", program::name()))
}

/// `staledp gate`.
#[derive(Args, Debug)]
pub struct GateArgs {
    /// Nodes to judge, as with --node
    #[arg(value_name = "NODE", value_parser = node, conflicts_with_all = ["all_nodes", "selector"])]
    pub nodes: Vec<String>,

    /// Baseline: a report (json, jsonl or yaml), a bundle or an archive; `-` is standard input
    #[arg(long, value_name = "REPORT", help_heading = "Gate", value_hint = clap::ValueHint::AnyPath)]
    pub before: PathBuf,

    /// Judge the nodes that changed since this time (RFC 3339) or within this duration: a new agent, a new node, or one
    /// that became ready [default: since the baseline]
    #[arg(long, value_name = "TIME", help_heading = "Gate", value_parser = since, conflicts_with_all = ["nodes", "node"])]
    pub since: Option<Since>,

    /// Longest time to wait until the agents of the nodes are settled; not with --from
    #[arg(long, value_name = "DURATION", help_heading = "Gate", default_value = "15m", value_parser = duration)]
    pub wait: Duration,

    /// Age from which on an agent is settled: a younger one may still be at work on its endpoints
    #[arg(long, value_name = "DURATION", help_heading = "Gate", default_value = "5m", value_parser = duration)]
    pub settle: Duration,

    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,

    /// Which nodes, and from which source.
    #[command(flatten)]
    pub target: TargetArgs,
}
