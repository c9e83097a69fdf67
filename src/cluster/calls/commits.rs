//! The committed offsets of groups.

use super::cut;
use crate::cluster::client::Cluster;
use crate::cluster::connection::Connection;
use crate::cluster::error::{ClusterError, Subject};
use crate::cluster::gather::gather;
use crate::cluster::retry::{Attempts, RetryPolicy};
use crate::kafka::{ErrorCode, GroupId, LeaderEpoch, Offset, TopicPartition};
use crate::wire::ApiKey;
use crate::wire::messages::{CommittedOffset, GroupCommits, Metadata, OffsetFetch};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Groups that one request asks for at most, where brokers take many.
const MOST: usize = 50;

/// Partitions that one request names at most, to brokers that must be told.
const MOST_NAMED: usize = 4_000;

/// How long a commit of an open transaction is waited for.
const STABLE: RetryPolicy = RetryPolicy {
    first: Duration::from_millis(100),
    most: Duration::from_secs(2),
    attempts: 10,
    unknown: 10,
    total: Duration::from_secs(10),
};

/// A group's committed offset on a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    /// The partition.
    pub at: TopicPartition,
    /// The offset that the group reads next. Brokers do not check what a client commits; a negative one is left out.
    pub offset: Offset,
    /// The leader epoch of the last record read, as the consumer said.
    pub leader_epoch: Option<LeaderEpoch>,
    /// What the consumer added; empty for nothing.
    pub metadata: String,
    /// Whether no open transaction is about to replace it. With `false` it is the last decided commit.
    pub stable: bool,
}

/// Per group its commits in the order of their partitions, or why they could not be read.
pub type Commits = BTreeMap<GroupId, Result<Vec<Committed>, ClusterError>>;

/// A group's commits as the broker gave them.
type Asked = BTreeMap<GroupId, Result<Vec<CommittedOffset>, ClusterError>>;

impl Cluster {
    /// All committed offsets of groups, asked of their coordinators: 50 groups per request, or one per request and many
    /// on their way at once with brokers before 3.0. Brokers before 0.10.2 are asked about all partitions there are, so
    /// commits on topics that are gone stay unseen. A group that does not exist has none.
    ///
    /// A commit inside an open transaction is waited for up to ten seconds (KIP-447); then the last decided commit counts,
    /// marked as not stable.
    pub async fn committed(&self, groups: &[GroupId]) -> Commits {
        let (begun, mut attempts) = (Instant::now(), Attempts::new(STABLE));
        let mut asked = self.ask_commits(groups.to_vec(), true).await;
        loop {
            let open: Vec<_> = asked.iter().filter(|(_, commits)| is_open(commits)).map(|(id, _)| id.clone()).collect();
            if open.is_empty() {
                break asked
                    .into_iter()
                    .map(|(group, commits)| (group, commits.map(|list| finished(list, None))))
                    .collect();
            }
            match self.pause(&mut attempts, begun) {
                Some(wait) => {
                    sleep(wait).await;
                    asked.append(&mut self.ask_commits(open, true).await);
                }
                None => break self.decided(asked, open).await,
            }
        }
    }

    /// Takes the last decided commits of groups whose transactions stay open.
    async fn decided(&self, asked: Asked, open: Vec<GroupId>) -> Commits {
        let mut decided = self.ask_commits(open, false).await;
        let settle = |(group, commits): (GroupId, Result<Vec<CommittedOffset>, ClusterError>)| {
            let commits = match decided.remove(&group) {
                None => commits.map(|list| finished(list, None)),
                Some(decided) => commits.and_then(|list| Ok(finished(decided?, Some(&list)))),
            };
            (group, commits)
        };
        asked.into_iter().map(settle).collect()
    }

    async fn ask_commits(&self, groups: Vec<GroupId>, require_stable: bool) -> Asked {
        self.rounds(groups, |left| async move {
            let (by_broker, mut answers) = self.by_coordinator(&left).await;
            let ask = move |connection, share| ask_share(connection, share, require_stable);
            let subject = |group: &GroupId| Subject::Group(group.clone());
            answers.append(&mut self.shares(ApiKey::OffsetFetch, subject, cut(by_broker, MOST), ask).await);
            answers
        })
        .await
    }
}

type Share = Vec<(GroupId, Result<Vec<CommittedOffset>, ClusterError>)>;

async fn ask_share(
    connection: Arc<Connection>,
    groups: Vec<GroupId>,
    require_stable: bool,
) -> Result<Share, ClusterError> {
    match connection.version(ApiKey::OffsetFetch) {
        Ok(8..) => return ask_groups(&connection, groups, require_stable).await,
        Ok(1) => return ask_by_name(&connection, groups).await,
        _ => {}
    }
    let asked = groups.into_iter().map(|group| {
        let connection = Arc::clone(&connection);
        async move { ask_groups(&connection, vec![group], require_stable).await }
    });
    Ok(gather(asked).await.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

async fn ask_groups(
    connection: &Connection,
    groups: Vec<GroupId>,
    require_stable: bool,
) -> Result<Share, ClusterError> {
    let request = OffsetFetch { groups, partitions: None, require_stable };
    let answer = connection.call(&request, Subject::Whole).await?;
    let checked = |commits: GroupCommits| {
        let group = commits.group.clone().or_else(|| request.groups.first().cloned())?;
        Some((group.clone(), check(connection, &group, commits)))
    };
    Ok(answer.groups.into_iter().filter_map(checked).collect())
}

/// Asks about every partition the broker knows, one request after the other: together they may be many.
async fn ask_by_name(connection: &Connection, groups: Vec<GroupId>) -> Result<Share, ClusterError> {
    let known = connection.call(&Metadata { topics: None }, Subject::Whole).await?;
    let partitions = known.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| TopicPartition { topic: topic.name.clone(), partition: partition.id })
    });
    let partitions: Vec<TopicPartition> = partitions.collect();
    let mut share = Share::new();
    for group in groups {
        let mut commits = Ok(Vec::new());
        for named in partitions.chunks(MOST_NAMED) {
            let request =
                OffsetFetch { groups: vec![group.clone()], partitions: Some(named.to_vec()), require_stable: false };
            let answer = connection.call(&request, Subject::Group(group.clone())).await?;
            for mut some in answer.groups {
                // What may not be seen or is gone by now: an answer about all partitions would leave it out.
                let unseen = [ErrorCode::TOPIC_AUTHORIZATION_FAILED, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION];
                some.offsets.retain(|commit| !unseen.contains(&commit.error));
                let checked = check(connection, &group, some);
                commits = commits.and_then(|mut all: Vec<CommittedOffset>| {
                    all.extend(checked?.into_iter().filter(|commit| commit.offset.0 >= 0));
                    Ok(all)
                });
            }
        }
        share.push((group, commits));
    }
    Ok(share)
}

/// A group's offsets, unless the group or one of its partitions has an error other than an open transaction.
fn check(
    connection: &Connection,
    group: &GroupId,
    commits: GroupCommits,
) -> Result<Vec<CommittedOffset>, ClusterError> {
    let refused = |code, message: Option<&str>| {
        connection.check(ApiKey::OffsetFetch, Subject::Group(group.clone()), code, message)
    };
    refused(commits.error, None)?;
    let fine = [ErrorCode::NONE, ErrorCode::UNSTABLE_OFFSET_COMMIT];
    for offset in commits.offsets.iter().filter(|offset| !fine.contains(&offset.error)) {
        refused(offset.error, Some(&format!("for {}", offset.at)))?;
    }
    Ok(commits.offsets)
}

fn is_open(commits: &Result<Vec<CommittedOffset>, ClusterError>) -> bool {
    commits.as_ref().is_ok_and(|list| list.iter().any(|offset| offset.error == ErrorCode::UNSTABLE_OFFSET_COMMIT))
}

/// Leaves out what is no commit; what is open in `open` is not stable. Brokers answer in the order of their hash tables.
fn finished(list: Vec<CommittedOffset>, open: Option<&[CommittedOffset]>) -> Vec<Committed> {
    let open = open.unwrap_or_default().iter().filter(|offset| offset.error != ErrorCode::NONE);
    let open: BTreeSet<_> = open.map(|offset| &offset.at).collect();
    let commit = |offset: CommittedOffset| Committed {
        stable: !open.contains(&offset.at),
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: offset.metadata.unwrap_or_default(),
        at: offset.at,
    };
    let mut commits: Vec<_> = list.into_iter().filter(|offset| offset.offset.0 >= 0).map(commit).collect();
    commits.sort_by(|a: &Committed, b| a.at.cmp(&b.at));
    commits
}
