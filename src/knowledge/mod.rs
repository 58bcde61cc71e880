//! Knowledge that needs no node: the verdict codes, their look-alikes and the checks in words, upstream
//! issues with their signs, and what a restart may cost. Data only; `report` renders it.

pub mod check_id;
pub mod checks;
pub mod code;
pub mod codes;
pub mod lookalikes;
pub mod risk;
pub mod upstream;
