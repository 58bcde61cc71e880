//! How each way of packets of a node does.

pub mod picture;
