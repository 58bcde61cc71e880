//! The program judged from outside: scenarios written from the documents, the real binary on their bundles.

#[path = "../support/scenario/mod.rs"]
#[allow(dead_code, reason = "shared with other test crates, and none of them uses all of it")]
mod scenario;

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "shared with other test crates, and none of them uses all of it")]
mod support;

mod kept;
mod less;
mod matrix;
mod properties;
mod saved;
mod sentences;
mod situations;
mod suite;
