//! The records of a batch, read in place: keys, values and headers are slices of the decompressed bytes.
//!
//! Order, duplicate header keys, keys that are no UTF-8, nulls: all of it survives, because nothing is interpreted.

use crate::batch::error::{BatchError, BatchErrorKind};
use crate::batch::header::{BatchHeader, HEADER_SIZE};
use crate::batch::pieces::RawBatch;
use crate::kafka::{Cursor, CursorError, Offset};
use bytes::Bytes;

/// A batch whose records are decompressed.
#[derive(Clone, Debug)]
pub struct Opened {
    header: BatchHeader,
    payload: Bytes,
}

/// What of a record does not change when it moves: everything from the key's length on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    /// As it is written in a record batch.
    Written(&'a [u8]),
    /// To be written from the record's key and value: it comes from a format without headers.
    KeyAndValue,
}

/// Decompresses the records of a batch into at most `cap` bytes; where there is no compression nothing is copied.
///
/// # Errors
/// An unknown codec, bytes that are none of that codec's, or more than `cap` bytes of records.
pub fn open(batch: &RawBatch, cap: usize) -> Result<Opened, BatchError> {
    let header = *batch.header();
    let payload = batch.codec()?.decode(batch.payload(), cap);
    let payload = payload.map_err(|error| BatchErrorKind::Codec(error).of(header.span()))?;
    Ok(Opened { header, payload })
}

/// The records of a batch that is not compressed, where it lies.
pub(super) fn plain(batch: &RawBatch) -> Records<'_> {
    Records::new(batch.header(), batch.bytes().get(HEADER_SIZE..).unwrap_or_default())
}

impl Opened {
    /// The records in their order. Each is checked as a broker checks it; what does not fit the header is an error, and
    /// ends them.
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.header, &self.payload)
    }
}

/// The iterator that [`Opened::records`] returns.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    header: &'a BatchHeader,
    cursor: Cursor<'a>,
    index: i32,
    /// The least offset delta that the next record may have.
    next_delta: i32,
    done: bool,
}

/// One record.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Its attribute bits, all of them unused so far.
    pub attributes: i8,
    /// Its offset in the source.
    pub offset: Offset,
    /// The timestamp that consumers see, in ms since 1970; -1 is none.
    pub timestamp: i64,
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is null, a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Headers<'a>,
    pub(super) content: Content<'a>,
}

/// The headers of a record in their order; an iterator over (key, value), the key any bytes, the value perhaps null.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Records<'a> {
    pub(super) fn new(header: &'a BatchHeader, payload: &'a [u8]) -> Self {
        Self { header, cursor: Cursor::new(payload), index: 0, next_delta: 0, done: false }
    }

    // Inlined, so that who does not ask for a field does not pay for it.
    #[inline(always)]
    fn read(&mut self) -> Result<Record<'a>, CursorError> {
        let at = self.cursor.position();
        let length = self.cursor.varint("record length")?;
        let size = usize::try_from(length);
        let size = size.map_err(|_| CursorError::Absurd { what: "record length", value: i64::from(length), at })?;
        let mut cursor = Cursor::new(self.cursor.take("record", size)?);
        let attributes = cursor.i8("attributes")?;
        let timestamp = self.header.timestamp(cursor.varlong("timestamp delta")?);
        let at = cursor.position();
        let delta = cursor.varint("offset delta")?;
        if delta < self.next_delta || delta > self.header.last_offset_delta {
            return Err(CursorError::Absurd { what: "offset delta", value: i64::from(delta), at });
        }
        self.next_delta = delta.saturating_add(1);
        let content = Content::Written(cursor.rest());
        let key = cursor.varint_bytes("key")?;
        let value = cursor.varint_bytes("value")?;
        let headers = Headers::checked(cursor)?;
        let offset = self.header.base_offset.plus(i64::from(delta));
        Ok(Record { attributes, offset, timestamp, key, value, headers, content })
    }

    /// What is wrong where a record can't be read: it ends them.
    #[cold]
    fn broken(&mut self, index: i32, cause: CursorError) -> BatchError {
        self.done = true;
        BatchErrorKind::Record { index, cause }.of(self.header.span())
    }

    /// What is wrong with bytes behind the last record.
    #[cold]
    fn trailing(&self) -> BatchError {
        let bytes = self.cursor.remaining();
        BatchErrorKind::Trailing { bytes, records: self.header.records }.of(self.header.span())
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, BatchError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if self.index == self.header.records {
            self.done = true;
            return (!self.cursor.is_empty()).then(|| Err(self.trailing()));
        }
        let index = self.index;
        self.index = index.saturating_add(1);
        Some(self.read().map_err(|cause| self.broken(index, cause)))
    }
}

impl std::iter::FusedIterator for Records<'_> {}

impl<'a> Headers<'a> {
    /// Those of a record that has none.
    pub(super) const fn none() -> Self {
        Self { cursor: Cursor::new(&[]) }
    }

    /// The headers at `cursor`, which must be as many as the count in front of them says and fill the rest.
    #[inline(always)]
    fn checked(cursor: Cursor<'a>) -> Result<Self, CursorError> {
        // Most records have none.
        if cursor.rest() == [0] { Ok(Self::none()) } else { Self::counted(cursor) }
    }

    fn counted(mut cursor: Cursor<'a>) -> Result<Self, CursorError> {
        let at = cursor.position();
        let count = cursor.varint("header count")?;
        let headers = Self { cursor: cursor.clone() };
        for _ in 0..count {
            next_header(&mut cursor)?;
        }
        if count < 0 || !cursor.is_empty() {
            return Err(CursorError::Absurd { what: "header count", value: i64::from(count), at });
        }
        Ok(headers)
    }
}

fn next_header<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a [u8], Option<&'a [u8]>), CursorError> {
    let at = cursor.position();
    let key = cursor.varint_bytes("header key")?;
    let key = key.ok_or(CursorError::Absurd { what: "header key", value: -1, at })?;
    Ok((key, cursor.varint_bytes("header value")?))
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        // They were read once already, so they can be read again.
        (!self.cursor.is_empty()).then(|| next_header(&mut self.cursor).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::codec::Codec;
    use crate::batch::header::HEADER_SIZE;
    use crate::batch::testing::{altered, batch, compacted_models, consumed, raw, some_models};
    use proptest::prelude::*;

    /// What the walker says about one record of these bytes.
    fn complaint(record: &[u8]) -> String {
        let one = batch(&some_models()[..1], 50, Codec::None);
        let bytes = [&one[..HEADER_SIZE], record].concat();
        let bytes = altered(bytes, |header| header.length = 49 + record.len() as u32);
        let opened = open(&raw(&bytes), 0).expect("nothing to decompress");
        let mut records = opened.records();
        let error = records.find_map(Result::err).expect("an error");
        assert!(records.next().is_none(), "an error ends the records");
        error.to_string()
    }

    #[test]
    fn nothing_of_a_record_is_lost() {
        let batch = raw(&batch(&some_models(), 0, Codec::None));
        assert_eq!(consumed(&batch), some_models());
        let opened = open(&batch, 0).expect("nothing to decompress");
        let value = opened.records().next().expect("a record").expect("sound").value.expect("a value");
        assert_eq!(value.as_ptr(), batch.bytes()[HEADER_SIZE + 6..].as_ptr(), "values are slices of the batch");
    }

    #[test]
    fn append_time_is_what_consumers_see_on_every_record() {
        let bytes = altered(batch(&some_models(), 0, Codec::None), |header| {
            header.attributes.0 |= 0x08;
            header.max_timestamp = 1_234;
        });
        assert!(consumed(&raw(&bytes)).iter().all(|record| record.timestamp == 1_234));
    }

    #[test]
    fn a_broken_record_is_named_with_what_is_wrong() {
        let at = |what: &str| format!("record batch at offset 50: {what}");
        // length, attributes, timestamp delta, offset delta, key, value, header count; varints are zigzag: 1 is -1.
        assert_eq!(complaint(&[1]), at("record 0: record length is -1 at byte 0"));
        assert_eq!(complaint(&[12, 0, 0, 0, 1]), at("record 0: record needs 6 bytes at byte 1, 4 are left"));
        assert_eq!(complaint(&[12, 0, 0, 2, 1, 1, 0]), at("record 0: offset delta is 1 at byte 2"));
        assert_eq!(complaint(&[12, 0, 0, 1, 1, 1, 0]), at("record 0: offset delta is -1 at byte 2"));
        assert_eq!(complaint(&[12, 0, 0, 0, 3, 1, 0]), at("record 0: key is -2 at byte 3"));
        assert_eq!(complaint(&[12, 0, 0, 0, 1, 40, 0]), at("record 0: value needs 20 bytes at byte 5, 1 are left"));
        assert_eq!(complaint(&[14, 0, 0, 0, 1, 1, 0, 0]), at("record 0: header count is 0 at byte 5"));
        assert_eq!(complaint(&[12, 0, 0, 0, 1, 1, 1]), at("record 0: header count is -1 at byte 5"));
        assert_eq!(complaint(&[16, 0, 0, 0, 1, 1, 2, 1, 1]), at("record 0: header key is -1 at byte 6"));
        assert_eq!(complaint(&[12, 0, 0, 0, 1, 1, 0, 9, 9]), at("2 bytes follow the last of its 1 records"));
    }

    proptest! {
        #[test]
        fn every_record_is_read_as_it_was_written(models in compacted_models(), codec in 0_usize..5) {
            prop_assert_eq!(consumed(&raw(&batch(&models, 0, Codec::ALL[codec]))), models);
        }

        #[test]
        fn any_bytes_are_walked_to_an_end(
            noise in prop::collection::vec(prop_oneof![Just(0_u8), Just(12), any::<u8>()], 0..300),
            count in 0_i32..100,
            delta in 99_i32..1_000,
        ) {
            let bytes = [&batch(&[], 0, Codec::None)[..], &noise].concat();
            let bytes = altered(bytes, |header| {
                (header.records, header.last_offset_delta) = (count, delta);
                header.length = 49 + noise.len() as u32;
            });
            let opened = open(&raw(&bytes), 0).expect("nothing to decompress");
            prop_assert!(opened.records().count() <= noise.len() + 1);
        }
    }
}
