//! A cluster to run the program against: a test API server in this process, on the loopback address, and a runner for
//! the real binary.
//!
//! [`world::World`] says what the cluster holds and how it misbehaves, [`api::ApiServer`] serves it, [`bundle`] turns
//! a saved bundle into a world, [`scenes`] writes small bundles, [`sshd`] has what nodes by SSH need, [`run`] runs the
//! program under a deadline, [`commands`] holds what it ran against the README's table, [`saved`] compares what it says live with what its bundle says, and [`sentences`] holds what it
//! says against the figures of the same report.
//! How each answer looks was taken from captures of real API servers (Kubernetes 1.36 and 1.20).

pub(crate) mod api;
pub(crate) mod bundle;
pub(crate) mod client;
pub(crate) mod commands;
pub(crate) mod exec;
pub(crate) mod http;
pub(crate) mod lists;
pub(crate) mod packing;
pub(crate) mod run;
pub(crate) mod saved;
pub(crate) mod scenes;
#[allow(dead_code, reason = "only some of the test crates judge sentences")]
pub(crate) mod sentences;
pub(crate) mod sshd;
pub(crate) mod watches;
pub(crate) mod world;
pub(crate) mod writes;
