//! What goes wrong, by chance.

use super::books::Fate;
use super::coverage::Fault;
use super::dice::Dice;
use super::world::{What, World};

/// How much goes wrong in a seed.
#[derive(Debug)]
pub(super) struct Plan {
    kinds: Vec<Fault>,
    /// One of so many events is followed by a fault.
    rate: usize,
    left: usize,
    /// What has happened.
    pub(super) happened: Vec<Fault>,
}

impl Plan {
    pub(super) fn new(dice: &mut Dice, drops_stamps: bool) -> Self {
        let some = dice.one_of(&[2, 3, 8]);
        // What ends a lane for good is rare; and without stamps nobody can tell which a record is.
        let allowed = |dice: &mut Dice, fault: &Fault| match fault {
            Fault::LateRequest => false,
            Fault::Foreign => !drops_stamps && dice.once_in(6),
            Fault::Unclean => !drops_stamps && dice.once_in(4),
            Fault::StateFails => dice.once_in(4),
            _ => dice.below(some) > 0,
        };
        let mut kinds: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| allowed(dice, fault)).collect();
        // Only what was cut can come late.
        let cuts = kinds.iter().filter(|fault| **fault == Fault::Cut).count();
        kinds.extend(std::iter::repeat_n(Fault::Cut, 3 * cuts));
        let rate = dice.one_of(&[4, 12, 40]);
        let left = dice.one_of(&[0, 3, 8, 20]);
        Self { left: if kinds.is_empty() { 0 } else { left }, kinds, rate, happened: Vec::new() }
    }

    /// Nothing goes wrong any more.
    pub(super) fn end(&mut self) {
        self.left = 0;
    }

    /// Whether one of these has happened.
    pub(super) fn has_happened(&self, faults: &[Fault]) -> bool {
        self.happened.iter().any(|fault| faults.contains(fault))
    }
}

impl World {
    /// Rolls the dice.
    pub(super) fn something_goes_wrong(&mut self) {
        if self.plan.left == 0 || !self.dice.once_in(self.plan.rate) {
            return;
        }
        let kinds = std::mem::take(&mut self.plan.kinds);
        let fault = self.dice.one_of(&kinds);
        self.plan.kinds = kinds;
        let lane = self.dice.below(self.sides.len());
        let met: Vec<usize> = match fault {
            Fault::Crash | Fault::Stop | Fault::StateFails => (0..self.sides.len()).collect(),
            _ => vec![lane],
        };
        let moments: Vec<_> = met.into_iter().map(|lane| self.moments(lane)).collect();
        self.note(|| format!("lane {lane}: !! {fault:?} {moments:?}"));
        if self.strike(fault, lane) {
            self.plan.left = self.plan.left.saturating_sub(1);
            self.plan.happened.push(fault);
            moments.iter().for_each(|moments| self.coverage.note(fault, moments));
        } else {
            self.note(|| "   not now".to_owned());
        }
    }

    /// Makes it happen; `false` where it can't now.
    fn strike(&mut self, fault: Fault, lane: usize) -> bool {
        match fault {
            Fault::Crash => self.process.is_some().then(|| self.crash()).is_some(),
            Fault::Stop => {
                let runs = self.process.as_ref().is_some_and(|process| !process.stopping);
                runs.then(|| self.stop()).is_some()
            }
            Fault::CutUnsent | Fault::Cut | Fault::SlowAnswer | Fault::OddAnswer => self.strike_wire(fault, lane),
            Fault::FetchFails => self.slot(lane).map(|slot| slot.fetch_fails = true).is_some(),
            Fault::CommitSlow => self.meet_commit(Fate::Slow),
            Fault::CommitLost => self.meet_commit(Fate::Lost),
            Fault::CommitUnanswered => self.meet_commit(Fate::Unanswered),
            Fault::StateFails => self.meet_commit(Fate::Fails),
            Fault::Compaction | Fault::Retention => self.strike_source(fault, lane),
            Fault::LateRequest => false,
            _ => self.strike_target(fault, lane),
        }
    }

    fn meet_commit(&mut self, fate: Fate) -> bool {
        let meets = self.process.is_some() && self.fate == Fate::Taken;
        if meets {
            self.fate = fate;
        }
        meets
    }

    fn strike_wire(&mut self, fault: Fault, lane: usize) -> bool {
        let Some(id) = self.slot(lane).and_then(|slot| slot.wire) else { return false };
        let slow = self.dice.ms(500, 25_000);
        let odd = self.dice.one_of(&[-1, 3, 6, 7, 20, 46, 56, 999]);
        let Some(wire) = self.wires.get_mut(&id) else { return false };
        match fault {
            Fault::CutUnsent => wire.dead = true,
            Fault::SlowAnswer => wire.slow = slow,
            Fault::OddAnswer => wire.odd = Some(odd),
            _ => self.cut(id, false),
        }
        true
    }

    fn strike_source(&mut self, fault: Fault, lane: usize) -> bool {
        let passed = match self.slot(lane) {
            Some(slot) => Some(slot.lane.next_source()),
            None => self.durable(lane).ok().map(|checkpoint| checkpoint.next),
        };
        let side = &mut self.sides[lane];
        let before = side.source.gone.clone();
        match fault {
            Fault::Compaction => side.source.compact(),
            _ => {
                let offset = side.source.somewhere(&mut self.dice);
                side.source.expire(offset);
            }
        }
        if let Some(passed) = passed {
            side.source.note_owed(&before, passed.get());
        }
        side.source.gone != before
    }

    fn strike_target(&mut self, fault: Fault, lane: usize) -> bool {
        let now_ms = self.now_ms();
        let long = self.dice.one_of(&[2_000, 20_000, 50_000, 50_000, 150_000]);
        let wait = self.dice.ms(100, long);
        let some = self.dice.between(1, 3) as usize;
        let target = &mut self.sides[lane].target;
        let Some(leader) = target.partition.leader else { return false };
        match fault {
            Fault::Stuck => drop(self.stuck.insert((lane, leader), self.now + wait)),
            Fault::LeaderMove => {
                let others: Vec<i32> = target.partition.isr.iter().copied().filter(|node| *node != leader).collect();
                if others.is_empty() || self.dice.once_in(4) {
                    target.partition.leader = None;
                    self.at(wait, What::Elect { lane });
                } else {
                    let next = self.dice.one_of(&others);
                    target.partition.elect(next);
                }
            }
            Fault::FollowersDown | Fault::TooFewInSync => {
                let followers: Vec<i32> = target.partition.replicas.iter().map(|replica| replica.node).collect();
                let followers: Vec<i32> = followers.into_iter().filter(|node| *node != leader).collect();
                let stop = if fault == Fault::FollowersDown { some.min(followers.len()) } else { followers.len() };
                for node in followers.iter().take(stop) {
                    target.partition.set_follower_up(now_ms, *node, false);
                    if fault == Fault::TooFewInSync {
                        target.partition.shrink_isr(*node);
                    }
                }
                if followers.is_empty() {
                    return false;
                }
                self.at(wait, What::FollowersUp { lane });
            }
            Fault::Restart => {
                target.node_down(now_ms, leader);
                let cut = self.wires.iter().filter(|(_, wire)| (wire.lane, wire.node) == (lane, leader));
                let cut: Vec<u64> = cut.map(|(id, _)| *id).collect();
                cut.into_iter().for_each(|id| self.cut(id, true));
                self.at(wait, What::NodeUp { lane, node: leader });
            }
            Fault::Unclean => return target.elect_unclean(some),
            Fault::Forget => target.sweep(now_ms),
            Fault::Foreign => target.write_foreign(some, now_ms),
            _ => target.limit(61 + 120 + some * 60),
        }
        true
    }

    /// Followers fetch again.
    pub(super) fn followers_up(&mut self, lane: usize) {
        let now_ms = self.now_ms();
        let partition = &mut self.sides[lane].target.partition;
        let nodes: Vec<i32> = partition.replicas.iter().map(|replica| replica.node).collect();
        nodes.into_iter().for_each(|node| partition.set_follower_up(now_ms, node, true));
    }

    /// The partition gets a leader, if it still has none.
    pub(super) fn elect(&mut self, lane: usize) {
        let partition = &mut self.sides[lane].target.partition;
        let next = partition.isr.first().copied().filter(|_| partition.leader.is_none());
        next.into_iter().for_each(|node| partition.elect(node));
    }
}
