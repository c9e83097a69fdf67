//! CreatePartitions: more partitions for a topic. 2 flexible.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step};
use crate::broker::core::Core;
use crate::broker::topic::Partition;

pub(crate) fn handle(core: &mut Core, call: &Call, request: CreatePartitionsRequest) -> Step {
    let validate_only = request.validate_only;
    let results = request.topics.into_iter().map(|topic| {
        let code = grow(core, &topic.name, topic.count, validate_only).err().map_or(0, |code| code.code());
        CreatePartitionsTopicResult::default().with_name(topic.name).with_error_code(code)
    });
    let results = results.collect();
    call.reply(&CreatePartitionsResponse::default().with_results(results))
}

fn grow(core: &mut Core, name: &str, count: i32, validate_only: bool) -> Result<(), ResponseError> {
    if !core.access.may(Operation::AlterConfigs, name) {
        return Err(ResponseError::TopicAuthorizationFailed);
    }
    let (now, nodes): (i64, Vec<i32>) = (core.now, core.nodes.keys().copied().collect());
    let topic = core.topics.get_mut(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let count = usize::try_from(count).ok().filter(|count| *count > topic.partitions.len());
    let count = count.ok_or(ResponseError::InvalidPartitions)?;
    let replicas = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
    for first in topic.partitions.len()..if validate_only { 0 } else { count } {
        let assigned: Vec<i32> = nodes.iter().cycle().skip(first % nodes.len()).take(replicas).copied().collect();
        topic.partitions.push(Partition::new(now, &assigned));
    }
    Ok(())
}
