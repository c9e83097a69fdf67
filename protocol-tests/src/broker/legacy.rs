//! Message formats v0 and v1: message sets from clients of Produce 2, and topics whose message.format.version keeps
//! them on disk. Fetch returns them as they lie there, whatever its version.
//!
//! Source: the protocol guide's "Message Sets". An entry is offset, size, CRC-32, magic, attributes, timestamp (v1),
//! key, value; a compressed entry's value is a set of its own, and its offset is that of its LAST inner message.

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::batch::{Header, Next, OVERHEAD, PREFIX, next_batch, walk};
use super::build::{NewRecord, RecordBatchBuilder};
use super::codec::Codec;
use super::log::Stored;
use super::validate::{Accepted, Refusal};

/// One entry of a set.
struct Message<'a> {
    magic: u8,
    attributes: u8,
    timestamp: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

fn nullable<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *rest = behind;
        return Some(None);
    };
    let (bytes, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    Some(Some(bytes))
}

impl<'a> Message<'a> {
    /// Reads one entry, whole and nothing else; `None` where it is malformed or its checksum is wrong.
    fn read(entry: &'a [u8]) -> Option<Self> {
        let (crc, covered) = entry.get(PREFIX..)?.split_first_chunk::<4>()?;
        if u32::from_be_bytes(*crc) != crc32(covered) {
            return None;
        }
        let (&[magic, attributes], mut rest) = covered.split_first_chunk::<2>()?;
        let mut timestamp = -1;
        if magic > 0 {
            let (bytes, behind) = rest.split_first_chunk::<8>()?;
            timestamp = i64::from_be_bytes(*bytes);
            rest = behind;
        }
        let key = nullable(&mut rest)?;
        let value = nullable(&mut rest)?;
        Some(Self { magic, attributes, timestamp, key, value })
    }

    /// The entry as bytes, at `offset`.
    fn write(&self, offset: i64) -> Vec<u8> {
        let mut covered = vec![self.magic, self.attributes];
        if self.magic > 0 {
            covered.extend_from_slice(&self.timestamp.to_be_bytes());
        }
        for field in [self.key, self.value] {
            covered.extend_from_slice(&field.map_or(-1, |bytes| bytes.len() as i32).to_be_bytes());
            covered.extend_from_slice(field.unwrap_or_default());
        }
        let mut entry = offset.to_be_bytes().to_vec();
        entry.extend_from_slice(&(covered.len() as i32 + 4).to_be_bytes());
        entry.extend_from_slice(&crc32(&covered).to_be_bytes());
        entry.extend_from_slice(&covered);
        entry
    }

    fn codec(&self) -> Option<Codec> {
        Codec::from_id(i16::from(self.attributes & 0x07))
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// The entries of a set, whole ones only.
fn entries(set: &[u8]) -> Result<Vec<&[u8]>, ResponseError> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        match next_batch(set, at) {
            Next::Batch(range) => {
                at = range.end;
                found.push(set.get(range).unwrap_or_default());
            }
            Next::End => return Ok(found),
            Next::Corrupt => return Err(ResponseError::CorruptMessage),
        }
    }
}

/// Converts a set from a client to one batch of format v2, as brokers do for Produce 2 and older.
pub fn to_batch(set: &[u8]) -> Result<Bytes, ResponseError> {
    let mut records = Vec::new();
    let mut codec = Codec::None;
    for entry in entries(set)? {
        let message = Message::read(entry).ok_or(ResponseError::CorruptMessage)?;
        match message.codec().ok_or(ResponseError::UnknownServerError)? {
            Codec::None => records.push(record(&message)),
            packed => {
                codec = packed;
                let inner = packed.decompress(message.value.unwrap_or_default());
                let inner = inner.map_err(|_| ResponseError::UnknownServerError)?;
                for entry in entries(&inner)? {
                    records.push(record(&Message::read(entry).ok_or(ResponseError::CorruptMessage)?));
                }
            }
        }
    }
    if records.is_empty() {
        return Err(ResponseError::InvalidRecord);
    }
    Ok(RecordBatchBuilder::new().codec(codec).records(records).build())
}

fn record(message: &Message<'_>) -> NewRecord {
    let copy = |field: Option<&[u8]>| field.map(Bytes::copy_from_slice);
    NewRecord {
        key: copy(message.key),
        value: copy(message.value),
        timestamp: message.timestamp,
        ..NewRecord::default()
    }
}

/// Converts an accepted batch to what a topic of format v0 or v1 keeps: stamps and headers are lost.
pub fn from_batch(accepted: &Accepted, base_offset: i64, magic: u8) -> Result<Vec<Stored>, Refusal> {
    let header = &accepted.header;
    let failed = || Refusal::from(ResponseError::UnknownServerError);
    let codec = Codec::from_id(header.codec()).ok_or_else(failed)?;
    let plain = codec.decompress(accepted.bytes.get(OVERHEAD..).unwrap_or_default()).map_err(|_| failed())?;
    let records = walk(&plain, header.count).map_err(|_| failed())?;
    let message = |record: &super::batch::Record<'_>| {
        let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
        (timestamp, record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec))
    };
    let messages: Vec<_> = records.iter().map(message).collect();
    let write = |offset: i64, (timestamp, key, value): &(i64, Option<Vec<u8>>, Option<Vec<u8>>)| {
        let (key, value) = (key.as_deref(), value.as_deref());
        Message { magic, attributes: 0, timestamp: *timestamp, key, value }.write(offset)
    };
    if codec == Codec::None {
        let entries = messages.iter().zip(base_offset..).map(|(message, offset)| Bytes::from(write(offset, message)));
        return entries.map(|entry| stored(entry, base_offset).ok_or_else(failed)).collect();
    }
    // Inner offsets count from 0 in format v1 and are absolute in v0.
    let first = if magic > 0 { 0 } else { base_offset };
    let inner: Vec<u8> = messages.iter().zip(first..).flat_map(|(message, offset)| write(offset, message)).collect();
    let packed = codec.compress(&inner).map_err(|_| failed())?;
    let (attributes, timestamp) = (codec.id() as u8, header.max_timestamp);
    let wrapper = Message { magic, attributes, timestamp, key: None, value: Some(&packed) };
    let last = base_offset.saturating_add(i64::from(header.last_offset_delta));
    Ok(stored(wrapper.write(last).into(), base_offset).into_iter().collect())
}

/// An entry as the log keeps it: with a header that says which offsets it spans. The offset in the bytes is raised to
/// fit behind `end`, the log's.
pub fn stored(entry: Bytes, end: i64) -> Option<Stored> {
    let message = Message::read(&entry)?;
    let count = match message.codec()? {
        Codec::None => 1,
        packed => entries(&packed.decompress(message.value.unwrap_or_default()).ok()?).ok()?.len().max(1) as i64,
    };
    let given = i64::from_be_bytes(*entry.first_chunk()?);
    let last = given.max(end.saturating_add(count - 1));
    let mut bytes = entry.to_vec();
    bytes.first_chunk_mut::<8>()?.copy_from_slice(&last.to_be_bytes());
    let header = Header {
        base_offset: last.saturating_sub(count - 1),
        length: i32::try_from(bytes.len() - PREFIX).ok()?,
        leader_epoch: -1,
        magic: message.magic as i8,
        crc: 0,
        attributes: i16::from(message.attributes),
        last_offset_delta: (count - 1) as i32,
        base_timestamp: message.timestamp,
        max_timestamp: message.timestamp,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        count: count as i32,
    };
    Some(Stored { header, bytes: bytes.into() })
}

/// A message set of one entry for each record, for tests that need old data.
pub fn message_set(magic: u8, codec: Codec, records: &[NewRecord]) -> Bytes {
    let entry = |(record, offset): (&NewRecord, i64)| {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        Message { magic, attributes: 0, timestamp: record.timestamp, key, value }.write(offset)
    };
    let set: Vec<u8> = records.iter().zip(0..).flat_map(entry).collect();
    if codec == Codec::None {
        return set.into();
    }
    let packed = codec.compress(&set).unwrap_or_default();
    let timestamp = records.iter().map(|record| record.timestamp).max().unwrap_or(-1);
    let attributes = codec.id() as u8;
    let wrapper = Message { magic, attributes, timestamp, key: None, value: Some(&packed) };
    wrapper.write(records.len() as i64 - 1).into()
}

/// One entry of a set, for tests that say everything about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// The format, 0 or 1.
    pub magic: u8,
    /// As it is written; inside a wrapper of magic 1 it is relative.
    pub offset: i64,
    /// ms since 1970; magic 0 has none.
    pub timestamp: i64,
    /// Whether the broker set the timestamp.
    pub append_time: bool,
    /// Null or bytes.
    pub key: Option<&'a [u8]>,
    /// Null or bytes.
    pub value: Option<&'a [u8]>,
}

impl Entry<'_> {
    /// An entry without key and value.
    pub fn new(magic: u8, offset: i64, timestamp: i64) -> Self {
        Self { magic, offset, timestamp, append_time: false, key: None, value: None }
    }

    /// The entry as bytes.
    pub fn write(&self) -> Bytes {
        self.packed(0)
    }

    fn packed(&self, codec_bits: u8) -> Bytes {
        let Self { magic, timestamp, key, value, .. } = *self;
        let attributes = codec_bits | if self.append_time { APPEND_TIME } else { 0 };
        Message { magic, attributes, timestamp, key, value }.write(self.offset).into()
    }
}

/// The attribute bit of magic 1 for timestamps that the broker set.
const APPEND_TIME: u8 = 0x08;

/// The set of `inner` entries, compressed into the value of `wrapper`. `broken_lz4`: with the checksum that clients made
/// wrongly in magic 0 and that nobody may check there (KAFKA-3160).
pub fn wrap(wrapper: &Entry<'_>, codec: Codec, inner: &[Entry<'_>], broken_lz4: bool) -> Bytes {
    let plain: Vec<u8> = inner.iter().flat_map(Entry::write).collect();
    let mut packed = codec.compress(&plain).unwrap_or_default();
    if codec == Codec::Lz4 && broken_lz4 {
        // Magic (4 bytes), flags, block size, then the checksum, as our encoder names no content size.
        if let Some(checksum) = packed.get_mut(6) {
            *checksum ^= 0x55;
        }
    }
    Entry { value: Some(&packed), ..*wrapper }.packed(codec.id() as u8)
}

/// An entry of a log as its readers see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unpacked {
    /// 0 or 1.
    pub magic: u8,
    /// How it is compressed.
    pub codec: Codec,
    /// Whether the broker set the timestamps.
    pub append_time: bool,
    /// Its messages with their offsets in the log.
    pub records: Vec<(i64, NewRecord)>,
}

/// Reads an entry that is whole; `None` where it is malformed. Offsets inside a wrapper of magic 1 count back from the
/// last one, which has the wrapper's (KIP-31); the time of a wrapper that the broker stamped is that of all (KIP-32).
pub fn unpack(entry: &[u8]) -> Option<Unpacked> {
    let message = Message::read(entry)?;
    let offset = i64::from_be_bytes(*entry.first_chunk()?);
    let append_time = message.magic == 1 && message.attributes & APPEND_TIME != 0;
    let codec = message.codec()?;
    let unpacked = |records| Unpacked { magic: message.magic, codec, append_time, records };
    if codec == Codec::None {
        return Some(unpacked(vec![(offset, record(&message))]));
    }
    let plain = codec.decompress(message.value?).ok()?;
    let inner = entries(&plain).ok()?;
    let last = i64::from_be_bytes(*inner.last()?.first_chunk()?);
    let shift = if message.magic == 0 { 0 } else { offset.wrapping_sub(last) };
    let read = |entry: &&[u8]| {
        let mut record = record(&Message::read(entry)?);
        record.timestamp = if append_time { message.timestamp } else { record.timestamp };
        Some((i64::from_be_bytes(*entry.first_chunk()?).wrapping_add(shift), record))
    };
    inner.iter().map(read).collect::<Option<_>>().map(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<NewRecord> {
        (0..3).map(|n| NewRecord::new(100 + n, format!("k{n}"), "v")).collect()
    }

    #[test]
    fn old_messages_become_one_batch_with_their_codec() {
        for codec in [Codec::None, Codec::Gzip, Codec::Lz4] {
            let batch = to_batch(&message_set(1, codec, &records())).expect("converts");
            let header = Header::read(&batch).expect("a header");
            assert_eq!((header.count, header.codec(), header.max_timestamp), (3, codec.id(), 102));
        }
        assert_eq!(to_batch(&[]), Err(ResponseError::InvalidRecord));
    }

    #[test]
    fn a_wrapper_carries_its_last_offset_and_spans_its_inner_ones() {
        let stored = stored(message_set(1, Codec::Gzip, &records()), 10).expect("a message");
        assert_eq!((stored.header.base_offset, stored.header.last_offset()), (10, 12));
        assert_eq!(stored.bytes[..8], 12_i64.to_be_bytes());
    }

    #[test]
    fn a_set_made_entry_by_entry_is_the_one_made_at_once() {
        let records = records();
        let entries: Vec<Entry<'_>> = (records.iter().zip(0..))
            .map(|(record, offset)| Entry {
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                ..Entry::new(1, offset, record.timestamp)
            })
            .collect();
        let plain: Vec<u8> = entries.iter().flat_map(Entry::write).collect();
        assert_eq!(plain, message_set(1, Codec::None, &records));
        let wrapper = Entry::new(1, 2, 102);
        assert_eq!(wrap(&wrapper, Codec::Gzip, &entries, false), message_set(1, Codec::Gzip, &records));
        assert_ne!(wrap(&wrapper, Codec::Lz4, &entries, true), message_set(1, Codec::Lz4, &records));
        let at = Entry { offset: 42, append_time: true, ..wrapper };
        let unpacked = unpack(&wrap(&at, Codec::Gzip, &entries, false)).expect("a wrapper");
        let stamped = records.iter().map(|record| NewRecord { timestamp: 102, ..record.clone() });
        assert!((40..).zip(stamped).eq(unpacked.records));
    }

    #[test]
    fn a_wrong_checksum_is_found() {
        let mut set = message_set(1, Codec::None, &records()).to_vec();
        set[30] ^= 1;
        assert_eq!(to_batch(&set), Err(ResponseError::CorruptMessage));
    }
}
