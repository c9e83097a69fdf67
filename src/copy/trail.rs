//! Where a lane's batches end, on the source and counted in records: from what is durable up to the last one that was cut.

use std::collections::VecDeque;
use std::iter;
use std::time::Duration;

use crate::kafka::cursor::put_varint;
use crate::kafka::{Cursor, Offset};
use crate::state::{Cut, Journal};

/// How long boundaries are known although a later one is durable. A log that loses what it had acknowledged loses the last of
/// it: what a follower lacked that fell behind (`replica.lag.time.max.ms`, 30 s), or what was not on a disk yet.
const KNOWN: Duration = Duration::from_secs(60);

/// So many boundaries are packed at a time.
const PACKED: usize = 128;

/// So many packs are kept at most, of two or three bytes a boundary: a minute of 17,000 batches a second.
const MOST_PACKS: usize = 8 * 1024;

/// A place between two batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Boundary {
    /// Records of the lane that lie in front of it on the target.
    pub(super) records: i64,
    /// The source offset behind it.
    pub(super) next: Offset,
}

/// The boundaries of a lane, in order: those behind its durable checkpoint, where whatever the target's log holds of the lane
/// ends, and those of the last minute, in case that it loses some of it. A log can lose any number of batches, so all of them
/// are kept, but packed.
#[derive(Clone, Debug)]
pub(super) struct Trail {
    /// The first ones.
    packs: VecDeque<Pack>,
    /// The others, at least one.
    boundaries: VecDeque<Boundary>,
    /// When checkpoints became durable, and how many records lay in front of them.
    durable: VecDeque<(Duration, i64)>,
}

impl Trail {
    /// A trail that begins at a checkpoint and goes on as its journal says.
    pub(super) fn new(base: Boundary, cuts: &[Cut]) -> Self {
        let mut trail = Self { packs: VecDeque::new(), boundaries: VecDeque::from([base]), durable: VecDeque::new() };
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
        self.behind(records.saturating_sub(1)).next().filter(|boundary| boundary.records == records)
    }

    /// The last boundary that does not lie behind the source offset `offset`.
    pub(super) fn at_or_before(&self, offset: Offset) -> Option<Boundary> {
        match self.boundaries.partition_point(|boundary| boundary.next <= offset).checked_sub(1) {
            Some(place) => self.boundaries.get(place).copied(),
            None => {
                let place = self.packs.partition_point(|pack| pack.first.next <= offset).checked_sub(1)?;
                self.packs.get(place)?.boundaries().take_while(|boundary| boundary.next <= offset).last()
            }
        }
    }

    /// The boundaries with more than `records` records in front of them.
    fn behind(&self, records: i64) -> impl Iterator<Item = Boundary> + '_ {
        let pack = self.packs.partition_point(|pack| pack.last <= records);
        let place = self.boundaries.partition_point(|boundary| boundary.records <= records);
        let packed = self.packs.range(pack..).flat_map(Pack::boundaries);
        packed.filter(move |boundary| boundary.records > records).chain(self.boundaries.range(place..).copied())
    }

    /// What lies behind `records` records will be cut anew.
    pub(super) fn forget_behind(&mut self, records: i64) {
        while self.boundaries.front().is_some_and(|first| first.records > records) {
            let Some(pack) = self.packs.pop_back() else { break };
            self.boundaries = pack.boundaries().collect();
        }
        while self.boundaries.len() > 1 && self.boundaries.pop_back_if(|last| last.records > records).is_some() {}
    }

    /// The checkpoint with so many records is durable, and so many are on the target now.
    pub(super) fn durable(&mut self, now: Duration, records: i64, acked: i64) {
        self.durable.push_back((now, records));
        while let Some((_, records)) = self.durable.pop_front_if(|(since, _)| since.saturating_add(KNOWN) <= now) {
            self.forget_before(records.min(acked));
        }
        self.pack(records.min(acked));
    }

    /// Forgets the boundaries with fewer than `records` records in front of them; of those that are packed, whole packs.
    fn forget_before(&mut self, records: i64) {
        while self.packs.pop_front_if(|pack| pack.last < records).is_some() {}
        if self.packs.is_empty() {
            while self.boundaries.len() > 1 && self.boundaries.pop_front_if(|known| known.records < records).is_some() {
            }
        }
    }

    /// Packs the boundaries with fewer than `records` records in front of them.
    fn pack(&mut self, records: i64) {
        while self.boundaries.get(PACKED).is_some_and(|next| next.records <= records) {
            self.packs.extend(Pack::of(self.boundaries.drain(..PACKED)));
        }
        let excess = self.packs.len().saturating_sub(MOST_PACKS);
        self.packs.drain(..excess);
    }

    /// The batches behind `records` records.
    pub(super) fn cuts_behind(&self, records: i64) -> impl Iterator<Item = Cut> + '_ {
        let mut before = records;
        self.behind(records).map(move |boundary| {
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

/// Boundaries that follow each other, in few bytes.
#[derive(Clone, Debug)]
struct Pack {
    first: Boundary,
    /// Records in front of the last.
    last: i64,
    /// From each boundary to the next, as varints: how many records, and how many offsets more than records.
    steps: Box<[u8]>,
}

impl Pack {
    /// `None` where there are no boundaries.
    fn of(mut boundaries: impl Iterator<Item = Boundary>) -> Option<Self> {
        let first = boundaries.next()?;
        let mut steps = Vec::with_capacity(4 * PACKED);
        let last = boundaries.fold(first, |before, boundary| {
            let records = boundary.records.wrapping_sub(before.records);
            let offsets = boundary.next.get().wrapping_sub(before.next.get());
            put_varint(&mut steps, records);
            put_varint(&mut steps, offsets.wrapping_sub(records));
            boundary
        });
        Some(Self { first, last: last.records, steps: steps.into() })
    }

    fn boundaries(&self) -> impl Iterator<Item = Boundary> + '_ {
        let mut steps = Cursor::new(&self.steps);
        iter::successors(Some(self.first), move |before| {
            let records = steps.varlong("records").ok()?;
            let offsets = steps.varlong("offsets").ok()?.wrapping_add(records);
            let next = Offset(before.next.get().wrapping_add(offsets));
            Some(Boundary { records: before.records.wrapping_add(records), next })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn packs_are_forgotten_as_single_boundaries_are_and_never_one_that_is_still_of_use() {
        let mut trail = Trail::new(Boundary { records: 0, next: Offset(0) }, &[]);
        let (edge, all) = (PACKED as i64, 4 * PACKED as i64);
        (1..=all).for_each(|n| trail.push(Cut { records: 1, next: Offset(n) }));
        trail.durable(Duration::ZERO, 2 * edge - 1, all);
        trail.durable(Duration::from_secs(1), all, all);
        trail.durable(KNOWN, all, all);
        let known = [edge - 1, 2 * edge - 1, 2 * edge].map(|records| trail.find(records).is_some());
        assert_eq!(known, [false, true, true]);
    }

    #[test]
    fn what_is_cut_anew_from_either_side_of_a_pack_s_edge_leaves_the_boundary_there() {
        let mut trail = Trail::new(Boundary { records: 0, next: Offset(0) }, &[]);
        let edge = PACKED as i64;
        (1..=2 * edge).for_each(|n| trail.push(Cut { records: 1, next: Offset(n) }));
        trail.durable(Duration::ZERO, 2 * edge, 2 * edge);
        for records in [edge + 1, edge, edge - 1] {
            trail.forget_behind(records);
            assert_eq!(trail.end().records, records);
        }
    }

    #[test]
    fn a_minute_of_tiny_batches_takes_little_memory_and_the_newest_of_more_are_known() {
        let mut trail = Trail::new(Boundary { records: 0, next: Offset(0) }, &[]);
        let batches = (MOST_PACKS as i64 + 10) * PACKED as i64;
        for n in 1..=batches {
            trail.push(Cut { records: 40, next: Offset(41 * n) });
            if n % 500 == 0 {
                trail.durable(Duration::ZERO, 40 * n, 40 * n);
            }
        }
        assert!(trail.boundaries.capacity() <= 16 * PACKED, "{}", trail.boundaries.capacity());
        let packed = trail.packs.iter().map(|pack| size_of::<Pack>() + pack.steps.len()).sum::<usize>();
        assert!(packed < 3 << 20, "{packed} bytes");
        assert_eq!(trail.find(40), None);
        let minute = batches - 1_000_000;
        assert_eq!(trail.find(40 * minute).map(|boundary| boundary.next), Some(Offset(41 * minute)));
    }

    proptest! {
        #[test]
        fn what_is_packed_is_known_as_before(
            cuts in prop::collection::vec((1_i32..100, prop_oneof![Just(0_i64), 0_i64..1 << 40]), 1..1_000),
            durable in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
            back in any::<prop::sample::Index>(),
        ) {
            let mut known = vec![Boundary { records: 7, next: Offset(70) }];
            let mut trail = Trail::new(known[0], &[]);
            for (records, gap) in cuts {
                let last = known[known.len() - 1];
                let cut = Cut { records, next: last.next.plus(i64::from(records) + gap) };
                known.push(Boundary { records: last.records + i64::from(records), next: cut.next });
                trail.push(cut);
            }
            durable.iter().for_each(|place| {
                let records = place.get(&known).records;
                trail.durable(Duration::ZERO, records, records);
            });
            for known_back in [known.len(), back.index(known.len()) + 1] {
                known.truncate(known_back);
                let last = known[known_back - 1];
                trail.forget_behind(last.records);
                prop_assert_eq!(trail.end(), last);
                for (place, boundary) in known.iter().enumerate() {
                    prop_assert_eq!(trail.find(boundary.records), Some(*boundary));
                    prop_assert_eq!(trail.at_or_before(boundary.next), Some(*boundary));
                    let before = place.checked_sub(1).map(|before| known[before]);
                    prop_assert_eq!(trail.at_or_before(Offset(boundary.next.get() - 1)), before);
                    let between = trail.find(boundary.records - 1);
                    prop_assert_eq!(between, before.filter(|before| before.records == boundary.records - 1));
                }
                let from = back.get(&known).records;
                let behind: Vec<Offset> = trail.cuts_behind(from).map(|cut| cut.next).collect();
                let expected = known.iter().filter(|boundary| boundary.records > from).map(|boundary| boundary.next);
                prop_assert_eq!(behind, expected.collect::<Vec<_>>());
            }
        }
    }
}
