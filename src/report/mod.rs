//! Plans and results as text for people and as stable JSON for programs.

pub mod json;
pub mod outcome;
pub mod progress;
pub mod table;
