//! The 61-byte header of a record batch of magic 2 (KIP-98), read and written.

use crate::batch::codec::Codec;
use crate::batch::error::{BatchError, BatchErrorKind};
use crate::kafka::{Cursor, CursorError, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Span, Stamp};
use bytes::{Buf, BufMut};

/// Bytes of the header, from the base offset to the record count.
pub const HEADER_SIZE: usize = 61;

/// Bytes in front of what the batch length counts: base offset and the length itself.
pub(super) const LENGTH_PREFIX: usize = 12;

/// The least a batch length can say: a header without its prefix, and no records.
pub(super) const LEAST_LENGTH: u32 = 49;

/// Where the magic byte lies, in every format.
pub(super) const MAGIC_AT: usize = 16;

/// Where the bytes begin that the CRC covers: attributes, the rest of the header, and the records.
pub(super) const CRC_FROM: usize = 21;

/// The same header with this CRC, which stands in front of what it covers.
pub(super) fn with_crc(mut head: [u8; HEADER_SIZE], crc: u32) -> [u8; HEADER_SIZE] {
    let (front, _) = head.split_at_mut(CRC_FROM);
    if let Some(field) = front.last_chunk_mut() {
        *field = crc.to_be_bytes();
    }
    head
}

/// The attribute bits of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC: i16 = 0x07;
    const APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// The attributes of an ordinary batch of this codec.
    pub const fn plain(codec: Codec) -> Self {
        Self(codec.bits())
    }

    /// The codec; `Err` carries bits that stand for none that Kafka has.
    pub fn codec(self) -> Result<Codec, i16> {
        let bits = self.0 & Self::CODEC;
        Codec::from_bits(bits).ok_or(bits)
    }

    /// These attributes without the bits that must not be sent: transactional (a broker takes it only inside a
    /// transaction of its own), append time (older brokers refuse it, newer ones clear it) and delete horizon (newer
    /// brokers would purge tombstones at once).
    #[must_use]
    pub const fn sendable(self) -> Self {
        Self(self.0 & !(Self::TRANSACTIONAL | Self::APPEND_TIME | Self::DELETE_HORIZON))
    }

    const fn has(self, bit: i16) -> bool {
        self.0 & bit != 0
    }
}

/// The header of a record batch of magic 2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// The offset of the first record, or of the first that was there before the log was compacted.
    pub base_offset: Offset,
    /// Bytes behind this field.
    pub length: u32,
    /// The epoch of the leader that appended the batch; -1 before it is appended.
    pub leader_epoch: LeaderEpoch,
    /// The format's version, here always 2.
    pub magic: i8,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: Attributes,
    /// The last offset, as a distance from the first; compaction keeps it.
    pub last_offset_delta: i32,
    /// What the records' timestamps count from, in ms since 1970; with the delete-horizon bit also that horizon.
    pub base_timestamp: i64,
    /// The largest timestamp of the records, or the append time of all, in ms since 1970.
    pub max_timestamp: i64,
    /// The producer; -1 without idempotence.
    pub producer: ProducerId,
    /// The producer's epoch; -1 without idempotence.
    pub epoch: ProducerEpoch,
    /// The sequence of the first record; -1 without idempotence.
    pub base_sequence: Sequence,
    /// How many records there are.
    pub records: i32,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`; what lies behind it is not looked at.
    ///
    /// # Errors
    /// Too few bytes, another magic than 2, or fields that contradict each other: no batch of less than no records, none
    /// with more records than offsets, no offsets below 0 or beyond the largest.
    // Inlined with all that it does: where a header is moved from one place of the stack to another, the processor waits for
    // its fields to be written, and of tiny batches there are millions.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let Some(head) = bytes.first_chunk() else { return Err(Self::short(bytes)) };
        let header = Self::read(head);
        match header.fault() {
            None => Ok(header),
            Some(kind) => Err(kind.at(header.base_offset)),
        }
    }

    #[inline(always)]
    fn read(head: &[u8; HEADER_SIZE]) -> Self {
        let mut rest = head.as_slice();
        Self {
            base_offset: Offset(rest.get_i64()),
            length: rest.get_u32(),
            leader_epoch: LeaderEpoch(rest.get_i32()),
            magic: rest.get_i8(),
            crc: rest.get_u32(),
            attributes: Attributes(rest.get_i16()),
            last_offset_delta: rest.get_i32(),
            base_timestamp: rest.get_i64(),
            max_timestamp: rest.get_i64(),
            producer: ProducerId(rest.get_i64()),
            epoch: ProducerEpoch(rest.get_i16()),
            base_sequence: Sequence(rest.get_i32()),
            records: rest.get_i32(),
        }
    }

    /// What is wrong with bytes that end inside of a header.
    #[cold]
    fn short(bytes: &[u8]) -> BatchError {
        let base_offset = Cursor::new(bytes).i64("baseOffset").map_or(Offset(-1), Offset);
        let kind = match bytes.get(MAGIC_AT).map(|magic| magic.cast_signed()) {
            Some(magic) if magic != 2 => BatchErrorKind::Magic(magic),
            _ => {
                CursorError::Short { what: "record batch header", needed: HEADER_SIZE, at: 0, left: bytes.len() }.into()
            }
        };
        kind.at(base_offset)
    }

    /// What is wrong with what the fields say.
    #[inline(always)]
    fn fault(&self) -> Option<BatchErrorKind> {
        let absurd = |what, value, at| Some(CursorError::Absurd { what, value, at }.into());
        let delta = i64::from(self.last_offset_delta);
        if self.magic != 2 {
            return Some(BatchErrorKind::Magic(self.magic));
        }
        if self.base_offset.0 < 0 {
            return absurd("baseOffset", self.base_offset.0, 0);
        }
        if self.length < LEAST_LENGTH || i32::try_from(self.length).is_err() {
            return absurd("batchLength", i64::from(self.length.cast_signed()), 8);
        }
        if delta < 0 || self.base_offset.0.checked_add(delta).is_none_or(|last| last == i64::MAX) {
            return absurd("lastOffsetDelta", delta, 23);
        }
        if self.records < 0 || i64::from(self.records) > delta.saturating_add(1) {
            return absurd("record count", i64::from(self.records), 57);
        }
        None
    }

    /// The header as it stands in front of the records.
    pub fn encode(&self) -> [u8; HEADER_SIZE] {
        let mut head = [0; HEADER_SIZE];
        let mut rest = head.as_mut_slice();
        rest.put_i64(self.base_offset.0);
        rest.put_u32(self.length);
        rest.put_i32(self.leader_epoch.0);
        rest.put_i8(self.magic);
        rest.put_u32(self.crc);
        rest.put_i16(self.attributes.0);
        rest.put_i32(self.last_offset_delta);
        rest.put_i64(self.base_timestamp);
        rest.put_i64(self.max_timestamp);
        rest.put_i64(self.producer.0);
        rest.put_i16(self.epoch.0);
        rest.put_i32(self.base_sequence.0);
        rest.put_i32(self.records);
        head
    }

    /// The offset of the last record, or of the last that was there before the log was compacted.
    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.last_offset_delta))
    }

    /// The offset behind the batch: where reading goes on.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    /// The offsets the batch stands for, end exclusive.
    pub fn span(&self) -> Span {
        Span { start: self.base_offset, end: self.next_offset() }
    }

    /// Bytes of the whole batch, header included: what max.message.bytes limits.
    pub fn size(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX).saturating_add(LENGTH_PREFIX)
    }

    /// The codec of the records; `Err` carries bits that stand for none that Kafka has.
    pub fn codec(&self) -> Result<Codec, i16> {
        self.attributes.codec()
    }

    /// Whether the batch holds a transaction's end marker or another record for brokers only.
    pub fn is_control(&self) -> bool {
        self.attributes.has(Attributes::CONTROL)
    }

    /// Whether the records belong to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes.has(Attributes::TRANSACTIONAL)
    }

    /// Whether consumers see the append time, which is `max_timestamp`, as every record's timestamp.
    pub fn is_append_time(&self) -> bool {
        self.attributes.has(Attributes::APPEND_TIME)
    }

    /// Whether `base_timestamp` is the time from which tombstones may be purged (KIP-534).
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes.has(Attributes::DELETE_HORIZON)
    }

    /// Whether compaction took records out: fewer records than offsets.
    pub fn has_gaps(&self) -> bool {
        i64::from(self.records) <= i64::from(self.last_offset_delta)
    }

    /// The timestamp consumers see on a record of this batch, in ms since 1970; -1 is none. It wraps where Kafka's own
    /// client wraps.
    pub fn timestamp(&self, timestamp_delta: i64) -> i64 {
        if self.is_append_time() { self.max_timestamp } else { self.base_timestamp.wrapping_add(timestamp_delta) }
    }

    /// The producer's stamp; `None` for a batch that was written without idempotence.
    pub fn stamp(&self) -> Option<Stamp> {
        let stamp = Stamp { producer: self.producer, epoch: self.epoch, sequence: self.base_sequence };
        (self.producer.0 >= 0).then_some(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::testing::{batch, some_models};

    fn sample() -> BatchHeader {
        let bytes = batch(&some_models(), 7_000, Codec::None);
        BatchHeader::parse(&bytes).expect("a sound header")
    }

    fn error(broken: BatchHeader) -> String {
        BatchHeader::parse(&broken.encode()).expect_err("a broken header").to_string()
    }

    #[test]
    fn a_header_is_written_as_it_was_read() {
        let bytes = batch(&some_models(), 7_000, Codec::None);
        let header = BatchHeader::parse(&bytes).expect("a sound header");
        assert_eq!(header.encode(), bytes[..HEADER_SIZE]);
        assert_eq!(header.size(), bytes.len());
        assert_eq!((header.last_offset(), header.next_offset()), (Offset(7_002), Offset(7_003)));
        assert!(!header.has_gaps());
    }

    #[test]
    fn fields_that_contradict_each_other_are_refused_with_their_place() {
        let sound = sample();
        assert_eq!(
            error(BatchHeader { base_offset: Offset(-3), ..sound }),
            "record batch at offset -3: baseOffset is -3 at byte 0"
        );
        assert_eq!(
            error(BatchHeader { length: 48, ..sound }),
            "record batch at offset 7,000: batchLength is 48 at byte 8"
        );
        assert_eq!(
            error(BatchHeader { length: u32::MAX, ..sound }),
            "record batch at offset 7,000: batchLength is -1 at byte 8"
        );
        assert_eq!(
            error(BatchHeader { magic: 3, ..sound }),
            "record batch at offset 7,000: magic 3 is not a format that Kafka has"
        );
        assert_eq!(
            error(BatchHeader { last_offset_delta: -1, ..sound }),
            "record batch at offset 7,000: lastOffsetDelta is -1 at byte 23"
        );
        assert_eq!(
            error(BatchHeader { base_offset: Offset(i64::MAX - 2), ..sound }),
            "record batch at offset 9,223,372,036,854,775,805: lastOffsetDelta is 2 at byte 23"
        );
        assert_eq!(
            error(BatchHeader { records: 4, ..sound }),
            "record batch at offset 7,000: record count is 4 at byte 57"
        );
        assert_eq!(
            error(BatchHeader { records: -1, ..sound }),
            "record batch at offset 7,000: record count is -1 at byte 57"
        );
    }

    #[test]
    fn bytes_that_end_inside_of_a_header_are_refused_whatever_they_say() {
        let head = sample().encode();
        for length in 0..HEADER_SIZE {
            let error = BatchHeader::parse(&head[..length]).expect_err("short").to_string();
            let offset = if length < 8 { "-1" } else { "7,000" };
            let short = format!("record batch header needs 61 bytes at byte 0, {length} are left");
            assert_eq!(error, format!("record batch at offset {offset}: {short}"));
        }
        let unknown = BatchHeader { magic: 9, ..sample() }.encode();
        let error = BatchHeader::parse(&unknown[..20]).expect_err("short");
        assert_eq!(error, BatchErrorKind::Magic(9).at(Offset(7_000)));
    }

    #[test]
    fn bits_that_must_not_be_sent_are_cleared_and_the_codec_stays() {
        assert_eq!(Attributes(0x5c).sendable(), Attributes::plain(Codec::Zstd));
        assert_eq!(Attributes(0x05).codec(), Err(5));
    }
}
