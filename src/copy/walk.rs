//! The way of a lane's reader through one Fetch answer.

use crate::batch::{BatchError, BatchErrorKind, Judge, Run};
use crate::cluster::AbortedTransaction;
use crate::kafka::{Offset, Span};

/// The way through one Fetch answer.
pub(super) struct Walk<F> {
    pub(super) judge: Judge,
    pub(super) run: Run,
    /// The offset behind the entry that was walked last.
    pub(super) behind: Option<Offset>,
    pub(super) out: F,
}

impl<F> Walk<F> {
    /// At the front of an answer with so many bytes of records, which names these aborted transactions.
    pub(super) fn new(aborted: Vec<AbortedTransaction>, bytes: usize, out: F) -> Self {
        Self { judge: Judge::new(aborted), run: Run::of(bytes), behind: None, out }
    }

    /// Goes on to the entry at `span`. A log's offsets only grow: an entry whose own do not was damaged, and must not be
    /// taken for one that lies in front of what was asked for.
    pub(super) fn follow(&mut self, span: Span) -> Result<(), BatchError> {
        if let Some(behind) = self.behind.filter(|behind| span.start < *behind) {
            // Nothing else that it says about its place is believed.
            return Err(BatchErrorKind::Order { behind }.at(span.start));
        }
        self.behind = Some(span.end);
        Ok(())
    }
}
