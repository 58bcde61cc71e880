//! Small values that every room may know: time, address ranges, evidence and its failures, names of pods.

pub mod answer;
pub mod clock;
pub mod evidence;
pub mod failure;
pub mod net;
pub(crate) mod pattern;
pub mod pod_ref;
pub mod process;
pub mod shard;
pub mod tool;
pub mod version;
