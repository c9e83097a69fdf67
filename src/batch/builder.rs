//! Writes records into a new batch: consecutive offsets, the timestamps that consumers saw, nothing else changed.

use crate::batch::codec::{Codec, CodecError};
use crate::batch::origin::Origin;
use crate::batch::patch::{Outgoing, Timestamps};
use crate::batch::records::{Content, Record, Records};
use crate::kafka::cursor::{put_varint, varint_len};
use crate::kafka::{Offset, Span};

/// Collects records into a batch.
#[derive(Debug)]
pub(super) struct Builder {
    payload: Vec<u8>,
    records: i32,
    timestamps: Timestamps,
    origin: Origin,
}

impl Builder {
    /// A batch that will begin with `first`, of about `bytes` bytes of records.
    pub(super) fn new(first: &Record<'_>, bytes: usize) -> Self {
        let timestamps = Timestamps { base: first.timestamp, max: first.timestamp };
        let origin = Origin::starting(first.offset);
        Self { payload: Vec::with_capacity(bytes), records: 0, timestamps, origin }
    }

    /// Appends a record, unless the records take more than `share` bytes with it; the first has its place in any case. Its
    /// source offset must lie behind that of the one before.
    pub(super) fn push(&mut self, record: &Record<'_>, share: usize) -> bool {
        // The difference wraps back where a reader adds it: no timestamp is too far away from another.
        let timestamp_delta = record.timestamp.wrapping_sub(self.timestamps.base);
        let offset_delta = i64::from(self.records);
        let body = body_len(timestamp_delta, offset_delta, record);
        let size = usize::try_from(body).unwrap_or(usize::MAX).saturating_add(varint_len(body));
        if self.records > 0 && self.len().saturating_add(size) > share {
            return false;
        }
        put_varint(&mut self.payload, body);
        self.payload.push(record.attributes.cast_unsigned());
        put_varint(&mut self.payload, timestamp_delta);
        put_varint(&mut self.payload, offset_delta);
        match record.content {
            Content::Written(bytes) => self.payload.extend_from_slice(bytes),
            Content::KeyAndValue => {
                for field in [record.key, record.value] {
                    put_varint(&mut self.payload, field.map_or(-1, length));
                    self.payload.extend_from_slice(field.unwrap_or_default());
                }
                put_varint(&mut self.payload, 0); // no headers
            }
        }
        self.timestamps.max = self.timestamps.max.max(record.timestamp);
        self.origin.push(self.records, record.offset);
        self.records = self.records.saturating_add(1);
        true
    }

    /// Appends all records of a batch, or none: where one of them is wrong or newer than `newest`, in ms since 1970, and
    /// where they would take more than `share` bytes together with those that are there.
    pub(super) fn append(&mut self, mut records: Records<'_>, share: usize, newest: i64) -> bool {
        let before = (self.len(), self.records, self.timestamps, self.origin.mark());
        // Without a closure: `all` would move each record from place to place, which is a tenth of the time.
        let fits = loop {
            match records.next() {
                None => break true,
                Some(Ok(record)) if record.timestamp <= newest && self.push(&record, share) => {}
                Some(_) => break false,
            }
        };
        if !fits {
            let (bytes, records, timestamps, origin) = before;
            self.payload.truncate(bytes);
            (self.records, self.timestamps) = (records, timestamps);
            self.origin.go_back(origin);
        }
        fits
    }

    /// The source offset of the first record.
    pub(super) fn first(&self) -> Offset {
        self.origin.first
    }

    /// Bytes of the records so far, not compressed.
    pub(super) fn len(&self) -> usize {
        self.payload.len()
    }

    /// The batch, compressed, in place of the offsets of `source`.
    pub(super) fn finish(mut self, codec: Codec, source: Span) -> Result<Outgoing, CodecError> {
        self.payload = codec.encode(self.payload)?;
        Ok(self.made(codec, source))
    }

    /// The batch as it is, in place of the offsets of `source`.
    pub(super) fn finish_plain(self, source: Span) -> Outgoing {
        self.made(Codec::None, source)
    }

    fn made(self, codec: Codec, source: Span) -> Outgoing {
        let mut body = self.payload;
        // It lives until the target has it: what it holds is what is counted for it.
        body.shrink_to_fit();
        Outgoing::new(codec, self.records, self.timestamps, body.into(), self.origin.within(source))
    }
}

/// Bytes of a record behind its length.
fn body_len(timestamp_delta: i64, offset_delta: i64, record: &Record<'_>) -> i64 {
    let content = match record.content {
        Content::Written(bytes) => bytes.len(),
        Content::KeyAndValue => {
            let field = |field: Option<&[u8]>| {
                let bytes = field.unwrap_or_default().len();
                bytes.saturating_add(varint_len(field.map_or(-1, length)))
            };
            field(record.key).saturating_add(field(record.value)).saturating_add(varint_len(0))
        }
    };
    let parts = [1, varint_len(timestamp_delta), varint_len(offset_delta), content];
    i64::try_from(parts.iter().sum::<usize>()).unwrap_or(i64::MAX)
}

fn length(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}
