//! What was typed, completed: options that choose the cluster may stand before the command, as with kubectl, and options
//! that were not typed may come from the environment or the configuration file ([`super::layers`]). All of them are
//! handed to the command as if they had been typed behind it, so that one place checks them.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, FromArgMatches as _};
use serde::Serialize;

use super::cluster_settings;
use super::layers::{File, Options, Setting, environment};
use crate::base::cluster_settings::ClusterSettings;
use crate::base::error::Error;
use crate::base::program;
use crate::cli;
use crate::cli::{Cli, ClusterArgs};
use crate::gather::live::kube::names::names;

/// Options that choose nodes: one that was typed silences the others.
const CHOICE: [&str; 4] = ["nodes", "node", "all_nodes", "selector"];
/// Options that mean nothing without another one.
const NEEDS: [(&str, &str); 5] = [
    ("redact", "save"),
    ("query", "prometheus"),
    ("fail_if_none", "selector"),
    ("as_group", "as_user"),
    ("as_uid", "as_user"),
];

/// Notes the name by which the program was started. It comes before everything else.
pub fn note_name() {
    if let Some(word) = std::env::args_os().next() {
        program::started_as(&word);
    }
}

/// What was typed, completely. Help, a version and a wrong command line end the program here, as clap has it.
///
/// # Errors
///
/// What is wrong with the configuration file or an environment variable.
pub fn arguments() -> Result<Cli, Error> {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let Completed { words, settings } = complete(typed, variable)?;
    read(words).or_else(|error| {
        let _ = error.print();
        let shown = error.to_string();
        if let Some(setting) = settings.iter().find(|setting| shown.contains(&format!("--{}", setting.option))) {
            let hint = format!("--{} is set by {}", setting.option, setting.from);
            return Err(Error::configuration("an option that was not typed is wrong").with_hint(hint));
        }
        std::process::exit(error.exit_code())
    })
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

/// What holds for options that are not typed, and where from.
#[derive(Debug, Serialize)]
pub struct ConfigView {
    /// The configuration file, where there is one.
    pub file: Option<String>,
    /// The context whose section counts.
    pub context: Option<String>,
    /// By option; of several sources the one that counts.
    pub settings: Vec<Setting>,
}

/// What holds for options that are not typed.
///
/// # Errors
///
/// What is wrong with the configuration file or an environment variable.
pub fn view() -> Result<ConfigView, Error> {
    let command = built();
    let typed: Vec<OsString> = std::env::args_os().collect();
    let matches = command.clone().ignore_errors(true).try_get_matches_from(&typed);
    let matches = matches.map_err(|error| Error::bug("cannot read the command line again").because(error))?;
    let options = Options::of(&command);
    let Sources { file, context, mut settings } = sources(&options, &levels(&matches), variable)?;
    let mut seen = std::collections::BTreeSet::new();
    settings.retain(|setting| seen.insert(setting.option.clone()));
    for setting in &mut settings {
        options.words(setting)?;
        if setting.option == "token" {
            setting.values = vec!["<redacted>".to_owned()];
        }
    }
    settings.sort_by(|a, b| a.option.cmp(&b.option));
    Ok(ConfigView { file: file.map(|file| file.path.display().to_string()), context, settings })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn read(words: Vec<OsString>) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&cli::command().try_get_matches_from(words)?)
}

/// What can be understood of a command line that is still being typed.
fn unfinished(typed: Vec<OsString>) -> Option<ArgMatches> {
    let words = complete(typed, variable).ok()?.words;
    cli::command().ignore_errors(true).try_get_matches_from(words).ok()
}

fn built() -> Command {
    let mut command = cli::command();
    command.build();
    command
}

/// The matches of the program, its command, and the command below that.
fn levels(matches: &ArgMatches) -> Vec<&ArgMatches> {
    let mut levels = vec![matches];
    while let Some((_, below)) = levels.last().and_then(|matches| matches.subcommand()) {
        levels.push(below);
    }
    levels
}

/// A command line with everything that belongs to the command behind it.
struct Completed {
    words: Vec<OsString>,
    /// What of it comes from elsewhere.
    settings: Vec<Setting>,
}

fn complete(typed: Vec<OsString>, variable: impl Fn(&str) -> Option<String> + Copy) -> Result<Completed, Error> {
    let command = built();
    // Errors are the second reading's to report; and help needs no configuration.
    let as_typed = |words| Ok(Completed { words, settings: Vec::new() });
    let Ok(matches) = command.clone().ignore_errors(true).try_get_matches_from(&typed) else { return as_typed(typed) };
    let mut leaf = &command;
    let mut below = &matches;
    while let Some((name, matches)) = below.subcommand() {
        let Some(sub) = leaf.find_subcommand(name) else { break };
        (leaf, below) = (sub, matches);
    }
    if std::ptr::eq(leaf, &raw const command) {
        return as_typed(typed);
    }
    let mut more = before_the_command(&command, &matches, leaf, below);
    let options = Options::of(&command);
    let mut taken: Vec<&Arg> = leaf.get_arguments().filter(|arg| is_typed(below, arg.get_id().as_str())).collect();
    let hoisted = leaf
        .get_arguments()
        .filter(|arg| has(&matches, arg.get_id().as_str()) && is_typed(&matches, arg.get_id().as_str()));
    taken.extend(hoisted);
    let mut settings = Vec::new();
    for setting in sources(&options, &levels(&matches), variable)?.settings {
        let Some(arg) = leaf.get_arguments().find(|arg| arg.get_long() == Some(&setting.option)) else { continue };
        if gives_way(leaf, arg, &taken) {
            continue;
        }
        taken.push(arg);
        more.extend(options.words(&setting)?.into_iter().map(OsString::from));
        settings.push(setting);
    }
    Ok(Completed { words: behind_the_command(typed, more), settings })
}

/// What options may come from that were not typed, the strongest source first.
struct Sources {
    file: Option<File>,
    context: Option<String>,
    settings: Vec<Setting>,
}

fn sources(
    options: &Options,
    levels: &[&ArgMatches],
    variable: impl Fn(&str) -> Option<String> + Copy,
) -> Result<Sources, Error> {
    let typed = |id: &str| {
        let mut found = levels.iter().rev().filter(|matches| is_typed(matches, id));
        found.find_map(|matches| matches.get_raw(id)?.next().map(OsStr::to_owned))
    };
    let named = typed("config").or_else(|| variable("STALEDP_CONFIG").map(OsString::from));
    let file = File::find(named.as_deref(), variable)?;
    let mut settings = environment(options, variable);
    // The context whose section counts is known before that section is read.
    let mut context = typed("context").and_then(|context| context.into_string().ok());
    if let Some(file) = &file {
        let general = file.settings(options, None)?;
        let set = |option: &str| {
            let mut both = settings.iter().chain(&general);
            both.find(|setting| setting.option == option).and_then(|setting| setting.values.first().cloned())
        };
        let kubeconfig = typed("kubeconfig").map(PathBuf::from).or_else(|| set("kubeconfig").map(PathBuf::from));
        context = context.or_else(|| set("context")).or_else(|| names(kubeconfig.as_deref()).current);
        settings.extend(file.settings(options, context.as_deref())?);
    }
    Ok(Sources { file, context, settings })
}

/// Whether an option that was not typed gives way to what was, or means nothing without another one.
fn gives_way(command: &Command, arg: &Arg, taken: &[&Arg]) -> bool {
    let id = |arg: &Arg| arg.get_id().as_str().to_owned();
    let conflicts = |one: &Arg, other: &Arg| {
        !one.is_global_set() && command.get_arg_conflicts_with(one).iter().any(|arg| arg.get_id() == other.get_id())
    };
    let chooses = |arg: &Arg| CHOICE.contains(&arg.get_id().as_str());
    let own = id(arg);
    let is_silenced = taken.iter().any(|other| {
        own == id(other) || chooses(arg) && chooses(other) || conflicts(arg, other) || conflicts(other, arg)
            // Declared at the program, where conflicts of global options are.
            || ["quiet", "verbose"].contains(&&*own) && ["quiet", "verbose"].contains(&&*id(other))
    });
    let lacks = NEEDS.iter().any(|(option, needed)| {
        let exists = command.get_arguments().any(|arg| arg.get_id() == needed);
        own == *option && exists && !taken.iter().any(|arg| arg.get_id() == needed)
    });
    is_silenced || lacks
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

    fn completed(words: &str, set: &[(&str, &str)]) -> String {
        let words = words.split(' ').map(OsString::from).collect();
        let value = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let words = complete(words, value).unwrap().words;
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
            assert_eq!(completed(typed, &[]), right);
        }
    }

    #[test]
    fn connection_option_before_the_command_conflicts_with_saved_evidence_as_behind_it() {
        for words in ["staledp --context a diagnose --from b", "staledp diagnose --context a --from b"] {
            let words = complete(words.split(' ').map(OsString::from).collect(), |_| None).unwrap().words;
            let error = read(words).unwrap_err().to_string();
            assert!(error.contains("cannot be used with"), "{error}");
        }
    }

    #[test]
    fn what_was_typed_silences_variables_that_do_not_go_with_it() {
        let set =
            [("STALEDP_CONTEXT", "a"), ("STALEDP_NODE", "x,y"), ("STALEDP_TIMEOUT", "9s"), ("STALEDP_REDACT", "1")];
        for (typed, right) in [
            ("staledp diagnose", "staledp diagnose --context=a --node=x --node=y --timeout=9s"),
            ("staledp diagnose n", "staledp diagnose n --context=a --timeout=9s"),
            ("staledp diagnose --all-nodes", "staledp diagnose --all-nodes --context=a --timeout=9s"),
            ("staledp diagnose n --context b", "staledp diagnose n --context b --timeout=9s"),
            ("staledp --context b diagnose n", "staledp --context b diagnose n --context=b --timeout=9s"),
            ("staledp diagnose --from f --timeout 1s", "staledp diagnose --from f --timeout 1s --node=x --node=y"),
            ("staledp diagnose n --save d", "staledp diagnose n --save d --context=a --redact --timeout=9s"),
            ("staledp explain", "staledp explain"),
        ] {
            assert_eq!(completed(typed, &set), right);
        }
    }

    #[test]
    fn restart_is_consented_to_by_typing_only() {
        let set = [("STALEDP_YES", "1"), ("STALEDP_FORCE", "healthy"), ("STALEDP_ACCEPT_RISK", "true")];
        assert_eq!(completed("staledp fix n", &set), "staledp fix n");
    }
}
