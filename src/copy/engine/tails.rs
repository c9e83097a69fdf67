//! Looking at the ends of target logs: for lanes that do not know what became of their batches, and once per run to see
//! whether the target keeps the stamps of batches.

use super::Engine;
use crate::copy::lane::Event;
use crate::copy::requests;
use crate::copy::settle::Tail;

/// Whose tails are wanted.
#[derive(Debug, Default)]
pub(super) struct Tails {
    wanted: Vec<usize>,
    stamps: Look,
}

/// Where the question stands whether stamps are kept.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum Look {
    #[default]
    Open,
    /// This lane has written a batch that can be looked at.
    Wanted(usize),
    Asked,
    Answered(bool),
}

impl Tails {
    /// The lane wants to know where its target's log ends.
    pub(super) fn ask(&mut self, lane: usize) {
        self.wanted.push(lane);
    }

    /// The lane has a batch on the target.
    pub(super) fn appended(&mut self, lane: usize) {
        if self.stamps == Look::Open {
            self.stamps = Look::Wanted(lane);
        }
    }

    /// Whether it is being looked whether stamps are kept. Meanwhile nothing is sent, and nothing is stored: what is durable
    /// behind the first batch must say it too, or whoever goes on takes that batch for somebody else's.
    pub(super) fn are_looking(&self) -> bool {
        matches!(self.stamps, Look::Wanted(_) | Look::Asked)
    }

    pub(super) fn stamps_kept(&self) -> Option<bool> {
        match self.stamps {
            Look::Answered(kept) => Some(kept),
            _ => None,
        }
    }
}

impl Engine {
    /// Asks for the tails that are wanted.
    pub(super) fn start_tails(&mut self) {
        let at = |lane: usize| self.slots[lane].lane.at().clone();
        let wanted: Vec<_> = self.tails.wanted.drain(..).map(|lane| (lane, at(lane))).collect();
        if !wanted.is_empty() {
            self.requests.spawn(requests::settle(self.target.clone(), wanted));
        }
        if let Look::Wanted(lane) = self.tails.stamps {
            self.tails.stamps = Look::Asked;
            let end = self.slots[lane].lane.written().end;
            self.requests.spawn(requests::stamp(self.target.clone(), lane, at(lane), end));
        }
    }

    pub(super) fn settled(&mut self, lanes: Vec<(usize, Result<Tail, String>)>) {
        for (lane, tail) in lanes {
            // Whatever was wrong, its leader may be another one by now.
            self.target_routes.forget(lane);
            match tail {
                Ok(tail) => self.event(lane, Event::Settled(tail)),
                Err(cause) => self.event(lane, Event::Unsettled { cause }),
            }
        }
    }

    /// Takes the first look at a batch of this run. A look that shows nothing is repeated with the next batch.
    pub(super) fn stamped(&mut self, lane: usize, tail: Option<&Tail>) {
        let seen = tail.and_then(|tail| self.slots[lane].lane.sees_stamps(tail));
        self.tails.stamps = seen.map_or(Look::Open, Look::Answered);
        for lane in 0..self.slots.len() {
            if let Some(kept) = seen {
                self.event(lane, Event::Stamps { kept });
            }
            self.queue(lane);
        }
    }
}
