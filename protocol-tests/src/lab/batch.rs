//! Record batches made by hand, right or wrong, and read back.
//!
//! [`Batch`] holds every header field. What is left `None` is what a correct producer would write there; everything else
//! is written as given, so a scenario forges exactly one thing and says so.

use bytes::Bytes;

use crate::broker::batch::{self, Next, attribute, next_batch};
use crate::broker::legacy;
use crate::broker::{Codec, NewRecord, RecordBatchBuilder};

use super::record::{Header, Record};

pub use crate::broker::batch::OVERHEAD as HEADER;
pub use crate::broker::batch::attribute::{APPEND_TIME, CONTROL, DELETE_HORIZON, TRANSACTIONAL};

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
        let mut builder = RecordBatchBuilder::new()
            .codec(self.codec)
            .base_offset(self.base_offset)
            .leader_epoch(self.leader_epoch)
            .magic(self.magic)
            .attributes(self.attributes)
            .producer(self.producer_id, self.producer_epoch, self.base_sequence)
            .records(self.records.iter().map(new_record));
        if let Some(crc) = self.crc {
            builder = builder.crc(crc);
        }
        if let Some(delta) = self.last_offset_delta {
            builder = builder.last_offset_delta(delta);
        }
        if let Some(timestamp) = self.base_timestamp {
            builder = builder.base_timestamp(timestamp);
        }
        if let Some(timestamp) = self.max_timestamp {
            builder = builder.max_timestamp(timestamp);
        }
        if let Some(count) = self.count {
            builder = builder.count(count);
        }
        if let Some(payload) = &self.payload {
            builder = builder.payload(payload.clone());
        }
        builder.build()
    }

    /// Reads the batches of a Fetch answer; a batch that was cut off at the end is left out. Records get the offsets and
    /// times that a consumer sees.
    pub fn read_all(log: &[u8]) -> Vec<Self> {
        let mut batches = Vec::new();
        let mut at = 0;
        while let Next::Batch(whole) = next_batch(log, at) {
            at = whole.end;
            batches.push(Self::read(&log[whole]));
        }
        batches
    }

    /// Reads one whole batch, or one entry of a message set.
    fn read(bytes: &[u8]) -> Self {
        if let Some(0 | 1) = bytes.get(16) {
            return Self::read_old(&legacy::unpack(bytes).expect("a sound entry"));
        }
        let header = batch::Header::read(bytes).expect("a whole batch");
        assert_eq!(header.magic, 2, "a format that Kafka has");
        assert!(batch::crc_matches(bytes), "the CRC of the batch at offset {}", header.base_offset);
        let codec = Codec::from_id(header.codec()).expect("a codec");
        let plain = codec.decompress(&bytes[HEADER..]).expect("a batch that can be unpacked");
        let records = batch::walk(&plain, header.count).expect("records that fit their header");
        Self {
            base_offset: header.base_offset,
            leader_epoch: header.leader_epoch,
            magic: header.magic,
            crc: Some(header.crc),
            codec,
            attributes: header.attributes & !attribute::CODEC,
            last_offset_delta: Some(header.last_offset_delta),
            base_timestamp: Some(header.base_timestamp),
            max_timestamp: Some(header.max_timestamp),
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            count: Some(header.count),
            records: records.iter().map(|record| shown(record, &header)).collect(),
            payload: Some(bytes[HEADER..].to_vec()),
        }
    }

    fn read_old(unpacked: &legacy::Unpacked) -> Self {
        let edge = |found: Option<&(i64, NewRecord)>| found.expect("a message").0;
        let (first, last) = (edge(unpacked.records.first()), edge(unpacked.records.last()));
        let bytes = |field: &Option<Bytes>| field.as_ref().map(|bytes| bytes.to_vec());
        let shown = |(offset, record): &(i64, NewRecord)| Record {
            offset: *offset,
            timestamp: record.timestamp,
            append_time: unpacked.append_time,
            key: bytes(&record.key),
            value: bytes(&record.value),
            headers: Vec::new(),
        };
        Self {
            base_offset: first,
            magic: unpacked.magic as i8,
            codec: unpacked.codec,
            last_offset_delta: Some((last - first) as i32),
            ..Self::holed(unpacked.records.iter().map(shown).collect())
        }
    }

    /// The offset after its last record, also where the cleaner left nothing else of it.
    pub fn next_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta.expect("a batch that was read")) + 1
    }
}

fn new_record(record: &Record) -> NewRecord {
    let bytes = |field: &Option<Vec<u8>>| field.clone().map(Bytes::from);
    let header = |header: &Header| (header.key.clone().into(), bytes(&header.value));
    NewRecord {
        key: bytes(&record.key),
        value: bytes(&record.value),
        headers: record.headers.iter().map(header).collect(),
        timestamp: record.timestamp,
        offset_delta: Some(record.offset.try_into().expect("a small offset")),
    }
}

/// A stored record as a consumer is shown it.
fn shown(record: &batch::Record<'_>, header: &batch::Header) -> Record {
    let append_time = header.has(APPEND_TIME);
    let headers = record.each_header().expect("headers").into_iter();
    Record {
        offset: header.base_offset + i64::from(record.offset_delta),
        timestamp: if append_time { header.max_timestamp } else { header.base_timestamp + record.timestamp_delta },
        append_time,
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: headers.map(|(key, value)| Header { key: key.to_vec(), value: value.map(<[u8]>::to_vec) }).collect(),
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
