//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup: being a member of a group of the classic protocol.
//!
//! JoinGroup: from version 4 on a new member is told its id first and joins with it (KIP-394), so that a lost answer
//! leaves no member behind that nobody is. Version 5 added instance ids, 6 is flexible. SyncGroup and Heartbeat: 3 added
//! instance ids, 4 is flexible. LeaveGroup: 3 takes several members, 4 is flexible; no version asks who sends it.

use super::commit::MemberOf;
use super::{string, write};
use crate::kafka::{ErrorCode, GroupId};
use crate::wire::{ApiKey, Request, Rope, WireError};
use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest};
use std::time::Duration;

/// Joins a group, for the first time or again. The answer comes when the group's next generation begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinGroup {
    /// The group.
    pub group: GroupId,
    /// The member's id; empty for a new member.
    pub member: String,
    /// The kind of group: the same for all its members, and the name of the one protocol they speak.
    pub protocol: String,
    /// What the other members and DescribeGroups are told.
    pub metadata: Bytes,
    /// How long the member lives without a heartbeat.
    pub session: Duration,
    /// How long the others wait for this member to join again.
    pub rebalance: Duration,
}

/// A coordinator's answer to [`JoinGroup`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinGroupAnswer {
    /// NONE, MEMBER_ID_REQUIRED for a new member that is to come again with the id given, or why it may not join.
    pub error: ErrorCode,
    /// The generation that begins; -1 with an error.
    pub generation: i32,
    /// The member that assigns.
    pub leader: String,
    /// The member's id.
    pub member: String,
    /// For the leader: every member and what it told the group.
    pub members: Vec<(String, Bytes)>,
}

impl Request for JoinGroup {
    const API: ApiKey = ApiKey::JoinGroup;
    type Answer = JoinGroupAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        let protocol =
            JoinGroupRequestProtocol::default().with_name(string(&self.protocol)).with_metadata(self.metadata.clone());
        let request = JoinGroupRequest::default()
            .with_group_id(string(self.group.as_str()).into())
            .with_session_timeout_ms(milliseconds(self.session))
            .with_rebalance_timeout_ms(milliseconds(self.rebalance))
            .with_member_id(string(&self.member))
            .with_protocol_type(string(&self.protocol))
            .with_protocols(vec![protocol]);
        write(&request, version)
    }

    fn decode(version: i16, body: Bytes) -> Result<JoinGroupAnswer, WireError> {
        let mut reader = super::reader::<Self>(version, &body);
        reader.throttle()?;
        let error = reader.code()?;
        let generation = reader.i32("generation_id")?;
        reader.text("protocol_name")?;
        let leader = reader.text("leader")?.to_owned();
        let member = reader.text("member_id")?.to_owned();
        let members = reader.array("members", |reader| {
            let id = reader.text("member_id")?.to_owned();
            let metadata = Bytes::copy_from_slice(reader.nullable_bytes("metadata")?.unwrap_or_default());
            Ok((id, metadata))
        })?;
        Ok(JoinGroupAnswer { error, generation, leader, member, members })
    }
}

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// Ends a rebalance: the leader brings the assignments, everyone else waits for its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncGroup {
    /// The group.
    pub group: GroupId,
    /// The member.
    pub member: MemberOf,
    /// The members that the leader assigns something to, here always nothing; empty from everyone else.
    pub assigned: Vec<String>,
}

/// A coordinator's answer to [`SyncGroup`], [`Heartbeat`] and [`LeaveGroup`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MembershipAnswer {
    /// NONE, or what is wrong with the membership.
    pub error: ErrorCode,
}

impl Request for SyncGroup {
    const API: ApiKey = ApiKey::SyncGroup;
    type Answer = MembershipAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        let assigned =
            self.assigned.iter().map(|member| SyncGroupRequestAssignment::default().with_member_id(string(member)));
        let request = SyncGroupRequest::default()
            .with_group_id(string(self.group.as_str()).into())
            .with_generation_id(self.member.generation)
            .with_member_id(string(&self.member.id))
            .with_assignments(assigned.collect());
        write(&request, version)
    }

    fn decode(version: i16, body: Bytes) -> Result<MembershipAnswer, WireError> {
        // The assignment that follows says nothing: there is nothing to share out.
        code::<Self>(version, &body)
    }
}

/// Says that a member is alive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    /// The group.
    pub group: GroupId,
    /// The member.
    pub member: MemberOf,
}

impl Request for Heartbeat {
    const API: ApiKey = ApiKey::Heartbeat;
    type Answer = MembershipAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        let request = HeartbeatRequest::default()
            .with_group_id(string(self.group.as_str()).into())
            .with_generation_id(self.member.generation)
            .with_member_id(string(&self.member.id));
        write(&request, version)
    }

    fn decode(version: i16, body: Bytes) -> Result<MembershipAnswer, WireError> {
        code::<Self>(version, &body)
    }
}

/// Takes a member out of its group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaveGroup {
    /// The group.
    pub group: GroupId,
    /// The member's id.
    pub member: String,
}

impl Request for LeaveGroup {
    const API: ApiKey = ApiKey::LeaveGroup;
    type Answer = MembershipAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        let request = LeaveGroupRequest::default()
            .with_group_id(string(self.group.as_str()).into())
            .with_member_id(string(&self.member));
        write(&request, version)
    }

    fn decode(version: i16, body: Bytes) -> Result<MembershipAnswer, WireError> {
        code::<Self>(version, &body)
    }
}

fn code<R: Request>(version: i16, body: &Bytes) -> Result<MembershipAnswer, WireError> {
    let mut reader = super::reader::<R>(version, body);
    reader.throttle()?;
    Ok(MembershipAnswer { error: reader.code()? })
}
