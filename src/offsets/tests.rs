//! What becomes of a group's commits, decided from what was seen of both sides.

use std::collections::BTreeMap;

use super::*;
use crate::cluster::Committed;
use crate::kafka::{GroupId, Offset, Span, TopicPartition};
use crate::state::Place;

/// Partition `number` of topic `t`: offsets 100 to 200 were moved to 7 on, 60 records of them were kept, and 150 is known
/// to lie at 40.
fn moved(number: i32) -> Moved {
    Moved {
        at: TopicPartition::new("t", number),
        source: Span::new(100, 200),
        log_start: Offset(100),
        high_watermark: Offset(210),
        target_start: Offset(7),
        records: 60,
        marks: vec![Place { source: Offset(150), target: Offset(40) }],
        skipped: Vec::new(),
        proved: true,
    }
}

fn commits(said: &[(i32, i64)]) -> Vec<Committed> {
    let commit = |&(partition, offset): &(i32, i64)| Committed {
        at: TopicPartition::new("t", partition),
        offset: Offset(offset),
        leader_epoch: None,
        metadata: format!("m{offset}"),
        stable: true,
    };
    said.iter().map(commit).collect()
}

fn seen(source: &[(i32, i64)], target: &[(i32, i64)], members: usize) -> Seen {
    // It read on since the plan was made, if only by a record.
    let planned = source.iter().map(|&(at, offset)| (TopicPartition::new("t", at), Offset(offset - 1))).collect();
    let (group, source, target) = (GroupId::from("g"), Ok(commits(source)), Ok((commits(target), members)));
    Seen { group, planned, source, target }
}

const NONE: Replaces = Replaces { own: false, others: false };
const OWN: Replaces = Replaces { own: true, others: false };
const OTHERS: Replaces = Replaces { own: false, others: true };

fn decided(seen: &Seen, partitions: &[Moved], replaces: Replaces) -> Decided {
    let moved: BTreeMap<_, _> = partitions.iter().map(|moved| (moved.at.clone(), moved.clone())).collect();
    decide(seen, &moved, &Uncounted::new(), replaces)
}

/// Each partition's outcome; a write is told by its offset.
fn ends(decided: &Decided) -> Vec<(i32, String)> {
    let settled = decided.settled.iter().map(|ended| (ended.at.partition.get(), ended.outcome.as_str().to_owned()));
    let writes = decided.writes.iter().map(|write| (write.at.partition.get(), write.target.to_string()));
    let mut all: Vec<(i32, String)> = settled.chain(writes).collect();
    all.sort();
    all
}

/// The outcome of partition 0 alone, for this commit and this one on the target.
fn end(source: i64, target: Option<i64>, replaces: Replaces) -> String {
    let there: Vec<(i32, i64)> = target.into_iter().map(|offset| (0, offset)).collect();
    ends(&decided(&seen(&[(0, source)], &there, 0), &[moved(0)], replaces)).remove(0).1
}

#[test]
fn what_was_committed_on_the_source_goes_to_its_place_with_its_metadata() {
    let seen = seen(&[(0, 150), (1, 3), (2, 205)], &[], 0);
    let decided = decided(&seen, &[moved(0), moved(1), moved(2)], NONE);
    let writes: Vec<_> =
        decided.writes.iter().map(|write| (write.source.get(), write.target.get(), write.metadata.as_str())).collect();
    assert_eq!(writes, [(150, 40, "m150"), (3, 7, "m3"), (205, 67, "m205")]);
    assert!(decided.settled.is_empty());
}

#[test]
fn without_a_usable_commit_nothing_is_committed() {
    let mut seen = seen(&[(0, 150), (1, 212)], &[], 0);
    let of = decided(&seen, &[moved(0), moved(1), moved(2)], NONE);
    assert_eq!(ends(&of), [(0, "40".into()), (1, "none".into()), (2, "none".into())]);
    seen.planned.remove(&TopicPartition::new("t", 1));
    assert_eq!(decided(&seen, &[moved(0), moved(1), moved(2)], NONE), of, "nobody knows where it comes from");
    // It was ahead and was put right: at the log's end it is not ahead.
    let mut seen = self::seen(&[(0, 210)], &[], 0);
    seen.planned.insert(TopicPartition::new("t", 0), Offset(999));
    assert_eq!(ends(&decided(&seen, &[moved(0)], NONE)), [(0, "67".into())]);
    assert_eq!(of.settled[0].why.as_deref(), Some("it lies beyond the source's log end, 210"));
}

/// With producers and consumers that go on while the run copies up to the end of its plan.
#[test]
fn a_group_that_has_gone_on_beyond_the_survey_goes_on_at_the_end() {
    let seen = seen(&[(0, 211)], &[], 0);
    assert_eq!(ends(&decided(&seen, &[moved(0)], NONE)), [(0, "67".into())]);
}

#[test]
fn only_topics_that_the_group_reads_are_told_of() {
    let other = Moved { at: TopicPartition::new("u", 0), ..moved(0) };
    assert_eq!(ends(&decided(&seen(&[(0, 150)], &[], 0), &[moved(0), other], NONE)), [(0, "40".into())]);
}

#[test]
fn another_commit_on_the_target_stays_unless_it_may_be_replaced_or_an_extension_goes_on_from_it() {
    assert_eq!(end(150, Some(40), NONE), "committed", "it is there already");
    for other in [0, 6, 68, 1_000] {
        let ends = [NONE, OWN, OTHERS].map(|replaces| end(150, Some(other), replaces));
        assert_eq!(ends, ["kept", "kept", "40"], "{other} is not of this migration");
    }
    for within in [7, 39] {
        let ends = [NONE, OWN, OTHERS].map(|replaces| end(150, Some(within), replaces));
        assert_eq!(ends, ["kept", "40", "40"], "{within} may be where a run before left it");
    }
    for gone_on in [41, 67] {
        let ends = [NONE, OWN, OTHERS].map(|replaces| end(150, Some(gone_on), replaces));
        assert_eq!(ends, ["kept", "kept", "40"], "from {gone_on} only if the operator wants it so");
        assert_eq!(end(150, Some(gone_on), Replaces { own: true, others: true }), "kept", "an extension: never back");
    }
}

#[test]
fn a_group_with_members_is_active_in_all_its_partitions() {
    let seen = seen(&[(0, 150), (1, 200), (2, 999)], &[(1, 67)], 2);
    let decided = decided(&seen, &[moved(0), moved(1), moved(2)], NONE);
    assert_eq!(ends(&decided), [(0, "active".into()), (1, "active".into()), (2, "none".into())]);
    assert_eq!(decided.settled[0].why.as_deref(), Some("the group has 2 members on the target"));
    assert_eq!(decided.settled[0].target, Some(Offset(40)));
}

/// Its consumers work on the target since an earlier run: the migration, run again, has nothing to complain about.
#[test]
fn a_group_that_has_gone_on_from_its_offsets_is_not_called_active() {
    let seen = seen(&[(0, 150), (1, 200)], &[(0, 44), (1, 67)], 2);
    assert_eq!(ends(&decided(&seen, &[moved(0), moved(1)], NONE)), [(0, "kept".into()), (1, "committed".into())]);
}

#[test]
fn a_partition_that_is_not_copied_and_verified_holds_the_whole_group_back() {
    let unproved = Moved { proved: false, ..moved(1) };
    let seen = seen(&[(0, 150), (1, 150), (2, 200), (3, 200)], &[(2, 67), (3, 4)], 0);
    let of = decided(&seen, &[moved(0), unproved.clone(), moved(2), moved(3)], NONE);
    let expected = [(0, "failed"), (1, "failed"), (2, "committed"), (3, "kept")];
    assert_eq!(ends(&of), expected.map(|(partition, end)| (partition, end.to_owned())));
    assert_eq!(of.settled[0].why.as_deref(), Some("not without t/1: not copied and verified"));
    // A commit that means nothing needs no proof.
    let seen = self::seen(&[(0, 150)], &[], 0);
    assert_eq!(ends(&decided(&seen, &[moved(0), unproved], NONE)), [(0, "40".into()), (1, "none".into())]);
}

#[test]
fn a_place_that_can_not_be_computed_holds_the_whole_group_back() {
    let back = Moved { log_start: Offset(50), ..moved(2) };
    let moved: BTreeMap<_, _> = [moved(0), moved(1), back].into_iter().map(|moved| (moved.at.clone(), moved)).collect();
    let gone = Uncounted::from([((TopicPartition::new("t", 1), Offset(170)), "gone".to_owned())]);
    let decided = decide(&seen(&[(0, 150), (1, 170), (2, 60)], &[], 0), &moved, &gone, NONE);
    assert_eq!(ends(&decided), [(0, "failed".into()), (1, "uncovered".into()), (2, "uncovered".into())]);
    let why: Vec<_> = decided.settled.iter().map(|ended| ended.why.as_deref().unwrap_or_default()).collect();
    assert_eq!(
        why,
        ["not without t/1: gone", "gone", "the group went back: what was moved begins at source offset 100"]
    );
}

#[test]
fn what_can_not_be_read_fails_the_group() {
    let unread = Seen { source: Err("refused".to_owned()), ..seen(&[(0, 150)], &[], 0) };
    assert_eq!(ends(&decided(&unread, &[moved(0), moved(1)], NONE)), [(0, "failed".into()), (1, "failed".into())]);
    let unread = Seen { target: Err("refused".to_owned()), ..seen(&[(0, 150)], &[], 0) };
    let decided = decided(&unread, &[moved(0)], OTHERS);
    assert_eq!((ends(&decided), decided.settled[0].source), (vec![(0, "failed".into())], Some(Offset(150))));
}

#[test]
fn the_problem_of_many_refusals_is_the_first_one() {
    let seen = seen(&[(0, 150), (1, 200)], &[], 1);
    let decided = decided(&seen, &[moved(0), moved(1)], NONE);
    assert_eq!(
        problem(&decided.settled).as_deref(),
        Some("group g, t/0: active (the group has a member on the target) (and 1 more commits)")
    );
    assert_eq!(problem(&[]), None);
}
