//! Plans and results as text for people and as stable JSON for programs.

mod columns;
mod file;
pub mod groups;
pub mod json;
mod log;
pub mod outcome;
mod progress;
pub mod status;
pub mod table;
pub mod verified;

pub use file::{ReportError, ReportFile};
pub use log::TextLog;
pub use progress::Screen;
