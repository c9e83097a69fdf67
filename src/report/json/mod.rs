//! The stable documents, version 1, as structures that can be written and read back.

pub mod groups;
pub mod plan;
pub mod run;
pub mod status;
pub mod verify;
