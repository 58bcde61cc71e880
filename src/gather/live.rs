//! A live cluster as a source.
