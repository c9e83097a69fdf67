//! DeleteRecords: moves log starts forward; -1 means the high watermark. 2 flexible.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step};
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, request: DeleteRecordsRequest) -> Step {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let answer = DeleteRecordsPartitionResult::default().with_partition_index(asked.partition_index);
            match delete(core, call, &topic.name, asked) {
                Ok(start) => answer.with_low_watermark(start),
                Err(code) => answer.with_error_code(code.code()).with_low_watermark(-1),
            }
        });
        let partitions = partitions.collect();
        DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions)
    });
    let topics = topics.collect();
    call.reply(&DeleteRecordsResponse::default().with_topics(topics))
}

fn delete(core: &mut Core, call: &Call, topic: &str, asked: &DeleteRecordsPartition) -> Result<i64, ResponseError> {
    if !core.access.may(Operation::DeleteTopic, topic) {
        return Err(ResponseError::TopicAuthorizationFailed);
    }
    let policy = core.topics.get(topic).map(|topic| topic.rules.compacted);
    if policy == Some(true) {
        return Err(ResponseError::PolicyViolation);
    }
    let partition = core.partition_mut(topic, asked.partition_index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    partition.check_leader(call.node, -1)?;
    let end = partition.log.high_watermark();
    let offset = if asked.offset == -1 { end } else { asked.offset };
    if offset < 0 || offset > end {
        return Err(ResponseError::OffsetOutOfRange);
    }
    if offset > partition.log.start() {
        partition.log.set_start(offset);
    }
    Ok(partition.log.start())
}
