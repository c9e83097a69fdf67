//! Plans and results as text for people and as stable JSON for programs.

mod file;
pub mod json;
mod log;
pub mod outcome;
mod progress;
pub mod table;

pub use file::{ReportError, ReportFile};
pub use log::TextLog;
pub use progress::Screen;
