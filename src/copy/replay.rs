//! Batches cut as a journal says.
//!
//! What may have been sent before must be sent with the same extent: a broker recognises a duplicate by its range of
//! sequences, and the request of a process that died may still arrive. How the batches come out otherwise does not matter.

use std::collections::VecDeque;

use crate::batch::{self, Entry, Joining, Outgoing, Rules};
use crate::kafka::{Offset, Span};
use crate::state::Cut;

/// The journaled batches that were not read yet, and what was gathered for the first of them.
#[derive(Debug, Default)]
pub(super) struct Replay {
    cuts: VecDeque<Cut>,
    entries: Vec<Entry>,
    bytes: usize,
    start: Option<Offset>,
}

/// What an entry came to.
#[derive(Debug)]
pub(super) enum Replayed {
    /// The batches that it completed, and the entry itself where a part of it lies behind the last journaled batch.
    Made(Vec<Outgoing>, Option<Entry>),
    /// The source no longer holds what was journaled: what lies behind this offset must be cut anew. The batches in front of
    /// it that the entry completed stand.
    Differs(Vec<Outgoing>, Offset),
}

impl Replay {
    /// Nothing gathered yet.
    pub(super) fn new(cuts: impl IntoIterator<Item = Cut>) -> Self {
        Self { cuts: cuts.into_iter().collect(), ..Self::default() }
    }

    /// Whether a journaled batch is still to be made.
    pub(super) fn is_active(&self) -> bool {
        !self.cuts.is_empty()
    }

    /// The source offset at which the batch begins for which entries are gathered.
    pub(super) fn gathered_from(&self) -> Option<Offset> {
        self.start
    }

    /// Bytes of the entries that are held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a stretch up to `next` that holds nothing to copy hides the end of the next batch.
    pub(super) fn is_cut_off_by(&self, next: Offset) -> bool {
        self.cuts.front().is_some_and(|cut| cut.next <= next)
    }

    /// Takes the next entry that is to be copied, of which what lies in front of `start` is done with. `passes`: it may be
    /// sent as it is.
    pub(super) fn take(&mut self, entry: Entry, start: Offset, passes: bool, rules: &Rules) -> Replayed {
        let next = entry.next_offset();
        let mut start = *self.start.get_or_insert(start);
        self.bytes = self.bytes.saturating_add(entry.size());
        self.entries.push(entry);
        let mut made = Vec::new();
        while let Some(cut) = self.cuts.pop_front_if(|cut| cut.next <= next) {
            match self.batch(Span { start, end: cut.next }, passes, rules) {
                Some(outgoing) if outgoing.records() == cut.records => made.push(outgoing),
                _ => {
                    *self = Self::default();
                    return Replayed::Differs(made, start);
                }
            }
            start = cut.next;
            self.start = Some(start);
            let rest = self.entries.pop().filter(|last| last.next_offset() > start);
            self.entries.clear();
            self.entries.extend(rest);
            self.bytes = self.entries.iter().map(Entry::size).sum();
        }
        if self.entries.is_empty() {
            self.start = None;
        }
        let rest = if self.is_active() { None } else { std::mem::take(self).entries.pop() };
        Replayed::Made(made, rest)
    }

    /// One batch of all that is gathered in `span`.
    fn batch(&self, span: Span, passes: bool, rules: &Rules) -> Option<Outgoing> {
        if let ([Entry::Batch(batch)], true) = (&self.entries[..], passes) {
            let whole = batch.header().span();
            if whole.start >= span.start && whole.end == span.end {
                return Some(batch::pass(batch));
            }
        }
        let rules = Rules {
            max_batch_bytes: None,
            split_above: None,
            joining: Joining { full: usize::MAX, ..rules.joining },
            ..rules.clone()
        };
        let mut made = batch::rebuild(&self.entries, span, &rules).ok()?;
        let only = made.pop()?;
        made.is_empty().then_some(only)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{OLD, records};
    use super::*;
    use crate::batch::testing::raw;

    fn entry(from: i64, to: i64) -> Entry {
        Entry::Batch(raw(&records(from, to, OLD)))
    }

    fn cuts(cuts: &[(i32, i64)]) -> Replay {
        Replay::new(cuts.iter().map(|&(records, next)| Cut { records, next: Offset(next) }))
    }

    fn spans(replayed: &Replayed) -> (Vec<Span>, bool) {
        match replayed {
            Replayed::Made(made, rest) => (made.iter().map(Outgoing::source).collect(), rest.is_some()),
            Replayed::Differs(_, offset) => panic!("differs at {offset}"),
        }
    }

    #[test]
    fn batches_are_joined_passed_and_split_as_the_journal_says() {
        let mut replay = cuts(&[(5, 5), (4, 9), (2, 11), (3, 14)]);
        let mut take = |from, to| {
            let replayed = replay.take(entry(from, to), Offset(from), true, &Rules::default());
            (spans(&replayed), replay.gathered_from(), replay.is_active())
        };
        assert_eq!(take(0, 2), ((vec![], false), Some(Offset(0)), true));
        assert_eq!(take(2, 5), ((vec![Span::new(0, 5)], false), None, true));
        assert_eq!(take(5, 9), ((vec![Span::new(5, 9)], false), None, true));
        let split = (vec![Span::new(9, 11), Span::new(11, 14)], true);
        assert_eq!(take(9, 20), (split, None, false), "what is left of it is for the lane");
    }

    #[test]
    fn a_journaled_batch_keeps_its_extent_where_smaller_ones_are_made_by_now() {
        let limit = Some(entry(0, 5).size());
        for rules in
            [Rules { max_batch_bytes: limit, ..Rules::default() }, Rules { split_above: limit, ..Rules::default() }]
        {
            let mut replay = cuts(&[(9, 9)]);
            replay.take(entry(0, 5), Offset(0), true, &rules);
            assert_eq!(spans(&replay.take(entry(5, 9), Offset(5), true, &rules)), (vec![Span::new(0, 9)], false));
        }
    }

    #[test]
    fn what_waits_for_the_rest_of_its_batch_is_held() {
        let (mut replay, first) = (cuts(&[(5, 5), (9, 14)]), entry(0, 2));
        let size = first.size();
        replay.take(first, Offset(0), true, &Rules::default());
        assert_eq!(replay.bytes(), size);
        let second = entry(2, 9);
        let size = second.size();
        replay.take(second, Offset(2), true, &Rules::default());
        assert_eq!(replay.bytes(), size, "a part of it");
        replay.take(entry(9, 14), Offset(9), true, &Rules::default());
        assert_eq!(replay.bytes(), 0);
    }

    #[test]
    fn what_the_source_no_longer_holds_is_told_with_its_first_offset() {
        let mut replay = cuts(&[(2, 2), (5, 8)]);
        replay.take(entry(0, 2), Offset(0), true, &Rules::default());
        assert!(replay.is_cut_off_by(Offset(8)), "nothing of [2, 8) is left");
        replay.take(entry(2, 4), Offset(2), true, &Rules::default());
        assert!(replay.is_cut_off_by(Offset(8)));
        assert!(!replay.is_cut_off_by(Offset(7)));
        let gone = replay.take(entry(6, 8), Offset(6), true, &Rules::default());
        assert!(matches!(&gone, Replayed::Differs(made, Offset(2)) if made.is_empty()), "{gone:?}");
        assert!(!replay.is_active());
    }

    #[test]
    fn the_batches_in_front_of_what_changed_stand() {
        let mut replay = cuts(&[(3, 3), (3, 6), (2, 8)]);
        replay.take(entry(0, 2), Offset(0), true, &Rules::default());
        let changed = replay.take(entry(2, 7), Offset(2), true, &Rules::default());
        assert_eq!(spans(&changed), (vec![Span::new(0, 3), Span::new(3, 6)], false));
        match replay.take(entry(8, 9), Offset(7), true, &Rules::default()) {
            Replayed::Differs(made, offset) => assert_eq!((made.len(), offset), (0, Offset(6))),
            made => panic!("{made:?}"),
        }
        let mut replay = cuts(&[(2, 2), (1, 4)]);
        match replay.take(entry(0, 4), Offset(0), true, &Rules::default()) {
            Replayed::Differs(made, offset) => assert_eq!((made[0].source(), offset), (Span::new(0, 2), Offset(2))),
            made => panic!("{made:?}"),
        }
    }
}
