//! What a partition remembers of its producers: epochs, sequences, the last five batches, open transactions.
//!
//! Only ranges of sequences are compared, never content; and producers are forgotten by the TIMESTAMPS of their
//! records, not by the time that passed. Both are what real brokers do.

use std::collections::{BTreeMap, VecDeque};

use kafka_protocol::ResponseError;

use super::batch::{Header, attribute};

/// Batches remembered per producer.
const REMEMBERED: usize = 5;

/// One remembered batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remembered {
    /// Sequence of its first record.
    pub first_sequence: i32,
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Offset of its first record.
    pub base_offset: i64,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Its largest timestamp, ms: what a duplicate's answer carries as log append time.
    pub timestamp: i64,
}

/// What is known of one producer id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Producer {
    /// The newest epoch seen.
    pub epoch: i16,
    /// Oldest first.
    pub batches: VecDeque<Remembered>,
    /// Timestamp of the last batch or marker, ms: its age decides about forgetting.
    pub last_timestamp: i64,
    /// First offset of the transaction that is open here.
    pub open_since: Option<i64>,
    /// Epoch of the coordinator that wrote the last marker, -1 before the first.
    pub coordinator_epoch: i32,
}

/// The verdict on a producer's next batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sequenced {
    /// It continues what is there.
    Next,
    /// It is there already.
    Duplicate(Remembered),
}

/// The producers of one partition.
#[derive(Clone, Default, Debug)]
pub struct Producers {
    known: BTreeMap<i64, Producer>,
}

impl Producers {
    /// Judges a stamped batch of a client; batches without a producer id are always next.
    pub fn check(&self, header: &Header) -> Result<Sequenced, ResponseError> {
        let Some(known) = self.known.get(&header.producer_id).filter(|_| header.producer_id >= 0) else {
            // Whatever sequence an unknown producer begins with is taken (since 2.5).
            return Ok(Sequenced::Next);
        };
        let same = |batch: &&Remembered| {
            known.epoch == header.producer_epoch
                && batch.first_sequence == header.base_sequence
                && batch.last_sequence == header.last_sequence()
        };
        if let Some(duplicate) = known.batches.iter().find(same) {
            return Ok(Sequenced::Duplicate(*duplicate));
        }
        if header.producer_epoch < known.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        let expected = match known.batches.back().filter(|_| header.producer_epoch == known.epoch) {
            Some(last) => last.last_sequence.checked_add(1).unwrap_or(0),
            None => 0,
        };
        if header.base_sequence != expected {
            return Err(ResponseError::OutOfOrderSequenceNumber);
        }
        if known.open_since.is_some() && !header.has(attribute::TRANSACTIONAL) {
            return Err(ResponseError::InvalidTxnState);
        }
        Ok(Sequenced::Next)
    }

    /// Remembers a batch that was appended with these offsets and this largest timestamp.
    pub fn appended(&mut self, header: &Header) {
        if header.producer_id < 0 {
            return;
        }
        let producer = self.producer(header.producer_id, header.producer_epoch);
        producer.last_timestamp = header.max_timestamp;
        producer.batches.push_back(Remembered {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            timestamp: header.max_timestamp,
        });
        if producer.batches.len() > REMEMBERED {
            producer.batches.pop_front();
        }
        if header.has(attribute::TRANSACTIONAL) {
            producer.open_since.get_or_insert(header.base_offset);
        }
    }

    /// Notes a transaction marker; returns where the transaction had begun.
    pub fn ended(&mut self, header: &Header) -> Option<i64> {
        let producer = self.producer(header.producer_id, header.producer_epoch);
        producer.last_timestamp = header.max_timestamp;
        producer.coordinator_epoch = 0;
        producer.open_since.take()
    }

    fn producer(&mut self, id: i64, epoch: i16) -> &mut Producer {
        let producer = self.known.entry(id).or_insert_with(|| Producer {
            epoch,
            batches: VecDeque::new(),
            last_timestamp: -1,
            open_since: None,
            coordinator_epoch: -1,
        });
        if producer.epoch != epoch {
            producer.epoch = epoch;
            producer.batches.clear();
        }
        producer
    }

    /// The first offset of the oldest open transaction.
    pub fn first_open(&self) -> Option<i64> {
        self.known.values().filter_map(|producer| producer.open_since).min()
    }

    /// Whether this producer has a transaction open here.
    pub fn has_open(&self, id: i64) -> bool {
        self.known.get(&id).is_some_and(|producer| producer.open_since.is_some())
    }

    /// Forgets who has no open transaction and whose last timestamp is at least `age_ms` before `now_ms`.
    pub fn forget(&mut self, now_ms: i64, age_ms: i64) {
        self.known
            .retain(|_, known| known.open_since.is_some() || now_ms.saturating_sub(known.last_timestamp) < age_ms);
    }

    /// What a restart leaves: the last batch of each producer that is not too old by then.
    pub fn reload(&mut self, now_ms: i64, age_ms: i64) {
        for producer in self.known.values_mut() {
            let surplus = producer.batches.len().saturating_sub(1);
            producer.batches.drain(..surplus);
        }
        self.forget(now_ms, age_ms);
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.known.iter().map(|(id, producer)| (*id, producer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(epoch: i16, base_sequence: i32, count: i32, offset: i64) -> Header {
        Header {
            base_offset: offset,
            length: 49,
            leader_epoch: 0,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: count - 1,
            base_timestamp: 1_000,
            max_timestamp: 1_000,
            producer_id: 7,
            producer_epoch: epoch,
            base_sequence,
            count,
        }
    }

    fn filled(batches: i32) -> Producers {
        let mut producers = Producers::default();
        for n in 0..batches {
            producers.appended(&header(0, n * 10, 10, i64::from(n) * 10));
        }
        producers
    }

    #[test]
    fn five_duplicates_are_known_and_the_sixth_is_out_of_order() {
        let producers = filled(6);
        for n in 1..6 {
            let verdict = producers.check(&header(0, n * 10, 10, 0)).expect("known");
            assert!(matches!(verdict, Sequenced::Duplicate(batch) if batch.base_offset == i64::from(n) * 10));
        }
        assert_eq!(producers.check(&header(0, 0, 10, 0)), Err(ResponseError::OutOfOrderSequenceNumber));
        assert_eq!(producers.check(&header(0, 60, 1, 0)), Ok(Sequenced::Next));
        assert_eq!(producers.check(&header(0, 61, 1, 0)), Err(ResponseError::OutOfOrderSequenceNumber));
        assert_eq!(producers.check(&header(0, 50, 9, 0)), Err(ResponseError::OutOfOrderSequenceNumber));
    }

    #[test]
    fn an_unknown_producer_may_begin_anywhere() {
        assert_eq!(Producers::default().check(&header(0, 500, 1, 0)), Ok(Sequenced::Next));
    }

    #[test]
    fn a_new_epoch_begins_at_zero_and_fences_the_old_one() {
        let mut producers = filled(1);
        assert_eq!(producers.check(&header(1, 5, 1, 0)), Err(ResponseError::OutOfOrderSequenceNumber));
        assert_eq!(producers.check(&header(1, 0, 1, 0)), Ok(Sequenced::Next));
        producers.appended(&header(1, 0, 1, 10));
        assert_eq!(producers.check(&header(0, 10, 1, 0)), Err(ResponseError::InvalidProducerEpoch));
    }

    #[test]
    fn the_sequence_wraps() {
        let mut producers = Producers::default();
        producers.appended(&header(0, i32::MAX - 1, 1, 0));
        producers.appended(&header(0, i32::MAX, 3, 1));
        assert_eq!(producers.check(&header(0, 2, 1, 0)), Ok(Sequenced::Next));
        assert!(matches!(producers.check(&header(0, i32::MAX, 3, 0)), Ok(Sequenced::Duplicate(_))));
    }

    #[test]
    fn a_restart_keeps_the_last_batch_only_and_forgets_by_timestamp() {
        let mut producers = filled(3);
        producers.reload(2_000, 86_400_000);
        assert!(matches!(producers.check(&header(0, 20, 10, 0)), Ok(Sequenced::Duplicate(_))));
        assert_eq!(producers.check(&header(0, 10, 10, 0)), Err(ResponseError::OutOfOrderSequenceNumber));
        producers.reload(2_000 + 86_400_000, 86_400_000);
        assert_eq!(producers.check(&header(0, 10, 10, 0)), Ok(Sequenced::Next));
    }

    #[test]
    fn an_open_transaction_is_never_forgotten() {
        let mut producers = Producers::default();
        let open = Header { attributes: attribute::TRANSACTIONAL, ..header(0, 0, 1, 4) };
        producers.appended(&open);
        producers.forget(i64::MAX, 1);
        assert_eq!(producers.first_open(), Some(4));
        assert_eq!(producers.check(&header(0, 1, 1, 0)), Err(ResponseError::InvalidTxnState));
        let marker = Header { attributes: attribute::TRANSACTIONAL | attribute::CONTROL, ..header(0, -1, 1, 5) };
        assert_eq!(producers.ended(&marker), Some(4));
        assert_eq!(producers.check(&header(0, 1, 1, 0)), Ok(Sequenced::Next));
    }
}
