//! OffsetForLeaderEpoch: where an epoch ended. 2 the client's own epoch; 3 replica id; 4 flexible.
//! For the current epoch that is the log end, not the high watermark.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step};
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, request: OffsetForLeaderEpochRequest) -> Step {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let answer = EpochEndOffset::default().with_partition(asked.partition);
            match find(core, call, &topic.topic, asked) {
                Ok((epoch, end)) => answer.with_leader_epoch(epoch).with_end_offset(end),
                Err(code) => answer.with_error_code(code.code()).with_leader_epoch(-1).with_end_offset(-1),
            }
        });
        let partitions = partitions.collect();
        OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions)
    });
    let topics = topics.collect();
    call.reply(&OffsetForLeaderEpochResponse::default().with_topics(topics))
}

fn find(core: &Core, call: &Call, topic: &str, asked: &OffsetForLeaderPartition) -> Result<(i32, i64), ResponseError> {
    if !core.access.may(Operation::DescribeTopic, topic) {
        return Err(ResponseError::TopicAuthorizationFailed);
    }
    let partition = core.partition(topic, asked.partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
    partition.check_leader(call.node, asked.current_leader_epoch)?;
    Ok(partition.log.end_of_epoch(asked.leader_epoch, partition.leader_epoch))
}
