//! Makes record batches for tests, the demo and the benchmarks: right ones by default, and wrong ones where asked.

use bytes::Bytes;

use super::batch::{Header, OVERHEAD, PREFIX, Record, attribute, put_record, put_varint, seal};
use super::codec::Codec;

/// One record to be put into a batch.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct NewRecord {
    /// Null or bytes.
    pub key: Option<Bytes>,
    /// Null or bytes.
    pub value: Option<Bytes>,
    /// In this order; names may repeat.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
    /// ms since 1970.
    pub timestamp: i64,
    /// Instead of counting from 0.
    pub offset_delta: Option<i32>,
}

impl NewRecord {
    /// A record with key and value, stamped at `timestamp` (ms).
    pub fn new(timestamp: i64, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { key: Some(key.into()), value: Some(value.into()), timestamp, ..Self::default() }
    }
}

/// Builds one batch of message format v2. Every field that a broker checks can be forged.
#[derive(Clone, Debug, Default)]
pub struct RecordBatchBuilder {
    records: Vec<NewRecord>,
    codec: Codec,
    base_offset: i64,
    leader_epoch: i32,
    magic: Option<i8>,
    attributes: i16,
    codec_id: Option<i16>,
    producer: Option<(i64, i16, i32)>,
    last_offset_delta: Option<i32>,
    count: Option<i32>,
    base_timestamp: Option<i64>,
    max_timestamp: Option<i64>,
    payload: Option<Vec<u8>>,
    crc: Option<u32>,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(mut self, $name: $type) -> Self {
                self.$name = $name.into();
                self
            }
        )*
    };
}

impl RecordBatchBuilder {
    /// A batch without producer, codec none, base offset 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// `count` small records with increasing timestamps from `timestamp` (ms), for tests that don't care.
    pub fn of(count: usize, timestamp: i64) -> Self {
        let records = (0..count).map(|n| {
            NewRecord::new(
                timestamp.saturating_add(n as i64),
                format!("key-{n}"),
                format!("value-{n}-{}", "x".repeat(20)),
            )
        });
        Self::new().records(records)
    }

    setters! {
        /// How the payload is packed, and the codec bits.
        codec: Codec;
        /// 0 in a right request.
        base_offset: i64;
        /// -1 or the broker's.
        leader_epoch: i32;
        /// 2 unless forged.
        magic: i8;
        /// Bits besides the codec's.
        attributes: i16;
        /// Codec bits that don't fit the payload.
        codec_id: i16;
        /// Instead of the last record's delta.
        last_offset_delta: i32;
        /// Instead of the number of records.
        count: i32;
        /// Instead of the first record's timestamp in the header; the deltas then count from it.
        base_timestamp: i64;
        /// Instead of the largest record timestamp.
        max_timestamp: i64;
        /// Instead of the packed records.
        payload: Vec<u8>;
        /// Instead of the right checksum.
        crc: u32;
    }

    /// Stamps the batch: producer id, epoch, sequence of the first record.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.producer = Some((id, epoch, base_sequence));
        self
    }

    /// Marks the batch as part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.attributes |= attribute::TRANSACTIONAL;
        self
    }

    /// One record more.
    #[must_use]
    pub fn record(mut self, record: NewRecord) -> Self {
        self.records.push(record);
        self
    }

    /// Records more.
    #[must_use]
    pub fn records(mut self, records: impl IntoIterator<Item = NewRecord>) -> Self {
        self.records.extend(records);
        self
    }

    /// The batch. Only a codec that can't pack in memory, which none does, would leave the payload empty.
    pub fn build(&self) -> Bytes {
        let base_timestamp =
            self.base_timestamp.unwrap_or_else(|| self.records.first().map_or(-1, |record| record.timestamp));
        let mut plain = Vec::new();
        let mut last_delta = -1;
        for (index, record) in self.records.iter().enumerate() {
            last_delta = record.offset_delta.unwrap_or(index as i32);
            put_record(&mut plain, &borrowed(record, last_delta, base_timestamp, &headers(record)));
        }
        let payload = match &self.payload {
            Some(payload) => payload.clone(),
            None => self.codec.compress(&plain).unwrap_or_default(),
        };
        let (producer_id, producer_epoch, base_sequence) = self.producer.unwrap_or((-1, -1, -1));
        let header = Header {
            base_offset: self.base_offset,
            length: (OVERHEAD - PREFIX + payload.len()) as i32,
            leader_epoch: self.leader_epoch,
            magic: self.magic.unwrap_or(2),
            crc: 0,
            attributes: self.attributes | self.codec_id.unwrap_or(self.codec.id()),
            last_offset_delta: self.last_offset_delta.unwrap_or(last_delta),
            base_timestamp,
            max_timestamp: self
                .max_timestamp
                .unwrap_or_else(|| self.records.iter().map(|record| record.timestamp).max().unwrap_or(-1)),
            producer_id,
            producer_epoch,
            base_sequence,
            count: self.count.unwrap_or(self.records.len() as i32),
        };
        let mut batch = vec![0; OVERHEAD];
        batch.extend_from_slice(&payload);
        seal(&mut batch, &header);
        if let Some(crc) = self.crc {
            batch[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        batch.into()
    }
}

fn headers(record: &NewRecord) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, record.headers.len() as i64);
    for (key, value) in &record.headers {
        put_varint(&mut out, key.len() as i64);
        out.extend_from_slice(key);
        put_varint(&mut out, value.as_ref().map_or(-1, |value| value.len() as i64));
        out.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    out
}

fn borrowed<'a>(record: &'a NewRecord, offset_delta: i32, base_timestamp: i64, headers: &'a [u8]) -> Record<'a> {
    Record {
        attributes: 0,
        timestamp_delta: record.timestamp.wrapping_sub(base_timestamp),
        offset_delta,
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers,
    }
}

/// The marker with which a transaction ends in a partition.
pub fn control_batch(producer_id: i64, epoch: i16, commit: bool, timestamp: i64) -> Bytes {
    // Key: version 0, type 0 (abort) or 1 (commit). Value: version 0, coordinator epoch.
    let key = vec![0, 0, 0, u8::from(commit)];
    RecordBatchBuilder::new()
        .attributes(attribute::TRANSACTIONAL | attribute::CONTROL)
        .producer(producer_id, epoch, -1)
        .record(NewRecord::new(timestamp, key, vec![0_u8; 6]))
        .build()
}
