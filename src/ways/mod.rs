//! The ways of packets of a node: who talks to whom, who gets answers, and over which time.
//!
//! [`pass`] reads a dump line by line and `tally` adds up, [`lens`] says which way an entry takes, [`picture`] is what comes out, [`way`] and
//! [`dns`] say how each way does, and [`compare`] holds one pod against the others.

pub mod compare;
pub mod counts;
pub mod dns;
pub mod group;
mod judge;
pub mod lens;
pub mod life;
pub mod pass;
mod pending;
pub mod picture;
mod tally;
pub mod way;
