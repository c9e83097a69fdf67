//! What the batches hold: tiny ones, damaged ones, those that the target finds too large.

use super::*;
use crate::batch::testing::{altered, consumed, message, sent, wrapper};
use crate::copy::LaneProblem;
use crate::state::{SkipReason, Skipped};

/// A lane that joins its batches and may copy around damage.
fn joining(start: i64, end: i64, skip_corrupt: bool) -> Lane {
    begun(LaneSetup { rules: Rules::default().into(), skip_corrupt, ..setup(start, end) })
}

/// The values of a batch, which say at which offset each record lay.
fn values(outgoing: &Outgoing) -> Vec<i64> {
    let number = |model: Model| String::from_utf8(model.value.unwrap()).unwrap().parse().unwrap();
    consumed(&sent(outgoing)).into_iter().map(number).collect()
}

fn damaged(from: i64, to: i64) -> Vec<u8> {
    let mut bytes = records(from, to, OLD);
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

fn out_of_order(lane: &mut Lane) {
    let code = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
    lane.on(NOW, Event::Produced(ProduceResult::from_answer(code, Offset(-1), None)));
}

/// Writes everything that is due, in batches that the target takes.
fn write_all(lane: &mut Lane) -> Vec<Vec<i64>> {
    let mut written = Vec::new();
    while let Some(Action::Produce(batch)) = act(lane, NOW) {
        appended(lane, 100 + written.iter().map(Vec::len).sum::<usize>() as i64);
        written.push(values(&batch));
    }
    written
}

#[test]
fn tiny_neighbours_become_one_batch_and_what_was_dropped_between_them_is_no_hindrance() {
    let mut lane = joining(1, 9, false);
    fetch(&mut lane);
    let log = [records(0, 2, OLD), records(2, 4, OLD), marker_at(4), records(5, 8, OLD), marker_at(8)];
    fetched(&mut lane, &log);
    let joined = produce(&mut lane);
    assert_eq!(values(&joined), [1, 2, 3, 5, 6, 7]);
    assert_eq!(joined.source(), Span::new(1, 8));
    let before: Vec<i32> = (1..9).map(|offset| joined.records_before(Offset(offset))).collect();
    assert_eq!(before, [0, 1, 2, 3, 3, 4, 5, 6]);
    appended(&mut lane, 100);
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
    assert_eq!(lane.tally().rewritten["boundary"].batches, 1);
    assert_eq!(lane.tally().rewritten["join"].batches, 2);
    assert_eq!(lane.tally().dropped["control"].batches, 2);
}

fn marker_at(offset: i64) -> Vec<u8> {
    altered(records(offset, offset + 1, OLD), |header| header.attributes = crate::batch::Attributes(0x30))
}

#[test]
fn a_tiny_batch_without_neighbours_passes_as_it_is() {
    let mut lane = joining(0, 4, false);
    fetch(&mut lane);
    let large = |from: i64| {
        let value = Some(vec![b'7'; 40_000]);
        let model = Model { offset: 0, timestamp: OLD, key: None, value, headers: Vec::new() };
        batch(&[model], from, Codec::None)
    };
    fetched(&mut lane, &[records(0, 2, OLD), large(2), records(3, 4, OLD)]);
    for (base, count) in [(100, 2), (102, 1), (103, 1)] {
        assert_eq!(produce(&mut lane).records(), count);
        appended(&mut lane, base);
    }
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
    assert_eq!((lane.tally().passed.batches, lane.tally().rewritten.len()), (3, 0));
}

#[test]
fn damage_stops_the_lane_in_front_of_it_and_names_its_offset() {
    let mut lane = joining(0, 9, false);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD), damaged(2, 5), records(5, 9, OLD)]);
    assert_eq!(write_all(&mut lane), [[0, 1]]);
    // It may have happened on the way, so it is asked for once more.
    fetched(&mut lane, &[damaged(2, 5), records(5, 9, OLD)]);
    let problem = lane.problem().expect("damage");
    assert!(problem.to_string().starts_with("stopped before source offset 2: its CRC is 0x"), "{problem}");
    assert_eq!((lane.skipped(), lane.next_source()), (&[][..], Offset(2)));
}

#[test]
fn damage_is_copied_around_when_the_operator_says_so() {
    let mut lane = joining(0, 9, true);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD), damaged(2, 5), records(6, 9, OLD)]);
    assert_eq!(values(&produce(&mut lane)), [0, 1]);
    assert_eq!(fetch(&mut lane), Offset(2));
    fetched(&mut lane, &[damaged(2, 5), records(6, 9, OLD)]);
    // Transactions are told anew behind the damage, so what follows it is asked for again.
    assert_eq!(fetch(&mut lane), Offset(6));
    fetched(&mut lane, &[records(6, 8, OLD), damaged(8, 9)]);
    appended(&mut lane, 100);
    assert_eq!(values(&produce(&mut lane)), [6, 7]);
    assert_eq!(fetch(&mut lane), Offset(8));
    fetched(&mut lane, &[damaged(8, 9)]);
    appended(&mut lane, 102);
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
    let corrupt = |start, end| Skipped { span: Span::new(start, end), reason: SkipReason::Corrupt };
    assert_eq!(lane.skipped(), [corrupt(2, 6), corrupt(8, 9)]);
    let tally = lane.tally();
    assert_eq!(tally.passed.batches + tally.rewritten.values().map(|volume| volume.batches).sum::<u64>(), 2);
}

#[test]
fn records_that_can_not_be_read_are_damage_too_and_their_neighbours_are_not() {
    for skip in [false, true] {
        let mut lane = joining(0, 9, skip);
        fetch(&mut lane);
        let gibberish = altered(records(2, 5, OLD), |header| header.attributes = crate::batch::Attributes(1));
        let broken_gaps = altered(gibberish, |header| header.last_offset_delta = 3);
        fetched(&mut lane, &[tiny_gzip(0, 2), broken_gaps, tiny_gzip(6, 9)]);
        let written = write_all(&mut lane);
        if skip {
            assert_eq!(written, [vec![0, 1], vec![6, 7, 8]]);
            let skipped = Skipped { span: Span::new(2, 6), reason: SkipReason::Corrupt };
            assert_eq!(lane.skipped(), [skipped]);
            assert_eq!(lane.next_source(), Offset(9));
        } else {
            assert_eq!(written, [[0, 1]]);
            assert!(matches!(lane.problem(), Some(LaneProblem::Corrupt { offset: Offset(2), .. })));
        }
    }
}

fn tiny_gzip(from: i64, to: i64) -> Vec<u8> {
    let model = |offset: i64| Model {
        offset: offset - from,
        timestamp: OLD,
        key: None,
        value: Some(offset.to_string().into_bytes()),
        headers: Vec::new(),
    };
    batch(&(from..to).map(model).collect::<Vec<_>>(), from, Codec::Gzip)
}

#[test]
fn offsets_that_go_back_are_damage() {
    let mut lane = joining(0, 9, false);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 5, OLD), records(3, 5, OLD), records(5, 9, OLD)]);
    assert_eq!(write_all(&mut lane), [[0, 1, 2, 3, 4]]);
    fetched(&mut lane, &[records(4, 5, OLD), records(3, 5, OLD), records(5, 9, OLD)]);
    let problem = lane.problem().expect("damage").to_string();
    assert!(problem.starts_with("stopped before source offset 5: it lies behind offset 5"), "{problem}");
}

#[test]
fn a_batch_that_the_target_finds_too_large_is_sent_in_smaller_ones() {
    let mut lane = lane(0, 10);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 1, OLD), records(1, 9, OLD), records(9, 10, OLD)]);
    produce(&mut lane);
    appended(&mut lane, 100);
    let large = produce(&mut lane);
    let behind = produce(&mut lane);
    assert_eq!(behind.header().base_sequence, Sequence(9));
    refused(&mut lane, ErrorCode::MESSAGE_TOO_LARGE);
    nothing(&mut lane);
    out_of_order(&mut lane);
    assert_eq!(lane.next_source(), Offset(1));
    assert_eq!(fetch(&mut lane), Offset(1));
    fetched(&mut lane, &[records(0, 1, OLD), records(1, 9, OLD), records(9, 10, OLD)]);
    let smaller = produce(&mut lane);
    assert_eq!(smaller.header().base_sequence, Sequence(1));
    assert!((1..large.records()).contains(&smaller.records()), "{}", smaller.records());
    nothing(&mut lane);
    appended(&mut lane, 101);
    let mut next = 101 + i64::from(smaller.records());
    while let Some(Action::Produce(batch)) = act(&mut lane, NOW) {
        appended(&mut lane, next);
        next += i64::from(batch.records());
    }
    assert_eq!((next, lane.next_source()), (110, Offset(10)));
    assert_eq!((lane.tally().passed.batches, lane.tally().rewritten["too_large"].batches), (2, 1));
}

#[test]
fn nothing_more_is_sent_behind_a_batch_that_was_found_too_large() {
    let mut lane = lane(0, 12);
    fetch(&mut lane);
    let log = [(0, 1), (1, 9), (9, 10), (10, 11), (11, 12)].map(|(from, to)| records(from, to, OLD));
    fetched(&mut lane, &log);
    produce(&mut lane);
    appended(&mut lane, 100);
    (0..3).for_each(|_| drop(produce(&mut lane)));
    refused(&mut lane, ErrorCode::MESSAGE_TOO_LARGE);
    nothing(&mut lane);
}

#[test]
fn what_was_left_out_behind_a_batch_that_is_read_again_is_looked_at_again_too() {
    let mut lane = joining(0, 9, true);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 2, OLD), damaged(2, 5), records(5, 9, OLD)]);
    produce(&mut lane);
    fetch(&mut lane);
    fetched(&mut lane, &[damaged(2, 5), records(5, 9, OLD)]);
    assert_eq!(lane.skipped(), [Skipped { span: Span::new(2, 5), reason: SkipReason::Corrupt }]);
    refused(&mut lane, ErrorCode::MESSAGE_TOO_LARGE);
    assert_eq!(lane.skipped(), [], "it may be sound this time");
}

#[test]
fn an_answer_that_was_under_way_when_the_lane_went_back_is_not_taken_for_a_gap() {
    let mut lane = lane(0, 30);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 10, OLD)]);
    produce(&mut lane);
    assert_eq!(fetch(&mut lane), Offset(10));
    refused(&mut lane, ErrorCode::RECORD_LIST_TOO_LARGE);
    nothing(&mut lane);
    fetched(&mut lane, &[records(10, 30, OLD)]);
    assert_eq!(fetch(&mut lane), Offset(0), "what was read from 10 on does not follow");
}

#[test]
fn a_record_that_the_target_finds_too_large_is_a_refusal() {
    let mut lane = lane(0, 2);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 1, OLD), records(1, 2, OLD)]);
    produce(&mut lane);
    refused(&mut lane, ErrorCode::MESSAGE_TOO_LARGE);
    let LaneEnd::Failed(problem) = finish(&mut lane) else { panic!("a refusal") };
    assert!(matches!(problem, LaneProblem::Refused { span, .. } if span == Span::new(0, 1)), "{problem}");
}

#[test]
fn an_append_behind_a_refused_batch_means_that_order_is_lost() {
    let mut lane = lane(0, 20);
    fetch(&mut lane);
    fetched(&mut lane, &[records(0, 1, OLD), records(1, 9, OLD), records(9, 20, OLD)]);
    produce(&mut lane);
    appended(&mut lane, 100);
    produce(&mut lane);
    produce(&mut lane);
    refused(&mut lane, ErrorCode::MESSAGE_TOO_LARGE);
    appended(&mut lane, 101); // the target had forgotten the producer
    let LaneEnd::Failed(problem) = finish(&mut lane) else { panic!("order is lost") };
    assert!(matches!(problem, LaneProblem::Foreign { .. }), "{problem}");
}

#[test]
fn a_tiny_batch_that_holds_very_much_passes_as_it_is() {
    let mut lane = joining(0, 3, false);
    fetch(&mut lane);
    let zeros = Model { offset: 0, timestamp: OLD, key: None, value: Some(vec![0; 2 << 20]), headers: Vec::new() };
    let bomb = batch(&[zeros], 1, Codec::Zstd);
    assert!(bomb.len() < 4_000, "{} bytes", bomb.len());
    let tiny = |offset: i64| {
        let value = Some(offset.to_string().into_bytes());
        batch(&[Model { offset: 0, timestamp: OLD, key: None, value, headers: Vec::new() }], offset, Codec::Zstd)
    };
    fetched(&mut lane, &[tiny(0), bomb.clone(), tiny(2)]);
    let sizes: Vec<usize> = (100..103)
        .map(|base| {
            let size = produce(&mut lane).len();
            appended(&mut lane, base);
            size
        })
        .collect();
    assert_eq!(sizes[1], bomb.len());
    assert_eq!(finish(&mut lane), LaneEnd::Copied);
    assert_eq!((lane.tally().passed.batches, lane.tally().rewritten.len()), (3, 0));
}

fn old(offset: i64, value: i64) -> Model {
    Model { offset, timestamp: OLD, key: None, value: Some(value.to_string().into_bytes()), headers: Vec::new() }
}

/// A compressed message set of these offsets.
fn old_set(offsets: Range<i64>) -> Vec<u8> {
    let (base, models): (_, Vec<_>) = (offsets.start, (0..).zip(offsets).map(|(i, value)| old(i, value)).collect());
    wrapper(1, 0, Codec::Gzip, &models, base, OLD)
}

#[test]
fn of_message_sets_what_lies_in_the_span_is_copied_and_nothing_else() {
    let mut lane = joining(1, 9, false);
    fetch(&mut lane);
    fetched(&mut lane, &[old_set(0..3), message(1, 0, &old(3, 3)), message(1, 0, &old(5, 5)), old_set(7..12)]);
    assert_eq!(write_all(&mut lane).concat(), [1, 2, 3, 5, 7, 8]);
    assert_eq!((lane.next_source(), lane.written()), (Offset(9), Span::new(100, 106)));
}

#[test]
fn a_message_behind_the_end_tells_that_the_rest_was_compacted_away() {
    let mut lane = joining(0, 9, false);
    fetch(&mut lane);
    fetched(&mut lane, &[message(1, 0, &old(3, 3)), message(1, 0, &old(9, 9)), message(1, 0, &old(10, 10))]);
    assert_eq!(write_all(&mut lane), [[3]]);
    assert_eq!((lane.next_source(), lane.written()), (Offset(9), Span::new(100, 101)));
}
