//! What is durable about one partition.

use std::collections::BTreeMap;

use super::journal::Journal;
use super::skipped::Skipped;
use crate::kafka::{Offset, ProducerEpoch, ProducerId, Sequence, Span, Stamp, TopicId};

/// How far a partition has come, as it is kept on the target. Also a partition of which nothing moves has one: its span is
/// empty, and its place on the target is where the groups that have read everything go on.
#[derive(Clone, PartialEq, Debug)]
pub struct Checkpoint {
    /// The source offsets to move, end exclusive.
    pub span: Span,
    /// The source offset behind the last one that is known to be on the target, or was left out.
    pub next: Offset,
    /// Records that are on the target, up to `next`.
    pub records: i64,
    /// The target offset of the first record.
    pub target_start: Offset,
    /// Who writes; `None` where nothing moves.
    pub writer: Option<Writer>,
    /// Whether the target was seen to drop the stamps of batches: then only offsets tell what is there.
    pub unstamped: bool,
    /// How what follows `next` is cut into batches, as far as it may have been sent.
    pub journal: Journal,
    /// Source offsets of interest and where they lie on the target, by source offset.
    pub places: Vec<Place>,
    /// What was left out although it was to be moved.
    pub skipped: Vec<Skipped>,
    /// The source topic's id, where its brokers have ids.
    pub source_id: Option<TopicId>,
    /// The target topic's id, where its brokers have ids.
    pub target_id: Option<TopicId>,
    /// What kferry did to the topic; kept with its partition 0.
    pub created: Option<Created>,
    /// The groups whose offsets are all committed, as a checksum of their names: the migration has come to its end. Kept
    /// with the first partition of all.
    pub groups: Option<u32>,
    /// When the process that wrote this began, in ms since 1970, and the source offset that it began at.
    pub since: Option<(i64, Offset)>,
    /// When this was written, in ms since 1970.
    pub at_ms: i64,
    /// The host that wrote it.
    pub host: String,
}

/// A producer's part of a partition: its sequences count the records since it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Writer {
    /// The producer id.
    pub producer: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// Records that were on the target when it began.
    pub origin: i64,
}

impl Writer {
    /// The stamp of the batch that follows `records` records on the target.
    pub const fn stamp(self, records: i64) -> Stamp {
        let written = records.saturating_sub(self.origin) & 0x7fff_ffff;
        Stamp { producer: self.producer, epoch: self.epoch, sequence: Sequence(written as i32) }
    }
}

/// A topic that kferry made.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Created {
    /// The configurations that it gets once it is filled.
    pub finish: BTreeMap<String, String>,
}

/// A source offset and the target offset of the first record that does not lie in front of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// On the source.
    pub source: Offset,
    /// On the target.
    pub target: Offset,
}

impl Checkpoint {
    /// Nothing of `span` is moved yet, and its first record will lie at `target_start`.
    pub const fn begin(span: Span, target_start: Offset) -> Self {
        Self {
            span,
            next: span.start,
            records: 0,
            target_start,
            writer: None,
            unstamped: false,
            journal: Journal::new(span.start),
            places: Vec::new(),
            skipped: Vec::new(),
            source_id: None,
            target_id: None,
            created: None,
            groups: None,
            since: None,
            at_ms: 0,
            host: String::new(),
        }
    }

    /// Where the log of the target partition ends as far as is known: the committed offset.
    pub const fn target_end(&self) -> Offset {
        self.target_start.plus(self.records)
    }

    /// Where the records lie on the target, end exclusive.
    pub const fn written(&self) -> Span {
        Span { start: self.target_start, end: self.target_end() }
    }

    /// Whether everything that was to be moved has been.
    pub const fn is_finished(&self) -> bool {
        self.next.get() >= self.span.end.get()
    }
}
