//! A saved bundle as a source.
