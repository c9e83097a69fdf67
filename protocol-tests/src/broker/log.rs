//! One partition's log: stored batches, their offsets, and what transactions and leaders left in it.
//!
//! There are no segments: what a segment decides for a client (roll, retention by time) tests do by hand.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::batch::{Header, OVERHEAD, attribute, walk};
use super::codec::Codec;
use super::producers::Producers;

/// A batch as it lies in the log.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its header, offsets assigned.
    pub header: Header,
    /// The whole batch.
    pub bytes: Bytes,
}

/// A transaction that ended with an abort marker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Aborted {
    /// Whose.
    pub producer_id: i64,
    /// Its first batch's base offset.
    pub first: i64,
    /// Its marker's offset.
    pub last: i64,
}

/// What a Fetch reads.
#[derive(Clone, Default, Debug)]
pub struct Slice {
    /// Whole batches; the last one may be cut.
    pub records: Bytes,
    /// Offset behind the last whole or cut batch that was read.
    pub end: i64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Log {
    batches: VecDeque<Stored>,
    start: i64,
    end: i64,
    high_watermark: i64,
    /// What is remembered of the producers that wrote here.
    pub producers: Producers,
    aborted: Vec<Aborted>,
    /// Ended transactions: first offset, marker's offset.
    ended: Vec<(i64, i64)>,
    /// Leader epoch and the first offset written in it, oldest first.
    epochs: Vec<(i32, i64)>,
}

impl Log {
    /// The first offset that can be read.
    pub const fn start(&self) -> i64 {
        self.start
    }

    /// The offset that the next record gets (log end offset).
    pub const fn end(&self) -> i64 {
        self.end
    }

    /// What all in-sync replicas have.
    pub const fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// Where a read_committed reader stops: in front of the first transaction that is open, or whose end is not on all
    /// in-sync replicas yet.
    pub fn last_stable_offset(&self) -> i64 {
        let unreplicated =
            self.ended.iter().filter(|(_, marker)| *marker >= self.high_watermark).map(|(first, _)| *first).min();
        let unstable = self.producers.first_open().into_iter().chain(unreplicated).min();
        unstable.map_or(self.high_watermark, |first| first.min(self.high_watermark))
    }

    /// All batches, in order.
    pub fn batches(&self) -> impl Iterator<Item = &Stored> {
        self.batches.iter()
    }

    /// Puts other batches in the place of all that are stored, at the same offsets: what the cleaner, or a bad disk, does.
    pub fn replace(&mut self, batches: Vec<Stored>) {
        self.batches = batches.into();
    }

    /// Number of bytes stored.
    pub fn bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.bytes.len() as u64).sum()
    }

    /// Appends a batch whose header has its offsets; a base offset beyond the end leaves a gap, as a cleaner does.
    pub fn append(&mut self, batch: Stored) {
        self.remember(&batch.header, &batch.bytes);
        self.end = self.end.max(batch.header.last_offset().saturating_add(1));
        self.batches.push_back(batch);
    }

    fn remember(&mut self, header: &Header, bytes: &[u8]) {
        if self.epochs.last().is_none_or(|(epoch, _)| *epoch < header.leader_epoch) {
            self.epochs.push((header.leader_epoch, header.base_offset));
        }
        if header.producer_id < 0 {
            return;
        }
        if !header.has(attribute::CONTROL) {
            self.producers.appended(header);
        } else if let Some(first) = self.producers.ended(header) {
            self.ended.push((first, header.base_offset));
            if !is_commit(header, bytes) {
                self.aborted.push(Aborted { producer_id: header.producer_id, first, last: header.base_offset });
            }
        }
    }

    /// Raises or lowers the high watermark; never beyond the end.
    pub fn set_high_watermark(&mut self, offset: i64) {
        self.high_watermark = offset.clamp(self.start.min(self.end), self.end);
        let high_watermark = self.high_watermark;
        self.ended.retain(|(_, marker)| *marker >= high_watermark);
    }

    /// Moves the log start forward, as retention and DeleteRecords do. An empty log can also begin anywhere.
    pub fn set_start(&mut self, offset: i64) {
        self.start = offset;
        self.end = self.end.max(offset);
        self.high_watermark = self.high_watermark.max(offset);
        while self.batches.front().is_some_and(|batch| batch.header.last_offset() < offset) {
            self.batches.pop_front();
        }
        self.aborted.retain(|aborted| aborted.last >= offset);
    }

    /// Drops everything from `offset` on, as a follower does that has more than its new leader. Producer state is built
    /// again from what is left.
    pub fn truncate(&mut self, offset: i64) {
        if offset >= self.end {
            return;
        }
        let kept: Vec<Stored> = self.batches.drain(..).filter(|batch| batch.header.last_offset() < offset).collect();
        let (start, high_watermark) = (self.start, self.high_watermark);
        *self = Self { start, end: start, ..Self::default() };
        for batch in kept {
            self.append(batch);
        }
        self.end = self.end.max(offset);
        self.set_high_watermark(high_watermark.min(offset));
    }

    /// The index of the first batch whose last offset is at least `offset`.
    fn position(&self, offset: i64) -> usize {
        self.batches.partition_point(|batch| batch.header.last_offset() < offset)
    }

    /// Batches from the one that holds `offset` on, up to `limit` (exclusive), at most `max_bytes`: the last one is cut
    /// there, except that `whole_first` returns the first one whole however large it is.
    pub fn read(&self, offset: i64, limit: i64, max_bytes: usize, whole_first: bool) -> Slice {
        let mut slice = Slice { records: Bytes::new(), end: offset };
        let mut parts: Vec<Bytes> = Vec::new();
        let mut left = max_bytes;
        for batch in self.batches.range(self.position(offset)..) {
            if batch.header.base_offset >= limit {
                break;
            }
            let whole = parts.is_empty() && whole_first;
            let length = if whole { batch.bytes.len() } else { batch.bytes.len().min(left) };
            if length == 0 {
                break;
            }
            parts.push(batch.bytes.slice(..length));
            slice.end = batch.header.last_offset().saturating_add(1);
            left = left.saturating_sub(length);
        }
        slice.records = join(parts);
        slice
    }

    /// Aborted transactions that touch `[from, to)`.
    pub fn aborted(&self, from: i64, to: i64) -> Vec<Aborted> {
        self.aborted.iter().filter(|aborted| aborted.last >= from && aborted.first < to).copied().collect()
    }

    /// The first record stamped at `timestamp` (ms) or later: its timestamp and offset.
    pub fn at_time(&self, timestamp: i64) -> Option<(i64, i64)> {
        let candidates = self.batches.iter().filter(|batch| batch.header.max_timestamp >= timestamp);
        for batch in candidates {
            let found = times(batch).into_iter().find(|(time, offset)| *time >= timestamp && *offset >= self.start);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The record with the largest timestamp: its timestamp and offset.
    pub fn max_time(&self) -> Option<(i64, i64)> {
        let top = self.batches.iter().map(|batch| batch.header.max_timestamp).max()?;
        self.at_time(top)
    }

    /// The leader epoch of the batch at `offset`, -1 where there is none.
    pub fn epoch_at(&self, offset: i64) -> i32 {
        self.epochs.iter().rev().find(|(_, start)| *start <= offset).map_or(-1, |(epoch, _)| *epoch)
    }

    /// For OffsetForLeaderEpoch: the largest epoch up to `epoch`, and where it ended.
    pub fn end_of_epoch(&self, epoch: i32, current: i32) -> (i32, i64) {
        if epoch == current {
            return (epoch, self.end);
        }
        if epoch > current || epoch < 0 {
            return (-1, -1);
        }
        let floor = self.epochs.iter().rev().find(|(known, _)| *known <= epoch).map_or(epoch, |(known, _)| *known);
        let next = self.epochs.iter().find(|(known, _)| *known > epoch).map_or(self.end, |(_, start)| *start);
        (floor, next)
    }
}

fn join(parts: Vec<Bytes>) -> Bytes {
    match <[Bytes; 1]>::try_from(parts) {
        Ok([one]) => one,
        Err(parts) => {
            let mut joined = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
            parts.iter().for_each(|part| joined.extend_from_slice(part));
            joined.freeze()
        }
    }
}

/// Timestamp and offset of each record.
fn times(batch: &Stored) -> Vec<(i64, i64)> {
    let header = &batch.header;
    if header.magic < 2 {
        return vec![(header.max_timestamp, header.base_offset)];
    }
    let plain = Codec::from_id(header.codec())
        .and_then(|codec| codec.decompress(batch.bytes.get(OVERHEAD..).unwrap_or_default()).ok())
        .unwrap_or_default();
    let records = walk(&plain, header.count).unwrap_or_default();
    records
        .iter()
        .map(|record| {
            let time = if header.has(attribute::APPEND_TIME) {
                header.max_timestamp
            } else {
                header.base_timestamp.wrapping_add(record.timestamp_delta)
            };
            (time, header.base_offset.wrapping_add(i64::from(record.offset_delta)))
        })
        .collect()
}

/// Whether a control batch is a commit marker: type 1 behind the version in its record's key.
fn is_commit(header: &Header, bytes: &[u8]) -> bool {
    let records = walk(bytes.get(OVERHEAD..).unwrap_or_default(), header.count).unwrap_or_default();
    records.first().and_then(|record| record.key).and_then(|key| key.get(2..4)) == Some(&[0, 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::build::{RecordBatchBuilder, control_batch};

    fn stored(builder: RecordBatchBuilder, offset: i64) -> Stored {
        let bytes = builder.base_offset(offset).build();
        Stored { header: Header::read(&bytes).expect("a header"), bytes }
    }

    fn three_by_ten() -> Log {
        let mut log = Log::default();
        for n in 0..3 {
            log.append(stored(RecordBatchBuilder::of(10, 1_000 * (n + 1)), n * 10));
        }
        log.set_high_watermark(30);
        log
    }

    #[test]
    fn a_read_from_the_middle_begins_with_the_whole_batch_around_it() {
        let log = three_by_ten();
        let slice = log.read(15, 30, usize::MAX, true);
        assert_eq!(Header::read(&slice.records).expect("a header").base_offset, 10);
        assert_eq!(slice.end, 30);
    }

    #[test]
    fn a_limit_cuts_the_tail_but_not_the_first_batch_unless_allowed() {
        let log = three_by_ten();
        let size = log.batches().next().expect("a batch").bytes.len();
        assert_eq!(log.read(0, 30, size + 100, true).records.len(), size + 100);
        assert_eq!(log.read(0, 30, 1, true).records.len(), size);
        assert_eq!(log.read(0, 30, 1, false).records.len(), 1);
        assert_eq!(log.read(0, 30, 0, false).records.len(), 0);
    }

    #[test]
    fn retention_drops_whole_batches_and_keeps_the_offsets() {
        let mut log = three_by_ten();
        log.set_start(12);
        assert_eq!((log.start(), log.end(), log.batches().count()), (12, 30, 2));
        let mut empty = Log::default();
        empty.set_start(5_226);
        assert_eq!((empty.start(), empty.end(), empty.high_watermark()), (5_226, 5_226, 5_226));
    }

    #[test]
    fn an_offset_is_found_by_time() {
        let log = three_by_ten();
        assert_eq!(log.at_time(2_003), Some((2_003, 13)));
        assert_eq!(log.at_time(9_999), None);
        assert_eq!(log.max_time(), Some((3_009, 29)));
    }

    #[test]
    fn an_open_transaction_holds_the_last_stable_offset_until_its_marker_is_replicated() {
        let mut log = three_by_ten();
        log.append(stored(RecordBatchBuilder::of(2, 0).producer(4, 0, 0).transactional(), 30));
        log.set_high_watermark(32);
        assert_eq!(log.last_stable_offset(), 30);
        let marker = control_batch(4, 0, false, 9);
        let mut bytes = marker.to_vec();
        let header = Header { base_offset: 32, ..Header::read(&marker).expect("a header") };
        crate::broker::batch::seal(&mut bytes, &header);
        log.append(Stored { header, bytes: bytes.into() });
        assert_eq!(log.last_stable_offset(), 30);
        log.set_high_watermark(33);
        assert_eq!(log.last_stable_offset(), 33);
        assert_eq!(log.aborted(31, 33), [Aborted { producer_id: 4, first: 30, last: 32 }]);
        assert_eq!(log.aborted(0, 30), []);
    }

    #[test]
    fn truncation_takes_producer_state_back() {
        let mut log = Log::default();
        log.append(stored(RecordBatchBuilder::of(10, 0).producer(1, 0, 0), 0));
        log.append(stored(RecordBatchBuilder::of(10, 0).producer(1, 0, 10), 10));
        log.set_high_watermark(20);
        log.truncate(10);
        assert_eq!((log.end(), log.high_watermark()), (10, 10));
        let (_, producer) = log.producers.iter().next().expect("a producer");
        assert_eq!(producer.batches.back().expect("a batch").last_sequence, 9);
    }

    #[test]
    fn the_end_of_an_epoch_is_where_the_next_begins() {
        let mut log = three_by_ten();
        let next = RecordBatchBuilder::of(1, 0).leader_epoch(3);
        log.append(stored(next, 30));
        assert_eq!(log.end_of_epoch(0, 3), (0, 30));
        assert_eq!(log.end_of_epoch(2, 3), (0, 30));
        assert_eq!(log.end_of_epoch(3, 3), (3, 31));
        assert_eq!(log.end_of_epoch(4, 3), (-1, -1));
        assert_eq!((log.epoch_at(29), log.epoch_at(30)), (0, 3));
    }
}
