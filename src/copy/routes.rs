//! Which broker serves which lane on one side, and when that must be looked up again.

use std::collections::{BTreeMap, BTreeSet};

use crate::kafka::BrokerId;

/// The broker that serves a lane, and the how-manieth of that broker's lanes it is: so lanes are dealt to connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) broker: BrokerId,
    pub(super) ordinal: usize,
}

/// Where one side's partitions are led.
///
/// A route is forgotten when its broker says it is not the leader, or does not answer; a lane without a route waits in
/// `stranded` until the metadata was read again. How often that may be is for the lane to say, not for this table.
#[derive(Debug)]
pub(super) struct Routes {
    /// The last place that was known of each lane, and whether it still holds.
    places: Vec<(Option<Place>, bool)>,
    /// Lanes that each broker was dealt.
    dealt: BTreeMap<BrokerId, usize>,
    stranded: BTreeSet<usize>,
    looking: bool,
}

impl Routes {
    pub(super) fn new(lanes: usize) -> Self {
        Self { places: vec![(None, false); lanes], dealt: BTreeMap::new(), stranded: BTreeSet::new(), looking: false }
    }

    /// Where the lane's partition is led, as far as known.
    pub(super) fn place(&self, lane: usize) -> Option<Place> {
        self.places.get(lane).and_then(|(place, holds)| place.filter(|_| *holds))
    }

    /// The broker that leads the lane's partition, as far as known.
    pub(super) fn leader(&self, lane: usize) -> Option<BrokerId> {
        self.place(lane).map(|place| place.broker)
    }

    /// The lane's route turned out wrong.
    pub(super) fn forget(&mut self, lane: usize) {
        if let Some((_, holds)) = self.places.get_mut(lane) {
            *holds = false;
        }
    }

    /// No lane is led by `broker` as far as is known.
    pub(super) fn forget_broker(&mut self, broker: BrokerId) {
        for (place, holds) in &mut self.places {
            *holds &= place.is_none_or(|place| place.broker != broker);
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
            let Some((place, holds)) = self.places.get_mut(*lane) else { continue };
            let leader = leader(*lane);
            *holds = leader.is_some();
            if let Some(broker) = leader.filter(|broker| place.is_none_or(|place| place.broker != *broker)) {
                let dealt = self.dealt.entry(broker).or_default();
                *place = Some(Place { broker, ordinal: *dealt });
                *dealt += 1;
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

    #[test]
    fn the_lanes_of_a_broker_are_numbered_and_a_lane_that_comes_back_keeps_its_number() {
        let mut routes = Routes::new(6);
        let look_up = |routes: &mut Routes, leaders: [i32; 6]| {
            (0..6).for_each(|lane| routes.strand(lane));
            let lanes = routes.look_up();
            routes.found(&lanes, |lane| Some(BrokerId(leaders[lane])));
            (0..6).map(|lane| routes.place(lane).expect("a place").ordinal).collect::<Vec<_>>()
        };
        assert_eq!(look_up(&mut routes, [1, 2, 1, 2, 1, 2]), [0, 0, 1, 1, 2, 2]);
        routes.forget(2);
        routes.forget_broker(BrokerId(2));
        assert_eq!([0, 1, 2].map(|lane| routes.leader(lane)), [Some(BrokerId(1)), None, None]);
        assert_eq!(look_up(&mut routes, [1, 2, 1, 2, 1, 1]), [0, 0, 1, 1, 2, 3]);
    }
}
