//! Arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    staledp::commands::run(staledp::cli::Cli::parse())
}
