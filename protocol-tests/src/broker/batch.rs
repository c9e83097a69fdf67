//! Record batches of message format v2 as the broker reads them: the header, the checksum, and the records inside.
//!
//! Source: the protocol guide's "Record Batch" section. Nothing here knows of logs or topics.

use std::ops::Range;

/// Bytes in front of the first record.
pub const OVERHEAD: usize = 61;
/// Bytes that `length` does not count: the base offset and `length` itself.
pub const PREFIX: usize = 12;

/// Bits of `attributes`.
pub mod attribute {
    /// Codec id.
    pub const CODEC: i16 = 0x07;
    /// The broker stamped the batch; readers take every record's time from `max_timestamp`.
    pub const APPEND_TIME: i16 = 0x08;
    /// Part of a transaction.
    pub const TRANSACTIONAL: i16 = 0x10;
    /// A marker of the transaction coordinator.
    pub const CONTROL: i16 = 0x20;
    /// `base_timestamp` is the time from which the cleaner may drop tombstones (KIP-534).
    pub const DELETE_HORIZON: i16 = 0x40;
}

/// The 61 bytes in front of the records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Bytes behind this field.
    pub length: i32,
    /// The leader epoch in which the batch was appended.
    pub leader_epoch: i32,
    /// Message format.
    pub magic: i8,
    /// CRC-32C of everything behind it.
    pub crc: u32,
    /// See [`attribute`].
    pub attributes: i16,
    /// Offset of the last record, less the base offset.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas count from, ms.
    pub base_timestamp: i64,
    /// Largest record timestamp, ms.
    pub max_timestamp: i64,
    /// -1 without one.
    pub producer_id: i64,
    /// -1 without one.
    pub producer_epoch: i16,
    /// -1 without one.
    pub base_sequence: i32,
    /// Number of records.
    pub count: i32,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` where they are too short.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            base_offset: i64::from_be_bytes(array(bytes, 0)?),
            length: i32::from_be_bytes(array(bytes, 8)?),
            leader_epoch: i32::from_be_bytes(array(bytes, 12)?),
            magic: i8::from_be_bytes(array(bytes, 16)?),
            crc: u32::from_be_bytes(array(bytes, 17)?),
            attributes: i16::from_be_bytes(array(bytes, 21)?),
            last_offset_delta: i32::from_be_bytes(array(bytes, 23)?),
            base_timestamp: i64::from_be_bytes(array(bytes, 27)?),
            max_timestamp: i64::from_be_bytes(array(bytes, 35)?),
            producer_id: i64::from_be_bytes(array(bytes, 43)?),
            producer_epoch: i16::from_be_bytes(array(bytes, 51)?),
            base_sequence: i32::from_be_bytes(array(bytes, 53)?),
            count: i32::from_be_bytes(array(bytes, 57)?),
        })
    }

    /// The header as bytes, with the checksum as it stands in `crc`.
    pub fn write(&self) -> [u8; OVERHEAD] {
        let mut out = [0; OVERHEAD];
        out[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        out[8..12].copy_from_slice(&self.length.to_be_bytes());
        out[12..16].copy_from_slice(&self.leader_epoch.to_be_bytes());
        out[16..17].copy_from_slice(&self.magic.to_be_bytes());
        out[17..21].copy_from_slice(&self.crc.to_be_bytes());
        out[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        out[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        out[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        out[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        out[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        out[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        out[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[57..61].copy_from_slice(&self.count.to_be_bytes());
        out
    }

    /// Whole size of the batch in bytes: what max.message.bytes is compared with.
    pub fn size(&self) -> usize {
        PREFIX.saturating_add(usize::try_from(self.length).unwrap_or_default())
    }

    /// Codec id, known or not.
    pub const fn codec(&self) -> i16 {
        self.attributes & attribute::CODEC
    }

    /// Whether an attribute bit is set.
    pub const fn has(&self, bit: i16) -> bool {
        self.attributes & bit != 0
    }

    /// Offset of the last record.
    pub const fn last_offset(&self) -> i64 {
        self.base_offset.wrapping_add(self.last_offset_delta as i64)
    }

    /// Sequence of the last record; sequences wrap from 2^31 - 1 to 0.
    pub const fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        let sum = self.base_sequence as i64 + self.last_offset_delta as i64;
        if sum > i32::MAX as i64 { (sum - i32::MAX as i64 - 1) as i32 } else { sum as i32 }
    }
}

/// Whether the stored checksum is that of the bytes.
pub fn crc_matches(batch: &[u8]) -> bool {
    match (array(batch, 17), batch.get(21..)) {
        (Some(stored), Some(covered)) => u32::from_be_bytes(stored) == crc32c::crc32c(covered),
        _ => false,
    }
}

/// Writes `header` over the first bytes of `batch`, with the checksum that the whole then has.
pub fn seal(batch: &mut [u8], header: &Header) {
    if let Some(front) = batch.first_chunk_mut::<OVERHEAD>() {
        *front = header.write();
    }
    let crc = crc32c::crc32c(batch.get(21..).unwrap_or_default());
    if let Some(field) = batch.get_mut(17..21) {
        field.copy_from_slice(&crc.to_be_bytes());
    }
}

/// What comes next in a buffer of batches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// A whole batch.
    Batch(Range<usize>),
    /// Nothing, or a tail too short to be one.
    End,
    /// A length or magic that no format has.
    Corrupt,
}

/// Looks at `records` from `at`, the way a broker steps through a request: by length, whole batches only.
pub fn next_batch(records: &[u8], at: usize) -> Next {
    let rest = records.get(at..).unwrap_or_default();
    let Some(length) = array(rest, 8).map(i32::from_be_bytes) else { return Next::End };
    // 14 bytes are the smallest record of message format v0.
    let Some(size) = usize::try_from(length).ok().filter(|length| *length >= 14).map(|length| length + PREFIX) else {
        return Next::Corrupt;
    };
    let Some(magic) = rest.get(16) else { return Next::End };
    if *magic > 2 {
        return Next::Corrupt;
    }
    if rest.len() < size { Next::End } else { Next::Batch(at..at + size) }
}

/// One record, borrowed from an uncompressed payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Unused by the format.
    pub attributes: u8,
    /// Counts from the batch's base timestamp, ms.
    pub timestamp_delta: i64,
    /// Counts from the batch's base offset.
    pub offset_delta: i32,
    /// Null or bytes.
    pub key: Option<&'a [u8]>,
    /// Null (a tombstone) or bytes.
    pub value: Option<&'a [u8]>,
    /// The headers as they are stored, with their count in front.
    pub headers: &'a [u8],
}

/// A record header: key and value, null or bytes.
pub type HeaderField<'a> = (&'a [u8], Option<&'a [u8]>);

impl<'a> Record<'a> {
    /// The headers in order, key and value.
    pub fn each_header(&self) -> Result<Vec<HeaderField<'a>>, Malformed> {
        let mut reader = Reader { rest: self.headers };
        (0..reader.varint()?)
            .map(|_| Ok((reader.nullable()?.ok_or("a null header key")?, reader.nullable()?)))
            .collect()
    }
}

/// Why the records don't fit the header.
pub type Malformed = &'static str;

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or("premature end of the records")?;
        self.rest = rest;
        Ok(head)
    }

    fn varlong(&mut self) -> Result<i64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err("a variable-length integer that never ends")
    }

    fn varint(&mut self) -> Result<i32, Malformed> {
        i32::try_from(self.varlong()?).map_err(|_| "a variable-length integer above 32 bits")
    }

    fn nullable(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match usize::try_from(self.varint()?) {
            Ok(length) => self.take(length).map(Some),
            Err(_) => Ok(None),
        }
    }
}

/// Reads exactly `count` records that fill `payload`.
pub fn walk(payload: &[u8], count: i32) -> Result<Vec<Record<'_>>, Malformed> {
    let mut reader = Reader { rest: payload };
    let mut records = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(reader.varint()?).map_err(|_| "a negative record length")?;
        records.push(record(reader.take(length)?)?);
    }
    if reader.rest.is_empty() { Ok(records) } else { Err("bytes left behind the last record") }
}

fn record(body: &[u8]) -> Result<Record<'_>, Malformed> {
    let mut reader = Reader { rest: body };
    let attributes = reader.take(1)?[0];
    let timestamp_delta = reader.varlong()?;
    let offset_delta = reader.varint()?;
    let key = reader.nullable()?;
    let value = reader.nullable()?;
    let headers = reader.rest;
    let count = reader.varint()?;
    if count < 0 {
        return Err("a negative header count");
    }
    for _ in 0..count {
        reader.nullable()?.ok_or("a null header key")?;
        reader.nullable()?;
    }
    if !reader.rest.is_empty() {
        return Err("bytes left in a record");
    }
    Ok(Record { attributes, timestamp_delta, offset_delta, key, value, headers })
}

/// Appends a VARINT or VARLONG.
pub fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            put_varint(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
        None => put_varint(out, -1),
    }
}

/// Appends `record`, length first.
pub fn put_record(out: &mut Vec<u8>, record: &Record<'_>) {
    let mut body = vec![record.attributes];
    put_varint(&mut body, record.timestamp_delta);
    put_varint(&mut body, i64::from(record.offset_delta));
    put_nullable(&mut body, record.key);
    put_nullable(&mut body, record.value);
    body.extend_from_slice(record.headers);
    put_varint(out, body.len() as i64);
    out.extend_from_slice(&body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::build::{NewRecord, RecordBatchBuilder};

    #[test]
    fn a_batch_reads_back_as_it_was_built() {
        let record = NewRecord {
            headers: vec![("h".into(), None), ("h".into(), Some("v".into()))],
            ..NewRecord::new(70, "key", "value")
        };
        let batch = RecordBatchBuilder::new().producer(9, 3, 5).record(record).record(NewRecord::default()).build();
        let header = Header::read(&batch).expect("a header");
        assert_eq!((header.count, header.last_offset_delta, header.size()), (2, 1, batch.len()));
        assert_eq!((header.producer_id, header.producer_epoch, header.last_sequence()), (9, 3, 6));
        assert!(crc_matches(&batch));
        let records = walk(&batch[OVERHEAD..], 2).expect("records");
        assert_eq!(records[0].key, Some(&b"key"[..]));
        assert_eq!((records[1].key, records[1].timestamp_delta), (None, -70));
        assert_eq!(header.write()[..], batch[..OVERHEAD]);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let batch = RecordBatchBuilder::of(3, 0).producer(1, 0, i32::MAX).build();
        assert_eq!(Header::read(&batch).expect("a header").last_sequence(), 1);
    }

    #[test]
    fn a_cut_tail_is_the_end_and_a_strange_magic_is_corrupt() {
        let batch = RecordBatchBuilder::of(1, 0).build();
        assert_eq!(next_batch(&batch, 0), Next::Batch(0..batch.len()));
        assert_eq!(next_batch(&batch, batch.len()), Next::End);
        assert_eq!(next_batch(&batch[..batch.len() - 1], 0), Next::End);
        assert_eq!(next_batch(&RecordBatchBuilder::of(1, 0).magic(3).build(), 0), Next::Corrupt);
    }

    #[test]
    fn a_count_that_is_not_the_payloads_is_malformed() {
        let batch = RecordBatchBuilder::of(3, 0).build();
        assert!(walk(&batch[OVERHEAD..], 2).is_err());
        assert!(walk(&batch[OVERHEAD..], 4).is_err());
    }
}
