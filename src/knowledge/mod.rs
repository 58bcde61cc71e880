//! What is known before looking: the verdict codes in words, and upstream issues by version.
