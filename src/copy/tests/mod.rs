//! A lane's whole life without a broker: events in, actions out.
//!
//! `lane` is about the order of things, `contents` about what the batches hold, `settling` about what is done where an
//! answer leaves something open, `storing` about what is made durable, `resume` about going on where another process ended.

mod contents;
mod lane;
mod resume;
mod settling;
mod storing;

use std::ops::Range;
use std::time::Duration;

use super::lane::{Action, Event, Lane, LaneEnd, LaneSetup};
use super::{LastBatch, Patience, ProduceResult, Tail};
use crate::batch::testing::{Model, batch};
use crate::batch::{Codec, Joining, Outgoing, Rules};
use crate::cluster::retry::RetryPolicy;
use crate::kafka::{ErrorCode, Offset, ProducerEpoch, ProducerId, Sequence, Span, Stamp, TopicPartition};
use crate::state::{Checkpoint, Journal, Writer};

pub(super) const NOW: Duration = Duration::from_secs(1);
pub(super) const OLD: i64 = 100_000_000;
/// The time of records whose producer may be forgotten.
pub(super) const OLDER: i64 = 1_000;
pub(super) const WRITER: Writer = Writer { producer: ProducerId(7), epoch: ProducerEpoch(0), origin: 0 };

/// Records `from..to`, all of the same time.
pub(super) fn records(from: i64, to: i64, timestamp: i64) -> Vec<u8> {
    let model = |offset: i64| Model {
        offset: offset - from,
        timestamp,
        key: None,
        value: Some(offset.to_string().into_bytes()),
        headers: Vec::new(),
    };
    batch(&(from..to).map(model).collect::<Vec<_>>(), from, Codec::None)
}

/// The records of these offsets, each in a batch of its own.
pub(super) fn singles(offsets: Range<i64>) -> Vec<Vec<u8>> {
    offsets.map(|offset| records(offset, offset + 1, OLD)).collect()
}

/// The source's log begins at `log_start` by now.
pub(super) fn gone(log_start: i64) -> Event {
    Event::FetchRefused { code: ErrorCode::OFFSET_OUT_OF_RANGE, log_start: Some(Offset(log_start)) }
}

/// A lane whose target keeps stamps.
pub(super) fn lane(start: i64, end: i64) -> Lane {
    begun(setup(start, end))
}

pub(super) fn begun(setup: LaneSetup) -> Lane {
    let mut lane = Lane::new(setup);
    lane.on(NOW, Event::Stamps { kept: true });
    lane
}

/// A lane that leaves every batch as it is where it can.
pub(super) fn setup(start: i64, end: i64) -> LaneSetup {
    LaneSetup {
        at: TopicPartition::new("orders", 0),
        checkpoint: Checkpoint::begin(Span::new(start, end), Offset(100)),
        writer: WRITER,
        surveyed: true,
        resumed: false,
        marks: Vec::new(),
        late_bound: Duration::from_secs(15),
        depth: 3,
        // What is not old when a test begins is not old when it ends.
        old_before: OLD - 3_600_000,
        skip_corrupt: false,
        rules: Rules { joining: Joining::NEVER, ..Rules::default() }.into(),
        patience: Patience::new(RetryPolicy::default(), 1),
    }
}

pub(super) fn fetched(lane: &mut Lane, batches: &[Vec<u8>]) {
    lane.on(
        NOW,
        Event::Fetched { records: crate::batch::batches(batches.concat().into()), aborted: Vec::new(), crowded: false },
    );
}

pub(super) fn appended(lane: &mut Lane, base: i64) {
    lane.on(NOW, Event::Produced(ProduceResult::Appended { base: Offset(base) }));
}

pub(super) fn refused(lane: &mut Lane, code: ErrorCode) {
    lane.on(NOW, Event::Produced(ProduceResult::Refused { code, message: None }));
}

/// The next action; whatever is to be stored is durable at once.
pub(super) fn act(lane: &mut Lane, now: Duration) -> Option<Action> {
    loop {
        match lane.next(now) {
            Some(Action::Store) => {
                lane.checkpoint();
                lane.on(now, Event::Stored);
            }
            action => return action,
        }
    }
}

pub(super) fn fetch(lane: &mut Lane) -> Offset {
    match act(lane, NOW) {
        Some(Action::Fetch { from, .. }) => from,
        other => panic!("a fetch is due, not {other:?}"),
    }
}

pub(super) fn produce(lane: &mut Lane) -> Outgoing {
    match act(lane, NOW) {
        Some(Action::Produce(batch)) => batch,
        other => panic!("a batch is due, not {other:?}"),
    }
}

pub(super) fn finish(lane: &mut Lane) -> LaneEnd {
    match act(lane, NOW) {
        Some(Action::Finish(end)) => end,
        other => panic!("the end is due, not {other:?}"),
    }
}

/// The end of the target's log, replicated, with the lane's own last batch of `records` records.
pub(super) fn tail(end: i64, records: i32) -> Tail {
    let stamp = WRITER.stamp(end - 100 - i64::from(records));
    Tail { end: Offset(end), high_watermark: Offset(end), last: Some(LastBatch { stamp, records }) }
}

/// Waits as long as the lane wants, until it asks for the end of the log.
pub(super) fn asks_for_tail(lane: &mut Lane, now: &mut Duration) {
    loop {
        match act(lane, *now) {
            Some(Action::Wait(time)) => *now = time,
            Some(Action::Settle) => return,
            Some(Action::Fetch { .. }) => {}
            other => panic!("the lane settles, not {other:?}"),
        }
    }
}

pub(super) fn unclear(lane: &mut Lane, now: Duration) {
    lane.on(now, Event::Produced(ProduceResult::Unclear { cause: "REQUEST_TIMED_OUT".to_owned() }));
}

pub(super) fn lost(lane: &mut Lane, now: Duration) {
    lane.on(now, Event::Produced(ProduceResult::Lost { cause: "the connection was cut".to_owned() }));
}

pub(super) fn nothing(lane: &mut Lane) {
    let action = act(lane, NOW);
    assert!(action.is_none(), "{action:?}");
}
