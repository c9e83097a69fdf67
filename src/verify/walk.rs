//! One Fetch answer of a side, cut into the parts of a comparison.

use bytes::Bytes;

use super::sequence::Part;
use crate::batch::{
    BatchError, BatchErrorKind, DropReason, Entry, Judge, MessageSet, Piece, RawBatch, Rules, Verdict, batches,
};
use crate::cluster::AbortedTransaction;
use crate::kafka::{Offset, Side, Span};

/// What came of an answer.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) parts: Vec<Part>,
    /// The next offset to ask for.
    pub(super) next: Offset,
    /// Bytes that the next answer must have room for to bring anything; 0 where that is not known.
    pub(super) needed: usize,
    /// What ended it early.
    pub(super) error: Option<BatchError>,
}

/// Walks the record bytes of an answer about the offsets of `left`. Of the source only what a read_committed consumer sees
/// counts, as the copy has it; of the target everything.
pub(super) fn walk(side: Side, records: Bytes, aborted: Vec<AbortedTransaction>, left: Span) -> Walked {
    let mut walk = Walk {
        side,
        judge: Judge::new(aborted),
        end: left.end,
        behind: None,
        walked: Walked { parts: Vec::new(), next: left.start, needed: 0, error: None },
    };
    for piece in batches(records) {
        let step = match piece {
            Ok(Piece::Batch(batch)) => walk.batch(batch),
            Ok(Piece::Set(set)) => walk.set(set),
            Ok(Piece::Partial { size, .. }) => {
                walk.walked.needed = size.filter(|_| walk.behind.is_none()).unwrap_or(0);
                break;
            }
            Err(error) => Err(error),
        };
        if walk.walked.next >= walk.end {
            break;
        }
        if let Err(error) = step {
            walk.walked.error = Some(error);
            break;
        }
    }
    walk.walked
}

struct Walk {
    side: Side,
    judge: Judge,
    end: Offset,
    /// The offset behind the entry that was walked last.
    behind: Option<Offset>,
    walked: Walked,
}

impl Walk {
    /// A log's offsets only grow: an entry whose own do not was damaged.
    fn follow(&mut self, span: Span) -> Result<(), BatchError> {
        if let Some(behind) = self.behind.filter(|behind| span.start < *behind) {
            return Err(BatchErrorKind::Order { behind }.at(span.start));
        }
        self.behind = Some(span.end);
        Ok(())
    }

    fn batch(&mut self, batch: RawBatch) -> Result<(), BatchError> {
        let span = batch.header().span();
        self.follow(span)?;
        if span.start >= self.end {
            self.walked.next = self.end;
            return Ok(());
        }
        let left = Span { start: self.walked.next, end: self.end };
        let verdict = match self.side {
            // Asked about every batch, also those in front: they may begin or end a transaction.
            Side::Source => self.judge.verdict(&batch, left, &Rules::default())?,
            Side::Target if span.end <= left.start => Verdict::Drop(DropReason::Outside),
            Side::Target => Verdict::Pass,
        };
        match verdict {
            Verdict::Drop(DropReason::Outside) => return Ok(()),
            Verdict::Drop(DropReason::Empty) => {}
            Verdict::Drop(DropReason::Control | DropReason::Aborted) => self.walked.parts.push(Part::Nothing(span)),
            _ => self.walked.parts.push(Part::Entry(Entry::Batch(batch))),
        }
        self.walked.next = span.end.min(self.end);
        Ok(())
    }

    fn set(&mut self, set: MessageSet) -> Result<(), BatchError> {
        self.follow(Span { start: set.last_offset(), end: set.next_offset() })?;
        if set.is_plain() && set.last_offset() >= self.end {
            self.walked.next = self.end;
        } else if set.last_offset() >= self.walked.next {
            self.walked.next = set.next_offset().min(self.end);
            self.walked.parts.push(Part::Entry(Entry::Set(set)));
        }
        Ok(())
    }
}
