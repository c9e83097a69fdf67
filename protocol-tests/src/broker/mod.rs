//! An Apache Kafka cluster inside the test process, independent of kferry: it decodes with the kafka-protocol crate and
//! judges record batches with code of its own, so that kferry's hand-made requests meet another reading of the protocol.
//!
//! The way of a request: [`serve`] reads a frame from a socket and hands it to [`core`], which meets [`faults`], finds the
//! API's file in `api` and gets an answer or something to wait for. A Produce goes through [`validate`] (is the batch
//! right, what is it turned into), [`producers`] (does it continue what is there) and [`log`] of one [`topic`]'s
//! partition. [`groups`] and [`txn`] are the coordinators, [`cleaner`] compacts a log. [`control`] is what tests do behind
//! the network's back.
//!
//! Everything but [`serve`] is synchronous and deterministic: time comes as an argument, in ms since 1970.

pub mod access;
mod api;
pub mod batch;
pub mod build;
pub mod call;
pub mod cleaner;
pub mod codec;
pub mod configs;
pub mod consumers;
pub mod control;
pub mod core;
pub mod faults;
pub mod groups;
pub mod legacy;
pub mod log;
pub mod membership;
pub mod producers;
pub mod serve;
#[cfg(test)]
mod tests;
pub mod topic;
pub mod txn;
pub mod validate;
pub mod version;

pub use self::access::Operation;
pub use self::build::{NewRecord, RecordBatchBuilder};
pub use self::call::{Call, ConnectionId, Event, Outcome};
pub use self::codec::Codec;
pub use self::core::Core;
pub use self::faults::{Action, Rule};
pub use self::serve::{Embedded, Piped};
pub use self::version::Version;
