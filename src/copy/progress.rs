//! How far all lanes together are.

use std::time::Duration;

/// A snapshot of the copy, for progress bars and logs.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Source offsets that are on the target or were left out on purpose.
    pub done: i64,
    /// Source offsets of all lanes together.
    pub total: i64,
    /// Bytes of record batches that the target has acknowledged.
    pub bytes: u64,
    /// Lanes that reached their end.
    pub lanes_done: usize,
    /// Lanes that could not go on.
    pub lanes_failed: usize,
    /// All lanes.
    pub lanes: usize,
    /// Time since the copy began.
    pub elapsed: Duration,
}
