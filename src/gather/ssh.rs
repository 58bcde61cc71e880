//! SSH: the only file that knows its wire.
