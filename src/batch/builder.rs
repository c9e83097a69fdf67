//! Writes records into a new batch: consecutive offsets, the timestamps that consumers saw, nothing else changed.

use crate::batch::codec::{Codec, CodecError};
use crate::batch::origin::Origin;
use crate::batch::patch::{Outgoing, Timestamps};
use crate::batch::records::Record;
use crate::kafka::cursor::{put_varint, varint_len};
use crate::kafka::{Offset, Span};

/// The most bytes a record takes beside its content: its length, attributes, timestamp delta and offset delta.
const MOST_FRAMING: usize = 5 + 1 + 10 + 5;

/// Collects records into a batch.
pub(super) struct Builder {
    payload: Vec<u8>,
    records: i32,
    timestamps: Timestamps,
    origin: Origin,
}

impl Builder {
    /// A batch that will begin with `first`.
    pub(super) fn new(first: &Record<'_>) -> Self {
        let timestamps = Timestamps { base: first.timestamp, max: first.timestamp };
        Self { payload: Vec::new(), records: 0, timestamps, origin: Origin::starting(first.offset) }
    }

    /// Appends a record; its source offset must lie behind that of the one before.
    pub(super) fn push(&mut self, record: &Record<'_>) {
        // It wraps back where a reader adds the two: no timestamp is too far away from another.
        let timestamp_delta = record.timestamp.wrapping_sub(self.timestamps.base);
        let offset_delta = i64::from(self.records);
        let length = [1, varint_len(timestamp_delta), varint_len(offset_delta), record.content.len()];
        put_varint(&mut self.payload, i64::try_from(length.iter().sum::<usize>()).unwrap_or(i64::MAX));
        self.payload.push(record.attributes.cast_unsigned());
        put_varint(&mut self.payload, timestamp_delta);
        put_varint(&mut self.payload, offset_delta);
        self.payload.extend_from_slice(record.content);
        self.timestamps.max = self.timestamps.max.max(record.timestamp);
        self.origin.push(self.records, record.offset);
        self.records = self.records.saturating_add(1);
    }

    /// The source offset of the first record.
    pub(super) fn first(&self) -> Offset {
        self.origin.first
    }

    /// Bytes of the records so far, not compressed.
    pub(super) fn len(&self) -> usize {
        self.payload.len()
    }

    /// At most what [`len`](Self::len) will be with one more record.
    pub(super) fn len_with(&self, record: &Record<'_>) -> usize {
        self.len().saturating_add(MOST_FRAMING).saturating_add(record.content.len())
    }

    /// The batch, compressed, in place of the offsets of `source`.
    pub(super) fn finish(self, codec: Codec, source: Span) -> Result<Outgoing, CodecError> {
        let body = codec.encode(self.payload)?.into();
        Ok(Outgoing::new(codec, self.records, self.timestamps, body, self.origin.within(source)))
    }
}
