//! Where a lane's batches end, on the source and counted in records: from what is durable up to the last one that was cut.

use std::collections::VecDeque;
use std::time::Duration;

use crate::kafka::Offset;
use crate::state::{Cut, Journal};

/// How long boundaries are known although a later one is durable. A log that loses what it had acknowledged loses the last of
/// it: what a follower lacked that fell behind (`replica.lag.time.max.ms`, 30 s), or what was not on a disk yet.
const KNOWN: Duration = Duration::from_secs(60);

/// A place between two batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Boundary {
    /// Records of the lane that lie in front of it on the target.
    pub(super) records: i64,
    /// The source offset behind it.
    pub(super) next: Offset,
}

/// The boundaries of a lane, in order: those behind its durable checkpoint, where whatever the target's log holds of the lane
/// ends, and those of the last minute, in case that it loses some of it.
#[derive(Clone, Debug)]
pub(super) struct Trail {
    boundaries: VecDeque<Boundary>,
    /// When checkpoints became durable, and how many records lay in front of them.
    durable: VecDeque<(Duration, i64)>,
}

impl Trail {
    /// A trail that begins at a checkpoint and goes on as its journal says.
    pub(super) fn new(base: Boundary, cuts: &[Cut]) -> Self {
        let mut trail = Self { boundaries: VecDeque::from([base]), durable: VecDeque::new() };
        cuts.iter().for_each(|cut| trail.push(*cut));
        trail
    }

    /// Another batch behind all others.
    pub(super) fn push(&mut self, cut: Cut) {
        let records = self.end().records.saturating_add(i64::from(cut.records));
        self.boundaries.push_back(Boundary { records, next: cut.next });
    }

    /// The last boundary.
    pub(super) fn end(&self) -> Boundary {
        self.boundaries.back().copied().unwrap_or(Boundary { records: 0, next: Offset(0) })
    }

    /// The boundary with so many records in front of it.
    pub(super) fn find(&self, records: i64) -> Option<Boundary> {
        let place = self.boundaries.binary_search_by_key(&records, |boundary| boundary.records).ok()?;
        self.boundaries.get(place).copied()
    }

    /// The last boundary that does not lie behind the source offset `offset`.
    pub(super) fn at_or_before(&self, offset: Offset) -> Option<Boundary> {
        let place = self.boundaries.partition_point(|boundary| boundary.next <= offset);
        self.boundaries.get(place.checked_sub(1)?).copied()
    }

    /// What lies behind `records` records will be cut anew.
    pub(super) fn forget_behind(&mut self, records: i64) {
        while self.boundaries.len() > 1 && self.boundaries.pop_back_if(|last| last.records > records).is_some() {}
    }

    /// The checkpoint with so many records is durable, and so many are on the target now.
    pub(super) fn durable(&mut self, now: Duration, records: i64, acked: i64) {
        self.durable.push_back((now, records));
        while let Some((_, records)) = self.durable.pop_front_if(|(since, _)| since.saturating_add(KNOWN) <= now) {
            let first = records.min(acked);
            while self.boundaries.len() > 1 && self.boundaries.pop_front_if(|known| known.records < first).is_some() {}
        }
    }

    /// The batches behind `records` records.
    pub(super) fn cuts_behind(&self, records: i64) -> impl Iterator<Item = Cut> + '_ {
        let first = self.boundaries.partition_point(|boundary| boundary.records <= records);
        let mut before = records;
        self.boundaries.range(first..).map(move |boundary| {
            let own = boundary.records.saturating_sub(before);
            before = boundary.records;
            Cut { records: i32::try_from(own).unwrap_or(i32::MAX), next: boundary.next }
        })
    }

    /// The journal for a checkpoint with so many records that goes on at `next`, as far as one journal holds.
    pub(super) fn journal(&self, records: i64, next: Offset) -> Journal {
        let mut journal = Journal::new(next);
        for cut in self.cuts_behind(records) {
            if !journal.push(cut) {
                break;
            }
        }
        journal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail() -> Trail {
        let cuts = [(10, 110), (5, 120), (7, 127)].map(|(records, next)| Cut { records, next: Offset(next) });
        Trail::new(Boundary { records: 100, next: Offset(100) }, &cuts)
    }

    #[test]
    fn only_the_ends_of_batches_are_found() {
        let next = |records| trail().find(records).map(|boundary| boundary.next);
        assert_eq!([100, 110, 115, 122].map(next), [100, 110, 120, 127].map(|next| Some(Offset(next))));
        assert_eq!([0, 99, 101, 114, 123].map(next), [None; 5]);
    }

    #[test]
    fn what_was_durable_a_minute_ago_is_forgotten_and_so_is_what_will_be_cut_anew() {
        let mut trail = trail();
        let start = Duration::from_secs(5);
        trail.durable(start, 112, 122);
        trail.durable(start + KNOWN / 2, 122, 122);
        assert!(trail.find(110).is_some());
        trail.durable(start + KNOWN, 122, 122);
        assert_eq!((trail.find(110), trail.find(115).is_some()), (None, true));
        trail.durable(start + KNOWN * 3 / 2, 122, 115);
        assert!(trail.find(115).is_some(), "the log has lost what lay behind it");
        trail.forget_behind(115);
        assert_eq!(trail.end(), Boundary { records: 115, next: Offset(120) });
        trail.forget_behind(0);
        trail.durable(start + KNOWN * 4, 1_000, 1_000);
        assert_eq!(trail.end(), Boundary { records: 115, next: Offset(120) }, "one boundary is always known");
    }

    #[test]
    fn a_journal_holds_the_batches_behind_the_checkpoint() {
        let journal = trail().journal(110, Offset(112));
        let cuts = [(5, 120), (7, 127)].map(|(records, next)| Cut { records, next: Offset(next) });
        assert_eq!((journal.from(), journal.cuts()), (Offset(112), &cuts[..]));
    }

    #[test]
    fn a_journal_that_is_full_ends_in_front_of_what_does_not_fit() {
        let mut trail = trail();
        for n in 0..5_000 {
            trail.push(Cut { records: 1_000, next: Offset(2_000 * (n + 1)) });
        }
        let journal = trail.journal(100, Offset(100));
        assert!((500..1_000).contains(&journal.cuts().len()));
        let records = journal.cuts().iter().map(|cut| i64::from(cut.records)).sum::<i64>();
        assert_eq!(trail.find(100 + records).map(|boundary| boundary.next), Some(journal.end()));
    }

    #[test]
    fn the_boundary_in_front_of_an_offset_is_the_nearest_one() {
        let before = |offset| trail().at_or_before(Offset(offset)).map(|boundary| boundary.records);
        assert_eq!([99, 100, 119, 120, 500].map(before), [None, Some(100), Some(110), Some(115), Some(122)]);
    }
}
