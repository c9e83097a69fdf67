//! From a source offset to its offset on the target, by the places that are known for certain.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use crate::kafka::{Offset, Span};
use crate::state::Place;

/// What the places of a partition tell about a source offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Translation {
    /// Its offset on the target.
    Exact(Offset),
    /// It lies between two places, and some offsets between them hold no record that was kept: only counting tells.
    Between {
        /// The nearest known place in front of it.
        below: Place,
        /// The nearest known place behind it.
        above: Place,
    },
    /// In front of what was moved, although the source held records there: the group has gone back since the plan.
    Outside,
}

/// The known places of one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Places {
    span: Span,
    log_start: Offset,
    known: BTreeMap<Offset, Offset>,
    skipped: Vec<Span>,
}

impl Places {
    /// The ends of a span whose first record lies at `target_start` and that holds `records` kept ones, and the marks
    /// between them. `log_start` is the source's when it was surveyed; what was committed in front of it has expired.
    pub fn new(span: Span, log_start: Offset, target_start: Offset, records: i64, marks: &[Place]) -> Self {
        let mut known: BTreeMap<Offset, Offset> = marks.iter().map(|mark| (mark.source, mark.target)).collect();
        known.insert(span.end, target_start.plus(records));
        known.insert(span.start, target_start);
        Self { span, log_start, known, skipped: Vec::new() }
    }

    /// The same, where nothing of these stretches is on the target: whoever would go on in one goes on behind it, and what
    /// lies there is known where its beginning is.
    pub fn without(mut self, skipped: &[Span]) -> Self {
        for span in skipped {
            if let Some(&target) = self.known.get(&span.start) {
                self.known.entry(span.end).or_insert(target);
            }
        }
        self.skipped = skipped.to_vec();
        self
    }

    /// Where a committed offset goes. One that has expired goes to the start, one behind the end to the end.
    pub fn translate(&self, source: Offset) -> Translation {
        if source < self.span.start && self.log_start < self.span.start {
            return Translation::Outside;
        }
        let source = source.clamp(self.span.start, self.span.end.max(self.span.start));
        let skipped = self.skipped.iter().find(|skipped| skipped.contains(source));
        let source = skipped.map_or(source, |skipped| skipped.end);
        let place = |(&source, &target): (&Offset, &Offset)| Place { source, target };
        let below = self.known.range(..=source).next_back().map(place);
        let above = self.known.range((Excluded(source), Unbounded)).next().map(place);
        match (below, above) {
            (Some(below), _) if below.source == source => Translation::Exact(below.target),
            (Some(below), Some(above)) => between(below, above, source),
            // The ends of the span are always known.
            _ => Translation::Outside,
        }
    }
}

/// Where every offset between two places holds a kept record, or none does, nothing needs to be counted.
fn between(below: Place, above: Place, source: Offset) -> Translation {
    let offsets = Span { start: below.source, end: above.source }.len();
    let kept = Span { start: below.target, end: above.target }.len();
    let distance = Span { start: below.source, end: source }.len();
    match kept {
        0 => Translation::Exact(below.target),
        kept if kept == offsets => Translation::Exact(below.target.plus(distance)),
        _ => Translation::Between { below, above },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn places(marks: &[(i64, i64)]) -> Places {
        let marks: Vec<Place> = marks.iter().map(|&(source, target)| place(source, target)).collect();
        Places::new(Span::new(100, 200), Offset(50), Offset(7), 60, &marks)
    }

    fn place(source: i64, target: i64) -> Place {
        Place { source: Offset(source), target: Offset(target) }
    }

    #[test]
    fn the_ends_and_the_marks_are_exact() {
        let places = places(&[(150, 40), (120, 20)]);
        for (source, target) in [(100, 7), (120, 20), (150, 40), (200, 67)] {
            assert_eq!(places.translate(Offset(source)), Translation::Exact(Offset(target)), "{source}");
        }
    }

    #[test]
    fn what_no_place_tells_must_be_counted_from_the_nearest_one() {
        let counted = places(&[(150, 40)]).translate(Offset(170));
        assert_eq!(counted, Translation::Between { below: place(150, 40), above: place(200, 67) });
    }

    #[test]
    fn a_stretch_without_gaps_and_one_without_records_need_no_count() {
        let places = places(&[(120, 7), (150, 37)]);
        assert_eq!(places.translate(Offset(110)), Translation::Exact(Offset(7)), "nothing was kept in front of 120");
        assert_eq!(places.translate(Offset(131)), Translation::Exact(Offset(18)), "every offset from 120 on was kept");
    }

    #[test]
    fn a_commit_behind_the_end_counts_as_the_end() {
        assert_eq!(places(&[]).translate(Offset(230)), Translation::Exact(Offset(67)));
    }

    #[test]
    fn an_expired_commit_goes_to_the_start_and_one_that_went_back_nowhere() {
        let of = |log_start: i64| Places::new(Span::new(100, 200), Offset(log_start), Offset(7), 60, &[]);
        assert_eq!(of(100).translate(Offset(3)), Translation::Exact(Offset(7)));
        assert_eq!(of(130).translate(Offset(3)), Translation::Exact(Offset(7)), "it has expired since");
        assert_eq!(of(99).translate(Offset(3)), Translation::Outside, "offset 99 was not moved");
        assert_eq!(of(99).translate(Offset(99)), Translation::Outside);
    }

    #[test]
    fn who_committed_in_what_was_left_out_goes_on_behind_it() {
        let places = places(&[(120, 20), (130, 30)]).without(&[Span::new(130, 150), Span::new(170, 180)]);
        let of = |source| places.translate(Offset(source));
        assert_eq!([130, 131, 150].map(of), [Translation::Exact(Offset(30)); 3]);
        let between = |below| Translation::Between { below, above: place(200, 67) };
        assert_eq!(of(160), between(place(150, 30)), "counted from where it goes on");
        assert_eq!([170, 175].map(of), [between(place(150, 30)); 2], "where it begins is not known");
    }

    #[test]
    fn where_nothing_moved_every_commit_goes_to_the_target_s_end() {
        let places = Places::new(Span::new(200, 200), Offset(0), Offset(9), 0, &[]);
        assert_eq!(places.translate(Offset(200)), Translation::Exact(Offset(9)));
        assert_eq!(places.translate(Offset(201)), Translation::Exact(Offset(9)));
    }

    proptest! {
        /// Whatever was kept and whichever marks are known: what is exact is right, and so is what counting makes.
        #[test]
        fn a_translation_is_never_wrong(
            kept in prop::collection::btree_set(100_i64..160, 0..60),
            marked in prop::collection::btree_set(100_i64..160, 0..6),
            committed in 90_i64..170,
            dense in any::<bool>(),
        ) {
            let kept: BTreeSet<i64> = if dense { (110..150).collect() } else { kept };
            let truth = |offset: i64| 7 + kept.range(..offset).count() as i64;
            let marks: Vec<Place> = marked.into_iter().map(|mark| place(mark, truth(mark))).collect();
            let places = Places::new(Span::new(100, 160), Offset(100), Offset(7), kept.len() as i64, &marks);
            match places.translate(Offset(committed)) {
                Translation::Exact(target) => prop_assert_eq!(target.get(), truth(committed)),
                Translation::Between { below, above } => {
                    prop_assert!(below.source.get() < committed && committed < above.source.get());
                    let counted = kept.range(below.source.get()..committed).count() as i64;
                    prop_assert_eq!(below.target.get() + counted, truth(committed));
                    prop_assert_eq!(above.target.get(), truth(above.source.get()));
                }
                Translation::Outside => prop_assert!(false, "the log starts with the span"),
            }
        }
    }
}
