//! What goes into a lane and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Batches, Outgoing, Rules};
use crate::cluster::AbortedTransaction;
use crate::copy::answer::ProduceResult;
use crate::copy::error::LaneProblem;
use crate::copy::patience::Patience;
use crate::copy::settle::Tail;
use crate::kafka::{ErrorCode, Offset, TopicPartition};
use crate::state::{self, Checkpoint};

/// What a lane needs to know before it starts.
#[derive(Clone, Debug)]
pub struct LaneSetup {
    /// The partition.
    pub at: TopicPartition,
    /// Where it stands, as it is durable.
    pub checkpoint: Checkpoint,
    /// Who writes.
    pub writer: state::Writer,
    /// Whether the source was seen to have the topic when this run began.
    pub surveyed: bool,
    /// Whether somebody may have written behind the checkpoint before: then the lane settles first.
    pub resumed: bool,
    /// The source offsets whose places on the target are wanted, in order.
    pub marks: Vec<Offset>,
    /// How many batches may be in flight once the first one was answered (5; 1 towards brokers before 1.0).
    pub depth: usize,
    /// Batches whose newest record is older than this (ms since 1970, when the engine starts) go one at a time.
    pub old_before: i64,
    /// How long a request without an answer may still reach the log.
    pub late_bound: Duration,
    /// What decides beside a batch's header whether it may pass; the same for all lanes of a topic.
    pub rules: Arc<Rules>,
    /// Whether corrupt batches are copied around; otherwise the lane stops in front of the first.
    pub skip_corrupt: bool,
    /// How a failed Fetch, and how an unclear Produce, is repeated.
    pub patience: Patience,
}

/// What happened to a lane.
#[derive(Debug)]
pub enum Event {
    /// A Fetch answer.
    Fetched {
        /// Record batches one after the other, possibly none.
        records: Batches,
        /// The aborted transactions that reach into them.
        aborted: Vec<AbortedTransaction>,
        /// Whether partitions in front of this one in the request got records: then a lack of them proves nothing.
        crowded: bool,
    },
    /// The source refused the Fetch; `log_start` as far as the answer told.
    FetchRefused {
        /// The refusal.
        code: ErrorCode,
        /// The source's log start, where the answer carried it.
        log_start: Option<Offset>,
    },
    /// The Fetch had no answer.
    FetchLost {
        /// What happened to it.
        cause: String,
    },
    /// The source has no such topic any more.
    NoTopic,
    /// The oldest batch in flight has been answered, or will never be.
    Produced(ProduceResult),
    /// The newest batch that was handed out was never sent and comes back.
    Unsent,
    /// The lane's batches go out on another connection from now on.
    Moved,
    /// The target has no leader for the partition.
    NoLeader {
        /// What the metadata said.
        cause: String,
    },
    /// Where the target's log ends.
    Settled(Tail),
    /// The target did not say where its log ends.
    Unsettled {
        /// Why.
        cause: String,
    },
    /// Whether the target keeps the stamps of batches was found out.
    Stamps {
        /// It does.
        kept: bool,
    },
    /// The checkpoint that was taken last is durable.
    Stored,
    /// Checkpoints can't be made durable any more.
    StoreFailed {
        /// Why.
        cause: String,
    },
    /// No new work: finish what is in flight.
    Stop,
}

/// What a lane wants done. An action is handed out once; its outcome comes back as an [`Event`].
#[derive(Debug)]
pub enum Action {
    /// Ask the source for records from this offset on.
    Fetch {
        /// The first offset wanted.
        from: Offset,
        /// Whether the last answer brought nothing: ask for this lane first.
        first: bool,
        /// Bytes that the answer must have room for to bring anything; 0 where that is not known.
        needed: usize,
        /// The size of the largest batch that the last answer showed; 0 where there was none. Brokers cut what does not fit,
        /// and the rest of a batch is sent in vain.
        batch: usize,
        /// Whether to look at what lies behind the last stable offset too: only to see where the next batch begins.
        beyond: bool,
    },
    /// Send this batch; batches of a lane go out in the order they are handed out, over one connection.
    Produce(Outgoing),
    /// Look where the target's log ends, and whose its last batch is.
    Settle,
    /// Make a checkpoint durable: see [`super::Lane::checkpoint`].
    Store,
    /// Nothing to do before this time.
    Wait(Duration),
    /// The lane is over.
    Finish(LaneEnd),
}

/// How a lane ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LaneEnd {
    /// Everything up to the span's end is on the target.
    Copied,
    /// It was told to stop; what was sent has its answer.
    Stopped,
    /// It could not go on.
    Failed(LaneProblem),
}

/// The target lost what it had acknowledged, and the lane wrote it again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Truncation {
    /// Where the log ended.
    pub expected: Offset,
    /// Where it was found to end.
    pub end: Offset,
}
