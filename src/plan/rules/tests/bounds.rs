use super::{lane, partition, said};
use crate::config::{Undecided, Ungrouped};
use crate::kafka::{Offset, Span};
use crate::plan::testing::{Scene, example};
use crate::plan::{Action, Reason, WarningCode};

fn group(lane: &crate::plan::LanePlan) -> Option<&str> {
    lane.group.as_ref().map(crate::kafka::GroupId::as_str)
}

fn marks(lane: &crate::plan::LanePlan) -> Vec<(&str, i64)> {
    lane.marks.iter().map(|mark| (mark.group.as_str(), mark.source.get())).collect()
}

#[test]
fn the_smaller_commit_of_two_groups_sets_the_start() {
    let plan = example().plan();
    let test3 = lane(&plan, "test3");
    assert_eq!(test3.span, Span::new(187_800, 264_322));
    assert_eq!(test3.records(), 76_522);
    assert_eq!((test3.reason, test3.action(), group(test3)), (Reason::Unread, Action::Migrate, Some("test123-group")));
    assert_eq!(marks(test3), [("test123-group", 187_800), ("test34-group", 201_000)]);
    assert_eq!(plan.lanes().count(), 1);
    let unread: Vec<_> =
        plan.groups().iter().map(|group| group.commits.iter().map(|commit| commit.unread).sum::<i64>()).collect();
    assert_eq!(unread, [76_522, 63_322]);
}

#[test]
fn a_commit_below_the_log_start_is_raised_and_called_expired() {
    let plan = example().plan();
    let test1 = lane(&plan, "test1");
    assert_eq!(
        (test1.span, test1.committed, test1.earliest),
        (Span::new(5_226, 5_226), Some(Offset(3_713)), Offset(5_226))
    );
    assert_eq!((test1.action(), test1.reason, test1.expired), (Action::Skip, Reason::Expired, 1_513));
    assert_eq!(group(test1), Some("test123-group"));
    assert_eq!(
        said(&plan, WarningCode::Expired),
        ["test1/0: test123-group committed 3,713, but the log starts at 5,226: 1,513 offsets are gone from the source"]
    );

    let some_left = Scene::new().topic("t", &[(10, 20)]).group("g", &[("t", 0, 4)]).plan();
    let kept = lane(&some_left, "t");
    assert_eq!((kept.span, kept.reason, kept.expired), (Span::new(10, 20), Reason::Expired, 6));
    assert_eq!(marks(kept), [("g", 10)]);
}

#[test]
fn what_is_consumed_or_empty_is_skipped_with_its_reason() {
    let plan = example().plan();
    assert_eq!((lane(&plan, "test2").action(), lane(&plan, "test2").reason), (Action::Skip, Reason::Consumed));
    assert_eq!((lane(&plan, "test4").action(), lane(&plan, "test4").reason), (Action::Skip, Reason::Empty));
    assert_eq!(marks(lane(&plan, "test2")), [("test123-group", 1_000)]);
}

#[test]
fn a_partition_without_a_commit_of_one_group_moves_from_its_log_start() {
    let scene = Scene::new()
        .topic("t", &[(10, 90), (10, 90)])
        .group("a", &[("t", 0, 50), ("t", 1, 50)])
        .group("b", &[("t", 0, 60)]);
    let plan = scene.plan();
    assert_eq!(partition(&plan, "t", 0).span, Span::new(50, 90));
    let open = partition(&plan, "t", 1);
    assert_eq!((open.span, open.reason, group(open)), (Span::new(10, 90), Reason::Undecided, None));
    assert_eq!(open.committed, Some(Offset(50)));
    assert_eq!(marks(open), [("a", 50)]);
    assert_eq!(
        said(&plan, WarningCode::Undecided),
        [
            "t/1: b: commits on the topic, but none on this partition: it moves from the log start, so that nothing can be \
          missed"
        ]
    );
}

#[test]
fn a_missing_commit_on_an_empty_partition_decides_nothing() {
    for undecided in [Undecided::Earliest, Undecided::Committed] {
        let mut scene = Scene::new().topic("t", &[(0, 9), (7, 7)]).group("a", &[("t", 0, 5)]);
        scene.undecided = undecided;
        let plan = scene.plan();
        let empty = partition(&plan, "t", 1);
        assert_eq!((empty.action(), empty.reason, empty.span), (Action::Skip, Reason::Empty, Span::new(7, 7)));
        assert_eq!(said(&plan, WarningCode::Undecided), [""; 0]);
    }
}

#[test]
fn a_commit_beyond_the_log_end_is_ahead_and_the_lane_moves_whole() {
    let scene = Scene::new().topic("t", &[(10, 90)]).group("a", &[("t", 0, 500)]).group("b", &[("t", 0, 40)]);
    let plan = scene.plan();
    let moved = lane(&plan, "t");
    assert_eq!((moved.span, moved.reason, group(moved)), (Span::new(10, 90), Reason::Undecided, None));
    assert_eq!((moved.committed, marks(moved)), (Some(Offset(40)), vec![("b", 40)]));
    assert_eq!(said(&plan, WarningCode::Ahead).len(), 1);

    let mut all_ahead = Scene::new().topic("t", &[(0, 0)]).group("a", &[("t", 0, 500)]);
    assert_eq!(lane(&all_ahead.plan(), "t").reason, Reason::Undecided, "of an empty log too");
    all_ahead = Scene::new().topic("t", &[(0, 5)]).group("a", &[("t", 0, 500)]);
    all_ahead.undecided = Undecided::Committed;
    let plan = all_ahead.plan();
    let counts_as_end = lane(&plan, "t");
    assert_eq!((counts_as_end.action(), counts_as_end.reason), (Action::Skip, Reason::Consumed));
    assert_eq!(marks(counts_as_end), []);
    assert_eq!(said(&plan, WarningCode::Ahead).len(), 1);
}

#[test]
fn a_commit_behind_the_last_stable_offset_is_not_ahead() {
    let mut scene = Scene::new().topic("t", &[(0, 100)]).group("a", &[("t", 0, 95)]);
    scene.partition("t", 0).last_stable = Offset(80);
    let plan = scene.plan();
    let held = lane(&plan, "t");
    assert_eq!((held.span, held.reason, held.action()), (Span::new(80, 80), Reason::Consumed, Action::Skip));
    assert_eq!((held.held_back, marks(held)), (20, vec![("a", 80)]));
    assert_eq!(said(&plan, WarningCode::Ahead), [""; 0]);
}

#[test]
fn the_end_is_the_last_stable_offset_and_the_rest_is_held_back() {
    let mut scene = Scene::new().topic("t", &[(0, 100)]).group("a", &[("t", 0, 30)]);
    scene.partition("t", 0).last_stable = Offset(80);
    let plan = scene.plan();
    assert_eq!((lane(&plan, "t").span, lane(&plan, "t").held_back), (Span::new(30, 80), 20));
}

#[test]
fn as_in_the_script_only_submitted_offsets_count_where_that_is_asked_for() {
    let mut scene = Scene::new()
        .topic("t", &[(10, 90), (10, 90)])
        .group("a", &[("t", 0, 50)])
        .group("b", &[("t", 0, 40)])
        .group("c", &[("u", 0, 1)]);
    scene = scene.topic("u", &[(0, 2)]);
    scene.undecided = Undecided::Committed;
    let plan = scene.plan();
    assert_eq!((partition(&plan, "t", 0).span, group(partition(&plan, "t", 0))), (Span::new(40, 90), Some("b")));
    let without = partition(&plan, "t", 1);
    assert_eq!((without.action(), without.reason, without.committed), (Action::Skip, Reason::Undecided, None));

    let mut one_missing = Scene::new().topic("t", &[(0, 9), (0, 9)]).group("a", &[("t", 0, 5), ("t", 1, 6)]);
    one_missing = one_missing.group("b", &[("t", 0, 7)]);
    one_missing.undecided = Undecided::Committed;
    let plan = one_missing.plan();
    assert_eq!((partition(&plan, "t", 1).span, partition(&plan, "t", 1).reason), (Span::new(6, 9), Reason::Unread));
}

#[test]
fn a_topic_without_commits_moves_whole_only_where_that_is_asked_for() {
    let mut scene = example().topic("free", &[(3, 8), (4, 4)]);
    assert!(!scene.plan().topics().contains_key("free"));
    for undecided in [Undecided::Earliest, Undecided::Committed] {
        (scene.ungrouped, scene.undecided) = (Ungrouped::Earliest, undecided);
        let plan = scene.plan();
        let free = lane(&plan, "free");
        assert_eq!((free.span, free.reason, group(free)), (Span::new(3, 8), Reason::Unread, None));
        assert_eq!(partition(&plan, "free", 1).reason, Reason::Empty);
    }
}

#[test]
fn bytes_are_the_spans_share_of_the_log() {
    let mut scene = Scene::new().topic("t", &[(100, 200), (0, 0)]).group("a", &[("t", 0, 175), ("t", 1, 0)]);
    assert_eq!(scene.plan().totals().bytes, None);
    scene.partition("t", 0).bytes = Some(4_000);
    let plan = scene.plan();
    assert_eq!((lane(&plan, "t").bytes, plan.totals().bytes), (Some(1_000), Some(1_000)));
}

#[test]
fn a_negative_commit_is_none() {
    let scene = Scene::new().topic("t", &[(0, 9), (0, 9)]).group("a", &[("t", 0, -5), ("t", 1, 3)]);
    let plan = scene.plan();
    assert_eq!((lane(&plan, "t").reason, lane(&plan, "t").committed), (Reason::Undecided, None));
    assert_eq!(plan.groups()[0].commits.len(), 1);
}
