//! Plans and results as text for people and as stable JSON for programs.

pub mod json;
mod log;
pub mod table;

pub use log::TextLog;
