//! One partition being moved: a state machine without I/O and without a clock.
//!
//! `now` is the time since the engine started. A lane has at most one Fetch under way and holds what came of it until
//! it is written; it asks for more when less than its read-ahead waits. Nothing is sent before the journal that holds
//! its boundaries is durable, and after any answer that leaves something open the lane settles: it asks for the end of the
//! target's log and goes on from there.

use std::collections::VecDeque;
use std::time::Duration;

use super::answer::ProduceResult;
use super::error::LaneProblem;
use super::marks::Marks;
use super::patience::Patience;
use super::reader::Reader;
use super::settle::{Known, Settled, Tail};
use super::tally::Tally;
use super::trail::{Boundary, Trail};
use super::writer::{Pipeline, Stamps, TooLarge, Writer};
use crate::batch::{Batches, Outgoing};
use crate::cluster::AbortedTransaction;
use crate::kafka::{ErrorCode, Offset, Retry, Span, TopicPartition};
use crate::state::{Checkpoint, Cut, Skipped};

mod settling;
mod storing;
mod surface;

use settling::Settling;

pub use surface::{Action, Event, LaneEnd, LaneSetup, Truncation};

/// A lane with fewer bytes than this waiting to be written asks for more, unless it is told otherwise.
const READ_AHEAD: usize = 1024 * 1024;

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

/// A checkpoint on its way.
#[derive(Clone, Copy, Debug)]
struct Pending {
    records: i64,
    /// Records in front of the end of its journal, while it holds the cuts that are in use.
    journaled: Option<i64>,
}

/// One partition being moved.
#[derive(Debug)]
pub struct Lane {
    at: TopicPartition,
    base: Checkpoint,
    reader: Reader,
    writer: Writer,
    trail: Trail,
    marks: Marks,
    patience: Patience,
    /// For the target.
    bearing: Patience,
    fetching: Fetching,
    settling: Settling,
    /// When a request was lost that may still arrive.
    disturbed: Option<Duration>,
    late_bound: Duration,
    /// Whether the reader must be told where to go on.
    resuming: bool,
    /// Whether what was read must be read again once the log has been asked.
    rereads: bool,
    /// Records in front of the end of what may have been sent, and may arrive, although the log does not hold it: at first
    /// all that is journaled. Its cuts stay as they are.
    exposed: i64,
    waiting: VecDeque<Outgoing>,
    waiting_bytes: usize,
    read_ahead: usize,
    asked_to_store: bool,
    pending: Option<Pending>,
    truncated: Vec<Truncation>,
    recut: Vec<Offset>,
    stopping: bool,
    finished: bool,
}

impl Lane {
    /// A lane at its checkpoint.
    pub fn new(setup: LaneSetup) -> Self {
        let LaneSetup { checkpoint, writer, resumed, .. } = setup;
        let base = Boundary { records: checkpoint.records, next: checkpoint.next };
        let trail = Trail::new(base, checkpoint.journal.cuts());
        let journaled = trail.end().records;
        let pipeline = Pipeline { depth: setup.depth, old_before: setup.old_before };
        let skipped = checkpoint.skipped.clone();
        let mut own = Writer::new(writer, checkpoint.target_start, checkpoint.records, journaled, pipeline);
        if checkpoint.unstamped {
            own.learn_stamps(Stamps::Dropped);
        }
        Self {
            reader: Reader::new(checkpoint.span, checkpoint.next, setup.rules, setup.skip_corrupt, skipped),
            writer: own,
            marks: Marks::new(setup.marks, &checkpoint),
            at: setup.at,
            base: checkpoint,
            trail,
            bearing: setup.patience.clone(),
            patience: setup.patience,
            fetching: Fetching::Idle,
            settling: if resumed { Settling::Due(Duration::ZERO) } else { Settling::Clear },
            disturbed: (journaled > base.records).then_some(Duration::ZERO),
            late_bound: setup.late_bound,
            resuming: resumed,
            rereads: false,
            exposed: journaled,
            recut: Vec::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            read_ahead: READ_AHEAD,
            asked_to_store: false,
            pending: None,
            truncated: Vec::new(),
            stopping: false,
            finished: false,
        }
    }

    /// Lets the lane read ahead so many bytes from now on.
    pub fn read_ahead(&mut self, bytes: usize) {
        self.read_ahead = bytes;
    }

    /// Takes what happened. A lane that is over, or is told to stop, no longer cares for what was fetched.
    pub fn on(&mut self, now: Duration, event: Event) {
        self.writer.tell_time(now);
        match event {
            Event::Stored => self.stored(now),
            _ if self.finished => return,
            Event::Fetched { .. } | Event::FetchRefused { .. } | Event::FetchLost { .. } | Event::NoTopic => {
                self.read(now, event);
            }
            Event::Produced(result) => self.produced(now, result),
            Event::Unsent => {
                if let Some(batch) = self.writer.unsent() {
                    self.comes_back(batch);
                }
            }
            Event::Moved => self.writer.close_pipeline(),
            Event::NoLeader { cause } => self.writer.fail(LaneProblem::NoLeader { cause }),
            Event::Settled(tail) => self.settled(now, &tail),
            Event::Unsettled { cause } => self.bear(now, cause),
            Event::Stamps { kept } => self.learn_stamps(kept),
            Event::StoreFailed { cause } => {
                self.pending = None;
                self.writer.fail(LaneProblem::State { cause });
            }
            Event::Stop => self.stopping = true,
        }
        if !self.reads_on() {
            self.drop_waiting();
        }
        if let Some(refused) = self.writer.take_too_large() {
            self.split(now, refused);
        }
        self.reader.settle(self.next_source());
    }

    /// Takes what came of a Fetch.
    fn read(&mut self, now: Duration, event: Event) {
        match event {
            _ if !self.reads_on() => {}
            _ if self.fetching == Fetching::Overtaken => self.fetching = Fetching::Idle,
            Event::Fetched { records, .. } if self.fetching == Fetching::AskedBeyond => {
                self.fetching = Fetching::Idle;
                self.reader.look_beyond(records);
            }
            Event::Fetched { records, aborted, crowded } => self.fetched(records, aborted, crowded),
            Event::FetchRefused { code, log_start } => self.fetch_refused(now, code, log_start),
            Event::FetchLost { cause } => self.fetch_again(now, cause),
            Event::NoTopic => {
                self.fetching = Fetching::Idle;
                self.reader.stop(LaneProblem::NoTopic { offset: self.reader.next() });
            }
            _ => {}
        }
        let next = self.next_source();
        // Who committed in what was left out goes on behind it, and nobody can count his way across.
        for skipped in self.reader.skipped().iter().rev().take_while(|skipped| skipped.span.end > next) {
            self.marks.want(skipped.span.end);
        }
        if let Some(offset) = self.reader.take_recut() {
            self.overtake();
            match self.late_until(now) {
                // As long as a request may arrive that holds what was journaled, its end must be known for what it is.
                Some(until) => self.reread_at(until),
                None => {
                    self.recut.push(offset);
                    self.recut();
                }
            }
        }
    }

    fn produced(&mut self, now: Duration, result: ProduceResult) {
        if matches!(result, ProduceResult::Lost { .. }) {
            self.disturbed = Some(now);
            self.exposed = self.exposed.max(self.writer.handed());
        }
        if let Some(acked) = self.writer.answered(result) {
            self.bearing.reset();
            self.marks.pass(&acked);
        }
        if self.settling == Settling::Clear
            && let Some(cause) = self.writer.doubt().map(str::to_owned)
        {
            self.bear(now, cause);
        }
    }

    /// What the source no longer holds as it was journaled is cut anew, and so needs a journal before it is sent. What
    /// waits was cut as it was journaled.
    fn recut(&mut self) {
        let kept = self.records_read();
        self.exposed = self.exposed.min(kept);
        self.forget_cuts_behind(kept);
    }

    /// Records on the target once all that was read is.
    fn records_read(&self) -> i64 {
        let records = |batch: &Outgoing| i64::from(batch.records());
        self.waiting.iter().fold(self.writer.handed(), |end, batch| end.saturating_add(records(batch)))
    }

    fn forget_cuts_behind(&mut self, records: i64) {
        self.trail.forget_behind(records);
        self.reader.forget_skipped_behind(self.trail.end().next);
        self.writer.recut_behind(records);
        self.forget_pending();
    }

    /// The journal that is on its way holds other cuts than those that are in use now.
    fn forget_pending(&mut self) {
        if let Some(pending) = &mut self.pending {
            pending.journaled = None;
        }
    }

    /// Reads again from a batch that the target found too large, to send its records in smaller ones.
    fn split(&mut self, now: Duration, refused: TooLarge) {
        tracing::debug!(at = %self.at, bytes = refused.bytes, "too large for the target: splitting");
        self.drop_waiting();
        self.rewind(refused.span.start);
        if let Some(until) = self.late_until(now) {
            // What was sent behind it once may still arrive, and would be taken where other records have its sequences now:
            // the source may have fewer of them in front of it by then.
            return self.reread_at(until);
        }
        self.exposed = 0;
        self.forget_cuts_behind(self.writer.acked());
        self.reader.split_above(refused.bytes / 2);
    }

    /// Goes back to `offset`; an answer that is under way would be about something else.
    fn rewind(&mut self, offset: Offset) {
        self.reader.rewind(offset);
        self.overtake();
    }

    fn overtake(&mut self) {
        if matches!(self.fetching, Fetching::Asked | Fetching::AskedBeyond) {
            self.fetching = Fetching::Overtaken;
        }
    }

    /// A batch that was handed out waits again, in front of the others.
    fn comes_back(&mut self, batch: Outgoing) {
        self.waiting_bytes = self.waiting_bytes.saturating_add(batch.len());
        self.waiting.push_front(batch);
    }

    /// The next thing to do; `None` while everything that can be done is under way.
    pub fn next(&mut self, now: Duration) -> Option<Action> {
        if self.finished {
            return None;
        }
        self.writer.tell_time(now);
        if let Some(end) = self.end() {
            self.finished = true;
            return Some(Action::Finish(end));
        }
        let mut wait = None;
        match self.settling {
            Settling::Due(time) if now < time => wait = Some(time),
            Settling::Due(_) if self.writer.is_silent() && self.reads_on() => {
                self.settling = Settling::Asked;
                return Some(Action::Settle);
            }
            Settling::Clear => match self.hold(now) {
                Some(time) => wait = Some(time),
                None if self.settling != Settling::Clear => return self.next(now),
                None if self.waiting.front().is_some_and(|batch| self.writer.may_send(batch)) => {
                    return self.waiting.pop_front().map(|batch| {
                        self.waiting_bytes = self.waiting_bytes.saturating_sub(batch.len());
                        Action::Produce(self.writer.send(batch))
                    });
                }
                None => {}
            },
            Settling::Due(_) | Settling::Asked => {}
        }
        if self.wants_to_store() {
            self.asked_to_store = true;
            return Some(Action::Store);
        }
        match self.fetching {
            Fetching::Until(time) if now < time => wait = Some(wait.map_or(time, |wait| wait.min(time))),
            Fetching::Idle | Fetching::Until(_) if self.wants_more() => {
                let beyond = self.reader.looks_beyond();
                self.fetching = if beyond { Fetching::AskedBeyond } else { Fetching::Asked };
                return Some(Action::Fetch {
                    from: self.reader.next(),
                    first: self.reader.is_starved(),
                    needed: self.reader.needed(),
                    batch: self.reader.batch_size(),
                    beyond,
                });
            }
            _ => {}
        }
        wait.map(Action::Wait)
    }

    /// What was read and not sent is given up, with its cuts; but not those that somebody else may have sent.
    fn drop_waiting(&mut self) {
        if let Some(first) = self.waiting.front().map(|batch| batch.source().start) {
            self.rewind(first);
            self.forget_cuts_behind(self.writer.handed().max(self.exposed));
        }
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    /// Whether what is read may still be written.
    fn reads_on(&self) -> bool {
        !self.stopping && self.writer.problem().is_none()
    }

    fn wants_more(&self) -> bool {
        self.reads_on() && !self.resuming && !self.rereads && !self.reader.is_done() && self.held() < self.read_ahead
    }

    fn end(&self) -> Option<LaneEnd> {
        if self.stopping && self.writer.is_silent() && self.writer.problem().is_none() && !self.is_copied() {
            return Some(self.problem().map_or(LaneEnd::Stopped, |problem| LaneEnd::Failed(problem.clone())));
        }
        if !self.writer.is_idle() || !self.waiting.is_empty() {
            return None;
        }
        if let Some(problem) = self.problem() {
            return Some(LaneEnd::Failed(problem.clone()));
        }
        self.is_copied().then_some(LaneEnd::Copied)
    }

    /// Whether everything up to the span's end is known to be on the target.
    fn is_copied(&self) -> bool {
        self.settling == Settling::Clear
            && self.writer.doubt().is_none()
            && self.writer.is_silent()
            && self.waiting.is_empty()
            && self.next_source() >= self.base.span.end
    }

    fn fetched(&mut self, records: Batches, aborted: Vec<AbortedTransaction>, crowded: bool) {
        self.fetching = Fetching::Idle;
        self.patience.reset();
        let mut end = self.records_read();
        let (waiting, bytes, trail) = (&mut self.waiting, &mut self.waiting_bytes, &mut self.trail);
        self.reader.take(records, aborted, crowded, |batch| {
            *bytes = bytes.saturating_add(batch.len());
            end = end.saturating_add(i64::from(batch.records()));
            if end > trail.end().records {
                trail.push(Cut { records: batch.records(), next: batch.source().end });
            }
            waiting.push_back(batch);
        });
    }

    fn fetch_refused(&mut self, now: Duration, code: ErrorCode, log_start: Option<Offset>) {
        let offset = self.reader.next();
        match (code, log_start) {
            (ErrorCode::OFFSET_OUT_OF_RANGE, Some(log_start)) if log_start > offset => {
                self.fetching = Fetching::Idle;
                self.reader.lost(log_start);
            }
            _ if code.retry() == Retry::Never => {
                self.fetching = Fetching::Idle;
                self.reader.stop(LaneProblem::FetchRefused { offset, code });
            }
            _ => self.fetch_again(now, code.to_string()),
        }
    }

    fn fetch_again(&mut self, now: Duration, cause: String) {
        tracing::debug!(at = %self.at, %cause, "a fetch failed");
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
        self.base.span
    }

    /// The first source offset that is not known to be on the target or left out on purpose.
    pub fn next_source(&self) -> Offset {
        if self.resuming {
            return self.base.next;
        }
        let ahead = || match self.waiting.front() {
            Some(batch) => Some(batch.source().start),
            // What was read from here on counts for nothing.
            None if self.rereads => self.trail.find(self.writer.acked()).map(|boundary| boundary.next),
            None => None,
        };
        self.writer.first_unanswered().or_else(ahead).unwrap_or_else(|| self.reader.unread())
    }

    /// Where the lane's records lie on the target, up to the last good answer, end exclusive.
    pub fn written(&self) -> Span {
        let start = self.base.target_start;
        Span { start, end: start.plus(self.writer.acked()) }
    }

    /// Bytes of record batches that the lane holds: read, and not yet answered by the target.
    pub fn held(&self) -> usize {
        self.waiting_bytes.saturating_add(self.writer.bytes()).saturating_add(self.reader.held())
    }

    /// Source offsets that are on the target or were left out on purpose.
    pub fn done(&self) -> i64 {
        Span { start: self.base.span.start, end: self.next_source() }.len()
    }

    /// Whether the target gave an answer after which nothing more may be sent as it was handed out.
    pub fn is_failing(&self) -> bool {
        !self.writer.is_clear()
    }

    /// What was left out although it was to be moved.
    pub fn skipped(&self) -> &[Skipped] {
        self.reader.skipped()
    }

    /// Where the target lost what it had acknowledged; it was written again.
    pub fn truncated(&self) -> &[Truncation] {
        &self.truncated
    }

    /// Whether the target keeps stamps, as this end of its log shows; `None` where it does not: only of the lane's own last
    /// batch is it known that it was stamped.
    pub fn sees_stamps(&self, tail: &Tail) -> Option<bool> {
        let last = tail.last?;
        let kept = last.stamp.producer == self.writer.id().producer;
        let own = self.writer.acked() > 0 && tail.end == self.written().end;
        (kept || own).then_some(kept)
    }

    /// Source offsets from which on the batches could not be cut as they had been journaled.
    pub fn recut_at(&self) -> &[Offset] {
        &self.recut
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
