//! OffsetFetch: the committed offsets of groups.
//!
//! Version 1, that of brokers before 0.10.2, must name the partitions it asks about. Version 5 added the leader epoch, 7
//! `require_stable` (KIP-447), 8 many groups in one request (KIP-709).

use super::{owned, string, write};
use crate::kafka::{ErrorCode, GroupId, LeaderEpoch, Offset, PartitionId, TopicName, TopicPartition};
use crate::wire::{ApiKey, Reader, Request, Rope, WireError};
use bytes::Bytes;
use kafka_protocol::messages::OffsetFetchRequest;
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic};
use std::collections::BTreeSet;

/// Asks a coordinator for commits of its groups; before version 8 exactly one group can be named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetFetch {
    /// The groups.
    pub groups: Vec<GroupId>,
    /// The partitions to ask about, from version 2 to 7 also `None` for all that have a commit; from version 8 on always
    /// all.
    pub partitions: Option<Vec<TopicPartition>>,
    /// Whether a commit of an open transaction makes the broker answer UNSTABLE_OFFSET_COMMIT. Not sent before version 7.
    pub require_stable: bool,
}

/// A coordinator's answer to [`OffsetFetch`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetFetchAnswer {
    /// One entry per group.
    pub groups: Vec<GroupCommits>,
}

/// The commits of one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupCommits {
    /// The group; before version 8 the answer does not repeat it.
    pub group: Option<GroupId>,
    /// The group's error.
    pub error: ErrorCode,
    /// One entry per partition with a commit, or per partition that was named; a group that does not exist has no commit.
    pub offsets: Vec<CommittedOffset>,
}

/// The commit of one group on one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedOffset {
    /// The partition.
    pub at: TopicPartition,
    /// This partition's error.
    pub error: ErrorCode,
    /// The offset the group reads next; brokers do not check it. -1 for none.
    pub offset: Offset,
    /// The leader epoch of the last record read, as the consumer said.
    pub leader_epoch: Option<LeaderEpoch>,
    /// What the consumer added.
    pub metadata: Option<String>,
}

impl Request for OffsetFetch {
    const API: ApiKey = ApiKey::OffsetFetch;
    type Answer = OffsetFetchAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        let request = OffsetFetchRequest::default().with_require_stable(version >= 7 && self.require_stable);
        if version >= 8 {
            let group = |id: &GroupId| {
                OffsetFetchRequestGroup::default().with_group_id(string(id.as_str()).into()).with_topics(None)
            };
            let groups = self.groups.iter().map(group).collect();
            return write(&request.with_topics(Some(Vec::new())).with_groups(groups), version);
        }
        match self.groups.as_slice() {
            [group] => {
                if version < 2 && self.partitions.is_none() {
                    let reason =
                        format!("version {version} must name partitions; brokers from 0.10.2 on need not be told");
                    return Err(WireError::Unwritable { reason });
                }
                let request = request.with_group_id(string(group.as_str()).into());
                write(&request.with_topics(self.partitions.as_deref().map(by_topic)), version)
            }
            _ => Err(WireError::Unwritable { reason: format!("version {version} asks for one group at a time") }),
        }
    }

    fn decode(version: i16, body: Bytes) -> Result<OffsetFetchAnswer, WireError> {
        let mut reader = super::reader::<Self>(version, &body);
        let mut names = BTreeSet::new();
        if version >= 3 {
            reader.throttle()?;
        }
        if version >= 8 {
            let groups = reader.array("groups", |reader| {
                let group = Some(GroupId::from(reader.text("group_id")?));
                let offsets = topics(version, reader, &mut names)?;
                let error = reader.code()?;
                reader.tags()?;
                Ok(GroupCommits { group, error, offsets })
            })?;
            return Ok(OffsetFetchAnswer { groups });
        }
        let offsets = topics(version, &mut reader, &mut names)?;
        let error = if version >= 2 { reader.code()? } else { ErrorCode::NONE };
        Ok(OffsetFetchAnswer { groups: vec![GroupCommits { group: None, error, offsets }] })
    }
}

fn by_topic(partitions: &[TopicPartition]) -> Vec<OffsetFetchRequestTopic> {
    let topics = partitions.chunk_by(|left, right| left.topic == right.topic).filter_map(|group| {
        let name = string(group.first()?.topic.as_str());
        let indexes = group.iter().map(|at| at.partition.0).collect();
        Some(OffsetFetchRequestTopic::default().with_name(name.into()).with_partition_indexes(indexes))
    });
    topics.collect()
}

/// Groups have commits on the same topics: `names` holds each name once, however many commits share it.
fn topics(
    version: i16,
    reader: &mut Reader<'_>,
    names: &mut BTreeSet<TopicName>,
) -> Result<Vec<CommittedOffset>, WireError> {
    let mut offsets = Vec::new();
    reader.each("topics", |reader| {
        let name = reader.text("topic")?;
        let topic = names.get(name).cloned().unwrap_or_else(|| {
            let topic = TopicName::from(name);
            names.insert(topic.clone());
            topic
        });
        reader.each("partitions", |reader| {
            offsets.push(partition(version, &topic, reader)?);
            Ok(())
        })?;
        reader.tags()
    })?;
    // There may be a million of them, and they are kept.
    offsets.shrink_to_fit();
    Ok(offsets)
}

fn partition(version: i16, topic: &TopicName, reader: &mut Reader<'_>) -> Result<CommittedOffset, WireError> {
    let at = TopicPartition { topic: topic.clone(), partition: PartitionId(reader.i32("partition_index")?) };
    let offset = Offset(reader.i64("committed_offset")?);
    let epoch = if version >= 5 { reader.i32("committed_leader_epoch")? } else { -1 };
    let metadata = owned(reader.nullable_text("metadata")?);
    let error = reader.code()?;
    reader.tags()?;
    Ok(CommittedOffset { at, error, offset, leader_epoch: (epoch >= 0).then_some(LeaderEpoch(epoch)), metadata })
}
