//! What a scenario has done to a cluster, by whichever client fits.
//!
//! Two hands do the same: Kafka's own Java client ([`JavaHand`]), the independent witness for real brokers, and the
//! probe ([`ProbeHand`]), so that the tests on embedded brokers need no Java.

use std::collections::BTreeMap;

use super::record::{Digest, Fill, Record};
use crate::broker::Codec;

pub use super::java::JavaHand;
pub use super::probe::ProbeHand;

/// A partition by name.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition's number.
    pub partition: i32,
}

/// One committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next offset the group would read.
    pub offset: i64,
    /// The commit's metadata.
    pub metadata: String,
}

/// How records are written.
#[derive(Clone, Copy, Debug)]
pub struct Writing {
    /// The producer's codec.
    pub codec: Codec,
    /// The size at which a batch is closed, in bytes before compression.
    pub batch_size: usize,
    /// Whether the producer is idempotent.
    pub idempotent: bool,
}

impl Writing {
    /// Each write in one batch.
    pub fn in_one(codec: Codec) -> Self {
        Self { codec, batch_size: 1 << 20, ..Self::default() }
    }
}

impl Default for Writing {
    fn default() -> Self {
        Self { codec: Codec::None, batch_size: 16_384, idempotent: true }
    }
}

/// How a transaction is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Committed.
    Commit,
    /// Aborted.
    Abort,
    /// Open, to be ended later.
    Open,
}

/// What is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// The first offset; the log start where none is given.
    pub from: Option<i64>,
    /// The offset to stop in front of; the end where none is given.
    pub to: Option<i64>,
    /// As a read_committed consumer reads.
    pub committed: bool,
}

/// A client in a scenario's service. What it can't do fails the scenario.
pub trait Hand: Send + Sync {
    /// Writes records; their offsets. With a transactional id they belong to its transaction, begun if none is open.
    fn write(&self, at: At<'_>, records: &[Record], how: Writing, transaction: Option<(&str, End)>) -> Vec<i64>;

    /// Ends a transaction that was left open.
    fn end_transaction(&self, id: &str, end: End);

    /// Writes made-up records.
    fn fill(&self, at: At<'_>, fill: &Fill, how: Writing);

    /// Reads records.
    fn read(&self, at: At<'_>, what: Reading) -> Vec<Record>;

    /// The digest of what [`Hand::read`] would give.
    fn digest(&self, at: At<'_>, what: Reading) -> Digest;

    /// Commits for a group without members.
    fn commit(&self, group: &str, at: At<'_>, committed: &Committed);

    /// All committed offsets of a group.
    fn committed(&self, group: &str) -> BTreeMap<(String, i32), Committed>;

    /// The configs of a topic that have a value.
    fn configs(&self, topic: &str) -> BTreeMap<String, String>;

    /// Joins a group as a consumer of the topic, and stays.
    fn join(&self, group: &str, topic: &str);

    /// Leaves a group that was joined.
    fn leave(&self, group: &str);
}
