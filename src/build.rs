//! Names the commit that a release is built from: `STALEDP_COMMIT` and `STALEDP_COMMIT_DATE` where the builder sets them
//! (a source archive has no history), else what git says. A debug build names none, so that a commit alone does not
//! rebuild everything.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=STALEDP_COMMIT");
    println!("cargo::rerun-if-env-changed=STALEDP_COMMIT_DATE");
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if is_release {
        println!("cargo::rerun-if-changed=.git/HEAD");
        println!("cargo::rerun-if-changed=.git/refs/heads");
    } else {
        println!("cargo::rerun-if-changed=src/build.rs");
    }
    let known = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let commit = known("STALEDP_COMMIT");
    let asks_git = is_release && commit.is_none();
    let commit = commit.or_else(|| git(asks_git, &["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]));
    let date = known("STALEDP_COMMIT_DATE").or_else(|| git(asks_git, &["log", "-1", "--format=%cI"]));
    println!("cargo::rustc-env=STALEDP_COMMIT={}", commit.unwrap_or_default());
    println!("cargo::rustc-env=STALEDP_COMMIT_DATE={}", date.unwrap_or_default());
}

fn git(asks: bool, args: &[&str]) -> Option<String> {
    let output = asks.then(|| Command::new("git").args(args).output().ok())??;
    let said = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(said.trim().to_owned()).filter(|said| !said.is_empty())
}
