//! Small values that every room can use: time, address ranges, evidence and its failures, names of pods, errors and
//! exit codes, how results are shown.

pub mod answer;
pub mod clock;
pub mod cluster_settings;
pub mod credentials;
pub mod error;
pub mod evidence;
pub mod exit;
pub mod failure;
pub mod labels;
pub mod net;
pub(crate) mod pattern;
pub mod pod_ref;
pub mod probe_tools;
pub mod program;
pub mod prometheus;
pub mod questions;
pub mod screen;
pub mod secret;
pub mod selector;
pub mod shard;
pub mod similar;
pub mod source_kind;
pub mod ssh_address;
pub mod symptom_options;
pub mod time;
pub mod tool;
pub mod version;
