//! What is made durable, and when.

use super::lane::marker;
use super::*;
use crate::state::{Place, SkipReason, Skipped};

/// What a lane wants next that has one batch in flight, of whose journal `journaled` batches wait, and `more` behind it;
/// it reads `read_ahead` bytes ahead.
fn wanted_behind(journaled: i64, more: i64, read_ahead: usize) -> Option<Action> {
    let mut lane = lane(0, 10);
    fetch(&mut lane);
    fetched(&mut lane, &singles(0..1 + journaled));
    produce(&mut lane);
    fetch(&mut lane);
    lane.read_ahead(read_ahead);
    fetched(&mut lane, &singles(1 + journaled..1 + journaled + more));
    lane.next(NOW)
}

#[test]
fn the_next_journal_is_stored_while_batches_of_the_last_one_wait_if_they_are_the_smaller_part() {
    let plenty = 4 * records(0, 1, OLD).len();
    assert!(matches!(wanted_behind(2, 3, plenty), Some(Action::Store)));
    assert!(wanted_behind(2, 2, plenty).is_none(), "one half waits");
}

#[test]
fn a_journal_is_not_stored_early_for_the_few_bytes_that_wait() {
    let waiting = 4 * records(0, 1, OLD).len();
    assert!(matches!(wanted_behind(1, 3, 4 * waiting - 1), Some(Action::Store)));
    let wanted = wanted_behind(1, 3, 4 * waiting);
    assert!(matches!(wanted, Some(Action::Fetch { .. })), "a quarter of what the lane reads ahead: {wanted:?}");
}

#[test]
fn that_stamps_are_kept_needs_no_new_journal() {
    let mut lane = Lane::new(setup(0, 3));
    fetch(&mut lane);
    fetched(&mut lane, &singles(0..3));
    produce(&mut lane);
    appended(&mut lane, 100);
    lane.on(NOW, Event::Stamps { kept: true });
    assert!(matches!(lane.next(NOW), Some(Action::Produce(_))));
}

#[test]
fn what_was_left_out_is_stored_as_soon_as_the_journal_reaches_behind_it() {
    let mut lane = lane(0, 9);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD)]);
    produce(&mut lane);
    assert_eq!(fetch(&mut lane), Offset(2));
    lane.on(NOW, gone(5));
    assert_eq!(lane.standing().skipped, [], "whoever goes on at 2 meets it again");
    assert_eq!(fetch(&mut lane), Offset(5));
    fetched(&mut lane, &[records(5, 9, OLD)]);
    let lost = Skipped { span: Span::new(2, 5), reason: SkipReason::Lost };
    assert_eq!(lane.standing().skipped, [lost], "whoever goes on at 9 does not");
}

#[test]
fn what_is_lost_now_replaces_what_was_known_of_the_same_offsets_and_nothing_behind_them() {
    let lost = |(start, end)| Skipped { span: Span::new(start, end), reason: SkipReason::Lost };
    let mut setup = setup(0, 9);
    setup.checkpoint.skipped = [(1, 2), (3, 5), (6, 7)].map(lost).to_vec();
    let mut lane = begun(setup);
    fetch(&mut lane);
    lane.on(NOW, gone(3));
    assert_eq!(lane.skipped(), [(0, 3), (3, 5), (6, 7)].map(lost));
}

#[test]
fn marks_behind_records_that_were_left_out_have_the_place_where_the_next_one_would_lie() {
    let mut lane = begun(LaneSetup { marks: [3, 4].map(Offset).to_vec(), ..setup(0, 4) });
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD), marker(2, true), marker(3, true)]);
    produce(&mut lane);
    assert_eq!(lane.checkpoint().places, []);
    lane.on(NOW, Event::Stored);
    appended(&mut lane, 100);
    let places = [3, 4].map(|source| Place { source: Offset(source), target: Offset(102) });
    assert_eq!(lane.checkpoint().places, places);
}
