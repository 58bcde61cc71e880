//! The program on saved evidence: no cluster, and nothing of this machine but its tools.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The bundle of a fixture.
pub(crate) fn bundle(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).join("bundle").display().to_string()
}

/// The program with these arguments, not yet started.
pub(crate) fn staledp(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_staledp"));
    command.args(args).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent").stdin(Stdio::null());
    command
}

/// The program to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    staledp(args).output().expect("the program runs")
}
