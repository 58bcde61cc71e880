//! Arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    staledp::settings::note_name();
    staledp::commands::complete();
    staledp::commands::run(staledp::settings::arguments())
}
