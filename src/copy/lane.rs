//! One partition being moved: a state machine without I/O and without a clock.
//!
//! `now` is the time since the engine started. A lane has at most one Fetch under way and holds what came of it until
//! it is written; it asks for more when less than [`READ_AHEAD`] bytes wait.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::answer::ProduceResult;
use super::error::LaneProblem;
use super::patience::Patience;
use super::reader::Reader;
use super::tally::Tally;
use super::writer::{TooLarge, Writer};
use crate::batch::{Outgoing, Rules};
use crate::cluster::AbortedTransaction;
use crate::kafka::{ErrorCode, Offset, Retry, Span, Stamp, TopicPartition};
use crate::state::Skipped;

/// A lane with fewer bytes than this waiting to be written asks for more.
const READ_AHEAD: usize = 512 * 1024;

/// What a lane needs to know before it starts.
#[derive(Clone, Debug)]
pub struct LaneSetup {
    /// The partition.
    pub at: TopicPartition,
    /// The source offsets to move, end exclusive.
    pub span: Span,
    /// The stamp of the first batch.
    pub stamp: Stamp,
    /// The target partition's log end, where the first record must land.
    pub target_end: Offset,
    /// How many batches may be in flight once the first one was answered (5; 1 towards brokers before 1.0).
    pub depth: usize,
    /// Batches whose newest record is older than this (ms since 1970) go one at a time.
    pub old_before: i64,
    /// What decides beside a batch's header whether it may pass.
    pub rules: Rules,
    /// Whether corrupt batches are copied around; otherwise the lane stops in front of the first.
    pub skip_corrupt: bool,
    /// How a failed Fetch is repeated.
    pub patience: Patience,
}

/// What happened to a lane.
#[derive(Debug)]
pub enum Event {
    /// A Fetch answer.
    Fetched {
        /// Record batches one after the other, possibly none.
        records: Bytes,
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
    /// The oldest batch in flight has been answered, or will never be.
    Produced(ProduceResult),
    /// The newest batch that was handed out was never sent and comes back.
    Unsent,
    /// The target has no leader for the partition.
    NoLeader {
        /// What the metadata said.
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
        /// Whether to look at what lies behind the last stable offset too: only to see where the next batch begins.
        beyond: bool,
    },
    /// Send this batch; batches of a lane go out in the order they are handed out, over one connection.
    Produce(Outgoing),
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

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fetching {
    Idle,
    Asked,
    /// For records that the lane does not want, to see that nothing lies in front of them.
    AskedBeyond,
    /// The lane went back since it asked: the answer is about something else.
    Overtaken,
    Until(Duration),
}

/// One partition being moved.
#[derive(Debug)]
pub struct Lane {
    at: TopicPartition,
    span: Span,
    reader: Reader,
    writer: Writer,
    patience: Patience,
    fetching: Fetching,
    waiting: VecDeque<Outgoing>,
    waiting_bytes: usize,
    stopping: bool,
    finished: bool,
}

impl Lane {
    /// A lane at the start of its span.
    pub fn new(setup: LaneSetup) -> Self {
        Self {
            at: setup.at,
            span: setup.span,
            reader: Reader::new(setup.span, setup.rules, setup.skip_corrupt),
            writer: Writer::new(setup.stamp, setup.target_end, setup.depth, setup.old_before),
            patience: setup.patience,
            fetching: Fetching::Idle,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            stopping: false,
            finished: false,
        }
    }

    /// Takes what happened. A lane that is over, or is told to stop, no longer cares for what was fetched.
    pub fn on(&mut self, now: Duration, event: Event) {
        match event {
            _ if self.finished => return,
            Event::Fetched { .. } | Event::FetchRefused { .. } | Event::FetchLost { .. } if !self.reads_on() => {}
            Event::Fetched { .. } | Event::FetchRefused { .. } | Event::FetchLost { .. }
                if self.fetching == Fetching::Overtaken =>
            {
                self.fetching = Fetching::Idle;
            }
            Event::Fetched { records, .. } if self.fetching == Fetching::AskedBeyond => {
                self.fetching = Fetching::Idle;
                self.reader.look_beyond(records);
            }
            Event::Fetched { records, aborted, crowded } => self.fetched(records, aborted, crowded),
            Event::FetchRefused { code, log_start } => self.fetch_refused(now, code, log_start),
            Event::FetchLost { cause } => self.fetch_again(now, cause),
            Event::Produced(result) => self.writer.answered(result),
            Event::Unsent => {
                if let Some(span) = self.writer.unsent() {
                    self.rewind(span.start);
                }
            }
            Event::NoLeader { cause } => self.writer.fail(LaneProblem::NoLeader { cause }),
            Event::Stop => self.stopping = true,
        }
        if !self.reads_on() {
            self.drop_waiting();
        }
        if let Some(refused) = self.writer.take_too_large() {
            self.split(refused);
        }
        self.reader.settle(self.next_source());
    }

    /// Reads again from a batch that the target found too large, to send its records in smaller ones.
    fn split(&mut self, refused: TooLarge) {
        tracing::debug!(at = %self.at, bytes = refused.bytes, "too large for the target: splitting");
        self.drop_waiting();
        self.rewind(refused.span.start);
        self.reader.split_above(refused.bytes / 2);
    }

    /// Goes back to `offset`; an answer that is under way would be about something else.
    fn rewind(&mut self, offset: Offset) {
        self.reader.rewind(offset);
        if matches!(self.fetching, Fetching::Asked | Fetching::AskedBeyond) {
            self.fetching = Fetching::Overtaken;
        }
    }

    /// The next thing to do; `None` while everything that can be done is under way.
    pub fn next(&mut self, now: Duration) -> Option<Action> {
        if self.finished {
            return None;
        }
        if self.waiting.front().is_some_and(|batch| self.writer.may_send(batch)) {
            return self.waiting.pop_front().map(|batch| {
                self.waiting_bytes = self.waiting_bytes.saturating_sub(batch.len());
                Action::Produce(self.writer.send(batch))
            });
        }
        if let Some(end) = self.end() {
            self.finished = true;
            return Some(Action::Finish(end));
        }
        match self.fetching {
            Fetching::Until(time) if now < time => Some(Action::Wait(time)),
            Fetching::Idle | Fetching::Until(_) if self.wants_more() => {
                let beyond = self.reader.looks_beyond();
                self.fetching = if beyond { Fetching::AskedBeyond } else { Fetching::Asked };
                let (first, needed) = (self.reader.is_starved(), self.reader.needed());
                Some(Action::Fetch { from: self.reader.next(), first, needed, beyond })
            }
            _ => None,
        }
    }

    fn drop_waiting(&mut self) {
        if let Some(first) = self.waiting.front().map(|batch| batch.source().start) {
            self.rewind(first);
        }
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    /// Whether what is read may still be written.
    fn reads_on(&self) -> bool {
        !self.stopping && self.writer.problem().is_none()
    }

    fn wants_more(&self) -> bool {
        self.reads_on() && !self.reader.is_done() && self.waiting_bytes < READ_AHEAD
    }

    fn end(&self) -> Option<LaneEnd> {
        if !self.writer.is_idle() || !self.waiting.is_empty() {
            return None;
        }
        if let Some(problem) = self.problem() {
            return Some(LaneEnd::Failed(problem.clone()));
        }
        if self.next_source() >= self.span.end {
            return Some(LaneEnd::Copied);
        }
        self.stopping.then_some(LaneEnd::Stopped)
    }

    fn fetched(&mut self, records: Bytes, aborted: Vec<AbortedTransaction>, crowded: bool) {
        self.fetching = Fetching::Idle;
        self.patience.reset();
        let (waiting, bytes) = (&mut self.waiting, &mut self.waiting_bytes);
        self.reader.take(records, aborted, crowded, |batch| {
            *bytes = bytes.saturating_add(batch.len());
            waiting.push_back(batch);
        });
    }

    fn fetch_refused(&mut self, now: Duration, code: ErrorCode, log_start: Option<Offset>) {
        let offset = self.reader.next();
        match (code, log_start) {
            (ErrorCode::OFFSET_OUT_OF_RANGE, Some(log_start)) if log_start > offset => {
                self.fetching = Fetching::Idle;
                self.reader.stop(LaneProblem::Expired { offset, log_start });
            }
            _ if code.retry() == Retry::Never => {
                self.fetching = Fetching::Idle;
                self.reader.stop(LaneProblem::FetchRefused { offset, code });
            }
            _ => self.fetch_again(now, code.to_string()),
        }
    }

    fn fetch_again(&mut self, now: Duration, cause: String) {
        match self.patience.failed(now) {
            Some(time) => self.fetching = Fetching::Until(time),
            None => {
                self.fetching = Fetching::Idle;
                let attempts = self.patience.failures();
                self.reader.stop(LaneProblem::FetchFailed { offset: self.reader.next(), attempts, cause });
            }
        }
    }

    /// The partition.
    pub fn at(&self) -> &TopicPartition {
        &self.at
    }

    /// The source offsets to move, end exclusive.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The first source offset that is not known to be on the target or left out on purpose.
    pub fn next_source(&self) -> Offset {
        let waiting = || self.waiting.front().map(|batch| batch.source().start);
        self.writer.first_unanswered().or_else(waiting).unwrap_or_else(|| self.reader.next())
    }

    /// Where the lane's records lie on the target, up to the last good answer, end exclusive.
    pub fn written(&self) -> Span {
        self.writer.written()
    }

    /// Bytes of record batches that the lane holds: read, and not yet answered by the target.
    pub fn held(&self) -> usize {
        self.waiting_bytes.saturating_add(self.writer.bytes())
    }

    /// Source offsets that are on the target or were left out on purpose.
    pub fn done(&self) -> i64 {
        Span { start: self.span.start, end: self.next_source() }.len()
    }

    /// Whether the target gave an answer after which nothing more may be sent as it was handed out.
    pub fn is_failing(&self) -> bool {
        self.writer.problem().is_some() || self.writer.is_splitting()
    }

    /// What was left out although it was to be moved.
    pub fn skipped(&self) -> &[Skipped] {
        self.reader.skipped()
    }

    /// What keeps the lane from going on, if something does.
    pub fn problem(&self) -> Option<&LaneProblem> {
        self.writer.problem().or(self.reader.problem())
    }

    /// The lane's batches by verdict.
    pub fn tally(&self) -> &Tally {
        self.reader.tally()
    }
}
