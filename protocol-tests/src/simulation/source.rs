//! A source partition made up at random, and what may happen to it while it is copied.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kferry::batch::batches;
use kferry::cluster::AbortedTransaction;
use kferry::copy::Event;
use kferry::kafka::{ErrorCode, Offset, ProducerId, Span};

use super::dice::Dice;
use crate::broker::batch::{Header, OVERHEAD, walk};
use crate::broker::build::{NewRecord, RecordBatchBuilder, control_batch};
use crate::broker::cleaner;
use crate::broker::topic::Partition;

/// The node that leads every source partition.
const NODE: i32 = 1;

/// A record as a consumer sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// Its key.
    pub key: Bytes,
    /// Its value, which begins with the offset on the source.
    pub value: Bytes,
    /// Its time, ms since 1970.
    pub timestamp: i64,
}

/// How old the records of a partition are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Age {
    /// The target remembers their producer.
    Recent,
    /// The target forgets their producer whenever it looks.
    Old,
    /// Both kinds, batch by batch.
    Mixed,
    /// The target, if it is a new one, will forget their producer within minutes.
    Verge,
}

/// A source partition.
#[derive(Debug)]
pub struct Source {
    partition: Partition,
    /// The offsets to move.
    pub span: Span,
    /// Every record that was to be moved when the copy was planned, by offset.
    pub records: BTreeMap<i64, Content>,
    /// Those of them that the source no longer has.
    pub gone: BTreeSet<i64>,
    /// Those of them that were deleted by retention.
    pub expired: BTreeSet<i64>,
    /// Those that are gone and were on the target before, as far as the copy knew.
    pub owed: BTreeSet<i64>,
    /// Source offsets whose places on the target are wanted.
    pub marks: Vec<Offset>,
}

impl Source {
    /// A partition with some dozen records, the time being `now_ms`.
    pub fn new(dice: &mut Dice, now_ms: i64, age: Age) -> Self {
        let mut source = Self {
            partition: Partition::new(now_ms, &[NODE]),
            span: Span::new(0, 0),
            records: BTreeMap::new(),
            gone: BTreeSet::new(),
            expired: BTreeSet::new(),
            owed: BTreeSet::new(),
            marks: Vec::new(),
        };
        source.partition.log.set_start(dice.between(0, 40));
        for _ in 0..dice.between(2, 16) {
            let old = age == Age::Old || (age == Age::Mixed && dice.once_in(2));
            let days = if old { 40 } else { i64::from(age == Age::Verge) };
            let seconds = if age == Age::Verge { -dice.between(0, 30) } else { dice.between(60, 3_600) };
            source.add(dice, now_ms - days * 86_400_000 - seconds * 1_000);
        }
        let (start, end) = (source.partition.log.start(), source.partition.log.end());
        let first = start + dice.between(0, (end - start) / 3);
        let last = if dice.once_in(2) { end } else { end - dice.between(0, (end - first) / 3) };
        source.span = Span::new(first, last);
        source.records.retain(|offset, _| (first..last).contains(offset));
        let marks: BTreeSet<i64> = (0..dice.between(0, 4)).map(|_| dice.between(first, last)).collect();
        source.marks = marks.into_iter().map(Offset).collect();
        source
    }

    /// Adds a batch, or a transaction.
    fn add(&mut self, dice: &mut Dice, timestamp: i64) {
        let large = dice.once_in(4);
        let count = dice.between(1, if large { 12 } else { 5 });
        match dice.below(10) {
            0 => self.transaction(dice, timestamp, count, false),
            1 => self.transaction(dice, timestamp, count, true),
            _ => {
                let (batch, contents) = self.batch(dice, timestamp, count, large);
                self.partition.append_raw(batch.build());
                self.records.extend(contents);
            }
        }
    }

    fn batch(
        &self,
        dice: &mut Dice,
        timestamp: i64,
        count: i64,
        large: bool,
    ) -> (RecordBatchBuilder, Vec<(i64, Content)>) {
        let gap = if dice.once_in(5) { dice.between(1, 5) } else { 0 };
        let base = self.partition.log.end() + gap;
        let mut content = |offset: i64| {
            let padding = if large { 60 } else { dice.below(20) };
            let content = Content {
                key: format!("k{}", dice.below(12)).into(),
                value: format!("{offset}:{}", "x".repeat(padding)).into(),
                timestamp: timestamp + offset % 7,
            };
            (offset, content)
        };
        let contents: Vec<(i64, Content)> = (base..base + count).map(&mut content).collect();
        let record = |(_, content): &(i64, Content)| {
            NewRecord::new(content.timestamp, content.key.clone(), content.value.clone())
        };
        (RecordBatchBuilder::new().base_offset(base).records(contents.iter().map(record)), contents)
    }

    fn transaction(&mut self, dice: &mut Dice, timestamp: i64, count: i64, commit: bool) {
        let producer = 900 + self.partition.log.end();
        let (batch, contents) = self.batch(dice, timestamp, count, false);
        self.partition.append_raw(batch.producer(producer, 0, 0).transactional().build());
        if dice.once_in(2) {
            // Somebody else's records in the midst of it.
            let (batch, contents) = self.batch(dice, timestamp, 1, false);
            self.partition.append_raw(batch.build());
            self.records.extend(contents);
        }
        self.partition.append_raw(control_batch(producer, 0, commit, timestamp));
        if commit {
            self.records.extend(contents);
        }
    }

    /// What the broker answers to a Fetch from `from` on.
    pub fn fetch(&self, from: Offset, max_bytes: usize, beyond: bool) -> Event {
        let log = &self.partition.log;
        if from.get() < log.start() || from.get() > log.end() {
            let log_start = Some(Offset(log.start()));
            return Event::FetchRefused { code: ErrorCode::OFFSET_OUT_OF_RANGE, log_start };
        }
        let limit = if beyond { log.high_watermark() } else { log.last_stable_offset() };
        let slice = log.read(from.get(), limit, max_bytes, true);
        let aborted = log.aborted(from.get(), slice.end).into_iter().map(|aborted| AbortedTransaction {
            producer: ProducerId(aborted.producer_id),
            first_offset: Offset(aborted.first),
        });
        Event::Fetched { records: batches(slice.records), aborted: aborted.collect(), crowded: false }
    }

    /// The cleaner runs: of each key the newest record stays.
    pub fn compact(&mut self) {
        let cleaned = cleaner::clean(&self.partition.log, None);
        self.partition.log.replace(cleaned);
        self.note_gone(false);
    }

    /// What lies in front of `offset` is deleted.
    pub fn expire(&mut self, offset: i64) {
        if offset > self.partition.log.start() {
            self.partition.log.set_start(offset);
            self.note_gone(true);
        }
    }

    /// An offset somewhere in the log, rather in its first half.
    pub fn somewhere(&self, dice: &mut Dice) -> i64 {
        let log = &self.partition.log;
        dice.between(log.start(), (log.start() + 2 * log.end()) / 3)
    }

    /// Of what went since only `before` was gone, the copy was past what lies in front of `passed`.
    pub fn note_owed(&mut self, before: &BTreeSet<i64>, passed: i64) {
        let owed: Vec<i64> = self.gone.difference(before).copied().filter(|offset| *offset < passed).collect();
        self.owed.extend(owed);
    }

    fn note_gone(&mut self, expired: bool) {
        let log = &self.partition.log;
        let stored = log.batches().flat_map(|stored| offsets(&stored.header, &stored.bytes));
        let left: BTreeSet<i64> = stored.filter(|offset| *offset >= log.start()).collect();
        let is_gone = |offset: &i64| !left.contains(offset) && !self.gone.contains(offset);
        let gone: Vec<i64> = self.records.keys().copied().filter(is_gone).collect();
        if expired {
            self.expired.extend(&gone);
        }
        self.gone.extend(gone);
    }
}

fn offsets(header: &Header, bytes: &[u8]) -> Vec<i64> {
    let records = walk(bytes.get(OVERHEAD..).unwrap_or_default(), header.count).unwrap_or_default();
    records.iter().map(|record| header.base_offset + i64::from(record.offset_delta)).collect()
}
