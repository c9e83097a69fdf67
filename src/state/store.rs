//! The state: what is stored with the lock held.

use super::known::Known;
use super::lock::{Lock, Meaning, Tries, meaning, members};
use super::{Clock, Holder, News, StoreError};
use crate::cluster::{Cluster, ClusterError, MemberOf, Stored};
use crate::kafka::{ErrorCode, GroupId, Offset, TopicPartition};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::{sleep, timeout};

pub use crate::cluster::CommitOffset as Entry;

/// Between two heartbeats.
const INTERVAL: Duration = Duration::from_secs(3);
/// Bytes of one OffsetCommit at most: above about 1 MiB brokers refuse all its partitions with UNKNOWN_SERVER_ERROR.
const MOST: usize = 512 << 10;
/// How long leaving the group may take.
const LEAVING: Duration = Duration::from_secs(1);

/// The partitions whose state the target does not take, and why: it takes that of others.
pub type Refusals = BTreeMap<TopicPartition, ClusterError>;

/// Everything that is stored: per partition its offset and metadata.
pub type State = BTreeMap<TopicPartition, (Offset, String)>;

/// How a [`Store`] is opened.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Who opens it.
    pub holder: Holder,
    /// Whether another process that holds the lock is fenced.
    pub take_over: bool,
    /// The clock that the lock is held by.
    pub clock: Arc<dyn Clock>,
}

/// The state of a migration, with its lock held. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lock: Lock,
    /// One commit at a time: of two for the same partition the later one must be stored last.
    turn: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
    /// Why it ended.
    ended: OnceLock<StoreError>,
}

/// What can be read of a migration without its lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reading {
    /// Everything that is stored; empty where the migration is not known.
    pub state: State,
    /// The process that runs it, if one does or did until its session ends.
    pub holder: Option<Holder>,
}

/// The group that a migration is kept in.
pub fn group(name: &str) -> GroupId {
    GroupId::from(format!("kferry-{name}"))
}

/// Reads a migration's state and who runs it, without its lock: the state may be about to change.
pub async fn read(target: &Cluster, name: &str) -> Result<Reading, StoreError> {
    let group = group(name);
    let holder = members(target, &group).await?.first().map(Holder::of);
    Ok(Reading { state: load(target, &group).await?, holder })
}

async fn load(cluster: &Cluster, group: &GroupId) -> Result<State, StoreError> {
    let commits = cluster.committed(std::slice::from_ref(group)).await.remove(group);
    let commits = commits.unwrap_or_else(|| Ok(Vec::new())).map_err(StoreError::Cluster)?;
    Ok(commits.into_iter().map(|commit| (commit.at, (commit.offset, commit.metadata))).collect())
}

impl Store {
    /// Takes the lock of a migration. Another process that holds it is waited for, 12 seconds at most, and told about;
    /// it is fenced where that is asked for. Fails with [`StoreError::Held`] where it goes on. From then on
    /// [`Store::keep`] must run, or the lock is gone after [`SESSION`](super::SESSION).
    pub async fn open(
        target: &Cluster,
        name: &str,
        opening: Opening,
        news: &mut (dyn FnMut(News) + Send),
    ) -> Result<Self, StoreError> {
        let Opening { holder, take_over, clock } = opening;
        let lock = Lock::take(target, name, &holder, take_over, clock, news).await?;
        let inner =
            Inner { lock, turn: tokio::sync::Mutex::default(), known: Mutex::default(), ended: OnceLock::new() };
        Ok(Self(Arc::new(inner)))
    }

    /// Everything that is stored.
    pub async fn load(&self) -> Result<State, StoreError> {
        self.going_on()?;
        let state = load(&self.0.lock.cluster, &self.0.lock.group).await?;
        self.known().loaded(&state);
        Ok(state)
    }

    /// Stores entries, all of them. With an error some may be stored.
    pub async fn commit(&self, entries: Vec<Entry>) -> Result<(), StoreError> {
        let refusals = self.commit_each(entries).await?;
        refusals.into_iter().next().map_or(Ok(()), |(at, cause)| Err(StoreError::Refused { at, cause }))
    }

    /// Stores entries, each at its partition in place of the one before, 512 KiB per request, and says which partitions are
    /// refused. With an error some of them may be stored.
    ///
    /// An answer that does not say for certain what happened has the group's generation raised, and only then the same
    /// entries sent again: a request of the older generation that is still on its way can't come behind a later one.
    pub async fn commit_each(&self, entries: Vec<Entry>) -> Result<Refusals, StoreError> {
        let _turn = self.0.turn.lock().await;
        self.going_on()?;
        let mut refusals = Refusals::new();
        for part in parts(&entries, self.0.lock.group.as_str().len()) {
            refusals.append(&mut self.commit_part(part).await?);
        }
        Ok(refusals)
    }

    async fn commit_part(&self, part: &[Entry]) -> Result<Refusals, StoreError> {
        let lock = &self.0.lock;
        self.known().sent(part);
        let mut tries = Tries::new();
        loop {
            self.going_on()?;
            let member = lock.member.lock().await.clone();
            let stored = lock.cluster.commit_offsets_once(&lock.group, Some(&member), part).await;
            let Some((error, meaning)) = worst(&stored) else {
                self.known().stored(part);
                return Ok(Refusals::new());
            };
            let not_yet = error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
            if meaning == Meaning::Refused || tries.again(&lock.cluster, error.clone()).await.is_err() {
                return self.refused(part, stored);
            }
            if !not_yet {
                self.renew(&member, &mut tries).await?;
            }
        }
    }

    /// Takes the last answer to a request of which not everything was stored. What is said of the group and not of a
    /// partition is an error.
    fn refused(&self, part: &[Entry], stored: Stored) -> Result<Refusals, StoreError> {
        let mut refusals: Refusals = stored.into_iter().filter_map(|(at, stored)| Some((at, stored.err()?))).collect();
        if let Some(at) = refusals.iter().find(|(_, cause)| !is_of_its_partition(cause)).map(|(at, _)| at.clone())
            && let Some(cause) = refusals.remove(&at)
        {
            return Err(StoreError::Refused { at, cause });
        }
        let mut known = self.known();
        known.stored(part.iter().filter(|entry| !refusals.contains_key(&entry.at)));
        refusals.keys().for_each(|at| known.removed(at));
        Ok(refusals)
    }

    /// Keeps the lock by heartbeats. Ends when it is lost for good: to another process, or because the target could not
    /// be reached for two minutes.
    pub async fn keep(&self) -> StoreError {
        let mut tries = Tries::new();
        loop {
            if let Err(ended) = self.going_on() {
                return ended;
            }
            let member = self.0.lock.member.lock().await.clone();
            let mended = match self.0.lock.heartbeat(&member).await {
                Ok(()) => {
                    tries = Tries::new();
                    sleep(INTERVAL).await;
                    continue;
                }
                Err(error) => match meaning(&error) {
                    Meaning::Outside => self.renew(&member, &mut tries).await,
                    Meaning::Unclear => tries.again(&self.0.lock.cluster, error).await,
                    Meaning::Refused => Err(StoreError::Cluster(error)),
                },
            };
            if let Err(ended) = mended {
                return self.end(ended);
            }
        }
    }

    /// Joins again, unless that has happened since `member` was the member. As a new member only where nobody else has
    /// changed the state meanwhile.
    async fn renew(&self, member: &MemberOf, tries: &mut Tries) -> Result<(), StoreError> {
        let lock = &self.0.lock;
        let mut current = lock.member.lock().await;
        self.going_on()?;
        if *current != *member {
            return Ok(());
        }
        let led = match lock.join(Some(&member.id), tries).await {
            Err(StoreError::Held { name, holder }) => return Err(self.end(StoreError::Lost { name, holder })),
            led => led?,
        };
        if led.anew
            && let Err(error) = self.unchanged().await
        {
            leave(lock, &led.member).await;
            return Err(self.end(error));
        }
        lock.accept(&led);
        *current = led.member;
        Ok(())
    }

    /// Whether the state is what this process last read or wrote.
    async fn unchanged(&self) -> Result<(), StoreError> {
        let group = &self.0.lock.group;
        let state = load(&self.0.lock.cluster, group).await?;
        let foreign = self.known().foreign(&state);
        foreign.map_or(Ok(()), |at| Err(StoreError::Changed { group: group.clone(), at }))
    }

    /// Whether a record may be sent now: the last good heartbeat was sent less than a session ago, by a clock that also
    /// runs during a suspend.
    pub fn may_write(&self) -> bool {
        !self.left().is_zero()
    }

    /// For how long records may be sent if no further heartbeat is answered.
    pub fn left(&self) -> Duration {
        if self.0.ended.get().is_some() { Duration::ZERO } else { self.0.lock.left() }
    }

    /// Gives the lock back, within a second. What fails is left to the session's end.
    pub async fn close(self) {
        let lock = &self.0.lock;
        let leaving = async {
            let member = lock.member.lock().await;
            if self.0.ended.get().is_none() {
                self.end(StoreError::Closed { name: lock.name.clone() });
                leave(lock, &member).await;
            }
        };
        if timeout(LEAVING, leaving).await.is_err() {
            self.end(StoreError::Closed { name: lock.name.clone() });
            tracing::debug!("the group drops this member when its session ends");
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn going_on(&self) -> Result<(), StoreError> {
        self.0.ended.get().map_or(Ok(()), |ended| Err(ended.clone()))
    }

    /// Ends it for all its clones; the first reason counts.
    fn end(&self, error: StoreError) -> StoreError {
        self.0.lock.gone();
        self.0.ended.get_or_init(|| error).clone()
    }
}

async fn leave(lock: &Lock, member: &MemberOf) {
    if let Err(error) = lock.cluster.leave_group(&lock.group, &member.id).await {
        tracing::debug!(%error, "the group drops this member when its session ends");
    }
}

/// The error that decides what is done next: a refusal of one partition only where all others are stored or refused.
fn worst(stored: &Stored) -> Option<(ClusterError, Meaning)> {
    let failed = stored.values().filter_map(|stored| stored.as_ref().err()).map(|error| (error, meaning(error)));
    let worst = failed.min_by_key(|(error, meaning)| match meaning {
        Meaning::Outside => 0,
        Meaning::Unclear if error.code() != Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => 1,
        Meaning::Unclear => 2,
        Meaning::Refused => 3,
    });
    worst.map(|(error, meaning)| (error.clone(), meaning))
}

/// Whether the target says it of the entry's topic or of the entry itself: others of the group may be stored.
fn is_of_its_partition(error: &ClusterError) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                | ErrorCode::TOPIC_AUTHORIZATION_FAILED
                | ErrorCode::OFFSET_METADATA_TOO_LARGE
        )
    )
}

/// Cuts entries into requests by what they take in the coordinator's log, where the group's name is part of each key.
fn parts(entries: &[Entry], group: usize) -> Vec<&[Entry]> {
    let size = |entry: &Entry| entry.metadata.len() + entry.at.topic.as_str().len() + group + 64;
    let (mut parts, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (index, entry) in entries.iter().enumerate() {
        if index > begin && bytes + size(entry) > MOST {
            parts.extend(entries.get(begin..index));
            (begin, bytes) = (index, 0);
        }
        bytes += size(entry);
    }
    parts.extend(entries.get(begin..).filter(|rest| !rest.is_empty()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(size: usize) -> Entry {
        Entry { at: TopicPartition::new("t", 0), offset: Offset(0), metadata: "m".repeat(size) }
    }

    #[test]
    fn entries_are_cut_into_requests_that_brokers_take() {
        let entries: Vec<_> = (0..1_000).map(|_| entry(4_096)).collect();
        let cut = parts(&entries, 20);
        assert_eq!(cut.concat(), entries);
        let bytes = |part: &&[Entry]| part.iter().map(|entry| entry.metadata.len()).sum::<usize>();
        assert!(cut.iter().all(|part| bytes(part) <= MOST), "{:?}", cut.iter().map(bytes).collect::<Vec<_>>());
        assert_eq!(cut.len(), 8, "as few as possible");
        assert!(parts(&[], 20).is_empty());
        assert_eq!(parts(&[entry(MOST), entry(1)], 20).len(), 2, "one that is too large by itself is sent alone");
    }
}
