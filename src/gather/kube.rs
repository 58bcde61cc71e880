//! The Kubernetes API: the only file that knows its wire.
