//! A member of a consumer group.

use bytes::{BufMut, Bytes};
use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use kafka_protocol::messages::leave_group_request::LeaveGroupRequest;
use kafka_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use kafka_protocol::protocol::StrBytes;

use super::client::{Client, accept};
use super::connection::Failure;
use super::{group_id, text, versions};

/// Long enough that no scenario needs heartbeats, short enough for every broker.
const SESSION_MS: i32 = 300_000;

/// The only member of a group of classic consumers.
#[derive(Debug)]
pub(super) struct Member {
    client: Client,
    group: String,
    id: StrBytes,
}

impl Member {
    /// Joins and takes the assignment that a leader alone gives itself.
    pub(super) fn join(client: &Client, group: &str, topic: &str) -> Result<Self, Failure> {
        let mut coordinator = client.coordinator(group)?;
        let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(subscription(topic));
        let request = JoinGroupRequest::default()
            .with_group_id(group_id(group))
            .with_session_timeout_ms(SESSION_MS)
            .with_rebalance_timeout_ms(60_000)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        let mut joined = coordinator.call(versions::JOIN_GROUP, &request)?;
        // KIP-394: a new member is first told its id.
        if joined.error_code.err() == Some(ResponseError::MemberIdRequired) {
            joined = coordinator.call(versions::JOIN_GROUP, &request.with_member_id(joined.member_id))?;
        }
        accept("JoinGroup", joined.error_code)?;
        let assignment = SyncGroupRequestAssignment::default()
            .with_member_id(joined.member_id.clone())
            .with_assignment(nothing_assigned());
        let request = SyncGroupRequest::default()
            .with_group_id(group_id(group))
            .with_generation_id(joined.generation_id)
            .with_member_id(joined.member_id.clone())
            .with_assignments(vec![assignment]);
        accept("SyncGroup", coordinator.call(versions::SYNC_GROUP, &request)?.error_code)?;
        Ok(Self { client: client.clone(), group: group.to_owned(), id: joined.member_id })
    }

    /// Leaves in order.
    pub(super) fn leave(self) -> Result<(), Failure> {
        let request = LeaveGroupRequest::default().with_group_id(group_id(&self.group)).with_member_id(self.id.clone());
        let answer = self.client.coordinator(&self.group)?.call(versions::LEAVE_GROUP, &request)?;
        accept("LeaveGroup", answer.error_code)
    }
}

/// ConsumerProtocolSubscription v0: the topics, no user data.
fn subscription(topic: &str) -> Bytes {
    let mut out = Vec::new();
    out.put_i16(0);
    out.put_i32(1);
    out.put_i16(i16::try_from(topic.len()).expect("a topic name"));
    out.put_slice(topic.as_bytes());
    out.put_i32(-1);
    out.into()
}

/// ConsumerProtocolAssignment v0 without partitions.
fn nothing_assigned() -> Bytes {
    let mut out = Vec::new();
    out.put_i16(0);
    out.put_i32(0);
    out.put_i32(-1);
    out.into()
}
