//! The cluster's objects as values, and who is who in it. Pure: no wire, no clock.

pub mod arguments;
pub mod foreign_kind;
pub mod objects;
pub mod roles;
pub mod surroundings;
