//! Connections to target brokers that carry Produce.
//!
//! A lane uses one connection at a time: requests of one connection are appended in the order they were sent.

use std::sync::Arc;

use super::pack::Turns;
use crate::cluster::Connection;
use crate::kafka::BrokerId;

/// Connections per target broker for lanes that are well. A broker works on one request of a connection at a time.
const CONNECTIONS: usize = 2;

/// Requests that may be on their way on one connection.
pub(super) const REQUESTS: usize = 5;

/// One of the connections to a broker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct LinkKey {
    pub(super) broker: BrokerId,
    pub(super) index: u16,
}

impl LinkKey {
    /// The connection of a lane to this broker. Lanes that are not well have one for themselves: an answer waits for its
    /// slowest partition.
    pub(super) fn new(broker: BrokerId, lane: usize, well: bool) -> Self {
        Self { broker, index: if well { lane % CONNECTIONS } else { CONNECTIONS } as u16 }
    }
}

/// A connection as far as it is there, and what waits for it.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) turns: Turns,
    pub(super) state: State,
    pub(super) under_way: usize,
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
            State::Open(connection) if !self.turns.is_empty() && self.under_way < REQUESTS => {
                Some(Arc::clone(connection))
            }
            _ => None,
        }
    }

    /// Whether somebody waits and nobody is connecting. Answers that a dead connection still owes come first: until then
    /// nobody knows what became of the batches before.
    pub(super) fn wants_connection(&self) -> bool {
        !self.turns.is_empty() && self.under_way == 0 && matches!(self.state, State::Closed)
    }
}
