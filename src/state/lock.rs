//! The lock: being the leader of a group.
//!
//! What makes it one, on every release from 0.11 on: a coordinator serves the requests about a group one after the other;
//! it takes commits from members of the present generation only; and it answers SyncGroup when the new generation stands
//! in its log, behind all commits it took before. So whoever has joined and synced sees every commit of its predecessors,
//! and none of theirs is taken any more, however late it comes.

use super::{Clock, Holder, StoreError};
use crate::cluster::retry::{Attempts, RetryPolicy};
use crate::cluster::{Cluster, ClusterError, Joined, Joining, Member, MemberOf};
use crate::kafka::{ErrorCode, GroupId, Retry};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the lock outlives its holder's last heartbeat.
pub const SESSION: Duration = Duration::from_secs(10);
/// How long a heartbeat is waited for; then there is time left for another one on a new connection.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long another holder is waited for: a dead one is dropped by then, coordinators look once in a while.
const WAIT: Duration = Duration::from_secs(12);
/// How often the group is looked at meanwhile.
const LOOK: Duration = Duration::from_secs(1);
/// How often a take-over is tried: the process that is fenced may join again before the one that fences it.
const TAKE_OVERS: u32 = 5;
/// The kind of group, told to its coordinator.
const PROTOCOL: &str = "kferry";

/// For how long calls about the lock and the state are repeated: a broker may restart, a coordinator read its log.
const REPEATED: RetryPolicy = RetryPolicy {
    first: Duration::from_millis(100),
    most: Duration::from_secs(3),
    attempts: 100,
    unknown: 6,
    total: Duration::from_secs(120),
};

/// What is told while the lock is being taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// Another process holds it, or held it until lately.
    Waiting {
        /// The process.
        holder: Holder,
        /// How long it is waited for at most.
        most: Duration,
    },
    /// The process was fenced.
    Fenced {
        /// The process.
        holder: Holder,
    },
}

/// A membership, the one that counts.
#[derive(Debug)]
pub(super) struct Lock {
    pub(super) cluster: Cluster,
    pub(super) group: GroupId,
    pub(super) name: String,
    joining: Joining,
    clock: Arc<dyn Clock>,
    /// The member that this process is; held while that changes.
    pub(super) member: tokio::sync::Mutex<MemberOf>,
    /// The ids that this process has had in the group.
    had: Mutex<BTreeSet<String>>,
    /// The last good sign of life; `None` as soon as the lock is known to be gone.
    beat: Mutex<Option<Beat>>,
}

/// A sign of life that was answered well.
#[derive(Debug)]
struct Beat {
    member: String,
    /// When it was sent: the coordinator counts the session from later on.
    sent: Duration,
}

/// A generation that this process leads.
#[derive(Debug)]
pub(super) struct Led {
    pub(super) member: MemberOf,
    /// Whether it is another member than before, so that others may have held the lock meanwhile.
    pub(super) anew: bool,
    /// When the request was sent that ended the rebalance.
    sent: Duration,
}

/// What an error about a membership or a commit says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meaning {
    /// Not a member, or not of this generation: nothing was done.
    Outside,
    /// It may help to ask again, and it may have been done.
    Unclear,
    /// It will not help to ask again: nothing was done.
    Refused,
}

pub(super) fn meaning(error: &ClusterError) -> Meaning {
    match error.code() {
        Some(ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION | ErrorCode::REBALANCE_IN_PROGRESS) => {
            Meaning::Outside
        }
        Some(ErrorCode::UNKNOWN_SERVER_ERROR) => Meaning::Unclear,
        _ if error.retry() == Retry::Never => Meaning::Refused,
        _ => Meaning::Unclear,
    }
}

/// How often something was tried, and since when.
#[derive(Debug)]
pub(super) struct Tries {
    begun: Instant,
    attempts: Attempts,
}

impl Tries {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), attempts: Attempts::new(REPEATED) }
    }

    /// Waits until the next attempt, or gives up with the last one's error.
    pub(super) async fn again(&mut self, cluster: &Cluster, mut error: ClusterError) -> Result<(), StoreError> {
        let known = error.code() != Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        let wait = cluster.pause(&mut self.attempts, self.begun);
        match wait.filter(|_| known || self.attempts.made() < REPEATED.unknown) {
            Some(wait) => {
                tracing::debug!(%error, attempt = self.attempts.made(), "asking again");
                sleep(wait).await;
                Ok(())
            }
            None => {
                error.attempts = self.attempts.made();
                Err(StoreError::Cluster(error))
            }
        }
    }
}

impl Lock {
    /// Waits for another holder, or fences it, and takes the lock.
    pub(super) async fn take(
        cluster: &Cluster,
        name: &str,
        holder: &Holder,
        take_over: bool,
        clock: Arc<dyn Clock>,
        news: &mut (dyn FnMut(News) + Send),
    ) -> Result<Self, StoreError> {
        let group = super::group(name);
        let joining = Joining {
            group: group.clone(),
            protocol: PROTOCOL.to_owned(),
            metadata: holder.metadata(),
            session: SESSION,
            rebalance: SESSION,
        };
        let nobody = MemberOf { id: String::new(), generation: -1 };
        let lock = Self {
            cluster: cluster.clone(),
            group,
            name: name.to_owned(),
            joining,
            clock,
            member: tokio::sync::Mutex::new(nobody),
            had: Mutex::default(),
            beat: Mutex::default(),
        };
        let mut left = if take_over { TAKE_OVERS } else { 1 };
        loop {
            lock.others_gone(take_over, news).await?;
            left = left.saturating_sub(1);
            match lock.join(None, &mut Tries::new()).await {
                Ok(led) => {
                    lock.accept(&led);
                    *lock.member.lock().await = led.member;
                    return Ok(lock);
                }
                Err(StoreError::Held { .. }) if left > 0 => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends when the group has no members, or none that were not fenced.
    async fn others_gone(&self, take_over: bool, news: &mut (dyn FnMut(News) + Send)) -> Result<(), StoreError> {
        let begun = Instant::now();
        let mut told = false;
        loop {
            let members = self.members().await?;
            let Some(holder) = members.first().map(Holder::of) else { return Ok(()) };
            if begun.elapsed() >= WAIT {
                return Err(StoreError::Held { name: self.name.clone(), holder });
            }
            if take_over {
                for member in &members {
                    self.fence(&member.id).await?;
                }
                news(News::Fenced { holder });
                return Ok(());
            }
            if !told {
                news(News::Waiting { holder, most: WAIT });
                told = true;
            }
            sleep(LOOK).await;
        }
    }

    /// Takes another process out of the group. LeaveGroup works for any member, on every release; the coordinator then
    /// refuses its commits with UNKNOWN_MEMBER_ID.
    async fn fence(&self, member: &str) -> Result<(), StoreError> {
        let mut tries = Tries::new();
        loop {
            match self.cluster.leave_group(&self.group, member).await {
                Err(error) if meaning(&error) == Meaning::Unclear => tries.again(&self.cluster, error).await?,
                // It has gone by itself.
                Err(error) if error.code() == Some(ErrorCode::UNKNOWN_MEMBER_ID) => return Ok(()),
                left => return left.map_err(StoreError::Cluster),
            }
        }
    }

    /// Who is in the group.
    async fn members(&self) -> Result<Vec<Member>, StoreError> {
        members(&self.cluster, &self.group).await
    }

    /// Becomes the leader of a new generation: as the member it was, or where the group no longer knows that one, as a
    /// new one. Fails with `Held` where another process leads. It counts once it is accepted.
    pub(super) async fn join(&self, member: Option<&str>, tries: &mut Tries) -> Result<Led, StoreError> {
        let mut id = member.unwrap_or_default().to_owned();
        let mut anew = member.is_none();
        loop {
            let error = match self.join_once(&mut id).await {
                Ok((joined, sent)) if joined.leads() => return Ok(Led { member: joined.member, anew, sent }),
                Ok((joined, _)) => return Err(self.yield_to(&joined).await),
                Err(error) => error,
            };
            if error.code() == Some(ErrorCode::INCONSISTENT_GROUP_PROTOCOL) {
                self.members().await?;
            }
            if meaning(&error) == Meaning::Refused {
                return Err(StoreError::Cluster(error));
            }
            if error.code() == Some(ErrorCode::UNKNOWN_MEMBER_ID) {
                self.gone();
                (id, anew) = (self.known_as().await?, true);
            }
            tries.again(&self.cluster, error).await?;
        }
    }

    /// The id to join with where the last one is not known: none if the group is empty. A coordinator that has just taken over
    /// may know what the one before had forgotten, an earlier membership of this process.
    async fn known_as(&self) -> Result<String, StoreError> {
        let members = self.members().await?;
        let had = self.had.lock().unwrap_or_else(PoisonError::into_inner);
        match members.iter().find(|member| !had.contains(&member.id)) {
            Some(other) => Err(StoreError::Held { name: self.name.clone(), holder: Holder::of(other) }),
            None => Ok(members.first().map(|member| member.id.clone()).unwrap_or_default()),
        }
    }

    /// Joins, and waits for the leader to end the rebalance; also says when it began to. A leader that does not is dropped
    /// by the coordinator: the answer of a JoinGroup was lost, on brokers before 2.2 with an id that nobody knows.
    async fn join_once(&self, id: &mut String) -> Result<(Joined, Duration), ClusterError> {
        let joined = self.cluster.join_group(&self.joining, id).await;
        self.had.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        let joined = joined?;
        let sent = self.clock.now();
        self.cluster.sync_group(&self.group, &joined).await?;
        Ok((joined, sent))
    }

    /// Leaves the group to its leader, and tells who that is.
    async fn yield_to(&self, joined: &Joined) -> StoreError {
        self.gone();
        let members = self.members().await.unwrap_or_default();
        if let Err(error) = self.cluster.leave_group(&self.group, &joined.member.id).await {
            tracing::debug!(%error, "the group drops this member when its session ends");
        }
        let leader = members.iter().find(|member| member.id == joined.leader);
        let holder = leader.map_or_else(|| Holder { host: "unknown".to_owned(), pid: 0 }, Holder::of);
        StoreError::Held { name: self.name.clone(), holder }
    }

    /// Sends a sign of life.
    pub(super) async fn heartbeat(&self, member: &MemberOf) -> Result<(), ClusterError> {
        let sent = self.clock.now();
        let answer = self.cluster.heartbeat(&self.group, member, PATIENCE).await;
        let mut beat = self.beat();
        // Meanwhile the membership may have become another one, which this answer says nothing about.
        if let Some(last) = beat.as_mut().filter(|last| last.member == member.id) {
            match &answer {
                Ok(()) => last.sent = last.sent.max(sent),
                Err(error) if error.code() == Some(ErrorCode::UNKNOWN_MEMBER_ID) => *beat = None,
                Err(_) => {}
            }
        }
        answer
    }

    /// The lock is held by this membership from now on.
    pub(super) fn accept(&self, Led { member, sent, .. }: &Led) {
        *self.beat() = Some(Beat { member: member.id.clone(), sent: *sent });
    }

    /// The lock is not held any more.
    pub(super) fn gone(&self) {
        *self.beat() = None;
    }

    fn beat(&self) -> MutexGuard<'_, Option<Beat>> {
        self.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long nobody else can have the lock, unless it is taken by force.
    pub(super) fn left(&self) -> Duration {
        let until = self.beat().as_ref().map(|beat| beat.sent.saturating_add(SESSION));
        until.map_or(Duration::ZERO, |until| until.saturating_sub(self.clock.now()))
    }
}

/// Who is in a group that is a lock.
pub(super) async fn members(cluster: &Cluster, group: &GroupId) -> Result<Vec<Member>, StoreError> {
    let described = cluster.describe_groups(std::slice::from_ref(group)).await.remove(group);
    // Every group that is asked about is answered for.
    let Some(described) = described else { return Ok(Vec::new()) };
    let described = described.map_err(StoreError::Cluster)?;
    if !described.members.is_empty() && described.protocol_type != PROTOCOL {
        return Err(StoreError::NotOurs { group: group.clone(), protocol: described.protocol_type });
    }
    Ok(described.members)
}
