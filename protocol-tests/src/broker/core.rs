//! A whole cluster as a synchronous state machine: no clock, no I/O, no randomness.
//!
//! [`Core::handle`] takes a request frame; what it can't answer at once it parks, and [`Core::poll`] releases. One
//! connection's requests are handled one at a time, in order, as real brokers do: what comes behind a parked request
//! waits in line.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::access::Access;
use super::api;
use super::call::{Call, ConnectionId, Event, Outcome, Step, Wait};
use super::configs::{self, Values};
use super::faults::{Action, Faults};
use super::groups::Groups;
use super::topic::{Partition, SWEEP_MS, Topic};
use super::txn::Transactions;
use super::version::Version;

/// Time-driven work is looked for at most this often, ms.
const TICK_MS: i64 = 50;

/// One broker of the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Host name that Metadata advertises.
    pub host: String,
    /// Port that Metadata advertises.
    pub port: u16,
    /// Rack, if any.
    pub rack: Option<String>,
    /// Whether it runs.
    pub up: bool,
}

struct Busy {
    call: Call,
    wait: Wait,
    /// A fault that meets the answer once there is one.
    action: Option<Action>,
}

#[derive(Default)]
struct Connection {
    node: i32,
    busy: Option<Busy>,
    backlog: VecDeque<Bytes>,
    /// The client is gone; what is being handled is finished without an answer.
    gone: bool,
}

/// See the module.
pub struct Core {
    /// Which Kafka it is.
    pub version: Version,
    /// As Metadata names it.
    pub cluster_id: String,
    /// By id, from 1.
    pub nodes: BTreeMap<i32, Node>,
    /// By name.
    pub topics: BTreeMap<String, Topic>,
    /// Broker configs that differ from the defaults, the same on all nodes.
    pub broker_configs: Values,
    /// Consumer groups and their offsets.
    pub groups: Groups,
    /// Whether groups without members are listed. Brokers of 0.10.0 don't; here that is for a test to say.
    pub lists_empty_groups: bool,
    /// The transaction coordinator.
    pub transactions: Transactions,
    /// Faults to come.
    pub faults: Faults,
    /// What clients may not do.
    pub access: Access,
    pub(crate) now: i64,
    /// Counts everything that could let a parked request go on.
    pub(crate) changes: u64,
    pub(crate) next_producer_id: i64,
    /// Names by topic id, those of deleted topics too.
    pub(crate) topic_ids: BTreeMap<u128, String>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Connections that died with their node and whose shell does not know yet.
    dead: Vec<ConnectionId>,
    next_tick: i64,
}

impl Core {
    /// An empty cluster of `nodes` brokers (ids from 1), at `now_ms` since 1970.
    pub fn new(version: Version, nodes: usize, now_ms: i64) -> Self {
        let node = |id: i32| Node { host: format!("broker-{id}"), port: 9092, rack: None, up: true };
        let nodes: BTreeMap<i32, Node> = (1..).take(nodes).map(|id| (id, node(id))).collect();
        // As in the lab's real clusters of one node: everything has as many replicas as there are nodes, up to three.
        let replicas = nodes.len().min(3).to_string();
        Self {
            version,
            cluster_id: "embedded-kafka-cluster".to_owned(),
            nodes,
            topics: BTreeMap::new(),
            broker_configs: Values::from([("default.replication.factor".to_owned(), replicas)]),
            groups: Groups::default(),
            lists_empty_groups: true,
            transactions: Transactions::default(),
            faults: Faults::default(),
            access: Access::default(),
            now: now_ms,
            changes: 0,
            next_producer_id: 1_000,
            topic_ids: BTreeMap::new(),
            connections: BTreeMap::new(),
            dead: Vec::new(),
            next_tick: now_ms,
        }
    }

    /// Takes a request frame (without its length) that `connection` sent to `node`. Frames of one connection must be
    /// handed in the order in which they came.
    pub fn handle(&mut self, now_ms: i64, node: i32, connection: ConnectionId, frame: Bytes) -> Outcome {
        self.tick(now_ms);
        if !self.nodes.get(&node).is_some_and(|node| node.up) {
            return Outcome::Close;
        }
        let state = self.connections.entry(connection).or_insert_with(|| Connection { node, ..Connection::default() });
        if state.busy.is_some() || !state.backlog.is_empty() {
            state.backlog.push_back(frame);
            return Outcome::Parked;
        }
        self.serve(connection, frame)
    }

    /// Releases what no longer has to wait. To be called after every [`handle`](Self::handle), after every change made
    /// from outside, and at [`next_wake`](Self::next_wake).
    pub fn poll(&mut self, now_ms: i64) -> Vec<Event> {
        self.tick(now_ms);
        let close = |connection| Event { connection, outcome: Outcome::Close };
        let mut events: Vec<Event> = self.dead.drain(..).map(close).collect();
        loop {
            let before = events.len();
            let waiting: Vec<ConnectionId> =
                self.connections.iter().filter(|(_, state)| state.busy.is_some()).map(|(id, _)| *id).collect();
            for connection in waiting {
                self.resume(connection, &mut events);
            }
            if events.len() == before {
                return events;
            }
        }
    }

    /// When [`poll`](Self::poll) has something to do even if nothing else happens, ms.
    pub fn next_wake(&self) -> Option<i64> {
        let waits = self.connections.values().filter_map(|state| match &state.busy.as_ref()?.wait {
            Wait::Produce(wait) => Some(wait.deadline),
            Wait::Fetch(wait) => Some(wait.deadline),
            Wait::Handling { until, .. } | Wait::Answer { until, .. } => Some(*until),
            Wait::Join { .. } | Wait::Sync { .. } | Wait::Never => None,
        });
        let timed = self.groups.next_deadline().into_iter().chain(self.transactions.next_deadline());
        waits.chain(timed.map(|at| at.max(self.next_tick))).min()
    }

    /// The client closed the connection: what it sent and was not handled yet is lost, what is under way is finished.
    pub fn disconnect(&mut self, connection: ConnectionId) {
        let Some(state) = self.connections.get_mut(&connection) else { return };
        state.backlog.clear();
        state.gone = true;
        // Only a request that a fault holds back is still to be handled; the rest has done its work.
        if !state.busy.as_ref().is_some_and(|busy| matches!(busy.wait, Wait::Handling { .. })) {
            self.connections.remove(&connection);
        }
    }

    /// The node died, and with it its connections.
    pub(crate) fn disconnect_all(&mut self, node: i32) {
        let of_node = self.connections.iter().filter(|(_, state)| state.node == node);
        let dead: Vec<ConnectionId> = of_node.map(|(id, _)| *id).collect();
        dead.iter().for_each(|connection| self.disconnect(*connection));
        self.dead.extend(dead);
    }

    fn serve(&mut self, connection: ConnectionId, frame: Bytes) -> Outcome {
        let node = self.connections.get(&connection).map_or(0, |state| state.node);
        let mut body = frame;
        let Some(call) = Call::read(node, connection, &mut body) else { return self.close(connection) };
        let action = self.faults.meet(&call, &body);
        match action {
            Some(Action::CutBefore) => return self.close(connection),
            Some(Action::DelayRequest(ms)) => {
                let until = self.now.saturating_add(ms);
                return self.park(call, Wait::Handling { until, body }, None);
            }
            Some(Action::Request(ref change)) => body = change(body),
            _ => {}
        }
        let step = api::dispatch(self, &call, body);
        self.finish(call, step, action)
    }

    fn finish(&mut self, call: Call, step: Step, action: Option<Action>) -> Outcome {
        let outcome = match step {
            Step::Reply(frame) => Outcome::Reply(frame),
            Step::Silent => Outcome::Silent,
            Step::Close => return self.close(call.connection),
            Step::Park(wait) => return self.park(call, wait, action),
        };
        match action {
            Some(Action::CutAfter) => self.close(call.connection),
            Some(Action::Hold) => self.park(call, Wait::Never, None),
            Some(Action::DelayReply(ms)) => {
                let until = self.now.saturating_add(ms);
                self.park(call, Wait::Answer { until, outcome }, None)
            }
            Some(Action::Raw(bytes)) => Outcome::Raw(bytes),
            Some(Action::Reply(change)) => match outcome {
                Outcome::Reply(frame) => Outcome::Reply(change(frame)),
                other => other,
            },
            _ => outcome,
        }
    }

    fn park(&mut self, call: Call, wait: Wait, action: Option<Action>) -> Outcome {
        if let Some(state) = self.connections.get_mut(&call.connection) {
            state.busy = Some(Busy { call, wait, action });
        }
        Outcome::Parked
    }

    fn close(&mut self, connection: ConnectionId) -> Outcome {
        self.connections.remove(&connection);
        Outcome::Close
    }

    /// Tries to go on with what a connection waits for, then with what waits in line behind it.
    fn resume(&mut self, connection: ConnectionId, events: &mut Vec<Event>) {
        let Some(busy) = self.connections.get_mut(&connection).and_then(|state| state.busy.take()) else { return };
        let mut outcome = self.retry(busy);
        loop {
            if outcome == Outcome::Parked {
                return;
            }
            let gone = self.connections.get(&connection).is_some_and(|state| state.gone);
            if gone {
                self.connections.remove(&connection);
                return;
            }
            events.push(Event { connection, outcome });
            let Some(state) = self.connections.get_mut(&connection) else { return };
            let Some(frame) = state.backlog.pop_front() else { return };
            outcome = self.serve(connection, frame);
        }
    }

    fn retry(&mut self, busy: Busy) -> Outcome {
        let Busy { call, wait, action } = busy;
        let step = match wait {
            Wait::Produce(wait) => api::produce::resume(self, &call, wait),
            Wait::Fetch(wait) => api::fetch::resume(self, &call, wait),
            Wait::Join { group, member } => api::join_group::resume(self, &call, group, member),
            Wait::Sync { group, member } => api::sync_group::resume(self, &call, group, member),
            Wait::Handling { until, body } if self.now >= until => api::dispatch(self, &call, body),
            Wait::Answer { until, outcome } if self.now >= until => return outcome,
            wait => Step::Park(wait),
        };
        self.finish(call, step, action)
    }

    pub(crate) fn tick(&mut self, now_ms: i64) {
        self.now = self.now.max(now_ms);
        if self.now < self.next_tick {
            return;
        }
        self.next_tick = self.now.saturating_add(TICK_MS);
        let expiry = self.producer_expiry_ms();
        let partitions = self.topics.values_mut().flat_map(|topic| topic.partitions.iter_mut());
        // Every partition has its turn: `any` would stop at the first that moved.
        let moved = partitions.filter_map(|partition| partition.tick(self.now, expiry).then_some(())).count();
        self.changes += moved as u64;
        let minutes: i64 = self.broker_config("offsets.retention.minutes").parse().unwrap_or(i64::MAX);
        self.groups.tick(self.now, minutes.saturating_mul(60_000));
        self.end_late_transactions();
    }

    /// How long producers are remembered, ms: producer.id.expiration.ms where it is set.
    pub(crate) fn producer_expiry_ms(&self) -> i64 {
        let name = match self.version {
            Version::V0_10 | Version::V2_8 => "transactional.id.expiration.ms",
            Version::V4_1 => "producer.id.expiration.ms",
        };
        let set = self.broker_configs.get(name).and_then(|value| value.parse().ok());
        set.unwrap_or_else(|| self.version.producer_expiry_ms())
    }

    /// How often producers are looked through for those to forget, ms. Setting it came with KIP-854.
    pub(crate) fn producer_sweep_ms(&self) -> i64 {
        let set = self.broker_configs.get("producer.id.expiration.check.interval.ms");
        let set = set.filter(|_| self.version >= Version::V4_1).and_then(|value| value.parse().ok());
        set.unwrap_or(SWEEP_MS)
    }

    /// The partition with that number.
    pub fn partition(&self, topic: &str, index: i32) -> Option<&Partition> {
        self.topics.get(topic)?.partition(index)
    }

    /// The partition with that number.
    pub fn partition_mut(&mut self, topic: &str, index: i32) -> Option<&mut Partition> {
        self.changes += 1;
        self.topics.get_mut(topic)?.partition_mut(index)
    }

    /// The name behind a topic id.
    pub(crate) fn topic_named(&self, id: u128) -> Option<&str> {
        // The name may belong to another topic by now.
        let name = self.topic_ids.get(&id)?;
        self.topics.get(name).filter(|topic| topic.id == id).map(|_| name.as_str())
    }

    /// A broker config's effective value.
    pub fn broker_config(&self, name: &str) -> &str {
        let default = || configs::broker_configs(self.version).find(|(known, ..)| *known == name);
        self.broker_configs.get(name).map_or_else(|| default().map_or("", |(_, value, _)| value), String::as_str)
    }

    /// The node that coordinates a group or a transaction; `None` while none runs.
    pub fn coordinator(&self, key: &str) -> Option<i32> {
        let up: Vec<i32> = self.nodes.iter().filter(|(_, node)| node.up).map(|(id, _)| *id).collect();
        // The hash that Kafka uses to find the partition of its offsets topic.
        let hash = key.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
        up.get(usize::try_from(hash & i32::MAX).unwrap_or_default().checked_rem(up.len())?).copied()
    }
}
