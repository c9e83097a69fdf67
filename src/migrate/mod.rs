//! The story of a run, from preflight to outcome.
//!
//! [`run`] reads as a table of contents: refuse what the plan says must be refused, make the topics, look where each
//! lane's records must land, copy, prove, and say what came of it. What is shown on the way goes to an [`Observer`].

mod agenda;
mod choices;
mod error;
mod found;
pub mod groups;
mod observer;
mod outcome;
mod prepare;
mod proof;
mod run;
mod signals;
mod status;

pub use agenda::Recorded;
pub use choices::Choices;
pub use error::MigrateError;
pub use observer::{Observer, Step};
pub use outcome::{Ended, LaneOutcome, Outcome};
pub use prepare::foresee;
pub use run::{Migration, run};
pub use signals::{Signal, Signals, Stop};
pub use status::{Activity, Status, done, status};
