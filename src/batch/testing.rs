//! Batches for the tests of this room, put together by an encoder that shares none of the code under test.

use crate::batch::codec::Codec;
use crate::batch::header::{Attributes, BatchHeader, CRC_FROM, HEADER_SIZE};
pub(crate) use crate::batch::legacy::testing::{message, wrapper};
use crate::batch::patch::Outgoing;
use crate::batch::pieces::RawBatch;
use crate::batch::records::open;
use crate::kafka::cursor::put_varint;
use crate::kafka::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
use proptest::prelude::*;

/// A record as a consumer sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Model {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Three records with everything that is easily lost: nulls, empties, duplicate and binary header keys, odd times.
pub(crate) fn some_models() -> Vec<Model> {
    let bytes = |text: &[u8]| Some(text.to_vec());
    vec![
        Model { offset: 0, timestamp: 1_600_000_000_000, key: None, value: bytes(b"first"), headers: Vec::new() },
        Model {
            offset: 1,
            timestamp: -1,
            key: bytes(b""),
            value: None,
            headers: vec![(b"a".to_vec(), bytes(b"1")), (b"a".to_vec(), None), (vec![0xff, 0], bytes(b""))],
        },
        Model {
            offset: 2,
            timestamp: 1_700_000_000_000,
            key: bytes(b"key"),
            value: Some(vec![7; 300]),
            headers: Vec::new(),
        },
    ]
}

/// Records with consecutive offsets from 0, any content, any timestamps.
pub(crate) fn models() -> impl Strategy<Value = Vec<Model>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let nullable = move || prop::option::of(bytes());
    let timestamp = prop_oneof![Just(-1), 0_i64..1 << 41, any::<i64>()];
    let headers = prop::collection::vec((bytes(), nullable()), 0..4);
    let record = (timestamp, nullable(), nullable(), headers);
    prop::collection::vec(record, 1..30).prop_map(|records| {
        let numbered = (0..).zip(records);
        let model = |(offset, (timestamp, key, value, headers))| Model { offset, timestamp, key, value, headers };
        numbered.map(model).collect()
    })
}

/// The same records at other offsets: as after a compaction that left some of them out.
pub(crate) fn compacted_models() -> impl Strategy<Value = Vec<Model>> {
    let gaps = prop::collection::vec(prop_oneof![3 => Just(0_i64), 1 => 0_i64..50], 30);
    (models(), gaps).prop_map(|(mut models, gaps)| {
        let mut moved = 0;
        for (model, gap) in models.iter_mut().zip(gaps) {
            moved += gap;
            model.offset += moved;
        }
        models
    })
}

/// A batch of these records, whose offsets count from `base_offset`.
pub(crate) fn batch(models: &[Model], base_offset: i64, codec: Codec) -> Vec<u8> {
    let base_timestamp = models.first().map_or(-1, |model| model.timestamp);
    let mut records = Vec::new();
    for model in models {
        let mut record = vec![0];
        put_varint(&mut record, model.timestamp.wrapping_sub(base_timestamp));
        put_varint(&mut record, model.offset);
        put_bytes(&mut record, model.key.as_deref());
        put_bytes(&mut record, model.value.as_deref());
        put_varint(&mut record, model.headers.len() as i64);
        for (key, value) in &model.headers {
            put_bytes(&mut record, Some(key));
            put_bytes(&mut record, value.as_deref());
        }
        put_varint(&mut records, record.len() as i64);
        records.extend(record);
    }
    let payload = codec.encode(records).expect("compressed");
    let header = BatchHeader {
        base_offset: Offset(base_offset),
        length: 49 + payload.len() as u32,
        leader_epoch: LeaderEpoch(0),
        magic: 2,
        crc: 0,
        attributes: Attributes::plain(codec),
        last_offset_delta: models.last().map_or(0, |model| model.offset as i32),
        base_timestamp,
        max_timestamp: models.iter().map(|model| model.timestamp).max().unwrap_or(-1),
        producer: ProducerId(-1),
        epoch: ProducerEpoch(-1),
        base_sequence: Sequence(-1),
        records: models.len() as i32,
    };
    altered([&header.encode()[..], &payload].concat(), |_| {})
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put_varint(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
    out.extend(bytes.unwrap_or_default());
}

/// The batch with another header, and the CRC that then is right.
pub(crate) fn altered(mut bytes: Vec<u8>, change: impl FnOnce(&mut BatchHeader)) -> Vec<u8> {
    let mut header = BatchHeader::parse(&bytes).expect("a sound header");
    change(&mut header);
    bytes[..HEADER_SIZE].copy_from_slice(&header.encode());
    let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The batch that these bytes are.
pub(crate) fn raw(bytes: &[u8]) -> RawBatch {
    RawBatch::parse(bytes.to_vec().into()).expect("a batch")
}

/// What goes over the wire, read as a broker would.
pub(crate) fn sent(outgoing: &Outgoing) -> RawBatch {
    let (head, body) = outgoing.parts();
    raw(&[&head[..], body].concat())
}

/// The records of a batch as a consumer sees them.
pub(crate) fn consumed(batch: &RawBatch) -> Vec<Model> {
    let opened = open(batch, 1 << 30).expect("decompressed");
    let records = opened.records().map(|record| {
        let record = record.expect("a sound record");
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        Model {
            offset: record.offset.0,
            timestamp: record.timestamp,
            key: owned(record.key),
            value: owned(record.value),
            headers: record.headers.map(|(key, value)| (key.to_vec(), owned(value))).collect(),
        }
    });
    records.collect()
}
