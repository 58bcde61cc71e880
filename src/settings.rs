//! What was meant: arguments, environment and terminal, resolved once. Nothing below reads any of them again.

mod fix;

use std::io::IsTerminal;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::net::Prefix;
use crate::base::pod_ref::PodRef;
use crate::base::shard::Shard;
use crate::cli::symptoms::{SymptomArgs, SymptomsArgs};
use crate::cli::{ClusterArgs, Compare, DiagnoseArgs, Format, LookArgs, OutputArgs, SshAddress, When};
use crate::kubernetes::cluster_map::Named;
use crate::report::text::DEFAULT_WIDTH;
use crate::symptoms::look::Wish;
pub use fix::FixSettings;

/// How long `symptoms` looks at a cluster.
const SYMPTOMS: Duration = Duration::from_secs(120);

/// How to show things.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// The format of standard output.
    pub format: Format,
    /// Whether standard output takes colours.
    pub color: bool,
    /// The width of standard output in columns; none where it is no terminal.
    pub width: Option<u16>,
    /// The width of standard error in columns; none where it is no terminal.
    pub error_width: Option<u16>,
    /// Whether standard error shows progress.
    pub progress: bool,
    /// How much is said on standard error: 0, 1 (`-v`), 2 (`-vv`).
    pub verbose: u8,
    /// Say nothing on standard error but errors.
    pub quiet: bool,
}

impl Screen {
    /// Resolves what was typed against the environment and the terminal.
    #[must_use]
    pub fn resolve(args: &OutputArgs) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        Self {
            format: args.output,
            color: match args.color {
                When::Always => true,
                When::Never => false,
                When::Auto => terminal && !no_color && !dumb,
            },
            width: width(std::io::stdout()),
            error_width: width(std::io::stderr()),
            progress: std::io::stderr().is_terminal() && !args.no_progress && !args.quiet && args.verbose == 0 && !dumb,
            verbose: args.verbose,
            quiet: args.quiet,
        }
    }
}

/// The width of a stream in columns; none where it is no terminal.
fn width<S: IsTerminal + AsFd>(stream: S) -> Option<u16> {
    let columns = |stream| terminal_size::terminal_size_of(stream).map_or(DEFAULT_WIDTH, |(width, _)| width.0);
    stream.is_terminal().then(|| columns(stream))
}

/// Everything `diagnose` needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which nodes.
    pub nodes: Nodes,
    /// Where the evidence comes from.
    pub origin: Origin,
    /// What is asked, and of whom.
    pub questions: Questions,
    /// Which symptoms are asked for beyond the lists.
    pub symptoms: Wish,
    /// How long one node may take.
    pub timeout: Duration,
    /// How many nodes at once.
    pub concurrency: usize,
    /// Where the evidence is kept as a bundle; none: nowhere.
    pub save: Option<PathBuf>,
    /// Whether the bundle gets other names and addresses.
    pub redact: bool,
    /// How long the whole run may take; none: as long as its nodes.
    pub deadline: Option<Duration>,
    /// Nodes to leave out.
    pub exclude: Vec<String>,
    /// Only this slice of the nodes.
    pub shard: Option<Shard>,
    /// Count only conntrack lines with traffic since the agent's container started: for looking whether a restart
    /// helped, where the old agent's dead flows are still listed.
    pub since_agent_start: bool,
    /// Whether a neighbour may be looked at where one node alone is judged.
    pub compare: bool,
}

/// Which nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// These.
    Named(Vec<String>),
    /// All there are.
    All,
    /// Those with these labels.
    Labelled(String),
    /// Nothing was said: with a bundle all in it, with a cluster a usage error.
    Unsaid,
}

/// Where the evidence comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A live cluster.
    Cluster(ClusterSettings),
    /// Something saved.
    Path(PathBuf),
}

/// Which cluster, and how to reach its nodes.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// The kubeconfig context; none: the current one.
    pub context: Option<String>,
    /// The kubeconfig file; none: what kubectl would read.
    pub kubeconfig: Option<PathBuf>,
    /// The user to act as.
    pub as_user: Option<String>,
    /// The groups to act as.
    pub as_groups: Vec<String>,
    /// How long a single request may take.
    pub request_timeout: Duration,
    /// SSH; none: not to be used.
    pub ssh: Option<SshSettings>,
    /// Whether large tables may cross the wire compressed.
    pub compress: bool,
}

/// How to reach a node by SSH.
#[derive(Clone, Debug)]
pub struct SshSettings {
    /// The user; none: what `ssh NODE` takes.
    pub user: Option<String>,
    /// The port; none: what `ssh NODE` takes.
    pub port: Option<u16>,
    /// Options as in `ssh -o`.
    pub options: Vec<(String, String)>,
    /// Which of the node's names.
    pub address: SshAddress,
}

/// What is asked, and of whom.
#[derive(Clone, Debug)]
pub struct Questions {
    /// The namespace of the Cilium agents; none: to be found.
    pub cilium_namespace: Option<String>,
    /// The node-local DNS address; none: to be found.
    pub node_local_dns: Option<IpAddr>,
    /// The cluster DNS service; none: to be found.
    pub dns_service: Option<PodRef>,
    /// The runbook's outside addresses.
    pub external: Vec<Prefix>,
    /// The pods that run probes; empty: to be found.
    pub probe_pods: Vec<PodRef>,
    /// What the probes fetch.
    pub probe_url: String,
    /// What the host pings, and what the probes reach by address.
    pub ping_target: IpAddr,
}

impl Settings {
    /// How long symptoms may take, which are read beside the nodes: as long as one node, and no longer than the run.
    #[must_use]
    pub fn symptoms_limit(&self) -> Duration {
        self.deadline.map_or(self.timeout, |whole| whole.min(self.timeout))
    }

    /// Resolves what was typed.
    #[must_use]
    pub fn resolve(args: DiagnoseArgs) -> Self {
        let DiagnoseArgs { cluster, target, symptoms, save } = args;
        let nodes = if target.all_nodes {
            Nodes::All
        } else if let Some(labels) = target.selector.clone() {
            Nodes::Labelled(labels)
        } else if target.node.is_empty() {
            Nodes::Unsaid
        } else {
            Nodes::Named(target.node.clone())
        };
        let origin = match target.from.clone() {
            Some(path) => Origin::Path(path),
            None => Origin::Cluster(cluster_settings(cluster, &target.look)),
        };
        Self {
            nodes,
            origin,
            symptoms: wish(symptoms, save.save.is_some()),
            timeout: target.look.timeout,
            concurrency: usize::from(target.look.concurrency),
            compare: target.look.compare == Compare::Auto,
            questions: Questions::resolve(target.look),
            save: save.save,
            redact: save.redact,
            deadline: target.deadline,
            exclude: target.exclude_node,
            shard: target.shard,
            since_agent_start: false,
        }
    }
}

impl Settings {
    /// Resolves what was typed for `symptoms`: the whole cluster, and no question to any node.
    #[must_use]
    pub fn of_symptoms(args: SymptomsArgs) -> Self {
        let SymptomsArgs { cluster, from, symptoms, save } = args;
        let origin = match from {
            Some(path) => Origin::Path(path),
            None => Origin::Cluster(ClusterSettings {
                context: cluster.context,
                kubeconfig: cluster.kubeconfig,
                as_user: cluster.as_user,
                as_groups: cluster.as_group,
                request_timeout: cluster.request_timeout,
                ssh: None,
                compress: true,
            }),
        };
        Self {
            nodes: Nodes::All,
            origin,
            symptoms: wish(symptoms, save.save.is_some()),
            timeout: SYMPTOMS,
            concurrency: 1,
            compare: false,
            questions: Questions {
                cilium_namespace: None,
                node_local_dns: None,
                dns_service: None,
                external: Vec::new(),
                probe_pods: Vec::new(),
                probe_url: String::new(),
                ping_target: IpAddr::V4(std::net::Ipv4Addr::new(1, 1, 1, 1)),
            },
            save: save.save,
            redact: save.redact,
            deadline: None,
            exclude: Vec::new(),
            shard: None,
            since_agent_start: false,
        }
    }
}

impl Questions {
    /// What was said of who is who in the cluster.
    #[must_use]
    pub fn named(&self) -> Named {
        Named {
            cilium_namespace: self.cilium_namespace.clone(),
            node_local_dns: self.node_local_dns,
            dns_service: self.dns_service.clone(),
        }
    }

    /// The addresses and ranges that were asked for: whoever reads a bundle asks for them again.
    #[must_use]
    pub fn addresses(&self) -> Vec<Prefix> {
        let single = [Some(self.ping_target), self.node_local_dns].into_iter().flatten();
        single.map(|address| Prefix::around(address, 128)).chain(self.external.iter().copied()).collect()
    }

    fn resolve(look: LookArgs) -> Self {
        let external = if look.external_ip.is_empty() {
            ["1.1.1.1", "8.8.8.8", "185.12.0.0/16"].iter().filter_map(|p| p.parse().ok()).collect()
        } else {
            look.external_ip
        };
        Self {
            cilium_namespace: look.cilium_namespace,
            node_local_dns: look.node_local_dns,
            dns_service: look.dns_service,
            external,
            probe_pods: look.probe_pod,
            probe_url: look.probe_url,
            ping_target: look.ping_target,
        }
    }
}

fn cluster_settings(cluster: ClusterArgs, target: &LookArgs) -> ClusterSettings {
    ClusterSettings {
        context: cluster.context,
        kubeconfig: cluster.kubeconfig,
        as_user: cluster.as_user,
        as_groups: cluster.as_group,
        request_timeout: cluster.request_timeout,
        ssh: (!target.no_ssh).then(|| SshSettings {
            user: target.ssh_user.clone(),
            port: target.ssh_port,
            options: target.ssh_option.clone(),
            address: target.ssh_address,
        }),
        compress: !target.no_compress,
    }
}

fn wish(args: SymptomArgs, keep: bool) -> Wish {
    Wish { logs: args.logs, prometheus: args.prometheus, queries: args.query, keep }
}
