//! Message sets of the formats before record batches: magic 0 (up to Kafka 0.9) and magic 1 (0.10, KIP-31, KIP-32).
//!
//! Brokers keep what was written in them and send it as it lies on disk, also in answers to newer versions of Fetch. A log
//! is a sequence of [`MessageSet`]s: a plain message each, or a compressed message whose value is a set of its own. Inner
//! offsets of magic 1 count from 0, and the offset of the outer message is that of its last inner one.

mod message;
mod set;

pub use set::MessageSet;
pub(super) use set::{Messages, OpenSet};

#[cfg(test)]
mod captures;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
