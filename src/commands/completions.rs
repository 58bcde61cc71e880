//! `staledp completions SHELL`: the script that lets a shell complete, which asks this program for the candidates.

use std::io;

use clap_complete::Shell;
use clap_complete::env::Shells;

use super::candidates::ASKED_BY;
use super::printing::Terminal;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::program;
use crate::cli::CompletionsFor;

/// The file that kubectl runs to complete the words of its plugin `kubectl-staledp`. kubectl reads candidates, a line
/// each, and then what to do with them: 4 is "offer no files".
const KUBECTL: &str = r#"#!/bin/sh
# Completes "kubectl staledp": put it on the PATH as kubectl_complete-staledp, executable.
ASKED_BY=bash _CLAP_COMPLETE_INDEX=$# _CLAP_IFS='
' kubectl-staledp -- kubectl-staledp "$@" 2>/dev/null
echo
echo :4
"#;

/// Prints the script.
pub(super) async fn run(what: CompletionsFor, terminal: &Terminal) -> Result<Exit, Error> {
    let script = script(what).map_err(|error| Error::bug("cannot write the script").because(error))?;
    terminal.print(script).await?;
    Ok(Exit::Healthy)
}

fn script(what: CompletionsFor) -> io::Result<Vec<u8>> {
    let shell = match what {
        CompletionsFor::Kubectl => return Ok(KUBECTL.replace("ASKED_BY", ASKED_BY).into_bytes()),
        CompletionsFor::Bash => Shell::Bash,
        CompletionsFor::Elvish => Shell::Elvish,
        CompletionsFor::Fish => Shell::Fish,
        CompletionsFor::PowerShell => Shell::PowerShell,
        CompletionsFor::Zsh => Shell::Zsh,
    };
    let name = program::file();
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let shell = shells.completer(&shell.to_string()).ok_or(io::ErrorKind::Unsupported)?;
    shell.write_registration(ASKED_BY, name, name, name, &mut script)?;
    Ok(script)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_asks_the_program() {
        for what in CompletionsFor::value_variants() {
            let script = String::from_utf8(script(*what).unwrap()).unwrap();
            assert!(script.contains("staledp") && script.contains(ASKED_BY), "{what:?}");
        }
    }
}
