//! Going on where another process ended.

use super::*;
use crate::batch::batches;
use crate::batch::testing::{altered, consumed, sent};
use crate::copy::LaneProblem;
use crate::state::{Cut, Place, SkipReason, Skipped};

/// What a process left that had written 0..4 and journaled [4, 6), [6, 9) and [9, 10).
fn left() -> LaneSetup {
    let mut setup = setup(0, 20);
    let mut journal = Journal::new(Offset(4));
    for (records, next) in [(2, 6), (3, 9), (1, 10)] {
        assert!(journal.push(Cut { records, next: Offset(next) }));
    }
    setup.checkpoint = Checkpoint { next: Offset(4), records: 4, journal, ..setup.checkpoint };
    setup.resumed = true;
    setup
}

fn resumed(landed: i64, records: i32) -> (Lane, Duration) {
    resumed_from(left(), landed, records)
}

/// The lane goes on where the log ends behind `landed` records, the last `records` of which are one batch.
fn resumed_from(setup: LaneSetup, landed: i64, records: i32) -> (Lane, Duration) {
    let (mut lane, mut now) = (begun(setup), Duration::ZERO);
    asks_for_tail(&mut lane, &mut now);
    lane.on(now, Event::Settled(tail(100 + landed, records)));
    (lane, now)
}

fn values(outgoing: &Outgoing) -> Vec<String> {
    let text = |model: Model| String::from_utf8(model.value.unwrap_or_default()).unwrap();
    consumed(&sent(outgoing)).into_iter().map(text).collect()
}

#[test]
fn a_lane_goes_on_at_the_boundary_where_the_log_ends_and_cuts_as_it_was_journaled() {
    let (mut lane, _) = resumed(6, 2);
    assert_eq!(fetch(&mut lane), Offset(6));
    fetched(&mut lane, &[records(6, 8, OLD), records(8, 20, OLD)]);
    let next = produce(&mut lane);
    assert_eq!((values(&next).join(" "), next.header().base_sequence), ("6 7 8".to_owned(), Sequence(6)));
    appended(&mut lane, 106);
    assert_eq!(values(&produce(&mut lane)), ["9"]);
    appended(&mut lane, 109);
    let rest = produce(&mut lane);
    assert_eq!((rest.source(), rest.records(), rest.header().base_sequence), (Span::new(10, 20), 10, Sequence(10)));
    appended(&mut lane, 110);
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
    assert_eq!(lane.written(), Span::new(100, 120));
}

#[test]
fn every_end_of_a_journaled_batch_is_a_place_to_go_on_from() {
    for (landed, records, from) in [(4, 4, 4), (6, 2, 6), (9, 3, 9), (10, 1, 10)] {
        let (mut lane, _) = resumed(landed, records);
        assert_eq!(fetch(&mut lane), Offset(from), "{landed} landed");
    }
}

#[test]
fn nothing_is_read_before_it_is_known_where_to_go_on() {
    let (mut lane, mut now) = (begun(left()), Duration::ZERO);
    asks_for_tail(&mut lane, &mut now);
    nothing(&mut lane);
}

#[test]
fn a_log_that_ends_elsewhere_is_not_gone_on_with() {
    for end in [105, 107, 111, 103] {
        let (mut lane, mut now) = (begun(left()), Duration::ZERO);
        asks_for_tail(&mut lane, &mut now);
        lane.on(now, Event::Settled(tail(end, 1)));
        let LaneEnd::Failed(problem) = finish(&mut lane) else { panic!("{end}") };
        assert!(matches!(problem, LaneProblem::ForeignTail { .. } | LaneProblem::Truncated { .. }), "{problem}");
        assert_eq!(lane.next_source(), Offset(4));
    }
}

#[test]
fn what_the_source_compacted_meanwhile_is_cut_anew_and_journaled_first() {
    let (mut lane, _) = resumed(6, 2);
    let compacted = [records(6, 7, OLD), records(8, 20, OLD)];
    let now = compacted_away(&mut lane, 6, &compacted);
    lane.on(now, Event::Settled(tail(106, 2)));
    assert!(matches!(lane.next(now), Some(Action::Fetch { from: Offset(6), .. })));
    fetched(&mut lane, &compacted);
    assert_eq!(lane.recut_at(), [Offset(6)]);
    assert_eq!(fetch(&mut lane), Offset(6));
    fetched(&mut lane, &compacted);
    assert!(matches!(lane.next(now), Some(Action::Store)));
    let cuts: Vec<Offset> = lane.checkpoint().journal.cuts().iter().map(|cut| cut.next).collect();
    assert_eq!(cuts, [Offset(7), Offset(20)]);
    lane.on(now, Event::Stored);
    assert_eq!(values(&produce(&mut lane)), ["6"]);
    appended(&mut lane, 106);
    assert_eq!(produce(&mut lane).source(), Span::new(8, 20));
}

/// The source no longer holds what was journaled; the lane waits until no request of the dead process can come any more.
fn compacted_away(lane: &mut Lane, from: i64, left: &[Vec<u8>]) -> Duration {
    assert_eq!(fetch(lane), Offset(from));
    fetched(lane, left);
    assert!(lane.recut_at().is_empty());
    let mut now = NOW;
    asks_for_tail(lane, &mut now);
    assert_eq!(now, Duration::from_secs(15));
    now
}

#[test]
fn what_was_compacted_away_and_lands_late_is_gone_on_behind() {
    let (mut lane, _) = resumed(6, 2);
    let now = compacted_away(&mut lane, 6, &[records(6, 7, OLD), records(8, 20, OLD)]);
    lane.on(now, Event::Settled(tail(109, 3)));
    assert!(matches!(lane.next(now), Some(Action::Fetch { from: Offset(9), .. })));
}

#[test]
fn a_lane_that_stops_while_it_replays_leaves_the_journal_as_it_was() {
    let (mut lane, now) = resumed(6, 2);
    fetch(&mut lane);
    fetched(&mut lane, &[records(6, 9, OLD)]);
    produce(&mut lane);
    appended(&mut lane, 106);
    lane.on(now, Event::Stop);
    assert_eq!(finish(&mut lane), LaneEnd::Stopped);
    let checkpoint = lane.checkpoint();
    assert_eq!((checkpoint.next, checkpoint.records), (Offset(9), 9));
    assert_eq!(checkpoint.journal.cuts(), [Cut { records: 1, next: Offset(10) }]);
}

#[test]
fn a_clean_stop_leaves_nothing_in_doubt() {
    let mut lane = lane(0, 9);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD), records(2, 5, OLD)]);
    produce(&mut lane);
    lane.on(NOW, Event::Stop);
    nothing(&mut lane);
    appended(&mut lane, 100);
    assert_eq!(finish(&mut lane), LaneEnd::Stopped);
    let checkpoint = lane.checkpoint();
    assert_eq!((checkpoint.next, checkpoint.records), (Offset(2), 2));
    assert!(checkpoint.journal.cuts().is_empty());
}

#[test]
fn marks_have_exact_places_and_those_that_were_jumped_over_the_boundary_in_front() {
    let mut setup = left();
    setup.marks = [0, 2, 4, 5, 6, 8, 12, 20].map(Offset).to_vec();
    let (mut lane, mut now) = (begun(setup), Duration::ZERO);
    asks_for_tail(&mut lane, &mut now);
    lane.on(now, Event::Settled(tail(106, 2)));
    fetch(&mut lane);
    fetched(&mut lane, &[records(6, 20, OLD)]);
    for base in [106, 109, 110] {
        produce(&mut lane);
        appended(&mut lane, base);
    }
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
    let places = [(4, 104), (6, 106), (8, 108), (12, 112), (20, 120)];
    let places = places.map(|(source, target)| Place { source: Offset(source), target: Offset(target) });
    assert_eq!(lane.checkpoint().places, places, "2 lies in front of the checkpoint and 5 behind 4: they are counted");
}

#[test]
fn a_request_of_the_dead_process_that_comes_late_is_not_sent_again() {
    let (mut lane, mut now) = resumed(4, 4);
    fetch(&mut lane);
    fetched(&mut lane, &[records(4, 10, OLD)]);
    produce(&mut lane);
    lost(&mut lane, now);
    asks_for_tail(&mut lane, &mut now);
    // Ours, and the late one behind it.
    lane.on(now, Event::Settled(tail(109, 3)));
    fetched(&mut lane, &[records(10, 20, OLD)]); // the answer to what was asked before
    assert_eq!(fetch(&mut lane), Offset(9));
    fetched(&mut lane, &[records(4, 10, OLD), records(10, 20, OLD)]);
    let next = produce(&mut lane);
    assert_eq!((values(&next), next.header().base_sequence), (vec!["9".to_owned()], Sequence(9)));
}

/// The records 10..14 were lost before the last journaled batch was cut.
fn left_behind_what_was_lost() -> LaneSetup {
    let mut setup = left();
    assert!(setup.checkpoint.journal.push(Cut { records: 2, next: Offset(16) }));
    setup.checkpoint.skipped = vec![Skipped { span: Span::new(10, 14), reason: SkipReason::Lost }];
    setup
}

#[test]
fn what_was_lost_in_front_of_a_journaled_batch_stays_told_wherever_the_lane_goes_on() {
    for (landed, records, next) in [(9, 3, 9), (10, 1, 10), (12, 2, 16)] {
        let (mut lane, _) = resumed_from(left_behind_what_was_lost(), landed, records);
        assert_eq!(fetch(&mut lane), Offset(next));
        lane.on(NOW, Event::Stop);
        let told = lane.checkpoint().skipped;
        assert_eq!(told, left_behind_what_was_lost().checkpoint.skipped, "on at {next}");
    }
}

#[test]
fn what_was_lost_stays_told_where_the_lane_goes_back_into_the_middle_of_it() {
    let mut setup = setup(0, 20);
    setup.checkpoint.next = Offset(8);
    setup.checkpoint.skipped = vec![Skipped { span: Span::new(0, 8), reason: SkipReason::Lost }];
    let mut lane = begun(setup);
    assert_eq!(fetch(&mut lane), Offset(8));
    lane.on(NOW, gone(12));
    assert_eq!(fetch(&mut lane), Offset(12));
    fetched(&mut lane, &[records(12, 14, OLD), records(14, 20, OLD)]);
    produce(&mut lane);
    appended(&mut lane, 100);
    produce(&mut lane);
    lost(&mut lane, NOW);
    let mut now = NOW;
    asks_for_tail(&mut lane, &mut now);
    lane.on(now, Event::Settled(tail(100, 1)));
    assert_eq!(fetch(&mut lane), Offset(8), "the target lost all of it");
    lane.on(now, gone(12));
    assert_eq!(lane.checkpoint().skipped, [Skipped { span: Span::new(0, 12), reason: SkipReason::Lost }]);
}

#[test]
fn a_batch_that_was_cut_behind_what_was_lost_is_cut_like_that_again() {
    let (mut lane, _) = resumed_from(left_behind_what_was_lost(), 10, 1);
    assert_eq!(fetch(&mut lane), Offset(10));
    lane.on(NOW, gone(14));
    assert_eq!(fetch(&mut lane), Offset(14));
    fetched(&mut lane, &[records(14, 20, OLD)]);
    assert_eq!((produce(&mut lane).source(), lane.recut_at()), (Span::new(14, 16), &[][..]));

    let (mut lane, _) = resumed_from(left_behind_what_was_lost(), 10, 1);
    fetch(&mut lane);
    lane.on(NOW, gone(15));
    let mut now = NOW;
    asks_for_tail(&mut lane, &mut now);
    assert_eq!(now, Duration::from_secs(15), "a record of the journaled batch is gone: it may still arrive whole");
}

#[test]
fn the_log_is_asked_only_when_every_answer_is_in() {
    let (mut lane, _) = resumed(4, 4);
    fetch(&mut lane);
    fetched(&mut lane, &[records(4, 6, OLD)]);
    produce(&mut lane);
    fetch(&mut lane);
    fetched(&mut lane, &[records(6, 7, OLD), records(8, 20, OLD)]);
    let late = Duration::from_secs(60);
    assert!(lane.next(late).is_none(), "what was cut otherwise has to wait for the log, and the log for an answer");
    appended(&mut lane, 104);
    assert!(matches!(lane.next(late), Some(Action::Settle)));
}

#[test]
fn what_waits_for_the_rest_of_its_batch_counts_as_held() {
    let (mut lane, _) = resumed(6, 2);
    fetch(&mut lane);
    let part = records(6, 8, OLD);
    fetched(&mut lane, std::slice::from_ref(&part));
    assert_eq!(lane.held(), part.len());
}

#[test]
fn what_must_be_rewritten_is_so_where_it_is_cut_as_it_was_journaled_too() {
    let (mut lane, _) = resumed(6, 2);
    fetch(&mut lane);
    let append_time = altered(records(6, 9, OLD), |header| {
        header.attributes = crate::batch::Attributes(0x08);
        header.max_timestamp = OLD + 5;
    });
    fetched(&mut lane, &[append_time]);
    let rewritten = produce(&mut lane);
    assert_eq!(rewritten.source(), Span::new(6, 9));
    assert!(consumed(&sent(&rewritten)).iter().all(|record| record.timestamp == OLD + 5), "as consumers saw them");
}

#[test]
fn a_journaled_batch_of_which_nothing_is_left_at_the_end_may_still_come_and_is_waited_for() {
    let mut setup = left();
    setup.checkpoint.span = Span::new(0, 10);
    let (mut lane, mut now) = resumed_from(setup, 9, 3);
    assert_eq!(fetch(&mut lane), Offset(9));
    let behind = [records(12, 13, OLD)];
    fetched(&mut lane, &behind);
    asks_for_tail(&mut lane, &mut now);
    assert_eq!(now, Duration::from_secs(15));
    lane.on(now, Event::Settled(tail(109, 3)));
    // From now on nothing can come.
    assert!(matches!(lane.next(now), Some(Action::Fetch { from: Offset(9), .. })));
    lane.on(now, Event::Fetched { records: batches(behind.concat().into()), aborted: Vec::new(), crowded: false });
    assert!(matches!(lane.next(now), Some(Action::Finish(LaneEnd::Copied))));
    assert_eq!(lane.recut_at(), [Offset(10)]);
    assert_eq!((lane.next_source(), lane.written()), (Offset(10), Span::new(100, 109)));
}

#[test]
fn what_a_batch_holds_behind_the_spans_end_is_no_part_of_the_last_journaled_batch() {
    let mut setup = left();
    setup.checkpoint.span = Span::new(0, 10);
    let (mut lane, _) = resumed_from(setup, 9, 3);
    assert_eq!(fetch(&mut lane), Offset(9));
    fetched(&mut lane, &[records(9, 20, OLD)]);
    let last = produce(&mut lane);
    assert_eq!((last.source(), values(&last)), (Span::new(9, 10), vec!["9".to_owned()]));
    appended(&mut lane, 109);
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
    assert_eq!((lane.tally().passed.batches, lane.tally().rewritten["boundary"].batches), (0, 1));
}
