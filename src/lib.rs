//! # The map of the house
//!
//! A diagnosis is one walk, from the outside world to a sentence on a screen, without turning back:
//!
//! ```text
//! arguments ─▶ cli ─▶ settings
//!                        │
//!    the world ─▶ gather          bytes, how they ended, what was asked, when, how long
//!                        │        live/ (API, exec, SSH) · bundle/ · archive/ · save/ keeps what passes
//!                        │
//!        cilium      kubernetes   text of cilium-dbg, bpftool and lists into typed values
//!             │           │
//!            ways      checks     how each way of packets does; five findings: pass, fail, warn, unknown, not applicable
//!               │       │
//!                rules            findings and ways into a verdict: stale/ signs, lookalikes/, remedy
//!                  │   ▲
//!                  │   └ knowledge   codes, look-alikes, upstream issues, restart risks, as data
//!                  │
//!    diagnose ─▶ report           table, JSON, YAML ─▶ standard output, exit code
//! ```
//!
//! [`diagnose`] drives this walk: it asks [`gather`], hands the answers through the pure rooms, asks again where that could
//! change the verdict, and compares the nodes. [`fix`] walks it, acts once, and walks it again to see whether that helped.
//! [`symptoms`] is a shorter walk beside it, from lists, events and logs to hints.
//!
//! The rooms, from the ground floor up. Each imports only from those above it in this list; `tests/architecture.rs` holds
//! them to it. The first eleven know no network, clock, file, environment variable or terminal ([`base::clock`] is
//! there for the others).
//!
//! | Room | Holds |
//! | --- | --- |
//! | [`base`] | small values: time, address ranges, evidence and its failures, errors, exit codes |
//! | [`kubernetes`] | the cluster's objects, and `ClusterMap`: who owns an address, which pods are agents and DNS |
//! | [`cilium`] | text of cilium-dbg and bpftool into values; `conntrack/` parses the dump |
//! | [`knowledge`] | verdict codes, look-alikes, checks, upstream issues and restart risks, as data |
//! | [`rights`] | the permissions that commands need, as data |
//! | [`manifests`] | ready YAML for a cluster, as templates |
//! | [`ways`] | flows by the way that their packets take, and whether each way is alive or dead |
//! | [`checks`] | the five checks: answers into findings |
//! | [`rules`] | findings and ways into a verdict and a remedy: `stale/`, `lookalikes/`, comparison of nodes |
//! | [`symptoms`] | what the cluster already reports |
//! | [`report`] | the report, and one file per way to show it; `explain` and `diff` |
//! | [`gather`] | the world behind one trait: `live/`, `bundle/`, `archive/`, and `save/`; reads only |
//! | [`diagnose`] | one node: ask, check, judge; many nodes: how many in parallel |
//! | [`progress`] | what a person sees meanwhile, and the writer of standard output |
//! | [`fix`] | plan, preflight, lock, restart, verify: the only requests that write |
//! | [`watch`] | judges all nodes continuously: screening, schedule, condition, metrics |
//! | [`cli`], [`settings`] | the command line, and what it resolves to |
//! | [`commands`] | one file per command; signals, printing, the choice of nodes |
//!
//! README's "For contributors" says where to find what, how the tests are laid out, and how to add a case.

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
pub mod manifests;
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
pub mod watch;
#[warn(clippy::indexing_slicing)]
pub mod ways;
