//! What is durable, and how it gets there: one commit at a time, repeated until it is known to be taken.

use kferry::copy::Event;
use kferry::kafka::TopicPartition;
use kferry::state::{Checkpoint, decode, encode};

use super::client::{Commit, EVERY};
use super::world::{What, World};

/// What happens to the next commit.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    #[default]
    Taken,
    Slow,
    Lost,
    Unanswered,
    /// The process loses its right to store anything; this one may be taken.
    Fails,
}

impl World {
    /// What is durable of a lane, read as another process would.
    pub(super) fn durable(&self, lane: usize) -> Result<Checkpoint, String> {
        decode(&self.stored[lane]).map_err(|error| format!("lane {lane}: its state can't be read: {error}"))
    }

    /// Progress that nobody waits for is stored now and then.
    pub(super) fn progress(&mut self) {
        let run = self.run();
        if let Some(process) = &mut self.process {
            let moved = process.slots.iter().enumerate().filter(|(_, slot)| {
                let standing = |slot: &super::client::Slot| (slot.lane.written().end, slot.lane.next_source());
                slot.as_ref().is_some_and(|slot| slot.stored != standing(slot))
            });
            let moved: Vec<usize> = moved.map(|(lane, _)| lane).collect();
            process.wanted.extend(moved);
        }
        self.at(EVERY, What::Progress { run });
    }

    /// Stores what is wanted, if nothing is under way.
    pub(super) fn start_commit(&mut self) {
        let (now_ms, run, delay) = (self.now_ms(), self.run(), self.delay());
        let Some(process) = &mut self.process else { return };
        if process.commit.is_some() || process.state_failed || process.wanted.is_empty() {
            return;
        }
        let mut entries = Vec::new();
        for lane in std::mem::take(&mut process.wanted) {
            let Some(slot) = &mut process.slots[lane] else { continue };
            let checkpoint = slot.lane.checkpoint();
            slot.stored = (checkpoint.target_end(), checkpoint.next);
            entries.push((lane, encode(&Checkpoint { at_ms: now_ms, host: "here".to_owned(), ..checkpoint })));
        }
        process.commit = Some(Commit { entries });
        self.at(delay, What::Commit { run });
    }

    /// A commit reaches the coordinator, or does not.
    pub(super) fn commit(&mut self) {
        let run = self.run();
        let fate = std::mem::take(&mut self.fate);
        let (short, long) = (self.delay(), self.dice.ms(1_000, 9_000));
        let taken = match fate {
            Fate::Slow => return self.at(long, What::Commit { run }),
            Fate::Taken | Fate::Unanswered => true,
            Fate::Lost => false,
            Fate::Fails => self.dice.once_in(2),
        };
        if taken {
            self.take_commit();
        }
        match fate {
            // What is not answered is sent again, before anything else is.
            Fate::Lost | Fate::Unanswered => self.at(long, What::Commit { run }),
            Fate::Fails => self.at(short, What::Committed { run, fails: true }),
            _ => self.at(short, What::Committed { run, fails: false }),
        }
    }

    /// What is on its way becomes durable.
    pub(super) fn take_commit(&mut self) {
        let entries = self.process.as_ref().and_then(|process| process.commit.clone());
        for (lane, metadata) in entries.into_iter().flat_map(|commit| commit.entries) {
            self.note(|| format!("lane {lane}: durable: {metadata}"));
            self.stored[lane] = metadata;
            self.check_durable(lane);
        }
    }

    /// What is durable must be on the target.
    fn check_durable(&mut self, lane: usize) {
        let end = self.sides[lane].target.partition.log.end();
        match self.durable(lane) {
            Ok(checkpoint) if checkpoint.target_end().get() > end && !self.sides[lane].target.truncated => {
                self.fail(format!("lane {lane}: durable up to {}, the log ends at {end}", checkpoint.target_end()));
            }
            Ok(_) => {}
            Err(error) => self.fail(error),
        }
    }

    /// The answer to a commit.
    pub(super) fn committed(&mut self, fails: bool) {
        let Some(commit) = self.process.as_mut().and_then(|process| process.commit.take()) else { return };
        if !fails {
            for (lane, _) in commit.entries {
                self.stop_waiting_for_journal(lane);
                self.tell(lane, Event::Stored);
            }
            return;
        }
        if let Some(process) = &mut self.process {
            process.state_failed = true;
        }
        for lane in 0..self.sides.len() {
            self.stop_waiting_for_journal(lane);
            self.withdraw(lane);
            self.tell(lane, Event::StoreFailed { cause: "somebody else runs this migration".to_owned() });
        }
    }
}

/// The name of a lane.
pub(super) fn at(lane: usize) -> TopicPartition {
    TopicPartition::new("orders", lane as i32)
}
