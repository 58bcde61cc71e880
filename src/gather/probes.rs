//! Which pods probe, and with what.
