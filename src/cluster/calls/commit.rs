//! Committing offsets for a group.

use super::COMMITTING;
use crate::cluster::client::Cluster;
use crate::cluster::connection::Connection;
use crate::cluster::error::{ClusterError, ErrorKind, Subject};
use crate::kafka::{GroupId, TopicPartition};
use crate::wire::ApiKey;
use crate::wire::messages::{CommitOffset, MemberOf, OffsetCommit};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Per partition whether its offset is stored.
pub type Stored = BTreeMap<TopicPartition, Result<(), ClusterError>>;

impl Cluster {
    /// Stores offsets for a group, in one request: a request that would be larger than brokers take (about 1 MiB) is the
    /// caller's to cut. Without a member it is taken only where the group has none.
    ///
    /// What may have failed for the moment is asked again by the one retry rule, after an unclear answer too: storing the
    /// same offset twice is storing it once, as long as nobody stores another one in between.
    pub async fn commit_offsets(&self, group: &GroupId, member: Option<&MemberOf>, commits: &[CommitOffset]) -> Stored {
        let all: BTreeMap<_, _> = commits.iter().map(|commit| (commit.at.clone(), commit.clone())).collect();
        let all = Arc::new(all);
        let keys = all.keys().cloned().collect();
        self.rounds(keys, |left| {
            let all = Arc::clone(&all);
            async move {
                let commits: Vec<_> = left.iter().filter_map(|at| all.get(at).cloned()).collect();
                self.commit_offsets_once(group, member, &commits).await
            }
        })
        .await
    }

    /// As [`Cluster::commit_offsets`], asked once: what an unclear answer means is the caller's to judge. A coordinator
    /// that answers that it is none is forgotten.
    pub async fn commit_offsets_once(
        &self,
        group: &GroupId,
        member: Option<&MemberOf>,
        commits: &[CommitOffset],
    ) -> Stored {
        let mut offsets = commits.to_vec();
        offsets.sort_by(|left, right| left.at.cmp(&right.at));
        let request = OffsetCommit { group: group.clone(), member: member.cloned(), offsets };
        let asked = match self.at_coordinator(group, COMMITTING).await {
            Ok(connection) => ask(&connection, &request).await,
            Err(error) => Err(error),
        };
        let (mut answers, otherwise) = match asked {
            Ok(answers) => {
                let subject = Subject::Group(group.clone());
                (answers, self.error(Some(ApiKey::OffsetCommit), subject, ErrorKind::Unanswered))
            }
            Err(error) => (BTreeMap::new(), error),
        };
        let mut answer = |at: &TopicPartition| answers.remove(at).unwrap_or_else(|| Err(otherwise.clone()));
        let stored: Stored = request.offsets.iter().map(|commit| (commit.at.clone(), answer(&commit.at))).collect();
        self.doubt(stored.values().filter_map(|answer| answer.as_ref().err()));
        stored
    }
}

async fn ask(connection: &Connection, request: &OffsetCommit) -> Result<Stored, ClusterError> {
    let answer = connection.call(request, Subject::Group(request.group.clone())).await?;
    let checked = |(at, code): (TopicPartition, _)| {
        let message = format!("for {at}");
        let subject = Subject::Group(request.group.clone());
        let checked = connection.check(ApiKey::OffsetCommit, subject, code, Some(&message));
        (at, checked)
    };
    Ok(answer.partitions.into_iter().map(checked).collect())
}
