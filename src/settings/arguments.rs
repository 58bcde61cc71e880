//! What was typed, read twice: options that choose the cluster may stand before the command, as with kubectl, and the
//! second reading gives them to the command as if they had been typed behind it.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, FromArgMatches as _};

use super::cluster_settings;
use crate::base::cluster_settings::ClusterSettings;
use crate::base::program;
use crate::cli;
use crate::cli::{Cli, ClusterArgs};

/// Notes the name by which the program was started. It comes before everything else.
pub fn note_name() {
    if let Some(word) = std::env::args_os().next() {
        program::started_as(&word);
    }
}

/// What was typed, completely. Help, a version and a wrong command line end the program here, as clap has it.
#[must_use]
pub fn arguments() -> Cli {
    read(std::env::args_os().collect()).unwrap_or_else(|error| error.exit())
}

/// Which cluster a command line means that is still being typed.
#[must_use]
pub fn cluster_of(typed: Vec<OsString>) -> Option<ClusterSettings> {
    let matches = unfinished(typed)?;
    let mut levels = levels(&matches);
    levels.reverse();
    let takes = levels.into_iter().filter(|matches| has(matches, "kubeconfig"));
    let args = takes.map(ClusterArgs::from_arg_matches).find_map(Result::ok)?;
    Some(cluster_settings(args, None, true))
}

/// What saved evidence a command line means that is still being typed.
#[must_use]
pub fn saved_of(typed: Vec<OsString>) -> Option<PathBuf> {
    let matches = unfinished(typed)?;
    let below = *levels(&matches).last()?;
    if has(below, "from") { below.get_one::<PathBuf>("from").cloned() } else { None }
}

fn read(typed: Vec<OsString>) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&cli::command().try_get_matches_from(complete(typed))?)
}

/// What can be understood of a command line that is still being typed.
fn unfinished(typed: Vec<OsString>) -> Option<ArgMatches> {
    cli::command().ignore_errors(true).try_get_matches_from(complete(typed)).ok()
}

/// The matches of the program, its command, and the command below that.
fn levels(matches: &ArgMatches) -> Vec<&ArgMatches> {
    let mut levels = vec![matches];
    while let Some((_, below)) = levels.last().and_then(|matches| matches.subcommand()) {
        levels.push(below);
    }
    levels
}

/// The command line with everything that belongs to the command behind it.
fn complete(typed: Vec<OsString>) -> Vec<OsString> {
    let mut command = cli::command();
    command.build();
    // Errors are the second reading's to report.
    let Ok(matches) = command.clone().ignore_errors(true).try_get_matches_from(&typed) else { return typed };
    let Some((name, below)) = matches.subcommand() else { return typed };
    let Some(sub) = command.find_subcommand(name) else { return typed };
    behind_the_command(typed, before_the_command(&command, &matches, sub, below))
}

/// The options that were typed before the command and that the command takes.
fn before_the_command(command: &Command, matches: &ArgMatches, leaf: &Command, below: &ArgMatches) -> Vec<OsString> {
    let mut words = Vec::new();
    for arg in command.get_arguments().filter(|arg| !arg.is_global_set()) {
        let (id, Some(long)) = (arg.get_id().as_str(), arg.get_long()) else { continue };
        let takes = leaf.get_arguments().any(|arg| arg.get_id() == id);
        // What stands behind the command is nearer to it.
        if takes && is_typed(matches, id) && !is_typed(below, id) {
            words.extend(matches.get_raw(id).into_iter().flatten().map(|value| option(long, value)));
        }
    }
    words
}

/// Whether a command has this option.
fn has(matches: &ArgMatches, id: &str) -> bool {
    matches.try_contains_id(id).is_ok()
}

/// Whether an option or argument was typed.
fn is_typed(matches: &ArgMatches, id: &str) -> bool {
    has(matches, id) && matches.value_source(id) == Some(ValueSource::CommandLine)
}

/// `--long=value`.
fn option(long: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(format!("--{long}="));
    word.push(value);
    word
}

/// A command line with more words at the end of its options.
fn behind_the_command(mut typed: Vec<OsString>, more: Vec<OsString>) -> Vec<OsString> {
    let end = typed.iter().position(|word| word == "--").unwrap_or(typed.len());
    typed.splice(end..end, more);
    typed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(words: &str) -> String {
        let words = complete(words.split(' ').map(OsString::from).collect());
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn connection_options_before_the_command_are_handed_to_it() {
        for (typed, right) in [
            ("staledp --context a diagnose --node n", "staledp --context a diagnose --node n --context=a"),
            ("staledp --context=a diagnose -- n", "staledp --context=a diagnose --context=a -- n"),
            ("staledp --as x --as-group y fix n", "staledp --as x --as-group y fix n --as=x --as-group=y"),
            ("staledp --context fix fix n", "staledp --context fix fix n --context=fix"),
            ("staledp --context a diagnose --context b", "staledp --context a diagnose --context b"),
            ("staledp --context a explain", "staledp --context a explain"),
            ("staledp diagnose --context a", "staledp diagnose --context a"),
            ("staledp --context a fix", "staledp --context a fix --context=a"),
            ("staledp --context a nonsense", "staledp --context a nonsense"),
        ] {
            assert_eq!(completed(typed), right);
        }
    }

    #[test]
    fn connection_option_before_the_command_conflicts_with_saved_evidence_as_behind_it() {
        for words in ["staledp --context a diagnose --from b", "staledp diagnose --context a --from b"] {
            let error = read(words.split(' ').map(OsString::from).collect()).unwrap_err().to_string();
            assert!(error.contains("cannot be used with"), "{error}");
        }
    }
}
