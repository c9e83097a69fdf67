//! OffsetCommit. 5 no retention time; 6 leader epochs; 7 group instance id; 8 flexible; 9 KIP-848 errors.
//!
//! Offsets are not checked against the log. A request whose records would be too large for the offsets topic fails for
//! all its partitions.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::offsets_topic;
use crate::broker::access::Operation;
use crate::broker::call::{Call, Step};
use crate::broker::core::Core;
use crate::broker::groups::{Committed, MAX_METADATA};

/// offsets.topic's max.message.bytes.
const MAX_BATCH: usize = 1_048_588;

pub(crate) fn handle(core: &mut Core, call: &Call, request: OffsetCommitRequest) -> Step {
    let group = request.group_id.to_string();
    let now = core.now;
    let refused = refusal(core, call, &group, &request).err();
    if refused.is_none() {
        core.groups.entry(&group).members.touch(now, &request.member_id);
    }
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let code = match refused {
                Some(code) => Err(code),
                None => commit(core, &group, &topic.name, asked),
            };
            OffsetCommitResponsePartition::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(code.err().map_or(0, |code| code.code()))
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    let topics = topics.collect();
    call.reply(&OffsetCommitResponse::default().with_topics(topics))
}

fn refusal(core: &mut Core, call: &Call, group: &str, request: &OffsetCommitRequest) -> Result<(), ResponseError> {
    offsets_topic(core);
    super::check_coordinator(core, call, group)?;
    if !core.access.may(Operation::ReadGroup, group) {
        return Err(ResponseError::GroupAuthorizationFailed);
    }
    let (id, generation) = (request.member_id.as_str(), request.generation_id_or_member_epoch);
    match core.groups.get(group) {
        Some(known) => known.check_commit(id, request.group_instance_id.as_deref(), generation, call.version)?,
        None if generation >= 0 => return Err(ResponseError::IllegalGeneration),
        None => {}
    }
    if stored_size(group, request) > MAX_BATCH {
        return Err(ResponseError::UnknownServerError);
    }
    Ok(())
}

/// About what the commit takes in the offsets topic: keys repeat the group's and the topic's name.
fn stored_size(group: &str, request: &OffsetCommitRequest) -> usize {
    let topics = request.topics.iter();
    let sizes = topics.flat_map(|topic| {
        let names = group.len() + topic.name.len() + 40;
        topic.partitions.iter().map(move |asked| names + asked.committed_metadata.as_ref().map_or(0, |text| text.len()))
    });
    sizes.sum()
}

fn commit(
    core: &mut Core,
    group: &str,
    topic: &str,
    asked: &OffsetCommitRequestPartition,
) -> Result<(), ResponseError> {
    if !core.access.may(Operation::ReadTopic, topic) {
        return Err(ResponseError::TopicAuthorizationFailed);
    }
    core.partition(topic, asked.partition_index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let metadata = asked.committed_metadata.as_ref().map_or_else(String::new, |text| text.to_string());
    let most = core.broker_config("offset.metadata.max.bytes").parse().unwrap_or(MAX_METADATA);
    if metadata.encode_utf16().count() > most {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    let (offset, leader_epoch) = (asked.committed_offset, asked.committed_leader_epoch);
    let committed = Committed { offset, leader_epoch, metadata, at: core.now };
    core.groups.commit(group, topic, asked.partition_index, committed);
    Ok(())
}
