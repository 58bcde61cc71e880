//! Findings into a verdict and a remedy.

pub mod verdict;
