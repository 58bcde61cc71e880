//! Candidates for a shell that completes a word: contexts and users of the kubeconfig, nodes and namespaces of the
//! cluster, verdict codes. Whatever goes wrong, there are none then: a prompt is no place for an error.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use clap::Command;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::CompleteEnv;

use crate::base::program;
use crate::cli;
use crate::gather::live::kube::names::{Names, names, namespace_names, node_names};
use crate::knowledge::code::{Code, Kind};
use crate::knowledge::codes;
use crate::report::explain;
use crate::settings;

/// The environment variable by which a shell asks for completions; its value is the shell's name.
pub(super) const ASKED_BY: &str = "_STALEDP_COMPLETE";
/// How long a cluster may take to name its nodes: a person waits at a prompt.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers a shell that asks for completions, and ends the program then.
pub fn complete() {
    CompleteEnv::with_factory(completable).var(ASKED_BY).bin(program::file()).complete();
}

/// The command line with what completes its values.
fn completable() -> Command {
    let mut command = cli::command().mut_args(with_candidates);
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, |sub| sub.mut_args(with_candidates));
    }
    command
}

fn with_candidates(arg: clap::Arg) -> clap::Arg {
    let completer = match arg.get_id().as_str() {
        "context" => ArgValueCompleter::new(|word: &OsStr| local(word, |found| found.contexts)),
        "user" => ArgValueCompleter::new(|word: &OsStr| local(word, |found| found.users)),
        "cluster" => ArgValueCompleter::new(|word: &OsStr| local(word, |found| found.clusters)),
        "node" | "nodes" | "exclude_node" => ArgValueCompleter::new(nodes),
        "cilium_namespace" => ArgValueCompleter::new(namespaces),
        "force" => ArgValueCompleter::new(|word: &OsStr| matching(word, forcible())),
        "page" => ArgValueCompleter::new(|word: &OsStr| matching(word, commands())),
        "code" => ArgValueCompleter::new(|word: &OsStr| matching(word, topics())),
        _ => return arg,
    };
    arg.add(completer)
}

/// The names that begin with what was typed so far.
fn matching(word: &OsStr, names: impl Iterator<Item = (String, Option<&'static str>)>) -> Vec<CompletionCandidate> {
    let typed = word.to_string_lossy();
    let fitting = names.filter(|(name, _)| name.starts_with(&*typed));
    fitting.map(|(name, help)| CompletionCandidate::new(name).help(help.map(Into::into))).collect()
}

fn named(names: Vec<String>) -> impl Iterator<Item = (String, Option<&'static str>)> {
    // What a shell would read as more than a name is not offered.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:@+,".contains(&b);
    names.into_iter().filter(move |name| !name.is_empty() && name.bytes().all(plain)).map(|name| (name, None))
}

/// The codes that `fix --force` takes.
fn forcible() -> impl Iterator<Item = (String, Option<&'static str>)> {
    let codes = Code::ALL.iter().filter(|code| code.kind() != Kind::Healthy);
    codes.map(|code| (code.name().to_owned(), Some(codes::text(*code).meaning)))
}

/// What `explain` takes, without the numbers of issues.
fn topics() -> impl Iterator<Item = (String, Option<&'static str>)> {
    explain::names().map(|(name, says)| (name.to_owned(), Some(says)))
}

/// The commands that have a manual page.
fn commands() -> impl Iterator<Item = (String, Option<&'static str>)> {
    let command = cli::command();
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    named(shown.map(|sub| sub.get_name().to_owned()).collect())
}

/// Names of the kubeconfig.
fn local(word: &OsStr, which: impl Fn(Names) -> Vec<String>) -> Vec<CompletionCandidate> {
    let Some(cluster) = settings::cluster_of(typed()) else { return Vec::new() };
    matching(word, named(which(names(cluster.kubeconfig.as_deref()))))
}

/// The cluster's nodes, or those of the bundle that was named.
fn nodes(word: &OsStr) -> Vec<CompletionCandidate> {
    // As `-o name` writes it.
    let (kind, rest) = match word.to_str().and_then(|word| word.strip_prefix("node/")) {
        Some(rest) => ("node/", OsStr::new(rest)),
        None => ("", word),
    };
    let typed = typed();
    let found = match settings::saved_of(typed.clone()) {
        Some(path) => nodes_of_bundle(&path),
        None => asked(async move { node_names(&settings::cluster_of(typed)?).await }),
    };
    matching(rest, named(found)).into_iter().map(|candidate| candidate.add_prefix(kind)).collect()
}

fn nodes_of_bundle(path: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(path.join("nodes")).into_iter().flatten().flatten();
    let mut names: Vec<String> = folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn namespaces(word: &OsStr) -> Vec<CompletionCandidate> {
    let found = asked(async { namespace_names(&settings::cluster_of(typed())?).await });
    matching(word, named(found))
}

/// What a cluster says within the time that a prompt allows.
fn asked(question: impl Future<Output = Option<Vec<String>>>) -> Vec<String> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, question).await });
    runtime.shutdown_background();
    answer.ok().flatten().unwrap_or_default()
}

/// The words of the command line that is being completed.
fn typed() -> Vec<OsString> {
    std::env::args_os().skip_while(|word| word != "--").skip(1).collect()
}
