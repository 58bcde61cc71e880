//! Connection tracking: `cilium-dbg bpf ct list global`.
//!
//! [`entry`] reads one line, [`clock`] finds out what its times mean, [`roles`] knows which address is whose, and
//! [`picture`] adds up a whole dump in one pass.

pub mod clock;
pub mod entry;
