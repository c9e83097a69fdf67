//! Many lanes into one Produce request.
//!
//! Brokers take one batch per partition and request, and one request of a connection at a time; so a request carries
//! the next batch of as many lanes as fit, and lanes take turns.

use std::collections::VecDeque;

use crate::batch::Outgoing;

/// The most bytes of record batches in one Produce request: brokers close a connection at socket.request.max.bytes
/// (100 MiB by default), and keep a smaller request in their caches from its arrival to the log. A single larger batch goes
/// alone.
const REQUEST_BYTES: usize = 1536 * 1024;

/// Where the batches of all lanes wait.
pub(super) trait Pending {
    /// A lane's waiting batches, the oldest first.
    fn of(&mut self, lane: usize) -> &mut VecDeque<Outgoing>;

    /// One of them was taken; `queued` tells whether the lane still stands in the turns.
    fn taken(&mut self, lane: usize, queued: bool);
}

/// The lanes that have batches for one connection, in turn.
#[derive(Debug, Default)]
pub(super) struct Turns {
    lanes: VecDeque<usize>,
}

impl Turns {
    /// Lane `lane` has a batch waiting and is not in the queue yet.
    pub(super) fn push(&mut self, lane: usize) {
        self.lanes.push_back(lane);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// All waiting lanes, which leave the queue.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = usize> + '_ {
        self.lanes.drain(..)
    }

    /// The next request: at most one batch of each lane, taken from what it has `pending`. A lane with more of them
    /// queues again behind the others.
    pub(super) fn request(&mut self, pending: &mut impl Pending) -> Vec<(usize, Outgoing)> {
        let mut request = Vec::new();
        let mut bytes = 0_usize;
        for _ in 0..self.lanes.len() {
            let Some(lane) = self.lanes.pop_front() else { break };
            let batches = pending.of(lane);
            let Some(size) = batches.front().map(Outgoing::len) else { continue };
            if bytes > 0 && bytes + size > REQUEST_BYTES {
                self.lanes.push_front(lane);
                break;
            }
            bytes += size;
            request.extend(batches.pop_front().map(|batch| (lane, batch)));
            let more = !batches.is_empty();
            if more {
                self.lanes.push_back(lane);
            }
            pending.taken(lane, more);
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::testing::{Model, batch, raw};
    use crate::batch::{Codec, pass};

    /// The waiting batches of each lane, as sizes of their values.
    struct Waiting(Vec<VecDeque<Outgoing>>);

    impl Pending for Waiting {
        fn of(&mut self, lane: usize) -> &mut VecDeque<Outgoing> {
            &mut self.0[lane]
        }

        fn taken(&mut self, _: usize, _: bool) {}
    }

    fn waiting(lanes: &[&[usize]]) -> Waiting {
        let outgoing = |size: &usize| {
            let value = Some(vec![7; *size]);
            let model = Model { offset: 0, timestamp: 1, key: None, value, headers: Vec::new() };
            pass(&raw(&batch(&[model], 0, Codec::None)))
        };
        Waiting(lanes.iter().map(|sizes| sizes.iter().map(outgoing).collect()).collect())
    }

    fn lanes(request: &[(usize, Outgoing)]) -> Vec<usize> {
        request.iter().map(|(lane, _)| *lane).collect()
    }

    #[test]
    fn a_request_takes_one_batch_of_each_lane_and_lanes_take_turns() {
        let mut waiting = waiting(&[&[10, 10, 10], &[10], &[10, 10]]);
        let mut turns = Turns::default();
        (0..3).for_each(|lane| turns.push(lane));
        assert_eq!(lanes(&turns.request(&mut waiting)), [0, 1, 2]);
        assert_eq!(lanes(&turns.request(&mut waiting)), [0, 2]);
        assert_eq!(lanes(&turns.request(&mut waiting)), [0]);
        assert!(turns.is_empty());
    }

    #[test]
    fn what_does_not_fit_goes_first_in_the_next_request() {
        let half = REQUEST_BYTES / 2;
        let mut waiting = waiting(&[&[half], &[half], &[10]]);
        let mut turns = Turns::default();
        (0..3).for_each(|lane| turns.push(lane));
        assert_eq!(lanes(&turns.request(&mut waiting)), [0]);
        assert_eq!(lanes(&turns.request(&mut waiting)), [1, 2]);
    }

    #[test]
    fn a_batch_larger_than_a_request_goes_alone() {
        let mut waiting = waiting(&[&[REQUEST_BYTES + 1], &[10]]);
        let mut turns = Turns::default();
        (0..2).for_each(|lane| turns.push(lane));
        assert_eq!(lanes(&turns.request(&mut waiting)), [0]);
        assert_eq!(lanes(&turns.request(&mut waiting)), [1]);
    }

    #[test]
    fn a_lane_that_took_its_batches_back_is_passed_over() {
        let mut waiting = waiting(&[&[], &[10]]);
        let mut turns = Turns::default();
        (0..2).for_each(|lane| turns.push(lane));
        assert_eq!(lanes(&turns.request(&mut waiting)), [1]);
        assert!(turns.is_empty());
    }
}
