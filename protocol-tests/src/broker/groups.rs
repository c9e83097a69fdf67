//! Consumer groups as their coordinator keeps them: offsets of everyone, members of classic groups.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;

use super::consumers::Consumers;
use super::membership::Membership;

/// The default of offset.metadata.max.bytes, which counts UTF-16 units, not bytes.
pub const MAX_METADATA: usize = 4_096;
/// offsets.retention.check.interval.ms.
const CHECK_MS: i64 = 600_000;

/// Topic and partition number.
pub type Place = (String, i32);

/// A committed offset. Brokers don't check it against the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    /// The next record the group will read.
    pub offset: i64,
    /// -1 where the client gave none.
    pub leader_epoch: i32,
    /// What the client wrote beside it; null reads back as empty.
    pub metadata: String,
    /// When, ms.
    pub at: i64,
}

/// By which protocol a group's members are led.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Kind {
    /// JoinGroup, or no members at all.
    #[default]
    Classic,
    /// KIP-848.
    Consumer,
    /// KIP-1071; only as far as ListGroups tells.
    Streams,
    /// KIP-932; only as far as ListGroups tells.
    Share,
}

impl Kind {
    /// As ListGroups names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
            Self::Streams => "streams",
            Self::Share => "share",
        }
    }
}

/// One group.
#[derive(Clone, Default, Debug)]
pub struct Group {
    /// How its members are led.
    pub kind: Kind,
    /// Members of the consumer protocol.
    pub consumers: Consumers,
    /// By topic and partition.
    pub offsets: BTreeMap<Place, Committed>,
    /// Offsets of transactions that have not ended, by producer id.
    pub pending: BTreeMap<i64, BTreeMap<Place, Committed>>,
    /// Members and their generation.
    pub members: Membership,
}

impl Group {
    /// Whether there is anything to describe.
    pub fn is_dead(&self) -> bool {
        self.kind == Kind::Classic && self.offsets.is_empty() && self.pending.is_empty() && self.members.is_unused()
    }

    /// Whether somebody is a member, by whichever protocol.
    pub fn is_active(&self) -> bool {
        !(self.members.is_empty() && self.consumers.is_empty())
    }

    /// As ListGroups names it.
    pub fn state(&self) -> &'static str {
        match self.kind {
            Kind::Classic => self.members.state().name(),
            Kind::Consumer | Kind::Streams | Kind::Share => self.consumers.state(),
        }
    }

    /// `consumer`, `connect`, …; empty where no member ever joined.
    pub fn protocol_type(&self) -> &str {
        match self.kind {
            Kind::Classic => self.members.protocol_type(),
            other => other.name(),
        }
    }

    /// Whether an OffsetCommit of this version may be taken.
    pub fn check_commit(
        &self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        version: i16,
    ) -> Result<(), ResponseError> {
        match self.kind {
            Kind::Consumer => self.consumers.check_commit(member, generation, version),
            _ => self.members.check_commit(member, instance, generation),
        }
    }

    /// Whether a transaction that has not ended holds an offset for this partition.
    pub fn is_unstable(&self, place: &Place) -> bool {
        self.pending.values().any(|offsets| offsets.contains_key(place))
    }
}

/// All groups of the cluster, whichever node coordinates them.
#[derive(Clone, Default, Debug)]
pub struct Groups {
    groups: BTreeMap<String, Group>,
    next_check: i64,
    pub(super) members_made: u64,
}

impl Groups {
    /// A group that has members or offsets.
    pub fn get(&self, name: &str) -> Option<&Group> {
        self.groups.get(name).filter(|group| !group.is_dead())
    }

    /// A group, made where there is none.
    pub fn entry(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.to_owned()).or_default()
    }

    /// A group that exists.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Group> {
        self.groups.get_mut(name).filter(|group| !group.is_dead())
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.groups.iter().filter(|(_, group)| !group.is_dead()).map(|(name, group)| (name.as_str(), group))
    }

    /// Stores an offset.
    pub fn commit(&mut self, name: &str, topic: &str, partition: i32, committed: Committed) {
        self.entry(name).offsets.insert((topic.to_owned(), partition), committed);
    }

    /// Removes a group with its offsets: only one without members.
    pub fn delete(&mut self, name: &str) -> Result<(), ResponseError> {
        match self.get(name) {
            None => Err(ResponseError::GroupIdNotFound),
            Some(group) if group.is_active() => Err(ResponseError::NonEmptyGroup),
            Some(_) => {
                self.groups.remove(name);
                Ok(())
            }
        }
    }

    /// Drops the offsets of a topic that was deleted.
    pub fn forget_topic(&mut self, topic: &str) {
        let all = (topic.to_owned(), i32::MIN)..=(topic.to_owned(), i32::MAX);
        for group in self.groups.values_mut() {
            group.offsets.extract_if(all.clone(), |_, _| true).for_each(drop);
        }
    }

    /// A producer's transaction ended: its offsets count, or never were.
    pub fn end_transaction(&mut self, producer_id: i64, commit: bool) {
        for group in self.groups.values_mut() {
            if let Some(offsets) = group.pending.remove(&producer_id)
                && commit
            {
                group.offsets.extend(offsets);
            }
        }
    }

    /// Session and rebalance time-outs, and offsets nobody kept alive.
    pub fn tick(&mut self, now_ms: i64, retention_ms: i64) {
        for group in self.groups.values_mut() {
            group.members.tick(now_ms);
            group.consumers.tick(now_ms);
        }
        if now_ms < self.next_check {
            return;
        }
        self.next_check = now_ms.saturating_add(CHECK_MS);
        for group in self.groups.values_mut().filter(|group| !group.is_active()) {
            let emptied = group.members.empty_since();
            group.offsets.retain(|_, offset| now_ms.saturating_sub(emptied.unwrap_or(offset.at)) < retention_ms);
        }
    }

    /// The next session or rebalance time-out, ms.
    pub fn next_deadline(&self) -> Option<i64> {
        self.groups.values().filter_map(|group| group.members.next_deadline()).min()
    }

    /// A member id nobody has.
    pub fn new_member_id(&mut self, client_id: &str) -> String {
        self.members_made += 1;
        format!("{client_id}-{:08x}-0000-4000-8000-000000000000", self.members_made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(offset: i64, at: i64) -> Committed {
        Committed { offset, leader_epoch: -1, metadata: String::new(), at }
    }

    #[test]
    fn offsets_of_a_transaction_count_when_it_commits() {
        let mut groups = Groups::default();
        let place = ("t".to_owned(), 0);
        groups.entry("g").pending.entry(7).or_default().insert(place.clone(), committed(5, 0));
        assert!(groups.get("g").expect("exists").is_unstable(&place));
        groups.end_transaction(7, true);
        assert_eq!(groups.get("g").expect("exists").offsets[&place].offset, 5);
        groups.entry("g").pending.entry(7).or_default().insert(place.clone(), committed(9, 0));
        groups.end_transaction(7, false);
        assert_eq!(groups.get("g").expect("exists").offsets[&place].offset, 5);
    }

    #[test]
    fn offsets_nobody_renews_expire() {
        let mut groups = Groups::default();
        groups.commit("g", "t", 0, committed(5, 0));
        groups.commit("g", "t", 1, committed(5, 600_000));
        groups.tick(0, 1_000);
        assert_eq!(groups.get("g").expect("exists").offsets.len(), 2);
        groups.tick(600_500, 1_000);
        assert_eq!(groups.get("g").expect("exists").offsets.len(), 1);
    }

    #[test]
    fn a_group_without_members_and_offsets_is_gone() {
        let mut groups = Groups::default();
        groups.commit("g", "t", 0, committed(5, 0));
        groups.forget_topic("t");
        assert!(groups.get("g").is_none());
        assert_eq!(groups.delete("g"), Err(ResponseError::GroupIdNotFound));
    }
}
