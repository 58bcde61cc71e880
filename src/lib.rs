//! # The map of the house
//!
//! A diagnosis is one walk, from the outside world to a sentence on a screen, without turning back:
//!
//! ```text
//! arguments ─▶ cli ─▶ settings
//!                        │
//!          the world ─▶ gather     bytes, how they ended, what was asked, when, how long
//!                        │
//!                      cilium      text of cilium-dbg into typed values
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
//! Modules import from those above them in this picture's lower half only: report knows verdicts, rules know findings,
//! checks know values, `cilium` knows bytes. Nothing below [`settings`] and [`gather`] knows a network, a clock, an
//! environment variable or a terminal.

// Whatever comes in, the program ends in an answer: nothing here stops in the middle. Tests may (`.clippy.toml`).
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]

#[warn(clippy::indexing_slicing)]
pub mod base;
#[warn(clippy::indexing_slicing)]
pub mod checks;
pub mod cilium;
#[warn(clippy::indexing_slicing)]
pub mod cli;
#[warn(clippy::indexing_slicing)]
pub mod commands;
#[warn(clippy::indexing_slicing)]
pub mod diagnose;
pub mod fix;
pub mod gather;
pub mod knowledge;
pub mod kubernetes;
#[warn(clippy::indexing_slicing)]
pub mod progress;
pub mod report;
#[warn(clippy::indexing_slicing)]
pub mod rights;
pub mod rules;
#[warn(clippy::indexing_slicing)]
pub mod settings;
pub mod symptoms;
pub mod ways;
