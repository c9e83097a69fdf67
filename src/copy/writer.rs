//! The target side of a lane: stamps, what is in flight, and what the answers prove.

use std::collections::VecDeque;

use super::answer::ProduceResult;
use super::error::LaneProblem;
use crate::batch::Outgoing;
use crate::kafka::{ErrorCode, Offset, Sequence, Span, Stamp};

/// A batch that was handed out for sending and has no answer yet.
#[derive(Clone, Copy, Debug)]
struct Sent {
    span: Span,
    sequence: Sequence,
    records: i32,
    bytes: usize,
    old: bool,
}

/// A batch that the target found too large. Nothing of it is in the log, and nothing of what was sent behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooLarge {
    /// Its source offsets, end exclusive.
    pub(super) span: Span,
    /// Its size.
    pub(super) bytes: usize,
    sequence: Sequence,
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
    too_large: Option<TooLarge>,
    problem: Option<LaneProblem>,
}

impl Writer {
    /// `end` is the target partition's log end: where the first record must land. Batches whose newest record is older
    /// than `old_before` (ms since 1970) go one at a time: a broker that has forgotten their producer (it forgets by
    /// record time) could append a later one after refusing an earlier one.
    pub(super) fn new(stamp: Stamp, end: Offset, depth: usize, old_before: i64) -> Self {
        Self {
            stamp,
            expected: end,
            start: end,
            depth,
            old_before,
            open: false,
            sent: VecDeque::new(),
            bytes: 0,
            too_large: None,
            problem: None,
        }
    }

    /// Whether `next` may go out now. After the start ONE batch goes out alone; only its answer with the expected
    /// offset opens the pipeline.
    pub(super) fn may_send(&self, next: &Outgoing) -> bool {
        let alone = !self.open || next.max_timestamp() < self.old_before || self.sent.iter().any(|sent| sent.old);
        let depth = if alone { 1 } else { self.depth };
        self.problem.is_none() && self.too_large.is_none() && self.sent.len() < depth
    }

    /// Stamps a batch and counts it as in flight.
    pub(super) fn send(&mut self, mut batch: Outgoing) -> Outgoing {
        batch.stamp(self.stamp);
        let sequence = self.stamp.sequence;
        self.stamp.sequence = self.stamp.sequence.plus(batch.records());
        self.bytes = self.bytes.saturating_add(batch.len());
        self.sent.push_back(Sent {
            span: batch.source(),
            sequence,
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
            ProduceResult::Appended { base }
                if base == self.expected && self.problem.is_none() && self.too_large.is_none() =>
            {
                self.expected = base.plus(i64::from(sent.records));
                self.open = true;
                return;
            }
            ProduceResult::Appended { base } => LaneProblem::Foreign { span, expected: self.expected, base },
            // What was sent behind a batch that the target refused is refused for its sequence.
            ProduceResult::OutOfOrder if self.too_large.is_some() => return,
            ProduceResult::Refused { code, .. } if self.splits(code, &sent) => {
                let Sent { span, bytes, sequence, .. } = sent;
                self.too_large.get_or_insert(TooLarge { span, bytes, sequence });
                return;
            }
            ProduceResult::Refused { code, message } => {
                LaneProblem::Refused { span, bytes: sent.bytes as i64, code, message }
            }
            ProduceResult::OutOfOrder => {
                LaneProblem::Unclear { span, cause: ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.to_string() }
            }
            ProduceResult::Unclear { cause } => LaneProblem::Unclear { span, cause },
        };
        self.fail(problem);
    }

    /// Whether a refused batch may be sent again in smaller ones, or is the consequence of one that is.
    fn splits(&self, code: ErrorCode, sent: &Sent) -> bool {
        let large = [ErrorCode::MESSAGE_TOO_LARGE, ErrorCode::RECORD_LIST_TOO_LARGE].contains(&code);
        self.problem.is_none() && (self.too_large.is_some() || (large && sent.records > 1))
    }

    /// Whether a batch was refused that will be sent in smaller ones.
    pub(super) fn is_splitting(&self) -> bool {
        self.too_large.is_some()
    }

    /// The batch that must be sent in smaller ones, once every answer to what followed it is in. Its sequence comes next,
    /// and the first batch goes alone again.
    pub(super) fn take_too_large(&mut self) -> Option<TooLarge> {
        if !self.sent.is_empty() || self.problem.is_some() {
            return None;
        }
        let refused = self.too_large.take()?;
        self.stamp.sequence = refused.sequence;
        self.open = false;
        Some(refused)
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
        self.sent.is_empty() && (self.too_large.is_none() || self.problem.is_some())
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
        let too_large = self.too_large.map(|refused| refused.span.start);
        too_large.or(failed).or_else(|| self.sent.front().map(|sent| sent.span.start))
    }

    /// Where our records lie on the target: from the log end we began at, up to the last good answer.
    pub(super) fn written(&self) -> Span {
        Span { start: self.start, end: self.expected }
    }
}
