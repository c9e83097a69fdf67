//! One state machine per partition, and the engine that serves them all.
//!
//! The way of a batch: the `engine` asks a source broker for records (`fetcher`), hands the bytes to the partition's
//! [`Lane`], which judges them, cuts what crosses the ends of the span, and gives back stamped batches; `pack` puts the
//! batches of many lanes into one Produce request, `producer` sends it, and each partition's answer goes back to its lane.
//!
//! A lane knows no sockets and no clock: `Lane::on` takes what happened, `Lane::next` says what to do. What counts as
//! certain after a Produce, and what does not, is written down in one place: `answer`.

mod answer;
mod budget;
mod count;
mod engine;
mod error;
mod fetcher;
mod lane;
mod ledger;
mod link;
mod marks;
mod pace;
mod pack;
mod patience;
mod progress;
mod reader;
mod replay;
mod requests;
mod routes;
mod settle;
mod tails;
mod tally;
#[cfg(test)]
mod tests;
mod trail;
mod writer;

pub use answer::ProduceResult;
pub use count::count_kept;
pub use engine::{Books, Copied, Copies, Engine, Lanes, Limits};
pub use error::LaneProblem;
pub use lane::{Action, Event, Lane, LaneEnd, LaneSetup, Truncation};
pub use patience::Patience;
pub use progress::Progress;
pub use settle::{LastBatch, Tail};
pub use tails::tails;
pub use tally::{Tally, Volume};
