//! Looks at the end of a target's log: for lanes that do not know what is there, and to see whether stamps are kept.

use std::time::Duration;

use kferry::copy::{Event, Tail};

use super::client::Stamps;
use super::world::{What, World};

/// How long a look may take.
const LOOK: Duration = Duration::from_secs(15);

impl World {
    /// Looks where a lane's target log ends: as the program does, first the high watermark, then the log end, then the last
    /// batch, each in its own request. `settles`: the lane has asked for it; otherwise whether stamps are kept is wanted.
    pub(super) fn look(&mut self, lane: usize, settles: bool) {
        let delay = self.delay();
        let run = self.run();
        self.at(delay, What::LookMark { run, lane, settles });
    }

    /// The first step of a look; each of them goes to the broker that leads.
    pub(super) fn look_mark(&mut self, run: u32, lane: usize, settles: bool) {
        let delay = self.delay();
        match self.leads(lane) {
            true => {
                let mark = self.sides[lane].target.partition.log.high_watermark();
                self.at(delay, What::LookEnd { run, lane, settles, mark });
            }
            false => self.at(LOOK, What::Looked { run, lane, settles, tail: None }),
        }
    }

    /// The second step.
    pub(super) fn look_end(&mut self, run: u32, lane: usize, settles: bool, mark: i64) {
        let delay = self.delay();
        match self.leads(lane) {
            true => {
                let target = &mut self.sides[lane].target;
                target.unseen &= !settles;
                let end = target.partition.log.end();
                self.at(delay, What::LookLast { run, lane, settles, mark, end });
            }
            false => self.at(LOOK, What::Looked { run, lane, settles, tail: None }),
        }
    }

    /// The third step.
    pub(super) fn look_last(&mut self, run: u32, lane: usize, settles: bool, mark: i64, end: i64) {
        let tail = self.sides[lane].target.tail(mark, end);
        let delay = self.delay();
        match self.leads(lane) {
            true => self.at(delay, What::Looked { run, lane, settles, tail: Some(tail) }),
            false => self.at(LOOK, What::Looked { run, lane, settles, tail: None }),
        }
    }

    fn leads(&self, lane: usize) -> bool {
        let leader = self.sides[lane].target.partition.leader;
        leader.is_some_and(|node| self.stuck.get(&(lane, node)).is_none_or(|until| *until <= self.now))
    }

    /// The end of a look.
    pub(super) fn looked(&mut self, lane: usize, settles: bool, tail: Option<Tail>) {
        if !settles {
            return self.stamped(lane, tail);
        }
        let unreplicated = tail.is_some_and(|tail| tail.high_watermark < tail.end);
        let Some(slot) = self.slot(lane) else { return };
        slot.settling = false;
        slot.route = None;
        slot.unreplicated = unreplicated;
        slot.resuming &= tail.is_none() || unreplicated;
        self.tell(
            lane,
            match tail {
                Some(tail) => Event::Settled(tail),
                None => Event::Unsettled { cause: "no answer".to_owned() },
            },
        );
    }

    pub(super) fn look_for_stamps(&mut self) {
        let Some(Stamps::Wanted(lane)) = self.process.as_ref().map(|process| process.stamps) else { return };
        self.set_stamps(Stamps::Asked);
        self.look(lane, false);
    }

    fn stamped(&mut self, lane: usize, tail: Option<Tail>) {
        let seen = |tail| self.slot(lane)?.lane.sees_stamps(&tail);
        let Some(kept) = tail.and_then(seen) else { return self.set_stamps(Stamps::Open) };
        self.set_stamps(Stamps::Answered);
        (0..self.sides.len()).for_each(|lane| self.tell(lane, Event::Stamps { kept }));
    }

    fn set_stamps(&mut self, stamps: Stamps) {
        if let Some(process) = &mut self.process {
            process.stamps = stamps;
        }
    }
}
