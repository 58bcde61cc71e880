//! Small values that every room can use: time, address ranges, evidence and its failures, names of pods, errors and
//! exit codes, how results are shown.

pub mod answer;
pub mod clock;
pub mod error;
pub mod evidence;
pub mod exit;
pub mod failure;
pub mod net;
pub(crate) mod pattern;
pub mod pod_ref;
pub mod process;
pub mod screen;
pub mod shard;
pub mod time;
pub mod tool;
