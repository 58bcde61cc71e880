//! The cluster's objects as values, and their roles. Pure: no wire, no clock.

pub mod address_map;
pub mod agents;
pub mod arguments;
pub mod cluster_dns;
pub mod cluster_map;
pub mod foreign_kind;
pub mod inventory;
pub mod meant_for;
pub mod node_local_dns;
pub mod node_view;
pub mod objects;
pub mod pod_trouble;
pub mod restart_view;
pub mod roles;
pub mod settled;
