//! The program against a cluster, all of it in this process and on the loopback address.
//!
//! `server` shows that the test server speaks as the captured ones did; the others run the real binary against it.

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/pipe.rs"]
mod pipe;

mod commands;
mod completion;
mod diagnose;
mod direct;
mod fix;
mod fleet;
mod gate;
mod keyboard;
mod lock;
mod packed;
mod redact;
mod replay;
mod rights;
mod risk;
mod save;
mod second_look;
mod server;
mod ssh;
mod stalled;
mod symptoms;
mod told;
mod watch;
