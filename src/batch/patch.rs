//! A batch on its way to the target: a header of ours in front of records that are not touched.

use crate::batch::codec::Codec;
use crate::batch::crc::{Tail, append, crc32c};
use crate::batch::header::{Attributes, BatchHeader, CRC_FROM, HEADER_SIZE, LEAST_LENGTH, with_crc};
use crate::batch::origin::Origin;
use crate::batch::pieces::RawBatch;
use crate::kafka::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Span, Stamp};
use bytes::Bytes;
use std::sync::Arc;

/// What a batch carries that no idempotent producer has stamped.
const UNSTAMPED: Stamp = Stamp { producer: ProducerId(-1), epoch: ProducerEpoch(-1), sequence: Sequence(-1) };

/// A batch as Produce sends it. Clones share it, and queues of it stay small: there are thousands of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing(Arc<Patched>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Patched {
    /// `header` as bytes.
    head: [u8; HEADER_SIZE],
    header: BatchHeader,
    /// What the body does to the CRC when the header changes.
    tail: Tail,
    body: Bytes,
    origin: Origin,
}

/// The batch as it is, its header patched: base offset 0, no leader epoch, no stamp, and none of the bits that
/// [`Attributes::sendable`] names. The body is a slice of the batch, and its CRC is derived from the batch's, so bytes
/// that changed since the source stored them still make a wrong CRC.
pub fn pass(batch: &RawBatch) -> Outgoing {
    let header = *batch.header();
    let head = batch.bytes().first_chunk().copied().unwrap_or_else(|| header.encode());
    let origin = Origin::every(Span { start: header.base_offset, end: header.next_offset() });
    let mut outgoing = Outgoing::made(head, header, batch.payload(), origin);
    outgoing.replace(BatchHeader {
        base_offset: Offset(0),
        leader_epoch: LeaderEpoch(-1),
        attributes: header.attributes.sendable(),
        producer: UNSTAMPED.producer,
        epoch: UNSTAMPED.epoch,
        base_sequence: UNSTAMPED.sequence,
        ..header
    });
    outgoing
}

#[expect(clippy::len_without_is_empty, reason = "a batch has a header, so its length is never 0")]
impl Outgoing {
    /// A batch of records that were written anew: `records` of them, without gaps.
    pub(super) fn new(codec: Codec, records: i32, timestamps: Timestamps, body: Bytes, origin: Origin) -> Self {
        let mut header = BatchHeader {
            base_offset: Offset(0),
            length: u32::try_from(body.len()).unwrap_or(u32::MAX).saturating_add(LEAST_LENGTH),
            leader_epoch: LeaderEpoch(-1),
            magic: 2,
            crc: 0,
            attributes: Attributes::plain(codec),
            last_offset_delta: records.saturating_sub(1),
            base_timestamp: timestamps.base,
            max_timestamp: timestamps.max,
            producer: UNSTAMPED.producer,
            epoch: UNSTAMPED.epoch,
            base_sequence: UNSTAMPED.sequence,
            records,
        };
        let head = header.encode();
        header.crc = append(crc32c(covered(&head)), &body);
        Self::made(with_crc(head, header.crc), header, body, origin)
    }

    fn made(head: [u8; HEADER_SIZE], header: BatchHeader, body: Bytes, origin: Origin) -> Self {
        Self(Arc::new(Patched { head, header, tail: tail(&header), body, origin }))
    }

    /// Writes our producer's stamp into the header. It may be done again, with another stamp.
    pub fn stamp(&mut self, stamp: Stamp) {
        self.replace(BatchHeader {
            producer: stamp.producer,
            epoch: stamp.epoch,
            base_sequence: stamp.sequence,
            ..self.0.header
        });
    }

    fn replace(&mut self, header: BatchHeader) {
        let own = Arc::make_mut(&mut self.0);
        let head = header.encode();
        let crc = own.tail.replace_head(own.header.crc, covered(&own.head), covered(&head));
        own.header = BatchHeader { crc, ..header };
        own.head = with_crc(head, crc);
    }

    /// Bytes of the whole batch, header included.
    pub fn len(&self) -> usize {
        self.0.header.size()
    }

    /// How many records it holds: how far it moves the target's offset, and our sequence.
    pub fn records(&self) -> i32 {
        self.0.header.records
    }

    /// The source offsets that are done with when it is written; not all of them need to have held a record.
    pub fn source(&self) -> Span {
        self.0.origin.source
    }

    /// How many of its records had a source offset below `offset`: where a committed offset goes.
    pub fn records_before(&self, offset: Offset) -> i32 {
        self.0.origin.kept_before(offset, self.0.header.records)
    }

    /// The largest timestamp of its records, in ms since 1970.
    pub fn max_timestamp(&self) -> i64 {
        self.0.header.max_timestamp
    }

    /// The codec of its records; `Err` carries bits that stand for none that Kafka has.
    pub fn codec(&self) -> Result<Codec, i16> {
        self.0.header.codec()
    }

    /// The header as it is sent.
    pub fn header(&self) -> &BatchHeader {
        &self.0.header
    }

    /// What is sent: the header, then the records.
    pub fn parts(&self) -> (&[u8; HEADER_SIZE], &Bytes) {
        (&self.0.head, &self.0.body)
    }
}

/// The timestamps a header carries, in ms since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Timestamps {
    /// The first record's.
    pub(super) base: i64,
    /// The largest.
    pub(super) max: i64,
}

/// The records behind this header, as its CRC sees them.
fn tail(header: &BatchHeader) -> Tail {
    Tail::of(header.length.saturating_sub(LEAST_LENGTH))
}

/// The part of the header that the CRC covers.
fn covered(head: &[u8; HEADER_SIZE]) -> &[u8] {
    let (_, covered) = head.split_at(CRC_FROM);
    covered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::error::BatchErrorKind;
    use crate::batch::testing::{altered, batch, models, raw, sent, some_models};
    use proptest::prelude::*;

    fn stamp(producer: i64, epoch: i16, sequence: i32) -> Stamp {
        Stamp { producer: ProducerId(producer), epoch: ProducerEpoch(epoch), sequence: Sequence(sequence) }
    }

    #[test]
    fn a_passed_batch_differs_in_its_header_only_and_shares_the_body() {
        let bytes = altered(batch(&some_models(), 7_000, Codec::Lz4), |header| {
            header.leader_epoch = LeaderEpoch(12);
            header.attributes = Attributes(header.attributes.0 | 0x50);
            header.producer = ProducerId(4_000);
            header.epoch = ProducerEpoch(3);
            header.base_sequence = Sequence(99);
        });
        let batch = raw(&bytes);
        let mut outgoing = pass(&batch);
        outgoing.stamp(stamp(5, 1, 70));
        let expected = BatchHeader {
            base_offset: Offset(0),
            leader_epoch: LeaderEpoch(-1),
            attributes: Attributes::plain(Codec::Lz4),
            producer: ProducerId(5),
            epoch: ProducerEpoch(1),
            base_sequence: Sequence(70),
            crc: outgoing.header().crc,
            ..*batch.header()
        };
        assert_eq!(*outgoing.header(), expected);
        assert_eq!(outgoing.parts().1.as_ptr(), batch.bytes()[HEADER_SIZE..].as_ptr());
        assert_eq!(outgoing.source(), Span::new(7_000, 7_003));
        assert_eq!((outgoing.len(), outgoing.records()), (bytes.len(), 3));
        assert_eq!(outgoing.records_before(Offset(7_002)), 2);
        sent(&outgoing);
    }

    #[test]
    fn bytes_that_change_after_they_were_read_make_a_wrong_crc_where_they_arrive() {
        let sound = raw(&batch(&some_models(), 7_000, Codec::None));
        let mut outgoing = pass(&sound.changed(|bytes| *bytes.last_mut().expect("bytes") ^= 0x10));
        outgoing.stamp(stamp(5, 1, 70));
        let (head, body) = outgoing.parts();
        let error = RawBatch::parse([&head[..], body].concat().into()).expect_err("it changed on the way");
        assert!(matches!(error.kind, BatchErrorKind::Crc { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn the_crc_of_a_patched_batch_is_the_one_its_bytes_make(
            models in models(),
            base_offset in 0_i64..1 << 40,
            leader_epoch: i32,
            bits in 0_i16..16,
            old: (i64, i16, i32),
            new: (i64, i16, i32),
        ) {
            let bytes = altered(batch(&models, base_offset, Codec::None), |header| {
                header.leader_epoch = LeaderEpoch(leader_epoch);
                header.attributes = Attributes(bits << 3);
                (header.producer, header.epoch) = (ProducerId(old.0), ProducerEpoch(old.1));
                header.base_sequence = Sequence(old.2);
            });
            let mut outgoing = pass(&raw(&bytes));
            sent(&outgoing);
            outgoing.stamp(stamp(new.0, new.1, new.2));
            let sent = sent(&outgoing);
            prop_assert_eq!(&sent.bytes()[HEADER_SIZE..], &bytes[HEADER_SIZE..]);
        }
    }
}
