//! SyncGroup. 3 instance ids; 4 flexible; 5 protocol type and name.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::check_member;
use crate::broker::call::{Call, Step, Wait, text};
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, request: SyncGroupRequest) -> Step {
    let (group, member) = (request.group_id.to_string(), request.member_id.to_string());
    let instance = request.group_instance_id.as_deref();
    let checked = check_member(core, call, &group, &member, instance, request.generation_id);
    let assignments = request.assignments.into_iter().map(|given| (given.member_id.to_string(), given.assignment));
    let now = core.now;
    let members = &mut core.groups.entry(&group).members;
    match checked.and_then(|()| members.sync(now, &member, assignments.collect())) {
        Ok(()) => resume(core, call, group, member),
        Err(code) => refused(call, code),
    }
}

fn refused(call: &Call, code: ResponseError) -> Step {
    call.reply(&SyncGroupResponse::default().with_error_code(code.code()))
}

/// Answers a member once the leader has assigned.
pub(crate) fn resume(core: &mut Core, call: &Call, group: String, member: String) -> Step {
    let members = &core.groups.entry(&group).members;
    match members.assignment(&member) {
        Err(code) => refused(call, code),
        Ok(None) => Step::Park(Wait::Sync { group, member }),
        Ok(Some(assignment)) => call.reply(
            &SyncGroupResponse::default()
                .with_protocol_type(Some(text(members.protocol_type())))
                .with_protocol_name(Some(text(members.protocol())))
                .with_assignment(assignment),
        ),
    }
}
