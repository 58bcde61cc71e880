//! The stale kinds: the datapath of this node is stale, and a restart of its agent repairs it.

pub mod datapath;
mod kernel_services;
pub mod map;
pub mod node_address;
mod pod_devices;
pub mod programs;
pub mod selective;
pub mod service_map;
pub mod silent_agent;
pub mod tail_calls;
