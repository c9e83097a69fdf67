//! What a lane claims to have written.

use crate::kafka::{Offset, Span, TopicId, TopicPartition};
use crate::state::Checkpoint;

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
    /// Source offsets that were left out on purpose, in order: corrupt, or lost before they could be copied.
    pub skipped: Vec<Span>,
    /// The topic's id on the source when the copy began, where its brokers have ids.
    pub source_id: Option<TopicId>,
    /// The same on the target.
    pub target_id: Option<TopicId>,
}

impl Extent {
    /// What a partition's checkpoint says was moved so far.
    pub fn of(at: &TopicPartition, checkpoint: &Checkpoint) -> Self {
        Self {
            at: at.clone(),
            source: Span { start: checkpoint.span.start, end: checkpoint.next },
            target: checkpoint.written(),
            records: checkpoint.records,
            skipped: checkpoint.skipped.iter().map(|skipped| skipped.span).collect(),
            source_id: checkpoint.source_id,
            target_id: checkpoint.target_id,
        }
    }

    /// The skipped stretch that `offset` lies in.
    pub(super) fn skip_at(&self, offset: Offset) -> Option<Span> {
        self.skipped.iter().copied().find(|skipped| skipped.contains(offset))
    }
}
