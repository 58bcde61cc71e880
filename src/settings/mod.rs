//! Settings: arguments, environment and terminal, resolved once. No other room reads any of them again.

mod arguments;
mod fix;
mod gate;
mod layers;
mod watch;

use std::io::IsTerminal;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::cluster_settings::{ClusterSettings, Overrides, SshSettings};
use crate::base::questions::Questions;
use crate::base::screen::{DEFAULT_WIDTH, Screen, When};
use crate::base::symptom_options::SymptomOptions;
use crate::cli::symptoms::SymptomArgs;
use crate::cli::{ClusterArgs, Compare, LookArgs, OutputArgs, SaveArgs, TargetArgs};
use crate::diagnose::DiagnoseSettings;
pub use arguments::{ConfigView, arguments, cluster_of, note_name, saved_of, view};
pub use fix::fix;
pub use gate::{GateSettings, gate};
pub use watch::watch;

/// How long `symptoms` looks at a cluster.
const SYMPTOMS: Duration = Duration::from_secs(120);

/// How to show results: what was typed, with the environment and the terminal taken into account.
#[must_use]
pub fn screen(args: &OutputArgs) -> Screen {
    let OutputArgs { output, verbose, quiet, color, no_progress, no_headers, config: _ } = args;
    let terminal = std::io::stdout().is_terminal();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
    Screen {
        format: *output,
        headers: !no_headers,
        ascii: ascii_locale(),
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

/// The width of a stream in columns: that of its terminal; in a pipe or file what `COLUMNS` says, else none.
fn width<S: IsTerminal + AsFd>(stream: S) -> Option<u16> {
    if stream.is_terminal() {
        return Some(terminal_size::terminal_size_of(stream).map_or(DEFAULT_WIDTH, |(width, _)| width.0));
    }
    std::env::var("COLUMNS").ok()?.trim().parse().ok().filter(|columns| *columns > 0)
}

/// Whether text for people is kept to ASCII, as the locale wants it.
#[must_use]
pub fn ascii_locale() -> bool {
    is_ascii(|name| std::env::var(name).ok())
}

/// Whether the locale has a character set other than UTF-8. Without any locale UTF-8 is taken for granted: pods and cron
/// jobs have none, and their output is read elsewhere.
fn is_ascii(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| variable(name).filter(|v| !v.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        !locale.contains("utf-8") && !locale.contains("utf8")
    })
}

/// What was meant by a command that reads evidence.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the evidence comes from.
    pub evidence: EvidenceFrom,
    /// Which nodes.
    pub nodes: NodeChoice,
    /// Whether it is an error that no node has the labels.
    pub fail_if_none: bool,
    /// Nodes to leave out.
    pub exclude: Vec<String>,
    /// Where the evidence is saved as a bundle; none: nowhere.
    pub save: Option<PathBuf>,
    /// Whether names and addresses in the bundle are anonymized.
    pub redact: bool,
    /// How nodes are looked at.
    pub diagnose: DiagnoseSettings,
}

/// Which nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeChoice {
    /// These.
    Named(Vec<String>),
    /// All there are.
    All,
    /// Those with these labels.
    Labelled(String),
    /// None was named: all of a bundle, and a usage error with a cluster.
    Unsaid,
}

/// Where the evidence comes from.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one in a run")]
pub enum EvidenceFrom {
    /// A live cluster.
    Cluster(ClusterSettings),
    /// Something saved.
    Path(PathBuf),
}

impl Settings {
    /// Resolves what was typed for `diagnose` and `capture`.
    #[must_use]
    pub fn resolve(cluster: ClusterArgs, target: TargetArgs, symptoms: SymptomArgs, save: SaveArgs) -> Self {
        let TargetArgs { node, all_nodes, selector, fail_if_none, exclude_node, shard, from, deadline, look } = target;
        let SaveArgs { save, redact } = save;
        let nodes = if all_nodes {
            NodeChoice::All
        } else if let Some(labels) = selector {
            NodeChoice::Labelled(labels)
        } else if node.is_empty() {
            NodeChoice::Unsaid
        } else {
            NodeChoice::Named(node)
        };
        let Look { ssh, compress, diagnose } = Look::resolve(look);
        let evidence = match from {
            Some(path) => EvidenceFrom::Path(path),
            None => EvidenceFrom::Cluster(cluster_settings(cluster, ssh, compress)),
        };
        let diagnose = DiagnoseSettings {
            named: matches!(nodes, NodeChoice::Named(_)),
            symptoms: symptom_options(symptoms, save.is_some()),
            deadline,
            shard,
            ..diagnose
        };
        Self { evidence, nodes, fail_if_none, exclude: exclude_node, save, redact, diagnose }
    }

    /// Resolves what was typed for `symptoms`: the whole cluster, and no question to any node.
    #[must_use]
    pub fn of_symptoms(cluster: ClusterArgs, from: Option<PathBuf>, symptoms: SymptomArgs, save: SaveArgs) -> Self {
        let SaveArgs { save, redact } = save;
        let evidence = match from {
            Some(path) => EvidenceFrom::Path(path),
            None => EvidenceFrom::Cluster(cluster_settings(cluster, None, true)),
        };
        let diagnose = DiagnoseSettings {
            named: false,
            questions: Questions {
                cilium_namespace: None,
                node_local_dns: None,
                dns_service: None,
                external: Vec::new(),
                probe_pods: Vec::new(),
                probe_url: String::new(),
                ping_target: IpAddr::V4(std::net::Ipv4Addr::new(1, 1, 1, 1)),
            },
            symptoms: symptom_options(symptoms, save.is_some()),
            timeout: SYMPTOMS,
            concurrency: 1,
            deadline: None,
            shard: None,
            since_agent_start: false,
            compare: false,
        };
        Self { evidence, nodes: NodeChoice::All, fail_if_none: false, exclude: Vec::new(), save, redact, diagnose }
    }
}

/// How nodes are looked at: [`LookArgs`], resolved.
struct Look {
    ssh: Option<SshSettings>,
    compress: bool,
    /// Of all nodes, by the lists, for as long as they take: a command narrows what it has options for.
    diagnose: DiagnoseSettings,
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
            diagnose: DiagnoseSettings {
                named: false,
                questions: Questions {
                    cilium_namespace,
                    node_local_dns,
                    dns_service,
                    external,
                    probe_pods: probe_pod,
                    probe_url,
                    ping_target,
                },
                symptoms: SymptomOptions::default(),
                timeout,
                concurrency: usize::from(concurrency),
                deadline: None,
                shard: None,
                since_agent_start: false,
                compare: compare == Compare::Auto,
            },
        }
    }
}

/// What is said once where SSH is not used because this is a pod.
const NO_SSH: &str = "in a pod: the agent's container is asked in place of the host, over no SSH";

/// Whether this is a pod of the cluster that is asked: no kubeconfig, and the address that each pod is told.
fn is_pod(kubeconfig: Option<&Path>, context: Option<&str>) -> bool {
    let is_set = |key: &str| std::env::var_os(key).is_some_and(|value| !value.is_empty());
    kubeconfig.is_none() && context.is_none() && is_set("KUBERNETES_SERVICE_HOST") && !is_set("KUBECONFIG")
}

/// What a command says of SSH before it begins: that none is used in a pod; none where that is as usual.
#[must_use]
pub fn note_on_ssh(cluster: &ClusterSettings) -> Option<&'static str> {
    let is_pod = is_pod(cluster.kubeconfig.as_deref(), cluster.context.as_deref());
    (cluster.ssh.is_none() && is_pod).then_some(NO_SSH)
}

fn cluster_settings(cluster: ClusterArgs, ssh: Option<SshSettings>, compress: bool) -> ClusterSettings {
    let ClusterArgs { context, kubeconfig, cluster, user, server, token, as_user, as_group, as_uid, request_timeout } =
        cluster;
    // As kubectl has it, the last counts; `diagnose` looks at each.
    let context = context.into_iter().next_back();
    // No image that runs in a cluster has keys for its nodes, unless somebody says how to log in.
    let is_usual = |ssh: &SshSettings| ssh.user.is_none() && ssh.port.is_none() && ssh.options.is_empty();
    let ssh = ssh.filter(|ssh| !(is_usual(ssh) && is_pod(kubeconfig.as_deref(), context.as_deref())));
    let overrides = Overrides { cluster, user, server, token, as_uid };
    ClusterSettings { context, kubeconfig, as_user, as_groups: as_group, overrides, request_timeout, ssh, compress }
}

fn symptom_options(args: SymptomArgs, keep: bool) -> SymptomOptions {
    let SymptomArgs { logs, prometheus, query } = args;
    SymptomOptions { lists_only: false, logs, prometheus, queries: query, keep }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locale_of_another_character_set_means_ascii() {
        let ascii = |set: &[(&str, &str)]| {
            is_ascii(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(!ascii(&[]) && !ascii(&[("LANG", "")]));
        assert!(!ascii(&[("LANG", "C.UTF-8")]) && !ascii(&[("LANG", "de_AT.utf8")]));
        assert!(ascii(&[("LANG", "C")]) && ascii(&[("LANG", "de_AT.ISO-8859-1")]));
        assert!(ascii(&[("LANG", "C.UTF-8"), ("LC_ALL", "POSIX")]));
        assert!(!ascii(&[("LANG", "C"), ("LC_CTYPE", "en_US.UTF-8")]));
    }
}
