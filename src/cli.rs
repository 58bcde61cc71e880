//! What can be typed. No logic: [`crate::settings`] says what was meant.

mod fix;
pub mod symptoms;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::base::pod_ref::PodRef;
use crate::base::screen::{Format, When};
pub use fix::{FixArgs, RbacArgs, RbacFor};

/// Finds nodes whose Cilium datapath went stale, says why, and names the one command that repairs it.
#[derive(Debug, Parser)]
#[command(name = "staledp", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// How to show it.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the five checks on each chosen node and print a verdict and a remedy per node; never writes to the cluster
    #[command(after_help = EXIT_CODES)]
    Diagnose(Box<DiagnoseArgs>),
    /// Gather the evidence of nodes into a bundle, without judging it; never writes to the cluster
    Capture(Box<CaptureArgs>),
    /// Restart a stale node's Cilium pod, once, safely, and prove that it worked
    #[command(long_about = fix::PROMISE, after_help = fix::STEPS)]
    Fix(Box<FixArgs>),
    /// Print the least rights that a command needs, as YAML for `kubectl apply -f -`
    Rbac(RbacArgs),
    /// Join the reports of shards (json, jsonl or yaml) into one, with the nodes compared over all of them
    #[command(after_help = EXIT_CODES)]
    Merge {
        /// Reports to join; `-` is standard input
        #[arg(required = true, value_name = "REPORT")]
        reports: Vec<PathBuf>,
    },
    /// Compare two bundles, archives or reports of the same nodes: which verdicts, checks and figures changed; exit
    /// code 0 means that they could be compared
    Diff {
        /// What was before: a bundle, an archive or a report
        before: PathBuf,
        /// What is after
        after: PathBuf,
    },
    /// Show what the cluster already says (failing probes, restarts, DNS errors, buffers), by node; never writes to it
    Symptoms(Box<symptoms::SymptomsArgs>),
    /// Explain a verdict code or a check, offline; without CODE list them all
    Explain {
        /// A verdict code or the id of a check
        code: Option<String>,
    },
    /// Print the completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, in roff
    Man,
    /// Print the version; with `-o json` for programs
    Version,
}

/// The exit codes as `--help` shows them.
const EXIT_CODES: &str = "\
Exit codes:
  0  every node judged is healthy
  1  at least one node is stale
  2  the command line or the configuration is wrong; nothing was contacted
  3  no node is stale, but at least one has another fault
  4  no node is stale or otherwise faulty, but at least one could not be judged
  5  could not run at all: no kubeconfig, no such context, API unreachable, bundle unreadable
  130  interrupted";

/// How to show it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Output format
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    pub output: Format,

    /// Say more on standard error (-vv: the libraries too)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Say nothing on standard error but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Colours: NO_COLOR is honoured by `auto`
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: When,

    /// Show no progress
    #[arg(long, global = true)]
    pub no_progress: bool,
}

/// `staledp diagnose`.
#[derive(Args, Debug)]
pub struct DiagnoseArgs {
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// What is looked at.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Which symptoms cost calls of their own.
    #[command(flatten)]
    pub symptoms: symptoms::SymptomArgs,
    /// What is kept.
    #[command(flatten)]
    pub save: SaveArgs,
}

/// What is kept.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Target")]
pub struct SaveArgs {
    /// Keep the raw evidence of this run as a bundle: a folder, or one file NAME.tar.gz; a bundle of that name that is
    /// there already becomes NAME.1
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,

    /// Put other names and addresses in the place of those in the bundle, so that it can be shown to everybody and
    /// still gives the same verdict; what is shown here stays as it is
    #[arg(long, requires = "save")]
    pub redact: bool,
}

/// `staledp capture`.
#[derive(Args, Debug)]
pub struct CaptureArgs {
    /// Where to: a folder, or one file NAME.tar.gz; a bundle of that name that is there already becomes NAME.1
    #[arg(value_name = "DIR")]
    pub to: PathBuf,
    /// Put other names and addresses in the place of those in the bundle, so that it can be shown to everybody and
    /// still gives the same verdict
    #[arg(long, help_heading = "Target")]
    pub redact: bool,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// What is looked at.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Which symptoms cost calls of their own.
    #[command(flatten)]
    pub symptoms: symptoms::SymptomArgs,
}

/// Which cluster, as kubectl has it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// The kubeconfig context
    #[arg(long)]
    pub context: Option<String>,

    /// The kubeconfig file
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// User to act as
    #[arg(long = "as", value_name = "USER")]
    pub as_user: Option<String>,

    /// Group to act as (repeatable)
    #[arg(long, value_name = "GROUP", requires = "as_user")]
    pub as_group: Vec<String>,

    /// How long a single request may take; of that, a kubelet has 8s at most to begin a command
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration)]
    pub request_timeout: Duration,
}

/// What is looked at.
#[derive(Args, Debug)]
#[command(next_help_heading = "Target")]
pub struct TargetArgs {
    /// A node to look at (repeatable)
    #[arg(long, value_name = "NAME", conflicts_with = "all_nodes")]
    pub node: Vec<String>,

    /// Look at all nodes
    #[arg(long)]
    pub all_nodes: bool,

    /// Look at the nodes with these labels, `key=value,key!=value,key,!key`
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with_all = ["node", "all_nodes"])]
    pub selector: Option<String>,

    /// A node to leave out (repeatable)
    #[arg(long, value_name = "NAME")]
    pub exclude_node: Vec<String>,

    /// Judge only the I-th of N slices of the nodes, counted from 0 as by an Indexed Job; `staledp merge` joins them
    #[arg(long, value_name = "I/N")]
    pub shard: Option<crate::base::shard::Shard>,

    /// Read the evidence from a bundle (a folder or a tar), a `cilium sysdump` zip or a `cilium-bugtool` tar instead of
    /// a cluster
    #[arg(long, value_name = "PATH", conflicts_with_all = ["context", "kubeconfig", "as_user"])]
    pub from: Option<PathBuf>,

    /// How long the whole run may take; what is not done by then is left out, and said to be [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub deadline: Option<Duration>,

    /// What is asked, and of whom.
    #[command(flatten)]
    pub look: LookArgs,
}

/// What is asked, and of whom: the same for every command that looks at nodes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Target")]
pub struct LookArgs {
    /// The namespace of the Cilium agents [default: found by the label k8s-app=cilium]
    #[arg(long, value_name = "NAMESPACE")]
    pub cilium_namespace: Option<String>,

    /// The node-local DNS address [default: found from NodeLocal DNS itself, else 169.254.25.10]
    #[arg(long, value_name = "ADDR")]
    pub node_local_dns: Option<std::net::IpAddr>,

    /// The cluster DNS service [default: found by the label k8s-app=kube-dns]
    #[arg(long, value_name = "NS/NAME")]
    pub dns_service: Option<PodRef>,

    /// Outside addresses of the runbook to count entries for (repeatable) [default: 1.1.1.1, 8.8.8.8, 185.12.0.0/16]
    #[arg(long, value_name = "PREFIX")]
    pub external_ip: Vec<crate::base::net::Prefix>,

    /// A pod of the node that runs the probes (repeatable) [default: pods of the node that can]
    #[arg(long, value_name = "NS/NAME")]
    pub probe_pod: Vec<PodRef>,

    /// What the probes fetch
    #[arg(long, value_name = "URL", default_value = "https://google.com", value_parser = url)]
    pub probe_url: String,

    /// What the host pings, and what the probes reach by address
    #[arg(long, value_name = "ADDR", default_value = "1.1.1.1")]
    pub ping_target: std::net::IpAddr,

    /// The user for SSH [default: what `ssh NODE` would take]
    #[arg(long, value_name = "USER")]
    pub ssh_user: Option<String>,

    /// The port for SSH [default: what `ssh NODE` would take]
    #[arg(long, value_name = "PORT")]
    pub ssh_port: Option<u16>,

    /// An option for ssh, as in `ssh -o` (repeatable)
    #[arg(long, value_name = "K=V", value_parser = ssh_option)]
    pub ssh_option: Vec<(String, String)>,

    /// What to connect to
    #[arg(long, value_enum, default_value = "name", value_name = "KIND")]
    pub ssh_address: SshAddress,

    /// Do not use SSH: ask the agent's container instead
    #[arg(long)]
    pub no_ssh: bool,

    /// Whether a neighbour of a single node that looks stale is looked at, too
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    pub compare: Compare,

    /// Read large tables uncompressed, even where the agent's container could compress them
    #[arg(long)]
    pub no_compress: bool,

    /// How long one node may take
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub timeout: Duration,

    /// How many nodes at once
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
}

/// When a neighbour is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compare {
    /// Where one node alone is judged and looks stale: one exec on one neighbour
    Auto,
    /// Never
    Never,
}

/// Which of a node's names SSH connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SshAddress {
    /// The node's name, as `ssh NODE` does
    Name,
    /// Its InternalIP
    InternalIp,
    /// Its ExternalIP
    ExternalIp,
}

/// A duration as people write it; a plain number is seconds, as kubectl has it for `--request-timeout`.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text).map_err(|e| format!("{e}; write 30s or 2m"))?,
    };
    if parsed.is_zero() || parsed > Duration::from_secs(86_400) {
        return Err("a duration is more than 0 and at most a day: everything here ends".to_owned());
    }
    Ok(parsed)
}

/// An address to fetch: http or https, with a host.
fn url(text: &str) -> Result<String, String> {
    let uri: http::Uri = text.parse().map_err(|e| format!("{e}"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(text.to_owned()),
        _ => Err("write http://HOST/… or https://HOST/…".to_owned()),
    }
}

/// `K=V`.
fn ssh_option(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err("write Keyword=value, as in ssh_config".to_owned()),
    }
}
