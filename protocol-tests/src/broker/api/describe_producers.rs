//! DescribeProducers: what a partition's leader remembers of its producers (KIP-664).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step};
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, request: DescribeProducersRequest) -> Step {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            let answer = PartitionResponse::default().with_partition_index(*index);
            match producers(core, call, &topic.name, *index) {
                Ok(producers) => answer.with_active_producers(producers),
                Err(code) => answer.with_error_code(code.code()),
            }
        });
        let partitions = partitions.collect();
        TopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    let topics = topics.collect();
    call.reply(&DescribeProducersResponse::default().with_topics(topics))
}

fn producers(core: &Core, call: &Call, topic: &str, index: i32) -> Result<Vec<ProducerState>, ResponseError> {
    if !core.access.may(Operation::ReadTopic, topic) {
        return Err(ResponseError::TopicAuthorizationFailed);
    }
    let partition = core.partition(topic, index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    partition.check_leader(call.node, -1)?;
    let states = partition.log.producers.iter().map(|(id, producer)| {
        ProducerState::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(i32::from(producer.epoch))
            .with_last_sequence(producer.batches.back().map_or(-1, |batch| batch.last_sequence))
            .with_last_timestamp(producer.last_timestamp)
            .with_coordinator_epoch(producer.coordinator_epoch)
            .with_current_txn_start_offset(producer.open_since.unwrap_or(-1))
    });
    Ok(states.collect())
}
