//! Reading what groups have committed on both sides, and committing on the target.

use crate::cluster::{Cluster, ClusterError, CommitOffset, Committed, GroupDescription};
use crate::kafka::{ErrorCode, GroupId};
use crate::plan::GroupPlan;

use super::rules::{GroupOutcome, Outcome, Seen, Write};

/// What one request may take in the target's offsets topic, in bytes: brokers refuse all of a request that takes about
/// 1 MiB there.
const REQUEST: usize = 512 * 1024;

/// What a commit takes beside its names and its metadata, in bytes.
const ENTRY: usize = 64;

/// Reads the groups' commits on both sides, and their members on the target.
pub async fn look(source: &Cluster, target: &Cluster, groups: &[GroupPlan]) -> Vec<Seen> {
    let ids: Vec<GroupId> = groups.iter().map(|group| group.id.clone()).collect();
    let (mut commits, mut there, mut described) =
        tokio::join!(source.committed(&ids), target.committed(&ids), target.describe_groups(&ids));
    let seen = |group: &GroupPlan| Seen {
        group: group.id.clone(),
        planned: group.commits.iter().map(|commit| (commit.at.clone(), commit.committed)).collect(),
        source: commits.remove(&group.id).map_or_else(unanswered, told),
        target: there.remove(&group.id).map_or_else(unanswered, told).and_then(|commits: Vec<Committed>| {
            let described: GroupDescription = described.remove(&group.id).map_or_else(unanswered, told)?;
            Ok((commits, described.members.len()))
        }),
    };
    groups.iter().map(seen).collect()
}

fn told<T>(answer: Result<T, ClusterError>) -> Result<T, String> {
    answer.map_err(|error| words(&error))
}

fn unanswered<T>() -> Result<T, String> {
    Err("the answer leaves the group out".to_owned())
}

fn words(error: &ClusterError) -> String {
    match error.advice() {
        Some(advice) => format!("{error}; {advice}"),
        None => error.to_string(),
    }
}

/// Commits a group's offsets in one request, or in as few as the target takes. What follows a refusal is not sent: half a
/// group would go on.
pub async fn commit(target: &Cluster, group: &GroupId, writes: &[Write]) -> Vec<GroupOutcome> {
    let mut outcomes: Vec<GroupOutcome> = Vec::new();
    for request in requests(group, writes) {
        if outcomes.iter().any(|ended| ended.outcome.is_refusal()) {
            let why = "not sent, as others of the group were refused".to_owned();
            outcomes.extend(request.iter().map(|write| write.ended(group, Outcome::Failed, Some(why.clone()))));
            continue;
        }
        let offsets: Vec<CommitOffset> = request
            .iter()
            .map(|write| CommitOffset { at: write.at.clone(), offset: write.target, metadata: write.metadata.clone() })
            .collect();
        let mut answers = target.commit_offsets(group, None, &offsets).await;
        outcomes.extend(request.iter().map(|write| match answers.remove(&write.at) {
            Some(Ok(())) => write.ended(group, Outcome::Committed, None),
            // Only a group with members knows members: it became active since it was looked at.
            Some(Err(error)) if error.code() == Some(ErrorCode::UNKNOWN_MEMBER_ID) => {
                write.ended(group, Outcome::Active, Some("the group has just got members on the target".to_owned()))
            }
            Some(Err(error)) => write.ended(group, Outcome::Failed, Some(words(&error))),
            None => write.ended(group, Outcome::Failed, unanswered::<()>().err()),
        }));
    }
    outcomes
}

/// The writes of each request, in order.
fn requests<'a>(group: &GroupId, writes: &'a [Write]) -> Vec<&'a [Write]> {
    let size = |write: &Write| {
        let names = group.as_str().len().saturating_add(write.at.topic.as_str().len());
        names.saturating_add(write.metadata.len()).saturating_add(ENTRY)
    };
    let mut requests = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (index, write) in writes.iter().enumerate() {
        if index > from && size(write).saturating_add(bytes) > REQUEST {
            requests.extend(writes.get(from..index));
            (from, bytes) = (index, 0);
        }
        bytes = size(write).saturating_add(bytes);
    }
    requests.extend(writes.get(from..).filter(|rest| !rest.is_empty()));
    requests
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{Offset, TopicPartition};

    fn write(partition: i32, metadata: usize) -> Write {
        let at = TopicPartition::new("t", partition);
        Write { at, source: Offset(1), target: Offset(1), metadata: "m".repeat(metadata) }
    }

    #[test]
    fn a_group_is_one_request_as_long_as_the_target_takes_it() {
        let group = GroupId::from("g");
        let small: Vec<Write> = (0..1_000).map(|partition| write(partition, 100)).collect();
        assert_eq!(requests(&group, &small), [&small[..]]);
        let large: Vec<Write> = (0..1_000).map(|partition| write(partition, 4_096)).collect();
        let cut = requests(&group, &large);
        assert_eq!(cut.concat(), large);
        assert_eq!(cut.len(), 8, "{:?}", cut.iter().map(|request| request.len()).collect::<Vec<_>>());
        assert!(requests(&group, &[]).is_empty());
    }
}
