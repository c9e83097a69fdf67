//! ListOffsets: the ends of partitions, and offsets by time.
//!
//! Version 0, that of 0.10.0, answers with many offsets and looks times up by segments: written and read by hand, because
//! the library has forgotten it. Version 1 looks them up by records (KIP-79), 2 added the isolation level, 4 the leader
//! epoch, 7 the largest timestamp (KIP-734).

use super::{string, write};
use crate::kafka::{BrokerId, ErrorCode, LeaderEpoch, Offset, PartitionId, TopicName, TopicPartition};
use crate::wire::fetch::{Isolation, put_topics};
use crate::wire::{ApiKey, Reader, Request, Rope, WireError};
use bytes::{BufMut, Bytes};
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition as Asked, ListOffsetsTopic};

/// Asks a leader for one offset of each of its partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListOffsets {
    /// -1 for a consumer; -2 sees the log's end behind the high watermark.
    pub replica: BrokerId,
    /// With [`Isolation::ReadCommitted`] the latest offset is the last stable one. Not sent before version 2.
    pub isolation: Isolation,
    /// The partitions.
    pub partitions: Vec<ListOffsetsPartition>,
}

/// One partition of [`ListOffsets`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListOffsetsPartition {
    /// Which one.
    pub at: TopicPartition,
    /// The leader epoch the caller believes in. Not sent before version 4.
    pub leader_epoch: Option<LeaderEpoch>,
    /// -1 latest, -2 earliest, -3 the record with the largest timestamp (version 7), or a time in ms since 1970 (version
    /// 1: in version 0 it would find the start of a segment whose file is that old, which tells nothing of records).
    pub timestamp: i64,
}

/// A leader's answer to [`ListOffsets`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListOffsetsAnswer {
    /// One entry per partition.
    pub partitions: Vec<ListedPartition>,
}

/// One partition of a [`ListOffsetsAnswer`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedPartition {
    /// Which one.
    pub at: TopicPartition,
    /// This partition's error.
    pub error: ErrorCode,
    /// The timestamp of the record found, in ms since 1970; -1 where none was asked for or found.
    pub timestamp: i64,
    /// The offset; -1 where no record fits.
    pub offset: Offset,
    /// The leader epoch of the record at that offset.
    pub leader_epoch: Option<LeaderEpoch>,
}

impl Request for ListOffsets {
    const API: ApiKey = ApiKey::ListOffsets;
    type Answer = ListOffsetsAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        // An older broker would take it for a time before 1970 and answer the first record.
        if version < 7 && self.partitions.iter().any(|entry| entry.timestamp == -3) {
            let reason = format!("version {version} can't ask for the largest timestamp; brokers from 3.0 on can");
            return Err(WireError::Unwritable { reason });
        }
        if version == 0 {
            return self.encode_first();
        }
        let asked = |entry: &ListOffsetsPartition| {
            let epoch = entry.leader_epoch.filter(|_| version >= 4).map_or(-1, LeaderEpoch::get);
            Asked::default()
                .with_partition_index(entry.at.partition.0)
                .with_current_leader_epoch(epoch)
                .with_timestamp(entry.timestamp)
        };
        let topics = self.partitions.chunk_by(|left, right| left.at.topic == right.at.topic).filter_map(|group| {
            let name = string(group.first()?.at.topic.as_str());
            let partitions = group.iter().map(asked).collect();
            Some(ListOffsetsTopic::default().with_name(name.into()).with_partitions(partitions))
        });
        let isolation = if version >= 2 { self.isolation.number() } else { 0 };
        let request = ListOffsetsRequest::default()
            .with_replica_id(self.replica.0.into())
            .with_isolation_level(isolation)
            .with_topics(topics.collect());
        write(&request, version)
    }

    fn decode(version: i16, body: Bytes) -> Result<ListOffsetsAnswer, WireError> {
        let mut reader = super::reader::<Self>(version, &body);
        if version >= 2 {
            reader.throttle()?;
        }
        let topics = reader.array("topics", |reader| {
            let topic = TopicName::from(reader.text("topic")?);
            let partitions = reader.array("partitions", |reader| partition(version, &topic, reader))?;
            reader.tags()?;
            Ok(partitions)
        })?;
        Ok(ListOffsetsAnswer { partitions: topics.into_iter().flatten().collect() })
    }
}

impl ListOffsets {
    fn encode_first(&self) -> Result<Rope, WireError> {
        if self.partitions.iter().any(|entry| entry.timestamp >= 0) {
            let reason = "version 0 can't look for records by their time; brokers from 0.10.1 on can".to_owned();
            return Err(WireError::Unwritable { reason });
        }
        let mut out = Vec::new();
        out.put_i32(self.replica.0);
        put_topics(
            &mut out,
            &self.partitions,
            |entry| &entry.at,
            |out, entry| {
                out.put_i32(entry.at.partition.0);
                out.put_i64(entry.timestamp);
                out.put_i32(1); // max_num_offsets
            },
        )?;
        Ok(Rope::from(out))
    }
}

fn partition(version: i16, topic: &TopicName, reader: &mut Reader<'_>) -> Result<ListedPartition, WireError> {
    let at = TopicPartition { topic: topic.clone(), partition: PartitionId(reader.i32("partition_index")?) };
    let error = reader.code()?;
    if version == 0 {
        let offsets = reader.array("offsets", |reader| reader.i64("offset"))?;
        let offset = Offset(offsets.first().copied().unwrap_or(-1));
        return Ok(ListedPartition { at, error, timestamp: -1, offset, leader_epoch: None });
    }
    let timestamp = reader.i64("timestamp")?;
    let offset = Offset(reader.i64("offset")?);
    let epoch = if version >= 4 { reader.i32("leader_epoch")? } else { -1 };
    reader.tags()?;
    Ok(ListedPartition { at, error, timestamp, offset, leader_epoch: (epoch >= 0).then_some(LeaderEpoch(epoch)) })
}
