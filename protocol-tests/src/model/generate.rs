//! Logs from bytes: [`STEP`] bytes decide about one thing that happens to the partition.

use bytes::Bytes;

use crate::broker::Codec;
use crate::broker::build::control_batch;
use crate::lab::batch::{APPEND_TIME, Batch, CONTROL, DELETE_HORIZON, HEADER, TRANSACTIONAL};
use crate::lab::record::Record;

use super::choices::Choices;
use super::content::{NOW, Times, record};
use super::log::{Log, Piece, Transaction};
use super::old;

/// So many bytes decide about one step.
pub const STEP: usize = 32;

/// How many transactional producers there are.
const PRODUCERS: usize = 3;

/// What may happen beside what always may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds {
    /// Message sets of magic 0 and 1.
    pub old: bool,
    /// Batches whose bytes changed on disk.
    pub corrupt: bool,
    /// The largest value of a record, in bytes.
    pub largest: usize,
}

/// The log that these steps make.
pub fn generate<S: AsRef<[u8]>>(steps: &[S], kinds: Kinds) -> Log {
    let first = steps.first().map_or(0, |step| step.as_ref().first().copied().unwrap_or(0));
    let start = if first % 4 == 3 { 1 << 40 } else { 0 };
    let mut writer = Writer { log: Log { start, ..Log::default() }, next: start, open: [None; PRODUCERS], kinds };
    for step in steps {
        writer.step(&mut Choices::new(step.as_ref()));
    }
    // An open transaction hides what is behind it: not in every log.
    if first % 3 < 2 {
        for number in 0..PRODUCERS {
            if writer.open[number].is_some() {
                writer.end(number, number != 1);
            }
        }
    }
    writer.log
}

struct Writer {
    log: Log,
    next: i64,
    /// The transactions that are open, by producer.
    open: [Option<usize>; PRODUCERS],
    kinds: Kinds,
}

impl Writer {
    fn step(&mut self, choices: &mut Choices<'_>) {
        let done = self.log.pieces.len();
        match choices.below(16) {
            0..=3 => self.batch(choices, None),
            4..=7 => {
                let producer = choices.below(PRODUCERS);
                self.batch(choices, Some(producer));
            }
            8..=10 => self.marker(choices),
            11 => self.next += 1 + choices.below(60) as i64,
            12 if choices.below(2) == 0 => self.empty(choices),
            12 => self.cleaned_marker(choices),
            13 | 14 if self.kinds.old => self.old(choices),
            _ => self.tiny(choices),
        }
        if self.kinds.corrupt && choices.once_in(8) {
            self.log.pieces.iter_mut().skip(done).for_each(corrupt);
        }
    }

    /// A batch; with a producer it is part of its transaction, which begins here where none is open.
    fn batch(&mut self, choices: &mut Choices<'_>, producer: Option<usize>) {
        let codec = choices.one_of(&Codec::ALL);
        let count = match choices.below(4) {
            0 => 1,
            1 | 2 => 1 + choices.below(5),
            _ => 1 + choices.below(40),
        };
        let mut kept = self.records(choices, count);
        let mut batch =
            Batch { base_offset: self.next, last_offset_delta: Some(count as i32 - 1), ..of(&kept, self.next) };
        if choices.once_in(4) {
            kept.retain(|_| choices.below(3) > 0);
            batch = Batch { last_offset_delta: batch.last_offset_delta, ..of(&kept, self.next) };
        }
        batch = batch.packed(codec);
        if let Some(number) = producer {
            batch = batch.stamped(pid(number), 0, choices.below(1_000) as i32).flagged(TRANSACTIONAL);
        } else if choices.once_in(3) {
            batch = batch.stamped(900, 3, 77);
        }
        if choices.once_in(5) {
            let stamp = NOW + choices.below(9_999) as i64;
            batch.max_timestamp = Some(stamp);
            batch = batch.flagged(APPEND_TIME);
            kept.iter_mut().for_each(|record| (record.timestamp, record.append_time) = (stamp, true));
        }
        if choices.once_in(6) {
            batch.base_timestamp = Some(NOW + 86_400_000 * choices.below(9) as i64);
            batch = batch.flagged(DELETE_HORIZON);
        }
        if codec == Codec::Snappy && !kept.is_empty() && choices.once_in(2) {
            batch.payload = Some(bare_snappy(&batch));
        }
        let transaction = producer.map(|number| self.begun(number));
        self.put(batch, kept, transaction);
    }

    /// One record in a batch of its own, as producers without linger.ms write them.
    fn tiny(&mut self, choices: &mut Choices<'_>) {
        let records = vec![record(choices, self.next, Times::Rising, 20)];
        self.put(of(&records, self.next), records, None);
    }

    fn records(&self, choices: &mut Choices<'_>, count: usize) -> Vec<Record> {
        let times = Times::choose(choices);
        let most = if count > 8 { 300 } else { self.kinds.largest };
        (self.next..).take(count).map(|offset| record(choices, offset, times, most)).collect()
    }

    fn begun(&mut self, number: usize) -> usize {
        *self.open[number].get_or_insert_with(|| {
            self.log.transactions.push(Transaction { producer: pid(number), first: self.next, end: None });
            self.log.transactions.len() - 1
        })
    }

    /// The marker that ends a transaction; where none is open the cleaner took all of its records.
    fn marker(&mut self, choices: &mut Choices<'_>) {
        let number = choices.below(PRODUCERS);
        let committed = choices.below(2) == 0;
        self.end(number, committed);
    }

    fn end(&mut self, number: usize, committed: bool) {
        if let Some(open) = self.open[number].take() {
            self.log.transactions[open].end = Some((self.next, committed));
        }
        let mut bytes = control_batch(pid(number), 0, committed, NOW).to_vec();
        // The base offset is not covered by the CRC.
        bytes[..8].copy_from_slice(&self.next.to_be_bytes());
        self.store(bytes.into(), 1, 2, Codec::None, Vec::new(), None);
    }

    /// What the cleaner leaves of a producer's last batch.
    fn empty(&mut self, choices: &mut Choices<'_>) {
        let span = 1 + choices.below(6) as i32;
        let batch = Batch { last_offset_delta: Some(span - 1), ..of(&[], self.next) };
        let batch = match choices.below(3) {
            0 => batch.stamped(900, 3, 77),
            1 => batch.stamped(pid(0), 0, 5).packed(Codec::Lz4),
            // No transaction begins with it, because none of its records is left.
            _ => batch.stamped(pid(1), 0, 5).flagged(TRANSACTIONAL),
        };
        self.put(batch, Vec::new(), None);
    }

    /// A marker whose record the cleaner took out; it ended a transaction of which nothing else is left.
    fn cleaned_marker(&mut self, choices: &mut Choices<'_>) {
        let number = choices.below(PRODUCERS);
        if self.open[number].is_none() {
            let batch = Batch { last_offset_delta: Some(0), ..of(&[], self.next) };
            self.put(batch.stamped(pid(number), 0, -1).flagged(TRANSACTIONAL | CONTROL), Vec::new(), None);
        }
    }

    /// Message sets of the formats before magic 2, perhaps with gaps.
    fn old(&mut self, choices: &mut Choices<'_>) {
        let magic = choices.below(2) as u8;
        let codec = choices.one_of(&[Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4]);
        let count = 1 + choices.below(12);
        let mut records = self.records(choices, count);
        if choices.once_in(4) {
            records.retain(|_| choices.below(3) > 0);
        }
        let stamp = choices.once_in(4).then_some(NOW + 5);
        for set in old::sets(choices, magic, codec, stamp, records) {
            let first = set.records.first().map_or(self.next, |record| record.offset);
            let last = set.records.last().map_or(self.next, |record| record.offset);
            self.next = first;
            self.store(set.bytes, last + 1 - first, magic, codec, set.records, None);
        }
    }

    fn put(&mut self, batch: Batch, records: Vec<Record>, transaction: Option<usize>) {
        let span = i64::from(batch.last_offset_delta.unwrap_or(records.len() as i32 - 1)) + 1;
        self.store(batch.encode(), span, 2, batch.codec, records, transaction);
    }

    fn store(
        &mut self,
        bytes: Bytes,
        span: i64,
        magic: u8,
        codec: Codec,
        records: Vec<Record>,
        transaction: Option<usize>,
    ) {
        let (base, next) = (self.next, self.next + span);
        self.log.pieces.push(Piece { bytes, base, next, magic, codec, records, transaction, corrupt: false });
        self.next = next;
    }
}

/// A batch of records that keep their places behind `base`. One without records is a header alone, whatever its codec.
fn of(records: &[Record], base: i64) -> Batch {
    let placed = records.iter().map(|record| record.clone().at(record.offset - base)).collect();
    let payload = records.is_empty().then(Vec::new);
    Batch { base_offset: base, payload, ..Batch::holed(placed) }
}

fn pid(number: usize) -> i64 {
    40 + number as i64
}

/// The records as one raw block, as clients that are not the Java one write them.
fn bare_snappy(batch: &Batch) -> Vec<u8> {
    let plain = Batch { codec: Codec::None, payload: None, ..batch.clone() }.encode();
    snap::raw::Encoder::new().compress_vec(&plain[HEADER..]).expect("a batch below 4 GiB")
}

/// Changes one bit of the last byte, which belongs to the records.
fn corrupt(piece: &mut Piece) {
    if piece.magic < 2 || piece.bytes.len() > HEADER {
        let mut bytes = piece.bytes.to_vec();
        *bytes.last_mut().expect("a batch") ^= 0x10;
        (piece.bytes, piece.corrupt) = (bytes.into(), true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::choices::Seeded;
    use crate::model::reader::read;

    const ALL: Kinds = Kinds { old: true, corrupt: false, largest: 65_536 };

    fn steps(seed: u64) -> Vec<Vec<u8>> {
        let mut seeded = Seeded(seed);
        (0..40).map(|_| seeded.bytes(STEP)).collect()
    }

    #[test]
    fn what_was_written_is_what_the_log_says_it_holds() {
        for seed in 0..40 {
            let log = generate(&steps(seed), ALL);
            for piece in log.pieces.iter().filter(|piece| piece.magic == 2) {
                let batch = read(&piece.bytes).expect("a sound batch");
                if batch.header.attributes & CONTROL == 0 {
                    assert_eq!(batch.records, piece.records, "seed {seed}, offset {}", piece.base);
                }
            }
            assert!(log.pieces.windows(2).all(|pair| pair[0].next <= pair[1].base));
        }
    }

    #[test]
    fn every_kind_of_thing_happens() {
        let logs: Vec<Log> = (0..40).map(|seed| generate(&steps(seed), ALL)).collect();
        let pieces = || logs.iter().flat_map(|log| &log.pieces);
        let some = |what: &str, found: &dyn Fn(&Piece) -> bool| assert!(pieces().any(found), "{what}");
        for codec in Codec::ALL {
            some(codec.name(), &|piece| piece.codec == codec && piece.magic == 2);
        }
        for magic in [0, 1, 2] {
            some("a format", &|piece| piece.magic == magic);
        }
        let bits = |piece: &Piece| i16::from_be_bytes([piece.bytes[21], piece.bytes[22]]);
        for bit in [APPEND_TIME, TRANSACTIONAL, CONTROL, DELETE_HORIZON] {
            some("an attribute", &|piece| piece.magic == 2 && bits(piece) & bit != 0);
        }
        some("a gap inside", &|piece| {
            !piece.records.is_empty() && (piece.records.len() as i64) < piece.next - piece.base
        });
        some("an empty batch", &|piece| piece.magic == 2 && piece.bytes.len() == HEADER);
        some("a large one", &|piece| piece.bytes.len() > 32_768);
        let ends =
            |end: fn(Option<(i64, bool)>) -> bool| logs.iter().flat_map(|log| &log.transactions).any(|t| end(t.end));
        assert!(
            ends(|end| end.is_none())
                && ends(|end| matches!(end, Some((_, true))))
                && ends(|end| matches!(end, Some((_, false))))
        );
    }
}
