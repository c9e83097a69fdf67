//! OffsetCommit: stores offsets for a group, by one of its members or, for a group without members, by anyone.
//!
//! Version 5 dropped the retention time, 6 added leader epochs (KIP-320), 7 instance ids (KIP-345), 8 is flexible.
//! Brokers from 4.0 on begin at 2 (KIP-896).

use super::{string, write};
use crate::kafka::{ErrorCode, GroupId, Offset, PartitionId, TopicName, TopicPartition};
use crate::wire::{ApiKey, Request, Rope, WireError};
use bytes::Bytes;
use kafka_protocol::messages::OffsetCommitRequest;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};

/// Asks a group's coordinator to store offsets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetCommit {
    /// The group.
    pub group: GroupId,
    /// The member that commits; `None` for a group that has no members.
    pub member: Option<MemberOf>,
    /// What to store, partitions of one topic side by side.
    pub offsets: Vec<CommitOffset>,
}

/// A member of a group, as of one generation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberOf {
    /// The id that the coordinator gave it.
    pub id: String,
    /// The generation that it joined.
    pub generation: i32,
}

/// An offset to store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitOffset {
    /// The partition.
    pub at: TopicPartition,
    /// The offset that the group reads next.
    pub offset: Offset,
    /// What is stored beside it; by default brokers take 4,096 characters.
    pub metadata: String,
}

/// A coordinator's answer to [`OffsetCommit`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetCommitAnswer {
    /// One entry per partition: NONE, or why its offset is not stored. An error of the whole group is in each.
    pub partitions: Vec<(TopicPartition, ErrorCode)>,
}

impl Request for OffsetCommit {
    const API: ApiKey = ApiKey::OffsetCommit;
    type Answer = OffsetCommitAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        let (id, generation) = self.member.as_ref().map_or(("", -1), |member| (&member.id, member.generation));
        let topics = self.offsets.chunk_by(|left, right| left.at.topic == right.at.topic).filter_map(topic);
        let request = OffsetCommitRequest::default()
            .with_group_id(string(self.group.as_str()).into())
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(string(id))
            .with_topics(topics.collect());
        write(&request, version)
    }

    fn decode(version: i16, body: Bytes) -> Result<OffsetCommitAnswer, WireError> {
        let mut reader = super::reader::<Self>(version, &body);
        if version >= 3 {
            reader.throttle()?;
        }
        let topics = reader.array("topics", |reader| {
            let topic = TopicName::from(reader.text("topic")?);
            let partitions = reader.array("partitions", |reader| {
                let partition = PartitionId(reader.i32("partition_index")?);
                let error = reader.code()?;
                reader.tags()?;
                Ok((TopicPartition { topic: topic.clone(), partition }, error))
            })?;
            reader.tags()?;
            Ok(partitions)
        })?;
        Ok(OffsetCommitAnswer { partitions: topics.into_iter().flatten().collect() })
    }
}

fn topic(offsets: &[CommitOffset]) -> Option<OffsetCommitRequestTopic> {
    let name = string(offsets.first()?.at.topic.as_str());
    let partitions = offsets.iter().map(|commit| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(commit.at.partition.0)
            .with_committed_offset(commit.offset.0)
            // The epoch would be the source's, which says nothing to the target's consumers.
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(string(&commit.metadata)))
    });
    Some(OffsetCommitRequestTopic::default().with_name(name.into()).with_partitions(partitions.collect()))
}
