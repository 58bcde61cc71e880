//! How each way of packets of a node does: who talks to whom, who gets answers, and over which time.

pub mod counts;
pub mod group;
pub mod lens;
pub mod pass;
pub mod picture;
