//! `staledp fix` and `staledp rbac`, as typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::values::duration;
use super::{ClusterArgs, LookArgs};
use crate::base::error::Error;
use crate::base::{program, similar};
use crate::knowledge::code::{Code, Kind};

/// What `fix --help` promises; in lines that a screen of 80 columns does not fold.
pub(super) const PROMISE: &str = "\
Restart a stale node's Cilium pod once, safely, and prove that it worked

It promises:
  - A node that is not stale is left alone, unless --force names its verdict.
  - Nothing is changed before you agree, except for the lock: one Lease, so
    that two operators cannot repair at once. The lock is released on every
    exit, including the first Ctrl-C; otherwise it expires after 15 minutes.
  - The evidence is saved before the restart destroys it.
  - At most one DELETE per node leaves this machine, for one pod by name and
    UID, whatever happens to the connection.
  - Nothing else is written, except for one Event per restart.
  - \"Verified\" means that the checks that convicted the node pass, on flows
    since the new agent started. A restart that did not help is not repeated.
  - It never restarts all nodes: --all-nodes and -l do not exist here. With
    several --node it stops at the first node that cannot be verified.
  - Every step has a deadline.";

/// What `fix --help` says below the options.
pub(super) const STEPS: &str = "\
Steps, each shown on standard error:
   1. Diagnose the node and some others (--timeout for each).
   2. Preflight: rights, node, owner, version, other agents, lock, storm,
      image, known issues, cluster DNS, only replicas, cooldown. Each line
      gives the reason and which flag overrides it, if any.
   3. Save the evidence as a bundle, and print its path.
   4. Lock: acquire the Lease staledp-fix in Cilium's namespace.
   5. Ask, for five minutes. The default is no; --yes answers yes. Without a
      terminal and without --yes nothing is changed.
   6. Delete the node's one Cilium pod. If the answer gets lost, the request is
      not repeated: staledp looks at what became of the pod.
   7. Wait until its replacement on the node is ready (--wait), and show its
      progress.
   8. Verify (--verify), and watch whether it lasts (--watch).
   9. Clean up: record an Event, release the lock.

The first Ctrl-C ends any step in good order, the second ends at once. If a run
was killed between restart and verification, run it again: it resumes without
another restart; from the same machine at once, from another machine when the
lock has expired. After an hour it starts anew.";

/// `staledp fix`.
#[derive(Args, Debug)]
#[command(next_help_heading = "Repair")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct FixArgs {
    /// Nodes to repair, as with --node
    #[arg(value_name = "NODE", value_parser = super::values::node)]
    pub nodes: Vec<String>,

    /// Node to repair (repeatable: one after the other; stops at the first node that cannot be verified)
    #[arg(long, value_name = "NAME", value_parser = super::values::node, required_unless_present = "nodes")]
    pub node: Vec<String>,

    /// Restart without asking
    #[arg(short, long)]
    pub yes: bool,

    /// Do steps 1 to 3, print the exact request that would be sent, and stop; acquires no lock and sends no DELETE
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,

    /// Restart although the node is not stale, if this is its verdict; recorded in the Event and the output
    #[arg(long, value_name = "CODE", value_parser = code)]
    pub force: Option<Code>,

    /// Restart although the preflight finds a high risk: the agent started less than ten minutes ago, other agents are not
    /// ready, a rollout would change the version, an image must be pulled, all of cluster DNS runs on this node, or a
    /// known issue cuts nodes off
    #[arg(long)]
    pub accept_risk: bool,

    /// Restart although several nodes look broken: more than one is stale, or over 10 % of the others are broken
    #[arg(long)]
    pub nodes_at_risk_ok: bool,

    /// Number of other nodes to judge, for the comparison between nodes and the storm rule
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u16).range(0..=256))]
    pub neighbours: u16,

    /// Timeout of waiting for the replacement to be ready
    #[arg(long, value_name = "DURATION", default_value = "8m", value_parser = duration)]
    pub wait: Duration,

    /// Timeout of the verification
    #[arg(long, value_name = "DURATION", default_value = "3m", value_parser = duration)]
    pub verify: Duration,

    /// Watch this long after the verification that no new flow stays unanswered, no probe newly fails, and the agent does
    /// not restart [default: off]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub watch: Option<Duration>,

    /// Where to save the evidence: a folder, or one file NAME.tar.gz; an existing bundle is renamed NAME.1. With several
    /// nodes, a folder that gets a bundle for each [default: ./staledp-NODE-TIME]
    #[arg(long, value_name = "DIR", value_parser = super::values::bundle)]
    pub save: Option<PathBuf>,

    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,

    /// What to ask, and where.
    #[command(flatten)]
    pub look: LookArgs,
}

/// `staledp rbac`.
#[derive(Args, Debug)]
pub struct RbacArgs {
    /// Command that needs the rights
    #[arg(value_enum)]
    pub command: RbacFor,

    /// Namespace of the Cilium agents
    #[arg(long, value_name = "NAMESPACE", default_value = "kube-system")]
    pub cilium_namespace: String,

    /// Namespace that `staledp watch` runs in
    #[arg(long, value_name = "NAMESPACE", default_value = "staledp")]
    pub namespace: String,
}

/// The commands that rights are printed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RbacFor {
    /// A ClusterRole that only reads
    Diagnose,
    /// A ClusterRole that only reads; `symptoms` reports what it is not permitted to read
    Symptoms,
    /// A ClusterRole that only reads: that of `diagnose`
    Gate,
    /// The ClusterRole of `diagnose`, and a Role in the namespace of the agents that only reads
    Risk,
    /// The ClusterRole of `diagnose`, and a Role in the namespace of the agents
    Fix,
    /// The ClusterRole of `diagnose` with the one condition on nodes, and a Role in its own namespace
    Watch,
}

/// A verdict code that can be forced.
fn code(text: &str) -> Result<Code, Error> {
    let code = Code::ALL.iter().copied().find(|code| code.name() == text);
    match code {
        None => {
            let names = Code::ALL.iter().map(|code| code.name());
            let meant = similar::question(text, names);
            Err(Error::usage(format!("unknown verdict code; {meant}`{} explain` lists them", program::name())))
        }
        Some(code) if code.kind() == Kind::Healthy => Err(Error::usage("a healthy node is not restarted")),
        Some(code) => Ok(code),
    }
}
