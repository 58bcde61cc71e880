//! What is known before looking: the verdict codes and the checks in words, and upstream issues by version.

pub mod check_id;
pub mod checks;
pub mod code;
pub mod codes;
pub mod upstream;

pub use codes::advice;
