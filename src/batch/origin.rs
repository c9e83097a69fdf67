//! Which offsets the records of an outgoing batch had in the source: where a committed offset went.

use crate::kafka::{Offset, Span};

/// The records of a batch by the source offsets they had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Origin {
    /// The offsets the batch stands for.
    pub(super) source: Span,
    /// The first record's.
    pub(super) first: Offset,
    /// Where the offsets of neighbours are more than one apart, in order.
    gaps: Vec<Gap>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Gap {
    /// How many records lie before it.
    kept: i32,
    /// The offset of the record behind it.
    behind: Offset,
}

impl Origin {
    /// A record at each of these offsets.
    pub(super) fn every(source: Span) -> Self {
        Self { source, first: source.start, gaps: Vec::new() }
    }

    /// No record yet, `first` will be the first.
    pub(super) fn starting(first: Offset) -> Self {
        Self::every(Span { start: first, end: first })
    }

    /// A record at `offset`, behind `kept` others.
    pub(super) fn push(&mut self, kept: i32, offset: Offset) {
        if offset != self.source.end {
            self.gaps.push(Gap { kept, behind: offset });
        }
        self.source.end = offset.plus(1);
    }

    /// What there is so far, for [`Origin::go_back`].
    pub(super) fn mark(&self) -> (Offset, usize) {
        (self.source.end, self.gaps.len())
    }

    /// Forgets the records that were pushed since the mark was taken.
    pub(super) fn go_back(&mut self, (end, gaps): (Offset, usize)) {
        self.source.end = end;
        self.gaps.truncate(gaps);
    }

    /// The same records for a wider range of offsets: what lies around them held none.
    pub(super) fn within(self, source: Span) -> Self {
        Self { source, ..self }
    }

    /// How many of the `records` records had a source offset below `offset`.
    pub(super) fn kept_before(&self, offset: Offset, records: i32) -> i32 {
        let crossed = self.gaps.partition_point(|gap| gap.behind <= offset);
        let (behind, ahead) = self.gaps.split_at(crossed);
        let (start, kept) = behind.last().map_or((self.first, 0), |gap| (gap.behind, gap.kept));
        let next = ahead.first().map_or(records, |gap| gap.kept);
        let distance = i32::try_from(Span { start, end: offset }.len()).unwrap_or(i32::MAX);
        kept.saturating_add(distance).min(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_unbroken_batch_is_counted_from_its_start() {
        let origin = Origin::every(Span::new(100, 110));
        assert_eq!([99, 100, 107, 110, 500].map(|offset| origin.kept_before(Offset(offset), 10)), [0, 0, 7, 10, 10]);
    }

    proptest! {
        #[test]
        fn every_offset_has_as_many_records_before_it_as_were_kept(
            offsets in prop::collection::btree_set(100_i64..160, 0..30),
        ) {
            let first = offsets.first().copied().unwrap_or(100);
            let mut origin = Origin::starting(Offset(first));
            (0..).zip(&offsets).for_each(|(kept, &offset)| origin.push(kept, Offset(offset)));
            for offset in 90..170 {
                let expected = offsets.range(..offset).count() as i32;
                prop_assert_eq!(origin.kept_before(Offset(offset), offsets.len() as i32), expected);
            }
        }
    }
}
