//! Knowledge that needs no node: the verdict codes, their look-alikes, the checks and their evidence in words, upstream
//! issues with their signs, and what a restart may cost. Data only; `report` renders it.

pub mod check_id;
pub mod checks;
pub mod code;
pub mod codes;
pub mod evidence;
pub mod lookalikes;
pub mod risk;
pub mod upstream;
