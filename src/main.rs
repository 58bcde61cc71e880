//! Arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    staledp::commands::run(staledp::settings::arguments())
}
