//! What the end of a target partition's log says about what became of a lane's batches.
//!
//! Whatever an answer left open, the log itself knows: nobody else writes there, so its length counts the lane's records,
//! and the last batch's stamp confirms that it is the lane's.

use super::error::LaneProblem;
use super::trail::{Boundary, Trail};
use crate::kafka::{Offset, Stamp};
use crate::state;

/// The end of a target partition's log, as its leader tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tail {
    /// The offset behind the last record that the leader has.
    pub end: Offset,
    /// The offset behind the last record that all in-sync replicas have. Fetch shows nothing above it.
    pub high_watermark: Offset,
    /// The last batch, where there is one and it could be read.
    pub last: Option<LastBatch>,
}

/// The last batch of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastBatch {
    /// Its stamp; the producer id is -1 where it has none.
    pub stamp: Stamp,
    /// Its records.
    pub records: i32,
}

/// What a lane knows of its own batches.
pub(super) struct Known<'a> {
    pub(super) target_start: Offset,
    /// Records that were on the target for certain.
    pub(super) acked: i64,
    pub(super) trail: &'a Trail,
    pub(super) writer: state::Writer,
    /// Whether the target keeps stamps.
    pub(super) stamped: bool,
}

/// What a tail means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Settled {
    /// Not all that the leader has is replicated: what lies above the high watermark may stay or not.
    Undecided,
    /// The log ends where this batch ends.
    At(Boundary),
    /// The log ends where an earlier batch ended: the target lost what it had acknowledged.
    Truncated(Boundary),
    /// Nothing that this lane wrote explains it.
    Wrong(LaneProblem),
}

impl Known<'_> {
    /// Reads a tail.
    pub(super) fn settle(&self, tail: &Tail) -> Settled {
        if tail.high_watermark < tail.end {
            return Settled::Undecided;
        }
        let expected = self.target_start.plus(self.acked);
        let landed = tail.end.get().saturating_sub(self.target_start.get());
        let boundary = match self.trail.find(landed) {
            Some(boundary) if landed == 0 || self.confirms(tail.last, landed) => boundary,
            _ if landed < self.acked => {
                return Settled::Wrong(LaneProblem::Truncated { expected, end: tail.end });
            }
            _ => return Settled::Wrong(LaneProblem::ForeignTail { expected, end: tail.end }),
        };
        if landed < self.acked { Settled::Truncated(boundary) } else { Settled::At(boundary) }
    }

    /// Whether the last batch is the lane's own with this many records up to its end. What retention or the cleaner took
    /// away, and what a target without stamps stores, can't be asked; then the count has to do. A writer's first batch
    /// follows one of the writer before it, and none of its own lies in front of where it began: a log that lost what was
    /// there would take it all the same.
    fn confirms(&self, last: Option<LastBatch>, landed: i64) -> bool {
        let Some(LastBatch { stamp, records }) = last else { return true };
        if !self.stamped {
            return true;
        }
        if landed <= self.writer.origin {
            return (stamp.producer, stamp.epoch) != (self.writer.producer, self.writer.epoch);
        }
        let next = Stamp { sequence: stamp.sequence.plus(records), ..stamp };
        next == self.writer.stamp(landed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{ProducerEpoch, ProducerId, Sequence};
    use crate::state::Cut;

    const WRITER: state::Writer = state::Writer { producer: ProducerId(7), epoch: ProducerEpoch(1), origin: 20 };

    fn settle(tail: Tail, stamped: bool) -> Settled {
        let cuts = [(10, 140), (5, 150)].map(|(records, next)| Cut { records, next: Offset(next) });
        let trail = Trail::new(Boundary { records: 30, next: Offset(130) }, &cuts);
        Known { target_start: Offset(1_000), acked: 40, trail: &trail, writer: WRITER, stamped }.settle(&tail)
    }

    /// A log that ends behind `landed` records of ours, the last `records` of which are one batch.
    fn tail(landed: i64, records: i32) -> Tail {
        let stamp = WRITER.stamp(landed - i64::from(records));
        let end = Offset(1_000 + landed);
        Tail { end, high_watermark: end, last: Some(LastBatch { stamp, records }) }
    }

    fn at(records: i64, next: i64) -> Boundary {
        Boundary { records, next: Offset(next) }
    }

    #[test]
    fn a_log_that_ends_with_our_stamp_at_one_of_our_boundaries_says_what_landed() {
        assert_eq!(settle(tail(40, 10), true), Settled::At(at(40, 140)));
        assert_eq!(settle(tail(45, 5), true), Settled::At(at(45, 150)));
    }

    #[test]
    fn nothing_is_concluded_from_what_is_not_replicated() {
        let unsure = Tail { high_watermark: Offset(1_040), ..tail(45, 5) };
        assert_eq!(settle(unsure, true), Settled::Undecided);
    }

    #[test]
    fn a_log_that_lost_what_it_acknowledged_goes_on_where_a_batch_ended() {
        assert_eq!(settle(tail(30, 10), true), Settled::Truncated(at(30, 130)));
        for records in [29, 35] {
            let wrong = LaneProblem::Truncated { expected: Offset(1_040), end: Offset(1_000 + records) };
            assert_eq!(settle(tail(records, 1), true), Settled::Wrong(wrong));
        }
    }

    #[test]
    fn records_that_we_did_not_send_are_somebody_elses() {
        let foreign = |end| Settled::Wrong(LaneProblem::ForeignTail { expected: Offset(1_040), end: Offset(end) });
        assert_eq!(settle(tail(41, 1), true), foreign(1_041));
        assert_eq!(settle(tail(46, 1), true), foreign(1_046));
        let mut theirs = tail(45, 5);
        theirs.last = Some(LastBatch {
            stamp: Stamp { producer: ProducerId(8), epoch: ProducerEpoch(0), sequence: Sequence(20) },
            records: 5,
        });
        assert_eq!(settle(theirs, true), foreign(1_045), "their five records look like ours by number only");
        assert_eq!(settle(theirs, false), Settled::At(at(45, 150)), "without stamps the count has to do");
        let instead = Tail { last: theirs.last, ..tail(40, 10) };
        assert_eq!(settle(instead, true), foreign(1_040), "in place of what we had written");
    }

    #[test]
    fn a_writer_that_began_anew_is_not_taken_for_the_one_before_it() {
        let cuts = [(10, 110), (10, 120), (10, 130)].map(|(records, next)| Cut { records, next: Offset(next) });
        let trail = Trail::new(Boundary { records: 0, next: Offset(100) }, &cuts);
        let known = Known { target_start: Offset(1_000), acked: 20, trail: &trail, writer: WRITER, stamped: true };
        let ends = |epoch| {
            let stamp = Stamp { producer: WRITER.producer, epoch: ProducerEpoch(epoch), sequence: Sequence(0) };
            known.settle(&Tail { last: Some(LastBatch { stamp, records: 10 }), ..tail(10, 10) })
        };
        assert_eq!(ends(0), Settled::Truncated(at(10, 110)));
        let lost = LaneProblem::Truncated { expected: Offset(1_020), end: Offset(1_010) };
        assert_eq!(ends(1), Settled::Wrong(lost), "the log was empty when the new epoch's first batch arrived");
    }

    #[test]
    fn a_tail_that_cannot_be_read_is_counted() {
        let unread = Tail { last: None, ..tail(45, 5) };
        assert_eq!(settle(unread, true), Settled::At(at(45, 150)));
    }
}
