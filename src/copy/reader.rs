//! The source side of a lane: record bytes in, batches ready to be stamped out.

use bytes::Bytes;

use super::error::LaneProblem;
use super::tally::Tally;
use crate::batch::{
    self, BatchError, BatchErrorKind, Judge, Outgoing, Piece, RawBatch, Rules, UnsupportedReason, Verdict,
};
use crate::cluster::AbortedTransaction;
use crate::kafka::{Offset, Span};

/// How often in a row the source may answer without a whole batch below the lane's end, although nothing in front of
/// the lane in the request had taken the space: a broker gives the first partition that has records a whole batch,
/// however large (KIP-74).
const EMPTY_ANSWERS: u32 = 10;

/// Walks the source's log from the span's start to its end.
#[derive(Debug)]
pub(super) struct Reader {
    span: Span,
    next: Offset,
    rules: Rules,
    tally: Tally,
    empty_answers: u32,
    starved: bool,
    stopped: Option<LaneProblem>,
}

impl Reader {
    pub(super) fn new(span: Span, rules: Rules) -> Self {
        Self { span, next: span.start, rules, tally: Tally::default(), empty_answers: 0, starved: false, stopped: None }
    }

    /// The next source offset to ask for.
    pub(super) fn next(&self) -> Offset {
        self.next
    }

    /// Whether nothing is left to ask for: the end is reached or something stands in the way.
    pub(super) fn is_done(&self) -> bool {
        self.stopped.is_some() || self.next >= self.span.end
    }

    /// What stands in the way, if the end was not reached.
    pub(super) fn problem(&self) -> Option<&LaneProblem> {
        self.stopped.as_ref()
    }

    pub(super) fn stop(&mut self, problem: LaneProblem) {
        self.stopped.get_or_insert(problem);
    }

    /// What was read from `offset` on will not be written after all.
    pub(super) fn rewind(&mut self, offset: Offset) {
        self.next = self.next.min(offset);
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Takes the record bytes of one Fetch answer, with the aborted transactions that it names, and hands each batch that
    /// is to be written to `out`, in order. `crowded`: partitions in front of this one may have used up the space.
    pub(super) fn take(
        &mut self,
        records: Bytes,
        aborted: Vec<AbortedTransaction>,
        crowded: bool,
        mut out: impl FnMut(Outgoing),
    ) {
        let before = self.next;
        let mut judge = Judge::new(aborted);
        for piece in batch::batches(records) {
            if self.is_done() {
                return;
            }
            let step = match piece {
                Ok(Piece::Batch(batch)) => self.batch(&batch, &mut judge, &mut out),
                Ok(Piece::Legacy { magic, base_offset, .. }) => Err(LaneProblem::Unsupported {
                    offset: base_offset.max(self.next),
                    reason: UnsupportedReason::Legacy { magic }.to_string(),
                }),
                Ok(Piece::Partial { .. }) => break,
                Err(error) => Err(LaneProblem::Corrupt { offset: self.next, what: error.to_string() }),
            };
            if let Err(problem) = step {
                self.stop(problem);
            }
        }
        self.count_empty(before, crowded);
    }

    fn batch(
        &mut self,
        batch: &RawBatch,
        judge: &mut Judge,
        out: &mut impl FnMut(Outgoing),
    ) -> Result<(), LaneProblem> {
        let header = batch.header();
        if header.base_offset >= self.span.end {
            self.next = self.span.end; // the rest of the span was compacted away
            return Ok(());
        }
        let left = Span { start: self.next, end: self.span.end };
        // Asked about every batch, also those in front of the span: they may begin or end a transaction.
        let verdict = judge.verdict(batch, left, &self.rules).map_err(|error| not_rebuilt(self.next, error))?;
        if header.next_offset() <= self.next {
            return Ok(()); // a Fetch may begin before the offset that was asked for
        }
        match verdict {
            Verdict::Pass => {
                self.tally.passed.add(header.size());
                out(batch::pass(batch));
            }
            Verdict::Rewrite(reason) => {
                let rebuilt =
                    batch::rebuild(batch, left, &self.rules).map_err(|error| not_rebuilt(self.next, error))?;
                self.tally.rewritten.entry(reason.as_str()).or_default().add(header.size());
                rebuilt.into_iter().for_each(out);
            }
            Verdict::Drop(reason) => self.tally.dropped.entry(reason.as_str()).or_default().add(header.size()),
            Verdict::Unsupported(reason) => {
                return Err(LaneProblem::Unsupported {
                    offset: header.base_offset.max(self.next),
                    reason: reason.to_string(),
                });
            }
        }
        self.next = header.next_offset().min(self.span.end);
        Ok(())
    }

    fn count_empty(&mut self, before: Offset, crowded: bool) {
        self.starved = self.next == before && !self.is_done();
        if !self.starved {
            self.empty_answers = 0;
            return;
        }
        if crowded {
            return;
        }
        self.empty_answers = self.empty_answers.saturating_add(1);
        if self.empty_answers >= EMPTY_ANSWERS {
            let attempts = self.empty_answers;
            self.stop(LaneProblem::NoRecords { offset: self.next, end: self.span.end, attempts });
        }
    }

    /// Whether the last answer brought nothing: such a lane is asked for first next time.
    pub(super) fn is_starved(&self) -> bool {
        self.starved
    }
}

fn not_rebuilt(next: Offset, error: BatchError) -> LaneProblem {
    let offset = error.base_offset.max(next);
    match error.kind {
        BatchErrorKind::Refused(reason) => LaneProblem::Unsupported { offset, reason: reason.to_string() },
        kind => LaneProblem::Corrupt { offset, what: kind.to_string() },
    }
}
