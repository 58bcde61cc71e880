//! Text of `cilium-dbg` into values: text in, values out, nothing else.
//!
//! Every parser reads the fields that are there and never switches on a version. What can't be parsed is counted and
//! shown, not guessed.

pub mod agent_log;
pub mod conntrack;
pub mod drops;
pub mod endpoints;
pub mod lb;
pub mod lines;
pub mod nat;
pub mod programs;
pub mod services;
pub mod status;
