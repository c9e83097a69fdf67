//! Fetch. 0 to 2 message sets, no bound for all partitions; 3 that bound, and at least one message; 4 isolation level, aborted transactions; 5 log start offset; 7 sessions (KIP-227); 9 leader epochs; 10 zstd;
//! 11 rack; 12 flexible, diverging epochs; 13 topics by id; 15 replica id moves to a tag; 16 node endpoints.
//!
//! Sessions are refused the polite way: every answer has session id 0, so clients go on with full requests.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, ProducerId};
use kafka_protocol::protocol::StrBytes;

use crate::broker::access::Operation;
use crate::broker::batch::{Header, attribute};
use crate::broker::call::{Call, Step, Wait, text};
use crate::broker::codec::Codec;
use crate::broker::core::Core;
use crate::broker::topic::Partition;
use crate::broker::version::Version;

/// fetch.max.bytes of the broker, and of a response.
const MAX_BYTES: i32 = 55 * 1024 * 1024;

/// A Fetch that waits for min_bytes.
pub(crate) struct Waiting {
    pub(crate) deadline: i64,
    request: FetchRequest,
    /// The core's count of changes when it was looked at last.
    seen: u64,
}

pub(crate) fn handle(core: &mut Core, call: &Call, request: FetchRequest) -> Step {
    let deadline = core.now.saturating_add(i64::from(request.max_wait_ms));
    look(core, call, request, deadline)
}

/// Versions before 4, which kafka-protocol doesn't know. Brokers with record batches would have to convert them.
pub(crate) fn handle_old(core: &mut Core, call: &Call, mut body: Bytes) -> Step {
    match read_old(&mut body) {
        Ok(request) if core.version == Version::V0_10 => handle(core, call, request),
        _ => Step::Close,
    }
}

/// A request of version 0 to 2.
fn read_old(body: &mut Bytes) -> Result<FetchRequest, bytes::TryGetError> {
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(body.try_get_i32()?))
        .with_max_wait_ms(body.try_get_i32()?)
        .with_min_bytes(body.try_get_i32()?);
    let mut topics = Vec::new();
    for _ in 0..body.try_get_i32()? {
        let topic = FetchTopic::default().with_topic(old_string(body)?.into());
        let mut partitions = Vec::new();
        for _ in 0..body.try_get_i32()? {
            let partition = FetchPartition::default()
                .with_partition(body.try_get_i32()?)
                .with_fetch_offset(body.try_get_i64()?)
                .with_partition_max_bytes(body.try_get_i32()?);
            partitions.push(partition);
        }
        topics.push(topic.with_partitions(partitions));
    }
    Ok(request.with_topics(topics))
}

/// STRING in the classic encoding.
pub(super) fn old_string(body: &mut Bytes) -> Result<StrBytes, bytes::TryGetError> {
    let length = usize::from(body.try_get_u16()?);
    let mut bytes = vec![0; length.min(body.remaining().saturating_add(1))];
    body.try_copy_to_slice(&mut bytes)?;
    Ok(text(String::from_utf8_lossy(&bytes)))
}

/// STRING and what follows it, the other way round.
pub(super) fn put_old_string(out: &mut BytesMut, name: &str) {
    out.put_u16(name.len() as u16);
    out.put_slice(name.as_bytes());
}

/// The answer to version 0 to 2.
fn write_old(version: i16, responses: &[FetchableTopicResponse]) -> BytesMut {
    let mut out = BytesMut::new();
    if version >= 1 {
        out.put_i32(0); // throttle_time_ms
    }
    out.put_i32(responses.len() as i32);
    for topic in responses {
        put_old_string(&mut out, topic.topic.as_str());
        out.put_i32(topic.partitions.len() as i32);
        for partition in &topic.partitions {
            let records = partition.records.as_deref().unwrap_or_default();
            out.put_i32(partition.partition_index);
            out.put_i16(partition.error_code);
            out.put_i64(partition.high_watermark);
            out.put_i32(records.len() as i32);
            out.put_slice(records);
        }
    }
    out
}

pub(crate) fn resume(core: &mut Core, call: &Call, waiting: Waiting) -> Step {
    if waiting.seen == core.changes && core.now < waiting.deadline {
        return Step::Park(Wait::Fetch(waiting));
    }
    look(core, call, waiting.request, waiting.deadline)
}

fn look(core: &mut Core, call: &Call, request: FetchRequest, deadline: i64) -> Step {
    let mut reader = Reader {
        core,
        call,
        committed_only: request.isolation_level == 1,
        left: usize::try_from(request.max_bytes.min(MAX_BYTES)).unwrap_or(0),
        first: call.version >= 3,
        bytes: 0,
        failed: false,
    };
    let responses: Vec<_> = request.topics.iter().map(|topic| reader.topic(topic)).collect();
    let enough = reader.failed || reader.bytes >= usize::try_from(request.min_bytes).unwrap_or(0);
    // A request for nothing is answered at once, like one that can't wait.
    if enough || core.now >= deadline || request.topics.is_empty() {
        if call.version < 4 {
            return call.reply_by_hand(&write_old(call.version, &responses));
        }
        return call.reply(&FetchResponse::default().with_session_id(0).with_responses(responses));
    }
    Step::Park(Wait::Fetch(Waiting { deadline, request, seen: core.changes }))
}

struct Reader<'a> {
    core: &'a Core,
    call: &'a Call,
    committed_only: bool,
    /// Bytes the response may still take.
    left: usize,
    /// No partition has given anything yet: the first batch is returned whole, however large.
    first: bool,
    bytes: usize,
    failed: bool,
}

impl Reader<'_> {
    fn topic(&mut self, topic: &FetchTopic) -> FetchableTopicResponse {
        let name = if self.call.version >= 13 {
            self.core.topic_named(topic.topic_id.as_u128()).ok_or(ResponseError::UnknownTopicId)
        } else {
            Ok(topic.topic.as_str())
        };
        let partitions = topic.partitions.iter().map(|asked| {
            let read = name.and_then(|name| self.partition(name, asked));
            read.unwrap_or_else(|code| self.refused(name.unwrap_or_default(), asked, code))
        });
        let partitions = partitions.collect();
        FetchableTopicResponse::default()
            .with_topic(topic.topic.clone())
            .with_topic_id(topic.topic_id)
            .with_partitions(partitions)
    }

    fn refused(&mut self, name: &str, asked: &FetchPartition, code: ResponseError) -> PartitionData {
        self.failed = true;
        let data = PartitionData::default()
            .with_partition_index(asked.partition)
            .with_error_code(code.code())
            .with_high_watermark(-1)
            .with_last_stable_offset(-1)
            .with_log_start_offset(-1)
            .with_preferred_read_replica(BrokerId(-1))
            .with_aborted_transactions(None)
            .with_records(Some(Default::default()));
        let moved = matches!(code, ResponseError::NotLeaderOrFollower | ResponseError::FencedLeaderEpoch);
        match self.core.partition(name, asked.partition).filter(|_| moved && self.call.version >= 12) {
            Some(partition) => data.with_current_leader(
                LeaderIdAndEpoch::default()
                    .with_leader_id(BrokerId(partition.leader.unwrap_or(-1)))
                    .with_leader_epoch(partition.leader_epoch),
            ),
            None => data,
        }
    }

    fn partition(&mut self, name: &str, asked: &FetchPartition) -> Result<PartitionData, ResponseError> {
        if !self.core.access.may(Operation::ReadTopic, name) {
            return Err(ResponseError::TopicAuthorizationFailed);
        }
        let partition = self.core.partition(name, asked.partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
        partition.check_leader(self.call.node, asked.current_leader_epoch)?;
        let log = &partition.log;
        if asked.fetch_offset < log.start() || asked.fetch_offset > log.end() {
            return Err(ResponseError::OffsetOutOfRange);
        }
        Ok(self.read(partition, asked))
    }

    fn read(&mut self, partition: &Partition, asked: &FetchPartition) -> PartitionData {
        let log = &partition.log;
        let limit = if self.committed_only { log.last_stable_offset() } else { log.high_watermark() };
        let most = usize::try_from(asked.partition_max_bytes).unwrap_or(0).min(self.left);
        let slice = log.read(asked.fetch_offset, limit, most, self.first);
        let data = PartitionData::default()
            .with_partition_index(asked.partition)
            .with_high_watermark(log.high_watermark())
            .with_last_stable_offset(log.last_stable_offset())
            .with_log_start_offset(log.start())
            .with_preferred_read_replica(BrokerId(-1));
        if self.call.version < 10 && holds_zstd(&slice.records) {
            self.failed = true;
            return data
                .with_error_code(ResponseError::UnsupportedCompressionType.code())
                .with_records(Some(Default::default()));
        }
        self.first &= slice.records.is_empty();
        self.left = self.left.saturating_sub(slice.records.len());
        self.bytes += slice.records.len();
        let aborted = self.committed_only.then(|| {
            let touched = log.aborted(asked.fetch_offset, slice.end.max(asked.fetch_offset)).into_iter();
            let listed = touched.map(|aborted| {
                AbortedTransaction::default()
                    .with_producer_id(ProducerId(aborted.producer_id))
                    .with_first_offset(aborted.first)
            });
            listed.collect()
        });
        data.with_aborted_transactions(aborted).with_records(Some(slice.records))
    }
}

/// Clients older than Fetch 10 can't read zstd.
fn holds_zstd(records: &[u8]) -> bool {
    let batch = Header::read(records).filter(|header| header.magic == 2);
    batch.is_some_and(|header| header.attributes & attribute::CODEC == Codec::Zstd.id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::legacy::message_set;
    use crate::broker::{ConnectionId, NewRecord, Outcome};

    #[test]
    fn a_message_set_holds_no_zstd_whatever_its_time() {
        // Where batches have their attributes, message sets have a part of their timestamp.
        let like_zstd = i64::from(Codec::Zstd.id()) << 24;
        let record = NewRecord::new(like_zstd, "key", "a value as long as a header of a batch");
        assert!(!holds_zstd(&message_set(1, Codec::None, &[record])));
    }

    /// As real 0.10.0.1 answers: 10 bytes asked for are 10 bytes of the first message.
    #[test]
    fn a_first_message_is_cut_before_version_3() {
        let mut core = Core::new(Version::V0_10, 1, 0);
        core.create_topic("t", 1, &[]).expect("a topic");
        assert!(core.append("t", 0, message_set(1, Codec::None, &[NewRecord::new(7, "key", "value")])));
        let mut frame = BytesMut::new();
        frame.put_slice(&[0, 1, 0, 2, 0, 0, 0, 9, 0xff, 0xff]); // Fetch, version 2, correlation id 9, no client id
        frame.put_i32(-1); // replica_id
        frame.put_i32(0); // max_wait_ms
        frame.put_i32(1); // min_bytes
        frame.put_slice(&[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1]);
        frame.put_i32(0); // partition
        frame.put_i64(0); // fetch_offset
        frame.put_i32(10); // partition_max_bytes
        let Outcome::Reply(answer) = core.handle(0, 1, ConnectionId(1), frame.freeze()) else { panic!("no answer") };
        let expected = [
            &[0, 0, 0, 9][..],               // correlation id
            &[0; 4],                         // throttle_time_ms
            &[0, 0, 0, 1, 0, 1, b't'],       // topic
            &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0], // partition, error
            &[0, 0, 0, 0, 0, 0, 0, 1],       // high_watermark
            &[0, 0, 0, 10],                  // records
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0], // offset 0, and two bytes of the length
        ];
        assert_eq!(answer[..], expected.concat());
    }
}
