//! Options that were not typed: `STALEDP_…` environment variables, then the section of the context in `staledp.toml`,
//! then the rest of that file. Options that consent to a restart are typed each time; they have no other source.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{ArgAction, Command};
use serde::Serialize;
use toml::{Table, Value};

use crate::base::error::Error;
use crate::base::similar;

/// Options that allow a change, by their long names.
const CONSENT: [&str; 4] = ["yes", "force", "accept-risk", "nodes-at-risk-ok"];
/// Options that are about this layer itself, or about help.
const OWN: [&str; 3] = ["config", "help", "version"];
/// Repeatable options whose values may hold commas.
const WITH_COMMAS: [&str; 2] = ["query", "ssh-option"];
/// The most that is read of a configuration file, in bytes.
const LARGEST: u64 = 1 << 20;

/// An option's values, and where they come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its long name.
    pub option: String,
    /// Its values; `true` or `false` for a flag.
    pub values: Vec<String>,
    /// The environment variable, or the file and its section.
    pub from: String,
}

/// What options may be set otherwise than by typing them.
pub(super) struct Options(BTreeMap<String, ArgAction>);

impl Options {
    /// Every long option of every command.
    pub(super) fn of(command: &Command) -> Self {
        fn add(command: &Command, all: &mut BTreeMap<String, ArgAction>) {
            for arg in command.get_arguments() {
                let long = arg.get_long().filter(|long| !CONSENT.contains(long) && !OWN.contains(long));
                if let Some(long) = long {
                    all.insert(long.to_owned(), arg.get_action().clone());
                }
            }
            command.get_subcommands().for_each(|sub| add(sub, all));
        }
        let mut all = BTreeMap::new();
        add(command, &mut all);
        Self(all)
    }

    /// Their names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn is_repeatable(&self, option: &str) -> bool {
        matches!(self.0.get(option), Some(ArgAction::Append))
    }

    /// The words that set it as if it were typed.
    pub(super) fn words(&self, setting: &Setting) -> Result<Vec<String>, Error> {
        let Setting { option, values, from } = setting;
        let wrong = |value: &str, wanted: &str| {
            Error::configuration(format!("{from} sets --{option} to '{value}', which is not {wanted}"))
        };
        let mut words = Vec::new();
        for value in values {
            match self.0.get(option) {
                Some(ArgAction::SetTrue) => match value.to_ascii_lowercase().as_str() {
                    "true" | "1" | "yes" | "on" => words.push(format!("--{option}")),
                    "false" | "0" | "no" | "off" | "" => {}
                    _ => return Err(wrong(value, "true or false")),
                },
                Some(ArgAction::Count) => {
                    let times: usize =
                        value.parse().ok().filter(|n| *n < 10).ok_or_else(|| wrong(value, "a number"))?;
                    words.extend(std::iter::repeat_n(format!("--{option}"), times));
                }
                _ => words.push(format!("--{option}={value}")),
            }
        }
        Ok(words)
    }
}

/// What the environment sets.
pub(super) fn environment(options: &Options, variable: impl Fn(&str) -> Option<String>) -> Vec<Setting> {
    let set = options.names().filter_map(|option| {
        let name = variable_of(option);
        let value = variable(&name)?;
        let values = match (options.is_repeatable(option), value.contains('\n') || WITH_COMMAS.contains(&option)) {
            (false, _) => vec![value],
            (true, true) => parts(&value, '\n'),
            (true, false) => parts(&value, ','),
        };
        Some(Setting { option: option.to_owned(), values, from: name })
    });
    set.collect()
}

fn parts(value: &str, at: char) -> Vec<String> {
    value.split(at).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// `--ssh-user` is `STALEDP_SSH_USER`.
pub(super) fn variable_of(option: &str) -> String {
    format!("STALEDP_{}", option.to_uppercase().replace('-', "_"))
}

/// A configuration file.
pub(super) struct File {
    pub(super) path: PathBuf,
    table: Table,
}

impl File {
    /// The file that was named, else that of the user; none where the user has none, or an empty name was given.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, or is not TOML.
    pub(super) fn find(
        named: Option<&OsStr>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, Error> {
        let known = |name: &str| variable(name).filter(|value| !value.is_empty());
        let (path, must_be) = match named {
            Some(name) if name.is_empty() => return Ok(None),
            Some(name) => (PathBuf::from(name), true),
            None => {
                let home = || known("HOME").map(|home| Path::new(&home).join(".config"));
                let Some(folder) = known("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home) else { return Ok(None) };
                (folder.join("staledp").join("staledp.toml"), false)
            }
        };
        if !must_be && !path.exists() {
            return Ok(None);
        }
        let cannot = || Error::configuration(format!("cannot read the configuration {}", path.display()));
        let text = fs::metadata(&path).and_then(|about| {
            if about.len() > LARGEST {
                return Err(std::io::Error::other("it is longer than 1 MiB"));
            }
            fs::read_to_string(&path)
        });
        let table = text.map_err(|error| cannot().because(error))?.parse().map_err(|error: toml::de::Error| {
            let line = error.message().lines().next().unwrap_or_default().to_owned();
            Error::configuration(format!("{}: {line}", cannot()))
        })?;
        Ok(Some(Self { path, table }))
    }

    /// What it sets, the strongest first: in the section of this context, and for all.
    ///
    /// # Errors
    ///
    /// A key that is no option, or a value of another type.
    pub(super) fn settings(&self, options: &Options, context: Option<&str>) -> Result<Vec<Setting>, Error> {
        let shown = self.path.display();
        let (mut own, mut all) = (Vec::new(), Vec::new());
        for (key, value) in &self.table {
            if key != "contexts" {
                all.push(setting(options, key, value, shown.to_string())?);
                continue;
            }
            let sections =
                value.as_table().ok_or_else(|| wrong(&shown.to_string(), key, "sections [contexts.NAME]"))?;
            for (name, section) in sections {
                let from = format!("{shown} [contexts.{name}]");
                let section = section.as_table().ok_or_else(|| wrong(&from, name, "a section"))?;
                for (key, value) in section {
                    // Read all of them: a fault is told before the day on which that cluster is looked at.
                    let setting = setting(options, key, value, from.clone())?;
                    if Some(name.as_str()) == context {
                        own.push(setting);
                    }
                }
            }
        }
        own.extend(all);
        Ok(own)
    }
}

fn wrong(from: &str, key: &str, wanted: &str) -> Error {
    Error::configuration(format!("{from}: {key} is not {wanted}"))
}

fn setting(options: &Options, key: &str, value: &Value, from: String) -> Result<Setting, Error> {
    if key == "token" {
        return Err(Error::configuration(format!("{from}: a token does not belong into a file that clusters share"))
            .with_hint("use the kubeconfig, --token, or STALEDP_TOKEN"));
    }
    if CONSENT.contains(&key) {
        return Err(Error::configuration(format!("{from}: --{key} consents to a restart and must be typed each time")));
    }
    if !options.0.contains_key(key) {
        let meant = similar::question(key, options.names());
        return Err(Error::configuration(format!("{from}: '{key}' is not an option"))
            .with_hint(format!("{meant}keys are the long names of options, without their dashes")));
    }
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Boolean(flag) => Ok(flag.to_string()),
        Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            Err(wrong(&from, key, "a text, a number, true, false, or a list of these"))
        }
    };
    let values = match value {
        Value::Array(values) if options.is_repeatable(key) => values.iter().map(one).collect::<Result<_, _>>()?,
        value => vec![one(value)?],
    };
    Ok(Setting { option: key.to_owned(), values, from })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn file(text: &str) -> File {
        File { path: PathBuf::from("f.toml"), table: text.parse().unwrap() }
    }

    fn options() -> Options {
        Options::of(&cli::command())
    }

    #[test]
    fn every_long_option_but_those_that_consent_has_a_variable() {
        let options = options();
        let names: Vec<&str> = options.names().collect();
        assert!(names.len() > 40, "{names:?}");
        for name in ["context", "ssh-user", "timeout", "output", "external-ip", "save", "token", "no-ssh"] {
            assert!(names.contains(&name), "{name}");
        }
        for name in CONSENT.into_iter().chain(OWN) {
            assert!(!names.contains(&name), "{name}");
        }
        assert_eq!(variable_of("ssh-user"), "STALEDP_SSH_USER");
    }

    #[test]
    fn variables_of_repeatable_options_are_lists() {
        let value = |name: &str| match name {
            "STALEDP_EXTERNAL_IP" => Some("1.1.1.1, 9.9.9.9".to_owned()),
            "STALEDP_QUERY" => Some("sum(a, b)\nup".to_owned()),
            "STALEDP_SSH_OPTION" => Some("Ciphers=a,b".to_owned()),
            "STALEDP_CONTEXT" => Some("a,b".to_owned()),
            _ => None,
        };
        let found = environment(&options(), value);
        let of = |option: &str| found.iter().find(|s| s.option == option).unwrap().values.clone();
        assert_eq!(of("external-ip"), ["1.1.1.1", "9.9.9.9"]);
        assert_eq!(of("query"), ["sum(a, b)", "up"]);
        assert_eq!(
            (of("ssh-option"), of("context")),
            (vec!["Ciphers=a,b".to_owned()], vec!["a".to_owned(), "b".to_owned()])
        );
    }

    #[test]
    fn section_of_the_context_comes_before_the_rest() {
        let file = file("timeout = '90s'\nno-ssh = true\n[contexts.a]\ntimeout = '2m'\n[contexts.b]\ntimeout = '3m'\n");
        let values = |context| {
            let settings = file.settings(&options(), context).unwrap();
            settings.iter().filter(|s| s.option == "timeout").map(|s| s.values[0].clone()).collect::<Vec<_>>()
        };
        assert_eq!(values(Some("a")), ["2m", "90s"]);
        assert_eq!(values(None), ["90s"]);
    }

    #[test]
    fn wrong_keys_and_values_are_refused_by_name() {
        for (text, word) in [
            ("timeuot = '1s'", "did you mean timeout?"),
            ("yes = true", "must be typed each time"),
            ("token = 'x'", "STALEDP_TOKEN"),
            ("timeout = [1]", "not a text"),
            ("contexts = 1", "sections [contexts.NAME]"),
            ("[contexts.other]\nbogus = 1", "[contexts.other]: 'bogus'"),
        ] {
            let why = file(text).settings(&options(), None).unwrap_err().with_advice();
            assert!(why.contains(word), "{text}: {why}");
        }
    }

    #[test]
    fn flags_and_counts_are_words() {
        let words = |option: &str, value: &str| {
            let (option, values) = (option.to_owned(), vec![value.to_owned()]);
            options().words(&Setting { option, values, from: "X".to_owned() })
        };
        assert_eq!(words("no-ssh", "1").unwrap(), ["--no-ssh"]);
        assert_eq!(words("no-ssh", "false").unwrap(), Vec::<String>::new());
        assert_eq!(words("verbose", "2").unwrap(), ["--verbose", "--verbose"]);
        assert_eq!(words("timeout", "90s").unwrap(), ["--timeout=90s"]);
        assert!(words("no-ssh", "perhaps").unwrap_err().to_string().contains("X sets --no-ssh to 'perhaps'"));
    }
}
