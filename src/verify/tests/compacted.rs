//! Logs that lost records since the copy.

use std::collections::BTreeSet;

use super::*;

fn compacted(log: &mut Log, taken: impl IntoIterator<Item = i64>) {
    let taken: BTreeSet<i64> = taken.into_iter().collect();
    log.losses.compacted = true;
    log.records.retain(|record| !taken.contains(&record.offset));
}

fn pair(count: i64) -> (Log, Log) {
    let source = Log::new(different(count), 8, Codec::Lz4);
    let target = source.copied(8, Codec::Lz4);
    (source, target)
}

#[test]
fn a_source_without_its_oldest_records_explains_what_only_the_target_has() {
    let (mut source, target) = pair(40);
    let extent = claimed(&source);
    source.losses.start = Offset(15);
    let found = compared(&extent, &source, &target);
    assert_eq!(found, Findings { same: 25, explained: 15, ..Findings::default() });
    // With one of the others altered, that alone is said.
    let mut other = target.clone();
    other.records[30].value = None;
    let found = compared(&extent, &source, &other);
    assert_eq!(differences(&found), [(Some(30), Some(START + 30), "value".to_owned())]);
    assert_eq!((found.same, found.explained), (24, 15));
}

#[test]
fn a_source_of_which_nothing_is_left_can_not_be_compared() {
    let (mut source, mut target) = pair(40);
    let extent = claimed(&source);
    source.losses.start = Offset(40);
    assert_eq!(compared(&extent, &source, &target), Findings { explained: 40, ..Findings::default() });
    target.losses.start = Offset(START + 10);
    let found = compared(&extent, &source, &target);
    assert_eq!(found, Findings { explained: 30, unverifiable: 10, ..Findings::default() });
}

#[test]
fn a_target_without_its_oldest_records_explains_what_only_the_source_has() {
    let (source, mut target) = pair(40);
    target.losses.start = Offset(START + 15);
    let found = compared(&claimed(&source), &source, &target);
    assert_eq!(found, Findings { same: 25, explained: 15, ..Findings::default() });
    // The same gap in a log that has no cleaner and starts in front of it is none that can be explained.
    target.losses.start = Offset(START);
    target.records.retain(|record| record.offset >= START + 15);
    let found = compared(&claimed(&source), &source, &target);
    assert_eq!((found.differences(), found.listed[0].what.clone()), (15, What::Missing));
}

#[test]
fn compaction_of_either_side_or_both_is_no_difference() {
    let gone = [3, 4, 5, 11, 17, 25, 26, 27, 28, 29];
    let gone_there = [0, 4, 5, 6, 17, 30, 31].map(|offset| START + offset);
    for (ours, theirs) in [(&gone[..], &[][..]), (&[], &gone_there), (&gone, &gone_there)] {
        let (mut source, mut target) = pair(40);
        let extent = claimed(&source);
        compacted(&mut source, ours.iter().copied());
        compacted(&mut target, theirs.iter().copied());
        let found = compared(&extent, &source, &target);
        let both = ours.iter().filter(|offset| theirs.contains(&(*offset + START))).count();
        let one = ours.len() + theirs.len() - 2 * both;
        assert_eq!(differences(&found), [], "{ours:?} {theirs:?}");
        assert_eq!((found.explained, found.unverifiable), (one as i64, both as i64), "{ours:?} {theirs:?}");
        assert_eq!(found.same, 40 - one as i64 - both as i64, "{ours:?} {theirs:?}");
    }
}

#[test]
fn most_of_a_large_log_may_be_gone() {
    for every in [2, 100, 3_000] {
        let (mut source, target) = pair(10_000);
        let extent = claimed(&source);
        compacted(&mut source, (0..9_998).filter(|offset| offset % every != every - 1));
        let left = source.records.len() as i64;
        let found = compared(&extent, &source, &target);
        assert_eq!(found, Findings { same: left, explained: 10_000 - left, ..Findings::default() }, "{every}");
    }
}

#[test]
fn the_newest_of_equal_records_is_the_one_a_cleaner_leaves() {
    let equal = || {
        let mut records: Vec<Model> = (0..12).map(|offset| Model { offset, ..record(0, "k", "v") }).collect();
        records[11] = record(11, "l", "w");
        records
    };
    let mut source = Log::new(equal(), 4, Codec::None);
    let target = source.copied(4, Codec::None);
    let extent = claimed(&source);
    compacted(&mut source, [0, 1, 2, 5, 6]);
    let found = compared(&extent, &source, &target);
    assert_eq!(found, Findings { same: 7, explained: 5, ..Findings::default() });
}

#[test]
fn differences_between_what_is_left_are_found_all_the_same() {
    let (source, target) = pair(400);
    let extent = claimed(&source);
    // Two of seven keys are gone everywhere but at the end.
    let gone = |offset: i64| offset < 390 && [2, 5].contains(&(offset % 7));
    for (name, change, _) in super::CASES {
        let mut left = source.clone();
        compacted(&mut left, (0..400).filter(|offset| gone(*offset)));
        let mut records = target.records.clone();
        let before = records.len();
        change(&mut records);
        let other = Log::new(renumbered(records), 8, Codec::Lz4);
        let found = compared(&extent, &left, &other);
        let altered = other.records.len() == before;
        // What was changed may be what the source has lost, and then nobody can tell.
        let touched = [0, 5, 20, 21, 39].map(gone);
        assert_eq!(touched, [false, true, false, false, false]);
        let hidden = altered
            && other.records.iter().zip(&target.records).all(|(one, two)| one == two || gone(two.offset - START));
        assert_eq!(found.differences() == 0, hidden, "{name}: {found:?}");
        assert!(found.differences() <= 4, "{name}: {:?}", differences(&found));
    }
}

/// So many batches, each with the same two records.
fn alike(batches: i64) -> Log {
    let records = (0..2 * batches).map(|offset| Model { offset, ..record(offset % 2, "k", "v") });
    Log::new(records.collect(), 2, Codec::Lz4)
}

#[test]
fn batches_of_the_same_bytes_are_not_taken_for_each_other() {
    // The target's cleaner took the first, or the source's did.
    let (mut source, mut target) = (alike(3), alike(3).copied(2, Codec::Lz4));
    let extent = claimed(&source);
    let whole = source.clone();
    compacted(&mut target, [START, START + 1]);
    let found = compared(&extent, &source, &target);
    assert_eq!(found, Findings { same: 4, explained: 2, ..Findings::default() });
    compacted(&mut source, [0, 1]);
    let found = compared(&extent, &source, &whole.copied(2, Codec::Lz4));
    assert_eq!(found, Findings { same: 4, explained: 2, ..Findings::default() });
}

#[test]
fn a_record_too_many_is_found_where_the_source_has_no_room_for_it() {
    for at in [0, 20, 40] {
        let (mut source, mut target) = pair(40);
        source.losses.compacted = true;
        target.records.insert(at, record(0, "foreign", ""));
        let target = Log::new(renumbered(target.records), 8, Codec::Lz4);
        let found = compared(&claim(&source, 41), &source, &target);
        assert_eq!(differences(&found), [(None, Some(START + at as i64), "extra".to_owned())]);
        assert_eq!((found.same, found.explained), (40, 0));
    }
}

#[test]
fn a_source_that_loses_records_between_two_passes_is_counted_again() {
    let (source, target) = pair(40);
    let extent = claimed(&source);
    let happens = |pass, log: &mut Log| match pass {
        0 => compacted(log, [3, 4, 11]),
        1 => compacted(log, [5, 6, 20]),
        _ => {}
    };
    for level in [Level::Digest, Level::Records] {
        let found = compare_while(level, &extent, source.clone(), &target, happens);
        assert_eq!((differences(&found), found.same, found.explained), (vec![], 34, 6));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_right_copy_stays_right_whatever_cleaners_and_retention_take(
        count in 1_i64..300,
        here in prop::collection::btree_set(0_i64..300, 0..200),
        there in prop::collection::btree_set(0_i64..300, 0..200),
        starts in (0_i64..40, 0_i64..40),
        batchings in (any_batching(), any_batching()),
    ) {
        let mut source = Log::new(different(count), batchings.0.0, batchings.0.1);
        let mut target = source.copied(batchings.1.0, batchings.1.1);
        let extent = claimed(&source);
        // A cleaner leaves the last record.
        compacted(&mut source, here.into_iter().filter(|offset| *offset < count - 1));
        compacted(&mut target, there.into_iter().filter(|offset| *offset < count - 1).map(|offset| START + offset));
        source.losses.start = Offset(starts.0);
        target.losses.start = Offset(START + starts.1);
        let found = compared(&extent, &source, &target);
        prop_assert_eq!(differences(&found), []);
        prop_assert_eq!(found.same + found.explained + found.unverifiable, count);
        let left = |log: &Log, from: i64| -> BTreeSet<i64> {
            let left = log.records.iter().filter(|record| record.offset >= log.losses.start.get());
            left.map(|record| record.offset - from).collect()
        };
        let (here, there) = (left(&source, 0), left(&target, START));
        prop_assert_eq!(found.same, here.intersection(&there).count() as i64);
        prop_assert_eq!(found.explained, here.symmetric_difference(&there).count() as i64);
    }
}
