//! What is asked of a source broker on one connection.

use std::collections::VecDeque;

use crate::kafka::Offset;

/// Partitions in one Fetch request. The broker fills its answer in the order of the request; partitions that got
/// nothing are asked for first in the next one.
const PARTITIONS: usize = 500;

/// The part of a batch by which the next ones may be larger.
const SLACK: usize = 16;

/// Fetch requests that may be on their way on one connection: one being answered, one waiting behind it.
pub(super) const FETCHES: usize = 2;

/// A lane that wants records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ask {
    pub(super) lane: usize,
    pub(super) from: Offset,
    /// Bytes that the answer must have room for to bring anything; 0 where that is not known.
    pub(super) needed: usize,
    /// The size of the batches that come; 0 where that is not known.
    pub(super) batch: usize,
    /// Whether to look behind the last stable offset: such an ask goes in a request of its own.
    pub(super) beyond: bool,
}

impl Ask {
    /// How many bytes to ask for where about `share` are wanted: so many that whole batches come, even if they are a little
    /// larger than the last ones.
    pub(super) fn bytes(&self, share: usize) -> usize {
        let slack = self.batch / SLACK;
        let count = share.saturating_sub(slack).checked_div(self.batch);
        count.map_or(share, |count| count.max(1) * self.batch + slack).max(self.needed)
    }
}

/// The lanes that wait for one connection to a source broker, in turn.
#[derive(Debug, Default)]
pub(super) struct Asks {
    /// Those that look beyond the last stable offset. Each gets a request of its own: its isolation is the request's, and
    /// no other lane may be shown open or aborted transactions.
    beyond: VecDeque<Ask>,
    first: VecDeque<Ask>,
    waiting: VecDeque<Ask>,
    pub(super) under_way: usize,
}

impl Asks {
    /// The lane waits for its turn; `first`: in front of the others, because the last answer had no room for it. Among
    /// such lanes, too, who came first is served first.
    pub(super) fn push(&mut self, ask: Ask, first: bool) {
        let queue = match (ask.beyond, first) {
            (true, _) => &mut self.beyond,
            (false, true) => &mut self.first,
            (false, false) => &mut self.waiting,
        };
        queue.push_back(ask);
    }

    /// Whether another request may go out.
    pub(super) fn is_ready(&self) -> bool {
        let is_idle = self.beyond.is_empty() && self.first.is_empty() && self.waiting.is_empty();
        !is_idle && self.under_way < FETCHES
    }

    /// How many lanes the next request has and how many bytes its answer may bring, where about `share` bytes of each lane
    /// and `most` of all are wanted. Where it is known how large their batches are, there are as many lanes as whole batches
    /// have room: what is cut comes twice.
    pub(super) fn next(&self, share: usize, most: usize) -> (usize, usize) {
        let mut lanes = self.beyond.iter().take(1).chain(&self.first).chain(&self.waiting);
        let Some(first) = lanes.next() else { return (0, 0) };
        let share = share.min(most);
        let least = first.bytes(share);
        if first.beyond {
            return (1, least);
        }
        let known = |ask: &Ask| if ask.batch > 0 { ask.bytes(share) } else { 0 };
        let mut sum = known(first);
        let fits = |ask: &&Ask| {
            sum += known(ask);
            sum <= most
        };
        let count = 1 + lanes.take(PARTITIONS - 1).take_while(fits).count();
        (count, most.min(share.saturating_mul(count)).max(least))
    }

    /// The next `count` lanes, for a request.
    pub(super) fn request(&mut self, count: usize) -> Vec<Ask> {
        if let Some(beyond) = self.beyond.pop_front() {
            return vec![beyond];
        }
        std::iter::from_fn(|| self.first.pop_front().or_else(|| self.waiting.pop_front())).take(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_got_nothing_is_asked_for_first() {
        let mut asks = Asks::default();
        asks.push(Ask { lane: 0, from: Offset(0), needed: 0, batch: 0, beyond: false }, false);
        asks.push(Ask { lane: 1, from: Offset(0), needed: 0, batch: 0, beyond: false }, false);
        asks.push(Ask { lane: 2, from: Offset(0), needed: 0, batch: 0, beyond: false }, true);
        asks.push(Ask { lane: 3, from: Offset(0), needed: 0, batch: 0, beyond: false }, true);
        let order: Vec<usize> = asks.request(4).iter().map(|ask| ask.lane).collect();
        assert_eq!(order, [2, 3, 0, 1]);
        assert!(!asks.is_ready());
    }

    #[test]
    fn a_lane_that_looks_beyond_the_last_stable_offset_is_asked_for_alone() {
        // Whichever way it came: a lane that is sent to another broker is queued there without precedence.
        for first in [true, false] {
            let mut asks = Asks::default();
            for (lane, beyond) in [(0, false), (1, true), (2, false), (3, true)] {
                asks.push(Ask { lane, from: Offset(0), needed: 0, batch: 0, beyond }, first);
            }
            let lanes = |asks: &mut Asks| {
                let (count, _) = asks.next(1, 1_000);
                asks.request(count).iter().map(|ask| ask.lane).collect::<Vec<usize>>()
            };
            assert_eq!([lanes(&mut asks), lanes(&mut asks), lanes(&mut asks)], [vec![1], vec![3], vec![0, 2]]);
            assert!(!asks.is_ready());
        }
    }

    #[test]
    fn whole_batches_are_asked_for() {
        let ask = |batch, needed| Ask { lane: 0, from: Offset(0), needed, batch, beyond: false };
        assert_eq!(ask(0, 0).bytes(1_000), 1_000, "nothing is known yet");
        assert_eq!(ask(320, 0).bytes(1_100), 3 * 320 + 20, "three and a little, none is cut");
        assert_eq!(ask(1_600, 0).bytes(1_000), 1_700, "one of them, although it is larger than the share");
        assert_eq!(ask(16, 0).bytes(1_000), 62 * 16 + 1);
        assert_eq!(ask(320, 5_000).bytes(1_000), 5_000, "with less nothing would come");
    }

    #[test]
    fn a_request_has_as_many_lanes_as_whole_batches_have_room() {
        let mut asks = Asks::default();
        for (lane, batch) in [(0, 0), (1, 0), (2, 320), (3, 160), (4, 5_000), (5, 160)] {
            asks.push(Ask { lane, from: Offset(0), needed: 0, batch, beyond: false }, false);
        }
        assert_eq!(asks.next(400, 700), (4, 700), "two of which nothing is known, 340 bytes and 340");
        assert_eq!(asks.next(400, 400), (3, 400));
        assert_eq!(asks.next(100, 600), (4, 400), "no more than each may bring");
        assert_eq!(asks.next(1_000, 500), (3, 500), "no more than all may bring");
        asks.request(4);
        assert_eq!(asks.next(400, 600), (1, 5_312), "it comes all the same");
        asks.request(1);
        assert_eq!(asks.next(400, 600), (1, 400));
        assert_eq!(asks.request(1)[0].lane, 5);
        assert_eq!(asks.next(400, 600), (0, 0));
    }

    #[test]
    fn a_request_has_a_limited_number_of_partitions() {
        let mut asks = Asks::default();
        (0..PARTITIONS + 1)
            .for_each(|lane| asks.push(Ask { lane, from: Offset(0), needed: 0, batch: 0, beyond: false }, false));
        for expected in [PARTITIONS, 1] {
            let (count, _) = asks.next(1, 1_000_000);
            assert_eq!((count, asks.request(count).len()), (expected, expected));
        }
    }
}
