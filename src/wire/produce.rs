//! Produce, versions 3 to 8, by hand: record batches leave as the slices they came in.
//!
//! Version 5 added the log start, 7 allows zstd, 8 names the records a broker refused (KIP-467).

use super::fetch::{put_count, put_string};
use super::{ApiKey, Reader, Request, Rope, WireError};
use crate::kafka::{ErrorCode, Offset, PartitionId, TopicName, TopicPartition};
use bytes::{BufMut, Bytes};
use std::collections::BTreeSet;
use std::time::Duration;

/// Appends one record batch to each of several partitions, acknowledged by all in-sync replicas (acks -1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProduceRequest {
    /// How long the leader waits for its followers before it answers REQUEST_TIMED_OUT. The batch is appended even so.
    pub timeout: Duration,
    /// The batches; each partition at most once.
    pub partitions: Vec<ProducePartition>,
}

/// One partition of a [`ProduceRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducePartition {
    /// Which one.
    pub at: TopicPartition,
    /// One record batch of format v2.
    pub records: Rope,
}

/// A broker's answer to [`ProduceRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProduceAnswer {
    /// For how long the broker will not read from the connection.
    pub throttle: Duration,
    /// One entry per partition, in arbitrary order.
    pub partitions: Vec<ProducedPartition>,
}

/// One partition of a [`ProduceAnswer`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducedPartition {
    /// Which one.
    pub at: TopicPartition,
    /// NONE, or why; some codes are answered although the batch was appended.
    pub error: ErrorCode,
    /// The offset that the batch's first record got; -1 with an error.
    pub base_offset: Offset,
    /// When the broker appended it, in ms since 1970. `None` where records keep their create time, except that a
    /// recognised duplicate carries the remembered batch's largest timestamp.
    pub log_append_time: Option<i64>,
    /// The first offset the log still has. Not known before version 5.
    pub log_start: Option<Offset>,
    /// The records that made the broker refuse the batch. Only from version 8 on.
    pub record_errors: Vec<RecordError>,
    /// The broker's own words about the refusal.
    pub message: Option<String>,
}

/// A record that a broker refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordError {
    /// Its place in the batch, counted from 0.
    pub index: i32,
    /// The broker's own words about it.
    pub message: Option<String>,
}

impl Request for ProduceRequest {
    const API: ApiKey = ApiKey::Produce;
    type Answer = ProduceAnswer;

    fn encode(&self, _version: i16) -> Result<Rope, WireError> {
        // The versions 3 to 8 differ in their answers alone.
        let mut named = BTreeSet::new();
        if let Some(twice) = self.partitions.iter().find(|entry| !named.insert(&entry.at)) {
            return Err(WireError::Twice { at: twice.at.clone() });
        }
        let mut rope = Rope::new();
        let mut out = Vec::with_capacity(64);
        out.put_i16(-1); // transactional_id: none
        out.put_i16(-1); // acks: all in-sync replicas
        out.put_i32(i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX));
        let topics = || self.partitions.chunk_by(|left, right| left.at.topic == right.at.topic);
        put_count(&mut out, topics().count())?;
        for topic in topics() {
            let Some(first) = topic.first() else { continue };
            put_string(&mut out, "topic", first.at.topic.as_str())?;
            put_count(&mut out, topic.len())?;
            for entry in topic {
                out.put_i32(entry.at.partition.0);
                put_count(&mut out, entry.records.len())?;
                rope.push(std::mem::replace(&mut out, Vec::with_capacity(32)));
                rope.append(entry.records.clone());
            }
        }
        rope.push(out);
        Ok(rope)
    }

    fn decode(version: i16, body: Bytes) -> Result<ProduceAnswer, WireError> {
        let mut reader = Reader::new(&body, false);
        let topics = reader.array("topics", |reader| {
            let topic = TopicName::from(reader.text("topic")?);
            reader.array("partitions", |reader| partition(version, &topic, reader))
        })?;
        Ok(ProduceAnswer { throttle: reader.throttle()?, partitions: topics.into_iter().flatten().collect() })
    }
}

fn partition(version: i16, topic: &TopicName, reader: &mut Reader<'_>) -> Result<ProducedPartition, WireError> {
    let partition = PartitionId(reader.i32("partition")?);
    let at = TopicPartition { topic: topic.clone(), partition };
    let error = reader.code()?;
    let base_offset = Offset(reader.i64("base_offset")?);
    let log_append_time = Some(reader.i64("log_append_time")?).filter(|time| *time != -1);
    let log_start = if version >= 5 { Some(Offset(reader.i64("log_start_offset")?)) } else { None };
    let (mut record_errors, mut message) = (Vec::new(), None);
    if version >= 8 {
        record_errors = reader.array("record_errors", |reader| {
            let index = reader.i32("batch_index")?;
            Ok(RecordError { index, message: reader.nullable_text("record error")?.map(str::to_owned) })
        })?;
        message = reader.nullable_text("error_message")?.map(str::to_owned);
    }
    let log_start = log_start.filter(|offset| offset.0 >= 0);
    Ok(ProducedPartition { at, error, base_offset, log_append_time, log_start, record_errors, message })
}
