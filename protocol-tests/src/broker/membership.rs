//! The members of a classic group: joining, the generation, assignments, sessions.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::ResponseError;

/// Where a group stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum State {
    /// No members; offsets at most.
    #[default]
    Empty,
    /// Waiting for all members to join again.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
}

impl State {
    /// As ListGroups and DescribeGroups name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// One member.
#[derive(Clone, Default, Debug)]
pub struct Member {
    /// Given by the coordinator.
    pub id: String,
    /// Given by the client (KIP-345).
    pub instance: Option<String>,
    /// From the request's header.
    pub client_id: String,
    /// ms without a heartbeat after which it is dropped.
    pub session_ms: i64,
    /// ms it has to join again.
    pub rebalance_ms: i64,
    /// Names and metadata, best first.
    pub protocols: Vec<(String, Bytes)>,
    /// From the group's leader.
    pub assignment: Bytes,
    pub(super) expires_at: i64,
    pub(super) joining: bool,
    pub(super) syncing: bool,
}

/// See the module.
#[derive(Clone, Default, Debug)]
pub struct Membership {
    state: State,
    generation: i32,
    protocol_type: Option<String>,
    protocol: Option<String>,
    leader: Option<String>,
    /// In the order in which they came.
    members: Vec<Member>,
    /// Ids that were handed out and not used yet (KIP-394), with when they lapse.
    promised: BTreeMap<String, i64>,
    /// Ids of static members that another process replaced.
    fenced: BTreeSet<String>,
    deadline: i64,
    empty_since: Option<i64>,
}

type Answer<T> = Result<T, ResponseError>;

impl Membership {
    /// Where the group stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Counts the rebalances.
    pub const fn generation(&self) -> i32 {
        self.generation
    }

    /// `consumer`, `connect`, …; empty where no member ever joined.
    pub fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    /// The protocol the members agreed on.
    pub fn protocol(&self) -> &str {
        self.protocol.as_deref().unwrap_or_default()
    }

    /// The member that assigns.
    pub fn leader(&self) -> &str {
        self.leader.as_deref().unwrap_or_default()
    }

    /// In the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// Whether nobody is a member.
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether nobody is, was or is about to be a member.
    pub fn is_unused(&self) -> bool {
        self.members.is_empty() && self.promised.is_empty()
    }

    /// Since when a group that once had members has none, ms.
    pub const fn empty_since(&self) -> Option<i64> {
        self.empty_since
    }

    /// The member with that id.
    pub fn member(&self, id: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    fn member_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    /// The id of the member that has this instance id.
    pub fn instance(&self, instance: &str) -> Option<&str> {
        self.members.iter().find(|member| member.instance.as_deref() == Some(instance)).map(|member| member.id.as_str())
    }

    /// Whether this id was given out, or the instance id lets its owner in whatever id it has.
    pub fn knows(&self, id: &str, instance: Option<&str>) -> bool {
        self.member(id).is_some()
            || self.promised.contains_key(id)
            || self.fenced.contains(id)
            || instance.is_some_and(|instance| self.instance(instance).is_some())
    }

    /// Hands out an id that is to be used in the next JoinGroup.
    pub fn promise(&mut self, id: String, until: i64) {
        self.promised.insert(id, until);
    }

    /// Whether a join with these protocols would fit the members that are there.
    pub fn accepts(&self, protocol_type: &str, protocols: &[(String, Bytes)]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type() == protocol_type
            && protocols.iter().any(|(name, _)| self.members.iter().all(|member| supports(member, name)))
    }

    /// A member joins, for the first time or again. Afterwards [`is_joined`](Self::is_joined) says when it is in.
    pub fn join(&mut self, now_ms: i64, protocol_type: &str, newcomer: Member) -> Answer<()> {
        let id = newcomer.id.clone();
        if self.fenced.contains(&id) {
            return Err(ResponseError::FencedInstanceId);
        }
        self.promised.remove(&id);
        let replaced = newcomer.instance.as_deref().and_then(|instance| self.instance(instance)).map(str::to_owned);
        let known = self.member(&id).is_some() || replaced.is_some();
        let old = replaced.filter(|old| *old != id);
        let unchanged = self.member(old.as_deref().unwrap_or(&id)).is_some_and(|m| m.protocols == newcomer.protocols);
        let leads = self.leader.as_deref() == Some(old.as_deref().unwrap_or(&id));
        self.protocol_type = Some(protocol_type.to_owned());
        self.empty_since = None;
        if let Some(old) = &old {
            // The process that had this instance id is out from now on.
            self.fenced.insert(old.clone());
            if leads {
                self.leader = Some(id.clone());
            }
        }
        let expires_at = now_ms.saturating_add(newcomer.session_ms);
        match self.members.iter_mut().find(|member| member.id == *old.as_ref().unwrap_or(&id)) {
            Some(member) => {
                let assignment = member.assignment.clone();
                *member = Member { assignment, expires_at, ..newcomer };
            }
            None => self.members.push(Member { expires_at, ..newcomer }),
        }
        let rejoins = known && unchanged;
        let settled = match self.state {
            State::Stable => rejoins && (old.is_some() || !leads),
            State::CompletingRebalance => rejoins && old.is_none(),
            State::Empty | State::PreparingRebalance => false,
        };
        if !settled {
            if let Some(member) = self.member_mut(&id) {
                member.joining = true;
            }
            self.rebalance(now_ms);
            self.complete(now_ms);
        }
        Ok(())
    }

    /// Whether the join of this member is through; an error where it was dropped meanwhile.
    pub fn is_joined(&self, id: &str) -> Answer<bool> {
        self.find(id).map(|member| !member.joining)
    }

    fn find(&self, id: &str) -> Answer<&Member> {
        self.member(id).ok_or_else(|| {
            let fenced = self.fenced.contains(id);
            if fenced { ResponseError::FencedInstanceId } else { ResponseError::UnknownMemberId }
        })
    }

    /// Checks member and generation; an instance id must belong to the member.
    pub fn check(&self, id: &str, instance: Option<&str>, generation: i32) -> Answer<()> {
        if let Some(instance) = instance {
            match self.instance(instance) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(owner) if owner != id => return Err(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        self.find(id)?;
        if generation == self.generation { Ok(()) } else { Err(ResponseError::IllegalGeneration) }
    }

    /// Whether an OffsetCommit may be taken.
    pub fn check_commit(&self, id: &str, instance: Option<&str>, generation: i32) -> Answer<()> {
        if generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        if generation < 0 && id.is_empty() && instance.is_none() {
            return Err(ResponseError::UnknownMemberId);
        }
        self.check(id, instance, generation)?;
        match self.state {
            State::CompletingRebalance => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// A sign of life.
    pub fn touch(&mut self, now_ms: i64, id: &str) {
        if let Some(member) = self.member_mut(id) {
            member.expires_at = now_ms.saturating_add(member.session_ms);
        }
    }

    /// A heartbeat: fine, or the group is being rebalanced.
    pub fn heartbeat(&mut self, now_ms: i64, id: &str, instance: Option<&str>, generation: i32) -> Answer<()> {
        self.check(id, instance, generation)?;
        self.touch(now_ms, id);
        match self.state {
            State::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// A member asks for its assignment; the leader brings everyone's.
    pub fn sync(&mut self, now_ms: i64, id: &str, assignments: Vec<(String, Bytes)>) -> Answer<()> {
        self.touch(now_ms, id);
        match self.state {
            State::Empty => return Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance => return Err(ResponseError::RebalanceInProgress),
            State::Stable => return Ok(()),
            State::CompletingRebalance => {}
        }
        if self.leader.as_deref() == Some(id) {
            let assignments: BTreeMap<String, Bytes> = assignments.into_iter().collect();
            for member in &mut self.members {
                member.assignment = assignments.get(&member.id).cloned().unwrap_or_default();
                member.syncing = false;
                member.expires_at = now_ms.saturating_add(member.session_ms);
            }
            self.state = State::Stable;
        } else if let Some(member) = self.member_mut(id) {
            member.syncing = true;
        }
        Ok(())
    }

    /// The assignment, once there is one.
    pub fn assignment(&self, id: &str) -> Answer<Option<Bytes>> {
        let member = self.find(id)?;
        match self.state {
            State::Stable => Ok(Some(member.assignment.clone())),
            State::CompletingRebalance => Ok(None),
            State::PreparingRebalance | State::Empty => Err(ResponseError::RebalanceInProgress),
        }
    }

    /// A member leaves.
    pub fn leave(&mut self, now_ms: i64, id: &str) -> Answer<()> {
        if self.promised.remove(id).is_some() {
            return Ok(());
        }
        self.find(id)?;
        self.members.retain(|member| member.id != id);
        self.rebalance(now_ms);
        self.complete(now_ms);
        Ok(())
    }

    fn rebalance(&mut self, now_ms: i64) {
        if self.state != State::PreparingRebalance {
            let longest = self.members.iter().map(|member| member.rebalance_ms).max().unwrap_or(0);
            self.deadline = now_ms.saturating_add(longest);
            self.state = State::PreparingRebalance;
        }
    }

    /// Begins the next generation if everyone has joined or the time is up.
    fn complete(&mut self, now_ms: i64) {
        if self.state != State::PreparingRebalance {
            return;
        }
        let all = self.members.iter().all(|member| member.joining) && self.promised.is_empty();
        if !all && now_ms < self.deadline {
            return;
        }
        self.members.retain(|member| member.joining);
        self.generation += 1;
        if self.members.is_empty() {
            *self = Self {
                generation: self.generation,
                protocol_type: self.protocol_type.take(),
                fenced: std::mem::take(&mut self.fenced),
                empty_since: Some(now_ms),
                ..Self::default()
            };
            return;
        }
        self.protocol = self.chosen();
        let stays = self.leader.as_deref().is_some_and(|leader| self.member(leader).is_some());
        if !stays {
            self.leader = self.members.first().map(|member| member.id.clone());
        }
        for member in &mut self.members {
            member.joining = false;
            member.assignment = Bytes::new();
            member.expires_at = now_ms.saturating_add(member.session_ms);
        }
        self.state = State::CompletingRebalance;
    }

    /// The protocol that all support and most like best.
    fn chosen(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in &self.members {
            let common = |(name, _): &&(String, Bytes)| self.members.iter().all(|other| supports(other, name));
            if let Some((best, _)) = member.protocols.iter().find(common) {
                *votes.entry(best).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.to_owned())
    }

    /// Drops who did not beat in time, and ends a rebalance whose time is up.
    pub fn tick(&mut self, now_ms: i64) {
        self.promised.retain(|_, until| *until > now_ms);
        let before = self.members.len();
        self.members.retain(|member| member.joining || member.syncing || member.expires_at > now_ms);
        if self.members.len() < before {
            self.rebalance(now_ms);
        }
        self.complete(now_ms);
    }

    /// When [`tick`](Self::tick) has something to do, ms.
    pub fn next_deadline(&self) -> Option<i64> {
        let sessions = self.members.iter().filter(|m| !m.joining && !m.syncing).map(|member| member.expires_at);
        let rebalance = (self.state == State::PreparingRebalance).then_some(self.deadline);
        sessions.chain(rebalance).chain(self.promised.values().copied()).min()
    }
}

fn supports(member: &Member, protocol: &str) -> bool {
    member.protocols.iter().any(|(name, _)| name == protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str) -> Member {
        Member {
            id: id.to_owned(),
            session_ms: 10_000,
            rebalance_ms: 60_000,
            protocols: vec![("range".to_owned(), Bytes::from_static(b"m"))],
            ..Member::default()
        }
    }

    fn stable() -> Membership {
        let mut group = Membership::default();
        group.join(0, "consumer", member("a")).expect("joins");
        group.sync(0, "a", vec![("a".to_owned(), Bytes::from_static(b"all"))]).expect("syncs");
        group
    }

    #[test]
    fn one_member_joins_and_gets_what_it_assigned() {
        let group = stable();
        assert_eq!((group.state(), group.generation(), group.leader()), (State::Stable, 1, "a"));
        assert_eq!(group.assignment("a"), Ok(Some(Bytes::from_static(b"all"))));
    }

    #[test]
    fn a_second_member_waits_until_the_first_joins_again() {
        let mut group = stable();
        group.join(100, "consumer", member("b")).expect("joins");
        assert_eq!(group.is_joined("b"), Ok(false));
        assert_eq!(group.heartbeat(100, "a", None, 1), Err(ResponseError::RebalanceInProgress));
        group.join(200, "consumer", member("a")).expect("joins");
        assert_eq!((group.is_joined("b"), group.generation()), (Ok(true), 2));
        group.sync(200, "b", vec![]).expect("waits");
        assert_eq!(group.assignment("b"), Ok(None));
        group.sync(200, "a", vec![("b".to_owned(), Bytes::from_static(b"half"))]).expect("syncs");
        assert_eq!(group.assignment("b"), Ok(Some(Bytes::from_static(b"half"))));
    }

    #[test]
    fn a_member_that_stops_beating_is_dropped() {
        let mut group = stable();
        group.heartbeat(5_000, "a", None, 1).expect("beats");
        group.tick(14_999);
        assert!(!group.is_empty());
        assert_eq!(group.next_deadline(), Some(15_000));
        group.tick(15_000);
        assert_eq!((group.is_empty(), group.state()), (true, State::Empty));
        assert_eq!(group.heartbeat(15_000, "a", None, 1), Err(ResponseError::UnknownMemberId));
    }

    #[test]
    fn commits_need_the_generation_while_there_are_members() {
        let mut group = stable();
        assert_eq!(group.check_commit("", None, -1), Err(ResponseError::UnknownMemberId));
        assert_eq!(group.check_commit("a", None, 0), Err(ResponseError::IllegalGeneration));
        assert_eq!(group.check_commit("a", None, 1), Ok(()));
        group.leave(1, "a").expect("leaves");
        assert_eq!(group.check_commit("", None, -1), Ok(()));
        assert_eq!(group.check_commit("", None, 3), Err(ResponseError::UnknownMemberId));
        assert_eq!(group.check_commit("a", None, 1), Err(ResponseError::UnknownMemberId));
    }

    #[test]
    fn the_same_instance_id_takes_over_and_fences_the_old_owner() {
        let mut group = Membership::default();
        let owned = |id: &str| Member { instance: Some("one".to_owned()), ..member(id) };
        group.join(0, "kferry", owned("old")).expect("joins");
        group.sync(0, "old", vec![]).expect("syncs");
        group.join(5, "kferry", owned("new")).expect("takes over");
        assert_eq!((group.is_joined("new"), group.leader()), (Ok(true), "new"));
        assert_eq!(group.check_commit("old", Some("one"), 1), Err(ResponseError::FencedInstanceId));
        assert_eq!(group.check_commit("new", Some("one"), group.generation()), Ok(()));
    }
}
