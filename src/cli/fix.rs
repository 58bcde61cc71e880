//! `staledp fix` and `staledp rbac`, as typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{ClusterArgs, LookArgs, duration};
use crate::knowledge::code::{Code, Kind};

/// What `fix --help` promises; in lines that a screen of 80 columns does not fold.
pub(super) const PROMISE: &str = "\
Restart a stale node's Cilium pod, once, safely, and prove that it worked

It promises:
  - A node that is not stale is left alone, unless --force names its verdict.
  - Nothing is changed before you agreed, but the lock: one Lease, so that two
    operators can't repair at once. It is let go of on every way out, the
    first Ctrl-C included; else it expires after 15 minutes.
  - The evidence is kept before the restart destroys it.
  - At most one DELETE per node leaves this machine, for one pod by name and
    UID, whatever becomes of the connection.
  - Nothing else is written but one Event per restart.
  - \"Verified\" is said only when the checks that convicted the node pass, on
    flows since the new agent's start. A restart that did not help is not
    repeated.
  - It never restarts all nodes: --all-nodes and -l do not exist here. Of
    several --node the first that is not verified is the last one touched.
  - Everything ends: each step has a deadline.";

/// What `fix --help` says at its end.
pub(super) const STEPS: &str = "\
What it does, in this order, each step shown on standard error:
   1. Diagnose the node, beside some others (--timeout for each).
   2. Preflight: rights, node, owner, version, other agents, lock, storm,
      image, known issues, cluster DNS, only replicas, cooldown. Each line says
      why, and which flag goes on all the same, where there is one.
   3. Keep the evidence as a bundle, and print where.
   4. Lock: the Lease staledp-fix in Cilium's namespace.
   5. Ask, for five minutes. The default is no, and --yes answers. Without a
      terminal and without --yes nothing is done.
   6. Delete the node's one Cilium pod. If the answer gets lost, nothing is
      sent again: what became of the pod is looked at.
   7. Wait until its replacement on the node is ready (--wait), and say what it
      does meanwhile.
   8. Verify (--verify), and watch whether it lasts (--watch).
   9. Leave: release the lock, and write one Event about the node and the pod.

The first Ctrl-C ends it in good order at any step, the second at once. If it
was killed between the restart and the verification, run it again: it goes on
where it was, without another restart; from the same machine at once, from
another one when the lock has expired, and an hour later it starts anew.

Exit codes:
  0  restarted and verified (--dry-run: it would be tried)
  2  the command line or the configuration is wrong; nothing was contacted
  5  could not run at all: no kubeconfig, no such context, API unreachable
  6  restarted, but the verification failed or did not finish
  7  refused by a safety rule, or not confirmed; nothing was changed
     (--dry-run: it would be refused)
  130  interrupted; the last line says how far it came";

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

    /// Go on although the preflight says that the risk is high: the agent started less than ten minutes ago, other agents
    /// are not ready, another version waits, an image has to be pulled, all of cluster DNS runs here, or an issue is
    /// known that cuts nodes off
    #[arg(long)]
    pub accept_risk: bool,

    /// Go on although several nodes look broken: more than one is stale, or over 10 % of the others are broken
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

    /// After the verification, watch for this long: no new flow without answer, no newly failed probe, and the agent
    /// stays [default: off]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub watch: Option<Duration>,

    /// Where to keep the evidence: a folder, or one file NAME.tar.gz; a bundle of that name that is there already becomes
    /// NAME.1; for several nodes a folder with one for each [default: ./staledp-NODE-TIME]
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
    /// `staledp symptoms`: a ClusterRole that only reads, too; what one leaves out of it is said to be unread
    Symptoms,
    /// `staledp fix`: that of `diagnose` and a Role in the namespace of the agents
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
