//! `staledp completions SHELL`: the completion script for a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::printing::Terminal;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli::Cli;

/// Prints the script.
pub(super) async fn run(shell: Shell, terminal: &Terminal) -> Result<Exit, Error> {
    terminal.print(script(shell)).await?;
    Ok(Exit::Healthy)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "staledp", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_names_the_commands() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            assert!(script.contains("staledp") && script.contains("diagnose"), "{shell}");
        }
    }
}
