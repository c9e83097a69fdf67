//! AddPartitionsToTxn. 2 PRODUCER_FENCED; 3 flexible; 4, 5 for brokers only, several transactions at once.
//! If one partition is wrong, none is added.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step};
use crate::broker::core::Core;
use crate::broker::groups::Place;

pub(crate) fn handle(core: &mut Core, call: &Call, request: AddPartitionsToTxnRequest) -> Step {
    if call.version < 4 {
        let id = request.v3_and_below_transactional_id.as_str();
        let (producer, epoch) = (request.v3_and_below_producer_id.0, request.v3_and_below_producer_epoch);
        let results = add(core, call, id, producer, epoch, &request.v3_and_below_topics);
        return call.reply(&AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results));
    }
    let results = request.transactions.into_iter().map(|transaction| {
        let id = transaction.transactional_id.as_str();
        let (producer, epoch) = (transaction.producer_id.0, transaction.producer_epoch);
        let topics = add(core, call, id, producer, epoch, &transaction.topics);
        AddPartitionsToTxnResult::default()
            .with_transactional_id(transaction.transactional_id)
            .with_topic_results(topics)
    });
    let results = results.collect();
    call.reply(&AddPartitionsToTxnResponse::default().with_results_by_transaction(results))
}

fn add(
    core: &mut Core,
    call: &Call,
    id: &str,
    producer: i64,
    epoch: i16,
    topics: &[AddPartitionsToTxnTopic],
) -> Vec<AddPartitionsToTxnTopicResult> {
    let places: Vec<Place> =
        topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| (topic.name.to_string(), *index))).collect();
    let faults: Vec<Option<ResponseError>> = places.iter().map(|place| fault(core, place)).collect();
    let all = if core.coordinator(id) != Some(call.node) {
        Some(ResponseError::NotCoordinator)
    } else if !core.access.may(Operation::WriteTransaction, id) {
        Some(ResponseError::TransactionalIdAuthorizationFailed)
    } else if faults.iter().any(Option::is_some) {
        Some(ResponseError::OperationNotAttempted)
    } else {
        core.add_to_transaction(id, producer, epoch, places).err().map(|code| Core::fenced(code, call.version >= 2))
    };
    let mut codes = faults.into_iter().map(|fault| fault.or(all).map_or(0, |code| code.code()));
    let results = topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(codes.by_ref()).map(|(index, code)| {
            AddPartitionsToTxnPartitionResult::default().with_partition_index(*index).with_partition_error_code(code)
        });
        let partitions = partitions.collect();
        AddPartitionsToTxnTopicResult::default().with_name(topic.name.clone()).with_results_by_partition(partitions)
    });
    results.collect()
}

fn fault(core: &Core, (topic, index): &Place) -> Option<ResponseError> {
    if !core.access.may(Operation::WriteTopic, topic) {
        Some(ResponseError::TopicAuthorizationFailed)
    } else if core.partition(topic, *index).is_none() {
        Some(ResponseError::UnknownTopicOrPartition)
    } else {
        None
    }
}
