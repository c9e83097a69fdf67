//! How the next records will be cut into batches, written down before they are sent.

use crate::kafka::{Offset, put_varint, varint_len};

/// Where one batch ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// Records in the batch.
    pub records: i32,
    /// The source offset behind the batch.
    pub next: Offset,
}

/// The cuts that follow a place in the source, in order; of limited size, because a commit's metadata is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Journal {
    from: Offset,
    cuts: Vec<Cut>,
    bytes: usize,
}

impl Journal {
    /// The most bytes that the cuts take, before they are written as text.
    pub const CAPACITY: usize = 2_250;

    /// No cuts behind the source offset `from`.
    pub const fn new(from: Offset) -> Self {
        Self { from, cuts: Vec::new(), bytes: 0 }
    }

    /// The source offset at which it begins.
    pub const fn from(&self) -> Offset {
        self.from
    }

    /// The source offset behind its last batch.
    pub fn end(&self) -> Offset {
        self.cuts.last().map_or(self.from, |cut| cut.next)
    }

    /// The cuts, in order.
    pub fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// Adds a batch behind the others; `false` where there is no room for it.
    pub fn push(&mut self, cut: Cut) -> bool {
        let (records, gap) = self.relative(cut);
        let bytes = self.bytes + varint_len(records) + varint_len(gap);
        if bytes > Self::CAPACITY {
            return false;
        }
        self.bytes = bytes;
        self.cuts.push(cut);
        true
    }

    /// A cut as it is written: its records, and by how many offsets it is longer.
    fn relative(&self, cut: Cut) -> (i64, i64) {
        let records = i64::from(cut.records);
        (records, cut.next.get().saturating_sub(self.end().get()).saturating_sub(records))
    }

    /// The cuts as varints.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes);
        let mut written = Self::new(self.from);
        for cut in &self.cuts {
            let (records, gap) = written.relative(*cut);
            put_varint(&mut out, records);
            put_varint(&mut out, gap);
            written.cuts.push(*cut);
        }
        out
    }

    /// Adds the cut that was written as `records` and `gap`; `None` where that makes no sense.
    pub(super) fn read(&mut self, records: i32, gap: i64) -> Option<()> {
        let next = self.end().get().checked_add(i64::from(records))?.checked_add(gap)?;
        (records > 0 && gap >= 0 && self.push(Cut { records, next: Offset(next) })).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_takes_hundreds_of_batches_and_then_no_more() {
        let mut journal = Journal::new(Offset(1_000_000));
        let mut next = 1_000_000;
        let fits = (0..5_000).take_while(|_| {
            next += 120;
            journal.push(Cut { records: 120, next: Offset(next) })
        });
        assert_eq!(fits.count(), 750);
        assert_eq!(journal.bytes().len(), Journal::CAPACITY);
        assert_eq!(journal.bytes().len(), journal.bytes);
        assert_eq!(journal.end(), journal.cuts().last().map_or(Offset(0), |cut| cut.next));
    }

    #[test]
    fn a_batch_has_records_and_does_not_lie_in_front_of_the_one_before_it() {
        for (records, gap, makes_sense) in [(3, 0, true), (0, 3, false), (-1, 3, false), (3, -1, false), (0, -1, false)]
        {
            let mut journal = Journal::new(Offset(100));
            assert_eq!(journal.read(records, gap).is_some(), makes_sense, "{records} records, {gap} more offsets");
            assert_eq!(journal.cuts().len(), usize::from(makes_sense));
        }
    }
}
