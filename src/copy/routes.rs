//! Which broker serves which lane on one side, and when that must be looked up again.

use std::collections::BTreeSet;

use crate::kafka::BrokerId;

/// Where one side's partitions are led.
///
/// A route is forgotten when its broker says it is not the leader, or does not answer; a lane without a route waits in
/// `stranded` until the metadata was read again. How often that may be is for the lane to say, not for this table.
#[derive(Debug)]
pub(super) struct Routes {
    leaders: Vec<Option<BrokerId>>,
    stranded: BTreeSet<usize>,
    looking: bool,
}

impl Routes {
    pub(super) fn new(lanes: usize) -> Self {
        Self { leaders: vec![None; lanes], stranded: BTreeSet::new(), looking: false }
    }

    /// The broker that leads the lane's partition, as far as known.
    pub(super) fn leader(&self, lane: usize) -> Option<BrokerId> {
        self.leaders.get(lane).copied().flatten()
    }

    /// The lane's route turned out wrong.
    pub(super) fn forget(&mut self, lane: usize) {
        if let Some(leader) = self.leaders.get_mut(lane) {
            *leader = None;
        }
    }

    /// No lane is led by `broker` as far as is known.
    pub(super) fn forget_broker(&mut self, broker: BrokerId) {
        for leader in &mut self.leaders {
            leader.take_if(|leader| *leader == broker);
        }
    }

    /// The lane has work and no route.
    pub(super) fn strand(&mut self, lane: usize) {
        self.stranded.insert(lane);
    }

    /// The lanes to look up, if there are any and no look-up is under way; the answer goes to [`Routes::found`].
    pub(super) fn look_up(&mut self) -> Vec<usize> {
        if self.looking {
            return Vec::new();
        }
        self.looking = !self.stranded.is_empty();
        self.stranded.iter().copied().collect()
    }

    /// Takes the answer to a look-up of `lanes`; a lane without a leader stays without a route.
    pub(super) fn found(&mut self, lanes: &[usize], leader: impl Fn(usize) -> Option<BrokerId>) {
        self.looking = false;
        for lane in lanes {
            self.stranded.remove(lane);
            if let Some(route) = self.leaders.get_mut(*lane) {
                *route = leader(*lane);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_that_strand_during_a_look_up_wait_for_the_next_one() {
        let mut routes = Routes::new(3);
        routes.strand(0);
        routes.strand(1);
        let looked_up = routes.look_up();
        assert_eq!(looked_up, [0, 1]);
        routes.strand(2);
        assert_eq!(routes.look_up(), Vec::<usize>::new(), "one look-up at a time");
        routes.found(&looked_up, |lane| (lane == 0).then_some(BrokerId(7)));
        assert_eq!((routes.leader(0), routes.leader(1)), (Some(BrokerId(7)), None));
        assert_eq!(routes.look_up(), [2]);
    }
}
