//! The target side of a lane: stamps, what is in flight, and what the answers prove.

use std::collections::VecDeque;

use super::answer::ProduceResult;
use super::error::LaneProblem;
use crate::batch::Outgoing;
use crate::kafka::{Offset, Span, Stamp};

/// A batch that was handed out for sending and has no answer yet.
#[derive(Clone, Copy, Debug)]
struct Sent {
    span: Span,
    records: i32,
    bytes: usize,
    old: bool,
}

/// Writes a lane's batches in order, each once.
#[derive(Debug)]
pub(super) struct Writer {
    stamp: Stamp,
    expected: Offset,
    start: Offset,
    depth: usize,
    old_before: i64,
    open: bool,
    sent: VecDeque<Sent>,
    bytes: usize,
    problem: Option<LaneProblem>,
}

impl Writer {
    /// `end` is the target partition's log end: where the first record must land. Batches whose newest record is older
    /// than `old_before` (ms since 1970) go one at a time: a broker that has forgotten their producer (it forgets by
    /// record time) could append a later one after refusing an earlier one.
    pub(super) fn new(stamp: Stamp, end: Offset, depth: usize, old_before: i64) -> Self {
        let sent = VecDeque::new();
        Self { stamp, expected: end, start: end, depth, old_before, open: false, sent, bytes: 0, problem: None }
    }

    /// Whether `next` may go out now. After the start ONE batch goes out alone; only its answer with the expected
    /// offset opens the pipeline.
    pub(super) fn may_send(&self, next: &Outgoing) -> bool {
        let alone = !self.open || next.max_timestamp() < self.old_before || self.sent.iter().any(|sent| sent.old);
        let depth = if alone { 1 } else { self.depth };
        self.problem.is_none() && self.sent.len() < depth
    }

    /// Stamps a batch and counts it as in flight.
    pub(super) fn send(&mut self, mut batch: Outgoing) -> Outgoing {
        batch.stamp(self.stamp);
        self.stamp.sequence = self.stamp.sequence.plus(batch.records());
        self.bytes = self.bytes.saturating_add(batch.len());
        self.sent.push_back(Sent {
            span: batch.source(),
            records: batch.records(),
            bytes: batch.len(),
            old: batch.max_timestamp() < self.old_before,
        });
        batch
    }

    /// Takes back the newest batch, which never left; its source offsets.
    pub(super) fn unsent(&mut self) -> Option<Span> {
        let sent = self.sent.pop_back()?;
        self.bytes = self.bytes.saturating_sub(sent.bytes);
        Some(sent.span)
    }

    /// Takes the answer to the oldest batch in flight.
    pub(super) fn answered(&mut self, result: ProduceResult) {
        let Some(sent) = self.sent.pop_front() else { return };
        self.bytes = self.bytes.saturating_sub(sent.bytes);
        let span = sent.span;
        let problem = match result {
            ProduceResult::Appended { base } if base == self.expected && self.problem.is_none() => {
                self.expected = base.plus(i64::from(sent.records));
                self.open = true;
                return;
            }
            ProduceResult::Appended { base } => LaneProblem::Foreign { span, expected: self.expected, base },
            ProduceResult::Refused { code, message } => {
                LaneProblem::Refused { span, bytes: sent.bytes as i64, code, message }
            }
            ProduceResult::Unclear { cause } => LaneProblem::Unclear { span, cause },
        };
        self.fail(problem);
    }

    /// Keeps the first problem: what follows it in the pipeline is its consequence. A doubt grows with the next one.
    pub(super) fn fail(&mut self, problem: LaneProblem) {
        match (&mut self.problem, problem) {
            (Some(LaneProblem::Unclear { span, .. }), LaneProblem::Unclear { span: later, .. }) => span.end = later.end,
            (Some(_), _) => {}
            (none, problem) => *none = Some(problem),
        }
    }

    pub(super) fn problem(&self) -> Option<&LaneProblem> {
        self.problem.as_ref()
    }

    /// Bytes in flight.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_idle(&self) -> bool {
        self.sent.is_empty()
    }

    /// The first source offset without a good answer; `None` where every batch that went out has one.
    pub(super) fn first_unanswered(&self) -> Option<Offset> {
        let failed = match &self.problem {
            Some(
                LaneProblem::Refused { span, .. }
                | LaneProblem::Unclear { span, .. }
                | LaneProblem::Foreign { span, .. },
            ) => Some(span.start),
            _ => None,
        };
        failed.or_else(|| self.sent.front().map(|sent| sent.span.start))
    }

    /// Where our records lie on the target: from the log end we began at, up to the last good answer.
    pub(super) fn written(&self) -> Span {
        Span { start: self.start, end: self.expected }
    }
}
