//! What was meant: arguments, environment and terminal, resolved once. Nothing below reads any of them again.

mod fix;

use std::io::IsTerminal;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::net::Prefix;
use crate::base::pod_ref::PodRef;
use crate::base::screen::{DEFAULT_WIDTH, Screen, When};
use crate::base::shard::Shard;
use crate::cli::symptoms::SymptomArgs;
use crate::cli::{ClusterArgs, Compare, LookArgs, OutputArgs, SaveArgs, SshAddress, TargetArgs};
use crate::symptoms::look::Wish;
pub use fix::FixSettings;

/// The address NodeLocal DNS has where Kubespray installs it.
pub const NODE_LOCAL_DNS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 25, 10));

/// How long `symptoms` looks at a cluster.
const SYMPTOMS: Duration = Duration::from_secs(120);

/// How to show results: what was typed, with the environment and the terminal taken into account.
#[must_use]
pub fn screen(args: &OutputArgs) -> Screen {
    let OutputArgs { output, verbose, quiet, color, no_progress } = args;
    let terminal = std::io::stdout().is_terminal();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
    Screen {
        format: *output,
        color: match color {
            When::Always => true,
            When::Never => false,
            When::Auto => terminal && !no_color && !dumb,
        },
        width: width(std::io::stdout()),
        error_width: width(std::io::stderr()),
        progress: std::io::stderr().is_terminal() && !no_progress && !quiet && *verbose == 0 && !dumb,
        verbose: *verbose,
        quiet: *quiet,
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

    /// Resolves what was typed for `diagnose` and `capture`.
    #[must_use]
    pub fn resolve(cluster: ClusterArgs, target: TargetArgs, symptoms: SymptomArgs, save: SaveArgs) -> Self {
        let TargetArgs { node, all_nodes, selector, exclude_node, shard, from, deadline, look } = target;
        let SaveArgs { save, redact } = save;
        let nodes = if all_nodes {
            Nodes::All
        } else if let Some(labels) = selector {
            Nodes::Labelled(labels)
        } else if node.is_empty() {
            Nodes::Unsaid
        } else {
            Nodes::Named(node)
        };
        let Look { ssh, compress, compare, timeout, concurrency, questions } = Look::resolve(look);
        let origin = match from {
            Some(path) => Origin::Path(path),
            None => Origin::Cluster(cluster_settings(cluster, ssh, compress)),
        };
        Self {
            nodes,
            origin,
            questions,
            symptoms: wish(symptoms, save.is_some()),
            timeout,
            concurrency,
            save,
            redact,
            deadline,
            exclude: exclude_node,
            shard,
            since_agent_start: false,
            compare,
        }
    }

    /// Resolves what was typed for `symptoms`: the whole cluster, and no question to any node.
    #[must_use]
    pub fn of_symptoms(cluster: ClusterArgs, from: Option<PathBuf>, symptoms: SymptomArgs, save: SaveArgs) -> Self {
        let SaveArgs { save, redact } = save;
        let origin = match from {
            Some(path) => Origin::Path(path),
            None => Origin::Cluster(cluster_settings(cluster, None, true)),
        };
        Self {
            nodes: Nodes::All,
            origin,
            symptoms: wish(symptoms, save.is_some()),
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
            save,
            redact,
            deadline: None,
            exclude: Vec::new(),
            shard: None,
            since_agent_start: false,
        }
    }
}

/// How nodes are looked at: [`LookArgs`], resolved.
struct Look {
    ssh: Option<SshSettings>,
    compress: bool,
    compare: bool,
    timeout: Duration,
    concurrency: usize,
    questions: Questions,
}

impl Look {
    fn resolve(look: LookArgs) -> Self {
        let LookArgs {
            cilium_namespace,
            node_local_dns,
            dns_service,
            external_ip,
            probe_pod,
            probe_url,
            ping_target,
            ssh_user,
            ssh_port,
            ssh_option,
            ssh_address,
            no_ssh,
            compare,
            no_compress,
            timeout,
            concurrency,
        } = look;
        let external = if external_ip.is_empty() {
            ["1.1.1.1", "8.8.8.8", "185.12.0.0/16"].iter().filter_map(|p| p.parse().ok()).collect()
        } else {
            external_ip
        };
        let ssh = SshSettings { user: ssh_user, port: ssh_port, options: ssh_option, address: ssh_address };
        Self {
            ssh: (!no_ssh).then_some(ssh),
            compress: !no_compress,
            compare: compare == Compare::Auto,
            timeout,
            concurrency: usize::from(concurrency),
            questions: Questions {
                cilium_namespace,
                node_local_dns,
                dns_service,
                external,
                probe_pods: probe_pod,
                probe_url,
                ping_target,
            },
        }
    }
}

impl Questions {
    /// The addresses and ranges that were asked for: whoever reads a bundle asks for them again.
    #[must_use]
    pub fn addresses(&self) -> Vec<Prefix> {
        let single = [Some(self.ping_target), self.node_local_dns].into_iter().flatten();
        single.map(|address| Prefix::around(address, 128)).chain(self.external.iter().copied()).collect()
    }
}

fn cluster_settings(cluster: ClusterArgs, ssh: Option<SshSettings>, compress: bool) -> ClusterSettings {
    let ClusterArgs { context, kubeconfig, as_user, as_group, request_timeout } = cluster;
    ClusterSettings { context, kubeconfig, as_user, as_groups: as_group, request_timeout, ssh, compress }
}

fn wish(args: SymptomArgs, keep: bool) -> Wish {
    let SymptomArgs { logs, prometheus, query } = args;
    Wish { logs, prometheus, queries: query, keep }
}
