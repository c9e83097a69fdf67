//! Connections to target brokers: what is on its way, what brokers do with it, and what a closed connection leaves behind.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::coverage::Fault;
use super::world::{LATE_BOUND, What, World};

/// How long a leader waits for its followers before it answers.
const REPLICATION: Duration = Duration::from_secs(10);

/// A connection that is open on the client's side.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) lane: usize,
    pub(super) node: i32,
    /// Sent, and not at the broker yet.
    pub(super) transit: VecDeque<Bytes>,
    /// At the broker, behind the request that it works on.
    pub(super) backlog: VecDeque<Bytes>,
    pub(super) busy: Option<Replicating>,
    /// It is dead, and nobody knows.
    pub(super) dead: bool,
    /// How much longer the next answer takes.
    pub(super) slow: Duration,
    /// What the next answer says instead.
    pub(super) odd: Option<i16>,
    /// When the last request arrives, and when the last answer does: neither overtakes another.
    last_arrival: Duration,
    last_answer: Duration,
}

/// A batch that is in the log and not on all replicas that count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replicating {
    base: i64,
    required: i64,
    deadline: Duration,
}

impl World {
    /// A new connection of a lane.
    pub(super) fn connect(&mut self, id: u64, lane: usize, node: i32) {
        let wire = Wire {
            lane,
            node,
            transit: VecDeque::new(),
            backlog: VecDeque::new(),
            busy: None,
            dead: false,
            slow: Duration::ZERO,
            odd: None,
            last_arrival: self.now,
            last_answer: self.now,
        };
        self.wires.insert(id, wire);
    }

    /// Puts a batch on a connection.
    pub(super) fn transmit(&mut self, id: u64, batch: Bytes) {
        let delay = self.delay();
        let Some(wire) = self.wires.get_mut(&id) else { return };
        if wire.dead {
            return self.at(delay, What::Broke { wire: id });
        }
        wire.transit.push_back(batch);
        wire.last_arrival = wire.last_arrival.max(self.now + delay);
        let at = wire.last_arrival;
        self.at_time(at, What::Arrives { wire: id });
    }

    /// The next request of a connection reaches the broker.
    pub(super) fn arrives(&mut self, id: u64) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        if let Some(until) = self.stuck.get(&(wire.lane, wire.node)).copied().filter(|until| *until > self.now) {
            return self.at_time(until, What::Arrives { wire: id });
        }
        let Some(batch) = wire.transit.pop_front() else { return };
        wire.backlog.push_back(batch);
        self.serve(id);
    }

    /// The broker works on what has reached it, one request after the other.
    pub(super) fn serve(&mut self, id: u64) {
        loop {
            let Some(wire) = self.wires.get_mut(&id) else { return };
            let (lane, node) = (wire.lane, wire.node);
            if let Some(Replicating { base, required, deadline }) = wire.busy {
                let expired = self.now >= deadline;
                let Some(code) = self.sides[lane].target.replicated(node, required, expired) else { return };
                wire.busy = None;
                self.reply(id, code, base);
                continue;
            }
            let Some(batch) = wire.backlog.pop_front() else { return };
            match self.append(lane, node, batch) {
                Err(code) => self.reply(id, code, -1),
                Ok((base, required)) => {
                    self.sides[lane].target.unseen = false;
                    let deadline = self.now + REPLICATION;
                    self.at_time(deadline, What::Poll);
                    if let Some(wire) = self.wires.get_mut(&id) {
                        wire.busy = Some(Replicating { base, required, deadline });
                    }
                }
            }
        }
    }

    fn append(&mut self, lane: usize, node: i32, batch: Bytes) -> Result<(i64, i64), i16> {
        let now_ms = self.now_ms();
        let done = self.sides[lane].target.produce(now_ms, node, batch);
        self.note(|| format!("lane {lane}: broker {node}: {done:?}"));
        done.map(|done| (done.base_offset, done.required))
    }

    fn reply(&mut self, id: u64, code: i16, base: i64) {
        let delay = self.delay();
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.last_answer = wire.last_answer.max(self.now + delay + std::mem::take(&mut wire.slow));
        let at = wire.last_answer;
        let code = wire.odd.take().unwrap_or(code);
        self.at_time(at, What::Answer { wire: id, code, base });
    }

    /// Looks what replication lets brokers answer.
    pub(super) fn serve_all(&mut self) {
        let busy = self.wires.iter().filter(|(_, wire)| wire.busy.is_some());
        let busy: Vec<u64> = busy.map(|(id, _)| *id).collect();
        busy.into_iter().for_each(|id| self.serve(id));
    }

    /// Closes a connection for good. The first of the requests that were not handled may still be: within the bound, and
    /// in their order. `gone`: so is the broker.
    pub(super) fn close(&mut self, id: u64, gone: bool) {
        let Some(wire) = self.wires.remove(&id) else { return };
        let open: Vec<Bytes> = wire.backlog.into_iter().chain(wire.transit).collect();
        let lands = if gone { 0 } else { open.len() - self.dice.below(open.len() + 1) };
        let bound = LATE_BOUND / self.dice.one_of(&[1, 1, 10, 100]);
        let mut times: Vec<Duration> = (0..lands).map(|_| self.dice.ms(0, bound.as_millis() as u64)).collect();
        times.sort_unstable();
        for (time, batch) in times.into_iter().zip(open) {
            self.at(time, What::Late { lane: wire.lane, node: wire.node, batch });
        }
    }

    /// A request of a closed connection reaches its broker: it is handled now or never.
    pub(super) fn late(&mut self, lane: usize, node: i32, batch: Bytes) {
        if self.stuck.get(&(lane, node)).is_some_and(|until| *until > self.now) {
            return;
        }
        let moments = self.moments(lane);
        self.note(|| format!("lane {lane}: a late request"));
        self.coverage.note(Fault::LateRequest, &moments);
        // Nobody waits for the answer.
        let _ = self.append(lane, node, batch);
    }

    /// Cuts a connection: the client learns of it a little later.
    pub(super) fn cut(&mut self, id: u64, gone: bool) {
        let Some(lane) = self.wires.get(&id).map(|wire| wire.lane) else { return };
        self.note(|| format!("lane {lane}: connection {id} is cut"));
        self.close(id, gone);
        let delay = self.delay();
        self.at(delay, What::Broke { wire: id });
    }
}
