//! Which broker serves which lane on one side, and when that must be looked up again.

use std::collections::{BTreeMap, BTreeSet};

use crate::kafka::BrokerId;

/// Turns in which a broker's lanes are dealt to connections, at least, before neighbours share one: enough that each of the
/// connections gets about as many.
const TURNS: usize = 512;

/// The most neighbours that share a turn.
const NEIGHBOURS: usize = 16;

/// The broker that serves a lane, and the turn in which it was dealt: so lanes are dealt to connections.
///
/// Neighbours that share a connection are partitions of few topics, and brokers work on a request by topic. A lane with much
/// to move keeps a turn for itself: its neighbours are likely to have as much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) broker: BrokerId,
    pub(super) turn: usize,
}

/// Where one side's partitions are led.
///
/// A route is forgotten when its broker says it is not the leader, or does not answer; a lane without a route waits in
/// `stranded` until the metadata was read again. How often that may be is for the lane to say, not for this table.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    /// The last place that was known of each lane, and whether it still holds.
    places: Vec<(Option<Place>, bool)>,
    /// Whether each lane may share its turn.
    small: Vec<bool>,
    /// Turns that each broker's lanes were dealt in.
    dealt: BTreeMap<BrokerId, usize>,
    stranded: BTreeSet<usize>,
    looking: bool,
}

impl Routes {
    /// Lanes that have so many records to move each; those with more than twice the mean have much.
    pub(super) fn new(records: &[i64]) -> Self {
        let sum = records.iter().fold(0_i64, |sum, records| sum.saturating_add(*records));
        let mean = sum / i64::try_from(records.len().max(1)).unwrap_or(i64::MAX);
        Self {
            places: vec![(None, false); records.len()],
            small: records.iter().map(|records| records / 2 <= mean).collect(),
            dealt: BTreeMap::new(),
            stranded: BTreeSet::new(),
            looking: false,
        }
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
        let mut new: BTreeMap<BrokerId, Vec<usize>> = BTreeMap::new();
        for lane in lanes {
            self.stranded.remove(lane);
            let Some((place, holds)) = self.places.get_mut(*lane) else { continue };
            let leader = leader(*lane);
            *holds = leader.is_some();
            if let Some(broker) = leader.filter(|broker| place.is_none_or(|place| place.broker != *broker)) {
                new.entry(broker).or_default().push(*lane);
            }
        }
        new.into_iter().for_each(|(broker, lanes)| self.deal(broker, &lanes));
    }

    fn deal(&mut self, broker: BrokerId, lanes: &[usize]) {
        let next = self.dealt.entry(broker).or_default();
        let most = (lanes.len() / TURNS).clamp(1, NEIGHBOURS);
        let (mut shared, mut free) = (0, 0);
        for lane in lanes {
            let (Some((place, _)), Some(small)) = (self.places.get_mut(*lane), self.small.get(*lane)) else { continue };
            let joins = *small && free > 0;
            let turn = if joins { shared } else { *next };
            *place = Some(Place { broker, turn });
            if joins {
                free -= 1;
                continue;
            }
            *next += 1;
            if *small {
                (shared, free) = (turn, most - 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_that_strand_during_a_look_up_wait_for_the_next_one() {
        let mut routes = Routes::new(&[1; 3]);
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
        let mut routes = Routes::new(&[1; 6]);
        let look_up = |routes: &mut Routes, leaders: [i32; 6]| {
            (0..6).for_each(|lane| routes.strand(lane));
            let lanes = routes.look_up();
            routes.found(&lanes, |lane| Some(BrokerId(leaders[lane])));
            (0..6).map(|lane| routes.place(lane).expect("a place").turn).collect::<Vec<_>>()
        };
        assert_eq!(look_up(&mut routes, [1, 2, 1, 2, 1, 2]), [0, 0, 1, 1, 2, 2]);
        routes.forget(2);
        routes.forget_broker(BrokerId(2));
        assert_eq!([0, 1, 2].map(|lane| routes.leader(lane)), [Some(BrokerId(1)), None, None]);
        assert_eq!(look_up(&mut routes, [1, 2, 1, 2, 1, 1]), [0, 0, 1, 1, 2, 3]);
    }

    #[test]
    fn neighbours_share_a_turn_where_there_are_many_but_for_those_with_much_to_move() {
        let turns = |records: &[i64]| {
            let mut routes = Routes::new(records);
            let lanes: Vec<usize> = (0..records.len()).collect();
            routes.found(&lanes, |lane| Some(BrokerId(i32::from(lane == 1))));
            lanes.iter().map(|lane| routes.place(*lane).expect("a place").turn).collect::<Vec<_>>()
        };
        let few = turns(&[7; 2 * TURNS]);
        assert_eq!(few[..4], [0, 0, 1, 2], "a turn for each");
        let mut records = vec![7; 3 * TURNS + 1];
        (records[4], records[7]) = (1_000_000, 100);
        let many = turns(&records);
        assert_eq!(many[..10], [0, 0, 0, 0, 1, 2, 2, 2, 3, 3], "three of the first broker, lane 4 alone");
        assert_eq!(many.last(), Some(&TURNS));
        let very_many = turns(&[0; 100 * TURNS]);
        assert_eq!(very_many.last(), Some(&(100 * TURNS / NEIGHBOURS - 1)), "no more than sixteen in one");
    }
}
