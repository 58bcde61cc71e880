//! Scenarios as data, and how each becomes a bundle.
//!
//! A scenario says what a cluster looked like and what must be said of it. It is written from the documents alone (the
//! facts about Cilium's text formats, the table of verdicts, the contract of the bundle), never from the code that
//! judges: the two are to agree because both are right.

pub(crate) mod addr;
pub(crate) mod build;
pub(crate) mod bundle;
pub(crate) mod conntrack;
pub(crate) mod incidents;
pub(crate) mod kube;
pub(crate) mod model;
pub(crate) mod probe;
pub(crate) mod release;
pub(crate) mod rng;
pub(crate) mod run;
pub(crate) mod tables;
pub(crate) mod told;
