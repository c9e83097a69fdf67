//! Many lanes into one Produce request.
//!
//! Brokers take one batch per partition and request, and one request of a connection at a time; so a request carries
//! the next batch of as many lanes as fit, and lanes take turns.

use std::collections::VecDeque;

use crate::batch::Outgoing;

/// The most bytes of record batches in one Produce request: brokers close a connection at socket.request.max.bytes
/// (100 MiB by default), and a smaller request is answered sooner. A single larger batch goes alone.
const REQUEST_BYTES: usize = 8 * 1024 * 1024;

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
