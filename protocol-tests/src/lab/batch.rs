//! Record batches made by hand, right or wrong, and read back.
//!
//! [`Batch`] holds every header field. What is left `None` is what a correct producer would write there; everything else
//! is written as given, so a scenario forges exactly one thing and says so.

use bytes::Bytes;

use super::record::{Header, Record};
use crate::broker::Codec;

/// Attribute bit: timestamps are the broker's.
pub const APPEND_TIME: i16 = 0x08;
/// Attribute bit: part of a transaction.
pub const TRANSACTIONAL: i16 = 0x10;
/// Attribute bit: a control batch.
pub const CONTROL: i16 = 0x20;
/// Attribute bit: the base timestamp is the delete horizon.
pub const DELETE_HORIZON: i16 = 0x40;

/// The header's length, and where the CRC's coverage begins.
pub const HEADER: usize = 61;
const COVERED: usize = 21;

/// A record batch of format v2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The first offset.
    pub base_offset: i64,
    /// The partition leader epoch; brokers set their own.
    pub leader_epoch: i32,
    /// 2.
    pub magic: i8,
    /// Forged CRC-32C.
    pub crc: Option<u32>,
    /// How the records are compressed.
    pub codec: Codec,
    /// Attribute bits beside the codec.
    pub attributes: i16,
    /// Forged last offset delta.
    pub last_offset_delta: Option<i32>,
    /// Forged first timestamp.
    pub base_timestamp: Option<i64>,
    /// Forged largest timestamp.
    pub max_timestamp: Option<i64>,
    /// -1: not idempotent.
    pub producer_id: i64,
    /// The producer's epoch.
    pub producer_epoch: i16,
    /// The sequence of the first record.
    pub base_sequence: i32,
    /// Forged record count.
    pub count: Option<i32>,
    /// The records; their offsets are relative to `base_offset`.
    pub records: Vec<Record>,
    /// Bytes instead of the encoded records.
    pub payload: Option<Vec<u8>>,
}

impl Batch {
    /// A correct batch of these records, numbered from 0.
    pub fn of(records: impl IntoIterator<Item = Record>) -> Self {
        let records = records.into_iter().zip(0..).map(|(record, offset)| record.at(offset)).collect();
        Self::holed(records)
    }

    /// A batch whose records keep the offsets they have.
    pub fn holed(records: Vec<Record>) -> Self {
        Self {
            base_offset: 0,
            leader_epoch: -1,
            magic: 2,
            crc: None,
            codec: Codec::None,
            attributes: 0,
            last_offset_delta: None,
            base_timestamp: None,
            max_timestamp: None,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            count: None,
            records,
            payload: None,
        }
    }

    /// `count` small records with the time `timestamp`.
    pub fn small(count: usize, timestamp: i64) -> Self {
        Self::of((0..count).map(|index| Record::new(timestamp, format!("key-{index}"), format!("value-{index}"))))
    }

    /// Compressed.
    #[must_use]
    pub fn packed(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// Stamped by an idempotent producer.
    #[must_use]
    pub fn stamped(mut self, producer_id: i64, epoch: i16, sequence: i32) -> Self {
        (self.producer_id, self.producer_epoch, self.base_sequence) = (producer_id, epoch, sequence);
        self
    }

    /// With more attribute bits.
    #[must_use]
    pub fn flagged(mut self, bits: i16) -> Self {
        self.attributes |= bits;
        self
    }

    /// Writes it.
    pub fn encode(&self) -> Bytes {
        let first = self.base_timestamp.or(self.records.first().map(|record| record.timestamp)).unwrap_or(-1);
        let last = self.records.last().map_or(-1, |record| i32::try_from(record.offset).expect("a small offset"));
        let newest = self.records.iter().map(|record| record.timestamp).max().unwrap_or(-1);
        let count = i32::try_from(self.records.len()).expect("a small count");
        let mut body = Vec::new();
        body.extend((self.attributes | self.codec.id()).to_be_bytes());
        body.extend(self.last_offset_delta.unwrap_or(last).to_be_bytes());
        body.extend(first.to_be_bytes());
        body.extend(self.max_timestamp.unwrap_or(newest).to_be_bytes());
        body.extend(self.producer_id.to_be_bytes());
        body.extend(self.producer_epoch.to_be_bytes());
        body.extend(self.base_sequence.to_be_bytes());
        body.extend(self.count.unwrap_or(count).to_be_bytes());
        match &self.payload {
            Some(payload) => body.extend(payload),
            None => body.extend(self.codec.compress(&encode_records(&self.records, first)).expect("packing in memory")),
        }
        let mut out = self.base_offset.to_be_bytes().to_vec();
        let length = i32::try_from(COVERED - 12 + body.len()).expect("a batch below 2 GiB");
        out.extend(length.to_be_bytes());
        out.extend(self.leader_epoch.to_be_bytes());
        out.extend(self.magic.to_be_bytes());
        out.extend(self.crc.unwrap_or_else(|| crc32c::crc32c(&body)).to_be_bytes());
        out.extend(body);
        out.into()
    }

    /// Reads the batches of a Fetch answer; a batch that was cut off at the end is left out. Records get the offsets and
    /// times that a consumer sees.
    pub fn read_all(mut log: &[u8]) -> Vec<Self> {
        let mut batches = Vec::new();
        while let Some(length) = log.get(8..12) {
            let whole = 12 + i32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
            let Some(batch) = log.get(..whole) else { break };
            batches.push(Self::read(batch));
            log = &log[whole..];
        }
        batches
    }

    /// Reads one whole batch.
    fn read(bytes: &[u8]) -> Self {
        let mut input = Reader(bytes);
        let base_offset = input.i64();
        input.take(4);
        let leader_epoch = input.i32();
        let magic = i8::from_be_bytes([input.take(1)[0]]);
        assert_eq!(magic, 2, "only batches of format v2 can be read");
        let crc = input.i32() as u32;
        assert_eq!(crc, crc32c::crc32c(input.0), "the CRC of the batch at offset {base_offset}");
        let attributes = input.i16();
        let last_offset_delta = input.i32();
        let [base_timestamp, max_timestamp, producer_id] = [input.i64(), input.i64(), input.i64()];
        let producer_epoch = input.i16();
        let [base_sequence, count] = [input.i32(), input.i32()];
        let codec = Codec::from_id(attributes & 7).expect("a codec");
        let plain = codec.decompress(input.0).expect("a batch that can be unpacked");
        let mut records = Reader(&plain);
        let records = (0..count).map(|_| {
            let mut record = records.record(base_offset, base_timestamp);
            if attributes & APPEND_TIME != 0 {
                (record.timestamp, record.append_time) = (max_timestamp, true);
            }
            record
        });
        Self {
            base_offset,
            leader_epoch,
            magic,
            crc: Some(crc),
            codec,
            attributes: attributes & !7,
            last_offset_delta: Some(last_offset_delta),
            base_timestamp: Some(base_timestamp),
            max_timestamp: Some(max_timestamp),
            producer_id,
            producer_epoch,
            base_sequence,
            count: Some(count),
            records: records.collect(),
            payload: Some(input.0.to_vec()),
        }
    }

    /// The offset after its last record, also where the cleaner left nothing else of it.
    pub fn next_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta.expect("a batch that was read")) + 1
    }
}

fn encode_records(records: &[Record], base_timestamp: i64) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records {
        let mut body = vec![0];
        varint(&mut body, record.timestamp - base_timestamp);
        varint(&mut body, record.offset);
        field(&mut body, record.key.as_deref());
        field(&mut body, record.value.as_deref());
        varint(&mut body, i64::try_from(record.headers.len()).expect("few headers"));
        for header in &record.headers {
            field(&mut body, Some(&header.key));
            field(&mut body, header.value.as_deref());
        }
        field(&mut out, Some(&body));
    }
    out
}

fn field(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint(out, -1),
        Some(bytes) => {
            varint(out, i64::try_from(bytes.len()).expect("a small field"));
            out.extend(bytes);
        }
    }
}

/// Zigzag, seven bits at a time, lowest first.
fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest > 0x7f {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take(2).try_into().expect("two bytes"))
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take(4).try_into().expect("four bytes"))
    }

    fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.take(8).try_into().expect("eight bytes"))
    }

    fn varint(&mut self) -> i64 {
        let mut raw = 0_u64;
        for shift in (0..).step_by(7) {
            let byte = self.take(1)[0];
            raw |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        (raw >> 1) as i64 ^ -((raw & 1) as i64)
    }

    fn field(&mut self) -> Option<Vec<u8>> {
        let length = self.varint();
        usize::try_from(length).ok().map(|length| self.take(length).to_vec())
    }

    fn record(&mut self, base_offset: i64, base_timestamp: i64) -> Record {
        let _length = self.varint();
        let _attributes = self.take(1);
        let timestamp = base_timestamp + self.varint();
        let offset = base_offset + self.varint();
        let [key, value] = [self.field(), self.field()];
        let headers = (0..self.varint())
            .map(|_| Header { key: self.field().expect("a header key"), value: self.field() })
            .collect();
        Record { offset, timestamp, append_time: false, key, value, headers }
    }
}

/// A message of the formats before v2, as one entry of a message set (KIP-32 brought magic 1 and its timestamp).
pub fn legacy_message(magic: i8, offset: i64, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Bytes {
    let mut body = vec![magic as u8, 0];
    if magic == 1 {
        body.extend(timestamp.to_be_bytes());
    }
    for bytes in [key, value] {
        let length = bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).expect("a small field"));
        body.extend(length.to_be_bytes());
        body.extend(bytes.unwrap_or_default());
    }
    let mut crc = flate2::Crc::new();
    crc.update(&body);
    let mut out = offset.to_be_bytes().to_vec();
    out.extend(i32::try_from(4 + body.len()).expect("a small message").to_be_bytes());
    out.extend(crc.sum().to_be_bytes());
    out.extend(body);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::{Batch, HEADER};
    use crate::broker::Codec;
    use crate::lab::record::Record;

    #[test]
    fn a_batch_is_read_as_it_was_written_in_every_codec() {
        let mut odd = Record::new(-7, "", [0_u8; 300]).with_header("h", None).with_header("h", Some(b"2"));
        odd.key = None;
        let records =
            vec![Record::new(1_000, "a", "1").at(0), odd.at(1), Record::new(i64::from(i32::MAX), "b", "").at(4)];
        for codec in Codec::ALL {
            let written = Batch { base_offset: 40, ..Batch::holed(records.clone()) }.packed(codec).stamped(9, 1, 5);
            let mut log = written.encode().to_vec();
            log.extend(&written.encode()[..HEADER + 1]);
            let read = Batch::read_all(&log);
            assert_eq!(read.len(), 1, "the second batch is cut off");
            let read = &read[0];
            assert_eq!((read.producer_id, read.producer_epoch, read.base_sequence), (9, 1, 5));
            assert_eq!(read.next_offset(), 45);
            let expected: Vec<Record> = records.iter().map(|r| r.clone().at(40 + r.offset)).collect();
            assert_eq!(read.records, expected, "{}", codec.name());
        }
    }
}
