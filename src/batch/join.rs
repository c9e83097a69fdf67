//! Neighbours that are written into batches together: tiny batches, and whatever must be opened anyway.
//!
//! A broker spends about as much on a batch of one record as on one of a thousand. Nothing waits for more to come: what
//! lies side by side in one answer of the source is joined, or goes as it is.
//!
//! Where joining pays was measured on 2026-11-26 with one partition between two real 4.3.0 brokers (two cores), as CPU
//! seconds of kferry / of the target's broker, joined against passed as they are:
//!
//! | batches | joined | passed |
//! |---|---|---|
//! | 60,000 of 0.2 KiB, not compressed | 0.05 / 0.3 | 1.9 / 10.7 |
//! | 1,576 of 33 KiB, not compressed | 0.12 / 0.31 | 0.16 / 0.63 |
//! | 6,292 of 4 KiB, lz4 | 0.18 / 0.2 | 0.25 / 1.4 |
//! | 3,146 of 8 KiB, lz4 | 0.20 / 0.24 | 0.14 / 0.62 |
//! | 60,000 of 0.4 KiB, zstd | 1.9 / 0.4 | 2.1 / 12.3 |
//!
//! Joined batches end below the brokers' default limit of 1 MiB: with 2 million batches of 0.2 KiB in 16 partitions that took
//! 7 to 10% less time than an end at 256 KiB (2026-11-27, eleven alternating runs each).

use crate::batch::builder::Builder;
use crate::batch::codec::Codec;
use crate::batch::entry::Entry;
use crate::batch::error::BatchError;
use crate::batch::header::{BatchHeader, HEADER_SIZE};
use crate::batch::judge::Rules;
use crate::batch::patch::{Outgoing, pass};
use crate::batch::pieces::{Ahead, RawBatch};
use crate::batch::rebuild::rebuild;
use crate::batch::records::{Records, plain as records};
use crate::kafka::{Offset, Span};

/// Which neighbours become one batch. All sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Joining {
    /// A batch that is not compressed and smaller than this is opened where a neighbour is.
    pub tiny: usize,
    /// The same for compressed batches, which cost more to open.
    pub tiny_compressed: usize,
    /// A batch that must be opened is joined with its neighbours up to this size.
    pub largest: usize,
    /// Joined batches hold at most so many bytes of records, before compression.
    pub full: usize,
}

impl Default for Joining {
    fn default() -> Self {
        Self { tiny: 32 << 10, tiny_compressed: 4 << 10, largest: 64 << 10, full: 960 << 10 }
    }
}

impl Joining {
    /// Nothing is joined.
    pub const NEVER: Self = Self { tiny: 0, tiny_compressed: 0, largest: 0, full: 0 };

    /// Whether a batch that could pass as it is may be opened to be joined.
    pub fn is_tiny(&self, header: &BatchHeader) -> bool {
        header.size() < if header.codec() == Ok(Codec::None) { self.tiny } else { self.tiny_compressed }
    }
}

/// The most that an entry may decompress to for the sake of its neighbours, in bytes; one that holds more goes alone.
const OPENED: usize = 1 << 20;

/// What became of entries that waited.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Made {
    /// A batch of their records.
    Joined(Outgoing),
    /// One of them as it was.
    Passed(Outgoing),
    /// One of them could not be written.
    Broken(Broken),
}

/// A batch or set that could not be written anew, and the source offsets that are missing for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Its offsets, with those before it that hold nothing.
    pub span: Span,
    /// What is wrong with it.
    pub error: BatchError,
}

/// Neighbours that wait to be written together. What was dropped between them leaves no trace.
#[derive(Debug)]
pub struct Run {
    entries: Vec<Entry>,
    /// Of each entry, whether it must be opened even where it stays alone.
    must: Vec<bool>,
    /// What became of the entries already.
    written: Option<Written>,
    bytes: usize,
    start: Offset,
    /// Bytes of entries that may still come: there is room for no more than can be written.
    to_come: usize,
}

/// The records of two or more batches that are not compressed and could pass: each was written as it came, while it was in
/// the processor's caches.
#[derive(Debug)]
struct Written {
    builder: Builder,
    source: Span,
}

impl Run {
    /// A run of entries that come in an answer with so many bytes of them.
    pub fn of(bytes: usize) -> Self {
        Self { entries: Vec::new(), must: Vec::new(), written: None, bytes: 0, start: Offset(0), to_come: bytes }
    }

    /// Adds an entry behind those that wait, unless it can't be written together with them; offsets before `start` are done
    /// with. `must`: it can't pass as it is.
    #[must_use]
    pub fn push(&mut self, entry: &Entry, start: Offset, must: bool, rules: &Rules) -> bool {
        if self.written.is_none() && self.entries.is_empty() {
            self.start = start;
        } else if !self.takes(entry.size(), rules) || !(self.write(entry, must, rules) || self.waits(entry, rules)) {
            return false;
        }
        self.came(entry.size());
        if self.written.is_none() {
            self.entries.push(entry.clone());
            self.must.push(must);
        }
        true
    }

    fn came(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.to_come = self.to_come.saturating_sub(bytes);
    }

    /// Whether an entry of so many bytes may join those that wait.
    fn takes(&self, size: usize, rules: &Rules) -> bool {
        let largest = self.entries.first().map_or(size, |first| first.size().max(size));
        largest <= rules.joining.largest && self.bytes.saturating_add(size) <= rules.joining.full
    }

    /// Whether an entry can be written together with those that wait as they are.
    fn waits(&self, entry: &Entry, rules: &Rules) -> bool {
        let sent_as = |entry: &Entry| entry.codec().ok().and_then(|codec| rules.sent_as(codec));
        self.entries.first().is_some_and(|first| sent_as(first) == sent_as(entry))
    }

    /// Writes an entry behind those that were written, and the first two together; `false` where it has to wait.
    fn write(&mut self, entry: &Entry, must: bool, rules: &Rules) -> bool {
        let Some(batch) = plain(entry).filter(|_| !must) else { return false };
        if let Some(written) = &mut self.written {
            return written.append(batch.header(), records(batch), rules);
        }
        let ([first], [false]) = (&self.entries[..], &self.must[..]) else { return false };
        let Some(first) = plain(first) else { return false };
        let Some(Ok(record)) = records(first).next() else { return false };
        let start = first.header().base_offset.max(self.start);
        let builder = Builder::new(&record, share(rules).min(self.bytes.saturating_add(self.to_come)));
        let mut written = Written { builder, source: Span { start, end: start } };
        let both = [first, batch].iter().all(|batch| written.append(batch.header(), records(batch), rules));
        if both {
            self.written = Some(written);
            self.entries.clear();
            self.must.clear();
        }
        both
    }

    /// Writes a batch that would pass behind those that were written. `false` where that can't be: where none were, where it
    /// is compressed or not sound. Then nothing has changed.
    #[must_use]
    pub fn append(&mut self, batch: &Ahead<'_>, rules: &Rules) -> bool {
        let (header, size) = (batch.header(), batch.header().size());
        let fits = self.takes(size, rules) && header.codec() == Ok(Codec::None);
        let Some(written) = self.written.as_mut().filter(|_| fits && batch.is_sound()) else { return false };
        let appended = written.append(header, Records::new(header, batch.payload()), rules);
        if appended {
            self.came(size);
        }
        appended
    }

    /// Writes all that waits, records below `end` only. Where one can't be written the others are, in their order.
    pub fn finish(&mut self, end: Offset, rules: &Rules) -> Vec<Made> {
        self.bytes = 0;
        if let Some(Written { builder, source }) = self.written.take() {
            return vec![Made::Joined(builder.finish_plain(source))];
        }
        let mut start = self.start;
        if self.entries.len() > 1 {
            let rules = Rules { max_decoded_bytes: rules.max_decoded_bytes.min(OPENED), ..rules.clone() };
            if let Ok(made) = rebuild(&self.entries, Span { start, end }, &rules) {
                // The next run has as many entries, and takes their place.
                self.entries.clear();
                self.must.clear();
                return made.into_iter().map(Made::Joined).collect();
            }
        }
        let mut made = Vec::new();
        for (entry, must) in self.entries.drain(..).zip(self.must.drain(..)) {
            let next = entry.next_offset().min(end);
            made.extend(alone(entry, must, Span { start, end: next }, rules));
            start = next;
        }
        made
    }
}

impl Written {
    fn append(&mut self, header: &BatchHeader, records: Records<'_>, rules: &Rules) -> bool {
        let newest = rules.latest_timestamp.unwrap_or(i64::MAX);
        let appended = self.builder.append(records, share(rules), newest);
        if appended {
            self.source.end = header.next_offset();
        }
        appended
    }
}

/// Bytes of records in a batch that is written as they come.
fn share(rules: &Rules) -> usize {
    rules.largest().saturating_sub(HEADER_SIZE).min(rules.joining.full)
}

/// The batch, where it is not compressed.
fn plain(entry: &Entry) -> Option<&RawBatch> {
    match entry {
        Entry::Batch(batch) if batch.header().codec() == Ok(Codec::None) => Some(batch),
        Entry::Batch(_) | Entry::Set(_) => None,
    }
}

/// An entry without its neighbours; offsets below the span's start are done with.
fn alone(entry: Entry, must: bool, span: Span, rules: &Rules) -> Vec<Made> {
    if let (Entry::Batch(batch), false) = (&entry, must) {
        return vec![Made::Passed(pass(batch))];
    }
    match rebuild(&[entry], span, rules) {
        Ok(made) => made.into_iter().map(Made::Joined).collect(),
        Err(error) => vec![Made::Broken(Broken { span, error })],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::pieces::batches;
    use crate::batch::testing::{Model, altered, batch, compacted_models, raw, some_models};
    use proptest::prelude::*;

    const END: Offset = Offset(i64::MAX);

    /// A batch of one record.
    fn tiny(offset: i64) -> RawBatch {
        raw(&batch(&some_models()[..1], offset, Codec::None))
    }

    fn push(run: &mut Run, batch: RawBatch, rules: &Rules) -> bool {
        let start = batch.header().base_offset;
        run.push(&Entry::Batch(batch), start, false, rules)
    }

    /// The one batch that the run becomes.
    fn joined(mut run: Run, rules: &Rules) -> Outgoing {
        match run.finish(END, rules).as_slice() {
            [Made::Joined(outgoing)] => outgoing.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_that_stays_alone_passes_as_it_is() {
        let (mut run, rules) = (Run::of(1 << 20), Rules::default());
        assert!(push(&mut run, tiny(7), &rules));
        assert_eq!(run.finish(END, &rules), [Made::Passed(pass(&tiny(7)))]);
        assert_eq!(run.finish(END, &rules), []);
    }

    #[test]
    fn a_batch_whose_records_are_wrong_spoils_none_of_those_before_it() {
        let rules = Rules::default();
        // The last of the records that it says to hold is not there.
        let wrong = raw(&altered(batch(&some_models(), 9, Codec::None), |header| {
            (header.records, header.last_offset_delta) = (4, 3);
        }));
        let mut run = Run::of(1 << 20);
        assert!(push(&mut run, tiny(7), &rules) && push(&mut run, tiny(8), &rules));
        assert!(!push(&mut run, wrong.clone(), &rules));
        let made = joined(run, &rules);
        assert_eq!((made.records(), made.source()), (2, Span::new(7, 9)));
        let mut run = Run::of(1 << 20);
        assert!(push(&mut run, wrong.clone(), &rules), "an empty run takes anything");
        assert!(push(&mut run, tiny(20), &rules), "it waits for what can be written of the two");
        let made = run.finish(END, &rules);
        assert_eq!(made, [Made::Passed(pass(&wrong)), Made::Passed(pass(&tiny(20)))]);
    }

    #[test]
    fn a_record_that_is_newer_than_its_header_says_is_not_joined() {
        let newest = some_models()[0].timestamp;
        let rules = Rules { latest_timestamp: Some(newest), ..Rules::default() };
        let newer = Model { timestamp: newest + 1, ..some_models().swap_remove(0) };
        let newer = raw(&altered(batch(&[newer], 9, Codec::None), |header| header.max_timestamp = newest));
        let mut run = Run::of(1 << 20);
        assert!(push(&mut run, tiny(7), &rules) && push(&mut run, tiny(8), &rules));
        assert!(!push(&mut run, newer, &rules));
        assert_eq!(joined(run, &rules).records(), 2);
    }

    #[test]
    fn a_batch_is_full_where_the_rules_say_so_and_no_larger_than_the_target_takes() {
        let size = tiny(0).bytes().len();
        let count = |rules: &Rules| {
            let mut run = Run::of(1 << 20);
            let count = (0..20).take_while(|offset| push(&mut run, tiny(*offset), rules)).count();
            assert!(joined(run, rules).len() <= rules.largest());
            count
        };
        let full = |full| Rules { joining: Joining { full, ..Joining::default() }, ..Rules::default() };
        assert_eq!([10 * size, 11 * size - 1, 11 * size].map(|bytes| count(&full(bytes))), [10, 10, 11]);
        let limited = |bytes| Rules { max_batch_bytes: Some(bytes), ..Rules::default() };
        let three = {
            let (mut run, rules) = (Run::of(1 << 20), Rules::default());
            assert!((0..3).all(|offset| push(&mut run, tiny(offset), &rules)));
            joined(run, &rules).len()
        };
        assert_eq!([three, three - 1].map(|bytes| count(&limited(bytes))), [3, 2]);
    }

    #[test]
    fn what_must_be_opened_is_not_written_behind_what_was() {
        let (mut run, rules) = (Run::of(1 << 20), Rules::default());
        assert!(push(&mut run, tiny(7), &rules) && push(&mut run, tiny(8), &rules));
        assert!(!run.push(&Entry::Batch(tiny(9)), Offset(9), true, &rules));
        let packed = raw(&batch(&some_models(), 9, Codec::Lz4));
        assert!(!push(&mut run, packed, &rules));
    }

    #[test]
    fn what_lies_ahead_is_written_only_where_it_is_sound_and_plain_and_something_was_written() {
        let rules = Rules::default();
        let appends = |run: &mut Run, bytes: Vec<u8>| {
            let answer = batches(bytes.into());
            run.append(&answer.ahead().expect("a batch"), &rules)
        };
        let mut run = Run::of(1 << 20);
        assert!(!appends(&mut run, tiny(7).bytes().to_vec()), "nothing was written");
        assert!(push(&mut run, tiny(7), &rules));
        assert!(!appends(&mut run, tiny(8).bytes().to_vec()), "one waits");
        assert!(push(&mut run, tiny(8), &rules));
        let mut changed = tiny(9).bytes().to_vec();
        *changed.last_mut().expect("bytes") ^= 1;
        assert!(!appends(&mut run, changed));
        assert!(!appends(&mut run, batch(&some_models(), 9, Codec::Lz4)));
        assert!(appends(&mut run, tiny(9).bytes().to_vec()));
        let made = joined(run, &rules);
        assert_eq!((made.records(), made.source()), (3, Span::new(7, 10)));
    }

    #[test]
    fn what_lies_ahead_counts_until_the_batch_is_full() {
        let size = tiny(0).bytes().len();
        let rules = Rules { joining: Joining { full: 4 * size, ..Joining::default() }, ..Rules::default() };
        let mut run = Run::of(1 << 20);
        assert!(push(&mut run, tiny(0), &rules) && push(&mut run, tiny(1), &rules));
        let bytes: Vec<u8> = (2..9).flat_map(|offset| tiny(offset).bytes().to_vec()).collect();
        let mut answer = batches(bytes.into());
        while answer.ahead().is_some_and(|batch| run.append(&batch, &rules)) {
            answer.pass_over(size);
        }
        assert_eq!((answer.left(), joined(run, &rules).records()), (5 * size, 4));
    }

    proptest! {
        #[test]
        fn what_is_written_as_it_comes_is_what_is_written_together(
            runs in prop::collection::vec((compacted_models(), 0_i64..3), 2..8),
        ) {
            let rules = Rules::default();
            let mut next = 100;
            let mut entries = Vec::new();
            for (models, gap) in runs.into_iter().filter(|(models, _)| !models.is_empty()) {
                entries.push(raw(&batch(&models, next + gap, Codec::None)));
                next = entries[entries.len() - 1].header().next_offset().get();
            }
            prop_assume!(entries.len() > 1);
            let mut run = Run::of(1 << 20);
            prop_assume!(entries.iter().all(|batch| push(&mut run, batch.clone(), &rules)));
            let (first, others) = entries.split_at(2);
            let mut ahead = Run::of(1 << 20);
            prop_assert!(first.iter().all(|batch| push(&mut ahead, batch.clone(), &rules)));
            for batch in others {
                let answer = batches(batch.bytes().clone());
                prop_assert!(answer.ahead().is_some_and(|batch| ahead.append(&batch, &rules)));
            }
            let ahead = joined(ahead, &rules);
            let span = Span { start: entries[0].header().base_offset, end: END };
            let entries: Vec<Entry> = entries.into_iter().map(Entry::Batch).collect();
            let together = rebuild(&entries, span, &rules).expect("sound");
            prop_assert_eq!(&together, &[joined(run, &rules)]);
            prop_assert_eq!(together, [ahead]);
        }
    }
}
