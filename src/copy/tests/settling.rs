//! What is done where an answer leaves something open.

use super::*;
use crate::batch::testing::{consumed, sent};
use crate::copy::{LaneProblem, Truncation};

/// A lane over the records 0..10, each a batch, of which the first is written and three more are in flight.
fn in_flight() -> Lane {
    let mut lane = lane(0, 10);
    fetch(&mut lane);
    fetched(&mut lane, &singles(0..10));
    produce(&mut lane);
    appended(&mut lane, 100);
    (0..3).for_each(|_| drop(produce(&mut lane)));
    lane
}

fn values(outgoing: &Outgoing) -> Vec<String> {
    let text = |model: Model| String::from_utf8(model.value.unwrap_or_default()).unwrap();
    consumed(&sent(outgoing)).into_iter().map(text).collect()
}

#[test]
fn after_an_unclear_answer_nothing_is_sent_before_the_log_has_said_what_it_holds() {
    let (mut lane, mut now) = (in_flight(), NOW);
    unclear(&mut lane, now);
    assert!(act(&mut lane, now).is_none(), "two answers are still owed");
    appended(&mut lane, 102);
    appended(&mut lane, 103);
    asks_for_tail(&mut lane, &mut now);
    assert!(act(&mut lane, now).is_none());
    lane.on(now, Event::Settled(tail(104, 1)));
    let next = produce(&mut lane);
    assert_eq!((values(&next), next.header().base_sequence), (vec!["4".to_owned()], Sequence(4)));
    nothing(&mut lane);
    assert_eq!(lane.written(), Span::new(100, 104));
}

#[test]
fn what_did_not_land_is_sent_again_with_the_same_stamps_one_batch_first() {
    let (mut lane, mut now) = (in_flight(), NOW);
    (0..3).for_each(|_| lost(&mut lane, now));
    asks_for_tail(&mut lane, &mut now);
    lane.on(now, Event::Settled(tail(102, 1)));
    let again = produce(&mut lane);
    assert_eq!((values(&again), again.header().base_sequence), (vec!["2".to_owned()], Sequence(2)));
    nothing(&mut lane);
    appended(&mut lane, 102);
    let next = [produce(&mut lane), produce(&mut lane), produce(&mut lane)].map(|batch| batch.header().base_sequence);
    assert_eq!(next, [3, 4, 5].map(Sequence));
}

#[test]
fn what_is_not_replicated_is_neither_there_nor_missing() {
    let (mut lane, mut now) = (in_flight(), NOW);
    (0..3).for_each(|_| unclear(&mut lane, now));
    asks_for_tail(&mut lane, &mut now);
    lane.on(now, Event::Settled(Tail { high_watermark: Offset(101), ..tail(104, 1) }));
    let before = now;
    asks_for_tail(&mut lane, &mut now);
    assert!(now > before, "it waits in between");
    lane.on(now, Event::Settled(tail(104, 1)));
    assert_eq!(produce(&mut lane).header().base_sequence, Sequence(4));
}

#[test]
fn a_target_that_never_gets_clear_ends_the_lane_and_names_everything_in_doubt() {
    let (mut lane, mut now) = (in_flight(), NOW);
    (0..3).for_each(|_| unclear(&mut lane, now));
    let problem = loop {
        match act(&mut lane, now) {
            Some(Action::Wait(time)) => now = time,
            Some(Action::Settle) => lane.on(now, Event::Unsettled { cause: "no leader".to_owned() }),
            Some(Action::Finish(LaneEnd::Failed(problem))) => break problem,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        problem.to_string(),
        "no clear answer for source offsets [1, 4): no leader. They may or may not be on the target and were not sent again"
    );
    assert!(now > Duration::from_secs(10) && now < Duration::from_secs(120), "{now:?}");
    assert_eq!((lane.written(), lane.next_source()), (Span::new(100, 101), Offset(1)));
}

#[test]
fn records_that_somebody_else_wrote_stop_the_lane() {
    let (mut lane, mut now) = (in_flight(), NOW);
    (0..3).for_each(|_| unclear(&mut lane, now));
    asks_for_tail(&mut lane, &mut now);
    let mut theirs = tail(103, 1);
    theirs.last = theirs.last.map(|last| LastBatch { stamp: Stamp { producer: ProducerId(8), ..last.stamp }, ..last });
    lane.on(now, Event::Settled(theirs));
    let LaneEnd::Failed(problem) = finish(&mut lane) else { panic!("a stranger writes there") };
    assert!(matches!(problem, LaneProblem::ForeignTail { expected: Offset(101), end: Offset(103) }), "{problem}");
}

#[test]
fn a_target_that_lost_acknowledged_records_gets_them_again_as_they_were_cut() {
    let (mut lane, mut now) = (in_flight(), NOW);
    appended(&mut lane, 101);
    (0..2).for_each(|_| lost(&mut lane, now));
    asks_for_tail(&mut lane, &mut now);
    lane.on(now, Event::Settled(tail(100, 1)));
    assert_eq!(lane.truncated(), [Truncation { expected: Offset(102), end: Offset(100) }]);
    let from = match act(&mut lane, now) {
        Some(Action::Fetch { from, .. }) => from,
        other => panic!("it reads again, not {other:?}"),
    };
    assert_eq!(from, Offset(0));
    // The source's answer may be cut otherwise now; what was sent before has its extent all the same.
    fetched(&mut lane, &[records(0, 10, OLD)]);
    let again = produce(&mut lane);
    assert_eq!((values(&again), again.header().base_sequence), (vec!["0".to_owned()], Sequence(0)));
    appended(&mut lane, 100);
    assert_eq!(values(&produce(&mut lane)), ["1"]);
}

#[test]
fn marks_behind_what_the_target_lost_have_no_place_until_it_is_written_again() {
    let (mut lane, mut now) = (begun(LaneSetup { marks: [1, 2].map(Offset).to_vec(), ..setup(0, 4) }), NOW);
    fetch(&mut lane);
    fetched(&mut lane, &singles(0..4));
    produce(&mut lane);
    appended(&mut lane, 100);
    produce(&mut lane);
    appended(&mut lane, 101);
    produce(&mut lane);
    let places = |lane: &Lane| lane.standing().places.iter().map(|place| place.source.get()).collect::<Vec<_>>();
    assert_eq!(places(&lane), [1, 2]);
    lost(&mut lane, now);
    asks_for_tail(&mut lane, &mut now);
    lane.on(now, Event::Settled(tail(101, 1)));
    assert_eq!(places(&lane), [1]);
    assert!(matches!(act(&mut lane, now), Some(Action::Fetch { from: Offset(1), .. })));
    fetched(&mut lane, &[records(1, 2, OLD)]);
    produce(&mut lane);
    appended(&mut lane, 101);
    assert_eq!(places(&lane), [1, 2]);
}

#[test]
fn a_producer_that_the_target_forgot_goes_on_with_its_next_epoch_once_that_is_durable() {
    let mut lane = lane(0, 4);
    let mut now = NOW;
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD), records(2, 4, OLD)]);
    produce(&mut lane);
    appended(&mut lane, 100);
    produce(&mut lane);
    refused(&mut lane, ErrorCode::UNKNOWN_PRODUCER_ID);
    asks_for_tail(&mut lane, &mut now);
    lane.on(now, Event::Settled(tail(102, 2)));
    assert!(matches!(lane.next(now), Some(Action::Store)));
    assert!(lane.next(now).is_none(), "nothing goes before it is durable");
    let checkpoint = lane.checkpoint();
    assert_eq!(checkpoint.writer, Some(Writer { epoch: ProducerEpoch(1), origin: 2, ..WRITER }));
    lane.on(now, Event::Stored);
    let next = produce(&mut lane);
    assert_eq!((next.header().epoch, next.header().base_sequence), (ProducerEpoch(1), Sequence(0)));
    appended(&mut lane, 102);
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
}

#[test]
fn a_checkpoint_that_was_on_its_way_does_not_make_the_next_epoch_durable() {
    let (mut lane, mut now) = (in_flight(), NOW);
    lane.checkpoint();
    (0..3).for_each(|_| refused(&mut lane, ErrorCode::UNKNOWN_PRODUCER_ID));
    asks_for_tail(&mut lane, &mut now);
    lane.on(now, Event::Settled(tail(101, 1)));
    lane.on(now, Event::Stored);
    assert!(matches!(lane.next(now), Some(Action::Store)));
    assert!(lane.next(now).is_none());
    assert_eq!(lane.checkpoint().writer, Some(Writer { epoch: ProducerEpoch(1), origin: 1, ..WRITER }));
    lane.on(now, Event::Stored);
    assert_eq!(produce(&mut lane).header().epoch, ProducerEpoch(1));
}

/// Every answer is unclear, and the log ends behind as many records as `landed` says of those that were sent.
fn always_unclear(records_in_all: i64, landed: fn(i64) -> i64) -> LaneEnd {
    let (mut lane, mut now, mut sent) = (lane(0, records_in_all), NOW, 0);
    fetch(&mut lane);
    fetched(&mut lane, &singles(0..records_in_all));
    for _ in 0..1_000 {
        match act(&mut lane, now) {
            Some(Action::Produce(batch)) => {
                sent = batch.source().end.get();
                unclear(&mut lane, now);
            }
            Some(Action::Wait(time)) => now = time,
            Some(Action::Settle) => lane.on(now, Event::Settled(tail(100 + landed(sent), 1))),
            Some(Action::Finish(end)) => return end,
            other => panic!("{other:?}"),
        }
    }
    panic!("it never ends");
}

#[test]
fn a_lane_bears_with_any_number_of_unclear_answers_as_long_as_something_lands() {
    assert_eq!(always_unclear(40, |sent| sent), LaneEnd::Copied);
}

#[test]
fn a_batch_that_never_lands_ends_the_lane() {
    let end = always_unclear(4, |sent| sent.min(1));
    assert!(matches!(end, LaneEnd::Failed(LaneProblem::Unclear { span, .. }) if span == Span::new(1, 2)), "{end:?}");
}

#[test]
fn a_target_that_forgets_again_and_again_ends_the_lane() {
    let mut lane = lane(0, 2);
    let mut now = NOW;
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD)]);
    for _ in 0..100 {
        match act(&mut lane, now) {
            Some(Action::Produce(_)) => {
                lane.on(now, Event::Produced(ProduceResult::OutOfOrder));
                asks_for_tail(&mut lane, &mut now);
                lane.on(now, Event::Settled(tail(100, 1)));
            }
            Some(Action::Finish(LaneEnd::Failed(LaneProblem::Forgotten { times: 6 }))) => return,
            other => panic!("{other:?}"),
        }
    }
    panic!("it never ends");
}

#[test]
fn old_records_wait_until_no_late_request_can_bring_them_twice() {
    let mut lane = lane(0, 4);
    let mut now = NOW;
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLDER), records(2, 4, OLDER)]);
    produce(&mut lane);
    lost(&mut lane, now);
    asks_for_tail(&mut lane, &mut now);
    lane.on(now, Event::Settled(tail(100, 1)));
    asks_for_tail(&mut lane, &mut now);
    assert!(now >= NOW + Duration::from_secs(15), "{now:?}");
    // It came late: whatever was sent behind it may come too.
    lane.on(now, Event::Settled(tail(102, 2)));
    let then = now;
    fetch(&mut lane);
    fetched(&mut lane, &[records(2, 4, OLDER)]);
    asks_for_tail(&mut lane, &mut now);
    assert!(now >= then + Duration::from_secs(15), "{now:?}");
    lane.on(now, Event::Settled(tail(102, 2)));
    assert_eq!(produce(&mut lane).header().base_sequence, Sequence(2));
}

#[test]
fn without_stamps_batches_go_one_at_a_time_and_only_the_count_tells() {
    let mut lane = Lane::new(setup(0, 3));
    let mut now = NOW;
    fetch(&mut lane);
    fetched(&mut lane, &singles(0..3));
    produce(&mut lane);
    appended(&mut lane, 100);
    produce(&mut lane);
    nothing(&mut lane);
    lane.on(now, Event::Stamps { kept: false });
    nothing(&mut lane);
    unclear(&mut lane, now);
    asks_for_tail(&mut lane, &mut now);
    let bare = Stamp { producer: ProducerId(-1), epoch: ProducerEpoch(-1), sequence: Sequence(-1) };
    lane.on(now, Event::Settled(Tail { last: Some(LastBatch { stamp: bare, records: 1 }), ..tail(102, 1) }));
    assert_eq!(produce(&mut lane).source(), Span::new(2, 3));
    assert!(lane.checkpoint().unstamped);
}

#[test]
fn that_stamps_are_dropped_is_durable_before_the_next_batch() {
    let mut lane = Lane::new(setup(0, 3));
    fetch(&mut lane);
    fetched(&mut lane, &singles(0..3));
    produce(&mut lane);
    appended(&mut lane, 100);
    // This one is on its way when it is found out, and does not say so.
    assert!(!lane.checkpoint().unstamped);
    lane.on(NOW, Event::Stamps { kept: false });
    lane.on(NOW, Event::Stored);
    assert!(matches!(lane.next(NOW), Some(Action::Store)));
    assert!(lane.checkpoint().unstamped);
    nothing(&mut lane);
    lane.on(NOW, Event::Stored);
    assert_eq!(produce(&mut lane).source(), Span::new(1, 2));
}

#[test]
fn the_journal_is_durable_before_its_batches_are_sent() {
    let mut lane = lane(0, 4);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD), records(2, 4, OLD)]);
    assert!(matches!(lane.next(NOW), Some(Action::Store)));
    nothing(&mut lane);
    let journal = lane.checkpoint().journal;
    assert_eq!(
        journal.cuts().iter().map(|cut| (cut.records, cut.next)).collect::<Vec<_>>(),
        [(2, Offset(2)), (2, Offset(4))]
    );
    nothing(&mut lane);
    lane.on(NOW, Event::Stored);
    produce(&mut lane);
    appended(&mut lane, 100);
    produce(&mut lane);
}

#[test]
fn a_state_that_cannot_be_kept_ends_the_lane_with_what_is_on_the_target() {
    let mut lane = in_flight();
    lane.on(NOW, Event::StoreFailed { cause: "taken over".to_owned() });
    nothing(&mut lane);
    (101..104).for_each(|base| appended(&mut lane, base));
    let LaneEnd::Failed(problem) = finish(&mut lane) else { panic!("nothing may be sent") };
    assert_eq!(problem.to_string(), "stopped: the migration's state can't be kept: taken over");
}

#[test]
fn on_another_connection_one_batch_goes_first() {
    let mut lane = in_flight();
    (101..104).for_each(|base| appended(&mut lane, base));
    lane.on(NOW, Event::Moved);
    produce(&mut lane);
    nothing(&mut lane);
    appended(&mut lane, 104);
    (0..3).for_each(|_| drop(produce(&mut lane)));
}

#[test]
fn a_batch_found_too_large_is_not_forgotten_when_an_answer_behind_it_is_unclear() {
    let (mut lane, mut now) = (lane(0, 6), NOW);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD), records(2, 4, OLD), records(4, 6, OLD)]);
    produce(&mut lane);
    appended(&mut lane, 100);
    assert_eq!([produce(&mut lane), produce(&mut lane)].map(|batch| batch.source().start), [2, 4].map(Offset));
    refused(&mut lane, ErrorCode::MESSAGE_TOO_LARGE);
    unclear(&mut lane, NOW);
    asks_for_tail(&mut lane, &mut now);
    lane.on(now, Event::Settled(tail(102, 2)));
    assert_eq!(produce(&mut lane).source(), Span::new(2, 4));
}

#[test]
fn a_batch_that_was_lost_keeps_its_cut_when_the_lane_stops_before_it_is_sent_again() {
    let (mut lane, mut now) = (lane(0, 6), NOW);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD), records(2, 4, OLD)]);
    produce(&mut lane);
    lost(&mut lane, now);
    asks_for_tail(&mut lane, &mut now);
    lane.on(now, Event::Settled(Tail { end: Offset(100), high_watermark: Offset(100), last: None }));
    lane.on(now, Event::Stop);
    assert_eq!(finish(&mut lane), LaneEnd::Stopped);
    let journal = lane.checkpoint().journal;
    assert_eq!(journal.cuts().iter().map(|cut| cut.next).collect::<Vec<_>>(), [Offset(2)], "it may still arrive");
}

#[test]
fn a_batch_found_too_large_is_cut_anew_only_when_nothing_sent_behind_it_can_arrive_any_more() {
    let read = [records(0, 1, OLD), records(1, 9, OLD), records(9, 10, OLD)];
    let mut lane = lane(0, 10);
    fetch(&mut lane);
    fetched(&mut lane, &read);
    produce(&mut lane);
    appended(&mut lane, 100);
    produce(&mut lane);
    produce(&mut lane);
    lost(&mut lane, NOW);
    lost(&mut lane, NOW);
    let mut now = NOW;
    asks_for_tail(&mut lane, &mut now);
    lane.on(now, Event::Settled(tail(101, 1)));
    produce(&mut lane);
    lane.on(now, Event::Produced(ProduceResult::Refused { code: ErrorCode::MESSAGE_TOO_LARGE, message: None }));
    asks_for_tail(&mut lane, &mut now);
    assert_eq!(now, NOW + Duration::from_secs(15));
    lane.on(now, Event::Settled(tail(101, 1)));
    fetch(&mut lane);
    fetched(&mut lane, &read[1..]);
    let Some(Action::Produce(whole)) = act(&mut lane, now) else { panic!("as it was journaled") };
    assert_eq!(whole.source(), Span::new(1, 9));
    lane.on(now, Event::Produced(ProduceResult::Refused { code: ErrorCode::MESSAGE_TOO_LARGE, message: None }));
    assert!(matches!(act(&mut lane, now), Some(Action::Fetch { from: Offset(1), .. })));
    fetched(&mut lane, &read[1..]);
    let Some(Action::Produce(smaller)) = act(&mut lane, now) else { panic!("a part of it") };
    assert!(smaller.records() < 8 && smaller.header().base_sequence == Sequence(1), "{smaller:?}");
}
