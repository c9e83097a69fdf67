//! What became of each batch that was read, until the lane is past it for good.
//!
//! A lane may go back: what was read ahead is dropped when it stops or must cut its batches anew. The result counts each
//! batch of the source once, by what became of it in the end.

use std::collections::VecDeque;

use super::tally::{Tally, Volume};
use crate::batch::{DropReason, RewriteReason};
use crate::kafka::{Offset, Span};

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Passed,
    Rewritten(RewriteReason),
    Dropped(DropReason),
}

/// A batch that was read and is not settled, or several that share their fate.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The offset behind the last of them, or the lane's end if that comes before.
    end: Offset,
    volume: Volume,
    fate: Fate,
}

/// A lane's batches by verdict.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    open: VecDeque<Entry>,
    settled: Tally,
}

impl Ledger {
    /// A batch that ends at `end`, behind all that were added before; or several, of which the last does, if the lane will not
    /// go back to a place between them.
    pub(super) fn add(&mut self, end: Offset, volume: Volume, fate: Fate) {
        self.open.push_back(Entry { end, volume, fate });
    }

    /// What was added for the offsets of `source` goes to the target as one batch: the lane will not go back to a place
    /// inside of it. There may be thousands of tiny batches in it, so those of one fate become one entry.
    pub(super) fn joined(&mut self, source: Span) {
        let from = self.open.partition_point(|entry| entry.end <= source.start);
        let behind = self.open.partition_point(|entry| entry.end <= source.end);
        let mut joined: Vec<Entry> = Vec::new();
        for entry in self.open.drain(from..behind) {
            match joined.last_mut().filter(|last| last.fate == entry.fate) {
                Some(last) => {
                    last.end = entry.end;
                    last.volume.merge(entry.volume);
                }
                None => joined.push(entry),
            }
        }
        (from..).zip(joined).for_each(|(place, entry)| self.open.insert(place, entry));
    }

    /// Something else became of the batch that ends at `end`: `None` where nothing did.
    pub(super) fn amend(&mut self, end: Offset, fate: Option<Fate>) {
        let Some(place) = self.open.iter().rposition(|entry| entry.end == end) else { return };
        match (fate, self.open.get_mut(place)) {
            (Some(fate), Some(entry)) => entry.fate = fate,
            _ => drop(self.open.remove(place)),
        }
    }

    /// The lane reads again from `offset` on.
    pub(super) fn rewind(&mut self, offset: Offset) {
        while self.open.pop_back_if(|entry| entry.end > offset).is_some() {}
    }

    /// The lane will not come back behind `offset`.
    pub(super) fn settle(&mut self, offset: Offset) {
        while let Some(entry) = self.open.pop_front_if(|entry| entry.end <= offset) {
            let volume = match entry.fate {
                Fate::Passed => &mut self.settled.passed,
                Fate::Rewritten(reason) => self.settled.rewritten.entry(reason.as_str()).or_default(),
                Fate::Dropped(reason) => self.settled.dropped.entry(reason.as_str()).or_default(),
            };
            volume.merge(entry.volume);
        }
    }

    /// What is settled.
    pub(super) fn tally(&self) -> &Tally {
        &self.settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_again_counts_once_and_by_its_last_fate() {
        let mut ledger = Ledger::default();
        ledger.add(Offset(10), Volume::of(100), Fate::Passed);
        ledger.add(Offset(20), Volume::of(200), Fate::Rewritten(RewriteReason::Join));
        ledger.add(Offset(30), Volume::of(300), Fate::Dropped(DropReason::Control));
        ledger.settle(Offset(10));
        ledger.rewind(Offset(15));
        ledger.add(Offset(20), Volume::of(200), Fate::Rewritten(RewriteReason::TooLarge));
        ledger.add(Offset(30), Volume::of(300), Fate::Rewritten(RewriteReason::Join));
        ledger.add(Offset(31), Volume::of(1), Fate::Passed);
        ledger.amend(Offset(30), Some(Fate::Passed));
        ledger.amend(Offset(31), None);
        ledger.settle(Offset(31));
        let tally = ledger.tally();
        assert_eq!((tally.passed.batches, tally.passed.bytes), (2, 400));
        assert_eq!(tally.rewritten.keys().copied().collect::<Vec<_>>(), ["too_large"]);
        assert!(tally.dropped.is_empty());
    }

    #[test]
    fn what_ends_where_the_lane_goes_back_to_is_not_read_again() {
        let mut ledger = Ledger::default();
        ledger.add(Offset(10), Volume::of(100), Fate::Passed);
        ledger.add(Offset(20), Volume::of(200), Fate::Passed);
        ledger.rewind(Offset(10));
        ledger.settle(Offset(20));
        assert_eq!((ledger.tally().passed.batches, ledger.tally().passed.bytes), (1, 100));
    }

    #[test]
    fn what_became_one_batch_is_one_entry_for_each_fate() {
        let mut ledger = Ledger::default();
        ledger.add(Offset(10), Volume::of(1), Fate::Rewritten(RewriteReason::Boundary));
        (11..21).for_each(|end| ledger.add(Offset(end), Volume::of(10), Fate::Rewritten(RewriteReason::Join)));
        (21..26).for_each(|end| ledger.add(Offset(end), Volume::of(100), Fate::Rewritten(RewriteReason::Join)));
        ledger.joined(Span::new(5, 20));
        assert_eq!(ledger.open.len(), 2 + 5);
        ledger.joined(Span::new(20, 23));
        ledger.joined(Span::new(23, 25));
        assert_eq!(ledger.open.iter().map(|entry| entry.end.get()).collect::<Vec<_>>(), [10, 20, 23, 25]);
        ledger.rewind(Offset(23));
        ledger.settle(Offset(23));
        let joined = ledger.tally().rewritten["join"];
        assert_eq!((joined.batches, joined.bytes), (13, 400));
        assert_eq!(ledger.tally().rewritten["boundary"], Volume { batches: 1, bytes: 1 });
    }

    #[test]
    fn several_that_were_added_at_once_count_one_by_one() {
        let mut ledger = Ledger::default();
        ledger.add(Offset(10), Volume::of(100), Fate::Rewritten(RewriteReason::Join));
        ledger.add(Offset(50), Volume { batches: 40, bytes: 4_000 }, Fate::Rewritten(RewriteReason::Join));
        ledger.add(Offset(60), Volume { batches: 5, bytes: 500 }, Fate::Rewritten(RewriteReason::Join));
        ledger.joined(Span::new(9, 50));
        ledger.settle(Offset(50));
        assert_eq!(ledger.tally().rewritten["join"], Volume { batches: 41, bytes: 4_100 });
        ledger.rewind(Offset(50));
        ledger.settle(Offset(60));
        assert_eq!(ledger.tally().bytes_read(), 4_100, "what was read again is not counted yet");
    }

    #[test]
    fn what_the_lane_is_not_past_does_not_count() {
        let mut ledger = Ledger::default();
        ledger.add(Offset(10), Volume::of(100), Fate::Passed);
        ledger.settle(Offset(9));
        assert_eq!(ledger.tally(), &Tally::default());
    }
}
