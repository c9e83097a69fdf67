//! TxnOffsetCommit: offsets that count when the transaction commits. 2 leader epochs; 3 flexible, member and generation;
//! 5 adds the offsets to the transaction itself (KIP-890).
//!
//! Versions 0 to 2 carry no member, so they change the offsets of an ACTIVE group too: a trap, kept as it is.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step};
use crate::broker::core::Core;
use crate::broker::groups::{Committed, MAX_METADATA};

pub(crate) fn handle(core: &mut Core, call: &Call, request: TxnOffsetCommitRequest) -> Step {
    let refused = refusal(core, call, &request).err();
    let (group, producer) = (request.group_id.to_string(), request.producer_id.0);
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let code = match refused {
                Some(code) => Err(code),
                None => hold(core, &group, producer, &topic.name, asked),
            };
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(code.err().map_or(0, |code| code.code()))
        });
        let partitions = partitions.collect();
        TxnOffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    let topics = topics.collect();
    call.reply(&TxnOffsetCommitResponse::default().with_topics(topics))
}

fn refusal(core: &mut Core, call: &Call, request: &TxnOffsetCommitRequest) -> Result<(), ResponseError> {
    let group = request.group_id.as_str();
    super::offsets_topic(core);
    super::check_coordinator(core, call, group)?;
    if !core.access.may(Operation::ReadGroup, group) {
        return Err(ResponseError::GroupAuthorizationFailed);
    }
    let named = request.generation_id >= 0 || !request.member_id.is_empty() || request.group_instance_id.is_some();
    if named {
        let known = core.groups.get(group).ok_or(ResponseError::IllegalGeneration)?;
        known.members.check(&request.member_id, request.group_instance_id.as_deref(), request.generation_id)?;
    }
    let (id, producer, epoch) = (request.transactional_id.as_str(), request.producer_id.0, request.producer_epoch);
    if call.version >= 5 {
        return core.add_to_transaction(id, producer, epoch, []).map_err(|code| Core::fenced(code, false));
    }
    if core.version.verifies_transactions() {
        core.verify_ongoing(id, producer, epoch)?;
    }
    Ok(())
}

fn hold(
    core: &mut Core,
    group: &str,
    producer: i64,
    topic: &str,
    asked: &TxnOffsetCommitRequestPartition,
) -> Result<(), ResponseError> {
    core.partition(topic, asked.partition_index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let metadata = asked.committed_metadata.as_ref().map_or_else(String::new, |text| text.to_string());
    if metadata.encode_utf16().count() > MAX_METADATA {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    let (offset, leader_epoch) = (asked.committed_offset, asked.committed_leader_epoch);
    let committed = Committed { offset, leader_epoch, metadata, at: core.now };
    let pending = core.groups.entry(group).pending.entry(producer).or_default();
    pending.insert((topic.to_owned(), asked.partition_index), committed);
    Ok(())
}
