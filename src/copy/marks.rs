//! Where source offsets of interest lie on the target.

use super::trail::{Boundary, Trail};
use super::writer::Acked;
use crate::kafka::Offset;
use crate::state::{Checkpoint, Place};

/// The source offsets whose places are wanted, and the places that are known. As a lane passes one, its place is exact.
#[derive(Debug)]
pub(super) struct Marks {
    wanted: Vec<Offset>,
    /// How many of them the lane is past.
    passed: usize,
    target_start: Offset,
    places: Vec<Place>,
}

impl Marks {
    /// `wanted` in order; what lies in front of the checkpoint is known to it or must be counted.
    pub(super) fn new(wanted: Vec<Offset>, checkpoint: &Checkpoint) -> Self {
        let passed = wanted.partition_point(|mark| *mark < checkpoint.next);
        Self { wanted, passed, target_start: checkpoint.target_start, places: checkpoint.places.clone() }
    }

    /// The place of the source offset `mark` is wanted too.
    pub(super) fn want(&mut self, mark: Offset) {
        let place = self.wanted.partition_point(|wanted| *wanted < mark);
        if place >= self.passed && self.wanted.get(place) != Some(&mark) {
            self.wanted.insert(place, mark);
        }
    }

    /// The lane wrote a batch: what is wanted up to its end has its place.
    pub(super) fn pass(&mut self, acked: &Acked) {
        let batch = &acked.batch;
        while let Some(mark) = self.next(batch.source().end) {
            self.add(mark, acked.before.saturating_add(i64::from(batch.records_before(mark))));
        }
    }

    /// Everything in front of the source offset `next` is dealt with, and made `records` records.
    pub(super) fn reach(&mut self, next: Offset, records: i64) {
        while let Some(mark) = self.next(next) {
            self.add(mark, records);
        }
    }

    /// The lane goes on at `boundary` without having seen what lies in front of it: what is wanted there is told by the
    /// boundaries, or can be counted from them.
    pub(super) fn jump(&mut self, trail: &Trail, boundary: Boundary) {
        while let Some(mark) = self.next(boundary.next) {
            if let Some(before) = trail.at_or_before(mark) {
                self.add(before.next, before.records);
            }
        }
    }

    /// The log ends at `boundary` again.
    pub(super) fn back_to(&mut self, boundary: Boundary) {
        self.places.retain(|place| place.source <= boundary.next);
        self.passed = self.wanted.partition_point(|mark| *mark <= boundary.next);
    }

    /// The next one that is wanted and does not lie behind `end`.
    fn next(&mut self, end: Offset) -> Option<Offset> {
        let mark = self.wanted.get(self.passed).copied().filter(|mark| *mark <= end)?;
        self.passed = self.passed.saturating_add(1);
        Some(mark)
    }

    fn add(&mut self, source: Offset, records: i64) {
        if self.places.last().is_none_or(|last| last.source < source) {
            self.places.push(Place { source, target: self.target_start.plus(records) });
        }
    }

    /// All that is known, in order.
    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }
}
