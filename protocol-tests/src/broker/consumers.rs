//! The members of a group of the consumer protocol (KIP-848): the coordinator assigns, members follow by heartbeat.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;

use super::groups::Place;

/// group.consumer.session.timeout.ms.
const SESSION_MS: i64 = 45_000;

/// One member.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Consumer {
    /// Given by the client (KIP-345).
    pub instance: Option<String>,
    /// From the request's header.
    pub client_id: String,
    /// The group's epoch that it has reached.
    pub epoch: i32,
    /// What it subscribed to.
    pub topics: BTreeSet<String>,
    /// What it should have.
    pub target: BTreeSet<Place>,
    /// What it has, or was told to take.
    pub current: BTreeSet<Place>,
    expires_at: i64,
}

/// What a member says in a heartbeat.
#[derive(Clone, Default, Debug)]
pub struct Beat {
    /// 0 joins; otherwise what the last answer said.
    pub epoch: i32,
    /// Given by the client.
    pub instance: Option<String>,
    /// From the request's header.
    pub client_id: String,
    /// What it subscribes to; `None` leaves it as it was.
    pub topics: Option<BTreeSet<String>>,
    /// What it has; `None` leaves it as it was.
    pub owned: Option<BTreeSet<Place>>,
}

/// What it is told: its epoch, and its partitions where they changed.
pub type Told = (i32, Option<BTreeSet<Place>>);

/// See the module.
#[derive(Clone, Default, Debug)]
pub struct Consumers {
    epoch: i32,
    members: BTreeMap<String, Consumer>,
}

impl Consumers {
    /// Whether nobody is a member.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Counts the changes of membership and subscriptions.
    pub const fn epoch(&self) -> i32 {
        self.epoch
    }

    /// By member id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Consumer)> {
        self.members.iter().map(|(id, member)| (id.as_str(), member))
    }

    /// As ListGroups names it.
    pub fn state(&self) -> &'static str {
        let settled = |member: &Consumer| member.epoch == self.epoch && member.current == member.target;
        match self.members.values().all(settled) {
            _ if self.members.is_empty() => "Empty",
            true => "Stable",
            false => "Reconciling",
        }
    }

    /// A member joins or beats. `partitions` has the partition count of each topic.
    pub fn beat(
        &mut self,
        now_ms: i64,
        id: &str,
        beat: Beat,
        partitions: &BTreeMap<String, i32>,
    ) -> Result<Told, ResponseError> {
        let joins = beat.epoch == 0;
        match self.members.get(id) {
            None if !joins => return Err(ResponseError::UnknownMemberId),
            Some(known) if !joins && known.epoch != beat.epoch => return Err(ResponseError::FencedMemberEpoch),
            _ => {}
        }
        let known = self.members.entry(id.to_owned()).or_default();
        known.expires_at = now_ms.saturating_add(SESSION_MS);
        if joins {
            (known.instance, known.client_id) = (beat.instance, beat.client_id);
            known.current.clear();
        }
        let subscribes = beat.topics.filter(|topics| joins || *topics != known.topics);
        if let Some(topics) = subscribes {
            known.topics = topics;
            self.assign(partitions);
        }
        Ok(self.reconcile(id, beat.owned.as_ref(), joins))
    }

    /// Deals each topic's partitions out in turn.
    fn assign(&mut self, partitions: &BTreeMap<String, i32>) {
        self.epoch += 1;
        self.members.values_mut().for_each(|member| member.target.clear());
        for (topic, count) in partitions {
            let subscribed = self.members.iter().filter(|(_, member)| member.topics.contains(topic));
            let ids: Vec<String> = subscribed.map(|(id, _)| id.clone()).collect();
            for (index, id) in (0..*count).zip(ids.iter().cycle()) {
                if let Some(member) = self.members.get_mut(id) {
                    member.target.insert((topic.clone(), index));
                }
            }
        }
    }

    /// First a member gives up what it should not have, then it gets what nobody else holds any more.
    fn reconcile(&mut self, id: &str, owned: Option<&BTreeSet<Place>>, joins: bool) -> Told {
        let others = self.members.iter().filter(|(other, _)| *other != id);
        let held: BTreeSet<Place> = others.flat_map(|(_, member)| member.current.iter().cloned()).collect();
        let Some(member) = self.members.get_mut(id) else { return (0, None) };
        let kept: BTreeSet<Place> = member.current.intersection(&member.target).cloned().collect();
        if kept != member.current {
            if !owned.is_some_and(|owned| owned.is_subset(&kept)) {
                return (member.epoch, Some(kept));
            }
            member.current = kept;
        }
        let next: BTreeSet<Place> = member.target.difference(&held).cloned().collect();
        let changed = joins || next != member.current;
        member.epoch = self.epoch;
        member.current = next;
        (member.epoch, changed.then(|| member.current.clone()))
    }

    /// A member leaves.
    pub fn leave(&mut self, id: &str, partitions: &BTreeMap<String, i32>) -> Result<(), ResponseError> {
        self.members.remove(id).ok_or(ResponseError::UnknownMemberId)?;
        self.assign(partitions);
        Ok(())
    }

    /// Whether an OffsetCommit of this version may be taken.
    pub fn check_commit(&self, id: &str, epoch: i32, version: i16) -> Result<(), ResponseError> {
        if self.members.is_empty() && epoch < 0 {
            return Ok(());
        }
        match self.members.get(id) {
            None => Err(ResponseError::UnknownMemberId),
            Some(_) if version < 9 => Err(ResponseError::UnsupportedVersion),
            Some(known) if known.epoch != epoch => Err(ResponseError::StaleMemberEpoch),
            Some(_) => Ok(()),
        }
    }

    /// Drops who did not beat in time; their partitions are dealt out when the next one beats.
    pub fn tick(&mut self, now_ms: i64) {
        let late = |member: &Consumer| member.expires_at <= now_ms;
        let gone: Vec<Consumer> = self.members.extract_if(.., |_, member| late(member)).map(|(_, gone)| gone).collect();
        // What they should have had goes to the first of the others that wants it: a new deal needs partition counts.
        for place in gone.into_iter().flat_map(|member| member.target) {
            if let Some(heir) = self.members.values_mut().find(|member| member.topics.contains(&place.0)) {
                heir.target.insert(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(epoch: i32) -> Beat {
        Beat { epoch, topics: Some(BTreeSet::from(["t".to_owned()])), ..Beat::default() }
    }

    fn partitions() -> BTreeMap<String, i32> {
        BTreeMap::from([("t".to_owned(), 2)])
    }

    fn places(indexes: &[i32]) -> BTreeSet<Place> {
        indexes.iter().map(|index| ("t".to_owned(), *index)).collect()
    }

    #[test]
    fn a_partition_is_given_up_before_another_member_gets_it() {
        let mut group = Consumers::default();
        assert_eq!(group.beat(0, "a", beat(0), &partitions()), Ok((1, Some(places(&[0, 1])))));
        assert_eq!(group.beat(0, "b", beat(0), &partitions()), Ok((2, Some(places(&[])))));
        assert_eq!(group.state(), "Reconciling");
        assert_eq!(group.beat(0, "a", beat(1), &partitions()), Ok((1, Some(places(&[0])))));
        let released = Beat { owned: Some(places(&[0])), ..beat(1) };
        assert_eq!(group.beat(0, "a", released, &partitions()), Ok((2, None)));
        assert_eq!(group.beat(0, "b", beat(2), &partitions()), Ok((2, Some(places(&[1])))));
        assert_eq!(group.state(), "Stable");
        assert_eq!(group.beat(0, "b", beat(1), &partitions()), Err(ResponseError::FencedMemberEpoch));
    }

    #[test]
    fn who_does_not_beat_is_dropped() {
        let mut group = Consumers::default();
        group.beat(0, "a", beat(0), &partitions()).expect("joins");
        assert_eq!(group.check_commit("", -1, 8), Err(ResponseError::UnknownMemberId));
        assert_eq!(group.check_commit("a", 1, 8), Err(ResponseError::UnsupportedVersion));
        assert_eq!(group.check_commit("a", 0, 9), Err(ResponseError::StaleMemberEpoch));
        group.tick(44_999);
        assert!(!group.is_empty());
        group.tick(45_000);
        assert_eq!((group.state(), group.check_commit("", -1, 8)), ("Empty", Ok(())));
    }
}
