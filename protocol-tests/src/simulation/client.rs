//! The part that the engine plays in the program: carries out what lanes want, and tells them what came of it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use kferry::batch::Outgoing;
use kferry::cluster::retry::{Attempts, Jitter, RetryPolicy};
use kferry::copy::{Action, Event, Lane, LaneEnd, ProduceResult};
use kferry::kafka::{ErrorCode, Offset, Retry};

use super::coverage::Moment;
use super::world::{What, World};

/// How long a request may go without an answer.
const DEADLINE: Duration = Duration::from_secs(20);
/// Requests of one connection that may be on their way.
const REQUESTS: usize = 5;
/// How often progress is stored that nobody waits for.
pub(super) const EVERY: Duration = Duration::from_secs(5);
/// How long a process that is to stop waits for answers.
const LAST_ANSWERS: Duration = Duration::from_millis(1_100);

/// A process of the program.
#[derive(Debug)]
pub(super) struct Process {
    /// Its number: what was begun by another one is no longer its business.
    pub(super) run: u32,
    pub(super) began: Duration,
    /// The lanes; `None` for what was finished before it began.
    pub(super) slots: Vec<Option<Slot>>,
    /// Lanes whose checkpoints are to be stored.
    pub(super) wanted: BTreeSet<usize>,
    pub(super) commit: Option<Commit>,
    pub(super) stamps: Stamps,
    pub(super) stopping: bool,
    pub(super) state_failed: bool,
}

/// Whether the target keeps stamps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stamps {
    Open,
    Wanted(usize),
    Asked,
    Answered,
}

/// A commit under way.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) entries: Vec<(usize, String)>,
}

/// A lane and what is held for it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) lane: Lane,
    pub(super) end: Option<LaneEnd>,
    /// Handed out and not sent.
    pub(super) pending: VecDeque<Outgoing>,
    /// Sent and not answered: the requests' numbers.
    pub(super) outstanding: VecDeque<u64>,
    pub(super) wire: Option<u64>,
    connecting: bool,
    pub(super) route: Option<i32>,
    looking: bool,
    attempts: Attempts,
    failing_since: Option<Duration>,
    rest: Option<Duration>,
    woken_at: Option<Duration>,
    /// The next Fetch fails.
    pub(super) fetch_fails: bool,
    /// What was durable last: records, and the next source offset.
    pub(super) stored: (Offset, Offset),
    // What follows only tells moments apart.
    pub(super) settling: bool,
    pub(super) unreplicated: bool,
    pub(super) resuming: bool,
    pub(super) inherited: Offset,
    pub(super) splitting: bool,
    awaits_journal: bool,
}

/// As the program's: a broker that died may take a while to come back.
pub(super) fn patience() -> RetryPolicy {
    RetryPolicy { total: Duration::from_secs(120), attempts: 60, ..RetryPolicy::default() }
}

impl Slot {
    pub(super) fn new(lane: Lane, resuming: bool, inherited: Offset) -> Self {
        Self {
            stored: (lane.written().end, lane.next_source()),
            lane,
            end: None,
            pending: VecDeque::new(),
            outstanding: VecDeque::new(),
            wire: None,
            connecting: false,
            route: None,
            looking: false,
            attempts: Attempts::new(patience()),
            failing_since: None,
            rest: None,
            woken_at: None,
            fetch_fails: false,
            settling: false,
            unreplicated: false,
            resuming,
            inherited,
            splitting: false,
            awaits_journal: false,
        }
    }
}

impl World {
    pub(super) fn slot(&mut self, lane: usize) -> Option<&mut Slot> {
        self.process.as_mut()?.slots.get_mut(lane)?.as_mut()
    }

    /// Where the lane stands, for the table of what was covered.
    pub(super) fn moments(&self, lane: usize) -> BTreeSet<Moment> {
        let Some(process) = &self.process else { return BTreeSet::from([Moment::Down]) };
        let Some(slot) = &process.slots[lane] else { return BTreeSet::new() };
        if slot.end.is_some() {
            return BTreeSet::from([Moment::Ending]);
        }
        let wire = slot.wire.and_then(|id| self.wires.get(&id));
        let sent = wire.map_or(0, |wire| wire.transit.len() + wire.backlog.len());
        let holds = [
            (Moment::Journal, slot.awaits_journal),
            (Moment::Unsent, !slot.pending.is_empty()),
            (Moment::Sent, sent > 0),
            (Moment::Appended, wire.is_some() && slot.outstanding.len() > sent),
            (Moment::Settling, slot.settling && !slot.resuming),
            (Moment::Replication, slot.unreplicated),
            (Moment::Resuming, slot.resuming),
            (Moment::Replaying, !slot.resuming && slot.lane.written().end < slot.inherited),
            (Moment::Splitting, slot.splitting),
        ];
        let moments: BTreeSet<Moment> =
            holds.into_iter().filter(|(_, holds)| *holds).map(|(moment, _)| moment).collect();
        if moments.is_empty() { BTreeSet::from([Moment::Reading]) } else { moments }
    }

    /// Tells a lane what happened.
    pub(super) fn tell(&mut self, lane: usize, event: Event) {
        self.note(|| format!("lane {lane} <- {}", heard(&event)));
        let now = self.lane_now();
        if let Some(slot) = self.slot(lane) {
            slot.lane.on(now, event);
            self.ready.insert(lane);
        }
    }

    /// The time as lanes know it.
    fn lane_now(&self) -> Duration {
        self.process.as_ref().map_or(Duration::ZERO, |process| self.now - process.began)
    }

    /// Carries out what lanes want, until nothing is left to do at this time.
    pub(super) fn carry_on(&mut self) {
        while let Some(lane) = self.ready.pop_first() {
            self.act(lane);
            self.pump(lane);
        }
        self.look_for_stamps();
        self.start_commit();
    }

    fn act(&mut self, lane: usize) {
        let (now, run) = (self.lane_now(), self.run());
        while let Some(action) = self.slot(lane).and_then(|slot| slot.lane.next(now)) {
            self.note(|| format!("lane {lane} -> {}", told(&action)));
            match action {
                Action::Fetch { from, beyond, .. } => {
                    let delay = self.delay();
                    self.at(delay, What::Fetch { run, lane, from, beyond });
                }
                Action::Produce(batch) => {
                    if let Some(slot) = self.slot(lane) {
                        slot.pending.push_back(batch);
                    }
                }
                Action::Settle => {
                    if let Some(slot) = self.slot(lane) {
                        slot.settling = true;
                    }
                    self.look(lane, true);
                }
                Action::Store => {
                    if let Some(slot) = self.slot(lane) {
                        slot.awaits_journal = true;
                    }
                    self.want(lane);
                }
                Action::Wait(time) => {
                    let Some(slot) = self.slot(lane) else { return };
                    if slot.woken_at.replace(time) != Some(time) {
                        self.at(time - now, What::Wake { run, lane });
                    }
                    return;
                }
                Action::Finish(end) => {
                    if let Some(slot) = self.slot(lane) {
                        slot.end = Some(end);
                    }
                    self.want(lane);
                }
            }
        }
    }

    fn want(&mut self, lane: usize) {
        if let Some(process) = &mut self.process {
            process.wanted.insert(lane);
        }
    }

    /// Answers a Fetch.
    pub(super) fn fetch(&mut self, run: u32, lane: usize, from: Offset, beyond: bool) {
        let mut event = self.sides[lane].source.fetch(from, self.setup.fetch_bytes, beyond);
        if self.slot(lane).is_some_and(|slot| std::mem::take(&mut slot.fetch_fails)) {
            event = match self.dice.once_in(2) {
                true => Event::FetchLost { cause: "cut".to_owned() },
                false => Event::FetchRefused { code: ErrorCode::NOT_LEADER_OR_FOLLOWER, log_start: None },
            };
        }
        let delay = self.delay();
        self.at(delay, What::Tell { run, lane, event });
    }

    /// Sends what waits, as far as there is a leader, a connection to it, and room on that.
    pub(super) fn pump(&mut self, lane: usize) {
        let (now, run) = (self.now, self.run());
        loop {
            let delay = self.delay();
            let Some(slot) = self.slot(lane) else { return };
            if slot.pending.is_empty() || slot.connecting || slot.rest.is_some_and(|rest| now < rest) {
                return;
            }
            let Some(node) = slot.route else {
                if !std::mem::replace(&mut slot.looking, true) {
                    self.at(delay, What::Leader { run, lane });
                }
                return;
            };
            // A lane stays on its connection while anything of it is under way there.
            let idle = slot.outstanding.is_empty();
            let wire = slot.wire;
            let usable = wire.filter(|id| !idle || self.wires.get(id).is_some_and(|wire| wire.node == node));
            let Some(id) = usable else {
                if idle {
                    wire.into_iter().for_each(|id| self.close(id, false));
                    if let Some(slot) = self.slot(lane) {
                        (slot.wire, slot.connecting) = (None, true);
                    }
                    self.at(delay, What::Connected { run, lane });
                }
                return;
            };
            let request = self.number();
            let Some(slot) = self.slot(lane) else { return };
            if slot.outstanding.len() >= REQUESTS {
                return;
            }
            let Some(batch) = slot.pending.pop_front() else { return };
            slot.outstanding.push_back(request);
            let (head, body) = batch.parts();
            let bytes: Bytes = [&head[..], body].concat().into();
            self.note(|| format!("lane {lane}: sends {} {:?}", batch.source(), batch.header().stamp()));
            self.at(DEADLINE, What::Deadline { run, lane, request });
            self.transmit(id, bytes);
        }
    }

    /// The lane's leader was looked up.
    pub(super) fn leader(&mut self, lane: usize) {
        let stale = self.dice.once_in(10).then(|| self.dice.between(1, 3) as i32);
        let leader = stale.or(self.sides[lane].target.partition.leader);
        let Some(slot) = self.slot(lane) else { return };
        slot.looking = false;
        slot.route = leader;
        match leader {
            Some(_) => _ = self.ready.insert(lane),
            None => self.target_lost(lane, "no leader"),
        }
    }

    /// A connection was tried to the lane's leader.
    pub(super) fn connected(&mut self, lane: usize) {
        let id = self.number();
        let Some(slot) = self.slot(lane) else { return };
        slot.connecting = false;
        let Some(node) = slot.route else {
            self.ready.insert(lane);
            return;
        };
        let down = self.stuck.get(&(lane, node)).is_some_and(|until| *until > self.now);
        if down {
            return self.target_lost(lane, "does not answer");
        }
        self.connect(id, lane, node);
        if let Some(slot) = self.slot(lane) {
            slot.wire = Some(id);
        }
        self.moved(lane);
    }

    fn target_lost(&mut self, lane: usize, cause: &str) {
        let (now, run) = (self.now, self.run());
        let mut jitter = Jitter::new(self.dice.below(1 << 20) as u64);
        let Some(slot) = self.slot(lane) else { return };
        slot.route = None;
        let since = *slot.failing_since.get_or_insert(now);
        let wait = slot.attempts.failed(now - since, &mut jitter);
        slot.rest = wait.map(|wait| now + wait);
        match wait {
            Some(wait) => {
                self.at(wait, What::Wake { run, lane });
                self.moved(lane);
            }
            None => {
                self.withdraw(lane);
                self.tell(lane, Event::NoLeader { cause: cause.to_owned() });
            }
        }
    }

    /// What was not sent goes back to the lane.
    pub(super) fn withdraw(&mut self, lane: usize) {
        while self.slot(lane).is_some_and(|slot| slot.pending.pop_back().is_some()) {
            self.tell(lane, Event::Unsent);
        }
    }

    fn moved(&mut self, lane: usize) {
        self.withdraw(lane);
        self.tell(lane, Event::Moved);
    }

    /// An answer came in.
    pub(super) fn answer(&mut self, id: u64, code: i16, base: i64) {
        let Some(lane) = self.wires.get(&id).map(|wire| wire.lane) else { return };
        let code = ErrorCode(code);
        self.answered(lane, ProduceResult::from_answer(code, Offset(base), None));
        if code.retry() == Retry::Leader {
            if let Some(slot) = self.slot(lane) {
                slot.route = None;
            }
            self.moved(lane);
        }
    }

    fn answered(&mut self, lane: usize, result: ProduceResult) {
        let appended = matches!(result, ProduceResult::Appended { .. });
        let lost = matches!(result, ProduceResult::Lost { .. });
        let too_large = matches!(result, ProduceResult::Refused { code: ErrorCode::MESSAGE_TOO_LARGE, .. });
        let Some(slot) = self.slot(lane) else { return };
        if slot.outstanding.pop_front().is_none() {
            return;
        }
        slot.splitting = (slot.splitting && !appended) || too_large;
        if appended {
            (slot.attempts, slot.failing_since) = (Attempts::new(patience()), None);
        }
        if lost {
            slot.route = None;
        }
        self.tell(lane, Event::Produced(result));
        if let Some(process) = self.process.as_mut().filter(|process| appended && process.stamps == Stamps::Open) {
            process.stamps = Stamps::Wanted(lane);
        }
        if self.slot(lane).is_some_and(|slot| slot.lane.is_failing()) {
            self.withdraw(lane);
        }
    }

    /// The client learns that a connection is gone.
    pub(super) fn broke(&mut self, id: u64) {
        let owner = (0..self.sides.len()).find(|lane| self.slot(*lane).is_some_and(|slot| slot.wire == Some(id)));
        match owner {
            Some(lane) => self.lose(lane, "the connection was cut"),
            None => self.close(id, false),
        }
    }

    /// A request had its time.
    pub(super) fn deadline(&mut self, lane: usize, request: u64) {
        if self.slot(lane).is_some_and(|slot| slot.outstanding.contains(&request)) {
            self.lose(lane, "no answer");
        }
    }

    /// The lane's connection is closed, and what has no answer gets none.
    fn lose(&mut self, lane: usize, cause: &str) {
        let Some(slot) = self.slot(lane) else { return };
        slot.route = None;
        let wire = slot.wire.take();
        wire.into_iter().for_each(|id| self.close(id, false));
        while self.slot(lane).is_some_and(|slot| !slot.outstanding.is_empty()) {
            self.answered(lane, ProduceResult::Lost { cause: cause.to_owned() });
        }
        self.ready.insert(lane);
    }

    /// The process is told to stop.
    pub(super) fn stop(&mut self) {
        let run = self.run();
        if let Some(process) = &mut self.process {
            process.stopping = true;
        }
        for lane in 0..self.sides.len() {
            self.withdraw(lane);
            self.tell(lane, Event::Stop);
        }
        self.at(LAST_ANSWERS, What::GiveUp { run });
    }

    /// A lane whose journal is durable, or can't be, no longer waits for it.
    pub(super) fn stop_waiting_for_journal(&mut self, lane: usize) {
        if let Some(slot) = self.slot(lane) {
            slot.awaits_journal = false;
        }
    }
}

/// What a trace says about an action.
fn told(action: &Action) -> String {
    match action {
        Action::Produce(batch) => format!("Produce({}, {} records)", batch.source(), batch.records()),
        Action::Fetch { from, .. } => format!("Fetch({from})"),
        other => format!("{other:?}"),
    }
}

/// What a trace says about an event.
fn heard(event: &Event) -> String {
    match event {
        Event::Fetched { records, .. } => format!("Fetched({} bytes)", records.left()),
        other => format!("{other:?}"),
    }
}
