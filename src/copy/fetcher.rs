//! What is asked of one source broker.

use std::collections::VecDeque;

use crate::kafka::Offset;

/// Partitions in one Fetch request. The broker fills its answer in the order of the request; partitions that got
/// nothing are asked for first in the next one.
const PARTITIONS: usize = 500;

/// Fetch requests that may be on their way to one broker: one being answered, one waiting behind it.
pub(super) const FETCHES: usize = 2;

/// A lane that wants records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ask {
    pub(super) lane: usize,
    pub(super) from: Offset,
    /// Bytes that the answer must have room for to bring anything; 0 where that is not known.
    pub(super) needed: usize,
    /// Whether to look behind the last stable offset: such an ask goes in a request of its own.
    pub(super) beyond: bool,
}

/// The lanes that wait for one source broker, in turn.
#[derive(Debug, Default)]
pub(super) struct Asks {
    first: VecDeque<Ask>,
    waiting: VecDeque<Ask>,
    pub(super) under_way: usize,
}

impl Asks {
    /// The lane waits for its turn; `first`: in front of the others, because the last answer had no room for it. Among
    /// such lanes, too, who came first is served first. Who looks beyond the last stable offset is always one of them.
    pub(super) fn push(&mut self, ask: Ask, first: bool) {
        if first {
            self.first.push_back(ask);
        } else {
            self.waiting.push_back(ask);
        }
    }

    /// Whether another request may go out.
    pub(super) fn is_ready(&self) -> bool {
        !(self.first.is_empty() && self.waiting.is_empty()) && self.under_way < FETCHES
    }

    /// The lanes of the next request.
    pub(super) fn request(&mut self) -> Vec<Ask> {
        if let Some(beyond) = self.first.pop_front_if(|ask| ask.beyond) {
            return vec![beyond];
        }
        let next = || self.first.pop_front_if(|ask| !ask.beyond).or_else(|| self.waiting.pop_front());
        std::iter::from_fn(next).take(PARTITIONS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_got_nothing_is_asked_for_first() {
        let mut asks = Asks::default();
        asks.push(Ask { lane: 0, from: Offset(0), needed: 0, beyond: false }, false);
        asks.push(Ask { lane: 1, from: Offset(0), needed: 0, beyond: false }, false);
        asks.push(Ask { lane: 2, from: Offset(0), needed: 0, beyond: false }, true);
        asks.push(Ask { lane: 3, from: Offset(0), needed: 0, beyond: false }, true);
        let order: Vec<usize> = asks.request().iter().map(|ask| ask.lane).collect();
        assert_eq!(order, [2, 3, 0, 1]);
        assert!(!asks.is_ready());
    }

    #[test]
    fn a_lane_that_looks_beyond_the_last_stable_offset_is_asked_for_alone() {
        let mut asks = Asks::default();
        for (lane, beyond) in [(0, false), (1, true), (2, false)] {
            asks.push(Ask { lane, from: Offset(0), needed: 0, beyond }, true);
        }
        let lanes = |asks: &mut Asks| asks.request().iter().map(|ask| ask.lane).collect::<Vec<usize>>();
        assert_eq!([lanes(&mut asks), lanes(&mut asks), lanes(&mut asks)], [vec![0], vec![1], vec![2]]);
    }

    #[test]
    fn a_request_has_a_limited_number_of_partitions() {
        let mut asks = Asks::default();
        (0..PARTITIONS + 1).for_each(|lane| asks.push(Ask { lane, from: Offset(0), needed: 0, beyond: false }, false));
        assert_eq!(asks.request().len(), PARTITIONS);
        assert_eq!(asks.request().len(), 1);
    }
}
