//! Serves all lanes: hands their actions to the brokers and the outcomes back.
//!
//! One task owns every lane; only requests run beside it. Lanes with something to do stand in `ready`; nothing ever
//! walks over all lanes to find out which one can go on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::answer::ProduceResult;
use super::budget::{Budget, Held};
use super::fetcher::{Ask, Asks};
use super::lane::{Action, Event, LaneEnd, LaneSetup, Truncation};
use super::link::{Link, LinkKey, connections};
use super::pace::Pace;
use super::progress::Progress;
use super::requests::Done;
use super::routes::{Place, Routes};
use super::tally::Tally;
use crate::cluster::Cluster;
use crate::kafka::{BrokerId, Offset, Span, TopicPartition};
use crate::state::{Checkpoint, Entry, Store, StoreError};

mod checkpoints;
mod slot;
mod tails;
mod traffic;

use checkpoints::Checkpoints;
use slot::Slot;
use tails::Tails;

/// How often the observer is told.
const OBSERVE_EVERY: Duration = Duration::from_millis(200);

/// How long answers are waited for once the copy is to stop. With the time that leaving the migration's group may take
/// this is clearly less than the two seconds in which a run that was told to stop has ended.
const LAST_ANSWERS: Duration = Duration::from_millis(1_100);

/// For how long a topic of the source may be unknown to brokers that have just started, or lag behind.
const METADATA_LAG: Duration = Duration::from_secs(5);

/// How often it is looked whether records may be sent again, while the lock is in doubt.
const LOCKED_OUT: Duration = Duration::from_millis(100);

/// The most bytes one Fetch answer should bring: a large batch or many small ones, sent on once all of it is here.
const FETCH_BYTES: usize = 2560 * 1024;

/// The least and the most that a lane reads ahead, in bytes: what is being read, what waits for its journal, and what is on
/// its way to the target.
const LEAST_SHARE: usize = 64 * 1024;
const MOST_SHARE: usize = 4 * 1024 * 1024;

/// What a lane takes of the memory beside records, of its own and in commits: with thousands of them that many fewer are held.
const LANE_BYTES: usize = 1024;

/// The most bytes of one partition in one Fetch answer: two large batches, so that a lane goes half as often to its source.
const PARTITION_BYTES: usize = 2304 * 1024;

/// What the engine may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes that records and lanes may take: read and not yet acknowledged by the target, or asked for.
    pub memory: usize,
    /// Bytes a second that may be read; `None`: as fast as both clusters allow.
    pub rate: Option<u64>,
}

/// Where the engine keeps what it must not forget.
#[derive(Clone, Debug)]
pub struct Books {
    /// The state of the migration, with its lock.
    pub store: Store,
    /// What is stored before anything is sent, while the lanes begin to read: the plan, and who writes.
    pub first: Vec<Entry>,
    /// Partitions that are no lanes: they are stored now and then, so that they do not expire.
    pub others: Vec<(TopicPartition, Checkpoint)>,
    /// The time in ms since 1970 when the engine starts.
    pub began_ms: i64,
    /// The host, for whoever reads the state.
    pub host: String,
}

/// What became of one lane.
#[derive(Clone, PartialEq, Debug)]
pub struct Copied {
    /// The partition.
    pub at: TopicPartition,
    /// Batches by verdict.
    pub tally: Tally,
    /// Where the target lost what it had acknowledged; it was written again.
    pub truncated: Vec<Truncation>,
    /// Source offsets from which on the batches could not be cut as they had been journaled.
    pub recut: Vec<Offset>,
    /// How it ended.
    pub end: LaneEnd,
    /// Where it stands: what was to be moved, where that lies on the target, what was left out.
    pub checkpoint: Checkpoint,
}

/// What became of all lanes.
#[derive(Debug)]
pub struct Copies {
    /// Each lane, in the order they were given.
    pub lanes: Vec<Copied>,
    /// Whether the target keeps the stamps of batches; `None` where nothing was written.
    pub stamps_kept: Option<bool>,
    /// Why the state could not be kept to the end.
    pub unstored: Option<StoreError>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Wake {
    /// A lane's wait is over.
    Lane,
    /// A lane's target may be looked for again.
    Target,
}

/// Gives every lane's state, for observers who want more than sums.
pub type Lanes<'a> = &'a dyn Fn() -> Vec<Copied>;

/// Copies a set of lanes from one cluster to another.
#[derive(Debug)]
pub struct Engine {
    source: Cluster,
    target: Cluster,
    slots: Vec<Slot>,
    ready: VecDeque<usize>,
    timers: BTreeSet<(Duration, usize, Wake)>,
    source_routes: Routes,
    target_routes: Routes,
    /// Connections to each broker of the source, and of the target.
    connections: (usize, usize),
    asks: BTreeMap<LinkKey, Asks>,
    /// The source connection that got the last request.
    asked_last: Option<LinkKey>,
    links: BTreeMap<LinkKey, Link>,
    checkpoints: Checkpoints,
    tails: Tails,
    requests: JoinSet<Done>,
    budget: Budget,
    /// Lanes that want records while those to their target broker hold all that they may.
    crowded: BTreeMap<Option<BrokerId>, VecDeque<Ask>>,
    pace: Pace,
    /// When the rate allows to read on.
    paused_until: Option<Duration>,
    /// When to look whether the lock is held again.
    locked_out_until: Option<Duration>,
    /// The most bytes that one Fetch answer should bring.
    fetch_bytes: usize,
    live: usize,
    bytes: u64,
    /// When a copy that is to stop no longer waits for answers.
    deadline: Option<Duration>,
    started: Instant,
}

impl Engine {
    /// An engine over lanes at their start.
    pub fn new(source: Cluster, target: Cluster, limits: Limits, books: Books, lanes: Vec<LaneSetup>) -> Self {
        let count = lanes.len();
        let pace = Pace::new(limits.rate);
        let left = |setup: &LaneSetup| Span { start: setup.checkpoint.next, end: setup.checkpoint.span.end }.len();
        let routes = Routes::new(&lanes.iter().map(left).collect::<Vec<i64>>());
        Self {
            connections: (connections(source.round_trip(), count), connections(target.round_trip(), count)),
            source,
            target,
            slots: lanes.into_iter().map(Slot::new).collect(),
            ready: (0..count).collect(),
            timers: BTreeSet::new(),
            source_routes: routes.clone(),
            target_routes: routes,
            asks: BTreeMap::new(),
            asked_last: None,
            links: BTreeMap::new(),
            checkpoints: Checkpoints::new(books),
            tails: Tails::default(),
            requests: JoinSet::new(),
            budget: Budget::new(limits.memory.saturating_sub(count * LANE_BYTES).max(limits.memory / 2)),
            crowded: BTreeMap::new(),
            fetch_bytes: FETCH_BYTES.min(limits.memory / 4).min(pace.at_once().unwrap_or(FETCH_BYTES)),
            pace,
            paused_until: None,
            locked_out_until: None,
            live: count,
            bytes: 0,
            deadline: None,
            started: Instant::now(),
        }
    }

    /// Runs until every lane has ended, and its end is durable. When `stop` turns true nothing new is begun, and what is
    /// under way is awaited for a second.
    pub async fn run(
        mut self,
        mut stop: watch::Receiver<bool>,
        observe: &mut (dyn FnMut(&Progress, Lanes<'_>) + Send),
    ) -> Copies {
        self.take_places();
        let mut tick = tokio::time::interval(OBSERVE_EVERY);
        loop {
            self.dispatch();
            self.start_look_ups();
            self.start_tails();
            self.start_fetches();
            self.start_produces();
            self.start_connections();
            self.start_store();
            if self.is_over() {
                break;
            }
            let wake = self.next_wake();
            tokio::select! {
                biased;
                Ok(_) = stop.wait_for(|stop| *stop), if self.deadline.is_none() => self.stop(),
                Some(ended) = self.requests.join_next() => match ended {
                    Ok(done) => self.done(done),
                    Err(error) => rethrow(error),
                },
                () = sleep_until(self.started + wake.unwrap_or_default()), if wake.is_some() => self.wake(),
                _ = tick.tick() => observe(&self.progress(), &|| self.copied()),
            }
        }
        let copied = self.copied();
        observe(&self.progress(), &|| copied.clone());
        Copies { lanes: copied, stamps_kept: self.tails.stamps_kept(), unstored: self.checkpoints.take_failure() }
    }

    /// Begins with the leaders that the clusters' handles remember. Connections to the target are opened while nothing may be
    /// sent yet.
    fn take_places(&mut self) {
        let lanes: Vec<usize> = (0..self.slots.len()).collect();
        for (cluster, routes) in [(&self.source, &mut self.source_routes), (&self.target, &mut self.target_routes)] {
            let leaders = cluster.remembered_leaders(self.slots.iter().map(|slot| slot.lane.at()));
            routes.found(&lanes, |lane| leaders.get(lane).copied().flatten());
        }
        for lane in lanes {
            match self.target_routes.place(lane) {
                Some(place) => {
                    self.links.entry(LinkKey::new(place, self.connections.1, true)).or_default().open_early()
                }
                None => self.target_routes.strand(lane),
            }
            self.count(lane);
        }
    }

    /// Whether nothing is left to do, to wait for, or that could be done.
    fn is_over(&self) -> bool {
        let late = self.deadline.is_some_and(|deadline| self.now() >= deadline);
        (self.live == 0 && self.checkpoints.are_done()) || late || self.checkpoints.have_ended()
    }

    fn next_wake(&self) -> Option<Duration> {
        let timer = self.timers.first().map(|(time, _, _)| *time);
        let checkpoints = self.checkpoints.next().filter(|_| !self.tails.are_looking());
        let others = [self.paused_until, self.locked_out_until, checkpoints, self.deadline];
        timer.into_iter().chain(others.into_iter().flatten()).min()
    }

    /// What became of every lane so far; one that has not ended yet counts as stopped.
    fn copied(&self) -> Vec<Copied> {
        self.slots.iter().map(Slot::copied).collect()
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// How far all lanes together are.
    fn progress(&self) -> Progress {
        let ended = |slot: &&Slot| matches!(slot.end.as_deref(), Some(LaneEnd::Copied));
        let failed = |slot: &&Slot| matches!(slot.end.as_deref(), Some(LaneEnd::Failed(_)));
        Progress {
            done: self.slots.iter().map(|slot| slot.lane.done()).sum(),
            total: self.slots.iter().map(|slot| slot.lane.span().len()).sum(),
            bytes: self.bytes,
            lanes_done: self.slots.iter().filter(ended).count(),
            lanes_failed: self.slots.iter().filter(failed).count(),
            lanes: self.slots.len(),
            elapsed: self.now(),
        }
    }

    /// Tells a lane what happened and lets it act.
    fn event(&mut self, lane: usize, event: Event) {
        let now = self.now();
        let share = self.share();
        let slot = &mut self.slots[lane];
        slot.lane.read_ahead(share);
        slot.lane.on(now, event);
        self.ready.push_back(lane);
        self.count(lane);
    }

    /// Bytes that a lane reads ahead: however many lanes stand still, they must leave room for the others. The fewer are left,
    /// the more each gets.
    fn share(&self) -> usize {
        (self.budget.limit() / (2 * self.live.max(1))).clamp(LEAST_SHARE, MOST_SHARE)
    }

    /// Bytes of it that a Fetch asks for at a time.
    fn portion(&self) -> usize {
        self.share().min(PARTITION_BYTES)
    }

    /// Counts what the lane holds against the memory.
    fn count(&mut self, lane: usize) {
        let slot = &mut self.slots[lane];
        let held = Held { bytes: slot.lane.held(), target: self.target_routes.leader(lane).or(slot.held.target) };
        let before = std::mem::replace(&mut slot.held, held);
        self.budget.hold(before, held);
        self.disperse(before.target);
    }

    /// Carries out what the lanes in `ready` want.
    fn dispatch(&mut self) {
        let now = self.now();
        while let Some(lane) = self.ready.pop_front() {
            while let Some(action) = self.slots[lane].lane.next(now) {
                match action {
                    Action::Fetch { from, first, needed, batch, beyond } => {
                        self.ask(Ask { lane, from, needed, batch, beyond }, first);
                    }
                    Action::Produce(batch) => {
                        self.slots[lane].pending.push_back(batch);
                        self.queue(lane);
                    }
                    Action::Settle => self.tails.ask(lane),
                    Action::Store => self.checkpoints.want(lane),
                    Action::Wait(time) => {
                        self.timers.insert((time, lane, Wake::Lane));
                        break;
                    }
                    Action::Finish(end) => {
                        self.slots[lane].end = Some(Box::new(end));
                        self.live -= 1;
                        self.checkpoints.ended(lane);
                    }
                }
            }
        }
    }

    /// Queues a lane at its source broker, or has the broker looked up first.
    pub(super) fn ask(&mut self, ask: Ask, first: bool) {
        match self.source_routes.place(ask.lane) {
            Some(place) => self.ask_of(place, ask, first),
            None => {
                self.slots[ask.lane].stranded = Some(Box::new(ask));
                self.source_routes.strand(ask.lane);
            }
        }
    }

    pub(super) fn ask_of(&mut self, place: Place, ask: Ask, first: bool) {
        self.asks.entry(LinkKey::new(place, self.connections.0, true)).or_default().push(ask, first);
    }

    pub(super) fn take_stranded(&mut self, lane: usize) -> Option<Ask> {
        self.slots[lane].stranded.take().map(|ask| *ask)
    }

    /// Queues a lane with pending batches at its target connection, or has the leader looked up first. A lane stays on
    /// its connection while anything of it is under way there.
    fn queue(&mut self, lane: usize) {
        let now = self.now();
        let slot = &mut self.slots[lane];
        let rests = self.tails.are_looking() || slot.rest.is_some_and(|rest| now < rest);
        if slot.queued || slot.pending.is_empty() || rests {
            return;
        }
        slot.rest = None;
        let stays = slot.link.filter(|_| slot.under_way > 0);
        let place = || self.target_routes.place(lane);
        match stays.or_else(|| place().map(|place| LinkKey::new(place, self.connections.1, slot.well))) {
            Some(key) if slot.link.replace(key).is_some_and(|before| before != key) => self.moved(lane),
            Some(key) => {
                slot.queued = true;
                self.links.entry(key).or_default().turns.push(lane);
            }
            None => self.target_routes.strand(lane),
        }
    }

    /// The lane lost its place in the turns and takes a new one.
    pub(super) fn requeue(&mut self, lane: usize) {
        self.slots[lane].queued = false;
        self.queue(lane);
    }

    /// Takes the answer to a lane's oldest batch.
    pub(super) fn answered(&mut self, lane: usize, result: ProduceResult) {
        let slot = &mut self.slots[lane];
        slot.under_way -= 1;
        let appended = matches!(result, ProduceResult::Appended { .. });
        let lost = matches!(result, ProduceResult::Lost { .. });
        slot.well = appended;
        let before = slot.held.bytes;
        self.event(lane, Event::Produced(result));
        if appended {
            self.bytes += before.saturating_sub(self.slots[lane].held.bytes) as u64;
            self.slots[lane].patience.reset();
            self.tails.appended(lane);
        }
        if lost {
            self.target_routes.forget(lane);
        }
        if self.slots[lane].lane.is_failing() {
            self.withdraw(lane);
        }
        self.queue(lane);
    }

    /// Gives batches that were never sent back to their lane.
    pub(super) fn withdraw(&mut self, lane: usize) {
        while self.slots[lane].pending.pop_back().is_some() {
            self.event(lane, Event::Unsent);
        }
    }

    /// The lane's batches go out on another connection: those that were not sent wait again, so that one goes first.
    pub(super) fn moved(&mut self, lane: usize) {
        self.slots[lane].queued = false;
        self.withdraw(lane);
        self.event(lane, Event::Moved);
    }

    fn stop(&mut self) {
        self.deadline = Some(self.now() + LAST_ANSWERS);
        for lane in 0..self.slots.len() {
            self.withdraw(lane);
            self.event(lane, Event::Stop);
        }
    }

    /// Wakes the lanes whose time has come.
    fn wake(&mut self) {
        let now = self.now();
        while self.timers.first().is_some_and(|(time, _, _)| *time <= now) {
            let Some((_, lane, wake)) = self.timers.pop_first() else { return };
            match wake {
                Wake::Lane => self.ready.push_back(lane),
                Wake::Target => self.queue(lane),
            }
        }
    }
}

/// A request's task only ends early by a panic: a defect, which must not look like a lane that waits.
fn rethrow(error: JoinError) {
    if let Ok(panic) = error.try_into_panic() {
        std::panic::resume_unwind(panic);
    }
}
