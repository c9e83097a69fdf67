//! One file per API key, each headed by what its versions changed. A handler answers, parks or closes; what it shares
//! with others lives in the core.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{self, ApiKey};
use kafka_protocol::protocol::Decodable;

use super::access::Operation;
use super::call::{Call, Step};
use super::core::Core;

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_configs;
mod api_versions;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_producers;
mod end_txn;
pub(crate) mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
pub(crate) mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_fetch;
mod offset_for_leader_epoch;
pub(crate) mod produce;
pub(crate) mod sync_group;
mod txn_offset_commit;

macro_rules! routes {
    ($core:ident, $call:ident, $body:ident; $($key:ident $module:ident $request:ident)*) => {
        match $call.api {
            $(ApiKey::$key => match messages::$request::decode(&mut $body, $call.version) {
                Ok(request) => $module::handle($core, $call, request),
                Err(_) => Step::Close,
            },)*
            _ => Step::Close,
        }
    };
}

/// Decodes a request's body and handles it.
pub(crate) fn dispatch(core: &mut Core, call: &Call, mut body: Bytes) -> Step {
    if !core.version.serves(call.api, call.version) {
        return match call.api {
            ApiKey::ApiVersions => api_versions::too_new(core, call),
            _ => Step::Close,
        };
    }
    if call.api == ApiKey::Produce && call.version < 3 {
        return produce::handle_old(core, call, body);
    }
    match (call.api, call.version) {
        (ApiKey::Fetch, ..4) => return fetch::handle_old(core, call, body),
        (ApiKey::ListOffsets, 0) => return list_offsets::handle_first(core, call, body),
        _ => {}
    }
    routes! { core, call, body;
        Produce produce ProduceRequest
        Fetch fetch FetchRequest
        ListOffsets list_offsets ListOffsetsRequest
        Metadata metadata MetadataRequest
        OffsetCommit offset_commit OffsetCommitRequest
        OffsetFetch offset_fetch OffsetFetchRequest
        FindCoordinator find_coordinator FindCoordinatorRequest
        JoinGroup join_group JoinGroupRequest
        Heartbeat heartbeat HeartbeatRequest
        LeaveGroup leave_group LeaveGroupRequest
        SyncGroup sync_group SyncGroupRequest
        DescribeGroups describe_groups DescribeGroupsRequest
        ListGroups list_groups ListGroupsRequest
        ApiVersions api_versions ApiVersionsRequest
        CreateTopics create_topics CreateTopicsRequest
        DeleteTopics delete_topics DeleteTopicsRequest
        DeleteRecords delete_records DeleteRecordsRequest
        InitProducerId init_producer_id InitProducerIdRequest
        OffsetForLeaderEpoch offset_for_leader_epoch OffsetForLeaderEpochRequest
        AddPartitionsToTxn add_partitions_to_txn AddPartitionsToTxnRequest
        AddOffsetsToTxn add_offsets_to_txn AddOffsetsToTxnRequest
        EndTxn end_txn EndTxnRequest
        TxnOffsetCommit txn_offset_commit TxnOffsetCommitRequest
        DescribeConfigs describe_configs DescribeConfigsRequest
        AlterConfigs alter_configs AlterConfigsRequest
        CreatePartitions create_partitions CreatePartitionsRequest
        DeleteGroups delete_groups DeleteGroupsRequest
        IncrementalAlterConfigs incremental_alter_configs IncrementalAlterConfigsRequest
        DescribeCluster describe_cluster DescribeClusterRequest
        DescribeProducers describe_producers DescribeProducersRequest
        ConsumerGroupHeartbeat consumer_group_heartbeat ConsumerGroupHeartbeatRequest
        ConsumerGroupDescribe consumer_group_describe ConsumerGroupDescribeRequest
    }
}

/// Resource types of the configs requests.
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;

/// The offsets topic is made when the first group needs it; the offsets themselves are kept elsewhere.
fn offsets_topic(core: &mut Core) {
    if !core.topics.contains_key("__consumer_offsets") {
        // Its partition count is that of the lab's real clusters. Nothing can refuse it.
        let _ = core.create_topic("__consumer_offsets", 8, &[("cleanup.policy", "compact")]);
    }
}

/// Whether this node coordinates the group.
fn check_coordinator(core: &Core, call: &Call, group: &str) -> Result<(), ResponseError> {
    match core.coordinator(group) {
        Some(node) if node == call.node => Ok(()),
        _ => Err(ResponseError::NotCoordinator),
    }
}

/// Whether the request comes from a member of the group's generation.
fn check_member(
    core: &Core,
    call: &Call,
    group: &str,
    member: &str,
    instance: Option<&str>,
    generation: i32,
) -> Result<(), ResponseError> {
    check_coordinator(core, call, group)?;
    if !core.access.may(Operation::ReadGroup, group) {
        return Err(ResponseError::GroupAuthorizationFailed);
    }
    let known = core.groups.get(group).ok_or(ResponseError::UnknownMemberId)?;
    known.members.check(member, instance, generation)
}
