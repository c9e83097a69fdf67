//! Making checkpoints durable: what lanes wait for at once, the progress of all others every few seconds.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Books, Engine};
use crate::copy::lane::Event;
use crate::copy::pace::Pace;
use crate::copy::requests;
use crate::kafka::{Offset, TopicPartition};
use crate::state::{Checkpoint, Entry, Refusals, StoreError};

/// Bytes a second that are stored, but for what must not wait: the coordinator writes them to a log with a single leader.
const RATE: u64 = 256 * 1024;

/// So many bytes that are moved let one more be stored: what the copy itself does to the target is far more.
const MOVED: usize = 100;

/// How often progress is stored that nobody waits for.
const EVERY: Duration = Duration::from_secs(5);

/// How often everything is stored, so that nothing expires (`offsets.retention.minutes`).
const REFRESH: Duration = Duration::from_secs(30 * 60);

/// What is to be made durable.
#[derive(Debug)]
pub(super) struct Checkpoints {
    books: Books,
    first: First,
    wanted: BTreeSet<usize>,
    /// Lanes that have ended: nothing waits for their last checkpoint but the end of the copy.
    ended: BTreeSet<usize>,
    /// Lanes that had their first journal: for those without one the rate does not count.
    begun: BTreeSet<usize>,
    under_way: bool,
    pace: Pace,
    paused_until: Option<Duration>,
    progress_at: Duration,
    refresh_at: Duration,
    /// Why nothing can be stored any more.
    failure: Option<StoreError>,
}

/// Where that stands which must be durable before anything is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum First {
    Due,
    UnderWay,
    Stored,
}

impl Checkpoints {
    pub(super) fn new(books: Books) -> Self {
        Self {
            first: if books.first.is_empty() { First::Stored } else { First::Due },
            books,
            wanted: BTreeSet::new(),
            ended: BTreeSet::new(),
            begun: BTreeSet::new(),
            under_way: false,
            pace: Pace::new(Some(RATE)),
            paused_until: None,
            progress_at: EVERY,
            refresh_at: REFRESH,
            failure: None,
        }
    }

    /// So many bytes of records were read.
    pub(super) fn read(&mut self, bytes: usize) {
        self.pace.earn(bytes / MOVED);
    }

    /// The lane's checkpoint is to be stored soon.
    pub(super) fn want(&mut self, lane: usize) {
        self.wanted.insert(lane);
    }

    /// The lane's last checkpoint is to be stored some time: in front of a journal it would keep batches waiting.
    pub(super) fn ended(&mut self, lane: usize) {
        self.ended.insert(lane);
    }

    /// Whether records may be sent.
    pub(super) fn may_write(&self) -> bool {
        self.first == First::Stored && self.books.store.may_write()
    }

    /// Whether nothing can be stored any more, and so nothing be sent.
    pub(super) fn have_ended(&self) -> bool {
        self.books.store.has_ended()
    }

    /// Whether nothing waits to be stored.
    pub(super) fn are_done(&self) -> bool {
        let none = self.first != First::Due && self.wanted.is_empty() && self.ended.is_empty();
        !self.under_way && (none || self.failure.is_some())
    }

    /// When there is something to do without anything else happening.
    pub(super) fn next(&self) -> Option<Duration> {
        let next = self.progress_at.min(self.refresh_at);
        (!self.under_way && self.failure.is_none()).then(|| self.paused_until.map_or(next, |paused| paused.min(next)))
    }

    pub(super) fn take_failure(&mut self) -> Option<StoreError> {
        self.failure.take()
    }
}

impl Engine {
    /// Stores what is due, one commit at a time.
    pub(super) fn start_store(&mut self) {
        let now = self.now();
        let checkpoints = &mut self.checkpoints;
        if checkpoints.under_way || checkpoints.failure.is_some() || self.tails.are_looking() {
            return;
        }
        if checkpoints.first == First::Due {
            checkpoints.first = First::UnderWay;
            checkpoints.under_way = true;
            let entries = std::mem::take(&mut checkpoints.books.first);
            self.requests.spawn(requests::store_first(checkpoints.books.store.clone(), entries));
            return;
        }
        let ends = self.live == 0 || self.deadline.is_some();
        let is_time = now >= checkpoints.progress_at;
        if is_time {
            checkpoints.progress_at = now + EVERY;
            let moved = self.slots.iter().enumerate().filter(|(_, slot)| slot.stored != slot.standing());
            checkpoints.wanted.extend(moved.map(|(lane, _)| lane));
        }
        if is_time || ends {
            checkpoints.wanted.append(&mut checkpoints.ended);
        }
        let mut entries = Vec::new();
        if now >= checkpoints.refresh_at {
            checkpoints.refresh_at = now + REFRESH;
            checkpoints.wanted.extend(0..self.slots.len());
            let others = checkpoints.books.others.iter();
            entries.extend(others.map(|(at, checkpoint)| checkpoints.books.entry(now, at, checkpoint)));
        }
        if checkpoints.wanted.is_empty() && entries.is_empty() {
            return;
        }
        // The end must not wait, and neither must a lane's first journal.
        let exempt = ends || checkpoints.wanted.iter().any(|lane| !checkpoints.begun.contains(lane));
        checkpoints.paused_until = checkpoints.pace.wait(now).filter(|_| !exempt);
        if checkpoints.paused_until.is_some() {
            return;
        }
        let lanes: Vec<usize> = std::mem::take(&mut checkpoints.wanted).into_iter().collect();
        for &lane in &lanes {
            let slot = &mut self.slots[lane];
            let checkpoint = slot.lane.checkpoint();
            checkpoints.begun.insert(lane);
            slot.storing = (checkpoint.target_end(), checkpoint.next);
            entries.push(checkpoints.books.entry(now, slot.lane.at(), &checkpoint));
        }
        checkpoints.pace.took(entries.iter().map(|entry| entry.metadata.len()).sum());
        checkpoints.under_way = true;
        self.requests.spawn(requests::store(checkpoints.books.store.clone(), lanes, entries));
    }

    /// Takes what came of a commit. Without a state that can be kept, nothing more may be sent.
    pub(super) fn stored(&mut self, lanes: &[usize], stored: Result<Refusals, StoreError>) {
        self.checkpoints.under_way = false;
        match stored {
            Ok(refusals) => {
                self.checkpoints.first = First::Stored;
                for &lane in lanes {
                    self.slots[lane].stored = self.slots[lane].storing;
                    match refusals.get(self.slots[lane].lane.at()) {
                        None => self.event(lane, Event::Stored),
                        Some(cause) => self.not_stored(lane, cause.to_string()),
                    }
                }
            }
            // The copy was given up: no lane is to blame.
            Err(StoreError::Closed { .. }) => {}
            Err(error) => {
                let cause = error.to_string();
                self.checkpoints.failure.get_or_insert(error);
                (0..self.slots.len()).for_each(|lane| self.not_stored(lane, cause.clone()));
            }
        }
    }

    fn not_stored(&mut self, lane: usize, cause: String) {
        self.withdraw(lane);
        self.event(lane, Event::StoreFailed { cause });
    }
}

impl Books {
    fn entry(&self, now: Duration, at: &TopicPartition, checkpoint: &Checkpoint) -> Entry {
        let elapsed = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        checkpoint.entry(at, self.began_ms.saturating_add(elapsed), &self.host)
    }
}

impl super::Slot {
    /// How far the lane is: records on the target, and the next source offset.
    fn standing(&self) -> (Offset, Offset) {
        (self.lane.written().end, self.lane.next_source())
    }
}
