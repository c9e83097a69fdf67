//! The order of things, and what the answers prove.

use bytes::Bytes;

use super::*;
use crate::batch::batches;
use crate::batch::testing::{altered, consumed, sent};
use crate::cluster::AbortedTransaction;
use crate::copy::LaneProblem;
use crate::state::{SkipReason, Skipped};

#[test]
fn a_lane_copies_its_span_and_counts_what_the_target_took() {
    let mut lane = lane(3, 8);
    assert_eq!(fetch(&mut lane), Offset(3));
    fetched(&mut lane, &[records(3, 5, OLD), records(5, 8, OLD)]);
    let first = produce(&mut lane);
    assert_eq!((first.records(), first.header().base_sequence), (2, Sequence(0)));
    assert_eq!((lane.done(), lane.held()), (0, [records(3, 5, OLD), records(5, 8, OLD)].concat().len()));
    appended(&mut lane, 100);
    assert_eq!((lane.done(), lane.held()), (2, records(5, 8, OLD).len()));
    let second = produce(&mut lane);
    assert_eq!((second.records(), second.header().base_sequence), (3, Sequence(2)));
    appended(&mut lane, 102);
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
    assert_eq!(lane.written(), Span::new(100, 105));
    assert_eq!(lane.tally().passed.batches, 2);
    nothing(&mut lane);
}

#[test]
fn one_batch_goes_alone_until_its_answer_opens_the_pipeline() {
    let mut lane = lane(0, 6);
    fetch(&mut lane);
    fetched(&mut lane, &singles(0..6));
    produce(&mut lane);
    nothing(&mut lane);
    appended(&mut lane, 100);
    (0..3).for_each(|_| drop(produce(&mut lane)));
    nothing(&mut lane);
    appended(&mut lane, 101);
    produce(&mut lane);
    nothing(&mut lane);
}

#[test]
fn batches_older_than_the_target_remembers_producers_go_one_at_a_time() {
    let mut lane = lane(0, 4);
    fetch(&mut lane);
    let times = [OLD, OLD, OLDER, OLD];
    let batches: Vec<_> = (0..4).zip(times).map(|(offset, time)| records(offset, offset + 1, time)).collect();
    fetched(&mut lane, &batches);
    produce(&mut lane);
    appended(&mut lane, 100);
    produce(&mut lane);
    nothing(&mut lane);
    appended(&mut lane, 101);
    produce(&mut lane);
    nothing(&mut lane);
    appended(&mut lane, 102);
    produce(&mut lane);
    appended(&mut lane, 103);
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
}

#[test]
fn a_batch_that_crosses_the_start_or_the_end_is_trimmed() {
    let mut lane = lane(2, 7);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 5, OLD), records(5, 9, OLD)]);
    let values = |outgoing: &Outgoing| -> Vec<String> {
        let text = |model: Model| String::from_utf8(model.value.unwrap_or_default()).unwrap();
        consumed(&sent(outgoing)).into_iter().map(text).collect()
    };
    assert_eq!(values(&produce(&mut lane)), ["2", "3", "4"]);
    appended(&mut lane, 100);
    assert_eq!(values(&produce(&mut lane)), ["5", "6"]);
    appended(&mut lane, 103);
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
    assert_eq!(lane.tally().rewritten["boundary"].batches, 2);
}

#[test]
fn control_batches_are_left_out_and_move_the_lane_on() {
    let mut lane = lane(0, 3);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD), marker(2, true)]);
    produce(&mut lane);
    appended(&mut lane, 100);
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
    assert_eq!(lane.written(), Span::new(100, 102));
    assert_eq!(lane.tally().dropped["control"].batches, 1);
}

/// What a coordinator writes at the end of producer 9's transaction.
pub(super) fn marker(offset: i64, commit: bool) -> Vec<u8> {
    let key = Some(vec![0, 0, 0, u8::from(commit)]);
    let model = Model { offset: 0, timestamp: OLD, key, value: Some(vec![0; 6]), headers: Vec::new() };
    altered(batch(&[model], offset, Codec::None), |header| {
        header.attributes = crate::batch::Attributes(0x30);
        header.producer = ProducerId(9);
    })
}

#[test]
fn aborted_transactions_are_left_out_and_committed_ones_become_plain() {
    let mut lane = lane(0, 6);
    fetch(&mut lane);
    let transactional = |from, to| {
        altered(records(from, to, OLD), |header| {
            header.attributes = crate::batch::Attributes(0x10);
            header.producer = ProducerId(9);
        })
    };
    let log = [transactional(0, 2), marker(2, false), transactional(3, 5), marker(5, true)].concat();
    let aborted = vec![AbortedTransaction { producer: ProducerId(9), first_offset: Offset(0) }];
    lane.on(NOW, Event::Fetched { records: batches(log.into()), aborted, crowded: false });
    let only = produce(&mut lane);
    assert_eq!((only.source(), only.header().is_transactional()), (Span::new(3, 5), false));
    appended(&mut lane, 100);
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
    let dropped: Vec<(&str, u64)> =
        lane.tally().dropped.iter().map(|(reason, volume)| (*reason, volume.batches)).collect();
    assert_eq!(dropped, [("aborted", 1), ("control", 2)]);
}

#[test]
fn a_lane_stops_in_front_of_a_batch_it_cannot_copy_after_writing_what_is_before_it() {
    let mut lane = lane(0, 9);
    fetch(&mut lane);
    let unknown_codec = altered(records(2, 4, OLD), |header| header.attributes = crate::batch::Attributes(7));
    fetched(&mut lane, &[records(0, 2, OLD), unknown_codec, records(4, 9, OLD)]);
    produce(&mut lane);
    nothing(&mut lane);
    appended(&mut lane, 100);
    let LaneEnd::Failed(LaneProblem::Unsupported { offset, .. }) = finish(&mut lane) else {
        panic!("the codec stands in the way")
    };
    assert_eq!((offset, lane.written()), (Offset(2), Span::new(100, 102)));
}

#[test]
fn an_answer_at_another_offset_means_that_somebody_else_writes() {
    let mut lane = lane(0, 2);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 1, OLD), records(1, 2, OLD)]);
    produce(&mut lane);
    appended(&mut lane, 101);
    let LaneEnd::Failed(problem) = finish(&mut lane) else { panic!("a foreign record") };
    assert_eq!(
        problem.to_string(),
        "the target put source offsets [0, 1) at offset 101 instead of 100: another producer writes to this partition"
    );
}

#[test]
fn a_refusal_names_the_batch_and_what_follows_in_the_pipeline_does_not_hide_it() {
    let mut lane = lane(0, 3);
    fetch(&mut lane);
    fetched(&mut lane, &singles(0..3));
    produce(&mut lane);
    appended(&mut lane, 100);
    produce(&mut lane);
    produce(&mut lane);
    assert!(!lane.is_failing());
    refused(&mut lane, ErrorCode::MESSAGE_TOO_LARGE);
    assert!(lane.is_failing());
    nothing(&mut lane);
    let out_of_order = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
    lane.on(NOW, Event::Produced(ProduceResult::from_answer(out_of_order, Offset(-1), None)));
    let LaneEnd::Failed(problem) = finish(&mut lane) else { panic!("a refusal") };
    assert!(matches!(problem, LaneProblem::Refused { span, .. } if span == Span::new(1, 2)), "{problem}");
    assert_eq!(lane.next_source(), Offset(1));
}

#[test]
fn a_lane_that_is_told_to_stop_awaits_its_answers_and_knows_where_it_was() {
    let mut lane = lane(0, 6);
    fetch(&mut lane);
    fetched(&mut lane, &singles(0..4));
    produce(&mut lane);
    appended(&mut lane, 100);
    (0..3).for_each(|_| drop(produce(&mut lane)));
    lane.on(NOW, Event::Unsent); // offset 3 was still waiting for its request
    lane.on(NOW, Event::Stop);
    nothing(&mut lane);
    appended(&mut lane, 101);
    appended(&mut lane, 102);
    assert_eq!(finish(&mut lane), LaneEnd::Stopped);
    assert_eq!((lane.next_source(), lane.written()), (Offset(3), Span::new(100, 103)));
}

#[test]
fn records_that_the_source_deleted_under_way_are_skipped_and_named() {
    let mut lane = lane(5, 9);
    fetch(&mut lane);
    let code = ErrorCode::OFFSET_OUT_OF_RANGE;
    lane.on(NOW, Event::FetchRefused { code, log_start: Some(Offset(7)) });
    assert_eq!(fetch(&mut lane), Offset(7));
    fetched(&mut lane, &[records(7, 9, OLD)]);
    produce(&mut lane);
    appended(&mut lane, 100);
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
    assert_eq!(lane.skipped(), [Skipped { span: Span::new(5, 7), reason: SkipReason::Lost }]);
    assert_eq!(lane.written(), Span::new(100, 102));
}

#[test]
fn a_lost_fetch_is_repeated_after_a_wait_and_not_for_ever() {
    let mut lane = lane(0, 9);
    let mut now = NOW;
    for _ in 0..10_000 {
        match lane.next(now) {
            Some(Action::Fetch { from, .. }) => {
                assert_eq!(from, Offset(0));
                lane.on(now, Event::FetchLost { cause: "cut".to_owned() });
            }
            Some(Action::Wait(until)) => {
                assert!(until > now);
                now = until;
            }
            Some(Action::Finish(LaneEnd::Failed(LaneProblem::FetchFailed { offset, attempts, cause }))) => {
                assert_eq!((offset, cause.as_str()), (Offset(0), "cut"));
                assert!(attempts > 1, "{attempts}");
                return;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("it never gave up");
}

#[test]
fn a_source_that_answers_without_records_is_not_asked_for_ever() {
    let mut lane = lane(0, 9);
    for _ in 0..1_000 {
        match act(&mut lane, NOW) {
            Some(Action::Fetch { .. }) => fetched(&mut lane, &[]),
            Some(Action::Finish(LaneEnd::Failed(problem))) => {
                assert!(matches!(problem, LaneProblem::NoRecords { .. }), "{problem}");
                return;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("it never gave up");
}

#[test]
fn a_lane_that_others_leave_no_room_for_waits_its_turn_and_goes_first() {
    let mut lane = lane(0, 2);
    for attempt in 0..1_000 {
        match act(&mut lane, NOW) {
            Some(Action::Fetch { first, .. }) => assert_eq!(first, attempt > 0),
            other => panic!("{other:?}"),
        }
        lane.on(NOW, Event::Fetched { records: batches(Bytes::new()), aborted: Vec::new(), crowded: true });
    }
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD)]);
    produce(&mut lane);
    appended(&mut lane, 100);
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
}

#[test]
fn an_end_that_was_compacted_away_is_reached_by_the_next_batch() {
    let mut lane = lane(0, 5);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD), records(8, 9, OLD)]);
    produce(&mut lane);
    appended(&mut lane, 100);
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
    assert_eq!(lane.written(), Span::new(100, 102));
}

#[test]
fn an_end_that_was_compacted_away_in_front_of_an_open_transaction_is_seen_by_looking_beyond() {
    for damaged in [false, true] {
        let mut lane = lane(0, 5);
        loop {
            match act(&mut lane, NOW) {
                Some(Action::Fetch { beyond: false, .. }) => fetched(&mut lane, &[]),
                Some(Action::Fetch { from, beyond: true, .. }) => {
                    assert_eq!(from, Offset(0));
                    let mut open = records(5, 6, OLD);
                    *open.last_mut().expect("bytes") ^= u8::from(damaged);
                    fetched(&mut lane, &[open]);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(finish(&mut lane), LaneEnd::Copied);
        assert_eq!((lane.written(), lane.tally().passed.batches), (Span::new(100, 100), 0));
    }
}

#[test]
fn what_lies_beyond_the_last_stable_offset_is_never_copied() {
    let mut lane = lane(0, 5);
    for _ in 0..100 {
        match act(&mut lane, NOW) {
            Some(Action::Fetch { beyond: false, .. }) => fetched(&mut lane, &[]),
            Some(Action::Fetch { beyond: true, .. }) => fetched(&mut lane, &[records(3, 5, OLD)]),
            Some(Action::Finish(LaneEnd::Failed(LaneProblem::NoRecords { .. }))) => return,
            other => panic!("{other:?}"),
        }
    }
    panic!("it never gave up");
}

#[test]
fn damaged_bytes_stop_the_lane_at_their_offset() {
    let mut lane = lane(0, 5);
    fetch(&mut lane);
    let mut damaged = records(2, 5, OLD);
    damaged[16] = 9; // a magic that no Kafka has
    fetched(&mut lane, &[records(0, 2, OLD), damaged.clone()]);
    produce(&mut lane);
    appended(&mut lane, 100);
    assert_eq!(fetch(&mut lane), Offset(2));
    fetched(&mut lane, &[damaged]);
    let LaneEnd::Failed(problem) = finish(&mut lane) else { panic!("damage") };
    assert!(matches!(problem, LaneProblem::Corrupt { offset: Offset(2), .. }), "{problem}");
}

#[test]
fn a_source_that_is_not_there_for_a_moment_is_asked_again_after_a_wait() {
    let mut lane = lane(0, 2);
    fetch(&mut lane);
    let code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    lane.on(NOW, Event::FetchRefused { code, log_start: None });
    let Some(Action::Wait(until)) = lane.next(NOW) else { panic!("not at once") };
    assert!(until > NOW);
    assert!(matches!(lane.next(until), Some(Action::Fetch { from: Offset(0), .. })));
}

#[test]
fn a_refusal_of_the_source_ends_the_lane_and_is_named() {
    let out_of_range = ErrorCode::OFFSET_OUT_OF_RANGE;
    // A log that lost its end begins where it did, or further back: nothing is skipped for that.
    for (code, log_start) in
        [(ErrorCode::TOPIC_AUTHORIZATION_FAILED, None), (out_of_range, Some(5)), (out_of_range, Some(3))]
    {
        let mut lane = lane(5, 9);
        fetch(&mut lane);
        lane.on(NOW, Event::FetchRefused { code, log_start: log_start.map(Offset) });
        let refused = LaneProblem::FetchRefused { offset: Offset(5), code };
        assert_eq!(finish(&mut lane), LaneEnd::Failed(refused));
        assert_eq!(lane.skipped(), []);
    }
}

#[test]
fn a_lane_that_is_told_to_stop_no_longer_minds_what_is_wrong_with_the_source() {
    let mut lane = lane(0, 9);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD)]);
    produce(&mut lane);
    fetch(&mut lane);
    lane.on(NOW, Event::Stop);
    lane.on(NOW, Event::FetchRefused { code: ErrorCode::TOPIC_AUTHORIZATION_FAILED, log_start: None });
    appended(&mut lane, 100);
    assert_eq!(finish(&mut lane), LaneEnd::Stopped);
}

#[test]
fn a_batch_that_was_cut_off_is_asked_for_with_room_for_it_and_the_largest_is_a_measure() {
    let mut lane = lane(0, 9);
    fetch(&mut lane);
    let (small, large) = (records(0, 1, OLD), records(1, 9, OLD));
    let cut = large[..20].to_vec();
    fetched(&mut lane, &[small, cut.clone()]);
    produce(&mut lane);
    let room = |lane: &mut Lane| match act(lane, NOW) {
        Some(Action::Fetch { needed, batch, .. }) => (needed, batch),
        other => panic!("{other:?}"),
    };
    assert_eq!(room(&mut lane), (0, large.len()), "the answer was full without it");
    fetched(&mut lane, &[cut]);
    assert_eq!(room(&mut lane), (large.len(), large.len()), "it did not fit into an answer of its own");
    fetched(&mut lane, &[]);
    assert_eq!(room(&mut lane), (0, large.len()), "an empty answer shows none");
}

#[test]
fn whether_stamps_are_kept_shows_in_the_lane_s_own_last_batch_only() {
    let mut lane = Lane::new(setup(0, 2));
    let theirs = |end| {
        let stamp = Stamp { producer: ProducerId(8), epoch: ProducerEpoch(0), sequence: Sequence(0) };
        Tail { last: Some(LastBatch { stamp, records: 2 }), ..tail(end, 2) }
    };
    assert_eq!(lane.sees_stamps(&theirs(100)), None, "it lies in front of all that is the lane's");
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD)]);
    produce(&mut lane);
    appended(&mut lane, 100);
    assert_eq!(lane.sees_stamps(&tail(102, 2)), Some(true));
    assert_eq!(lane.sees_stamps(&theirs(102)), Some(false));
    assert_eq!(lane.sees_stamps(&theirs(104)), None, "not the lane's");
    assert_eq!(lane.sees_stamps(&Tail { last: None, ..tail(102, 2) }), None);
}

#[test]
fn records_that_grow_old_during_the_run_go_one_batch_at_a_time() {
    let mut lane = lane(0, 4);
    fetch(&mut lane);
    fetched(&mut lane, &singles(0..4));
    produce(&mut lane);
    appended(&mut lane, 100);
    let later = NOW + Duration::from_secs(3_600);
    assert!(matches!(act(&mut lane, later), Some(Action::Produce(_))));
    assert!(act(&mut lane, later).is_none(), "the target may have forgotten who wrote them");
}

#[test]
fn a_lane_that_is_over_no_longer_minds_what_happens() {
    let mut lane = lane(0, 2);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD)]);
    produce(&mut lane);
    appended(&mut lane, 100);
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
    lane.on(NOW, Event::StoreFailed { cause: "taken over".to_owned() });
    assert_eq!(lane.problem(), None);
}
