//! Produce and Fetch with the bytes as they are.

use bytes::{Buf, BufMut, Bytes};
use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::{BrokerId, ProduceResponse};
use uuid::Uuid;

use super::client::accept;
use super::connection::{Failure, Probe};
use super::{topic_name, transactional_id, versions};

/// One Produce request to one topic.
#[derive(Clone, Debug)]
pub struct Produce {
    /// The request's version. 2 and below are encoded by hand here.
    pub version: i16,
    /// The transactional id in the request.
    pub transactional_id: Option<String>,
    /// -1, 0 or 1 (or anything).
    pub acks: i16,
    /// How long the broker may wait for followers, in ms.
    pub timeout_ms: i32,
    /// The topic's name; ignored from v13 on.
    pub topic: String,
    /// The topic's id, which stands for its name from v13 on.
    pub topic_id: Uuid,
    /// Partitions and record bytes, in this order, repetitions allowed.
    pub entries: Vec<(i32, Bytes)>,
}

/// What a Produce answer says of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The partition.
    pub partition: i32,
    /// The base offset, or the refusal.
    pub result: Result<i64, ResponseError>,
    /// -1 on a topic with CreateTime, unless the batch was recognised as a duplicate.
    pub log_append_time: i64,
    /// From v8 on: indexes of the records that were refused.
    pub record_errors: Vec<i32>,
}

impl Produce {
    /// One entry, acks -1, no transactional id.
    pub fn new(topic: &str, partition: i32, records: Bytes) -> Self {
        Self {
            version: versions::PRODUCE,
            transactional_id: None,
            acks: -1,
            timeout_ms: 10_000,
            topic: topic.to_owned(),
            topic_id: Uuid::nil(),
            entries: vec![(partition, records)],
        }
    }

    /// At another version.
    #[must_use]
    pub fn version(mut self, version: i16) -> Self {
        self.version = version;
        self
    }

    /// With one more entry.
    #[must_use]
    pub fn and(mut self, partition: i32, records: Bytes) -> Self {
        self.entries.push((partition, records));
        self
    }

    fn request(&self) -> ProduceRequest {
        let entries = (self.entries.iter())
            .map(|(partition, records)| {
                PartitionProduceData::default().with_index(*partition).with_records(Some(records.clone()))
            })
            .collect();
        let mut topic = TopicProduceData::default().with_partition_data(entries);
        topic = match self.version {
            13.. => topic.with_topic_id(self.topic_id),
            _ => topic.with_name(topic_name(&self.topic)),
        };
        ProduceRequest::default()
            .with_transactional_id(self.transactional_id.as_deref().map(transactional_id))
            .with_acks(self.acks)
            .with_timeout_ms(self.timeout_ms)
            .with_topic_data(vec![topic])
    }

    /// Produce v0 to v2, which kafka-protocol doesn't know.
    fn old_request(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.put_i16(self.acks);
        body.put_i32(self.timeout_ms);
        body.put_i32(1);
        body.put_i16(i16::try_from(self.topic.len()).expect("a topic name"));
        body.put_slice(self.topic.as_bytes());
        body.put_i32(i32::try_from(self.entries.len()).expect("few entries"));
        for (partition, records) in &self.entries {
            body.put_i32(*partition);
            body.put_i32(i32::try_from(records.len()).expect("records below 2 GiB"));
            body.put_slice(records);
        }
        body
    }
}

impl Probe {
    /// Sends a Produce request and reads its answer. A request with acks 0 gets none: use [`Probe::send_produce`].
    ///
    /// # Errors
    /// When the broker closes or stays silent.
    pub fn produce(&mut self, request: &Produce) -> Result<Vec<Appended>, Failure> {
        self.send_produce(request)?;
        self.receive_produce(request.version)
    }

    /// Sends a Produce request.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send_produce(&mut self, request: &Produce) -> Result<(), Failure> {
        match request.version {
            ..3 => self.send_body(0, request.version, &request.old_request()),
            _ => self.send(request.version, &request.request()),
        }
    }

    /// Reads the answer to a Produce request of `version`.
    ///
    /// # Errors
    /// When the broker closes or stays silent.
    pub fn receive_produce(&mut self, version: i16) -> Result<Vec<Appended>, Failure> {
        if version < 3 {
            return Ok(old_answer(self.receive_frame()?, version));
        }
        let answer: ProduceResponse = self.receive::<ProduceRequest>(version)?;
        let partitions = answer.responses.into_iter().flat_map(|topic| topic.partition_responses);
        let appended = partitions.map(|partition| Appended {
            partition: partition.index,
            result: partition.error_code.err().map_or(Ok(partition.base_offset), Err),
            log_append_time: partition.log_append_time_ms,
            record_errors: partition.record_errors.iter().map(|record| record.batch_index).collect(),
        });
        Ok(appended.collect())
    }
}

/// The answer to Produce v0 to v2: v2 has the append time.
fn old_answer(mut frame: Bytes, version: i16) -> Vec<Appended> {
    frame.advance(4);
    let mut appended = Vec::new();
    for _ in 0..frame.get_i32() {
        let name = frame.get_i16();
        frame.advance(usize::try_from(name).expect("a topic name"));
        for _ in 0..frame.get_i32() {
            let partition = frame.get_i32();
            let error = frame.get_i16();
            let base = frame.get_i64();
            let log_append_time = if version == 2 { frame.get_i64() } else { -1 };
            let result = error.err().map_or(Ok(base), Err);
            appended.push(Appended { partition, result, log_append_time, record_errors: Vec::new() });
        }
    }
    appended
}

/// What a Fetch answer says of one partition.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Everything is well, or the refusal.
    pub result: Result<(), ResponseError>,
    /// The end for consumers.
    pub high_watermark: i64,
    /// -1 in read_uncommitted answers of 0.11 and 1.1.
    pub last_stable_offset: i64,
    /// Producer ids and first offsets of aborted transactions.
    pub aborted: Option<Vec<(i64, i64)>>,
    /// The bytes of the log; the first batch may begin before the offset, the last may be cut.
    pub records: Bytes,
}

impl Probe {
    /// Fetches from one partition of a leader.
    ///
    /// # Errors
    /// When the broker closes or stays silent.
    pub fn fetch(&mut self, topic: &str, partition: i32, offset: i64, committed: bool) -> Result<Fetched, Failure> {
        let wanted = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(16 << 20);
        let topic = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![wanted]);
        let request = FetchRequest::default()
            .with_replica_id((-1).into())
            .with_max_wait_ms(100)
            .with_max_bytes(64 << 20)
            .with_isolation_level(i8::from(committed))
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let answer = match self.call(versions::FETCH, &request)? {
            // zstd is hidden from clients that may not know it (KIP-110).
            answer if unsupported(&answer) => self.call(10, &request)?,
            answer => answer,
        };
        let partition = answer.responses.into_iter().flat_map(|topic| topic.partitions).next();
        let partition = partition.ok_or_else(|| Failure::Broken("a Fetch answer without the partition".into()))?;
        let aborted = partition
            .aborted_transactions
            .map(|list| list.into_iter().map(|aborted| (aborted.producer_id.0, aborted.first_offset)).collect());
        Ok(Fetched {
            result: partition.error_code.err().map_or(Ok(()), Err),
            high_watermark: partition.high_watermark,
            last_stable_offset: partition.last_stable_offset,
            aborted,
            records: partition.records.unwrap_or_default(),
        })
    }
}

fn unsupported(answer: &kafka_protocol::messages::FetchResponse) -> bool {
    let code = ResponseError::UnsupportedCompressionType.code();
    answer.responses.iter().flat_map(|topic| &topic.partitions).any(|partition| partition.error_code == code)
}

/// The replica ids of a consumer, which is shown what is replicated, and of a debugger, which is shown all.
const CONSUMER: BrokerId = BrokerId(-1);
const DEBUGGER: BrokerId = BrokerId(-2);

impl Probe {
    /// The log start (-2), the end for consumers (-1), or the first offset at or after a time.
    ///
    /// # Errors
    /// The refusal, or when the broker closes or stays silent.
    pub fn list_offset(&mut self, topic: &str, partition: i32, time: i64, committed: bool) -> Result<i64, Failure> {
        self.ask_offset(topic, partition, time, committed, CONSUMER)
    }

    /// The log end, which lies behind the high watermark while followers lag.
    ///
    /// # Errors
    /// The refusal, or when the broker closes or stays silent.
    pub fn log_end(&mut self, topic: &str, partition: i32) -> Result<i64, Failure> {
        self.ask_offset(topic, partition, -1, false, DEBUGGER)
    }

    fn ask_offset(
        &mut self,
        topic: &str,
        partition: i32,
        time: i64,
        committed: bool,
        replica: BrokerId,
    ) -> Result<i64, Failure> {
        let wanted = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(time);
        let wanted = ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![wanted]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(replica)
            .with_isolation_level(i8::from(committed))
            .with_topics(vec![wanted]);
        let answer = self.call(if committed { 2 } else { versions::LIST_OFFSETS }, &request)?;
        let found = answer.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let found = found.ok_or_else(|| Failure::Broken("a ListOffsets answer without the partition".into()))?;
        accept(&format!("ListOffsets of {topic}/{partition}"), found.error_code)?;
        Ok(found.offset)
    }
}
