//! Connections to brokers that carry Fetch or Produce.
//!
//! A lane uses one connection at a time: requests of one connection are appended in the order they were sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::pack::Turns;
use super::routes::Place;
use crate::cluster::{ClusterError, Connection, ProduceAnswer};
use crate::kafka::BrokerId;

/// Connections per broker for lanes that are well, at least, and how many are thought to be needed at most. A broker works on
/// one request of a connection at a time, and a lane waits for the others in its request.
const LEAST_CONNECTIONS: usize = 8;
const MOST_CONNECTIONS: usize = 64;

/// The time to a broker and back for which one connection more pays. Brokers' sockets hold 100 KiB unless they are told
/// otherwise (socket.receive.buffer.bytes, socket.send.buffer.bytes), so that is what a connection carries in that time.
const ROUND_TRIP: Duration = Duration::from_millis(1);

/// How many connections to each broker it takes to carry about 100 MB/s, where a question is answered within `round_trip`. A
/// few more where each of the lanes then has its own: two that share one would take twice as long as the others.
pub(super) fn connections(round_trip: Option<Duration>, lanes: usize) -> usize {
    let round_trips = round_trip.unwrap_or_default().as_micros() / ROUND_TRIP.as_micros();
    let needed = usize::try_from(round_trips).unwrap_or(MOST_CONNECTIONS).clamp(LEAST_CONNECTIONS, MOST_CONNECTIONS);
    if lanes < 2 * needed { lanes.max(needed) } else { needed }
}

/// Requests that may be on their way on one connection.
pub(super) const REQUESTS: usize = 5;

/// One of the connections to a broker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct LinkKey {
    pub(super) broker: BrokerId,
    pub(super) index: u16,
}

impl LinkKey {
    /// The connection of a lane, one of so many to each broker. Lanes that are not well have one more for themselves: an
    /// answer waits for its slowest partition.
    pub(super) fn new(place: Place, connections: usize, well: bool) -> Self {
        let index = if well { place.turn % connections } else { connections };
        Self { broker: place.broker, index: u16::try_from(index).unwrap_or(u16::MAX) }
    }
}

/// A connection as far as it is there, and what waits for it.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) turns: Turns,
    pub(super) state: State,
    /// Whether it is to be opened although nothing waits for it yet; tried once.
    early: bool,
    pub(super) under_way: InOrder<Answered>,
}

/// What came of a Produce request: its lanes, and the answer to all of them.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) lanes: Vec<usize>,
    pub(super) answer: Result<ProduceAnswer, ClusterError>,
}

/// Requests that are under way. A lane takes each answer for that to its oldest batch. A broker answers the requests of a
/// connection in order; that the tasks which wait for the answers also end in order hangs on tokio's numbers (it polls 61
/// tasks between two looks at the ended ones, and takes up to 128 of these before it puts one behind the others), and on the
/// one thread: with two it was seen not to hold.
#[derive(Debug)]
pub(super) struct InOrder<T> {
    /// Requests so far.
    begun: u64,
    /// Those of them whose answers were handed on.
    ended: u64,
    /// Answers that came before that to an earlier request.
    early: BTreeMap<u64, T>,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self { begun: 0, ended: 0, early: BTreeMap::new() }
    }
}

impl<T> InOrder<T> {
    /// The number of the next request.
    pub(super) fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    /// Takes the answer to a request.
    pub(super) fn came(&mut self, number: u64, answer: T) {
        self.early.insert(number, answer);
    }

    /// The answer to the oldest request, if it is there.
    pub(super) fn next(&mut self) -> Option<T> {
        let answer = self.early.remove(&(self.ended + 1))?;
        self.ended += 1;
        Some(answer)
    }

    fn len(&self) -> usize {
        usize::try_from(self.begun - self.ended).unwrap_or(usize::MAX)
    }
}

#[derive(Debug, Default)]
pub(super) enum State {
    #[default]
    Closed,
    Connecting,
    Open(Arc<Connection>),
}

impl Link {
    /// The connection, if the next request may go out on it now.
    pub(super) fn ready(&mut self) -> Option<Arc<Connection>> {
        if matches!(&self.state, State::Open(connection) if !connection.alive()) {
            self.state = State::Closed;
        }
        match &self.state {
            State::Open(connection) if !self.turns.is_empty() && self.under_way.len() < REQUESTS => {
                Some(Arc::clone(connection))
            }
            _ => None,
        }
    }

    /// Lanes will soon wait for it.
    pub(super) fn open_early(&mut self) {
        self.early = true;
    }

    /// Begins to connect where somebody waits and nobody is connecting. Answers that a dead connection still owes come first:
    /// until then nobody knows what became of the batches before.
    pub(super) fn begins_to_connect(&mut self) -> bool {
        let begins =
            (self.early || !self.turns.is_empty()) && self.under_way.len() == 0 && matches!(self.state, State::Closed);
        if begins {
            (self.early, self.state) = (false, State::Connecting);
        }
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_way_takes_more_connections() {
        let connections = |micros| connections(Some(Duration::from_micros(micros)), 1);
        assert_eq!([50, 8_900, 9_000, 50_000, 10_000_000].map(connections), [8, 8, 9, 50, 64]);
        assert_eq!(super::connections(None, 1), 8);
    }

    #[test]
    fn a_few_more_connections_spare_lanes_to_share_one() {
        let connections = |lanes| connections(Some(Duration::from_millis(50)), lanes);
        assert_eq!([49, 50, 64, 99, 100, 10_000].map(connections), [50, 50, 64, 99, 50, 50]);
    }

    #[test]
    fn answers_are_taken_in_the_order_of_their_requests() {
        let mut requests = InOrder::default();
        assert_eq!([requests.begin(), requests.begin(), requests.begin()], [1, 2, 3]);
        requests.came(3, "third");
        requests.came(2, "second");
        assert_eq!((requests.next(), requests.len()), (None, 3));
        requests.came(1, "first");
        let taken = std::iter::from_fn(|| requests.next()).collect::<Vec<_>>();
        assert_eq!((taken.as_slice(), requests.len()), (["first", "second", "third"].as_slice(), 0));
        assert_eq!(requests.begin(), 4);
        requests.came(4, "fourth");
        assert_eq!(requests.next(), Some("fourth"));
    }

    #[test]
    fn a_connection_is_opened_for_lanes_that_wait_and_once_for_those_that_will() {
        let mut link = Link::default();
        assert!(!link.begins_to_connect());
        link.open_early();
        assert_eq!([link.begins_to_connect(), link.begins_to_connect()], [true, false], "it is under way");
        link.state = State::Closed;
        assert!(!link.begins_to_connect(), "it failed, and nobody waits yet");
        link.turns.push(0);
        assert!(link.begins_to_connect());
        link.state = State::Closed;
        link.under_way.begin();
        assert!(!link.begins_to_connect(), "an answer is owed");
    }

    #[test]
    fn lanes_that_are_not_well_keep_to_themselves() {
        let key = |turn, well| LinkKey::new(Place { broker: BrokerId(1), turn }, 3, well).index;
        assert_eq!([key(0, true), key(1, true), key(5, true), key(3, true)], [0, 1, 2, 0]);
        assert_eq!([key(0, false), key(1, false)], [3, 3]);
    }
}
