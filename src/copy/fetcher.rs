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
    /// such lanes, too, who came first is served first.
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
        std::iter::from_fn(|| self.first.pop_front().or_else(|| self.waiting.pop_front())).take(PARTITIONS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_got_nothing_is_asked_for_first() {
        let mut asks = Asks::default();
        asks.push(Ask { lane: 0, from: Offset(0) }, false);
        asks.push(Ask { lane: 1, from: Offset(0) }, false);
        asks.push(Ask { lane: 2, from: Offset(0) }, true);
        asks.push(Ask { lane: 3, from: Offset(0) }, true);
        let order: Vec<usize> = asks.request().iter().map(|ask| ask.lane).collect();
        assert_eq!(order, [2, 3, 0, 1]);
        assert!(!asks.is_ready());
    }

    #[test]
    fn a_request_has_a_limited_number_of_partitions() {
        let mut asks = Asks::default();
        (0..PARTITIONS + 1).for_each(|lane| asks.push(Ask { lane, from: Offset(0) }, false));
        assert_eq!(asks.request().len(), PARTITIONS);
        assert_eq!(asks.request().len(), 1);
    }
}
