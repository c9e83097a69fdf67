//! The memory that all lanes share: what they asked for, what they hold, and for which target brokers.

use std::collections::BTreeMap;

use crate::kafka::BrokerId;

/// What a lane holds until its target has it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Held {
    pub(super) bytes: usize,
    /// The target broker that is to take it, once that is known.
    pub(super) target: Option<BrokerId>,
}

/// What one request may bring.
#[derive(Debug)]
pub(super) struct Claim {
    bytes: usize,
    share: usize,
    /// Of that, what may come for lanes to each target broker.
    of_targets: BTreeMap<Option<BrokerId>, usize>,
}

impl Claim {
    /// At most so many bytes, and at most `share` for each lane.
    pub(super) fn new(bytes: usize, share: usize) -> Self {
        Self { bytes, share, of_targets: BTreeMap::new() }
    }

    /// The bytes that may come.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The target brokers whose lanes it has.
    pub(super) fn targets(&self) -> impl Iterator<Item = Option<BrokerId>> {
        self.of_targets.keys().copied()
    }

    /// What may come for lanes to `target` if there is one more of them.
    fn with_another(&self, target: Option<BrokerId>) -> usize {
        self.bytes.min(self.of_targets.get(&target).copied().unwrap_or_default() + self.share)
    }
}

/// Counts bytes of record batches against a limit.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    taken: usize,
    of_targets: BTreeMap<Option<BrokerId>, usize>,
}

impl Budget {
    /// Nothing held, of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, taken: 0, of_targets: BTreeMap::new() }
    }

    /// The bytes that all lanes share.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether so many bytes may be asked for. Something may always be, however little the limit is.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.taken == 0 || self.taken + bytes <= self.limit
    }

    /// Adds a lane to this target broker to a claim, if those that are there leave room for it. One broker of several gets
    /// no more than half: however long it stands still, the lanes of the others go on. Lanes whose broker is not known yet
    /// may turn out to be of any.
    pub(super) fn admit(&self, claim: &mut Claim, target: Option<BrokerId>) -> bool {
        let more = claim.with_another(target);
        let admitted = self.lets_read(target, more);
        if admitted {
            claim.of_targets.insert(target, more);
        }
        admitted
    }

    /// Whether lanes to this target broker may read so many bytes more.
    pub(super) fn lets_read(&self, target: Option<BrokerId>, bytes: usize) -> bool {
        let others = self.of_targets.keys().any(|other| other.is_some() && *other != target);
        let limit = if others || target.is_none() { self.limit / 2 } else { self.limit };
        let taken = |target| self.of_targets.get(&target).copied().unwrap_or_default();
        let taken = taken(target) + target.map_or(0, |_| taken(None));
        taken == 0 || taken + bytes <= limit
    }

    /// What is claimed may come.
    pub(super) fn ask(&mut self, claim: &Claim) {
        self.taken += claim.bytes;
        for (target, bytes) in &claim.of_targets {
            *self.of_targets.entry(*target).or_default() += bytes;
        }
    }

    /// What was asked for came, or will not.
    pub(super) fn came(&mut self, claim: &Claim) {
        self.taken = self.taken.saturating_sub(claim.bytes);
        claim.of_targets.iter().for_each(|(target, bytes)| self.give_back(*target, *bytes));
    }

    /// A lane holds something else than before.
    pub(super) fn hold(&mut self, before: Held, now: Held) {
        self.taken = (self.taken + now.bytes).saturating_sub(before.bytes);
        self.give_back(before.target, before.bytes);
        *self.of_targets.entry(now.target).or_default() += now.bytes;
    }

    fn give_back(&mut self, target: Option<BrokerId>, bytes: usize) {
        if let Some(taken) = self.of_targets.get_mut(&target) {
            *taken = taken.saturating_sub(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(bytes: usize, target: i32) -> Held {
        Held { bytes, target: Some(BrokerId(target)) }
    }

    fn claim(budget: &Budget, bytes: usize, targets: &[Option<i32>]) -> (Claim, Vec<bool>) {
        let mut claim = Claim::new(bytes, 10);
        let admitted = targets.iter().map(|target| budget.admit(&mut claim, target.map(BrokerId))).collect();
        (claim, admitted)
    }

    #[test]
    fn what_is_asked_for_and_what_is_held_share_the_limit() {
        let mut budget = Budget::new(100);
        assert!(budget.has_room(1_000), "something may always be asked for");
        let (asked, _) = claim(&budget, 60, &[Some(1)]);
        budget.ask(&asked);
        assert!(budget.has_room(40) && !budget.has_room(41));
        budget.came(&asked);
        budget.hold(Held::default(), held(90, 1));
        assert!(budget.has_room(10) && !budget.has_room(11));
        budget.hold(held(90, 1), Held::default());
        assert!(budget.has_room(1_000));
    }

    #[test]
    fn one_target_broker_of_several_gets_half() {
        let mut budget = Budget::new(60);
        budget.hold(Held::default(), held(35, 1));
        let admitted = |budget: &Budget, targets: &[Option<i32>]| claim(budget, 1_000, targets).1;
        assert_eq!(admitted(&budget, &[Some(1); 3]), [true, true, false], "there is no other");
        budget.hold(Held::default(), held(15, 2));
        assert_eq!(admitted(&budget, &[Some(1), Some(2), Some(2), Some(3)]), [false, true, false, true]);
        // The lane's leader moved.
        budget.hold(held(35, 1), held(25, 2));
        assert_eq!(admitted(&budget, &[Some(1), Some(2)]), [true, false]);
    }

    #[test]
    fn what_a_request_may_bring_counts_until_it_came() {
        let mut budget = Budget::new(60);
        budget.hold(Held::default(), held(1, 2));
        let (asked, admitted) = claim(&budget, 25, &[Some(1); 4]);
        assert_eq!(admitted, [true; 4], "no more than the request's bytes can come");
        budget.ask(&asked);
        assert_eq!(claim(&budget, 25, &[Some(1)]).1, [false]);
        budget.came(&asked);
        assert_eq!(claim(&budget, 25, &[Some(1)]).1, [true]);
    }

    #[test]
    fn lanes_whose_broker_is_not_known_count_for_every_broker() {
        let mut budget = Budget::new(60);
        budget.hold(Held::default(), Held { bytes: 15, target: None });
        assert_eq!(claim(&budget, 1_000, &[None; 2]).1, [true, false]);
        budget.hold(Held::default(), Held { bytes: 5, target: None });
        budget.hold(Held::default(), held(1, 1));
        assert_eq!(claim(&budget, 1_000, &[Some(1), Some(2)]).1, [true, true], "as far as known, one broker leads all");
        budget.hold(Held::default(), held(1, 2));
        assert_eq!(claim(&budget, 1_000, &[Some(1), Some(3)]).1, [false, true]);
    }
}
