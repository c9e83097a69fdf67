//! JoinGroup. 1 rebalance time-out; 4 a new member is given its id first (KIP-394); 5 instance ids; 6 flexible;
//! 7 protocol type in the answer; 9 the leader may skip assigning.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use super::{check_coordinator, offsets_topic};
use crate::broker::access::Operation;
use crate::broker::call::{Call, Step, Wait, text};
use crate::broker::core::Core;
use crate::broker::groups::Kind;
use crate::broker::membership::Member;

pub(crate) fn handle(core: &mut Core, call: &Call, request: JoinGroupRequest) -> Step {
    let group = request.group_id.to_string();
    match join(core, call, &group, request) {
        Ok(member) => resume(core, call, group, member),
        Err((code, member)) => refused(call, code, &member),
    }
}

fn refused(call: &Call, code: ResponseError, member: &str) -> Step {
    call.reply(
        &JoinGroupResponse::default()
            .with_error_code(code.code())
            .with_generation_id(-1)
            .with_protocol_name(Some(text("")))
            .with_member_id(text(member)),
    )
}

/// The id under which the member is in or waits.
fn join(
    core: &mut Core,
    call: &Call,
    group: &str,
    request: JoinGroupRequest,
) -> Result<String, (ResponseError, String)> {
    let mut id = request.member_id.to_string();
    let limit = |name: &str| core.broker_config(name).parse().unwrap_or(i32::MAX);
    let sessions = limit("group.min.session.timeout.ms")..=limit("group.max.session.timeout.ms");
    offsets_topic(core);
    let refusal = match check_coordinator(core, call, group) {
        Err(code) => Some(code),
        Ok(()) if group.is_empty() => Some(ResponseError::InvalidGroupId),
        Ok(()) if !core.access.may(Operation::ReadGroup, group) => Some(ResponseError::GroupAuthorizationFailed),
        Ok(()) if !sessions.contains(&request.session_timeout_ms) => Some(ResponseError::InvalidSessionTimeout),
        Ok(()) => None,
    };
    if let Some(code) = refusal {
        return Err((code, id));
    }
    let protocols: Vec<(String, Bytes)> =
        request.protocols.into_iter().map(|protocol| (protocol.name.to_string(), protocol.metadata)).collect();
    let instance = request.group_instance_id.map(|id| id.to_string());
    let now = core.now;
    let session_ms = i64::from(request.session_timeout_ms);
    let fresh = id.is_empty();
    if fresh {
        id = core.groups.new_member_id(instance.as_deref().unwrap_or(&call.client_id));
    }
    let known = core.groups.entry(group);
    if !known.consumers.is_empty() {
        return Err((ResponseError::InconsistentGroupProtocol, id));
    }
    known.kind = Kind::Classic;
    let members = &mut known.members;
    if !members.accepts(&request.protocol_type, &protocols) {
        return Err((ResponseError::InconsistentGroupProtocol, id));
    }
    if fresh && instance.is_none() && call.version >= 4 {
        members.promise(id.clone(), now.saturating_add(session_ms));
        return Err((ResponseError::MemberIdRequired, id));
    }
    if !fresh && !members.knows(&id, instance.as_deref()) {
        return Err((ResponseError::UnknownMemberId, id));
    }
    let member = Member {
        id: id.clone(),
        instance,
        client_id: call.client_id.clone(),
        session_ms,
        rebalance_ms: if call.version >= 1 { i64::from(request.rebalance_timeout_ms) } else { session_ms },
        protocols,
        ..Member::default()
    };
    match members.join(now, &request.protocol_type, member) {
        Ok(()) => Ok(id),
        Err(code) => Err((code, id)),
    }
}

/// Answers a member once the group has its next generation.
pub(crate) fn resume(core: &mut Core, call: &Call, group: String, member: String) -> Step {
    let members = &core.groups.entry(&group).members;
    match members.is_joined(&member) {
        Err(code) => return refused(call, code, &member),
        Ok(false) => return Step::Park(Wait::Join { group, member }),
        Ok(true) => {}
    }
    let leads = members.leader() == member;
    let listed = members.iter().filter(|_| leads).map(|member| {
        let chosen = member.protocols.iter().find(|(name, _)| name == members.protocol());
        JoinGroupResponseMember::default()
            .with_member_id(text(&member.id))
            .with_group_instance_id(member.instance.as_ref().map(text))
            .with_metadata(chosen.map(|(_, bytes)| bytes.clone()).unwrap_or_default())
    });
    call.reply(
        &JoinGroupResponse::default()
            .with_generation_id(members.generation())
            .with_protocol_type(Some(text(members.protocol_type())))
            .with_protocol_name(Some(text(members.protocol())))
            .with_leader(text(members.leader()))
            .with_members(listed.collect())
            .with_member_id(text(&member)),
    )
}
