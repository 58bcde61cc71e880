//! The command line. No logic: [`crate::settings`] resolves what was meant.

mod examples;
mod fix;
mod formats;
pub mod gate;
mod manifests;
mod report;
mod risk;
pub mod symptoms;
mod values;
mod watch;

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::base::pod_ref::PodRef;
use crate::base::program;
use crate::base::screen::{Format, When};
use crate::base::secret::Secret;
use crate::base::ssh_address::SshAddress;
use examples::after_help;
pub use fix::{FixArgs, RbacArgs, RbacFor};
pub use gate::GateArgs;
pub use manifests::{ManifestName, ManifestsArgs};
pub use report::ReportArgs;
pub use risk::RiskArgs;
use values::{bundle, duration, node, ssh_option, url};
pub use watch::WatchArgs;

/// The options that choose a cluster: with saved evidence there is none.
const FROM_A_CLUSTER: [&str; 7] = ["context", "kubeconfig", "as_user", "cluster", "user", "server", "token"];

/// Finds nodes whose Cilium datapath went stale, says why, and names the one command that repairs it.
#[derive(Debug, Parser)]
#[command(name = "staledp", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = after_help("staledp"))]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// How to show results.
    #[command(flatten)]
    pub output: OutputArgs,

    /// The cluster, where it was typed before the command; [`crate::settings::arguments`] hands it to the command.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// The whole command line, under the name that the caller types.
#[must_use]
pub fn command() -> clap::Command {
    let mut command = with_callers_name(Cli::command()).bin_name(program::name());
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, with_callers_name);
    }
    command
}

fn with_callers_name(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| match arg.get_help().map(ToString::to_string) {
        Some(help) => match program::named(&help) {
            Cow::Owned(help) => arg.help(help),
            Cow::Borrowed(_) => arg,
        },
        None => arg,
    })
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the five checks on each chosen node and print a verdict and a remedy per node; never writes to the cluster
    #[command(after_help = after_help("diagnose"))]
    Diagnose(Box<DiagnoseArgs>),
    /// Collect the evidence of nodes into a bundle without judging it; never writes to the cluster
    #[command(after_help = after_help("capture"))]
    Capture(Box<CaptureArgs>),
    /// Restart a stale node's Cilium pod once, safely, and prove that it worked
    #[command(long_about = fix::PROMISE, after_help = format!("{}\n\n{}", fix::STEPS, after_help("fix")))]
    Fix(Box<FixArgs>),
    /// Make one redacted archive of a node's evidence and print an issue for upstream in Markdown; never writes to the cluster
    #[command(after_help = after_help("report"))]
    Report(Box<ReportArgs>),
    /// Show what a restart of the Cilium pod may cost on each chosen node, from facts; never writes to the cluster
    #[command(long_about = risk::LEVELS, after_help = risk::after_help())]
    Risk(Box<risk::RiskArgs>),
    /// Judge all nodes continuously, from inside the cluster, and keep one condition on each
    #[command(long_about = watch::ABOUT, after_help = after_help("watch"))]
    Watch(Box<WatchArgs>),
    /// Judge nodes during a rollout and compare them with a report of before; never writes to the cluster
    #[command(long_about = gate::ABOUT, after_help = gate::after_help())]
    Gate(Box<GateArgs>),
    /// Print the least rights that a command needs, as YAML for `kubectl apply -f -`
    #[command(after_help = after_help("rbac"))]
    Rbac(RbacArgs),
    /// Print ready YAML for a cluster: the watch, jobs, alerts, a dashboard
    #[command(after_help = after_help("manifests"))]
    Manifests(ManifestsArgs),
    /// Join the reports of shards (json, jsonl or yaml) into one, and compare all their nodes; of several contexts into a
    /// report of the fleet
    #[command(after_help = after_help("merge"))]
    Merge {
        /// Reports to join; `-` is standard input
        #[arg(required = true, value_name = "REPORT")]
        reports: Vec<PathBuf>,
    },
    /// Compare two bundles, archives or reports of the same nodes: which verdicts, checks and figures changed
    #[command(after_help = after_help("diff"))]
    Diff {
        /// The older one: a bundle, an archive or a report
        before: PathBuf,
        /// The newer one
        after: PathBuf,

        /// Exit with 1 if anything differs, as `git diff --exit-code` does
        #[arg(long)]
        exit_code: bool,
    },
    /// Show what the cluster already reports (failing probes, restarts, DNS errors, buffers), by node; never writes to
    /// the cluster
    #[command(after_help = after_help("symptoms"))]
    Symptoms(Box<symptoms::SymptomsArgs>),
    /// Explain a verdict code, a check, a line of `risk`, evidence or an upstream issue, offline; without CODE list them all
    #[command(after_help = after_help("explain"))]
    Explain {
        /// A verdict code, the name of a check, of a line of `risk` or of evidence, or the number of an upstream issue
        code: Option<String>,
    },
    /// Print the completion script for a shell; it completes nodes, contexts and codes, too
    #[command(alias = "completion", after_help = after_help("completions"))]
    Completions {
        /// The shell, or kubectl for the file kubectl_complete-staledp of the plugin
        #[arg(value_enum)]
        shell: CompletionsFor,
    },
    /// Print the manual page in roff: of the program, or of one command
    #[command(after_help = after_help("man"))]
    Man(ManArgs),
    /// Show the settings that options have without being typed
    #[command(subcommand, after_help = after_help("config"))]
    Config(ConfigCommand),
    /// Print the JSON Schema of the report that `diagnose -o json` and `merge -o json` print, or of the one of `gate`
    #[command(after_help = after_help("schema"))]
    Schema {
        /// Which report
        #[arg(value_enum, default_value = "report", value_name = "REPORT")]
        what: SchemaOf,
    },
    /// Print the version, the commit it was built from, and how recent its knowledge of upstream issues is
    #[command(after_help = after_help("version"))]
    Version,
}

/// `staledp man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// The command that the page is of [default: the program, with a section for each command]
    #[arg(value_name = "COMMAND")]
    pub page: Option<String>,

    /// Print the names of the commands that have a page, one per line
    #[arg(long, conflicts_with = "page")]
    pub list: bool,
}

/// `staledp config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show what the environment (STALEDP_…) and the configuration file set for this context, and where from
    #[command(after_help = after_help("config"))]
    View(Box<ClusterArgs>),
}

/// What has a JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// `diagnose`, `merge` and `fix`
    Report,
    /// `gate`
    Gate,
}

/// What completion scripts are printed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompletionsFor {
    /// Bash 4.4 or newer
    Bash,
    /// Elvish
    Elvish,
    /// Fish
    Fish,
    /// kubectl, for `kubectl staledp`: an executable file kubectl_complete-staledp on the PATH
    Kubectl,
    /// PowerShell
    #[value(name = "powershell")]
    PowerShell,
    /// Zsh
    Zsh,
}

/// How to show results.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Output format
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    pub output: Format,

    /// Log more to standard error; -vv includes libraries
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Write only errors to standard error
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// When to use colours; `auto` honours NO_COLOR
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: When,

    /// Show no progress
    #[arg(long, global = true)]
    pub no_progress: bool,

    /// Configuration file [default: ~/.config/staledp/staledp.toml]. Every long option can be set there or as an
    /// environment variable STALEDP_OPTION_NAME, except for those that consent to a restart
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print tables without their header rows
    #[arg(long, global = true)]
    pub no_headers: bool,
}

/// `staledp diagnose`.
#[derive(Args, Debug)]
pub struct DiagnoseArgs {
    /// Nodes to look at, as with --node
    #[arg(value_name = "NODE", value_parser = node, conflicts_with_all = ["all_nodes", "selector"])]
    pub nodes: Vec<String>,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Which nodes, and from which source.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Symptoms that cost requests of their own.
    #[command(flatten)]
    pub symptoms: symptoms::SymptomArgs,
    /// Whether to save a bundle, and where.
    #[command(flatten)]
    pub save: SaveArgs,
}

/// Whether to save a bundle, and where.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Target")]
pub struct SaveArgs {
    /// Save the raw evidence of this run as a bundle: a folder, or one file NAME.tar.gz; an existing bundle is renamed
    /// NAME.1
    #[arg(long, value_name = "DIR", value_parser = bundle)]
    pub save: Option<PathBuf>,

    /// Anonymize names and addresses in the saved bundle so that it can be shared; the verdict stays the same
    #[arg(long, requires = "save")]
    pub redact: bool,
}

/// `staledp capture`.
#[derive(Args, Debug)]
pub struct CaptureArgs {
    /// Where to save the bundle: a folder, or one file NAME.tar.gz; an existing bundle is renamed NAME.1
    #[arg(value_name = "DIR", value_parser = bundle, value_hint = clap::ValueHint::AnyPath)]
    pub to: PathBuf,
    /// Anonymize names and addresses in the saved bundle so that it can be shared; the verdict stays the same
    #[arg(long, help_heading = "Target")]
    pub redact: bool,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Which nodes, and from which source.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Symptoms that cost requests of their own.
    #[command(flatten)]
    pub symptoms: symptoms::SymptomArgs,
}

/// Which cluster, with the names and meanings of kubectl.
#[derive(Args, Debug)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// Context of the kubeconfig (`diagnose`: repeatable, for a report of several clusters)
    #[arg(long, value_name = "CONTEXT")]
    pub context: Vec<String>,

    /// Path of the kubeconfig
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Cluster of the kubeconfig, in place of the context's
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,

    /// User of the kubeconfig, in place of the context's
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Address of the API server
    #[arg(long, value_name = "URL", value_parser = url)]
    pub server: Option<String>,

    /// Bearer token, in place of all credentials of the kubeconfig
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<Secret>,

    /// User to impersonate
    #[arg(long = "as", value_name = "USER")]
    pub as_user: Option<String>,

    /// Group to impersonate (repeatable)
    #[arg(long, value_name = "GROUP", requires = "as_user")]
    pub as_group: Vec<String>,

    /// UID to impersonate
    #[arg(long, value_name = "UID", requires = "as_user")]
    pub as_uid: Option<String>,

    /// Timeout of a single request. A kubelet must also start each command within 8s
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration)]
    pub request_timeout: Duration,
}

/// Which nodes, and from which source.
#[derive(Args, Debug)]
#[command(next_help_heading = "Target")]
pub struct TargetArgs {
    /// Node to look at (repeatable)
    #[arg(long, value_name = "NAME", value_parser = node, conflicts_with = "all_nodes")]
    pub node: Vec<String>,

    /// Look at all nodes
    #[arg(long)]
    pub all_nodes: bool,

    /// Look at the nodes with these labels: `key=value,key!=value,key,!key`
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with_all = ["node", "all_nodes"])]
    pub selector: Option<String>,

    /// Fail if no node has the labels of --selector; without this, that is a success with a note
    #[arg(long, requires = "selector")]
    pub fail_if_none: bool,

    /// Node to leave out (repeatable)
    #[arg(long, value_name = "NAME", value_parser = node)]
    pub exclude_node: Vec<String>,

    /// Judge shard I of N, counted from 0 (as JOB_COMPLETION_INDEX does); `staledp merge` joins the reports
    #[arg(long, value_name = "I/N")]
    pub shard: Option<crate::base::shard::Shard>,

    /// Read the evidence from a bundle (a folder or a tar), a `cilium sysdump` zip or a `cilium-bugtool` tar instead of a
    /// cluster; `-` is standard input
    #[arg(long, value_name = "PATH", conflicts_with_all = FROM_A_CLUSTER)]
    pub from: Option<PathBuf>,

    /// Timeout of the whole run. Nodes not finished by then are reported as not judged [default: none]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub deadline: Option<Duration>,

    /// What to ask, and where.
    #[command(flatten)]
    pub look: LookArgs,
}

/// What to ask, and where: the same for every command that looks at nodes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Target")]
pub struct LookArgs {
    /// Namespace of the Cilium agents [default: found by the label k8s-app=cilium]
    #[arg(long, value_name = "NAMESPACE")]
    pub cilium_namespace: Option<String>,

    /// Node-local DNS address [default: found from NodeLocal DNS, else 169.254.25.10]
    #[arg(long, value_name = "ADDR")]
    pub node_local_dns: Option<std::net::IpAddr>,

    /// Cluster DNS service [default: found by the label k8s-app=kube-dns]
    #[arg(long, value_name = "NS/NAME")]
    pub dns_service: Option<PodRef>,

    /// External addresses to count conntrack entries for (repeatable) [default: 1.1.1.1, 8.8.8.8, 185.12.0.0/16]
    #[arg(long, value_name = "PREFIX")]
    pub external_ip: Vec<crate::base::net::Prefix>,

    /// Pod that runs the probes on its node (repeatable) [default: pods that have a tool for it]
    #[arg(long, value_name = "NS/NAME")]
    pub probe_pod: Vec<PodRef>,

    /// URL that the probes fetch
    #[arg(long, value_name = "URL", default_value = "https://google.com", value_parser = url)]
    pub probe_url: String,

    /// Address that the host pings and the probes connect to
    #[arg(long, value_name = "ADDR", default_value = "1.1.1.1")]
    pub ping_target: std::net::IpAddr,

    /// SSH user [default: as `ssh NODE`]
    #[arg(long, value_name = "USER")]
    pub ssh_user: Option<String>,

    /// SSH port [default: as `ssh NODE`]
    #[arg(long, value_name = "PORT")]
    pub ssh_port: Option<u16>,

    /// SSH option, as in `ssh -o` (repeatable)
    #[arg(long, value_name = "K=V", value_parser = ssh_option)]
    pub ssh_option: Vec<(String, String)>,

    /// Which name or address of the node SSH connects to
    #[arg(long, value_enum, default_value = "name", value_name = "KIND")]
    pub ssh_address: SshAddress,

    /// Do not use SSH; ask the agent's container instead
    #[arg(long)]
    pub no_ssh: bool,

    /// If a single node looks stale, compare it with one neighbour
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    pub compare: Compare,

    /// Fetch large tables uncompressed, even if the agent's container can compress them
    #[arg(long)]
    pub no_compress: bool,

    /// Timeout of one node
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub timeout: Duration,

    /// Number of nodes looked at in parallel
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
}

/// When to look at a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compare {
    /// With one exec on one neighbour
    Auto,
    /// Never
    Never,
}
