//! The one side: the datapath of this node is stale, and a restart of its agent repairs it.

pub mod datapath;
pub mod node_address;
pub mod programs;
pub mod selective;
pub mod service_map;
