//! Fetch. 4 isolation level, aborted transactions; 5 log start offset; 7 sessions (KIP-227); 9 leader epochs; 10 zstd;
//! 11 rack; 12 flexible, diverging epochs; 13 topics by id; 15 replica id moves to a tag; 16 node endpoints.
//!
//! Sessions are refused the polite way: every answer has session id 0, so clients go on with full requests.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, ProducerId};

use crate::broker::access::Operation;
use crate::broker::batch::{Header, attribute};
use crate::broker::call::{Call, Step, Wait};
use crate::broker::codec::Codec;
use crate::broker::core::Core;
use crate::broker::topic::Partition;

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
        first: true,
        bytes: 0,
        failed: false,
    };
    let responses = request.topics.iter().map(|topic| reader.topic(topic)).collect();
    let enough = reader.failed || reader.bytes >= usize::try_from(request.min_bytes).unwrap_or(0);
    // A request for nothing is answered at once, like one that can't wait.
    if enough || core.now >= deadline || request.topics.is_empty() {
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
    Header::read(records).is_some_and(|header| header.attributes & attribute::CODEC == Codec::Zstd.id())
}
