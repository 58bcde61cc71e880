//! The program against a cluster, all of it in this process and on the loopback address.
//!
//! `server` shows that the test server speaks as the captured ones did; `diagnose` runs the real binary against it.

#[path = "../support/mod.rs"]
mod support;

mod diagnose;
mod fix;
mod fleet;
mod save;
mod server;
mod symptoms;
