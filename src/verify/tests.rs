//! Comparisons of logs that are made by hand, without any cluster.

use proptest::prelude::*;

use super::comparison::{Comparison, Next, Passed};
use super::extent::Extent;
use super::findings::{Findings, Mismatch, What};
use super::level::Level;
use super::sequence::{Losses, Part};
use crate::batch::Codec;
use crate::batch::testing::{Model, altered, batch, raw};
use crate::batch::{Attributes, Entry};
use crate::kafka::{Offset, Side, Span, TopicPartition};

mod compacted;

/// A log: records at their offsets, so many in a batch.
#[derive(Clone, Debug)]
struct Log {
    records: Vec<Model>,
    batch: usize,
    codec: Codec,
    losses: Losses,
    append_time: bool,
}

/// Where the copy began to write.
const START: i64 = 1_000;

fn record(offset: i64, key: &str, value: &str) -> Model {
    let bytes = |text: &str| Some(text.as_bytes().to_vec());
    let headers = vec![(b"a".to_vec(), bytes("1")), (b"b".to_vec(), None)];
    Model { offset, timestamp: 1_700_000_000_000 + offset, key: bytes(key), value: bytes(value), headers }
}

/// Records that are all different, at consecutive offsets.
fn different(count: i64) -> Vec<Model> {
    (0..count).map(|offset| record(offset, &format!("key-{}", offset % 7), &format!("value-{offset}"))).collect()
}

fn intact(end: i64) -> Losses {
    Losses { compacted: false, start: Offset(0), end: Offset(end) }
}

impl Log {
    fn new(records: Vec<Model>, batch: usize, codec: Codec) -> Self {
        let end = records.last().map_or(0, |record| record.offset + 1);
        Self { records, batch, codec, losses: intact(end), append_time: false }
    }

    /// What a copy makes of this one.
    fn copied(&self, batch: usize, codec: Codec) -> Self {
        let records = (START..).zip(&self.records).map(|(offset, record)| Model { offset, ..record.clone() });
        Self::new(records.collect(), batch, codec)
    }

    fn batch_of(&self, records: &[Model]) -> Part {
        let base = records.first().map_or(0, |record| record.offset);
        let deltas: Vec<Model> =
            records.iter().map(|record| Model { offset: record.offset - base, ..record.clone() }).collect();
        let bytes = altered(batch(&deltas, base, self.codec), |header| {
            if self.append_time {
                header.attributes = Attributes(header.attributes.0 | 0x08);
                header.max_timestamp = 1_800_000_000_000;
            }
        });
        Part::Entry(Entry::Batch(raw(&bytes)))
    }

    /// What lies in `span` and is still there, batch by batch.
    fn parts(&self, span: Span) -> std::vec::IntoIter<Part> {
        let left: Vec<Model> = self
            .records
            .iter()
            .filter(|record| span.contains(Offset(record.offset)) && record.offset >= self.losses.start.get())
            .cloned()
            .collect();
        left.chunks(self.batch).map(|records| self.batch_of(records)).collect::<Vec<_>>().into_iter()
    }
}

/// What a copy of the source's whole log claims, which wrote `records` records.
fn claim(source: &Log, records: i64) -> Extent {
    Extent {
        at: TopicPartition::new("orders", 0),
        source: Span { start: Offset(0), end: source.losses.end },
        target: Span::new(START, START + records),
        records,
        skipped: Vec::new(),
        source_id: None,
        target_id: None,
    }
}

/// As many passes as it takes, with one batch at a time read of the side that is asked for.
fn compare(level: Level, extent: &Extent, source: &Log, target: &Log) -> Findings {
    compare_while(level, extent, source.clone(), target, |_, _| {})
}

/// The same, while something happens to the source in front of each pass.
fn compare_while(
    level: Level,
    extent: &Extent,
    mut source: Log,
    target: &Log,
    happens: impl Fn(usize, &mut Log),
) -> Findings {
    let mut census = None;
    for pass in 0..3 {
        happens(pass, &mut source);
        let mut comparison = Comparison::new(extent, level, [source.losses, target.losses], census);
        let (mut from_source, mut from_target) = (source.parts(extent.source), target.parts(extent.target));
        while let Next::Read(side) = comparison.advance().expect("sound batches") {
            assert!(comparison.is_hungry(side), "{side} is asked for more than it has");
            let part = match side {
                Side::Source => from_source.next(),
                Side::Target => from_target.next(),
            };
            match part {
                Some(part) => comparison.side(side).push([part]),
                None => comparison.side(side).end(),
            }
        }
        match comparison.finish() {
            Passed::Compared(found) => return found,
            Passed::Counted(counted) => census = Some(counted),
        }
    }
    panic!("the source does not change");
}

/// What both levels find, which must be the same but for how they found it.
fn compared(extent: &Extent, source: &Log, target: &Log) -> Findings {
    let records = compare(Level::Records, extent, source, target);
    let digest = compare(Level::Digest, extent, source, target);
    assert_eq!(records.same_batches, 0);
    // Behind a batch that was not unpacked nobody knows its last record.
    let blurred = |found: &Findings| {
        let listed = found.listed.iter().map(|mismatch| match mismatch.what {
            What::Doubled => Mismatch { what: What::Extra, ..mismatch.clone() },
            _ => mismatch.clone(),
        });
        Findings { same_batches: 0, listed: listed.collect(), ..found.clone() }
    };
    assert_eq!(blurred(&digest), blurred(&records));
    records
}

fn differences(found: &Findings) -> Vec<(Option<i64>, Option<i64>, String)> {
    let plain = |offset: Option<Offset>| offset.map(Offset::get);
    let listed = found.listed.iter();
    listed.map(|mismatch| (plain(mismatch.source), plain(mismatch.target), mismatch.what.to_string())).collect()
}

fn claimed(source: &Log) -> Extent {
    claim(source, source.records.len() as i64)
}

#[test]
fn the_same_records_are_the_same_however_they_lie_in_batches() {
    let source = Log::new(different(60), 10, Codec::Lz4);
    let mut gaps = source.clone();
    gaps.records.iter_mut().for_each(|record| record.offset *= 3);
    gaps.losses = Losses { compacted: true, ..intact(180) };
    for (source, batch, codec) in [
        (&source, 10, Codec::Lz4),
        (&source, 7, Codec::Zstd),
        (&source, 60, Codec::None),
        (&source, 1, Codec::Lz4),
        (&gaps, 10, Codec::Lz4),
    ] {
        let found = compared(&claimed(source), source, &source.copied(batch, codec));
        let recompressed = codec != source.codec;
        assert_eq!(found, Findings { same: 60, recompressed, ..Findings::default() });
    }
}

#[test]
fn batches_that_passed_are_compared_without_unpacking_them() {
    let source = Log::new(different(60), 10, Codec::Gzip);
    let target = source.copied(10, Codec::Gzip);
    let found = compare(Level::Digest, &claimed(&source), &source, &target);
    assert_eq!((found.same, found.same_batches), (60, 6));
    // One that was altered ends that for itself alone.
    let mut other = target.clone();
    other.records[35].value = Some(b"other".to_vec());
    let found = compare(Level::Digest, &claimed(&source), &source, &other);
    assert_eq!(differences(&found), [(Some(35), Some(START + 35), "value".to_owned())]);
    assert_eq!((found.same, found.same_batches), (59, 3), "behind a difference records are looked at");
}

#[test]
fn a_batch_whose_times_have_all_moved_is_found_although_its_bytes_are_the_same() {
    let source = Log::new(different(30), 10, Codec::Lz4);
    let mut target = source.copied(10, Codec::Lz4);
    target.records[10..20].iter_mut().for_each(|record| record.timestamp += 5);
    let found = compared(&claimed(&source), &source, &target);
    assert_eq!((found.differences(), found.same), (10, 20));
    assert_eq!(found.listed[0].what, What::Altered(vec!["timestamp"]));
}

/// A change of the target's log, and what must be said about it.
type Case = (&'static str, fn(&mut Vec<Model>), &'static [(Option<i64>, Option<i64>, &'static str)]);

const CASES: [Case; 13] = [
    ("value", |log| log[20].value = Some(b"other".to_vec()), &[(Some(20), Some(1_020), "value")]),
    ("null value", |log| log[20].value = None, &[(Some(20), Some(1_020), "value")]),
    ("key", |log| log[0].key = None, &[(Some(0), Some(1_000), "key")]),
    ("header order", |log| log[39].headers.reverse(), &[(Some(39), Some(1_039), "headers")]),
    ("header value", |log| log[39].headers[1].1 = Some(Vec::new()), &[(Some(39), Some(1_039), "headers")]),
    ("header gone", |log| drop(log[39].headers.pop()), &[(Some(39), Some(1_039), "headers")]),
    ("timestamp", |log| log[5].timestamp += 1, &[(Some(5), Some(1_005), "timestamp")]),
    ("key and timestamp", |log| (log[5].timestamp, log[5].key) = (7, None), &[(Some(5), Some(1_005), "key,timestamp")]),
    ("first lost", |log| drop(log.remove(0)), &[(Some(0), Some(1_000), "missing")]),
    ("one lost", |log| drop(log.remove(20)), &[(Some(20), Some(1_020), "missing")]),
    ("last lost", |log| drop(log.pop()), &[(Some(39), Some(1_039), "missing")]),
    ("doubled", |log| log.insert(20, log[19].clone()), &[(None, Some(1_020), "doubled")]),
    ("swapped", |log| log.swap(20, 21), &[(Some(20), Some(1_020), "order"), (Some(21), Some(1_021), "order")]),
];

fn renumbered(mut records: Vec<Model>) -> Vec<Model> {
    (START..).zip(&mut records).for_each(|(offset, record)| record.offset = offset);
    records
}

#[test]
fn every_kind_of_difference_is_found_where_it_is() {
    let source = Log::new(different(40), 8, Codec::Snappy);
    for (name, change, expected) in CASES {
        let mut records = source.copied(8, Codec::Snappy).records;
        change(&mut records);
        let target = Log::new(renumbered(records), 8, Codec::Snappy);
        // As many as the target has: the claim is of what is there, and the content must tell.
        let found = compared(&claim(&source, target.records.len() as i64), &source, &target);
        let expected: Vec<_> =
            expected.iter().map(|(source, target, what)| (*source, *target, (*what).to_owned())).collect();
        assert_eq!(differences(&found), expected, "{name}");
        let altered = expected.iter().filter(|(source, ..)| source.is_some()).count() as i64;
        assert_eq!((found.same, found.explained, found.unverifiable), (40 - altered, 0, 0), "{name}");
    }
}

#[test]
fn a_log_that_is_cut_off_lacks_its_last_records() {
    let source = Log::new(different(40), 8, Codec::Snappy);
    let mut target = source.copied(8, Codec::Snappy);
    target.records.truncate(38);
    target.losses.end = Offset(START + 38);
    let found = compared(&claimed(&source), &source, &target);
    let missing = |offset| (Some(offset), Some(START + offset), "missing".to_owned());
    assert_eq!(differences(&found), [missing(38), missing(39)]);
    // No cleaner takes the end of a log.
    target.losses.compacted = true;
    assert_eq!(compared(&claimed(&source), &source, &target), found);
}

#[test]
fn many_differences_are_counted_and_the_first_listed() {
    let source = Log::new(different(5_000), 100, Codec::None);
    let mut target = source.copied(100, Codec::None);
    target.records.iter_mut().for_each(|record| record.value = None);
    let found = compared(&claimed(&source), &source, &target);
    assert_eq!((found.listed.len(), found.more, found.differences()), (100, 4_900, 5_000));
    assert_eq!(found.listed[99].source, Some(Offset(99)));
}

#[test]
fn times_that_the_target_sets_itself_are_not_compared_and_the_source_s_are() {
    let source = Log::new(different(20), 5, Codec::Lz4);
    let stamped = Log { append_time: true, ..source.copied(5, Codec::Lz4) };
    let found = compared(&claimed(&source), &source, &stamped);
    assert_eq!(found, Findings { same: 20, own_time: true, ..Findings::default() });
    // What the source's brokers set is what its consumers saw, and must have arrived.
    let from = Log { append_time: true, ..source.clone() };
    let found = compared(&claimed(&from), &from, &source.copied(5, Codec::Lz4));
    assert_eq!((found.differences(), found.listed[0].what.clone()), (20, What::Altered(vec!["timestamp"])));
    let mut arrived = source.copied(5, Codec::Lz4);
    arrived.records.iter_mut().for_each(|record| record.timestamp = 1_800_000_000_000);
    assert_eq!(compared(&claimed(&from), &from, &arrived), Findings { same: 20, ..Findings::default() });
}

#[test]
fn what_was_left_out_on_purpose_is_not_missing() {
    let mut source = Log::new(different(40), 8, Codec::None);
    let skipped = Span::new(16, 24);
    let mut target = source.clone();
    target.records.retain(|record| !skipped.contains(Offset(record.offset)));
    let target = target.copied(8, Codec::None);
    source.records.retain(|record| !skipped.contains(Offset(record.offset)));
    let extent = Extent { skipped: vec![skipped], ..claim(&source, 32) };
    assert_eq!(compared(&extent, &source, &target), Findings { same: 32, ..Findings::default() });
}

/// Any record; few enough of them for some to occur more than once.
fn any_record() -> impl Strategy<Value = Model> {
    (0_u8..4, 0_u8..4, 0_i64..3, 0_usize..3).prop_map(|(key, value, timestamp, headers)| Model {
        offset: 0,
        timestamp,
        key: (key > 0).then(|| vec![key]),
        value: (value > 0).then(|| vec![value; 20]),
        headers: vec![(vec![value], Some(vec![key])); headers],
    })
}

fn any_log() -> impl Strategy<Value = Vec<Model>> {
    prop::collection::vec(any_record(), 1..200)
        .prop_map(|records| (0..).zip(records).map(|(offset, record)| Model { offset, ..record }).collect())
}

fn any_batching() -> impl Strategy<Value = (usize, Codec)> {
    (1_usize..40, prop::sample::select(vec![Codec::None, Codec::Snappy, Codec::Lz4]))
}

/// One change to a log; the log may come out as it was where equal records change places.
fn mutated(mut log: Vec<Model>, kind: usize, at: usize, other: usize, new: Model) -> Vec<Model> {
    match kind {
        0 => drop(log.remove(at)),
        1 => log.insert(at, log[at].clone()),
        2 => log.swap(at, other),
        3 => log.insert(at, new),
        4 => log[at].key = new.key,
        5 => log[at].value = new.value,
        6 => log[at].headers = new.headers,
        _ => log[at].timestamp = new.timestamp,
    }
    renumbered(log)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_copy_is_right_and_any_single_change_of_it_is_found(
        records in any_log(),
        gaps in prop::collection::vec(prop_oneof![3 => Just(0_i64), 1 => 1_i64..50], 200),
        compacted: bool,
        (ours, theirs) in (any_batching(), any_batching()),
        kind in 0_usize..8,
        (at, other) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        new in any_record(),
    ) {
        let mut moved = 0;
        let records: Vec<Model> = records.into_iter().zip(gaps).map(|(record, gap)| {
            moved += gap;
            Model { offset: record.offset + moved, ..record }
        }).collect();
        let mut source = Log::new(records, ours.0, ours.1);
        source.losses.compacted = compacted;
        let target = source.copied(theirs.0, theirs.1);
        let count = target.records.len();
        let found = compared(&claimed(&source), &source, &target);
        prop_assert_eq!((found.differences(), found.same), (0, count as i64));

        let records = mutated(target.records.clone(), kind, at.index(count), other.index(count), new);
        let changed = Log::new(records, theirs.0, theirs.1);
        let same = changed.records == target.records;
        for claimed in [count, changed.records.len()] {
            // Where a cleaner works and the copy itself claims one record more, the source may have lost it.
            if compacted && claimed > count {
                continue;
            }
            let inside = changed.records.get(..claimed.min(changed.records.len()));
            let same = same || inside == Some(&target.records[..]);
            let found = compared(&claim(&source, claimed as i64), &source, &changed);
            prop_assert_eq!(found.differences() == 0, same, "{:?}", found);
        }
    }
}
