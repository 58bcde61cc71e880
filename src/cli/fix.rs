//! `staledp fix` and `staledp rbac`, as typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{ClusterArgs, LookArgs, duration};
use crate::rules::verdict::{Code, Kind};

/// What `fix --help` promises.
pub(super) const PROMISE: &str = "\
What it does, in this order, each step shown on standard error and with a deadline of its own:
   1. Diagnose the node, beside some others. Only a stale node goes on.
   2. Preflight: rights, owner, rollout, other agents, lock, storm, image, known issues, DNS, cooldown.
   3. Keep the evidence as a bundle, and print where.
   4. Lock: the Lease staledp-fix in Cilium's namespace; two operators can't fix at once.
   5. Ask. The default is no.
   6. Delete the node's one Cilium pod, by name and UID, with one request that is never repeated.
   7. Wait for its replacement on the same node to be ready.
   8. Verify with the checks that convicted the node, counting only flows since the new agent's start.
   9. Leave one Event about the pod and the node, and release the lock.

What it promises:
  - Nothing is changed before you agreed, but the lock, which is released on every way out, Ctrl-C included.
  - At most one DELETE leaves this machine per node, whatever happens to the connection.
  - It deletes one pod, holds one Lease, writes one Event per restart, and writes nothing else.
  - It never restarts all nodes: --all-nodes and -l do not exist here.
  - Success is said only after it was verified.

Exit codes:
  0  restarted and verified
  2  the command line or the configuration is wrong; nothing was contacted
  5  could not run at all: no kubeconfig, no such context, API unreachable
  6  restarted, but the verification failed or did not finish
  7  refused by a safety rule, or not confirmed; nothing was changed (--dry-run: it would be refused)
  130  interrupted";

/// `staledp fix`.
#[derive(Args, Debug)]
#[command(next_help_heading = "Repair")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct FixArgs {
    /// The node to repair (repeatable: one after the other, and no further than the first that is not verified)
    #[arg(long, value_name = "NAME", required = true)]
    pub node: Vec<String>,

    /// Restart without asking
    #[arg(short, long)]
    pub yes: bool,

    /// Do steps 1 to 3, print the exact request that would be sent, and stop; takes no lock and sends no DELETE
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,

    /// Go on although the node is not stale, if its verdict is this one; recorded in the Event and the output
    #[arg(long, value_name = "CODE", value_parser = code)]
    pub force: Option<Code>,

    /// Go on although the preflight says that the risk is high
    #[arg(long)]
    pub accept_risk: bool,

    /// Go on although several nodes look broken
    #[arg(long)]
    pub nodes_at_risk_ok: bool,

    /// How many other nodes are judged beside the named ones: for the comparison between nodes and the storm rule
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u16).range(0..=256))]
    pub neighbours: u16,

    /// How long to wait for the replacement to be ready
    #[arg(long, value_name = "DURATION", default_value = "8m", value_parser = duration)]
    pub wait: Duration,

    /// How long to go on looking until the node is verified
    #[arg(long, value_name = "DURATION", default_value = "3m", value_parser = duration)]
    pub verify: Duration,

    /// After the verification, go on looking for this long: nothing may fail again [default: off]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub watch: Option<Duration>,

    /// Where to keep the evidence [default: ./staledp-NODE-TIME]
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,

    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,

    /// What is asked, and of whom.
    #[command(flatten)]
    pub look: LookArgs,
}

/// `staledp rbac`.
#[derive(Args, Debug)]
pub struct RbacArgs {
    /// The command that the rights are for
    #[arg(value_enum)]
    pub command: RbacFor,

    /// The namespace of the Cilium agents
    #[arg(long, value_name = "NAMESPACE", default_value = "kube-system")]
    pub cilium_namespace: String,
}

/// The commands that rights are printed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RbacFor {
    /// `staledp diagnose`: a ClusterRole that only reads
    Diagnose,
    /// `staledp fix`: the same and a Role in the namespace of the agents
    Fix,
}

/// A verdict code that can be forced.
fn code(text: &str) -> Result<Code, String> {
    let code = Code::ALL.iter().copied().find(|code| code.name() == text);
    match code {
        None => Err("this is no verdict code; `staledp explain` lists them".to_owned()),
        Some(code) if code.kind() == Kind::Healthy => Err("a healthy node is not restarted".to_owned()),
        Some(code) => Ok(code),
    }
}
