//! What a lane claims to have written.

use crate::kafka::{Span, TopicPartition};

/// A stretch of the source and where it lies on the target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extent {
    /// The partition, the same on both sides.
    pub at: TopicPartition,
    /// The source offsets, end exclusive.
    pub source: Span,
    /// The target offsets, end exclusive.
    pub target: Span,
    /// The records counted while copying.
    pub records: i64,
}
