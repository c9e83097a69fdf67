//! The target side of a lane: stamps, what is in flight, and what the answers prove.

use std::collections::VecDeque;
use std::time::Duration;

use super::answer::ProduceResult;
use super::error::LaneProblem;
use super::trail::Boundary;
use crate::batch::Outgoing;
use crate::kafka::{ErrorCode, Offset, ProducerEpoch, Span};
use crate::state;

/// How often in a row a target may have forgotten who writes.
const FORGOTTEN: u32 = 5;

/// A batch that the target found too large. Nothing of it is in the log, and nothing of what was sent behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooLarge {
    /// Its source offsets, end exclusive.
    pub(super) span: Span,
    /// Its size.
    pub(super) bytes: usize,
}

/// Whether the target keeps the stamps of batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stamps {
    /// Nobody has looked yet.
    Unknown,
    Kept,
    /// It makes batches of its own: duplicates and gaps go unnoticed.
    Dropped,
}

/// What the settings and the target say about the pipeline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pipeline {
    /// How many batches may be in flight once the first one was answered.
    pub(super) depth: usize,
    /// Batches whose newest record is older than this (ms since 1970, at the time 0) go one at a time: a broker that has
    /// forgotten their producer (it forgets by record time) could append a later one after refusing an earlier one.
    pub(super) old_before: i64,
}

/// Why the log must be asked what became of the batches in flight.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Doubt {
    cause: String,
    /// The target said that it does not know where the producer stood.
    forgotten: bool,
}

/// A batch that is on the target.
#[derive(Debug)]
pub(super) struct Acked {
    pub(super) batch: Outgoing,
    /// Records of the lane in front of it.
    pub(super) before: i64,
}

/// Writes a lane's batches in order, each once. All counts are of records on the target since the lane's first one.
#[derive(Debug)]
pub(super) struct Writer {
    id: state::Writer,
    target_start: Offset,
    acked: i64,
    handed: i64,
    journaled: i64,
    pipeline: Pipeline,
    open: bool,
    /// The newest time in the last batch that was answered: the target forgets the producer by it (ms since 1970).
    remembered_by: i64,
    /// The time, in ms.
    now: i64,
    stamps: Stamps,
    sent: VecDeque<Outgoing>,
    /// What was answered, but not clearly, or found too large, and what was answered behind it.
    unsure: VecDeque<Outgoing>,
    bytes: usize,
    too_large: Option<TooLarge>,
    doubt: Option<Doubt>,
    forgotten: u32,
    problem: Option<Box<LaneProblem>>,
    /// The first source offset without a good answer when the problem came up.
    failed_at: Option<Offset>,
}

impl Writer {
    /// A writer behind `acked` records, of which up to `journaled` may be sent.
    pub(super) fn new(id: state::Writer, target_start: Offset, acked: i64, journaled: i64, pipeline: Pipeline) -> Self {
        Self {
            id,
            target_start,
            acked,
            handed: acked,
            journaled,
            pipeline,
            open: false,
            remembered_by: i64::MIN,
            now: 0,
            stamps: Stamps::Unknown,
            sent: VecDeque::new(),
            unsure: VecDeque::new(),
            bytes: 0,
            too_large: None,
            doubt: None,
            forgotten: 0,
            problem: None,
            failed_at: None,
        }
    }

    /// Whether `next` may go out now. After the start, and after anything unusual, ONE batch goes out alone; only its answer
    /// with the expected offset opens the pipeline.
    pub(super) fn may_send(&self, next: &Outgoing) -> bool {
        let alone = !self.open
            || self.stamps != Stamps::Kept
            || self.is_old(next.max_timestamp())
            || self.is_old(self.remembered_by)
            || self.sent.iter().any(|sent| self.is_old(sent.max_timestamp()));
        let depth = if alone { 1 } else { self.pipeline.depth };
        self.is_clear() && self.sent.len() < depth && !self.is_ahead_of_journal(next)
    }

    /// Whether nothing keeps batches from going out but their number.
    pub(super) fn is_clear(&self) -> bool {
        self.problem.is_none() && self.too_large.is_none() && self.doubt.is_none()
    }

    /// Whether the journal that is durable does not hold `next` yet.
    pub(super) fn is_ahead_of_journal(&self, next: &Outgoing) -> bool {
        self.handed.saturating_add(i64::from(next.records())) > self.journaled
    }

    /// Whether the target may take a second copy of this batch for another one: it forgets whose it is, or was not seen to
    /// keep that.
    pub(super) fn goes_unrecognised(&self, batch: &Outgoing) -> bool {
        self.is_old(batch.max_timestamp()) || self.stamps != Stamps::Kept
    }

    /// Whether a producer whose last batch has this newest time may be forgotten.
    fn is_old(&self, timestamp: i64) -> bool {
        timestamp < self.pipeline.old_before.saturating_add(self.now)
    }

    /// What is not old becomes so in time.
    pub(super) fn tell_time(&mut self, now: Duration) {
        self.now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    }

    /// Stamps a batch and counts it as in flight.
    pub(super) fn send(&mut self, mut batch: Outgoing) -> Outgoing {
        batch.stamp(self.id.stamp(self.handed));
        self.handed = self.handed.saturating_add(i64::from(batch.records()));
        self.bytes = self.bytes.saturating_add(batch.len());
        self.sent.push_back(batch.clone());
        batch
    }

    /// Takes back the newest batch, which never left.
    pub(super) fn unsent(&mut self) -> Option<Outgoing> {
        let batch = self.sent.pop_back()?;
        self.release(&batch);
        self.handed = self.handed.saturating_sub(i64::from(batch.records()));
        Some(batch)
    }

    /// Takes the answer to the oldest batch in flight; the batch, where it is on the target.
    pub(super) fn answered(&mut self, result: ProduceResult) -> Option<Acked> {
        let batch = self.sent.pop_front()?;
        if self.problem.is_some() {
            self.release(&batch);
            return None;
        }
        if self.doubt.is_some() {
            // What was sent behind a batch in doubt is in doubt too, whatever the answer says.
            self.unsure.push_back(batch);
            return None;
        }
        let (span, bytes, expected) = (batch.source(), batch.len(), self.target_start.plus(self.acked));
        match result {
            ProduceResult::Appended { base } if base == expected && self.too_large.is_none() => {
                self.release(&batch);
                self.open = true;
                self.remembered_by = batch.max_timestamp();
                self.forgotten = 0;
                return Some(self.ack(batch));
            }
            // What was sent behind a batch that the target refused is refused too, if only for its sequence.
            ProduceResult::OutOfOrder | ProduceResult::Refused { .. } if self.too_large.is_some() => {}
            ProduceResult::Refused { code, .. } if is_too_large(code) && batch.records() > 1 => {
                self.too_large = Some(TooLarge { span, bytes });
            }
            ProduceResult::OutOfOrder => self.doubts(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.to_string(), true),
            ProduceResult::Refused { code: code @ ErrorCode::UNKNOWN_PRODUCER_ID, .. } => {
                self.doubts(code.to_string(), true);
            }
            ProduceResult::Refused { code: code @ ErrorCode::NOT_ENOUGH_REPLICAS, .. } => {
                self.doubts(code.to_string(), false);
            }
            ProduceResult::Unclear { cause } | ProduceResult::Lost { cause } => self.doubts(cause, false),
            ProduceResult::Appended { base } => {
                return self.give_up(batch, LaneProblem::Foreign { span, expected, base });
            }
            ProduceResult::Refused { code, message } => {
                return self.give_up(batch, LaneProblem::Refused { span, bytes: bytes as i64, code, message });
            }
        }
        self.unsure.push_back(batch);
        None
    }

    fn give_up(&mut self, batch: Outgoing, problem: LaneProblem) -> Option<Acked> {
        self.unsure.push_front(batch);
        self.fail(problem);
        None
    }

    fn ack(&mut self, batch: Outgoing) -> Acked {
        let before = self.acked;
        self.acked = self.acked.saturating_add(i64::from(batch.records()));
        Acked { batch, before }
    }

    /// The batch is no longer held.
    fn release(&mut self, batch: &Outgoing) {
        self.bytes = self.bytes.saturating_sub(batch.len());
    }

    /// From here on only the log can say what is on the target.
    pub(super) fn doubts(&mut self, cause: String, forgotten: bool) {
        self.doubt.get_or_insert(Doubt { cause, forgotten });
    }

    /// Why the log must be asked, once every answer is in.
    pub(super) fn doubt(&self) -> Option<&str> {
        self.doubt.as_ref().filter(|_| self.sent.is_empty()).map(|doubt| doubt.cause.as_str())
    }

    /// The source offsets of what is in doubt.
    pub(super) fn doubtful(&self) -> Span {
        let start = self.unsure.front().map_or(Offset(0), |batch| batch.source().start);
        Span { start, end: self.unsure.back().map_or(start, |batch| batch.source().end) }
    }

    /// The log ends at `boundary`: what lies in front of it is on the target, and what lies behind is not and comes back, in
    /// order. One batch goes alone again.
    pub(super) fn settled(&mut self, boundary: Boundary) -> (Vec<Acked>, VecDeque<Outgoing>) {
        let mut landed = Vec::new();
        let before = self.acked;
        let mut end = before;
        while let Some(batch) = self.unsure.pop_front_if(|batch| {
            end = end.saturating_add(i64::from(batch.records()));
            end <= boundary.records
        }) {
            self.release(&batch);
            landed.push(self.ack(batch));
        }
        let back = std::mem::take(&mut self.unsure);
        back.iter().for_each(|batch| self.release(batch));
        self.acked = boundary.records;
        self.handed = boundary.records;
        self.open = false;
        self.too_large = None;
        let forgotten = self.doubt.take().is_some_and(|doubt| doubt.forgotten) && boundary.records == before;
        if forgotten {
            self.begin_anew();
        }
        (landed, back)
    }

    /// The target no longer knows the producer: its next epoch starts to count anew, and late requests of this one are
    /// fenced. It must be durable before its first batch.
    fn begin_anew(&mut self) {
        self.forgotten = self.forgotten.saturating_add(1);
        match self.id.epoch.get().checked_add(1) {
            Some(epoch) if self.forgotten <= FORGOTTEN => {
                self.id = state::Writer { epoch: ProducerEpoch(epoch), origin: self.acked, ..self.id };
                self.journaled = self.acked;
            }
            _ => self.fail(LaneProblem::Forgotten { times: self.forgotten }),
        }
    }

    /// The batch that must be sent in smaller ones, once every answer to what followed it is in. Its sequence comes next,
    /// the first batch goes alone again, and nothing goes before the new cuts are journaled.
    pub(super) fn take_too_large(&mut self) -> Option<TooLarge> {
        if !self.sent.is_empty() || self.problem.is_some() || self.doubt.is_some() {
            return None;
        }
        let refused = self.too_large.take()?;
        for batch in std::mem::take(&mut self.unsure) {
            self.release(&batch);
        }
        self.handed = self.acked;
        self.journaled = self.acked;
        self.open = false;
        Some(refused)
    }

    /// What lies behind `records` records is cut anew: the journal that is durable no longer holds it.
    pub(super) fn recut_behind(&mut self, records: i64) {
        self.journaled = self.journaled.min(records);
    }

    /// The journal is durable up to `records` records.
    pub(super) fn may_go_to(&mut self, records: i64) {
        self.journaled = self.journaled.max(records);
    }

    /// The connection is another one: one batch goes alone.
    pub(super) fn close_pipeline(&mut self) {
        self.open = false;
    }

    pub(super) fn learn_stamps(&mut self, stamps: Stamps) {
        self.stamps = stamps;
    }

    pub(super) fn keeps_stamps(&self) -> bool {
        self.stamps != Stamps::Dropped
    }

    /// Keeps the first problem: what follows it in the pipeline is its consequence.
    pub(super) fn fail(&mut self, problem: LaneProblem) {
        self.failed_at = self.failed_at.or(self.first_unanswered());
        for batch in std::mem::take(&mut self.unsure) {
            self.release(&batch);
        }
        self.problem.get_or_insert_with(|| Box::new(problem));
    }

    pub(super) fn problem(&self) -> Option<&LaneProblem> {
        self.problem.as_deref()
    }

    /// Bytes in flight.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether every batch that went out has its answer, and nothing comes back.
    pub(super) fn is_idle(&self) -> bool {
        self.sent.is_empty() && (self.is_clear() || self.problem.is_some())
    }

    /// Whether nothing is in flight.
    pub(super) fn is_silent(&self) -> bool {
        self.sent.is_empty()
    }

    /// The first source offset without a good answer; `None` where every batch that went out has one.
    pub(super) fn first_unanswered(&self) -> Option<Offset> {
        let batch = self.unsure.front().or(self.sent.front()).map(|batch| batch.source().start);
        self.failed_at.or(self.too_large.map(|refused| refused.span.start)).or(batch)
    }

    pub(super) fn id(&self) -> state::Writer {
        self.id
    }

    /// Records that are on the target for certain.
    pub(super) fn acked(&self) -> i64 {
        self.acked
    }

    /// Records that are on the target once everything in flight is.
    pub(super) fn handed(&self) -> i64 {
        self.handed
    }

    /// Records up to which the durable journal reaches.
    pub(super) fn journaled(&self) -> i64 {
        self.journaled
    }
}

fn is_too_large(code: ErrorCode) -> bool {
    [ErrorCode::MESSAGE_TOO_LARGE, ErrorCode::RECORD_LIST_TOO_LARGE].contains(&code)
}
