//! What was typed, read twice: options that choose the cluster may stand before the command, as with kubectl, and the
//! second reading gives them to the command as if they had been typed behind it.

use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use crate::cli::Cli;

/// What was typed, completely. Help, a version and a wrong command line end the program here, as clap has it.
#[must_use]
pub fn arguments() -> Cli {
    read(std::env::args_os().collect()).unwrap_or_else(|error| error.exit())
}

fn read(typed: Vec<OsString>) -> Result<Cli, clap::Error> {
    let words = complete(typed);
    Cli::from_arg_matches(&Cli::command().try_get_matches_from(words)?)
}

/// The command line with everything that belongs to the command behind it.
fn complete(typed: Vec<OsString>) -> Vec<OsString> {
    let mut command = Cli::command();
    command.build();
    // Errors are the second reading's to report.
    let Ok(matches) = command.clone().ignore_errors(true).try_get_matches_from(&typed) else { return typed };
    let Some((name, below)) = matches.subcommand() else { return typed };
    let Some(sub) = command.find_subcommand(name) else { return typed };
    behind_the_command(typed, before_the_command(&command, &matches, sub, below))
}

/// The options that were typed before the command and that the command takes.
fn before_the_command(command: &Command, matches: &ArgMatches, sub: &Command, below: &ArgMatches) -> Vec<OsString> {
    let mut words = Vec::new();
    for arg in command.get_arguments().filter(|arg| !arg.is_global_set()) {
        let (id, Some(long)) = (arg.get_id().as_str(), arg.get_long()) else { continue };
        let takes = sub.get_arguments().any(|arg| arg.get_id() == id);
        // What stands behind the command is nearer to it.
        if takes && is_typed(matches, id) && !is_typed(below, id) {
            words.extend(matches.get_raw(id).into_iter().flatten().map(|value| option(long, value)));
        }
    }
    words
}

/// Whether an option or argument was typed.
fn is_typed(matches: &ArgMatches, id: &str) -> bool {
    matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::CommandLine)
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
