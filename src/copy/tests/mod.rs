//! A lane's whole life without a broker: events in, actions out.
//!
//! `lane` is about the order of things and what the answers prove, `contents` about what the batches hold.

mod contents;
mod lane;

use std::time::Duration;

use super::lane::{Action, Event, Lane, LaneEnd, LaneSetup};
use super::{Patience, ProduceResult};
use crate::batch::testing::{Model, batch};
use crate::batch::{Codec, Joining, Outgoing, Rules};
use crate::cluster::retry::RetryPolicy;
use crate::kafka::{ErrorCode, Offset, ProducerEpoch, ProducerId, Sequence, Span, Stamp, TopicPartition};

pub(super) const NOW: Duration = Duration::from_secs(1);
pub(super) const OLD: i64 = 1_000;

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

pub(super) fn lane(start: i64, end: i64) -> Lane {
    Lane::new(setup(start, end))
}

/// A lane that leaves every batch as it is where it can.
pub(super) fn setup(start: i64, end: i64) -> LaneSetup {
    LaneSetup {
        at: TopicPartition::new("orders", 0),
        span: Span::new(start, end),
        stamp: Stamp { producer: ProducerId(7), epoch: ProducerEpoch(0), sequence: Sequence(0) },
        target_end: Offset(100),
        depth: 3,
        old_before: OLD,
        skip_corrupt: false,
        rules: Rules { joining: Joining::NEVER, ..Rules::default() },
        patience: Patience::new(RetryPolicy::default(), 1),
    }
}

pub(super) fn fetched(lane: &mut Lane, batches: &[Vec<u8>]) {
    lane.on(NOW, Event::Fetched { records: batches.concat().into(), aborted: Vec::new(), crowded: false });
}

pub(super) fn appended(lane: &mut Lane, base: i64) {
    lane.on(NOW, Event::Produced(ProduceResult::Appended { base: Offset(base) }));
}

pub(super) fn refused(lane: &mut Lane, code: ErrorCode) {
    lane.on(NOW, Event::Produced(ProduceResult::Refused { code, message: None }));
}

pub(super) fn fetch(lane: &mut Lane) -> Offset {
    match lane.next(NOW) {
        Some(Action::Fetch { from, .. }) => from,
        other => panic!("a fetch is due, not {other:?}"),
    }
}

pub(super) fn produce(lane: &mut Lane) -> Outgoing {
    match lane.next(NOW) {
        Some(Action::Produce(batch)) => batch,
        other => panic!("a batch is due, not {other:?}"),
    }
}

pub(super) fn finish(lane: &mut Lane) -> LaneEnd {
    match lane.next(NOW) {
        Some(Action::Finish(end)) => end,
        other => panic!("the end is due, not {other:?}"),
    }
}

pub(super) fn nothing(lane: &mut Lane) {
    let action = lane.next(NOW);
    assert!(action.is_none(), "{action:?}");
}
