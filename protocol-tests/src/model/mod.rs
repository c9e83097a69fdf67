//! Logs made up at random, with what a consumer must see of them.
//!
//! Every decision of the generator is a byte of its input ([`choices`]), so that whoever has bytes has a log: proptest,
//! which makes the bytes smaller until a failure is as simple as it can be, a fuzzer, or a seeded generator of numbers.
//! [`generate()`] turns them into a [`Log`], [`content`] makes up the records, [`old`] the message sets of magic 0 and 1. What a
//! broker would answer to a Fetch, and what a read_committed consumer is shown, are questions to the [`Log`].
//!
//! The batches are written by the embedded broker's builders: nothing here shares code with kferry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod choices;
pub mod content;
pub mod generate;
pub mod log;
pub mod old;
pub mod reader;
pub mod round;

pub use choices::Choices;
pub use generate::{Kinds, STEP, generate};
pub use log::{Answer, Log, Piece};
