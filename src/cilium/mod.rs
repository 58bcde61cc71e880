//! Parses the text of `cilium-dbg` and `bpftool`: text in, values out, nothing else.
//!
//! Every parser reads the fields that are there and never switches on a version. What can't be parsed is counted and
//! shown, not guessed.

pub mod agent_config;
pub mod agent_log;
pub mod bpf_endpoints;
pub mod calls_maps;
pub mod cgroup_tree;
pub mod config_drift;
pub mod conntrack;
pub mod drops;
pub mod endpoint_list;
pub mod endpoints;
pub mod firewall;
pub mod ipcache;
pub mod kernel_btf;
pub mod lb;
pub mod lines;
pub mod links;
pub mod mounts;
pub mod nat;
pub mod programs;
pub mod services;
pub mod status;
pub mod two_copies;
