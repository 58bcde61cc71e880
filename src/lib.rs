//! # The map of the house
//!
//! A diagnosis is one walk, from the outside world to a sentence on a screen, without turning back:
//!
//! ```text
//! arguments ─▶ cli ─▶ settings
//!                        │
//!          the world ─▶ gather     bytes, how they ended, what was asked, when, how long
//!                        │
//!                      cilium      text of cilium-dbg and bpftool into typed values
//!                        │
//!                      checks      five findings: pass, fail, warn, unknown (why), not applicable
//!                        │
//!                      rules       findings into a verdict and a remedy
//!                        │
//!                      report      table, JSON, YAML ─▶ standard output, exit code
//! ```
//!
//! `fix` walks this way, acts once, and walks it again to see whether that helped.
//!
//! The rooms, from the ground floor up. Each imports only from those above it in this list; `tests/architecture.rs` holds
//! them to it. None of the first nine knows a network, a clock, a file, an environment variable or a terminal.
//!
//! | Room | Holds |
//! | --- | --- |
//! | [`base`] | small values: time, address ranges, evidence and its failures, errors, exit codes |
//! | [`kubernetes`] | the cluster's objects, and who owns an address |
//! | [`cilium`] | text of cilium-dbg and bpftool into values |
//! | [`knowledge`] | verdict codes, checks and upstream issues, as data |
//! | [`rights`] | the permissions that commands need, as data |
//! | [`ways`] | how each way of packets does |
//! | [`checks`] | the five checks: answers into findings |
//! | [`rules`] | findings into a verdict and a remedy |
//! | [`symptoms`] | what the cluster already reports |
//! | [`report`] | the report, and one file per way to show it |
//! | [`gather`] | the world behind one trait: live, bundles, archives; reads only |
//! | [`diagnose`] | one node: ask, check, judge; many nodes: how many at once |
//! | [`progress`] | what a person sees meanwhile, and the writer of standard output |
//! | [`fix`] | plan, preflight, lock, restart, verify: the only requests that write |
//! | [`cli`], [`settings`] | what can be typed, and what was meant |
//! | [`commands`] | one file per command; signals, printing, the choice of nodes |

// Whatever comes in, the program ends in an answer: nothing here stops in the middle. Tests may (`.clippy.toml`).
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]

#[warn(clippy::indexing_slicing)]
pub mod base;
#[warn(clippy::indexing_slicing)]
pub mod checks;
#[warn(clippy::indexing_slicing)]
pub mod cilium;
#[warn(clippy::indexing_slicing)]
pub mod cli;
#[warn(clippy::indexing_slicing)]
pub mod commands;
#[warn(clippy::indexing_slicing)]
pub mod diagnose;
#[warn(clippy::indexing_slicing)]
pub mod fix;
#[warn(clippy::indexing_slicing)]
pub mod gather;
#[warn(clippy::indexing_slicing)]
pub mod knowledge;
#[warn(clippy::indexing_slicing)]
pub mod kubernetes;
#[warn(clippy::indexing_slicing)]
pub mod progress;
#[warn(clippy::indexing_slicing)]
pub mod report;
#[warn(clippy::indexing_slicing)]
pub mod rights;
#[warn(clippy::indexing_slicing)]
pub mod rules;
#[warn(clippy::indexing_slicing)]
pub mod settings;
#[warn(clippy::indexing_slicing)]
pub mod symptoms;
#[warn(clippy::indexing_slicing)]
pub mod ways;
