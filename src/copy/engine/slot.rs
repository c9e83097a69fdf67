//! A lane in the engine.

use std::collections::VecDeque;
use std::time::Duration;

use super::Copied;
use crate::batch::Outgoing;
use crate::copy::budget::Held;
use crate::copy::fetcher::Ask;
use crate::copy::lane::{Lane, LaneEnd, LaneSetup};
use crate::copy::link::LinkKey;
use crate::copy::pack::Pending;
use crate::copy::patience::Patience;
use crate::kafka::Offset;

/// A lane and what the engine holds for it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) lane: Lane,
    /// Whether the source was seen to have the topic when the run began.
    pub(super) surveyed: bool,
    /// Since when the source has not known the topic.
    pub(super) unknown_since: Option<Duration>,
    /// A Fetch that waits for a leader.
    pub(super) stranded: Option<Box<Ask>>,
    /// Batches the lane handed out that wait for their request.
    pub(super) pending: VecDeque<Outgoing>,
    /// The connection on which the lane's batches go out.
    pub(super) link: Option<LinkKey>,
    /// Whether the lane stands in that connection's turns.
    pub(super) queued: bool,
    /// Whether the target's last answer was a good one.
    pub(super) well: bool,
    /// Batches on their way.
    pub(super) under_way: usize,
    /// What counts against the memory.
    pub(super) held: Held,
    /// How often the target may be looked for in vain.
    pub(super) patience: Patience,
    /// When the target may be looked for again.
    pub(super) rest: Option<Duration>,
    /// What is durable: records on the target, and the next source offset.
    pub(super) stored: (Offset, Offset),
    /// What will be when the commit under way is taken.
    pub(super) storing: (Offset, Offset),
    pub(super) end: Option<Box<LaneEnd>>,
}

impl Slot {
    /// A lane at its start.
    pub(super) fn new(setup: LaneSetup) -> Self {
        Self {
            patience: setup.patience.clone(),
            surveyed: setup.surveyed,
            unknown_since: None,
            rest: None,
            stored: (setup.checkpoint.target_end(), setup.checkpoint.next),
            storing: (setup.checkpoint.target_end(), setup.checkpoint.next),
            lane: Lane::new(setup),
            stranded: None,
            pending: VecDeque::new(),
            link: None,
            queued: false,
            well: true,
            under_way: 0,
            held: Held::default(),
            end: None,
        }
    }

    /// What became of the lane so far; one that has not ended yet counts as stopped.
    pub(super) fn copied(&self) -> Copied {
        Copied {
            at: self.lane.at().clone(),
            tally: self.lane.tally().clone(),
            truncated: self.lane.truncated().to_vec(),
            recut: self.lane.recut_at().to_vec(),
            checkpoint: self.lane.standing(),
            end: self.end.as_deref().cloned().unwrap_or(LaneEnd::Stopped),
        }
    }
}

impl Pending for Vec<Slot> {
    fn of(&mut self, lane: usize) -> &mut VecDeque<Outgoing> {
        &mut self[lane].pending
    }

    fn taken(&mut self, lane: usize, queued: bool) {
        self[lane].under_way += 1;
        self[lane].queued = queued;
    }
}
