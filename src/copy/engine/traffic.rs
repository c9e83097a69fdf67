//! The engine's requests: starting them, and taking what came of them to the lanes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};

use super::{Engine, LOCKED_OUT, METADATA_LAG, Wake};
use crate::batch::{Summed, batches_of};
use crate::cluster::{ClusterError, FetchAnswer, FetchedPartition};
use crate::copy::answer::ProduceResult;
use crate::copy::budget::Claim;
use crate::copy::fetcher::{Ask, Asks};
use crate::copy::lane::Event;
use crate::copy::link::{Answered, LinkKey, State};
use crate::copy::requests::{self, Done, Found};
use crate::copy::routes::Place;
use crate::kafka::{BrokerId, ErrorCode, Retry, Side, TopicPartition};

impl Engine {
    /// Reads the metadata again where lanes have lost their leader.
    pub(super) fn start_look_ups(&mut self) {
        for (side, cluster, routes) in [
            (Side::Source, &self.source, &mut self.source_routes),
            (Side::Target, &self.target, &mut self.target_routes),
        ] {
            let lanes = routes.look_up();
            if lanes.is_empty() {
                continue;
            }
            let topics: BTreeSet<_> = lanes.iter().map(|lane| self.slots[*lane].lane.at().topic.clone()).collect();
            self.requests.spawn(requests::leaders(cluster.clone(), side, lanes, topics.into_iter().collect()));
        }
    }

    /// Asks source brokers for records as far as memory and rate allow. One request may always go out. The connections take
    /// turns: what is allowed is for all of them.
    pub(super) fn start_fetches(&mut self) {
        self.paused_until = None;
        let behind = self.asks.range((self.asked_last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
        let ready = |(key, asks): (&LinkKey, &Asks)| asks.is_ready().then_some(*key);
        let turns: Vec<LinkKey> = behind.chain(&self.asks).filter_map(ready).collect();
        let _ = turns.into_iter().try_for_each(|key| self.ask_broker(key));
    }

    /// Sends what may be sent on one connection; breaks where nothing more may on any.
    fn ask_broker(&mut self, key: LinkKey) -> ControlFlow<()> {
        let (now, share) = (self.now(), self.portion());
        while let Some(asks) = self.asks.get_mut(&key).filter(|asks| asks.is_ready()) {
            // No more is set aside than may come: lanes that stand still must not keep others from reading.
            let (count, bytes) = asks.next(share, self.fetch_bytes);
            if !self.budget.has_room(bytes) {
                return ControlFlow::Break(());
            }
            self.paused_until = self.pace.wait(now);
            if self.paused_until.is_some() {
                return ControlFlow::Break(());
            }
            let mut claim = Claim::new(bytes, share);
            let mut lanes = Vec::new();
            for ask in asks.request(count) {
                let target = self.slots[ask.lane].held.target;
                if self.budget.admit(&mut claim, target) {
                    lanes.push(ask);
                } else {
                    self.crowded.entry(target).or_default().push_back(ask);
                }
            }
            if lanes.is_empty() {
                continue;
            }
            asks.under_way += 1;
            self.asked_last = Some(key);
            self.budget.ask(&claim);
            self.pace.took(bytes);
            let at = |lane: usize| self.slots[lane].lane.at().clone();
            let request = requests::fetch_request(&lanes, (share, bytes), self.source.rack(), at);
            self.requests.spawn(requests::fetch(self.source.clone(), key, (lanes, claim), request));
        }
        ControlFlow::Continue(())
    }

    /// Lets lanes to this target broker read on that had to wait for others of them.
    pub(super) fn disperse(&mut self, target: Option<BrokerId>) {
        if self.crowded.contains_key(&target) && self.budget.lets_read(target, self.portion()) {
            let waiting = self.crowded.remove(&target).unwrap_or_default();
            waiting.into_iter().for_each(|ask| self.ask(ask, false));
        }
    }

    /// Opens the target connections that are wanted.
    pub(super) fn start_connections(&mut self) {
        for (key, link) in &mut self.links {
            if link.begins_to_connect() {
                self.requests.spawn(requests::connect(self.target.clone(), *key));
            }
        }
    }

    /// Sends what waits for target connections.
    ///
    /// Nothing goes while the lock may be somebody else's.
    pub(super) fn start_produces(&mut self) {
        self.locked_out_until = None;
        if !self.checkpoints.may_write() {
            self.locked_out_until = Some(self.now() + LOCKED_OUT);
            return;
        }
        for (key, link) in &mut self.links {
            while let Some(connection) = link.ready() {
                let slots = &mut self.slots;
                let batches = link.turns.request(slots);
                if batches.is_empty() {
                    continue;
                }
                let named = batches.into_iter().map(|(lane, batch)| (lane, slots[lane].lane.at().clone(), batch));
                self.requests.spawn(requests::produce(connection, *key, link.under_way.begin(), named.collect()));
            }
        }
    }

    /// Takes a request's outcome.
    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Fetched { key, asks, claim, answer } => {
                self.budget.came(&claim);
                self.pace.earn(claim.bytes());
                self.fetched(key, asks, answer);
                claim.targets().for_each(|target| self.disperse(target));
            }
            Done::Produced { key, number, answered } => {
                if let Some(link) = self.links.get_mut(&key) {
                    link.under_way.came(number, answered);
                }
                while let Some(answered) = self.links.get_mut(&key).and_then(|link| link.under_way.next()) {
                    self.produced(key, answered);
                }
            }
            Done::Connected { key, connection } => {
                let Some(link) = self.links.get_mut(&key) else { return };
                match connection {
                    Ok(connection) => {
                        link.state = State::Open(connection);
                        self.connected(key);
                    }
                    Err(error) => {
                        link.state = State::Closed;
                        let lanes: Vec<usize> = link.turns.drain().collect();
                        lanes.into_iter().for_each(|lane| self.target_lost(lane, &error.to_string()));
                    }
                }
            }
            Done::LogStart { lane, log_start } => match log_start {
                Ok(start) => {
                    let code = ErrorCode::OFFSET_OUT_OF_RANGE;
                    self.event(lane, Event::FetchRefused { code, log_start: Some(start) });
                }
                Err(cause) => self.event(lane, Event::FetchLost { cause }),
            },
            Done::Settled { lanes } => self.settled(lanes),
            Done::Stamped { lane, tail } => self.stamped(lane, tail.as_ref()),
            Done::Stored { lanes, stored } => self.stored(&lanes, stored),
            Done::Leaders { side: Side::Source, lanes, found } => self.source_leaders(&lanes, found),
            Done::Leaders { side: Side::Target, lanes, found } => self.target_leaders(&lanes, found),
        }
    }

    /// A connection is new: of each lane that goes out on it one batch goes first.
    fn connected(&mut self, key: LinkKey) {
        let idle = |slot: &super::Slot| slot.link == Some(key) && slot.under_way == 0 && slot.end.is_none();
        let lanes: Vec<usize> = (0..self.slots.len()).filter(|lane| idle(&self.slots[*lane])).collect();
        if let Some(link) = self.links.get_mut(&key) {
            link.turns.drain().for_each(drop);
        }
        lanes.into_iter().for_each(|lane| self.moved(lane));
    }

    fn fetched(&mut self, key: LinkKey, asks: Vec<Ask>, answer: Result<(FetchAnswer, Summed), ClusterError>) {
        if let Some(queue) = self.asks.get_mut(&key) {
            queue.under_way -= 1;
        }
        let (answer, sums) = match answer {
            Ok((answer, sums)) if answer.error == ErrorCode::NONE => (answer, sums),
            Ok((answer, _)) => return self.fetch_lost(&asks, &answer.error.to_string()),
            Err(error) => return self.fetch_lost(&asks, &error.to_string()),
        };
        let bytes = answer.partitions.iter().map(|partition| partition.records.len()).sum();
        self.pace.took(bytes);
        self.checkpoints.read(bytes);
        let mut partitions: BTreeMap<TopicPartition, FetchedPartition> =
            answer.partitions.into_iter().map(|partition| (partition.at.clone(), partition)).collect();
        let mut crowded = false;
        for ask in asks {
            let partition = partitions.remove(self.slots[ask.lane].lane.at());
            let served = partition.as_ref().is_some_and(|partition| !partition.records.is_empty());
            self.fetched_lane(key.broker, ask, partition.map(|partition| (partition, &sums)), crowded);
            crowded |= served;
        }
    }

    fn fetch_lost(&mut self, asks: &[Ask], cause: &str) {
        for ask in asks {
            self.source_routes.forget(ask.lane);
            self.event(ask.lane, Event::FetchLost { cause: cause.to_owned() });
        }
    }

    fn fetched_lane(
        &mut self,
        broker: BrokerId,
        ask: Ask,
        partition: Option<(FetchedPartition, &Summed)>,
        crowded: bool,
    ) {
        let Some((partition, sums)) = partition else {
            let cause = "the answer leaves the partition out".to_owned();
            return self.event(ask.lane, Event::FetchLost { cause });
        };
        let place = self.source_routes.place(ask.lane);
        let leads = place.is_some_and(|place| place.broker == broker);
        match partition.error {
            // Only the leader may send a lane elsewhere: two brokers that name each other would do so for ever.
            ErrorCode::NONE => match (place, partition.preferred_replica) {
                (Some(place), Some(replica)) if leads && replica != broker => {
                    self.ask_of(Place { broker: replica, ..place }, ask, false);
                }
                _ => {
                    let FetchedPartition { records, aborted, .. } = partition;
                    self.event(
                        ask.lane,
                        Event::Fetched { records: batches_of(records, sums.clone()), aborted, crowded },
                    );
                }
            },
            // A follower may lag behind or keep less than its leader: the leader has the last word (KIP-392). It may
            // name the same follower again, so this counts as a failure.
            code if !leads => self.event(ask.lane, Event::FetchLost { cause: code.to_string() }),
            // Brokers don't tell what they have instead.
            ErrorCode::OFFSET_OUT_OF_RANGE if partition.log_start.is_none() => {
                self.requests.spawn(requests::log_start(self.source.clone(), ask.lane, partition.at));
            }
            code => {
                if code.retry() == Retry::Leader {
                    self.source_routes.forget(ask.lane);
                }
                self.event(ask.lane, Event::FetchRefused { code, log_start: partition.log_start });
            }
        }
    }

    fn produced(&mut self, key: LinkKey, Answered { lanes, answer }: Answered) {
        let mut answers = BTreeMap::new();
        let mut lost = "the answer leaves the partition out".to_owned();
        match answer {
            Ok(answer) => answers.extend(answer.partitions.into_iter().map(|part| (part.at.clone(), part))),
            Err(error) => lost = error.to_string(),
        }
        let mut moved = answers.is_empty();
        for lane in lanes {
            let result = match answers.remove(self.slots[lane].lane.at()) {
                Some(part) => {
                    moved |= part.error.retry() == Retry::Leader;
                    let first = part.record_errors.into_iter().find_map(|record| record.message);
                    ProduceResult::from_answer(part.error, part.base_offset, part.message.or(first))
                }
                None => ProduceResult::Lost { cause: lost.clone() },
            };
            self.answered(lane, result);
        }
        if moved {
            self.leave(key.broker);
        }
    }

    /// Looks the leaders of this broker's lanes up again before anything more is sent to it.
    fn leave(&mut self, broker: BrokerId) {
        let links = self.links.iter_mut().filter(|(key, _)| key.broker == broker);
        let lanes: Vec<usize> = links.flat_map(|(_, link)| link.turns.drain()).collect();
        self.target_routes.forget_broker(broker);
        lanes.into_iter().for_each(|lane| self.moved(lane));
    }

    fn source_leaders(&mut self, lanes: &[usize], found: Result<Found, ClusterError>) {
        let (Found { leaders, unknown }, cause) = flatten(found);
        let (now, slots) = (self.now(), &mut self.slots);
        self.source_routes.found(lanes, |lane| leaders.get(slots[lane].lane.at()).copied());
        for &lane in lanes {
            let slot = &mut self.slots[lane];
            slot.unknown_since = unknown.contains(&slot.lane.at().topic).then(|| slot.unknown_since.unwrap_or(now));
            let gone = slot.unknown_since.is_some_and(|since| !slot.surveyed || now >= since + METADATA_LAG);
            let Some(ask) = self.take_stranded(lane) else { continue };
            if self.source_routes.leader(lane).is_some() {
                self.ask(ask, false);
            } else if gone {
                self.event(lane, Event::NoTopic);
            } else {
                self.event(lane, Event::FetchLost { cause: cause.clone() });
            }
        }
    }

    fn target_leaders(&mut self, lanes: &[usize], found: Result<Found, ClusterError>) {
        let (Found { leaders, .. }, cause) = flatten(found);
        let slots = &self.slots;
        self.target_routes.found(lanes, |lane| leaders.get(slots[lane].lane.at()).copied());
        for &lane in lanes {
            if self.target_routes.leader(lane).is_some() {
                self.count(lane);
                self.requeue(lane);
            } else if !self.slots[lane].pending.is_empty() {
                self.target_lost(lane, &cause);
            }
        }
    }

    /// The lane's target could not be found or reached: nothing of what waits has left; look again later.
    fn target_lost(&mut self, lane: usize, cause: &str) {
        let now = self.now();
        self.target_routes.forget(lane);
        let slot = &mut self.slots[lane];
        slot.queued = false;
        slot.rest = slot.patience.failed(now);
        match slot.rest {
            Some(time) => {
                self.timers.insert((time, lane, Wake::Target));
                self.moved(lane);
            }
            None => {
                self.withdraw(lane);
                self.event(lane, Event::NoLeader { cause: cause.to_owned() });
            }
        }
    }
}

fn flatten(found: Result<Found, ClusterError>) -> (Found, String) {
    match found {
        Ok(found) => (found, "the partition has no leader".to_owned()),
        Err(error) => (Found::default(), error.to_string()),
    }
}
