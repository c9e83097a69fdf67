//! Produce. 3 transactional id, message format v2; 5 log start offset; 7 zstd; 8 which records are at fault; 9 flexible;
//! 10 current leader; 12 adds the partition to the transaction itself (KIP-890); 13 topics by id.

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, ProduceRequest, ProduceResponse};
use kafka_protocol::protocol::Decodable;

use crate::broker::access::Operation;
use crate::broker::batch::{Header, attribute};
use crate::broker::call::{Call, Step, Wait, text};
use crate::broker::core::Core;
use crate::broker::legacy;
use crate::broker::topic::Appended;
use crate::broker::validate::{Intake, Refusal, sole_batch};
use crate::broker::version::Version;

/// A Produce with acks -1 that waits for followers.
pub(crate) struct Waiting {
    pub(crate) deadline: i64,
    response: ProduceResponse,
    pending: Vec<Pending>,
}

/// A partition whose high watermark must reach `required`.
struct Pending {
    topic: String,
    partition: i32,
    required: i64,
    /// Place of its answer in the response.
    at: (usize, usize),
}

/// Produce 2 differs from 3 by the transactional id in front, and may carry old message formats. Newer brokers advertise
/// it for old clients and close.
pub(crate) fn handle_old(core: &mut Core, call: &Call, body: Bytes) -> Step {
    if call.version != 2 || core.version == Version::V4_1 {
        return Step::Close;
    }
    let mut widened = BytesMut::from(&(-1_i16).to_be_bytes()[..]);
    widened.extend_from_slice(&body);
    let Ok(mut request) = ProduceRequest::decode(&mut widened.freeze(), 3) else { return Step::Close };
    for data in request.topic_data.iter_mut().flat_map(|topic| &mut topic.partition_data) {
        // A set that can't be converted is left for the checks to refuse.
        let old = data.records.as_ref().filter(|records| records.get(16).is_some_and(|magic| *magic < 2));
        if let Some(batch) = old.and_then(|set| legacy::to_batch(set).ok()) {
            data.records = Some(batch);
        }
    }
    handle(core, &Call { version: 3, ..call.clone() }, request)
}

pub(crate) fn handle(core: &mut Core, call: &Call, request: ProduceRequest) -> Step {
    let transactional_id = request.transactional_id.as_ref().map(|id| id.to_string());
    let refused = all_refused(core, transactional_id.as_deref(), &request);
    let mut response = ProduceResponse::default();
    let mut pending = Vec::new();
    let mut failed = false;
    for topic in request.topic_data {
        let name = name_of(core, call, &topic);
        let mut answers: Vec<PartitionProduceResponse> = Vec::new();
        for data in last_of_each(topic.partition_data) {
            let index = data.index;
            let result = match (refused, &name) {
                (Some(code), _) => Err(code.into()),
                (None, Err(code)) => Err((*code).into()),
                (None, Ok(name)) => append(core, call, transactional_id.as_deref(), request.acks, name, data),
            };
            failed |= result.is_err();
            if let (Ok(done), Ok(name)) = (&result, &name) {
                let at = (response.responses.len(), answers.len());
                pending.push(Pending { topic: name.clone(), partition: index, required: done.required, at });
            }
            answers.push(answer(core, call, name.as_deref().unwrap_or_default(), index, result));
        }
        let topic_answer = TopicProduceResponse::default().with_name(topic.name).with_topic_id(topic.topic_id);
        response.responses.push(topic_answer.with_partition_responses(answers));
    }
    match request.acks {
        // A client that wants no answer learns of a refusal by the closed connection.
        0 if failed => Step::Close,
        0 => Step::Silent,
        1 => call.reply(&response),
        _ => {
            let deadline = core.now.saturating_add(i64::from(request.timeout_ms));
            resume(core, call, Waiting { deadline, response, pending })
        }
    }
}

/// What refuses the request as a whole, for each of its partitions.
fn all_refused(core: &Core, transactional_id: Option<&str>, request: &ProduceRequest) -> Option<ResponseError> {
    let mut batches = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    let transactional = batches.any(|data| {
        let header = data.records.as_deref().and_then(Header::read);
        header.is_some_and(|header| header.magic == 2 && header.has(attribute::TRANSACTIONAL))
    });
    let allowed = transactional_id.is_some_and(|id| core.access.may(Operation::WriteTransaction, id));
    if transactional && !allowed {
        return Some(ResponseError::TransactionalIdAuthorizationFailed);
    }
    (!matches!(request.acks, -1..=1)).then_some(ResponseError::InvalidRequiredAcks)
}

fn name_of(core: &Core, call: &Call, topic: &TopicProduceData) -> Result<String, ResponseError> {
    if call.version < 13 {
        return Ok(topic.name.to_string());
    }
    core.topic_named(topic.topic_id.as_u128()).map(str::to_owned).ok_or(ResponseError::UnknownTopicId)
}

/// A partition that comes twice is answered once, and only its last batch is stored: a quirk of every version.
fn last_of_each(data: Vec<PartitionProduceData>) -> Vec<PartitionProduceData> {
    let mut kept: Vec<PartitionProduceData> = Vec::with_capacity(data.len());
    for data in data {
        match kept.iter_mut().find(|known| known.index == data.index) {
            Some(known) => *known = data,
            None => kept.push(data),
        }
    }
    kept
}

fn append(
    core: &mut Core,
    call: &Call,
    transactional_id: Option<&str>,
    acks: i16,
    name: &str,
    data: PartitionProduceData,
) -> Result<Appended, Refusal> {
    if !core.access.may(Operation::WriteTopic, name) {
        return Err(ResponseError::TopicAuthorizationFailed.into());
    }
    if core.partition(name, data.index).is_none() {
        return Err(ResponseError::UnknownTopicOrPartition.into());
    }
    let batch = sole_batch(&data.records.unwrap_or_default(), call.version)?;
    verify(core, call, transactional_id, name, data.index, &batch)?;
    let (version, now_ms) = (core.version, core.now);
    core.changes += 1;
    let Some(topic) = core.topics.get_mut(name) else { return Err(ResponseError::UnknownTopicOrPartition.into()) };
    if topic.internal {
        return Err(ResponseError::InvalidTopicException.into());
    }
    let rules = topic.rules.clone();
    let Some(partition) = topic.partition_mut(data.index) else {
        return Err(ResponseError::UnknownTopicOrPartition.into());
    };
    partition.check_leader(call.node, -1)?;
    if acks == -1 && partition.isr.len() < rules.min_insync_replicas {
        return Err(ResponseError::NotEnoughReplicas.into());
    }
    partition.produce(&Intake { version, topic: &rules, now_ms, produce: call.version }, batch)
}

/// KIP-890: the coordinator must know the partition before a transactional batch is appended.
fn verify(
    core: &mut Core,
    call: &Call,
    transactional_id: Option<&str>,
    name: &str,
    index: i32,
    batch: &[u8],
) -> Result<(), Refusal> {
    let header = Header::read(batch).filter(|header| header.has(attribute::TRANSACTIONAL));
    let (Some(id), Some(header)) = (transactional_id, header) else { return Ok(()) };
    if !core.version.verifies_transactions() {
        return Ok(());
    }
    let place = (name.to_owned(), index);
    if call.version >= 12 {
        let (producer, epoch) = (header.producer_id, header.producer_epoch);
        return core.add_to_transaction(id, producer, epoch, [place]).map_err(|code| {
            let code = match code {
                ResponseError::ConcurrentTransactions | ResponseError::InvalidProducerIdMapping => {
                    ResponseError::NotEnoughReplicas
                }
                code => Core::fenced(code, false),
            };
            code.into()
        });
    }
    Ok(core.verify_transaction(id, header.producer_id, header.producer_epoch, &place)?)
}

fn answer(
    core: &Core,
    call: &Call,
    topic: &str,
    index: i32,
    result: Result<Appended, Refusal>,
) -> PartitionProduceResponse {
    let start = core.partition(topic, index).map_or(-1, |partition| partition.log.start());
    let answer = PartitionProduceResponse::default().with_index(index);
    match result {
        Ok(done) => answer
            .with_base_offset(done.base_offset)
            .with_log_append_time_ms(done.log_append_time)
            .with_log_start_offset(start),
        Err(refusal) => {
            let faults = refusal.records.into_iter().map(|(at, message)| {
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(at)
                    .with_batch_index_error_message(Some(text(message)))
            });
            let answer = answer
                .with_error_code(refusal.code.code())
                .with_base_offset(-1)
                .with_log_append_time_ms(-1)
                .with_log_start_offset(-1)
                .with_record_errors(faults.collect())
                .with_error_message(refusal.message.map(text));
            match core.partition(topic, index) {
                Some(partition) if call.version >= 10 && refusal.code == ResponseError::NotLeaderOrFollower => {
                    let leader = BrokerId(partition.leader.unwrap_or(-1));
                    answer.with_current_leader(
                        LeaderIdAndEpoch::default().with_leader_id(leader).with_leader_epoch(partition.leader_epoch),
                    )
                }
                _ => answer,
            }
        }
    }
}

/// Looks whether all followers that count have the batches, or the time is up.
pub(crate) fn resume(core: &mut Core, call: &Call, mut waiting: Waiting) -> Step {
    let expired = core.now >= waiting.deadline;
    let mut open = Vec::new();
    for pending in waiting.pending {
        let code = match progress(core, call.node, &pending) {
            Some(code) => code,
            None if expired => ResponseError::RequestTimedOut.code(),
            None => {
                open.push(pending);
                continue;
            }
        };
        let topic = waiting.response.responses.get_mut(pending.at.0);
        if let Some(answer) = topic.and_then(|topic| topic.partition_responses.get_mut(pending.at.1)) {
            // The offsets stay in the answer, also beside an error: the batch is in the log.
            answer.error_code = code;
        }
    }
    if open.is_empty() {
        return call.reply(&waiting.response);
    }
    Step::Park(Wait::Produce(Waiting { pending: open, ..waiting }))
}

/// The code a partition's wait ends with; `None` while it goes on.
fn progress(core: &Core, node: i32, pending: &Pending) -> Option<i16> {
    let Some(topic) = core.topics.get(&pending.topic) else {
        return Some(ResponseError::UnknownTopicOrPartition.code());
    };
    let partition = topic.partition(pending.partition)?;
    if partition.leader != Some(node) {
        return Some(ResponseError::NotLeaderOrFollower.code());
    }
    if partition.log.high_watermark() < pending.required {
        return None;
    }
    let enough = partition.isr.len() >= topic.rules.min_insync_replicas;
    Some(if enough { 0 } else { ResponseError::NotEnoughReplicasAfterAppend.code() })
}
