//! The stable documents, version 1, as structures that can be written and read back.

pub mod plan;
pub mod run;
